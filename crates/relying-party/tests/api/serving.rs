//! The API on a loopback socket.

use std::sync::Arc;

use keyrig_relying_party::{Options, RelyingParty, Server, Settings, Store, SystemClock, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn started() -> Server {
    let settings = Ok(Settings::new("localhost", "http://localhost:8080"));
    let relying_party = RelyingParty::new(settings, Options::new(Store::in_memory().unwrap()), Arc::new(SystemClock));
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(relying_party)).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn it_serves_until_it_is_shut_down() {
    let server = started().await;
    let address = server.local_addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /api/realms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(r#""name":"pve""#), "{answer}");
    // A kept-alive connection without a request does not hold the shutdown.
    let _idle = TcpStream::connect(address).await.unwrap();
    server.shutdown().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_request_that_never_ends_does_not_hold_the_shutdown() {
    let server = started().await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let head =
        "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    server.shutdown().await.unwrap();
}
