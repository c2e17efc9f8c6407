//! The same ceremony over every way that needs no kernel, and what each says when the key has gone.

#![cfg(test)]

use std::path::PathBuf;

use keyrig_attach::ctaphid_endpoint::{Endpoint, EndpointAddress};
use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::CtapHidChannel;
use keyrig_client::error::{Cause, KeyFailure, Refusal};
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Client, Key};
use keyrig_control::socket::ControlSocket;
use keyrig_rack::command::Command;
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use keyrig_usb::Limits;
use keyrig_ways::{ControlChannel, Datagrams, InProcess, usb_ip};
use tokio::net::TcpListener;

fn a() -> KeyName {
    "a".parse().expect("a name")
}

async fn rack() -> Rack {
    rack_of("keyrig").await
}

async fn rack_of(profile: &str) -> Rack {
    let key = KeySpecification::built_in(profile, "a").expect("built in");
    Rack::start(Options::default(), vec![key]).await.expect("a rack")
}

/// Registers, logs in, and hears of the key's end.
async fn there_and_back(rack: &Rack, channel: impl Channel) {
    let mut keys = [Key::new("a", channel)];
    let page = Client::new("https://example.org".parse().expect("an origin"));
    let creation = r#"{"rp": {"name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
        "challenge": "_w", "pubKeyCredParams": [{"type": "public-key", "alg": -7}]}"#;
    let creation = CreationOptions::from_json(creation).expect("WebAuthn's JSON");
    let made = page.create(&creation, &mut keys, Cancel::never()).await.expect("a credential");
    let login =
        format!(r#"{{"challenge": "_w", "allowCredentials": [{{"type": "public-key", "id": "{}"}}]}}"#, made.id);
    let login = RequestOptions::from_json(&login).expect("WebAuthn's JSON");
    let signed = page.get(&login, &mut keys, Cancel::never()).await.expect("an assertion");
    assert_eq!(signed.id, made.id);
    assert!(keys[0].blinked() && keys[0].was_touched(), "every way tells that a touch was asked for");
    rack.command(Command::Unplug { key: a() }).await.expect("it is plugged in");
    let gone = page.get(&login, &mut keys, Cancel::never()).await.expect_err("it is out");
    let failure = KeyFailure { key: "a".to_owned(), cause: Cause::Channel(ChannelError::Unplugged) };
    assert_eq!(gone.reason, Refusal::Key(failure));
}

#[tokio::test]
async fn in_process() {
    let rack = rack().await;
    let channel = InProcess(rack.key(&a()).expect("there is one"));
    there_and_back(&rack, channel).await;
}

#[tokio::test]
async fn over_usb_ip() {
    let rack = rack().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("bound");
    tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
    there_and_back(&rack, usb_ip(server, "1-1").await.expect("exported")).await;
}

async fn served(rack: &Rack, address: EndpointAddress) -> EndpointAddress {
    let endpoint = Endpoint::bind(address).await.expect("bound");
    let (address, key) = (endpoint.address().clone(), rack.key(&a()).expect("there is one"));
    tokio::spawn(async move { endpoint.serve(key).await });
    address
}

#[tokio::test]
async fn over_a_socket_of_datagrams() {
    let (rack, directory) = (rack().await, tempfile::tempdir().expect("a directory"));
    let path = directory.path().join("a");
    served(&rack, EndpointAddress::Unix(path.clone())).await;
    there_and_back(&rack, CtapHidChannel::new(Datagrams::unix(&path).expect("somebody listens"))).await;
    let nobody = Datagrams::unix(&directory.path().join("b")).expect_err("nobody listens");
    assert_eq!(nobody.kind(), std::io::ErrorKind::NotFound);
}

/// Nobody hears of a key's end over UDP: the ceremony alone is run.
#[tokio::test]
async fn over_udp() {
    let rack = rack().await;
    let EndpointAddress::Udp(address) =
        served(&rack, EndpointAddress::Udp("127.0.0.1:0".parse().expect("an address"))).await
    else {
        panic!("bound to another");
    };
    let mut key = Key::new("a", CtapHidChannel::new(Datagrams::udp(address).await.expect("a port")));
    let info = key.get_info(&Cancel::never()).await.expect("it answers");
    assert!(info.versions.iter().any(|version| version == "FIDO_2_1"));
}

#[tokio::test]
async fn by_the_control_socket() {
    let (rack, directory) = (rack().await, tempfile::tempdir().expect("a directory"));
    let path: PathBuf = directory.path().join("control");
    let socket = ControlSocket::bind(&path).await.expect("bound");
    let serving = rack.clone();
    tokio::spawn(async move { socket.serve(serving).await });
    there_and_back(&rack, ControlChannel { path, key: a() }).await;
}

/// Each message by itself: also those of U2F, which a key answers before it is touched.
#[tokio::test]
async fn a_key_of_u2f_by_the_control_socket() {
    let (rack, directory) = (rack_of("u2f-only").await, tempfile::tempdir().expect("a directory"));
    let path: PathBuf = directory.path().join("control");
    let socket = ControlSocket::bind(&path).await.expect("bound");
    let serving = rack.clone();
    tokio::spawn(async move { socket.serve(serving).await });
    there_and_back(&rack, ControlChannel { path, key: a() }).await;
}
