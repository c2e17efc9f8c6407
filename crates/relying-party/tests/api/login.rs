//! Login: who gets in, the rules for challenges, counters and codes, and the one answer for every refusal.

use std::time::Duration;

use keyrig_relying_party::{EventKind, MAX_CHALLENGES_PER_SESSION, Policy, Role, Settings, Store};
use serde_json::{Value, json};

use crate::rig::{
    Browser, Key, ORIGIN, PASSWORD, RP_ID, Rig, decode, encode, login, text, with_client_data, with_client_data_member,
};

const FINISH: &str = "/api/login/webauthn";

/// A user who has a key; returns what it takes to log in.
async fn with_key(rig: &Rig, user: &str) -> Key {
    let mut key = Key::default();
    rig.new_user(user).await.register(&mut key, "key").await;
    key
}

/// The cause that the report of a refusal names, on a site that explains.
fn cause(answer: &Value) -> String {
    assert_eq!(answer["code"], "authentication_failed", "{answer}");
    text(&answer["report"]["cause"])
}

/// The checks by which the report of a refusal says that it was refused.
fn failed(answer: &Value) -> Vec<String> {
    assert_eq!(cause(answer), "verification");
    answer["report"]["verification"]["refused_by"].as_array().unwrap().iter().map(text).collect()
}

async fn refused(browser: &mut Browser, offered: &Value, credential: &Value) -> Value {
    browser.refused("POST", FINISH, Some(login(offered, credential))).await
}

#[tokio::test]
async fn a_password_is_enough_for_who_has_no_factor() {
    let rig = Rig::new();
    rig.add_user("alice@pve", Role::User);
    let answer = rig.browser().log_in("alice@pve").await;
    assert_eq!(answer["state"], "logged_in");
    assert_eq!(answer["session"]["user"], "alice@pve");
    assert_eq!(answer["session"]["kind"], "full");
    assert_eq!(answer["session"]["notices"][0]["code"], "no_second_factor");
}

#[tokio::test]
async fn a_registered_key_is_asked_for_after_the_password() {
    let rig = Rig::new();
    let mut key = with_key(&rig, "alice@pve").await;
    let mut browser = rig.browser();
    let offered = browser.log_in("alice@pve").await;
    assert_eq!(offered["state"], "second_factor");
    assert_eq!(browser.cookie, None, "half a login is not a session");
    let options = &offered["factors"]["webauthn"]["options"]["publicKey"];
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!(RP_ID), &json!("preferred")));
    assert!(decode(&options["challenge"]).len() >= 16, "WebAuthn Level 3, 13.4.3");
    rig.clock.advance(Duration::from_secs(7));
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let answer = browser.post(FINISH, login(&offered, &credential)).await;
    assert_eq!((&answer["state"], &answer["session"]["user"]), (&json!("logged_in"), &json!("alice@pve")));
    let factor = &browser.factors().await[0];
    assert_eq!(factor["last_used"].as_u64().unwrap(), factor["created"].as_u64().unwrap() + 7);
    assert_eq!(factor["counter"], 1);
}

/// What each check found, of what is accepted too: WebAuthn Level 3, §7.1 and §7.2.
#[tokio::test]
async fn a_site_that_explains_reports_what_it_accepts_and_another_does_not() {
    for explain in [true, false] {
        let rig = Rig::on(Store::in_memory().unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), explain);
        let mut browser = rig.new_user("alice@pve").await;
        let mut key = Key::default();
        let begun = browser.post("/api/factors/webauthn/begin", json!({})).await;
        let credential = key.create(&begun).await.unwrap();
        let finish = json!({ "challenge": begun["challenge"], "description": "key", "credential": credential });
        let added = browser.post("/api/factors/webauthn", finish).await;
        let offered = browser.log_in("alice@pve").await;
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        let logged_in = browser.post(FINISH, login(&offered, &credential)).await;
        for (answer, ceremony, checked) in
            [(added, "registration", "attestation-format"), (logged_in, "authentication", "signature")]
        {
            let report = &answer["report"];
            assert_eq!(report.is_object(), explain, "{answer}");
            let found = &report["verification"];
            assert!(!explain || (found["verdict"] == "accepted" && found["ceremony"] == ceremony), "{answer}");
            let checks = found["checks"].as_array().into_iter().flatten();
            let passed: Vec<_> = checks.filter(|check| check["outcome"] == "pass").map(|check| &check["id"]).collect();
            assert_eq!(passed.contains(&&json!(checked)), explain, "{answer}");
        }
    }
}

