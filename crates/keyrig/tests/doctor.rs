//! `keyrig doctor` as a user meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
mod terminal;

use std::fs;
use std::path::Path;

use crate::program::{keyrig, run};
use crate::terminal::prints_what_is_written;

#[test]
fn a_cluster() {
    prints_what_is_written("doctor-cluster");
}

#[test]
fn any_site() {
    prints_what_is_written("doctor-site");
}

#[test]
fn the_files_of_a_node() {
    prints_what_is_written("doctor-pve");
}

/// What is secret in priv/tfa.cfg is nowhere in what is printed, nor in the words of an error.
#[test]
fn no_secret_is_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("priv")).expect("it is made");
    let copied = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed/pve");
    for name in ["datacenter.cfg", "user.cfg", "priv/tfa.cfg"] {
        fs::copy(copied.join(name), path(name)).expect("it is copied");
    }
    let whole = fs::read_to_string(path("priv/tfa.cfg")).expect("text");
    for tfa in [whole.clone(), whole.replace("\"recovery\"", "\"totp\""), whole.replace('{', "SECRET")] {
        fs::write(path("priv/tfa.cfg"), tfa).expect("it is written");
        for json in [&[][..], &["--json"]] {
            let directory = directory.path().to_str().expect("text");
            let output = run(&mut keyrig(&[&["doctor", "--pve", directory], json].concat()), "");
            let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
            assert!(text.contains("root@pam") || text.contains("priv/tfa.cfg:"), "{text}");
            assert!(!text.contains("SECRET"), "{text}");
        }
    }
}

#[test]
fn what_is_called_wrongly_is_told_so() {
    prints_what_is_written("doctor-called-wrongly");
}

#[test]
fn a_node_has_a_name_and_nothing_else() {
    for name in ["", "pve1:8006", "https://pve1", "a b", ".", "pve1."] {
        let output = run(&mut keyrig(&["doctor", "--rp-id", "example.com", "--node", name]), "");
        assert_eq!(output.status.code(), Some(2), "{name:?}");
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(text.contains("write a host's name alone"), "{text}");
    }
}

/// What has no origin but null is no address of a site, and is shown as it was typed.
#[test]
fn what_is_no_address_of_a_site_is_refused() {
    for text in ["htp:/foo", "file:///srv/login.html", "data:text/html,x", "about:blank"] {
        let output = run(&mut keyrig(&["doctor", "--rp-id", "example.com", "--from", text]), "");
        assert_eq!(output.status.code(), Some(2), "{text}");
        let told = String::from_utf8(output.stderr).expect("text");
        assert!(told.contains(&format!("'{text}'")) && told.contains("begins with https://"), "{told}");
    }
    let output = run(&mut keyrig(&["doctor", "--rp-id", "example.com", "--from", "null"]), "");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.code() == Some(1) && !told.contains("plain http") && told.contains("row 28"), "{told}");
}

/// What the doctor says works is what the relying party takes: the line that it proposes is read by it.
#[test]
fn the_proposed_line_is_a_good_one() {
    let line = "rp=Cluster,id=pve1.example.com,origin=https://pve1.example.com:8006";
    let nodes = ["--node", "pve1", "--node", "pve2"];
    let diagnosed = run(&mut keyrig(&[&["doctor", "--json", "--webauthn", line], &nodes[..]].concat()), "");
    assert_eq!(diagnosed.status.code(), Some(1));
    let diagnosis: serde_json::Value = serde_json::from_slice(&diagnosed.stdout).expect("JSON");
    let line = diagnosis["mend"]["line"].as_str().expect("a line");
    let again = run(&mut keyrig(&[&["doctor", "--webauthn", line], &nodes[..]].concat()), "");
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stdout));
}

/// What the doctor says of a copy of a node's directory whose datacenter.cfg is this, and its exit status.
fn of_a_node(datacenter_cfg: &[u8]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("priv")).expect("it is made");
    let copied = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed/pve");
    for name in ["corosync.conf", "user.cfg", "priv/tfa.cfg"] {
        fs::copy(copied.join(name), directory.path().join(name)).expect("it is copied");
    }
    fs::write(directory.path().join("datacenter.cfg"), datacenter_cfg).expect("it is written");
    told(&["doctor", "--pve", directory.path().to_str().expect("text")])
}

/// What is printed, without the ends of lines that a terminal's width makes, and the exit status.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(&mut keyrig(arguments), "");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (output.status.code(), text)
}

