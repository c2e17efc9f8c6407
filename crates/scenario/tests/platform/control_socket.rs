//! The control socket as a way to a key.

use keyrig_client::channel::{Canceller, ChannelError};
use keyrig_client::pin::Pin;
use keyrig_client::{DomException, Key, Status};
use keyrig_control::socket::ControlSocket;
use keyrig_rack::command::Command;
use keyrig_rack::finger::TouchPolicy;
use keyrig_ways::{ControlChannel, InProcess};
use serde_json::json;

use crate::{creation, name, never, page, rack_of, request};

/// The control socket is a way to a key as well: what is set there holds everywhere.
#[tokio::test]
async fn by_the_control_socket() {
    let directory = std::env::temp_dir().join(format!("keyrig-platform-{}", std::process::id()));
    let rack = rack_of("keyrig", &["a"]).await;
    let path = directory.join("control");
    let socket = ControlSocket::bind(&path).await.expect("bound");
    let serving = rack.clone();
    let task = tokio::spawn(async move { socket.serve(serving).await });
    let mut keys = [Key::new("a", ControlChannel { path: path.clone(), key: name("a") })];
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let required = json!({"userVerification": "required", "residentKey": "required"});
    let client = page().with_pin(Pin::new("1234"));
    let made = client.create(&creation(required, json!({})), &mut keys, never()).await.expect("a credential");
    let mut others = [Key::new("a", InProcess(rack.key(&name("a")).expect("there is one")))];
    let signed = client.get(&request(&[], "required", json!({})), &mut others, never()).await.expect("an assertion");
    assert_eq!(signed.id, made.id);

    let canceller = Canceller::new();
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.expect("running");
    let waits = async {
        while rack.command(Command::List).await.expect("running").keys.iter().all(|key| key.waiting_for.is_none()) {
            tokio::task::yield_now().await;
        }
        canceller.cancel();
    };
    let options = request(&[], "discouraged", json!({}));
    let (aborted, ()) = tokio::join!(client.get(&options, &mut keys, canceller.token()), waits);
    assert_eq!(aborted.expect_err("aborted").name, DomException::AbortError);
    let last = keys[0].exchanges().last().expect("asked");
    assert_eq!(last.status(), Some(Status::KeepaliveCancel), "the key was told");

    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    let gone = keys[0].pin_retries(&never()).await.expect_err("nobody listens");
    assert_eq!(gone, ChannelError::Unplugged.into());
    std::fs::remove_dir_all(&directory).expect("it is ours");
}
