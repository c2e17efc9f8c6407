//! Settings that name no origin: the request's `Host` decides, and a proxy may have changed it.

use axum::body::Body;
use axum::http::{Request, header};
use keyrig_relying_party::{CSRF_HEADER, Options, PasswordCost, Settings, Store, Transport};
use serde_json::Value;

use crate::rig::{HOST, Key, ORIGIN, RP_ID, Rig, registration, text};

/// The end of a registration on a page of [`ORIGIN`], as it comes through a proxy with this `Host`.
async fn register_by(host: &str, over_tls: bool) -> Value {
    let settings = Settings { origins: Vec::new(), ..Settings::new(RP_ID, ORIGIN) };
    let store = Store::in_memory().unwrap();
    let password_cost = PasswordCost::DangerNone;
    let transport = if over_tls { Transport::BehindTls } else { Transport::Plain };
    let rig =
        Rig::with_options(Ok(settings), Options { password_cost, explain: true, transport, ..Options::new(store) });
    let mut alice = rig.new_user("alice@pve").await;
    let begun = alice.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    // The proxy changes every request alike: the cookie was called by the port of that Host.
    let cookie = alice.cookie.clone().unwrap();
    let cookie = if host.contains(':') { cookie } else { cookie.replace("_8006=", "=") };
    let request = Request::post("/api/factors/webauthn")
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::COOKIE, cookie)
        .header(CSRF_HEADER, alice.csrf_token.clone().unwrap());
    let body = Body::from(registration(&begun, "key", &credential).to_string());
    alice.raw(request.body(body).unwrap()).await.2
}

#[tokio::test]
async fn a_host_that_a_proxy_has_changed_is_said_with_the_remedy() {
    assert_eq!(register_by(HOST, true).await["factor"]["type"], "webauthn");
    let cases = [
        (
            "backend:8006",
            true,
            "the origin of the request's Host, pve.example.com or below it",
            "the request's Host was backend:8006, which is not pve.example.com or below it; have the proxy pass on the Host \
             that browsers send, or write origin= into the settings",
        ),
        (
            HOST,
            false,
            "the origin of the request's Host, pve.example.com or below it",
            "the request for pve.example.com:8006 came in plain http; if a proxy ends TLS in front, start with --behind-tls",
        ),
        (
            "pve.example.com",
            true,
            "https://pve.example.com",
            "the settings name no origin, and the request's Host was pve.example.com; if a proxy changes it, have it pass \
             on the Host that browsers send, or write origin= into the settings",
        ),
    ];
    for (host, over_tls, expected, explanation) in cases {
        let answer = register_by(host, over_tls).await;
        let checks = answer["report"]["verification"]["checks"].as_array().unwrap();
        let origin = checks.iter().find(|check| check["id"] == "origin").unwrap();
        assert_eq!((text(&origin["found"]), text(&origin["expected"])), (ORIGIN.to_owned(), expected.to_owned()));
        assert_eq!(text(&origin["explanation"]), explanation);
    }
}
