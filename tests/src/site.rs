//! `keyrig rp serve` as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::program;

const LIMIT: Duration = Duration::from_secs(60);

/// The password of root@pam at a site that was [started](Site::start) with a directory that was empty.
pub const PASSWORD: &str = "correct horse battery staple";

/// A site, until it is dropped.
#[derive(Debug)]
pub struct Site {
    child: Child,
    /// The line that it began with.
    pub listening: Value,
}

impl Site {
    /// Serves what is kept in a directory, with further arguments, and the log at that place.
    ///
    /// # Panics
    /// If it does not begin to serve.
    pub async fn start(directory: &TempDir, arguments: &[&str], log: impl Into<Stdio>) -> Self {
        Self::start_with(directory, arguments, &[], log).await
    }

    /// The same with further variables of the environment.
    ///
    /// # Panics
    /// If it does not begin to serve.
    pub async fn start_with(
        directory: &TempDir,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file");
        let mut child = Command::new(program::keyrig())
            .args(["rp", "serve", "--json"])
            .arg("--state")
            .arg(directory.path().join("state"))
            .arg("--initial-password")
            .arg(&password)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("keyrig starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line in time").expect("a line");
        Self { child, listening: serde_json::from_str(&line).expect("JSON") }
    }

    /// The first address that it listens on.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn address(&self) -> &str {
        self.listening.pointer("/listen/0").and_then(Value::as_str).expect("an address")
    }

    /// Ends it as Ctrl-C does.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn stop(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        kill_process(Pid::from_raw(id).expect("a process"), Signal::INT).expect("it is ours");
        assert!(timeout(LIMIT, self.child.wait()).await.expect("it ends").expect("it ends").success());
    }
}
