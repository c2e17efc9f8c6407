//! What programs read: every command with `--json` prints what its schema in `crates/keyrig/schemas` says.

#[path = "support/program.rs"]
mod program;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::program::{keyrig, run};
use crate::support::schema::assert_is;

/// Every command with `--json`. Each is run by a test of this file; `attach`, which needs a kernel's rights, by a test beside it.
const COMMANDS: [&str; 69] = [
    "attach",
    "client create",
    "client get",
    "demo",
    "doctor",
    "env",
    "explain",
    "faults",
    "hid list",
    "key clone",
    "key create",
    "key credentials delete",
    "key credentials export",
    "key credentials import",
    "key credentials list",
    "key deny",
    "key events",
    "key fault list",
    "key fault off",
    "key fault on",
    "key finger",
    "key fingerprints delete",
    "key fingerprints enroll",
    "key fingerprints list",
    "key fingerprints rename",
    "key large-blobs read",
    "key large-blobs write",
    "key list",
    "key pin change",
    "key pin retries",
    "key pin set",
    "key plug",
    "key power-cycle",
    "key remove",
    "key reset",
    "key restore",
    "key sample",
    "key snapshot",
    "key timeline",
    "key touch",
    "key touch-policy",
    "key unplug",
    "key uv-policy",
    "key verify",
    "key wait",
    "profiles",
    "replay",
    "rp acl list",
    "rp audit",
    "rp events",
    "rp group list",
    "rp passwd",
    "rp policies",
    "rp realm list",
    "rp report",
    "rp role list",
    "rp serve",
    "rp session list",
    "rp user add",
    "rp user list",
    "rp user permissions",
    "rp user tfa list",
    "rp user token add",
    "rp user token list",
    "rp user token modify",
    "rp user token permissions",
    "run",
    "serve",
    "trace",
];

fn printed(arguments: &[&str], input: &str) -> String {
    let output = run(&mut keyrig(arguments), input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A program that goes on, and the line that it begins with.
struct Running {
    child: Child,
    line: Value,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = keyrig(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        Self { child, line: value(&line) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The subcommands that the help of a command lists, but for `help`.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description that is too long for the line goes on below, further in.
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help")
}

fn with_json(command: &str, found: &mut BTreeSet<String>) {
    let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
    let help = printed(&words, "");
    let mut is_leaf = true;
    for name in subcommands(&help) {
        is_leaf = false;
        with_json(format!("{command} {name}").trim(), found);
    }
    // One that need not have a subcommand is one itself.
    let usage = help.lines().find(|line| line.starts_with("Usage:")).expect("it says how it is used");
    let is_whole = is_leaf || !usage.contains("<COMMAND>");
    if is_whole && help.lines().any(|line| line.trim_start().starts_with("--json")) {
        found.insert(command.to_owned());
    }
}

#[test]
fn every_command_with_json_has_a_schema() {
    let mut found = BTreeSet::new();
    with_json("", &mut found);
    assert_eq!(found, COMMANDS.map(str::to_owned).into());
}

#[test]
fn the_demo() {
    assert_is("demo", &value(&printed(&["demo", "--json"], "")));
}

#[test]
fn runs_of_scenarios() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, scenario) = (directory.path().join("out.json"), directory.path().join("s.toml"));
    let text = "[matrix]\nbrowser = [\"chromium\"]\n[[key]]\nname = \"a\"\n[[step]]\nregister = \"a\"\n\
                [[step]]\nlogin = \"a\"\n[[step]]\npassword-login = \"root@pam\"\n";
    std::fs::write(&scenario, text).expect("a file");
    let (file, scenario) = (file.to_str().expect("text"), scenario.to_str().expect("text"));
    let traces = directory.path().join("traces");
    let traces = traces.to_str().expect("text");
    let arguments = ["run", scenario, "--json", file, "--trace", traces];
    assert_eq!(run(&mut keyrig(&arguments), "").status.code(), Some(1), "the password is not enough");
    let results = value(&std::fs::read_to_string(file).expect("a report"));
    assert_is("run", &results);
    assert_eq!(results["runs"][0]["verdict"], "failed");
    // What of one was not begun, and of another interrupted, is of the same form.
    let arguments = ["run", scenario, "--json", file, "--on", "usbip"];
    assert_eq!(run(&mut keyrig(&arguments), "").status.code(), Some(1));
    assert_is("run", &value(&std::fs::read_to_string(file).expect("a report")));
}

#[test]
fn the_schema_of_scenarios_is_published_and_knows_all_that_come_with_keyrig() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = printed(&["scenario", "schema"], "");
    let published = std::fs::read_to_string(root.join("schemas/scenario.json")).expect("a schema");
    assert_eq!(value(&printed), value(&published), "keyrig scenario schema > crates/keyrig/schemas/scenario.json");
    let mut files = 0;
    for entry in std::fs::read_dir(root.join("../../fixtures/scenarios")).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a scenario");
        let scenario: toml::Table = toml::from_str(&text).expect("TOML");
        assert_is("scenario", &serde_json::to_value(scenario).expect("JSON"));
        files += 1;
    }
    assert!(files >= 25, "{files}");
}

