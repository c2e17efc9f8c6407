//! CTAP1/U2F: the finger touches keys that are asked again and again.

use core::time::Duration;

use keyrig_ctap::Request as Ctap2;
use keyrig_ctap::hid::Command as HidCommand;
use keyrig_ctap::u2f::{Authentication, Control, Encoding, Registration, Request, StatusWord, parse_response};
use keyrig_rack::Rack;
use keyrig_rack::command::Refusal;

use crate::support::{
    Channel, deny_key, handle, name, on_key, power_cycle, rack, serve_usbip, state, touch_key, unplug,
};

fn register() -> Vec<u8> {
    Request::Register { challenge: [1; 32], application: [2; 32] }.encode(Encoding::Extended)
}

fn authenticate(key_handle: &[u8]) -> Vec<u8> {
    let control = Control::EnforceUserPresenceAndSign;
    Request::Authenticate { control, challenge: [1; 32], application: [2; 32], key_handle: key_handle.to_vec() }
        .encode(Encoding::Extended)
}

async fn send(rack: &Rack, key: &str, message: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let answer = handle(rack, key).transact_u2f(message.to_vec()).answer().await.unwrap();
    parse_response(&answer).map(<[u8]>::to_vec)
}

/// Asks until the key was touched. The finger is faster than any client's interval; `ask` lets it act in between.
async fn ask(rack: &Rack, key: &str, message: &[u8]) -> Vec<u8> {
    loop {
        match send(rack, key, message).await {
            Ok(data) => return data,
            Err(StatusWord::ConditionsNotSatisfied) => drop(state(rack, key).await),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn the_finger_touches_a_key_that_is_asked_again() {
    let rack = rack("auto", &["a", "b"]).await;
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    let made = Registration::decode(&ask(&rack, "a", &register()).await).unwrap();
    let signed = Authentication::decode(&ask(&rack, "a", &authenticate(&made.key_handle)).await).unwrap();
    assert_eq!((signed.user_presence, signed.counter), (1, 1));
    // The finger is over the first key: the other goes on blinking.
    for _ in 0..3 {
        assert_eq!(send(&rack, "b", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    }
    assert_eq!(state(&rack, "b").await.waiting_for.as_deref(), Some("U2F_REGISTER"));
    assert_eq!(state(&rack, "a").await.waiting_for, None);
}

#[tokio::test]
async fn a_manual_finger_does_what_commands_say() {
    let rack = rack("manual", &["a"]).await;
    assert_eq!(on_key(&rack, touch_key, "a").await, Err(Refusal::NotWaiting(name("a"))));
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    assert_eq!(state(&rack, "a").await.waiting_for.as_deref(), Some("U2F_REGISTER"));
    on_key(&rack, touch_key, "a").await.unwrap();
    Registration::decode(&send(&rack, "a", &register()).await.unwrap()).unwrap();
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied), "one touch is one touch");
    on_key(&rack, deny_key, "a").await.unwrap();
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    on_key(&rack, unplug, "a").await.unwrap();
    assert_eq!(state(&rack, "a").await.waiting_for, None);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_asked_any_more_stops_blinking_by_itself() {
    let rack = rack("manual", &["a"]).await;
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(state(&rack, "a").await.waiting_for.as_deref(), Some("U2F_REGISTER"), "it was asked 1.5 s ago");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(state(&rack, "a").await.waiting_for, None);
    assert_eq!(on_key(&rack, touch_key, "a").await, Err(Refusal::NotWaiting(name("a"))));
}

#[tokio::test]
async fn a_command_of_ctap2_takes_the_touch_for_itself() {
    let rack = rack("manual", &["a"]).await;
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
    let mut selection = handle(&rack, "a").transact(Ctap2::Selection.encode());
    while state(&rack, "a").await.waiting_for.as_deref() != Some("authenticatorSelection") {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied), "busy: ask again");
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0]);
    assert_eq!(send(&rack, "a", &register()).await, Err(StatusWord::ConditionsNotSatisfied));
}

#[tokio::test]
async fn over_usb_a_key_says_that_it_has_u2f_and_answers_without_keepalives() {
    let rack = rack("auto", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut channel = Channel::open(server, "1-1").await;
    let version = channel.transact_as(HidCommand::Msg, Request::Version.encode(Encoding::Extended)).await;
    assert_eq!(version, b"U2F_V2\x90\x00");
    let made = loop {
        let answer = channel.transact_as(HidCommand::Msg, register()).await;
        match parse_response(&answer) {
            Ok(data) => break Registration::decode(data).unwrap(),
            Err(word) => assert_eq!(word, StatusWord::ConditionsNotSatisfied),
        }
    };
    // Power takes a touch away.
    assert_eq!(channel.transact_as(HidCommand::Msg, authenticate(&made.key_handle)).await, [0x69, 0x85]);
    on_key(&rack, power_cycle, "a").await.unwrap();
    channel.gone().await;
    let mut channel = Channel::open(server, "1-1").await;
    assert_eq!(channel.transact_as(HidCommand::Msg, authenticate(&made.key_handle)).await, [0x69, 0x85]);
    assert_eq!(channel.keepalives, []);
}
