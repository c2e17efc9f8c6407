//! A rack that programs use: `keyrig serve` as a child process.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::program;

/// How long it may take until it has said what it listens on.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `keyrig serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Serving {
    _child: Child,
    listening: Value,
    directory: TempDir,
}

impl Serving {
    /// Starts it with USB/IP on a free port, a control socket of its own, the switches for touch and power on a free port, and one
    /// key of this profile at a datagram endpoint; keys that are created have theirs in [`Self::directory`].
    ///
    /// # Panics
    ///
    /// If it does not say what it listens on.
    pub async fn start(profile: &str, touch: &str) -> Self {
        Self::start_with(profile, touch, &[]).await
    }

    /// The same with more arguments.
    ///
    /// # Panics
    ///
    /// If it does not say what it listens on.
    pub async fn start_with(profile: &str, touch: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = |name| format!("unix:{}/{name}", directory.path().display());
        let mut child = Command::new(program::keyrig())
            .args(["serve", "--json", "--usbip", "127.0.0.1:0", "--pico-controller", "127.0.0.1:0"])
            .args(["--key", &format!("{profile}=key"), "--touch", touch])
            .args(["--control", &socket("control"), "--ctaphid", &socket("key"), "--ctaphid", &socket("")])
            .args(more)
            .env_remove("KEYRIG_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("keyrig starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line in time").expect("a line");
        let listening = serde_json::from_str(&line).expect("JSON");
        Self { _child: child, listening, directory }
    }

    /// The address and port of its USB/IP server.
    ///
    /// # Panics
    ///
    /// If it did not say so.
    #[must_use]
    pub fn usbip(&self) -> &str {
        self.listening.get("usbip").and_then(Value::as_str).expect("an address")
    }

    /// The datagram endpoint of its key, as `--ctaphid` takes it.
    #[must_use]
    pub fn ctaphid(&self) -> String {
        format!("unix:{}/key", self.directory.path().display())
    }

    /// Where its switches are.
    ///
    /// # Panics
    ///
    /// If it did not say so.
    #[must_use]
    pub fn pico_controller(&self) -> String {
        format!("http://{}", self.listening.get("pico_controller").and_then(Value::as_str).expect("an address"))
    }

    /// Where it serves HTTP, if it does.
    ///
    /// # Panics
    ///
    /// If it did not say so.
    #[must_use]
    pub fn http(&self) -> &str {
        self.listening.pointer("/http/url").and_then(Value::as_str).expect("an address")
    }

    /// A directory that goes with it.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}
