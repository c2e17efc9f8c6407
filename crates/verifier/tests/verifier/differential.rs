//! Two relying parties that nobody here wrote, webauthn-rs and webauthn_rp, judge the same ceremonies and mutations.
//!
//! Each picks its own challenge; a key in this file answers it, one thing is changed, and both verdicts are compared. Where
//! they differ the case says why, and what the specification says. Neither is the measure: the specification is.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, CredentialRecord, Decision, Framing, OriginRule,
    RegistrationExpectations, RegistrationResponse, Report, StoredRegistration, Strictness, UserVerification,
    WebauthnRs, verify_authentication, verify_registration,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::{AllowedCredentials, AuthenticationVerificationOptions};
use webauthn_rp::request::register::{PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle64};
use webauthn_rp::request::{
    AsciiDomain, Credentials, PublicKeyCredentialDescriptor, RpId, UserVerificationRequirement,
};
use webauthn_rp::response::register::StaticState;
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{
    AuthenticatedCredential, NonDiscoverableAuthentication64, NonDiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, Registration,
};
use webauthn_rs::prelude::{Passkey, Url, Uuid, Webauthn, WebauthnBuilder};

use crate::ceremonies::{assert_whole, failed, now};

const RP_ID: &str = "example.org";
const ORIGIN: &str = "https://example.org";
const UP: u8 = 0x01;
const UV: u8 = 0x04;
const AT: u8 = 0x40;
const REGISTERED_COUNTER: u32 = 7;

/// What a page sends, before it becomes JSON.
#[derive(Clone)]
pub(crate) struct Parts {
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    /// Of an authentication; made over the two above unless a mutation sets it.
    signature: Option<Vec<u8>>,
    id: String,
    raw_id: Vec<u8>,
    kind: &'static str,
    user_handle: Option<Vec<u8>>,
    /// Around the authenticator data of a registration.
    object: fn(&[u8]) -> Vec<u8>,
}

impl Parts {
    fn member(&mut self, name: &str, value: Value) {
        let mut client_data: Value = serde_json::from_slice(&self.client_data).unwrap();
        client_data[name] = value;
        self.client_data = client_data.to_string().into_bytes();
    }

    fn flag(&mut self, flag: u8) {
        self.authenticator_data[32] ^= flag;
    }

    fn counter(&mut self, counter: u32) {
        self.authenticator_data[33..37].copy_from_slice(&counter.to_be_bytes());
    }

    fn challenge(&self) -> Vec<u8> {
        let client_data: Value = serde_json::from_slice(&self.client_data).unwrap();
        URL_SAFE_NO_PAD.decode(client_data["challenge"].as_str().unwrap()).unwrap()
    }
}

/// One key with one credential on P-256.
pub(crate) struct Key {
    private: SigningKey,
    id: Vec<u8>,
}

impl Key {
    pub(crate) fn new() -> Self {
        Self { private: SigningKey::from_slice(&[0x42; 32]).unwrap(), id: vec![0x17; 32] }
    }

    fn cose_key(&self) -> Vec<u8> {
        let point = self.private.verifying_key().to_sec1_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat()
    }

    fn parts(&self, kind: &str, challenge: &[u8], authenticator_data: Vec<u8>) -> Parts {
        let client_data = json!({
            "type": kind,
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "origin": ORIGIN,
            "crossOrigin": false,
        });
        // The order in which browsers write it, which webauthn_rp wants of them (§5.8.1.1).
        let text = format!(
            r#"{{"type":{},"challenge":{},"origin":{},"crossOrigin":false}}"#,
            client_data["type"], client_data["challenge"], client_data["origin"]
        );
        Parts {
            client_data: text.into_bytes(),
            authenticator_data,
            signature: None,
            id: URL_SAFE_NO_PAD.encode(&self.id),
            raw_id: self.id.clone(),
            kind: "public-key",
            user_handle: None,
            object: none_attestation,
        }
    }

    fn register(&self, challenge: &[u8]) -> Parts {
        let head = [&Sha256::digest(RP_ID)[..], &[UP | UV | AT], &REGISTERED_COUNTER.to_be_bytes()].concat();
        let data = [&head[..], &[0; 16], &[0, 32], &self.id, &self.cose_key()].concat();
        self.parts("webauthn.create", challenge, data)
    }

    fn log_in(&self, challenge: &[u8]) -> Parts {
        let data = [&Sha256::digest(RP_ID)[..], &[UP | UV], &(REGISTERED_COUNTER + 1).to_be_bytes()].concat();
        self.parts("webauthn.get", challenge, data)
    }

    fn registration_json(&self, parts: &Parts) -> Value {
        json!({
            "id": parts.id,
            "rawId": URL_SAFE_NO_PAD.encode(&parts.raw_id),
            "type": parts.kind,
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&parts.client_data),
                "attestationObject": URL_SAFE_NO_PAD.encode((parts.object)(&parts.authenticator_data)),
                "transports": ["usb"],
            },
            "clientExtensionResults": {},
        })
    }

    fn authentication_json(&self, parts: &Parts) -> Value {
        let message = [&parts.authenticator_data[..], &Sha256::digest(&parts.client_data)].concat();
        let signature: DerSignature = self.private.sign(&message);
        let signature = parts.signature.clone().unwrap_or_else(|| signature.as_bytes().to_vec());
        json!({
            "id": parts.id,
            "rawId": URL_SAFE_NO_PAD.encode(&parts.raw_id),
            "type": parts.kind,
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&parts.client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(&parts.authenticator_data),
                "signature": URL_SAFE_NO_PAD.encode(signature),
                "userHandle": parts.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
            },
            "clientExtensionResults": {},
        })
    }
}