/// A line that cannot be read is pointed at, and does not keep the doctor from the rest: a line is proposed, by the origin in the one
/// that is there, the nodes are judged under it, and who has which factors is said.
#[test]
fn a_broken_line_is_pointed_at_and_the_rest_is_told() {
    for (line, place, problem) in [
        ("webauthn: rp=x,origin=https://pve1.example.com:8006,id", ":2:53: ", "\"id\" has no value"),
        (
            "webauthn: rp=x,id=example.com,origin=https://pve1.example.com:8006,bogus=1",
            ":2:68: ",
            "\"bogus\" is unknown",
        ),
        (
            "webauthn rp=x,id=example.com,origin=https://pve1.example.com:8006",
            ":2:9: ",
            "this looks like the webauthn line",
        ),
        (
            " webauthn: rp=x,id=example.com,origin=https://pve1.example.com:8006",
            ":2:1: ",
            "this looks like the webauthn line",
        ),
        ("webauthn: id=a.example,id=b.example,origin=https://pve1.example.com:8006", ":2:24: ", "id stands here twice"),
    ] {
        let (status, text) = of_a_node(format!("keyboard: de\n{line}\n").as_bytes());
        assert_eq!(status, Some(1), "{text}");
        for expected in [
            &format!("datacenter.cfg{place}{problem}")[..],
            &format!("2 | {}", line.trim_end()),
            "propose  webauthn: rp=example.com,id=example.com",
            "works    https://pve1.example.com:8006",
            "works    https://pve2.example.com:8006",
            "Second factors:",
            "alice@pve",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
    // Nothing says the domain.
    let (status, text) = of_a_node(b"webauthn:\n");
    assert_eq!(status, Some(1), "{text}");
    for expected in ["datacenter.cfg:1:10: ", "a line needs an address", "Second factors:"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    // What is no text is none at all.
    let (status, text) = of_a_node(b"webauthn: \xff\xfe");
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("datacenter.cfg: it cannot be read"), "{text}");
}

#[test]
fn a_datacenter_cfg_alone_is_judged_as_in_its_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a copy.cfg");
    let name = file.to_str().expect("text");
    let nodes = ["--from", "https://pve1.example.com:8006", "--node", "pve2"];
    for (text, problem) in [
        ("keyboard: de\n", "has no webauthn line: WebAuthn is off"),
        ("", "has no webauthn line: WebAuthn is off"),
        ("webauthn: rp=x,id\n", ":1:16: \"id\" has no value"),
    ] {
        fs::write(&file, text).expect("it is written");
        let (status, told) = told(&[&["doctor", "--config", name], &nodes[..]].concat());
        assert_eq!(status, Some(1), "{told}");
        for expected in
            [problem, "propose  webauthn: rp=example.com,id=example.com", "works    https://pve2.example.com:8006"]
        {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
    // What is no datacenter.cfg, and what is not there.
    for text in [Some("user:root@pam:1:0:::::x:\n"), Some("{\"users\": {}}"), None] {
        match text {
            Some(text) => fs::write(&file, text).expect("it is written"),
            None => fs::remove_file(&file).expect("it was there"),
        }
        let (status, told) = told(&[&["doctor", "--config", name], &nodes[..]].concat());
        assert_eq!(status, Some(2), "{told}");
    }
}

/// As user.cfg and the other files of a copy are.
#[test]
fn lines_that_cr_alone_ends_are_read_and_told() {
    let line = "webauthn: rp=Cluster,id=example.com,origin=https://pve1.example.com:8006";
    let (status, expected) = of_a_node(format!("keyboard: de\n{line}\n").as_bytes());
    let expected = expected.lines().take_while(|line| !line.starts_with("unseen")).collect::<Vec<_>>();
    for text in [format!("keyboard: de\r{line}\r"), format!("\u{feff}{line}\n")] {
        let (found, told) = of_a_node(text.as_bytes());
        assert_eq!(found, status, "{told}");
        assert!(expected.iter().all(|line| told.lines().any(|told| told == *line)), "{told}");
        assert!(told.contains("which Proxmox VE does not read: it was passed over"), "{told}");
    }
    // Where something is wrong is said by the line that it is for people.
    let (status, told) = of_a_node(b"keyboard: de\rwebauthn: rp=x,id\r");
    assert!(status == Some(1) && told.contains("datacenter.cfg:2:16: "), "{told}");
}
