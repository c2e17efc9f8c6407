use core::time::Duration;

use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters};
use serde_json::{Value, json};

use super::*;
use crate::dom_exception::DomException;

fn creation() -> Value {
    json!({
        "rp": {"name": "Proxmox", "id": "example.com"},
        "user": {"id": "AAEC", "name": "root@pam", "displayName": "root@pam"},
        "challenge": "_-8",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}],
        "timeout": 300_000,
        "excludeCredentials": [{"type": "public-key", "id": "Aw", "transports": ["usb", "carrier-pigeon"]}],
        "authenticatorSelection": {"residentKey": "discouraged", "userVerification": "discouraged"},
        "hints": ["security-key"],
        "attestation": "none",
        "extensions": {"credProps": true},
        "nobodyKnows": {}
    })
}

/// The value with the member at a path such as `/user/id` set, or taken away.
fn with(mut value: Value, path: &str, member: Option<Value>) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match member {
        Some(member) => parent.insert(name.to_owned(), member),
        None => parent.remove(name),
    };
    value
}

fn read(value: &Value) -> Result<CreationOptions, InvalidJson> {
    CreationOptions::from_json(&value.to_string())
}

#[test]
fn reads_what_a_server_sends() {
    let options = read(&creation()).unwrap();
    assert_eq!(options.rp, RelyingPartyEntity { id: Some("example.com".to_owned()), name: "Proxmox".to_owned() });
    assert_eq!(options.user.id, [0, 1, 2]);
    assert_eq!(options.challenge, [0xff, 0xef]);
    assert_eq!(options.parameters, [CredentialParameters::public_key(-7), CredentialParameters::public_key(-257)]);
    assert_eq!(options.timeout, Some(Duration::from_secs(300)));
    let transports = Some(vec!["usb".to_owned(), "carrier-pigeon".to_owned()]);
    assert_eq!(
        options.exclude_credentials,
        [CredentialDescriptor { transports, ..CredentialDescriptor::public_key(vec![3]) }]
    );
    assert_eq!(options.authenticator_selection.discoverable(), Requirement::Discouraged);
    assert_eq!(options.authenticator_selection.user_verification, Requirement::Discouraged);
    assert_eq!(options.attestation, Attestation::None);
}

#[test]
fn what_is_wrong_is_named_with_the_exception_that_a_page_gets() {
    use DomException::{EncodingError, TypeError};
    for (path, member, name, member_named) in [
        ("/challenge", Some(json!("_-8=")), EncodingError, "challenge"),
        ("/challenge", Some(json!("/+8")), EncodingError, "challenge"),
        ("/challenge", Some(json!("_-8 ")), EncodingError, "challenge"),
        ("/challenge", Some(json!("A")), EncodingError, "challenge"),
        ("/challenge", None, TypeError, "challenge"),
        ("/challenge", Some(json!([1, 2, 3])), TypeError, "challenge"),
        ("/user/id", Some(json!("a=")), EncodingError, "user.id"),
        ("/user/displayName", None, TypeError, "user.displayName"),
        ("/user", None, TypeError, "user"),
        ("/user", Some(json!("root")), TypeError, "user"),
        ("/rp", None, TypeError, "rp"),
        ("/rp/name", None, TypeError, "rp.name"),
        ("/pubKeyCredParams", None, TypeError, "pubKeyCredParams"),
        ("/pubKeyCredParams", Some(json!({})), TypeError, "pubKeyCredParams"),
        ("/pubKeyCredParams", Some(json!([{"type": "public-key"}])), TypeError, "pubKeyCredParams[0].alg"),
        (
            "/pubKeyCredParams",
            Some(json!([{"type": "public-key", "alg": "ES256"}])),
            TypeError,
            "pubKeyCredParams[0].alg",
        ),
        (
            "/excludeCredentials",
            Some(json!([{"type": "public-key", "id": "AA=="}])),
            EncodingError,
            "excludeCredentials[0].id",
        ),
        ("/excludeCredentials", Some(json!([{"id": "AA"}])), TypeError, "excludeCredentials[0].type"),
        ("/excludeCredentials", Some(Value::Null), TypeError, "excludeCredentials"),
        ("/timeout", Some(json!("soon")), TypeError, "timeout"),
    ] {
        let error = read(&with(creation(), path, member.clone())).unwrap_err();
        assert_eq!(error.name(), name, "{path}: {member:?}");
        assert!(error.to_string().contains(member_named), "{error}");
    }
    assert_eq!(CreationOptions::from_json("{").unwrap_err().name(), DomException::SyntaxError);
    assert_eq!(CreationOptions::from_json("[]").unwrap_err().name(), TypeError);
}

