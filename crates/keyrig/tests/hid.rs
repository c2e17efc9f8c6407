//! `keyrig hid`, and scenarios on keys as if they were hardware: software keys of `keyrig exec`, plugged in, touched and pulled out by a
//! script that reads what a person is asked on a terminal.

#![cfg(test)]
#![cfg(target_os = "linux")]

#[path = "support/program.rs"]
mod program;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

const KEYRIG: &str = env!("CARGO_BIN_EXE_keyrig");

/// What a person was asked, and what came of it.
struct Sitting {
    printed: String,
    code: i32,
}

/// Keys in the hands of a script, in a folder with what it takes.
struct Hands {
    folder: tempfile::TempDir,
}

impl Hands {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn control(&self) -> String {
        format!("unix:{}/control", self.path().display())
    }

    /// A command for the keys that are in the hands.
    fn key(&self, arguments: &[&str]) -> Output {
        let control = self.control();
        program::run(&mut program::keyrig(&[&["key", "--control", &control], arguments].concat()), "")
    }

    /// Runs `keyrig` on a terminal among keys, of which those in `out` are not plugged in yet; the PIN is typed where it is asked for.
    fn sit(&self, keys: &[&str], out: &[&str], pin: &str, arguments: &[&str]) -> Sitting {
        let mut command = Command::new("setsid");
        command.args([
            "--ctty",
            "--wait",
            KEYRIG,
            "exec",
            "--quiet",
            "--touch",
            "manual",
            "--control",
            &self.control(),
        ]);
        for key in keys {
            command.args(if key.starts_with("--") { vec![*key] } else { vec!["--key", key] });
        }
        let before: String = out.iter().map(|key| format!("\"$0\" key unplug {key} >/dev/null && ")).collect();
        // What is left on the keys is told behind.
        let first = keys.first().and_then(|key| key.split('=').next()).unwrap();
        let left = format!("\"$0\" key list --json >left.json; \"$0\" key pin retries {first} >retries.txt 2>&1");
        let script = format!("{before}{{ \"$0\" \"$@\"; code=$?; {left}; exit $code; }}");
        command.args(["--", "sh", "-c", &script, KEYRIG]).args(arguments);
        command
            .current_dir(self.path())
            .env("NO_COLOR", "1")
            .env_remove("KEYRIG_LOG")
            .env_remove("GITHUB_STEP_SUMMARY");
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(&name, flags, Mode::empty()).unwrap());
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let mut child = command.spawn().unwrap();
        drop(command);
        let printed = self.answer(File::from(controller), pin);
        let code = child.wait().unwrap().code().unwrap();
        Sitting { printed, code }
    }

    /// Does what is asked, until nobody asks any more. What is asked again is done again, which changes nothing.
    fn answer(&self, mut terminal: File, pin: &str) -> String {
        let (mut printed, mut done) = (String::new(), 0);
        let mut buffer = [0; 4096];
        // EIO: nobody has the terminal open any more (pty(7)).
        while let Ok(read @ 1..) = terminal.read(&mut buffer) {
            printed.push_str(&String::from_utf8_lossy(&buffer[..read]));
            while let Some((end, asked)) = next(&printed[done..]) {
                done += end;
                match asked {
                    Asked::Key(deed, key) => drop(self.key(&[deed, &key])),
                    Asked::Pin => terminal.write_all(format!("{pin}\n").as_bytes()).unwrap(),
                }
            }
        }
        printed
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path().join(file)).unwrap()).unwrap()
    }
}

