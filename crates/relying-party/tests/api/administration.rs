//! What administrators and auditors may, and nobody else.

use keyrig_relying_party::{EventKind, Role};
use serde_json::{Value, json};

use crate::rig::{Browser, Key, PASSWORD, Rig, text};

async fn browser_of(rig: &Rig, name: &str, role: Role) -> Browser {
    rig.add_user(name, role);
    let mut browser = rig.browser();
    browser.log_in(name).await;
    browser.confirm().await;
    browser
}

fn requests() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("POST", "/api/users", Some(json!({ "user": "new@pve", "role": "administrator", "password": PASSWORD }))),
        ("PATCH", "/api/users/alice@pve", Some(json!({ "role": "administrator" }))),
        ("DELETE", "/api/users/root@pam", None),
        ("PUT", "/api/users/root@pam/password", Some(json!({ "password": "another password" }))),
        ("POST", "/api/users/alice@pve/unlock", None),
        ("DELETE", "/api/users/root@pam/sessions", None),
        ("DELETE", "/api/users/root@pam/factors", None),
        ("DELETE", "/api/users/root@pam/factors/x", None),
        ("PATCH", "/api/users/root@pam/factors/x", Some(json!({}))),
        ("PUT", "/api/realms/pve", Some(json!({ "requirement": { "type": "none" } }))),
        ("GET", "/api/reports/x", None),
        ("POST", "/api/users/root@pam/tokens", Some(json!({ "name": "ci" }))),
        ("DELETE", "/api/users/root@pam/tokens/ci", None),
        ("POST", "/api/groups", Some(json!({ "name": "ops" }))),
        ("PATCH", "/api/groups/ops", Some(json!({ "roles": ["Administrator"] }))),
        ("DELETE", "/api/groups/ops", None),
    ]
}

#[tokio::test]
async fn each_role_may_what_it_may() {
    let rig = Rig::new();
    let mut root = browser_of(&rig, "root@pam", Role::Administrator).await;
    let mut auditor = browser_of(&rig, "audit@pve", Role::Auditor).await;
    let mut alice = browser_of(&rig, "alice@pve", Role::User).await;
    for (method, path, body) in requests() {
        for browser in [&mut auditor, &mut alice] {
            assert_eq!(browser.refused_code(method, path, body.clone()).await, "forbidden", "{method} {path}");
        }
        let mut nobody = rig.browser();
        assert_eq!(nobody.refused_code(method, path, body).await, "not_logged_in", "{method} {path}");
    }
    for path in ["/api/users", "/api/audit", "/api/events", "/api/users/root@pam/factors", "/api/users/root@pam/tokens"]
    {
        root.get(path).await;
        auditor.get(path).await;
        assert_eq!(alice.refused_code("GET", path, None).await, "forbidden", "{path}");
    }
    alice.get("/api/users/alice@pve/factors").await;
    assert_eq!(rig.store().users().unwrap().len(), 3);
}

#[tokio::test]
async fn an_administrator_adds_changes_and_deletes_users() {
    let rig = Rig::new();
    let mut root = browser_of(&rig, "root@pam", Role::Administrator).await;
    let new = json!({ "user": "bob@pve", "role": "user", "password": "a good password" });
    root.post("/api/users", new.clone()).await;
    assert_eq!(root.refused_code("POST", "/api/users", Some(new)).await, "user_exists");
    let mut bob = rig.browser();
    let login = |password: &str| json!({ "user": "bob@pve", "password": password });
    bob.post("/api/login", login("a good password")).await;
    root.accepted("PUT", "/api/users/bob@pve/password", Some(json!({ "password": "a new password" }))).await;
    assert_eq!(bob.refused_code("GET", "/api/session", None).await, "not_logged_in");
    bob.post("/api/login", login("a new password")).await;
    let change = json!({ "enabled": false, "comment": "left" });
    let changed = root.accepted("PATCH", "/api/users/bob@pve", Some(change)).await;
    assert_eq!((&changed["enabled"], &changed["comment"]), (&json!(false), &json!("left")));
    assert_eq!(bob.refused_code("POST", "/api/login", Some(login("a new password"))).await, "authentication_failed");
    root.accepted("DELETE", "/api/users/bob@pve", None).await;
    assert_eq!(root.refused_code("DELETE", "/api/users/bob@pve", None).await, "unknown_user");
    for (body, code) in [
        (json!({ "user": "c", "role": "user", "password": PASSWORD }), "bad_user_name"),
        (json!({ "user": "c@ldap", "role": "user", "password": PASSWORD }), "unknown_realm"),
        (json!({ "user": "c@pve", "role": "user", "password": "short" }), "bad_password"),
        (json!({ "user": "c@pve", "role": "king", "password": PASSWORD }), "bad_request"),
    ] {
        assert_eq!(root.refused_code("POST", "/api/users", Some(body)).await, code);
    }
    assert_eq!(root.refused_code("DELETE", "/api/users/root@pam", None).await, "last_administrator");
    let realm = json!({ "requirement": { "type": "oath", "digits": 5, "step": 30 } });
    assert_eq!(root.refused_code("PUT", "/api/realms/pve", Some(realm)).await, "bad_oath");
    let kinds: Vec<_> =
        [EventKind::UserAdded, EventKind::PasswordChanged, EventKind::UserChanged, EventKind::UserDeleted]
            .into_iter()
            .flat_map(|kind| rig.events(kind).into_iter().filter(|event| event.user.as_deref() == Some("bob@pve")))
            .map(|event| event.actor)
            .collect();
    assert_eq!(kinds, ["root@pam"; 4]);
}

