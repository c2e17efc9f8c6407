//! The same ceremonies over every way to a key: straight into the rack, and through CTAPHID and USB/IP.

use keyrig_client::channel::{Cancel, Canceller, Channel};
use keyrig_client::json::{Base64Url, CreationOptions, RequestOptions};
use keyrig_client::{Browser, Client, DomException, Exchange, Key, RefusedBy};
use keyrig_ctap::{Command as CtapCommand, Status};
use keyrig_rack::command::Command;
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use keyrig_usb::{Limits, serve};
use keyrig_ways::{InProcess, UsbIp, usb_ip};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const NAMES: [&str; 2] = ["a", "b"];

fn name(name: &str) -> KeyName {
    name.parse().expect("a name")
}

async fn rack(policy: TouchPolicy) -> Rack {
    rack_of(policy, ["keyrig", "keyrig"]).await
}

async fn rack_of(policy: TouchPolicy, profiles: [&str; 2]) -> Rack {
    let specification = |(key, profile)| KeySpecification::built_in(profile, key).expect("built in");
    let options = Options { finger: Finger { policy, over: None }, ..Options::default() };
    Rack::start(options, NAMES.into_iter().zip(profiles).map(specification).collect()).await.expect("a rack")
}

async fn finger(rack: &Rack, key: &str) {
    rack.command(Command::Finger { key: Some(name(key)) }).await.expect("there is such a key");
}

fn in_process(rack: &Rack) -> Vec<Key<InProcess>> {
    NAMES.map(|key| Key::new(key, InProcess(rack.key(&name(key)).expect("there is such a key")))).into()
}

type UsbKey = Key<keyrig_client::ctap_hid::CtapHidChannel<UsbIp>>;

async fn over_usb_ip(rack: &Rack) -> Vec<UsbKey> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("bound");
    tokio::spawn(serve(listener, rack.exports().clone(), Limits::default()));
    let mut keys = Vec::new();
    for (key, busid) in NAMES.into_iter().zip(["1-1", "1-2"]) {
        keys.push(Key::new(key, usb_ip(server, busid).await.expect("exported")));
    }
    keys
}

fn page() -> Client {
    Client::new("https://pve.example.com:8006".parse().expect("an origin"))
}

fn creation(exclude: &[Base64Url]) -> CreationOptions {
    let exclude: Vec<Value> = exclude.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let options = json!({
        "rp": {"id": "pve.example.com", "name": "Proxmox"},
        "user": {"id": "AAECAw", "name": "root@pam", "displayName": "root"},
        "challenge": "qqqqqqqqqqqqqqqqqqqqqg",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "excludeCredentials": exclude,
        "authenticatorSelection": {"userVerification": "discouraged", "residentKey": "discouraged"},
    });
    CreationOptions::from_json(&options.to_string()).expect("WebAuthn's JSON")
}

fn request(allow: &[Base64Url]) -> RequestOptions {
    let allow: Vec<Value> = allow.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let options = json!({
        "challenge": "u7u7u7u7u7u7u7u7u7u7uw",
        "rpId": "pve.example.com",
        "allowCredentials": allow,
        "userVerification": "discouraged",
    });
    RequestOptions::from_json(&options.to_string()).expect("WebAuthn's JSON")
}

/// What a key answered to a command in the last ceremony, and how often it asked for a touch.
fn saw<C>(key: &Key<C>, command: CtapCommand) -> (Option<Status>, usize) {
    let exchange = key.exchanges().iter().rfind(|exchange| exchange.command() == Some(command)).expect("it was asked");
    (Exchange::status(exchange), exchange.touch_prompts())
}

fn only_one_was_touched<C>(keys: &[Key<C>], touched: &str, command: CtapCommand) {
    for key in keys {
        let expected = if key.name() == touched { Status::Ok } else { Status::KeepaliveCancel };
        assert_eq!(saw(key, command), (Some(expected), 1), "{}", key.name());
    }
}