enum Asked {
    Key(&'static str, String),
    Pin,
}

/// The first thing that is asked in a text, and where that ends.
fn next(text: &str) -> Option<(usize, Asked)> {
    let key = |before: &str, behind: &str, deed| {
        let start = text.find(before)? + before.len();
        let length = text[start..].find('"')?;
        let end = start + length + behind.len();
        text[start + length..]
            .starts_with(behind)
            .then(|| (end, Asked::Key(deed, text[start..start + length].to_owned())))
    };
    let pin = "\", or nothing: ";
    let all = [
        key("insert key \"", "\"", "plug"),
        key("take key \"", "\" out", "unplug"),
        key("→ touch key \"", "\" now", "touch"),
        text.find(pin).map(|at| (at + pin.len(), Asked::Pin)),
    ];
    all.into_iter().flatten().min_by_key(|(end, _)| *end)
}

const TWO_KEYS: &str = r#"
[[key]]
name = "primary"

[[key]]
name = "backup"
profile = "yubikey-5.7"
plugged = false

[[step]]
register = "primary"

[[step]]
login = "primary"

[[step]]
plug = "backup"

[[step]]
register = "backup"

[[step]]
unplug = "primary"

[[step]]
login = "backup"
expect = { blinked = ["backup"], touched = "backup", key = "backup" }

[[step]]
clone = "backup"
as = "copy"

[[step]]
login = "copy"

[[step]]
password-login = "root@pam"
expect = { refused-by = "relying-party", code = "second_factor_required" }
"#;

#[test]
fn a_person_inserts_touches_and_takes_out_what_a_scenario_names_and_hardware_skips_what_it_cannot() {
    let hands = Hands::new(&[("s.toml", TWO_KEYS)]);
    let keys = ["primary=keyrig", "backup=yubikey-5.7"];
    let run = ["run", "s.toml", "--on", "hid", "--json", "out.json", "--junit", "out.xml"];
    let Sitting { printed, code } = hands.sit(&keys, &["primary", "backup"], "", &run);
    assert_eq!(code, 0, "{printed}");
    let asked = [
        "insert key \"primary\"",
        "touch key \"primary\" now",
        "insert key \"backup\" (yubikey-5.7)",
        "touch key \"backup\" now",
        "take key \"primary\" out",
    ];
    for asked in asked {
        assert!(printed.contains(asked), "{asked}: {printed}");
    }
    let results = hands.json("out.json");
    let skipped: Vec<_> = results["runs"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["skipped"].is_string())
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(skipped, ["clone backup", "log in with copy"]);
    let profile = results["runs"][0]["keys"][0]["profile"].as_str().unwrap();
    assert!(profile.ends_with(" at 1-1"), "{profile}");
    let junit = fs::read_to_string(hands.path().join("out.xml")).unwrap();
    assert!(junit.contains("skip clone backup: nobody can make another key of backup"), "{junit}");
}

/// A second factor that is a key whose PIN the scenario has.
const RESET: &str = r#"
[[key]]
name = "primary"

[[step]]
register = "primary"

[[step]]
power-cycle = "primary"

[[step]]
reset = "primary"

[[step]]
login = "primary"
expect = { refused-by = "authenticator", code = "no-credentials" }
"#;

#[test]
fn what_destroys_is_not_begun_unless_the_key_is_named() {
    let hands = Hands::new(&[("s.toml", RESET)]);
    for allowed in [&[][..], &["--allow-destructive", "backup"]] {
        let run = [&["run", "s.toml", "--on", "hid"], allowed].concat();
        let Sitting { printed, code } = hands.sit(&["primary=keyrig"], &["primary"], "", &run);
        assert_eq!(code, 1, "{printed}");
        assert!(
            printed.contains("reset primary, has the key forget everything: that was not allowed for this key"),
            "{printed}"
        );
        assert!(printed.contains("--allow-destructive primary allows it"), "{printed}");
        // Nobody was asked for anything.
        assert!(!printed.contains("insert key"), "{printed}");
    }
    let run = ["run", "s.toml", "--on", "hid", "--allow-destructive", "primary"];
    let Sitting { printed, code } = hands.sit(&["primary=keyrig"], &["primary"], "", &run);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

/// What a site asks for is not known beforehand: it is held back on the way to the key.
#[test]
fn a_credential_that_would_be_stored_is_not_sent_to_a_key_that_is_not_named() {
    let stored = "[site]\npasskey-login = true\n\n[[key]]\nname = \"primary\"\n\n[[step]]\nregister = \"primary\"\n\
        options = { authenticatorSelection = { residentKey = \"required\", requireResidentKey = true, userVerification = \"discouraged\" } }\n";
    let hands = Hands::new(&[("s.toml", stored), ("pin", "738291\n")]);
    let run = ["run", "s.toml", "--on", "hid"];
    // A browser stores none on a key without a PIN.
    let keys = ["primary=keyrig", "--pin=primary=pin"];
    let Sitting { printed, code } = hands.sit(&keys, &["primary"], "738291", &run);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("PIN of key \"primary\", or nothing: ") && !printed.contains("738291"), "{printed}");
    assert!(printed.contains("none of its steps could be done"), "{printed}");
    assert!(printed.contains("a credential that is stored on it was not sent to it"), "{printed}");
    assert_eq!(hands.json("left.json")["keys"][0]["discoverable_credentials"], 0);
    assert!(!printed.contains("of these runs"), "{printed}");
    // Where it is allowed, it stays there, and that is told.
    let allowed = [&run[..], &["--allow-destructive", "primary", "--json", "out.json"]].concat();
    let Sitting { printed, code } = hands.sit(&keys, &["primary"], "738291", &allowed);
    assert_eq!(code, 0, "{printed}");
    let printed: Vec<_> = printed.split_whitespace().collect();
    assert!(printed.join(" ").contains("key primary keeps 1 discoverable credential of these runs"), "{printed:?}");
    assert_eq!(hands.json("left.json")["keys"][0]["discoverable_credentials"], 1);
    assert_eq!(hands.json("out.json")["runs"][0]["left_on_keys"], serde_json::json!({ "primary": 1 }));
}

#[test]
fn the_last_three_tries_at_a_pin_are_never_spent() {
    let mut guesses = "[[key]]\nname = \"primary\"\npin = \"738291\"\n".to_owned();
    // Three in a row, and the key wants to be pulled out (CTAP 2.3 §6.5.5.7).
    for guess in 1..=6 {
        guesses.push_str("\n[[step]]\nwrong-pin = \"primary\"\nexpect = { refused-by = \"authenticator\" }\n");
        if guess % 2 == 0 {
            guesses.push_str("\n[[step]]\npower-cycle = \"primary\"\n");
        }
    }
    let hands = Hands::new(&[("s.toml", &guesses)]);
    let run = ["run", "s.toml", "--on", "hid", "--allow-destructive", "primary"];
    let Sitting { printed, code } = hands.sit(&["primary=keyrig"], &["primary"], "", &run);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("its PIN was not tried: it has 3 tries left, and is left with 3"), "{printed}");
    let left = fs::read_to_string(hands.path().join("retries.txt")).unwrap();
    assert_eq!(left, "primary: 3 tries left\n");
}

