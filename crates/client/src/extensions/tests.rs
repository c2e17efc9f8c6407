use keyrig_ctap::entities::Extensions;

use super::*;
use crate::error::{DomException, Refusal};
use crate::testing::{system, unhex};

fn creation(extensions: Value, resident_key: &str, user_verification: &str) -> CreationOptions {
    let options = json!({
        "rp": {"name": "Example"}, "user": {"id": "AQ", "name": "n", "displayName": "d"}, "challenge": "_w",
        "pubKeyCredParams": [], "extensions": extensions,
        "authenticatorSelection": {"residentKey": resident_key, "userVerification": user_verification},
    });
    CreationOptions::from_json(&options.to_string()).unwrap()
}

fn request(extensions: Value, allowed: &[&str]) -> RequestOptions {
    let allowed: Vec<Value> = allowed.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let options = json!({"challenge": "_w", "allowCredentials": allowed, "extensions": extensions});
    RequestOptions::from_json(&options.to_string()).unwrap()
}

/// A key that knows everything.
fn able() -> get_info::Response {
    let extensions = [CRED_PROTECT, CRED_BLOB, LARGE_BLOB_KEY, MIN_PIN_LENGTH, HMAC_SECRET, HMAC_SECRET_MC];
    get_info::Response {
        extensions: extensions.map(str::to_owned).to_vec(),
        options: vec![("largeBlobs".to_owned(), true), ("rk".to_owned(), true)],
        max_cred_blob_length: Some(32),
        ..get_info::Response::default()
    }
}

fn inputs(extensions: Value) -> Result<MakeCredentialInputs, Unsuitable> {
    creation_inputs(Browser::Chromium, &creation(extensions, "required", "required"), &able(), true)
}

const SECOND: CredentialProtection = CredentialProtection::UserVerificationOptionalWithCredentialIdList;
const THIRD: CredentialProtection = CredentialProtection::UserVerificationRequired;

/// What a page writes, and the `extensions` member that a key gets, in CBOR by hand.
#[test]
fn extensions_reach_the_key_as_ctap_spells_them() {
    for (asked, expected) in [
        // {"credProtect": 2}
        (json!({}), "a16b6372656450726f7465637402"),
        (json!({"credProps": true}), "a16b6372656450726f7465637402"),
        (json!({"credentialProtectionPolicy": "userVerificationRequired"}), "a16b6372656450726f7465637403"),
        // {"credBlob": h'0102', "credProtect": 1}
        (
            json!({"credBlob": "AQI", "credentialProtectionPolicy": "userVerificationOptional"}),
            "a26863726564426c6f624201026b6372656450726f7465637401",
        ),
        // {"credProtect": 2, "hmac-secret": true}
        (json!({"prf": {}}), "a26b6372656450726f74656374026b686d61632d736563726574f5"),
        (json!({"hmacCreateSecret": true}), "a26b6372656450726f74656374026b686d61632d736563726574f5"),
        // {"credProtect": 2, "largeBlobKey": true, "minPinLength": true}
        (
            json!({"largeBlob": {"support": "preferred"}, "minPinLength": true}),
            "a36b6372656450726f74656374026c6c61726765426c6f624b6579f56c6d696e50696e4c656e677468f5",
        ),
    ] {
        let encoded = inputs(asked.clone()).unwrap().encode().unwrap();
        assert_eq!(hex::encode(Extensions::encoded(&encoded)), expected, "{asked}");
    }
}

/// Chromium's defaults for credentials whose user names the key may store: `ProtectionPolicyToCredProtect` in
/// `content/browser/webauth/authenticator_common_impl.cc`. Firefox has none.
#[test]
fn credential_protection_has_defaults_for_discoverable_credentials() {
    for (resident_key, user_verification, expected) in [
        ("required", "required", Some(SECOND)),
        ("required", "preferred", Some(THIRD)),
        ("required", "discouraged", Some(SECOND)),
        ("preferred", "preferred", Some(SECOND)),
        ("preferred", "required", Some(SECOND)),
        ("discouraged", "preferred", None),
        ("discouraged", "required", None),
    ] {
        let options = creation(json!({}), resident_key, user_verification);
        let default_in = |browser| creation_inputs(browser, &options, &able(), true).unwrap().cred_protect;
        assert_eq!(default_in(Browser::Chromium), expected, "{resident_key} {user_verification}");
        assert_eq!(default_in(Browser::Firefox), None);
    }
}

