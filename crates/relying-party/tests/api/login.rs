//! Login: who gets in, the rules for challenges and counters, and every check that can be made to fail.

use std::time::Duration;

use keyrig_relying_party::{MAX_CEREMONIES, MAX_CEREMONIES_PER_USER, Policy};
use serde_json::{Value, json};

use crate::rig::{Key, Rig, decode, encode, finish, with_client_data, with_client_data_member};

const FINISH: &str = "/api/login/finish";

#[tokio::test]
async fn a_registered_key_logs_in() {
    let rig = Rig::new();
    let mut key = Key::default();
    let registered = rig.register("alice", &mut key).await;
    let begun = rig.begin_login("alice").await;
    let options = &begun["options"]["publicKey"];
    assert_eq!(options["rpId"], "pve.example.com");
    assert_eq!(options["userVerification"], "discouraged");
    assert_eq!(options["timeout"], json!(300_000));
    let credential = key.get(&begun).await.unwrap();
    rig.clock.advance(Duration::from_secs(7));
    let answer = rig.accepted(FINISH, finish(&begun, &credential)).await;
    let mut expected = registered.clone();
    expected["last_used"] = json!(registered["created"].as_u64().unwrap() + 7);
    expected["counter"] = json!(1);
    assert_eq!(answer, json!({ "user": "alice", "credential": expected }));
    assert_eq!(rig.stored("alice").await, [expected]);
}

#[tokio::test]
async fn either_of_two_keys_logs_in() {
    let rig = Rig::new();
    let mut keys = [Key::default(), Key::default()];
    let mut ids = Vec::new();
    for key in &mut keys {
        ids.push(rig.register("alice", key).await["id"].clone());
    }
    let begun = rig.begin_login("alice").await;
    let allowed = begun["options"]["publicKey"]["allowCredentials"].as_array().unwrap().iter();
    assert_eq!(allowed.map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids);
    for _ in 0..2 {
        for (key, id) in keys.iter_mut().zip(&ids) {
            assert_eq!(rig.log_in("alice", key).await["id"], *id);
        }
    }
}

#[tokio::test]
async fn who_has_no_credential_cannot_begin() {
    let rig = Rig::new();
    let (code, reason) = rig.refused("/api/login/begin", json!({ "user": "mallory" })).await;
    assert_eq!(code, "no_credentials");
    assert!(reason.contains("mallory"), "{reason}");
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let begun = rig.begin_login("alice").await;
    let credential = key.get(&begun).await.unwrap();
    rig.accepted(FINISH, finish(&begun, &credential)).await;
    let before = rig.stored("alice").await;
    assert_eq!(rig.refused(FINISH, finish(&begun, &credential)).await.0, "unknown_ceremony");
    // Nor does the answer fit another challenge.
    let other = rig.begin_login("alice").await;
    assert_eq!(rig.refused(FINISH, finish(&other, &credential)).await.0, "challenge_mismatch");
    // Which is used up by that.
    let credential = key.get(&other).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&other, &credential)).await.0, "unknown_ceremony");
    assert_eq!(rig.stored("alice").await, before);
}

#[tokio::test]
async fn a_challenge_expires() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let before = rig.stored("alice").await;
    let begun = rig.begin_login("alice").await;
    let credential = key.get(&begun).await.unwrap();
    rig.clock.advance(Policy::strict().challenge_lifetime);
    assert_eq!(rig.refused(FINISH, finish(&begun, &credential)).await.0, "expired_challenge");
    assert_eq!(rig.stored("alice").await, before);
}

#[tokio::test]
async fn a_registration_cannot_end_as_a_login() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let registration = rig.begin_registration("alice").await;
    let credential = key.get(&rig.begin_login("alice").await).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&registration, &credential)).await.0, "wrong_ceremony");
}

