//! The switches for touch and power over HTTP, asked as Python's urllib asks.

use keyrig_control::pico_controller;
use keyrig_rack::Rack;
use keyrig_rack::finger::TouchPolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{list, rack, state};

struct Switches(std::net::SocketAddr);

impl Switches {
    async fn of(rack: &Rack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(pico_controller::serve(listener, rack.clone()));
        Self(address)
    }

    async fn request(&self, method: &str, path: &str, header: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n", self.0);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn get(&self, path: &str) -> u16 {
        self.request("GET", path, "").await.0
    }
}

async fn policy(rack: &Rack) -> TouchPolicy {
    rack.command(keyrig_rack::command::Command::List).await.unwrap().touch
}

#[tokio::test]
async fn one_key_is_at_every_port() {
    let rack = rack("manual", &["a"]).await;
    let switches = Switches::of(&rack).await;
    assert_eq!(switches.get("/").await, 200);
    for (path, expected) in [("/usb6/touch/on", TouchPolicy::Auto), ("/usb1/touch/off", TouchPolicy::Manual)] {
        assert_eq!(switches.get(path).await, 200);
        assert_eq!(policy(&rack).await, expected);
    }
    // A switch may be turned to where it is.
    for (path, plugged) in
        [("/usb6/power/off", false), ("/usb6/power/off", false), ("/usb6/power/on", true), ("/usb6/power/on", true)]
    {
        assert_eq!(switches.get(path).await, 200, "{path}");
        assert_eq!(state(&rack, "a").await.plugged, plugged);
    }
}

#[tokio::test]
async fn of_several_keys_the_port_says_which() {
    let rack = rack("manual", &["a", "b"]).await;
    let switches = Switches::of(&rack).await;
    assert_eq!(switches.get("/usb2/touch/on").await, 200);
    assert_eq!(list(&rack).await.iter().map(|key| key.under_finger).collect::<Vec<_>>(), [false, true]);
    assert_eq!(switches.get("/usb1/power/off").await, 200);
    assert_eq!(list(&rack).await.iter().map(|key| key.plugged).collect::<Vec<_>>(), [false, true]);
    let (_, listed) = switches.request("GET", "/", "").await;
    assert!(listed.contains("usb1: key a, a keyrig, unplugged\nusb2: key b, a keyrig, plugged in\n"), "{listed}");
    assert_eq!(switches.get("/usb3/power/off").await, 404);
}

#[tokio::test]
async fn what_there_is_not_is_not_found_and_says_what_there_is() {
    let rack = rack("manual", &["a"]).await;
    let switches = Switches::of(&rack).await;
    for path in [
        "/usb",
        "/usb6/touch",
        "/usb6/touch/",
        "/usb6/touch/ON",
        "/usb6/light/on",
        "/usb/touch/on",
        "/usb99999/touch/on",
        "/sda1/power/off",
        "/usb6/power/off/now",
        "/%00/%ff/x",
    ] {
        let (status, body) = switches.request("GET", path, "").await;
        assert!(status == 404 || (status == 400 && path.contains('%')), "{path}: {status}");
        assert!(status == 400 || body.contains("/usbN/touch/on"), "{path}: {body}");
    }
    assert_eq!(switches.request("POST", "/usb6/power/off", "").await.0, 405);
    assert!(state(&rack, "a").await.plugged);
    assert_eq!(policy(&rack).await, TouchPolicy::Manual);
}

#[tokio::test]
async fn a_web_page_turns_no_switch() {
    let rack = rack("manual", &["a"]).await;
    let switches = Switches::of(&rack).await;
    for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://login.example\r\n"] {
        assert_eq!(switches.request("GET", "/usb6/power/off", header).await.0, 403);
    }
    assert!(state(&rack, "a").await.plugged);
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let rack = rack("manual", &["a"]).await;
    let switches = Switches::of(&rack).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(switches.0).await.unwrap());
    }
    assert_eq!(switches.get("/").await, 200);
    assert_eq!(silent[0].read(&mut [0; 8]).await.unwrap(), 0, "the oldest made room");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_for_one_request_and_ten_seconds() {
    let rack = rack("manual", &["a"]).await;
    let switches = Switches::of(&rack).await;
    let start = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(switches.0).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 10);
    let mut stream = TcpStream::connect(switches.0).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert_eq!(response.matches("200 OK").count(), 1, "{response}");
}
