//! `keyrig explain` as a user meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
mod terminal;

use crate::program::{keyrig, run};
use crate::terminal::prints_what_is_written;

#[test]
fn recordings() {
    prints_what_is_written("explain-recordings");
}

#[test]
fn words_and_codes() {
    prints_what_is_written("explain-words");
}

/// A recording that is much too long is not read to its end.
#[test]
fn too_much_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("long.har");
    std::fs::File::create(&file).expect("a file").set_len(50 << 20).expect("it is as long");
    let output = run(&mut keyrig(&["explain", file.to_str().expect("text")]), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("16 MiB"), "{output:?}");
}
