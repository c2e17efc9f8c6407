//! The rig as a test author uses it.

#![cfg(test)]

use core::time::Duration;

use keyrig_test::{Browser, Client, Refused, RefusedBy, Rig, RigError, TouchPolicy, UserChoice};
use serde_json::{Value, json};

async fn rig<const N: usize>(keys: [&str; N]) -> Rig {
    Rig::start(keys).await.expect("keys")
}

fn page(rig: &Rig) -> Client {
    rig.client("https://login.example.com").expect("an address")
}

fn creation(selection: Value) -> Value {
    json!({
        "rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
        "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "authenticatorSelection": selection,
    })
}

fn login(ids: &[&Value]) -> Value {
    let allowed: Vec<_> = ids.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    json!({"rpId": "example.com", "challenge": "AAAA", "allowCredentials": allowed})
}

fn parsed(credential: Result<String, Refused>) -> Value {
    serde_json::from_str(&credential.expect("a credential")).expect("JSON")
}

fn refused(credential: Result<String, Refused>) -> (String, RefusedBy, String) {
    let Refused { name, refused_by, reason } = credential.expect_err("refused");
    (name, refused_by, reason)
}

#[tokio::test]
async fn keys_are_written_by_name_and_profile() {
    for (key, words) in [
        ("keyrig", "\"keyrig\" is not a key: write NAME=PROFILE, such as \"a=keyrig\""),
        ("a=yubikey-9", "no profile is called \"yubikey-9\": the profiles are keyrig, "),
        ("a/b=keyrig", "\"a/b\" is not a name for a key"),
    ] {
        let error = Rig::start([key]).await.expect_err("no key").to_string();
        assert!(error.starts_with(words), "{error}");
    }
    let error = Rig::start(["a=keyrig", "a=yubikey-5.7"]).await.expect_err("twice the same").to_string();
    assert!(error.starts_with("two keys are called a"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_done_with_a_key_is_said() {
    let rig = rig(["a=keyrig", "b=keyrig"]).await;
    let unknown = "no key is called c: the keys are a, b";
    assert_eq!(rig.touch_next("c").await.expect_err("unknown").to_string(), unknown);
    assert_eq!(rig.unplug("c").await.expect_err("unknown").to_string(), unknown);
    assert_eq!(rig.pin("c", "1234").await.expect_err("unknown").to_string(), unknown);
    rig.unplug("a").await.expect("plugged in");
    assert_eq!(rig.unplug("a").await.expect_err("it is out").to_string(), "key a is not plugged in");
    assert_eq!(rig.pin("a", "1234").await.expect_err("it is out").to_string(), "key a is not plugged in");
    let short = rig.pin("b", "12").await.expect_err("too short").to_string();
    assert_eq!(short, "the PIN was not set: key \"b\": the PIN is too short: it must have at least 4 characters");
    assert!(matches!(rig.client("login.example.com"), Err(RigError::Origin(_))));
}

/// A key is lost with the finger over it: the other one is touched, and no finger stays in the air.
#[tokio::test]
async fn the_finger_leaves_a_key_that_is_pulled_out() {
    let rig = rig(["a=keyrig", "b=keyrig"]).await;
    rig.touch_next("a").await.expect("there is one");
    let made = parsed(page(&rig).create(creation(json!({}))).await);
    rig.unplug("a").await.expect("plugged in");
    let second = parsed(page(&rig).create(creation(json!({}))).await);
    let signed = parsed(page(&rig).get(login(&[&made["id"], &second["id"]])).await);
    assert_eq!(signed["id"], second["id"]);
    rig.plug("a").await.expect("it is out");
    rig.touch_next("a").await.expect("there is one");
    let signed = parsed(page(&rig).get(login(&[&made["id"], &second["id"]])).await);
    assert_eq!(signed["id"], made["id"]);
    rig.unplug("a").await.expect("plugged in");
    rig.unplug("b").await.expect("plugged in");
    let (name, by, reason) = refused(page(&rig).get(login(&[&made["id"]])).await);
    assert_eq!((name.as_str(), by, reason.as_str()), ("NotAllowedError", RefusedBy::Client, "no key is plugged in"));
}

#[tokio::test]
async fn a_timeline_is_the_user_of_a_ceremony() {
    let rig = rig(["a=keyrig", "b=keyrig"]).await;
    rig.touch_policy(TouchPolicy::Manual).await.expect("there is a finger");
    let lost = r#"events = [
        { when = "a waiting", do = "unplug", key = "a" },
        { when = "b waiting", after = "1ms", do = "touch", key = "b" },
    ]"#;
    let page = page(&rig);
    let (made, outcome) = tokio::join!(page.create(creation(json!({}))), rig.timeline(lost));
    parsed(made);
    let outcome = outcome.expect("it is a timeline");
    assert!(outcome.done.len() == 2 && outcome.done.iter().all(|done| done.refused.is_none()), "{outcome:?}");
    let wrong = rig.timeline("\nevents = [{ at = \"1s\", do = \"plug\", key = \"c\" }]").await;
    let told = wrong.expect_err("there is no c").to_string();
    assert_eq!(told, "the timeline, 2:43: no key is called c: the keys are a, b");
}

#[tokio::test]
async fn who_refused_and_why() {
    let rig = rig(["a=keyrig"]).await;
    let page = page(&rig);
    let made = parsed(page.create(creation(json!({}))).await);
    let mut again = creation(json!({}));
    again["excludeCredentials"] = json!([{"type": "public-key", "id": made["id"]}]);
    let (name, by, reason) = refused(page.create(&again).await);
    assert_eq!((name.as_str(), by), ("InvalidStateError", RefusedBy::Authenticator));
    assert!(reason.contains("CTAP2_ERR_CREDENTIAL_EXCLUDED"), "{reason}");

    rig.touch_policy(TouchPolicy::Deny).await.expect("running");
    let (name, by, reason) = refused(page.get(login(&[&made["id"]])).await);
    assert_eq!((name.as_str(), by), ("NotAllowedError", RefusedBy::Authenticator));
    assert!(reason.contains("CTAP2_ERR_OPERATION_DENIED"), "{reason}");

    let (name, by, reason) = refused(page.create("{").await);
    assert_eq!((name.as_str(), by), ("SyntaxError", RefusedBy::Client), "{reason}");
    let (name, by, reason) = refused(page.create("{}").await);
    assert_eq!((name.as_str(), by), ("TypeError", RefusedBy::Client), "{reason}");

    let elsewhere = rig.client("https://example.net").expect("an address");
    let (name, by, _) = refused(elsewhere.get(login(&[&made["id"]])).await);
    assert_eq!((name.as_str(), by), ("SecurityError", RefusedBy::Client));
    rig.touch_policy(TouchPolicy::Auto).await.expect("running");
    let forced = parsed(elsewhere.forced_past_the_rules().get(login(&[&made["id"]])).await);
    assert_eq!(forced["id"], made["id"], "what a server has to refuse");
}

/// A passkey wants a PIN, in Chromium; it is typed once it is set, and a wrong one once.
#[tokio::test]
async fn pins_are_typed() {
    let rig = rig(["a=yubikey-5.7"]).await;
    let page = page(&rig);
    let passkey = || creation(json!({"residentKey": "required", "userVerification": "required"}));
    let (name, by, reason) = refused(page.create(passkey()).await);
    assert_eq!((name.as_str(), by), ("NotAllowedError", RefusedBy::Client));
    assert_eq!(reason, "key \"a\": it needs a PIN, and none was given");
    rig.pin("a", "1234").await.expect("a first PIN");
    let made = parsed(page.create(passkey()).await);
    let mut find = login(&[]);
    find["userVerification"] = json!("required");
    let signed = parsed(page.get(&find).await);
    assert_eq!((&signed["id"], &signed["response"]["userHandle"]), (&made["id"], &json!("AQ")));
    let (_, by, reason) = refused(page.clone().typing("0000").get(&find).await);
    assert_eq!(by, RefusedBy::Client, "{reason}");
    rig.pin("a", "5678").await.expect("another PIN");
    parsed(page.get(&find).await);
    parsed(page.typing("5678").get(&find).await);
}

/// `internal` and backed up: what a password manager's passkey is, for sites that treat it otherwise than a security key.
#[tokio::test]
async fn a_synchronised_passkey_logs_in() {
    let rig = rig(["p=synced-passkey"]).await;
    let page = page(&rig);
    let made = parsed(page.create(creation(json!({"residentKey": "required", "userVerification": "required"}))).await);
    assert_eq!(made["authenticatorAttachment"], "platform");
    let mut find = login(&[]);
    find["userVerification"] = json!("required");
    assert_eq!(parsed(page.get(find).await)["id"], made["id"]);
    let (_, by, _) = refused(page.create(creation(json!({"authenticatorAttachment": "cross-platform"}))).await);
    assert_eq!(by, RefusedBy::Client);
}

/// Firefox makes a passkey without a PIN.
#[tokio::test]
async fn browsers_differ() {
    let rig = rig(["a=keyrig"]).await;
    let firefox = page(&rig).in_browser(Browser::Firefox);
    let made = parsed(firefox.create(creation(json!({"residentKey": "required"}))).await);
    assert_eq!(parsed(firefox.get(login(&[])).await)["id"], made["id"]);
}

#[tokio::test]
async fn a_frame_says_where_it_is() {
    let rig = rig(["a=keyrig"]).await;
    let frame = page(&rig).in_a_frame_of("https://shop.example").expect("an address");
    let made = parsed(frame.create(creation(json!({}))).await);
    // {"type":"webauthn.create","challenge":"AAAA","origin":"https://login.example.com","crossOrigin":true,… by `base64`.
    let client_data = made["response"]["clientDataJSON"].as_str().expect("base64url");
    assert!(client_data.starts_with("eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIiwiY2hhbGxlbmdlIjoiQUFBQSIsIm9yaWdpbiI6Imh0dHBzOi8vbG9naW4uZXhhbXBsZS5jb20iLCJjcm9zc09yaWdpbiI6dHJ1ZSwi"), "{client_data}");
}

/// A ceremony ends when its future is dropped: the key is free for the next.
#[tokio::test(start_paused = true)]
async fn a_ceremony_that_is_given_up_leaves_the_key_free() {
    let rig = rig(["a=keyrig"]).await;
    rig.touch_policy(TouchPolicy::Manual).await.expect("running");
    let page = page(&rig);
    let mut waiting = Box::pin(page.create(creation(json!({}))));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "nobody touches");
    drop(waiting);
    rig.touch_policy(TouchPolicy::Auto).await.expect("running");
    parsed(page.create(creation(json!({}))).await);
}

#[tokio::test]
async fn the_user_who_is_chosen_signs_in_and_nobody_else() {
    let rig = rig(["a=keyrig"]).await;
    rig.pin("a", "1234").await.expect("plugged in");
    let mut ids = Vec::new();
    let passkey = json!({"rpId": "example.com", "challenge": "AAAA"});
    let named = |name: &str| page(&rig).choosing_user(UserChoice::Name(name.to_owned()));
    for (handle, name) in [("AQ", "alice"), ("Ag", "bob")] {
        let mut options = creation(json!({"residentKey": "required"}));
        options["user"] = json!({"id": handle, "name": name, "displayName": name});
        ids.push(parsed(page(&rig).create(options).await)["id"].clone());
        if ids.len() == 1 {
            let (_, _, reason) = refused(named("eve").get(&passkey).await);
            assert!(reason.contains("a single account"), "{reason}");
        }
    }
    assert_eq!(parsed(named("alice").get(&passkey).await)["id"], ids[0]);
    assert_eq!(parsed(named("bob").get(&passkey).await)["id"], ids[1]);
    let by_id = page(&rig).choosing_user(UserChoice::Id(vec![1]));
    assert_eq!(parsed(by_id.get(&passkey).await)["id"], ids[0]);
    let (name, _, reason) = refused(named("eve").get(&passkey).await);
    assert_eq!(name, "NotAllowedError");
    assert!(reason.contains("\"eve\"") && reason.contains("\"alice\" (AQ)"), "{reason}");
}
