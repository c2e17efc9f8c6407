//! Authentications with one thing wrong: exactly the checks that are about it fail.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, CredentialRecord, Deviation, FlagPolicy, Framing, OriginRule,
    Outcome, Report, User, verify_authentication,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::ceremonies::{RP_ID, USER_HANDLE, Vector, assert_whole, failed, origins, vector};

/// UP and UV.
pub(crate) const FLAGS: u8 = 0x05;
pub(crate) const STORED_COUNTER: u32 = 7;

/// A good login with the key of a vector, and what can be changed in it.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) vector: Vector,
    record: CredentialRecord,
    pub(crate) client_data_json: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) response: AuthenticationResponse,
}

impl Login {
    pub(crate) fn good() -> Self {
        let vector = vector("none-es256");
        let mut record = vector.record();
        record.sign_count = STORED_COUNTER;
        record.backup_eligible = false;
        record.backup_state = false;
        let mut login = Self {
            client_data_json: client_data(&vector, "https://example.org").into_bytes(),
            authenticator_data: authenticator_data(RP_ID, FLAGS, STORED_COUNTER + 1),
            response: vector.authentication(),
            vector,
            record,
        };
        login.response.user_handle = Some(USER_HANDLE.to_vec());
        login.sign();
        login
    }

    /// Signs what there is, as the key would have.
    pub(crate) fn sign(&mut self) {
        let key = SigningKey::from_slice(&self.vector.credential_private_key).unwrap();
        let message = [&self.authenticator_data[..], &Sha256::digest(&self.client_data_json)].concat();
        let signature: DerSignature = key.sign(&message);
        self.response.signature = signature.as_bytes().to_vec();
        self.response.client_data_json.clone_from(&self.client_data_json);
        self.response.authenticator_data.clone_from(&self.authenticator_data);
    }

    pub(crate) fn report(&self) -> Report {
        self.report_with(|_| {})
    }

    pub(crate) fn report_with(&self, change: impl FnOnce(&mut AuthenticationExpectations<'_>)) -> Report {
        let (origins, allowed) = (origins(), [self.vector.credential_id.clone()]);
        let mut expected = self.vector.expected_authentication(&origins, &allowed, &self.record);
        expected.user_verification = true;
        change(&mut expected);
        let authentication = verify_authentication(&self.response, &expected);
        assert_whole(&authentication.report);
        assert_eq!(authentication.update.is_some(), authentication.report.is_accepted());
        authentication.report
    }
}

pub(crate) fn client_data(vector: &Vector, origin: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(&vector.authentication.challenge);
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
}

pub(crate) fn authenticator_data(rp_id: &str, flags: u8, counter: u32) -> Vec<u8> {
    [&Sha256::digest(rp_id)[..], &[flags], &counter.to_be_bytes()].concat()
}

#[test]
fn the_signer_here_makes_the_specifications_bytes() {
    let vector = vector("none-es256");
    let mut login = Login::good();
    login.client_data_json = client_data(&vector, "https://example.org").into_bytes();
    login.authenticator_data = authenticator_data(RP_ID, 0x19, 0);
    login.sign();
    assert_eq!(login.response.client_data_json, vector.authentication.client_data_json);
    assert_eq!(login.response.authenticator_data, vector.authentication.authenticator_data);
    assert_eq!(login.response.signature, vector.authentication.signature);
}

#[test]
fn a_good_login_passes() {
    let report = Login::good().report();
    assert_eq!(failed(&report), [""; 0], "{report:#?}");
    assert!(report.is_accepted());
}

/// Client data, signed as it is.
fn signed_client_data(client_data_json: impl Into<Vec<u8>>) -> Vec<&'static str> {
    let mut login = Login::good();
    login.client_data_json = client_data_json.into();
    login.sign();
    failed(&login.report())
}

fn member(name: &str, value: serde_json::Value) -> String {
    let mut client_data: serde_json::Value =
        serde_json::from_str(&client_data(&vector("none-es256"), "https://example.org")).unwrap();
    client_data[name] = value;
    client_data.to_string()
}

fn without(name: &str) -> String {
    let mut client_data: serde_json::Value =
        serde_json::from_str(&client_data(&vector("none-es256"), "https://example.org")).unwrap();
    client_data.as_object_mut().unwrap().remove(name).unwrap();
    client_data.to_string()
}

