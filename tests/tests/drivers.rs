//! Tests by Selenium's virtual authenticators, unchanged in front of chromedriver and of keyrig in its place. What is found is compared
//! with `tests/drivers/FOUND.md`, and kept in `target/drivers`, where `tests/drivers/table.py` makes that page from it.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyrig_tests::judge::{self, Output};
use keyrig_tests::program;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(180);

/// Where Selenium is, and what else is needed; nothing if something is not there.
fn installed(programs: &[&str]) -> Option<PathBuf> {
    let cache = judge::tree(".cache/drivers");
    let stamp = cache.join("installed");
    let mut needs = programs.iter().map(PathBuf::from).chain([stamp]);
    if let Some(missing) = needs.find(|path| !path.exists()) {
        judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
        return None;
    }
    Some(cache)
}

/// The program under test by the name of a driver, in a directory that goes with what is returned.
fn by_the_name_of(driver: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(driver);
    symlink(program::keyrig(), &path).unwrap();
    (directory, path)
}

async fn suite(cache: &Path, browser: &str, driver: &Path) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    // WebKit's browser is shown on a screen, whatever it is told.
    let mut command = match browser {
        "webkit" => Command::new("xvfb-run"),
        _ => Command::new("env"),
    };
    if browser == "webkit" {
        command.arg("-a");
    }
    command
        .arg("node")
        .arg(judge::tree("tests/drivers/suite.cjs"))
        .arg(browser)
        .arg(driver)
        .env("NODE_PATH", cache.join("node_modules"))
        .env("TMPDIR", temporary.path())
        .env("KEYRIG_GECKODRIVER", cache.join("geckodriver/bin/geckodriver"))
        .env("KEYRIG_CHROMEDRIVER", "/usr/bin/chromedriver");
    judge::run(&mut command, b"", LIMIT).await
}

/// Runs the suite in front of a driver, and compares what is found with the page.
async fn compare(browser: &str, driver: &Path, column: &str, cache: &Path) {
    let output = suite(cache, browser, driver).await;
    assert!(output.success, "{column}: {output}");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| judge::tree("target"), PathBuf::from);
    fs::create_dir_all(target.join("drivers")).unwrap();
    fs::write(target.join("drivers").join(format!("{column}.jsonl")), &output.stdout).unwrap();
    let page = fs::read_to_string(judge::tree("tests/drivers/FOUND.md")).unwrap_or_default();
    let expected = cells(&page, column);
    let found: BTreeMap<_, _> = output.stdout.lines().map(case).collect();
    assert!(!found.is_empty(), "{output}");
    let stale: Vec<_> = found.iter().filter(|(case, found)| expected.get(*case) != Some(found)).collect();
    assert!(
        stale.is_empty() && expected.len() == found.len(),
        "{column}: {stale:?}: tests/drivers/FOUND.md says otherwise; if this is right, tests/drivers/table.py makes the page anew"
    );
}

/// A case, and what came of it in words.
fn case(line: &str) -> (String, String) {
    let line: Value = serde_json::from_str(line).unwrap();
    // In the order of their names, whatever the map has.
    let result: BTreeMap<_, _> = line["result"].as_object().unwrap().iter().collect();
    let words = result.iter().map(|(what, value)| match value {
        Value::String(text) => format!("{what}: {text}"),
        Value::Null => format!("{what}: none"),
        value => format!("{what}: {value}"),
    });
    (line["case"].as_str().unwrap().to_owned(), words.collect::<Vec<_>>().join("; "))
}

/// A column of the table, by case.
fn cells(page: &str, column: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    let Some(at) = rows.first().and_then(|header| header.iter().position(|name| *name == column)) else {
        return BTreeMap::new();
    };
    rows.iter().skip(1).filter_map(|row| Some(((*row.first()?).to_owned(), (*row.get(at)?).to_owned()))).collect()
}

