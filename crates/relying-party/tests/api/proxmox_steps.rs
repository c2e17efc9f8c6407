//! Second steps in Proxmox VE's shapes that go wrong, calls with parameters that they do not take, and the server of a policy that lets
//! anybody in.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use keyrig_relying_party::{
    DATABASE_FILE, EventKind, Options, PROXMOX_ROUTES, PasswordCost, Policy, Role, Settings, Store,
};
use serde_json::{Value, json};

use crate::program::{Program, app, enrol_totp, log_in, site, ticket};
use crate::rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig};

async fn half(rig: &Rig, user: &str) -> String {
    let half = log_in(rig, &[("username", user), ("password", PASSWORD)]).await.data();
    half["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_refused_as_any_other_and_written_down() {
    let rig = site();
    enrol_totp(&rig, &ticket(&rig, "root@pam").await, "root@pam").await;
    for (answer, cause) in [
        ("u2f:{}", "the answer cannot be read: it begins with none of totp:, recovery: and webauthn:"),
        ("my password: x", "the answer cannot be read: it begins with none of totp:, recovery: and webauthn:"),
        ("webauthn:x", "the answer cannot be read: what follows webauthn: is not JSON"),
        ("webauthn:{}", "the answer cannot be read: "),
        (r#"webauthn:{"id":1}"#, "the answer cannot be read: "),
        ("webauthn:[]", "the answer cannot be read: "),
        ("totp:", "a code is 6 digits"),
        ("", "a code is 6 digits"),
    ] {
        let half = half(&rig, "root@pam").await;
        let parameters = [("username", "root@pam"), ("tfa-challenge", half.as_str()), ("password", answer)];
        log_in(&rig, &parameters).await.refused(401, "authentication failure");
        let refused = rig.events(EventKind::LoginRefused);
        assert_eq!(refused[0].user.as_deref(), Some("root@pam"));
        assert!(refused[0].detail.starts_with(cause), "{answer}: {}", refused[0].detail);
        assert!(!refused[0].detail.contains("my password"));
    }
    assert_eq!(rig.events(EventKind::LoginRefused).len(), 8);
}

/// Sixty-four keys are as many as a user has. What their identifiers take has a bound, and who is beyond it is told nothing else than any.
#[tokio::test]
async fn half_a_ticket_with_all_keys_that_a_user_can_have_goes_into_a_form() {
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy::built_in("proxmox-9").unwrap();
    let settings = Settings { policy, ..Settings::new(RP_ID, ORIGIN) };
    let store = Store::open(directory.path()).unwrap();
    let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store) };
    let rig = Rig::with_options(Ok(settings), options);
    rig.add_user("alice@pve", Role::User);
    let program = ticket(&rig, "alice@pve").await;
    let mut keys: Vec<Key> = Vec::new();
    for number in 0..64 {
        let begun = program
            .call(&rig, "POST", "/access/tfa/alice@pve", &[("type", "webauthn"), ("password", PASSWORD)])
            .await
            .data();
        let options: Value = serde_json::from_str(begun["challenge"].as_str().unwrap()).unwrap();
        let mut key = Key::default();
        let credential = key.create(&json!({ "options": options })).await.unwrap().to_string();
        let challenge = options["publicKey"]["challenge"].as_str().unwrap();
        let description = format!("key {number}");
        let parameters = [
            ("type", "webauthn"),
            ("description", description.as_str()),
            ("challenge", challenge),
            ("value", &credential),
        ];
        program.call(&rig, "POST", "/access/tfa/alice@pve", &parameters).await.data();
        keys.push(key);
    }
    // Of as many bytes as a YubiKey's are.
    let database = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let of_last: Vec<u8> = database
        .query_row(
            "SELECT credential_id FROM webauthn_credentials JOIN factors ON factor = id WHERE description = 'key 63'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let lengthen = |bytes: usize| {
        let sql = "UPDATE webauthn_credentials SET credential_id = randomblob(?) WHERE credential_id != ?";
        database.execute(sql, rusqlite::params![bytes, of_last]).unwrap()
    };
    assert_eq!(lengthen(128), 63);
    let text = half(&rig, "alice@pve").await;
    assert!(text.len() > 12_000, "{}", text.len());
    let payload = text.strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap();
    let offered: Value = serde_json::from_str(&payload.replace("%3A", ":").replace("%25", "%")).unwrap();
    assert_eq!(offered["webauthn"]["publicKey"]["allowCredentials"].as_array().unwrap().len(), 64);
    let assertion = keys[63].get(&json!({ "options": offered["webauthn"] })).await.unwrap();
    let answer = format!("webauthn:{assertion}");
    let parameters = [("username", "alice@pve"), ("tfa-challenge", text.as_str()), ("password", answer.as_str())];
    Program::of(&log_in(&rig, &parameters).await.data()).get(&rig, "/version").await;

    assert_eq!(lengthen(1023), 63);
    let refused = log_in(&rig, &[("username", "alice@pve"), ("password", PASSWORD)]).await;
    refused.refused(401, "authentication failure");
    assert!(rig.events(EventKind::LoginBlocked)[0].detail.starts_with("the user's keys have identifiers"));
}

