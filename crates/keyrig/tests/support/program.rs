//! The program, run to its end.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The program with these arguments, whatever the tests themselves are told by their environment.
pub(crate) fn keyrig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrig"));
    command.args(arguments).env_remove("KEYRIG_CONTROL").env_remove("KEYRIG_LOG").env_remove("KEYRIG_TOKEN");
    command
}

/// Runs a command to its end, with this input.
pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("keyrig runs");
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}
