//! schemathesis, a tester of HTTP interfaces, asks a rack's service and a relying party what their descriptions allow and what they forbid,
//! and compares the answers.

#![cfg(test)]

use std::process::Stdio;
use std::time::Duration;

use keyrig_tests::judge;
use keyrig_tests::program::keyrig;
use keyrig_tests::site::{PASSWORD, Site};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(900);

/// The description in use: it is fetched from the service, which `keyrig exec` gives two keys. OpenAPI 3.1 has no words for the
/// events of a stream.
#[tokio::test]
async fn the_service_is_as_it_is_described() {
    let cache = judge::tree(".cache/service");
    if !cache.join("installed").exists() {
        return judge::skip("schemathesis is not installed: tests/service/install");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let script = r#"exec "$0" --config-file "$1" run --url "$KEYRIG_URL" --header "Authorization: Bearer $KEYRIG_TOKEN" \
        --exclude-path /v1/events/stream --exclude-path /v1/trace/stream --exclude-path /v1/panel/stream \
        "$KEYRIG_URL/v1/openapi.json""#;
    let service = judge::tree("tests/service").canonicalize().expect("there");
    let schemathesis = cache.canonicalize().expect("there").join("venv/bin/schemathesis");
    let mut command = Command::new(keyrig());
    command.args(["exec", "--plug", "none", "--key", "a=keyrig", "--key", "b=yubikey-5.7", "--", "sh", "-c", script]);
    command.arg(schemathesis).arg(service.join("schemathesis.toml")).current_dir(directory.path());
    command.env("SCHEMATHESIS_HOOKS", service.join("schemathesis_hooks.py")).env_remove("KEYRIG_TOKEN");
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
}

/// The same of `keyrig rp serve`, by administrators and without a session.
#[tokio::test]
async fn the_relying_party_is_as_it_is_described() {
    let cache = judge::tree(".cache/service");
    if !cache.join("installed").exists() {
        return judge::skip("schemathesis is not installed: tests/service/install");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let settings = directory.path().join("site.toml");
    std::fs::write(&settings, "rp_id = \"localhost\"\npasskey_login = true\n").expect("a file");
    let config = settings.to_str().expect("text");
    let site = Site::start(&directory, &["--listen", "127.0.0.1:0", "--config", config], Stdio::null()).await;
    let url = format!("http://localhost:{}", site.address().rsplit(':').next().expect("a port"));
    let service = judge::tree("tests/service").canonicalize().expect("there");
    let mut schemathesis = Command::new(cache.canonicalize().expect("there").join("venv/bin/schemathesis"));
    schemathesis.arg("--config-file").arg(service.join("schemathesis_site.toml"));
    schemathesis.args(["run", "--url", &url, &format!("{url}/api/openapi.json")]).current_dir(directory.path());
    schemathesis.env("SCHEMATHESIS_HOOKS", service.join("schemathesis_site_hooks.py"));
    schemathesis.env("SITE", &url).env("PASSWORD", PASSWORD);
    let output = judge::run(&mut schemathesis, b"", LIMIT).await;
    assert!(output.success, "{output}");
    site.stop().await;
}