/// Web IDL §3.2.4.9: `unsigned long` and `long` have 32 bits.
#[test]
fn numbers_wrap_as_web_idl_has_it() {
    for (given, expected) in [
        ("4294967295", 4_294_967_295),
        ("4294967296", 0),
        ("4295267296", 300_000),
        ("18446744073709551615", 4_294_967_295),
        ("-1", 4_294_967_295),
        ("-4294667296", 300_000),
        ("300000.9", 300_000),
        ("-0.5", 0),
        ("1e3", 1_000),
        ("4294967296e3", 0),
        ("1e300", 0),
    ] {
        let options = with(creation(), "/timeout", Some(serde_json::from_str(given).unwrap()));
        assert_eq!(read(&options).unwrap().timeout, Some(Duration::from_millis(expected)), "{given}");
    }
    for (given, expected) in [("4294967289", -7), ("-4294967303", -7), ("2147483648", -2_147_483_648), ("-7.9", -7)] {
        let algorithm = serde_json::from_str(given).unwrap();
        let options = with(creation(), "/pubKeyCredParams/0/alg", Some(algorithm));
        assert_eq!(read(&options).unwrap().parameters[0].algorithm, expected, "{given}");
    }
}

/// What a page passes on to `navigator.credentials` itself is taken for what it is.
#[test]
fn options_may_be_wrapped_as_a_page_wraps_them() {
    let wrapped = json!({"publicKey": creation(), "mediation": "conditional", "signal": {}});
    assert_eq!(read(&wrapped), read(&creation()));
    let request = json!({"publicKey": {"challenge": "_-8", "rpId": "example.com"}});
    assert_eq!(RequestOptions::from_json(&request.to_string()).unwrap().rp_id.as_deref(), Some("example.com"));
    let mut both = creation();
    both["publicKey"] = json!({"challenge": "AAAA"});
    assert_eq!(read(&both), read(&creation()), "a member that nobody knows");
    for (wrong, words) in [
        (json!({"publicKey": with(creation(), "/challenge", None)}), "the options lack publicKey.challenge"),
        (json!({"publicKey": "null"}), "publicKey is not a dictionary"),
    ] {
        assert!(read(&wrong).unwrap_err().to_string().starts_with(words));
    }
}

/// WebAuthn Level 3 §2.1.1: enumerations are texts, so that values to come do not break what is there.
#[test]
fn unknown_values_of_enumerations_count_as_absent() {
    for (path, unknown) in [
        ("/attestation", "blockchain"),
        ("/authenticatorSelection/residentKey", "always"),
        ("/authenticatorSelection/userVerification", "if-sunny"),
        ("/authenticatorSelection/authenticatorAttachment", "bluetooth"),
    ] {
        let unknown = read(&with(creation(), path, Some(json!(unknown)))).unwrap();
        assert_eq!(unknown, read(&with(creation(), path, None)).unwrap(), "{path}");
    }
}

#[test]
fn defaults_are_those_of_the_specification() {
    let mut value = creation();
    for path in ["/timeout", "/excludeCredentials", "/authenticatorSelection", "/attestation"] {
        value = with(value, path, None);
    }
    let options = read(&value).unwrap();
    assert_eq!(options.timeout, None);
    assert_eq!(options.exclude_credentials, []);
    assert_eq!(options.authenticator_selection.user_verification, Requirement::Preferred);
    assert_eq!(options.authenticator_selection.discoverable(), Requirement::Discouraged);
    assert_eq!(options.attestation, Attestation::None);
}

