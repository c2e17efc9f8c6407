//! A thousand listeners that do not read: alone in its process, because descriptors are counted.

use std::fs;

use keyrig_control::request::{Events, List};
use keyrig_control::socket::{ControlSocket, send};
use keyrig_rack::command::Command;
use keyrig_rack::events::{KEPT_EVENTS, What};
use keyrig_rack::{KeySpecification, Options, Rack};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

const LISTENERS: usize = 1000;

/// As many connections as a rack keeps that wait for their clients or for events.
const PLACES: usize = 256;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("there is one").count()
}

#[tokio::test]
async fn they_leave_the_rack_and_its_descriptors_alone() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let keys = vec![KeySpecification::built_in("keyrig", "a").unwrap()];
    let rack = Rack::start(Options::default(), keys).await.unwrap();
    let socket = ControlSocket::bind(&path).await.unwrap();
    let serving = rack.clone();
    tokio::spawn(async move { socket.serve(serving).await });

    let before = descriptors();
    let last = rack.events().last();
    let request = format!("{{\"command\":\"events\",\"after\":{last},\"timeout_ms\":600000}}\n");
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let mut listener = UnixStream::connect(&path).await.unwrap();
        listener.write_all(request.as_bytes()).await.unwrap();
        listeners.push(listener);
        // The rack goes on meanwhile.
        rack.command(Command::List).await.unwrap();
    }
    // One each is the test's own end.
    while descriptors() - before > LISTENERS + PLACES {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 * KEPT_EVENTS {
        rack.command(Command::Finger { key: None }).await.unwrap();
    }
    send(&path, List {}).await.unwrap();
    drop(listeners);
    while descriptors() > before {
        tokio::task::yield_now().await;
    }
    // What they would have missed is told to whoever comes late.
    let late = send(&path, Events { after: last, timeout_ms: 0 }).await.unwrap().events;
    assert_eq!(late[0].what, What::Gap { missed: 2 * u64::try_from(KEPT_EVENTS).unwrap() });
}
