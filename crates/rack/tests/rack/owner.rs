//! Whole keys: created, removed, reset, put aside, restored and cloned while the rack runs.

use std::collections::BTreeSet;

use keyrig_authenticator::Profile;
use keyrig_authenticator::administration::PinRefused;
use keyrig_authenticator::profile::Quirk;
use keyrig_ctap::Request;
use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::events::What;
use keyrig_rack::key::Progress;
use keyrig_rack::key::administration::ActRefused;
use keyrig_rack::snapshot::Snapshot;
use keyrig_rack::{MAX_KEYS, NewKey, Options, Rack};
use tempfile::TempDir;

use crate::requests::{asserted, get_assertion, made, make_credential};
use crate::support::{Channel, handle, list, name, on_key, rack, serve_usbip, specifications, state, transact, unplug};

/// CTAP2_ERR_OPERATION_DENIED.
const OPERATION_DENIED: [u8; 1] = [0x27];
/// CTAP2_ERR_NO_CREDENTIALS.
const NO_CREDENTIALS: [u8; 1] = [0x2E];

pub(crate) fn new_key(key: &str, profile: &str) -> NewKey {
    let profile = Profile::built_in(profile).unwrap();
    NewKey { name: name(key), profile, snapshot: None, pin: None, uv: None, plugged: true }
}

async fn kept(directory: &TempDir) -> Rack {
    let options = Options { state: Some(directory.path().join("state")), ..Options::default() };
    Rack::start(options, specifications(&["a"])).await.unwrap()
}

fn names(keys: &[keyrig_rack::command::KeyState]) -> Vec<(&str, &str)> {
    keys.iter().map(|key| (key.name.as_str(), key.busid.as_deref().unwrap())).collect()
}

#[tokio::test]
async fn a_created_key_is_one_as_all_others() {
    let rack = rack("auto", &["a"]).await;
    let created = rack.create(new_key("b", "yubikey-5.7")).await.unwrap();
    assert_eq!(created.keys.len(), 1);
    let key = &created.keys[0];
    assert_eq!((key.name.as_str(), key.profile.as_str(), key.busid.as_deref().unwrap()), ("b", "yubikey-5.7", "1-2"));
    assert!(key.plugged);
    rack.command(Command::Finger { key: Some(name("b")) }).await.unwrap();
    made(&transact(&rack, "b", make_credential("user", true)).await);
    let (server, _) = serve_usbip(&rack).await;
    let mut channel = Channel::open(server, "1-2").await;
    asserted(&channel.transact(get_assertion(&[])).await);
    let unplugged = rack.create(NewKey { plugged: false, ..new_key("c", "keyrig") }).await.unwrap();
    assert!(!unplugged.keys[0].plugged);
}