fn none_attestation(authenticator_data: &[u8]) -> Vec<u8> {
    object(b"\x64none", b"\xa0", authenticator_data)
}

fn object(format: &[u8], statement: &[u8], authenticator_data: &[u8]) -> Vec<u8> {
    let members: [&[u8]; 7] = [
        b"\xa3\x63fmt",
        format,
        b"\x67attStmt",
        statement,
        b"\x68authData",
        &head(authenticator_data),
        authenticator_data,
    ];
    members.concat()
}

/// The head of a byte string.
fn head(bytes: &[u8]) -> Vec<u8> {
    match u8::try_from(bytes.len()) {
        Ok(length) => vec![0x58, length],
        Err(_) => [&[0x59], &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..]].concat(),
    }
}

/// Changes the credential public key, which is the last part of authenticator data.
fn edit_key(parts: &mut Parts, edit: impl Fn(&mut Vec<u8>)) {
    let mut key = parts.authenticator_data.split_off(55 + 32);
    edit(&mut key);
    parts.authenticator_data.append(&mut key);
}

/// The verdicts on one ceremony: ours as the checks that failed, the other's in its own words.
struct Verdicts {
    ours: Vec<&'static str>,
    other: Result<(), String>,
}

/// The registration and the record of the key, as they would be stored.
fn stored(key: &Key, user_handle: &[u8]) -> (Parts, CredentialRecord) {
    let record = CredentialRecord {
        id: key.id.clone(),
        public_key: key.cose_key(),
        sign_count: REGISTERED_COUNTER,
        uv_initialized: true,
        transports: Vec::new(),
        backup_eligible: false,
        backup_state: false,
        aaguid: keyrig_ctap::Aaguid([0; 16]),
        user_handle: user_handle.to_vec(),
    };
    (key.register(b"the challenge of the registration"), record)
}

fn our_registration(key: &Key, parts: &Parts, challenge: &[u8]) -> Vec<&'static str> {
    let response = RegistrationResponse::from_value(&key.registration_json(parts)).unwrap();
    let origins = [OriginRule::exact(ORIGIN).unwrap()];
    let mut expected = RegistrationExpectations::new(challenge, RP_ID, &origins, b"user", now());
    expected.user_verification = true;
    let report = verify_registration(&response, &expected).report;
    assert_whole(&report);
    failed(&report)
}

fn our_authentication(key: &Key, parts: &Parts, challenge: &[u8], user_handle: &[u8]) -> Vec<&'static str> {
    let response = AuthenticationResponse::from_value(&key.authentication_json(parts)).unwrap();
    let origins = [OriginRule::exact(ORIGIN).unwrap()];
    let (_, record) = stored(key, user_handle);
    let allowed = [key.id.clone()];
    let mut expected = AuthenticationExpectations::new(challenge, RP_ID, &origins, &allowed, Some(&record));
    expected.user_verification = true;
    let report = verify_authentication(&response, &expected).report;
    assert_whole(&report);
    failed(&report)
}

fn webauthn_rs() -> Webauthn {
    WebauthnBuilder::new(RP_ID, &Url::parse(ORIGIN).unwrap()).unwrap().build().unwrap()
}

fn webauthn_rs_registration(key: &Key, mutate: impl Fn(&mut Parts)) -> (Verdicts, Option<Passkey>, Uuid) {
    let (webauthn, user) = (webauthn_rs(), Uuid::from_bytes([9; 16]));
    let (options, state) = webauthn.start_passkey_registration(user, "user", "User", None).unwrap();
    let challenge = options.public_key.challenge.to_vec();
    let mut parts = key.register(&challenge);
    mutate(&mut parts);
    let finished = serde_json::from_value(key.registration_json(&parts))
        .map_err(|error| error.to_string())
        .and_then(|it| webauthn.finish_passkey_registration(&it, &state).map_err(|error| format!("{error:?}")));
    let ours = our_registration(key, &parts, &challenge);
    let other = finished.as_ref().map(|_| ()).map_err(Clone::clone);
    (Verdicts { ours, other }, finished.ok(), user)
}

fn webauthn_rs_authentication(key: &Key, mutate: impl Fn(&mut Parts)) -> Verdicts {
    let (_, passkey, user) = webauthn_rs_registration(key, |_| {});
    let webauthn = webauthn_rs();
    let (options, state) = webauthn.start_passkey_authentication(&[passkey.unwrap()]).unwrap();
    let challenge = options.public_key.challenge.to_vec();
    let mut parts = key.log_in(&challenge);
    mutate(&mut parts);
    let other = serde_json::from_value(key.authentication_json(&parts))
        .map_err(|error| error.to_string())
        .and_then(|it| webauthn.finish_passkey_authentication(&it, &state).map_err(|error| format!("{error:?}")));
    Verdicts { ours: our_authentication(key, &parts, &challenge, user.as_bytes()), other: other.map(|_| ()) }
}

