//! authenticatorCredentialManagement (CTAP 2.3 §6.8) and its prototype.

use keyrig_ctap::credential_management::{Parameters, Request, Response, Subcommand};
use keyrig_ctap::entities::{CredentialDescriptor, PinUvAuth, RelyingParty, User};
use keyrig_ctap::extensions::CredentialProtection;
use keyrig_ctap::{Request as Message, Response as Answer, Status};

use crate::{hex, text};

const HASH: [u8; 32] = [0x11; 32];

fn hash() -> String {
    format!("5820 {}", "11".repeat(32))
}

fn descriptor() -> String {
    format!("a2 {} 42 0102 {} {}", text("id"), text("type"), text("public-key"))
}

#[test]
fn subcommands_have_the_numbers_of_the_specification() {
    for (number, subcommand) in [
        (1, Subcommand::GetCredsMetadata),
        (2, Subcommand::EnumerateRpsBegin),
        (3, Subcommand::EnumerateRpsGetNextRp),
        (4, Subcommand::EnumerateCredentialsBegin),
        (5, Subcommand::EnumerateCredentialsGetNextCredential),
        (6, Subcommand::DeleteCredential),
        (7, Subcommand::UpdateUserInformation),
        (8, Subcommand::Other(8)),
        (u64::MAX, Subcommand::Other(u64::MAX)),
    ] {
        assert_eq!((Subcommand::from(number), u64::from(subcommand)), (subcommand, number));
    }
}

#[test]
fn every_member_has_its_number_under_both_command_bytes() {
    let parameters = format!(
        "a3 01 {} 02 {} 03 a3 {} 41 05 {} {} {} {}",
        hash(),
        descriptor(),
        text("id"),
        text("name"),
        text("root"),
        text("displayName"),
        text("Root"),
    );
    let mut request = Request::new(
        Subcommand::UpdateUserInformation,
        Parameters {
            rp_id_hash: Some(HASH),
            credential_id: Some(CredentialDescriptor::public_key(vec![1, 2])),
            user: Some(User { id: vec![5], name: Some("root".into()), display_name: Some("Root".into()) }),
        },
    );
    // §6.8.6: uint8(subCommand) || subCommandParams.
    assert_eq!(request.authenticated_message(), hex(&format!("07 {parameters}")));
    request.pin_uv_auth = PinUvAuth { param: Some(vec![3, 4]), protocol: Some(2) };
    for (byte, message) in
        [("0a", Message::CredentialManagement(request.clone())), ("41", Message::CredentialManagementPreview(request))]
    {
        let bytes = hex(&format!("{byte} a4 01 07 02 {parameters} 03 02 04 42 0304"));
        assert_eq!(message.encode(), bytes);
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

/// A platform may send members that are not known here: what was authenticated are its bytes.
#[test]
fn what_is_authenticated_are_the_bytes_that_were_sent() {
    let parameters = format!("a2 01 {} 08 80", hash());
    let request = Request::decode(&hex(&format!("a2 01 04 02 {parameters}"))).unwrap();
    assert_eq!(request.parameters().rp_id_hash, Some(HASH));
    assert_eq!(request.authenticated_message(), hex(&format!("04 {parameters}")));
}

/// §6.8.2, §6.8.3: over the subcommand alone, whatever parameters came along.
#[test]
fn subcommands_without_parameters_are_authenticated_alone() {
    for (number, byte) in [(1, "01"), (2, "02")] {
        let request = Request::decode(&hex(&format!("a2 01 0{number} 02 a1 01 {}", hash()))).unwrap();
        assert_eq!(request.authenticated_message(), hex(byte));
    }
    let request = Request::new(Subcommand::EnumerateRpsGetNextRp, Parameters::default());
    assert_eq!(Message::CredentialManagement(request).encode(), hex("0a a1 01 03"));
}

#[test]
fn a_request_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a0", Status::MissingParameter),
        ("a1 03 01", Status::MissingParameter),
        ("a1 01 20", Status::CborUnexpectedType),
        ("a2 01 04 02 40", Status::CborUnexpectedType),
        ("a2 01 04 02 a1 01 60", Status::CborUnexpectedType),
        ("a2 01 04 02 a1 01 4100", Status::InvalidLength),
        ("a2 01 06 02 a1 02 a0", Status::MissingParameter),
        ("a2 01 07 02 a1 03 a0", Status::MissingParameter),
        ("a2 01 01 03 40", Status::CborUnexpectedType),
        ("a2 01 01 04 00", Status::CborUnexpectedType),
        ("80", Status::CborUnexpectedType),
        ("a2 02 a0 01 01", Status::InvalidCbor),
        ("", Status::InvalidCbor),
    ] {
        assert_eq!(Request::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}

#[test]
fn every_member_of_the_answer_has_its_number() {
    let bytes = hex(&format!(
        "ac 01 02 02 17 03 a1 {} {} 04 {} 05 03 06 a1 {} 41 05 07 {} 08 a1 01 02 09 04 0a 03 0b 42 0909 0c f5",
        text("id"),
        text("a.example"),
        hash(),
        text("id"),
        descriptor(),
    ));
    let response = Response {
        existing_resident_credentials_count: Some(2),
        max_possible_remaining_resident_credentials_count: Some(23),
        relying_party: Some(RelyingParty { id: "a.example".into(), name: None }),
        rp_id_hash: Some(HASH),
        total_rps: Some(3),
        user: Some(User { id: vec![5], name: None, display_name: None }),
        credential_id: Some(CredentialDescriptor::public_key(vec![1, 2])),
        public_key: Some(hex("a1 01 02")),
        total_credentials: Some(4),
        credential_protection: Some(CredentialProtection::UserVerificationRequired),
        large_blob_key: Some(vec![9, 9]),
        third_party_payment: Some(true),
    };
    assert_eq!(Response::decode(&bytes), Ok(response.clone()));
    assert_eq!(Answer::CredentialManagement(Box::new(response)).encode(), [&[0], &bytes[..]].concat());
    assert_eq!(Response::decode(&hex("a1 18ff 00")), Ok(Response::default()), "unknown members are ignored");
    for (bytes, expected) in [
        ("a1 04 4100", Status::InvalidLength),
        ("a1 08 40", Status::CborUnexpectedType),
        ("a1 0a 04", Status::InvalidOption),
        ("a1 0c 01", Status::CborUnexpectedType),
    ] {
        assert_eq!(Response::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}
