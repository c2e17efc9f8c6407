//! authenticatorMakeCredential (CTAP 2.3 §6.1).

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::entities::{
    CredentialDescriptor, CredentialParameters, Extensions, Options, PinUvAuth, RelyingParty, User,
};
use keyrig_ctap::make_credential::{Request, Response};
use keyrig_ctap::{Request as Message, Response as Answer, Status};

use crate::{hex, text};

/// The specification's example, with or without the icon that its user still has.
fn example(icon: bool) -> Vec<u8> {
    let icon_entry = format!("{} 782b{}", text("icon"), hex::encode("https://pics.example.com/00/p/aBjjjpqPb.png"));
    hex(&format!(
        "01 a5
         01 5820 687134968222ec17202e42505f8ed2b16ae22f16bb05b88c25db9e602645f141
         02 a2 626964 6b6578616d706c652e636f6d 646e616d65 6441636d65
         03 {} 626964 5820 3082019330820138a0030201023082019330820138a003020102308201933082
            {}
            646e616d65 766a6f686e70736d697468406578616d706c652e636f6d
            6b646973706c61794e616d65 6d4a6f686e20502e20536d697468
         04 82 a2 63616c67 26 6474797065 6a7075626c69632d6b6579
               a2 63616c67 390100 6474797065 6a7075626c69632d6b6579
         07 a1 62726b f5",
        if icon { "a4" } else { "a3" },
        if icon { &icon_entry } else { "" },
    ))
}

fn example_request() -> Request {
    Request {
        client_data_hash: hex("687134968222ec17202e42505f8ed2b16ae22f16bb05b88c25db9e602645f141").try_into().unwrap(),
        relying_party: RelyingParty { id: "example.com".into(), name: Some("Acme".into()) },
        user: User {
            id: hex("3082019330820138a0030201023082019330820138a003020102308201933082"),
            name: Some("johnpsmith@example.com".into()),
            display_name: Some("John P. Smith".into()),
        },
        parameters: vec![CredentialParameters::public_key(-7), CredentialParameters::public_key(-257)],
        exclude_list: vec![],
        extensions: None,
        options: Options { rk: Some(true), ..Options::default() },
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    }
}

#[test]
fn the_specifications_example_is_read() {
    assert_eq!(Message::decode(&example(true)), Ok(Message::MakeCredential(example_request())));
}

#[test]
fn the_specifications_example_is_written_but_for_its_icon() {
    assert_eq!(Message::MakeCredential(example_request()).encode(), example(false));
}

/// Every member of CTAP 2.3 §6.1's table.
#[test]
fn every_member_has_its_number() {
    let bytes = hex(&format!(
        "ab
         01 5820 {}
         02 a1 626964 6161
         03 a1 626964 4101
         04 81 a2 63616c67 26 6474797065 6a7075626c69632d6b6579
         05 81 a3 626964 4102 6474797065 6a7075626c69632d6b6579 {} 81 63757362
         06 a1 {} 02
         07 a3 62726b f4 627570 f5 627576 f4
         08 42 0304
         09 02
         0a 01
         0b 82 667061636b6564 646e6f6e65",
        "11".repeat(32),
        text("transports"),
        text("credProtect"),
    ));
    let request = Request {
        client_data_hash: [0x11; 32],
        relying_party: RelyingParty { id: "a".into(), name: None },
        user: User { id: vec![1], name: None, display_name: None },
        parameters: vec![CredentialParameters::public_key(-7)],
        exclude_list: vec![CredentialDescriptor {
            transports: Some(vec!["usb".into()]),
            ..CredentialDescriptor::public_key(vec![2])
        }],
        extensions: Some(Extensions::new(hex(&format!("a1 {} 02", text("credProtect")))).unwrap()),
        options: Options { rk: Some(false), up: Some(true), uv: Some(false) },
        pin_uv_auth: PinUvAuth { param: Some(vec![3, 4]), protocol: Some(2) },
        enterprise_attestation: Some(1),
        attestation_formats_preference: Some(vec!["packed".into(), "none".into()]),
    };
    assert_eq!(Request::decode(&bytes), Ok(request.clone()));
    assert_eq!(Message::MakeCredential(request).encode()[1..], bytes);
}

