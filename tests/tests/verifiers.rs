//! Relying parties' libraries that nobody here wrote verify what every profile emits: each attestation format, each algorithm,
//! registration and login; and refuse it once a signature, or what is signed, is another.
//!
//! The programs in `tests/verifiers` read one ceremony per line, as JSON:
//!
//! | member | |
//! |---|---|
//! | `name` | by which the verdict is told, and a login names its `registration` |
//! | `registration` | of a login: the registration that it belongs to. Its public key is what the verifier read there |
//! | `credential` | `RegistrationResponseJSON` or `AuthenticationResponseJSON` |
//! | `challenge`, `origin`, `rpId`, `algorithms`, `userVerification` | what the relying party expects |
//! | `attestation`, `root` | whether it wants attestation, and the root that it trusts, PEM |
//!
//! and write a line for each: `name`, and `refused`, which is null or says why.

#![cfg(test)]

#[path = "verifiers/recorded.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyrig_authenticator::Profile;
use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::pin::Pin;
use keyrig_client::{Client, Key};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_tests::judge::{self, Output};
use keyrig_ways::InProcess;
use serde_json::{Value, json};
use tokio::process::Command;

const ORIGIN: &str = "https://login.example.com";
const RP_ID: &str = "example.com";
const CHALLENGE: &str = "qqqqqqqqqqqqqqqqqqqqqg";

const PIN: &str = "1234";

const LIMIT: Duration = Duration::from_secs(60);

/// COSE's identifiers of the algorithms that profiles name.
const ALGORITHMS: [(&str, i64); 6] =
    [("ES256", -7), ("EdDSA", -8), ("ES384", -35), ("ML-DSA-44", -48), ("ML-DSA-65", -49), ("ML-DSA-87", -50)];

/// How attestation is wanted, and the format that comes of it.
fn formats(profile: &Profile) -> [(&'static str, &'static str); 2] {
    // The client makes it of what a key says that knows U2F alone.
    let attested = if profile.has_ctap2() { "packed" } else { "fido-u2f" };
    [("none", "none"), ("direct", attested)]
}

/// What a verifier does not know, and in which words it says so: it must refuse these, or they are to go from its list.
struct Unsupported {
    algorithm: &'static str,
    says: &'static str,
}

struct Ceremony {
    name: String,
    algorithm: &'static str,
    line: Value,
    expected: Expected,
}

/// What a verifier must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// All is well.
    Verified,
    /// The signature is wrong.
    BadSignature,
    /// The attestation certificate is not under the root that is trusted.
    Untrusted,
    /// The user was not verified, and had to be.
    UserNotVerified,
}

/// One key, plugged into a rack of its own.
struct Plugged {
    rack: Rack,
    key: Key<InProcess>,
    profile: Profile,
}

impl Plugged {
    async fn new(profile: &str) -> Self {
        let specification = KeySpecification::built_in(profile, "key").expect("built in");
        let KeySpecification { name, profile } = specification.clone();
        let rack = Rack::start(Options::default(), vec![specification]).await.expect("a rack");
        let key = Key::new("key", InProcess(rack.key(&name).expect("plugged in")));
        Self { rack, key, profile }
    }

    fn root(&self) -> String {
        let base64 = STANDARD.encode(self.rack.root_certificate());
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    async fn register(&mut self, algorithm: i64, attestation: &str, verification: &str) -> Value {
        let options = json!({
            "rp": {"id": RP_ID, "name": "Example"},
            "user": {"id": "AAECAw", "name": "root", "displayName": "root"},
            "challenge": CHALLENGE,
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm}],
            "attestation": attestation,
            "authenticatorSelection": {"userVerification": verification},
        });
        let options = CreationOptions::from_json(&options.to_string()).expect("WebAuthn's JSON");
        let made = page().create(&options, core::slice::from_mut(&mut self.key), Cancel::never()).await;
        serde_json::from_str(&made.expect("a credential").to_json()).expect("JSON")
    }

    async fn log_in(&mut self, id: &Value, verification: &str) -> Value {
        let options = json!({
            "challenge": CHALLENGE,
            "rpId": RP_ID,
            "allowCredentials": [{"type": "public-key", "id": id}],
            "userVerification": verification,
        });
        let options = RequestOptions::from_json(&options.to_string()).expect("WebAuthn's JSON");
        let signed = page().get(&options, core::slice::from_mut(&mut self.key), Cancel::never()).await;
        serde_json::from_str(&signed.expect("an assertion").to_json()).expect("JSON")
    }
}

/// A page whose user knows the PIN.
fn page() -> Client {
    Client::new(ORIGIN.parse().expect("an origin")).with_pin(Pin::new(PIN))
}

/// Ceremonies, in an order in which a registration comes before its logins.
#[derive(Default)]
struct Ceremonies(Vec<Ceremony>);

impl Ceremonies {
    fn add(&mut self, name: String, algorithm: &'static str, expected: Expected, members: Value) -> Value {
        let mut line = json!({
            "name": name,
            "origin": ORIGIN,
            "rpId": RP_ID,
            "challenge": CHALLENGE,
            "algorithms": ALGORITHMS.map(|(_, identifier)| identifier),
            "userVerification": false,
        });
        let all = line.as_object_mut().expect("an object");
        all.extend(members.as_object().expect("an object").clone());
        self.0.push_mut(Ceremony { name, algorithm, line, expected }).line.clone()
    }

