//! Waiting for a rack that does not listen yet.

use core::time::Duration;

use keyrig_control::request::List;
use keyrig_control::socket::{ControlSocket, send};
use keyrig_control::starting::wait_for_rack;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::rack;

/// More than it takes, and never waited for in a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_rack_that_starts_later_is_found_when_it_listens_in_a_directory_that_was_not_there() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("run/user/control");
    let starting = async {
        // The other side waits by now: it was polled first.
        let socket = ControlSocket::bind(&path).await.unwrap();
        let rack = rack("auto", &["a"]).await;
        tokio::spawn(async move { socket.serve(rack).await });
    };
    let begun = Instant::now();
    tokio::join!(biased; wait_for_rack(&path, PATIENCE), starting);
    assert!(begun.elapsed() < PATIENCE);
    send(&path, List {}).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_a_killed_rack_left_is_waited_at_for_its_successor() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let successor = async { ControlSocket::bind(&path).await.unwrap() };
    let begun = Instant::now();
    let ((), _socket) = tokio::join!(biased; wait_for_rack(&path, PATIENCE), successor);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn nobody_is_waited_for_no_longer_than_was_said_and_somebody_who_is_there_not_at_all() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let begun = Instant::now();
    wait_for_rack(&path, Duration::from_millis(50)).await;
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let _socket = ControlSocket::bind(&path).await.unwrap();
    tokio::select! {
        biased;
        () = wait_for_rack(&path, PATIENCE) => {}
        () = sleep(PATIENCE) => panic!("it is there"),
    }
}
