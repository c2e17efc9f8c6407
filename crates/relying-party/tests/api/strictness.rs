//! What the policies let pass of what browsers send beside the specification's letter. Whether that is what the servers do
//! that they are named after is compared in the verifier's tests, with webauthn-rs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use keyrig_relying_party::EventKind;
use serde_json::{Value, json};

use crate::rig::{Key, Rig, decode, encode, login, registration};

const POLICIES: [(&str, bool); 3] = [("strict-l3", false), ("proxmox-9", true), ("webauthn-rs", true)];

type Change = fn(&[u8]) -> Vec<u8>;

/// Changes the authenticator data in an attestation object of the format none, and the order of the object's members.
fn with_attestation_object(credential: &Value, change: Change) -> Value {
    const MEMBERS: &[u8] = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
    let mut credential = credential.clone();
    let object = &mut credential["response"]["attestationObject"];
    let decoded = decode(object);
    let [_, authenticator_data @ ..] = decoded.strip_prefix(MEMBERS).unwrap() else { panic!("{decoded:?}") };
    *object = encode(&change(authenticator_data));
    credential
}

fn head(authenticator_data: &[u8]) -> [u8; 2] {
    [0x58, u8::try_from(authenticator_data.len()).unwrap()]
}

/// As old Firefox and Brave on iOS order it.
fn in_another_order(authenticator_data: &[u8]) -> Vec<u8> {
    [b"\xa3\x68authData", &head(authenticator_data)[..], authenticator_data, b"\x63fmt\x64none\x67attStmt\xa0"].concat()
}

/// The COSE key with alg before kty.
fn with_key_in_another_order(authenticator_data: &[u8]) -> Vec<u8> {
    const CANONICAL: &[u8] = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20";
    let mut data = authenticator_data.to_vec();
    let at = data.len() - 77;
    assert!(data[at..].starts_with(CANONICAL));
    data.splice(at..at + CANONICAL.len(), *b"\xa5\x03\x26\x01\x02\x20\x01\x21\x58\x20");
    [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData", &head(&data)[..], &data].concat()
}

#[tokio::test]
async fn safaris_empty_user_handle_and_a_foreign_one() {
    for (policy, passes) in POLICIES {
        let rig = Rig::with_policy(policy);
        let mut key = Key::default();
        rig.new_user("alice@pve").await.register(&mut key, "key").await;
        for (handle, found) in [(&b""[..], "an empty userHandle"), (b"bob", "626f62")] {
            let offered = rig.browser().log_in("alice@pve").await;
            let mut credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
            credential["response"]["userHandle"] = encode(handle);
            let (status, answer) =
                rig.browser().send("POST", "/api/login/webauthn", Some(&login(&offered, &credential))).await;
            assert_eq!(status.is_success(), passes, "{policy}: {answer}");
            if !passes {
                assert_eq!(answer["report"]["verification"]["refused_by"], json!(["user-handle"]));
                let explanation = answer["report"]["explanation"].as_str().unwrap();
                assert!(explanation.contains(found), "{explanation}");
                let safari = explanation.contains("Safari sends that for a credential that is not discoverable");
                assert_eq!(safari, handle.is_empty(), "{explanation}");
            }
        }
    }
}

#[tokio::test]
async fn attestation_objects_and_keys_in_another_order() {
    let changes: [(Change, &str); 2] =
        [(in_another_order, "attestation-object"), (with_key_in_another_order, "authenticator-data")];
    for (policy, passes) in POLICIES {
        for (change, refused_by) in changes {
            let rig = Rig::with_policy(policy);
            let (mut key, mut alice) = (Key::default(), rig.new_user("alice@pve").await);
            let begun = alice.begin_registration().await;
            let credential = with_attestation_object(&key.create(&begun).await.unwrap(), change);
            let body = registration(&begun, "key", &credential);
            let (status, answer) = alice.send("POST", "/api/factors/webauthn", Some(&body)).await;
            assert_eq!(status.is_success(), passes, "{policy}: {answer}");
            if passes {
                // It logs in by what was stored.
                let answer = rig.browser().log_in_with("alice@pve", &mut key).await;
                assert_eq!(answer["state"], "logged_in", "{policy}, {refused_by}: {answer}");
            } else {
                assert_eq!(answer["report"]["verification"]["refused_by"], json!([refused_by]), "{answer}");
                assert_eq!(rig.events(EventKind::EnrolmentRefused).len(), 1);
            }
        }
    }
}

/// As a page encodes it that does not take `toJSON()`.
#[tokio::test]
async fn base64url_with_padding() {
    for (policy, passes) in POLICIES {
        let rig = Rig::with_policy(policy);
        let (mut key, mut alice) = (Key::default(), rig.new_user("alice@pve").await);
        let begun = alice.begin_registration().await;
        let mut credential = key.create(&begun).await.unwrap();
        let padded = |value: &mut Value| *value = json!(URL_SAFE.encode(decode(value)));
        padded(&mut credential["response"]["clientDataJSON"]);
        padded(&mut credential["response"]["attestationObject"]);
        let body = registration(&begun, "key", &credential);
        let (status, answer) = alice.send("POST", "/api/factors/webauthn", Some(&body)).await;
        assert_eq!(status.is_success(), passes, "{policy}: {answer}");
        if !passes {
            assert_eq!(answer["code"], "bad_credential", "{answer}");
            continue;
        }
        let offered = rig.browser().log_in("alice@pve").await;
        let mut credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        padded(&mut credential["response"]["signature"]);
        let (_, answer) = rig.browser().send("POST", "/api/login/webauthn", Some(&login(&offered, &credential))).await;
        assert_eq!(answer["state"], "logged_in", "{policy}: {answer}");
    }
}
