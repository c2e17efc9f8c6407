//! Who knows whom: the rule that keeps a bug on one side of the wire from cancelling the same bug on the other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each member may depend on, among the members.
const ALLOWED: [(&str, &[&str]); 21] = [
    ("keyrig-ctap", &[]),
    ("keyrig-metadata", &["keyrig-ctap"]),
    ("keyrig-authenticator", &["keyrig-ctap"]),
    ("keyrig-client", &["keyrig-ctap"]),
    ("keyrig-verifier", &["keyrig-ctap", "keyrig-metadata"]),
    ("keyrig-http", &[]),
    ("keyrig-ldap", &[]),
    ("keyrig-relying-party", &["keyrig-ctap", "keyrig-verifier", "keyrig-http", "keyrig-ldap"]),
    ("keyrig-usb", &[]),
    ("keyrig-rack", &["keyrig-ctap", "keyrig-metadata", "keyrig-authenticator", "keyrig-usb"]),
    ("keyrig-faults", &["keyrig-ctap", "keyrig-metadata", "keyrig-authenticator", "keyrig-usb", "keyrig-rack"]),
    ("keyrig-attach", &["keyrig-ctap", "keyrig-usb", "keyrig-rack"]),
    ("keyrig-control", &["keyrig-ctap", "keyrig-authenticator", "keyrig-usb", "keyrig-rack", "keyrig-faults"]),
    ("keyrig-ways", &["keyrig-ctap", "keyrig-usb", "keyrig-rack", "keyrig-client"]),
    (
        "keyrig-service",
        &["keyrig-http", "keyrig-rack", "keyrig-client", "keyrig-control", "keyrig-faults", "keyrig-ways"],
    ),
    (
        "keyrig-webdriver",
        &["keyrig-authenticator", "keyrig-client", "keyrig-control", "keyrig-http", "keyrig-rack", "keyrig-service"],
    ),
    ("keyrig-test", &["keyrig-metadata", "keyrig-rack", "keyrig-client", "keyrig-ways", "keyrig-faults"]),
    (
        "keyrig-scenario",
        &[
            "keyrig-ctap",
            "keyrig-authenticator",
            "keyrig-usb",
            "keyrig-rack",
            "keyrig-faults",
            "keyrig-attach",
            "keyrig-client",
            "keyrig-ways",
            "keyrig-verifier",
            "keyrig-relying-party",
        ],
    ),
    (
        "keyrig",
        &[
            "keyrig-attach",
            "keyrig-authenticator",
            "keyrig-client",
            "keyrig-control",
            "keyrig-ctap",
            "keyrig-faults",
            "keyrig-metadata",
            "keyrig-usb",
            "keyrig-rack",
            "keyrig-ways",
            "keyrig-relying-party",
            "keyrig-http",
            "keyrig-service",
            "keyrig-scenario",
            "keyrig-webdriver",
        ],
    ),
    ("keyrig-test-platform", &["keyrig-ctap"]),
    // The end-to-end suites may use anything.
    (
        "keyrig-tests",
        &[
            "keyrig-attach",
            "keyrig-control",
            "keyrig-ctap",
            "keyrig-authenticator",
            "keyrig-usb",
            "keyrig-rack",
            "keyrig-client",
            "keyrig-ways",
            "keyrig-relying-party",
            "keyrig-service",
            "keyrig-scenario",
        ],
    ),
];

/// What a test of another project would have to build for nothing: none of it comes with the face for such tests.
const NOT_IN_TESTS: [&str; 5] = ["rusqlite", "webauthn-rs", "axum", "argon2", "reqwest"];

/// The members that do no input or output, and take time and randomness from their caller.
const PURE: [&str; 4] = ["ctap", "metadata", "authenticator", "verifier"];

/// What the pure members may not depend on: whatever does input or output, or asks the system for time or randomness.
const IMPURE: [&str; 9] = ["tokio", "axum", "rusqlite", "redb", "reqwest", "getrandom", "rand", "mio", "socket2"];

/// What nothing that a pure member depends on may bring.
const IMPURE_AT_ANY_DEPTH: [&str; 7] = ["tokio", "axum", "rusqlite", "redb", "reqwest", "mio", "socket2"];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).args(arguments).args(["--locked", "--offline"]).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn metadata() -> Value {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    serde_json::from_slice(&metadata).expect("cargo metadata is JSON")
}

/// The ordinary dependencies of every member: not those of its tests, and not those that a feature brings.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned().expect("a list");
    let name = |value: &Value| value.get("name").and_then(Value::as_str).expect("a name").to_owned();
    let is = |dependency: &Value, flag: &str| dependency.get(flag).and_then(Value::as_bool).expect("a flag");
    let ordinary =
        |dependency: &Value| dependency.get("kind").is_some_and(Value::is_null) && !is(dependency, "optional");
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
    for member in PURE.map(|member| format!("keyrig-{member}")) {
        for impure in IMPURE {
            assert!(!dependencies[&member].contains(impure), "{member} must not depend on {impure}");
        }
        let tree = cargo(&["tree", "--package", &member, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let tree = String::from_utf8(tree).expect("names");
        for package in tree.lines().filter_map(|line| line.split(' ').next()) {
            assert!(!IMPURE_AT_ANY_DEPTH.contains(&package), "{member} depends on {package} by way of another");
        }
    }
}

#[test]
fn tests_of_others_build_no_relying_party() {
    let tree = cargo(&["tree", "--package", "keyrig-test", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let tree = String::from_utf8(tree).expect("names");
    let packages: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    for package in NOT_IN_TESTS {
        assert!(!packages.contains(package), "keyrig-test depends on {package}");
    }
    assert!(packages.len() <= 180, "{} packages are many for a test", packages.len());
}

#[test]
fn the_authenticator_gets_its_fast_cryptography_from_outside() {
    // It mixes the system's randomness into its nonces; verifying takes none.
    assert!(!dependencies()["keyrig-authenticator"].contains("graviola"));
}

/// A crate that is packaged is built without the rest of the repository.
#[test]
fn what_a_member_includes_is_its_own() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates"));
    let members = std::fs::read_dir(root).expect("a folder of crates").map(|entry| entry.expect("an entry").path());
    for member in members {
        let mut folders = vec![member.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap_or_default();
                for included in source.split("include_").skip(1).filter_map(|rest| rest.split('"').nth(1)) {
                    let included = folder.join(included).canonicalize().expect("there is such a file");
                    let own = member.canonicalize().expect("a crate");
                    assert!(included.starts_with(&own), "{} includes {}", path.display(), included.display());
                }
            }
        }
    }
}

#[test]
fn the_pure_members_take_time_and_threads_from_nobody() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    for member in PURE {
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
