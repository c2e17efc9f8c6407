//! Rules of CONTRIBUTING that no linter knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The order of what is derived: the standard library's, then others'.
const DERIVED: [&str; 18] = [
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "PartialEq",
    "Eq",
    "PartialOrd",
    "Ord",
    "Hash",
    "Zeroize",
    "ZeroizeOnDrop",
    "Serialize",
    "Deserialize",
    "Parser",
    "Args",
    "Subcommand",
    "ValueEnum",
    "Error",
];

const MAX_LINES: usize = 600;

/// A source below `src` of a member.
struct Source {
    /// From `crates` on, such as `ctap/src/cbor.rs`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Whether the whole file is tests, or what they stand on.
    fn is_test(&self) -> bool {
        self.path.components().any(|part| ["tests", "tests.rs", "testing.rs"].iter().any(|it| part.as_os_str() == *it))
    }
}

fn add_paths(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_paths(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The Rust sources below `src` of every member.
fn sources() -> Vec<Source> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("crates");
    let mut paths = Vec::new();
    for member in fs::read_dir(&crates).expect("a folder") {
        add_paths(&member.expect("a member").path().join("src"), &mut paths);
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source");
        Source { path: path.strip_prefix(&crates).expect("below it").to_owned(), text }
    };
    let sources: Vec<_> = paths.into_iter().map(read).collect();
    // A rule that looks at nothing holds always.
    let tests = sources.iter().filter(|source| source.is_test()).count();
    assert!(sources.len() - tests > 200 && tests > 20, "{} sources, {tests} of them tests", sources.len());
    sources
}

#[test]
fn files_have_at_most_600_lines() {
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        // Tests beside the code count apart.
        let lines = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", source.path.display());
    }
}

#[test]
fn nothing_is_allowed_that_the_lints_deny_but_unsafe_code_in_one_member() {
    let mut excepted = Vec::new();
    for Source { path, text } in sources() {
        for attribute in text.replace("#![", "#[").split("#[").skip(1) {
            let lints = ["allow(", "expect("].iter().find_map(|word| {
                let conditional = || attribute.split(']').next()?.strip_prefix("cfg_attr(")?.split_once(*word);
                attribute.strip_prefix(*word).or_else(|| conditional().map(|(_, lints)| lints))
            });
            if let Some(lint) = lints.and_then(|lints| lints.trim_start().split([',', ')']).next()) {
                excepted.push((path.clone(), lint.to_owned()));
            }
        }
    }
    excepted.sort();
    let unsafe_code = |path: &str| (PathBuf::from(path), "unsafe_code".to_owned());
    assert_eq!(excepted, ["attach/src/exec.rs", "attach/src/usbmon.rs"].map(unsafe_code));
}

#[test]
fn what_is_derived_has_one_order() {
    for Source { path, text } in sources() {
        for derived in text.split("#[derive(").skip(1) {
            let names = derived.split(")]").next().unwrap_or_default();
            let places: Vec<_> = names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| name.rsplit("::").next().unwrap_or(name))
                .map(|name| DERIVED.iter().position(|it| *it == name).unwrap_or(DERIVED.len()))
                .collect();
            assert!(places.is_sorted(), "{}: derive({names})", path.display());
        }
    }
}

/// The names of all tests, from `crates` and `tests`: of functions with the attribute.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut paths = Vec::new();
    add_paths(&root.join("tests/tests"), &mut paths);
    for member in fs::read_dir(root.join("crates")).expect("a folder") {
        let member = member.expect("a member").path();
        for folder in ["src", "tests"].map(|name| member.join(name)).iter().filter(|folder| folder.exists()) {
            add_paths(folder, &mut paths);
        }
    }
    let mut names = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(path).expect("text");
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let signature = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some((name, _)) = signature.and_then(|signature| signature.split_once('(')) else { continue };
            if is_test {
                names.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

#[test]
fn each_row_on_proxmox_names_a_test_that_is_there() {
    let (tests, document) = (tests(), include_str!("../../crates/relying-party/PROXMOX.md"));
    let rows: Vec<_> = document
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Proxmox VE |") && !line.starts_with("| to do |"))
        .collect();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for row in rows {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().expect("a cell");
        let named: Vec<_> = last.split(", ").map(|name| name.trim_matches('`')).collect();
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}, of the row {row}");
    }
}
