//! A login verified, beside the bare verification of its signature and beside webauthn-rs; a registration with its full report.
//!
//! What is verified are the specification's test vectors, and for webauthn-rs, which picks its own challenges, the same key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use graviola::hashing::Sha256 as GraviolaSha256;
use graviola::signing::ecdsa::{P256, VerifyingKey};
use keyrig_verifier::{
    AttestationPolicy, AuthenticationExpectations, AuthenticationResponse, OriginRule, RegistrationExpectations,
    RegistrationResponse, TrustAnchors, verify_authentication, verify_registration,
};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webauthn_rs::prelude::{Url, Uuid, WebauthnBuilder};

const RP_ID: &str = "example.org";
const ORIGIN: &str = "https://example.org";

/// A test vector of WebAuthn Level 3, §16.
struct Vector(Value);

impl Vector {
    fn named(name: &str) -> Self {
        let vectors: Value = serde_json::from_str(include_str!("../tests/verifier/webauthn-level-3.json")).unwrap();
        Self(vectors["vectors"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone())
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        hex::decode(self.0.pointer(path).unwrap().as_str().unwrap()).unwrap()
    }

    fn encoded(&self, path: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes(path))
    }

    fn registration_json(&self) -> String {
        json!({
            "id": self.encoded("/credential_id"), "rawId": self.encoded("/credential_id"), "type": "public-key",
            "response": {
                "clientDataJSON": self.encoded("/registration/client_data_json"),
                "attestationObject": self.encoded("/registration/attestation_object"),
            },
            "clientExtensionResults": {},
        })
        .to_string()
    }