#[test]
fn the_doctor() {
    let site = |words: &[&str]| {
        let output = run(&mut keyrig(&[&["doctor", "--json"], words].concat()), "");
        value(&String::from_utf8(output.stdout).expect("text"))
    };
    let cluster = "origin=https://pve1.example.com:8006,id=pve1.example.com";
    for words in [
        &["--webauthn", cluster, "--node", "pve1", "--node", "pve2"][..],
        &["--rp-id", "example.com", "--from", "http://example.com", "--from", "https://example.org"],
        &["--rp-id", "example.com"],
        &["--pve", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/printed/pve")],
        &[
            "--pve",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/printed/pve-off"),
            "--from",
            "https://pve1.example.com:8006",
        ],
        &["--pve", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/printed/pve-off")],
        &["--options", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/printed/registration.json")],
    ] {
        assert_is("doctor", &site(words));
    }
}

#[test]
fn explanations() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed");
    for (what, input) in [
        ("registration-and-login.json", ""),
        ("cut-off.json", ""),
        ("login-without-pin.json", ""),
        ("broken-credential.json", ""),
        ("-", "NotAllowedError: The operation either timed out or was not allowed."),
        ("-", "AbortError"),
        ("-", "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"),
        ("rp-id-foreign", ""),
        ("origin", ""),
        ("CTAP2_ERR_PIN_BLOCKED", ""),
        ("authentication_failed", ""),
        ("--list", ""),
    ] {
        let file = directory.join(what);
        let what = if file.exists() { file.to_str().expect("text") } else { what };
        let output = run(&mut keyrig(&["explain", "--json", what]), input);
        assert_is("explain", &value(&String::from_utf8(output.stdout).expect("text")));
    }
}

#[test]
fn transcripts() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("demo.jsonl");
    let path = path.to_str().expect("text");
    printed(&["demo", "--json", "--explain", "--trace", path], "");
    let written = std::fs::read_to_string(path).expect("a transcript");
    assert_eq!(printed(&["trace", "--json", path], ""), written, "what is read is what was written");
    // A line of each kind: the schema is read anew for each.
    let mut kinds = BTreeSet::new();
    for event in written.lines().map(value) {
        let kind = format!("{}{}{}", event["event"], event["direction"], event["command"]);
        if kinds.insert(kind) {
            assert_is("trace", &event);
        }
    }
    for kind in [
        "trace",
        "report",
        "message",
        "request",
        "response",
        "plugged",
        "attached",
        "waiting",
        "wait-ended",
        "explained",
    ] {
        assert!(kinds.iter().any(|known| known.starts_with(&format!("{kind:?}"))), "{kind}: {kinds:?}");
    }
    let explained = printed(&["trace", "--json", "--explain", path], "");
    let explained: Vec<_> = explained.lines().map(value).collect();
    explained.iter().for_each(|event| assert_is("trace", event));
    // Of the demo's refusals one is a key's; of the others no key hears.
    assert_eq!(explained.len(), 1, "{explained:?}");
    let requests = printed(&["trace", "--json", "--level", "ctap", "--key", "backup", path], "");
    for event in requests.lines().map(value) {
        assert!(!["report", "message"].map(Value::from).contains(&event["event"]), "{event}");
        let is_of_backup = event["key"] == "backup" || event["keys"][1]["key"] == "backup";
        let is_of_all = ["trace", "end"].map(Value::from).contains(&event["event"]);
        assert!(is_of_all || is_of_backup, "{event}");
    }
}

#[test]
fn timelines() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = format!("unix:{}/control", directory.path().display());
    let _rack = Running::start(&["serve", "--json", "--usbip", "none", "--control", &control, "--key", "a=keyrig"]);
    let events = "events = [
        { at = '0s', do = 'power-cycle', key = 'a' },
        { at = '1ms', do = 'touch', key = 'a' },
        { when = 'winked', do = 'finger' },
    ]";
    let arguments = ["key", "timeline", "-", "--timeout", "0.2", "--json", "--control", &control];
    let output = run(&mut keyrig(&arguments), events);
    assert_eq!(output.status.code(), Some(1), "one was refused, and one did not come to its turn");
    let told = value(&String::from_utf8(output.stdout).expect("text"));
    assert_is("timeline", &told);
    assert_eq!(told["pending"], serde_json::json!([3]));
    assert_eq!(told["done"][1]["refused"], "key a does not wait for a touch");
}

