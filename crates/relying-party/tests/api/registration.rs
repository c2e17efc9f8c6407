//! Registration: the options, the rules for challenges and users, and every check that can be made to fail.

use std::time::Duration;

use keyrig_relying_party::{MAX_CREDENTIALS_PER_USER, Policy, Settings};
use passkey::client::WebauthnError;
use passkey::types::ctap2::{Ctap2Error, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Key, ORIGIN, RP_ID, Rig, decode, encode, finish, with_client_data, with_client_data_member};

const FINISH: &str = "/api/register/finish";

/// Changes the authenticator data inside an attestation object: it follows its CBOR key and a two-byte head.
fn with_authenticator_data(credential: &Value, change: impl FnOnce(&mut [u8])) -> Value {
    let mut credential = credential.clone();
    let object = &mut credential["response"]["attestationObject"];
    let mut bytes = decode(object);
    let key = bytes.windows(8).position(|window| window == b"authData").unwrap();
    change(&mut bytes[key + 8 + 2..]);
    *object = encode(&bytes);
    credential
}

#[tokio::test]
async fn options_ask_for_a_security_key_without_user_verification() {
    let options = &Rig::new().begin_registration("root@pam").await["options"]["publicKey"];
    assert_eq!(options["rp"], json!({ "id": "pve.example.com", "name": "pve.example.com" }));
    assert_eq!(options["user"]["name"], "root@pam");
    assert!((1..=64).contains(&decode(&options["user"]["id"]).len()));
    assert!(decode(&options["challenge"]).len() >= 16, "WebAuthn Level 3, 13.4.3");
    let algorithms: Vec<_> =
        options["pubKeyCredParams"].as_array().unwrap().iter().map(|entry| &entry["alg"]).collect();
    assert!(algorithms.contains(&&json!(-7)) && algorithms.contains(&&json!(-257)), "{algorithms:?}");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "discouraged");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "discouraged");
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["hints"], json!(["security-key"]));
    // The client gives up no later than the server does.
    assert_eq!(options["timeout"], json!(300_000));
}

#[tokio::test]
async fn every_challenge_is_new() {
    let rig = Rig::new();
    let (first, second) = (rig.begin_registration("alice").await, rig.begin_registration("alice").await);
    assert_ne!(first["options"]["publicKey"]["challenge"], second["options"]["publicKey"]["challenge"]);
    assert_ne!(first["ceremony"], second["ceremony"]);
}

#[tokio::test]
async fn the_record_shows_what_was_registered() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let credential = Key::default().create(&begun).await.unwrap();
    let mut body = finish(&begun, &credential);
    body["name"] = json!("Blaue Karte Nº 1");
    let answer = rig.accepted(FINISH, body).await;
    let record = json!({
        "id": credential["id"], "name": "Blaue Karte Nº 1", "created": 1_795_305_600, "last_used": null, "counter": 0,
    });
    assert_eq!(answer, json!({ "user": "alice", "credential": record }));
    assert_eq!(rig.stored("alice").await, [record]);
}

#[tokio::test]
async fn credentials_without_a_name_are_numbered() {
    let rig = Rig::new();
    for name in ["key 1", "key 2"] {
        assert_eq!(rig.register("alice", &mut Key::default()).await["name"], name);
    }
}

