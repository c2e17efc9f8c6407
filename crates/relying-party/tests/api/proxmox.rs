//! The same decisions in Proxmox VE's shapes: what its clients send and read, and that nothing is let in by them which the other face
//! refuses. Forms, words and statuses are those that were observed with real clients and a real server.

use std::time::Duration;

use axum::http::StatusCode;
use keyrig_relying_party::{
    By, EventFilter, EventKind, PasswordCost, PasswordHash, Policy, RealmChange, Requirement, Role, SESSION_LIFETIME,
    Settings, SystemRandomness, UserChange, serve,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::{Program, app, enrol_totp, log_in, site, ticket};
use crate::revoked::Held;
use crate::rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig};

#[tokio::test]
async fn a_password_gives_a_ticket_in_a_form_or_in_json_with_the_realm_apart_or_not() {
    let rig = site();
    let form = log_in(&rig, &[("username", "root@pam"), ("password", PASSWORD)]).await.data();
    let apart =
        log_in(&rig, &[("username", "root"), ("realm", "pam"), ("password", PASSWORD), ("new-format", "1")]).await;
    let apart = apart.data();
    let body = json!({ "username": "root@pam", "password": PASSWORD }).to_string();
    let json =
        Program::default().raw(&rig, "POST", "/api2/json/access/ticket", Some("application/json"), body).await.data();
    for data in [form, apart, json] {
        assert_eq!(data["username"], "root@pam");
        assert!(data["cap"]["access"]["User.Modify"] == 1 && data.get("NeedTFA").is_none(), "{data}");
        // PVE:<user>:%08X::<base64>, and %08X:<base64 of a MAC>.
        let (head, signature) = data["ticket"].as_str().unwrap().split_once("::").unwrap();
        let time = format!("{:08X}", rig.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(head, format!("PVE:root@pam:{time}"));
        assert!(signature.len() > 40);
        assert!(data["CSRFPreventionToken"].as_str().unwrap().starts_with(&format!("{time}:")));
        let program = Program::of(&data);
        let version = program.get(&rig, "/version").await;
        assert_eq!(version["release"], "9.0");
        let repoid = version["repoid"].as_str().unwrap();
        assert!((8..=64).contains(&repoid.len()) && repoid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{repoid}");
    }
}

#[tokio::test]
async fn a_refused_login_is_one_answer_whatever_the_cause_and_the_log_says_which() {
    let rig = site();
    for (user, password) in [("root@pam", "wrong"), ("nobody@pam", PASSWORD), ("no name", PASSWORD), ("root@pam", "")] {
        log_in(&rig, &[("username", user), ("password", password)]).await.refused(401, "authentication failure");
    }
    let causes: Vec<_> = rig.events(EventKind::LoginRefused).into_iter().map(|event| event.detail).collect();
    assert_eq!(
        causes,
        ["the password is wrong", "no user can have this name", "there is no such user", "the password is wrong"]
    );
}

#[tokio::test]
async fn half_a_ticket_opens_nothing_and_a_code_makes_it_whole() {
    let rig = site();
    let totp = enrol_totp(&rig, &ticket(&rig, "root@pam").await, "root@pam").await;
    let half = log_in(&rig, &[("username", "root@pam"), ("password", PASSWORD)]).await.data();
    assert_eq!(half["NeedTFA"], 1);
    let text = half["ticket"].as_str().unwrap();
    let payload = text.strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap().replace("%3A", ":");
    assert_eq!(serde_json::from_str::<Value>(&payload).unwrap(), json!({ "totp": true }));
    let program = Program::of(&half);
    program.call(&rig, "GET", "/version", &[]).await.refused(401, "permission denied - invalid PVE ticket");
    program
        .call(&rig, "PUT", "/access/users/alice@pve/unlock-tfa", &[])
        .await
        .refused(401, "permission denied - invalid PVE ticket");
    // Nor is it a password that a ticket is renewed by.
    log_in(&rig, &[("username", "root@pam"), ("password", text)]).await.refused(401, "authentication failure");

    let answer = format!("totp:{}", totp.code(rig.now()));
    let parameters = [("username", "root@pam"), ("tfa-challenge", text), ("password", answer.as_str())];
    let whole = log_in(&rig, &parameters).await.data();
    assert!(whole.get("NeedTFA").is_none());
    Program::of(&whole).get(&rig, "/version").await;
    // A login leads to one session.
    log_in(&rig, &parameters).await.refused(401, "authentication failure");
}

#[tokio::test]
async fn a_code_can_come_with_the_password() {
    let rig = site();
    let totp = enrol_totp(&rig, &ticket(&rig, "root@pam").await, "root@pam").await;
    for prefix in ["totp:", ""] {
        let otp = format!("{prefix}{}", totp.code(rig.now()));
        let data = log_in(&rig, &[("username", "root@pam"), ("password", PASSWORD), ("otp", &otp)]).await.data();
        assert!(data.get("NeedTFA").is_none());
        log_in(&rig, &[("username", "root@pam"), ("password", PASSWORD), ("otp", &otp)])
            .await
            .refused(401, "authentication failure");
        rig.clock.advance(Duration::from_secs(30));
    }
    log_in(&rig, &[("username", "root@pam"), ("password", "wrong"), ("otp", &totp.code(rig.now()))])
        .await
        .refused(401, "authentication failure");
}

/// CVE-2023-54391: a parameter of the client's choice made the password unnecessary.
#[tokio::test]
async fn a_challenge_that_is_not_half_a_ticket_of_this_user_lets_nobody_in() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let alice = ticket(&rig, "alice@pve").await;
    let totp = enrol_totp(&rig, &root, "root@pam").await;
    let half = log_in(&rig, &[("username", "root@pam"), ("password", PASSWORD)]).await.data();
    let half = half["ticket"].as_str().unwrap();
    let forged = half.replace("::", "::A");
    let without_challenge = format!("totp:{}", totp.code(rig.now()));
    let full = root.ticket.clone().unwrap();
    let of_alice = alice.ticket.clone().unwrap();
    for challenge in ["", "1", forged.as_str(), &full, &of_alice, "PVE:!tfa!%7B%22totp%22%3Atrue%7D:6B02016B::AAAA"] {
        for password in [without_challenge.as_str(), PASSWORD, "", "totp:000000"] {
            let parameters = [("username", "root@pam"), ("tfa-challenge", challenge), ("password", password)];
            log_in(&rig, &parameters).await.refused(401, "authentication failure");
        }
    }
    // Another user's.
    let parameters = [("username", "alice@pve"), ("tfa-challenge", half), ("password", without_challenge.as_str())];
    log_in(&rig, &parameters).await.refused(401, "authentication failure");
    // Without one, the answer is no password.
    log_in(&rig, &[("username", "root@pam"), ("password", &without_challenge)])
        .await
        .refused(401, "authentication failure");
    // An old one.
    rig.clock.advance(Duration::from_secs(601));
    let code = format!("totp:{}", totp.code(rig.now()));
    let parameters = [("username", "root@pam"), ("tfa-challenge", half), ("password", code.as_str())];
    log_in(&rig, &parameters).await.refused(401, "authentication failure");
    let refused = rig.events(EventKind::LoginRefused);
    assert!(refused.iter().any(|event| event.detail.starts_with("the ticket is forged")), "{refused:?}");
}

#[tokio::test]
async fn a_ticket_is_renewed_by_itself_within_two_hours_and_by_no_other_user_s() {
    let rig = site();
    let program = ticket(&rig, "root@pam").await;
    rig.clock.advance(SESSION_LIFETIME - Duration::from_secs(60));
    let text = program.ticket.clone().unwrap();
    log_in(&rig, &[("username", "alice@pve"), ("password", &text)]).await.refused(401, "authentication failure");
    let renewed = Program::of(&log_in(&rig, &[("username", "root@pam"), ("password", &text)]).await.data());
    rig.clock.advance(Duration::from_secs(61));
    program.call(&rig, "GET", "/version", &[]).await.refused(401, "permission denied - invalid PVE ticket");
    log_in(&rig, &[("username", "root@pam"), ("password", &text)]).await.refused(401, "authentication failure");
    renewed.get(&rig, "/version").await;
}

#[tokio::test]
async fn what_changes_something_takes_the_token_against_cross_site_requests() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let alice = ticket(&rig, "alice@pve").await;
    for csrf in [None, Some(String::new()), alice.csrf.clone(), Some("6B02016B:AAAA".to_owned())] {
        let program = Program { csrf, ..root.clone() };
        let answer = program.call(&rig, "PUT", "/access/users/alice@pve", &[("comment", "x")]).await;
        answer.refused(401, "Permission denied - invalid csrf token");
        program.get(&rig, "/access/users").await;
    }
    root.call(&rig, "PUT", "/access/users/alice@pve", &[("comment", "x")]).await.data();
    assert_eq!(root.get(&rig, "/access/users/alice@pve").await["comment"], "x");
}

