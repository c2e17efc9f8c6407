use serde_json::json;

use super::*;
use crate::error::Code;

/// A P-256 key in PKCS#8, as the examples of Selenium's documentation have one.
const PRIVATE_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8_zMDQDYAxlU-Q\
hk1Dwkf0v18GZca1DMF3SaJ9HPdmShRANCAASNYX5lyVCOZLzFZzrIKmeZ2jwU\
RmgsJYxGP__fWN_S-j5sN4tT15XEpN_7QZnt14YvI6uvAgO0uJEboFaZlOEB";

fn good() -> Value {
    json!({
        "credentialId": "AQIDBA", "isResidentCredential": true, "rpId": "localhost", "privateKey": PRIVATE_KEY,
        "userHandle": "AQ", "signCount": 7,
    })
}

fn read(parameters: &Value) -> Result<NewCredential, WebDriverError> {
    NewCredential::read(parameters.as_object().unwrap())
}

#[test]
fn what_is_added_is_told_again() {
    let read = read(&good()).unwrap();
    assert_eq!(read.credential.credential_id.0, [1, 2, 3, 4]);
    assert_eq!(read.credential.sign_count, Some(7));
    let told = parameters(&read.credential, Some(b"blob"));
    for member in ["credentialId", "isResidentCredential", "rpId", "privateKey", "userHandle", "signCount"] {
        assert_eq!(told[member], good()[member], "{member}");
    }
    assert_eq!(told["largeBlob"], "YmxvYg");
    assert_eq!(told["backupEligibility"], false);
}

#[test]
fn padding_is_taken_and_not_given() {
    let mut padded = good();
    padded["credentialId"] = "AQIDBA==".into();
    assert_eq!(read(&padded).unwrap().credential.credential_id.to_string(), "AQIDBA");
    assert_eq!(credential_id("AQIDBA==").unwrap().0, [1, 2, 3, 4]);
}

/// WebAuthn Level 3 §11.5, each step that refuses.
#[test]
fn what_is_wrong_is_an_invalid_argument_by_name() {
    for (member, value) in [
        ("credentialId", json!("not base64!")),
        ("credentialId", json!(null)),
        ("isResidentCredential", json!("yes")),
        ("rpId", json!("https://example.com")),
        ("rpId", json!("")),
        ("rpId", json!(7)),
        ("privateKey", json!("+/+/")),
        ("userHandle", json!("?")),
        ("userHandle", json!(null)),
        ("signCount", json!(-1)),
        ("signCount", json!(4_294_967_296_u64)),
        ("signCount", json!("7")),
        ("largeBlob", json!("?")),
        ("backupState", json!(1)),
    ] {
        let mut parameters = good();
        parameters[member] = value;
        let error = read(&parameters).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.contains(member), "{member}: {error}");
    }
    for member in ["credentialId", "isResidentCredential", "rpId", "privateKey", "userHandle"] {
        let mut parameters = good().as_object().unwrap().clone();
        parameters.remove(member);
        assert!(NewCredential::read(&parameters).unwrap_err().message.contains(member));
    }
}

#[test]
fn one_that_is_not_discoverable_needs_no_user() {
    let mut parameters = good();
    parameters["isResidentCredential"] = false.into();
    assert_eq!(read(&parameters).unwrap().credential.user_id, None);
    parameters.as_object_mut().unwrap().remove("userHandle");
    parameters["signCount"] = Value::Null;
    assert_eq!(read(&parameters).unwrap().credential.sign_count, None);
}
