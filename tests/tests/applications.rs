//! Scenarios against sites that others wrote, as their own documentation sets them up: django-allauth of PyPI, better-auth of npm. Two keys
//! each, a key that is known already, and a page elsewhere.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use keyrig_tests::{judge, program};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("applications")
}

/// What `tests/applications/install` has installed.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/applications").join(path)
}

/// A site that serves until its standard input ends, and where.
async fn started(mut command: Command) -> (Child, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line in time").expect("a line");
    let port: u16 = line.trim().parse().expect("a port");
    (child, format!("http://localhost:{port}"))
}

/// Runs a scenario against a site, over CTAP messages and over USB/IP, as a user each.
async fn passes(scenario: &str, site: Command) {
    let (_child, url) = started(site).await;
    for (on, who) in [("in-process", "alice"), ("usbip", "bob")] {
        let mut run = Command::new(program::keyrig());
        run.arg("run").arg(folder().join(scenario)).args(["--on", on]);
        run.args(["--variable", &format!("url={url}"), "--variable", &format!("who={who}")]);
        let output = judge::run(&mut run, b"", LIMIT).await;
        assert!(output.success && output.stdout.contains("1 passed"), "{on}: {output:?}");
    }
}

#[tokio::test]
async fn django_allauth_takes_two_keys_and_no_page_elsewhere() {
    let mut site = Command::new(installed("venv/bin/python"));
    site.arg(folder().join("django_site.py"));
    passes("allauth.toml", site).await;
}

#[tokio::test]
async fn better_auth_takes_two_passkeys_and_no_page_elsewhere() {
    // Modules are looked for beside the file that wants them.
    let copied = installed("better_auth_site.mjs");
    std::fs::copy(folder().join("better_auth_site.mjs"), &copied).expect("tests/applications/install was run");
    let mut site = Command::new("node");
    site.arg(copied);
    passes("better-auth.toml", site).await;
}
