//! authenticatorReset and authenticatorSelection (CTAP 2.3 §6.6, §6.9).

use core::time::Duration;

use keyrig_authenticator::Reason;

use crate::support::codec::{Parameters, RESET, SELECTION, status};
use crate::support::{Driver, Event, User, built_in};

const SITE: &str = "example.com";

#[test]
fn selection_asks_for_a_touch_and_changes_nothing() {
    let mut key = Driver::new();
    let disk = key.disk.clone();
    assert_eq!(key.send(&[SELECTION]), [status::OK]);
    assert_eq!(key.seen, [Event::Gesture(Reason::Selection)]);
    assert_eq!(key.disk, disk);
}

#[test]
fn a_reset_ends_every_credential_and_the_counter_goes_on() {
    let mut key = Driver::new();
    let discoverable = key.create(&Parameters::discoverable(SITE, "root"));
    let derived = key.create(&Parameters::make_credential(SITE, "root"));
    key.power_up();
    assert_eq!(key.send(&[RESET]), [status::OK]);
    assert_eq!(key.seen, [Event::Gesture(Reason::Reset), Event::Commit]);
    assert_eq!(key.authenticator.store().credentials().count(), 0);
    for parameters in [
        Parameters::get_assertion(SITE),
        Parameters::allow(SITE, &[&discoverable.id]),
        Parameters::allow(SITE, &[&derived.id]),
    ] {
        assert_eq!(key.status(&parameters.get()), status::NO_CREDENTIALS);
    }
    let again = key.create(&Parameters::discoverable(SITE, "root"));
    assert!(again.data.counter > derived.data.counter, "a clone of an older state must not look newer");
    assert_ne!(again.id, discoverable.id);
    let mut key = key.restarted();
    assert_eq!(key.status(&Parameters::allow(SITE, &[&derived.id]).get()), status::NO_CREDENTIALS);
}

/// CTAP 2.3 §6.6: within 10 s of power-up.
#[test]
fn the_window_for_a_reset_is_10_seconds_from_power_up() {
    for (after, expected) in [
        (Duration::ZERO, status::OK),
        (Duration::from_secs(10), status::OK),
        (Duration::from_secs(10) + Duration::from_nanos(1), status::NOT_ALLOWED),
        (Duration::from_secs(3600), status::NOT_ALLOWED),
    ] {
        let mut key = Driver::new();
        key.wait(after);
        assert_eq!(key.status(&[RESET]), expected, "{after:?} after the first power-up");
        assert_eq!(key.seen.is_empty(), expected != status::OK, "refused before a touch is asked for");
        key.wait(Duration::from_secs(100));
        key.power_up();
        key.wait(after);
        assert_eq!(key.status(&[RESET]), expected, "{after:?} after another");
    }
}

/// What Yubico documents of firmware before 5.5.4.
#[test]
fn the_window_of_older_yubikeys_is_5_seconds() {
    for name in ["yubikey-5.4", "security-key-5.1"] {
        for (after, expected) in [(5000, status::OK), (5001, status::NOT_ALLOWED)] {
            let mut key = Driver::of(built_in(name));
            key.wait(Duration::from_millis(after));
            assert_eq!(key.status(&[RESET]), expected, "{name}, {after} ms after power-up");
        }
    }
}

#[test]
fn a_reset_that_was_not_touched_for_keeps_everything() {
    for (user, expected) in [
        (User::Denies, status::OPERATION_DENIED),
        (User::Cancels, status::KEEPALIVE_CANCEL),
        (User::StaysAway, status::USER_ACTION_TIMEOUT),
    ] {
        let mut key = Driver::new();
        let created = key.create(&Parameters::discoverable(SITE, "root"));
        key.power_up();
        key.user = user;
        assert_eq!(key.status(&[RESET]), expected);
        key.user = User::Touches;
        key.assertion(&Parameters::get_assertion(SITE), &created.public_key);
    }
}
