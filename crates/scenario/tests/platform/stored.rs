//! What is on a key, and how it is set up: credential management, large blobs, authenticatorConfig.

use keyrig_ctap::get_info::OptionId;
use std::sync::{Arc, Mutex};

use keyrig_client::channel::Channel;
use keyrig_client::credential_management::CredentialCounts;
use keyrig_client::error::Cause;
use keyrig_client::json::Base64Url;
use keyrig_client::pin::{Pin, PinReason, PinRequest};
use keyrig_client::{Client, Key, Permissions, PinRules, PinUvAuthToken, Status};
use keyrig_rack::Rack;
use serde_json::{Value, json};

use crate::{creation, never, page, request, value, verified};

async fn token<C: Channel>(key: &mut Key<C>, permissions: Permissions) -> PinUvAuthToken {
    let ask = |request: &PinRequest| request.mistake.is_none().then(|| Pin::new("1234"));
    key.pin_uv_auth_token(permissions, None, &ask, &never()).await.expect("a token")
}

/// What is on a key: counted, listed, renamed, deleted.
async fn stored_credentials<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let mut ids = Vec::new();
    for (origin, user) in [("https://a.example", "AQ"), ("https://a.example", "Ag"), ("https://b.example", "AQ")] {
        let client = Client::new(origin.parse().expect("an origin")).with_pin(Pin::new("1234"));
        let mut options = creation(json!({"userVerification": "required", "residentKey": "required"}), json!({}));
        options.rp.id = None;
        options.user.id = user.as_bytes().to_vec();
        ids.push(client.create(&options, keys, never()).await.expect("a credential").id.0);
    }
    let key = &mut keys[0];
    let cm = token(key, Permissions::CM).await;
    let counts: CredentialCounts = key.credential_counts(&cm, &never()).await.expect("counted");
    assert_eq!(counts.existing, 3);
    let listed = key.credentials(&cm, &never()).await.expect("listed");
    let mut seen: Vec<_> = listed
        .iter()
        .flat_map(|site| {
            site.credentials.iter().map(|stored| (site.relying_party.id.clone(), stored.credential_id.clone()))
        })
        .collect();
    seen.sort();
    let mut expected: Vec<_> =
        ["a.example", "a.example", "b.example"].map(str::to_owned).into_iter().zip(ids.clone()).collect();
    expected.sort();
    assert_eq!(seen, expected);

    let mut user = listed[0].credentials[0].user.clone();
    let renamed = listed[0].credentials[0].credential_id.clone();
    user.name = Some("admin@pve".to_owned());
    key.update_user(&renamed, user, &cm, &never()).await.expect("renamed");
    let again = key.credentials(&cm, &never()).await.expect("listed");
    let stored = again.iter().flat_map(|site| &site.credentials).find(|stored| stored.credential_id == renamed);
    assert_eq!(stored.expect("still there").user.name.as_deref(), Some("admin@pve"));

    for id in &ids {
        key.delete_credential(id, &cm, &never()).await.expect("deleted");
    }
    let gone = Cause::Status { command: keyrig_ctap::Command::CredentialManagement, status: Status::NoCredentials };
    assert_eq!(key.delete_credential(&ids[0], &cm, &never()).await, Err(gone));
    assert_eq!(key.credentials(&cm, &never()).await, Ok(Vec::new()));
}
over_both!(stored_credentials, stored_credentials_in_process, stored_credentials_over_usb_ip, "keyrig", ["a"]);

/// Bytes in base64url that no compression makes fewer: Knuth's MMIX generator.
fn incompressible(length: usize) -> String {
    let mut state: u64 = 1;
    let bytes = (0..length).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    Base64Url(bytes.collect()).to_string()
}

/// largeBlob through get(), and straight.
async fn large_blobs<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let client = || page().with_pin(Pin::new("1234"));
    let selection = json!({"userVerification": "required", "residentKey": "required"});
    let required = json!({"largeBlob": {"support": "required"}});
    let made = client().create(&creation(selection, required), keys, never()).await.expect("a credential");
    assert_eq!(Value::Object(made.client_extension_results.clone()), json!({"largeBlob": {"supported": true}}));
    let id = made.id.to_string();
    let asked = async |keys: &mut [Key<C>], large_blob: Value| {
        let options = request(&[&id], "required", json!({"largeBlob": large_blob}));
        let signed = client().get(&options, keys, never()).await.expect("an assertion");
        value(&signed.to_json())["clientExtensionResults"]["largeBlob"].clone()
    };
    assert_eq!(asked(keys, json!({"read": true})).await, json!({}));
    // More than a message holds, and noise, so that it takes several fragments.
    let noise = incompressible(1500);
    assert_eq!(asked(keys, json!({"write": noise})).await, json!({"written": true}));
    assert_eq!(asked(keys, json!({"read": true})).await, json!({"blob": noise}));
    let too_long = incompressible(8000);
    assert_eq!(asked(keys, json!({"write": too_long})).await, json!({"written": false}));
    assert_eq!(asked(keys, json!({"read": true})).await, json!({"blob": noise}), "what was there is there");
}
over_both!(large_blobs, large_blobs_in_process, large_blobs_over_usb_ip, "keyrig", ["a"]);

/// authenticatorConfig: alwaysUv, and a PIN that has to become longer, which the next ceremony sees to.
async fn configuration<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let key = &mut keys[0];
    key.set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let acfg = token(key, Permissions::ACFG).await;
    key.toggle_always_uv(Some(&acfg), &never()).await.expect("alwaysUv");
    assert_eq!(key.get_info(&never()).await.expect("getInfo").option(OptionId::AlwaysUv), Some(true));
    let acfg = token(key, Permissions::ACFG).await;
    let rules = PinRules { minimum_length: Some(6), force_change: true, ..PinRules::default() };
    key.set_pin_rules(&rules, Some(&acfg), &never()).await.expect("setMinPINLength");
    let info = key.get_info(&never()).await.expect("getInfo");
    assert_eq!((info.min_pin_length, info.force_pin_change), (Some(6), Some(true)));

    let answers = Mutex::new(vec!["1234", "123456", "582046"].into_iter());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&asked);
    let client = page().asking_for_pin(move |request: &PinRequest| {
        remembered.lock().expect("whole").push(request.reason);
        answers.lock().expect("whole").next().map(Pin::new)
    });
    let discouraged = json!({"userVerification": "discouraged"});
    let made = client.create(&creation(discouraged, json!({})), keys, never()).await.expect("a credential");
    assert!(verified(&made.response.authenticator_data.0), "alwaysUv");
    assert_eq!(asked.lock().expect("whole")[..2], [PinReason::Verify, PinReason::Change]);
}
over_both!(configuration, configuration_in_process, configuration_over_usb_ip, "keyrig", ["a"]);
