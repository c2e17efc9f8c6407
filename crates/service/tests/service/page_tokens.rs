//! Tokens for pages: good for ceremonies of one origin, and for nothing else.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, ORIGIN, Rig, TOKEN, sent};

fn options() -> Value {
    json!({"challenge": "AAAA", "rpId": "example.com", "timeout": 1000})
}

async fn token(rig: &Rig) -> String {
    let made = rig.post("/v1/page-tokens", json!({"origin": ORIGIN})).await;
    assert_eq!(
        (made.status.as_u16(), &made.body["origin"], &made.body["expires_in_s"]),
        (200, &ORIGIN.into(), &3600.into())
    );
    made.body["token"].as_str().unwrap().to_owned()
}

/// A request as a browser sends it for a page of an origin.
fn of_page(rig: &Rig, path: &str, token: &str, origin: &str) -> RequestBuilder {
    rig.request(Method::POST, path).bearer_auth(token).header("origin", origin)
}

async fn get(rig: &Rig, token: &str, origin: &str, body: Value) -> Answer {
    sent(of_page(rig, "/v1/client/get", token, origin).json(&body)).await
}

#[tokio::test]
async fn a_page_asks_for_ceremonies_of_its_own_origin_and_for_nothing_else() {
    let rig = Rig::two().await;
    let token = token(&rig).await;
    let asked = json!({"origin": ORIGIN, "options": options()});
    // The keys know no credential: it came as far as that.
    assert_eq!(get(&rig, &token, ORIGIN, asked.clone()).await.body["error"]["name"], "NotAllowedError");
    for other in ["https://example.com", "http://login.example.com", "https://login.example.com:8443", "null", ""] {
        assert_eq!(get(&rig, &token, other, asked.clone()).await.code(), "other-origin", "{other}");
    }
    // Nor by its own word, nor without a browser's.
    let claimed = json!({"origin": "https://example.com", "options": options()});
    assert_eq!(get(&rig, &token, ORIGIN, claimed).await.code(), "other-origin");
    let without = sent(rig.request(Method::POST, "/v1/client/get").bearer_auth(&token).json(&asked)).await;
    assert_eq!(without.code(), "other-origin");
    let twice = of_page(&rig, "/v1/client/get", &token, ORIGIN).header("origin", ORIGIN).json(&asked);
    assert_eq!(sent(twice).await.code(), "other-origin");
    // What is for whoever made the token.
    for (member, value) in
        [("on", json!(["a"])), ("pin", json!("1234")), ("browser", json!("firefox")), ("user_name", json!("u"))]
    {
        let mut asked = asked.clone();
        asked[member] = value;
        assert_eq!(get(&rig, &token, ORIGIN, asked).await.code(), "bad-ceremony", "{member}");
    }
    for (method, path) in
        [(Method::GET, "/v1/keys"), (Method::POST, "/v1/page-tokens"), (Method::GET, "/v1/client/get")]
    {
        let request = rig.request(method, path).bearer_auth(&token).header("origin", ORIGIN).json(&json!({}));
        assert_eq!(sent(request).await.code(), "not-for-pages", "{path}");
    }
}

#[tokio::test]
async fn browsers_are_told_which_pages_may_ask() {
    let rig = Rig::two().await;
    let token = token(&rig).await;
    let preflight = |path: &'static str, origin: &'static str| {
        rig.request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
    };
    let answer = preflight("/v1/client/create", ORIGIN).await.unwrap();
    assert_eq!(answer.status().as_u16(), 204);
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization, content-type");
    assert_eq!(answer.headers()["access-control-allow-private-network"], "true");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    for (path, origin) in
        [("/v1/client/create", "https://example.com"), ("/v1/keys", ORIGIN), ("/v1/page-tokens", ORIGIN)]
    {
        let answer = preflight(path, origin).await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{path} {origin}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    let asked = of_page(&rig, "/v1/client/capabilities", &token, ORIGIN).json(&json!({})).send().await.unwrap();
    assert_eq!(asked.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(asked.headers()["keyrig-ancestors"], "claimed");
    assert_eq!(asked.json::<Value>().await.unwrap()["userVerifyingPlatformAuthenticator"], false);
    // Who has the service's own token is no page.
    let own = rig.post("/v1/client/capabilities", json!({})).await;
    assert_eq!(own.body["conditionalGet"], true);
}

#[tokio::test]
async fn one_ends_when_it_is_revoked() {
    let rig = Rig::two().await;
    let token = token(&rig).await;
    let asked = json!({"origin": ORIGIN, "options": options()});
    let revoke = || async {
        sent(rig.request(Method::DELETE, "/v1/page-tokens").bearer_auth(TOKEN).json(&json!({"token": token}))).await
    };
    assert_eq!(revoke().await.body, json!({"revoked": true}));
    assert_eq!(get(&rig, &token, ORIGIN, asked).await.code(), "token-wrong");
    assert_eq!(revoke().await.body, json!({"revoked": false}));
    for (wrong, code) in [
        (json!({"origin": "nowhere"}), "bad-ceremony"),
        (json!({"origin": ORIGIN, "expires_in_s": 0}), "bad-request"),
        (json!({"origin": ORIGIN, "expires_in_s": 86401}), "bad-request"),
        (json!({"origin": ORIGIN, "on": ["nobody"]}), "unknown-key"),
    ] {
        assert_eq!(rig.post("/v1/page-tokens", wrong).await.code(), code);
    }
}
