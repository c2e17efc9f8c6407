//! Built-in user verification: whom a key finds, by its policy and by command.

use keyrig_ctap::{Request, make_credential};
use keyrig_rack::command::{Command, Refusal, WaitFor};
use keyrig_rack::events::What;
use keyrig_rack::verification::UvPolicy;
use keyrig_rack::{KeySpecification, NewKey, Rack};

use crate::owner::new_key;
use crate::requests::made;
use crate::support::{deny_key, handle, name, on_key, state, touch, touch_key, transact};

/// A rack with a key that verifies its user, and one that does not.
async fn rack(finger: &str, policy: &str) -> Rack {
    let keys =
        [("keyrig-uv", "v"), ("keyrig", "a")].map(|(profile, key)| KeySpecification::built_in(profile, key).unwrap());
    let rack = Rack::start(touch(finger), keys.into()).await.unwrap();
    set(&rack, policy).await;
    rack
}

async fn set(rack: &Rack, policy: &str) {
    rack.command(Command::UvPolicy { key: name("v"), policy: policy.parse().unwrap() }).await.unwrap();
}

/// makeCredential with the option `uv`.
fn verified() -> Vec<u8> {
    let Ok(Request::MakeCredential(request)) = Request::decode(&crate::requests::make_credential("user", true)) else {
        panic!("it is makeCredential")
    };
    let options = keyrig_ctap::entities::Options { uv: Some(true), ..request.options };
    Request::MakeCredential(make_credential::Request { options, ..request }).encode()
}

fn verify(miss: bool, wait: bool) -> Command {
    Command::Verify { key: name("v"), miss, wait }
}

/// What was found at the key so far.
fn found(rack: &Rack) -> Vec<&'static str> {
    let events = rack.events().kept(0, usize::MAX).into_iter();
    let found = events.filter_map(|event| match event.what {
        What::Verified { .. } => Some("verified"),
        What::Missed { .. } => Some("missed"),
        What::Touched { .. } => Some("touched"),
        What::Denied { .. } => Some("denied"),
        _ => None,
    });
    found.collect()
}

#[tokio::test]
async fn the_finger_finds_whom_the_policy_says() {
    for (policy, finds, left, status) in [
        ("always", &["verified"][..], "always", 0),
        ("never", &["missed"; 3], "never", 0x27),
        ("miss=2", &["missed", "missed", "verified"], "always", 0),
        ("miss=5", &["missed"; 3], "miss=2", 0x27),
    ] {
        let rack = rack("auto", policy).await;
        let answer = transact(&rack, "v", verified()).await;
        assert_eq!(answer[0], status, "{policy}");
        assert_eq!(found(&rack), finds, "{policy}");
        assert_eq!(state(&rack, "v").await.uv.unwrap().to_string(), left);
    }
}

#[tokio::test]
async fn what_is_left_to_a_command_waits_for_it() {
    let rack = rack("auto", "manual").await;
    let mut waiting = handle(&rack, "v").transact(verified());
    rack.command(Command::Wait { key: name("v"), what: WaitFor::Touch }).await.unwrap();
    let now = state(&rack, "v").await;
    assert_eq!((now.for_verification, now.waiting_for.as_deref()), (true, Some("authenticatorMakeCredential")));
    rack.command(verify(true, false)).await.unwrap();
    rack.command(verify(false, true)).await.unwrap();
    made(&waiting.answer().await.unwrap());
    assert_eq!(found(&rack), ["missed", "verified"]);
    assert_eq!(rack.command(verify(false, false)).await, Err(Refusal::NotWaiting(name("v"))));
    // A touch that asks for no verification is the finger's.
    assert_eq!(transact(&rack, "v", Request::Selection.encode()).await, [0]);
}

#[tokio::test]
async fn a_touch_by_command_goes_by_the_policy_and_verify_does_not() {
    let rack = rack("manual", "miss=1").await;
    let mut waiting = handle(&rack, "v").transact(verified());
    for command in [
        Command::Touch { key: name("v"), wait: true },
        verify(true, true),
        Command::Touch { key: name("v"), wait: true },
    ] {
        rack.command(command).await.unwrap();
    }
    made(&waiting.answer().await.unwrap());
    assert_eq!(found(&rack), ["missed", "missed", "verified"]);
}

