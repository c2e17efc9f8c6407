//! Login by a discoverable credential alone.

use std::time::Duration;

use keyrig_relying_party::{Limits, Requirement, Settings};
use serde_json::{Value, json};

use crate::rig::{Key, ORIGIN, RP_ID, Rig, registration};

const BEGIN: &str = "/api/login/passkey/begin";
const FINISH: &str = "/api/login/passkey";

fn rig() -> Rig {
    Rig::with_settings(Settings { passkey_login: true, ..Settings::new(RP_ID, ORIGIN) })
}

async fn with_passkey(rig: &Rig, user: &str) -> Key {
    let mut browser = rig.new_user(user).await;
    let mut key = Key::verifying_user();
    let begun = browser.post("/api/factors/webauthn/begin", json!({ "passkey": true })).await;
    let wanted = &begun["options"]["publicKey"]["authenticatorSelection"];
    assert_eq!((&wanted["residentKey"], &wanted["userVerification"]), (&json!("required"), &json!("required")));
    let credential = key.create(&begun).await.unwrap();
    browser.post("/api/factors/webauthn", registration(&begun, "passkey", &credential)).await;
    key
}

fn finish(begun: &Value, credential: &Value) -> Value {
    json!({ "login": begun["login"], "challenge": begun["challenge"], "credential": credential })
}

#[tokio::test]
async fn a_passkey_says_who_it_is() {
    let rig = rig();
    let (mut of_alice, mut of_bob) = (with_passkey(&rig, "alice@pve").await, with_passkey(&rig, "bob@pve").await);
    for (user, key) in [("alice@pve", &mut of_alice), ("bob@pve", &mut of_bob)] {
        let begun = rig.browser().post(BEGIN, json!({})).await;
        let options = &begun["options"]["publicKey"];
        assert_eq!((&options["allowCredentials"], &options["userVerification"]), (&Value::Null, &json!("required")));
        let credential = key.get(&begun).await.unwrap();
        let mut browser = rig.browser();
        let answer = browser.post(FINISH, finish(&begun, &credential)).await;
        assert_eq!((&answer["state"], &answer["session"]["user"]), (&json!("logged_in"), &json!(user)));
        browser.get("/api/session").await;
        // Once.
        let again = rig.browser().refused_code("POST", FINISH, Some(finish(&begun, &credential))).await;
        assert_eq!(again, "unknown_login");
    }
}

#[tokio::test]
async fn it_is_off_unless_it_is_turned_on() {
    let rig = Rig::new();
    assert_eq!(rig.browser().refused_code("POST", BEGIN, Some(json!({}))).await, "passkey_login_disabled");
}

#[tokio::test]
async fn without_user_verification_or_handle_it_is_refused() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let refused = async |credential: &Value, begun: &Value| {
        let answer = rig.browser().refused("POST", FINISH, Some(finish(begun, credential))).await;
        answer["report"]["verification"]["refused_by"].clone()
    };
    let begun = rig.browser().post(BEGIN, json!({})).await;
    let mut credential = key.get(&begun).await.unwrap();
    credential["response"]["userHandle"] = Value::Null;
    assert_eq!(refused(&credential, &begun).await, json!(["user-handle"]));
    let mut begun = rig.browser().post(BEGIN, json!({})).await;
    begun["options"]["publicKey"]["userVerification"] = json!("discouraged");
    key.stop_verifying();
    let credential = key.get(&begun).await.unwrap();
    assert_eq!(refused(&credential, &begun).await, json!(["user-verified"]));
}

/// Who failed to log in as somebody must not lock that somebody out.
#[tokio::test]
async fn its_failures_lock_nobody_out() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    for _ in 0..keyrig_relying_party::FAILURES {
        let begun = rig.browser().post(BEGIN, json!({})).await;
        let mut credential = key.get(&begun).await.unwrap();
        credential["response"]["signature"] = json!("");
        rig.browser().refused("POST", FINISH, Some(finish(&begun, &credential))).await;
    }
    let begun = rig.browser().post(BEGIN, json!({})).await;
    let credential = key.get(&begun).await.unwrap();
    rig.browser().post(FINISH, finish(&begun, &credential)).await;
}

