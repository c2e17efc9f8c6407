//! A factor that cannot be checked blocks the login: one test for each way to break it. The database is broken from
//! outside, as a disk or a hand would.

use std::path::Path;

use keyrig_relying_party::{DATABASE_FILE, Event, EventKind, Settings, Store};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig};

/// What a user has beside what is broken: it would do for a login otherwise.
struct Broken {
    directory: TempDir,
    keys: Vec<String>,
    key: Key,
}

impl Broken {
    /// A user with a key, TOTP and recovery keys.
    async fn prepare() -> Self {
        let directory = TempDir::new().unwrap();
        let rig = rig(directory.path(), Ok(Settings::new(RP_ID, ORIGIN)));
        let mut browser = rig.new_user("alice@pve").await;
        let mut key = Key::default();
        browser.register(&mut key, "key").await;
        browser.enrol_totp(&rig).await;
        let keys = browser.add_recovery_keys().await;
        Self { directory, keys, key }
    }

    fn sql(&self, statements: &str) {
        let connection = Connection::open(self.directory.path().join(DATABASE_FILE)).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
        connection.execute_batch(statements).unwrap();
        assert!(connection.changes() > 0, "{statements}: nothing was broken");
    }

    fn rig(&self) -> Rig {
        rig(self.directory.path(), Ok(Settings::new(RP_ID, ORIGIN)))
    }
}

fn rig(directory: &Path, settings: Result<Settings, String>) -> Rig {
    Rig::on(Store::open(directory).unwrap(), settings, false)
}

async fn password(rig: &Rig) -> (u16, Value) {
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    let (status, answer) = rig.browser().send("POST", "/api/login", Some(&body)).await;
    (status.as_u16(), answer)
}

/// The password leads nowhere, and the administrator is told why.
async fn assert_blocked(rig: &Rig, words: &str) -> Event {
    let (status, answer) = password(rig).await;
    assert_eq!((status, &answer["code"]), (503, &json!("login_blocked")), "{answer}");
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("ask an administrator") && !reason.contains(words), "the user is not told: {reason}");
    let (event, report) = rig.store().report(answer["report_id"].as_str().unwrap()).unwrap().unwrap();
    assert_eq!((event.kind, event.user.as_deref()), (EventKind::LoginBlocked, Some("alice@pve")));
    let explanation = report["explanation"].as_str().unwrap();
    assert!(explanation.contains(words), "{explanation}");
    event
}

#[tokio::test]
async fn a_factor_whose_row_is_broken_blocks() {
    let cases = [
        ("UPDATE factors SET kind = 'u2f' WHERE kind = 'webauthn'", "does not know that kind of factor"),
        ("DELETE FROM webauthn_credentials", "is missing"),
        ("UPDATE webauthn_credentials SET transports = '{'", "transports"),
        ("UPDATE webauthn_credentials SET sign_count = -1", "out of range"),
        ("UPDATE webauthn_credentials SET aaguid = x'00'", "index: 9"),
        ("DELETE FROM totp", "is missing"),
        ("UPDATE totp SET secret = x''", "secret"),
        ("UPDATE totp SET algorithm = 'MD5'", "MD5"),
        ("UPDATE totp SET digits = 99", "99 digits"),
        ("UPDATE totp SET step = 0", "period"),
        ("UPDATE totp SET last_step = -5", "out of range"),
        ("DELETE FROM recovery_sets", "is missing"),
        ("UPDATE recovery_keys SET hash = x'00' WHERE number = 3", "index: 1"),
    ];
    for (statement, words) in cases {
        let broken = Broken::prepare().await;
        broken.sql(statement);
        let rig = broken.rig();
        let (status, answer) = password(&rig).await;
        assert_eq!((status, &answer["code"]), (503, &json!("login_blocked")), "{statement}: {answer}");
        let (_, report) = rig.store().report(answer["report_id"].as_str().unwrap()).unwrap().unwrap();
        assert_eq!(report["cause"], "factor_unservable", "{statement}");
        assert!(report["explanation"].as_str().unwrap().contains(words), "{statement}: {report}");
    }
}

/// What is disabled was taken out of service by somebody who may: it blocks nothing.
#[tokio::test]
async fn a_broken_factor_that_is_disabled_or_deleted_blocks_nothing() {
    let broken = Broken::prepare().await;
    broken.sql("DELETE FROM webauthn_credentials");
    let rig = broken.rig();
    assert_blocked(&rig, "is missing").await;
    let name = "alice@pve".parse().unwrap();
    let id = rig.store().factors(&name).unwrap().iter().find(|factor| factor.kind() == "webauthn").unwrap().id.clone();
    let which = keyrig_relying_party::Which::One(&id);
    rig.store().delete_factors(&name, which, false, &keyrig_relying_party::By::command_line(rig.now())).unwrap();
    let (status, answer) = password(&rig).await;
    assert_eq!((status, &answer["factors"]["totp"]), (200, &json!(true)));
}

