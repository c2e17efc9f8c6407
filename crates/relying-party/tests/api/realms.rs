//! What realms require: who is let in with what, who is led through enrolment, who is refused.

use keyrig_relying_party::{EventKind, Requirement, Role};
use serde_json::{Value, json};

use crate::rig::{Browser, Key, PASSWORD, Rig, login, registration};

const OATH: Requirement = Requirement::Oath { digits: 8, step: 60 };

async fn by_code(rig: &Rig, offered: &Value, code: &str) -> (u16, Value) {
    let body = json!({ "login": offered["login"], "code": code });
    let (status, answer) = rig.browser().send("POST", "/api/login/totp", Some(&body)).await;
    (status.as_u16(), answer)
}

/// Logs in with the password and finds that enrolment is required.
async fn enrolling(rig: &Rig, requirement: Value) -> Browser {
    let mut browser = rig.browser();
    let answer = browser.log_in("alice@pve").await;
    assert_eq!((&answer["state"], &answer["requirement"]), (&json!("enrolment_required"), &requirement));
    assert_eq!(answer["session"]["kind"], "enrolment");
    browser
}

#[tokio::test]
async fn who_lacks_what_is_required_is_led_through_enrolment() {
    let rig = Rig::new();
    rig.add_user("alice@pve", Role::Administrator);
    rig.require("pve", Requirement::Webauthn);
    let mut browser = enrolling(&rig, json!({ "type": "webauthn" })).await;
    // The session is good for nothing else.
    for (method, path) in [("GET", "/api/users"), ("GET", "/api/events"), ("DELETE", "/api/sessions")] {
        assert_eq!(browser.refused_code(method, path, None).await, "enrolment_only", "{path}");
    }
    let paper = json!({ "description": "paper" });
    assert_eq!(browser.refused_code("POST", "/api/factors/recovery", Some(paper)).await, "enrolment_only");
    // TOTP may be enrolled, and is not what is required.
    browser.enrol_totp(&rig).await;
    assert_eq!(browser.get("/api/session").await["kind"], "enrolment");
    // The password was given just now: it is not asked for again.
    let begun = browser.begin_registration().await;
    let mut key = Key::default();
    let credential = key.create(&begun).await.unwrap();
    let old = browser.clone();
    let added = browser.post("/api/factors/webauthn", registration(&begun, "key", &credential)).await;
    assert_eq!(added["session"]["kind"], "full");
    assert_eq!(browser.get("/api/users").await.as_array().unwrap().len(), 1);
    // The session that was for enrolment is over.
    assert_eq!(old.clone().refused_code("GET", "/api/session", None).await, "not_logged_in");
    rig.browser().log_in_with("alice@pve", &mut key).await;
}

#[tokio::test]
async fn a_realm_that_requires_webauthn_takes_no_code_from_who_has_a_key() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let totp = browser.enrol_totp(&rig).await;
    let mut key = Key::default();
    browser.register(&mut key, "key").await;
    rig.require("pve", Requirement::Webauthn);
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(offered["factors"]["totp"], false);
    let (status, answer) = by_code(&rig, &offered, &totp.code(rig.now())).await;
    assert_eq!((status, &answer["report"]["cause"]), (401, &json!("factor_not_accepted")));
    rig.browser().log_in_with("alice@pve", &mut key).await;
}

#[tokio::test]
async fn who_has_only_another_factor_gives_it_before_enrolling() {
    let rig = Rig::new();
    let totp = rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    rig.require("pve", Requirement::Webauthn);
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!((&offered["state"], &offered["factors"]["totp"]), (&json!("second_factor"), &json!(true)));
    let (status, answer) = by_code(&rig, &offered, &totp.code(rig.now())).await;
    assert_eq!((status, &answer["state"]), (200, &json!("enrolment_required")));
}

#[tokio::test]
async fn oath_asks_for_codes_of_its_digits_and_step() {
    let rig = Rig::new();
    rig.add_user("alice@pve", Role::User);
    rig.require("pve", OATH);
    let mut browser = enrolling(&rig, json!({ "type": "oath", "digits": 8, "step": 60 })).await;
    let begun = browser.post("/api/factors/totp/begin", json!({})).await;
    assert_eq!((&begun["digits"], &begun["step"]), (&json!(8), &json!(60)));
    let totp = keyrig_relying_party::Totp::from_uri(begun["uri"].as_str().unwrap()).unwrap();
    assert_eq!((totp.digits(), totp.step()), (8, 60));
    let code = totp.code(rig.now());
    let body = json!({ "challenge": begun["challenge"], "description": "app", "code": code });
    assert_eq!(browser.post("/api/factors/totp", body).await["session"]["kind"], "full");
    // Other digits are not what is required.
    rig.require("pve", Requirement::Oath { digits: 6, step: 30 });
    rig.clock.advance(std::time::Duration::from_secs(60));
    let offered = rig.browser().log_in("alice@pve").await;
    let (_, answer) = by_code(&rig, &offered, &totp.code(rig.now())).await;
    assert_eq!(answer["state"], "enrolment_required");
}

