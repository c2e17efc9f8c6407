//! Files that are named on the command line: what is read stays as it is, and what is no such file is called that.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{keyrig, run};
use crate::support::schema::assert_is;

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
    let written = fs::read(&path).expect("a transcript");
    let link = directory.path().join("link.txt");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    for output in [&path, &link] {
        let (code, told) = refused(&["trace", text(&path), "-o", text(output)]);
        assert!(code == 2 && told.contains("is what is read: name another file with -o"), "{code}: {told}");
        let input = fs::File::open(&path).expect("it is there");
        let ended = keyrig(&["trace", "-", "-o", text(output)]).stdin(input).output().expect("keyrig runs");
        assert_eq!(ended.status.code(), Some(2), "from standard input");
        assert!(fs::read(&path).expect("it is there") == written, "it is as it was");
    }
    let other = directory.path().join("other.jsonl");
    assert!(run(&mut keyrig(&["trace", text(&path), "-o", text(&other)]), "").status.success());
    assert!(fs::read(&other).expect("a copy") == written);
}

#[test]
fn text_says_one_byte_and_ends_where_it_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("some.jsonl");
    let message = |length| {
        let who = r#""direction":"out","peer":"usb","channel":"00000001","command":"CTAPHID_CANCEL""#;
        format!(r#"{{"at_us":0,"key":"a","event":"message",{who},"length":{length}}}"#)
    };
    let event = |rest: &str| format!(r#"{{"at_us":0,"key":"a","event":{rest}}}"#);
    let events = [
        message(0),
        message(1),
        event(r#""programs","programs":1"#),
        event(r#""stored","discoverable_credentials":1"#),
        event(r#""gap","missed":1"#),
    ];
    fs::write(&path, events.map(|event| event + "\n").concat()).expect("written");
    let output = run(&mut keyrig(&["trace", text(&path), "-v", "--level", "ctaphid"]), "");
    let shown = String::from_utf8(output.stdout).expect("text");
    for ending in [
        " 0 bytes",
        " 1 byte",
        "is used by 1 program without USB",
        "holds 1 discoverable credential",
        "1 event is missing here: it came faster than could be written",
    ] {
        assert!(shown.lines().any(|line| line.ends_with(ending)), "{ending}: {shown}");
    }
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
        fs::write(&path, other).expect("written");
        let (code, told) = refused(&["trace", text(&path)]);
        assert_eq!(code, 1, "{other}");
        assert!(told.contains("it is neither a transcript of keyrig (.jsonl), nor a capture"), "{other}: {told}");
    }
}

/// A `keyrig serve` with one key, `a`. Ended by its process id.
struct Serving(std::process::Child, String);

impl Serving {
    fn start(directory: &Path) -> Self {
        let control = format!("unix:{}/control", directory.display());
        let arguments = ["serve", "--json", "--usbip", "none", "--control", &control, "--key", "a=keyrig"];
        let mut child = keyrig(&arguments).stdout(std::process::Stdio::piped()).spawn().expect("keyrig runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("it is up");
        Self(child, control)
    }

    fn key(&self, arguments: &[&str], input: &str) -> Output {
        run(&mut keyrig(&[&["key", "--control", &self.1], arguments].concat()), input)
    }

    fn refused(&self, arguments: &[&str], input: &str) -> String {
        let output = self.key(arguments, input);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    fn listed(&self) -> Value {
        let output = self.key(&["list", "--json"], "");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().expect("it is ours");
    }
}

#[test]
fn a_snapshot_goes_into_a_new_file_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let rack = Serving::start(directory.path());
    let file = directory.path().join("a.snapshot");
    let taken = rack.key(&["snapshot", "a", text(&file), "--json"], "");
    let printed: Value = serde_json::from_slice(&taken.stdout).expect("JSON");
    assert_is("snapshot", &printed);
    assert_eq!(printed, json!({"key": "a", "profile": "keyrig", "file": text(&file)}), "no private keys");
    let kept = fs::read(&file).expect("a snapshot");
    let told = rack.refused(&["snapshot", "a", text(&file)], "");
    let words = "is there already, and keys are not overwritten: name another file, or remove it";
    assert!(told.contains(words), "{told}");
    assert_eq!(fs::read(&file).expect("a snapshot"), kept);
    assert!(rack.key(&["restore", "a", text(&file)], "").status.success());
}

#[test]
fn what_is_no_such_file_is_called_what_it_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let rack = Serving::start(directory.path());
    for (command, words) in [
        (&["restore", "a", "-"][..], "it is neither a snapshot nor the JSON of 'snapshot --json'"),
        (&["create", "b", "--snapshot", "-"], "it is neither a snapshot nor the JSON of 'snapshot --json'"),
        (&["large-blobs", "write", "a", "-"], "it is neither base64url nor the JSON of 'large-blobs read --json'"),
    ] {
        for other in [r#"{"challenge":"AAAA"}"#, "{"] {
            let told = rack.refused(command, other);
            assert!(told.contains(words), "{command:?}: {told}");
        }
    }
    let told = rack.refused(&["large-blobs", "write", "a", "-"], "no base64url!");
    assert!(told.contains("it is neither base64url nor"), "{told}");
}

#[test]
fn an_import_says_which_credential_is_wrong_and_how_many_went_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let rack = Serving::start(directory.path());
    let pin = directory.path().join("pin");
    fs::write(&pin, "1234\n").expect("written");
    let page = ["client", "create", "--origin", "https://example.com", "--pin-file", text(&pin)];
    let client = [&page[..], &["--control", &rack.1]].concat();
    let options = json!({
        "rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
        "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"residentKey": "required"},
    });
    assert!(run(&mut keyrig(&client), &options.to_string()).status.success());
    let exported = rack.key(&["credentials", "export", "a"], "");
    let exported: Value = serde_json::from_slice(&exported.stdout).expect("JSON");
    let good = &exported["credentials"][0];
    assert!(rack.key(&["reset", "a"], "").status.success());
    let changed = |member: &str, value: Value| {
        let mut changed = good.clone();
        changed[member] = value;
        changed
    };
    let mut short = good.clone();
    short.as_object_mut().expect("an object").remove("rp_id");

    for (input, words) in [
        (short.clone(), "missing field `rp_id`"),
        (changed("colour", json!(1)), "unknown field `colour`"),
        (json!([good, short]), "credential 2 of 2: missing field `rp_id`"),
        (json!({"credentials": [good, short]}), "credential 2 of 2: missing field `rp_id`"),
        (json!({"credentials": 1}), "its credentials are no list"),
        (json!({"credentials": [good], "key": "a"}), "\"key\", which is unknown"),
        (json!([]), "there is no credential in it"),
        (json!("a"), "invalid type"),
    ] {
        let told = rack.refused(&["credentials", "import", "a"], &input.to_string());
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(rack.listed()["keys"][0]["discoverable_credentials"], 0, "nothing went in: {words}");
    }
    let refused = changed("private_key", json!("AAAA"));
    for (list, words) in [
        (json!([good, refused]), "key a: credential 2 of 2: private_key is no PKCS#8 key"),
        (
            json!([good, good]),
            "key a: none was imported, because of number 2 of 2: the key has a credential with this id",
        ),
        (
            changed("rp_id", json!("x".repeat(1281))),
            "key a: the RP ID has 1281 bytes: a message to the key has 1280 at most",
        ),
    ] {
        let told = rack.refused(&["credentials", "import", "a"], &list.to_string());
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(rack.listed()["keys"][0]["discoverable_credentials"], 0, "nothing went in: {words}");
    }
    assert!(rack.key(&["credentials", "import", "a"], &exported.to_string()).status.success(), "as 'export' prints it");
}

#[test]
fn a_transcript_is_for_its_owner_alone_even_where_a_file_was_for_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("login.jsonl");
    fs::write(&path, "of before").expect("it is written");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("it is set");
    assert!(run(&mut keyrig(&["demo", "--trace", text(&path)]), "").status.success());
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).expect("it is text").starts_with('{'));
}
