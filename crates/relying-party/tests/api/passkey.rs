//! Login by a discoverable credential alone.

use keyrig_relying_party::{MAX_ANONYMOUS_LOGINS, Requirement, Settings};
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

#[tokio::test]
async fn too_many_that_nobody_ends_are_refused_until_some_expire() {
    let rig = rig();
    let mut key = with_passkey(&rig, "alice@pve").await;
    let begun = rig.browser().post(BEGIN, json!({})).await;
    for _ in 1..MAX_ANONYMOUS_LOGINS {
        rig.browser().post(BEGIN, json!({})).await;
    }
    assert_eq!(rig.browser().refused_code("POST", BEGIN, Some(json!({}))).await, "busy");
    // What was begun before goes on, and so do passwords.
    let credential = key.get(&begun).await.unwrap();
    rig.browser().post(FINISH, finish(&begun, &credential)).await;
    rig.browser().log_in("alice@pve").await;
    rig.clock.advance(std::time::Duration::from_secs(600));
    rig.browser().post(BEGIN, json!({})).await;
}