    /// The same ceremony with some members replaced.
    fn vary(&mut self, line: &Value, what: &str, expected: Expected, members: Value) {
        let original = self.0.iter().find(|ceremony| ceremony.line == *line).expect("it was added");
        let (name, algorithm) = (format!("{}, {what}", original.name), original.algorithm);
        let mut varied = line.as_object().expect("an object").clone();
        varied.extend(members.as_object().expect("an object").clone());
        varied.insert("name".to_owned(), name.clone().into());
        self.add(name, algorithm, expected, varied.into());
    }
}

/// The attestation object has this `fmt`, a short text behind the key "fmt" (RFC 8949 §3).
fn assert_format(credential: &Value, format: &str) {
    let object = credential["response"]["attestationObject"].as_str().expect("base64url");
    let object = URL_SAFE_NO_PAD.decode(object).expect("base64url");
    let length = u8::try_from(format.len()).expect("short");
    let entry = [b"\x63fmt", &[0x60 | length][..], format.as_bytes()].concat();
    assert!(object.windows(entry.len()).any(|window| window == entry), "not {format}: {credential}");
}

/// A credential with one member of its response altered.
fn altered(line: &Value, member: &str, alter: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut credential = line["credential"].clone();
    let member = &mut credential["response"][member];
    let mut bytes = URL_SAFE_NO_PAD.decode(member.as_str().expect("base64url")).expect("base64url");
    alter(&mut bytes);
    *member = URL_SAFE_NO_PAD.encode(bytes).into();
    json!({ "credential": credential })
}

/// Alters a byte in the middle of the second half: in s, of a signature with ECDSA.
fn alter_signature(signature: &mut [u8]) {
    let at = signature.len() * 3 / 4;
    signature[at] ^= 1;
}

/// Alters `sig` of the attestation statement, which comes before anything else that could look like it.
fn alter_statement(object: &mut [u8]) {
    // The text string "sig", then a byte string with its length in one byte (RFC 8949 §3).
    let head = b"\x63sig\x58";
    let at = object.windows(head.len()).position(|window| window == head).expect("a signature") + head.len();
    let length = usize::from(object[at]);
    alter_signature(&mut object[at + 1..at + 1 + length]);
}

/// Raises the last byte of the signature counter (WebAuthn Level 3 §6.1).
fn alter_counter(authenticator_data: &mut [u8]) {
    authenticator_data[36] += 1;
}

/// Keys that differ in what a verifier sees: versions, algorithms, extensions, ids, and makers.
const PROFILES: [&str; 9] = [
    "keyrig",
    "keyrig-ml-dsa",
    "yubikey-5.8",
    "yubikey-5.7",
    "yubikey-5.4",
    "security-key-5.1",
    "ctap-2.1",
    "ctap-2.0",
    "u2f-only",
];

async fn ceremonies() -> Ceremonies {
    let mut all = Ceremonies::default();
    let stranger = Plugged::new("keyrig").await.root();
    for profile in PROFILES {
        let mut plugged = Plugged::new(profile).await;
        let algorithms: Vec<_> = plugged.profile.algorithms().iter().map(|algorithm| algorithm.name()).collect();
        for (algorithm, identifier) in ALGORITHMS.into_iter().filter(|(name, _)| algorithms.contains(name)) {
            for (attestation, format) in formats(&plugged.profile) {
                let name = format!("{profile}: {algorithm}, {format}");
                let credential = plugged.register(identifier, attestation, "discouraged").await;
                assert_format(&credential, format);
                let id = credential["id"].clone();
                let members = json!({
                    "credential": credential,
                    "attestation": attestation,
                    "root": plugged.root(),
                });
                let line = all.add(name.clone(), algorithm, Expected::Verified, members);
                if format != "none" {
                    let alteration = altered(&line, "attestationObject", |object| alter_statement(object));
                    all.vary(&line, "signature altered", Expected::BadSignature, alteration);
                    all.vary(&line, "another root", Expected::Untrusted, json!({ "root": stranger }));
                }
                all.vary(
                    &line,
                    "verification required",
                    Expected::UserNotVerified,
                    json!({ "userVerification": true }),
                );

                let members = json!({
                    "registration": name,
                    "credential": plugged.log_in(&id, "discouraged").await,
                    "attestation": attestation,
                    "root": plugged.root(),
                });
                let line = all.add(format!("{name}, login"), algorithm, Expected::Verified, members);
                let alteration = altered(&line, "signature", |signature| alter_signature(signature));
                all.vary(&line, "signature altered", Expected::BadSignature, alteration);
                let alteration = altered(&line, "authenticatorData", |data| alter_counter(data));
                all.vary(&line, "counter altered", Expected::BadSignature, alteration);
                all.vary(
                    &line,
                    "verification required",
                    Expected::UserNotVerified,
                    json!({ "userVerification": true }),
                );
            }
        }
        if plugged.profile.has_ctap2() {
            with_pin(&mut all, &mut plugged, profile).await;
        }
    }
    all
}