#[tokio::test]
async fn either_of_two_keys_logs_in() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let mut keys = [Key::default(), Key::default()];
    let mut ids = Vec::new();
    for (key, name) in keys.iter_mut().zip(["primary", "backup"]) {
        ids.push(browser.register(key, name).await["credential_id"].clone());
    }
    let offered = rig.browser().log_in("alice@pve").await;
    let allowed = &offered["factors"]["webauthn"]["options"]["publicKey"]["allowCredentials"];
    assert_eq!(allowed.as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids);
    for _ in 0..2 {
        for key in &mut keys {
            rig.browser().log_in_with("alice@pve", key).await;
        }
    }
}

/// The same status, body and headers, but for the identifier of the report.
#[tokio::test]
async fn every_cause_of_a_refusal_has_the_same_answer() {
    let rig = Rig::on(Store::in_memory().unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), false);
    let mut browser = rig.new_user("alice@pve").await;
    rig.add_user("disabled@pve", Role::User);
    let change = keyrig_relying_party::UserChange { enabled: Some(false), ..Default::default() };
    rig.store()
        .change_user(&"disabled@pve".parse().unwrap(), &change, &keyrig_relying_party::By::command_line(rig.now()))
        .unwrap();
    let totp = browser.enrol_totp(&rig).await;
    browser.add_recovery_keys().await;
    let mut key = Key::default();
    browser.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let other = with_client_data_member(&credential, "origin", json!("https://evil.example"));
    let code = totp.code(rig.now());
    let wrong_code = if code == "000000" { "000001" } else { "000000" };
    let login_id = &offered["login"];
    let attempts = [
        ("/api/login", json!({ "user": "alice@pve", "password": "wrong password" })),
        ("/api/login", json!({ "user": "alice@pve", "password": "" })),
        ("/api/login", json!({ "user": "nobody@pve", "password": PASSWORD })),
        ("/api/login", json!({ "user": "alice@nowhere", "password": PASSWORD })),
        ("/api/login", json!({ "user": "disabled@pve", "password": PASSWORD })),
        ("/api/login", json!({ "user": "disabled@pve", "password": "wrong password" })),
        ("/api/login/totp", json!({ "login": login_id, "code": wrong_code })),
        ("/api/login/totp", json!({ "login": login_id, "code": "12" })),
        ("/api/login/recovery", json!({ "login": login_id, "key": "0000-0000-0000-0000" })),
        (FINISH, login(&offered, &other)),
        (FINISH, login(&offered, &credential)),
    ];
    let mut causes = Vec::new();
    for (path, body) in attempts {
        let (status, mut answer) = rig.browser().send("POST", path, Some(&body)).await;
        let id = text(&answer["report_id"]);
        answer["report_id"] = Value::Null;
        let same = json!({
            "refused_by": "relying_party", "code": "authentication_failed", "reason": "authentication failure",
            "report_id": null,
        });
        assert_eq!((status.as_u16(), answer), (401, same), "{path} {body}");
        let (event, report) = rig.store().report(&id).unwrap().unwrap();
        assert_eq!(event.kind, EventKind::LoginRefused);
        causes.push(text(&report["cause"]));
    }
    let expected = [
        "wrong_password",
        "wrong_password",
        "unknown_user",
        "unknown_user",
        "user_disabled",
        "user_disabled",
        "wrong_code",
        "not_a_code",
        "wrong_recovery_key",
        "verification",
        "challenge_gone",
    ];
    assert_eq!(causes, expected);
}

