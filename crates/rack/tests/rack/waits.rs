//! Waiting for a key: that it asks, is plugged in, is attached; and gestures that wait until it asks.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use keyrig_ctap::Request;
use keyrig_rack::Rack;
use keyrig_rack::command::{Command, RackState, Refusal, WaitFor};
use keyrig_rack::events::What;
use keyrig_rack::key::Progress;

use crate::requests::{made, make_credential};
use crate::support::{Channel, deny_key, handle, name, on_key, plug, rack, serve_usbip, state, touch_key, unplug};

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<RackState, Refusal>> + 'a>>;

/// Asks for something, so far that the rack has it, and nothing has come of it.
async fn pending(rack: &Rack, command: Command) -> Waiting<'_> {
    let mut waiting: Waiting<'_> = Box::pin(rack.command(command));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // The rack takes one command behind the other.
    rack.command(Command::List).await.unwrap();
    assert!(is_pending(&mut waiting));
    waiting
}

fn is_pending(waiting: &mut Waiting<'_>) -> bool {
    matches!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

fn touch_when_it_waits(key: &str) -> Command {
    Command::Touch { key: name(key), wait: true }
}

fn wait(key: &str, what: WaitFor) -> Command {
    Command::Wait { key: name(key), what }
}

#[tokio::test]
async fn a_touch_that_waits_is_answered_when_the_key_has_waited_and_was_touched() {
    let rack = rack("manual", &["a", "b"]).await;
    let touch = pending(&rack, touch_when_it_waits("a")).await;
    made(&handle(&rack, "a").transact(make_credential("user", true)).answer().await.unwrap());
    let answer = touch.await.unwrap();
    assert_eq!(answer.keys.len(), 1);
    assert_eq!((answer.keys[0].name.as_str(), &answer.keys[0].waiting_for), ("a", &None));
}

#[tokio::test]
async fn a_key_that_waits_already_is_touched_at_once() {
    let rack = rack("manual", &["a"]).await;
    let mut selection = waits(&rack, "a").await;
    rack.command(touch_when_it_waits("a")).await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0]);
}

/// A key that waits for a touch.
async fn waits(rack: &Rack, key: &str) -> keyrig_rack::key::Transaction {
    let mut transaction = handle(rack, key).transact(Request::Selection.encode());
    while transaction.parts().1.recv().await.unwrap() != Progress::UpNeeded {}
    transaction
}

#[tokio::test]
async fn of_gestures_that_wait_each_is_for_one_wait_of_the_key_in_their_order() {
    let rack = rack("manual", &["a"]).await;
    let first = pending(&rack, touch_when_it_waits("a")).await;
    let second = pending(&rack, Command::Deny { key: name("a"), wait: true }).await;
    let mut third = pending(&rack, touch_when_it_waits("a")).await;
    let selection = async || handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap();
    assert_eq!(selection().await, [0]);
    first.await.unwrap();
    assert!(is_pending(&mut third));
    assert_eq!(selection().await, [0x27], "CTAP2_ERR_OPERATION_DENIED");
    second.await.unwrap();
    assert!(is_pending(&mut third));
    assert_eq!(selection().await, [0]);
    third.await.unwrap();
}

#[tokio::test]
async fn who_has_gone_touches_nothing() {
    let rack = rack("manual", &["a"]).await;
    drop(pending(&rack, touch_when_it_waits("a")).await);
    let second = pending(&rack, Command::Deny { key: name("a"), wait: true }).await;
    let answer = handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap();
    assert_eq!(answer, [0x27], "CTAP2_ERR_OPERATION_DENIED, by the second");
    second.await.unwrap();
    let mut selection = waits(&rack, "a").await;
    on_key(&rack, deny_key, "a").await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0x27]);
}

#[tokio::test]
async fn a_touch_that_waits_outlasts_a_wait_that_the_host_gives_up_and_the_loss_of_power() {
    let rack = rack("manual", &["a"]).await;
    let mut wanted = waits(&rack, "a").await;
    wanted.cancel();
    assert_eq!(wanted.answer().await.unwrap(), [0x2D], "CTAP2_ERR_KEEPALIVE_CANCEL");
    let mut touch = pending(&rack, touch_when_it_waits("a")).await;
    on_key(&rack, unplug, "a").await.unwrap();
    on_key(&rack, plug, "a").await.unwrap();
    assert!(is_pending(&mut touch));
    assert_eq!(handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap(), [0]);
    touch.await.unwrap();
}