#[tokio::test]
async fn without_a_ticket_there_are_realms_and_nothing_else() {
    let rig = site();
    rig.require("pve", Requirement::Oath { digits: 6, step: 30 });
    let nobody = Program::default();
    let realms = nobody.get(&rig, "/access/domains").await;
    assert_eq!(realms[0]["realm"], "pam");
    assert_eq!((&realms[1]["realm"], &realms[1]["tfa"]), (&json!("pve"), &json!("oath")));
    assert_eq!(nobody.get(&rig, "/access/ticket").await, Value::Null);
    for (method, path) in keyrig_relying_party::PROXMOX_ROUTES {
        if *path == "/access/ticket" || (*method, *path) == ("GET", "/access/domains") {
            continue;
        }
        nobody.call(&rig, method, path, &[]).await.refused(401, "No ticket");
        for text in ["", "x", "PVE:root@pam:6B02016B::AAAA", "PVE%3Aroot@pam%3A6B02016B%3A%3A"] {
            let program = Program { ticket: Some(text.to_owned()), ..Program::default() };
            program.call(&rig, method, path, &[]).await.refused(401, "permission denied - invalid PVE ticket");
        }
        let program = Program { token: Some("root@pam!ci=x".to_owned()), ..Program::default() };
        let answer = program.call(&rig, method, path, &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    nobody.call(&rig, "GET", "/nodes", &[]).await.refused(501, "Method 'GET /nodes' not implemented");
}

/// RFC 3986, section 2.1: what is escaped are bytes, and these are no text.
#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_the_same_shape() {
    let rig = site();
    let program = ticket(&rig, "root@pam").await;
    for (method, path) in keyrig_relying_party::PROXMOX_ROUTES {
        let parts: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "%ff" } else { part }).collect();
        let bad = parts.join("/");
        if bad != *path {
            let answer = program.call(&rig, method, &bad, &[]).await;
            assert_eq!(
                (answer.status, &answer.body["data"]),
                (StatusCode::BAD_REQUEST, &Value::Null),
                "{method} {path}"
            );
            assert!(answer.reason.contains("UTF-8"), "{answer:?}");
        }
    }
}