#[test]
fn every_member_of_the_client_data_fails_its_own_check() {
    let challenge = vector("none-es256").authentication.challenge;
    let other = |member| move |value: serde_json::Value| (member, value);
    let (kind, chal, origin) = (other("type"), other("challenge"), other("origin"));
    let (cross, top) = (other("crossOrigin"), other("topOrigin"));
    let cases: Vec<((&str, serde_json::Value), &[&str])> = vec![
        (kind(json!("webauthn.create")), &["client-data-type"]),
        (kind(json!("WebAuthn.get")), &["client-data-type"]),
        (kind(json!("")), &["client-data-type"]),
        (kind(json!(1)), &["client-data-type"]),
        (kind(json!(null)), &["client-data-type"]),
        (chal(json!(URL_SAFE.encode(&challenge))), &["challenge"]),
        (chal(json!(STANDARD.encode(&challenge))), &["challenge"]),
        (chal(json!(URL_SAFE_NO_PAD.encode(&challenge[1..]))), &["challenge"]),
        (chal(json!(URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.encode(&challenge)))), &["challenge"]),
        (chal(json!("")), &["challenge"]),
        (chal(json!([1, 2])), &["challenge"]),
        (origin(json!("https://example.com")), &["origin"]),
        (origin(json!(null)), &["origin"]),
        (origin(json!(["https://example.org"])), &["origin"]),
        (cross(json!(true)), &["cross-origin"]),
        (cross(json!("false")), &["cross-origin"]),
        (cross(json!(null)), &["cross-origin"]),
        (top(json!("https://example.org")), &["top-origin"]),
        (top(json!(null)), &["top-origin"]),
        (("tokenBinding", json!({"status": "supported"})), &[]),
        (("other_keys_can_be_added_here", json!("do not compare clientDataJSON against a template")), &[]),
    ];
    for ((name, value), fails) in cases {
        let json = member(name, value);
        assert_eq!(signed_client_data(json.clone()), fails, "{json}");
    }
    for (name, fails) in [("type", "client-data-type"), ("challenge", "challenge"), ("origin", "origin")] {
        assert_eq!(signed_client_data(without(name)), [fails], "without {name}");
    }
    assert_eq!(signed_client_data(without("crossOrigin")), [""; 0], "Level 1 clients do not send it");
}