#[tokio::test]
async fn a_call_that_takes_no_parameters_refuses_what_is_sent() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let id = root.call(&rig, "POST", "/access/tfa/root@pam", &[("type", "recovery")]).await.data()["id"].clone();
    root.call(&rig, "POST", "/access/users/root@pam/token/ci", &[]).await.data();
    for (method, path) in PROXMOX_ROUTES {
        let path =
            path.replace("{userid}", "root@pam").replace("{tokenid}", "ci").replace("{id}", id.as_str().unwrap());
        let path = format!("/api2/json{path}?unheard-of=1");
        let answer = root.raw(&rig, method, &path, None, String::new()).await;
        assert_eq!((answer.status.as_u16(), answer.reason.as_str()), (400, "Parameter verification failed."), "{path}");
        assert!(answer.body["errors"].as_object().unwrap().contains_key("unheard-of"), "{path}");
    }
}

/// With the administrator's own password, as there.
#[tokio::test]
async fn an_administrator_adds_factors_for_others_and_nobody_else_does() {
    let rig = site();
    rig.add_user("admin@pve", Role::Administrator);
    let (root, admin) = (ticket(&rig, "root@pam").await, ticket(&rig, "admin@pve").await);
    let (auditor, alice) = (ticket(&rig, "auditor@pve").await, ticket(&rig, "alice@pve").await);
    let path = "/access/tfa/alice@pve";
    let (uri, totp) = app();
    let code = totp.code(rig.now());
    let with_totp = [("type", "totp"), ("totp", uri.as_str()), ("value", &code)];
    let confirmed = [("type", "totp"), ("totp", uri.as_str()), ("value", &code), ("password", PASSWORD)];
    assert_eq!(admin.call(&rig, "POST", path, &with_totp).await.status, StatusCode::FORBIDDEN, "without the password");
    auditor.call(&rig, "POST", path, &confirmed).await.refused(403, "Permission check failed");
    let of_root = [("type", "recovery"), ("password", PASSWORD)];
    alice.call(&rig, "POST", "/access/tfa/root@pam", &of_root).await.refused(403, "Permission check failed");
    assert_eq!(alice.get(&rig, path).await, json!([]));
    admin.call(&rig, "POST", path, &confirmed).await.data();
    // root@pam is asked for no password.
    root.call(&rig, "POST", path, &[("type", "recovery")]).await.data();
    let begun = root.call(&rig, "POST", path, &[("type", "webauthn")]).await.data();
    let options: Value = serde_json::from_str(begun["challenge"].as_str().unwrap()).unwrap();
    assert_eq!(options["publicKey"]["user"]["name"], "alice@pve");
    let credential = Key::default().create(&json!({ "options": options })).await.unwrap().to_string();
    let challenge = options["publicKey"]["challenge"].as_str().unwrap();
    let ended = [("type", "webauthn"), ("challenge", challenge), ("value", &credential)];
    // What was begun for one is not ended for another.
    assert_eq!(root.call(&rig, "POST", "/access/tfa/root@pam", &ended).await.status, StatusCode::GONE);
    root.call(&rig, "POST", path, &ended).await.data();
    let kinds: BTreeSet<String> = alice
        .get(&rig, path)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["recovery", "totp", "webauthn"].map(str::to_owned).into());
    assert_eq!(root.get(&rig, "/access/tfa/root@pam").await, json!([]));
    let added = rig.events(EventKind::FactorAdded);
    let by: Vec<_> = added.iter().map(|event| (event.user.as_deref(), event.actor.as_str())).collect();
    assert_eq!(
        by,
        [(Some("alice@pve"), "root@pam"), (Some("alice@pve"), "root@pam"), (Some("alice@pve"), "admin@pve")]
    );
    root.call(&rig, "POST", "/access/tfa/nobody@pve", &[("type", "recovery")])
        .await
        .refused(500, "no such user ('nobody@pve')");
}

