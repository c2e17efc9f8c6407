//! Client extensions.

use keyrig_client::channel::Channel;
use keyrig_client::pin::Pin;
use keyrig_client::{Browser, Client, Key, Status};
use keyrig_rack::Rack;
use keyrig_rack::command::Command;
use serde_json::{Value, json};

use crate::{creation, name, never, page, request, status, value};

/// prf: the same input gives the same output, another one another, per credential; with the PIN the outputs are others.
async fn prf<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let discouraged = json!({"userVerification": "discouraged", "residentKey": "required"});
    let inputs = json!({"prf": {"eval": {"first": "AQ"}}, "credProps": true});
    // Without a PIN, which Chromium would have set.
    let firefox = page().in_browser(Browser::Firefox);
    let made = firefox.create(&creation(discouraged, inputs), keys, never()).await.expect("a credential");
    let results = Value::Object(made.client_extension_results.clone());
    assert_eq!(results["prf"]["enabled"], true);
    assert_eq!(results["credProps"], json!({"rk": true}));
    let at_creation = results["prf"]["results"]["first"].as_str().expect("hmac-secret-mc").to_owned();

    let id = made.id.to_string();
    let evaluated = async |keys: &mut [Key<C>], client: Client, user_verification: &str, prf: Value| -> Value {
        let options = request(&[&id], user_verification, json!({"prf": prf}));
        let signed = client.get(&options, keys, never()).await.expect("an assertion");
        value(&signed.to_json())["clientExtensionResults"]["prf"]["results"].clone()
    };
    let first = evaluated(keys, page(), "discouraged", json!({"eval": {"first": "AQ"}})).await;
    assert_eq!(first, json!({"first": at_creation}));
    let both = evaluated(keys, page(), "discouraged", json!({"eval": {"first": "Ag", "second": "AQ"}})).await;
    assert_eq!(both["second"], at_creation);
    assert_ne!(both["first"], at_creation);
    let by_credential = json!({"eval": {"first": "Ag"}, "evalByCredential": {&id: {"first": "AQ"}}});
    assert_eq!(evaluated(keys, page(), "discouraged", by_credential).await, json!({"first": at_creation}));

    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let with_pin = || page().with_pin(Pin::new("1234"));
    let verified = evaluated(keys, with_pin(), "required", json!({"eval": {"first": "AQ"}})).await;
    assert_ne!(verified["first"], at_creation, "CTAP 2.3 §12.7: another secret where the user is verified");
    assert_eq!(evaluated(keys, with_pin(), "required", json!({"eval": {"first": "AQ"}})).await, verified);
}
over_both!(prf, prf_in_process, prf_over_usb_ip, "keyrig", ["a"]);

/// Per-credential salts: of two credentials that are allowed the one on the key gets its own.
async fn salts_by_credential<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let mut ids = Vec::new();
    for touched in ["a", "b"] {
        rack.command(Command::Finger { key: Some(name(touched)) }).await.expect("there is such a key");
        let selection = json!({"userVerification": "discouraged", "residentKey": "discouraged"});
        let made = page().create(&creation(selection, json!({"prf": {}})), keys, never()).await.expect("a credential");
        ids.push(made.id.to_string());
    }
    let allowed: Vec<_> = ids.iter().map(String::as_str).collect();
    let salts = |second: &str| {
        let by_credential = json!({&ids[0]: {"first": "AQ"}, &ids[1]: {"first": second}});
        request(&allowed, "discouraged", json!({"prf": {"evalByCredential": by_credential}}))
    };
    let mut outputs = Vec::new();
    for second in ["Ag", "Aw", "Ag"] {
        let signed = page().get(&salts(second), keys, never()).await.expect("an assertion");
        assert_eq!(signed.id.to_string(), ids[1], "the finger is over it");
        outputs.push(value(&signed.to_json())["clientExtensionResults"]["prf"]["results"]["first"].clone());
    }
    assert!(outputs[0].is_string());
    assert_eq!(outputs[0], outputs[2]);
    assert_ne!(outputs[0], outputs[1]);
}
over_both!(salts_by_credential, salts_by_credential_in_process, salts_by_credential_over_usb_ip, "keyrig", ["a", "b"]);

/// credBlob, credProtect and minPinLength.
async fn small_extensions<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let client = || page().with_pin(Pin::new("1234"));
    let selection = json!({"userVerification": "required", "residentKey": "required"});
    let asked = json!({
        "credBlob": "AQID", "credentialProtectionPolicy": "userVerificationRequired",
        "enforceCredentialProtectionPolicy": true,
    });
    let made = client().create(&creation(selection, asked), keys, never()).await.expect("a credential");
    assert_eq!(Value::Object(made.client_extension_results.clone()), json!({"credBlob": true}));
    let id = made.id.to_string();
    let read = request(&[&id], "required", json!({"getCredBlob": true}));
    let signed = client().get(&read, keys, never()).await.expect("an assertion");
    assert_eq!(Value::Object(signed.client_extension_results.clone()), json!({"getCredBlob": "AQID"}));
    // Without user verification the key does not admit to it.
    let error = page().get(&request(&[&id], "preferred", json!({})), keys, never()).await.expect_err("refused");
    assert_eq!(error.reason, status("a", keyrig_ctap::Command::GetAssertion, Status::NoCredentials));
}
over_both!(small_extensions, small_extensions_in_process, small_extensions_over_usb_ip, "keyrig", ["a"]);
