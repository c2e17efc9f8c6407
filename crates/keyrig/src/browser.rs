//! Opens the panel in a browser. Its address has a code in it, and arguments of programs are seen by every user of the machine: so the
//! browser is given a file that its owner alone can read, which leads there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::output::Lines;

/// What opens files, unless `BROWSER` says otherwise.
#[cfg(not(target_os = "macos"))]
const OPENER: &str = "xdg-open";
#[cfg(target_os = "macos")]
const OPENER: &str = "open";

/// The file, which goes when this is dropped.
pub(crate) struct Opened(PathBuf);

/// Has a browser open an address. What goes wrong is told: nothing else depends on it.
pub(crate) fn open(url: &str, file: &Path, out: &Lines) -> Option<Opened> {
    let told =
        |error: io::Error| out.note(format!("no browser was opened ({error}): open the panel's address yourself"));
    let opened = match leading_to(url, file) {
        Ok(()) => Opened(file.to_owned()),
        Err(error) => {
            told(error);
            return None;
        }
    };
    let mut words = command();
    let mut program = Command::new(words.next().unwrap_or_else(|| OPENER.to_owned()));
    program.args(words).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (lines, name) = (out.clone(), program.get_program().display().to_string());
    let started = program.spawn().and_then(|mut child| {
        // Some browsers run for as long as they are open.
        let wait = move || match child.wait() {
            Ok(status) if !status.success() => {
                lines.note(format!("{name} opened no browser ({status}): open the panel's address yourself"));
            }
            _ => {}
        };
        thread::Builder::new().name("browser".to_owned()).spawn(wait).map(drop)
    });
    if let Err(error) = started {
        told(error);
    }
    Some(opened)
}

/// The first of `BROWSER`, a list with colons, whose words are a program and its arguments.
fn command() -> impl Iterator<Item = String> {
    let wanted = std::env::var("BROWSER").unwrap_or_default();
    let first = wanted.split(':').next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().filter(|word| *word != "%s").map(str::to_owned).collect();
    words.into_iter()
}

fn leading_to(url: &str, file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    // Nothing in it has to be escaped: it is an address of ours with a code.
    write!(to, "<!DOCTYPE html><title>keyrig</title><meta http-equiv=\"refresh\" content=\"0; url={url}\">")
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "the file that led to the panel was gone already");
        }
    }
}