/// What browsers are told and what the server waits are the same, unless a policy says otherwise.
#[tokio::test]
async fn a_challenge_lives_as_long_as_browsers_are_told() {
    for (seconds, is_late) in [(299, false), (300, true)] {
        let rig = Rig::new();
        let mut key = with_key(&rig, "alice@pve").await;
        let offered = rig.browser().log_in("alice@pve").await;
        assert_eq!(offered["factors"]["webauthn"]["options"]["publicKey"]["timeout"], 300_000);
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        rig.clock.advance(Duration::from_secs(seconds));
        let (status, answer) = rig.browser().send("POST", FINISH, Some(&login(&offered, &credential))).await;
        assert_eq!(status.is_client_error(), is_late, "{seconds}: {answer}");
    }
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer() {
    let rig = Rig::new();
    let mut key = with_key(&rig, "alice@pve").await;
    let mut browser = rig.browser();
    let offered = browser.log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    browser.post(FINISH, login(&offered, &credential)).await;
    // The whole login is over.
    let code = rig.browser().refused_code("POST", FINISH, Some(login(&offered, &credential))).await;
    assert_eq!(code, "unknown_login");
    // Nor does the answer fit another challenge, which is used up by that.
    let other = rig.browser().log_in("alice@pve").await;
    assert_eq!(failed(&refused(&mut rig.browser(), &other, &credential).await), ["challenge", "signature-counter"]);
    let credential = key.get(&other["factors"]["webauthn"]).await.unwrap();
    assert_eq!(cause(&refused(&mut rig.browser(), &other, &credential).await), "challenge_gone");
    // The login goes on: with another challenge.
    let mut browser = rig.browser();
    let begun = browser.post("/api/login/webauthn/begin", json!({ "login": other["login"] })).await;
    let credential = key.get(&begun).await.unwrap();
    let body = json!({ "login": other["login"], "challenge": begun["challenge"], "credential": credential });
    assert_eq!(browser.post(FINISH, body).await["state"], "logged_in");
}

#[tokio::test]
async fn a_challenge_expires_and_so_does_a_login() {
    let rig = Rig::with_policy("proxmox-9");
    let mut key = with_key(&rig, "alice@pve").await;
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(offered["factors"]["webauthn"]["options"]["publicKey"]["timeout"], 300_000);
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    rig.clock.advance(Duration::from_secs(120));
    let answer = refused(&mut rig.browser(), &offered, &credential).await;
    assert_eq!(cause(&answer), "challenge_gone");
    assert!(text(&answer["reason"]).contains("expired"), "{answer}");
    rig.clock.advance(Duration::from_secs(600));
    let begin = json!({ "login": offered["login"] });
    assert_eq!(rig.browser().refused_code("POST", "/api/login/webauthn/begin", Some(begin)).await, "unknown_login");
}

#[tokio::test]
async fn a_challenge_belongs_to_one_login_of_one_user() {
    let rig = Rig::new();
    let (mut of_alice, mut of_bob) = (with_key(&rig, "alice@pve").await, with_key(&rig, "bob@pve").await);
    let alice = rig.browser().log_in("alice@pve").await;
    let again = rig.browser().log_in("alice@pve").await;
    let bob = rig.browser().log_in("bob@pve").await;
    let credential = of_bob.get(&bob["factors"]["webauthn"]).await.unwrap();
    // Bob's answer and challenge in Alice's login, and Alice's own of another login.
    let body = |login: &Value, begun: &Value, credential: &Value| {
        json!({
            "login": login["login"], "challenge": begun["factors"]["webauthn"]["challenge"], "credential": credential,
        })
    };
    let answer = rig.browser().refused("POST", FINISH, Some(body(&alice, &bob, &credential))).await;
    assert_eq!(cause(&answer), "challenge_gone");
    let own = of_alice.get(&again["factors"]["webauthn"]).await.unwrap();
    let answer = rig.browser().refused("POST", FINISH, Some(body(&alice, &again, &own))).await;
    assert_eq!(cause(&answer), "challenge_gone");
    // Which leaves them good where they belong.
    rig.browser().post(FINISH, login(&bob, &credential)).await;
    rig.browser().post(FINISH, login(&again, &own)).await;
    // Bob's credential for Alice's challenge.
    let mut begun = alice["factors"]["webauthn"].clone();
    begun["options"]["publicKey"]["allowCredentials"] =
        bob["factors"]["webauthn"]["options"]["publicKey"]["allowCredentials"].clone();
    let credential = of_bob.get(&begun).await.unwrap();
    let answer = refused(&mut rig.browser(), &alice, &credential).await;
    assert_eq!(failed(&answer), ["allow-credentials", "credential-record"]);
}

#[tokio::test]
async fn a_registration_cannot_end_as_a_login() {
    let rig = Rig::new();
    let mut key = Key::default();
    let mut browser = rig.new_user("alice@pve").await;
    browser.register(&mut key, "key").await;
    let begun = browser.begin_registration().await;
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let body = json!({ "login": offered["login"], "challenge": begun["challenge"], "credential": credential });
    assert_eq!(cause(&rig.browser().refused("POST", FINISH, Some(body)).await), "challenge_gone");
}

/// Each of ten ways in which an origin can be wrong; passkey's client signs what it is given.
#[tokio::test]
async fn a_wrong_origin_fails_the_check_of_the_origin_and_no_other() {
    let rig = Rig::new();
    let mut key = Key::without_counter();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    let origins = [
        "https://pve.example.com",
        "http://pve.example.com:8006",
        "https://pve.example.com:8007",
        "https://node2.pve.example.com:8006",
        "https://example.com:8006",
        "https://evilpve.example.com:8006",
        "https://pve.example.com.evil.example:8006",
        "https://PVE.example.com:8006",
        "https://pve.example.com:8006/",
        "null",
    ];
    for origin in origins {
        let offered = rig.browser().log_in("alice@pve").await;
        let change = [("origin", json!(origin))];
        let credential = key.get_with_members(&offered["factors"]["webauthn"], &change).await;
        let answer = refused(&mut rig.browser(), &offered, &credential).await;
        assert_eq!(failed(&answer), ["origin"], "{origin}");
        let reason = text(&answer["reason"]);
        assert!(reason.contains(origin) && reason.contains(ORIGIN), "{reason}");
    }
    rig.browser().log_in_with("alice@pve", &mut key).await;
}

#[tokio::test]
async fn a_login_in_a_cross_origin_frame_is_up_to_the_policy() {
    for (policy, accepted) in [("strict-l3", false), ("proxmox-9", true)] {
        let rig = Rig::with_policy(policy);
        let mut key = with_key(&rig, "alice@pve").await;
        let offered = rig.browser().log_in("alice@pve").await;
        let framed = [("crossOrigin", json!(true)), ("topOrigin", json!("https://evil.example"))];
        let credential = key.get_with_members(&offered["factors"]["webauthn"], &framed).await;
        let (status, answer) = rig.browser().send("POST", FINISH, Some(&login(&offered, &credential))).await;
        assert_eq!(status.is_success(), accepted, "{policy}: {answer}");
        if !accepted {
            assert_eq!(failed(&answer), ["cross-origin", "top-origin"]);
        }
    }
}

/// What was changed after it was signed fails its own check, and the signature's.
#[tokio::test]
async fn what_is_changed_on_the_way_changes_nothing_here() {
    let rig = Rig::new();
    let mut key = with_key(&rig, "alice@pve").await;
    let bytes = |credential: &Value, name: &str, change: fn(&mut Vec<u8>)| {
        let mut credential = credential.clone();
        let mut bytes = decode(&credential["response"][name]);
        change(&mut bytes);
        credential["response"][name] = encode(&bytes);
        credential
    };
    type Change<'a> = Box<dyn Fn(&Value) -> Value + 'a>;
    let cases: Vec<(Change<'_>, &[&str])> = vec![
        (
            Box::new(|it| with_client_data_member(it, "type", json!("webauthn.create"))),
            &["client-data-type", "signature"],
        ),
        (Box::new(|it| with_client_data(it, |_| Vec::new())), &["client-data-json", "signature"]),
        (Box::new(|it| bytes(it, "authenticatorData", |data| data[0] ^= 1)), &["rp-id-hash", "signature"]),
        (Box::new(|it| bytes(it, "authenticatorData", |data| data[32] &= !1)), &["user-present", "signature"]),
        (Box::new(|it| bytes(it, "authenticatorData", |data| data[36] += 1)), &["signature"]),
        (Box::new(|it| bytes(it, "signature", Vec::clear)), &["signature"]),
        (Box::new(|it| bytes(it, "userHandle", |handle| handle[0] ^= 1)), &["user-handle"]),
    ];
    let before = rig.store().factors(&"alice@pve".parse().unwrap()).unwrap();
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let offered = rig.browser().log_in("alice@pve").await;
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        let answer = refused(&mut rig.browser(), &offered, &change(&credential)).await;
        assert_eq!(failed(&answer), expected, "case {number}");
        assert_eq!(rig.store().factors(&"alice@pve".parse().unwrap()).unwrap(), before, "case {number}");
    }
}

