//! Keys that are on no USB: clients reach them, and hosts do not.

use keyrig_rack::command::{Command, Refusal, WaitFor};
use keyrig_rack::{Change, Following, KeySpecification, Options, Rack};
use keyrig_usb::client;

use crate::owner::new_key;
use crate::requests::{get_assertion, made, make_credential};
use crate::support::{name, serve_usbip, state, touch, transact};

fn keys() -> Vec<KeySpecification> {
    let keys = [("synced-passkey", "p"), ("keyrig", "a")];
    keys.map(|(profile, key)| KeySpecification::built_in(profile, key).unwrap()).into()
}

async fn exported(rack: &Rack) -> Vec<String> {
    let (server, _) = serve_usbip(rack).await;
    client::list(server).await.unwrap().iter().map(|d| d.device.busid.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_key_on_no_usb_is_reached_by_messages_and_seen_by_no_host() {
    let rack = Rack::start(Options::default(), keys()).await.unwrap();
    assert_eq!(exported(&rack).await, ["1-2"], "it has a place, and does not show itself there");
    let following = rack.follow();
    assert_eq!(following.keys().iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let listed = state(&rack, "p").await;
    assert_eq!((listed.plugged, listed.busid, listed.attached), (true, None, false));

    let (id, _) = made(&transact(&rack, "p", make_credential("user", false)).await);
    assert_eq!(transact(&rack, "p", get_assertion(&[&id])).await[0], 0);
    for what in [Command::Unplug { key: name("p") }, Command::Plug { key: name("p") }] {
        rack.command(what).await.unwrap();
    }
    assert_eq!(transact(&rack, "p", get_assertion(&[&id])).await[0], 0);
    let waited = rack.command(Command::Wait { key: name("p"), what: WaitFor::Attached }).await;
    assert_eq!(waited, Err(Refusal::NotOnUsb(name("p"))));

    // Another one comes and goes: who follows is told of the others alone.
    let told = tokio::spawn(changes(following));
    rack.create(new_key("q", "synced-passkey")).await.unwrap();
    rack.create(new_key("b", "keyrig")).await.unwrap();
    assert_eq!(exported(&rack).await, ["1-2", "1-4"]);
    for key in ["q", "p", "b"] {
        rack.remove(&name(key)).await.unwrap();
    }
    drop(rack);
    assert_eq!(told.await.unwrap(), ["b came", "b went", "a went"]);
}

/// What becomes of keys until the rack has ended.
async fn changes(mut following: Following) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(change) = following.next().await {
        told.push(match change {
            Change::Came(key) => format!("{} came", key.name),
            Change::Went(key) => format!("{} went", key.name),
        });
    }
    told
}

/// A power-cycle takes from it what is under way, as of any key.
#[tokio::test]
async fn a_key_on_no_usb_loses_what_waits_when_it_loses_power() {
    let rack = Rack::start(touch("manual"), keys()).await.unwrap();
    let waiting = tokio::spawn({
        let rack = rack.clone();
        async move { rack.transact(&name("p"), make_credential("user", false), core::future::pending()).await }
    });
    rack.command(Command::Wait { key: name("p"), what: WaitFor::Touch }).await.unwrap();
    rack.command(Command::PowerCycle { key: name("p") }).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err(), Refusal::Unplugged(name("p")));
}
