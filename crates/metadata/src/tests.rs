//! Documents as others write them.

use crate::*;

/// The shape is that of the example in FIDO Metadata Service 3.1 §3.1.
const BLOB: &str = r#"{
  "legalHeader": "terms", "no": 7, "nextUpdate": "2026-11-01", "unknown": {"a": [1, 2]},
  "entries": [{
    "aaguid": "0132d110-bf4e-4208-a403-ab4f5f12efe5",
    "metadataStatement": {
      "description": "A key", "authenticatorVersion": 2, "protocolFamily": "fido2", "schema": 3, "upv": [{"major": 1, "minor": 0}],
      "authenticationAlgorithms": ["secp256r1_ecdsa_sha256_raw"], "publicKeyAlgAndEncodings": ["cose"],
      "attestationTypes": ["basic_full"],
      "userVerificationDetails": [[{"userVerificationMethod": "passcode_external", "caDesc": {"base": 64, "minLength": 4, "maxRetries": 8, "blockSlowdown": 0}}]],
      "keyProtection": ["hardware"], "matcherProtection": ["on_chip"], "attachmentHint": ["external"], "tcDisplay": [],
      "attestationRootCertificates": ["AQI\nD"],
      "authenticatorGetInfo": {"versions": ["FIDO_2_0"], "aaguid": "0132d110bf4e4208a403ab4f5f12efe5", "options": {"rk": true},
        "minPINLength": 6, "maxMsgSize": 18446744073709551615, "algorithms": [{"alg": -7, "type": "public-key"}]}
    },
    "statusReports": [{"status": "FIDO_CERTIFIED_L3plus", "effectiveDate": "2019-01-04"}, {"status": "NEW_ONE"}],
    "timeOfLastStatusChange": "2019-01-04"
  }]
}"#;

fn blob() -> Blob {
    Document::read(BLOB.as_bytes()).unwrap().blob
}

#[test]
fn a_payload_is_read_and_written() {
    let blob = blob();
    assert_eq!((blob.no, blob.next_update.to_string().as_str()), (7, "2026-11-01"));
    let entry = blob.entry("0132d110-bf4e-4208-a403-ab4f5f12efe5".parse().unwrap()).unwrap();
    assert_eq!(entry.status_reports[0].status, Status::FidoCertifiedL3Plus);
    assert_eq!(entry.status_reports[1].status, Status::Other("NEW_ONE".to_owned()));
    let statement = entry.metadata_statement.as_ref().unwrap();
    assert_eq!(statement.attestation_root_certificates, [Certificate(vec![1, 2, 3])]);
    assert_eq!(statement.user_verification_details[0][0].ca_desc.unwrap().max_retries, 8);
    let info = statement.authenticator_get_info.as_ref().unwrap();
    assert_eq!((info.min_pin_length, info.max_msg_size), (Some(6), Some(u64::MAX)));
    assert_eq!(info.algorithms, [Parameters { kind: "public-key".to_owned(), alg: -7 }]);
    let written = blob.to_json();
    assert!(written.contains(r#""minPINLength":6"#) && written.contains(r#""status":"NEW_ONE""#), "{written}");
    assert_eq!(Document::read(written.as_bytes()).unwrap().blob, blob);
}

#[test]
fn a_token_carries_the_same() {
    let header = Header { alg: "ES256".to_owned(), typ: None, x5c: vec![Certificate(vec![0x30])], x5u: None };
    let signed = signing_input(&header, BLOB);
    let token = Jwt::compact(&signed, &[1, 2, 3]);
    let document = Document::read(format!("{token}\n").as_bytes()).unwrap();
    assert_eq!(document.blob, blob());
    let jwt = document.jwt.unwrap();
    assert_eq!((jwt.header, jwt.signed, jwt.signature), (header, signed, vec![1, 2, 3]));
}

/// The token of RFC 7515 §A.1: another's header, in Base64url that nobody here wrote.
#[test]
fn a_token_is_taken_apart_as_its_standard_says() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let jwt = Jwt::read(token).unwrap();
    assert_eq!((jwt.header.alg.as_str(), jwt.header.typ.as_deref()), ("HS256", Some("JWT")));
    assert_eq!(jwt.payload, b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
    assert_eq!(jwt.signature[..4], [116, 24, 223, 180]);
    assert_eq!(Jwt::read("a.b").unwrap_err(), NotAJwt::Parts(2));
    assert_eq!(Jwt::read("%.b.c").unwrap_err(), NotAJwt::Encoding("header"));
}

#[test]
fn a_statement_alone_is_a_blob_of_one() {
    let statement = blob().entries.remove(0).metadata_statement.unwrap();
    let json = serde_json::to_string(&statement).unwrap();
    let read = Document::read(json.as_bytes()).unwrap().blob;
    assert_eq!(read.entries.len(), 1);
    assert_eq!(read.entries[0].metadata_statement, Some(statement));
    assert_eq!(Document::read(b"{}"), Err(ReadError::SomethingElse));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let said = |text: &str| Document::read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        said(&BLOB.replace("\"minPINLength\": 6", "\"minPINLength\": -6")),
        "at entries[0].metadataStatement.authenticatorGetInfo.minPINLength, line 13, column 26: invalid value: integer `-6`, expected u64"
    );
    assert!(said(&BLOB.replace("2026-11-01", "soon")).contains("at nextUpdate"));
    assert!(said(&BLOB.replace("AQI\\nD", "§")).contains("attestationRootCertificates[0]"));
    assert!(said("no metadata").starts_with("it is neither JSON, which begins with '{', nor a JWT: "));
    assert_eq!(Document::read(b"{\xFF"), Err(ReadError::NotText { at: 1 }));
}

#[test]
fn what_is_too_much_is_refused() {
    let deep = |depth: usize| BLOB.replace("[1, 2]", &format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2)));
    assert!(Document::read(deep(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(Document::read(deep(MAX_DEPTH + 1).as_bytes()), Err(ReadError::TooDeep { depth: MAX_DEPTH + 1 }));
    // Brackets in texts are text.
    assert!(Document::read(BLOB.replace("terms", &r#"\"[[{"#.repeat(MAX_DEPTH)).as_bytes()).is_ok());
    let long = BLOB.replace("\"hardware\"", &vec!["\"a\""; MAX_LIST + 1].join(","));
    let error = Document::read(long.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("keyProtection") && error.contains("a list of more than 1024"), "{error}");
    let too_long = vec![b' '; MAX_SIZE + 1];
    assert_eq!(Document::read(&too_long), Err(ReadError::TooLong { bytes: MAX_SIZE + 1 }));
}

proptest::proptest! {
    #[test]
    fn whatever_is_read_is_read_or_refused(at in 0..BLOB.len(), byte: u8, cut in 0..BLOB.len()) {
        let mut bytes = BLOB.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(document) = Document::read(&bytes) {
            proptest::prop_assert_eq!(&Document::read(document.blob.to_json().as_bytes()).unwrap().blob, &document.blob);
        }
        bytes.truncate(cut);
        let _ = Document::read(&bytes);
    }
}