/// Some clients write `%3A` for a colon; none means a space by `+`.
#[tokio::test]
async fn a_ticket_in_the_cookie_may_be_escaped_and_a_plus_is_a_plus() {
    let rig = site();
    let mut had_a_plus = false;
    for _ in 0..40 {
        let program = ticket(&rig, "root@pam").await;
        let text = program.ticket.clone().unwrap();
        had_a_plus |= text.contains('+');
        let escaped = text.replace(':', "%3A").replace('@', "%40").replace('=', "%3d");
        Program { ticket: Some(escaped), ..program }.get(&rig, "/version").await;
    }
    assert!(had_a_plus, "of so many tickets one has a plus");
}

#[tokio::test]
async fn a_key_is_added_in_two_calls_and_logs_in() {
    let rig = site();
    let (mut key, program) = (Key::default(), ticket(&rig, "alice@pve").await);
    let path = "/access/tfa/alice@pve";
    program
        .call(&rig, "POST", path, &[("type", "webauthn")])
        .await
        .refused(403, "confirm your password first: what you ask for needs that, and it is good for 300 s");
    let begun = program.call(&rig, "POST", path, &[("type", "webauthn"), ("password", PASSWORD)]).await.data();
    let options: Value = serde_json::from_str(begun["challenge"].as_str().unwrap()).unwrap();
    let credential = key.create(&json!({ "options": options })).await.unwrap();
    let sent = json!({
        "id": credential["id"], "type": "public-key", "rawId": credential["rawId"],
        "response": {
            "attestationObject": credential["response"]["attestationObject"],
            "clientDataJSON": credential["response"]["clientDataJSON"],
        },
    });
    let challenge = options["publicKey"]["challenge"].as_str().unwrap();
    let sent = sent.to_string();
    let second = [("type", "webauthn"), ("description", "blue key"), ("challenge", challenge), ("value", &sent)];
    let added = program.call(&rig, "POST", path, &second).await.data();
    // Each challenge is for one answer.
    let again = program.call(&rig, "POST", path, &second).await;
    assert_eq!(again.status, StatusCode::GONE, "{again:?}");
    let listed = program.get(&rig, path).await;
    assert_eq!(listed[0]["id"], added["id"]);
    assert_eq!((&listed[0]["type"], &listed[0]["description"]), (&json!("webauthn"), &json!("blue key")));
    assert!(listed[0].get("enable").is_none(), "that it is enabled is not said");

    let half = log_in(&rig, &[("username", "alice@pve"), ("password", PASSWORD)]).await.data();
    let text = half["ticket"].as_str().unwrap();
    let payload = text.strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap();
    let offered: Value = serde_json::from_str(&payload.replace("%3A", ":").replace("%25", "%")).unwrap();
    let assertion = key.get(&json!({ "options": offered["webauthn"] })).await.unwrap();
    let sent = json!({
        "id": assertion["id"], "type": "public-key", "rawId": assertion["rawId"],
        "challenge": offered["webauthn"]["publicKey"]["challenge"],
        "response": {
            "authenticatorData": assertion["response"]["authenticatorData"],
            "clientDataJSON": assertion["response"]["clientDataJSON"],
            "signature": assertion["response"]["signature"],
        },
    });
    let answer = format!("webauthn:{sent}");
    let parameters = [("username", "alice@pve"), ("tfa-challenge", text), ("password", answer.as_str())];
    Program::of(&log_in(&rig, &parameters).await.data()).get(&rig, "/version").await;
}

