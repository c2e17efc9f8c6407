use super::*;

const CHALLENGE: [u8; 32] = [0x11; 32];
const APPLICATION: [u8; 32] = [0x22; 32];

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

fn parameters() -> String {
    format!("{}{}", "11".repeat(32), "22".repeat(32))
}

fn authenticate(control: Control) -> Request {
    Request::Authenticate { control, challenge: CHALLENGE, application: APPLICATION, key_handle: vec![0xAB; 3] }
}

#[test]
fn every_two_bytes_are_one_status_word_and_back() {
    for code in 0..=u16::MAX {
        assert_eq!(u16::from(StatusWord::from(code)), code);
    }
    for (code, name) in [
        (0x9000, "SW_NO_ERROR"),
        (0x6985, "SW_CONDITIONS_NOT_SATISFIED"),
        (0x6A80, "SW_WRONG_DATA"),
        (0x6700, "SW_WRONG_LENGTH"),
        (0x6E00, "SW_CLA_NOT_SUPPORTED"),
        (0x6D00, "SW_INS_NOT_SUPPORTED"),
        (0x6B00, "status word 0x6B00"),
    ] {
        assert_eq!(StatusWord::from(code).to_string(), name);
        assert_eq!(StatusWord::from(code).response(), code.to_be_bytes());
    }
}

/// Raw Message Formats §3, §4.1, §5.1: written out by hand.
#[test]
fn requests_are_laid_out_as_the_specification_says_in_both_encodings() {
    let register = Request::Register { challenge: CHALLENGE, application: APPLICATION };
    for (request, short, extended) in [
        (register, format!("00010000 40 {} 00", parameters()), format!("00010000 000040 {} 0000", parameters())),
        (
            authenticate(Control::CheckOnly),
            format!("00020700 44 {} 03 ababab 00", parameters()),
            format!("00020700 000044 {} 03 ababab 0000", parameters()),
        ),
        (
            authenticate(Control::EnforceUserPresenceAndSign),
            format!("00020300 44 {} 03 ababab 00", parameters()),
            format!("00020300 000044 {} 03 ababab 0000", parameters()),
        ),
        (
            authenticate(Control::DontEnforceUserPresenceAndSign),
            format!("00020800 44 {} 03 ababab 00", parameters()),
            format!("00020800 000044 {} 03 ababab 0000", parameters()),
        ),
        (Request::Version, "00030000 00".to_owned(), "00030000 000000".to_owned()),
    ] {
        for (bytes, encoding) in [(short, Encoding::Short), (extended, Encoding::Extended)] {
            assert_eq!(request.encode(encoding), hex(&bytes));
            assert_eq!(Request::decode(&hex(&bytes)), Ok(request.clone()), "{bytes}");
        }
    }
}

/// What clients send: Le left out, and (python-fido2, libfido2) an extended Lc of zero with Le behind it, which ISO 7816 does
/// not have.
#[test]
fn lengths_are_read_as_clients_write_them() {
    for bytes in
        ["00030000", "00030000 00", "00030000 ff", "00030000 000000", "00030000 000001", "00030000 000000 0000"]
    {
        assert_eq!(Request::decode(&hex(bytes)), Ok(Request::Version), "{bytes}");
    }
    let register = Request::Register { challenge: CHALLENGE, application: APPLICATION };
    for bytes in [
        format!("00010000 40 {}", parameters()),
        format!("00010000 000040 {}", parameters()),
        format!("00010300 000040 {} 0000", parameters()),
        format!("00018001 000040 {} 0000", parameters()),
    ] {
        assert_eq!(Request::decode(&hex(&bytes)).as_ref(), Ok(&register), "{bytes}");
    }
}

#[test]
fn a_message_that_is_wrong_has_the_status_word_for_it() {
    let whole = parameters();
    for (bytes, expected) in [
        (String::new(), StatusWord::WrongLength),
        ("00".to_owned(), StatusWord::WrongLength),
        ("000300".to_owned(), StatusWord::WrongLength),
        ("01".to_owned(), StatusWord::ClaNotSupported),
        ("80030000".to_owned(), StatusWord::ClaNotSupported),
        (format!("01010000 40 {whole} 00"), StatusWord::ClaNotSupported),
        ("00000000".to_owned(), StatusWord::InsNotSupported),
        ("00040000 00".to_owned(), StatusWord::InsNotSupported),
        ("00c00000 000000".to_owned(), StatusWord::InsNotSupported),
        ("00030000 03 616263 00".to_owned(), StatusWord::WrongLength),
        ("00030000 000003 616263".to_owned(), StatusWord::WrongLength),
        ("00030000 0000".to_owned(), StatusWord::WrongLength),
        ("00030000 000000 00".to_owned(), StatusWord::WrongLength),
        ("00030000 000000 000000".to_owned(), StatusWord::WrongLength),
        ("00010000 40".to_owned(), StatusWord::WrongLength),
        (format!("00010000 3f {} 00", &whole[2..]), StatusWord::WrongLength),
        (format!("00010000 41 {whole} 33 00"), StatusWord::WrongLength),
        (format!("00010000 40 {whole} 0000"), StatusWord::WrongLength),
        (format!("00010000 000040 {whole} 00"), StatusWord::WrongLength),
        (format!("00010000 00ffff {whole} 0000"), StatusWord::WrongLength),
        (format!("00020300 40 {whole} 00"), StatusWord::WrongLength),
        (format!("00020300 42 {whole} 02 ab 00"), StatusWord::WrongLength),
        (format!("00020300 43 {whole} 01 abab 00"), StatusWord::WrongLength),
        (format!("00020000 42 {whole} 01 ab 00"), StatusWord::IncorrectP1P2),
        (format!("0002ff00 42 {whole} 01 ab 00"), StatusWord::IncorrectP1P2),
    ] {
        assert_eq!(Request::decode(&hex(&bytes)), Err(expected), "{bytes}");
    }
}

