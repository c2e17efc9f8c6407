//! What is refused before any ceremony is looked at, and how: always JSON that names its cause.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use keyrig_relying_party::MAX_BODY_BYTES;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::rig::Rig;

const POSTS: [&str; 4] = ["/api/register/begin", "/api/register/finish", "/api/login/begin", "/api/login/finish"];

async fn post_raw(rig: &Rig, path: &str, content_type: Option<&str>, body: impl Into<Body>) -> (StatusCode, Value) {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    rig.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_the_place_of_the_mistake() {
    let rig = Rig::new();
    let cases = [
        ("/api/login/begin", "", "EOF while parsing a value at line 1 column 0"),
        ("/api/login/begin", "{", "EOF while parsing an object at line 1 column 1"),
        ("/api/login/begin", "{}", "missing field `user`"),
        ("/api/login/begin", r#"{"user": 7}"#, "user: invalid type: integer `7`"),
        ("/api/login/begin", r#"{"user": "alice"} x"#, "trailing characters"),
        ("/api/register/finish", r#"{"ceremony": "x"}"#, "missing field `credential`"),
        ("/api/register/finish", r#"{"ceremony": "x", "credential": {"id": "AA"}}"#, "credential: missing field"),
        ("/api/login/finish", r#"{"ceremony": "x", "credential": {"id": "AA", "rawId": "***"}}"#, "credential.rawId"),
        ("/api/login/finish", r#"{"ceremony": ["x"]}"#, "ceremony: invalid type: sequence"),
    ];
    for (path, body, words) in cases {
        let (status, answer) = post_raw(&rig, path, Some("application/json"), body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{body}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{body}: {answer}");
    }
    for path in POSTS {
        for body in [&b"\xff\xfe"[..], &[0; 100], "[".repeat(60_000).as_bytes(), &b"null"[..], &b"[]"[..]] {
            let (status, answer) = post_raw(&rig, path, Some("application/json"), body.to_vec()).await;
            assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{answer}");
        }
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let rig = Rig::new();
    for path in POSTS {
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("")] {
            let (status, answer) = post_raw(&rig, path, content_type, r#"{"user":"alice"}"#).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(answer["code"], "bad_content_type");
        }
    }
    let (status, _) =
        post_raw(&rig, "/api/register/begin", Some("application/json; charset=utf-8"), r#"{"user":"alice"}"#).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn huge_bodies_are_refused_by_length_and_by_what_arrives() {
    let rig = Rig::new();
    for path in POSTS {
        let body = format!(r#"{{"user":"{}"}}"#, "a".repeat(MAX_BODY_BYTES));
        let (status, answer) = post_raw(&rig, path, Some("application/json"), body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
        assert!(answer["reason"].as_str().unwrap().contains("65536"));
    }
    // At the limit it is read.
    let mut body = r#"{"user":"alice"}"#.to_owned();
    body.push_str(&" ".repeat(MAX_BODY_BYTES - body.len()));
    assert_eq!(post_raw(&rig, "/api/register/begin", Some("application/json"), body.clone()).await.0, StatusCode::OK);
    body.push(' ');
    let (status, _) = post_raw(&rig, "/api/register/begin", Some("application/json"), body).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_json() {
    let rig = Rig::new();
    for path in ["/", "/api", "/api/register", "/api/register/begin/", "/api/users/alice"] {
        let (status, answer) = rig.get(path).await;
        assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{path}");
        assert_eq!(answer["refused_by"], "relying_party");
        assert!(answer["reason"].as_str().unwrap().contains(path));
    }
    for path in POSTS {
        let (status, answer) = rig.get(path).await;
        assert_eq!((status, &answer["code"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed")));
    }
    let request = Request::delete("/api/users/alice/credentials").body(Body::empty()).unwrap();
    let response = rig.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn user_names_are_bounded() {
    let rig = Rig::new();
    for name in ["a", "root@pam", "first.last+tag@example.com", "A-b_9", &"x".repeat(64)] {
        rig.begin_registration(name).await;
    }
    for name in ["", " ", "a b", "a/b", "..\n", "zoë", "a\0", "<b>", &"x".repeat(65)] {
        for path in ["/api/register/begin", "/api/login/begin"] {
            assert_eq!(rig.refused(path, json!({ "user": name })).await.0, "bad_user_name", "{name:?}");
        }
    }
    for path in ["/api/users//credentials", "/api/users/a%20b/credentials", "/api/users/a%2Fb/credentials"] {
        assert_eq!(rig.get(path).await.1["code"], "bad_user_name");
    }
    assert_eq!(rig.get("/api/users/%FF/credentials").await.1["code"], "bad_request");
}

#[tokio::test]
async fn users_exist_from_their_first_registration_on() {
    let rig = Rig::new();
    rig.begin_registration("alice").await;
    let (status, answer) = rig.get("/api/users/alice/credentials").await;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("unknown_user")));
    rig.register("alice", &mut crate::rig::Key::default()).await;
    assert_eq!(rig.get("/api/users/alice/credentials").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_ceremony_that_was_never_begun_is_unknown() {
    let rig = Rig::new();
    let credential = crate::rig::Key::default().create(&rig.begin_registration("alice").await).await.unwrap();
    for ceremony in ["", "x", "00000000000000000000000000000000", &"f".repeat(10_000)] {
        let body = json!({ "ceremony": ceremony, "credential": credential });
        assert_eq!(rig.refused("/api/register/finish", body).await.0, "unknown_ceremony");
    }
}