#[test]
fn a_key_of_a_lab_is_refused_at_another_port_and_its_power_is_switched_by_the_labs_command() {
    let switch = format!("if [ {{}} = on ]; then {KEYRIG} key plug b; else {KEYRIG} key unplug b; fi");
    let lab = format!(
        "[key.a]\ntopology = \"1-2\"\nserial = \"a\"\n\n[key.b]\ntopology = \"1-2\"\npower = '{switch}'\ntouch = '{KEYRIG} key touch $KEYRIG_KEY'\n"
    );
    let lab = lab.replace("[key.a]\ntopology = \"1-2\"", "[key.a]\ntopology = \"1-7\"");
    let on = |key: &str| {
        format!(
            "[[key]]\nname = \"{key}\"\n\n[[step]]\nregister = \"{key}\"\n\n[[step]]\npower-cycle = \"{key}\"\n\n[[step]]\nlogin = \"{key}\"\n"
        )
    };
    let (of_a, of_b) = (on("a"), on("b"));
    let hands = Hands::new(&[("lab.toml", &lab), ("a.toml", &of_a), ("b.toml", &of_b)]);
    let keys = ["a=keyrig", "b=keyrig"];
    let Sitting { printed, code } = hands.sit(&keys, &[], "", &["run", "a.toml", "--on", "hid"]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("key \"a\" belongs at 1-7, and was found at 1-1"), "{printed}");
    // Nobody is asked for a key that a lab has in hand.
    let Sitting { printed, code } = hands.sit(&keys, &["b"], "", &["run", "b.toml", "--on", "hid"]);
    assert_eq!(code, 0, "{printed}");
    assert!(!printed.contains('→'), "{printed}");
    let Sitting { printed, code } = hands.sit(&keys, &[], "", &["hid", "power", "b", "--check"]);
    assert!(code == 0 && printed.contains("the port 1-2 switches"), "{printed}");
    let dead = lab.replace(&switch, "true {}");
    fs::write(hands.path().join("lab.toml"), dead).unwrap();
    let Sitting { printed, code } = hands.sit(&keys, &[], "", &["hid", "power", "b", "--check"]);
    assert!(code == 1 && printed.contains("this port does not switch"), "{printed}");
}

