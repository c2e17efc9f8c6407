//! PINs and user verification.

use std::sync::{Arc, Mutex};

use keyrig_client::channel::Channel;
use keyrig_client::error::{Cause, KeyFailure, Refusal, Unsuitable};
use keyrig_client::pin::{Pin, PinMistake, PinProblem, PinReason, PinRequest};
use keyrig_client::{Browser, DomException, Key, PinRetries, RefusedBy, Status};
use keyrig_rack::Rack;
use keyrig_rack::command::Command;
use serde_json::json;

use crate::{creation, name, never, page, request, status, verified};

/// Set, change, wrong, blocked until the key has been without power.
async fn a_pins_life<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let key = &mut keys[0];
    let (first, second) = (Pin::new("1234"), Pin::new("5678 ünd"));
    assert_eq!(key.change_pin(&first, &second, &never()).await, Err(PinProblem::NotSet.into()));
    key.set_pin(&first, &never()).await.expect("a first PIN");
    assert_eq!(key.set_pin(&second, &never()).await, Err(PinProblem::AlreadySet.into()));
    key.change_pin(&first, &second, &never()).await.expect("another PIN");
    assert_eq!(key.pin_retries(&never()).await, Ok(PinRetries { left: 8, power_cycle_needed: false }));
    for (left, expected) in [(7, Status::PinInvalid), (6, Status::PinInvalid), (5, Status::PinAuthBlocked)] {
        let error = key.change_pin(&first, &second, &never()).await;
        assert_eq!(error, Err(Cause::Status { command: keyrig_ctap::Command::ClientPin, status: expected }));
        let retries = PinRetries { left, power_cycle_needed: left == 5 };
        assert_eq!(key.pin_retries(&never()).await, Ok(retries));
    }
    let error = key.change_pin(&second, &first, &never()).await;
    let blocked = Cause::Status { command: keyrig_ctap::Command::ClientPin, status: Status::PinAuthBlocked };
    assert_eq!(error, Err(blocked), "the right one comes too late");
    assert_eq!(rack.command(Command::List).await.expect("running").keys.len(), 1);
}
over_both!(a_pins_life, a_pins_life_in_process, a_pins_life_over_usb_ip, "keyrig", ["a"]);

/// The page requires user verification: a key without a PIN gets one on the way, and a wrong one is asked for again.
async fn user_verification_by_pin<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let required = json!({"userVerification": "required", "residentKey": "discouraged"});
    let asked = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&asked);
    let answers = Mutex::new(vec!["12", "1234", "0000", "1234"].into_iter());
    let client = page().asking_for_pin(move |request: &PinRequest| {
        remembered.lock().expect("whole").push((request.reason, request.mistake, request.retries));
        answers.lock().expect("whole").next().map(Pin::new)
    });
    let made = client.create(&creation(required, json!({})), keys, never()).await.expect("a credential");
    assert!(verified(&made.response.authenticator_data.0));
    let id = made.id.to_string();
    let signed = client.get(&request(&[&id], "required", json!({})), keys, never()).await.expect("an assertion");
    assert!(verified(&signed.response.authenticator_data.0));
    assert_eq!(
        *asked.lock().expect("whole"),
        [
            (PinReason::Set, None, None),
            (PinReason::Set, Some(PinMistake::TooShort { minimum: 4 }), None),
            (PinReason::Verify, None, Some(8)),
            (PinReason::Verify, Some(PinMistake::Wrong), Some(7)),
        ]
    );
    let signed = page().get(&request(&[&id], "preferred", json!({})), keys, never()).await.expect("an assertion");
    assert!(!verified(&signed.response.authenticator_data.0), "a browser without a dialog for PINs");
    let error = page().get(&request(&[&id], "required", json!({})), keys, never()).await.expect_err("refused");
    assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Client));
}
over_both!(
    user_verification_by_pin,
    user_verification_by_pin_in_process,
    user_verification_by_pin_over_usb_ip,
    "keyrig",
    ["a"]
);

