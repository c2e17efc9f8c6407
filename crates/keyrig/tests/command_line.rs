//! The command line as a user meets it: what it prints, what it refuses and in which words, how it exits.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::schema::assert_is;

fn keyrig(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyrig"))
        .args(arguments)
        .env_remove("KEYRIG_CONTROL")
        .env_remove("KEYRIG_LOG")
        .output()
        .expect("keyrig runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

/// A `keyrig serve` that has said what it listens on. Ended by its process id.
struct Serving {
    child: Child,
    listening: Value,
}

impl Serving {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrig"))
            .args(["serve", "--json", "--usbip", "0"])
            .arg("--control")
            .arg(format!("unix:{}/control", directory.display()))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, listening: serde_json::from_str(&line).expect("an object") }
    }

    fn key(&self, arguments: &[&str]) -> Output {
        let control = format!("unix:{}", self.listening.get("control").and_then(Value::as_str).expect("a path"));
        keyrig(&[&["key", "--json", "--control", &control], arguments].concat())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

#[test]
fn demo_prints_one_object_with_every_step_and_who_refused() {
    let output = keyrig(&["demo", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["ok"], true);
    let steps = report["steps"].as_array().unwrap();
    let refused: Vec<_> = steps.iter().filter_map(|step| step["refused_by"].as_str()).collect();
    assert_eq!(refused, ["authenticator", "client", "relying_party"]);
    for step in steps {
        let members: Vec<_> = step.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = if step.get("refused_by").is_some() {
            &["ms", "name", "ok", "reason", "refused_by"][..]
        } else {
            &["ms", "name", "ok"]
        };
        let mut members = members;
        members.sort_unstable();
        assert_eq!(members, expected);
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["ms"].as_f64().unwrap() > 0.0);
    }
    let reason = |party: &str| {
        let step = steps.iter().find(|step| step["refused_by"] == party).unwrap();
        step["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("authenticator").contains("CTAP2_ERR_CREDENTIAL_EXCLUDED"), "{}", reason("authenticator"));
    assert!(reason("client").starts_with("SecurityError"), "{}", reason("client"));
    assert!(reason("relying_party").contains("https://localhost.example"), "{}", reason("relying_party"));
}

/// Firefox has each key touched twice: once to choose it, once for what it is asked for.
#[test]
fn demo_behaves_as_the_browser_that_is_named() {
    for (browser, touched) in [("chromium", "touched once"), ("firefox", "touched twice")] {
        let output = keyrig(&["demo", "--browser", browser]);
        assert!(output.status.success(), "{}", stderr(&output));
        let told = stdout(&output);
        assert!(told.contains(&format!("primary {touched}, backup ")), "{browser}: {told}");
        // A single key needs no choice.
        assert!(told.contains("primary unplugged, backup touched once"), "{browser}: {told}");
    }
}

/// An output that nobody asked for is refused by the browser.
#[test]
fn demo_shows_what_a_quirk_comes_to() {
    let output = keyrig(&["demo", "--quirk", "primary=extra-extension"]);
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for expected in ["quirk: primary: authenticator data has an extension output", "unsolicited", "steps went wrong"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn demo_writes_its_report_where_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let reports = directory.path().join("a/b");
    let output = keyrig(&["demo", "--report", reports.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(reports.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["ok"], true);
    let text = std::fs::read_to_string(reports.join("report.txt")).unwrap();
    let names = report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap());
    for name in names {
        assert!(text.contains(name) && stdout(&output).contains(name), "{name}");
    }
}

#[test]
fn serve_says_what_it_listens_on_and_its_keys_can_be_worked() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a", "--key", "yubikey-5.7=b"]);
    assert_eq!(serving.listening["attestation_root"], "process");
    let names = |keys: &Value| -> Vec<String> {
        keys.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&serving.listening["keys"]), ["a", "b"]);

    let listed = json(&serving.key(&["list"]));
    assert_eq!(listed["keys"][0]["under_finger"], true);
    assert_eq!(json(&serving.key(&["unplug", "a"]))["keys"][0]["plugged"], false);
    assert_eq!(json(&serving.key(&["list"]))["keys"][1]["under_finger"], true, "the first that is plugged in");
    assert_eq!(json(&serving.key(&["plug", "a"]))["keys"][0]["plugged"], true);
    assert_eq!(json(&serving.key(&["power-cycle", "b"]))["keys"][0]["plugged"], true);
    assert_eq!(json(&serving.key(&["finger", "b"]))["keys"][1]["under_finger"], true);
    assert_eq!(json(&serving.key(&["touch-policy", "after=20"]))["touch"], "after=20");
    let enterprise =
        ["create", "c", "--profile", "yubikey-enterprise", "--enterprise-rp", "example.com", "--unplugged"];
    let created = json(&serving.key(&enterprise));
    assert_eq!(created["keys"][0]["enterprise_rps"], serde_json::json!(["enterprise.example.com", "example.com"]));
    serving.key(&["remove", "c"]);

    for (arguments, expected) in [
        (&["touch", "a"][..], "key a does not wait for a touch"),
        (&["create", "c", "--enterprise-rp", "example.com"], "key c: keyrig knows no enterprise attestation"),
        (&["deny", "c"], "no key is called c: the keys are a, b"),
        (&["plug", "a"], "key a is plugged in already"),
    ] {
        let output = serving.key(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

/// The `usbip` program of the kernel's own tools lists both keys.
#[test]
fn usbip_lists_the_keys() {
    // Debian keeps it where only root's path looks.
    let usbip = if Path::new("/usr/sbin/usbip").exists() { "/usr/sbin/usbip" } else { "usbip" };
    if Command::new(usbip).arg("version").output().is_err() {
        // Not by a macro: the harness would keep it to itself.
        std::io::stderr().write_all(b"SKIPPED usbip_lists_the_keys: the program usbip is not installed\n").unwrap();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "under CI nothing may be skipped");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a", "--key", "yubikey-5.7=b"]);
    let port = serving.listening["usbip"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let list = || Command::new(usbip).args(["--tcp-port", &port, "list", "-r", "127.0.0.1"]).output().unwrap();
    let listed = stdout(&list());
    for expected in ["1-1:", "(1209:0001)", "1-2:", "(1050:0402)"] {
        assert!(listed.contains(expected), "{expected} in {listed}");
    }
    assert!(serving.key(&["unplug", "a"]).status.success());
    let listed = stdout(&list());
    assert!(!listed.contains("1-1:") && listed.contains("1-2:"), "{listed}");
}

#[test]
fn keys_in_a_state_directory_are_there_again_and_only_once_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let state = state.to_str().unwrap();
    let other = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a", "--state", state]);
    assert_eq!(serving.listening["attestation_root"], "state");
    let control = format!("unix:{}/control", other.path().display());
    let serve =
        |key: &str| keyrig(&["serve", "--usbip", "127.0.0.1:0", "--control", &control, "--key", key, "--state", state]);
    let output = serve("keyrig=a");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is locked: another keyrig uses it"), "{}", stderr(&output));
    drop(serving);
    let output = serve("yubikey-5.7=a");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is a keyrig, not a yubikey-5.7"), "{}", stderr(&output));
    drop(Serving::start(directory.path(), &["--key", "keyrig=a", "--state", state]));
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let control = format!("unix:{}/control", directory.path().display());
    let output = keyrig(&["serve", "--usbip", &address, "--control", &control]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains(&address) && error.contains("in use") && error.contains("--usbip"), "{error}");
}

#[test]
fn serve_says_where_its_datagram_endpoints_and_switches_are() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("b.socket");
    let unix = format!("unix:{}", socket.display());
    let serving = Serving::start(
        directory.path(),
        &[
            ["--key", "keyrig=a", "--key", "keyrig=b", "--pico-controller", "127.0.0.1:0"].as_slice(),
            &["--ctaphid", "a=udp:127.0.0.1:0", "--ctaphid", &format!("b={unix}")],
        ]
        .concat(),
    );
    let endpoints = &serving.listening["ctaphid"];
    assert_eq!(endpoints[0]["key"], "a");
    assert!(!endpoints[0]["address"].as_str().unwrap().ends_with(":0"), "the port that it got: {endpoints}");
    assert_eq!(endpoints[1], serde_json::json!({"key": "b", "address": unix}));
    assert!(!serving.listening["pico_controller"].as_str().unwrap().ends_with(":0"));
    assert!(socket.exists());
}

#[test]
fn an_endpoint_says_which_key_it_gives_where_there_are_several() {
    let directory = tempfile::tempdir().unwrap();
    let control = format!("unix:{}/control", directory.path().display());
    let socket = directory.path().join("socket");
    for (argument, expected) in [
        (format!("unix:{}", socket.display()), "--ctaphid NAME=unix:"),
        (format!("c=unix:{}", socket.display()), "no key is called c: the keys are a, b"),
    ] {
        let rack = ["serve", "--usbip", "127.0.0.1:0", "--control", &control, "--key", "keyrig=a", "--key", "keyrig=b"];
        let output = keyrig(&[&rack[..], &["--ctaphid", &argument]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!socket.exists());
    }
}

#[test]
fn a_command_line_that_is_wrong_says_what_is_right_and_exits_with_2() {
    for (arguments, expected) in [
        (
            &["serve", "--key", "yubikey"][..],
            "the profiles are keyrig, keyrig-ml-dsa, keyrig-uv, synced-passkey, yubikey-5.8, yubikey-enterprise",
        ),
        (&["serve", "--key", "keyrig=a/b"], "1 to 32 letters"),
        (&["serve", "--key", "keyrig=a", "--key", "keyrig=a"], "two keys are called a"),
        (&["serve", "--key", "yubikey-enterprise=a", "--enterprise-rp", "a=https://example.com"], "without scheme"),
        (&["serve", "--key", "keyrig=a", "--enterprise-rp", "a=example.com"], "keyrig knows no enterprise attestation"),
        (&["serve", "--key", "keyrig=a", "--enterprise-rp", "b=example.com"], "no key is called b"),
        (&["serve", "--key", "k[1-2]=keyrig", "--fault", "k[1-3]=ctap-slow,ms=1"], "no key is called k3"),
        (&["serve", "--key", "keyrig=k[1-3]"], "1 to 32 letters"),
        (&["serve", "--finger", "c"], "no key has that name"),
        (&["serve", "--touch", "sometimes"], "auto, every, manual, deny or after=MILLISECONDS"),
        (&["serve", "--seed", "1", "--state", "x"], "cannot be used with"),
        (&["serve", "--usbip", "0.0.0.0:3240"], "--open-to-network"),
        (
            &["serve", "--usbip", "localhost:3240"],
            "write PORT or ADDRESS:PORT, such as 8100 or 127.0.0.1:8100, or none",
        ),
        (&["serve", "--pico-controller", "x"], "write PORT or ADDRESS:PORT"),
        (&["serve", "--exit-with-parent=-1"], "1..="),
        (&["serve", "--control", "a:b"], "unix:PATH"),
        (&["serve", "--control", "x"], "a rack's name with --name"),
        (&["serve", "--control", "unix:"], "the path is missing"),
        (&["serve", "--ctaphid", "/tmp/x"], "unix:PATH or udp:ADDRESS:PORT"),
        (&["serve", "--ctaphid", "a/b=unix:/tmp/x"], "1 to 32 letters"),
        (&["serve", "--ctaphid", "udp:0.0.0.0:0"], "--open-to-network"),
        (&["serve", "--pico-controller", "0.0.0.0:0"], "--open-to-network"),
        (&["profiles", "yubikey-9"], "the profiles are"),
        (&["key", "toch", "a"], "'touch'"),
        (&["dmeo"], "'demo'"),
        (&["demo", "--browser", "lynx"], "choose chromium, firefox or safari"),
    ] {
        let output = keyrig(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

/// What is refused is told of what it is for.
#[test]
fn a_key_that_is_on_no_usb_is_not_plugged_in() {
    let directory = tempfile::tempdir().unwrap();
    let control = format!("unix:{}", directory.path().join("control").display());
    let endpoint = format!("p=unix:{}", directory.path().join("p.ctaphid").display());
    let rack = ["--control", &control, "--key", "p=synced-passkey", "--key", "a=keyrig"];
    for (command, options) in [("attach", &[][..]), ("serve", &["--usbip", "none", "--ctaphid", &endpoint])] {
        let output = keyrig(&[&[command], &rack[..], options].concat());
        assert_eq!(output.status.code(), Some(1), "{command}: {}", stderr(&output));
        let expected = "key p is on no USB, so no host gets it: it is for 'keyrig client', /v1/client and keyrig-test";
        assert!(stderr(&output).contains(expected), "{command}: {}", stderr(&output));
    }
}

#[test]
fn a_port_alone_is_one_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--pico-controller", "0"]);
    for what in ["usbip", "pico_controller"] {
        let address = serving.listening.get(what).and_then(Value::as_str).expect(what);
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    }
}

/// As with env and timeout, so that the program's own 2 is told from it.
#[cfg(target_os = "linux")]
#[test]
fn exec_that_is_called_wrongly_ends_as_one_that_fails() {
    for (arguments, expected) in [
        (&["exec", "--view", "x", "--", "true"][..], "invalid value 'x'"),
        (&["exec"], "<CMD>"),
        (&["exec", "--key", "yubikey", "--", "true"], "the profiles are"),
        (&["exec", "--finger", "c", "--", "true"], "no key has that name"),
    ] {
        let output = keyrig(arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(keyrig(&["exec", "--help"]).status.code(), Some(0));
}

#[test]
fn without_a_rack_key_commands_say_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let control = format!("unix:{}/nobody", directory.path().display());
    let output = keyrig(&["key", "list", "--control", &control]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("start one with 'keyrig serve'"), "{}", stderr(&output));
}

#[test]
fn profiles_name_what_is_withheld_and_what_is_unproven() {
    let all = json(&keyrig(&["profiles", "--json"]));
    let names: Vec<_> = all.as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "keyrig",
            "keyrig-ml-dsa",
            "keyrig-uv",
            "synced-passkey",
            "yubikey-5.8",
            "yubikey-enterprise",
            "yubikey-5.7.4",
            "yubikey-5.7",
            "yubikey-5.4",
            "yubikey-5.2",
            "yubikey-bio-5.7",
            "yubikey-fips",
            "security-key-nfc-5.7",
            "security-key-5.1",
            "nitrokey-3",
            "solo-1",
            "titan-v2",
            "feitian-epass",
            "feitian-biopass",
            "token2-pin-plus",
            "swissbit-ishield-2",
            "crescendo",
            "ctap-2.1",
            "ctap-2.1-pre",
            "ctap-2.0",
            "u2f-only"
        ]
    );
    let one = stdout(&keyrig(&["profiles", "yubikey-5.7"]));
    for expected in [
        "imitation of a key by Yubico",
        "FIDO_2_0",
        "credProtect, hmac-secret",
        "clientPin=false",
        "makeCredUvNotRqd",
        "2, 1",
        "ES384 (-35)",
        "withheld, because it is not built",
        "nfc",
        "usb.device_release",
        "compared with: FIDO_DEBUG of a 5.7.1",
        "no_credentials: after-touch, instead of at-once (CTAP 2.3 §6.2.2 step 7)",
        "When it is said that there is no credential",
        "guessed: no record tells when",
        "behaviour.no_credentials",
        "documented: YSA-2025-02",
        "device information          for ykman; guessed: recorded of a 5 NFC with firmware 5.7.4",
    ] {
        assert!(one.contains(expected), "{expected} in {one}");
    }
}

#[test]
fn quirks_are_listed_with_where_they_are_known_from() {
    let text = stdout(&keyrig(&["profiles", "--quirks"]));
    for expected in ["short-pin-uv-auth: of a pinUvAuthParam by protocol two", "documented YSA-2025-02", "noticed  "] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let all = json(&keyrig(&["profiles", "--quirks", "--json"]));
    assert_eq!(all["quirks"].as_array().unwrap().len(), 31);
    let one = stdout(&keyrig(&["faults", "touch-latch"]));
    assert!(one.starts_with("touch-latch: a touch up to 2 seconds") && one.contains("  tested   a raw host"), "{one}");
    assert_eq!(stdout(&keyrig(&["profiles", "--quirks", "touch-latch"])), one);
    let unknown = stderr(&keyrig(&["profiles", "--quirks", "keyrig"]));
    assert!(unknown.contains("no quirk is called \"keyrig\""), "{unknown}");
    assert!(stdout(&keyrig(&["faults"])).contains("Quirks: known bugs of real keys"));
}

#[test]
fn a_quirk_is_for_a_key_that_there_is_and_said_at_the_start() {
    for (arguments, expected) in [
        (
            &["serve", "--quirk", "keyrig=no-such"][..],
            "the quirks are absent-display-name, all-applications, always-uv-silent",
        ),
        (&["serve", "--quirk", "touch-latch"], "write NAME=QUIRK"),
        (&["serve", "--key", "a=keyrig", "--quirk", "b=touch-latch"], "no key is called b: the keys are a"),
        (
            &["serve", "--key", "k[1-3]=keyrig", "--quirk", "k[2-4]=touch-latch"],
            "no key is called k4: the keys are k1, k2, k3",
        ),
        (&["serve", "--key", "k[1-3]=keyrig", "--quirk", "k[2]=touch-latch"], "\"k[2]\" is no row of keys"),
        (&["serve", "--quirk", "keyrig=all-applications"], "--quirk: keyrig: all-applications is for YubiKeys"),
        (
            &["serve", "--quirk", "keyrig=no-touch-probe", "--quirk", "keyrig=probe-missing-parameter"],
            "contradict each other",
        ),
        (&["demo", "--quirk", "third=touch-latch"], "no key is called third: the keys are primary, backup"),
    ] {
        let output = keyrig(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
    }
    let directory = tempfile::tempdir().unwrap();
    let control = format!("unix:{}/control", directory.path().display());
    let serve = ["serve", "--usbip", "none", "--exit-on-stdin-end", "--control", &control];
    let text = stdout(&keyrig(&[&serve[..], &["--key", "a=yubikey-5.8", "--quirk", "a=touch-latch"]].concat()));
    assert!(
        text.contains("quirk: a: a touch up to 2 seconds before a request counts for it (Somu and Solo 1)"),
        "{text}"
    );
}

#[test]
fn serve_ends_in_order_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = directory.path().join("endpoint");
    let mut serving = Serving::start(directory.path(), &["--ctaphid", &format!("unix:{}", endpoint.display())]);
    let terminated = Command::new("kill").arg(serving.child.id().to_string()).status().unwrap();
    assert!(terminated.success());
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert!(!directory.path().join("control").exists(), "the control socket is removed");
    assert!(!endpoint.exists(), "and so is the endpoint's");
}

/// Runs `keyrig key` with text on standard input and no terminal.
fn key_with_input(serving: &Serving, arguments: &[&str], input: &str) -> Output {
    let control = format!("unix:{}", serving.listening.get("control").and_then(Value::as_str).expect("a path"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyrig"))
        .args(["key", "--control", &control])
        .args(arguments)
        .env_remove("KEYRIG_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("keyrig runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_pin_is_set_changed_and_asked_about() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a"]);
    let run = |arguments: &[&str], input: &str| {
        let output = key_with_input(&serving, arguments, input);
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let done = |text: &str| (Some(0), format!("{text}\n"), String::new());
    let refused = |text: &str| (Some(1), String::new(), format!("error: key \"a\": {text}\n"));

    assert_eq!(run(&["pin", "retries", "a"], ""), done("a: no PIN is set; 'keyrig key pin set a' sets one"));
    let set = ["pin", "set", "a", "--pin-file", "-"];
    assert_eq!(run(&set, "123\n"), refused("the PIN is too short: it must have at least 4 characters"));
    // A line as Windows ends it.
    assert_eq!(run(&set, "1234\r\nno part of it"), done("a: the PIN is set"));
    assert_eq!(run(&set, "1234\n"), refused("it has a PIN already: 'keyrig key pin change a' changes it"));
    let change = ["pin", "change", "a", "--pin-file", "-", "--new-pin-file", "-"];
    assert_eq!(run(&change, "9999\n567890\n"), refused("the PIN is wrong, 7 tries left"));
    let file = directory.path().join("pin");
    std::fs::write(&file, "567890").unwrap();
    let by_file = ["pin", "change", "a", "--pin-file", "-", "--new-pin-file", file.to_str().unwrap()];
    assert_eq!(run(&by_file, "1234"), done("a: the PIN is changed"));
    assert_eq!(run(&["pin", "retries", "a"], ""), done("a: 8 tries left"));
    let status = json(&serving.key(&["pin", "retries", "a"]));
    let expected = serde_json::json!({"key": "a", "pin_set": true, "retries": 8, "power_cycle_needed": false});
    assert_eq!(status, expected);

    for left in [7, 6] {
        assert_eq!(run(&change, "9999\n1234\n"), refused(&format!("the PIN is wrong, {left} tries left")));
    }
    let blocked = "it accepts no PIN after three wrong ones in a row: 'keyrig key power-cycle a' unblocks it";
    assert_eq!(run(&change, "9999\n1234\n"), refused(blocked));
    assert_eq!(run(&["pin", "retries", "a"], ""), done("a: 5 tries left, after 'keyrig key power-cycle a'"));
    assert!(serving.key(&["power-cycle", "a"]).status.success());
    assert_eq!(run(&change, "567890\n1234\n"), done("a: the PIN is changed"));
}

#[test]
fn a_key_that_is_not_there_or_a_pin_that_cannot_be_had_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a"]);
    let unknown = key_with_input(&serving, &["pin", "retries", "b"], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(stderr(&unknown), "error: no key is called b: the keys are a\n");
    let missing = key_with_input(&serving, &["pin", "set", "a", "--pin-file", "/nowhere/pin"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).starts_with("error: cannot read /nowhere/pin: "), "{}", stderr(&missing));
    let nothing = key_with_input(&serving, &["pin", "set", "a", "--pin-file", "-"], "");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("too short"), "{}", stderr(&nothing));
    // The PIN is not an argument: others could read it.
    assert_eq!(key_with_input(&serving, &["pin", "set", "a", "1234"], "").status.code(), Some(2));
    serving.key(&["unplug", "a"]);
    let unplugged = key_with_input(&serving, &["pin", "retries", "a"], "");
    assert_eq!(stderr(&unplugged), "error: key a is not plugged in\n");
}

/// Sends a CTAP message to key `a` by the control socket, as any program may.
fn transact(serving: &Serving, message: &str) -> Value {
    let path = serving.listening.get("control").and_then(Value::as_str).expect("a path");
    let mut stream = std::os::unix::net::UnixStream::connect(path).expect("it listens");
    writeln!(stream, r#"{{"command":"transact","key":"a","message":"{message}"}}"#).expect("it reads");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it answers");
    serde_json::from_str(&answer).expect("an object")
}

/// authenticatorMakeCredential for `pve.example.com` and `root@pam` ("root"), discoverable, in CBOR by hand.
fn make_credential(user: u8) -> String {
    let (hash, rp) = ("00".repeat(32), "a16269646f7076652e6578616d706c652e636f6d");
    let user = format!("a362696441{user:02x}646e616d6568726f6f744070616d6b646973706c61794e616d6564726f6f74");
    format!("01a5015820{hash}02{rp}03{user}0481a263616c672664747970656a7075626c69632d6b657907a162726bf5")
}

#[test]
fn credentials_are_listed_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "keyrig=a"]);
    for user in [1, 2] {
        assert!(transact(&serving, &make_credential(user))["message"].as_str().unwrap().starts_with("00"));
    }
    let refused = key_with_input(&serving, &["credentials", "list", "a", "--pin-file", "-"], "1234");
    assert_eq!(stderr(&refused), "error: key \"a\": it has no PIN yet: 'keyrig key pin set a' sets one\n");
    assert!(key_with_input(&serving, &["pin", "set", "a", "--pin-file", "-"], "1234").status.success());
    let wrong = key_with_input(&serving, &["credentials", "list", "a", "--pin-file", "-"], "9999");
    assert_eq!(
        (wrong.status.code(), stderr(&wrong).as_str()),
        (Some(1), "error: key \"a\": the PIN is wrong, 7 tries left\n")
    );

    let list = |arguments: &[&str]| {
        let output =
            key_with_input(&serving, &[&["credentials", "list", "a", "--pin-file", "-"], arguments].concat(), "1234");
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let listed = json(&list(&["--json"]));
    assert_eq!((&listed["key"], &listed["existing"]), (&Value::from("a"), &Value::from(2)));
    let credentials = listed["credentials"].as_array().unwrap();
    let ids: Vec<_> = credentials.iter().map(|credential| credential["credential_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    for credential in credentials {
        assert_eq!(credential["rp_id"], "pve.example.com");
        assert_eq!(credential["user_name"], "root@pam");
    }
    let shown = stdout(&list(&[]));
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("a: 2 discoverable credentials, room for "), "{shown}");
    assert_eq!(lines[1..3], ["", "pve.example.com"]);
    for (line, id) in lines[3..].iter().zip(&ids) {
        assert_eq!(*line, format!("  root@pam (root)  {id}"));
    }

    let delete =
        |id: &str| key_with_input(&serving, &["credentials", "delete", "a", "--pin-file", "-", "--", id], "1234");
    let unknown = delete("no-such-id");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("no credential id begins with \"no-such-id\""), "{}", stderr(&unknown));
    assert!(stderr(&delete("")).contains("several"), "an empty id is everybody's beginning");
    let deleted = delete(ids[0]);
    assert_eq!(stdout(&deleted), "a: deleted root@pam (root) of pve.example.com\n", "{}", stderr(&deleted));
    let left = json(&list(&["--json"]));
    assert_eq!(left["existing"], 1);
    assert_eq!(left["credentials"][0]["credential_id"], ids[1]);
}

#[test]
fn an_error_for_programs_is_one_line_with_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "a=keyrig"]);
    let control = serving.listening["control"].as_str().unwrap().to_owned();
    let nobody = format!("unix:{}/nobody", directory.path().display());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("notes"), "mine").unwrap();
    let serve = ["serve", "--json", "--usbip", "127.0.0.1:0", "--control", &nobody];
    let cases: [(&[&str], i32, &str, &str); 10] = [
        (&["key", "list", "--json", "--control", &nobody], 1, "rack-not-running", "no keyrig listens on"),
        (&["key", "touch", "b", "--json", "--control", &control], 1, "unknown-key", "no key is called b"),
        (
            &["key", "pin", "set", "a", "--json", "--control", &control, "--pin-file", "/nowhere"],
            1,
            "cannot-read",
            "/nowhere",
        ),
        (&["key", "toch", "--json"], 2, "usage", "unrecognized subcommand"),
        (&["serve", "--json", "--usbip", &address, "--control", &nobody], 1, "port-in-use", &address),
        (&[&serve[..], &["--key", "a=keyrig", "--key", "a=keyrig"]].concat(), 2, "same-name", "two keys are called a"),
        (&[&serve[..], &["--finger", "c"]].concat(), 2, "no-such-finger", "no key has that name"),
        (
            &[&serve[..], &["--state", foreign.to_str().unwrap()]].concat(),
            1,
            "state-foreign",
            "is not a state directory",
        ),
        (&["serve", "--json", "--usbip", "127.0.0.1:0", "--control", &control], 1, "control-in-use", "another keyrig"),
        (&["profiles", "yubikey-9", "--json"], 2, "usage", "the profiles are"),
    ];
    for (arguments, code, word, message) in cases {
        let output = keyrig(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        let said = stderr(&output);
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        let error: Value = serde_json::from_str(&said).unwrap();
        assert_is("error", &error);
        assert_eq!(error["error"]["code"], word, "{said}");
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{said}");
    }
    let said: Value = serde_json::from_str(&stderr(&keyrig(&["key", "list", "--json", "--control", &nobody]))).unwrap();
    assert!(said["error"]["what_to_do"].as_str().unwrap().starts_with("start one with 'keyrig serve'"), "{said}");
}

#[test]
fn what_serve_prints_of_its_control_socket_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "a=keyrig"]);
    let control = serving.listening["control"].as_str().unwrap();
    for path in [control.to_owned(), format!("unix:{control}")] {
        assert!(keyrig(&["key", "list", "--control", &path]).status.success(), "{path}");
        let by_environment =
            Command::new(env!("CARGO_BIN_EXE_keyrig")).args(["key", "list"]).env("KEYRIG_CONTROL", &path).output();
        assert!(by_environment.unwrap().status.success(), "{path}");
    }
}

#[test]
fn what_the_environment_lacks_or_says_wrongly_is_named() {
    let with = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrig"));
        let output = command.args(["key", "list"]).env_clear().envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, said) = with(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("neither XDG_RUNTIME_DIR nor HOME is set"), "{said}");
    let (code, said) = with(&[("KEYRIG_CONTROL", "unix:")]);
    assert_eq!(code, Some(2));
    assert!(said.contains("KEYRIG_CONTROL names no path"), "{said}");
    let (code, said) = with(&[("HOME", "/"), ("KEYRIG_LOG", "lots")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("write error, warn, info, debug or trace"), "{said}");
}

#[test]
fn where_no_terminal_is_there_the_option_that_helps_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(directory.path(), &["--key", "a=keyrig"]);
    assert!(key_with_input(&serving, &["pin", "set", "a", "--pin-file", "-"], "1234").status.success());
    let control = format!("unix:{}", serving.listening["control"].as_str().unwrap());
    // In a session without a terminal.
    let without_terminal = |arguments: &[&str]| {
        let mut child = Command::new("setsid")
            .args(["-w", env!("CARGO_BIN_EXE_keyrig"), "key", "--control", &control])
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"1234\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let output = without_terminal(&["pin", "change", "a", "--pin-file", "-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("name a file with --new-pin-file, or -"), "{}", stderr(&output));
}

#[test]
fn no_line_of_help_is_wider_than_a_terminal() {
    fn check(command: &[String]) {
        let arguments: Vec<_> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = stdout(&keyrig(&arguments));
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
        let Some(commands) = help.split("Commands:\n").nth(1) else { return };
        for line in commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   ")) {
            let name = line.split_whitespace().next().unwrap();
            if name != "help" {
                check(&[command, &[name.to_owned()]].concat());
            }
        }
    }
    check(&[]);
}
