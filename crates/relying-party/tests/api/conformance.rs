//! The shapes of FIDO's "Conformance testing server API", member by member as that document has them, and what they let nobody do.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use keyrig_relying_party::{CONFORMANCE_ROUTES, EventKind, Options, PasswordCost, Role, Settings, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::rig::{HOST, Key, ORIGIN, PASSWORD, RP_ID, Rig, with_client_data_member};

fn site() -> Rig {
    let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(Store::in_memory().unwrap()) };
    let options = Options { fido_conformance: true, ..options };
    Rig::with_options(Ok(Settings::new(RP_ID, ORIGIN)), options)
}

/// A tool that keeps cookies.
#[derive(Clone, Default)]
struct Tool(BTreeMap<String, String>);

impl Tool {
    async fn post(&mut self, rig: &Rig, path: &str, body: &Value) -> (StatusCode, Value) {
        let cookies: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, cookies.join("; "));
        let response = rig.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for set in headers.get_all(header::SET_COOKIE) {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
        let answer: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
        if status == StatusCode::OK {
            assert_eq!((&answer["status"], &answer["errorMessage"]), (&json!("ok"), &json!("")), "{answer}");
        } else {
            assert_eq!(answer["status"], "failed", "{answer}");
            assert!(!answer["errorMessage"].as_str().unwrap().is_empty(), "{answer}");
        }
        (status, answer)
    }

    async fn ok(&mut self, rig: &Rig, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(rig, path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn failed(&mut self, rig: &Rig, path: &str, body: &Value) -> String {
        let (status, answer) = self.post(rig, path, body).await;
        assert!(status.is_client_error(), "{path}: {status} {answer}");
        answer["code"].as_str().unwrap().to_owned()
    }
}

fn creation(user: &str) -> Value {
    json!({ "username": user, "displayName": "Johannes", "attestation": "none" })
}

/// `ServerPublicKeyCredential`: extension results by the name that they have there, and no `rawId`.
fn as_server_has_it(credential: &Value) -> Value {
    let mut credential = credential.clone();
    let members = credential.as_object_mut().unwrap();
    let results = members.remove("clientExtensionResults").unwrap_or(json!({}));
    members.insert("getClientExtensionResults".to_owned(), results);
    members.remove("rawId");
    credential
}

async fn register(rig: &Rig, tool: &mut Tool, key: &mut Key, user: &str) {
    let options = tool.ok(rig, "/attestation/options", &creation(user)).await;
    let credential = key.create(&json!({ "options": { "publicKey": options } })).await.unwrap();
    assert_eq!(
        tool.ok(rig, "/attestation/result", &as_server_has_it(&credential)).await,
        json!({ "status": "ok", "errorMessage": "" })
    );
}

#[tokio::test]
async fn a_user_who_is_named_registers_a_key_and_logs_in() {
    let rig = site();
    let (mut tool, mut key) = (Tool::default(), Key::default());
    register(&rig, &mut tool, &mut key, "johannes@example.com").await;
    let asked = json!({ "username": "johannes@example.com", "userVerification": "discouraged" });
    let options = tool.ok(&rig, "/assertion/options", &asked).await;
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!(RP_ID), &json!("discouraged")));
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let credential = key.get(&json!({ "options": { "publicKey": options } })).await.unwrap();
    tool.ok(&rig, "/assertion/result", &as_server_has_it(&credential)).await;
    // A ceremony is good for one answer, and its cookie is gone.
    assert_eq!(tool.failed(&rig, "/assertion/result", &as_server_has_it(&credential)).await, "unknown_login");
    let user = rig.store().user(&"johannes@example.com@fido".parse().unwrap()).unwrap();
    assert_eq!((user.role, user.last_login), (Role::User, Some(rig.now())));
    // Nobody logs in there by a password, as there is none.
    let body = json!({ "user": "johannes@example.com@fido", "password": PASSWORD });
    assert_eq!(rig.browser().refused_code("POST", "/api/login", Some(body)).await, "authentication_failed");
}

