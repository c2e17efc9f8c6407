//! What is described is there, and what is there is described.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Rig, TOKEN, sent};

/// Every command of the control socket, which answers with their names when it is asked for another one.
fn commands() -> Vec<String> {
    let other = serde_json::from_value::<keyrig_control::request::Request>(json!({"command": "?"}));
    let told = other.expect_err("there is no such command").to_string();
    let (_, known) = told.split_once("expected one of ").expect("the names");
    known.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_of_a_route() {
    let rig = Rig::two().await;
    let document = rig.get("/v1/openapi.json").await.body;
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            operations.push(operation["operationId"].as_str().expect("an id").to_owned());
            assert!(
                operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
                "{path} {method} {operation}"
            );
            // These answer no JSON.
            if path.ends_with("/stream") || path.ends_with(".js") || path.ends_with("/{file}") {
                continue;
            }
            // What is asked for is wrong, or done; but it is there.
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let asked = path.replace("{key}", "nobody").replace("{credential_id}", "AA");
            let answer = sent(rig.request(method.clone(), &asked).bearer_auth(TOKEN)).await;
            let code = answer.body["error"]["code"].as_str().unwrap_or_default();
            assert!(!["not-found", "method-not-allowed"].contains(&code), "{method} {path}: {}", answer.body);
        }
    }
    let all = operations.len();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), all, "each has a name of its own");
    // Beside commands: ready, version, the description, the streams of events, of the transcript and of the panel, the
    // panel's codes and tokens, the catalogue, two ceremonies and what a page can ask for and signal, its script and the tokens for
    // it, what takes notes and where they go, metadata of the keys.
    assert_eq!(all, commands().len() + 19, "{operations:?} {:?}", commands());
}

#[tokio::test]
async fn what_is_referred_to_is_there_and_secrets_are_nowhere() {
    let rig = Rig::two().await;
    let document = rig.get("/v1/openapi.json").await.body;
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    assert!(!text.contains(TOKEN));
    let anybody = sent(rig.request(Method::GET, "/v1/openapi.json")).await;
    assert_eq!(anybody.body, document, "on this machine it is no secret");
    let elsewhere = sent(rig.request(Method::GET, "/v1/openapi.json").header("host", "rebound.example")).await;
    assert_eq!(elsewhere.code(), "token-missing");
}

#[tokio::test]
async fn a_key_is_made_kept_and_taken_away() {
    let rig = Rig::two().await;
    let made = rig.post("/v1/keys", json!({"name": "c", "profile": "keyrig", "pin": "1234"})).await;
    assert_eq!((made.status.as_u16(), &made.body["keys"][0]["name"]), (200, &json!("c")), "{}", made.body);
    assert_eq!(rig.post("/v1/keys", json!({"name": "c"})).await.code(), "key-exists");
    assert_eq!(rig.get("/v1/keys/c/pin").await.body["pin_set"], true);
    let snapshot = rig.get("/v1/keys/c/snapshot").await.body["snapshot"].clone();
    assert_eq!(rig.put("/v1/keys/c/snapshot", json!({"snapshot": snapshot})).await.status, 200);
    assert_eq!(rig.put("/v1/keys/c/snapshot", json!({"snapshot": "AAAA"})).await.code(), "bad-snapshot");
    let cloned = rig.post("/v1/keys/c/clone", json!({"name": "d"})).await;
    assert_eq!(cloned.status, 200, "{}", cloned.body);
    assert_eq!(rig.get("/v1/keys/d/credentials").await.body["credentials"], json!([]));
    assert_eq!(rig.get("/v1/keys/d/credentials/export?rp_id=1234").await.body["credentials"], json!([]));
    assert_eq!(rig.get("/v1/keys/d/credentials/export?nothing=1").await.code(), "bad-request");
    let removed = sent(rig.request(Method::DELETE, "/v1/keys/d").bearer_auth(TOKEN)).await;
    assert_eq!(removed.body["keys"].as_array().map(Vec::len), Some(3), "{}", removed.body);
    assert_eq!(rig.get("/v1/keys/d/pin").await.code(), "unknown-key");
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_and_again_from_where_one_was() {
    let rig = Rig::two().await;
    let last = |body: &Value| body["events"].as_array().and_then(|events| events.last()).expect("an event").clone();
    rig.post("/v1/keys/a/unplug", json!({})).await;
    let unplugged = last(&rig.get("/v1/events?after=0").await.body);
    assert_eq!((&unplugged["event"], &unplugged["key"]), (&json!("unplugged"), &json!("a")));
    let id = unplugged["id"].as_u64().expect("a number");
    let none = rig.get(&format!("/v1/events?after={id}&timeout_ms=1")).await;
    assert_eq!(none.body["events"], json!([]));
    for request in [
        rig.request(Method::GET, &format!("/v1/events/stream?after={}", id - 1)),
        rig.request(Method::GET, "/v1/events/stream").header("last-event-id", id - 1),
    ] {
        let mut stream = request.bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        while text.matches("\n\n").count() < 1 {
            text.push_str(&String::from_utf8_lossy(&stream.chunk().await.expect("more").expect("more")));
        }
        assert!(text.starts_with(&format!("id: {id}\ndata: {{")), "{text}");
        let plugged = rig.post("/v1/keys/a/power-cycle", json!({})).await;
        drop((stream, plugged));
    }
    let wrong = rig.request(Method::GET, "/v1/events/stream").header("last-event-id", "x");
    assert_eq!(sent(wrong.bearer_auth(TOKEN)).await.code(), "bad-request");
    assert_eq!(rig.get("/v1/events/stream?after=x").await.code(), "bad-request");
}