#[tokio::test]
async fn exclude_credentials_lists_all_of_the_users_and_nobody_elses() {
    let rig = Rig::new();
    let (mut first, mut second) = (Key::default(), Key::default());
    let ids =
        [rig.register("alice", &mut first).await["id"].clone(), rig.register("alice", &mut second).await["id"].clone()];
    rig.register("bob", &mut Key::default()).await;
    let begun = rig.begin_registration("alice").await;
    let excluded = begun["options"]["publicKey"]["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids);
    assert!(excluded.iter().all(|entry| entry["type"] == "public-key"));
    // The client stops the key that has one of them, and no other.
    for key in [&mut first, &mut second] {
        let expected = WebauthnError::AuthenticatorError(StatusCode::from(Ctap2Error::CredentialExcluded).into());
        assert_eq!(key.create(&begun).await.unwrap_err(), expected);
    }
    Key::default().create(&begun).await.unwrap();
}

#[tokio::test]
async fn a_users_handle_never_changes_and_is_nobody_elses() {
    let rig = Rig::new();
    let handle = |begun: &Value| begun["options"]["publicKey"]["user"]["id"].clone();
    let (first, second) = (rig.begin_registration("alice").await, rig.begin_registration("alice").await);
    assert_eq!(handle(&first), handle(&second));
    for begun in [&first, &second] {
        let credential = Key::default().create(begun).await.unwrap();
        rig.accepted(FINISH, finish(begun, &credential)).await;
    }
    assert_eq!(handle(&rig.begin_registration("alice").await), handle(&first));
    assert_ne!(handle(&rig.begin_registration("bob").await), handle(&first));
}

/// Without attestation nothing signs a registration: the same credential can be sent again under another challenge.
#[tokio::test]
async fn a_credential_is_registered_once_over_all_users() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let credential = Key::default().create(&begun).await.unwrap();
    rig.accepted(FINISH, finish(&begun, &credential)).await;
    for (user, owner) in [("alice", "this user"), ("bob", "another user")] {
        let begun = rig.begin_registration(user).await;
        let challenge = begun["options"]["publicKey"]["challenge"].clone();
        let again = with_client_data_member(&credential, "challenge", challenge);
        let (code, reason) = rig.refused(FINISH, finish(&begun, &again)).await;
        assert_eq!(code, "already_registered");
        assert!(reason.contains(owner), "{reason}");
    }
    assert_eq!(rig.stored("alice").await.len(), 1);
    assert!(rig.stored("bob").await.is_empty());
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let credential = Key::default().create(&begun).await.unwrap();
    rig.accepted(FINISH, finish(&begun, &credential)).await;
    assert_eq!(rig.refused(FINISH, finish(&begun, &credential)).await.0, "unknown_ceremony");
    assert_eq!(rig.stored("alice").await.len(), 1);
}

#[tokio::test]
async fn a_refused_answer_uses_the_challenge_up() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let credential = Key::default().create(&begun).await.unwrap();
    let wrong = with_client_data_member(&credential, "origin", json!("https://pve.example.com"));
    assert_eq!(rig.refused(FINISH, finish(&begun, &wrong)).await.0, "origin_mismatch");
    assert_eq!(rig.refused(FINISH, finish(&begun, &credential)).await.0, "unknown_ceremony");
    assert!(rig.stored("alice").await.is_empty());
}

#[tokio::test]
async fn a_challenge_expires() {
    let rig = Rig::new();
    for (age, answered) in [
        (Policy::strict().challenge_lifetime - Duration::from_millis(1), true),
        (Policy::strict().challenge_lifetime, false),
    ] {
        let before = rig.stored("alice").await.len();
        let begun = rig.begin_registration("alice").await;
        let credential = Key::default().create(&begun).await.unwrap();
        rig.clock.advance(age);
        if answered {
            rig.accepted(FINISH, finish(&begun, &credential)).await;
        } else {
            let (code, reason) = rig.refused(FINISH, finish(&begun, &credential)).await;
            assert_eq!(code, "expired_challenge");
            assert!(reason.contains("300 s"), "{reason}");
        }
        assert_eq!(rig.stored("alice").await.len(), before + usize::from(answered));
    }
}

#[tokio::test]
async fn a_login_cannot_end_as_a_registration() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let login = rig.begin_login("alice").await;
    let credential = Key::default().create(&rig.begin_registration("alice").await).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&login, &credential)).await.0, "wrong_ceremony");
    // It is used up by that.
    let credential = key.get(&login).await.unwrap();
    assert_eq!(rig.refused("/api/login/finish", finish(&login, &credential)).await.0, "unknown_ceremony");
    assert_eq!(rig.stored("alice").await.len(), 1);
}

#[tokio::test]
async fn an_answer_to_another_users_challenge_is_refused() {
    let rig = Rig::new();
    let (alice, bob) = (rig.begin_registration("alice").await, rig.begin_registration("bob").await);
    let credential = Key::default().create(&bob).await.unwrap();
    let (code, reason) = rig.refused(FINISH, finish(&alice, &credential)).await;
    assert_eq!(code, "challenge_mismatch");
    for begun in [&alice, &bob] {
        assert!(reason.contains(begun["options"]["publicKey"]["challenge"].as_str().unwrap()), "{reason}");
    }
    assert!(rig.stored("alice").await.is_empty() && rig.stored("bob").await.is_empty());
}

