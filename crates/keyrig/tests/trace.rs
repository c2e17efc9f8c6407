//! `--trace` where what is written cannot be, `keyrig trace` beside whoever writes, and timelines from files.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use crate::program::{keyrig, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A transcript on a disk that is full.
fn full_disk(directory: &Path) -> PathBuf {
    let path = directory.join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
    path
}

const UNWRITTEN: &str = "the transcript was not written: ";

const CREATION: &str = r#"{"rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
    "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}]}"#;

#[test]
fn what_came_of_a_ceremony_is_told_though_its_transcript_is_not_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = full_disk(directory.path());
    let arguments = ["client", "create", "--with", "keyrig", "--trace", text(&path), "--origin"];
    let made = run(&mut keyrig(&[&arguments[..], &["https://example.com"]].concat()), CREATION);
    assert_eq!(made.status.code(), Some(1));
    let credential: serde_json::Value = serde_json::from_slice(&made.stdout).expect("a credential");
    assert_eq!(credential["type"], "public-key");
    assert!(String::from_utf8_lossy(&made.stderr).contains(UNWRITTEN));

    let refused = run(&mut keyrig(&[&arguments[..], &["https://example.org"]].concat()), CREATION);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    let lines: Vec<_> = told.lines().collect();
    let [refusal, unwritten] = lines.as_slice() else { panic!("{told}") };
    assert!(refusal.contains("SecurityError") && unwritten.contains(UNWRITTEN), "{told}");
}

/// As it is told while it happens, and of what was written down.
#[test]
fn who_said_no_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("login.jsonl");
    let request =
        r#"{"challenge": "AAAA", "rpId": "example.com", "allowCredentials": [{"type": "public-key", "id": "AAAA"}]}"#;
    let arguments =
        ["client", "get", "--with", "a=keyrig", "--with", "b=yubikey-5.7", "--explain", "--trace", text(&path)];
    let refused = run(&mut keyrig(&[&arguments[..], &["--origin", "https://example.com"]].concat()), request);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    for said in [
        "keyrig: get() for example.com failed: key ",
        "answered authenticatorGetAssertion with CTAP2_ERR_NO_CREDENTIALS after a touch",
        "was cancelled",
        "Chromium ends the ceremony at all keys",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let explained = run(&mut keyrig(&["trace", "--explain", text(&path)]), "");
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    let at_once = told.lines().find_map(|line| line.strip_prefix("keyrig: "));
    assert_eq!(Some(explained.trim_end()), at_once);
    let written = fs::read_to_string(&path).expect("a transcript");
    assert!(written.lines().any(|line| line.contains(r#""event":"explained""#)), "{written}");
}

#[test]
fn a_program_that_failed_has_failed_whatever_became_of_its_transcript() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = full_disk(directory.path());
    for (script, code) in [("exit 3", 3), ("exit 0", 125)] {
        let arguments = ["exec", "--plug", "none", "--trace", text(&path), "--", "sh", "-c", script];
        let ended = run(&mut keyrig(&arguments), "");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{told}");
        assert!(told.contains(UNWRITTEN), "{told}");
    }
}

/// Opening the device succeeds, and writing to it does not (full(4)).
#[test]
fn a_program_that_failed_has_failed_whatever_became_of_its_report() {
    for (script, code) in [("exit 3", 3), ("exit 0", 125)] {
        let arguments = ["exec", "--plug", "none", "--junit", "/dev/full", "--", "sh", "-c", script];
        let ended = run(&mut keyrig(&arguments), "");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{told}");
        assert!(told.contains("/dev/full") && told.contains("No space left on device"), "{told}");
    }
}

#[test]
fn a_report_of_a_program_goes_over_neither_the_program_nor_its_transcript() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("program.sh");
    fs::write(&program, "#!/bin/sh\n").expect("a file");
    let trace = directory.path().join("out.txt");
    for report in [&program, &trace] {
        let written = ["--junit", text(report), "--trace", text(&trace)];
        let ended =
            run(&mut keyrig(&[&["exec", "--plug", "none"], &written[..], &["--", text(&program)]].concat()), "");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(125) && told.contains("a report goes to a file of its own"), "{told}");
    }
    assert_eq!(fs::read_to_string(&program).expect("text"), "#!/bin/sh\n");
}

