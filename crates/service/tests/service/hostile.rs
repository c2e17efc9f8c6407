//! What is sent by those who do not mean well, or do not know better: each gets an answer of the one shape or none, and costs nobody else
//! anything.

use std::io::ErrorKind;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_service::{Service, router};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::support::{Rig, TOKEN, creation, on_page};

async fn connected(rig: &Rig, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.server.local_addr()).await.expect("it listens");
    stream.write_all(head.as_bytes()).await.expect("it takes it");
    stream
}

/// The first line of what comes back.
async fn status(stream: &mut TcpStream) -> String {
    let mut answer = [0; 64];
    let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await.expect("in time");
    let text = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

/// 100 MB that nobody asked for: it is refused for its length, or when it is too long, and not kept.
#[tokio::test]
async fn a_body_of_any_length_is_not_taken() {
    let rig = Rig::two().await;
    for (token, expected) in [(TOKEN, "413"), ("another", "401")] {
        let head = format!(
            "POST /v1/client/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let mut stream = connected(&rig, &head).await;
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x1_0000], b"\r\n"].concat();
        let mut sent = 0;
        // Until the service has had enough and has said so.
        while sent < 100_000_000 {
            match timeout(Duration::from_millis(500), stream.write_all(&chunk)).await {
                Ok(Ok(())) => sent += 0x1_0000,
                Ok(Err(error)) => {
                    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()), "{error}");
                    break;
                }
                Err(_) => break,
            }
        }
        assert!(sent < 30_000_000, "{sent} bytes were taken");
        let told = status(&mut stream).await;
        assert!(told.is_empty() || told.contains(expected), "{told}");
        let length = format!(
            "POST /v1/client/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
        );
        assert!(status(&mut connected(&rig, &length).await).await.contains(expected));
    }
    assert_eq!(rig.get("/v1/keys").await.status, 200);
}

#[tokio::test]
async fn half_a_ceremony_and_one_hung_up_make_no_key_blink() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Manual).await;
    let body = on_page(creation()).to_string();
    let head = |length: usize| {
        format!(
            "POST /v1/client/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let half = connected(&rig, &format!("{}{}", head(body.len()), &body[..body.len() / 2])).await;
    assert!(rig.keys().await.iter().all(|key| key.waiting_for.is_none()));
    drop(half);
    for _ in 0..20 {
        let whole = connected(&rig, &format!("{}{body}", head(body.len()))).await;
        rig.until_waiting(&["a"]).await;
        drop(whole);
        rig.until_waiting(&[]).await;
    }
}

/// Long bodies are read four at a time, and short ones beside them.
#[tokio::test]
async fn half_of_a_long_body_holds_up_long_ones_alone() {
    let rig = Rig::two().await;
    let padded = format!("{}{}", on_page(creation()), " ".repeat(100_000));
    let head = format!(
        "POST /v1/client/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        padded.len()
    );
    let mut halves = Vec::new();
    for _ in 0..4 {
        halves.push(connected(&rig, &format!("{head}{}", &padded[..1000])).await);
    }
    assert_eq!(rig.post("/v1/client/create", on_page(creation())).await.status, 200);
    let mut fifth = connected(&rig, &format!("{head}{padded}")).await;
    let early = timeout(Duration::from_millis(500), fifth.readable()).await;
    assert!(early.is_err(), "it has to wait for its turn");
    halves.pop();
    assert!(status(&mut fifth).await.contains("200"));
}

/// A body that never comes, and one that waits for its turn behind such: who is to blame is said.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for_and_others_are_told_why_they_wait() {
    let rack = Rack::start(Options::default(), vec![KeySpecification::built_in("keyrig", "a").expect("built in")]);
    let service = router(Service::new(rack.await.expect("a rack"), TOKEN.parse().expect("a token")));
    let post = |body: Body, begun: Instant| {
        let request = Request::post("/v1/client/get").header("authorization", format!("Bearer {TOKEN}"));
        let request = request.header("content-type", "application/json").header("transfer-encoding", "chunked");
        let asked = service.clone().oneshot(request.body(body).expect("a request"));
        tokio::spawn(async move {
            let answer = asked.await.expect("an answer");
            let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            (body["error"]["code"].as_str().expect("a code").to_owned(), begun.elapsed().as_secs())
        })
    };
    let never = || Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    for (stalled, expected) in [(4, ("bad-request", 30)), (8, ("too-many-long-bodies", 45))] {
        let begun = Instant::now();
        let stalled: Vec<_> = (0..stalled).map(|_| post(never(), begun)).collect();
        tokio::task::yield_now().await;
        let whole = post(Body::from("{}"), begun).await.expect("no panic");
        assert_eq!((whole.0.as_str(), whole.1), expected);
        for (index, stalled) in stalled.into_iter().enumerate() {
            let seconds = if index < 4 { 30 } else { 60 };
            assert_eq!(stalled.await.expect("no panic"), ("body-too-slow".to_owned(), seconds));
        }
    }
}

