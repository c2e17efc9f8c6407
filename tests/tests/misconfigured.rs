//! What rows of the catalogue of misconfigurations say that a browser refuses, real browsers refuse, by the same name and in the same
//! words: no key is there, and any host can be opened by a proxy of the test's own.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keyrig_client::Browser;
use keyrig_scenario::catalogue::rows;
use keyrig_tests::judge;
use serde_json::Value;
use tokio::process::Command;

const PROGRAMS: [&str; 4] = ["/usr/bin/chromium", "/usr/bin/chromedriver", "/usr/bin/firefox-esr", "/usr/bin/openssl"];

const LIMIT: Duration = Duration::from_secs(300);

async fn refuses(browser: Browser) {
    let site_packages = judge::tree(".cache/browsers");
    let installed = site_packages.join("installed");
    let needs = PROGRAMS.iter().map(Path::new).chain([installed.as_path()]);
    if let Some(missing) = needs.into_iter().find(|path| !path.exists()) {
        return judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
    }
    let rows: BTreeMap<u64, _> = rows().into_iter().map(|row| (row.number.into(), row)).collect();
    let name = browser.to_string();
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(judge::tree("tests/browsers/misconfigured.py"))
        .arg(&name)
        .arg(judge::tree("crates/scenario/fixtures/misconfigurations"))
        .env("PYTHONPATH", site_packages.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HOME", home.path())
        .env("TMPDIR", home.path());
    if browser == Browser::Chromium && rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{name}: {output}");
    let mut told: BTreeMap<u64, Value> = BTreeMap::new();
    for line in output.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        told.insert(line["row"].as_u64().unwrap(), line);
    }
    let real: Vec<u64> =
        rows.values().filter(|row| row.expected.real.contains(&name)).map(|row| row.number.into()).collect();
    assert!(real.len() > 15, "{real:?}");
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), real, "{output}");
    for (number, line) in &told {
        let expected = rows[number].expected.in_browser(browser);
        let told = &line["told"];
        assert_eq!(told["name"].as_str(), expected.name.as_deref(), "{name}: row {number}: {line}");
        if let Some(message) = &expected.message {
            assert_eq!(told["message"].as_str(), Some(message.as_str()), "{name}: row {number}: {line}");
        }
    }
}

#[tokio::test]
async fn chromium_refuses_what_the_catalogue_says() {
    refuses(Browser::Chromium).await;
}

#[tokio::test]
async fn firefox_refuses_what_the_catalogue_says() {
    refuses(Browser::Firefox).await;
}