/// What a 5.4 says of itself beside a 5.7, as their makers' metadata has it: 1200 and 1280 bytes, and no ES384.
#[test]
fn a_difference_that_is_planted_in_a_profile_is_found_and_the_profiles_line_proposed() {
    let scenario = "[[key]]\nname = \"primary\"\nprofile = \"yubikey-5.7\"\n\n[[step]]\nregister = \"primary\"\n\n[[step]]\nlogin = \"primary\"\n";
    let hands = Hands::new(&[("s.toml", scenario)]);
    let run = ["run", "s.toml", "--compare", "usbip,hid"];
    let Sitting { printed, code } = hands.sit(&["primary=yubikey-5.4"], &["primary"], "", &run);
    assert_eq!(code, 1, "{printed}");
    let found: Vec<_> = printed.split_whitespace().collect();
    let found = found.join(" ");
    for expected in [
        "primary authenticatorGetInfo: maxMsgSize: 1280, and the real key 1200",
        "max_msg_size = 1200",
        "# no max_cred_blob_length",
        "versions = [\"U2F_V2\", \"FIDO_2_0\", \"FIDO_2_1_PRE\"]",
        "aaguid = \"2fc0579f-8113-47ea-b116-bb5a8db9202a\"",
    ] {
        assert!(found.contains(expected), "{expected}: {printed}");
    }
    // The same key beside itself is not otherwise.
    let scenario = scenario.replace("5.7", "5.4");
    fs::write(hands.path().join("s.toml"), scenario).unwrap();
    let Sitting { printed, code } = hands.sit(&["primary=yubikey-5.4"], &["primary"], "", &run);
    assert!(code == 0 && printed.contains("nothing is otherwise"), "{printed}");
}

/// What is settled by a record of a profile is what the profile has, as somebody wrote it down: and nothing of it is this key's own.
#[test]
fn a_record_has_what_the_key_does_and_makes_a_profile_of_it_without_what_is_its_own() {
    for (profile, no_credentials, key_handle) in
        [("yubikey-5.7", "after-touch", 64), ("solo-1", "at-once", 70), ("feitian-epass", "after-touch-if-listed", 96)]
    {
        let hands = Hands::new(&[]);
        let script = concat!(
            "\"$0\" hid record /dev/hidraw0 --quick >key.json && \"$0\" hid record 1-1 --quick --with-serial >own.json && ",
            "\"$0\" hid list --json >list.json"
        );
        let key = format!("a={profile}");
        let exec = ["exec", "--quiet", "--touch", "auto", "--key", &key, "--", "sh", "-c", script, KEYRIG];
        let output = program::run(program::keyrig(&exec).current_dir(hands.path()), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{profile}: {said}");
        assert!(said.contains("a credential that is stored nowhere: touch it when it blinks"), "{said}");
        let text = fs::read_to_string(hands.path().join("key.json")).unwrap();
        let own = fs::read_to_string(hands.path().join("own.json")).unwrap();
        let listed = hands.json("list.json");
        if let Some(serial) = listed["keys"][0]["serial"].as_str().and_then(|serial| serial.parse::<u32>().ok()) {
            let told = format!("0204{serial:08x}");
            assert!(!text.contains(&told) && own.contains(&told), "{profile}: {told}");
        }
        let output = program::run(program::keyrig(&["profiles", "import", "key.json"]).current_dir(hands.path()), "");
        assert!(output.status.success(), "{profile}: {}", String::from_utf8_lossy(&output.stderr));
        let made: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../authenticator/profiles/{profile}.toml"));
        let original: toml::Table = fs::read_to_string(original).unwrap().parse().unwrap();
        for field in ["aaguid", "versions", "extensions", "max_msg_size", "pin_uv_auth_protocols"] {
            assert_eq!(made.get(field), original.get(field), "{profile}: {field}");
        }
        let behaviour = |field: &str| made["behaviour"].get(field).map(|stated| stated["is"].clone());
        assert_eq!(behaviour("no_credentials"), Some(no_credentials.into()), "{profile}: {text}");
        assert_eq!(behaviour("key_handle_length"), Some(key_handle.into()), "{profile}: {text}");
    }
}

#[test]
fn what_is_no_record_is_told() {
    let hands = Hands::new(&[("half.json", "{\"format\": 1"), ("later.json", "{}")]);
    for file in ["half.json", "later.json", "nowhere.json"] {
        let output = program::run(program::keyrig(&["profiles", "import", file]).current_dir(hands.path()), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(file), "{said}");
    }
    let output = program::run(
        program::keyrig(&["run", ".", "--compare", "usbip"]).current_dir(hands.path()).stdin(Stdio::null()),
        "",
    );
    assert_eq!(output.status.code(), Some(2));
}
