//! What comes of a gesture: every command that asks for one, by every outcome.

use core::time::Duration;

use keyrig_authenticator::{Reason, Step};
use keyrig_ctap::bio_enrollment::Sample;

use crate::support::codec::{Parameters, RESET, SELECTION, status};
use crate::support::{Driver, Event, User};

const SITE: &str = "example.com";

/// A key with a credential, just powered up.
fn key() -> Driver {
    let mut key = Driver::new();
    key.create(&Parameters::discoverable(SITE, "root"));
    key.power_up();
    key
}

fn commands() -> [(Reason, Vec<u8>); 5] {
    [
        (Reason::MakeCredential, Parameters::make_credential(SITE, "guest").create()),
        (Reason::MakeCredential, Parameters::discoverable(SITE, "root").create()),
        (Reason::GetAssertion, Parameters::get_assertion(SITE).get()),
        (Reason::Selection, vec![SELECTION]),
        (Reason::Reset, vec![RESET]),
    ]
}

#[test]
fn every_outcome_has_its_status_and_only_a_touch_changes_anything() {
    for (user, expected) in [
        (User::Touches, status::OK),
        // Nothing here asks who it is.
        (User::IsAnother, status::OK),
        (User::IsSampled(Sample::TooFast), status::OK),
        (User::Denies, status::OPERATION_DENIED),
        (User::Cancels, status::KEEPALIVE_CANCEL),
        (User::StaysAway, status::USER_ACTION_TIMEOUT),
    ] {
        for (reason, message) in commands() {
            // CTAP 2.3 §6.1.2 step 14 and §6.2.2 step 9: there, a user who stays away has not consented.
            let ceremony = matches!(reason, Reason::MakeCredential | Reason::GetAssertion);
            let expected = if ceremony && user == User::StaysAway { status::OPERATION_DENIED } else { expected };
            let mut key = key();
            let before = key.disk.clone();
            key.user = user;
            assert_eq!(key.status(&message), expected, "{reason:?} {user:?}");
            assert_eq!(key.seen[0], Event::Gesture(reason));
            let changes =
                matches!(user, User::Touches | User::IsAnother | User::IsSampled(_)) && reason != Reason::Selection;
            assert_eq!(key.seen.len(), if changes { 2 } else { 1 }, "{reason:?} {user:?}");
            assert_eq!(key.disk != before, changes, "{reason:?} {user:?}");
            // The key is not stuck.
            key.user = User::Touches;
            assert_eq!(key.status(&[SELECTION]), status::OK, "{reason:?} {user:?}");
        }
    }
}

/// CTAP 2.3 §6.1.2 leaves the time to the authenticator, but wants at least 10 s.
#[test]
fn a_deadline_is_at_least_10_seconds_away() {
    for (reason, message) in commands() {
        let mut key = key();
        match key.start(&message) {
            Step::Gesture(gesture) => {
                assert!(gesture.deadline() >= key.now + Duration::from_secs(10), "{reason:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_dropped_gesture_changes_nothing() {
    for (reason, message) in commands() {
        let mut key = key();
        let before = key.authenticator.store().clone();
        drop(key.start(&message));
        assert_eq!(key.authenticator.store(), &before, "{reason:?}");
        assert_eq!(key.status(&[SELECTION]), status::OK, "{reason:?}");
    }
}

#[test]
fn a_stale_gesture_answers_other_and_changes_nothing_whatever_it_is_told() {
    for (reason, message) in commands() {
        let sampled = User::IsSampled(Sample::TooFast);
        for user in [User::Touches, User::IsAnother, sampled, User::Denies, User::Cancels, User::StaysAway] {
            for power_cycle in [false, true] {
                let mut key = key();
                let before = key.authenticator.store().clone();
                let Step::Gesture(gesture) = key.start(&message) else { panic!("{reason:?}") };
                if power_cycle {
                    key.power_up();
                } else {
                    assert_eq!(key.send(&[0x04])[0], status::OK);
                }
                let now = key.now;
                let authenticator = &mut key.authenticator;
                let step = match user {
                    User::Touches => gesture.touched(authenticator, now),
                    User::IsAnother => gesture.missed(authenticator, now),
                    User::IsSampled(sample) => gesture.sampled(authenticator, now, sample),
                    User::Denies => gesture.denied(authenticator, now),
                    User::Cancels => gesture.cancelled(authenticator, now),
                    User::StaysAway => gesture.timed_out(authenticator, now),
                };
                let Step::Respond(answer) = step else { panic!("{reason:?} {user:?}: {step:?}") };
                assert_eq!(answer, [status::OTHER], "{reason:?} {user:?}");
                assert_eq!(key.authenticator.store(), &before);
            }
        }
    }
}

/// The command that is pending is not disturbed by the answer to one that is over.
#[test]
fn a_stale_gesture_leaves_the_command_that_came_after_it_alone() {
    let mut key = key();
    let Step::Gesture(old) = key.start(&[SELECTION]) else { panic!() };
    let Step::Gesture(new) = key.start(&[SELECTION]) else { panic!() };
    let now = key.now;
    assert!(matches!(old.cancelled(&mut key.authenticator, now), Step::Respond(answer) if answer == [status::OTHER]));
    assert!(matches!(new.touched(&mut key.authenticator, now), Step::Respond(answer) if answer == [status::OK]));
}

#[test]
fn reasons_are_named_after_their_commands() {
    for (reason, name) in [
        (Reason::MakeCredential, "authenticatorMakeCredential"),
        (Reason::GetAssertion, "authenticatorGetAssertion"),
        (Reason::Selection, "authenticatorSelection"),
        (Reason::Reset, "authenticatorReset"),
    ] {
        assert_eq!(reason.command(), name);
    }
}
