//! CTAP1/U2F: keys that speak nothing else, and the way around a PIN.

use keyrig_client::channel::Channel;
use keyrig_client::json::CreationOptions;
use keyrig_client::pin::Pin;
use keyrig_client::{DomException, Key, Protocol, RefusedBy};
use keyrig_rack::Rack;
use serde_json::{Value, json};

use crate::{creation, never, page, request, value, verified};

fn plain() -> CreationOptions {
    let mut options =
        creation(json!({"userVerification": "discouraged", "residentKey": "discouraged"}), json!({"credProps": true}));
    options.attestation = keyrig_client::json::Attestation::Direct;
    options
}

/// Registered, logged in, excluded: by a key that has never heard of CTAP2, at a site that speaks WebAuthn.
async fn a_key_of_u2f<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let made = page().create(&plain(), keys, never()).await.expect("a credential");
    assert_eq!(Value::Object(made.client_extension_results.clone()), json!({"credProps": {"rk": false}}));
    let attestation = &made.response.attestation_object.0;
    assert!(attestation.windows(8).any(|window| window == b"fido-u2f"), "the attestation statement format");
    assert!(keys[0].exchanges().iter().skip(1).all(|exchange| exchange.protocol == Protocol::U2f));

    let id = made.id.to_string();
    let signed = page().get(&request(&[&id], "preferred", json!({})), keys, never()).await.expect("an assertion");
    assert!(!verified(&signed.response.authenticator_data.0));
    assert_eq!(signed.id, made.id);

    let mut again = plain();
    again.exclude_credentials = vec![keyrig_ctap::entities::CredentialDescriptor::public_key(made.id.0.clone())];
    let error = page().create(&again, keys, never()).await.expect_err("excluded");
    assert_eq!((error.name, error.refused_by()), (DomException::InvalidStateError, RefusedBy::Authenticator));
    let error = page().get(&request(&[&id], "required", json!({})), keys, never()).await.expect_err("no PIN");
    assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Client));
}
over_both!(a_key_of_u2f, a_key_of_u2f_in_process, a_key_of_u2f_over_usb_ip, "u2f-only", ["a"]);

/// A key of CTAP 2.0 with a PIN, at a page that does not care: the credential is made by U2F, and used by CTAP2.
async fn around_the_pin<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let made = page().create(&plain(), keys, never()).await.expect("nobody was asked for a PIN");
    assert_eq!(keys[0].exchanges().last().map(|exchange| exchange.protocol), Some(Protocol::U2f));
    let id = made.id.to_string();
    let signed = page().get(&request(&[&id], "discouraged", json!({})), keys, never()).await.expect("an assertion");
    assert_eq!(keys[0].exchanges().last().map(|exchange| exchange.protocol), Some(Protocol::Ctap2));
    assert_eq!(signed.id, made.id);
    let asked = request(&[&id], "discouraged", json!({"appid": "https://example.com/u2f"}));
    let signed = page().get(&asked, keys, never()).await.expect("an assertion");
    assert_eq!(value(&signed.to_json())["clientExtensionResults"], json!({"appid": false}));
}
over_both!(around_the_pin, around_the_pin_in_process, around_the_pin_over_usb_ip, "yubikey-5.4", ["a"]);