#[tokio::test]
async fn chromium_by_its_own_driver_and_by_keyrig() {
    let Some(cache) = installed(&["/usr/bin/chromium", "/usr/bin/chromedriver"]) else { return };
    compare("chromium", Path::new("/usr/bin/chromedriver"), "chromedriver", &cache).await;
    let (_directory, driver) = by_the_name_of("keyrig-chromedriver");
    compare("chromium", &driver, "keyrig-chromedriver", &cache).await;
}

#[tokio::test]
async fn firefox_by_keyrig() {
    let Some(cache) = installed(&["/usr/bin/firefox-esr"]) else { return };
    let (_directory, driver) = by_the_name_of("keyrig-geckodriver");
    compare("firefox", &driver, "keyrig-geckodriver", &cache).await;
}

/// The script in the place of `navigator.credentials`, where there is none.
#[tokio::test]
async fn webkit_by_a_script_in_its_pages() {
    let Some(cache) = installed(&["/usr/bin/WebKitWebDriver", "/usr/bin/xvfb-run"]) else { return };
    compare("webkit", Path::new(program::keyrig()), "page script in WebKit", &cache).await;
}

/// The same by Playwright: what the page asks comes out by a function, whose driver knows the frame, or by fetching.
#[tokio::test]
async fn playwright_by_a_script_in_its_pages() {
    let Some(cache) = installed(&["/usr/bin/chromium"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(program::keyrig());
    command.args(["exec", "--plug", "none", "--key", "a=keyrig-uv", "--", "node"]);
    command.arg(judge::tree("tests/drivers/playwright.cjs")).env_remove("KEYRIG_TOKEN");
    command.env("NODE_PATH", cache.join("node_modules")).env("TMPDIR", temporary.path());
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let both = json!({"create": "UP AT", "get": "UP", "signature": true});
    let expected = json!({
        "exposed": {
            "both": both,
            // The client asks for credProtect, as Chromium does.
            "passkey": {"create": "UP UV AT ED", "get": "UP UV", "signature": true, "user": "user"},
            "origin": "SecurityError",
            "excluded": "InvalidStateError",
            "told": {
                "no challenge": "true: TypeError",
                "no dictionary": "true: TypeError",
                "aborted before": "AbortError",
                "aborted while it waits": "AbortError",
                // One is carried out, and the others are not.
                "a thousand at once": ["OperationError", null],
                "store": "NotSupportedError",
                "instances": [true, true, true],
                "json": [true, "authenticatorAttachment clientExtensionResults id rawId response type", "string"],
                "response": [-7, "usb", true, "public-key"],
                "extensions": {"prf": {"enabled": true}},
                "parsed": ["1,2,3", true],
                "not base64url": "EncodingError",
                "platform": false,
                "conditional": true,
                "capabilities": true,
                "signals": [null, "SecurityError", "true: TypeError"],
            },
            // An RP ID that is not the frame's, by the rule of the client.
            "frames": {"not allowed": "NotAllowedError", "allowed": "SecurityError"},
        },
        "fetched": both,
        "fetched elsewhere": {"create": "UnknownError"},
        "hostile": "#public-key -7",
        "fetched when revoked": {"create": "UnknownError"},
    });
    assert_eq!(found, expected, "{output}");
}

#[tokio::test]
async fn a_test_in_python_gets_its_keys_by_one_changed_path() {
    let Some(cache) = installed(&["/usr/bin/chromium", "/usr/bin/chromedriver"]) else { return };
    let (_directory, keyrig) = by_the_name_of("keyrig-chromedriver");
    for (driver, told) in [(Path::new("/usr/bin/chromedriver"), "the driver's own"), (&keyrig, "hid")] {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = Command::new(cache.join("venv/bin/python"));
        command.arg(judge::tree("tests/drivers/selenium_python.py")).arg(driver);
        command.env("TMPDIR", temporary.path()).env("KEYRIG_CHROMEDRIVER", "/usr/bin/chromedriver");
        let output = judge::run(&mut command, b"", LIMIT).await;
        assert!(output.success && output.stdout == format!("passed, by {told}\n"), "{}: {output}", driver.display());
    }
}