#[tokio::test]
async fn a_clone_is_found_by_its_counter_where_the_counter_is_saved() {
    for (policy, is_found) in [("strict-l3", true), ("proxmox-9", false)] {
        let rig = Rig::with_policy(policy);
        let mut key = with_key(&rig, "alice@pve").await;
        let mut clone = key.clone();
        for _ in 0..2 {
            rig.browser().log_in_with("alice@pve", &mut key).await;
        }
        let offered = rig.browser().log_in("alice@pve").await;
        let credential = clone.get(&offered["factors"]["webauthn"]).await.unwrap();
        let (status, answer) = rig.browser().send("POST", FINISH, Some(&login(&offered, &credential))).await;
        assert_eq!(status.is_client_error(), is_found, "{policy}: {answer}");
        if is_found {
            assert_eq!(failed(&answer), ["signature-counter"]);
        }
        assert_eq!(rig.events(EventKind::CloneSuspected).len(), usize::from(is_found));
    }
}

#[tokio::test]
async fn a_clone_is_found_even_when_its_login_began_before_the_originals_ended() {
    let rig = Rig::new();
    let mut key = with_key(&rig, "alice@pve").await;
    let mut clone = key.clone();
    let (first, second) = (rig.browser().log_in("alice@pve").await, rig.browser().log_in("alice@pve").await);
    let credential = key.get(&first["factors"]["webauthn"]).await.unwrap();
    rig.browser().post(FINISH, login(&first, &credential)).await;
    let credential = clone.get(&second["factors"]["webauthn"]).await.unwrap();
    assert_eq!(failed(&refused(&mut rig.browser(), &second, &credential).await), ["signature-counter"]);
}

