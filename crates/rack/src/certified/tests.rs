//! Keys out of statements.

use keyrig_ctap::get_info::OptionId;
use keyrig_metadata::Document;

use super::*;

const NAME: &str = "mds:00112233-4455-6677-8899-aabbccddeeff";

/// A statement as makers write it, with these members of getInfo beside its versions and AAGUID.
fn statement(info: &str, rest: &str) -> String {
    format!(
        r#"{{
            "description": "A \u001b[31mkey\n of somebody", "protocolFamily": "fido2", "schema": 3, "attestationRootCertificates": [],
            "aaguid": "00112233-4455-6677-8899-aabbccddeeff", "authenticatorVersion": 2, "attachmentHint": ["external", "wired"],
            "authenticationAlgorithms": ["secp256r1_ecdsa_sha256_raw"] {rest},
            "authenticatorGetInfo": {{"versions": ["FIDO_2_0", "FIDO_2_1", "FIDO_2_2"], "aaguid": "00112233445566778899aabbccddeeff" {info}}}
        }}"#
    )
}

fn made(info: &str) -> Profile {
    let document = Document::read(statement(info, "").as_bytes()).unwrap();
    profile(NAME, Some(&document.blob)).unwrap()
}

#[test]
fn a_key_says_what_its_statement_says_in_factory_state() {
    let key = made(
        r#", "extensions": ["hmac-secret", "uvm"], "options": {"rk": true, "up": true, "clientPin": true, "ep": true, "later": true},
           "maxMsgSize": 2048, "pinUvAuthProtocols": [2, 1], "maxCredentialCountInList": 10, "maxCredentialIdLength": 96,
           "transports": ["nfc", "usb"], "algorithms": [{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}],
           "forcePINChange": true, "minPINLength": 6, "firmwareVersion": 65536, "remainingDiscoverableCredentials": 30,
           "certifications": {"FIDO": 1}"#,
    );
    assert_eq!(key.name, NAME);
    assert_eq!(key.description, "A [31mkey of somebody (as its metadata statement says: behaviour is keyrig's)");
    let info = key.info();
    assert_eq!(info.versions, ["FIDO_2_0", "FIDO_2_1"]);
    assert_eq!(info.aaguid.to_string(), &NAME[4..]);
    assert_eq!(info.extensions, ["hmac-secret"]);
    assert_eq!(info.option(OptionId::ClientPin), Some(false), "a new key has no PIN");
    assert_eq!((info.max_msg_size, info.min_pin_length, info.force_pin_change), (Some(2048), Some(6), Some(false)));
    assert_eq!(info.pin_uv_auth_protocols, [2, 1]);
    assert_eq!((info.max_credential_count_in_list, info.max_credential_id_length), (Some(10), Some(96)));
    assert_eq!(info.transports, ["usb"]);
    assert_eq!(info.algorithms.iter().map(|parameters| parameters.algorithm).collect::<Vec<_>>(), [-7]);
    assert_eq!((info.firmware_version, info.remaining_discoverable_credentials), (Some(65536), Some(30)));
    let withheld = key.withheld();
    for expected in [
        "versions: FIDO_2_2",
        "extensions: uvm",
        "options: later",
        "transports: nfc",
        "algorithms: -257",
        "certifications: FIDO 1",
    ] {
        assert!(withheld.contains(&expected.to_owned()), "{expected}: {withheld:?}");
    }
    let unproven = key.unproven();
    for field in ["usb.vendor_id", "ctaphid.version", "options.clientPin", "force_pin_change"] {
        assert!(unproven.contains_key(field), "{field}: {unproven:?}");
    }
    assert!(key.unknown().count() > 50, "a statement says nothing of behaviour");
}