#[tokio::test]
async fn each_check_refuses_with_its_own_code_and_stores_nothing() {
    let member = |name: &'static str, value: Value| {
        move |credential: &Value| with_client_data_member(credential, name, value.clone())
    };
    type Change = Box<dyn Fn(&Value) -> Value>;
    let cases: Vec<(Change, &str, &str)> = vec![
        (
            Box::new(member("type", json!("webauthn.get"))),
            "wrong_type",
            r#""webauthn.get", expected "webauthn.create""#,
        ),
        (Box::new(member("challenge", json!("AAAA"))), "challenge_mismatch", r#""AAAA", expected"#),
        (
            Box::new(member("origin", json!("https://pve.example.com:8007"))),
            "origin_mismatch",
            r#""https://pve.example.com:8007", expected "https://pve.example.com:8006""#,
        ),
        (Box::new(member("origin", json!("http://pve.example.com:8006"))), "origin_mismatch", r#""http://pve"#),
        (Box::new(member("origin", json!("https://pve2.example.com:8006"))), "origin_mismatch", "pve2"),
        (Box::new(member("origin", json!("https://evil-pve.example.com:8006"))), "origin_mismatch", "evil"),
        (Box::new(member("origin", json!("https://node.pve.example.com:8006"))), "origin_mismatch", "node"),
        (Box::new(member("origin", json!("null"))), "origin_mismatch", r#""null", expected"#),
        (Box::new(member("origin", json!(""))), "origin_mismatch", r#""", expected"#),
        (Box::new(member("origin", json!("android:apk-key-hash:AAAA"))), "origin_mismatch", "apk-key-hash"),
        (Box::new(member("origin", json!(7))), "bad_client_data", "integer `7`"),
        (Box::new(member("crossOrigin", json!(true))), "cross_origin", "frame"),
        (Box::new(member("topOrigin", json!("https://evil.example"))), "cross_origin", "of \"https://evil.example\""),
        (Box::new(|credential| with_client_data(credential, |_| b"{".to_vec())), "bad_client_data", "EOF"),
        (
            Box::new(|credential| with_client_data(credential, |raw| [b"\xef\xbb\xbf".to_vec(), raw].concat())),
            "bad_client_data",
            "byte-order mark",
        ),
        (
            Box::new(|credential| with_authenticator_data(credential, |data| data[0] ^= 1)),
            "rp_id_hash_mismatch",
            "pve.example.com",
        ),
        (
            Box::new(|credential| with_authenticator_data(credential, |data| data[32] &= !0x01)),
            "user_not_present",
            "UP flag",
        ),
        // BS without BE (WebAuthn Level 3, 6.1.3).
        (Box::new(|credential| with_authenticator_data(credential, |data| data[32] = 0x51)), "backup_state", "BE, BS"),
        (
            Box::new(|credential| with_authenticator_data(credential, |data| data[32] &= !0x40)),
            "bad_authenticator_data",
            "",
        ),
        // The COSE key's algorithm, 3: -7 becomes -8, which its key type cannot have.
        (
            Box::new(|credential| {
                with_authenticator_data(credential, |data| {
                    let at = data.windows(5).position(|window| window == [0xa5, 1, 2, 3, 0x26]).unwrap();
                    data[at + 4] = 0x27;
                })
            }),
            "bad_public_key",
            "",
        ),
        // The credential's ID follows the AAGUID and its length.
        (
            Box::new(|credential| with_authenticator_data(credential, |data| data[55] ^= 1)),
            "credential_id_mismatch",
            "rawId",
        ),
        // The last byte is the y coordinate's: the point leaves the curve.
        (
            Box::new(|credential| with_authenticator_data(credential, |data| *data.last_mut().unwrap() ^= 1)),
            "bad_public_key",
            "",
        ),
        (
            Box::new(|credential| {
                let mut credential = credential.clone();
                credential["id"] = encode(credential["id"].as_str().unwrap().as_bytes());
                credential
            }),
            "credential_id_mismatch",
            "base64url",
        ),
        (
            Box::new(|credential| {
                let mut credential = credential.clone();
                let object = decode(&credential["response"]["attestationObject"]);
                credential["response"]["attestationObject"] = encode(&object[..object.len() - 1]);
                credential
            }),
            "bad_authenticator_data",
            "",
        ),
    ];
    let rig = Rig::new();
    for (number, (change, code, words)) in cases.into_iter().enumerate() {
        let begun = rig.begin_registration("alice").await;
        let credential = Key::default().create(&begun).await.unwrap();
        let found = rig.refused(FINISH, finish(&begun, &change(&credential))).await;
        assert_eq!(found.0, code, "case {number}: {found:?}");
        assert!(found.1.contains(words), "case {number}: {found:?}");
        assert!(rig.stored("alice").await.is_empty(), "case {number}");
    }
}

#[tokio::test]
async fn each_of_several_origins_is_accepted_and_a_refusal_names_them_all() {
    let (named, bare) = ("https://node1.pve.example.com:8006", "https://pve.example.com");
    let rig = Rig::with_settings(Settings {
        origins: vec![named.to_owned(), bare.to_owned()],
        ..Settings::new(RP_ID, ORIGIN)
    });
    for (origin, accepted) in [(named, true), (bare, true), (ORIGIN, false)] {
        let begun = rig.begin_registration("alice").await;
        let credential = Key::default().create(&begun).await.unwrap();
        let body = finish(&begun, &with_client_data_member(&credential, "origin", json!(origin)));
        if accepted {
            rig.accepted(FINISH, body).await;
        } else {
            let (code, reason) = rig.refused(FINISH, body).await;
            assert_eq!(code, "origin_mismatch");
            assert!([named, bare, ORIGIN].iter().all(|origin| reason.contains(origin)), "{reason}");
        }
    }
}

#[tokio::test]
async fn an_algorithm_that_was_not_offered_is_refused() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let mut other = begun.clone();
    other["options"]["publicKey"]["pubKeyCredParams"] = json!([{ "type": "public-key", "alg": -8 }]);
    let credential = Key::default().create(&other).await.unwrap();
    let (code, reason) = rig.refused(FINISH, finish(&begun, &credential)).await;
    assert_eq!(code, "algorithm_not_offered", "{reason}");
    assert!(rig.stored("alice").await.is_empty());
}

/// Chromium adds `other_keys_can_be_added_here` at random.
#[tokio::test]
async fn unknown_members_of_the_client_data_are_tolerated() {
    let rig = Rig::new();
    let begun = rig.begin_registration("alice").await;
    let credential = Key::default().create(&begun).await.unwrap();
    let credential = with_client_data_member(&credential, "other_keys_can_be_added_here", json!("do not compare"));
    rig.accepted(FINISH, finish(&begun, &credential)).await;
}

#[tokio::test]
async fn a_user_can_have_so_many_credentials_and_no_more() {
    let rig = Rig::new();
    let late = rig.begin_registration("alice").await;
    for _ in 0..MAX_CREDENTIALS_PER_USER {
        rig.register("alice", &mut Key::default()).await;
    }
    assert_eq!(rig.refused("/api/register/begin", json!({ "user": "alice" })).await.0, "too_many_credentials");
    let credential = Key::default().create(&late).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&late, &credential)).await.0, "too_many_credentials");
    assert_eq!(rig.stored("alice").await.len(), MAX_CREDENTIALS_PER_USER);
    rig.register("bob", &mut Key::default()).await;
}

#[tokio::test]
async fn a_credentials_name_is_bounded() {
    let rig = Rig::new();
    for (name, accepted) in
        [("x".repeat(64), true), (String::new(), false), ("x".repeat(65), false), ("a\nb".to_owned(), false)]
    {
        let before = rig.stored("alice").await.len();
        let begun = rig.begin_registration("alice").await;
        let credential = Key::default().create(&begun).await.unwrap();
        let mut body = finish(&begun, &credential);
        body["name"] = json!(name);
        if accepted {
            rig.accepted(FINISH, body).await;
        } else {
            assert_eq!(rig.refused(FINISH, body).await.0, "bad_credential_name");
        }
        assert_eq!(rig.stored("alice").await.len(), before + usize::from(accepted));
    }
}
