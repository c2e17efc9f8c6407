//! What a peer can hold, and for how long: over pipes, on a clock that stands still while anybody is at work.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::Limits;

/// Answers everything, and reads bodies.
fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/big", get(|| async { "x".repeat(1 << 20) }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(3600)).await }))
        .route("/body", post(|body: String| async move { body }))
        .route("/refused", post(|| async { "no" }))
}

/// What is answered to what is no request.
fn no_request(status: StatusCode) -> String {
    format!("{{\"status\":{}}}", status.as_u16())
}

struct Site {
    connections: Arc<Connections>,
    ended: watch::Receiver<bool>,
    end: watch::Sender<bool>,
}

impl Site {
    fn new(connections: usize) -> Self {
        let (end, ended) = watch::channel(false);
        Self { connections: Connections::new(Limits { connections, ..Limits::default() }), ended, end }
    }

    /// A connection, once there is place for it.
    async fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(4096);
        let place = self.connections.place().await;
        let ended = self.ended.clone();
        tokio::spawn(connection::serve(theirs, core::future::pending(), None, router(), no_request, place, ended));
        ours
    }
}

/// Sends this, and tells what came back until the end, and after how many seconds that was.
async fn until_the_end(mut stream: DuplexStream, sent: &str) -> (String, u64) {
    let began = Instant::now();
    // What is too long is not read to its end.
    let _ = stream.write_all(sent.as_bytes()).await;
    let mut answer = Vec::new();
    // A connection that is cut is at its end too.
    let _ = stream.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed().as_secs())
}

