//! The rack's commands over HTTP, and what is wrong with a request.

use keyrig_rack::finger::TouchPolicy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Rig, TOKEN, sent};

#[tokio::test]
async fn keys_are_listed_pulled_out_and_put_back() {
    let rig = Rig::two().await;
    let listed = rig.get("/v1/keys").await;
    assert_eq!(
        listed.body,
        serde_json::to_value(rig.rack.command(keyrig_rack::command::Command::List).await.unwrap()).unwrap()
    );
    assert_eq!(listed.body["keys"].as_array().expect("a list").len(), 2);
    for (action, plugged) in [("unplug", false), ("plug", true), ("power-cycle", true)] {
        let done = rig.post(&format!("/v1/keys/b/{action}"), json!({})).await;
        assert_eq!((done.status.as_u16(), &done.body["keys"][0]["plugged"]), (200, &json!(plugged)), "{action}");
    }
    assert_eq!(rig.post("/v1/keys/b/plug", json!({})).await.code(), "plugged-in-already");
    let bare = sent(rig.request(Method::POST, "/v1/keys/b/unplug").bearer_auth(TOKEN)).await;
    assert_eq!(bare.status, 200, "no body is needed where there is nothing to say");
    assert_eq!(rig.post("/v1/keys/b/unplug", json!({})).await.code(), "not-plugged-in");
    let finger = rig.put("/v1/finger", json!({"key": "b"})).await;
    assert_eq!(finger.body["keys"][1]["under_finger"], true);
    assert_eq!(rig.put("/v1/finger", json!({"key": null})).await.body["keys"][0]["under_finger"], true);
    assert_eq!(rig.put("/v1/touch-policy", json!({"policy": "after=50"})).await.body["touch"], "after=50");
    let lists = json!({"name": "e", "profile": "yubikey-enterprise", "enterprise_rps": ["example.com"]});
    let created = rig.post("/v1/keys", lists).await;
    assert_eq!(created.body["keys"][0]["enterprise_rps"], json!(["enterprise.example.com", "example.com"]));

    // CTAP 2.3 §6.4: authenticatorGetInfo is 0x04, and its answer begins with CTAP2_OK.
    let answer = rig.post("/v1/keys/a/transact", json!({"message": "04"})).await;
    assert!(answer.body["message"].as_str().expect("text").starts_with("00"), "{}", answer.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Manual).await;
    let long = format!("/v1/keys/{}/touch", "x".repeat(33));
    let enterprise = |profile, rp_id| json!({"name": "e", "profile": profile, "enterprise_rps": [rp_id]});
    for (method, path, body, status, code) in [
        (Method::POST, "/v1/keys/zz/touch", json!({}), 404, "unknown-key"),
        (Method::POST, "/v1/keys/a/touch", json!({}), 409, "not-waiting"),
        (Method::POST, "/v1/keys/a/deny", json!({}), 409, "not-waiting"),
        (Method::POST, "/v1/keys/a/sample", json!({"sample": "good"}), 409, "fingerprints-not-supported"),
        (Method::POST, "/v1/keys/a/sample", json!({"sample": "fast"}), 400, "bad-request"),
        (Method::POST, &long, json!({}), 400, "bad-request"),
        (Method::POST, "/v1/keys/%FF/touch", json!({}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/touch", json!({"harder": true}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/touch", json!({"key": "a"}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/touch", json!([]), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/transact", json!({}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/transact", json!({"message": "0"}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/transact", json!({"message": "00".repeat(7610)}), 400, "message-too-long"),
        (Method::PUT, "/v1/touch-policy", json!({"policy": "hard"}), 400, "bad-request"),
        (Method::PUT, "/v1/finger", json!({"key": "zz"}), 404, "unknown-key"),
        (Method::GET, "/v1/nothing", json!({}), 404, "not-found"),
        (Method::POST, "/v1/keys", json!({"nothing": 1}), 400, "bad-request"),
        (Method::POST, "/v1/keys", enterprise("keyrig", "example.com"), 422, "enterprise-rp-refused"),
        (Method::POST, "/v1/keys", enterprise("yubikey-enterprise", "https://a.test"), 422, "enterprise-rp-refused"),
        (Method::POST, "/v1/keys/a/pin?pin=1234", json!({}), 400, "bad-request"),
        (Method::POST, "/v1/keys/a/touch", json!({"wait": true, "timeout_ms": 86_400_001}), 400, "bad-request"),
        (Method::PUT, "/v1/keys/a/snapshot", json!({"snapshot": "AAAA"}), 422, "bad-snapshot"),
        (Method::POST, "/v1/keys/a/touch", json!({"x": "x".repeat(64 * 1024)}), 413, "body-too-large"),
        (Method::POST, "/v1/client/get", json!({"x": "x".repeat(64 * 1024)}), 400, "bad-request"),
        (Method::POST, "/v1/client/get", json!({"x": "x".repeat(1024 * 1024)}), 413, "body-too-large"),
        (Method::PUT, "/v1/keys/a/snapshot", json!({"snapshot": "A".repeat(4 * 1024 * 1024)}), 422, "bad-snapshot"),
        (Method::PATCH, "/v1/keys", json!({}), 405, "method-not-allowed"),
        (Method::POST, "/v1/keys", json!({"name": "c", "profile": "nokey"}), 400, "unknown-profile"),
        (Method::DELETE, "/v1/keys/a/credentials/AAAA", json!({}), 404, "no-such-credential"),
        (Method::PUT, "/v1/keys/zz/snapshot", json!({"x": "x".repeat(7 * 1024 * 1024)}), 404, "unknown-key"),
    ] {
        let answer = sent(rig.request(method, path).bearer_auth(TOKEN).json(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path} {body}: {}", answer.body);
    }
    let touch = || rig.request(Method::POST, "/v1/keys/a/touch").bearer_auth(TOKEN);
    assert_eq!(sent(touch().body("{}")).await.code(), "content-type");
    for body in ["{", "{}{}", "null", "\u{0}"] {
        let answer = sent(touch().header("content-type", "application/json; charset=utf-8").body(body)).await;
        assert_eq!(answer.code(), "bad-request", "{body}");
    }
    let answer = sent(touch().header("content-type", "application/json").body(" ".repeat(24 * 1024 * 1024 + 1))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "body-too-large"));
    assert_eq!(rig.get("/v1/version").await.body["version"], Value::from(env!("CARGO_PKG_VERSION")));
}

/// Which member is wrong, and what it may be.
#[tokio::test]
async fn what_is_wrong_is_named() {
    let rig = Rig::two().await;
    for (method, path, body, message) in [
        (
            Method::POST,
            "/v1/keys/a/touch",
            json!({"wait": "yes"}),
            "wait: invalid type: string \"yes\", expected a boolean",
        ),
        (
            Method::POST,
            "/v1/keys/a/touch",
            json!({"timeout_ms": -1}),
            "timeout_ms: invalid value: integer `-1`, expected a whole number from 0 on",
        ),
        (
            Method::POST,
            "/v1/keys/a/touch",
            json!({"timeout_ms": 86_400_001}),
            "timeout_ms: 86400001 ms are more than 86400000, a day",
        ),
        (
            Method::POST,
            "/v1/keys/a/wait",
            json!({"for": "x"}),
            "for: unknown variant `x`, expected one of `touch`, `plugged`, `attached`",
        ),
        (Method::POST, "/v1/keys/a/wait", json!({}), "missing field `for`"),
        (
            Method::POST,
            "/v1/keys/a/credentials",
            json!({"credential": {"rp_id": 1}}),
            "credential.rp_id: invalid type: integer `1`",
        ),
        (
            Method::PUT,
            "/v1/touch-policy",
            json!({"policy": "hard"}),
            "policy: \"hard\" is not a touch policy: choose auto",
        ),
        (
            Method::GET,
            "/v1/events?after=x",
            Value::Null,
            "after: invalid type: string \"x\", expected a whole number from 0 on",
        ),
        (Method::GET, "/v1/events?after=1&after=2", Value::Null, "after is there twice"),
        (
            Method::GET,
            "/v1/events/stream?after=x",
            Value::Null,
            "after: invalid type: string \"x\", expected a whole number from 0 on",
        ),
        (
            Method::GET,
            "/v1/keys/a/credentials/export?nothing=1",
            Value::Null,
            "nothing: unknown field `nothing`, expected one of",
        ),
        (Method::POST, "/v1/keys/%20/touch", json!({}), "key: \" \" is not a name for a key: use 1 to 32"),
        (
            Method::POST,
            "/v1/client/get",
            json!({"origin": "https://a.example", "on": ["x/y"], "options": {}}),
            "on[0]: \"x/y\" is not a name for a key",
        ),
        (
            Method::POST,
            "/v1/client/get",
            json!({"origin": "https://a.example", "on": [], "options": {}}),
            "on: it names no key: leave it out to ask all that are plugged in",
        ),
        (
            Method::POST,
            "/v1/timeline",
            json!({"timeline": 1}),
            "timeline: invalid type: integer `1`, expected an object",
        ),
        (Method::PUT, "/v1/finger", json!([]), "the body: it is no object"),
    ] {
        let request = rig.request(method, path).bearer_auth(TOKEN);
        let answer = sent(if body.is_null() { request } else { request.json(&body) }).await;
        assert_eq!(answer.code(), "bad-request", "{path} {body}");
        let told = answer.body["error"]["message"].as_str().expect("text");
        assert!(told.starts_with(message), "{path} {body}: {told}");
    }
}

/// Which of them is meant, nobody knows (RFC 8259 §4): a script that wrote both is told.
#[tokio::test]
async fn a_member_that_is_there_twice_is_refused() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Manual).await;
    for (path, body, name) in [
        ("/v1/keys", r#"{"name": "b", "name": "c"}"#, "name"),
        (
            "/v1/client/get",
            r#"{"origin": "https://a.example", "options": {"challenge": "AAAA", "rpId": "a.example", "challenge": "BBBB"}}"#,
            "challenge",
        ),
    ] {
        let request = rig.request(Method::POST, path).bearer_auth(TOKEN);
        let answer = sent(request.header("Content-Type", "application/json").body(body)).await;
        assert_eq!(answer.code(), "bad-request", "{path}");
        let told = answer.body["error"]["message"].as_str().expect("text");
        assert!(told.starts_with(&format!("the body: {name:?} is there twice in one object at line 1")), "{told}");
    }
    assert_eq!(rig.keys().await.len(), 1, "nothing was made");
}

/// Who asks, then where, then how, then for which key, and then what.
#[tokio::test]
async fn what_is_wrong_is_said_in_the_order_in_which_it_is_known() {
    let rig = Rig::two().await;
    let long = || json!({"x": "x".repeat(100_000)});
    for (path, method, token, code) in [
        ("/v1/nothing", Method::POST, "another", "token-wrong"),
        ("/v1/nothing", Method::POST, TOKEN, "not-found"),
        ("/v1/keys/zz/touch", Method::PUT, TOKEN, "method-not-allowed"),
        ("/v1/keys/zz/touch", Method::POST, TOKEN, "unknown-key"),
        ("/v1/keys/a/touch?wait=true", Method::POST, TOKEN, "bad-request"),
        ("/v1/keys/a/touch", Method::POST, TOKEN, "body-too-large"),
    ] {
        let answer = sent(rig.request(method.clone(), path).bearer_auth(token).json(&long())).await;
        assert_eq!(answer.code(), code, "{method} {path}");
    }
}

#[tokio::test]
async fn a_touch_is_waited_for_and_no_longer_than_asked() {
    let rig = std::sync::Arc::new(Rig::start(&["a=keyrig"], TouchPolicy::Manual).await);
    let late = rig.post("/v1/keys/a/touch", json!({"wait": true, "timeout_ms": 1})).await;
    assert_eq!((late.status.as_u16(), late.code()), (409, "timed-out"));
    let selected = {
        let rig = rig.clone();
        // CTAP 2.3 §6.9: authenticatorSelection is 0x0B, and asks for a touch.
        tokio::spawn(async move { rig.post("/v1/keys/a/transact", json!({"message": "0b"})).await })
    };
    let waited = rig.post("/v1/keys/a/wait", json!({"for": "touch"})).await;
    assert_eq!(waited.body["keys"][0]["waiting_for"], "authenticatorSelection");
    assert_eq!(rig.post("/v1/keys/a/touch", json!({"wait": true})).await.status, 200);
    assert_eq!(selected.await.expect("an answer").body["message"], "00");
}

#[tokio::test]
async fn a_timeline_does_what_it_says_beside_a_request_and_says_what_it_did() {
    let rig = std::sync::Arc::new(Rig::start(&["a=keyrig", "b=keyrig"], TouchPolicy::Manual).await);
    let selected = {
        let rig = rig.clone();
        // CTAP 2.3 §6.9: authenticatorSelection is 0x0B, and asks for a touch.
        tokio::spawn(async move { rig.post("/v1/keys/b/transact", json!({"message": "0b"})).await })
    };
    let timeline = json!({"events": [
        {"when": "b waiting", "do": "touch", "key": "b"},
        {"when": "b touched", "do": "unplug", "key": "a"},
    ]});
    let answer = rig.post("/v1/timeline", json!({"timeline": timeline})).await;
    assert_eq!(selected.await.expect("an answer").body["message"], "00");
    assert_eq!(answer.status, 200);
    let done: Vec<_> = answer.body["done"].as_array().expect("a list").iter().map(|done| done["do"].clone()).collect();
    assert_eq!(done, ["touch", "unplug"]);
    assert!(!rig.keys().await[0].plugged);
    let never = json!({"events": [{"when": "a winked", "do": "plug", "key": "a"}]});
    let never = rig.post("/v1/timeline", json!({"timeline": never, "timeout_ms": 1})).await;
    assert_eq!(never.body, json!({"done": [], "pending": [1], "missed": 0}));
    for (timeline, code, words) in [
        (json!({"events": [{"at": "1s", "do": "plug", "key": "c"}]}), "unknown-key", "the keys are a, b"),
        (json!({"events": [{"at": "1s", "do": "plug"}]}), "bad-request", "plug is done to a key"),
        (json!({"events": [{"at": "1s", "do": "fault", "key": "a"}]}), "bad-request", "fault wants fault"),
        (json!({"events": [{"at": "soon", "do": "plug", "key": "a"}]}), "bad-request", "is no time"),
    ] {
        let refused = rig.post("/v1/timeline", json!({"timeline": timeline})).await;
        assert_eq!(refused.code(), code, "{}", refused.body);
        assert!(refused.body["error"]["message"].as_str().expect("text").contains(words), "{}", refused.body);
    }
}