#[test]
fn a_report_of_a_program_says_how_it_ended_and_who_refused_what_it_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let (report, trace) = (directory.path().join("out.xml"), directory.path().join("out.jsonl"));
    let options = r#"{"rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "u", "displayName": "u"},
        "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "extensions": {}}"#;
    let create = format!("'{}' client create --origin https://example.com --on a", env!("CARGO_BIN_EXE_keyrig"));
    let script = format!("printf %s '{options}' | {create}");
    let rack = ["exec", "--plug", "none", "--seed", "1", "--touch", "deny", "--key", "a=keyrig"];
    let arguments =
        [&rack[..], &["--junit", text(&report), "--trace", text(&trace), "--", "sh", "-c", &script]].concat();
    let ended = run(&mut keyrig(&arguments), "");
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    let report = fs::read_to_string(&report).expect("a report");
    let attachment = format!("[[ATTACHMENT|{}]]", trace.display());
    for expected in [
        r#"tests="1""#,
        r#"classname="keyrig exec""#,
        r#"message="it ended with status 1""#,
        r#"<property name="seed" value="1"/>"#,
        r#"<property name="key.a" value="keyrig"/>"#,
        "its user refused",
        &attachment,
    ] {
        assert!(report.contains(expected), "{expected} is missing: {report}");
    }
    let ended = run(&mut keyrig(&["exec", "--plug", "none", "--junit", "/nowhere/out.xml", "--", "true"]), "");
    assert_eq!(ended.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("/nowhere/out.xml"));
}

/// A pipe with a name that nobody reads: what was to be recorded goes on, and ends when it is told to.
#[test]
fn a_transcript_to_a_pipe_that_nobody_reads_holds_up_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("unread.jsonl");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a pipe");
    let control = directory.path().join("control");
    let serve = |command: &mut std::process::Command| {
        command.env("KEYRIG_CONTROL", &control).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(program.stdout.take().expect("piped")).read_line(&mut line).expect("it is text");
        (program, line)
    };
    let (served, line) = serve(&mut keyrig(&["serve", "--json", "--usbip", "127.0.0.1:0", "--trace", text(&pipe)]));
    assert!(line.contains("usbip"), "{line}");
    let script = "echo started; exec sleep 600";
    let (program, line) =
        serve(&mut keyrig(&["exec", "--plug", "none", "--trace", text(&pipe), "--", "sh", "-c", script]));
    assert_eq!(line, "started\n");
    for (running, what) in [(served, "serve"), (program, "exec")] {
        let pid = rustix::process::Pid::from_child(&running);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let output = running.wait_with_output().expect("it ends");
        let told = String::from_utf8(output.stderr).expect("text");
        assert!(told.contains("the end of the transcript was not written: nobody took it for 5 s"), "{what}: {told}");
    }
}

const HEADER: &str =
    r#"{"at_us":0,"event":"trace","format":1,"recorded_by":"","started_unix_us":0,"masked":true,"keys":[]}"#;
const PLUGGED: &str = r#"{"at_us":1,"key":"a","event":"plugged"}"#;

/// `keyrig trace --follow` at a file that has a header.
struct Following {
    path: PathBuf,
    file: File,
    program: Child,
    shown: BufReader<ChildStdout>,
}

impl Following {
    fn start(directory: &Path) -> Self {
        let path = directory.join("growing.jsonl");
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path).expect("a file");
        writeln!(file, "{HEADER}").expect("written");
        let mut command = keyrig(&["trace", "--json", "--follow", text(&path)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("keyrig runs");
        let shown = BufReader::new(program.stdout.take().expect("piped"));
        let mut following = Self { path, file, program, shown };
        assert_eq!(following.line(), HEADER);
        following
    }

    /// What it shows next.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.shown.read_line(&mut line).expect("it is text");
        line.trim_end().to_owned()
    }

    fn end(self) -> (Option<i32>, String) {
        let output = self.program.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    }
}

#[test]
fn a_file_is_followed_as_it_grows_and_until_it_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut following = Following::start(directory.path());
    // A line may come in pieces.
    let (head, tail) = PLUGGED.split_at(9);
    following.file.write_all(head.as_bytes()).expect("written");
    writeln!(following.file, "{tail}").expect("written");
    assert_eq!(following.line(), PLUGGED);
    // It is the same file by another name.
    let moved = following.path.with_extension("moved");
    fs::rename(&following.path, &moved).expect("moved");
    writeln!(following.file, "{PLUGGED}").expect("written");
    assert_eq!(following.line(), PLUGGED);
    writeln!(following.file, "{PLUGGED}").expect("written");
    fs::remove_file(&moved).expect("removed");
    assert_eq!(following.line(), PLUGGED, "what was written before it was removed");
    assert_eq!(following.line(), "");
    assert_eq!(following.end(), (Some(0), String::new()));
}