#[tokio::test]
async fn an_unknown_credential_is_nobodys() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let name = "alice@pve".parse().unwrap();
    rig.store().delete_user(&name, &keyrig_relying_party::By::command_line(rig.now())).unwrap();
    let begun = rig.browser().post(BEGIN, json!({})).await;
    let credential = key.get(&begun).await.unwrap();
    let answer = rig.browser().refused("POST", FINISH, Some(finish(&begun, &credential))).await;
    assert_eq!(
        (&answer["code"], &answer["report"]["cause"]),
        (&json!("authentication_failed"), &json!("unknown_credential"))
    );
}

#[tokio::test]
async fn a_login_by_password_cannot_end_as_one_by_passkey() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let body = crate::rig::login(&offered, &credential);
    assert_eq!(rig.browser().refused_code("POST", FINISH, Some(body)).await, "unknown_login");
    let begun = rig.browser().post(BEGIN, json!({})).await;
    let credential = key.get(&begun).await.unwrap();
    let body = finish(&begun, &credential);
    assert_eq!(rig.browser().refused_code("POST", "/api/login/webauthn", Some(body)).await, "unknown_login");
}

#[tokio::test]
async fn a_passkey_is_what_any_realm_requires() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    for requirement in [Requirement::Any, Requirement::Webauthn, Requirement::Oath { digits: 6, step: 30 }] {
        rig.require("pve", requirement);
        let begun = rig.browser().post(BEGIN, json!({})).await;
        let credential = key.get(&begun).await.unwrap();
        assert_eq!(rig.browser().post(FINISH, finish(&begun, &credential)).await["state"], "logged_in");
    }
}

/// A site with room for four ceremonies, two for each address.
fn narrow() -> Rig {
    let limits = Limits { ceremonies: 4, ceremonies_per_client: 2, ..Limits::default() };
    Rig::with_settings(Settings { passkey_login: true, limits, ..Settings::new(RP_ID, ORIGIN) })
}

#[tokio::test]
async fn whoever_begins_too_many_loses_the_oldest_and_nobody_else_does() {
    let rig = narrow();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let begun = rig.browser_at("192.0.2.1").post(BEGIN, json!({})).await;
    let mut lost = Vec::new();
    for _ in 0..10 {
        rig.clock.advance(Duration::from_millis(1));
        lost.push(rig.browser_at("198.51.100.7").post(BEGIN, json!({})).await);
    }
    let credential = key.get(&begun).await.unwrap();
    rig.browser_at("192.0.2.1").post(FINISH, finish(&begun, &credential)).await;
    let latest = lost.pop().unwrap();
    for lost in [&lost[0], &lost[7]] {
        let credential = key.get(lost).await.unwrap();
        let code = rig.browser_at("198.51.100.7").refused_code("POST", FINISH, Some(finish(lost, &credential))).await;
        assert_eq!(code, "unknown_login");
    }
    let credential = key.get(&latest).await.unwrap();
    rig.browser_at("198.51.100.7").post(FINISH, finish(&latest, &credential)).await;
}

#[tokio::test]
async fn when_there_are_too_many_the_address_that_has_most_loses_its_oldest() {
    let rig = narrow();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let mut begun = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        rig.clock.advance(Duration::from_millis(1));
        begun.push(rig.browser_at(address).post(BEGIN, json!({})).await);
    }
    for (number, begun) in begun.iter().enumerate() {
        let credential = key.get(begun).await.unwrap();
        let (status, answer) = rig.browser().send("POST", FINISH, Some(&finish(begun, &credential))).await;
        assert_eq!(status.is_success(), number != 1, "{number} {answer}");
    }
}

#[tokio::test]
async fn where_addresses_tell_nothing_the_oldest_of_all_goes() {
    let rig = narrow();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        rig.clock.advance(Duration::from_millis(1));
        begun.push(rig.browser().post(BEGIN, json!({})).await);
    }
    for (number, begun) in begun.iter().enumerate() {
        let credential = key.get(begun).await.unwrap();
        let (status, _) = rig.browser().send("POST", FINISH, Some(&finish(begun, &credential))).await;
        assert_eq!(status.is_success(), number != 0, "{number}");
    }
}

#[tokio::test]
async fn a_ceremony_of_nobody_is_over_with_its_challenge() {
    let rig = narrow();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let begun = rig.browser().post(BEGIN, json!({})).await;
    let credential = key.get(&begun).await.unwrap();
    rig.clock.advance(keyrig_relying_party::Policy::strict().challenge_lifetime);
    let refused = rig.browser().refused_code("POST", FINISH, Some(finish(&begun, &credential))).await;
    assert_eq!(refused, "unknown_login");
}
