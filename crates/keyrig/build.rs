//! What `keyrig --version` says: of which commit it was built, and with which features.
//!
//! The commit is that of the checkout, or `KEYRIG_COMMIT` where there is none, as in an archive of the sources. Builds for development do not
//! ask for it, so that a commit is no reason to build anew.

use std::env;
use std::io::{self, Write};
use std::process::Command;

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "cargo:rerun-if-changed=build.rs")?;
    writeln!(out, "cargo:rerun-if-env-changed=KEYRIG_COMMIT")?;
    let is_development = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let commit = match env::var("KEYRIG_COMMIT") {
        Ok(commit) => format!("commit {commit}"),
        Err(_) if is_development => "built for development".to_owned(),
        Err(_) => {
            if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
                writeln!(out, "cargo:rerun-if-changed={log}")?;
            }
            of_checkout().map_or_else(|| "commit not known".to_owned(), |commit| format!("commit {commit}"))
        }
    };
    let features = env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase()));
    let mut features: Vec<_> = features.filter(|name| name != "default").collect();
    features.sort_unstable();
    let features =
        if features.is_empty() { "no features".to_owned() } else { format!("features {}", features.join(", ")) };
    writeln!(out, "cargo:rustc-env=KEYRIG_LONG_VERSION={} ({commit}; {features})", env!("CARGO_PKG_VERSION"))
}

/// The commit of the checkout that this file is from: another's, in which the sources lie, says nothing of them.
fn of_checkout() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// What git says, if it is there and content. It is run where this file is.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