#[test]
fn an_empty_list_is_read_as_absent_and_options_without_a_value_are_not_written() {
    let with_empty =
        hex(&format!("a6 01 5820 {} 02 a1 626964 6161 03 a1 626964 4101 04 80 05 80 07 a0", "11".repeat(32)));
    let request = Request::decode(&with_empty).unwrap();
    assert_eq!((request.exclude_list.len(), request.options), (0, Options::default()));
    let written = hex(&format!("a4 01 5820 {} 02 a1 626964 6161 03 a1 626964 4101 04 80", "11".repeat(32)));
    assert_eq!(Message::MakeCredential(request).encode()[1..], written);
}

#[test]
fn extensions_are_a_canonical_map() {
    assert_eq!(Extensions::new(hex("80")), Err(Status::CborUnexpectedType));
    assert_eq!(Extensions::new(hex("a2 6162 00 6161 00")), Err(Status::InvalidCbor));
    assert_eq!(Extensions::new(hex("a0 00")), Err(Status::InvalidCbor));
    assert_eq!(Extensions::new(hex("a0")).unwrap().encoded(), [0xA0]);
}

fn response(statement: Statement) -> Response {
    Response { authenticator_data: vec![0xDA; 3], statement, enterprise_attestation: None, large_blob_key: None }
}

/// CTAP 2.3 §6.1.3 and WebAuthn Level 3 §8.2, §8.6, §8.7.
#[test]
fn answers_of_every_format_are_read_and_written() {
    let packed = |certificates| Statement::Packed { algorithm: -7, signature: vec![5, 6], certificates };
    for (bytes, statement) in [
        ("a3 01 646e6f6e65 02 43dadada 03 a0", Statement::None),
        ("a3 01 667061636b6564 02 43dadada 03 a2 63616c67 26 63736967 420506", packed(vec![])),
        (
            "a3 01 667061636b6564 02 43dadada 03 a3 63616c67 26 63736967 420506 63783563 82 4130 4131",
            packed(vec![vec![0x30], vec![0x31]]),
        ),
        (
            "a3 01 686669646f2d753266 02 43dadada 03 a2 63736967 420506 63783563 81 4130",
            Statement::FidoU2f { signature: vec![5, 6], certificate: vec![0x30] },
        ),
        (
            "a3 01 6374706d 02 43dadada 03 a1 63766572 63322e30",
            Statement::Other { format: "tpm".into(), encoded: hex("a1 63766572 63322e30") },
        ),
    ] {
        let bytes = hex(bytes);
        assert_eq!(Response::decode(&bytes), Ok(response(statement.clone())));
        let answer = Answer::MakeCredential(Box::new(response(statement))).encode();
        assert_eq!((answer[0], &answer[1..]), (0x00, &bytes[..]));
    }
}

#[test]
fn members_that_are_rare_have_their_numbers() {
    let bytes = hex("a5 01 646e6f6e65 02 43dadada 03 a0 04 f5 05 41 99");
    let expected =
        Response { enterprise_attestation: Some(true), large_blob_key: Some(vec![0x99]), ..response(Statement::None) };
    assert_eq!(Response::decode(&bytes), Ok(expected.clone()));
    assert_eq!(Answer::MakeCredential(Box::new(expected)).encode()[1..], bytes);
}

#[test]
fn an_answer_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a0", Status::MissingParameter),
        ("a2 02 43dadada 03 a0", Status::MissingParameter),
        ("a2 01 646e6f6e65 03 a0", Status::MissingParameter),
        ("a2 01 646e6f6e65 02 43dadada", Status::MissingParameter),
        ("a3 01 667061636b6564 02 43dadada 03 a1 63616c67 26", Status::MissingParameter),
        ("a3 01 667061636b6564 02 43dadada 03 a1 63736967 4105", Status::MissingParameter),
        ("a3 01 686669646f2d753266 02 43dadada 03 a2 63736967 4105 63783563 80", Status::MissingParameter),
        ("a3 01 646e6f6e65 02 43dadada 03 80", Status::CborUnexpectedType),
        ("a3 01 646e6f6e65 02 63616161 03 a0", Status::CborUnexpectedType),
        ("a3 01 446e6f6e65 02 43dadada 03 a0", Status::CborUnexpectedType),
        ("a3 01 667061636b6564 02 43dadada 03 a2 63616c67 6126 63736967 4105", Status::CborUnexpectedType),
        ("a3 02 43dadada 01 646e6f6e65 03 a0", Status::InvalidCbor),
        ("", Status::InvalidCbor),
    ] {
        assert_eq!(Response::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}
