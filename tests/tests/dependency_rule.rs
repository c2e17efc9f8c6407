//! Who knows whom: the rule that keeps a bug on one side of the wire from cancelling the same bug on the other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each member may depend on, among the members.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("keyrig-ctap", &[]),
    ("keyrig-authenticator", &["keyrig-ctap"]),
    ("keyrig-client", &["keyrig-ctap"]),
    ("keyrig-relying-party", &["keyrig-ctap"]),
    ("keyrig-usb", &[]),
    ("keyrig-rack", &["keyrig-ctap", "keyrig-authenticator", "keyrig-usb"]),
    (
        "keyrig-scenario",
        &["keyrig-ctap", "keyrig-authenticator", "keyrig-usb", "keyrig-rack", "keyrig-client", "keyrig-relying-party"],
    ),
    (
        "keyrig",
        &[
            "keyrig-authenticator",
            "keyrig-client",
            "keyrig-usb",
            "keyrig-rack",
            "keyrig-relying-party",
            "keyrig-scenario",
        ],
    ),
    // The end-to-end suites may use anything.
    (
        "keyrig-tests",
        &[
            "keyrig-ctap",
            "keyrig-authenticator",
            "keyrig-usb",
            "keyrig-rack",
            "keyrig-client",
            "keyrig-relying-party",
            "keyrig-scenario",
        ],
    ),
];

/// What the pure members may not depend on: whatever does input or output, or asks the system for time or randomness.
const IMPURE: [&str; 6] = ["tokio", "getrandom", "rand", "mio", "socket2", "graviola"];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// The ordinary dependencies of every member: not those of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned().expect("a list");
    let name = |value: &Value| value.get("name").and_then(Value::as_str).expect("a name").to_owned();
    let ordinary = |dependency: &Value| dependency.get("kind").is_some_and(Value::is_null);
    list(&metadata, "packages")
        .iter()
        .map(|package| {
            let dependencies = list(package, "dependencies");
            (name(package), dependencies.iter().filter(|dependency| ordinary(dependency)).map(name).collect())
        })
        .collect()
}

#[test]
fn members_know_only_whom_they_may() {
    let dependencies = dependencies();
    let known: BTreeSet<_> = ALLOWED.iter().map(|(member, _)| (*member).to_owned()).collect();
    assert_eq!(dependencies.keys().cloned().collect::<BTreeSet<_>>(), known, "every member has its rule");
    for (member, allowed) in ALLOWED {
        for dependency in dependencies[member].iter().filter(|dependency| known.contains(*dependency)) {
            assert!(allowed.contains(&dependency.as_str()), "{member} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_pure_members_do_no_input_or_output() {
    let dependencies = dependencies();
    for member in ["keyrig-ctap", "keyrig-authenticator"] {
        for impure in IMPURE {
            assert!(!dependencies[member].contains(impure), "{member} must not depend on {impure}");
        }
    }
}

#[test]
fn the_pure_members_take_time_and_threads_from_nobody() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    for member in ["ctap", "authenticator"] {
        let mut folders = vec![std::path::PathBuf::from(format!("{root}/{member}/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let source = std::fs::read_to_string(&path).expect("a source");
                    for forbidden in ["Instant::now", "SystemTime::now", "std::net", "std::thread", "std::fs"] {
                        assert!(!source.contains(forbidden), "{}: {forbidden}", path.display());
                    }
                }
            }
        }
    }
}
