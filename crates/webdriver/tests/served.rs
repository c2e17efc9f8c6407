//! WebDriver in front of a driver that is made up: what reaches it, and what is answered before.

#![cfg(test)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use keyrig_rack::command::Command;
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{Options as RackOptions, Rack};
use keyrig_webdriver::{Drivers, Keys, Mode, Options, Serving, serve};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PRIVATE_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8_zMDQDYAxlU-Q\
hk1Dwkf0v18GZca1DMF3SaJ9HPdmShRANCAASNYX5lyVCOZLzFZzrIKmeZ2jwU\
RmgsJYxGP__fWN_S-j5sN4tT15XEpN_7QZnt14YvI6uvAgO0uJEboFaZlOEB";

type Heard = Arc<Mutex<Vec<(String, String, String, String)>>>;

/// A driver that notes what it is asked, and begins any session.
async fn driver(State(heard): State<Heard>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let host = parts.headers["host"].to_str().unwrap().to_owned();
    assert!(parts.headers.get("origin").is_none());
    let asked = (parts.method.to_string(), parts.uri.to_string(), host, String::from_utf8(body.to_vec()).unwrap());
    let number = heard.lock().unwrap().iter().filter(|(_, path, ..)| path.ends_with("/session")).count();
    heard.lock().unwrap().push(asked);
    let value = if parts.uri.path().ends_with("/session") {
        json!({"sessionId": format!("s{number}"), "capabilities": {"browserName": "x", "webSocketUrl": "ws://127.0.0.1:1/x"}})
    } else if parts.uri.path().ends_with("/window") {
        json!([])
    } else {
        json!("of the driver")
    };
    axum::Json(json!({"value": value})).into_response()
}

struct Bench {
    serving: Serving,
    heard: Heard,
    rack: Rack,
    http: Client,
}

impl Bench {
    /// In front of a driver below /wd, whose browser finds the keys of a rack.
    async fn start(touch: TouchPolicy) -> Self {
        let heard = Heard::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(driver).with_state(heard.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let finger = Finger { policy: touch, over: None };
        let rack = Rack::start(RackOptions { finger, ..RackOptions::default() }, Vec::new()).await.unwrap();
        let keys = Some(Keys::Here(rack.clone()));
        let driver = Drivers::At { authority, base: "/wd".to_owned(), keys };
        let options = Options { driver, mode: Mode::Hid, base: "/hub".to_owned() };
        let serving = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap();
        Self { serving, heard, rack, http: Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://127.0.0.1:{}/hub{path}", self.serving.port()))
    }

    /// Status and `value`.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.request(method, path);
        let answer = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["value"].take())
    }

    async fn new_session(&self, always: Value) -> (u16, Value) {
        self.ask(Method::POST, "/session", Some(json!({"capabilities": {"alwaysMatch": always}}))).await
    }

    /// Adds a virtual authenticator to the session s0: where it is.
    async fn add(&self, properties: &Value) -> String {
        let mut all = json!({"protocol": "ctap2", "transport": "usb"});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let (status, id) = self.ask(Method::POST, "/session/s0/webauthn/authenticator", Some(all)).await;
        assert_eq!(status, 200, "{id}");
        format!("/session/s0/webauthn/authenticator/{}", id.as_str().unwrap())
    }