/// As many commands wait as may; what waits for nothing is done beside them, and a place is free when a client hangs up.
#[tokio::test]
async fn only_so_many_wait() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Manual).await;
    // Whatever has happened so far, and nothing will.
    let events = rig.get("/v1/events").await.body;
    let last =
        events["events"].as_array().and_then(|events| events.last()).map_or(0, |last| last["id"].as_u64().unwrap());
    let head = format!(
        "GET /v1/events?after={last}&timeout_ms=600000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let mut waiting = Vec::new();
    for _ in 0..256 {
        waiting.push(connected(&rig, &head).await);
    }
    let refused = loop {
        let answer = rig.get(&format!("/v1/events?after={last}&timeout_ms=1")).await;
        // Those before may not have been read yet.
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "no-place-to-wait"));
    assert_eq!(rig.get("/v1/events").await.status, 200);
    assert_eq!(rig.get("/v1/keys").await.status, 200);
    drop(waiting);
    let again = async { while rig.post("/v1/keys/a/wait", json!({"for": "plugged"})).await.status != 200 {} };
    timeout(Duration::from_secs(20), again).await.expect("a place is free again");
}

/// Two who wait for the same key: each has its own touch.
#[tokio::test]
async fn two_waits_on_one_key_are_two_touches() {
    let rig = std::sync::Arc::new(Rig::start(&["a=keyrig"], TouchPolicy::Manual).await);
    let touch = || {
        let rig = rig.clone();
        tokio::spawn(async move { rig.post("/v1/keys/a/touch", json!({"wait": true})).await.status })
    };
    let touches = [touch(), touch()];
    for _ in 0..2 {
        let made = rig.post("/v1/client/create", on_page(creation())).await;
        assert_eq!((made.status.as_u16(), made.names("keyrig-touched")), (200, vec!["a"]), "{}", made.body);
    }
    for touch in touches {
        assert_eq!(touch.await.expect("an answer"), 200);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this is Linux").count()
}

/// Listeners that do not read take their places among connections, and give them to who has something to say.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_thousand_listeners_that_do_not_read_hold_up_nobody_and_leave_nothing() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Auto).await;
    assert_eq!(rig.get("/v1/keys").await.status, 200);
    let before = descriptors();
    let head = format!("GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let mut listeners = Vec::new();
    for _ in 0..1000 {
        match TcpStream::connect(rig.server.local_addr()).await {
            Ok(mut stream) => {
                // One that had to go is told so here.
                let _ = stream.write_all(head.as_bytes()).await;
                listeners.push(stream);
            }
            // This process has no descriptor left for its own end.
            Err(_) => break,
        }
    }
    // Each has the like of these to read.
    for _ in 0..200 {
        assert_eq!(rig.put("/v1/finger", json!({"key": "a"})).await.status, 200);
    }
    let made = rig.post("/v1/client/create", on_page(creation())).await;
    assert_eq!(made.status, 200, "{}", made.body);
    drop(listeners);
    let gone = async {
        while descriptors() > before + 8 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), gone).await.expect("no descriptor is left");
}