#[test]
fn a_key_without_an_extension_is_asked_without_it_unless_the_page_insists() {
    let plain = get_info::Response::default();
    let on_plain = |extensions| {
        creation_inputs(Browser::Chromium, &creation(extensions, "discouraged", "preferred"), &plain, false)
    };
    let harmless = json!({
        "prf": {"eval": {"first": "AQ"}}, "largeBlob": {"support": "preferred"}, "credBlob": "AQ", "minPinLength": true,
        "credentialProtectionPolicy": "userVerificationRequired", "hmacCreateSecret": true,
    });
    assert_eq!(on_plain(harmless), Ok(MakeCredentialInputs::default()));
    for (insisting, expected) in [
        (json!({"largeBlob": {"support": "required"}}), Err(Unsuitable::LargeBlob)),
        (
            json!({"credentialProtectionPolicy": "userVerificationRequired", "enforceCredentialProtectionPolicy": true}),
            Err(Unsuitable::CredentialProtection),
        ),
        (
            json!({"credentialProtectionPolicy": "userVerificationOptional", "enforceCredentialProtectionPolicy": true}),
            Ok(MakeCredentialInputs::default()),
        ),
    ] {
        assert_eq!(on_plain(insisting.clone()), expected, "{insisting}");
    }
    let too_long = Base64Url(vec![1; 33]).to_string();
    assert_eq!(inputs(json!({"credBlob": too_long})).unwrap().cred_blob, None, "maxCredBlobLength");
    let stored_nowhere = creation(json!({"largeBlob": {"support": "required"}}), "discouraged", "preferred");
    assert_eq!(creation_inputs(Browser::Chromium, &stored_nowhere, &able(), false), Err(Unsuitable::LargeBlob));
}

/// WebAuthn Level 3 §10.1.4 and §10.1.5, the client extension processing's first steps.
#[test]
fn what_is_asked_for_as_it_cannot_be_is_refused_before_any_key_is_asked() {
    use DomException::{NotSupportedError, SyntaxError};
    for (extensions, misuse) in [
        (json!({"appid": "https://example.org"}), ExtensionMisuse::AppIdAtCreation),
        (json!({"prf": {"evalByCredential": {}}}), ExtensionMisuse::EvalByCredentialAtCreation),
        (json!({"largeBlob": {"read": true}}), ExtensionMisuse::LargeBlobAtCreation),
        (json!({"largeBlob": {"write": "AQ"}}), ExtensionMisuse::LargeBlobAtCreation),
    ] {
        let error = check_creation(Browser::Chromium, &creation(extensions.clone(), "required", "required").extensions)
            .unwrap_err();
        assert_eq!(error, Refusal::Extension(misuse).named(NotSupportedError), "{extensions}");
    }
    let unknown = |key: &str| ExtensionMisuse::EvalByUnknownCredential(key.to_owned());
    for (extensions, allowed, misuse, name) in [
        (
            json!({"prf": {"evalByCredential": {"AQ": {"first": ""}}}}),
            &[][..],
            ExtensionMisuse::EvalByCredentialWithoutAllowList,
            NotSupportedError,
        ),
        (json!({"prf": {"evalByCredential": {"Ag": {"first": ""}}}}), &["AQ"], unknown("Ag"), SyntaxError),
        (json!({"prf": {"evalByCredential": {"": {"first": ""}}}}), &["AQ"], unknown(""), SyntaxError),
        (json!({"prf": {"evalByCredential": {"AQ==": {"first": ""}}}}), &["AQ"], unknown("AQ=="), SyntaxError),
        (
            json!({"largeBlob": {"support": "required"}}),
            &["AQ"],
            ExtensionMisuse::LargeBlobSupportAtRequest,
            NotSupportedError,
        ),
        (
            json!({"largeBlob": {"read": true, "write": "AQ"}}),
            &["AQ"],
            ExtensionMisuse::LargeBlobReadAndWrite,
            NotSupportedError,
        ),
        (
            json!({"largeBlob": {"write": "AQ"}}),
            &["AQ", "Ag"],
            ExtensionMisuse::LargeBlobWriteNeedsOneCredential,
            NotSupportedError,
        ),
    ] {
        let error = check_request(Browser::Chromium, &request(extensions.clone(), allowed)).unwrap_err();
        assert_eq!(error, Refusal::Extension(misuse).named(name), "{extensions}");
    }
    for (extensions, allowed) in [
        (json!({"prf": {"evalByCredential": {}}}), &[][..]),
        (json!({"prf": {"eval": {"first": "AQ"}, "evalByCredential": {"AQ": {"first": "Ag"}}}}), &["AQ"]),
        (json!({"largeBlob": {"read": false, "write": "AQ"}}), &["AQ"]),
        (json!({"largeBlob": {"read": true}}), &[]),
    ] {
        check_request(Browser::Chromium, &request(extensions, allowed)).unwrap();
    }
}

