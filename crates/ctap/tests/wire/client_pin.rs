//! authenticatorClientPIN (CTAP 2.3 §6.5.5).

use keyrig_ctap::client_pin::{Permissions, Request, Response, Subcommand};
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::{Request as Message, Response as Answer, Status};

use crate::hex;

fn key_agreement_key() -> String {
    format!("a5 0102 033818 2001 21 5820 {} 22 5820 {}", "aa".repeat(32), "bb".repeat(32))
}

#[test]
fn every_subcommand_has_the_number_of_the_specification() {
    for (number, subcommand) in [
        (0x01, Subcommand::GetPinRetries),
        (0x02, Subcommand::GetKeyAgreement),
        (0x03, Subcommand::SetPin),
        (0x04, Subcommand::ChangePin),
        (0x05, Subcommand::GetPinToken),
        (0x06, Subcommand::GetPinUvAuthTokenUsingUvWithPermissions),
        (0x07, Subcommand::GetUvRetries),
        (0x08, Subcommand::Other(0x08)),
        (0x09, Subcommand::GetPinUvAuthTokenUsingPinWithPermissions),
        (u64::MAX, Subcommand::Other(u64::MAX)),
    ] {
        assert_eq!(Subcommand::from(number), subcommand);
        assert_eq!(u64::from(subcommand), number);
    }
}

#[test]
fn permissions_have_the_bits_of_the_specification() {
    let all = [
        (Permissions::MC, 0x01),
        (Permissions::GA, 0x02),
        (Permissions::CM, 0x04),
        (Permissions::BE, 0x08),
        (Permissions::LBW, 0x10),
        (Permissions::ACFG, 0x20),
        (Permissions::PCMR, 0x40),
    ];
    for (permission, bit) in all {
        assert_eq!(permission.0, bit);
    }
    let both = Permissions::MC | Permissions::GA;
    assert!(both.contains(Permissions::GA) && !both.contains(Permissions::GA | Permissions::CM));
    assert!(both.intersects(Permissions::GA | Permissions::CM) && !both.intersects(Permissions::CM));
    assert_eq!(both.intersection(Permissions::GA | Permissions::CM), Permissions::GA);
}

#[test]
fn a_request_with_every_member_is_read_and_written() {
    let bytes = hex(&format!(
        "06 a8 01 02 02 09 03 {} 04 41 04 05 41 05 06 41 06 09 03 0a 6b 6578616d706c652e636f6d",
        key_agreement_key()
    ));
    let request = Message::ClientPin(Request {
        pin_uv_auth_protocol: Some(2),
        subcommand: Subcommand::GetPinUvAuthTokenUsingPinWithPermissions,
        key_agreement: Some(KeyAgreementKey { x: [0xAA; 32], y: [0xBB; 32] }),
        pin_uv_auth_param: Some(vec![4]),
        new_pin_enc: Some(vec![5]),
        pin_hash_enc: Some(vec![6]),
        permissions: Some(Permissions::MC | Permissions::GA),
        rp_id: Some("example.com".to_owned()),
    });
    assert_eq!(Message::decode(&bytes), Ok(request.clone()));
    assert_eq!(request.encode(), bytes);
}

#[test]
fn a_response_with_every_member_is_read_and_written() {
    let bytes = hex(&format!("00 a5 01 {} 02 42 0202 03 08 04 f4 05 03", key_agreement_key()));
    let response = Response {
        key_agreement: Some(KeyAgreementKey { x: [0xAA; 32], y: [0xBB; 32] }),
        pin_uv_auth_token: Some(vec![2, 2]),
        pin_retries: Some(8),
        power_cycle_state: Some(false),
        uv_retries: Some(3),
    };
    assert_eq!(Response::decode(&bytes[1..]), Ok(response.clone()));
    assert_eq!(Answer::ClientPin(Box::new(response)).encode(), bytes);
}

#[test]
fn a_request_needs_a_subcommand_and_ignores_unknown_members() {
    assert_eq!(Request::decode(&hex("a1 01 02")), Err(Status::MissingParameter));
    assert_eq!(Request::decode(&hex("a2 02 01 18ff f6")), Ok(Request::new(Subcommand::GetPinRetries)));
    // 0x07 and 0x08 are reserved.
    assert_eq!(Request::decode(&hex("a3 02 01 07 f5 08 f5")), Ok(Request::new(Subcommand::GetPinRetries)));
}

#[test]
fn a_member_of_another_type_is_named_by_its_status() {
    for (member, name) in [
        ("01 41 02", "pinUvAuthProtocol"),
        ("01 20", "pinUvAuthProtocol"),
        ("03 41 02", "keyAgreement"),
        ("04 61 61", "pinUvAuthParam"),
        ("05 61 61", "newPinEnc"),
        ("06 61 61", "pinHashEnc"),
        ("09 41 03", "permissions"),
        ("0a 41 61", "rpId"),
    ] {
        let (key, value) = member.split_once(' ').unwrap();
        let bytes = if key == "01" { format!("a2 {key} {value} 02 01") } else { format!("a2 02 01 {key} {value}") };
        assert_eq!(Request::decode(&hex(&bytes)), Err(Status::CborUnexpectedType), "{name}");
    }
    assert_eq!(Request::decode(&hex("a1 02 61 31")), Err(Status::CborUnexpectedType), "subCommand");
    assert_eq!(Request::decode(&hex("80")), Err(Status::CborUnexpectedType), "no map");
    assert_eq!(Request::decode(&hex("a1 02")), Err(Status::InvalidCbor));
}

#[test]
fn a_key_that_is_no_key_agreement_key_is_an_invalid_parameter() {
    let (x, y) = (format!("21 5820 {}", "aa".repeat(32)), format!("22 5820 {}", "bb".repeat(32)));
    for (key, what) in [
        (format!("a4 033818 2001 {x} {y}"), "no key type"),
        (format!("a5 0101 033818 2001 {x} {y}"), "another key type"),
        (format!("a4 0102 2001 {x} {y}"), "no algorithm"),
        (format!("a5 0102 0326 2001 {x} {y}"), "a signature algorithm"),
        (format!("a5 0102 033818 2002 {x} {y}"), "another curve"),
        (format!("a4 0102 033818 {x} {y}"), "no curve"),
        (format!("a4 0102 033818 2001 {x}"), "no y"),
        (format!("a5 0102 033818 2001 {x} 22 4100"), "a y of another length"),
    ] {
        assert_eq!(Request::decode(&hex(&format!("a2 02 02 03 {key}"))), Err(Status::InvalidParameter), "{what}");
    }
    let compressed = format!("a2 02 02 03 a5 0102 033818 2001 {x} 22 f5");
    assert_eq!(Request::decode(&hex(&compressed)), Err(Status::CborUnexpectedType), "a compressed point");
}
