//! What the book shows of keyrig in the tests of others, run as it stands there: in Python, in a shell, in JavaScript and in Java. Beside it, what the
//! same test passes with that has no rules of a browser.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyrig_tests::judge::{self, Output};
use keyrig_tests::program::keyrig;
use serde_json::Value;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// Where what the examples need is installed.
fn installed() -> Option<PathBuf> {
    let cache = judge::tree(".cache/service");
    if cache.join("installed").exists() {
        return Some(cache.canonicalize().expect("a directory"));
    }
    judge::skip("what examples are run with is not installed: tests/service/install");
    None
}

/// What a page of the book shows of docs/examples, in a directory of its own.
fn shown(page: &str, names: &[&str]) -> tempfile::TempDir {
    let page = std::fs::read_to_string(judge::tree("docs/src/languages").join(page)).expect("text");
    let directory = tempfile::tempdir().expect("a directory");
    for name in names {
        assert!(page.contains(&format!("{{{{#include ../../examples/{name}}}}}")), "the page shows no {name}");
        let from = judge::tree("docs/examples").join(name);
        std::fs::copy(&from, directory.path().join(from.file_name().expect("a file"))).expect("copied");
    }
    directory
}

/// A command that runs another with a site on PyPI's webauthn beside it, whose address is in SITE.
fn site_on_webauthn(cache: &Path) -> [PathBuf; 2] {
    [cache.join("venv/bin/python"), judge::tree("tests/service/site.py").canonicalize().expect("there")]
}

/// Runs a command line in a directory, under `keyrig exec` with two keys.
async fn with_keys(words: &[&Path], directory: &Path) -> Output {
    let mut command = Command::new(keyrig());
    command.args(["exec", "--plug", "none", "--key", "a=keyrig", "--key", "b=yubikey-5.7", "--"]);
    command.args(words).current_dir(directory).env_remove("KEYRIG_TOKEN");
    judge::run(&mut command, b"", LIMIT).await
}

#[tokio::test]
async fn in_python_with_pytest() {
    let Some(cache) = installed() else { return };
    let directory = shown("http.md", &["test_login.py"]);
    let ([python, site], pytest) = (site_on_webauthn(&cache), cache.join("venv/bin/pytest"));
    let words = [&python, &site, &pytest, Path::new("-q"), Path::new("test_login.py")];
    let output = with_keys(&words, directory.path()).await;
    assert!(output.success && output.stdout.contains("1 passed"), "{output}");
}

#[tokio::test]
async fn in_a_shell_with_curl_and_jq() {
    let Some(cache) = installed() else { return };
    let directory = shown("http.md", &["test_login.sh"]);
    let [python, site] = site_on_webauthn(&cache);
    let output = with_keys(&[&python, &site, Path::new("bash"), Path::new("test_login.sh")], directory.path()).await;
    assert!(output.success, "{output}");
}

#[tokio::test]
async fn in_javascript_with_node() {
    let Some(cache) = installed() else { return };
    let directory = shown("javascript.md", &["javascript/keyrig.mjs", "javascript/login.test.mjs"]);
    // Modules look for others beside them.
    std::fs::copy(judge::tree("tests/service/site.mjs"), directory.path().join("site.mjs")).expect("copied");
    std::os::unix::fs::symlink(cache.join("node_modules"), directory.path().join("node_modules")).expect("a link");
    let words = ["node", "site.mjs", "node", "--test", "login.test.mjs"].map(Path::new);
    let output = with_keys(&words, directory.path()).await;
    assert!(output.success && output.stdout.contains("pass 2"), "{output}");
}

#[tokio::test]
async fn in_java_with_junit() {
    let Some(cache) = installed() else { return };
    let junit = Path::new("/usr/share/java/junit-platform-console-standalone.jar");
    if !junit.exists() {
        return judge::skip("there is no JUnit: apt-get install junit5");
    }
    let directory = shown("java.md", &["java/Keyrig.java", "java/LoginTest.java"]);
    let mut compiler = Command::new("javac");
    compiler.args(["-Werror", "-Xlint:all,-serial", "-d", "built", "Keyrig.java", "LoginTest.java"]);
    compiler.arg("-cp").arg(junit).current_dir(directory.path());
    let compiled = judge::run(&mut compiler, b"", LIMIT).await;
    assert!(compiled.success, "{compiled}");
    let [python, site] = site_on_webauthn(&cache);
    let [java, jar, path, built, scan] = ["java", "-jar", "-cp", "built", "--scan-class-path"].map(Path::new);
    let output = with_keys(&[&python, &site, java, jar, junit, path, built, scan], directory.path()).await;
    assert!(output.success && output.stdout.contains("2 tests successful"), "{output}");
}

/// A page of localhost asks for a credential of example.com. Playwright's authenticator makes one, so that a test of the refusal
/// would have to fail there; here it is refused as by a browser.
#[tokio::test]
async fn a_wrong_origin_passes_with_playwright_and_is_refused_here() {
    let Some(cache) = installed() else { return };
    let Some(chromium) =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(Path::new).into_iter().find(|path| path.exists())
    else {
        return judge::skip("there is no Chromium");
    };
    let mut command = Command::new("node");
    command.arg(judge::tree("tests/service/playwright.cjs")).env("NODE_PATH", cache.join("node_modules"));
    let output = judge::run(command.env("CHROMIUM", chromium), b"", LIMIT).await;
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    assert_eq!(told["got"], "credential", "it has learnt the rule: change this test and what is said of it, {told}");

    let options = r#"{"rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "alice",
        "displayName": "Alice"}, "challenge": "AQID", "pubKeyCredParams": [{"type": "public-key", "alg": -7}]}"#;
    let mut command = Command::new(keyrig());
    command.args(["client", "create", "--origin", "http://localhost:8080", "--with", "keyrig"]);
    let output = judge::run(&mut command, options.as_bytes(), LIMIT).await;
    let told: Value = serde_json::from_str(&output.stderr).unwrap_or_else(|error| panic!("{error}: {output}"));
    assert_eq!((output.success, &told["error"]["name"]), (false, &Value::from("SecurityError")));
    assert_eq!(told["error"]["code"], "rp-id-foreign");
}
