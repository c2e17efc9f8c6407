//! authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.3 §6.2, §6.3).

use keyrig_ctap::entities::{CredentialDescriptor, Extensions, Options, PinUvAuth, User};
use keyrig_ctap::get_assertion::{Request, Response};
use keyrig_ctap::{Request as Message, Response as Answer, Status, parse_response};

use crate::{hex, text};

const CREDENTIAL_ID: &str = "f22006de4f905af68a43942f024f2a5ece603d9c6d4b3df8be08ed01fc442646
                             d034858ac75bed3fd580bf9808d94fcbee82b9b2ef6677af0adcc35852ea6b9e";

/// The specification's example.
#[test]
fn the_specifications_request_is_read_and_written() {
    let bytes = hex(&format!(
        "02 a4
         01 6b6578616d706c652e636f6d
         02 5820 687134968222ec17202e42505f8ed2b16ae22f16bb05b88c25db9e602645f141
         03 82 a2 626964 5840 {CREDENTIAL_ID} 6474797065 6a7075626c69632d6b6579
               a2 626964 5832 {} 6474797065 6a7075626c69632d6b6579
         05 a1 627576 f5",
        "03".repeat(50)
    ));
    let hash = hex("687134968222ec17202e42505f8ed2b16ae22f16bb05b88c25db9e602645f141");
    let request = Message::GetAssertion(Request {
        relying_party_id: "example.com".into(),
        client_data_hash: hash.try_into().unwrap(),
        allow_list: vec![
            CredentialDescriptor::public_key(hex(CREDENTIAL_ID)),
            CredentialDescriptor::public_key(vec![3; 50]),
        ],
        extensions: None,
        options: Options { uv: Some(true), ..Options::default() },
        pin_uv_auth: PinUvAuth::default(),
    });
    assert_eq!(Message::decode(&bytes), Ok(request.clone()));
    assert_eq!(request.encode(), bytes);
}

#[test]
fn every_member_of_a_request_has_its_number() {
    let bytes = hex(&format!(
        "a7 01 6161 02 5820 {} 03 81 a2 626964 4102 6474797065 6a7075626c69632d6b6579 04 a1 {} f5
         05 a3 62726b f5 627570 f4 627576 f4 06 42 0304 07 01",
        "11".repeat(32),
        text("credBlob"),
    ));
    let request = Request {
        relying_party_id: "a".into(),
        client_data_hash: [0x11; 32],
        allow_list: vec![CredentialDescriptor::public_key(vec![2])],
        extensions: Some(Extensions::new(hex(&format!("a1 {} f5", text("credBlob")))).unwrap()),
        options: Options { rk: Some(true), up: Some(false), uv: Some(false) },
        pin_uv_auth: PinUvAuth { param: Some(vec![3, 4]), protocol: Some(1) },
    };
    assert_eq!(Request::decode(&bytes), Ok(request.clone()));
    assert_eq!(Message::GetAssertion(request).encode()[1..], bytes);
}

const SIGNATURE: &str = "304502204a5a9dd39298149d904769b51a451433006f182a34fbdf66de5fc717d75fb350
                         022100a46b8ea3c3b933821c6e7f5ef9daae94ab47f18db474c74790eaabb14411e7a0";
const AUTHENTICATOR_DATA: &str = "625ddadf743f5727e66bba8c2e387922d1af43c503d9114a8fba104d84d02bfa 01 00000011";
const USER_ID: &str = "3082019330820138a0030201023082019330820138a003020102308201933082";

/// The specification's example; its user still has an icon.
fn example(icon: bool) -> Vec<u8> {
    let icon_entry = format!("{} 782b{}", text("icon"), hex::encode("https://pics.example.com/00/p/aBjjjpqPb.png"));
    hex(&format!(
        "00 a5
         01 a2 626964 5840 {CREDENTIAL_ID} 6474797065 6a7075626c69632d6b6579
         02 5825 {AUTHENTICATOR_DATA}
         03 5847 {SIGNATURE}
         04 {} 626964 5820 {USER_ID} {}
            646e616d65 766a6f686e70736d697468406578616d706c652e636f6d
            6b646973706c61794e616d65 6d4a6f686e20502e20536d697468
         05 01",
        if icon { "a4" } else { "a3" },
        if icon { &icon_entry } else { "" },
    ))
}

#[test]
fn the_specifications_answer_is_read_and_written_but_for_its_icon() {
    let response = Response {
        credential: Some(CredentialDescriptor::public_key(hex(CREDENTIAL_ID))),
        authenticator_data: hex(AUTHENTICATOR_DATA),
        signature: hex(SIGNATURE),
        user: Some(User {
            id: hex(USER_ID),
            name: Some("johnpsmith@example.com".into()),
            display_name: Some("John P. Smith".into()),
        }),
        number_of_credentials: Some(1),
        user_selected: None,
        large_blob_key: None,
    };
    let bytes = example(true);
    assert_eq!(Response::decode(parse_response(&bytes).unwrap()), Ok(response.clone()));
    assert_eq!(Answer::GetAssertion(Box::new(response)).encode(), example(false));
}

#[test]
fn members_that_are_rare_have_their_numbers() {
    let bytes = hex("a4 02 41da 03 4105 06 f5 07 4199");
    let response = Response {
        credential: None,
        authenticator_data: vec![0xDA],
        signature: vec![5],
        user: None,
        number_of_credentials: None,
        user_selected: Some(true),
        large_blob_key: Some(vec![0x99]),
    };
    assert_eq!(Response::decode(&bytes), Ok(response.clone()));
    assert_eq!(Answer::GetAssertion(Box::new(response)).encode()[1..], bytes);
}

#[test]
fn an_answer_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a0", Status::MissingParameter),
        ("a1 02 41da", Status::MissingParameter),
        ("a1 03 4105", Status::MissingParameter),
        ("a3 01 a0 02 41da 03 4105", Status::MissingParameter),
        ("a3 01 80 02 41da 03 4105", Status::CborUnexpectedType),
        ("a3 02 41da 03 4105 05 20", Status::CborUnexpectedType),
        ("a3 02 41da 03 4105 04 a1 646e616d65 6161", Status::MissingParameter),
        ("a2 02 41da 03 4105 00", Status::InvalidCbor),
    ] {
        assert_eq!(Response::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}
