//! `chromedriver` with keys: keyrig, which is beside it, by this name.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let keyrig = std::env::current_exe().map(|own| own.with_file_name("keyrig"));
    let error = match keyrig {
        Ok(keyrig) => Command::new(keyrig).arg0("keyrig-chromedriver").args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    // Where nobody reads standard error, the exit status says it.
    _ = writeln!(std::io::stderr(), "error: keyrig-chromedriver does not find keyrig beside itself: {error}");
    ExitCode::FAILURE
}
