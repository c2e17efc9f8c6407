//! Messages written by hand, from the tables of the specification.

use keyrig_ctap::hid::RequestKind;

use super::{Asked, Secrets, request, response};
use crate::transcript::value::Value;

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace([' ', '\n'], "")).unwrap()
}

fn asked(message: &str) -> Asked {
    request(RequestKind::Cbor, &bytes(message), Secrets::Masked).1
}

#[test]
fn a_request_has_the_names_of_the_specification() {
    // CTAP 2.3 §6.2: rpId, clientDataHash, allowList, options, pinUvAuthProtocol, and a member that nobody knows.
    let message = format!(
        "02 A6 01 6B 6578616D706C652E636F6D 02 5820 {} 03 81 A2 62 6964 42 0102 64 74797065 6A 7075626C69632D6B6579 \
         05 A1 62 7570 F4 07 02 1819 20",
        "11".repeat(32)
    );
    let (decoded, _) = request(RequestKind::Cbor, &bytes(&message), Secrets::Masked);
    assert_eq!(decoded.malformed, None);
    assert_eq!((decoded.command.as_str(), decoded.subcommand), ("authenticatorGetAssertion", None));
    let shown = decoded.members.to_string();
    let expected = format!(
        "rpId: example.com, clientDataHash: {}, allowList: [{{id: 0102, type: public-key}}], options: {{up: false}}, \
         pinUvAuthProtocol: 2, 25: -1",
        "11".repeat(32)
    );
    assert_eq!(shown, expected);
    assert!(!decoded.masked);
}

#[test]
fn pins_and_tokens_are_masked_unless_they_are_asked_for() {
    // CTAP 2.3 §6.5: subcommand 9 with pinHashEnc and permissions mc and ga, and the token that is answered.
    let message = "06 A4 01 02 02 09 06 44 DEADBEEF 09 03";
    let (decoded, asked) = request(RequestKind::Cbor, &bytes(message), Secrets::Masked);
    assert_eq!(decoded.subcommand.as_deref(), Some("getPinUvAuthTokenUsingPinWithPermissions"));
    let shown = decoded.members.to_string();
    assert_eq!(shown, "pinUvAuthProtocol: 2, subCommand: 9, pinHashEnc: (4 bytes, masked), permissions: [mc, ga]");
    assert!(decoded.masked);
    let answer = bytes("00 A1 02 44 CAFEBABE");
    let masked = response(asked, &answer, Secrets::Masked);
    assert_eq!((masked.members.to_string().as_str(), masked.masked), ("pinUvAuthToken: (4 bytes, masked)", true));
    let shown = response(asked, &answer, Secrets::Shown);
    assert_eq!((shown.members.to_string().as_str(), shown.masked), ("pinUvAuthToken: cafebabe", false));
    let (set, _) = request(RequestKind::Cbor, &bytes("06 A2 02 03 05 42 AAAA"), Secrets::Masked);
    assert_eq!(set.members.to_string(), "subCommand: 3, newPinEnc: (2 bytes, masked)");
}

#[test]
fn outputs_of_hmac_secret_and_large_blob_keys_are_masked_and_what_is_beside_them_is_not() {
    // WebAuthn Level 3 §6.1: hash, flags UP, UV and ED, counter 7, an extension of two bytes; largeBlobKey behind it.
    let data = format!("{} 85 00000007 A1 6B 686D61632D736563726574 42 5555", "22".repeat(32));
    let length = bytes(&data).len();
    let message = format!("00 A2 02 58 {length:02X} {data} 07 43 616263");
    let decoded = response(asked("02"), &bytes(&message), Secrets::Masked);
    let expected = format!(
        "authData: {{rpIdHash: {}, flags: [UP, UV, ED], signCount: 7, extensions: {{hmac-secret: (2 bytes, masked)}}}}, \
         largeBlobKey: (3 bytes, masked)",
        "22".repeat(32)
    );
    assert_eq!(decoded.members.to_string(), expected);
    // At registration it says whether the credential can do it, which is no secret; its input at a login is one.
    let (registering, _) =
        request(RequestKind::Cbor, &bytes("01 A1 06 A1 6B 686D61632D736563726574 F5"), Secrets::Masked);
    assert_eq!(registering.members.to_string(), "extensions: {hmac-secret: true}");
    let input = "02 A1 04 A1 6B 686D61632D736563726574 A2 02 41 AA 03 41 BB";
    let (signing, _) = request(RequestKind::Cbor, &bytes(input), Secrets::Masked);
    assert_eq!(signing.members.to_string(), "extensions: {hmac-secret: {saltEnc: (1 bytes, masked), saltAuth: bb}}");
}

