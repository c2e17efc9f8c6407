//! The clients in Rust that nobody here wrote: programs of `tests/clients`, a workspace of its own.

use std::process::Command;

use crate::judge;

/// The program of a client, built if it is not yet; what it needs of the system is in `scripts/packages/judges.txt`. None where that is
/// not there: the test is skipped then.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn program(name: &str) -> Option<tokio::process::Command> {
    for library in ["libudev", "dbus-1"] {
        let found = Command::new("pkg-config").args(["--exists", library]).status();
        if !found.is_ok_and(|status| status.success()) {
            judge::skip(&format!("the clients are built with {library}, which pkg-config does not find"));
            return None;
        }
    }
    let workspace = judge::tree("tests/clients");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", name])
        .current_dir(&workspace)
        // What cargo tells this test is of this workspace.
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{name} was not built: {}", String::from_utf8_lossy(&built.stderr));
    Some(tokio::process::Command::new(workspace.join("target/debug").join(name)))
}