#[test]
fn replays() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faults/tests/recorded/libfido2.jsonl");
    let recorded = std::fs::read_to_string(recorded).expect("a transcript");
    let mut kinds = BTreeSet::new();
    for event in recorded.lines().map(value) {
        if kinds.insert(event["event"].to_string()) {
            assert_is("trace", &event);
        }
    }
    assert!(kinds.contains("\"connected\"") && kinds.contains("\"disconnected\""), "{kinds:?}");
    let same = value(&printed(&["replay", "--json", "-"], &recorded));
    assert_is("replay", &same);
    assert_eq!((&same["same"], &same["keys"]), (&Value::from(true), &Value::from(2)));

    let without_its_end: String =
        recorded.lines().filter(|line| !line.contains(r#""event":"end""#)).map(|line| format!("{line}\n")).collect();
    let output = run(&mut keyrig(&["replay", "--json", "-"]), &without_its_end);
    assert_eq!(output.status.code(), Some(1));
    let cut = value(&String::from_utf8(output.stdout).expect("text"));
    assert_is("replay", &cut);
    assert_eq!((&cut["same"], &cut["cut_short"]), (&Value::from(false), &Value::from(true)));

    let altered = recorded.replace(r#""signCount":2"#, r#""signCount":1"#);
    let output = run(&mut keyrig(&["replay", "--json", "-"]), &altered);
    assert_eq!(output.status.code(), Some(1));
    let differs = value(&String::from_utf8(output.stdout).expect("text"));
    assert_is("replay", &differs);
    for (side, count) in [("recorded", 1), ("replayed", 2)] {
        let event = &differs["difference"][side];
        assert_is("trace", event);
        assert_eq!(event["members"]["authData"]["signCount"], count, "{event}");
    }
    let output = run(&mut keyrig(&["replay", "-"]), &altered);
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("authenticatorGetAssertion answered CTAP2_OK") && told.contains("recorded  1\n"), "{told}");
}

#[test]
fn ceremonies() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("keys");
    let client = |ceremony: &str, options: &Value| {
        let arguments =
            ["client", ceremony, "--json", "--origin", "https://example.com", "--with", "a=keyrig", "--state"];
        let state = state.to_str().expect("text");
        let done = value(&printed(&[&arguments[..], &[state]].concat(), &options.to_string()));
        assert_is("ceremony", &done);
        assert_eq!((&done["blinked"], &done["touched"]), (&json!(["a"]), &json!(["a"])));
        done["credential"]["id"].clone()
    };
    let creation = json!({
        "rp": {"name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"}, "challenge": "AAAA",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    });
    let id = client("create", &creation);
    let login = json!({"challenge": "AAAA", "allowCredentials": [{"type": "public-key", "id": id}]});
    assert_eq!(client("get", &login), id);
}

