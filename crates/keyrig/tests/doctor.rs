//! `keyrig doctor` as a user meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
mod terminal;

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
    std::fs::create_dir(path("priv")).expect("it is made");
    let copied = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed/pve");
    for name in ["datacenter.cfg", "user.cfg", "priv/tfa.cfg"] {
        std::fs::copy(copied.join(name), path(name)).expect("it is copied");
    }
    let whole = std::fs::read_to_string(path("priv/tfa.cfg")).expect("text");
    for tfa in [whole.clone(), whole.replace("\"recovery\"", "\"totp\""), whole.replace('{', "SECRET")] {
        std::fs::write(path("priv/tfa.cfg"), tfa).expect("it is written");
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
