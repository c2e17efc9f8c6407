//! `keyrig doctor` as a user meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
mod terminal;

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
fn what_is_called_wrongly_is_told_so() {
    prints_what_is_written("doctor-called-wrongly");
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
