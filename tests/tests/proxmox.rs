//! What automation written for Proxmox VE does at `keyrig rp serve`: proxmoxer and curl, which nobody here wrote, log in, by password,
//! code, recovery key, ticket and token, and administer.

#![cfg(test)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use keyrig_tests::{judge, program};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);

/// The password that the site's first user is given.
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn automation_written_for_proxmox_logs_in_here() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    if !["curl", "openssl"].iter().all(|name| Path::new("/usr/bin").join(name).exists()) {
        return judge::skip("curl and openssl are not installed (Debian packages of these names)");
    }
    let state = tempfile::tempdir().expect("a directory");
    let password = state.path().join("password");
    std::fs::write(&password, PASSWORD).expect("a file");
    let settings = state.path().join("site.toml");
    std::fs::write(&settings, "rp_id = \"localhost\"\npolicy = \"proxmox-9\"\n").expect("a file");
    let mut site = Command::new(program::keyrig())
        .args(["rp", "serve", "--listen", "127.0.0.1:0", "--json"])
        .arg("--state")
        .arg(state.path().join("state"))
        .arg("--initial-password")
        .arg(&password)
        .arg("--config")
        .arg(&settings)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("keyrig starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(site.stdout.take().expect("a pipe"));
    timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line in time").expect("a line");
    let listening: Value = serde_json::from_str(&line).expect("JSON");
    let address = listening["listen"][0].as_str().expect("an address");
    let mut session = Command::new(python);
    session.arg(judge::tree("tests/proxmox/session.py")).arg(address);
    let output = judge::run(&mut session, format!("{PASSWORD}\n").as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    assert_eq!(
        output.stdout.lines().collect::<Vec<_>>(),
        [
            "password, users, roles",
            "TOTP: refused without a code and with a used one, let in by the next",
            "renewal",
            "API token: users yes, factors no",
            "recovery key: once",
            "curl: cookie, token, reason phrases",
        ]
    );
}