#[test]
fn what_is_beyond_all_bounds_is_within_them_and_said() {
    let key = made(
        r#", "maxMsgSize": 8092, "maxCredentialIdLength": 18446744073709551615, "minPINLength": 0, "maxPINLength": 4,
           "maxCredBlobLength": 18446744073709551615, "extensions": ["credBlob"], "maxCredentialCountInList": 0,
           "remainingDiscoverableCredentials": 18446744073709551615, "firmwareVersion": 18446744073709551615,
           "uvModality": 18446744073709551615, "options": {"largeBlobs": true},
           "maxSerializedLargeBlobArray": 18446744073709551615"#,
    );
    let info = key.info();
    assert_eq!((info.max_msg_size, info.max_credential_id_length), (Some(7609), Some(7609)));
    assert_eq!((info.min_pin_length, info.max_pin_length, key.behaviour.longest_pin), (Some(4), Some(8), 8));
    assert_eq!((info.max_cred_blob_length, info.max_credential_count_in_list), (Some(1024), None));
    let withheld = key.withheld();
    assert!(withheld.contains(&"maxMsgSize: 8092 (here 7609)".to_owned()), "{withheld:?}");
    let small = made(r#", "maxMsgSize": 1, "maxCredentialIdLength": 1, "maxSerializedLargeBlobArray": 1"#);
    assert_eq!((small.max_msg_size, small.behaviour.credential_id_length.bytes()), (64, 32));
}

#[test]
fn what_a_statement_leaves_out_is_the_specifications_and_marked() {
    let key =
        made(r#", "options": {"clientPin": false, "up": false}, "extensions": ["largeBlobKey", "hmac-secret-mc"]"#);
    let info = key.info();
    assert_eq!((info.max_msg_size, &info.pin_uv_auth_protocols), (Some(1024), &vec![1]));
    assert!(info.extensions.is_empty() && info.algorithms.is_empty(), "{info:?}");
    assert_eq!(info.option(OptionId::Up), None, "a key here is touched");
    assert_eq!(key.algorithms().len(), 1);
    let unproven = key.unproven();
    for field in ["max_msg_size", "pin_uv_auth_protocols", "algorithms", "discoverable_credentials"] {
        assert!(unproven.contains_key(field), "{field}: {unproven:?}");
    }
    let withheld = key.withheld();
    assert!(withheld.contains(&"extensions: largeBlobKey (without the option largeBlobs)".to_owned()), "{withheld:?}");
}

#[test]
fn fingerprints_are_not_enrolled_on_a_new_key() {
    let rest = r#", "userVerificationDetails": [[{"userVerificationMethod": "fingerprint_internal", "baDesc": {"maxTemplates": 7, "maxRetries": 3}}]]"#;
    let info =
        r#", "options": {"uv": true, "bioEnroll": true, "pinUvAuthToken": true}, "preferredPlatformUvAttempts": 3"#;
    let document = Document::read(statement(info, rest).as_bytes()).unwrap();
    let key = profile(NAME, Some(&document.blob)).unwrap();
    let info = key.info();
    assert_eq!((info.option(OptionId::Uv), info.option(OptionId::BioEnroll)), (Some(false), Some(false)));
    assert_eq!((key.fingerprints().unwrap().templates, key.behaviour.uv_retries), (7, 3));
    // Without an enrolment it has whatever else verifies its user.
    assert_eq!(made(r#", "options": {"uv": true}"#).info().option(OptionId::Uv), Some(true));
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    let refused = |text: &str| {
        let document = Document::read(text.as_bytes()).unwrap();
        of_entry(&document.blob.entries[0]).unwrap_err()
    };
    let good = statement("", "");
    assert_eq!(refused(&statement(r#", "options": {"plat": true}"#, "")), NoKey::Platform);
    assert_eq!(refused(&good.replace("\"fido2\"", "\"u2f\"")), NoKey::NotFido2("u2f".to_owned()));
    assert_eq!(refused(&good.replace("authenticatorGetInfo", "other")), NoKey::NoGetInfo);
    assert_eq!(
        refused(&good.replace(r#""FIDO_2_0", "FIDO_2_1", "FIDO_2_2""#, "\"FIDO_9\"")),
        NoKey::NoVersion("FIDO_9".to_owned())
    );
    let document = Document::read(good.as_bytes()).unwrap();
    let said = |name: &str, blob| profile(name, blob).unwrap_err().to_string();
    assert!(said("mds:0011", Some(&document.blob)).contains("names no certified key"));
    assert!(said(NAME, None).contains("--mds FILE"));
    assert!(said(&NAME.replace("ff", "00"), Some(&document.blob)).contains("has no entry of"));
}