#[test]
fn level_1s_require_resident_key_counts_if_resident_key_is_absent() {
    for (selection, expected) in [
        (json!({"requireResidentKey": true}), Requirement::Required),
        (json!({"requireResidentKey": true, "residentKey": "preferred"}), Requirement::Preferred),
        (json!({"requireResidentKey": true, "residentKey": "always"}), Requirement::Required),
        (json!({"residentKey": "required"}), Requirement::Required),
        (json!({}), Requirement::Discouraged),
        (Value::Null, Requirement::Discouraged),
    ] {
        let options = read(&with(creation(), "/authenticatorSelection", Some(selection.clone()))).unwrap();
        assert_eq!(options.authenticator_selection.discoverable(), expected, "{selection}");
    }
}

/// A server that writes `null` for "no RP ID" asks for the RP ID "null".
#[test]
fn null_is_a_text_where_a_text_is_wanted() {
    let options = read(&with(creation(), "/rp/id", Some(Value::Null))).unwrap();
    assert_eq!(options.rp.id.as_deref(), Some("null"));
}

/// Credential Management §2.3.2: an enumeration, which a page hands over beside `publicKey`.
#[test]
fn mediation_is_beside_the_options_and_nowhere_in_them() {
    let around =
        |mediation: Value| Mediation::from_value(&json!({"publicKey": {"challenge": "AA"}, "mediation": mediation}));
    assert_eq!(around(json!("conditional")), Ok(Some(Mediation::Conditional)));
    assert_eq!(around(json!("optional")), Ok(Some(Mediation::Modal)));
    assert_eq!(around(json!("required")), Ok(Some(Mediation::Modal)));
    assert_eq!(around(json!("silent")), Ok(Some(Mediation::Silent)));
    for wrong in [json!("Conditional"), json!(null), json!({}), json!(1)] {
        let refused = around(wrong.clone());
        assert!(matches!(refused, Err(InvalidJson::WrongType { ref member, .. }) if member == "mediation"), "{wrong}");
    }
    assert_eq!(Mediation::from_value(&json!({"publicKey": {"challenge": "AA"}})), Ok(None));
    assert_eq!(
        Mediation::from_value(&json!({"challenge": "AA", "mediation": "conditional"})),
        Ok(None),
        "no member of theirs"
    );
}

#[test]
fn request_options_need_only_a_challenge() {
    let options = RequestOptions::from_json(r#"{"challenge":"AA"}"#).unwrap();
    let nothing_else = RequestOptions {
        challenge: vec![0],
        timeout: None,
        rp_id: None,
        allow_credentials: Vec::new(),
        user_verification: Requirement::Preferred,
        extensions: RequestExtensions::default(),
    };
    assert_eq!(options, nothing_else);
    assert_eq!(
        RequestOptions::from_json(r#"{"rpId":"example.com"}"#),
        Err(InvalidJson::Missing { member: "challenge".to_owned() })
    );
}

#[test]
fn credentials_are_written_with_the_members_that_a_server_reads() {
    let bytes = |byte| Base64Url(vec![byte]);
    let mut credential = AuthenticationCredential {
        id: bytes(0xff),
        raw_id: bytes(0xff),
        response: AssertionResponse {
            client_data_json: bytes(1),
            authenticator_data: bytes(2),
            signature: bytes(3),
            user_handle: None,
        },
        authenticator_attachment: Some("cross-platform".to_owned()),
        client_extension_results: serde_json::Map::new(),
        kind: "public-key".to_owned(),
    };
    assert_eq!(
        credential.to_json(),
        r#"{"id":"_w","rawId":"_w","response":{"clientDataJSON":"AQ","authenticatorData":"Ag","signature":"Aw"},"authenticatorAttachment":"cross-platform","clientExtensionResults":{},"type":"public-key"}"#
    );
    credential.response.user_handle = Some(Base64Url(Vec::new()));
    let written: Value = serde_json::from_str(&credential.to_json()).unwrap();
    assert_eq!(written["response"]["userHandle"], "");
}