#[test]
fn a_key_handle_may_be_empty_or_of_255_bytes() {
    for length in [0, 1, 255] {
        let request = Request::Authenticate {
            control: Control::CheckOnly,
            challenge: CHALLENGE,
            application: APPLICATION,
            key_handle: vec![7; length],
        };
        assert_eq!(Request::decode(&request.encode(Encoding::Extended)), Ok(request));
    }
}

#[test]
fn responses_are_laid_out_as_the_specification_says() {
    let point: [u8; 65] = core::array::from_fn(|index| if index == 0 { 4 } else { 9 });
    for certificate in
        [hex("3003 020101"), [&hex("3081 80")[..], &[0; 128]].concat(), [&hex("3082 0100")[..], &[0; 256]].concat()]
    {
        let registration = Registration {
            public_key: point,
            key_handle: vec![0xAB; 3],
            certificate: certificate.clone(),
            signature: vec![0x30, 0],
        };
        let bytes = hex(&format!("05 {} 03 ababab {} 3000", hex::encode(point), hex::encode(&certificate)));
        assert_eq!(registration.encode(), bytes);
        assert_eq!(Registration::decode(&bytes), Ok(registration));
    }
    let authentication = Authentication { user_presence: 1, counter: 0x0102_0304, signature: vec![0x30, 0] };
    assert_eq!(authentication.encode(), hex("01 01020304 3000"));
    assert_eq!(Authentication::decode(&hex("01 01020304 3000")), Ok(authentication));
    let signed = Registration::signed(&APPLICATION, &CHALLENGE, &[0xAB], &point);
    assert_eq!(signed, hex(&format!("00 {} {} ab {}", "22".repeat(32), "11".repeat(32), hex::encode(point))));
}

#[test]
fn a_response_that_is_wrong_says_how() {
    let head = format!("05 {} 00", "04".repeat(65));
    for (bytes, expected) in [
        (String::new(), Invalid::Truncated("reserved byte")),
        ("04".to_owned(), Invalid::Reserved(4)),
        ("05 04".to_owned(), Invalid::Truncated("public key")),
        (format!("05 {}", "04".repeat(65)), Invalid::Truncated("key handle's length")),
        (format!("05 {} 02 ab", "04".repeat(65)), Invalid::Truncated("key handle")),
        (head.clone(), Invalid::Certificate),
        (format!("{head} 3100 3000"), Invalid::Certificate),
        (format!("{head} 3080 0000"), Invalid::Certificate),
        (format!("{head} 30817f"), Invalid::Certificate),
        (format!("{head} 308200ff"), Invalid::Certificate),
        (format!("{head} 30820100 00"), Invalid::Truncated("certificate")),
        (format!("{head} 3000"), Invalid::Truncated("signature")),
    ] {
        assert_eq!(Registration::decode(&hex(&bytes)), Err(expected), "{bytes}");
    }
    for (bytes, expected) in [
        ("", Invalid::Truncated("user presence byte")),
        ("01 000000", Invalid::Truncated("counter")),
        ("01 00000001", Invalid::Truncated("signature")),
    ] {
        assert_eq!(Authentication::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}

#[test]
fn a_response_ends_with_a_status_word() {
    assert_eq!(parse_response(&success(b"U2F_V2".to_vec())), Ok(&b"U2F_V2"[..]));
    assert_eq!(success(b"U2F_V2".to_vec()), hex("553246 5f5632 9000"));
    assert_eq!(parse_response(&hex("6985")), Err(StatusWord::ConditionsNotSatisfied));
    assert_eq!(parse_response(&hex("00 6a80")), Err(StatusWord::WrongData));
    for nothing in ["", "90"] {
        assert_eq!(parse_response(&hex(nothing)), Err(StatusWord::WrongLength));
    }
}

/// Whatever comes is judged, and what is taken is written so that it is taken again.
#[test]
fn every_truncation_and_every_flipped_bit_is_judged() {
    for request in [
        Request::Register { challenge: CHALLENGE, application: APPLICATION },
        authenticate(Control::CheckOnly),
        Request::Version,
    ] {
        for encoding in [Encoding::Short, Encoding::Extended] {
            let bytes = request.encode(encoding);
            for index in 0..bytes.len() {
                let judged = Request::decode(&bytes[..index]);
                assert!(judged.is_err() || judged.as_ref() == Ok(&request), "{index}");
                for bit in 0..8 {
                    let mut altered = bytes.clone();
                    altered[index] ^= 1 << bit;
                    if let Ok(request) = Request::decode(&altered) {
                        assert_eq!(Request::decode(&request.encode(encoding)), Ok(request));
                    }
                }
            }
        }
    }
}
