//! `keyrig run` and `keyrig scenario`: what is printed, written and exited with.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PASSES: &str = "[[key]]\nname = \"a\"\n\n[[step]]\nregister = \"a\"\n\n[[step]]\nlogin = \"a\"\n";

fn keyrig(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = program::keyrig(arguments);
    program::run(command.current_dir(directory).env_remove("GITHUB_STEP_SUMMARY"), "")
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder with one file.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), text).unwrap();
    folder
}

#[test]
fn what_passes_is_a_line_and_a_good_end() {
    let folder = folder(&format!("[matrix]\nbrowser = [\"chromium\", \"firefox\"]\n{PASSES}"));
    let (code, out, error) = texts(&keyrig(folder.path(), &["run", ".", "--json", "out.json"]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with("ok   s [browser=chromium]") && lines[1].starts_with("ok   s [browser=firefox]"),
        "{out}"
    );
    assert!(out.contains("2 passed in "), "{out}");
    let written: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(written["ok"], true);
    assert_eq!(written["runs"][1]["matrix"], serde_json::json!({ "browser": "firefox" }));
    assert_eq!(written["runs"][0]["steps"][1]["touched"], serde_json::json!(["a"]));
}

#[test]
fn what_fails_is_shown_in_its_file_with_all_that_there_is_to_know() {
    let folder = folder(&format!("{PASSES}\n[[step]]\nname = \"again\"\nregister = \"a\"\n"));
    let (code, out, error) = texts(&keyrig(folder.path(), &["run", "s.toml", "--seed", "7"]));
    assert_eq!((code, error.as_str()), (Some(1), ""));
    for expected in [
        "FAIL s ",
        "s: again",
        "[s.toml:12:12]",
        "expected accepted, found refused by the authenticator: credential-excluded",
        "InvalidStateError: key \"a\"",
        "a → browser: CTAP2_ERR_CREDENTIAL_EXCLUDED",
        "seed 7; again with",
        "keyrig run s.toml --on in-process --seed 7",
        "0 passed, 1 failed",
    ] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }
}