#[tokio::test]
async fn changes_need_the_password_again() {
    let rig = Rig::new();
    rig.add_user("root@pam", Role::Administrator);
    let mut root = rig.browser();
    root.log_in("root@pam").await;
    let realm = json!({ "requirement": { "type": "any" } });
    assert_eq!(root.refused_code("PUT", "/api/realms/pve", Some(realm.clone())).await, "confirmation_required");
    root.confirm().await;
    root.accepted("PUT", "/api/realms/pve", Some(realm)).await;
    let realms = root.get("/api/realms").await;
    let pve = realms.as_array().unwrap().iter().find(|realm| realm["name"] == "pve").unwrap();
    assert_eq!(pve["requirement"], json!({ "type": "any" }));
}

#[tokio::test]
async fn a_report_is_for_administrators() {
    let rig = Rig::new();
    let mut root = browser_of(&rig, "root@pam", Role::Administrator).await;
    let mut key = Key::default();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let credential =
        key.get_with_members(&offered["factors"]["webauthn"], &[("origin", json!("https://x.example"))]).await;
    let body = crate::rig::login(&offered, &credential);
    let refused = rig.browser().refused("POST", "/api/login/webauthn", Some(body)).await;
    let id = text(&refused["report_id"]);
    let found = root.get(&format!("/api/reports/{id}")).await;
    assert_eq!((&found["event"]["kind"], &found["event"]["user"]), (&json!("login_refused"), &json!("alice@pve")));
    let checks = found["report"]["verification"]["checks"].as_array().unwrap();
    let origin = checks.iter().find(|check| check["id"] == "origin").unwrap();
    assert_eq!((&origin["outcome"], &origin["found"]), (&json!("fail"), &json!("https://x.example")));
    let events = root.get("/api/events?user=alice@pve&limit=1").await;
    assert_eq!(events[0]["report_id"], json!(id));
    assert_eq!(root.refused_code("GET", "/api/reports/0000000000000000", None).await, "unknown_report");
    assert_eq!(root.refused_code("GET", "/api/events?limit=-1", None).await, "bad_request");
}

#[tokio::test]
async fn lost_keys_are_deleted_and_the_user_starts_again() {
    let rig = Rig::new();
    let mut root = browser_of(&rig, "root@pam", Role::Administrator).await;
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut Key::default(), "lost").await;
    alice.enrol_totp(&rig).await;
    let deleted = root.accepted("DELETE", "/api/users/alice@pve/factors", None).await;
    assert_eq!(deleted.as_array().unwrap().len(), 2);
    assert_eq!(rig.browser().log_in("alice@pve").await["state"], "logged_in");
    assert_eq!(rig.events(EventKind::FactorDeleted).len(), 2);
}

/// The findings of the command line's audit, in its words, a part at a time.
#[tokio::test]
async fn the_audit_says_of_each_user_what_there_is_to_say() {
    let rig = Rig::new();
    let mut root = browser_of(&rig, "root@pam", Role::Administrator).await;
    root.enrol_totp(&rig).await;
    rig.add_user("alice@pve", Role::User);
    let lines = root.get("/api/audit").await;
    let found = |user: &Value| {
        let findings = user["findings"].as_array().unwrap().iter();
        (text(&user["name"]), findings.map(|found| (text(&found["code"]), text(&found["text"]))).collect::<Vec<_>>())
    };
    let owned = |code: &str, text: &str| (code.to_owned(), text.to_owned());
    let found: Vec<_> = lines.as_array().unwrap().iter().map(found).collect();
    let of_root =
        vec![owned("only_one_factor", "has only one factor"), owned("no_recovery_keys", "has no recovery keys")];
    let of_alice = vec![owned("no_factor", "has no second factor")];
    assert_eq!(found, [("root@pam".to_owned(), of_root), ("alice@pve".to_owned(), of_alice)]);
    assert_eq!(lines[0]["requirement"], json!({ "type": "none" }));
    assert_eq!(lines[0]["factors"][0]["type"], "totp");
    let rest = root.get("/api/audit?after=root@pam").await;
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["name"]), (1, &json!("alice@pve")));
}