async fn is_answered(stream: &mut DuplexStream) -> bool {
    if stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds() {
    let site = Site::new(10);
    for sent in ["", "GET / HTTP/1.1\r\nHost: local"] {
        assert_eq!(until_the_end(site.connect().await, sent).await, (String::new(), 10), "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dribbles_has_no_more() {
    let site = Site::new(10);
    let mut stream = site.connect().await;
    let began = Instant::now();
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Pad: 0123456789".iter();
    for byte in head {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((10..=12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// RFC 9112 §3 and RFC 6585 §5: what these are answered with; hyper says the same without a body.
#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_with_a_body() {
    let site = Site::new(10);
    let long = "x".repeat(100_000);
    let good = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (before, sent, status) in [
        ("", "not a request\r\n\r\n".to_owned(), 400),
        ("", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned(), 400),
        ("", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        (good, "GET / HTTP/7.1\r\n\r\n".to_owned(), 400),
        ("", format!("GET /{long} HTTP/1.1\r\n\r\n"), 414),
        ("", format!("GET / HTTP/1.1\r\n{}\r\n", "X-Pad: x\r\n".repeat(200)), 431),
    ] {
        let mut stream = site.connect().await;
        if !before.is_empty() {
            assert!(is_answered(&mut stream).await);
        }
        let (answer, after) = until_the_end(stream, &sent).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert_eq!((body, after), (no_request(StatusCode::from_u16(status).unwrap()).as_str(), 0));
    }
}

/// Many clients send a head and a body one after the other, and use the connection again.
#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_wants_is_taken_if_it_is_short_and_ends_the_connection_if_it_is_not() {
    let site = Site::new(10);
    let head = |length: usize| format!("POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = site.connect().await;
    for _ in 0..3 {
        stream.write_all(head(5).as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(b"short").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"no") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert!(!String::from_utf8(answer).unwrap().contains("connection: close"));
    }
    assert!(is_answered(&mut stream).await);
    for (sent, seconds) in [(head(100_000), 0), (format!("{}shor", head(5)), 1)] {
        let (answer, after) = until_the_end(site.connect().await, &sent).await;
        assert!(answer.contains("connection: close") && answer.ends_with("no"), "{answer}");
        assert_eq!(after, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_has_a_minute_and_a_head_after_it_ten_seconds() {
    let site = Site::new(10);
    let mut stream = site.connect().await;
    for _ in 0..3 {
        assert!(is_answered(&mut stream).await);
        tokio::time::sleep(Duration::from_secs(59)).await;
    }
    assert!(is_answered(&mut stream).await);
    assert_eq!(until_the_end(stream, "").await, (String::new(), 60));
    let mut stream = site.connect().await;
    assert!(is_answered(&mut stream).await);
    assert_eq!(until_the_end(stream, "GET").await, (String::new(), 10));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_has_a_minute() {
    let site = Site::new(1);
    let mut stream = site.connect().await;
    let began = Instant::now();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    // There is one place, and it is free again when that connection is given up.
    site.connect().await;
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_idle_connection_makes_place() {
    let site = Site::new(3);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = site.connect().await;
        assert!(is_answered(&mut stream).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        streams.push(stream);
    }
    // The first is used again, so that the second has been idle for longest.
    assert!(is_answered(&mut streams[0]).await);
    let mut fourth = site.connect().await;
    assert!(is_answered(&mut fourth).await);
    assert!(!is_answered(&mut streams[1]).await);
    assert!(is_answered(&mut streams[0]).await);
    assert!(is_answered(&mut streams[2]).await);
    // As many as like come and are idle: each is served.
    for _ in 0..50 {
        let mut stream = site.connect().await;
        assert!(is_answered(&mut stream).await);
        streams.push(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn heads_and_bodies_that_do_not_arrive_make_place_and_what_is_at_work_does_not() {
    let site = Site::new(3);
    let mut at_work = site.connect().await;
    at_work.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut body = site.connect().await;
    body.write_all(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx").await.unwrap();
    let mut head = site.connect().await;
    head.write_all(b"GET").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        tokio::task::yield_now().await;
        others.push(stream);
    }
    assert_eq!(began.elapsed().as_secs(), 0);
    assert_eq!(until_the_end(head, "").await.1, 0);
    assert_eq!(body.read(&mut [0; 1]).await.unwrap_or(0), 0);
    // All three are at work now: the next one waits for one to end.
    site.connect().await;
    assert_eq!(began.elapsed().as_secs(), 3599);
    assert!(String::from_utf8_lossy(&read(&mut at_work).await).starts_with("HTTP/1.1 200 OK"));
}

async fn read(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_buf(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn told_to_end_it_answers_what_is_under_way() {
    let site = Site::new(3);
    let (mut idle, new) = (site.connect().await, site.connect().await);
    assert!(is_answered(&mut idle).await);
    let mut at_work = site.connect().await;
    at_work.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    site.end.send(true).unwrap();
    for stream in [idle, new] {
        assert_eq!(until_the_end(stream, "").await, (String::new(), 0));
    }
    let (answer, after) = until_the_end(at_work, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(after, 3600);
}

/// Its peer has sent the next request already, which nobody reads before the first is answered.
#[tokio::test]
async fn a_request_ends_with_its_peer_whatever_is_sent_behind_it() {
    let (began, mut under_way) = tokio::sync::mpsc::unbounded_channel();
    let slow = get(move || {
        let began = began.clone();
        async move {
            let (_ends_with_this, ended) = oneshot::channel::<()>();
            began.send(ended).unwrap();
            core::future::pending::<()>().await
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connections = Connections::new(Limits::default());
    let server = serve(listener, Router::new().route("/", slow), no_request, connections).unwrap();
    for behind in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET"] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n{behind}").as_bytes()).await.unwrap();
        let ended = under_way.recv().await.unwrap();
        drop(stream);
        let gone = tokio::time::timeout(Duration::from_secs(10), ended).await;
        assert!(gone.is_ok_and(|dropped| dropped.is_err()), "{behind:?}");
    }
}

#[tokio::test]
async fn a_peer_that_is_lost_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    keep_alive(&stream).unwrap();
    assert!(sockopt::socket_keepalive(&stream).unwrap());
    let asked = sockopt::tcp_keepintvl(&stream).unwrap() * sockopt::tcp_keepcnt(&stream).unwrap();
    assert_eq!(sockopt::tcp_keepidle(&stream).unwrap() + asked, Duration::from_secs(120));
}
