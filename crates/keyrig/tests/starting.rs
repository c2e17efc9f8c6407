//! Racks side by side, and who racks and relying parties start and end with.

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::program::{keyrig, run};

/// A rack, or a relying party, in a directory for sockets of its own. Ended by its process id.
struct Serving {
    child: Child,
    output: BufReader<ChildStdout>,
    said: Value,
}

fn in_directory(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = keyrig(arguments);
    command.env("XDG_RUNTIME_DIR", directory);
    command
}

impl Serving {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::of(directory, &[&["serve", "--json"], arguments].concat(), "")
    }

    /// What serves, and what it reads while it starts.
    fn of(directory: &Path, arguments: &[&str], input: &str) -> Self {
        let mut command = in_directory(directory, arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("keyrig runs");
        child.stdin.as_mut().expect("piped").write_all(input.as_bytes()).expect("it reads");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        Self { child, output, said: serde_json::from_str(&line).expect("an object") }
    }

    /// Waits until it has ended by itself.
    fn ended(mut self) {
        self.output.read_to_string(&mut String::new()).expect("its end");
        assert!(self.child.wait().expect("it ended").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(directory: &Path, arguments: &[&str]) -> Output {
    run(&mut in_directory(directory, &[&["key", "--json"], arguments].concat()), "")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn two_racks_need_nothing_but_two_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let racks = ["w1", "w2"]
        .map(|name| Serving::start(directory.path(), &["--name", name, "--key", &format!("{name}-key=keyrig")]));
    let ports = racks.each_ref().map(|rack| rack.said["usbip"].as_str().expect("it has one").to_owned());
    assert_ne!(ports[0], ports[1]);
    for name in ["w1", "w2"] {
        let listed = json(&key(directory.path(), &["--control", name, "list"]));
        assert_eq!(listed["keys"][0]["name"], format!("{name}-key"));
        let mut by_environment = in_directory(directory.path(), &["key", "--json", "list"]);
        by_environment.env("KEYRIG_CONTROL", name);
        assert_eq!(json(&run(&mut by_environment, ""))["keys"][0]["name"], format!("{name}-key"));
    }
    let taken = run(&mut in_directory(directory.path(), &["serve", "--name", "w1"]), "");
    assert_eq!(taken.status.code(), Some(1));
    let told = String::from_utf8(taken.stderr).expect("text");
    assert!(told.contains("choose another name with --name"), "{told}");
    let typo = key(directory.path(), &["--control", "w3", "list"]);
    let told = String::from_utf8(typo.stderr).expect("text");
    assert!(told.contains("'keyrig serve --name w3'"), "{told}");
    for (wrong, words) in [
        (&["serve", "--name", "a b"][..], "not a name for a rack"),
        (&["serve", "--name", "w4", "--control", "unix:/tmp/w4"], "cannot be used with"),
    ] {
        let refused = run(&mut in_directory(directory.path(), wrong), "");
        let told = String::from_utf8(refused.stderr).expect("text");
        assert!(refused.status.code() == Some(2) && told.contains(words), "{told}");
    }
}

#[test]
fn racks_with_names_take_free_ports_for_http_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let racks = ["w1", "w2"].map(|name| Serving::start(directory.path(), &["--name", name, "--http"]));
    let urls = racks.each_ref().map(|rack| rack.said["http"]["url"].as_str().expect("it has one").to_owned());
    assert!(urls[0] != urls[1] && urls.iter().all(|url| !url.ends_with(":8100")), "{urls:?}");
}

#[test]
fn a_rack_without_usb_ip_has_no_port() {
    let directory = tempfile::tempdir().expect("a directory");
    let rack = Serving::start(directory.path(), &["--name", "w", "--usbip", "none"]);
    assert_eq!(rack.said.get("usbip"), None);
}

#[test]
fn a_rack_that_is_starting_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let run_directory = directory.path().join("not/yet");
    let asking = in_directory(&run_directory, &["key", "--json", "--control", "w", "list"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("keyrig runs");
    let _rack = Serving::start(&run_directory, &["--name", "w"]);
    let listed = asking.wait_with_output().expect("it ends");
    assert!(listed.status.success());
    assert_eq!(json(&listed)["keys"][0]["name"], "keyrig");
}

#[test]
fn a_pin_is_there_from_the_start_and_another_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, pin: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pin).expect("a file");
        format!("a={}", path.display())
    };
    let (one, other) = (file("one", "1357\n"), file("other", "2468\n"));
    let state = directory.path().join("state").display().to_string();
    let with = |pin: &str| -> Vec<String> {
        ["--name", "w", "--key", "a=keyrig", "--state", &state, "--pin", pin].map(str::to_owned).to_vec()
    };
    for _ in 0..2 {
        let arguments = with(&one);
        let _rack = Serving::start(directory.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(json(&key(directory.path(), &["--control", "w", "pin", "retries", "a"]))["pin_set"], true);
    }
    for (pin, code) in [(other.as_str(), "pin-already-set"), (one.as_str().trim_start_matches('a'), "usage")] {
        let arguments = [vec!["serve".to_owned(), "--json".to_owned()], with(pin)].concat();
        let refused =
            run(&mut in_directory(directory.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>()), "");
        let said: Value = serde_json::from_slice(&refused.stderr).expect("an error");
        assert_eq!(said["error"]["code"], code, "{said}");
    }
}

/// A row of names is each of them, whatever an option says of keys; one that is not there is refused before anything listens.
#[test]
fn what_a_row_of_keys_has_from_the_start_each_of_them_has() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pins[1].txt");
    std::fs::write(&file, "1357\n").expect("a file");
    let (some, all) = (format!("k[2-3]={}", file.display()), format!("k[1-4]={}", file.display()));
    let rack = ["--name", "w", "--key", "k[1-3]=keyrig-uv"];
    let quirk = ["--quirk", "k[1-2]=touch-latch", "--uv", "k[1-3]=never", "--fault", "k[2-3]=ctap-slow,ms=1"];
    let serving = Serving::start(directory.path(), &[&rack[..], &["--pin", &some], &quirk].concat());
    let listed = json(&key(directory.path(), &["--control", "w", "list"]));
    let of = |member: &str| -> Vec<Value> {
        listed["keys"].as_array().expect("keys").iter().map(|key| key[member].clone()).collect()
    };
    assert_eq!(of("quirks"), [json!(["touch-latch"]), json!(["touch-latch"]), json!([])], "{listed}");
    for (name, is_set) in [("k1", false), ("k2", true), ("k3", true)] {
        let retries = json(&key(directory.path(), &["--control", "w", "pin", "retries", name]));
        assert_eq!(retries["pin_set"], is_set, "{name}");
    }
    drop(serving);
    let refused =
        run(&mut in_directory(directory.path(), &[&["serve", "--json"], &rack[..], &["--pin", &all]].concat()), "");
    let said: Value = serde_json::from_slice(&refused.stderr).expect("an error");
    assert_eq!(said["error"]["code"], "unknown-key", "{said}");
}

