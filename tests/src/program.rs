//! The program under test, built from this tree.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The `keyrig` program: the one that `KEYRIG_PROGRAM` names, as `scripts/test` does, or one of the same profile and in the same
/// target directory as the running test.
///
/// Cargo gives tests the path of their own package's programs only, and builds no other's for them: this asks cargo for it,
/// once in each test binary, which is quick when it is built already.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn keyrig() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Ok(path) = env::var("KEYRIG_PROGRAM") {
            return path;
        }
        // TARGET/PROFILE/deps/TEST-HASH
        let own = env::current_exe().expect("a running program has a path");
        let profile = own.parent().and_then(|deps| deps.parent()).expect("cargo runs tests from its target directory");
        let target = profile.parent().expect("a profile's directory is in the target directory");
        let release = profile.ends_with("release").then_some("--release");
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--locked", "--package", "keyrig", "--bin", "keyrig"])
            .args(release)
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .stdin(Stdio::null())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "keyrig was not built: {}", String::from_utf8_lossy(&built.stderr));
        let path: PathBuf = profile.join("keyrig");
        path.into_os_string().into_string().expect("the target directory's path is UTF-8")
    })
}
