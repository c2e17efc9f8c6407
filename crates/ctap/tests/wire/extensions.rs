//! Extension inputs and outputs (CTAP 2.3 §12).

use keyrig_ctap::Status;
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::Extensions;
use keyrig_ctap::extensions::{
    CredentialProtection, GetAssertionInputs, GetAssertionOutputs, HmacSecretInput, MakeCredentialInputs,
    MakeCredentialOutputs,
};

use crate::{hex, text};

fn extensions(entries: &str) -> Extensions {
    Extensions::new(hex(entries)).unwrap()
}

/// A COSE_Key for key agreement (CTAP 2.3 §6.5.6) and the map of §12.7.
fn salts(protocol: bool) -> (String, HmacSecretInput) {
    let key = format!("a5 01 02 03 38 18 20 01 21 5820 {} 22 5820 {}", "aa".repeat(32), "bb".repeat(32));
    let input = HmacSecretInput {
        key_agreement: KeyAgreementKey { x: [0xAA; 32], y: [0xBB; 32] },
        salt_enc: vec![1, 2],
        salt_auth: vec![3, 4],
        pin_uv_auth_protocol: protocol.then_some(2),
    };
    let (length, last) = if protocol { ("a4", "04 02") } else { ("a3", "") };
    (format!("{length} 01 {key} 02 42 0102 03 42 0304 {last}"), input)
}

#[test]
fn every_input_of_make_credential_has_its_identifier_and_canonical_place() {
    let (encoded, input) = salts(true);
    let bytes = format!(
        "a8 {} 42 0908 {} 03 {} f5 {} f5 {} f5 {} {encoded} {} f5 {} f5",
        text("credBlob"),
        text("credProtect"),
        text("hmac-secret"),
        text("largeBlobKey"),
        text("minPinLength"),
        text("hmac-secret-mc"),
        text("thirdPartyPayment"),
        text("pinComplexityPolicy"),
    );
    let inputs = MakeCredentialInputs {
        cred_protect: Some(CredentialProtection::UserVerificationRequired),
        cred_blob: Some(vec![9, 8]),
        large_blob_key: Some(true),
        min_pin_length: Some(true),
        pin_complexity_policy: Some(true),
        hmac_secret: Some(true),
        hmac_secret_mc: Some(input),
        third_party_payment: Some(true),
    };
    assert_eq!(MakeCredentialInputs::decode(&extensions(&bytes)), Ok(inputs.clone()));
    assert_eq!(inputs.encode(), Some(extensions(&bytes)));
    assert_eq!(MakeCredentialInputs::default().encode(), None);
}

#[test]
fn every_input_of_get_assertion_has_its_identifier_and_canonical_place() {
    for protocol in [false, true] {
        let (encoded, input) = salts(protocol);
        let bytes = format!(
            "a4 {} f5 {} {encoded} {} f5 {} f4",
            text("credBlob"),
            text("hmac-secret"),
            text("largeBlobKey"),
            text("thirdPartyPayment"),
        );
        let inputs = GetAssertionInputs {
            cred_blob: Some(true),
            large_blob_key: Some(true),
            hmac_secret: Some(input),
            third_party_payment: Some(false),
        };
        assert_eq!(GetAssertionInputs::decode(&extensions(&bytes)), Ok(inputs.clone()));
        assert_eq!(inputs.encode(), Some(extensions(&bytes)));
    }
    assert_eq!(GetAssertionInputs::default().encode(), None);
}

/// WebAuthn Level 3 §9: authenticators ignore extensions that they do not know.
#[test]
fn unknown_extensions_are_ignored_whatever_is_in_them() {
    let bytes = format!("a2 {} 80 {} 02", text("appid"), text("credProtect"));
    let inputs = MakeCredentialInputs {
        cred_protect: Some(CredentialProtection::UserVerificationOptionalWithCredentialIdList),
        ..MakeCredentialInputs::default()
    };
    assert_eq!(MakeCredentialInputs::decode(&extensions(&bytes)), Ok(inputs));
    let bytes = format!("a2 00 01 {} f5", text("minPinLength"));
    assert_eq!(GetAssertionInputs::decode(&extensions(&bytes)), Ok(GetAssertionInputs::default()));
}