#[tokio::test]
async fn recovery_keys_are_ten_texts_once_and_each_lets_in_once() {
    let rig = site();
    let program = ticket(&rig, "alice@pve").await;
    let made =
        program.call(&rig, "POST", "/access/tfa/alice@pve", &[("type", "recovery"), ("password", PASSWORD)]).await;
    let made = made.data();
    // proxmox-tfa, api/methods: one set, by this name.
    assert_eq!(made["id"], "recovery");
    assert_eq!(program.get(&rig, "/access/tfa/alice@pve").await[0]["id"], "recovery");
    assert_eq!(program.get(&rig, "/access/tfa/alice@pve/recovery").await["type"], "recovery");
    let keys: Vec<String> = serde_json::from_value(made["recovery"].clone()).unwrap();
    assert_eq!(keys.len(), 10);
    let again =
        program.call(&rig, "POST", "/access/tfa/alice@pve", &[("type", "recovery"), ("password", PASSWORD)]).await;
    again.refused(500, "user already has recovery keys");
    for (used, status) in [(&keys[3], 200), (&keys[3], 401), (&keys[0], 200)] {
        let half = log_in(&rig, &[("username", "alice@pve"), ("password", PASSWORD)]).await.data();
        let answer = format!("recovery:{used}");
        let text = half["ticket"].as_str().unwrap();
        let parameters = [("username", "alice@pve"), ("tfa-challenge", text), ("password", answer.as_str())];
        assert_eq!(log_in(&rig, &parameters).await.status.as_u16(), status);
    }
    let half = log_in(&rig, &[("username", "alice@pve"), ("password", PASSWORD)]).await.data();
    let payload = half["ticket"].as_str().unwrap().strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap();
    let offered: Value = serde_json::from_str(&payload.replace("%3A", ":")).unwrap();
    assert_eq!(offered["recovery"], json!([1, 2, 4, 5, 6, 7, 8, 9]));
    let one = "/access/tfa/alice@pve/recovery";
    let change = [("enable", "0"), ("password", PASSWORD)];
    program.call(&rig, "PUT", one, &change).await.data();
    assert_eq!(program.get(&rig, one).await["enable"], json!(false));
    // As an administrator names it too.
    let root = ticket(&rig, "root@pam").await;
    root.call(&rig, "PUT", one, &[("enable", "1")]).await.data();
    assert!(program.get(&rig, one).await.get("enable").is_none());
    program.call(&rig, "DELETE", one, &[("password", PASSWORD)]).await.data();
    assert_eq!(program.get(&rig, "/access/tfa/alice@pve").await, json!([]));
    assert_eq!(program.call(&rig, "DELETE", one, &[("password", PASSWORD)]).await.body["data"], Value::Null);
}