#[test]
fn a_file_that_is_cut_off_while_it_is_followed_ends_that_with_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let following = Following::start(directory.path());
    following.file.set_len(0).expect("cut off");
    let (code, told) = following.end();
    assert!(code == Some(1) && told.contains("it was cut off meanwhile"), "{code:?}: {told}");
}

#[test]
fn a_capture_is_refused_as_one_by_a_replay() {
    let directory = tempfile::tempdir().expect("a directory");
    let capture = directory.path().join("demo.pcapng");
    let recorded =
        run(&mut keyrig(&["exec", "--plug", "none", "--seed", "1", "--trace", text(&capture), "--", "true"]), "");
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let refused = run(&mut keyrig(&["replay", text(&capture)]), "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("it is a capture, which has reports"), "{told}");
}

/// Nothing reaches these keys by USB.
#[test]
fn a_fault_that_could_never_happen_is_refused_at_the_start() {
    for (rack, fault, words) in [
        (&["exec", "--plug", "none"][..], "keyrig=usb-stall-in", "usb-stall-in can never happen here: it is of USB"),
        (&["serve", "--usbip", "none"], "keyrig=ctaphid-slow", "ctaphid-slow can never happen here: it is of CTAPHID"),
        (
            &["client", "create", "--origin", "https://example.com", "--with", "keyrig"],
            "keyrig=ctaphid-busy",
            "ctaphid-busy can never happen here: it is of CTAPHID",
        ),
        (
            &["demo"],
            "primary=bad-signature,command=makecredential",
            "bad-signature never happens in authenticatorMakeCredential: it can in authenticatorGetAssertion, ",
        ),
    ] {
        let program: &[&str] = if rack[0] == "exec" { &["--", "true"] } else { &[] };
        let refused = run(&mut keyrig(&[rack, &["--fault", fault], program].concat()), CREATION);
        // Lines are as long as a terminal is wide.
        let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!refused.status.success() && told.contains(words), "{rack:?} {fault}: {told}");
    }
}

#[test]
fn a_timeline_is_the_user_of_a_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("user.toml");
    let path = directory.path().join("told.jsonl");
    let events = [
        "{ when = 'a waiting', do = 'deny', key = 'a' }",
        "{ when = 'a denied', do = 'unplug', key = 'b' }",
        "{ at = '0s', do = 'touch', key = 'b' }",
        "{ at = '0s', do = 'fault', key = 'b', fault = 'ctap-slow' }",
        "{ when = 'b winked', do = 'fault-off', key = 'b' }",
        "{ at = '9999min', do = 'plug', key = 'b' }",
    ];
    fs::write(&file, format!("events = [{}]\n", events.join(", "))).expect("written");
    let script = r#""$KEYRIG" client create --on a --origin https://example.com <options; echo "$?"; "$KEYRIG" key wait b --for plugged --timeout 0"#;
    fs::write(directory.path().join("options"), CREATION).expect("written");
    let rack = ["exec", "--plug", "none", "--key", "a=keyrig", "--key", "b=keyrig", "--touch", "manual"];
    let more = ["--timeline", text(&file), "--trace", text(&path), "--", "sh", "-c", script];
    let mut command = keyrig(&[&rack[..], &more].concat());
    command.current_dir(directory.path()).env("KEYRIG", env!("CARGO_BIN_EXE_keyrig"));
    let ended = run(&mut command, "");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "1\n", "{told}");
    assert!(told.contains("event 3: touch b: key b does not wait for a touch"), "{told}");
    let pending: Vec<_> = told.lines().filter(|line| line.contains("did not come to its turn")).collect();
    let never = |event| format!("timeline: event {event} did not come to its turn");
    assert_eq!(pending, [never(5), never(6)], "{told}");
    assert!(!ended.status.success() && told.contains("key b did not get plugged in"), "{told}");
    let trace = fs::read_to_string(&path).expect("a transcript");
    assert!(trace.contains(r#""touch":"denied""#) && trace.contains(r#""key":"b","event":"unplugged""#), "{trace}");

    fs::write(&file, "\nevents = [{ at = '5', do = 'touch', key = 'b' }]\n").expect("written");
    let refused = run(&mut keyrig(&[&rack[..], &["--timeline", text(&file), "--", "true"]].concat()), "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&format!("{}:2:18: \"5\" is no time", text(&file))), "{told}");
    let missing = run(&mut keyrig(&[&rack[..], &["--timeline", "/nowhere/x.toml", "--", "true"]].concat()), "");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read /nowhere/x.toml"));
}