#[tokio::test]
async fn what_was_asked_for_by_name_comes_before_the_finger() {
    let rack = rack("auto", &["a"]).await;
    let deny = pending(&rack, Command::Deny { key: name("a"), wait: true }).await;
    let selection = async || handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap();
    assert_eq!(selection().await, [0x27]);
    deny.await.unwrap();
    assert_eq!(selection().await, [0], "the finger goes on");
}

#[tokio::test]
async fn all_who_wait_for_a_key_to_ask_hear_of_it_before_it_is_touched() {
    let rack = rack("auto", &["a"]).await;
    let both = [pending(&rack, wait("a", WaitFor::Touch)).await, pending(&rack, wait("a", WaitFor::Touch)).await];
    assert_eq!(handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap(), [0]);
    for waited in both {
        assert_eq!(waited.await.unwrap().keys[0].waiting_for.as_deref(), Some("authenticatorSelection"));
    }
    assert_eq!(state(&rack, "a").await.waiting_for, None);
}

#[tokio::test]
async fn a_key_is_waited_for_until_it_is_plugged_in_and_attached() {
    let rack = rack("auto", &["a"]).await;
    assert!(rack.command(wait("a", WaitFor::Plugged)).await.unwrap().keys[0].plugged, "it is");
    let attached = pending(&rack, wait("a", WaitFor::Attached)).await;
    let (server, _) = serve_usbip(&rack).await;
    let channel = Channel::open(server, "1-1").await;
    assert!(attached.await.unwrap().keys[0].attached);
    on_key(&rack, unplug, "a").await.unwrap();
    drop(channel);
    let plugged = pending(&rack, wait("a", WaitFor::Plugged)).await;
    on_key(&rack, plug, "a").await.unwrap();
    assert!(plugged.await.unwrap().keys[0].plugged);
}

#[tokio::test]
async fn a_wait_for_an_unknown_key_is_refused_at_once() {
    let rack = rack("auto", &["a"]).await;
    for command in [touch_when_it_waits("b"), wait("b", WaitFor::Touch)] {
        assert!(matches!(rack.command(command).await, Err(Refusal::UnknownKey { .. })));
    }
    assert_eq!(on_key(&rack, touch_key, "a").await, Err(Refusal::NotWaiting(name("a"))), "without waiting");
}

#[tokio::test]
async fn only_so_many_wait_for_one_key_and_those_who_have_gone_take_no_place() {
    let rack = rack("manual", &["a"]).await;
    for command in [touch_when_it_waits("a"), wait("a", WaitFor::Touch)] {
        let mut all = Vec::new();
        for _ in 0..256 {
            all.push(pending(&rack, command.clone()).await);
        }
        assert_eq!(rack.command(command.clone()).await, Err(Refusal::TooManyWaits(name("a"))));
        all.truncate(255);
        let _last = pending(&rack, command).await;
    }
}

#[tokio::test]
async fn a_touch_of_u2f_is_waited_for_too() {
    let rack = rack("manual", &["a"]).await;
    let touch = pending(&rack, touch_when_it_waits("a")).await;
    // U2F_REGISTER; SW_CONDITIONS_NOT_SATISFIED, and once it was touched a registration (FIDO U2F Raw Message Formats 1.2 §4).
    let register = [&[0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x40][..], &[7; 64]].concat();
    let asked = handle(&rack, "a").transact_u2f(register.clone()).answer().await.unwrap();
    assert_eq!(asked, [0x69, 0x85]);
    touch.await.unwrap();
    assert_eq!(handle(&rack, "a").transact_u2f(register).answer().await.unwrap()[0], 0x05);
}

/// What happened behind an event, without numbers and times.
fn happened(rack: &Rack, after: u64) -> Vec<What> {
    rack.events().kept(after, usize::MAX).into_iter().map(|event| event.what).collect()
}

#[tokio::test]
async fn what_happens_is_told_in_its_order() {
    let rack = rack("manual", &["a"]).await;
    let a = || name("a");
    let command = || "authenticatorSelection".to_owned();
    assert_eq!(happened(&rack, 0), [What::Plugged { key: a() }], "what a rack begins with");
    let begun = rack.events().last();
    let mut selection = waits(&rack, "a").await;
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0]);
    let mut selection = waits(&rack, "a").await;
    on_key(&rack, deny_key, "a").await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0x27]);
    let mut selection = waits(&rack, "a").await;
    selection.cancel();
    assert_eq!(selection.answer().await.unwrap(), [0x2D]);
    on_key(&rack, unplug, "a").await.unwrap();
    on_key(&rack, plug, "a").await.unwrap();
    rack.command(Command::Finger { key: Some(a()) }).await.unwrap();
    rack.command(Command::TouchPolicy { policy: "auto".parse().unwrap() }).await.unwrap();
    made(&handle(&rack, "a").transact(make_credential("user", true)).answer().await.unwrap());
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 1);
    assert_eq!(
        happened(&rack, begun),
        [
            What::Waiting { key: a(), command: command(), for_verification: false },
            What::Touched { key: a() },
            What::Waiting { key: a(), command: command(), for_verification: false },
            What::Denied { key: a() },
            What::Waiting { key: a(), command: command(), for_verification: false },
            What::Cancelled { key: a() },
            What::Unplugged { key: a() },
            What::Plugged { key: a() },
            What::Finger { key: Some(a()) },
            What::TouchPolicy { touch: "auto".parse().unwrap() },
            What::Waiting { key: a(), command: "authenticatorMakeCredential".to_owned(), for_verification: false },
            What::Touched { key: a() },
            What::Stored { key: a(), discoverable_credentials: 1 },
        ]
    );
}