fn rp_id() -> RpId {
    RpId::Domain(AsciiDomain::try_from(RP_ID.to_owned()).unwrap())
}

fn challenge_of(options: &Value) -> Vec<u8> {
    let options = options.get("publicKey").unwrap_or(options);
    URL_SAFE_NO_PAD.decode(options["challenge"].as_str().unwrap()).unwrap()
}

/// Registers, and gives what the registration led to: the encoded state to log in with.
fn webauthn_rp_registration(
    key: &Key,
    user: &UserHandle64,
    mutate: impl Fn(&mut Parts),
) -> (Verdicts, Option<(Vec<u8>, webauthn_rp::response::register::DynamicState)>) {
    let rp_id = rp_id();
    let entity = PublicKeyCredentialUserEntity::from(user);
    let options = PublicKeyCredentialCreationOptions::passkey(&rp_id, entity, Vec::new());
    let (server, client) = options.start_ceremony().unwrap();
    let challenge = challenge_of(&serde_json::to_value(&client).unwrap());
    let mut parts = key.register(&challenge);
    mutate(&mut parts);
    let ours = our_registration(key, &parts, &challenge);
    let json = serde_json::to_vec(&key.registration_json(&parts)).unwrap();
    let response = match Registration::from_json_relaxed(&json) {
        Ok(response) => response,
        Err(error) => return (Verdicts { ours, other: Err(error.to_string()) }, None),
    };
    let registered = server.verify(&rp_id, &response, &RegistrationVerificationOptions::<&str, &str>::default());
    let other = registered.as_ref().map(|_| ()).map_err(|error| format!("{error:?}"));
    let state = registered.ok().map(|it| (it.static_state().encode().unwrap(), it.dynamic_state()));
    (Verdicts { ours, other }, state)
}

fn webauthn_rp_authentication(key: &Key, mutate: impl Fn(&mut Parts)) -> Verdicts {
    let (rp_id, user) = (rp_id(), UserHandle64::new());
    let (_, state) = webauthn_rp_registration(key, &user, |_| {});
    let (static_state, dynamic_state) = state.unwrap();
    let mut allowed = AllowedCredentials::with_capacity(1);
    let id = CredentialId::<Vec<u8>>::decode(key.id.clone()).unwrap();
    assert!(allowed.push(PublicKeyCredentialDescriptor { id, transports: AuthTransports::decode(0).unwrap() }.into()));
    let mut options = NonDiscoverableCredentialRequestOptions::second_factor(&rp_id, allowed).unwrap();
    options.options().user_verification = UserVerificationRequirement::Required;
    let (server, client) = options.start_ceremony().unwrap();
    let challenge = challenge_of(&serde_json::to_value(&client).unwrap());
    let mut parts = key.log_in(&challenge);
    mutate(&mut parts);
    let ours = our_authentication(key, &parts, &challenge, user.as_ref());
    let json = serde_json::to_vec(&key.authentication_json(&parts)).unwrap();
    let response = match NonDiscoverableAuthentication64::from_json_relaxed(&json) {
        Ok(response) => response,
        Err(error) => return Verdicts { ours, other: Err(error.to_string()) },
    };
    let id = CredentialId::<&[u8]>::decode(key.id.as_slice()).unwrap();
    let static_state = StaticState::decode(static_state.as_slice()).unwrap();
    let mut credential = AuthenticatedCredential::new(id, &user, static_state, dynamic_state).unwrap();
    let options = AuthenticationVerificationOptions::<&str, &str>::default();
    let other = server.verify(&rp_id, &response, &mut credential, &options);
    Verdicts { ours, other: other.map(|_| ()).map_err(|error| format!("{error:?}")) }
}

/// One mutation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    mutate: fn(&mut Parts),
    /// What fails here.
    fails: &'static [&'static str],
    /// Why webauthn-rs comes to another verdict, if it does.
    webauthn_rs: Option<&'static str>,
    /// Why webauthn_rp comes to another verdict, if it does.
    webauthn_rp: Option<&'static str>,
}

