//! Each rule by an answer that breaks it alone, and by its neighbour that does not. Source: `ResponseValid` of Chromium's
//! `make_credential_request_handler.cc` and `get_assertion_request_handler.cc`.

use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;

use super::*;
use crate::testing::*;

fn map(entries: &[(&str, bool)]) -> Vec<u8> {
    let mut writer = keyrig_ctap::cbor::Writer::new();
    writer.map(|map| {
        for (name, value) in entries {
            map.text_entry(name, |w| w.boolean(*value));
        }
    });
    writer.finish()
}

fn data(flags: u8, extensions: Option<Vec<u8>>) -> AuthenticatorData {
    AuthenticatorData {
        rp_id_hash: [0; 32],
        flags: Flags(flags),
        counter: 0,
        attested_credential_data: None,
        extensions,
    }
}

const UP: u8 = 0x01;
const UP_UV: u8 = 0x05;

#[test]
fn an_assertion_says_no_more_and_no_less_than_it_may() {
    let user = |name: Option<&str>| User { id: vec![1], name: name.map(str::to_owned), display_name: None };
    let of = |user, number_of_credentials| get_assertion::Response { user, number_of_credentials, ..signed() };
    for (response, discovered, flags, expected) in [
        (of(Some(user(Some("root"))), None), false, UP, Err(InvalidResponse::UserNames)),
        (of(Some(user(Some("root"))), None), false, UP_UV, Ok(())),
        (of(Some(user(None)), None), false, UP, Ok(())),
        (of(None, None), true, UP_UV, Err(InvalidResponse::NoUser)),
        (of(None, None), false, UP, Ok(())),
        (of(Some(user(None)), None), true, UP, Ok(())),
        (of(None, Some(2)), false, UP, Err(InvalidResponse::NoUser)),
        (of(None, Some(1)), false, UP, Ok(())),
    ] {
        assert_eq!(check_assertion(None, discovered, &response, &data(flags, None)), expected, "{response:?}");
    }
    let mut attested = data(UP, None);
    attested.attested_credential_data =
        AuthenticatorData::decode(&made().authenticator_data).unwrap().attested_credential_data;
    let refused = check_assertion(None, false, &signed(), &attested);
    assert_eq!(refused, Err(InvalidResponse::UnexpectedAttestedCredentialData));
}

#[test]
fn an_extension_that_nobody_asked_for_is_refused() {
    let asked = |entries| Extensions::new(map(entries)).unwrap();
    let unsolicited = |name: &str| Err(InvalidResponse::UnsolicitedExtension(name.to_owned()));
    for (inputs, outputs, expected) in [
        (None, &[][..], Ok(())),
        (None, &[("credBlob", true)], unsolicited("credBlob")),
        (Some(asked(&[("credBlob", true)])), &[("credBlob", true)], Ok(())),
        (Some(asked(&[("credBlob", true)])), &[], Ok(())),
        (Some(asked(&[("credBlob", true)])), &[("x", true), ("credBlob", true)], unsolicited("x")),
    ] {
        let answer = data(UP, Some(map(outputs)));
        assert_eq!(check_assertion(inputs.as_ref(), false, &signed(), &answer), expected, "{outputs:?}");
    }
    let numbered = data(UP, Some(vec![0xa1, 0x01, 0xf5]));
    let expected = Err(InvalidResponse::Undecodable(Status::InvalidCbor));
    assert_eq!(check_assertion(None, false, &signed(), &numbered), expected, "identifiers are texts");
}

#[test]
fn a_new_credential_is_what_was_asked_for() {
    let level =
        |level| MakeCredentialOutputs { cred_protect: Some(level), ..MakeCredentialOutputs::default() }.encode();
    let (weak, strong) =
        (CredentialProtection::UserVerificationOptional, CredentialProtection::UserVerificationRequired);
    let protect = |level| MakeCredentialInputs { cred_protect: Some(level), ..MakeCredentialInputs::default() };
    let blob = || MakeCredentialInputs { large_blob_key: Some(true), ..MakeCredentialInputs::default() };
    let nothing = MakeCredentialInputs::default;
    let with_blob = || make_credential::Response { large_blob_key: Some(vec![0; 32]), ..made() };
    let enterprise = || make_credential::Response { enterprise_attestation: Some(true), ..made() };
    for (inputs, asks_enterprise, response, outputs, expected) in [
        (nothing(), false, made(), None, Ok(())),
        (protect(strong), false, made(), level(weak), Err(InvalidResponse::CredentialProtection)),
        (protect(weak), false, made(), level(strong), Ok(())),
        (nothing(), false, made(), level(strong), Ok(())),
        (blob(), false, made(), None, Err(InvalidResponse::NoLargeBlobKey)),
        (blob(), false, with_blob(), None, Ok(())),
        (nothing(), false, enterprise(), None, Err(InvalidResponse::EnterpriseAttestation)),
        (nothing(), true, enterprise(), None, Ok(())),
    ] {
        let request = make_credential::Request {
            client_data_hash: [0; 32],
            relying_party: keyrig_ctap::entities::RelyingParty { id: "example.org".to_owned(), name: None },
            user: User { id: vec![1], name: None, display_name: None },
            parameters: Vec::new(),
            exclude_list: Vec::new(),
            extensions: inputs.encode(),
            options: keyrig_ctap::entities::Options::default(),
            pin_uv_auth: keyrig_ctap::entities::PinUvAuth::default(),
            enterprise_attestation: asks_enterprise.then_some(1),
            attestation_formats_preference: None,
        };
        assert_eq!(check_creation(&request, &inputs, &response, &data(UP, outputs)), expected, "{inputs:?}");
    }
}