#[test]
fn what_is_written_wrongly_is_told_before_anything_runs() {
    let folder = folder("[[key]]\nname = \"primary\"\nprofil = \"keyrig\"\n\n[[step]]\nregister = \"primary\"\n");
    let (code, out, error) = texts(&keyrig(folder.path(), &["run", "s.toml"]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("[s.toml:3:1]") && error.contains("did you mean \"profile\"?"), "{error}");
    for (arguments, said) in [
        (&["run", "nowhere"][..], "cannot read nowhere"),
        (&["run", "."], "profile"),
        (&["run", "s.toml", "--on", "paper"], "choose in-process, ctaphid, usbip, kernel or hid"),
        (&["run", "s.toml", "--shard", "5/4"], "write PART/PARTS"),
        (&["run", "s.toml", "--jobs", "0"], "--jobs"),
        (&["run"], "PATH"),
    ] {
        let (code, out, error) = texts(&keyrig(folder.path(), arguments));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn what_does_not_fit_a_matrix_or_a_filter_is_said() {
    let folder = folder(&format!("[matrix]\nbrowser = [\"chromium\", \"firefox\"]\n{PASSES}"));
    for (arguments, said) in [
        (&["--matrix", "browser=safari"][..], "there browser is chromium, firefox"),
        (&["--matrix", "profile=keyrig"], "no matrix goes through profile, but through browser"),
        (&["--filter", "nothing"], "of no scenario there name and cell have \"nothing\""),
    ] {
        let (code, _, error) = texts(&keyrig(folder.path(), &[&["run", "."], arguments].concat()));
        assert!(code == Some(2) && error.contains(said), "{arguments:?}: {error}");
    }
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", ".", "--list", "--matrix", "browser=firefox"]));
    assert_eq!((code, out.as_str()), (Some(0), "s [browser=firefox]  ./s.toml\n"));
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", ".", "--dry-run", "--shard", "2/2"]));
    assert_eq!((code, out.as_str()), (Some(0), "s [browser=firefox]\n    1  register a\n    2  log in with a\n"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = folder(PASSES);
    let (code, out, error) = texts(&keyrig(folder.path(), &["run", ".", "--json", "nowhere/out.json"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(error.contains("cannot write nowhere/out.json"), "{error}");
}

/// A report of what was read there would be all that is left of it.
#[test]
fn a_report_goes_over_no_scenario_and_no_other_report() {
    let folder = folder(PASSES);
    std::os::unix::fs::symlink("s.toml", folder.path().join("link")).unwrap();
    for arguments in [
        &["--junit", "s.toml"][..],
        &["--html", "./s.toml"],
        &["--json", "link"],
        &["--junit", "out", "--html", "out"],
        &["--json", "out", "--junit", "./out"],
    ] {
        let (code, out, error) = texts(&keyrig(folder.path(), &[&["run", "s.toml"], arguments].concat()));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(error.contains("is a scenario or a lab that is read, or another report"), "{arguments:?}: {error}");
        assert_eq!(fs::read_to_string(folder.path().join("s.toml")).unwrap(), PASSES, "{arguments:?}");
    }
    // Where nothing is kept, several can go.
    let (code, out, error) =
        texts(&keyrig(folder.path(), &["run", "s.toml", "--junit", "/dev/null", "--html", "/dev/null"]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
}

/// `/dev/full` opens, and takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn what_came_of_runs_is_told_and_other_reports_are_written_where_one_cannot_be() {
    let folder = folder(PASSES);
    let arguments = ["run", "s.toml", "--json", "/dev/full", "--junit", "out.xml", "--html", "out.html"];
    let (code, out, error) = texts(&keyrig(folder.path(), &arguments));
    assert!(out.contains("1 passed in "), "{out}");
    assert!(code == Some(1) && error.contains("cannot write /dev/full"), "{error}");
    assert!(fs::read_to_string(folder.path().join("out.xml")).unwrap().contains("<testsuites"));
    assert!(fs::read_to_string(folder.path().join("out.html")).unwrap().contains("<html"));
}

#[test]
fn a_scenario_runs_once_by_whichever_paths_it_is_found() {
    let folder = folder(PASSES);
    fs::create_dir(folder.path().join("deep")).unwrap();
    for (to, name) in [("..", "deep/up"), (".", "here"), ("s.toml", "again.toml")] {
        std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    }
    for paths in [&["."][..], &["s.toml", "./s.toml"], &[".", "s.toml", "deep/up"]] {
        let (code, out, error) = texts(&keyrig(folder.path(), &[&["run", "--list"], paths].concat()));
        assert_eq!((code, out.lines().count(), error.as_str()), (Some(0), 1, ""), "{paths:?}: {out}");
    }
}

#[test]
fn a_part_in_which_nothing_is_is_a_good_end() {
    let folder = folder(PASSES);
    let (code, out, error) = texts(&keyrig(folder.path(), &["run", ".", "--shard", "2/2", "--json", "out.json"]));
    assert_eq!((code, error.as_str()), (Some(0), "note: of 1 runs none is in part 2/2\n"));
    assert!(out.contains("0 passed in "), "{out}");
    let written: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!((&written["ok"], &written["runs"]), (&true.into(), &serde_json::json!([])));
}

#[test]
fn a_variable_that_nothing_has_is_told_and_one_that_is_given_is_in_what_repeats_a_run() {
    let text = "[matrix]\nbrowser = [\"chromium\"]\n[variables]\npassword = \"correct horse\"\n[[key]]\nname = \"a\"\n\n[[client]]\n\
                name = \"page\"\nbrowser = \"${browser}\"\n\n[[step]]\nlogin = \"a\"\npassword = \"${password}\"\n";
    let folder = folder(text);
    for (variable, said) in [
        ("passwrd=x", "--variable passwrd=…: no scenario there has ${passwrd}, but ${password}"),
        (
            "browser=firefox",
            "--variable browser=…: a matrix goes through browser: --matrix browser=firefox keeps one of its cells",
        ),
    ] {
        let (code, out, error) = texts(&keyrig(folder.path(), &["run", ".", "--variable", variable]));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{variable}");
        assert!(error.contains(said), "{variable}: {error}");
    }
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", ".", "--variable", "password=a secret"]));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("--matrix browser=chromium --variable 'password=…'\n") && !out.contains("a secret"), "{out}");
}

#[test]
fn settings_that_no_browser_can_be_served_with_are_told() {
    let folder = folder(&format!("[site]\nrp-id = \"https://login.example.com\"\n{PASSES}"));
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", "."]));
    assert_eq!(code, Some(1));
    let told = "ask an administrator: the RP ID \"https://login.example.com\"";
    assert!(out.replace("\n     ", " ").contains(told), "{out}");
}

#[test]
fn the_first_failure_can_be_the_last_thing() {
    let folder = folder("[[key]]\nname = \"a\"\n\n[[step]]\nlogin = \"a\"\n");
    for name in ["t.toml", "u.toml"] {
        fs::copy(folder.path().join("s.toml"), folder.path().join(name)).unwrap();
    }
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", ".", "--fail-fast", "--jobs", "1"]));
    assert_eq!(code, Some(1));
    assert!(out.contains("the password alone logged in") && out.contains("0 passed, 1 failed, 2 not run"), "{out}");
}

#[test]
fn a_new_scenario_runs_and_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, error) = texts(&keyrig(folder.path(), &["scenario", "new", "mine.toml"]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", "mine.toml"]));
    assert_eq!(code, Some(0), "{out}");
    let (code, _, error) = texts(&keyrig(folder.path(), &["scenario", "new", "mine.toml"]));
    assert!(code == Some(1) && error.contains("is there already"), "{error}");
}

/// A scenario at a site of others, which registers a key there.
fn elsewhere(url: &str) -> tempfile::TempDir {
    folder(&format!(
        "[elsewhere]\nurl = \"{url}\"\nadapter = \"fido-conformance\"\n\n[[key]]\nname = \"a\"\n\n[[step]]\nregister = \"a\"\n"
    ))
}

#[test]
fn ctrl_c_leaves_a_partial_report_that_says_so() {
    // A site that never answers: once it is asked, the run is in the middle.
    let site = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = elsewhere(&format!("http://{}", site.local_addr().unwrap()));
    fs::copy(folder.path().join("s.toml"), folder.path().join("t.toml")).unwrap();
    let mut command = program::keyrig(&["run", ".", "--jobs", "1", "--json", "out.json", "--junit", "out.xml"]);
    command.current_dir(folder.path()).env_remove("GITHUB_STEP_SUMMARY").stdout(Stdio::piped()).stdin(Stdio::null());
    let child = command.spawn().unwrap();
    let asked = site.accept().unwrap();
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    let (code, out, _) = texts(&child.wait_with_output().unwrap());
    drop(asked);
    assert_eq!(code, Some(130), "{out}");
    assert!(out.contains("interrupted: 0 passed, 2 not run"), "{out}");
    let written: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!((&written["partial"], &written["ok"]), (&true.into(), &false.into()));
    assert_eq!(written["runs"][0]["verdict"], "interrupted");
    assert_eq!(written["runs"][1]["reason"], "it was not begun");
    // What was done until then is told: here, where it hung.
    assert!(out.contains("interrupted in line 9: register a"), "{out}");
    assert_eq!(written["runs"][0]["steps"][0]["differences"][0]["found"], "it was interrupted");
    assert!(written["runs"][0]["ms"].as_f64().unwrap() > 0.0);
    assert!(fs::read_to_string(folder.path().join("out.xml")).unwrap().contains("name=\"partial\""));
}

#[test]
fn a_site_that_answers_something_else_than_options_is_told_with_what_it_said() {
    for (status, headers, body, said) in [
        ("200 OK", "", "<html>no</html>", "with what is not JSON: \"<html>no</html>\""),
        (
            "302 Found",
            "Location: /login?next=/x\r\n",
            "",
            "with a redirect to \"/login?next=/x\" (HTTP 302): if that is where",
        ),
        ("204 No Content", "", "", "with nothing (HTTP 204)"),
        ("200 OK", "", "[]", "is no options, which are an object: []"),
    ] {
        let site = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = elsewhere(&format!("http://{}", site.local_addr().unwrap()));
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let answering = thread::spawn(move || {
            let (mut asked, _) = site.accept().unwrap();
            let mut request = [0; 4096];
            let read = asked.read(&mut request).unwrap();
            asked.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let (code, out, _) = texts(&keyrig(folder.path(), &["run", "."]));
        assert!(answering.join().unwrap().starts_with("POST /attestation/options HTTP/1.1\r\n"));
        assert_eq!(code, Some(1));
        assert!(out.contains("POST /attestation/options ") && out.contains(said), "{said}: {out}");
    }
}

/// The scenario that is shipped, at a site that speaks FIDO's shapes: ours, as a process of its own.
#[test]
fn the_shipped_scenario_runs_at_a_site_of_fido_s_shapes() {
    let state = tempfile::tempdir().unwrap();
    let mut serve = program::keyrig(&["rp", "serve", "--json", "--fido-conformance", "--listen", "localhost:0"]);
    serve.arg("--state").arg(state.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut site = serve.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(site.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let url = listening["url"].as_str().unwrap();
    let shipped = include_str!("../src/scenario/new.toml");
    let table = "[site]\nrp-id = \"login.example.com\"\npolicy = \"strict-l3\"\n";
    assert!(shipped.contains(table));
    let elsewhere = format!("[elsewhere]\nurl = \"{url}\"\nadapter = \"fido-conformance\"\n");
    let folder = folder(&shipped.replace(table, &elsewhere));
    // Both are of one user, who stays: each has keys of its own.
    let run = |browser: &str, seed: &str| {
        let arguments = ["run", ".", "--matrix", &format!("browser={browser}"), "--seed", seed];
        texts(&keyrig(folder.path(), &arguments))
    };
    let ran = [run("chromium", "1"), run("firefox", "2")];
    site.kill().unwrap();
    site.wait().unwrap();
    for (code, out, error) in ran {
        assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
        assert!(out.contains("1 passed in "), "{out}");
    }
}

#[test]
fn nobody_is_there() {
    // A port that nobody has: it was ours.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = elsewhere(&format!("http://{address}"));
    let (code, out, _) = texts(&keyrig(folder.path(), &["run", "."]));
    assert_eq!(code, Some(1));
    assert!(out.contains("ERR ") && out.contains("cannot reach the relying party"), "{out}");
    assert!(out.contains("Connection refused"), "{out}");
}

#[test]
fn what_was_found_is_summed_up_where_github_wants_it() {
    let folder = folder("[[key]]\nname = \"a\"\n\n[[step]]\nlogin = \"a\"\n");
    let mut command = program::keyrig(&["run", "s.toml"]);
    command.current_dir(folder.path()).env("GITHUB_STEP_SUMMARY", "summary.md");
    assert_eq!(program::run(&mut command, "").status.code(), Some(1));
    let text = fs::read_to_string(folder.path().join("summary.md")).unwrap();
    assert!(text.starts_with("### ❌ keyrig: 0 passed, 1 failed") && text.contains("`keyrig run s.toml"), "{text}");
}