#[tokio::test]
async fn a_touch_is_a_touch_whoever_it_is_by() {
    let rack = rack("manual", "never").await;
    for (command, miss) in [(Some(true), "touched"), (Some(false), "touched"), (None, "touched")] {
        let mut selection = handle(&rack, "v").transact(Request::Selection.encode());
        rack.command(Command::Wait { key: name("v"), what: WaitFor::Touch }).await.unwrap();
        rack.command(command.map_or(touch_key(name("v")), |miss| verify(miss, false))).await.unwrap();
        assert_eq!(selection.answer().await.unwrap(), [0]);
        assert_eq!(found(&rack).last(), Some(&miss));
    }
}

#[tokio::test]
async fn a_verification_goes_by_a_script_and_a_sample_is_no_verification() {
    let rack = rack("auto", "script=too-fast,miss,good,exists").await;
    made(&transact(&rack, "v", verified()).await);
    assert_eq!(found(&rack), ["missed", "missed", "verified"]);
    assert_eq!(state(&rack, "v").await.uv.unwrap().to_string(), "script=exists");
    set(&rack, "manual").await;
    let sample = |key, wait| Command::Sample { key: name(key), sample: "good".parse().unwrap(), wait };
    for key in ["v", "a"] {
        assert_eq!(rack.command(sample(key, true)).await, Err(Refusal::NoSensor(name(key))));
    }
    let bio = new_key("f", "yubikey-bio-5.7");
    rack.create(bio).await.unwrap();
    assert_eq!(rack.command(sample("f", false)).await, Err(Refusal::NotWaiting(name("f"))));
    rack.command(Command::TouchPolicy { policy: "manual".parse().unwrap() }).await.unwrap();
    let mut selection = handle(&rack, "f").transact(Request::Selection.encode());
    rack.command(Command::Wait { key: name("f"), what: WaitFor::Touch }).await.unwrap();
    assert_eq!(rack.command(sample("f", false)).await, Err(Refusal::NotSampling(name("f"))));
    on_key(&rack, touch_key, "f").await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0]);
}

#[tokio::test]
async fn a_verification_is_refused_as_a_touch_is() {
    let rack = rack("manual", "manual").await;
    let mut waiting = handle(&rack, "v").transact(verified());
    rack.command(Command::Wait { key: name("v"), what: WaitFor::Touch }).await.unwrap();
    on_key(&rack, deny_key, "v").await.unwrap();
    assert_eq!(waiting.answer().await.unwrap(), [0x27], "CTAP2_ERR_OPERATION_DENIED");
    assert_eq!(found(&rack), ["denied"]);
    rack.command(Command::TouchPolicy { policy: "deny".parse().unwrap() }).await.unwrap();
    assert_eq!(transact(&rack, "v", verified()).await, [0x27], "by the finger, though the policy is manual");
}

#[tokio::test]
async fn a_key_without_it_has_no_policy() {
    let rack = rack("manual", "always").await;
    assert_eq!(state(&rack, "a").await.uv, None);
    let refused = Err(Refusal::NoVerification(name("a")));
    let commands = [
        Command::Verify { key: name("a"), miss: false, wait: true },
        Command::UvPolicy { key: name("a"), policy: UvPolicy::Never },
    ];
    for command in commands {
        assert_eq!(rack.command(command).await, refused);
    }
}

#[tokio::test]
async fn a_key_is_created_with_its_policy_or_not_at_all() {
    let rack = rack("auto", "always").await;
    let policy = Some("miss=2".parse::<UvPolicy>().unwrap());
    let created = rack.create(NewKey { uv: policy.clone(), ..new_key("w", "keyrig-uv") }).await.unwrap();
    assert_eq!(created.keys[0].uv, policy);
    let refused = rack.create(NewKey { uv: policy, ..new_key("b", "keyrig") }).await;
    assert_eq!(refused, Err(Refusal::NoVerification(name("b"))));
    assert_eq!(rack.known(&name("b")).map(drop).unwrap_err().to_string(), "no key is called b: the keys are v, a, w");
}
