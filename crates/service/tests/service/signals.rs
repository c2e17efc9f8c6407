//! What a site signals of its credentials, and the keys that it reaches.

use keyrig_rack::finger::TouchPolicy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ORIGIN, Rig, creation, sent};

async fn ids(rig: &Rig, key: &str) -> Vec<String> {
    let exported = rig.get(&format!("/v1/keys/{key}/credentials/export")).await;
    let credentials = exported.body["credentials"].as_array().expect("credentials");
    credentials.iter().map(|one| one["credential_id"].as_str().expect("an id").to_owned()).collect()
}

/// A passkey on each key, and the ids.
async fn passkeys(rig: &Rig, keys: &[&str]) -> Vec<String> {
    let mut passkey = creation();
    passkey["authenticatorSelection"] = json!({"residentKey": "required"});
    let mut made = Vec::new();
    for key in keys {
        let page = json!({"origin": ORIGIN, "on": [key], "pin": "1234", "options": passkey});
        let created = rig.post("/v1/client/create", page).await;
        assert_eq!(created.status, 200, "{}", created.body);
        made.push(created.body["id"].as_str().expect("an id").to_owned());
    }
    made
}

fn unknown(id: &str) -> Value {
    json!({"origin": ORIGIN, "signal": "unknown-credential", "options": {"rpId": "example.com", "credentialId": id}})
}

/// As in browsers: Chromium's own virtual authenticators and password managers hear of it, and no security key does.
#[tokio::test]
async fn a_signal_reaches_the_platform_and_virtual_authenticators_and_no_security_key() {
    let rig = Rig::start(&["s=keyrig", "p=synced-passkey"], TouchPolicy::Every).await;
    let described =
        json!({"protocol": "ctap2_1", "resident_keys": true, "user_verification": true, "transport": "nfc"});
    let created = rig.post("/v1/keys", json!({"name": "v", "virtual_authenticator": described, "uv": "always"})).await;
    assert_eq!(created.status, 200, "{}", created.body);
    let made = passkeys(&rig, &["s", "p", "v"]).await;
    for id in &made {
        let heard = rig.post("/v1/client/signal", unknown(id)).await;
        assert_eq!((heard.status.as_u16(), heard.body), (200, json!({})), "it says nothing of what there was");
    }
    assert_eq!(ids(&rig, "s").await, [made[0].clone()]);
    assert!(ids(&rig, "p").await.is_empty() && ids(&rig, "v").await.is_empty());

    // One that is not meant, or not plugged in, keeps its own.
    let made = passkeys(&rig, &["p", "v"]).await;
    let all = |id: &str| {
        json!({"origin": ORIGIN, "on": ["p"], "signal": "all-accepted-credentials",
            "options": {"rpId": "example.com", "userId": "AQ", "allAcceptedCredentialIds": [id]}})
    };
    assert_eq!(rig.post("/v1/client/signal", all("AAAA")).await.status, 200);
    assert_eq!((ids(&rig, "p").await.len(), ids(&rig, "v").await), (0, vec![made[1].clone()]));
    rig.post("/v1/keys/v/unplug", json!({})).await;
    rig.post("/v1/client/signal", unknown(&made[1])).await;
    assert_eq!(ids(&rig, "v").await, [made[1].clone()]);
    rig.post("/v1/keys/v/plug", json!({})).await;
    let details = json!({"origin": ORIGIN, "signal": "current-user-details",
        "options": {"rpId": "example.com", "userId": "AQ", "name": "new", "displayName": "New"}});
    assert_eq!(rig.post("/v1/client/signal", details).await.status, 200);
    let exported = rig.get("/v1/keys/v/credentials/export").await;
    let credential = &exported.body["credentials"][0];
    assert_eq!((&credential["user_name"], &credential["user_display_name"]), (&json!("new"), &json!("New")));
}

#[tokio::test]
async fn what_is_no_signal_is_refused_as_a_page_sees_it() {
    let rig = Rig::two().await;
    let asked = |origin: &str, options: Value| {
        rig.post("/v1/client/signal", json!({"origin": origin, "signal": "unknown-credential", "options": options}))
    };
    for (origin, options, name) in [
        (ORIGIN, json!({"rpId": "example.net", "credentialId": "AAAA"}), "SecurityError"),
        (ORIGIN, json!({"rpId": "com", "credentialId": "AAAA"}), "SecurityError"),
        (ORIGIN, json!({"rpId": "example.com", "credentialId": "?"}), "TypeError"),
        (ORIGIN, json!({"rpId": "example.com", "credentialId": 7}), "TypeError"),
        (ORIGIN, json!({"credentialId": "AAAA"}), "TypeError"),
        (ORIGIN, json!({}), "TypeError"),
        ("http://login.example.com", json!({"rpId": "example.com", "credentialId": "AAAA"}), "TypeError"),
    ] {
        let refused = asked(origin, options.clone()).await;
        assert_eq!((refused.status.as_u16(), &refused.body["error"]["name"]), (422, &json!(name)), "{options}");
    }
    assert_eq!(asked("nowhere", json!({})).await.code(), "bad-ceremony");
    let other = json!({"origin": ORIGIN, "signal": "something", "options": {}});
    assert_eq!(rig.post("/v1/client/signal", other).await.code(), "bad-request");
    let nobody = json!({"origin": ORIGIN, "on": ["nobody"], "signal": "unknown-credential", "options": {}});
    assert_eq!(rig.post("/v1/client/signal", nobody).await.code(), "unknown-key");

    // A page signals for its own origin, and not which keys are meant.
    let token = rig.post("/v1/page-tokens", json!({"origin": ORIGIN})).await.body["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let of_page = |origin: &'static str, body: Value| {
        sent(rig.request(Method::POST, "/v1/client/signal").bearer_auth(&token).header("origin", origin).json(&body))
    };
    assert_eq!(of_page(ORIGIN, unknown("AAAA")).await.status, 200);
    assert_eq!(of_page("https://example.com", unknown("AAAA")).await.code(), "other-origin");
    let mut meant = unknown("AAAA");
    meant["on"] = json!(["a"]);
    assert_eq!(of_page(ORIGIN, meant).await.code(), "bad-ceremony");
}
