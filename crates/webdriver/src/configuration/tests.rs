use serde_json::json;

use super::*;

fn read(parameters: &Value, mode: Mode) -> Result<Configuration, WebDriverError> {
    Configuration::read(parameters.as_object().unwrap(), mode)
}

/// What WebAuthn Level 3 §11.3 has in its table of defaults.
#[test]
fn what_is_not_said_has_its_default() {
    let read = read(&json!({"protocol": "ctap2", "transport": "usb"}), Mode::Hid).unwrap();
    assert!(read.is_user_consenting);
    assert!(!read.is_user_verified);
    let VirtualAuthenticator {
        protocol,
        resident_keys,
        user_verification,
        extensions,
        backup_eligible,
        backup_state,
        ..
    } = read.authenticator;
    assert_eq!(protocol, VirtualProtocol::Ctap2);
    assert!(!resident_keys && !user_verification && extensions.is_empty() && !backup_eligible && !backup_state);
}

#[test]
fn what_selenium_sends_is_read() {
    let all = json!({
        "protocol": "ctap2_1", "transport": "usb", "hasResidentKey": true, "hasUserVerification": true,
        "isUserConsenting": false, "isUserVerified": true,
    });
    let read = read(&all, Mode::Hid).unwrap();
    assert!(read.authenticator.resident_keys && read.authenticator.user_verification);
    assert!(!read.is_user_consenting && read.is_user_verified);
}

#[test]
fn what_is_wrong_is_named() {
    let good = json!({"protocol": "ctap2", "transport": "usb"});
    for (member, value, named) in [
        ("protocol", json!("ctap3"), "protocol"),
        ("protocol", json!(2), "protocol"),
        ("transport", json!("pigeon"), "transport"),
        ("hasResidentKey", json!("true"), "hasResidentKey"),
        ("isUserConsenting", json!(null), "isUserConsenting"),
        ("extensions", json!("prf"), "extensions"),
        ("extensions", json!([1]), "extensions"),
        ("uvm", json!([[1, 2]]), "uvm"),
        ("uvm", json!([[1, 2, 4_294_967_296_u64]]), "uvm"),
        ("defaultBackupState", json!(true), "defaultBackupEligibility"),
        ("hasResidentkey", json!(true), "hasResidentkey"),
    ] {
        let mut parameters = good.clone();
        parameters[member] = value;
        let error = read(&parameters, Mode::Page).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{error}");
        assert!(error.message.contains(named), "{error}");
    }
    for missing in ["protocol", "transport"] {
        let mut parameters = good.as_object().unwrap().clone();
        parameters.remove(missing);
        let error = Configuration::read(&parameters, Mode::Hid).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.contains(missing), "{error}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (transport, in_page) in [("internal", true), ("ble", true), ("hybrid", true), ("smart-card", true)] {
        let parameters = json!({"protocol": "ctap2", "transport": transport});
        let error = read(&parameters, Mode::Hid).unwrap_err();
        assert_eq!(error.code, Code::UnsupportedOperation);
        assert!(error.message.contains(transport) && error.message.contains("--webauthn page"), "{error}");
        assert_eq!(read(&parameters, Mode::Page).is_ok(), in_page);
    }
    let error = read(&json!({"protocol": "ctap2", "transport": "usb", "extensions": ["devicePubKey"]}), Mode::Hid);
    let error = error.unwrap_err();
    assert_eq!(error.code, Code::UnsupportedOperation);
    assert!(error.message.contains("devicePubKey") && error.message.contains("largeBlob"), "{error}");
}
