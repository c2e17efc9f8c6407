//! Rules of CONTRIBUTING that no linter knows.

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

fn add_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

/// The Rust sources below `src` of every member, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates"));
    let mut sources = Vec::new();
    for member in fs::read_dir(crates).expect("a folder") {
        add_sources(&member.expect("a member").path().join("src"), &mut sources);
    }
    assert!(sources.len() > 100, "they are found");
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).expect("a source"));
    sources.into_iter().map(read).collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| ["tests", "tests.rs", "testing.rs"].iter().any(|it| part.as_os_str() == *it))
}

#[test]
fn files_have_at_most_600_lines() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        // Tests beside the code count apart.
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn nothing_is_allowed_that_the_lints_deny() {
    for (path, text) in sources() {
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            assert!(is_test(&path) || !text.contains(attribute), "{}: {attribute}", path.display());
        }
    }
}

#[test]
fn what_is_derived_has_one_order() {
    for (path, text) in sources() {
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
