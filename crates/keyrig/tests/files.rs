//! Files that are named on the command line: what is read stays as it is, and what is no such file is called that.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;

use std::path::Path;

use crate::program::{keyrig, run};

/// What a command says that cannot do what it was told, and its exit status.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = run(&mut keyrig(arguments), "");
    (output.status.code().expect("it ends"), String::from_utf8(output.stderr).expect("text"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_transcript_is_not_written_over_itself_by_any_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("demo.jsonl");
    assert!(run(&mut keyrig(&["demo", "--trace", text(&path)]), "").status.success());
    let written = std::fs::read(&path).expect("a transcript");
    let link = directory.path().join("link.txt");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    for output in [&path, &link] {
        let (code, told) = refused(&["trace", text(&path), "-o", text(output)]);
        assert!(code == 2 && told.contains("is what is read: name another file with -o"), "{code}: {told}");
        let input = std::fs::File::open(&path).expect("it is there");
        let ended = keyrig(&["trace", "-", "-o", text(output)]).stdin(input).output().expect("keyrig runs");
        assert_eq!(ended.status.code(), Some(2), "from standard input");
        assert!(std::fs::read(&path).expect("it is there") == written, "it is as it was");
    }
    let other = directory.path().join("other.jsonl");
    assert!(run(&mut keyrig(&["trace", text(&path), "-o", text(&other)]), "").status.success());
    assert!(std::fs::read(&other).expect("a copy") == written);
}

#[test]
fn a_key_that_is_not_in_a_transcript_is_said_and_which_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("demo.jsonl");
    assert!(run(&mut keyrig(&["demo", "--trace", text(&path)]), "").status.success());
    let (code, told) = refused(&["trace", text(&path), "--key", "primary", "--key", "nope"]);
    assert_eq!(code, 2);
    assert!(told.contains("no key is called nope: the keys are backup, primary"), "{told}");
}

#[test]
fn other_json_is_no_transcript() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("options.json");
    for other in [r#"{"challenge":"AAAA"}"#, "{\"challenge\":\"AAAA\"}\n", "{\n  \"challenge\": \"AAAA\"\n}\n"] {
        std::fs::write(&path, other).expect("written");
        let (code, told) = refused(&["trace", text(&path)]);
        assert_eq!(code, 1, "{other}");
        assert!(told.contains("it is neither a transcript of keyrig (.jsonl), nor a capture"), "{other}: {told}");
    }
}