fn case(name: &'static str, mutate: fn(&mut Parts), fails: &'static [&'static str]) -> Case {
    Case { name, mutate, fails, webauthn_rs: None, webauthn_rp: None }
}

impl Case {
    fn webauthn_rs(self, why: &'static str) -> Self {
        Self { webauthn_rs: Some(why), ..self }
    }

    fn webauthn_rp(self, why: &'static str) -> Self {
        Self { webauthn_rp: Some(why), ..self }
    }
}

fn compare(case: &Case, library: &str, verdicts: &Verdicts, disagreement: Option<&str>, wrong: &mut Vec<String>) {
    if verdicts.ours != case.fails {
        wrong.push(format!("{}: {:?} failed here", case.name, verdicts.ours));
    }
    let agree = verdicts.ours.is_empty() == verdicts.other.is_ok();
    if agree == disagreement.is_some() {
        let said = if agree { "agrees" } else { "disagrees" };
        wrong.push(format!("{}: {library} {said}: here {:?}, there {:?}", case.name, verdicts.ours, verdicts.other));
    }
}

const PADDED: &str = "it decodes the challenge before it compares; it has to equal the base64url encoding (§7.1, §7.2), which has no padding (§3)";
const NORMALISED: &str = "it reads the origin as a URL; browsers send its serialisation (§5.8.1), which never looks like that (HTML, ASCII serialisation)";
const UTF8_DECODE: &str =
    "it parses the bytes as they are; UTF-8 decode strips a mark and replaces what is not UTF-8 (§7.1, §7.2)";
const TWICE: &str =
    "it refuses a member that is there twice; in a browser's JSON.parse the last one counts (ECMA-262, §25.5.1)";
const ANY_CBOR: &str = "it takes any CBOR; decoders should refuse what is not canonical (§2, Conformance)";
const RAW_ID: &str = "it takes rawId and leaves id aside, which is its base64url encoding by definition (§5.1)";
const RESERVED: &str = "it refuses flags that are reserved for future use; nothing in §7.1 or §7.2 does (§6.1)";

/// What can be changed in both ceremonies.
fn of_both() -> Vec<Case> {
    vec![
        case("nothing", |_| {}, &[]),
        case("type of the other kind", |it| it.member("type", json!("webauthn.other")), &["client-data-type"]),
        case("another challenge", |it| it.member("challenge", json!(URL_SAFE_NO_PAD.encode([1; 32]))), &["challenge"]),
        case("an empty challenge", |it| it.member("challenge", json!("")), &["challenge"]),
        case("a padded challenge", |it| it.member("challenge", json!(URL_SAFE.encode(it.challenge()))), &["challenge"])
            .webauthn_rs(PADDED),
        case("another host", |it| it.member("origin", json!("https://example.com")), &["origin"]),
        case("a look-alike host", |it| it.member("origin", json!("https://evil-example.org")), &["origin"]),
        case("a subdomain", |it| it.member("origin", json!("https://www.example.org")), &["origin"]),
        case("another port", |it| it.member("origin", json!("https://example.org:8443")), &["origin"]),
        case("another scheme", |it| it.member("origin", json!("http://example.org")), &["origin"]),
        case("a dot after the host", |it| it.member("origin", json!("https://example.org.")), &["origin"]),
        case("a trailing slash", |it| it.member("origin", json!("https://example.org/")), &["origin"])
            .webauthn_rs(NORMALISED),
        case("a path", |it| it.member("origin", json!("https://example.org/login")), &["origin"])
            .webauthn_rs(NORMALISED),
        case("a host in upper case", |it| it.member("origin", json!("https://EXAMPLE.org")), &["origin"])
            .webauthn_rs(NORMALISED),
        case("the default port", |it| it.member("origin", json!("https://example.org:443")), &["origin"])
            .webauthn_rs(NORMALISED),
        case("an opaque origin", |it| it.member("origin", json!("null")), &["origin"]),
        case("an empty origin", |it| it.member("origin", json!("")), &["origin"]),
        case("an app", |it| it.member("origin", json!("android:apk-key-hash:abc")), &["origin"]),
        case("crossOrigin as text", |it| it.member("crossOrigin", json!("false")), &["cross-origin"]),
        case("an unknown member", |it| it.member("other_keys_can_be_added_here", json!("x")), &[]),
        case("a byte-order mark", |it| drop(it.client_data.splice(0..0, *b"\xef\xbb\xbf")), &[])
            .webauthn_rs(UTF8_DECODE),
        case("no JSON", |it| it.client_data.truncate(10), &["client-data-json"]),
        case("another RP ID", |it| it.authenticator_data[0] ^= 1, &["rp-id-hash"]),
        case("UP not set", |it| it.flag(UP), &["user-present"]),
        case("UV not set", |it| it.flag(UV), &["user-verified"]),
        case("BS without BE", |it| it.flag(0x10), &["backup-state-consistent"]),
        case(
            "bytes that are not UTF-8",
            |it| {
                let text = String::from_utf8(it.client_data.clone()).unwrap().replace("false}", "false,\"x\":\"?\"}");
                it.client_data =
                    text.into_bytes().iter().map(|byte| if *byte == b'?' { 0xff } else { *byte }).collect();
            },
            &[],
        )
        .webauthn_rs(UTF8_DECODE),
        case(
            "a member twice",
            |it| {
                let text = String::from_utf8(it.client_data.clone()).unwrap();
                it.client_data = text.replace("false}", "false,\"crossOrigin\":false}").into_bytes();
            },
            &[],
        )
        .webauthn_rs(TWICE)
        .webauthn_rp(TWICE),
        case(
            "no crossOrigin",
            |it| {
                let text = String::from_utf8(it.client_data.clone()).unwrap();
                it.client_data = text.replace(",\"crossOrigin\":false}", "}").into_bytes();
            },
            &[],
        ),
        case("a topOrigin without a frame", |it| it.member("topOrigin", json!(ORIGIN)), &["top-origin"])
            .webauthn_rs("it does not look at topOrigin, which is there only in a frame (§5.8.1)"),
        case("extensions", |it| extend(it, b"\xa1\x6bcredProtect\x02"), &[]).webauthn_rp(
            "it refuses outputs that it has not asked for; a relying party has to be prepared for them (§7.1, §7.2)",
        ),
        case(
            "extensions in another order",
            |it| extend(it, b"\xa2\x6bcredProtect\x02\x63uvi\xf5"),
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "extensions of indefinite length",
            |it| extend(it, b"\xbf\x6bcredProtect\x02\xff"),
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case("extensions that are no map", |it| extend(it, b"\x02"), &["authenticator-data"]),
        case("a reserved flag", |it| it.flag(0x02), &[]).webauthn_rp(RESERVED),
        case("another reserved flag", |it| it.flag(0x20), &[]).webauthn_rp(RESERVED),
        case("ED without extensions", |it| it.flag(0x80), &["authenticator-data"]),
        case("a byte too many", |it| it.authenticator_data.push(0), &["authenticator-data"])
            .webauthn_rs("it leaves bytes over; the flags say which parts authenticator data has (§6.1)"),
        case("short authenticator data", |it| it.authenticator_data.truncate(36), &["authenticator-data"]),
        case("the id in base64", |it| it.id = STANDARD.encode(&it.raw_id), &["credential-id-encoding"])
            .webauthn_rs(RAW_ID),
        case("the id encoded twice", |it| it.id = URL_SAFE_NO_PAD.encode(&it.id), &["credential-id-encoding"])
            .webauthn_rs(RAW_ID),
        case("another type of credential", |it| it.kind = "password", &["credential-type"])
            .webauthn_rs("it does not look at type, which is public-key by definition (§5.1, §5.8.2)"),
    ]
}

/// A page in a frame: webauthn-rs judges it differently in the two ceremonies.
fn framed() -> [Case; 2] {
    [
        case("in a frame", |it| it.member("crossOrigin", json!(true)), &["cross-origin"]),
        case(
            "in a frame of a page",
            |it| {
                it.member("crossOrigin", json!(true));
                it.member("topOrigin", json!("https://evil.example"));
            },
            &["cross-origin", "top-origin"],
        ),
    ]
}

/// Authenticator data with extensions in CBOR.
fn extend(parts: &mut Parts, extensions: &[u8]) {
    parts.flag(0x80);
    parts.authenticator_data.extend_from_slice(extensions);
}

pub(crate) fn authentications() -> Vec<Case> {
    let mut cases = of_both();
    let unseen = "it looks at crossOrigin in registrations only; authentications have the same two steps (§7.2)";
    cases.extend(framed().map(|case| case.webauthn_rs(unseen)));
    cases.extend([
        case("the same counter", |it| it.counter(REGISTERED_COUNTER), &["signature-counter"]),
        case("a lower counter", |it| it.counter(REGISTERED_COUNTER - 1), &["signature-counter"]),
        case("a counter that became zero", |it| it.counter(0), &["signature-counter"]),
        case("BE newly set", |it| it.flag(0x08), &["backup-eligibility-unchanged"])
            .webauthn_rs("it looks at BE and BS together; BE alone has to be what it was (§7.2, §6.1.3)"),
        case("BE and BS newly set", |it| it.flag(0x18), &["backup-eligibility-unchanged"]),
        case("AT without data", |it| it.flag(AT), &["authenticator-data", "attested-credential-data"]),
        case("another user's handle", |it| it.user_handle = Some(vec![1; 64]), &["user-handle"]).webauthn_rs(
            "it looks at userHandle of discoverable credentials only; if present it has to be the account's (§7.2)",
        ),
        case("an empty handle", |it| it.user_handle = Some(Vec::new()), &["user-handle"]).webauthn_rs(
            "it looks at userHandle of discoverable credentials only; if present it has to be the account's (§7.2)",
        ),
        case("another signature", |it| it.signature = Some(vec![0x30, 6, 2, 1, 1, 2, 1, 1]), &["signature"]),
        case("no signature", |it| it.signature = Some(Vec::new()), &["signature"]),
        case("a signature of 64 bytes", |it| it.signature = Some(vec![1; 64]), &["signature"]),
    ]);
    cases
}

pub(crate) fn registrations() -> Vec<Case> {
    let mut cases = of_both();
    cases.extend(framed());
    cases.extend([
        case("AT not set", |it| it.flag(AT), &["authenticator-data", "attested-credential-data"]),
        case("BE set", |it| it.flag(0x08), &[]),
        case("BE and BS set", |it| it.flag(0x18), &[]),
        case("a counter of zero", |it| it.counter(0), &[]),
        case(
            "rawId of another credential",
            |it| {
                it.raw_id[0] ^= 1;
                it.id = URL_SAFE_NO_PAD.encode(&it.raw_id);
            },
            &["credential-id-match"],
        )
        .webauthn_rs(
            "it takes the id in authenticator data and leaves rawId aside, which are the same by definition (§5.1)",
        ),
        case(
            "a key in another order",
            |it| {
                edit_key(it, |key| {
                    let crv = key.split_off(5);
                    let kty = key.drain(1..5).collect::<Vec<_>>();
                    let (crv, rest) = crv.split_at(2);
                    key.extend([crv, &kty, rest].concat());
                })
            },
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "a key of indefinite length",
            |it| {
                edit_key(it, |key| {
                    key[0] = 0xbf;
                    key.push(0xff);
                })
            },
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "a key with a long number",
            |it| edit_key(it, |key| drop(key.splice(2..3, [0x18, 2]))),
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case("a key with a tag", |it| edit_key(it, |key| key.insert(2, 0xc1)), &["authenticator-data"])
            .webauthn_rs(ANY_CBOR),
        case(
            "a key with its kty twice",
            |it| {
                edit_key(it, |key| {
                    key[0] = 0xa6;
                    drop(key.splice(1..1, [1, 2]));
                })
            },
            &["authenticator-data"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "a key with its name",
            |it| {
                edit_key(it, |key| {
                    key[0] = 0xa6;
                    drop(key.splice(3..3, [2, 0x41, 0x31]));
                })
            },
            &["public-key"],
        )
        .webauthn_rs("it leaves parameters aside that it does not know; there must be none (§6.5.1.1)"),
        case(
            "a key with a parameter that is text",
            |it| {
                edit_key(it, |key| {
                    key[0] = 0xa6;
                    key.extend(b"\x61x\x01");
                })
            },
            &["public-key"],
        )
        .webauthn_rs("it leaves parameters aside that it does not know; there must be none (§6.5.1.1)"),
        case("a key on another curve", |it| edit_key(it, |key| key[6] = 2), &["public-key"]),
        case(
            "a compressed key",
            |it| {
                edit_key(it, |key| {
                    key.truncate(key.len() - 34);
                    key.push(0xf5);
                })
            },
            &["public-key"],
        ),
        case(
            "a format that nobody knows",
            |it| it.object = |data| object(b"\x66secret", b"\xa0", data),
            &["attestation-format"],
        ),
        case(
            "packed without a statement",
            |it| it.object = |data| object(b"\x66packed", b"\xa0", data),
            &["attestation-statement"],
        ),
        case(
            "packed with a signature that is not valid",
            |it| {
                it.object =
                    |data| object(b"\x66packed", b"\xa2\x63alg\x26\x63sig\x48\x30\x06\x02\x01\x01\x02\x01\x01", data)
            },
            &["attestation-signature"],
        ),
        case(
            "fido-u2f without a statement",
            |it| it.object = |data| object(b"\x68fido-u2f", b"\xa0", data),
            &["attestation-statement"],
        ),
        case(
            "a statement that is no map",
            |it| it.object = |data| object(b"\x64none", b"\x00", data),
            &["attestation-statement"],
        )
        .webauthn_rs("it does not look at the statement, which is an empty map (§8.7)"),
        case(
            "a byte after the attestation object",
            |it| it.object = |data| [&none_attestation(data)[..], &[0]].concat(),
            &["attestation-object"],
        ),
        case(
            "an attestation object of indefinite length",
            |it| {
                it.object = |data| {
                    let mut object = none_attestation(data);
                    object[0] = 0xbf;
                    object.push(0xff);
                    object
                }
            },
            &["attestation-object"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "an attestation object with a tag",
            |it| it.object = |data| [b"\xd9\xd9\xf7", &none_attestation(data)[..]].concat(),
            &["attestation-object"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "an attestation object with a member more",
            |it| {
                it.object = |data| {
                    let mut object = none_attestation(data);
                    object[0] = 0xa4;
                    object.extend(b"\x69something\x01");
                    object
                }
            },
            &[],
        )
        .webauthn_rp("it wants three members; the specification says that there are at least these (§6.5.4)"),
        case(
            "an attestation object with fmt twice",
            |it| {
                it.object = |data| {
                    let mut object = none_attestation(data);
                    object[0] = 0xa4;
                    drop(object.splice(1..1, *b"\x63fmt\x64none"));
                    object
                }
            },
            &["attestation-object"],
        ),
        case(
            "a credential id of 1024 bytes",
            |it| {
                let id = vec![0x55; 1024];
                it.authenticator_data.splice(53..55 + 32, [&[4, 0], &id[..]].concat());
                it.raw_id = id;
                it.id = URL_SAFE_NO_PAD.encode(&it.raw_id);
            },
            &["credential-id-length"],
        )
        .webauthn_rs("it takes ids of any length; more than 1023 bytes should be refused (§7.1)"),
        case("a key off its curve", |it| *it.authenticator_data.last_mut().unwrap() ^= 1, &["public-key"]),
        case("a key of another algorithm", |it| it.authenticator_data[37 + 18 + 32 + 4] = 0x27, &["public-key"]),
        case(
            "an attestation object in another order",
            |it| {
                it.object = |data| {
                    let length = u8::try_from(data.len()).unwrap();
                    [b"\xa3\x68authData\x58", &[length][..], data, b"\x63fmt\x64none\x67attStmt\xa0"].concat()
                }
            },
            &["attestation-object"],
        )
        .webauthn_rs(ANY_CBOR),
        case(
            "none with a statement",
            |it| {
                it.object = |data| {
                    let length = u8::try_from(data.len()).unwrap();
                    [b"\xa3\x63fmt\x64none\x67attStmt\xa1\x63sig\x40\x68authData\x58", &[length][..], data].concat()
                }
            },
            &["attestation-statement"],
        )
        .webauthn_rs("it does not look at the statement, which is an empty map (§8.7)"),
    ]);
    cases
}

/// The glue by which a policy lets webauthn-rs decide comes to the verdict that webauthn-rs comes to by itself, over a ceremony
/// that webauthn-rs did not begin.
#[test]
fn webauthn_rs_decides_what_it_would_have_decided_itself() {
    let key = Key::new();
    let origins = [OriginRule::exact(ORIGIN).unwrap()];
    let judge = WebauthnRs { rp_id: RP_ID, origins: &origins, user_verification: UserVerification::Required };
    let (challenge, strictness) = ([0x23; 32], strictness(WEBAUTHN_RS));
    for case in registrations() {
        let mut parts = key.register(&challenge);
        (case.mutate)(&mut parts);
        let response = RegistrationResponse::from_value(&key.registration_json(&parts)).unwrap();
        let decision = judge.judge_registration(&response, &challenge);
        let itself = webauthn_rs_registration(&key, case.mutate).0.other;
        assert_eq!(decision.refusal.is_none(), itself.is_ok(), "{}: {decision:?}, {itself:?}", case.name);
        let expected = RegistrationExpectations {
            strictness,
            ..RegistrationExpectations::new(&challenge, RP_ID, &origins, b"user", now())
        };
        let decided = verify_registration(&response, &expected).decided_by(decision);
        let readable = !NEVER.contains(&case.name);
        assert_eq!(decided.report.is_accepted(), itself.is_ok() && readable, "{}", case.name);
        assert_eq!(decided.record.is_some(), itself.is_ok() && readable, "{}", case.name);
    }
    let (registered, record) = stored(&key, b"user");
    let object = none_attestation(&registered.authenticator_data);
    let stored = StoredRegistration { client_data_json: &registered.client_data, attestation_object: &object };
    for case in authentications() {
        let mut parts = key.log_in(&challenge);
        (case.mutate)(&mut parts);
        let response = AuthenticationResponse::from_value(&key.authentication_json(&parts)).unwrap();
        let decision = judge.judge_authentication(&response, &challenge, &record, stored);
        let allowed = [key.id.clone()];
        let expected = AuthenticationExpectations {
            strictness,
            ..AuthenticationExpectations::new(&challenge, RP_ID, &origins, &allowed, Some(&record))
        };
        let decided = verify_authentication(&response, &expected).decided_by(decision.clone());
        assert_eq!(decided.update.is_some(), decision.refusal.is_none(), "{}", case.name);
        let itself = webauthn_rs_authentication(&key, case.mutate).other;
        assert_eq!(decision.refusal.is_none(), itself.is_ok(), "{}: {decision:?}, {itself:?}", case.name);
    }
    // What it leaves to its caller is not outweighed by its verdict.
    let parts = key.register(&challenge);
    let response = RegistrationResponse::from_value(&key.registration_json(&parts)).unwrap();
    let mut expected = RegistrationExpectations::new(&challenge, RP_ID, &origins, b"user", now());
    expected.already_registered = true;
    let decision = judge.judge_registration(&response, &challenge);
    assert_eq!(decision.refusal, None);
    let decided = verify_registration(&response, &expected).decided_by(decision);
    assert_eq!(decided.record, None);
    let refusal = decided.report.decided_by.unwrap().refusal.unwrap();
    assert_eq!(refusal, "webauthn-rs leaves credential-id-unregistered to its caller");
    // Security keys, with and without user verification; a counter that has moved on; another origin than at registration.
    let security_key = WebauthnRs { user_verification: UserVerification::Preferred, ..judge };
    let login = |judge: WebauthnRs<'_>, record: &CredentialRecord| {
        let response = AuthenticationResponse::from_value(&key.authentication_json(&key.log_in(&challenge))).unwrap();
        judge.judge_authentication(&response, &challenge, record, stored).refusal
    };
    assert_eq!(login(security_key, &record), None);
    let ahead = CredentialRecord { sign_count: REGISTERED_COUNTER + 1, ..record.clone() };
    assert_eq!(login(security_key, &ahead), Some("CredentialPossibleCompromise".to_owned()));
    let elsewhere = [OriginRule::exact("https://www.example.org").unwrap()];
    assert_eq!(login(WebauthnRs { origins: &elsewhere, ..judge }, &record), Some("InvalidRPOrigin".to_owned()));
    let below = [OriginRule::exact("https://example.org").unwrap().with_subdomains().unwrap()];
    assert_eq!(login(WebauthnRs { origins: &below, ..judge }, &record), None);
    assert!(login(WebauthnRs { origins: &[], ..judge }, &record).is_some(), "what cannot be asked is refused");
}

/// What no policy lets pass, though webauthn-rs does: of two values under one key nobody knows which was meant.
const NEVER: [&str; 1] = ["a key with its kty twice"];

fn strictness(policy: &str) -> Strictness {
    let policy: toml::Table = policy.parse().unwrap();
    policy["strictness"].clone().try_into().unwrap()
}

const WEBAUTHN_RS: &str = include_str!("../../../relying-party/policies/webauthn-rs.toml");

const CHALLENGE: [u8; 32] = [0x23; 32];

fn origins() -> [OriginRule; 1] {
    [OriginRule::exact(ORIGIN).unwrap()]
}

/// A registration that is changed and judged here.
pub(crate) fn judge_registration(key: &Key, case: &Case, strictness: Strictness) -> Report {
    let (origins, response) = (origins(), registration(key, case));
    let expected = RegistrationExpectations {
        strictness,
        ..RegistrationExpectations::new(&CHALLENGE, RP_ID, &origins, b"user", now())
    };
    let report = verify_registration(&response, &expected).report;
    assert_whole(&report);
    report
}

fn registration(key: &Key, case: &Case) -> RegistrationResponse {
    let mut parts = key.register(&CHALLENGE);
    (case.mutate)(&mut parts);
    RegistrationResponse::from_value(&key.registration_json(&parts)).unwrap()
}

/// A login that is changed and judged here.
pub(crate) fn judge_authentication(key: &Key, case: &Case, strictness: Strictness, framing: Framing<'_>) -> Report {
    let (origins, allowed, (_, record)) = (origins(), [key.id.clone()], stored(key, b"user"));
    let expected = AuthenticationExpectations {
        strictness,
        framing,
        ..AuthenticationExpectations::new(&CHALLENGE, RP_ID, &origins, &allowed, Some(&record))
    };
    let report = verify_authentication(&authentication(key, case), &expected).report;
    assert_whole(&report);
    report
}

fn authentication(key: &Key, case: &Case) -> AuthenticationResponse {
    let mut parts = key.log_in(&CHALLENGE);
    (case.mutate)(&mut parts);
    AuthenticationResponse::from_value(&key.authentication_json(&parts)).unwrap()
}

/// Proxmox VE stands on webauthn-rs, and asks for user presence alone. The policy of its name lets pass what it lets pass, and
/// nothing else, by our verifier.
#[test]
fn the_policy_of_proxmox_is_as_strict_as_proxmox() {
    let strictness = strictness(include_str!("../../../relying-party/policies/proxmox-9.toml"));
    let (key, origins) = (Key::new(), origins());
    let judge = WebauthnRs { rp_id: RP_ID, origins: &origins, user_verification: UserVerification::Discouraged };
    let mut wrong = Vec::new();
    let mut compare = |case: &Case, ours: &Report, other: Decision| {
        if ours.is_accepted() != (other.accepts && !NEVER.contains(&case.name)) {
            let failed: Vec<_> = ours.failed().map(|finding| (finding.check.id(), finding.enforced)).collect();
            wrong.push(format!("{:?}, {}: here {failed:?}, there {other:?}", ours.ceremony, case.name));
        }
    };
    for case in registrations() {
        let ours = judge_registration(&key, &case, strictness);
        compare(&case, &ours, judge.judge_registration(&registration(&key, &case), &CHALLENGE));
    }
    let (registered, record) = stored(&key, b"user");
    let object = none_attestation(&registered.authenticator_data);
    let stored = StoredRegistration { client_data_json: &registered.client_data, attestation_object: &object };
    for case in authentications() {
        let ours = judge_authentication(&key, &case, strictness, Framing::AllowedAnywhere);
        let response = authentication(&key, &case);
        compare(&case, &ours, judge.judge_authentication(&response, &CHALLENGE, &record, stored));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn authentications_are_judged_alike() {
    let (key, mut wrong) = (Key::new(), Vec::new());
    for case in authentications() {
        compare(&case, "webauthn-rs", &webauthn_rs_authentication(&key, case.mutate), case.webauthn_rs, &mut wrong);
        compare(&case, "webauthn_rp", &webauthn_rp_authentication(&key, case.mutate), case.webauthn_rp, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn registrations_are_judged_alike() {
    let (key, user, mut wrong) = (Key::new(), UserHandle64::new(), Vec::new());
    for case in registrations() {
        compare(&case, "webauthn-rs", &webauthn_rs_registration(&key, case.mutate).0, case.webauthn_rs, &mut wrong);
        compare(
            &case,
            "webauthn_rp",
            &webauthn_rp_registration(&key, &user, case.mutate).0,
            case.webauthn_rp,
            &mut wrong,
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Members of the JSON with padding, and in base64 that is not the URL's.
#[test]
fn members_in_another_base64() {
    let (key, parts) = (Key::new(), Key::new().register(&CHALLENGE));
    let (letter, lenient) = (Strictness::by_the_letter(), strictness(WEBAUTHN_RS));
    let id = [0xfb; 32];
    for (encoded, passes) in
        [(URL_SAFE.encode(id), true), (STANDARD_NO_PAD.encode(id), false), (STANDARD.encode(id), false)]
    {
        let mut json = key.registration_json(&parts);
        json["rawId"] = json!(encoded);
        let bytes = serde_json::to_vec(&json).unwrap();
        assert!(RegistrationResponse::from_value_by(&json, &letter).is_err(), "{encoded}");
        assert!(Registration::from_json_relaxed(&bytes).is_err(), "{encoded}");
        let ours = RegistrationResponse::from_value_by(&json, &lenient);
        let theirs = serde_json::from_value::<webauthn_rs::prelude::RegisterPublicKeyCredential>(json);
        assert_eq!((ours.is_ok(), theirs.is_ok()), (passes, passes), "{encoded}");
        assert!(ours.is_err() || ours.unwrap().raw_id == id);
    }
}