/// CVE-2023-54391, as Proxmox VE 7.0 to 8.0.3 had it: for tests of what has to notice it.
#[tokio::test]
async fn the_policy_of_the_hole_lets_anybody_in_who_sends_a_challenge_and_the_others_do_not() {
    let wrong = [("username", "root@pam"), ("tfa-challenge", "1"), ("password", "x")];
    for name in Policy::built_in_names() {
        let rig = Rig::with_policy(name);
        rig.add_user("root@pam", Role::Administrator);
        rig.add_user("alice@pve", Role::User);
        let alice = ticket(&rig, "alice@pve").await;
        let answer = log_in(&rig, &wrong).await;
        assert_eq!(answer.status == StatusCode::OK, name == "pve-8.0.3", "{name}: {answer:?}");
        if name != "pve-8.0.3" {
            continue;
        }
        Program::of(&answer.data()).get(&rig, "/access/acl").await;
        let logged_in = rig.events(EventKind::LoggedIn);
        let detail = &logged_in.iter().find(|event| event.user.as_deref() == Some("root@pam")).unwrap().detail;
        assert_eq!(detail, "without a password, by the hole of CVE-2023-54391");
        // Without the parameter it is a server like the others.
        log_in(&rig, &[("username", "root@pam"), ("password", "x")]).await.refused(401, "authentication failure");
        // Who has a second factor is asked for that alone.
        let totp = enrol_totp(&rig, &alice, "alice@pve").await;
        let of_alice = |answer: &str| {
            [("username", "alice@pve"), ("tfa-challenge", ""), ("password", answer)]
                .map(|(name, value)| (name, value.to_owned()))
        };
        for (answer, status) in [("totp:000000".to_owned(), 401), (format!("totp:{}", totp.code(rig.now())), 200)] {
            let sent = of_alice(&answer);
            let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(log_in(&rig, &sent).await.status.as_u16(), status, "{answer}");
        }
        log_in(&rig, &[("username", "nobody@pve"), ("tfa-challenge", "1"), ("password", "x")])
            .await
            .refused(401, "authentication failure");
    }
}

/// Who has overheard both steps, or whose proxy sends one again, comes too late, however little.
#[tokio::test]
async fn a_second_step_that_is_sent_many_times_at_once_begins_one_session() {
    let rig = site();
    let totp = enrol_totp(&rig, &ticket(&rig, "root@pam").await, "root@pam").await;
    let half = half(&rig, "root@pam").await;
    let code = format!("totp:{}", totp.code(rig.now()));
    let step = [("username", "root@pam"), ("tfa-challenge", half.as_str()), ("password", code.as_str())];
    let once = || log_in(&rig, &step);
    let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401]);
    assert_eq!(rig.events(EventKind::LoggedIn).len(), 2, "the one before it, and this one");
    // Nor is it good for another answer, or together with another half.
    rig.clock.advance(Duration::from_secs(30));
    let next = format!("totp:{}", totp.code(rig.now()));
    let again = [("username", "root@pam"), ("tfa-challenge", half.as_str()), ("password", next.as_str())];
    log_in(&rig, &again).await.refused(401, "authentication failure");
}
