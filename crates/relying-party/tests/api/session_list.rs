//! Sessions as they are listed, and ended one by one: by their user, by an administrator, by the command line, and by the deletion of what
//! they were begun by.

use keyrig_relying_party::{By, EventKind, Role, SESSION_LIFETIME, Which};
use serde_json::{Value, json};

use crate::program::{enrol_totp, site, ticket};
use crate::rig::{Browser, Key, Rig, registration, text};

async fn list(browser: &mut Browser) -> Vec<Value> {
    browser.get("/api/sessions").await.as_array().unwrap().clone()
}

async fn is_logged_in(browser: &mut Browser) -> bool {
    browser.send("GET", "/api/session", None).await.0.is_success()
}

#[tokio::test]
async fn a_user_lists_the_own_sessions_with_address_and_factor_and_ends_one() {
    let rig = Rig::new();
    let mut key = Key::default();
    rig.new_user("alice@pve").await.register(&mut key, "blue key").await;
    rig.clock.advance(std::time::Duration::from_secs(60));
    let mut here = rig.browser_at("192.0.2.7");
    here.log_in_with("alice@pve", &mut key).await;
    rig.clock.advance(std::time::Duration::from_secs(60));
    let mut elsewhere = rig.browser_at("2001:db8::7");
    elsewhere.log_in_with("alice@pve", &mut key).await;
    let mut bob = rig.new_user("bob@pve").await;

    let sessions = list(&mut here).await;
    let shown: Vec<_> =
        sessions.iter().map(|session| (&session["address"], &session["factor"], &session["current"])).collect();
    let (blue, no, yes) = (json!("blue key"), json!(false), json!(true));
    assert_eq!(
        shown,
        [(&json!("2001:db8::7"), &blue, &no), (&json!("192.0.2.7"), &blue, &yes), (&Value::Null, &Value::Null, &no)]
    );
    assert_eq!(sessions[0]["expires"].as_u64().unwrap() - sessions[0]["began"].as_u64().unwrap(), 7200);
    assert!(!sessions.iter().any(|session| here.cookie.as_ref().unwrap().contains(&text(&session["id"]))));

    let path = format!("/api/sessions/{}", text(&sessions[0]["id"]));
    assert_eq!(bob.refused_code("DELETE", &path, None).await, "unknown_session", "it is not bob's");
    assert!(is_logged_in(&mut elsewhere).await);
    here.accepted("DELETE", &path, None).await;
    assert!(!is_logged_in(&mut elsewhere).await && is_logged_in(&mut here).await);
    assert_eq!(here.refused_code("DELETE", &path, None).await, "unknown_session");
    for id in ["x", "", "%25", "0000000000000000", "'--"] {
        let (status, _) = here.send("DELETE", &format!("/api/sessions/{id}"), None).await;
        assert!(status.is_client_error(), "{id}");
    }
    assert_eq!(rig.events(EventKind::SessionEnded).len(), 1);
    rig.clock.advance(SESSION_LIFETIME);
    assert_eq!(rig.store().sessions(&"alice@pve".parse().unwrap(), rig.now()).unwrap(), []);
}

#[tokio::test]
async fn an_administrator_ends_a_session_of_another_and_an_auditor_only_sees_it() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    rig.add_user("root@pam", Role::Administrator);
    rig.add_user("auditor@pve", Role::Auditor);
    let (mut root, mut auditor, mut bob) = (rig.browser(), rig.browser(), rig.new_user("bob@pve").await);
    root.log_in("root@pam").await;
    auditor.log_in("auditor@pve").await;
    let id = text(&auditor.get("/api/users/alice@pve/sessions").await[0]["id"]);
    let path = format!("/api/users/alice@pve/sessions/{id}");
    for browser in [&mut auditor, &mut bob] {
        assert_eq!(browser.refused_code("DELETE", &path, None).await, "forbidden");
    }
    assert_eq!(bob.refused_code("GET", "/api/users/alice@pve/sessions", None).await, "forbidden");
    assert!(is_logged_in(&mut alice).await);
    root.accepted("DELETE", &path, None).await;
    assert!(!is_logged_in(&mut alice).await);
    // The command line.
    alice.cookie = None;
    alice.log_in("alice@pve").await;
    let (name, by) = ("alice@pve".parse().unwrap(), By::command_line(rig.now()));
    let session = rig.store().sessions(&name, rig.now()).unwrap().remove(0);
    rig.store().end_session(&name, &session.id, &by).unwrap();
    assert!(!is_logged_in(&mut alice).await);
    let ended = rig.events(EventKind::SessionEnded);
    assert_eq!(ended.iter().map(|event| event.actor.as_str()).collect::<Vec<_>>(), ["command line", "root@pam"]);
}

/// Whoever has found a key, and knows the password, is out when its owner deletes it.
#[tokio::test]
async fn a_lost_key_s_deletion_ends_the_sessions_that_were_begun_with_it_and_no_others() {
    let rig = Rig::new();
    let (mut lost, mut kept) = (Key::default(), Key::default());
    let mut alice = rig.new_user("alice@pve").await;
    let id = text(&alice.register(&mut lost, "lost").await["id"]);
    let other = text(&alice.register(&mut kept, "kept").await["id"]);
    let (mut finder, mut owner) = (rig.browser(), rig.browser());
    finder.log_in_with("alice@pve", &mut lost).await;
    owner.log_in_with("alice@pve", &mut kept).await;
    owner.confirm().await;
    owner.accepted("DELETE", &format!("/api/factors/{id}"), None).await;
    assert!(!is_logged_in(&mut finder).await);
    assert!(is_logged_in(&mut owner).await && is_logged_in(&mut alice).await);
    assert!(rig.events(EventKind::FactorDeleted)[0].detail.ends_with("; a session that was begun by it was ended"));
    // Who deletes the key of the own session goes on: the password was given just now.
    owner.accepted("DELETE", &format!("/api/factors/{other}"), None).await;
    assert!(is_logged_in(&mut owner).await);

    // By the command line.
    alice.confirm().await;
    let id = text(&alice.register(&mut lost, "lost").await["id"]);
    finder.cookie = None;
    finder.log_in_with("alice@pve", &mut lost).await;
    let by = By::command_line(rig.now());
    rig.store().delete_factors(&"alice@pve".parse().unwrap(), Which::One(&id), false, &by).unwrap();
    assert!(!is_logged_in(&mut finder).await && is_logged_in(&mut alice).await);
}

#[tokio::test]
async fn a_session_that_was_begun_with_a_key_is_the_passkey_s_that_takes_its_place() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    let mut key = Key::verifying_user();
    let id = text(&alice.register(&mut key, "key").await["id"]);
    let mut other = rig.browser();
    other.log_in_with("alice@pve", &mut key).await;
    let begun = alice.post("/api/factors/webauthn/begin", json!({ "passkey": true, "replaces": id })).await;
    let credential = key.create(&begun).await.unwrap();
    let passkey = alice.post("/api/factors/webauthn", registration(&begun, "passkey", &credential)).await;
    assert!(is_logged_in(&mut other).await);
    alice.accepted("DELETE", &format!("/api/factors/{}", text(&passkey["factor"]["id"])), None).await;
    assert!(!is_logged_in(&mut other).await);
}

/// A renewed ticket is of what the first one was begun with.
#[tokio::test]
async fn a_ticket_s_session_is_listed_too() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    enrol_totp(&rig, &root, "root@pam").await;
    let name = "root@pam".parse().unwrap();
    let sessions = rig.store().sessions(&name, rig.now()).unwrap();
    assert_eq!((sessions.len(), &sessions[0].factor), (1, &None));
}