/// WebAuthn Level 3, 6.1.1: an authenticator without counters always says 0.
#[tokio::test]
async fn a_key_without_a_counter_logs_in_again_and_again() {
    let rig = Rig::new();
    let mut key = Key::without_counter();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    for _ in 0..3 {
        rig.browser().log_in_with("alice@pve", &mut key).await;
    }
}

#[tokio::test]
async fn a_code_works_once_and_its_drift_is_told() {
    let rig = Rig::new();
    let totp = rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    let answer = |offered: &Value, code: &str| json!({ "login": offered["login"], "code": code });
    // The app's clock is a step behind.
    rig.clock.advance(Duration::from_secs(60));
    let code = totp.code(rig.now() - Duration::from_secs(30));
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!((&offered["factors"]["totp"], &offered["factors"]["webauthn"]), (&json!(true), &Value::Null));
    let logged_in = rig.browser().post("/api/login/totp", answer(&offered, &code)).await;
    let notices = logged_in["session"]["notices"].as_array().unwrap();
    let drift = notices.iter().find(|notice| notice["code"] == "totp_drift").unwrap();
    assert!(text(&drift["text"]).contains("one step of 30 s behind"), "{drift}");
    // Reused.
    let offered = rig.browser().log_in("alice@pve").await;
    let refused = rig.browser().refused("POST", "/api/login/totp", Some(answer(&offered, &code))).await;
    assert_eq!(cause(&refused), "code_reused");
    // Two steps off.
    let code = totp.code(rig.now() + Duration::from_secs(60));
    let refused = rig.browser().refused("POST", "/api/login/totp", Some(answer(&offered, &code))).await;
    assert_eq!(cause(&refused), "wrong_code");
    let code = totp.code(rig.now());
    rig.browser().post("/api/login/totp", answer(&offered, &code)).await;
}

#[tokio::test]
async fn a_recovery_key_works_once_and_the_last_are_counted() {
    let rig = Rig::new();
    let keys = rig.new_user("alice@pve").await.add_recovery_keys().await;
    assert_eq!(keys.len(), 10);
    let answer = |offered: &Value, key: &str| json!({ "login": offered["login"], "key": key });
    for (index, key) in keys.iter().enumerate() {
        let offered = rig.browser().log_in("alice@pve").await;
        assert_eq!(offered["factors"]["recovery"], 10 - index);
        let logged_in = rig.browser().post("/api/login/recovery", answer(&offered, key)).await;
        let notices = logged_in["session"]["notices"].as_array().unwrap();
        let few = notices.iter().any(|notice| notice["code"] == "few_recovery_keys");
        assert_eq!(few, 10 - index - 1 <= 3, "{index}");
        if index < 9 {
            let offered = rig.browser().log_in("alice@pve").await;
            let refused = rig.browser().refused("POST", "/api/login/recovery", Some(answer(&offered, key))).await;
            assert_eq!(cause(&refused), "wrong_recovery_key");
        }
    }
    // There is nothing left to log in with: the account does not fall back to the password.
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    let refused = rig.browser().refused("POST", "/api/login", Some(body)).await;
    assert_eq!(cause(&refused), "no_recovery_keys");
    assert_eq!(rig.events(EventKind::RecoveryKeyUsed).len(), 10);
}

