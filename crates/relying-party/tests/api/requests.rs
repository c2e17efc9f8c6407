//! What is refused before anything is looked at, and how: always JSON that names its cause, with nothing stored.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use keyrig_relying_party::{EventFilter, MAX_BODY_BYTES, Role};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::rig::{Browser, Key, PASSWORD, Rig};

const UNAUTHENTICATED: [&str; 7] = [
    "/api/login",
    "/api/login/totp",
    "/api/login/recovery",
    "/api/login/webauthn/begin",
    "/api/login/webauthn",
    "/api/login/passkey/begin",
    "/api/login/passkey",
];

async fn post_raw(
    browser: &mut Browser,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let (status, headers, answer) = browser.raw(request.body(body.into()).unwrap()).await;
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    (status, answer)
}

/// Everything that is stored and can be seen.
fn stored(rig: &Rig) -> String {
    let (users, events) =
        (rig.store().users_with_factors().unwrap(), rig.store().events(&EventFilter::default()).unwrap());
    format!("{users:?} {events:?}")
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_the_place_of_the_mistake() {
    let rig = Rig::new();
    let cases = [
        ("/api/login", "", "EOF while parsing a value at line 1 column 0"),
        ("/api/login", "{", "EOF while parsing an object at line 1 column 1"),
        ("/api/login", "{}", "missing field `user`"),
        ("/api/login", r#"["a@pve", "x"]"#, "invalid type: sequence, expected an object"),
        ("/api/login/passkey/begin", "[]", "invalid type: sequence, expected an object"),
        ("/api/login", r#"{"user": 7}"#, "user: invalid type: integer `7`"),
        ("/api/login", r#"{"user": "a@pve", "password": "x", "otp": "1"}"#, "unknown field `otp`"),
        ("/api/login", r#"{"user": "a@pve", "password": "x"} x"#, "trailing characters"),
        ("/api/login/totp", r#"{"login": "x"}"#, "missing field `code`"),
        ("/api/login/totp", r#"{"login": ["x"]}"#, "login: invalid type: sequence"),
        ("/api/login/passkey/begin", r#"{"user": "a@pve"}"#, "unknown field `user`"),
    ];
    let before = stored(&rig);
    for (path, body, words) in cases {
        let (status, answer) = post_raw(&mut rig.browser(), path, Some("application/json"), body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{body}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{body}: {answer}");
    }
    for path in UNAUTHENTICATED {
        for body in [&b"\xff\xfe"[..], &[0; 100], "[".repeat(60_000).as_bytes(), &b"null"[..], &b"[1]"[..]] {
            let (status, answer) = post_raw(&mut rig.browser(), path, Some("application/json"), body.to_vec()).await;
            assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{path} {answer}");
        }
    }
    assert_eq!(stored(&rig), before);
}

#[tokio::test]
async fn what_is_no_credential_is_refused_with_the_member_that_is_wrong() {
    let rig = Rig::new();
    let mut key = Key::default();
    let mut browser = rig.new_user("alice@pve").await;
    browser.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let good = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    let with = |member: &str, value: Value| {
        let mut credential = good.clone();
        *credential.pointer_mut(member).unwrap() = value;
        credential
    };
    let cases = [
        (json!(null), "credential"),
        (json!("x"), "credential"),
        (json!({}), "response"),
        (with("/rawId", json!("***")), "rawId"),
        (with("/rawId", json!(7)), "rawId"),
        (with("/response", json!([])), "response"),
        (with("/response/signature", json!("AA==")), "response.signature"),
        (with("/response/authenticatorData", json!({})), "response.authenticatorData"),
    ];
    for (credential, words) in cases {
        let body = crate::rig::login(&offered, &credential);
        let answer = rig.browser().refused("POST", "/api/login/webauthn", Some(body)).await;
        assert_eq!(answer["code"], "bad_credential");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{answer}");
    }
    // The challenge has not been used up by what could not be read.
    rig.browser().post("/api/login/webauthn", crate::rig::login(&offered, &good)).await;
}

/// Whoever sends a number means a password of digits: it is neither to be shown nor to be found in a log of answers.
#[tokio::test]
async fn a_secret_that_is_no_text_is_not_repeated() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let cases = [
        ("POST", "/api/login", json!({ "user": "alice@pve", "password": 31_415_926 }), "password"),
        ("POST", "/api/login/totp", json!({ "login": "x", "code": 31_415_926 }), "code"),
        ("POST", "/api/login/recovery", json!({ "login": "x", "key": 31_415_926 }), "key"),
        ("POST", "/api/session/confirm", json!({ "password": -31_415_926 }), "password"),
        ("PUT", "/api/password", json!({ "password": 31.415926, "new_password": "x" }), "password"),
        ("PUT", "/api/password", json!({ "password": "x", "new_password": 31_415_926 }), "new_password"),
        ("POST", "/api/users", json!({ "user": "b@pve", "role": "user", "password": [31_415_926] }), "password"),
        ("PUT", "/api/users/alice@pve/password", json!({ "password": {"31415926": 1} }), "password"),
        ("POST", "/api/factors/totp", json!({ "challenge": "x", "description": "x", "code": 31_415_926 }), "code"),
    ];
    for (method, path, body, member) in cases {
        let answer = browser.refused(method, path, Some(body.clone())).await;
        let answer_text = answer.to_string();
        assert!(!answer_text.contains("415926"), "{body}: {answer_text}");
        if answer["code"] == "bad_request" {
            assert!(answer["reason"].as_str().unwrap().contains(&format!("{member}: invalid type")), "{answer_text}");
        }
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let rig = Rig::new();
    for path in UNAUTHENTICATED {
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("")] {
            let (status, answer) = post_raw(&mut rig.browser(), path, content_type, r#"{"user":"alice@pve"}"#).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(answer["code"], "bad_content_type");
        }
    }
    rig.add_user("alice@pve", Role::User);
    let body = json!({ "user": "alice@pve", "password": PASSWORD }).to_string();
    let content_type = Some("application/json; charset=utf-8");
    assert_eq!(post_raw(&mut rig.browser(), "/api/login", content_type, body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn huge_bodies_are_refused_by_length_and_by_what_arrives() {
    let rig = Rig::new();
    rig.add_user("alice@pve", Role::User);
    for path in UNAUTHENTICATED {
        let body = format!(r#"{{"user":"{}"}}"#, "a".repeat(MAX_BODY_BYTES));
        let (status, answer) = post_raw(&mut rig.browser(), path, Some("application/json"), body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
        assert!(answer["reason"].as_str().unwrap().contains("65536"));
    }
    // At the limit it is read.
    let mut body = json!({ "user": "alice@pve", "password": PASSWORD }).to_string();
    body.push_str(&" ".repeat(MAX_BODY_BYTES - body.len()));
    let json = Some("application/json");
    assert_eq!(post_raw(&mut rig.browser(), "/api/login", json, body.clone()).await.0, StatusCode::OK);
    body.push(' ');
    assert_eq!(post_raw(&mut rig.browser(), "/api/login", json, body).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    // A password as long as a body can be is wrong, as any other.
    let body = json!({ "user": "alice@pve", "password": "x".repeat(60_000) });
    assert_eq!(rig.browser().refused_code("POST", "/api/login", Some(body)).await, "authentication_failed");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_json() {
    let rig = Rig::new();
    for path in ["/api", "/api/login/", "/api/users/alice@pve/", "/api/nothing"] {
        let (status, answer) = rig.browser().send("GET", path, None).await;
        assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{path}");
        assert!(answer["reason"].as_str().unwrap().contains(path));
    }
    for path in UNAUTHENTICATED {
        let (status, answer) = rig.browser().send("GET", path, None).await;
        assert_eq!((status, &answer["code"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed")));
    }
    let request = Request::put("/api/session").body(Body::empty()).unwrap();
    let response = rig.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD,DELETE");
}

/// Text that is code in SQL, HTML or a log.
const HOSTILE: [&str; 8] = [
    "'; DROP TABLE users; --",
    "\" OR 1=1 --",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "../../etc/passwd",
    "a\u{0}b",
    "\u{202e}evil",
    "%s%n%x",
];

#[tokio::test]
async fn hostile_text_is_text_in_every_field() {
    let rig = Rig::new();
    let mut key = Key::default();
    let mut browser = rig.new_user("alice@pve").await;
    browser.register(&mut key, "key").await;
    let id = browser.factors().await[0]["id"].as_str().unwrap().to_owned();
    for text in HOSTILE {
        let mut other = rig.browser();
        let login = other.log_in("alice@pve").await["login"].clone();
        let is_name = ["{{7*7}}${7*7}", "%s%n%x"].contains(&text);
        let of_a_name = if is_name { "authentication_failed" } else { "bad_user_name" };
        let posts = [
            ("/api/login", json!({ "user": text, "password": PASSWORD }), "bad_user_name"),
            ("/api/login", json!({ "user": format!("{text}@pve"), "password": PASSWORD }), of_a_name),
            ("/api/login", json!({ "user": "alice@pve", "password": text }), "authentication_failed"),
            ("/api/login/totp", json!({ "login": text, "code": text }), "unknown_login"),
            ("/api/login/totp", json!({ "login": login, "code": text }), "authentication_failed"),
            ("/api/login/recovery", json!({ "login": login, "key": text }), "authentication_failed"),
            ("/api/login/webauthn/begin", json!({ "login": text }), "unknown_login"),
        ];
        for (path, body, code) in posts {
            assert_eq!(other.refused_code("POST", path, Some(body.clone())).await, code, "{path} {body}");
        }
        // A description is any text without control characters, and comes back as it was.
        let path = format!("/api/factors/{id}");
        let body = json!({ "description": text });
        if text.chars().any(char::is_control) {
            assert_eq!(browser.refused_code("PATCH", &path, Some(body)).await, "bad_description");
        } else {
            let (_, answer) = browser.send("PATCH", &path, Some(&body)).await;
            assert_eq!(answer["description"], text);
        }
        rig.store().unlock(&"alice@pve".parse().unwrap(), &keyrig_relying_party::By::command_line(rig.now())).unwrap();
    }
    for id in ["'%20OR%20''='", "%3Cb%3E", "..%2F..", "%00"] {
        assert_eq!(browser.refused_code("DELETE", &format!("/api/factors/{id}"), None).await, "unknown_factor");
    }
    assert_eq!(browser.refused_code("DELETE", "/api/factors/%FF", None).await, "bad_request");
    assert_eq!(rig.store().users().unwrap().len(), 1);
    rig.browser().log_in_with("alice@pve", &mut key).await;
}
