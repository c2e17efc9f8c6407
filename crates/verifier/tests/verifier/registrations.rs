//! Registrations with one thing wrong: exactly the checks that are about it fail.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use keyrig_verifier::{FlagPolicy, RegistrationExpectations, RegistrationResponse, Report, verify_registration};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::ceremonies::{USER_HANDLE, Vector, assert_whole, failed, origins, vector};

/// A registration with self attestation, so that everything in it is signed by the vector's credential key.
#[derive(Clone)]
struct Registration {
    vector: Vector,
    client_data_json: Vec<u8>,
    authenticator_data: Vec<u8>,
    response: RegistrationResponse,
}

impl Registration {
    fn good() -> Self {
        let vector = vector("packed-self-es256");
        let mut response = vector.registration();
        response.transports = vec!["usb".to_owned()];
        let authenticator_data = split(&vector.registration.attestation_object);
        Self { client_data_json: vector.registration.client_data_json.clone(), authenticator_data, response, vector }
    }

    /// Signs what there is, as the key would have.
    fn sign(&mut self) {
        let key = SigningKey::from_slice(&self.vector.credential_private_key).unwrap();
        let message = [&self.authenticator_data[..], &Sha256::digest(&self.client_data_json)].concat();
        let signature: DerSignature = key.sign(&message);
        self.response.client_data_json.clone_from(&self.client_data_json);
        self.response.attestation_object = object(signature.as_bytes(), &self.authenticator_data);
    }

    fn report(&self) -> Report {
        self.report_with(|_| {})
    }

    fn report_with(&self, change: impl FnOnce(&mut RegistrationExpectations<'_>)) -> Report {
        let origins = origins();
        let mut expected = self.vector.expected_registration(&origins);
        change(&mut expected);
        let registration = verify_registration(&self.response, &expected);
        assert_whole(&registration.report);
        assert_eq!(registration.record.is_some(), registration.report.is_accepted());
        registration.report
    }

    fn changed(&self, change: impl FnOnce(&mut Self)) -> Vec<&'static str> {
        let mut registration = self.clone();
        change(&mut registration);
        registration.sign();
        failed(&registration.report())
    }
}

/// The authenticator data at the end of an attestation object, after `authData` and a head of two bytes.
fn split(object: &[u8]) -> Vec<u8> {
    let place = object.windows(8).position(|window| window == b"authData").unwrap();
    object[place + 8 + 2..].to_vec()
}

/// An attestation object in packed format, with self attestation.
fn object(signature: &[u8], authenticator_data: &[u8]) -> Vec<u8> {
    let mut object = b"\xa3\x63fmt\x66packed\x67attStmt\xa2\x63alg\x26\x63sig\x58".to_vec();
    object.push(u8::try_from(signature.len()).unwrap());
    object.extend_from_slice(signature);
    object.extend_from_slice(b"\x68authData\x59");
    object.extend_from_slice(&u16::try_from(authenticator_data.len()).unwrap().to_be_bytes());
    object.extend_from_slice(authenticator_data);
    if authenticator_data.len() < 256 {
        // The canonical form has the shortest head.
        let place = object.len() - authenticator_data.len() - 3;
        let head = if authenticator_data.len() < 24 {
            vec![0x40 | u8::try_from(authenticator_data.len()).unwrap()]
        } else {
            vec![0x58, u8::try_from(authenticator_data.len()).unwrap()]
        };
        object.splice(place..place + 3, head);
    }
    object
}

#[test]
fn the_signer_here_makes_the_specifications_bytes() {
    let mut registration = Registration::good();
    registration.sign();
    assert_eq!(registration.response.attestation_object, registration.vector.registration.attestation_object);
    assert_eq!(failed(&registration.report()), [""; 0]);
}

#[test]
fn the_record_has_what_the_key_and_the_client_said() {
    let registration = Registration::good();
    let origins = origins();
    let expected = registration.vector.expected_registration(&origins);
    let record = verify_registration(&registration.response, &expected).record.unwrap();
    let flags = registration.authenticator_data[32];
    assert_eq!(record.id, registration.vector.credential_id);
    assert_eq!(record.aaguid.0, registration.authenticator_data[37..53]);
    assert_eq!(record.public_key, registration.authenticator_data[55 + 32..]);
    assert_eq!(record.transports, ["usb"]);
    assert_eq!(record.user_handle, USER_HANDLE);
    assert_eq!(
        (record.uv_initialized, record.backup_eligible, record.backup_state),
        (flags & 4 != 0, flags & 8 != 0, flags & 16 != 0)
    );
}