/// Both keys register, each logs in, an excluded one is refused: all by the finger.
async fn two_keys<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let mut ids: Vec<Base64Url> = Vec::new();
    for touched in NAMES {
        finger(rack, touched).await;
        let made = page().create(&creation(&ids), keys, Cancel::never()).await.expect("a credential");
        only_one_was_touched(keys, touched, CtapCommand::MakeCredential);
        ids.push(made.id);
    }
    for (touched, id) in NAMES.into_iter().zip(&ids) {
        finger(rack, touched).await;
        let signed = page().get(&request(&ids), keys, Cancel::never()).await.expect("an assertion");
        assert_eq!(signed.id, *id);
        only_one_was_touched(keys, touched, CtapCommand::GetAssertion);
    }
    let error = page().create(&creation(&ids), keys, Cancel::never()).await.expect_err("excluded");
    assert_eq!((error.name, error.refused_by()), (DomException::InvalidStateError, RefusedBy::Authenticator));

    rack.command(Command::Unplug { key: name("b") }).await.expect("plugged in");
    finger(rack, "a").await;
    let signed = page().get(&request(&ids), keys, Cancel::never()).await.expect("an assertion");
    assert_eq!(Some(&signed.id), ids.first(), "the other key is out");
}

/// A page that aborts while both keys blink: both are told, and both are free afterwards.
async fn aborted<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let canceller = Canceller::new();
    let token = canceller.token();
    let (page, options) = (page(), creation(&[]));
    let both_wait = async {
        loop {
            let listed = rack.command(Command::List {}).await.expect("running");
            if listed.keys.iter().all(|key| key.waiting_for.is_some()) {
                return canceller.cancel();
            }
            tokio::task::yield_now().await;
        }
    };
    let (created, ()) = tokio::join!(page.create(&options, keys, token), both_wait);
    assert_eq!(created.expect_err("aborted").name, DomException::AbortError);
    for key in keys.iter() {
        assert_eq!(saw(key, CtapCommand::MakeCredential), (Some(Status::KeepaliveCancel), 1));
    }
    let listed = rack.command(Command::List {}).await.expect("running");
    assert!(listed.keys.iter().all(|key| key.waiting_for.is_none()));
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Auto }).await.expect("running");
    page.create(&options, keys, Cancel::never()).await.expect("a credential");
}

/// Two keys are plugged in, and the finger is over the one that is registered. As observed in real browsers: in Chromium the
/// other decides by how it says that it has no credential.
#[tokio::test]
async fn of_two_keys_one_is_registered() {
    for (browser, other, works) in [
        (Browser::Chromium, "keyrig", true),
        (Browser::Chromium, "yubikey-5.7", true),
        (Browser::Chromium, "yubikey-5.4", true),
        (Browser::Chromium, "security-key-5.1", true),
        (Browser::Chromium, "ctap-2.0", true),
        (Browser::Chromium, "ctap-2.1", false),
        (Browser::Chromium, "u2f-only", true),
        (Browser::Firefox, "keyrig", true),
        (Browser::Firefox, "security-key-5.1", true),
        (Browser::Firefox, "ctap-2.1", true),
    ] {
        let rack = rack_of(TouchPolicy::Manual, ["keyrig", other]).await;
        let mut keys = in_process(&rack);
        let page = page().in_browser(browser);
        let touch_a = || async {
            rack.command(Command::Touch { key: name("a"), wait: true }).await.expect("it waits");
        };
        let touches = async || {
            touch_a().await;
            if browser == Browser::Firefox {
                touch_a().await;
            }
        };
        let registration = creation(&[]);
        let (made, ()) = tokio::join!(page.create(&registration, &mut keys, Cancel::never()), touches());
        let id = made.expect("a credential").id;
        let login = request(std::slice::from_ref(&id));
        let outcome = tokio::select! {
            outcome = page.get(&login, &mut keys, Cancel::never()) => outcome,
            () = async { touches().await; std::future::pending().await } => unreachable!(),
        };
        match outcome {
            Ok(signed) => assert!(works && signed.id == id, "{browser} {other}"),
            Err(error) => {
                assert!(!works, "{browser} {other}: {error}");
                assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Authenticator));
                assert!(
                    error.to_string().contains("\"b\": it answered authenticatorGetAssertion with CTAP2_ERR_NO_CRED")
                );
            }
        }
    }
}

#[tokio::test]
async fn two_keys_in_process() {
    let rack = rack(TouchPolicy::Auto).await;
    two_keys(&rack, &mut in_process(&rack)).await;
}

#[tokio::test]
async fn two_keys_over_usb_ip() {
    let rack = rack(TouchPolicy::Auto).await;
    two_keys(&rack, &mut over_usb_ip(&rack).await).await;
}

#[tokio::test]
async fn a_page_that_aborts_in_process() {
    let rack = rack(TouchPolicy::Manual).await;
    aborted(&rack, &mut in_process(&rack)).await;
}

#[tokio::test]
async fn a_page_that_aborts_over_usb_ip() {
    let rack = rack(TouchPolicy::Manual).await;
    aborted(&rack, &mut over_usb_ip(&rack).await).await;
}