#[test]
fn an_input_that_is_wrong_says_how() {
    let (encoded, _) = salts(true);
    let bad_key = encoded.replace("03 38 18", "03 38 19");
    for (identifier, value, expected) in [
        ("credProtect", "00", Status::InvalidOption),
        ("credProtect", "04", Status::InvalidOption),
        ("credProtect", "f5", Status::CborUnexpectedType),
        ("credBlob", "f5", Status::CborUnexpectedType),
        ("largeBlobKey", "01", Status::CborUnexpectedType),
        ("minPinLength", "04", Status::CborUnexpectedType),
        ("pinComplexityPolicy", "40", Status::CborUnexpectedType),
        ("hmac-secret", "a0", Status::CborUnexpectedType),
        ("hmac-secret-mc", "f5", Status::CborUnexpectedType),
        ("hmac-secret-mc", "a0", Status::MissingParameter),
        ("hmac-secret-mc", &bad_key, Status::InvalidParameter),
        ("thirdPartyPayment", "00", Status::CborUnexpectedType),
    ] {
        let bytes = format!("a1 {} {value}", text(identifier));
        assert_eq!(MakeCredentialInputs::decode(&extensions(&bytes)), Err(expected), "{bytes}");
    }
    for (identifier, value, expected) in [
        ("credBlob", "40", Status::CborUnexpectedType),
        ("largeBlobKey", "00", Status::CborUnexpectedType),
        ("hmac-secret", "f5", Status::CborUnexpectedType),
        ("hmac-secret", "a2 02 40 03 40", Status::MissingParameter),
        ("hmac-secret", "a1 02 00", Status::CborUnexpectedType),
        ("thirdPartyPayment", "40", Status::CborUnexpectedType),
    ] {
        let bytes = format!("a1 {} {value}", text(identifier));
        assert_eq!(GetAssertionInputs::decode(&extensions(&bytes)), Err(expected), "{bytes}");
    }
}

#[test]
fn every_output_has_its_identifier_and_canonical_place() {
    let bytes = hex(&format!(
        "a7 {} f5 {} 02 {} f5 {} 06 {} 41 07 {} f4 {} f5",
        text("credBlob"),
        text("credProtect"),
        text("hmac-secret"),
        text("minPinLength"),
        text("hmac-secret-mc"),
        text("thirdPartyPayment"),
        text("pinComplexityPolicy"),
    ));
    let outputs = MakeCredentialOutputs {
        cred_protect: Some(CredentialProtection::UserVerificationOptionalWithCredentialIdList),
        cred_blob: Some(true),
        min_pin_length: Some(6),
        pin_complexity_policy: Some(true),
        hmac_secret: Some(true),
        hmac_secret_mc: Some(vec![7]),
        third_party_payment: Some(false),
    };
    assert_eq!(MakeCredentialOutputs::decode(&bytes), Ok(outputs.clone()));
    assert_eq!(outputs.encode(), Some(bytes));
    assert_eq!(MakeCredentialOutputs::default().encode(), None);

    let bytes =
        hex(&format!("a3 {} 40 {} 41 07 {} f5", text("credBlob"), text("hmac-secret"), text("thirdPartyPayment")));
    let outputs =
        GetAssertionOutputs { cred_blob: Some(vec![]), hmac_secret: Some(vec![7]), third_party_payment: Some(true) };
    assert_eq!(GetAssertionOutputs::decode(&bytes), Ok(outputs.clone()));
    assert_eq!(outputs.encode(), Some(bytes));
    assert_eq!(GetAssertionOutputs::default().encode(), None);
}

#[test]
fn outputs_of_a_wrong_type_are_named_and_unknown_ones_ignored() {
    assert_eq!(MakeCredentialOutputs::decode(&hex(&format!("a1 {} 00", text("uvm")))), Ok(Default::default()));
    for (identifier, value) in [("credProtect", "f5"), ("credBlob", "40"), ("hmac-secret-mc", "f5")] {
        let bytes = hex(&format!("a1 {} {value}", text(identifier)));
        assert_eq!(MakeCredentialOutputs::decode(&bytes), Err(Status::CborUnexpectedType), "{identifier}");
    }
    assert_eq!(
        GetAssertionOutputs::decode(&hex(&format!("a1 {} f5", text("hmac-secret")))),
        Err(Status::CborUnexpectedType)
    );
    assert_eq!(GetAssertionOutputs::decode(&hex("80")), Err(Status::CborUnexpectedType));
    assert_eq!(GetAssertionOutputs::decode(&[]), Err(Status::InvalidCbor));
}