#[test]
fn what_is_not_canonical_is_said_where_it_is_wrong() {
    // The second key sorts before the first.
    let (decoded, _) = request(RequestKind::Cbor, &bytes("02 A2 02 00 01 00"), Secrets::Masked);
    assert_eq!(decoded.malformed.as_deref(), Some("byte 4: the keys of a map are not sorted"));
    assert_eq!(decoded.command, "authenticatorGetAssertion");
    let (empty, _) = request(RequestKind::Cbor, &[], Secrets::Masked);
    assert_eq!(empty.malformed.as_deref(), Some("the message is empty: it has no command"));
    let cut = response(asked("04"), &bytes("00 A1 01"), Secrets::Masked);
    assert!(cut.malformed.is_some());
    let data = response(asked("02"), &bytes("00 A1 02 42 0000"), Secrets::Masked);
    let data = data.members.get("authData").unwrap();
    assert_eq!(data.get("malformed"), Some(&Value::text("authenticator data ends inside the RP ID hash")));
}

#[test]
fn commands_and_statuses_without_a_name_have_their_number() {
    let (vendor, _) = request(RequestKind::Cbor, &[0x50], Secrets::Masked);
    assert_eq!(vendor.command, "vendor(0x50)");
    let (unknown, _) = request(RequestKind::Cbor, &[0x3F], Secrets::Masked);
    assert_eq!(unknown.command, "command(0x3F)");
    let (subcommand, _) = request(RequestKind::Cbor, &bytes("0A A1 01 18FA"), Secrets::Masked);
    assert_eq!(subcommand.subcommand.as_deref(), Some("0xFA"));
    let answer = response(asked("04"), &[0xF3], Secrets::Masked);
    assert_eq!(answer.status, Some(("status 0xF3".to_owned(), 0xF3)));
    let answer = response(asked("04"), &[0x2E], Secrets::Masked);
    assert_eq!(answer.status, Some(("CTAP2_ERR_NO_CREDENTIALS".to_owned(), 0x2E)));
}

#[test]
fn messages_of_u2f_are_taken_apart() {
    // FIDO U2F Raw Message Formats 1.2 §5: check-only with a key handle of two bytes, and a signature with counter 5.
    let message = format!("00 02 07 00 00 0043 {} {} 02 ABCD 0000", "01".repeat(32), "02".repeat(32));
    let (decoded, asked) = request(RequestKind::Msg, &bytes(&message), Secrets::Masked);
    assert_eq!(decoded.command, "U2F_AUTHENTICATE");
    let expected = format!(
        "control: check-only, challenge: {}, application: {}, keyHandle: abcd",
        "01".repeat(32),
        "02".repeat(32)
    );
    assert_eq!(decoded.members.to_string(), expected);
    let answer = response(asked, &bytes("01 00000005 3000 9000"), Secrets::Masked);
    assert_eq!(answer.members.to_string(), "userPresence: 1, counter: 5, signature: 3000");
    assert_eq!(answer.status, Some(("SW_NO_ERROR".to_owned(), 0x9000)));
    let refused = response(asked, &bytes("6985"), Secrets::Masked);
    assert_eq!(refused.status.unwrap().0, "SW_CONDITIONS_NOT_SATISFIED");
}