#[tokio::test]
async fn settings_of_webauthn_that_are_wrong_or_unreadable_block() {
    let wrong = [
        (Ok(Settings::new("pve.example.com:8006", ORIGIN)), "has a port"),
        (Ok(Settings::new("192.0.2.7", "https://192.0.2.7")), "IP address"),
        (Ok(Settings::new(RP_ID, "https://elsewhere.example")), "neither the RP ID"),
        (Ok(Settings::new("", ORIGIN)), "empty"),
        (Err("datacenter.cfg cannot be read: permission denied".to_owned()), "permission denied"),
    ];
    let broken = Broken::prepare().await;
    for (settings, words) in wrong {
        let rig = rig(broken.directory.path(), settings);
        assert!(rig.relying_party.webauthn_problem().unwrap().contains(words));
        assert_blocked(&rig, words).await;
    }
    // Who has no security key is not concerned.
    let rig = rig(broken.directory.path(), Err("unreadable".to_owned()));
    let totp = rig.new_user("bob@pve").await.enrol_totp(&rig).await;
    let offered = rig.browser().log_in("bob@pve").await;
    let body = json!({ "login": offered["login"], "code": totp.code(rig.now()) });
    rig.browser().post("/api/login/totp", body).await;
}

/// It blocks at every step, not at the first alone.
#[tokio::test]
async fn what_breaks_between_the_steps_blocks_the_next() {
    let mut broken = Broken::prepare().await;
    let good = broken.rig();
    let offered = good.browser().log_in("alice@pve").await;
    let credential = broken.key.get(&offered["factors"]["webauthn"]).await.unwrap();
    broken.sql("UPDATE totp SET digits = 99");
    let attempts = [
        ("/api/login/recovery", json!({ "login": offered["login"], "key": broken.keys[0] })),
        ("/api/login/webauthn", crate::rig::login(&offered, &credential)),
        ("/api/login/webauthn/begin", json!({ "login": offered["login"] })),
    ];
    for (path, body) in attempts {
        let (status, answer) = good.browser().send("POST", path, Some(&body)).await;
        assert_eq!((status.as_u16(), &answer["code"]), (503, &json!("login_blocked")), "{path}");
    }
    // Nothing was used up that could not be looked at.
    broken.sql("UPDATE totp SET digits = 6");
    let body = json!({ "login": offered["login"], "key": broken.keys[0] });
    good.browser().post("/api/login/recovery", body).await;
}

#[tokio::test]
async fn a_database_that_fails_ends_the_request() {
    for statement in [
        "ALTER TABLE factors RENAME TO gone",
        "ALTER TABLE totp RENAME TO gone",
        "ALTER TABLE realms RENAME TO gone",
        "ALTER TABLE logins RENAME TO gone",
        "ALTER TABLE challenges RENAME TO gone",
        "ALTER TABLE events RENAME TO gone",
    ] {
        let broken = Broken::prepare().await;
        let rig = broken.rig();
        // A table that is gone leaves no row changed.
        let connection = Connection::open(broken.directory.path().join(DATABASE_FILE)).unwrap();
        connection.execute_batch(statement).unwrap();
        let (status, answer) = password(&rig).await;
        assert!(!answer.to_string().contains("no such table"), "{answer}");
        let expected = if statement.contains(" events ") {
            // The password is right and there is nothing to say about it yet: the event comes with the session.
            (200, json!("second_factor"))
        } else {
            (503, json!("unavailable"))
        };
        let found = if status == 200 { &answer["state"] } else { &answer["code"] };
        assert_eq!((status, found), (expected.0, &expected.1), "{statement}: {answer}");
    }
}

/// A realm whose requirement cannot be read is not one that requires nothing.
#[tokio::test]
async fn a_realm_that_cannot_be_read_lets_nobody_in() {
    let broken = Broken::prepare().await;
    for statement in ["UPDATE realms SET requirement = 'nothing'", "UPDATE realms SET requirement = 'oath'"] {
        broken.sql(statement);
        assert_eq!(password(&broken.rig()).await.0, 503, "{statement}");
    }
}

#[tokio::test]
async fn a_session_that_begins_is_in_the_log_or_does_not_begin() {
    let mut broken = Broken::prepare().await;
    let rig = broken.rig();
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = broken.key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let connection = Connection::open(broken.directory.path().join(DATABASE_FILE)).unwrap();
    connection.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    let body = crate::rig::login(&offered, &credential);
    let (status, answer) = rig.browser().send("POST", "/api/login/webauthn", Some(&body)).await;
    assert_eq!((status.as_u16(), &answer["code"]), (503, &json!("unavailable")));
    let sessions: u32 = connection
        .query_row("SELECT count(*) FROM sessions JOIN users ON users.id = user WHERE kind = 'full'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(sessions, 1, "that of the preparation");
}

/// An unreadable hash of a password is no password that anybody has.
#[tokio::test]
async fn a_password_that_cannot_be_read_is_nobodys() {
    let broken = Broken::prepare().await;
    broken.sql("UPDATE local_passwords SET hash = ''");
    let rig = broken.rig();
    let (status, answer) = password(&rig).await;
    assert_eq!((status, &answer["code"]), (401, &json!("authentication_failed")));
    let (_, report) = rig.store().report(answer["report_id"].as_str().unwrap()).unwrap().unwrap();
    assert_eq!(report["cause"], "password_unreadable");
}