/// `evalByCredential` before `eval` (WebAuthn Level 3 §10.1.4).
#[test]
fn salts_are_those_of_the_credential_or_else_everybodys() {
    let options =
        request(json!({"prf": {"eval": {"first": "AA"}, "evalByCredential": {"AQ": {"first": "EQ"}}}}), &["AQ", "Ag"]);
    let prf = options.extensions.prf.as_ref().unwrap();
    for (id, expected) in [(Some(&[1][..]), [0x11]), (Some(&[2]), [0]), (None, [0])] {
        assert_eq!(request_salts(prf, &able(), id).unwrap().first, expected, "{id:?}");
    }
    assert_eq!(request_salts(prf, &get_info::Response::default(), None), None);
    assert!(needs_to_know_the_credential(Some(prf), &options.allow_credentials));
    assert!(!needs_to_know_the_credential(Some(prf), &options.allow_credentials[..1]));
    let only_eval = request(json!({"prf": {"eval": {"first": "AA"}}}), &["AQ", "Ag"]);
    assert!(!needs_to_know_the_credential(only_eval.extensions.prf.as_ref(), &only_eval.allow_credentials));
}

fn shared(protocol: PinUvAuthProtocol) -> (KeyAgreementKey, SharedSecret) {
    let own = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
    let coordinate = |text: &str| unhex(text).try_into().unwrap();
    let base_point = KeyAgreementKey {
        x: coordinate("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        y: coordinate("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    };
    protocol.agree(&own, &base_point, &system()).unwrap()
}

/// The salt is SHA-256("WebAuthn PRF" 00 010203) by Python's hashlib.
#[test]
fn salts_are_hashed_so_that_pages_cannot_choose_them() {
    const SALT: &str = "c1aa8b577876742a1980a73b15f72275d7104fdaa192c76c0400bb306bf21292";
    for (protocol, number) in [(PinUvAuthProtocol::One, None), (PinUvAuthProtocol::Two, Some(2))] {
        let (public, secret) = shared(protocol);
        let one = hmac_secret_input(&PrfValues { first: vec![1, 2, 3], second: None }, public, &secret).unwrap();
        assert_eq!(hex::encode(&*secret.decrypt(&one.salt_enc).unwrap()), SALT);
        assert_eq!(one.salt_auth, secret.authenticate(&one.salt_enc));
        assert_eq!((one.key_agreement, one.pin_uv_auth_protocol), (public, number));
        let values = PrfValues { first: vec![1, 2, 3], second: Some(vec![1, 2, 3]) };
        let two = hmac_secret_input(&values, public, &secret).unwrap();
        assert_eq!(hex::encode(&*secret.decrypt(&two.salt_enc).unwrap()), SALT.repeat(2));
    }
}

/// WebAuthn Level 3, §16.17.2 "CTAP2 hmac-secret extension": one input and two with protocol two, one with protocol one.
#[test]
fn prf_salts_and_results_are_those_of_the_test_vectors_of_webauthn() {
    let own = unhex("0971bc7fb1be48270adcd3d9a5fc15d5fb0f335b3071ff36a54c007fa6c76514");
    let own = p256::SecretKey::from_slice(&own).unwrap();
    let coordinate = |text: &str| unhex(text).try_into().unwrap();
    let authenticator = KeyAgreementKey {
        x: coordinate("a30522c2de402b561965c3cf949a1cab020c6f6ea36fcf7e911ac1a0f1515300"),
        y: coordinate("9961a929abdb2f42e6566771887d41484d889e735e3248518a53112d2b915f00"),
    };
    let (first, second) = (
        unhex("576562417574686e20505246207465737420766563746f727302"),
        unhex("576562417574686e20505246207465737420766563746f727303"),
    );
    let salts = [
        "527413ebb48293772df30f031c5ac4650c7de14bf9498671ae163447b6a772b3",
        "d68ac03329a10ee5e0ec834492bb9a96a0e547baf563bf78ccbe8789b22e776b",
    ];
    let results = [
        "3c33e07d202c3b029cc21f1722767021bf27d595933b3d2b6a1b9d5dddc77fae",
        "a62a8773b19cda90d7ed4ef72a80a804320dbd3997e2f663805ad1fd3293d50b",
    ];
    for (protocol, second, output) in [
        (
            PinUvAuthProtocol::Two,
            None,
            "3bfaa48f7952330d63e35ff8cd5bca48d2a12823828915749287256ab146272f9fb437bf65691243c3f504bd7ea6d5e6",
        ),
        (
            PinUvAuthProtocol::Two,
            Some(second),
            "90ee52f739043bc17b3488a74306d7801debb5b61f18662c648a25b5b5678ede482cdaff99a537a44f064fcb10ce6e04dfd27619dc96a0daff\
             8507e499296b1eecf0981f7c8518b277a7a3018f5ec6fb",
        ),
        (PinUvAuthProtocol::One, None, "15d4e4f3f04109b492b575c1b38c28585b6719cf8d61304215108d939f37ccfb"),
    ] {
        let inputs = 1 + usize::from(second.is_some());
        let (public, secret) = protocol.agree(&own, &authenticator, &system()).unwrap();
        let input = hmac_secret_input(&PrfValues { first: first.clone(), second }, public, &secret).unwrap();
        assert_eq!(hex::encode(&*secret.decrypt(&input.salt_enc).unwrap()), salts[..inputs].concat());
        if protocol == PinUvAuthProtocol::One {
            // No IV that is drawn: all of it is determined.
            let salt_enc = "ab8c878bb05d04700f077ed91845ec9c503c925cb12b327ddbeb4243c397f913";
            assert_eq!(hex::encode(&input.salt_enc), salt_enc);
        }
        assert_eq!(hex::encode(&*secret.decrypt(&unhex(output)).unwrap()), results[..inputs].concat());
    }
}

fn data(extensions: Option<Vec<u8>>) -> AuthenticatorData {
    AuthenticatorData {
        rp_id_hash: [0; 32],
        flags: keyrig_ctap::authenticator_data::Flags(0),
        counter: 0,
        attested_credential_data: None,
        extensions,
    }
}

#[test]
fn the_page_learns_at_registration_what_came_of_its_extensions() {
    let all = json!({
        "credProps": true, "prf": {"eval": {"first": "AQ"}}, "largeBlob": {"support": "preferred"}, "credBlob": "AQ",
        "hmacCreateSecret": true, "minPinLength": true,
    });
    let extensions = creation(all, "required", "preferred").extensions;
    let (_, secret) = shared(PinUvAuthProtocol::Two);
    let outputs = MakeCredentialOutputs {
        hmac_secret: Some(true),
        hmac_secret_mc: Some(secret.encrypt(&[0xff; 32]).unwrap()),
        cred_blob: Some(true),
        ..MakeCredentialOutputs::default()
    };
    let results = creation_results(&extensions, &data(outputs.encode()), true, Some(&[0; 32]), Some(&secret)).unwrap();
    let first = Base64Url(vec![0xff; 32]);
    assert_eq!(
        Value::Object(results),
        json!({
            "credProps": {"rk": true}, "prf": {"enabled": true, "results": {"first": first}},
            "largeBlob": {"supported": true}, "credBlob": true, "hmacCreateSecret": true,
        })
    );
    let results = creation_results(&extensions, &data(None), false, None, None).unwrap();
    assert_eq!(
        Value::Object(results),
        json!({
            "credProps": {"rk": false}, "prf": {"enabled": false}, "largeBlob": {"supported": false},
            "credBlob": false, "hmacCreateSecret": false,
        })
    );
    let nothing = CreationExtensions::default();
    assert!(creation_results(&nothing, &data(outputs.encode()), true, None, None).unwrap().is_empty());
    // {"credBlob": 1}
    let wrong = data(Some(unhex("a16863726564426c6f6201")));
    assert_eq!(creation_results(&nothing, &wrong, true, None, None), Err(Status::CborUnexpectedType));
}

#[test]
fn the_page_learns_at_login_what_came_of_its_extensions() {
    let asked = request(json!({"prf": {"eval": {"first": "AQ", "second": "Ag"}}, "getCredBlob": true}), &[]).extensions;
    let (_, secret) = shared(PinUvAuthProtocol::One);
    let outputs = |length: usize| {
        let encoded = GetAssertionOutputs {
            hmac_secret: Some(secret.encrypt(&vec![0; length]).unwrap()),
            cred_blob: Some(vec![1, 2]),
            ..GetAssertionOutputs::default()
        };
        data(encoded.encode())
    };
    let zeros = Base64Url(vec![0; 32]);
    let results =
        |data: &AuthenticatorData, blob| Value::Object(request_results(&asked, data, blob, Some(&secret)).unwrap());
    assert_eq!(
        results(&outputs(64), Some(LargeBlobOutcome::Read(Some(vec![1])))),
        json!({
            "prf": {"results": {"first": zeros, "second": zeros}}, "getCredBlob": "AQI", "largeBlob": {"blob": "AQ"},
        })
    );
    assert_eq!(
        results(&outputs(32), Some(LargeBlobOutcome::Written(false))),
        json!({"prf": {"results": {"first": zeros}}, "getCredBlob": "AQI", "largeBlob": {"written": false}})
    );
    assert_eq!(
        results(&data(None), Some(LargeBlobOutcome::Read(None))),
        json!({"prf": {}, "getCredBlob": "", "largeBlob": {}})
    );
    // An output of a length that no key should give.
    assert_eq!(results(&outputs(48), None), json!({"prf": {}, "getCredBlob": "AQI"}));
}
