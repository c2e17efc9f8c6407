//! Running programs that nobody here wrote, as child processes that end in time.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// What a program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit status was 0.
    pub success: bool,
    /// The exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program with `input` as its standard input. It is killed when the limit is over.
///
/// # Panics
///
/// If it cannot be started, or did not end in time.
pub async fn run(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} was not started: {error}"));
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let both = async {
        // A program that ends before it has read everything is judged by its status.
        let written = async {
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        tokio::join!(written, child.wait_with_output()).1
    };
    let output = timeout(limit, both)
        .await
        .unwrap_or_else(|_| panic!("{program} did not end within {limit:?}"))
        .unwrap_or_else(|error| panic!("{program} was not waited for: {error}"));
    Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A path of this tree.
#[must_use]
pub fn tree(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Says that the running test is skipped and why, in a line that `scripts/test` counts.
///
/// # Panics
///
/// If the environment has `CI=true`: there nothing is skipped.
pub fn skip(reason: &str) {
    let current = thread::current();
    let test = current.name().unwrap_or("a test");
    assert!(env::var_os("CI").is_none_or(|value| value != "true"), "{test} cannot run: {reason}");
    // The test harness captures `eprintln!`, but not this. If it cannot be written there is nowhere left to say so.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}
