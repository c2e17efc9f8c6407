//! Whatever somebody else wrote, no command lets it do anything to a terminal: names with an escape sequence, a turn of
//! direction and a space without width, through everything that prints them.

#[path = "support/program.rs"]
mod program;

use std::path::Path;
use std::process::Stdio;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::program::{keyrig, run};

const HOSTILE: &str = "a\u{1b}[2J\u{202e}b\u{200b}c";

/// What is printed has the name, and nothing in it that is not seen; returns all that was printed.
fn shown(arguments: &[&str], input: &str) -> String {
    let output = run(&mut keyrig(arguments), input);
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(all).expect("text");
    let is_hidden =
        |character: char| (character.is_control() && character != '\n') || matches!(character, '\u{202e}' | '\u{200b}');
    // RFC 4180 ends lines so.
    let lines = if arguments.contains(&"--csv") { text.replace("\r\n", "\n") } else { text.clone() };
    assert!(!lines.contains(is_hidden), "{arguments:?}: {text:?}");
    assert!(text.contains("202e") && text.contains("200b"), "{arguments:?} shows it: {text}");
    text
}

/// A database into which somebody wrote what no command lets in.
fn hostile_site(directory: &Path) -> String {
    let state = directory.to_str().expect("text").to_owned();
    let added = run(&mut keyrig(&["rp", "user", "add", "alice@pve", "--state", &state]), "");
    assert!(added.status.success());
    let database = Connection::open(directory.join("relying-party.sqlite")).expect("it opens");
    let write = |sql: &str| database.execute(sql, [HOSTILE]).expect("it is written");
    database.pragma_update(None, "foreign_keys", false).expect("it is set");
    write("UPDATE users SET name = ?1, realm = 'pve', comment = ?1");
    write("INSERT INTO realms VALUES (?1, 'pve', ?1, 'none', NULL, NULL)");
    write("INSERT INTO user_groups (name, comment) VALUES (?1, ?1)");
    write("INSERT INTO group_members VALUES (1, ?1)");
    write("INSERT INTO roles VALUES (?1, ?1, 2)");
    write("INSERT INTO acl VALUES (?1, NULL, ?1)");
    write("INSERT INTO factors VALUES ('damaged' || ?1, 1, 'kind' || ?1, ?1, 0, NULL, 1)");
    write("INSERT INTO factors VALUES ('key' || ?1, 1, 'webauthn', ?1, 1, NULL, 1)");
    let credential = "INSERT INTO webauthn_credentials VALUES ('key' || ?1, x'02', x'', 7, 0, 0, 0, '[]', ?1, x'01', zeroblob(16), \
                      ?1, x'', x'', 0)";
    write(credential);
    write("INSERT INTO site VALUES (1, 'x' || ?1, ?1, 0, ?1)");
    let report = json!({ "explanation": HOSTILE }).to_string();
    database
        .execute(
            "INSERT INTO events (time, kind, user, actor, detail, report_id, report)
             VALUES (1, 'login_refused', ?1, 'nobody', ?1, 'id', ?2)",
            params![HOSTILE, report],
        )
        .expect("it is written");
    state
}

#[test]
fn a_site() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = hostile_site(directory.path());
    let rp = |words: &[&str]| shown(&[&["rp"], words, &["--state", &state]].concat(), "");
    for words in [
        &["user", "list"][..],
        &["user", "tfa", "list"],
        &["user", "permissions"],
        &["group", "list"],
        &["role", "list"],
        &["acl", "list"],
        &["group", "add", HOSTILE],
        &["role", "add", HOSTILE],
        &["realm", "add", HOSTILE, "--type", "pve"],
        &["audit"],
        &["audit", "--csv"],
        &["events"],
        &["report", "id"],
        &["realm", "list"],
        &["realm", "modify", "pve", "--tfa", "type=any"],
        // What is given, and refused.
        &["report", HOSTILE],
        &["events", "--user", HOSTILE, "--limit", HOSTILE],
        &["user", "tfa", "delete", HOSTILE],
        &["realm", "modify", HOSTILE, "--tfa", "type=any"],
        &["realm", "modify", "pve", "--tfa", HOSTILE],
    ] {
        rp(words);
    }
    // Programs get the same, escaped as JSON has it.
    let escaped =
        |words: &[&str]| -> Value { serde_json::from_str(rp(words).lines().next().expect("a line")).expect("JSON") };
    let name = format!("{HOSTILE}@pve");
    assert_eq!(escaped(&["user", "list", "--json"])[0]["name"], name);
    assert_eq!(escaped(&["user", "tfa", "list", "--json"])[0]["factors"][0]["description"], HOSTILE);
    assert_eq!(escaped(&["audit", "--json"])["users"][0]["comment"], HOSTILE);
    assert_eq!(escaped(&["report", "id", "--json"])["report"]["explanation"], HOSTILE);
    assert_eq!(escaped(&["realm", "list", "--json"]).as_array().map(Vec::len), Some(3));
    assert!(escaped(&["report", HOSTILE, "--json"])["error"]["message"].as_str().expect("text").contains(HOSTILE));
}

