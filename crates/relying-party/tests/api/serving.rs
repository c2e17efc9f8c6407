//! The API on a loopback socket.

use std::sync::Arc;

use keyrig_relying_party::{RelyingParty, Server, Settings, SystemClock, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn started() -> Server {
    let settings = Settings::new("localhost", "http://localhost:8080");
    let relying_party = RelyingParty::new(settings, Arc::new(SystemClock::new())).unwrap();
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(relying_party)).unwrap()
}

fn head(path: &str, length: usize) -> String {
    [
        &format!("POST {path} HTTP/1.1"),
        "Host: localhost",
        "Connection: close",
        "Content-Type: application/json",
        &format!("Content-Length: {length}\r\n\r\n"),
    ]
    .join("\r\n")
}

#[tokio::test(flavor = "current_thread")]
async fn it_serves_until_it_is_shut_down() {
    let server = started().await;
    let address = server.local_addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = r#"{"user":"alice"}"#;
    stream.write_all(format!("{}{body}", head("/api/register/begin", body.len())).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(r#""challenge""#), "{answer}");
    // A kept-alive connection without a request does not hold the shutdown.
    let _idle = TcpStream::connect(address).await.unwrap();
    server.shutdown().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_request_that_never_ends_does_not_hold_the_shutdown() {
    let server = started().await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(format!("{}{{", head("/api/login/begin", 9)).as_bytes()).await.unwrap();
    server.shutdown().await.unwrap();
}