#[tokio::test]
async fn an_administrator_sees_and_deletes_factors_and_unlocks_and_a_user_does_not() {
    let rig = site();
    let (root, alice) = (ticket(&rig, "root@pam").await, ticket(&rig, "alice@pve").await);
    enrol_totp(&rig, &alice, "alice@pve").await;
    let auditor = ticket(&rig, "auditor@pve").await;
    for program in [&root, &auditor] {
        let all = program.get(&rig, "/access/tfa").await;
        assert_eq!(all.as_array().unwrap().len(), 1);
        assert_eq!((&all[0]["userid"], &all[0]["entries"][0]["type"]), (&json!("alice@pve"), &json!("totp")));
    }
    let id = root.get(&rig, "/access/tfa/alice@pve").await[0]["id"].as_str().unwrap().to_owned();
    let one = format!("/access/tfa/alice@pve/{id}");
    auditor.call(&rig, "DELETE", &one, &[("password", PASSWORD)]).await.refused(403, "Permission check failed");
    alice.call(&rig, "GET", "/access/tfa/root@pam", &[]).await.refused(403, "Permission check failed");
    assert_eq!(alice.get(&rig, "/access/users/alice@pve/tfa").await, json!({ "user": "oath" }));
    root.call(&rig, "PUT", &one, &[("enable", "0")]).await.data();
    assert_eq!(root.get(&rig, &one).await["enable"], json!(false));
    // root@pam is not asked for a password.
    root.call(&rig, "DELETE", &one, &[]).await.data();
    assert_eq!(root.get(&rig, "/access/tfa").await, json!([]));
    assert_eq!(root.call(&rig, "PUT", "/access/users/alice@pve/unlock-tfa", &[]).await.data(), json!(false));
}

#[tokio::test]
async fn users_are_added_given_roles_disabled_and_deleted() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    root.call(&rig, "POST", "/access/users", &[("userid", "bob@pve"), ("password", PASSWORD), ("comment", "new")])
        .await
        .data();
    let acl = [("path", "/"), ("users", "bob@pve"), ("roles", "PVEAuditor")];
    root.call(&rig, "PUT", "/access/acl", &acl).await.data();
    let listed = root.get(&rig, "/access/acl").await;
    assert!(
        listed.as_array().unwrap().iter().any(|entry| entry["ugid"] == "bob@pve" && entry["roleid"] == "PVEAuditor")
    );
    let bob = ticket(&rig, "bob@pve").await;
    assert_eq!(bob.get(&rig, "/access/permissions").await["/"], json!({ "Sys.Audit": 1 }));
    root.call(&rig, "PUT", "/access/users/bob@pve", &[("enable", "0")]).await.data();
    bob.call(&rig, "GET", "/version", &[]).await.refused(401, "permission denied - invalid PVE ticket");
    root.call(&rig, "DELETE", "/access/users/bob@pve", &[]).await.data();
    root.call(&rig, "DELETE", "/access/users/bob@pve", &[]).await.refused(500, "no such user ('bob@pve')");
    let alice = ticket(&rig, "alice@pve").await;
    let mine = alice.get(&rig, "/access/users").await;
    assert_eq!(mine.as_array().unwrap().len(), 1);
    alice.call(&rig, "PUT", "/access/acl", &acl).await.refused(403, "Permission check failed (/, Permissions.Modify)");
}