#[test]
fn client_data_is_decoded_as_the_encoding_standard_says() {
    let good = client_data(&vector("none-es256"), "https://example.org");
    let with_bom = ["\u{feff}", &good].concat();
    assert_eq!(signed_client_data(with_bom), [""; 0], "a byte-order mark is stripped");
    assert_eq!(signed_client_data(["\u{feff}\u{feff}", &good].concat()), ["client-data-json"], "but only one");
    // What is not UTF-8 becomes U+FFFD and fails only where it matters.
    let mut bytes = member("extra", json!("x")).into_bytes();
    let place = bytes.windows(3).position(|window| window == b"\"x\"").unwrap();
    bytes[place + 1] = 0xff;
    assert_eq!(signed_client_data(bytes), [""; 0]);
    // The last of two members of one name counts, as in a browser's JSON.parse.
    let twice = good.replace(r#"{"type""#, r#"{"type":"webauthn.create","type""#);
    assert_eq!(signed_client_data(twice), [""; 0]);
    let twice = good.replace(r#""crossOrigin":false"#, r#""crossOrigin":false,"crossOrigin":true"#);
    assert_eq!(signed_client_data(twice), ["cross-origin"]);
    assert_eq!(signed_client_data(format!(" {good}\n")), [""; 0], "white space is JSON");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for not_an_object in ["", "null", "[]", "\"text\"", "{", &good[1..], &format!("{good},"), &deep] {
        assert_eq!(signed_client_data(not_an_object), ["client-data-json"], "{:.40}", not_an_object);
    }
}

#[test]
fn every_bit_of_authenticator_data_fails_its_own_check() {
    for bit in 0..37 * 8 {
        let mut login = Login::good();
        login.authenticator_data[bit / 8] ^= 1 << (bit % 8);
        let (head, counter) = login.authenticator_data.split_at(33);
        let counter = u32::from_be_bytes(counter.try_into().unwrap());
        let fails: &[&str] = match bit {
            0..256 => &["rp-id-hash"],
            256 => &["user-present"],
            258 => &["user-verified"],
            // BE set: another credential than was registered.
            259 => &["backup-eligibility-unchanged"],
            260 => &["backup-state-consistent"],
            // AT announces what is not there, and must not be there.
            262 => &["authenticator-data", "attested-credential-data"],
            // ED announces what is not there.
            263 => &["authenticator-data"],
            // Reserved bits mean nothing.
            257 | 261 => &[],
            _ if counter <= STORED_COUNTER => &["signature-counter"],
            _ => &[],
        };
        let flags = head[32];
        // Not signed again, the signature fails as well.
        login.response.authenticator_data.clone_from(&login.authenticator_data);
        let unsigned = failed(&login.report());
        let place = unsigned.iter().position(|id| *id == "signature").expect("the signature fails");
        let mut rest = unsigned.clone();
        rest.remove(place);
        assert_eq!(rest, fails, "bit {bit}, not signed, flags {flags:02x}");
        login.sign();
        assert_eq!(failed(&login.report()), fails, "bit {bit}, signed, flags {flags:02x}");
    }
}

#[test]
fn authenticator_data_has_exactly_its_length() {
    let good = Login::good();
    for length in 0..37 {
        let mut login = good.clone();
        login.authenticator_data.truncate(length);
        login.sign();
        let report = login.report();
        assert_eq!(failed(&report), ["authenticator-data"], "{length} bytes");
        for id in ["rp-id-hash", "user-present", "user-verified", "signature-counter", "attested-credential-data"] {
            let finding = report.findings.iter().find(|finding| finding.check.id() == id).unwrap();
            assert!(matches!(finding.outcome, Outcome::NotEvaluated { .. }), "{id}");
        }
    }
    let mut login = good.clone();
    login.authenticator_data.push(0);
    login.sign();
    assert_eq!(failed(&login.report()), ["authenticator-data"]);
    // With ED, extensions: a map that is canonical CBOR, and nothing after it.
    for (extensions, fails) in [
        (&b"\xa0"[..], &[][..]),
        (b"\xa1\x6bhmac-secret\xf5", &[]),
        (b"\x80", &["authenticator-data"]),
        (b"\xa0\xa0", &["authenticator-data"]),
        (b"\xbf\xff", &["authenticator-data"]),
        (b"\xa1\x01\xf5", &["authenticator-extensions"]),
    ] {
        let mut login = good.clone();
        login.authenticator_data[32] |= 0x80;
        login.authenticator_data.extend_from_slice(extensions);
        login.sign();
        assert_eq!(failed(&login.report()), fails, "{extensions:x?}");
    }
}

#[test]
fn every_byte_of_client_data_and_signature_is_signed() {
    let good = Login::good();
    for index in 0..good.client_data_json.len() {
        let mut login = good.clone();
        login.response.client_data_json[index] ^= 1;
        assert!(failed(&login.report()).contains(&"signature"), "byte {index} of clientDataJSON");
    }
    for index in 0..good.response.signature.len() {
        let mut login = good.clone();
        login.response.signature[index] ^= 1;
        assert_eq!(failed(&login.report()), ["signature"], "byte {index} of the signature");
    }
    for length in 0..good.response.signature.len() {
        let mut login = good.clone();
        login.response.signature.truncate(length);
        assert_eq!(failed(&login.report()), ["signature"], "{length} bytes of the signature");
    }
    let mut login = good.clone();
    login.response.signature.push(0);
    assert_eq!(failed(&login.report()), ["signature"]);
    // §6.5.5: an ASN.1 signature, not the pair of numbers that Web Cryptography uses.
    let mut login = good;
    let signature = p256::ecdsa::Signature::from_der(&login.response.signature).unwrap();
    login.response.signature = signature.to_bytes().to_vec();
    let report = login.report();
    assert_eq!(failed(&report), ["signature"]);
    assert!(report.failed().next().unwrap().explanation.as_ref().unwrap().contains("ASN.1 DER"));
}

#[test]
fn the_credential_and_the_user_are_checked() {
    let good = Login::good();
    let case = |change: &dyn Fn(&mut Login)| {
        let mut login = good.clone();
        change(&mut login);
        failed(&login.report())
    };
    assert_eq!(case(&|it| it.response.credential_type = "password".into()), ["credential-type"]);
    assert_eq!(case(&|it| it.response.id = URL_SAFE.encode(&it.response.raw_id)), ["credential-id-encoding"]);
    assert_eq!(case(&|it| it.response.id = URL_SAFE_NO_PAD.encode(&it.response.id)), ["credential-id-encoding"]);
    assert_eq!(case(&|it| it.response.user_handle = Some(b"another".to_vec())), ["user-handle"]);
    assert_eq!(case(&|it| it.response.user_handle = Some(Vec::new())), ["user-handle"]);
    assert_eq!(case(&|it| it.response.user_handle = None), [""; 0]);
    let by_handle = |login: &Login| failed(&login.report_with(|expected| expected.user = User::ByUserHandle));
    assert_eq!(by_handle(&good), [""; 0]);
    let mut anonymous = good.clone();
    anonymous.response.user_handle = None;
    assert_eq!(by_handle(&anonymous), ["user-handle"]);
    // Another credential of which there is no record: what needs the record is not evaluated, and does not fail.
    let mut other = good.clone();
    other.response.raw_id[0] ^= 1;
    other.response.id = URL_SAFE_NO_PAD.encode(&other.response.raw_id);
    assert_eq!(failed(&other.report()), ["allow-credentials", "credential-record"]);
    assert_eq!(failed(&good.report_with(|expected| expected.record = None)), ["credential-record"]);
    let others: &'static [_] = Box::leak(Box::new([b"another".to_vec()]));
    assert_eq!(failed(&good.report_with(|expected| expected.allow_credentials = others)), ["allow-credentials"]);
    assert_eq!(failed(&good.report_with(|expected| expected.allow_credentials = &[])), [""; 0]);
    // The key of another credential.
    assert_eq!(case(&|it| it.record.public_key = vector("none-es256-topOrigin").record().public_key), ["signature"]);
    assert_eq!(case(&|it| it.record.public_key = vec![0xa0]), ["public-key"]);
}

#[test]
fn the_counter_is_policy() {
    let report = |stored: u32, found: u32, policy: Deviation| {
        let mut login = Login::good();
        login.record.sign_count = stored;
        login.authenticator_data = authenticator_data(RP_ID, FLAGS, found);
        login.sign();
        login.report_with(|expected| expected.counter = policy)
    };
    for (stored, found, passes) in
        [(0, 0, true), (0, 1, true), (7, 8, true), (7, u32::MAX, true), (7, 7, false), (7, 6, false), (7, 0, false)]
    {
        let refused = report(stored, found, Deviation::Refuse);
        assert_eq!(refused.is_accepted(), passes, "{stored} then {found}");
        assert_eq!(failed(&refused), if passes { vec![] } else { vec!["signature-counter"] });
        let reported = report(stored, found, Deviation::Report);
        assert!(reported.is_accepted());
        assert_eq!(failed(&reported), failed(&refused), "reported all the same");
    }
}

#[test]
fn backup_flags_are_compared_and_are_policy() {
    // BE and BS set, as the record says it was.
    let mut login = Login::good();
    login.record.backup_eligible = true;
    login.authenticator_data = authenticator_data(RP_ID, FLAGS | 0x18, STORED_COUNTER + 1);
    login.sign();
    assert_eq!(failed(&login.report()), [""; 0]);
    let with = |login: &Login, eligibility, state| {
        failed(
            &login.report_with(|expected| (expected.backup.eligibility, expected.backup.state) = (eligibility, state)),
        )
    };
    assert_eq!(with(&login, FlagPolicy::Required, FlagPolicy::Required), [""; 0]);
    assert_eq!(with(&login, FlagPolicy::Refused, FlagPolicy::Any), ["backup-eligibility"]);
    assert_eq!(with(&login, FlagPolicy::Any, FlagPolicy::Refused), ["backup-state"]);
    assert_eq!(
        with(&Login::good(), FlagPolicy::Required, FlagPolicy::Required),
        ["backup-eligibility", "backup-state"]
    );
    login.authenticator_data[32] &= !0x18;
    login.sign();
    assert_eq!(failed(&login.report()), ["backup-eligibility-unchanged"]);
}

#[test]
fn user_verification_matters_only_where_it_is_required() {
    let mut login = Login::good();
    login.authenticator_data[32] &= !0x04;
    login.sign();
    assert_eq!(failed(&login.report()), ["user-verified"]);
    assert_eq!(failed(&login.report_with(|expected| expected.user_verification = false)), [""; 0]);
}

#[test]
fn an_app_id_counts_if_the_extension_says_so() {
    const APP_ID: &str = "https://example.org/app-id.json";
    let mut login = Login::good();
    login.authenticator_data = authenticator_data(APP_ID, FLAGS, STORED_COUNTER + 1);
    login.sign();
    let with = |login: &Login, app_id| failed(&login.report_with(|expected| expected.app_id = app_id));
    // The hash is the AppID's, but the client does not say that it used it.
    assert_eq!(with(&login, Some(APP_ID)), ["rp-id-hash"]);
    login.response.client_extension_results.insert("appid".to_owned(), json!(false));
    assert_eq!(with(&login, Some(APP_ID)), ["rp-id-hash"]);
    login.response.client_extension_results.insert("appid".to_owned(), json!(true));
    assert_eq!(with(&login, Some(APP_ID)), [""; 0]);
    // It does, but nobody asked.
    assert_eq!(with(&login, None), ["rp-id-hash"]);
    let mut login = Login::good();
    login.response.client_extension_results.insert("appid".to_owned(), json!(true));
    assert_eq!(with(&login, Some(APP_ID)), ["rp-id-hash"]);
}

#[test]
fn unsolicited_extensions_are_policy() {
    let mut login = Login::good();
    login.response.client_extension_results.insert("credProps".to_owned(), json!({"rk": true}));
    login.authenticator_data[32] |= 0x80;
    login.authenticator_data.extend_from_slice(b"\xa1\x6bcredProtect\x02");
    login.sign();
    assert_eq!(failed(&login.report()), [""; 0]);
    let strict = |client: &'static [&'static str], authenticator: &'static [&'static str]| {
        failed(&login.report_with(|expected| {
            expected.extensions.refuse_unsolicited = true;
            expected.extensions.client = client;
            expected.extensions.authenticator = authenticator;
        }))
    };
    assert_eq!(strict(&[], &[]), ["client-extensions", "authenticator-extensions"]);
    assert_eq!(strict(&["credProps"], &[]), ["authenticator-extensions"]);
    assert_eq!(strict(&["credProps"], &["credProtect"]), [""; 0]);
}

