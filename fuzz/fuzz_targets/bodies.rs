//! Requests to the service by somebody who has the token: at each of its paths a body, raw, or as the options of a ceremony.
//!
//! What must hold: no panic; an answer comes, though the clock may have to run for it; what is not a success has one shape; the rack answers
//! afterwards.

#![no_main]

use core::time::Duration;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_service::{Service, router};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tower::ServiceExt;

const TOKEN: &str = "fuzz";

/// Methods and paths, as the service describes them.
static OPERATIONS: LazyLock<Vec<(Method, String)>> = LazyLock::new(|| {
    let document = paused().block_on(async {
        let request = Request::get("/v1/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
        let body = service().await.oneshot(request).await.unwrap().into_body();
        to_bytes(body, usize::MAX).await.unwrap()
    });
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // It answers as long as it is listened to.
        if path == "/v1/events/stream" {
            continue;
        }
        let path = path.replace("{key}", "a").replace("{credential_id}", "AAAA");
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_ascii_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
});

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

async fn service() -> Router {
    let keys = vec![KeySpecification::built_in("keyrig", "a").unwrap()];
    let rack = Rack::start(Options { seed: Some(1), ..Options::default() }, keys).await.unwrap();
    router(Service::new(rack, TOKEN.parse().unwrap()))
}

fuzz_target!(|data: &[u8]| {
    let [which, how, body @ ..] = data else { return };
    let (method, path) = &OPERATIONS[usize::from(*which) % OPERATIONS.len()];
    let body = match how % 3 {
        0 => body.to_vec(),
        1 => [br#"{"origin":"https://example.com","options":"#, body, b"}"].concat(),
        _ => [br#"{"origin":"https://example.com","options":{"challenge":"AAAA","#, body, b"}}"].concat(),
    };
    paused().block_on(async {
        let service = service().await;
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {TOKEN}"));
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        // A conditional get() waits as long as the page does.
        let Ok(answer) = timeout(Duration::from_secs(24 * 60 * 60), service.clone().oneshot(request)).await else {
            return;
        };
        let answer = answer.unwrap();
        let status = answer.status();
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}");
        let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        if !status.is_success() {
            let error: Value = serde_json::from_slice(&text).expect("an error in JSON");
            assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{error}");
        }
        let ready = Request::get("/v1/ready").body(Body::empty()).unwrap();
        assert_eq!(service.oneshot(ready).await.unwrap().status(), StatusCode::OK);
    });
});