#[tokio::test]
async fn a_credential_logs_in_its_own_user_only() {
    let rig = Rig::new();
    let (mut of_alice, mut of_bob) = (Key::default(), Key::default());
    rig.register("alice", &mut of_alice).await;
    rig.register("bob", &mut of_bob).await;
    let before = (rig.stored("alice").await, rig.stored("bob").await);
    // Bob answers Alice's challenge with his own credential.
    let mut begun = rig.begin_login("alice").await;
    let ceremony = begun["ceremony"].clone();
    begun["options"]["publicKey"]["allowCredentials"] =
        rig.begin_login("bob").await["options"]["publicKey"]["allowCredentials"].clone();
    let credential = of_bob.get(&begun).await.unwrap();
    let (code, reason) = rig.refused(FINISH, json!({ "ceremony": ceremony, "credential": credential })).await;
    assert_eq!(code, "unknown_credential");
    assert!(reason.contains("another user"), "{reason}");
    // Bob's whole answer in Alice's ceremony.
    let alice = rig.begin_login("alice").await;
    let credential = of_bob.get(&rig.begin_login("bob").await).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&alice, &credential)).await.0, "unknown_credential");
    assert_eq!((rig.stored("alice").await, rig.stored("bob").await), before);
}

/// What the client data or the authenticator data is changed to is never what was signed, so that each of these codes
/// also shows that its check comes before the signature's.
#[tokio::test]
async fn each_check_refuses_with_its_own_code_and_changes_nothing() {
    let member = |name: &'static str, value: Value| {
        move |credential: &Value| with_client_data_member(credential, name, value.clone())
    };
    let bytes = |name: &'static str, change: fn(&mut Vec<u8>)| {
        move |credential: &Value| {
            let mut credential = credential.clone();
            let mut bytes = decode(&credential["response"][name]);
            change(&mut bytes);
            credential["response"][name] = encode(&bytes);
            credential
        }
    };
    type Change = Box<dyn Fn(&Value) -> Value>;
    let cases: Vec<(Change, &str, &str)> = vec![
        (
            Box::new(member("type", json!("webauthn.create"))),
            "wrong_type",
            r#""webauthn.create", expected "webauthn.get""#,
        ),
        (Box::new(member("challenge", json!("AAAA"))), "challenge_mismatch", r#""AAAA", expected"#),
        (
            Box::new(member("origin", json!("https://pve.example.com"))),
            "origin_mismatch",
            r#""https://pve.example.com", expected "https://pve.example.com:8006""#,
        ),
        (Box::new(member("origin", json!("https://evil.example:8006"))), "origin_mismatch", "evil"),
        (Box::new(member("origin", json!("null"))), "origin_mismatch", r#""null""#),
        (Box::new(|credential| with_client_data(credential, |_| Vec::new())), "bad_client_data", "EOF"),
        (
            Box::new(|credential| with_client_data(credential, |raw| [b"\xef\xbb\xbf".to_vec(), raw].concat())),
            "bad_client_data",
            "byte-order mark",
        ),
        (Box::new(bytes("authenticatorData", |data| data[0] ^= 1)), "rp_id_hash_mismatch", "pve.example.com"),
        (Box::new(bytes("authenticatorData", |data| data[32] &= !0x01)), "user_not_present", "UP flag"),
        (Box::new(bytes("authenticatorData", |data| data.truncate(36))), "bad_authenticator_data", ""),
        // The counter is part of what is signed.
        (Box::new(bytes("authenticatorData", |data| data[36] += 1)), "bad_signature", "public key"),
        (Box::new(bytes("signature", |signature| *signature.last_mut().unwrap() ^= 1)), "bad_signature", "public key"),
        (Box::new(bytes("signature", Vec::clear)), "bad_signature", ""),
        (Box::new(bytes("userHandle", |handle| handle[0] ^= 1)), "user_handle_mismatch", "userHandle"),
        (
            Box::new(|credential| {
                let mut credential = credential.clone();
                (credential["id"], credential["rawId"]) = (json!("AAAA"), json!("AAAA"));
                credential
            }),
            "unknown_credential",
            "nobody",
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
    ];
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let before = rig.stored("alice").await;
    for (number, (change, code, words)) in cases.into_iter().enumerate() {
        let begun = rig.begin_login("alice").await;
        let credential = key.get(&begun).await.unwrap();
        let found = rig.refused(FINISH, finish(&begun, &change(&credential))).await;
        assert_eq!(found.0, code, "case {number}: {found:?}");
        assert!(found.1.contains(words), "case {number}: {found:?}");
        assert_eq!(rig.stored("alice").await, before, "case {number}");
    }
    rig.log_in("alice", &mut key).await;
}

#[tokio::test]
async fn a_login_in_a_cross_origin_frame_is_refused_though_its_signature_is_good() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let before = rig.stored("alice").await;
    let begun = rig.begin_login("alice").await;
    let credential = key.get_in_frame_of(&begun, "https://evil.example").await;
    let (code, reason) = rig.refused(FINISH, finish(&begun, &credential)).await;
    assert_eq!(code, "cross_origin");
    assert!(reason.contains("https://evil.example"), "{reason}");
    assert_eq!(rig.stored("alice").await, before);
}

#[tokio::test]
async fn a_clone_is_found_by_its_counter() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    rig.log_in("alice", &mut key).await;
    let mut clone = key.clone();
    rig.log_in("alice", &mut key).await;
    rig.log_in("alice", &mut key).await;
    let before = rig.stored("alice").await;
    // 2 after 3, then 3 after 3.
    for found in [2, 3] {
        let begun = rig.begin_login("alice").await;
        let credential = clone.get(&begun).await.unwrap();
        let (code, reason) = rig.refused(FINISH, finish(&begun, &credential)).await;
        assert_eq!(code, "counter_regression");
        assert!(reason.contains(&format!("is {found}, expected more than 3")), "{reason}");
        assert_eq!(rig.stored("alice").await, before);
    }
    assert_eq!(rig.log_in("alice", &mut key).await["counter"], 4);
}