#[test]
fn a_rack_ends_with_its_standard_input_if_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut rack = Serving::start(directory.path(), &["--name", "w", "--exit-on-stdin-end"]);
    assert!(key(directory.path(), &["--control", "w", "list"]).status.success());
    drop(rack.child.stdin.take());
    rack.ended();
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "its socket has gone");
}

#[test]
fn a_relying_party_ends_with_its_standard_input_which_has_its_first_password_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("site").display().to_string();
    let serve = ["rp", "serve", "--json", "--listen", "127.0.0.1:0", "--state", &state];
    let asked = [&serve[..], &["--initial-password", "-", "--exit-on-stdin-end"]].concat();
    let mut site = Serving::of(directory.path(), &asked, "correct horse\n");
    assert_eq!(site.said["initial_password"], Value::Null, "it is the one that was read");
    let address = site.said["listen"][0].as_str().expect("it has one").to_owned();
    drop(site.child.stdin.take());
    site.ended();
    std::net::TcpStream::connect(&address).expect_err("nobody listens there any more");
}

#[test]
fn a_rack_ends_with_the_process_that_started_it_if_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    // The shell is the parent, which is killed; what the rack writes to ends with the rack.
    let mut shell = Command::new("sh")
        .args(["-c", "\"$0\" serve --json --name w --exit-with-parent & wait", env!("CARGO_BIN_EXE_keyrig")])
        .env("XDG_RUNTIME_DIR", directory.path())
        .env_remove("KEYRIG_CONTROL")
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut output = BufReader::new(shell.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("it listens");
    shell.kill().expect("it is ours");
    shell.wait().expect("it ends");
    output.read_to_string(&mut String::new()).expect("the end of the rack");
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "its socket has gone");
}

#[test]
fn a_parent_that_ended_before_it_could_be_looked_at_is_known_by_its_number() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut gone = Command::new("true").spawn().expect("true runs");
    gone.wait().expect("it ends");
    let parent = format!("--exit-with-parent={}", gone.id());
    Serving::start(directory.path(), &["--name", "w", &parent]).ended();
}