/// As Proxmox VE does it: the key is offered and touched, and then refused. The default is content with a key.
#[tokio::test]
async fn oath_and_a_key_is_up_to_the_policy() {
    for (policy, is_accepted) in [("strict-l3", true), ("proxmox-9", false)] {
        let rig = Rig::with_policy(policy);
        let mut key = Key::default();
        rig.new_user("alice@pve").await.register(&mut key, "key").await;
        rig.require("pve", OATH);
        let offered = rig.browser().log_in("alice@pve").await;
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        let body = login(&offered, &credential);
        let (status, answer) = rig.browser().send("POST", "/api/login/webauthn", Some(&body)).await;
        assert_eq!(status.is_success(), is_accepted, "{policy}: {answer}");
        if !is_accepted {
            assert_eq!(answer["report"]["cause"], "factor_not_accepted");
        }
    }
}

#[tokio::test]
async fn a_policy_may_refuse_who_has_not_enrolled() {
    let rig = Rig::with_policy("proxmox-9");
    rig.add_user("alice@pve", Role::User);
    for requirement in [OATH, Requirement::Any, Requirement::Webauthn] {
        rig.require("pve", requirement);
        let body = json!({ "user": "alice@pve", "password": PASSWORD });
        let answer = rig.browser().refused("POST", "/api/login", Some(body)).await;
        assert_eq!(answer["code"], "factor_required");
    }
    assert_eq!(rig.events(EventKind::LoginRefused).len(), 3);
    // Other realms are other realms.
    rig.add_user("alice@pam", Role::User);
    assert_eq!(rig.browser().log_in("alice@pam").await["state"], "logged_in");
}

#[tokio::test]
async fn any_factor_is_one_that_is_not_used_up() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let keys = browser.add_recovery_keys().await;
    rig.require("pve", Requirement::Any);
    let offered = rig.browser().log_in("alice@pve").await;
    let body = json!({ "login": offered["login"], "key": keys[0] });
    let mut browser = rig.browser();
    assert_eq!(browser.post("/api/login/recovery", body).await["state"], "enrolment_required");
    let totp = browser.enrol_totp(&rig).await;
    assert_eq!(browser.get("/api/session").await["kind"], "full");
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(by_code(&rig, &offered, &totp.code(rig.now())).await.1["state"], "logged_in");
}

#[tokio::test]
async fn the_last_factor_that_is_required_stays_unless_it_is_forced() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let ids: Vec<String> = {
        for name in ["primary", "backup"] {
            browser.register(&mut Key::default(), name).await;
        }
        browser.enrol_totp(&rig).await;
        let factors = browser.factors().await;
        factors.iter().map(|factor| factor["id"].as_str().unwrap().to_owned()).collect()
    };
    rig.require("pve", Requirement::Webauthn);
    let path = |index: usize| format!("/api/factors/{}", ids[index]);
    browser.accepted("DELETE", &path(0), None).await;
    assert_eq!(browser.refused_code("DELETE", &path(1), None).await, "factor_is_required");
    let disable = json!({ "enabled": false });
    assert_eq!(browser.refused_code("PATCH", &path(1), Some(disable)).await, "factor_is_required");
    assert_eq!(browser.factors().await.len(), 2, "deleting one leaves the others");
    assert_eq!(browser.factors().await[0]["enabled"], true);
    // The code is not what is required: it may go.
    browser.accepted("DELETE", &path(2), None).await;
    // By force, as administrators can.
    rig.add_user("root@pam", Role::Administrator);
    let mut root = rig.browser();
    root.log_in("root@pam").await;
    root.confirm().await;
    let path = format!("/api/users/alice@pve/factors/{}", ids[1]);
    assert_eq!(root.refused_code("DELETE", &path, None).await, "factor_is_required");
    root.accepted("DELETE", &format!("{path}?force=true"), None).await;
    assert_eq!(rig.browser().log_in("alice@pve").await["state"], "enrolment_required");
}