#[test]
fn every_member_of_the_client_data_fails_its_own_check() {
    let good = Registration::good();
    let challenge = &good.vector.registration.challenge;
    let with = |name: &str, value: serde_json::Value| {
        good.changed(|it| {
            let mut client_data: serde_json::Value = serde_json::from_slice(&it.client_data_json).unwrap();
            client_data[name] = value;
            it.client_data_json = client_data.to_string().into_bytes();
        })
    };
    assert_eq!(with("type", json!("webauthn.get")), ["client-data-type"]);
    assert_eq!(with("type", json!("webauthn.Create")), ["client-data-type"]);
    assert_eq!(with("challenge", json!(URL_SAFE.encode(challenge))), ["challenge"]);
    assert_eq!(with("challenge", json!(STANDARD.encode(&challenge[1..]))), ["challenge"]);
    assert_eq!(with("origin", json!("https://example.org:8443")), ["origin"]);
    assert_eq!(with("origin", json!("null")), ["origin"]);
    assert_eq!(with("crossOrigin", json!(true)), ["cross-origin"]);
    assert_eq!(with("topOrigin", json!("https://example.org")), ["top-origin"]);
    assert_eq!(with("unknown", json!(1)), [""; 0]);
    assert_eq!(good.changed(|it| it.client_data_json.clear()), ["client-data-json"]);
    assert_eq!(good.changed(|it| drop(it.client_data_json.splice(0..0, *b"\xef\xbb\xbf"))), [""; 0]);
}

#[test]
fn every_bit_of_the_head_of_authenticator_data_fails_its_own_check() {
    let good = Registration::good();
    let flags = good.authenticator_data[32];
    for bit in 0..37 * 8 {
        let fails: &[&str] = match bit {
            0..256 => &["rp-id-hash"],
            256 => &["user-present"],
            // BE and BS have to go together.
            259 if flags & 0x18 == 0x18 => &["backup-state-consistent"],
            260 if flags & 0x18 == 0 => &["backup-state-consistent"],
            // Without AT, there is no key either, so that the attestation cannot be verified.
            262 => &["authenticator-data", "attested-credential-data"],
            263 => &["authenticator-data"],
            // UV is not required, reserved bits mean nothing, and any counter will do.
            _ => &[],
        };
        let signed = good.changed(|it| it.authenticator_data[bit / 8] ^= 1 << (bit % 8));
        assert_eq!(signed, fails, "bit {bit}");
        // Not signed again, the attestation signature fails as well, wherever there is a key to verify it with.
        let mut registration = good.clone();
        let place = registration.response.attestation_object.len() - registration.authenticator_data.len();
        registration.response.attestation_object[place + bit / 8] ^= 1 << (bit % 8);
        let unsigned = failed(&registration.report());
        assert_eq!(unsigned.contains(&"attestation-signature"), bit != 262, "bit {bit}");
    }
}

#[test]
fn the_attested_credential_data_is_checked() {
    let good = Registration::good();
    let (id, key) = (55, 55 + 32);
    assert_eq!(good.changed(|it| it.authenticator_data[40] ^= 1), [""; 0], "any AAGUID");
    assert_eq!(good.changed(|it| it.authenticator_data[id] ^= 1), ["credential-id-match"]);
    assert_eq!(good.changed(|it| it.authenticator_data.push(0)), ["authenticator-data"]);
    for length in 37..good.authenticator_data.len() {
        let fails = good.changed(|it| it.authenticator_data.truncate(length));
        assert_eq!(fails, ["authenticator-data"], "{length} bytes");
    }
    // COSE_Key {1: 2, 3: -7, -1: 1, -2: x, -3: y}: kty, alg, crv, and the labels of x and y.
    for (offset, byte) in [(2, 1), (4, 0x27), (4, 0x25), (6, 2), (6, 0)] {
        let fails = good.changed(|it| it.authenticator_data[key + offset] = byte);
        assert_eq!(fails, ["public-key"], "byte {offset} of the key is {byte}");
    }
    // Off the curve.
    assert_eq!(good.changed(|it| *it.authenticator_data.last_mut().unwrap() ^= 1), ["public-key"]);
    // An optional parameter more (§6.5.1 allows none): kid, in its place in the order of keys.
    let with_kid = good.changed(|it| {
        it.authenticator_data[key] = 0xa6;
        it.authenticator_data.splice(key + 3..key + 3, [0x02, 0x41, 0x00]);
    });
    assert_eq!(with_kid, ["public-key"]);
    // A compressed point (§5.8.5 forbids it): y is a boolean.
    let compressed = good.changed(|it| {
        it.authenticator_data.truncate(key + 7 + 3 + 32 + 1);
        it.authenticator_data.push(0xf5);
    });
    assert_eq!(compressed, ["public-key"]);
}

