//! What pages note of their ceremonies.

use std::sync::Arc;

use keyrig_faults::transcript::{Explainer, Recorder, Secrets, What};
use keyrig_rack::Options;
use reqwest::Method;
use serde_json::json;

use crate::support::{Rig, sent};

const BEGAN: &str = r#"{"note": "began", "id": "1-1", "at_unix_ms": 1000, "ceremony": "get", "origin": "https://login.example.net",
    "top": true, "options": {"rp_id": "example.com", "challenge": "AAAA"}}"#;
const ENDED: &str = r#"{"note": "ended", "id": "1-1", "at_unix_ms": 1005,
    "exception": {"name": "SecurityError", "message": "The operation is insecure."}}"#;

#[tokio::test]
async fn a_note_is_written_down_and_explained() {
    let recorder = Recorder::new(&[], Secrets::Masked);
    let options = Options { seams: vec![Arc::new(recorder.clone())], ..Options::default() };
    let rig = Rig::start_with(&["a=keyrig"], options).await;
    for note in [BEGAN, ENDED] {
        let noted = rig.post("/v1/notes", json!({"note": note})).await;
        assert_eq!((noted.status.as_u16(), &noted.body), (200, &json!({"ceremony": "1-1"})));
    }
    let mut explainer = Explainer::default();
    let transcript = recorder.transcript();
    let mut explained: Vec<_> = transcript.events().iter().flat_map(|event| explainer.take(event)).collect();
    let Some(What::Explained(explanation)) = explained.pop().map(|event| event.what) else { panic!("nothing") };
    assert!(explanation.text.contains("The RP ID example.com is neither login.example.net"), "{}", explanation.text);
    assert!(explained.is_empty());

    for wrong in ["", "{}", r#"{"note": "began"}"#, r#"{"note": "left", "id": "1"}"#] {
        assert_eq!(rig.post("/v1/notes", json!({"note": wrong})).await.code(), "bad-note", "{wrong}");
    }
    let long = json!({"note": "x".repeat(64 * 1024)});
    assert_eq!(rig.post("/v1/notes", long).await.code(), "body-too-large");
    let nobody = sent(rig.request(Method::POST, "/v1/notes").json(&json!({"note": BEGAN}))).await;
    assert_eq!(nobody.code(), "token-missing");
}

#[tokio::test]
async fn where_nothing_is_written_down_no_note_is_taken() {
    let rig = Rig::two().await;
    assert_eq!(rig.post("/v1/notes", json!({"note": BEGAN})).await.code(), "not-observed");
}

#[tokio::test]
async fn what_takes_notes_is_no_secret_on_this_machine() {
    let rig = Rig::two().await;
    let script = rig.request(Method::GET, "/v1/observe.js").send().await.expect("an answer");
    assert_eq!(
        (script.status().as_u16(), &script.headers()["content-type"]),
        (200, &"text/javascript; charset=utf-8".parse().unwrap())
    );
    let elsewhere = sent(rig.request(Method::GET, "/v1/observe.js").header("host", "rebound.example")).await;
    assert_eq!(elsewhere.code(), "token-missing");
}
