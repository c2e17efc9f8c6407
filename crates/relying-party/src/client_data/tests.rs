//! Client data as browsers write it and as it should not be.

use super::*;

#[test]
fn client_data_is_read_as_the_specification_reads_it() {
    let plain = r#"{"type":"webauthn.get","challenge":"AAAA","origin":"https://a.example"}"#;
    let expected = |cross_origin, top_origin: Option<&str>| ClientData {
        kind: "webauthn.get".to_owned(),
        challenge: "AAAA".to_owned(),
        origin: "https://a.example".to_owned(),
        cross_origin,
        top_origin: top_origin.map(str::to_owned),
    };
    let member = |text: &str| plain.replace('}', &format!(",{text}}}"));
    let cases = [
        (plain.to_owned(), expected(false, None)),
        (format!("\u{feff}{plain}"), expected(false, None)),
        (member(r#""crossOrigin":false"#), expected(false, None)),
        (member(r#""crossOrigin":true,"topOrigin":"https://b.example""#), expected(true, Some("https://b.example"))),
        (
            member(r#""other_keys_can_be_added_here":"do not compare clientDataJSON against a template""#),
            expected(false, None),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(ClientData::parse(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn client_data_that_cannot_be_read_is_refused_with_the_place() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "line 1 column 0"),
        (b"\xff", "line 1 column 1"),
        (b"{}", "missing field `type`"),
        (br#"{"type":"webauthn.get","challenge":"AAAA"}"#, "missing field `origin`"),
        (br#"{"type":"webauthn.get","challenge":7}"#, "integer `7`"),
        (br#"{"type":"webauthn.get","challenge":"","origin":"","crossOrigin":"yes"}"#, "expected a boolean"),
    ];
    for (text, words) in cases {
        let Err(Refusal::BadClientData { reason }) = ClientData::parse(text) else {
            panic!("{text:?} was read");
        };
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn an_id_is_raw_id_in_base64url_without_padding() {
    for (id, accepted) in [("-_8", true), ("+/8", false), ("-_8=", false), ("LV84", false), ("", false)] {
        assert_eq!(check_credential_id(id, &[0xfb, 0xff]).is_ok(), accepted, "{id}");
    }
}