#[test]
fn settings_and_options() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in [
        ("datacenter.cfg", format!("webauthn: rp={HOSTILE},id=example.com,origin={HOSTILE}\n")),
        ("site.toml", format!("rp_id = \"localhost\"\n{HOSTILE} = 1\n")),
    ] {
        let file = directory.path().join(name);
        std::fs::write(&file, content).expect("it is written");
        let state = directory.path().join("state");
        let (file, state) = (file.to_str().expect("text"), state.to_str().expect("text"));
        shown(&["rp", "serve", "--listen", "localhost:0", "--config", file, "--state", state], "");
        shown(&["doctor", "--config", file], "");
    }
    for (name, content) in [
        ("datacenter.cfg", "webauthn: rp=x,id=example.com\n".to_owned()),
        ("user.cfg", format!("user:{HOSTILE}@pve:1:\n")),
    ] {
        std::fs::write(directory.path().join(name), content).expect("it is written");
    }
    shown(&["doctor", "--pve", directory.path().to_str().expect("text")], "");
    shown(&["doctor", "--options", &format!("./{HOSTILE}")], "");
    shown(&["doctor", "--rp-id", HOSTILE, "--origin", HOSTILE, "--from", "https://example.com"], "");
    shown(&["doctor", "--rp-id", "example.com", "--from", HOSTILE], "");
    let file = directory.path().join(HOSTILE);
    let path = file.to_str().expect("text");
    shown(&["rp", "serve", "--listen", "localhost:0", "--config", path], "");
    shown(&["rp", "policies", HOSTILE], "");
    shown(&["profiles", HOSTILE], "");
    shown(&["serve", "--key", HOSTILE], "");
    shown(&["key", "touch", HOSTILE], "");
    shown(&["key", "list", "--control", &format!("unix:{path}")], "");
    shown(&[HOSTILE], "");
}

#[test]
fn recordings() {
    let client_data = json!({ "type": HOSTILE, "challenge": "AA", "origin": "https://example.com" }).to_string();
    let data: Vec<u8> = client_data.into_bytes();
    let credential = json!({
        "id": HOSTILE, "rawId": "AQ", "type": HOSTILE,
        "response": { "clientDataJSON": data, "authenticatorData": "AQ", "signature": "AQ" },
    });
    shown(&["explain", "--hex", "--rp-id", HOSTILE], &credential.to_string());
    shown(&["explain", HOSTILE], "");
    shown(&["explain", &format!("./{HOSTILE}")], "");
}

#[test]
fn credentials_on_a_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let (keys, control) = (path("keys"), format!("unix:{}", path("control")));
    let options = json!({
        "rp": { "id": "example.com", "name": HOSTILE },
        "user": { "id": "AQ", "name": HOSTILE, "displayName": format!("{HOSTILE}!") },
        "challenge": "AAAA", "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
        "authenticatorSelection": { "residentKey": "required", "userVerification": "discouraged" },
    });
    let mut serving = keyrig(&["serve", "--key", "a=keyrig", "--state", &keys, "--usbip", "127.0.0.1:0", "--json"])
        .args(["--control", &control])
        .stdout(Stdio::piped())
        .spawn()
        .expect("keyrig runs");
    let mut line = String::new();
    let out = serving.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line");
    let set = run(&mut keyrig(&["key", "--control", &control, "pin", "set", "a", "--pin-file", "-"]), "123456\n");
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let pin = path("pin");
    std::fs::write(&pin, "123456\n").expect("it is written");
    let create =
        ["client", "create", "--origin", "https://example.com", "--on", "a", "--control", &control, "--pin-file"];
    let made = run(&mut keyrig(&[&create[..], &[pin.as_str()]].concat()), &options.to_string());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let key = |words: &[&str], input: &str| shown(&[&["key", "--control", &control], words].concat(), input);
    key(&["credentials", "list", "a", "--pin-file", "-"], "123456\n");
    key(&["--json", "credentials", "list", "a", "--pin-file", "-"], "123456\n");
    let id = made["id"].as_str().expect("text");
    key(&["credentials", "delete", "a", "--pin-file", "-", "--", id], "123456\n");
    serving.kill().expect("it runs");
    serving.wait().expect("it ends");
}