#[tokio::test]
async fn a_removed_key_is_no_more_for_anybody_and_its_place_is_free() {
    let rack = rack("manual", &["a", "b"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut host = Channel::open(server, "1-1").await;
    let handle_of_a = handle(&rack, "a");
    let mut waiting = handle_of_a.transact(Request::Selection.encode());
    while waiting.parts().1.recv().await.unwrap() != Progress::UpNeeded {}
    let (who_waits, removed) = {
        let waits = rack.command(Command::Wait { key: name("a"), what: keyrig_rack::command::WaitFor::Touch });
        let touch = rack.command(Command::Touch { key: name("b"), wait: true });
        let gone = async {
            let left = rack.remove(&name("a")).await.unwrap();
            rack.remove(&name("b")).await.unwrap();
            left
        };
        let (waited, touched, left) = tokio::join!(waits, touch, gone);
        waited.unwrap();
        (touched, left)
    };
    assert_eq!(names(&removed.keys), [("b", "1-2")]);
    assert!(matches!(who_waits, Err(Refusal::UnknownKey { .. })), "{who_waits:?}");
    host.gone().await;
    assert!(waiting.answer().await.is_err());
    assert!(handle_of_a.transact(Request::Selection.encode()).answer().await.is_err(), "a handle that was kept");
    assert!(rack.key(&name("a")).is_none());
    assert!(matches!(rack.remove(&name("a")).await, Err(Refusal::UnknownKey { .. })));
    let again = rack.create(new_key("a", "keyrig")).await.unwrap();
    assert_eq!(names(&again.keys), [("a", "1-1")]);
    assert_eq!(rack.key(&name("b")).map(drop), None);
}

#[tokio::test]
async fn a_name_is_one_keys_and_a_rack_is_full_at_some_time() {
    let rack = rack("auto", &["a"]).await;
    assert_eq!(rack.create(new_key("a", "keyrig")).await, Err(Refusal::KeyExists(name("a"))));
    // At the same time, too.
    let both = tokio::join!(rack.create(new_key("b", "keyrig")), rack.create(new_key("b", "keyrig")));
    assert!(matches!(both, (Ok(_), Err(Refusal::KeyExists(_))) | (Err(Refusal::KeyExists(_)), Ok(_))), "{both:?}");
    for number in 2..MAX_KEYS {
        rack.create(new_key(&format!("k{number}"), "u2f-only")).await.unwrap();
    }
    assert_eq!(rack.create(new_key("more", "keyrig")).await, Err(Refusal::TooManyKeys));
    rack.remove(&name("k7")).await.unwrap();
    rack.create(new_key("more", "keyrig")).await.unwrap();
    assert_eq!(list(&rack).await.len(), MAX_KEYS);
}

#[tokio::test]
async fn a_key_that_cannot_be_made_takes_no_name() {
    let rack = rack("auto", &["a"]).await;
    let refused = rack.create(NewKey { pin: Some("1".to_owned()), ..new_key("b", "keyrig") }).await;
    assert!(
        matches!(&refused, Err(Refusal::Act { refused: ActRefused::Pin(PinRefused::Policy { .. }), .. })),
        "{refused:?}"
    );
    let created = rack.create(NewKey { pin: Some("1357".to_owned()), ..new_key("b", "keyrig") }).await.unwrap();
    assert_eq!(names(&created.keys), [("b", "1-2")]);
    assert!(handle(&rack, "b").pin_state().await.unwrap().set);
}

#[tokio::test]
async fn a_key_that_cannot_be_made_is_not_kept_either_and_one_that_is_kept_gets_its_pin() {
    let directory = TempDir::new().unwrap();
    let rack = kept(&directory).await;
    let snapshot = rack.snapshot(&name("a")).await.unwrap();
    let keys = || {
        let entries = std::fs::read_dir(directory.path().join("state/keys")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
    };
    let simple = || Some("1".to_owned());
    for wrong in [
        NewKey { pin: simple(), ..new_key("b", "keyrig") },
        NewKey { pin: simple(), snapshot: Some(snapshot.clone()), ..new_key("b", "keyrig") },
        NewKey { pin: Some("1357".to_owned()), ..new_key("b", "u2f-only") },
    ] {
        assert!(matches!(rack.create(wrong).await, Err(Refusal::Act { refused: ActRefused::Pin(_), .. })));
        assert_eq!(keys(), BTreeSet::from(["a".to_owned()]));
    }
    handle(&rack, "a").set_pin("1357".to_owned()).await.unwrap();
    let with_pin = rack.snapshot(&name("a")).await.unwrap();
    // A snapshot's PIN is the one that is asked for, or it is none of these.
    let other = NewKey { snapshot: Some(with_pin.clone()), pin: Some("2468".to_owned()), ..new_key("b", "keyrig") };
    let refused = rack.create(other).await;
    assert!(
        matches!(refused, Err(Refusal::Act { refused: ActRefused::Pin(PinRefused::AlreadySet), .. })),
        "{refused:?}"
    );
    let same = NewKey { snapshot: Some(with_pin.clone()), pin: Some("1357".to_owned()), ..new_key("b", "keyrig") };
    rack.create(same).await.unwrap();
    assert_eq!(rack.snapshot(&name("b")).await.unwrap(), with_pin);
    rack.create(new_key("c", "keyrig")).await.unwrap();
    rack.remove(&name("c")).await.unwrap();
    for _ in 0..2 {
        rack.create(NewKey { pin: Some("2468".to_owned()), ..new_key("c", "keyrig") }).await.unwrap();
        assert!(handle(&rack, "c").pin_state().await.unwrap().set);
        rack.remove(&name("c")).await.unwrap();
    }
    let again = rack.create(NewKey { pin: Some("1357".to_owned()), ..new_key("c", "keyrig") }).await;
    assert!(matches!(again, Err(Refusal::Act { refused: ActRefused::Pin(PinRefused::AlreadySet), .. })), "{again:?}");
}

#[tokio::test]
async fn a_key_that_cannot_be_plugged_in_is_not_in_the_rack() {
    let rack = rack("auto", &["a"]).await;
    let in_its_way = rack.exports().plug("1-2", keyrig_usb::Identity::default()).unwrap();
    let begun = rack.events().last();
    let refused = rack.create(new_key("b", "keyrig")).await;
    assert!(matches!(refused, Err(Refusal::CannotPlug { .. })), "{refused:?}");
    assert_eq!(list(&rack).await.len(), 1);
    assert_eq!(rack.key(&name("b")).map(drop), None);
    assert_eq!(rack.events().last(), begun);
    drop(in_its_way);
    rack.create(new_key("b", "keyrig")).await.unwrap();
}

#[tokio::test]
async fn a_reset_forgets_everything_and_denies_what_waits_for_a_touch_and_the_host_stays() {
    let rack = rack("every", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut host = Channel::open(server, "1-1").await;
    made(&host.transact(make_credential("user", true)).await);
    rack.command(Command::TouchPolicy { policy: "manual".parse().unwrap() }).await.unwrap();
    host.request_until_up_needed(get_assertion(&[])).await;
    let begun = rack.events().last();
    let state = rack.reset(&name("a")).await.unwrap();
    assert_eq!(host.answer().await.unwrap(), OPERATION_DENIED);
    assert_eq!((state.keys[0].discoverable_credentials, state.keys[0].attached), (0, true));
    let happened: Vec<_> = rack.events().kept(begun, 10).into_iter().map(|event| event.what).collect();
    assert_eq!(
        happened,
        [
            What::Denied { key: name("a") },
            What::Stored { key: name("a"), discoverable_credentials: 0 },
            What::Reset { key: name("a") },
        ]
    );
    rack.command(Command::TouchPolicy { policy: "auto".parse().unwrap() }).await.unwrap();
    assert_eq!(host.transact(get_assertion(&[])).await, NO_CREDENTIALS);
}

#[tokio::test]
async fn a_key_is_restored_as_it_was_put_aside_plugged_in_or_not() {
    let rack = rack("auto", &["a"]).await;
    made(&transact(&rack, "a", make_credential("user", true)).await);
    let counter = asserted(&transact(&rack, "a", get_assertion(&[])).await).1;
    let bytes = rack.snapshot(&name("a")).await.unwrap().to_bytes();
    for _ in 0..3 {
        asserted(&transact(&rack, "a", get_assertion(&[])).await);
    }
    made(&transact(&rack, "a", make_credential("other", true)).await);
    on_key(&rack, unplug, "a").await.unwrap();
    rack.restore(&name("a"), Snapshot::from_bytes(&bytes).unwrap()).await.unwrap();
    rack.command(Command::Plug { key: name("a") }).await.unwrap();
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 1);
    assert_eq!(asserted(&transact(&rack, "a", get_assertion(&[])).await).1, counter + 1, "the counter went back");
    rack.reset(&name("a")).await.unwrap();
    rack.restore(&name("a"), Snapshot::from_bytes(&bytes).unwrap()).await.unwrap();
    assert_eq!(rack.snapshot(&name("a")).await.unwrap().to_bytes(), bytes);
}

#[tokio::test]
async fn a_snapshot_is_for_a_key_of_its_profile() {
    let rack = rack("auto", &["a"]).await;
    rack.create(new_key("b", "yubikey-5.7")).await.unwrap();
    let snapshot = rack.snapshot(&name("a")).await.unwrap();
    assert!(matches!(rack.restore(&name("b"), snapshot.clone()).await, Err(Refusal::OtherProfile { .. })));
    let other = NewKey { snapshot: Some(snapshot), ..new_key("c", "yubikey-5.7") };
    assert!(matches!(rack.create(other).await, Err(Refusal::OtherProfile { .. })));
}

#[tokio::test]
async fn a_clone_logs_in_where_the_key_does_with_the_same_counter() {
    let rack = rack("every", &["a"]).await;
    let (id, _) = made(&transact(&rack, "a", make_credential("user", false)).await);
    rack.clone_key(&name("a"), name("b")).await.unwrap();
    let login = get_assertion(&[&id]);
    let both = [transact(&rack, "a", login.clone()).await, transact(&rack, "b", login).await];
    assert_eq!(asserted(&both[0]), asserted(&both[1]));
    let again = rack.clone_key(&name("a"), name("b")).await;
    assert_eq!(again, Err(Refusal::KeyExists(name("b"))));
}

/// CTAP2_ERR_UNSUPPORTED_OPTION where the specification has CTAP2_ERR_NO_CREDENTIALS (CTAP 2.3 §6.2.2 step 7).
#[tokio::test]
async fn a_clone_has_the_quirks_of_the_key() {
    let rack = rack("every", &["a"]).await;
    let mut new = new_key("b", "keyrig");
    new.profile.add(Quirk::named("rejects-silent").unwrap()).unwrap();
    let created = rack.create(new).await.unwrap();
    assert_eq!(created.keys[0].quirks, ["rejects-silent"]);
    assert_eq!(rack.clone_key(&name("b"), name("c")).await.unwrap().keys[0].quirks, ["rejects-silent"]);
    assert_eq!(state(&rack, "a").await.quirks, [""; 0]);
    // authenticatorGetAssertion for "a", with the hash of 32 zeros and {"up": false}.
    let silent =
        [&[0x02, 0xA3, 0x01, 0x61, b'a', 0x02, 0x58, 0x20][..], &[0; 32], &[0x05, 0xA1, 0x62, b'u', b'p', 0xF4]];
    for (key, status) in [("a", 0x2E), ("b", 0x2B), ("c", 0x2B)] {
        assert_eq!(transact(&rack, key, silent.concat()).await, [status], "{key}");
    }
}

#[tokio::test]
async fn what_the_owner_does_is_durable_and_a_removed_key_is_kept() {
    let directory = TempDir::new().unwrap();
    let rack = kept(&directory).await;
    made(&transact(&rack, "a", make_credential("user", true)).await);
    rack.create(NewKey { pin: Some("1357".to_owned()), ..new_key("b", "keyrig") }).await.unwrap();
    rack.clone_key(&name("a"), name("c")).await.unwrap();
    rack.reset(&name("a")).await.unwrap();
    rack.remove(&name("b")).await.unwrap();
    assert!(handle_after_create(&rack, "b").await, "its PIN is kept");
    rack.remove(&name("c")).await.unwrap();
    let snapshot = rack.snapshot(&name("a")).await.unwrap();
    let over = NewKey { snapshot: Some(snapshot), ..new_key("c", "keyrig") };
    assert_eq!(rack.create(over).await, Err(Refusal::KeyKept(name("c"))));
    let ended = rack.ended();
    drop(rack);
    ended.await;
    let rack = kept(&directory).await;
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 0);
    let c = rack.create(new_key("c", "keyrig")).await.unwrap();
    assert_eq!(c.keys[0].discoverable_credentials, 1);
}

/// Creates a key again, and says whether it has a PIN.
async fn handle_after_create(rack: &Rack, key: &str) -> bool {
    rack.create(new_key(key, "keyrig")).await.unwrap();
    handle(rack, key).pin_state().await.unwrap().set
}

#[tokio::test]
async fn the_owner_acts_while_a_key_writes_and_while_it_waits() {
    let directory = TempDir::new().unwrap();
    let rack = kept(&directory).await;
    let key = handle(&rack, "a");
    // makeCredential by the finger, which commits; and what the owner asks for meanwhile.
    let (created, written) =
        tokio::join!(transact(&rack, "a", make_credential("user", true)), key.set_pin("1357".to_owned()));
    // In either order: a key with a PIN wants it (CTAP2_ERR_PUAT_REQUIRED).
    assert!(created[0] == 0 || created == [0x36], "{created:02x?}");
    written.unwrap();
    assert!(key.pin_state().await.unwrap().set);
}