#[test]
fn credential_ids_have_at_most_1023_bytes() {
    let good = vector("none-es256-long-credential-id");
    assert_eq!(good.credential_id.len(), 1023);
    let origins = origins();
    let expected = good.expected_registration(&origins);
    let mut response = good.registration();
    assert_eq!(failed(&verify_registration(&response, &expected).report), [""; 0]);
    // One byte more, in the id and in all lengths around it.
    let place = response.attestation_object.windows(8).position(|window| window == b"authData").unwrap() + 8;
    let length = u16::from_be_bytes(response.attestation_object[place + 1..place + 3].try_into().unwrap()) + 1;
    response.attestation_object[place + 1..place + 3].copy_from_slice(&length.to_be_bytes());
    let id = place + 3 + 53;
    assert_eq!(response.attestation_object[id..id + 2], 1023_u16.to_be_bytes());
    response.attestation_object[id..id + 2].copy_from_slice(&1024_u16.to_be_bytes());
    response.attestation_object.insert(id + 2, 0);
    response.raw_id.insert(0, 0);
    response.id = URL_SAFE_NO_PAD.encode(&response.raw_id);
    assert_eq!(failed(&verify_registration(&response, &expected).report), ["credential-id-length"]);
}

#[test]
fn the_attestation_object_is_canonical_cbor_with_three_members() {
    let good = Registration::good();
    let with = |object: Vec<u8>| {
        let mut registration = good.clone();
        registration.response.attestation_object = object;
        failed(&registration.report())
    };
    let object = good.response.attestation_object.clone();
    assert_eq!(with(Vec::new()), ["attestation-object"]);
    assert_eq!(with(b"\xa0".to_vec()), ["attestation-object"]);
    assert_eq!(with(b"\x80".to_vec()), ["attestation-object"]);
    assert_eq!(with([&object[..], b"\0"].concat()), ["attestation-object"]);
    for length in 0..object.len() {
        assert_eq!(with(object[..length].to_vec()), ["attestation-object"], "{length} bytes");
    }
    // A map of indefinite length says the same, in a form that §2.2 has receivers refuse.
    let indefinite = [b"\xbf", &object[1..], b"\xff"].concat();
    assert_eq!(with(indefinite), ["attestation-object"]);
    // Without fmt, the rest is still read.
    let without_format = [b"\xa2", &object[1 + 4 + 7..]].concat();
    let mut registration = good.clone();
    registration.response.attestation_object = without_format;
    registration.response.id.push('=');
    assert_eq!(
        failed(&registration.report_with(|expected| expected.rp_id = "example.com")),
        ["credential-id-encoding", "attestation-object", "rp-id-hash"]
    );
}

#[test]
fn expectations_are_checked_against_the_response() {
    let good = Registration::good();
    let fails = |change: &dyn Fn(&mut RegistrationExpectations<'_>)| failed(&good.report_with(change));
    let uv = good.authenticator_data[32] & 4 != 0;
    let be = good.authenticator_data[32] & 8 != 0;
    assert_eq!(fails(&|it| it.rp_id = "example.com"), ["rp-id-hash"]);
    assert_eq!(fails(&|it| it.origins = &[]), ["origin"]);
    assert_eq!(fails(&|it| it.challenge = b"another"), ["challenge"]);
    assert_eq!(fails(&|it| it.algorithms = &[-8, -257]), ["algorithm"]);
    assert_eq!(fails(&|it| it.algorithms = &[]), ["algorithm"]);
    assert_eq!(fails(&|it| it.already_registered = true), ["credential-id-unregistered"]);
    assert_eq!(fails(&|it| it.user_verification = true), if uv { vec![] } else { vec!["user-verified"] });
    let refused = if be { vec!["backup-eligibility"] } else { vec![] };
    assert_eq!(fails(&|it| it.backup.eligibility = FlagPolicy::Refused), refused);
    // A conditional creation has no user presence.
    let mut absent = good.clone();
    absent.authenticator_data[32] &= !1;
    absent.sign();
    assert_eq!(failed(&absent.report()), ["user-present"]);
    assert_eq!(failed(&absent.report_with(|it| it.user_presence = false)), [""; 0]);
}
