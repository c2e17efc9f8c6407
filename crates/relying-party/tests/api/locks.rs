//! The locks of an account: after how many failures, for how long, and what releases them.

use std::time::Duration;

use keyrig_relying_party::{By, EventKind, FAILURES, LOCK_TIME, TOTP_FAILURES};
use serde_json::{Value, json};

use crate::rig::{Key, PASSWORD, Rig, login};

async fn give(rig: &Rig, offered: &Value, kind: &str, name: &str, value: &str) -> (u16, Value) {
    let body = json!({ "login": offered["login"], name: value });
    let (status, answer) = rig.browser().send("POST", &format!("/api/login/{kind}"), Some(&body)).await;
    (status.as_u16(), answer)
}

async fn give_code(rig: &Rig, offered: &Value, code: &str) -> (u16, Value) {
    give(rig, offered, "totp", "code", code).await
}

fn cause(answer: &Value) -> &str {
    answer["report"]["cause"].as_str().unwrap()
}

/// Gives wrong codes, each refused for `cause`.
async fn wrong_codes(rig: &Rig, offered: &Value, times: u32, expected: &str) {
    for _ in 0..times {
        let (status, answer) = give_code(rig, offered, "not a code").await;
        assert_eq!((status, cause(&answer)), (401, expected));
    }
}

#[tokio::test]
async fn eight_wrong_codes_lock_totp_and_a_recovery_key_releases_it() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let totp = browser.enrol_totp(&rig).await;
    let keys = browser.add_recovery_keys().await;
    let offered = rig.browser().log_in("alice@pve").await;
    wrong_codes(&rig, &offered, TOTP_FAILURES - 1, "not_a_code").await;
    assert!(rig.events(EventKind::TotpLocked).is_empty());
    wrong_codes(&rig, &offered, 1, "not_a_code").await;
    assert_eq!(rig.events(EventKind::TotpLocked).len(), 1);
    // The right code is of no use now, and time does not help.
    assert_eq!(cause(&give_code(&rig, &offered, &totp.code(rig.now())).await.1), "totp_locked");
    rig.clock.advance(2 * LOCK_TIME);
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!((&offered["factors"]["totp"], &offered["factors"]["totp_locked"]), (&json!(false), &json!(true)));
    assert_eq!(cause(&give_code(&rig, &offered, &totp.code(rig.now())).await.1), "totp_locked");
    assert_eq!(give(&rig, &offered, "recovery", "key", &keys[0]).await.0, 200);
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(give_code(&rig, &offered, &totp.code(rig.now())).await.0, 200);
}

#[tokio::test]
async fn an_administrator_releases_totp_and_a_security_key_does_not() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let totp = browser.enrol_totp(&rig).await;
    let mut key = Key::default();
    browser.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    wrong_codes(&rig, &offered, TOTP_FAILURES, "not_a_code").await;
    rig.browser().log_in_with("alice@pve", &mut key).await;
    assert_eq!(rig.browser().log_in("alice@pve").await["factors"]["totp_locked"], true);
    assert!(rig.store().unlock(&"alice@pve".parse().unwrap(), &By::command_line(rig.now())).unwrap());
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(give_code(&rig, &offered, &totp.code(rig.now())).await.0, 200);
}

/// Without another factor the password leads nowhere.
#[tokio::test]
async fn locked_totp_is_not_dropped() {
    let rig = Rig::new();
    rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    let offered = rig.browser().log_in("alice@pve").await;
    wrong_codes(&rig, &offered, TOTP_FAILURES, "not_a_code").await;
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    assert_eq!(cause(&rig.browser().refused("POST", "/api/login", Some(body)).await), "totp_locked");
}

#[tokio::test]
async fn right_codes_between_wrong_ones_keep_totp_open() {
    let rig = Rig::new();
    let totp = rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    for _ in 0..3 {
        let offered = rig.browser().log_in("alice@pve").await;
        wrong_codes(&rig, &offered, TOTP_FAILURES - 1, "not_a_code").await;
        assert_eq!(give_code(&rig, &offered, &totp.code(rig.now())).await.0, 200);
        rig.clock.advance(Duration::from_secs(30));
    }
}