    /// The status and the error of a call that has to fail.
    async fn error(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, value) = self.ask(method, path, body).await;
        assert!(value["message"].as_str().is_some_and(|message| !message.is_empty()), "{value}");
        (status, value["error"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn commands_reach_the_driver_as_they_are() {
    let bench = Bench::start(TouchPolicy::Manual).await;
    let (status, session) = bench
        .new_session(
            json!({"webauthn:virtualAuthenticators": true, "webauthn:extension:prf": true, "browserName": "x"}),
        )
        .await;
    assert_eq!((status, &session["sessionId"]), (200, &"s0".into()));
    let told = &session["capabilities"];
    assert_eq!(told["keyrig:webauthn"], json!({"mode": "hid", "direct": ["webSocketUrl"]}));
    assert_eq!(
        (&told["webauthn:virtualAuthenticators"], &told["webauthn:extension:prf"]),
        (&true.into(), &true.into())
    );
    let url = bench.ask(Method::POST, "/session/s0/url?x=1", Some(json!({"url": "http://localhost/"}))).await;
    assert_eq!(url, (200, "of the driver".into()));
    let heard = bench.heard.lock().unwrap().clone();
    let (begun, forwarded) = (&heard[0], &heard[1]);
    assert_eq!((begun.0.as_str(), begun.1.as_str()), ("POST", "/wd/session"));
    assert_eq!(
        serde_json::from_str::<Value>(&begun.3).unwrap(),
        json!({"capabilities": {"alwaysMatch": {"browserName": "x"}}})
    );
    assert_eq!(
        (forwarded.1.as_str(), forwarded.3.as_str()),
        ("/wd/session/s0/url?x=1", r#"{"url":"http://localhost/"}"#)
    );
    assert!(!forwarded.2.contains(&bench.serving.port().to_string()), "the Host is the driver's");
}

#[tokio::test]
async fn what_a_page_could_send_reaches_no_driver() {
    let bench = Bench::start(TouchPolicy::Manual).await;
    let port = bench.serving.port();
    for (header, value) in [
        ("origin", "https://example.com".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", format!("http://localhost:{port}")),
        ("host", format!("rebound.example:{port}")),
        ("host", "localhost".to_owned()),
    ] {
        let answer =
            bench.request(Method::POST, "/session").header(header, &value).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{header}: {value}");
    }
    assert!(bench.heard.lock().unwrap().is_empty());
    let refused = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let driver = Drivers::At { authority: "127.0.0.1:1".to_owned(), base: String::new(), keys: None };
    let refused = serve(refused, Options { driver, mode: Mode::Driver, base: String::new() });
    assert!(refused.unwrap_err().to_string().contains("others can reach"));
}

#[tokio::test]
async fn sessions_that_share_a_rack_come_one_after_another() {
    let bench = Bench::start(TouchPolicy::Manual).await;
    assert_eq!(bench.new_session(json!({})).await.0, 200);
    let status = bench.ask(Method::GET, "/status", None).await;
    assert_eq!((status.0, &status.1["ready"]), (200, &false.into()));
    let (status, error) = bench.new_session(json!({})).await;
    assert_eq!((status, &error["error"]), (500, &"session not created".into()));
    bench.add(&json!({})).await;
    assert_eq!(bench.rack.command(Command::List).await.unwrap().keys.len(), 1);
    assert_eq!(bench.ask(Method::DELETE, "/session/s0", None).await.0, 200);
    // Its keys went with it.
    assert!(bench.rack.command(Command::List).await.unwrap().keys.is_empty());
    let (status, error) = bench.ask(Method::GET, "/session/s0/url", None).await;
    assert_eq!((status, &error["error"]), (404, &"invalid session id".into()));
    assert!(error["message"].as_str().unwrap().contains("it was deleted"), "{error}");
    assert_eq!(bench.new_session(json!({})).await.1["sessionId"], "s1");
    // With its last window a session ends as well.
    assert_eq!(bench.ask(Method::DELETE, "/session/s1/window", None).await, (200, json!([])));
    let other = bench.error(Method::GET, "/session/s1/webauthn/authenticator/x/credentials", None).await;
    assert_eq!(other, (404, "invalid session id".to_owned()));
}

/// WebAuthn Level 3 §11.3 to §11.10.
#[tokio::test]
async fn credentials_are_added_told_changed_and_removed() {
    let bench = Bench::start(TouchPolicy::Manual).await;
    bench.new_session(json!({})).await;
    let all = json!({"hasResidentKey": true, "hasUserVerification": true, "extensions": ["largeBlob", "prf"]});
    let at = bench.add(&all).await;
    let passkey = json!({
        "credentialId": "cGFzc2tleQ", "isResidentCredential": true, "rpId": "example.com", "privateKey": PRIVATE_KEY,
        "userHandle": "dXNlcg", "userName": "user", "signCount": 3, "largeBlob": "YmxvYg", "backupEligibility": true,
    });
    let other = json!({
        "credentialId": "b3RoZXI", "isResidentCredential": false, "rpId": "example.com", "privateKey": PRIVATE_KEY, "signCount": 0,
    });
    for credential in [&passkey, &other] {
        let added = bench.ask(Method::POST, &format!("{at}/credential"), Some(credential.clone())).await;
        assert_eq!(added, (200, Value::Null));
    }
    let (_, told) = bench.ask(Method::GET, &format!("{at}/credentials"), None).await;
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 2);
    for (credential, added) in told.iter().zip([&other, &passkey]) {
        for (member, value) in added.as_object().unwrap() {
            assert_eq!(&credential[member], value, "{member}");
        }
    }
    let props = format!("{at}/credentials/cGFzc2tleQ/props");
    assert_eq!(bench.ask(Method::POST, &props, Some(json!({"backupState": true}))).await, (200, Value::Null));
    let (_, told) = bench.ask(Method::GET, &format!("{at}/credentials"), None).await;
    assert_eq!((&told[1]["backupState"], &told[1]["backupEligibility"]), (&true.into(), &true.into()));
    assert_eq!(bench.ask(Method::DELETE, &format!("{at}/credentials/b3RoZXI"), None).await.0, 200);
    assert_eq!(bench.ask(Method::DELETE, &format!("{at}/credentials"), None).await.0, 200);
    assert_eq!(bench.ask(Method::GET, &format!("{at}/credentials"), None).await, (200, json!([])));
    assert_eq!(bench.ask(Method::POST, &format!("{at}/uv"), Some(json!({"isUserVerified": true}))).await.0, 200);
    assert_eq!(bench.ask(Method::DELETE, &at, None).await.0, 200);

    let argument = (400, "invalid argument".to_owned());
    for (method, path, body) in [
        (Method::DELETE, at.clone(), None),
        (Method::GET, format!("{at}/credentials"), None),
        (Method::DELETE, format!("{at}/credentials"), None),
        (Method::DELETE, format!("{at}/credentials/AQ"), None),
        (Method::POST, format!("{at}/credential"), Some(other.clone())),
        (Method::POST, format!("{at}/uv"), Some(json!({"isUserVerified": true}))),
        (Method::POST, format!("{at}/uv"), Some(json!([]))),
        (Method::POST, format!("{at}/credentials/AQ/props"), Some(json!({"backupState": false}))),
    ] {
        assert_eq!(bench.error(method, &path, body).await, argument, "{path}");
    }
    // One that makes none that are discoverable takes none, and none that is no key.
    let at = bench.add(&json!({})).await;
    let garbled = json!({"credentialId": "AQ", "isResidentCredential": false, "rpId": "example.com", "privateKey": "AAAA", "signCount": 0});
    for wrong in [&passkey, &garbled] {
        assert_eq!(bench.error(Method::POST, &format!("{at}/credential"), Some(wrong.clone())).await, argument);
    }
    assert_eq!(bench.ask(Method::POST, &format!("{at}/credential"), Some(other.clone())).await.0, 200);
    assert_eq!(bench.error(Method::POST, &format!("{at}/credential"), Some(other)).await, argument);
    assert_eq!(bench.error(Method::POST, &format!("{at}/uv"), Some(json!({}))).await, argument);
    let answer = bench.request(Method::POST, &format!("{at}/uv")).body("{").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let method = bench.error(Method::PUT, &at, None).await;
    assert_eq!(method, (405, "unknown method".to_owned()));
    assert_eq!(bench.error(Method::GET, "/session/s0/webauthn/x", None).await, (404, "unknown command".to_owned()));
}

#[tokio::test]
async fn who_does_not_consent_is_nobody_that_a_finger_touches() {
    let bench = Bench::start(TouchPolicy::Auto).await;
    bench.new_session(json!({})).await;
    let not = json!({"protocol": "ctap2", "transport": "usb", "isUserConsenting": false});
    let error = bench.error(Method::POST, "/session/s0/webauthn/authenticator", Some(not)).await;
    assert_eq!(error, (500, "unsupported operation".to_owned()));
    // It is gone again once what was under way is done.
    while !bench.rack.command(Command::List).await.unwrap().keys.is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..32 {
        bench.add(&json!({})).await;
    }
    let more = json!({"protocol": "ctap2", "transport": "usb"});
    let error = bench.error(Method::POST, "/session/s0/webauthn/authenticator", Some(more)).await;
    assert_eq!(error, (500, "unsupported operation".to_owned()));
}

#[tokio::test]
async fn a_driver_that_does_not_answer_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    drop(listener);
    let driver = Drivers::At { authority: authority.clone(), base: String::new(), keys: None };
    let options = Options { driver, mode: Mode::Driver, base: String::new() };
    let serving = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap();
    let asked =
        Client::new().post(format!("http://127.0.0.1:{}/session", serving.port())).json(&json!({"capabilities": {}}));
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 500);
    let told = answer.json::<Value>().await.unwrap()["value"].take();
    assert_eq!(told["error"], "session not created");
    assert!(
        told["message"].as_str().unwrap().contains(&format!("the driver at {authority} does not answer")),
        "{told}"
    );
}
