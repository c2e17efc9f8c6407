//! What rows of the catalogue of misconfigurations say that a browser refuses, real browsers refuse, by the same name and in the same
//! words; and so they do where a key is asked. Any host can be opened, by a proxy of the test's own.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keyrig_client::Browser;
use keyrig_scenario::catalogue::{Expected, rows};
use keyrig_tests::exec_case::{Bench, places};
use keyrig_tests::judge::{self, Output};
use serde_json::Value;
use tokio::process::Command;

const PROGRAMS: [&str; 7] = [
    "/usr/bin/chromium",
    "/usr/bin/chromedriver",
    "/usr/bin/firefox-esr",
    "/usr/bin/openssl",
    "/usr/bin/Xvfb",
    "/usr/bin/xdotool",
    "/usr/bin/tesseract",
];

const LIMIT: Duration = Duration::from_secs(900);

/// Whether all is there that a test needs.
fn is_installed() -> bool {
    let installed = judge::tree(".cache/browsers/installed");
    let needs = PROGRAMS.iter().map(Path::new).chain([installed.as_path()]);
    let missing = needs.into_iter().find(|path| !path.exists());
    if let Some(missing) = missing {
        judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
    }
    missing.is_none()
}

/// Compares what pages were told, a line for each row, with what was written down for these rows.
fn compare(output: &Output, browser: Browser, chosen: impl Fn(&Expected) -> &[String]) {
    let rows = rows();
    let ways = rows.iter().flat_map(|row| (0_u64..).zip([row].into_iter().chain(&row.variants)));
    let ways: BTreeMap<_, _> = ways.map(|(variant, row)| ((u64::from(row.number), variant), row)).collect();
    let name = browser.to_string();
    assert!(output.success, "{name}: {output}");
    let mut told: BTreeMap<(u64, u64), Value> = BTreeMap::new();
    for line in output.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        told.insert((line["row"].as_u64().unwrap(), line["variant"].as_u64().unwrap()), line);
    }
    let real: Vec<_> =
        ways.iter().filter(|(_, row)| chosen(&row.expected).contains(&name)).map(|(way, _)| *way).collect();
    assert!(real.len() > 10, "{real:?}");
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), real, "{output}");
    for (way, line) in &told {
        let expected = ways[way].expected.in_browser(browser);
        let told = &line["told"];
        // Where nobody refuses, or the relying party does, the page gets a credential.
        let (expected_name, message) = match (&expected.name, &expected.message) {
            (None, _) => ("none", ""),
            (Some(expected_name), Some(message)) => (expected_name.as_str(), message.as_str()),
            (Some(_), None) => panic!("{name}: row {way:?} has no message to compare"),
        };
        assert_eq!(told["name"].as_str(), Some(expected_name), "{name}: {line}");
        assert_eq!(told["message"].as_str(), Some(message), "{name}: {line}");
    }
}

async fn refuses(browser: Browser) {
    if !is_installed() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(judge::tree("tests/browsers/misconfigured.py"))
        .arg(browser.to_string())
        .arg(judge::tree("crates/scenario/fixtures/misconfigurations"))
        .env("PYTHONPATH", judge::tree(".cache/browsers/packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HOME", home.path())
        .env("TMPDIR", home.path());
    if browser == Browser::Chromium && rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    let output = judge::run(&mut command, b"", LIMIT).await;
    compare(&output, browser, |expected| &expected.real);
}

/// Under `keyrig exec`, as an ordinary user, with a screen.
async fn asks_a_key(browser: Browser) {
    if !is_installed() {
        return;
    }
    let bench = Bench::new();
    let trees = ["tests/browsers", ".cache/browsers/packages", "crates/scenario/fixtures/misconfigurations"];
    let copied = std::process::Command::new("cp")
        .args(["-r", "--no-preserve=mode"])
        .args(trees.map(judge::tree))
        .arg(bench.path())
        .status();
    assert!(copied.unwrap().success());
    let is_root = rustix::process::geteuid().is_root();
    let place = places().into_iter().find(|place| place.nobody == is_root && place.rules.is_none());
    let script = format!(
        "mkdir $TMPDIR/pictures
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$bench/packages exec /usr/bin/python3 \
        $bench/browsers/misconfigured_keys.py {browser} $bench/misconfigurations $keyrig $TMPDIR/pictures"
    );
    let output = bench.run(place.expect("there is one"), &["--key", "spare=keyrig"], &script).await;
    compare(&output, browser, |expected| &expected.real_with_key);
}

#[tokio::test]
async fn chromium_refuses_what_the_catalogue_says() {
    refuses(Browser::Chromium).await;
}

#[tokio::test]
async fn firefox_refuses_what_the_catalogue_says() {
    refuses(Browser::Firefox).await;
}

#[tokio::test]
async fn chromium_with_a_key_does_what_the_catalogue_says() {
    asks_a_key(Browser::Chromium).await;
}

#[tokio::test]
async fn firefox_with_a_key_does_what_the_catalogue_says() {
    asks_a_key(Browser::Firefox).await;
}