#[tokio::test]
async fn groups_and_roles_give_rights_and_are_taken_again() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let alice = ticket(&rig, "alice@pve").await;
    let done = async |method: &str, path: &str, parameters: &[(&str, &str)]| {
        root.call(&rig, method, path, parameters).await.data();
    };
    let permissions = async || alice.get(&rig, "/access/permissions").await;
    done("POST", "/access/groups", &[("groupid", "admins"), ("comment", "all")]).await;
    done("POST", "/access/roles", &[("roleid", "Watch"), ("privs", "Sys.Audit")]).await;
    done("PUT", "/access/acl", &[("path", "/"), ("groups", "admins"), ("roles", "Watch")]).await;
    assert_eq!(permissions().await, json!({}));
    done("PUT", "/access/users/alice@pve", &[("groups", "admins")]).await;
    assert_eq!(permissions().await["/"], json!({ "Sys.Audit": 1 }));
    assert_eq!(alice.get(&rig, "/access/groups/admins").await["members"], json!(["alice@pve"]));
    assert_eq!(root.get(&rig, "/access/groups").await[0]["users"], "alice@pve");
    assert_eq!(root.get(&rig, "/access/users/alice@pve").await["groups"], json!(["admins"]));
    assert_eq!(root.get(&rig, "/access/roles/Watch").await, json!({ "Sys.Audit": 1 }));
    let entry = json!({ "path": "/", "type": "group", "ugid": "admins", "roleid": "Watch", "propagate": 1 });
    assert!(root.get(&rig, "/access/acl").await.as_array().unwrap().contains(&entry));
    done("PUT", "/access/groups/admins", &[("comment", "some")]).await;
    assert_eq!(root.get(&rig, "/access/groups/admins").await["comment"], "some");
    done("PUT", "/access/roles/Watch", &[("privs", "")]).await;
    assert_eq!(permissions().await, json!({}));
    done("PUT", "/access/acl", &[("path", "/"), ("groups", "admins"), ("roles", "Administrator")]).await;
    assert_eq!(permissions().await["/"]["User.Modify"], 1);
    done("DELETE", "/access/groups/admins", &[]).await;
    assert_eq!(permissions().await, json!({}));
    done("DELETE", "/access/roles/Watch", &[]).await;
    for (method, path, parameters) in [
        ("POST", "/access/groups", &[("groupid", "x")][..]),
        ("PUT", "/access/roles/PVEAuditor", &[("privs", "")]),
        ("DELETE", "/access/groups/x", &[]),
    ] {
        assert_eq!(alice.call(&rig, method, path, parameters).await.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    root.call(&rig, "DELETE", "/access/groups/x", &[])
        .await
        .refused(500, "delete group failed: group 'x' does not exist");
}

/// From a moment on, as if the user were disabled: sessions, tickets and tokens too.
#[tokio::test]
async fn a_user_who_expires_is_out() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let alice = ticket(&rig, "alice@pve").await;
    let at = rig.now() + Duration::from_secs(600);
    let at = at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    root.call(&rig, "PUT", "/access/users/alice@pve", &[("expire", &at)]).await.data();
    assert_eq!(root.get(&rig, "/access/users/alice@pve").await["expire"].to_string(), at);
    alice.get(&rig, "/version").await;
    rig.clock.advance(Duration::from_secs(600));
    alice.call(&rig, "GET", "/version", &[]).await.refused(401, "permission denied - invalid PVE ticket");
    log_in(&rig, &[("username", "alice@pve"), ("password", PASSWORD)]).await.refused(401, "authentication failure");
    assert_eq!(rig.events(EventKind::LoginRefused)[0].detail, "the user has expired");
    root.call(&rig, "PUT", "/access/users/alice@pve", &[("expire", "0")]).await.data();
    ticket(&rig, "alice@pve").await;
}