#[test]
fn env() {
    let checks = value(&printed(&["env", "--json"], ""));
    assert_is("environment", &checks);
    for check in checks.as_array().expect("a list") {
        // What does not serve says what to do.
        assert!(check["works"] == true || check["mend"].is_string(), "{check}");
    }
    let names: Vec<_> = checks.as_array().expect("a list").iter().filter_map(|check| check["name"].as_str()).collect();
    for name in
        ["exec-namespace", "exec-paths", "user-namespaces", "vhci", "uhid", "udev-rule", "hidraw", "browser", "qemu"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[test]
fn faults() {
    let all = value(&printed(&["faults", "--json"], ""));
    assert_is("faults", &all);
    for shown in all["faults"].as_array().expect("a list") {
        let alone = value(&printed(&["faults", shown["name"].as_str().expect("a name"), "--json"], ""));
        assert_is(if shown["kind"] == "quirk" { "quirk" } else { "fault" }, &alone);
        assert_eq!(alone, *shown);
    }
    let quirks = value(&printed(&["profiles", "--quirks", "--json"], ""));
    let listed = all["faults"].as_array().expect("a list").iter().filter(|shown| shown["kind"] == "quirk");
    assert_eq!(json!(listed.collect::<Vec<_>>()), quirks["quirks"]);
}

/// Keys of `keyrig exec`, which are found as any are.
#[test]
fn keys_of_this_machine_and_their_records() {
    let exec = ["exec", "--quiet", "--touch", "auto", "--key", "a=yubikey-5.7", "--key", "b=u2f-only", "--"];
    let program = env!("CARGO_BIN_EXE_keyrig");
    let listed = value(&printed(&[&exec[..], &[program, "hid", "list", "--json"]].concat(), ""));
    assert_is("hid-list", &listed);
    let ports: Vec<_> = listed["keys"].as_array().expect("a list").iter().map(|key| &key["topology"]).collect();
    assert_eq!(ports, ["1-1", "1-2"]);
    for key in ["a=yubikey-5.7", "b=u2f-only"] {
        let exec = ["exec", "--quiet", "--touch", "auto", "--key", key, "--", program];
        let record = printed(&[&exec[..], &["hid", "record", "1-1", "--quick"]].concat(), "");
        assert_is("key-record", &value(&record));
    }
}

#[test]
fn profiles() {
    let all = value(&printed(&["profiles", "--json"], ""));
    assert_is("profiles", &all);
    for shown in all.as_array().expect("a list") {
        let alone = value(&printed(&["profiles", shown["name"].as_str().expect("a name"), "--json"], ""));
        assert_is("profile", &alone);
        assert_eq!(alone, *shown);
    }
    assert_is("quirks", &value(&printed(&["profiles", "--quirks", "--json"], "")));
    let one = value(&printed(&["profiles", "--quirks", "touch-latch", "--json"], ""));
    assert_is("quirk", &one);
    assert_eq!(one["name"], "touch-latch");
}

#[test]
fn policies() {
    let all = value(&printed(&["rp", "policies", "--json"], ""));
    assert_is("policies", &all);
    for shown in all.as_array().expect("a list") {
        let alone = value(&printed(&["rp", "policies", shown["name"].as_str().expect("a name"), "--json"], ""));
        assert_is("policies", &alone);
        assert_eq!(alone, json!([shown]));
    }
}

/// authenticatorMakeCredential for `example.com` and `root@pam`, discoverable, in CBOR by hand.
fn make_credential() -> String {
    let (hash, rp) = ("00".repeat(32), "a16269646b6578616d706c652e636f6d");
    let user = "a36269644101646e616d6568726f6f744070616d6b646973706c61794e616d6564726f6f74";
    format!("01a5015820{hash}02{rp}03{user}0481a263616c672664747970656a7075626c69632d6b657907a162726bf5")
}

/// Sends a CTAP message to a key by the control socket, which carries no `--json`; it waits for a touch.
fn begin(control: &str, message: &str, key: &str) -> BufReader<std::os::unix::net::UnixStream> {
    let mut stream = std::os::unix::net::UnixStream::connect(control).expect("it listens");
    writeln!(stream, r#"{{"command":"transact","key":"{key}","message":"{message}"}}"#).expect("it reads");
    BufReader::new(stream)
}

#[test]
fn a_rack_and_its_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| format!("unix:{}/{name}", directory.path().display());
    let (control, endpoint) = (at("control"), at("endpoint"));
    let arguments =
        ["serve", "--json", "--usbip", "127.0.0.1:0", "--http", "0", "--control", &control, "--touch", "manual"];
    let keys = [
        "--key",
        "keyrig=a",
        "--key",
        "yubikey-5.7=b",
        "--key",
        "v=keyrig-uv",
        "--key",
        "f=yubikey-bio-5.7",
        "--key",
        "p=synced-passkey",
        "--uv",
        "v=miss=1",
    ];
    let also = ["--ctaphid", &format!("a={endpoint}"), "--pico-controller", "127.0.0.1:0"];
    let serving = Running::start(&[&arguments[..], &keys, &also].concat());
    assert_is("serve", &serving.line);
    let token = directory.path().join("control.token");
    assert_eq!(serving.line["http"]["token_file"], token.to_str().expect("text"), "beside the control socket");
    let key = |words: &[&str], input: &str| {
        value(&printed(&[&["key", "--json", "--control", &control], words].concat(), input))
    };

    for words in [
        &["list"][..],
        &["unplug", "a"],
        &["plug", "a"],
        &["power-cycle", "a"],
        &["finger", "b"],
        &["finger"],
        &["touch-policy", "after=20"],
        &["touch-policy", "manual"],
        &["uv-policy", "v", "script=miss,good"],
        &["uv-policy", "v", "manual"],
        &["create", "e", "--profile", "yubikey-enterprise", "--enterprise-rp", "example.com"],
        &["remove", "e"],
    ] {
        assert_is("keys", &key(words, ""));
    }

    let path = control.strip_prefix("unix:").expect("it is a path");
    let wait = || assert_is("keys", &key(&["wait", "a"], ""));
    let mut refused = begin(path, &make_credential(), "a");
    wait();
    assert_is("keys", &key(&["list"], ""));
    assert_is("keys", &key(&["deny", "a"], ""));
    refused.read_line(&mut String::new()).expect("it is answered");
    let mut granted = begin(path, &make_credential(), "a");
    wait();
    assert_is("keys", &key(&["touch", "a", "--wait"], ""));
    granted.read_line(&mut String::new()).expect("it is answered");

    let mut verified = begin(path, &make_credential().replace("a162726bf5", "a262726bf5627576f5"), "v");
    assert_is("keys", &key(&["wait", "v"], ""));
    assert_is("keys", &key(&["list"], ""));
    assert_is("keys", &key(&["verify", "v", "--miss"], ""));
    assert_is("keys", &key(&["verify", "v", "--wait"], ""));
    verified.read_line(&mut String::new()).expect("it is answered");

    let events = printed(&["key", "events", "--json", "--control", &control], "");
    assert!(events.lines().count() > 10, "{events}");
    events.lines().for_each(|event| assert_is("rack-event", &value(event)));

    for words in [&["on", "a", "ctap-slow,ms=1,nth=7"][..], &["list", "a"], &["off", "a", "ctap-slow"], &["off", "a"]] {
        assert_is("faults-of-key", &key(&[&["fault"], words].concat(), ""));
    }

    assert_is("pin", &key(&["pin", "retries", "a"], ""));
    assert_is("pin", &key(&["pin", "set", "a", "--pin-file", "-"], "1234\n"));
    let change = ["pin", "change", "a", "--pin-file", "-", "--new-pin-file", "-"];
    assert_is("pin", &key(&change, "1234\n5678\n"));
    assert_is("pin", &key(&["pin", "retries", "a"], ""));

    let enrolled = key(&["fingerprints", "enroll", "f", "--finger", "thumb"], "");
    assert_is("fingerprints", &enrolled);
    let id = enrolled["fingerprints"][0]["template_id"].as_str().expect("there is one");
    assert_is("fingerprints", &key(&["fingerprints", "rename", "f", "--", id, "finger"], ""));
    let listed = key(&["fingerprints", "list", "f"], "");
    assert_is("fingerprints", &listed);
    assert_eq!(listed["fingerprints"][0]["name"], "finger");
    assert_is("fingerprints", &key(&["fingerprints", "delete", "f", "--", id], ""));

    let snapshot = key(&["snapshot", "a"], "");
    assert_is("snapshot", &snapshot);
    let exported = key(&["credentials", "export", "a"], "");
    assert_is("exported-credentials", &exported);
    assert_eq!(exported["credentials"].as_array().expect("a list").len(), 1);
    assert_is("keys", &key(&["create", "c", "--snapshot", "-"], &snapshot.to_string()));
    assert_is("keys", &key(&["reset", "c"], ""));
    assert_is("keys", &key(&["credentials", "import", "c"], &exported.to_string()));
    assert_eq!(key(&["credentials", "export", "c"], ""), exported, "what one prints, another accepts");
    assert_is("keys", &key(&["restore", "c", "-"], &snapshot.to_string()));
    let blobs = key(&["large-blobs", "read", "c"], "");
    assert_is("large-blobs", &blobs);
    assert_is("keys", &key(&["large-blobs", "write", "c", "-"], &blobs.to_string()));
    assert_is("keys", &key(&["clone", "c", "d"], ""));
    assert_is("keys", &key(&["remove", "c"], ""));

    let listed = key(&["credentials", "list", "a", "--pin-file", "-"], "5678\n");
    assert_is("credentials", &listed);
    let id = listed["credentials"][0]["credential_id"].as_str().expect("there is one");
    assert_is("credentials-deleted", &key(&["credentials", "delete", "a", "--pin-file", "-", "--", id], "5678\n"));
}

fn rp(state: &Path, words: &[&str]) -> String {
    printed(&[&["rp"], words, &["--json", "--state", state.to_str().expect("text")]].concat(), "")
}

/// Gives a wrong password, and returns the identifier of the report.
fn refused_login(address: &str) -> String {
    let body = r#"{"user":"root@pam","password":"wrong password"}"#;
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let head = "POST /api/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it reads");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    value(body).get("report_id").and_then(Value::as_str).expect("a report").to_owned()
}

#[test]
fn a_relying_party_and_its_users() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state");
    let arguments = ["rp", "serve", "--listen", "localhost:0", "--json", "--state"];
    let serving = Running::start(&[&arguments[..], &[state.to_str().expect("text")]].concat());
    assert_is("rp-serve", &serving.line);
    assert!(serving.line["initial_password"].is_string(), "it is the first start");

    assert_is("users", &value(&rp(&state, &["user", "list"])));
    assert_is("factors", &value(&rp(&state, &["user", "tfa", "list"])));
    assert_is("audit", &value(&rp(&state, &["audit"])));
    for requirement in ["type=oath,digits=8,step=60", "type=any", "type=webauthn"] {
        printed(&["rp", "realm", "modify", "pve", "--tfa", requirement, "--state", state.to_str().expect("text")], "");
        assert_is("realms", &value(&rp(&state, &["realm", "list"])));
    }
    let added = value(&rp(&state, &["user", "add", "alice@pve"]));
    assert_is("user-added", &added);
    let state_of = ["--state", state.to_str().expect("text")];
    for command in [
        &["group", "add", "admins", "--comment", "all of them"][..],
        &["role", "add", "Helpdesk", "--privs", "Sys.Audit"],
        &["acl", "modify", "/", "--groups", "admins", "--roles", "Helpdesk"],
        &[
            "user",
            "modify",
            "alice@pve",
            "--groups",
            "admins",
            "--email",
            "alice@example.com",
            "--expire",
            "4102444800",
        ],
    ] {
        printed(&[&["rp"], command, &state_of].concat(), "");
    }
    for (schema, command) in [
        ("groups", ["group", "list"]),
        ("roles", ["role", "list"]),
        ("acl", ["acl", "list"]),
        ("permissions", ["user", "permissions"]),
        ("users", ["user", "list"]),
        ("audit", ["audit", ""]),
    ] {
        let command: Vec<&str> = command.into_iter().filter(|word| !word.is_empty()).collect();
        assert_is(schema, &value(&rp(&state, &command)));
    }
    for (schema, words) in [
        ("token", &["add", "alice@pve", "ci", "--privsep", "0"][..]),
        ("token", &["modify", "alice@pve", "ci", "--regenerate"]),
        ("token", &["modify", "alice@pve", "ci", "--expire", "4102444800"]),
        ("tokens", &["list"]),
        ("token-permissions", &["permissions", "alice@pve", "ci"]),
    ] {
        assert_is(schema, &value(&rp(&state, &[&["user", "token"], words].concat())));
    }
    let of_token = ["rp", "acl", "modify", "/", "--tokens", "alice@pve!ci", "--roles", "Helpdesk"];
    printed(&[&of_token[..], &state_of].concat(), "");
    assert_is("acl", &value(&rp(&state, &["acl", "list"])));
    assert_is("audit", &value(&rp(&state, &["audit"])));
    let given = directory.path().join("given");
    std::fs::write(&given, "correct horse battery\n").expect("it is written");
    let given = ["--password", given.to_str().expect("text")];
    let set = value(&rp(&state, &[&["passwd", "alice@pve"], &given[..]].concat()));
    assert_is("password-set", &set);
    assert_eq!(set, json!({ "user": "alice@pve", "tokens": ["ci"] }), "a password that was given is not shown");
    assert_is("password-set", &value(&rp(&state, &["passwd", "alice@pve"])));

    let report = refused_login(serving.line["listen"][0].as_str().expect("an address"));
    let shown = value(&rp(&state, &["report", &report]));
    assert_is("report", &shown);
    assert_eq!((&shown["event"]["report_id"], &shown["report"]["cause"]), (&json!(report), &json!("wrong_password")));

    assert_is("sessions", &value(&rp(&state, &["session", "list"])));

    let events = rp(&state, &["events"]);
    assert!(events.lines().count() >= 4, "{events}");
    for line in events.lines() {
        assert_is("event", &value(line));
    }
}

#[test]
fn a_schema_refuses_what_it_does_not_say() {
    let known = json!({"key": "a", "pin_set": true, "retries": 8, "power_cycle_needed": false});
    assert_is("pin", &known);
    for (member, wrong) in [("key", json!(1)), ("pin_set", json!(null)), ("retries", json!(9)), ("retries", json!("8"))]
    {
        let mut changed = known.clone();
        changed[member] = wrong;
        assert!(std::panic::catch_unwind(|| assert_is("pin", &changed)).is_err(), "{changed}");
    }
}