#[tokio::test]
async fn whatever_waits_at_a_key_that_is_removed_gets_its_answer_and_its_end_is_told() {
    let rack = rack("manual", &["a", "b"]).await;
    let a = || name("a");
    let (server, _) = serve_usbip(&rack).await;
    let mut host = Channel::open(server, "1-1").await;
    let attached = rack.events().last();
    let unplugged = pending(&rack, wait("b", WaitFor::Attached)).await;
    let touch = pending(&rack, touch_when_it_waits("b")).await;
    let asked = pending(&rack, wait("b", WaitFor::Touch)).await;
    let mut ceremony = waits(&rack, "a").await;
    // One touch that the key does not get any more, as it is removed in the same moment, or does: but an answer.
    let (touched, removed) =
        tokio::join!(rack.command(touch_when_it_waits("a")), rack.command(Command::Show { key: a() }));
    touched.unwrap();
    removed.unwrap();
    assert_eq!(ceremony.answer().await.unwrap(), [0]);
    let mut ceremony = waits(&rack, "a").await;
    let begun = rack.events().last();
    rack.remove(&a()).await.unwrap();
    assert!(ceremony.answer().await.is_err(), "the ceremony");
    host.gone().await;
    let events = [
        What::Cancelled { key: a() },
        What::Detached { key: a() },
        What::Unplugged { key: a() },
        What::Removed { key: a() },
    ];
    assert_eq!(happened(&rack, begun), events);
    assert!(attached < begun);
    rack.remove(&name("b")).await.unwrap();
    for waited in [unplugged, touch, asked] {
        assert!(matches!(waited.await, Err(Refusal::UnknownKey { .. })));
    }
}

#[tokio::test]
async fn whatever_waits_at_a_key_that_is_reset_or_restored_gets_its_answer_or_waits_on() {
    let rack = rack("manual", &["a"]).await;
    let snapshot = rack.snapshot(&name("a")).await.unwrap();
    let restore = async || rack.restore(&name("a"), snapshot.clone()).await;
    for restores in [false, true] {
        let mut ceremony = waits(&rack, "a").await;
        let mut attached = pending(&rack, wait("a", WaitFor::Attached)).await;
        let begun = rack.events().last();
        if restores { restore().await } else { rack.reset(&name("a")).await }.unwrap();
        assert_eq!(ceremony.answer().await.unwrap(), [0x27], "CTAP2_ERR_OPERATION_DENIED");
        let done = if restores { What::Restored { key: name("a") } } else { What::Reset { key: name("a") } };
        assert_eq!(happened(&rack, begun), [What::Denied { key: name("a") }, done]);
        assert!(is_pending(&mut attached), "it is the same key");
        // Who waits to touch it waits for its next wait.
        let touch = pending(&rack, touch_when_it_waits("a")).await;
        rack.reset(&name("a")).await.unwrap();
        assert_eq!(handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap(), [0]);
        touch.await.unwrap();
        // A reset of U2F's wait.
        let register = [&[0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x40][..], &[7; 64]].concat();
        assert_eq!(handle(&rack, "a").transact_u2f(register).answer().await.unwrap(), [0x69, 0x85]);
        assert!(state(&rack, "a").await.waiting_for.is_some());
        if restores { restore().await } else { rack.reset(&name("a")).await }.unwrap();
        assert_eq!(state(&rack, "a").await.waiting_for, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_nobody_ended_is_told_as_timed_out() {
    let rack = rack("manual", &["a"]).await;
    let begun = rack.events().last();
    assert_eq!(handle(&rack, "a").transact(Request::Selection.encode()).answer().await.unwrap(), [0x2F]);
    state(&rack, "a").await;
    assert_eq!(happened(&rack, begun).last(), Some(&What::TimedOut { key: name("a") }));
}