#[tokio::test]
async fn an_api_token_does_what_its_user_may_but_for_factors_and_tokens() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let path = "/access/users/root@pam/token";
    let made = root.call(&rig, "POST", &format!("{path}/ci"), &[("privsep", "0"), ("comment", "runner")]).await.data();
    assert_eq!(made["full-tokenid"], "root@pam!ci");
    let token = format!("root@pam!ci={}", made["value"].as_str().unwrap());
    let ci = Program { token: Some(token), ..Program::default() };
    ci.call(&rig, "PUT", "/access/users/alice@pve", &[("comment", "by ci")]).await.data();
    let (uri, totp) = app();
    let code = totp.code(rig.now());
    let parameters = [("type", "totp"), ("totp", uri.as_str()), ("value", &code)];
    assert_eq!(ci.call(&rig, "POST", "/access/tfa/root@pam", &parameters).await.status, StatusCode::FORBIDDEN);
    let with_password = [("type", "totp"), ("totp", uri.as_str()), ("value", &code), ("password", PASSWORD)];
    assert_eq!(ci.call(&rig, "POST", "/access/tfa/root@pam", &with_password).await.status, StatusCode::FORBIDDEN);
    // It could make itself another that may do more.
    assert_eq!(ci.call(&rig, "POST", &format!("{path}/more"), &[]).await.status, StatusCode::FORBIDDEN);

    let made = root.call(&rig, "POST", &format!("{path}/separate"), &[]).await.data();
    let token = format!("root@pam!separate={}", made["value"].as_str().unwrap());
    let changed = [("comment", "of CI"), ("expire", "4294967295")];
    let changed = root.call(&rig, "PUT", &format!("{path}/separate"), &changed).await.data();
    assert_eq!(changed, json!({ "privsep": 1, "expire": u32::MAX, "comment": "of CI" }));
    assert_eq!(root.get(&rig, &format!("{path}/separate")).await, changed);
    let never = root.call(&rig, "PUT", &format!("{path}/separate"), &[("expire", "0"), ("comment", "")]).await.data();
    assert_eq!(never, json!({ "privsep": 1, "expire": 0 }));
    assert_eq!(root.call(&rig, "PUT", &format!("{path}/none"), &[]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let alice = ticket(&rig, "alice@pve").await;
    assert_eq!(alice.call(&rig, "PUT", &format!("{path}/separate"), &[]).await.status, StatusCode::FORBIDDEN);
    let separate = Program { token: Some(token), ..Program::default() };
    assert_eq!(separate.get(&rig, "/access/permissions").await, json!({}));
    assert_eq!(separate.call(&rig, "PUT", "/access/users/alice@pve", &[]).await.status, StatusCode::FORBIDDEN);

    for wrong in ["root@pam!ci=00000000-0000-4000-8000-000000000000", "root@pam!other=x", "x", "root@pam!ci"] {
        let program = Program { token: Some(wrong.to_owned()), ..Program::default() };
        assert_eq!(program.call(&rig, "GET", "/version", &[]).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    root.call(&rig, "DELETE", &format!("{path}/ci"), &[]).await.data();
    assert_eq!(ci.call(&rig, "GET", "/version", &[]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whether_a_ticket_outlives_its_session_is_the_policy_s() {
    for (policy, outlives) in [("proxmox-9", true), ("strict-l3", false)] {
        let rig = Rig::with_policy(policy);
        rig.add_user("root@pam", Role::Administrator);
        rig.add_user("alice@pve", Role::User);
        let (root, alice) = (ticket(&rig, "root@pam").await, ticket(&rig, "alice@pve").await);
        let by = By::command_line(rig.now());
        rig.store().end_sessions(&"alice@pve".parse().unwrap(), &by).unwrap();
        let status = alice.call(&rig, "GET", "/access/users", &[]).await.status;
        assert_eq!(status == StatusCode::OK, outlives, "{policy}");
        // Nor does a new password end one.
        let later = ticket(&rig, "alice@pve").await;
        let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
        rig.store().set_password(&"alice@pve".parse().unwrap(), &hash, &by).unwrap();
        let status = later.call(&rig, "GET", "/access/users", &[]).await.status;
        assert_eq!(status == StatusCode::OK, outlives, "{policy}");
        // Only disabling a user stops every ticket at once.
        let change = UserChange { enabled: Some(false), ..UserChange::default() };
        rig.store().change_user(&"alice@pve".parse().unwrap(), &change, &by).unwrap();
        for program in [&alice, &later] {
            assert_eq!(program.call(&rig, "GET", "/access/users", &[]).await.status, StatusCode::UNAUTHORIZED);
        }
        rig.clock.advance(SESSION_LIFETIME);
        assert_eq!(root.call(&rig, "GET", "/access/users", &[]).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn parameters_that_are_missing_unknown_or_wrong_are_named() {
    let rig = site();
    let missing = log_in(&rig, &[("username", "root@pam"), ("user", "x")]).await;
    assert_eq!((missing.status.as_u16(), missing.reason.as_str()), (400, "Parameter verification failed."));
    let errors = missing.body["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["password", "user"]);
    let nobody = Program::default();
    let path = "/api2/json/access/ticket";
    for (media_type, body, status) in [
        (Some("application/json"), "[1]".to_owned(), 400),
        (Some("application/json"), r#"{"username":"root@pam","password":["#.to_owned(), 400),
        (Some("application/json"), r#"{"username":"root@pam","password":{"a":1}}"#.to_owned(), 400),
        (Some("text/plain"), "username=root@pam".to_owned(), 415),
        (None, "username=root@pam".to_owned(), 415),
        (Some("application/x-www-form-urlencoded"), "username=a&username=b&password=x".to_owned(), 400),
        (Some("application/x-www-form-urlencoded"), "a".repeat(97 * 1024), 413),
        (Some("application/x-www-form-urlencoded"), (0..100).map(|n| format!("p{n}=1&")).collect(), 400),
    ] {
        let answer = nobody.raw(&rig, "POST", path, media_type, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body} {answer:?}");
    }
}

#[tokio::test]
async fn the_other_format_tells_what_went_wrong_in_a_success() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let found = root.raw(&rig, "GET", "/api2/extjs/version", None, String::new()).await;
    assert_eq!((found.status, &found.body["success"]), (StatusCode::OK, &json!(1)));
    let failed = root.raw(&rig, "DELETE", "/api2/extjs/access/users/bob@pve", None, String::new()).await;
    assert_eq!(failed.status, StatusCode::OK);
    assert_eq!(
        failed.body,
        json!({ "data": null, "success": 0, "status": 500, "message": "no such user ('bob@pve')\n" })
    );
    let nobody = Program::default().raw(&rig, "GET", "/api2/extjs/version", None, String::new()).await;
    assert_eq!((nobody.status.as_u16(), nobody.reason.as_str()), (401, "No ticket"));
}

/// A right that is lost between a call's head and its body.
#[tokio::test]
async fn a_body_that_comes_after_a_right_was_lost_does_nothing() {
    let policy = Policy { ticket_outlives_session: false, ..Policy::built_in("proxmox-9").unwrap() };
    for (method, path, body) in [
        ("POST", "/access/tfa/root@pam", json!({ "type": "recovery", "password": PASSWORD })),
        ("PUT", "/access/tfa/root@pam/ID", json!({ "description": "new", "password": PASSWORD })),
        ("PUT", "/access/password", json!({ "userid": "alice@pve", "password": "another password" })),
        ("POST", "/access/users", json!({ "userid": "new@pve", "password": PASSWORD })),
        ("PUT", "/access/users/alice@pve", json!({ "comment": "new" })),
        ("PUT", "/access/users/alice@pve/unlock-tfa", json!({})),
        ("POST", "/access/users/root@pam/token/ci", json!({ "privsep": false })),
        ("POST", "/access/groups", json!({ "groupid": "new" })),
        ("POST", "/access/roles", json!({ "roleid": "New", "privs": "Sys.Audit" })),
        ("PUT", "/access/acl", json!({ "path": "/", "users": "alice@pve", "roles": "Administrator" })),
        (
            "POST",
            "/access/domains",
            json!({ "realm": "corp", "type": "ldap", "server1": "a", "base_dn": "dc=a", "user_attr": "uid" }),
        ),
        ("PUT", "/access/domains/pve", json!({ "comment": "new" })),
        ("DELETE", "/access/domains/test", json!({})),
    ] {
        for loss in ["none", "sessions", "disabled", "deleted", "demoted"] {
            let is_own = path.contains("root@pam");
            let rig = Rig::with_settings(Settings { policy: policy.clone(), ..Settings::new(RP_ID, ORIGIN) });
            let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
            for (name, role) in
                [("root@pam", Role::Administrator), ("other@pam", Role::Administrator), ("alice@pve", Role::User)]
            {
                rig.add_user(name, role);
            }
            let by = By::command_line(rig.now());
            rig.store().add_realm("test", "pve", &RealmChange::default(), &by).await.unwrap();
            let root = ticket(&rig, "root@pam").await;
            enrol_totp(&rig, &root, "root@pam").await;
            let id = root.get(&rig, "/access/tfa/root@pam").await[0]["id"].as_str().unwrap().to_owned();
            let path = format!("/api2/json{}", path.replace("ID", &id));
            let (text, csrf) = (root.ticket.clone().unwrap(), root.csrf.clone().unwrap());
            let headers = format!("Cookie: PVEAuthCookie={text}\r\nCSRFPreventionToken: {csrf}\r\n");
            let held = Held::begin_with(server.local_addr(), &headers, method, &path, &body).await;
            let (store, name, by) = (rig.store(), "root@pam".parse().unwrap(), By::command_line(rig.now()));
            let change = |change: UserChange| drop(store.change_user(&name, &change, &by).unwrap());
            match loss {
                "sessions" => drop(store.end_sessions(&name, &by).unwrap()),
                "disabled" => change(UserChange { enabled: Some(false), ..UserChange::default() }),
                "deleted" => store.delete_user(&name, &by).unwrap(),
                "demoted" => change(UserChange { role: Some(Role::User), ..UserChange::default() }),
                _ => {}
            }
            let stored = || {
                format!("{:?}", (store.users_with_factors().unwrap(), store.events(&EventFilter::default()).unwrap()))
            };
            let before = stored();
            let (status, _, answer) = held.end().await;
            if loss == "none" || (loss == "demoted" && is_own) {
                assert_eq!(status, 200, "{method} {path} after {loss}: {answer}");
                assert_ne!(stored(), before, "{method} {path} after {loss}");
            } else {
                assert_eq!(status, if loss == "demoted" { 403 } else { 401 }, "{method} {path} after {loss}: {answer}");
                assert_eq!(stored(), before, "{method} {path} after {loss}");
            }
        }
    }
}