/// Reused codes count too: one look over a shoulder yields one.
#[tokio::test]
async fn reused_codes_count() {
    let rig = Rig::new();
    let totp = rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    let code = totp.code(rig.now());
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(give_code(&rig, &offered, &code).await.0, 200);
    let offered = rig.browser().log_in("alice@pve").await;
    for _ in 0..TOTP_FAILURES {
        assert_eq!(cause(&give_code(&rig, &offered, &code).await.1), "code_reused");
    }
    assert_eq!(rig.events(EventKind::TotpLocked).len(), 1);
}

#[tokio::test]
async fn a_hundred_failures_in_a_row_lock_the_account_for_an_hour_recovery_included() {
    let rig = Rig::new();
    let keys = rig.new_user("alice@pve").await.add_recovery_keys().await;
    let offered = rig.browser().log_in("alice@pve").await;
    for _ in 0..FAILURES {
        let (status, answer) = give(&rig, &offered, "recovery", "key", "0000-0000-0000-0000").await;
        assert_eq!((status, cause(&answer)), (401, "wrong_recovery_key"));
    }
    assert_eq!(rig.events(EventKind::AccountLocked).len(), 1);
    let (_, answer) = give(&rig, &offered, "recovery", "key", &keys[0]).await;
    assert_eq!(cause(&answer), "account_locked");
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    assert_eq!(cause(&rig.browser().refused("POST", "/api/login", Some(body.clone())).await), "account_locked");
    rig.clock.advance(LOCK_TIME - Duration::from_secs(1));
    assert_eq!(cause(&rig.browser().refused("POST", "/api/login", Some(body)).await), "account_locked");
    rig.clock.advance(Duration::from_secs(1));
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(give(&rig, &offered, "recovery", "key", &keys[0]).await.0, 200);
}

#[tokio::test]
async fn an_administrator_releases_the_account() {
    let rig = Rig::new();
    let keys = rig.new_user("alice@pve").await.add_recovery_keys().await;
    let offered = rig.browser().log_in("alice@pve").await;
    for _ in 0..FAILURES {
        give(&rig, &offered, "recovery", "key", "wrong").await;
    }
    let name = "alice@pve".parse().unwrap();
    assert!(rig.store().user(&name).unwrap().is_locked(rig.now()));
    assert!(rig.store().unlock(&name, &By::command_line(rig.now())).unwrap());
    assert!(!rig.store().unlock(&name, &By::command_line(rig.now())).unwrap(), "nothing is locked any more");
    assert_eq!(give(&rig, &offered, "recovery", "key", &keys[0]).await.0, 200);
}

#[tokio::test]
async fn a_success_ends_the_row() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    browser.add_recovery_keys().await;
    let mut key = Key::default();
    browser.register(&mut key, "key").await;
    for _ in 0..2 {
        let offered = rig.browser().log_in("alice@pve").await;
        for _ in 0..FAILURES - 1 {
            give(&rig, &offered, "recovery", "key", "wrong").await;
        }
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        rig.browser().post("/api/login/webauthn", login(&offered, &credential)).await;
    }
    assert!(rig.events(EventKind::AccountLocked).is_empty());
}

/// Only who knows the password can lock somebody out.
#[tokio::test]
async fn wrong_passwords_lock_nobody_out() {
    let rig = Rig::new();
    rig.new_user("alice@pve").await;
    for _ in 0..FAILURES + 1 {
        let body = json!({ "user": "alice@pve", "password": "wrong password" });
        rig.browser().refused("POST", "/api/login", Some(body)).await;
    }
    rig.browser().log_in("alice@pve").await;
}

/// Guesses that are sent all at once are counted one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_codes_at_once_are_no_more_than_eight_guesses() {
    let rig = Rig::new();
    let totp = rig.new_user("alice@pve").await.enrol_totp(&rig).await;
    let offered = rig.browser().log_in("alice@pve").await;
    let right = totp.code(rig.now());
    let wrong = if right == "123456" { "654321" } else { "123456" };
    let guesses = (0..100).map(|_| {
        let (mut browser, body) = (rig.browser(), json!({ "login": offered["login"], "code": wrong }));
        tokio::spawn(async move { browser.send("POST", "/api/login/totp", Some(&body)).await.1 })
    });
    let mut looked_at = 0;
    for guess in guesses.collect::<Vec<_>>() {
        let answer = guess.await.unwrap();
        looked_at += u32::from(cause(&answer) == "wrong_code");
    }
    assert_eq!(looked_at, TOTP_FAILURES);
}