/// `ServerPublicKeyCredentialCreationOptionsResponse`: what was asked for comes back.
#[tokio::test]
async fn what_a_tool_asks_for_is_in_the_options() {
    let rig = site();
    let selection = json!({
        "authenticatorAttachment": "cross-platform", "requireResidentKey": false, "userVerification": "preferred",
    });
    let mut asked = creation("johannes");
    asked["authenticatorSelection"] = selection.clone();
    asked["attestation"] = json!("direct");
    asked["extensions"] = json!({ "example.extension": true });
    let options = Tool::default().ok(&rig, "/attestation/options", &asked).await;
    assert_eq!(options["rp"]["id"], RP_ID);
    assert_eq!((&options["user"]["name"], &options["user"]["displayName"]), (&json!("johannes"), &json!("Johannes")));
    assert_eq!(options["authenticatorSelection"], selection);
    assert_eq!((&options["attestation"], &options["extensions"]), (&json!("direct"), &asked["extensions"]));
    // 16 to 64 bytes.
    assert!((22..=86).contains(&options["challenge"].as_str().unwrap().len()));
    assert_eq!(options["excludeCredentials"], json!([]));
    let again = Tool::default().ok(&rig, "/attestation/options", &creation("johannes")).await;
    assert_eq!((&again["user"], &again["attestation"]), (&options["user"], &json!("none")));
    assert_ne!(again["challenge"], options["challenge"]);
    // A key of the user's is not to be registered again.
    let (mut tool, mut key) = (Tool::default(), Key::default());
    register(&rig, &mut tool, &mut key, "johannes").await;
    let options = tool.ok(&rig, "/attestation/options", &creation("johannes")).await;
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_tool_requires_is_verified_whatever_the_policy_says() {
    let rig = site();
    let (mut tool, mut key) = (Tool::default(), Key::verifying_user());
    let mut asked = creation("johannes");
    asked["authenticatorSelection"] = json!({ "userVerification": "required" });
    let options = tool.ok(&rig, "/attestation/options", &asked).await;
    let credential = key.create(&json!({ "options": { "publicKey": options } })).await.unwrap();
    tool.ok(&rig, "/attestation/result", &as_server_has_it(&credential)).await;
    for (required, is_verified, code) in
        [(true, true, None), (true, false, Some("authentication_failed")), (false, false, None)]
    {
        let verification = if required { "required" } else { "preferred" };
        let options = json!({ "username": "johannes", "userVerification": verification });
        let mut options = tool.ok(&rig, "/assertion/options", &options).await;
        if !is_verified {
            key.stop_verifying();
            options["userVerification"] = json!("discouraged");
        }
        let credential = key.get(&json!({ "options": { "publicKey": options } })).await.unwrap();
        match code {
            None => drop(tool.ok(&rig, "/assertion/result", &credential).await),
            Some(code) => assert_eq!(tool.failed(&rig, "/assertion/result", &credential).await, code),
        }
    }
    // A registration without it.
    let options = Tool::default().ok(&rig, "/attestation/options", &asked).await;
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    let mut tool = Tool::default();
    let mut options = tool.ok(&rig, "/attestation/options", &asked).await;
    options["authenticatorSelection"]["userVerification"] = json!("discouraged");
    let credential = Key::default().create(&json!({ "options": { "publicKey": options } })).await.unwrap();
    assert_eq!(tool.failed(&rig, "/attestation/result", &credential).await, "enrolment_refused");
}

#[tokio::test]
async fn what_is_wrong_fails_and_says_so() {
    let rig = site();
    let (mut tool, mut key) = (Tool::default(), Key::default());
    for (path, body, code) in [
        ("/attestation/options", json!({ "displayName": "x" }), "bad_request"),
        ("/attestation/options", json!({ "username": "x" }), "bad_request"),
        ("/attestation/options", json!({ "username": 7, "displayName": "x" }), "bad_request"),
        ("/attestation/options", json!({ "username": "", "displayName": "x" }), "bad_user_name"),
        ("/attestation/options", json!({ "username": "a b", "displayName": "x" }), "bad_user_name"),
        ("/attestation/options", json!({ "username": "x", "displayName": "x", "attestation": "all" }), "bad_request"),
        ("/attestation/result", json!({}), "unknown_login"),
        ("/assertion/options", json!({}), "bad_request"),
        ("/assertion/options", json!({ "username": "x", "userVerification": "always" }), "bad_request"),
        ("/assertion/options", json!({ "username": "nobody" }), "authentication_failed"),
        ("/assertion/result", json!({}), "unknown_login"),
    ] {
        assert_eq!(tool.failed(&rig, path, &body).await, code, "{path} {body}");
    }
    register(&rig, &mut tool, &mut key, "johannes").await;
    let options = tool.ok(&rig, "/assertion/options", &json!({ "username": "johannes" })).await;
    let credential = key.get(&json!({ "options": { "publicKey": options } })).await.unwrap();
    // What cannot be read uses nothing up.
    for member in ["id", "type", "response"] {
        let mut without = as_server_has_it(&credential);
        without.as_object_mut().unwrap().remove(member);
        assert_eq!(tool.failed(&rig, "/assertion/result", &without).await, "bad_credential", "{member}");
    }
    let elsewhere = with_client_data_member(&credential, "origin", json!("https://evil.example"));
    assert_eq!(tool.failed(&rig, "/assertion/result", &elsewhere).await, "authentication_failed");
    assert_eq!(rig.events(EventKind::LoginRefused)[0].user.as_deref(), Some("johannes@fido"));
    // The right answer to a challenge that was answered.
    assert_eq!(tool.failed(&rig, "/assertion/result", &credential).await, "authentication_failed");
}

/// A login of another realm began with a password: that is not enough to add a key.
#[tokio::test]
async fn nothing_of_another_realm_is_reached() {
    let rig = site();
    let (mut tool, mut key) = (Tool::default(), Key::default());
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let options = tool.ok(&rig, "/attestation/options", &creation("alice@pve")).await;
    let own = tool.0.iter().find(|(name, _)| name.contains("ceremony")).unwrap();
    let (name, value) = (own.0.clone(), own.1.clone());
    let (_, challenge) = value.split_once('.').unwrap();
    tool.0.insert(name, format!("{}.{challenge}", offered["login"].as_str().unwrap()));
    let credential = Key::default().create(&json!({ "options": { "publicKey": options } })).await.unwrap();
    assert_eq!(tool.failed(&rig, "/attestation/result", &credential).await, "unknown_login");
    assert_eq!(rig.store().factors(&"alice@pve".parse().unwrap()).unwrap().len(), 1);
    // Nor does the tool's own ceremony end as another's.
    assert_eq!(Tool::default().failed(&rig, "/attestation/result", &credential).await, "unknown_login");
    assert_eq!(
        Tool::default().failed(&rig, "/assertion/options", &json!({ "username": "alice" })).await,
        "authentication_failed"
    );
}

#[tokio::test]
async fn a_site_that_was_not_told_to_has_none_of_these_routes() {
    let rig = Rig::new();
    for path in CONFORMANCE_ROUTES {
        assert_eq!(rig.browser().refused_code("POST", path, Some(creation("johannes"))).await, "not_found");
    }
}
