//! Racks as a whole: many keys, what cannot be a rack, and what is let go.

use keyrig_rack::finger::Finger;
use keyrig_rack::state_directory::StateError;
use keyrig_rack::{MAX_KEYS, Options, Rack, RackError};
use keyrig_usb::client;
use tempfile::TempDir;

use crate::support::{Channel, list, name, on_key, plug, rack, serve_usbip, specifications, state, unplug};

#[tokio::test]
async fn a_hundred_keys_are_plugged_listed_and_unplugged() {
    let names: Vec<String> = (1..=100).map(|number| format!("key-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rack = rack("auto", &names).await;
    let (server, _) = serve_usbip(&rack).await;
    let keys = list(&rack).await;
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), names, "in the order in which they came");
    assert!(keys.iter().all(|key| key.plugged && !key.attached));
    let busids: Vec<_> =
        client::list(server).await.unwrap().iter().map(|d| d.device.busid.as_str().to_owned()).collect();
    assert_eq!(busids, keys.iter().filter_map(|key| key.busid.clone()).collect::<Vec<_>>());
    let last = Channel::open(server, "1-100").await;
    assert!(state(&rack, "key-100").await.attached);
    for key in &names {
        on_key(&rack, unplug, key).await.unwrap();
    }
    assert!(list(&rack).await.iter().all(|key| !key.plugged && !key.attached && !key.under_finger));
    assert!(client::list(server).await.unwrap().is_empty());
    drop(last);
    on_key(&rack, plug, "key-50").await.unwrap();
    assert_eq!(client::list(server).await.unwrap()[0].device.busid.as_str(), "1-50");
}

/// A bus has 126: its devices have addresses up to 127 (USB 2.0 §9.4.6), and its root hub is one of them.
#[tokio::test]
async fn a_thousand_keys_are_on_eight_buses_and_each_bus_is_imported_from() {
    let names: Vec<String> = (1..=1000).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rack = rack("auto", &names).await;
    let (server, _) = serve_usbip(&rack).await;
    let devices = client::list(server).await.unwrap();
    let record = |place: usize| &devices.get(place - 1).unwrap().device;
    assert_eq!(devices.len(), 1000);
    for (place, busid, bus, device) in
        [(1, "1-1", 1, 2), (126, "1-126", 1, 127), (127, "2-1", 2, 2), (882, "7-126", 7, 127), (1000, "8-118", 8, 119)]
    {
        let record = record(place);
        assert_eq!((record.busid.as_str(), record.bus_number, record.device_number), (busid, bus, device), "{place}");
        let name = format!("k{place}");
        let channel = Channel::open(server, busid).await;
        assert!(state(&rack, &name).await.attached, "{name}");
        drop(channel);
    }
    // A place on any bus is taken again.
    rack.remove(&name("k127")).await.unwrap();
    let new = keyrig_rack::NewKey {
        name: name("new"),
        profile: rack.profile("keyrig").unwrap(),
        snapshot: None,
        pin: None,
        uv: None,
        plugged: true,
    };
    rack.create(new).await.unwrap();
    assert_eq!(state(&rack, "new").await.busid.as_deref(), Some("2-1"));
    let unknown = rack.remove(&name("none")).await.unwrap_err().to_string();
    assert!(unknown.ends_with("k19, k20 and 980 more"), "{unknown}");
}

#[tokio::test]
async fn keys_that_are_kept_have_two_descriptors_each() {
    let directory = TempDir::new().unwrap();
    let open = |name: &str| {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(directory.path().join("state/keys").join(name))).count()
    };
    let rack = Rack::start(kept(&directory), specifications(&["a", "b"])).await.unwrap();
    assert_eq!((open("a"), open("b")), (2, 2));
    rack.reset(&name("a")).await.unwrap();
    assert_eq!(open("a"), 2);
}

#[tokio::test]
async fn what_can_be_no_rack_is_refused() {
    let over = |key: &str| Finger { over: Some(name(key)), ..Finger::default() };
    let many: Vec<String> = (0..=MAX_KEYS).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let both = Options { seed: Some(1), state: Some("/nonexistent".into()), ..Options::default() };
    let start = |options, names: &[&str]| Rack::start(options, specifications(names));
    assert!(matches!(start(Options::default(), &many).await, Err(RackError::TooManyKeys(1009))));
    assert!(
        matches!(start(Options::default(), &["a", "b", "a"]).await, Err(RackError::SameName(key)) if key == name("a"))
    );
    let finger = Options { finger: over("c"), ..Options::default() };
    assert!(matches!(start(finger, &["a"]).await, Err(RackError::NoSuchFinger(key)) if key == name("c")));
    assert!(matches!(start(both, &["a"]).await, Err(RackError::SeedAndState)));
}

fn kept(directory: &TempDir) -> Options {
    Options { state: Some(directory.path().join("state")), ..Options::default() }
}

#[tokio::test]
async fn a_rack_that_has_ended_holds_nothing() {
    let directory = TempDir::new().unwrap();
    for _ in 0..5 {
        let rack = Rack::start(kept(&directory), specifications(&["a", "b", "c"])).await.unwrap();
        let second = Rack::start(kept(&directory), specifications(&["b"])).await;
        assert!(matches!(second, Err(RackError::State(StateError::Locked { .. }))));
        let exports = rack.exports().clone();
        assert_eq!(exports.list().len(), 3);
        let ended = rack.ended();
        let clone = rack.clone();
        drop(rack);
        assert_eq!(list(&clone).await.len(), 3, "a clone keeps it");
        drop(clone);
        ended.await;
        assert!(exports.list().is_empty());
    }
}

#[tokio::test]
async fn a_rack_that_could_not_start_holds_nothing() {
    let directory = TempDir::new().unwrap();
    let first = Rack::start(kept(&directory), specifications(&["c"])).await.unwrap();
    for _ in 0..5 {
        let failed = Rack::start(kept(&directory), specifications(&["a", "b", "c"])).await;
        assert!(matches!(failed, Err(RackError::State(StateError::Locked { path })) if path.ends_with("keys/c/lock")));
        let others = Rack::start(kept(&directory), specifications(&["a", "b"])).await.unwrap();
        let ended = others.ended();
        drop(others);
        ended.await;
    }
    assert_eq!(list(&first).await.len(), 1);
}

#[tokio::test]
async fn a_host_sees_its_device_go_with_the_rack() {
    let rack = rack("auto", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut host = Channel::open(server, "1-1").await;
    let ended = rack.ended();
    drop(rack);
    ended.await;
    host.gone().await;
}
