//! No decoder panics, and what one takes it writes so that it takes it again.

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::cose::PublicKey;
use keyrig_ctap::entities::Extensions;
use keyrig_ctap::extensions::{GetAssertionInputs, MakeCredentialInputs};
use keyrig_ctap::{Request, Response, client_pin, credential_management, get_assertion, get_info, make_credential};
use proptest::prelude::*;

use crate::hex;

/// Valid inputs of every decoder, for mutating.
fn valid() -> Vec<Vec<u8>> {
    let hash = "11".repeat(32);
    [
        format!(
            "01 a7 01 5820{hash} 02 a1 626964 6161 03 a1 626964 4101 04 81 a2 63616c67 26 6474797065 6a7075626c69632d6b6579
             05 81 a2 626964 4102 6474797065 6a7075626c69632d6b6579 06 a1 6161 02 07 a1 62726b f4"
        ),
        format!("02 a3 01 6161 02 5820{hash} 05 a1 627570 f4"),
        "a3 01 667061636b6564 02 43dadada 03 a3 63616c67 26 63736967 420506 63783563 81 4130".to_owned(),
        "a3 02 41da 03 4105 04 a1 626964 4101".to_owned(),
        format!("a3 01 81 6161 03 50 {} 04 a1 62726b f5", "00".repeat(16)),
        format!("{hash} c1 0000001c {} 0001 ff a0 a0", "00".repeat(16)),
        format!("a5 0102 0326 2001 215820{hash} 225820{hash}"),
        format!("06 a5 0102 0209 03 a5 0102 033818 2001 215820{hash} 225820{hash} 0918ff 0a6161"),
        "a4 02 4101 0308 04f4 0503".to_owned(),
        format!("0a a4 01 04 02 a3 01 5820{hash} 02 a2 626964 4102 6474797065 6a7075626c69632d6b6579 03 a1 626964 4101 03 02 04 4103"),
        "0c a5 02 43 010203 03 190100 04 11 05 42 0304 06 02".to_owned(),
        "0d a4 01 03 02 a3 01 08 02 81 6161 03 f5 03 02 04 42 0304".to_owned(),
        "ab 01 02 02 17 03 a1 626964 6161 05 03 06 a1 626964 4101 07 a2 626964 4102 6474797065 6a7075626c69632d6b6579 08 a0 09 04 0a 03 0b 4109 0c f5".to_owned(),
    ]
    .iter()
    .map(|text| hex(text))
    .collect()
}

fn decode_as_everything(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(request) = Request::decode(bytes) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    if let Ok(response) = make_credential::Response::decode(bytes) {
        let answer = Response::MakeCredential(Box::new(response.clone())).encode();
        prop_assert_eq!(make_credential::Response::decode(&answer[1..]), Ok(response));
    }
    if let Ok(response) = get_assertion::Response::decode(bytes) {
        let answer = Response::GetAssertion(Box::new(response.clone())).encode();
        prop_assert_eq!(get_assertion::Response::decode(&answer[1..]), Ok(response));
    }
    if let Ok(response) = get_info::Response::decode(bytes) {
        let answer = Response::GetInfo(Box::new(response.clone())).encode();
        prop_assert_eq!(get_info::Response::decode(&answer[1..]), Ok(response));
    }
    if let Ok(response) = client_pin::Response::decode(bytes) {
        let answer = Response::ClientPin(Box::new(response.clone())).encode();
        prop_assert_eq!(client_pin::Response::decode(&answer[1..]), Ok(response));
    }
    if let Ok(response) = credential_management::Response::decode(bytes) {
        let answer = Response::CredentialManagement(Box::new(response.clone())).encode();
        prop_assert_eq!(credential_management::Response::decode(&answer[1..]), Ok(response));
    }
    if let Ok(extensions) = Extensions::new(bytes.to_vec()) {
        if let Some(encoded) = MakeCredentialInputs::decode(&extensions).ok().and_then(|inputs| inputs.encode()) {
            prop_assert_eq!(MakeCredentialInputs::decode(&encoded), MakeCredentialInputs::decode(&extensions));
        }
        if let Some(encoded) = GetAssertionInputs::decode(&extensions).ok().and_then(|inputs| inputs.encode()) {
            prop_assert_eq!(GetAssertionInputs::decode(&encoded), GetAssertionInputs::decode(&extensions));
        }
    }
    if let Ok(data) = AuthenticatorData::decode(bytes) {
        prop_assert_eq!(data.encode(), bytes);
    }
    if let Ok(key) = PublicKey::from_cose(bytes) {
        prop_assert_eq!(PublicKey::from_cose(&key.to_cose()), Ok(key));
    }
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_truncation_is_judged() {
    for bytes in valid() {
        decode_as_everything(&bytes).unwrap();
        for index in 0..bytes.len() {
            decode_as_everything(&bytes[..index]).unwrap();
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[index] ^= 1 << bit;
                decode_as_everything(&altered).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        decode_as_everything(&bytes)?;
    }

    #[test]
    fn spliced_messages_are_judged(
        left in any::<usize>(), right in any::<usize>(), cut in any::<prop::sample::Index>(), paste in any::<prop::sample::Index>(),
    ) {
        let valid = valid();
        let (left, right) = (&valid[left % valid.len()], &valid[right % valid.len()]);
        decode_as_everything(&[&left[..cut.index(left.len())], &right[paste.index(right.len())..]].concat())?;
    }
}