#[tokio::test]
async fn a_clone_is_found_even_when_its_login_began_before_the_originals_ended() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let mut clone = key.clone();
    let (first, second) = (rig.begin_login("alice").await, rig.begin_login("alice").await);
    let credential = key.get(&first).await.unwrap();
    rig.accepted(FINISH, finish(&first, &credential)).await;
    let credential = clone.get(&second).await.unwrap();
    assert_eq!(rig.refused(FINISH, finish(&second, &credential)).await.0, "counter_regression");
    assert_eq!(rig.stored("alice").await[0]["counter"], 1);
}

/// WebAuthn Level 3, 6.1.1: an authenticator without counters always says 0.
#[tokio::test]
async fn a_key_without_a_counter_logs_in_again_and_again() {
    let rig = Rig::new();
    let mut key = Key::without_counter();
    rig.register("alice", &mut key).await;
    for _ in 0..3 {
        assert_eq!(rig.log_in("alice", &mut key).await["counter"], 0);
    }
}

#[tokio::test]
async fn a_hundred_ceremonies_of_a_hundred_users_go_on_at_once() {
    let rig = Rig::new();
    let mut begun = Vec::new();
    for number in 0..100 {
        let (user, mut key) = (format!("user{number}"), Key::default());
        rig.register(&user, &mut key).await;
        begun.push((rig.begin_login(&user).await, user, key));
    }
    for (begun, user, mut key) in begun.into_iter().rev() {
        let credential = key.get(&begun).await.unwrap();
        assert_eq!(rig.accepted(FINISH, finish(&begun, &credential)).await["user"], user);
    }
}

#[tokio::test]
async fn of_a_hundred_ceremonies_of_one_user_the_latest_can_be_finished() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let mut begun = Vec::new();
    for _ in 0..100 {
        begun.push(rig.begin_login("alice").await);
    }
    for (number, begun) in begun.iter().enumerate() {
        let credential = key.get(begun).await.unwrap();
        if number < 100 - MAX_CEREMONIES_PER_USER {
            assert_eq!(rig.refused(FINISH, finish(begun, &credential)).await.0, "unknown_ceremony");
        } else {
            rig.accepted(FINISH, finish(begun, &credential)).await;
        }
    }
}

#[tokio::test]
async fn when_all_begin_too_many_what_was_begun_can_still_be_finished() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.register("alice", &mut key).await;
    let login = rig.begin_login("alice").await;
    for number in 1..MAX_CEREMONIES {
        rig.begin_registration(&format!("user{}", number / MAX_CEREMONIES_PER_USER)).await;
    }
    assert_eq!(rig.refused("/api/login/begin", json!({ "user": "alice" })).await.0, "too_many_ceremonies");
    let credential = key.get(&login).await.unwrap();
    rig.accepted(FINISH, finish(&login, &credential)).await;
    // That made room for one; when all have expired there is room for everybody.
    rig.begin_registration("bob").await;
    assert_eq!(rig.refused("/api/login/begin", json!({ "user": "alice" })).await.0, "too_many_ceremonies");
    rig.clock.advance(Policy::strict().challenge_lifetime);
    rig.log_in("alice", &mut key).await;
}