#[test]
fn several_mistakes_are_all_reported() {
    let mut login = Login::good();
    login.client_data_json =
        br#"{"type":"webauthn.create","challenge":"AAAA","origin":"https://evil-example.org","crossOrigin":true}"#
            .to_vec();
    login.authenticator_data = authenticator_data("evil-example.org", 0, 3);
    login.sign();
    assert_eq!(
        failed(&login.report()),
        [
            "client-data-type",
            "challenge",
            "origin",
            "cross-origin",
            "rp-id-hash",
            "user-present",
            "user-verified",
            "signature-counter"
        ]
    );
    let tops: &'static [_] = Box::leak(Box::new([OriginRule::exact("https://example.com").unwrap()]));
    let framed = login.report_with(|expected| expected.framing = Framing::AllowedIn(tops));
    assert!(!failed(&framed).contains(&"cross-origin"));
}

#[test]
fn the_other_algorithms_sign_authentications_too() {
    for name in ["packed-es384", "packed-rs256", "packed-eddsa"] {
        let vector = vector(name);
        let (origins, allowed, record) = (origins(), [vector.credential_id.clone()], vector.record());
        let expected = vector.expected_authentication(&origins, &allowed, &record);
        let good = vector.authentication();
        for index in 0..good.signature.len() {
            let mut response = good.clone();
            response.signature[index] ^= 0x10;
            let report = verify_authentication(&response, &expected).report;
            assert_eq!(failed(&report), ["signature"], "{name}, byte {index}");
        }
    }
}

#[test]
fn a_report_is_json() {
    let mut login = Login::good();
    login.client_data_json = client_data(&login.vector, "http://example.org").into_bytes();
    login.sign();
    let report = serde_json::to_value(login.report()).unwrap();
    assert_eq!(report["ceremony"], "authentication");
    assert_eq!(report["verdict"], "refused");
    assert_eq!(report["refused_by"], json!(["origin"]));
    let checks = report["checks"].as_array().unwrap();
    let origin = checks.iter().find(|check| check["id"] == "origin").unwrap();
    assert_eq!(origin["outcome"], "fail");
    assert_eq!(origin["expected"], "https://example.org");
    assert_eq!(origin["found"], "http://example.org");
    assert_eq!(origin["specification"], "https://www.w3.org/TR/webauthn-3/#sctn-validating-origin");
    assert_eq!(origin["explanation"], "the scheme is http instead of https");
}