/// The same with a verified user, where verification is required.
async fn with_pin(all: &mut Ceremonies, plugged: &mut Plugged, profile: &str) {
    plugged.key.set_pin(&Pin::new(PIN), &Cancel::never()).await.expect("a PIN");
    let algorithms: Vec<_> = plugged.profile.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    for (algorithm, identifier) in ALGORITHMS.into_iter().filter(|(name, _)| algorithms.contains(name)) {
        let name = format!("{profile}: {algorithm}, verified");
        let credential = plugged.register(identifier, "direct", "required").await;
        let id = credential["id"].clone();
        let expected = json!({"attestation": "direct", "root": plugged.root(), "userVerification": true});
        let mut members = expected.clone();
        members["credential"] = credential;
        all.add(name.clone(), algorithm, Expected::Verified, members);
        let mut members = expected;
        members["registration"] = name.clone().into();
        members["credential"] = plugged.log_in(&id, "required").await;
        all.add(format!("{name}, login"), algorithm, Expected::Verified, members);
    }
}

/// The words in which a verifier says no.
struct Words {
    bad_signature: &'static [&'static str],
    untrusted: &'static [&'static str],
    user_not_verified: &'static [&'static str],
}

async fn judge(command: &mut Command, words: &Words, unsupported: &[Unsupported]) {
    let ceremonies = ceremonies().await.0;
    let input: String = ceremonies.iter().map(|ceremony| format!("{}\n", ceremony.line)).collect();
    let output = judge::run(command, input.as_bytes(), LIMIT).await;
    let verdicts = verdicts(&output);
    let mut wrong = Vec::new();
    for Ceremony { name, algorithm, expected, .. } in &ceremonies {
        let refused = verdicts.get(name).unwrap_or_else(|| panic!("no verdict on {name}\n{output}")).as_deref();
        let said = |words: &[&str]| refused.is_some_and(|text| words.iter().any(|word| text.contains(word)));
        let right = match (unsupported.iter().find(|unknown| unknown.algorithm == *algorithm), expected) {
            (Some(unknown), Expected::Verified) if !name.contains("login") => said(&[unknown.says]),
            // A login whose registration it did not take, or something else is wrong as well.
            (Some(_), _) => refused.is_some(),
            (None, Expected::Verified) => refused.is_none(),
            (None, Expected::BadSignature) => said(words.bad_signature),
            (None, Expected::Untrusted) => said(words.untrusted),
            (None, Expected::UserNotVerified) => said(words.user_not_verified),
        };
        if !right {
            wrong.push(format!("{name}: expected {expected:?}, it said {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ceremonies.len(), wrong.join("\n"));
}

fn verdicts(output: &Output) -> BTreeMap<String, Option<String>> {
    assert!(output.success, "{output}");
    let verdict = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |member: &str| line[member].as_str().map(str::to_owned);
        (text("name").expect("a name"), text("refused"))
    };
    output.stdout.lines().map(verdict).collect()
}

/// A program of `tests/verifiers` under the interpreter that its install script has put there, if it has.
fn program(interpreter: &str, script: &str) -> Option<Command> {
    let cache = judge::tree(".cache/verifiers");
    if !cache.join("installed").exists() {
        judge::skip("the verifiers are not installed: run tests/verifiers/install");
        return None;
    }
    // The virtual environment's own Python; another is the system's.
    let own = cache.join(interpreter);
    let mut command = if own.exists() { Command::new(own) } else { Command::new(interpreter) };
    command.arg(judge::tree("tests/verifiers").join(script)).env("NODE_PATH", cache.join("node_modules"));
    Some(command)
}

#[tokio::test]
async fn pypi_webauthn() {
    let Some(mut command) = program("venv/bin/python", "pypi_webauthn.py") else { return };
    let words = Words {
        bad_signature: &["Could not verify a"],
        untrusted: &["Certificate chain could not be validated"],
        user_not_verified: &["User verification is required"],
    };
    let unsupported = [Unsupported { algorithm: "ES384", says: "Unsupported credential public key alg" }];
    judge(&mut command, &words, &unsupported).await;
}

#[tokio::test]
async fn python_fido2() {
    let Some(mut command) = program("venv/bin/python", "python_fido2.py") else { return };
    let words = Words {
        bad_signature: &["InvalidSignature", "Invalid signature"],
        untrusted: &["UntrustedAttestation"],
        user_not_verified: &["User verification required"],
    };
    judge(&mut command, &words, &[]).await;
}

#[tokio::test]
async fn npm_simplewebauthn() {
    let Some(mut command) = program("node", "simplewebauthn.cjs") else { return };
    let words = Words {
        bad_signature: &["not verified"],
        untrusted: &["could not be chained to any specified trust anchor"],
        user_not_verified: &["User verification was required", "User verification required"],
    };
    // Of the Node.js that is here: later ones have it.
    let unsupported = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]
        .map(|algorithm| Unsupported { algorithm, says: "subtle does not support use of ML-DSA" });
    judge(&mut command, &words, &unsupported).await;
}
