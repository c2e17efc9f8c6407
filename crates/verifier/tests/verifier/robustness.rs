//! Whatever arrives, the verifier answers with a whole report, and does not accept what nobody signed.

use keyrig_verifier::{
    AttestationPolicy, AuthenticationResponse, RegistrationResponse, verify_authentication, verify_registration,
};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assume, proptest};
use proptest::sample::Index;

use crate::ceremonies::{assert_whole, origins, trust_anchors, vector};

fn spliced(bytes: &[u8], at: Index, removed: usize, inserted: &[u8]) -> Vec<u8> {
    let at = at.index(bytes.len() + 1);
    let end = (at + removed).min(bytes.len());
    [&bytes[..at], inserted, &bytes[end..]].concat()
}

/// An attestation object of fido-u2f without what its signature does not cover: flags, counter and AAGUID (WebAuthn Level 3
/// §8.6). Authenticator data is its last member: here 32 bytes of credential id and 77 of public key behind 55 others.
fn as_far_as_u2f_signs(attestation_object: &[u8]) -> Vec<u8> {
    let mut signed = attestation_object.to_vec();
    if let Some(start) = signed.len().checked_sub(55 + 32 + 77) {
        signed[start + 32..start + 53].fill(0);
    }
    signed
}

proptest! {
    #[test]
    fn any_bytes_make_a_whole_report(
        client_data_json in vec(any::<u8>(), 0..200),
        binary in vec(any::<u8>(), 0..300),
        signature in vec(any::<u8>(), 0..100),
        id in ".{0,40}",
    ) {
        let (vector, origins, anchors) = (vector("packed-es256"), origins(), trust_anchors());
        let mut expected = vector.expected_registration(&origins);
        expected.attestation = AttestationPolicy::by_root(&anchors);
        let response = RegistrationResponse {
            id: id.clone(), client_data_json: client_data_json.clone(), attestation_object: binary.clone(),
            ..vector.registration()
        };
        let report = verify_registration(&response, &expected).report;
        assert_whole(&report);
        prop_assert!(!report.is_accepted());
        let (record, allowed) = (vector.record(), [vector.credential_id.clone()]);
        let expected = vector.expected_authentication(&origins, &allowed, &record);
        let response = AuthenticationResponse {
            id, client_data_json, authenticator_data: binary, signature, ..vector.authentication()
        };
        let report = verify_authentication(&response, &expected).report;
        assert_whole(&report);
        prop_assert!(!report.is_accepted());
    }

    #[test]
    fn a_changed_attestation_is_not_trusted(
        at in any::<Index>(), removed in 0_usize..6, inserted in vec(any::<u8>(), 0..6), which in 0_usize..3,
    ) {
        let (origins, anchors) = (origins(), trust_anchors());
        let vector = vector(["packed-es256", "packed-rs256", "fido-u2f-es256"][which]);
        let mut response = vector.registration();
        response.attestation_object = spliced(&response.attestation_object, at, removed, &inserted);
        let signed = |object: &[u8]| if which == 2 { as_far_as_u2f_signs(object) } else { object.to_vec() };
        prop_assume!(signed(&response.attestation_object) != signed(&vector.registration.attestation_object));
        let mut expected = vector.expected_registration(&origins);
        expected.attestation = AttestationPolicy::by_root(&anchors);
        let report = verify_registration(&response, &expected).report;
        assert_whole(&report);
        prop_assert!(!report.is_accepted(), "{:?}", response.attestation_object);
    }

    #[test]
    fn a_changed_login_is_not_accepted(
        at in any::<Index>(), removed in 0_usize..4, inserted in vec(any::<u8>(), 0..4), which in 0_usize..3,
    ) {
        let (origins, vector) = (origins(), vector("none-es256"));
        let (record, allowed) = (vector.record(), [vector.credential_id.clone()]);
        let expected = vector.expected_authentication(&origins, &allowed, &record);
        let mut response = vector.authentication();
        let part = match which {
            0 => &mut response.client_data_json,
            1 => &mut response.authenticator_data,
            _ => &mut response.signature,
        };
        *part = spliced(part, at, removed, &inserted);
        prop_assume!(response != vector.authentication());
        let report = verify_authentication(&response, &expected).report;
        assert_whole(&report);
        prop_assert!(!report.is_accepted());
    }
}
