//! Files that earlier versions left are opened, and what was enrolled then logs in. How they were made is in
//! `earlier_versions/README.md`.

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_relying_party::{DirectoryKind, DirectorySettings, Mode, Store, Totp};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::program::{keyrig, run};

/// What a version left, in a directory of this test's own.
struct Files {
    directory: tempfile::TempDir,
    /// What was put in.
    known: Value,
}

impl Files {
    fn of(version: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier_versions");
        let directory = tempfile::tempdir().expect("a directory");
        let archive = fixtures.join(format!("{version}.tar.gz"));
        let unpacked = Command::new("tar").arg("-xzpf").arg(archive).arg("-C").arg(directory.path()).status();
        assert!(unpacked.expect("tar runs").success());
        let known = std::fs::read(fixtures.join(format!("{version}.json"))).expect("it can be read");
        let known: Value = serde_json::from_slice(&known).expect("JSON");
        std::fs::write(directory.path().join("pin"), text(member(&known, "pin"))).expect("it is written");
        Self { directory, known }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a page gets of a key that is kept there.
    fn get(&self, origin: &str, key: &str, options: &Value) -> Value {
        let (keys, pin) = (self.path("keys"), self.path("pin"));
        let paths = [keys.to_str().expect("text"), pin.to_str().expect("text")];
        let arguments = ["client", "get", "--origin", origin, "--with", key, "--state", paths[0]];
        // A key of U2F has no PIN to be asked for.
        let pin: &[&str] = if key.starts_with("token") { &[] } else { &["--pin-file", paths[1]] };
        let output = run(&mut keyrig(&[&arguments, pin].concat()), &options.to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).expect("it is there")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn decoded(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text(value)).expect("base64url")
}

/// The assertion was signed by the private key of this public one (WebAuthn Level 3, §7.2).
fn assert_signed_by(public_key: &Value, credential: &Value) {
    let key = VerifyingKey::from_sec1_bytes(&decoded(public_key)).expect("a point");
    let response = member(credential, "response");
    let signature = DerSignature::try_from(decoded(member(response, "signature")).as_slice()).expect("DER");
    let hash = Sha256::digest(decoded(member(response, "clientDataJSON")));
    let message = [decoded(member(response, "authenticatorData")), hash.to_vec()].concat();
    key.verify(&message, &signature).expect("a valid signature");
}

/// Discoverable, found by its id, and made by U2F.
#[test]
fn credentials_of_0_1_0_sign() {
    let files = Files::of("0.1.0");
    for (user, made) in files.known["credentials"].as_object().expect("an object") {
        let mut options = json!({ "challenge": "AAAAAAAAAAAAAAAAAAAAAA", "rpId": "example.com" });
        if made["discoverable"] == false {
            options["allowCredentials"] = json!([{ "type": "public-key", "id": made["id"] }]);
            options["userVerification"] = json!("discouraged");
        }
        let credential = files.get("https://example.com", text(&made["key"]), &options);
        assert_eq!(credential["id"], made["id"], "{user}");
        assert_signed_by(&made["public_key"], &credential);
    }
    // The directory has what today's have: its root is guarded by a checksum from now on.
    let checksum = files.path("keys/attestation-root.sha256");
    assert_eq!(std::fs::metadata(checksum).expect("it is there").permissions().mode() & 0o777, 0o600);
}

/// `keyrig rp serve`, until it is dropped.
struct Serving(Child, String);

impl Serving {
    fn start(state: &Path) -> Self {
        let mut child = keyrig(&["rp", "serve", "--listen", "localhost:0", "--json", "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let listening: Value = serde_json::from_str(&line).expect("JSON");
        Self(child, text(member(&listening, "url")).to_owned())
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let client = Client::builder().no_proxy().build().expect("a client");
        let answer = client.post(format!("{}{path}", self.1)).json(body).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn users_of_earlier_databases_log_in_with_each_of_their_factors() {
    for version in ["0.1.0", "format-3", "format-4", "format-5", "format-6", "format-7", "format-8"] {
        let files = Files::of(version);
        let (site, known) = (files.path("site"), &files.known);
        let serving = Serving::start(&site);
        let password = async || {
            let offered =
                serving.post("/api/login", &json!({ "user": known["user"], "password": known["password"] })).await;
            assert_eq!(offered["state"], "second_factor", "{version}: {offered}");
            offered
        };
        let offered = password().await;
        assert_eq!(offered["factors"]["recovery"], 10, "{version}");
        let begun = &offered["factors"]["webauthn"];
        let credential = files.get(&serving.1, "main=yubikey-5.7", &begun["options"]);
        let body = json!({ "login": offered["login"], "challenge": begun["challenge"], "credential": credential });
        let entered = serving.post("/api/login/webauthn", &body).await;
        assert_eq!(entered["state"], "logged_in", "{version}: {entered}");

        let totp = Totp::from_uri(text(&known["totp"])).expect("an address");
        let (offered, code) = (password().await, totp.code(SystemTime::now()));
        let entered = serving.post("/api/login/totp", &json!({ "login": offered["login"], "code": code })).await;
        assert_eq!(entered["state"], "logged_in", "{version}: {entered}");

        let offered = password().await;
        let body = json!({ "login": offered["login"], "key": known["recovery_keys"][0] });
        let entered = serving.post("/api/login/recovery", &body).await;
        assert_eq!(entered["state"], "logged_in", "{version}: {entered}");

        // What commands read beside it.
        let audit = run(&mut keyrig(&["rp", "audit", "--json", "--state", site.to_str().expect("text")]), "");
        let audit: Value = serde_json::from_slice(&audit.stdout).expect("JSON");
        let alice = audit["users"].as_array().expect("an array").iter().find(|user| user["name"] == known["user"]);
        let factors = alice.expect("she is there")["factors"].as_array().expect("an array");
        let key = factors.iter().find(|factor| factor["type"] == "webauthn").expect("it is there");
        assert_eq!((&key["usable"], &key["passkey"]), (&json!(true), &json!(false)), "{version}");
        assert_eq!(factors.iter().find(|factor| factor["type"] == "recovery").expect("it is there")["remaining"], 9);
    }
}

#[test]
fn a_command_that_reads_opens_an_earlier_database_too() {
    for version in ["0.1.0", "format-3", "format-4", "format-5", "format-6", "format-7", "format-8"] {
        let files = Files::of(version);
        let output =
            run(&mut keyrig(&["rp", "user", "list", "--state", files.path("site").to_str().expect("text")]), "");
        let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && printed.contains("alice@pve"), "{printed}{error}");
    }
}

/// What format 7 brought is there in today's.
#[test]
fn groups_rights_and_expiry_of_format_7_are_kept() {
    let files = Files::of("format-7");
    let site = files.path("site");
    let asked = |arguments: &[&str]| -> Value {
        let state = ["--json", "--state", site.to_str().expect("text")];
        let output = run(&mut keyrig(&[&["rp"], arguments, &state].concat()), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let groups = asked(&["group", "list"]);
    assert_eq!((&groups[0]["name"], &groups[0]["comment"]), (&json!("staff"), &json!("of format 7")), "{groups}");
    assert_eq!(groups[0]["members"], json!(["alice@pve"]));
    let users = asked(&["user", "list"]);
    let alice =
        users.as_array().expect("a list").iter().find(|user| user["name"] == "alice@pve").expect("she is there");
    assert_eq!(
        (&alice["role"], &alice["email"], &alice["firstname"], &alice["expires"]),
        (&json!("auditor"), &json!("alice@example.com"), &json!("Alice"), &json!(4_102_444_800_u64)),
    );
}

/// What format 8 brought is there in today's.
#[test]
fn a_realm_of_a_directory_of_format_8_is_kept() {
    let files = Files::of("format-8");
    let store = Store::open(&files.path("site")).expect("a store");
    let settings = store.directory_settings("corp").expect("a store").expect("a directory");
    let expected = DirectorySettings {
        server1: "ldap.example.com".to_owned(),
        base_dn: "ou=people,dc=example,dc=com".to_owned(),
        user_attr: "uid".to_owned(),
        bind_dn: Some("cn=reader,dc=example,dc=com".to_owned()),
        mode: Mode::Ldaps,
        ..DirectorySettings::new(DirectoryKind::Ldap)
    };
    assert_eq!(settings, expected);
    assert_eq!(store.realm("corp").expect("a realm").comment, "of format 8");
    let bind_password = files.path("site/realm/corp.pw");
    assert_eq!(std::fs::read_to_string(bind_password).expect("it is there"), "the reader's password");
}