/// Discoverable credentials, on a key that starts without a PIN: Chromium has one set whatever the page says, and finds nothing
/// without user verification; Firefox makes and finds without.
async fn discoverable_credentials_by_browser<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let in_browser = |browser| {
        let remembered = Arc::clone(&asked);
        page().in_browser(browser).asking_for_pin(move |request: &PinRequest| {
            remembered.lock().expect("whole").push(request.reason);
            Some(Pin::new("1234"))
        })
    };
    let (chromium, firefox) = (in_browser(Browser::Chromium), in_browser(Browser::Firefox));
    let discouraged = |resident_key| {
        creation(json!({"userVerification": "discouraged", "residentKey": resident_key}), json!({"credProps": true}))
    };
    let find = || request(&[], "discouraged", json!({}));
    for resident_key in ["preferred", "required"] {
        let made = firefox.create(&discouraged(resident_key), keys, never()).await.expect("a credential");
        assert!(!verified(&made.response.authenticator_data.0));
        assert_eq!(made.client_extension_results["credProps"], json!({"rk": true}));
        let signed = firefox.get(&find(), keys, never()).await.expect("an assertion");
        assert!(!verified(&signed.response.authenticator_data.0));
        let error = chromium.get(&find(), keys, never()).await.expect_err("it wants a PIN, and there is none");
        let cause = Unsuitable::UserVerification.into();
        assert_eq!(error.reason, Refusal::Key(KeyFailure { key: "a".to_owned(), cause }));
    }
    assert_eq!(*asked.lock().expect("whole"), [], "nobody was asked for anything");
    for (resident_key, reason) in [("preferred", PinReason::Set), ("required", PinReason::Verify)] {
        let made = chromium.create(&discouraged(resident_key), keys, never()).await.expect("a credential");
        assert!(verified(&made.response.authenticator_data.0));
        let signed = chromium.get(&find(), keys, never()).await.expect("an assertion");
        assert!(verified(&signed.response.authenticator_data.0));
        assert_eq!(asked.lock().expect("whole").split_off(0), [reason, PinReason::Verify]);
    }
    // Chromium has the key hide it from who is not verified (credProtect), and the page does without, and so does Firefox.
    let error = firefox.get(&find(), keys, never()).await.expect_err("not found");
    assert_eq!(error.reason, status("a", keyrig_ctap::Command::GetAssertion, Status::NoCredentials));
    assert_eq!(*asked.lock().expect("whole"), []);
}
over_both!(
    discoverable_credentials_by_browser,
    discoverable_credentials_by_browser_in_process,
    discoverable_credentials_by_browser_over_usb_ip,
    "keyrig",
    ["a"]
);

/// Three wrong PINs end the ceremony, and the key says so at once the next time.
async fn a_blocked_pin<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let required = || creation(json!({"userVerification": "required"}), json!({}));
    let stubborn = page().asking_for_pin(|_| Some(Pin::new("0000")));
    let error = stubborn.create(&required(), keys, never()).await.expect_err("refused");
    assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Authenticator));
    assert_eq!(error.reason, status("a", keyrig_ctap::Command::ClientPin, Status::PinAuthBlocked));
    let error = page().with_pin(Pin::new("1234")).create(&required(), keys, never()).await.expect_err("refused");
    let cause = PinProblem::PowerCycleNeeded.into();
    assert_eq!(error.reason, Refusal::Key(KeyFailure { key: "a".to_owned(), cause }));
}
over_both!(a_blocked_pin, a_blocked_pin_in_process, a_blocked_pin_over_usb_ip, "keyrig", ["a"]);

/// Of two keys with PINs the finger says which: that one is asked for its PIN, and nothing is spent on the other.
async fn the_touched_key_is_asked<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    for (key, pin) in keys.iter_mut().zip(["aaaa", "bbbb"]) {
        key.set_pin(&Pin::new(pin), &never()).await.expect("a first PIN");
    }
    for touched in ["b", "a"] {
        rack.command(Command::Finger { key: Some(name(touched)) }).await.expect("there is such a key");
        let client = page().asking_for_pin(move |request: &PinRequest| {
            assert_eq!((request.key.as_str(), request.mistake), (touched, None));
            Some(Pin::new(&touched.repeat(4)))
        });
        let options = creation(json!({"userVerification": "required"}), json!({}));
        let made = client.create(&options, keys, never()).await.expect("a credential");
        assert!(verified(&made.response.authenticator_data.0));
    }
    for key in keys {
        assert_eq!(key.pin_retries(&never()).await.expect("it says").left, 8);
    }
}
over_both!(
    the_touched_key_is_asked,
    the_touched_key_is_asked_in_process,
    the_touched_key_is_asked_over_usb_ip,
    "keyrig",
    ["a", "b"]
);