    fn authentication_json(&self) -> String {
        json!({
            "id": self.encoded("/credential_id"), "rawId": self.encoded("/credential_id"), "type": "public-key",
            "response": {
                "clientDataJSON": self.encoded("/authentication/client_data_json"),
                "authenticatorData": self.encoded("/authentication/authenticator_data"),
                "signature": self.encoded("/authentication/signature"),
            },
            "clientExtensionResults": {},
        })
        .to_string()
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn logins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("login");
    let vector = Vector::named("none-es256");
    let origins = [OriginRule::exact(ORIGIN).unwrap()];
    let challenge = vector.bytes("/registration/challenge");
    let expected = RegistrationExpectations::new(&challenge, RP_ID, &origins, b"user", now());
    let registration = RegistrationResponse::from_json(vector.registration_json().as_bytes()).unwrap();
    let record = verify_registration(&registration, &expected).record.unwrap();

    let data = vector.bytes("/authentication/authenticator_data");
    let hash = Sha256::digest(vector.bytes("/authentication/client_data_json"));
    let signature = vector.bytes("/authentication/signature");
    let private = SigningKey::from_slice(&vector.bytes("/credential_private_key")).unwrap();
    let point = private.verifying_key().to_sec1_point(false);
    if graviola::util::is_cpu_supported() {
        group.bench_function("bare verification, graviola", |bencher| {
            bencher.iter(|| {
                let key = VerifyingKey::<P256>::from_x962_uncompressed(black_box(point.as_bytes())).unwrap();
                key.verify_asn1::<GraviolaSha256>(&[black_box(&data), &hash], &signature).unwrap();
            });
        });
    }
    group.bench_function("bare verification, p256", |bencher| {
        let message = [&data[..], &hash].concat();
        bencher.iter(|| {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(black_box(point.as_bytes())).unwrap();
            key.verify(black_box(&message), &DerSignature::try_from(&signature[..]).unwrap()).unwrap();
        });
    });

    let (challenge, allowed) = (vector.bytes("/authentication/challenge"), [record.id.clone()]);
    let expected = AuthenticationExpectations::new(&challenge, RP_ID, &origins, &allowed, Some(&record));
    let json = vector.authentication_json();
    let response = AuthenticationResponse::from_json(json.as_bytes()).unwrap();
    assert!(verify_authentication(&response, &expected).report.is_accepted());
    group.bench_function("full report", |bencher| {
        bencher.iter(|| verify_authentication(black_box(&response), &expected));
    });
    group.bench_function("full report, from JSON to JSON", |bencher| {
        bencher.iter(|| {
            let response = AuthenticationResponse::from_json(black_box(json.as_bytes())).unwrap();
            serde_json::to_vec(&verify_authentication(&response, &expected).report).unwrap()
        });
    });
    webauthn_rs(&mut group, &private, &vector);
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// The same key, answering a challenge that webauthn-rs picked.
fn webauthn_rs(group: &mut Group<'_>, private: &SigningKey, vector: &Vector) {
    let webauthn = WebauthnBuilder::new(RP_ID, &Url::parse(ORIGIN).unwrap()).unwrap().build().unwrap();
    let client_data = |kind: &str, challenge: &[u8]| {
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#)
    };
    let (options, state) = webauthn.start_passkey_registration(Uuid::nil(), "user", "User", None).unwrap();
    let mut object = vector.bytes("/registration/attestation_object");
    let flags = object.windows(8).position(|window| window == b"authData").unwrap() + 8 + 2 + 32;
    // UP, UV and AT: a passkey verifies its user.
    object[flags] = 0x45;
    let mut registration: Value = serde_json::from_str(&vector.registration_json()).unwrap();
    let json = client_data("webauthn.create", &options.public_key.challenge);
    registration["response"]["clientDataJSON"] = json!(URL_SAFE_NO_PAD.encode(json));
    registration["response"]["attestationObject"] = json!(URL_SAFE_NO_PAD.encode(object));
    let registration = serde_json::from_value(registration).unwrap();
    let passkey = webauthn.finish_passkey_registration(&registration, &state).unwrap();

    let (options, state) = webauthn.start_passkey_authentication(&[passkey]).unwrap();
    let json = client_data("webauthn.get", &options.public_key.challenge);
    let data = [&Sha256::digest(RP_ID)[..], &[0x05, 0, 0, 0, 1]].concat();
    let signature: DerSignature = private.sign(&[&data[..], &Sha256::digest(&json)].concat());
    let mut login: Value = serde_json::from_str(&vector.authentication_json()).unwrap();
    login["response"]["clientDataJSON"] = json!(URL_SAFE_NO_PAD.encode(json));
    login["response"]["authenticatorData"] = json!(URL_SAFE_NO_PAD.encode(data));
    login["response"]["signature"] = json!(URL_SAFE_NO_PAD.encode(signature.as_bytes()));
    let login = serde_json::from_value(login).unwrap();
    group.bench_function("webauthn-rs", |bencher| {
        bencher.iter(|| webauthn.finish_passkey_authentication(black_box(&login), &state).unwrap());
    });
}

fn registrations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registration");
    let vectors: Value = serde_json::from_str(include_str!("../tests/verifier/webauthn-level-3.json")).unwrap();
    let root = hex::decode(vectors["attestation_ca_cert"].as_str().unwrap()).unwrap();
    let anchors = TrustAnchors::from_der([root.as_slice()]).unwrap();
    for (name, policy) in [
        ("none-es256", AttestationPolicy::none()),
        ("packed-self-es256", AttestationPolicy::any()),
        ("packed-es256", AttestationPolicy::by_root(&anchors)),
    ] {
        let vector = Vector::named(name);
        let origins = [OriginRule::exact(ORIGIN).unwrap()];
        let challenge = vector.bytes("/registration/challenge");
        let mut expected = RegistrationExpectations::new(&challenge, RP_ID, &origins, b"user", now());
        expected.attestation = policy;
        let response = RegistrationResponse::from_json(vector.registration_json().as_bytes()).unwrap();
        assert!(verify_registration(&response, &expected).report.is_accepted());
        group.bench_function(name, |bencher| {
            bencher.iter(|| verify_registration(black_box(&response), &expected));
        });
    }
    group.finish();
}

criterion_group!(benches, logins, registrations);
criterion_main!(benches);