/// Of the same right answers at once, one leads to a session.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_send_one_recovery_key_at_once_one_gets_in() {
    let directory = tempfile::TempDir::new().unwrap();
    let rig = Rig::on(Store::open(directory.path()).unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), true);
    let keys = rig.new_user("alice@pve").await.add_recovery_keys().await;
    let mut offers = Vec::new();
    for _ in 0..50 {
        offers.push(rig.browser().log_in("alice@pve").await);
    }
    let attempts = offers.into_iter().map(|offered| {
        let (mut browser, key) = (rig.browser(), keys[0].clone());
        tokio::spawn(async move {
            let body = json!({ "login": offered["login"], "key": key });
            browser.send("POST", "/api/login/recovery", Some(&body)).await.0.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        statuses.push(attempt.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 49);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_logins_at_once_on_one_account_all_get_in() {
    let directory = tempfile::TempDir::new().unwrap();
    let rig = Rig::on(Store::open(directory.path()).unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), true);
    let mut key = Key::without_counter();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    let attempts = (0..100).map(|_| {
        let (mut browser, mut key) = (rig.browser(), key.clone());
        tokio::spawn(async move { browser.log_in_with("alice@pve", &mut key).await["state"] == "logged_in" })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        assert!(attempt.await.unwrap());
    }
}

#[tokio::test]
async fn of_many_ceremonies_of_one_login_the_latest_can_be_finished() {
    let rig = Rig::new();
    let mut key = with_key(&rig, "alice@pve").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let mut begun = Vec::new();
    for _ in 0..MAX_CHALLENGES_PER_SESSION + 10 {
        // Each at a time of its own, so that there is an order.
        rig.clock.advance(Duration::from_millis(1));
        begun.push(rig.browser().post("/api/login/webauthn/begin", json!({ "login": offered["login"] })).await);
    }
    let finish = |begun: &Value, credential: &Value| json!({ "login": offered["login"], "challenge": begun["challenge"], "credential": credential });
    let credential = key.get(&begun[9]).await.unwrap();
    let answer = rig.browser().refused("POST", FINISH, Some(finish(&begun[9], &credential))).await;
    assert_eq!(cause(&answer), "challenge_gone");
    let credential = key.get(&begun[10]).await.unwrap();
    rig.browser().post(FINISH, finish(&begun[10], &credential)).await;
}

#[tokio::test]
async fn what_begins_in_one_process_ends_in_another() {
    let directory = tempfile::TempDir::new().unwrap();
    let [one, other] =
        [(); 2].map(|()| Rig::on(Store::open(directory.path()).unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), true));
    let mut key = Key::default();
    let mut browser = one.new_user("alice@pve").await;
    let begun = browser.begin_registration().await;
    let credential = key.create(&begun).await.unwrap();
    let mut elsewhere = other.browser();
    (elsewhere.cookie, elsewhere.csrf_token) = (browser.cookie.clone(), browser.csrf_token.clone());
    elsewhere.post("/api/factors/webauthn", crate::rig::registration(&begun, "key", &credential)).await;
    let offered = one.browser().log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let mut elsewhere = other.browser();
    elsewhere.post(FINISH, login(&offered, &credential)).await;
    let mut back = one.browser();
    back.cookie.clone_from(&elsewhere.cookie);
    assert_eq!(back.get("/api/session").await["user"], "alice@pve");
}

#[tokio::test]
async fn a_policy_that_requires_user_verification_gets_it() {
    let policy = Policy { user_verification: keyrig_relying_party::Preference::Required, ..Policy::strict() };
    let rig = Rig::with_settings(Settings { policy, ..Settings::new(RP_ID, ORIGIN) });
    let mut key = Key::verifying_user();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    rig.browser().log_in_with("alice@pve", &mut key).await;
    // A key that does not verify, and a browser that lets it pass (as Firefox does).
    let offered = rig.browser().log_in("alice@pve").await;
    key.stop_verifying();
    let mut begun = offered["factors"]["webauthn"].clone();
    begun["options"]["publicKey"]["userVerification"] = json!("discouraged");
    let credential = key.get(&begun).await.unwrap();
    assert_eq!(failed(&refused(&mut rig.browser(), &offered, &credential).await), ["user-verified"]);
}
