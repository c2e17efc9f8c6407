//! Several discoverable credentials, and authenticatorGetNextAssertion (CTAP 2.3 §6.3).

use core::time::Duration;

use crate::support::codec::{
    Assertion, Created, GET_INFO, GET_NEXT_ASSERTION, Parameters, RESET, SELECTION, UP, boolean, map, status,
};
use crate::support::signature::verify_assertion;
use crate::support::{Driver, Event, Fate, User};

const SITE: &str = "example.com";
const NEXT: &[u8] = &[GET_NEXT_ASSERTION];

/// A key with three accounts at a site, made in this order, and one elsewhere.
fn key() -> (Driver, [Created; 3]) {
    let mut key = Driver::new();
    let created = ["one", "two", "three"].map(|user| key.create(&Parameters::discoverable(SITE, user)));
    key.create(&Parameters::discoverable("example.org", "elsewhere"));
    key.create(&Parameters::make_credential(SITE, "not discoverable"));
    (key, created)
}

/// A key in the middle: the newest has answered.
fn started() -> (Driver, [Created; 3]) {
    let (mut key, created) = key();
    let first = key.assertion(&Parameters::get_assertion(SITE), &created[2].public_key);
    assert_eq!(first.number_of_credentials, Some(3));
    (key, created)
}

#[test]
fn the_newest_comes_first_and_each_comes_once() {
    let (mut key, created) = started();
    let hash = Parameters::get_assertion(SITE).hash(2);
    for (expected, user) in [(&created[1], b"two"), (&created[0], b"one")] {
        let next = Assertion::read(&key.send(NEXT));
        verify_assertion(&next, &hash, &expected.public_key);
        assert_eq!(next.id, expected.id);
        assert_eq!(next.user_id(), Some(user.to_vec()));
        assert_eq!(next.members, [1, 2, 3, 4], "numberOfCredentials only in the first answer");
        assert_eq!(next.data.flags, UP);
        assert_eq!(key.seen, [Event::Commit], "one touch serves all");
    }
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

#[test]
fn the_order_is_that_of_creation_after_a_restart_and_a_replacement_too() {
    let (mut key, created) = key();
    let replaced = key.create(&Parameters::discoverable(SITE, "one"));
    let mut key = key.restarted();
    key.assertion(&Parameters::get_assertion(SITE), &replaced.public_key);
    let rest: Vec<_> = (0..2).map(|_| Assertion::read(&key.send(NEXT)).id).collect();
    assert_eq!(rest, [created[2].id.clone(), created[1].id.clone()]);
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

#[test]
fn what_was_asked_without_user_presence_goes_on_without() {
    let (mut key, created) = key();
    let silent = Parameters::get_assertion(SITE).with(5, map([("up", boolean(false))]));
    assert_eq!(key.assertion(&silent, &created[2].public_key).data.flags, 0);
    assert_eq!(Assertion::read(&key.send(NEXT)).data.flags, 0);
}

#[test]
fn without_an_assertion_before_it_is_not_allowed() {
    let (mut key, _) = key();
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
    assert_eq!(key.status(&Parameters::allow(SITE, &[b"unknown"]).get()), status::NO_CREDENTIALS);
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

/// The timer is reset by every answer, and 30 s is not yet more than 30 s (CTAP 2.3 §6.3 steps 3 and 6).
#[test]
fn it_expires_30_seconds_after_the_last_answer() {
    let (mut key, _) = started();
    key.wait(Duration::from_secs(30));
    assert_eq!(key.status(NEXT), status::OK);
    key.wait(Duration::from_secs(30) + Duration::from_nanos(1));
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
    let (mut key, _) = started();
    key.wait(Duration::from_secs(31));
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED, "it does not come back");
}

#[test]
fn every_other_command_ends_it() {
    for (name, message) in [
        ("getInfo", vec![GET_INFO]),
        ("selection", vec![SELECTION]),
        ("reset, refused", vec![RESET]),
        ("makeCredential", Parameters::make_credential(SITE, "x").create()),
        ("getAssertion elsewhere", Parameters::get_assertion("example.net").get()),
        ("getAssertion of one", Parameters::get_assertion("example.org").get()),
        ("getAssertion, malformed", vec![0x02]),
        ("clientPIN", vec![0x06, 0xA0]),
        ("unknown command", vec![0x99]),
        ("empty message", vec![]),
        ("too long a message", vec![0; 10_000]),
    ] {
        let (mut key, _) = started();
        key.wait(Duration::from_secs(20));
        key.send(&message);
        assert_eq!(key.status(NEXT), status::NOT_ALLOWED, "{name}");
    }
}

#[test]
fn a_refused_command_ends_it_too() {
    for user in [User::Denies, User::Cancels, User::StaysAway] {
        let (mut key, _) = started();
        key.user = user;
        assert_ne!(key.status(&Parameters::get_assertion(SITE).get()), status::OK);
        assert_eq!(key.status(NEXT), status::NOT_ALLOWED, "{user:?}");
    }
}

#[test]
fn a_reset_and_a_power_cycle_end_it() {
    let (mut key, _) = started();
    key.power_up();
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
    let (key, _) = started();
    assert_eq!(key.restarted().status(NEXT), status::NOT_ALLOWED);
    let (mut key, _) = key_just_powered();
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

fn key_just_powered() -> (Driver, [Created; 3]) {
    let (mut key, created) = key();
    key.power_up();
    key.assertion(&Parameters::get_assertion(SITE), &created[2].public_key);
    (key, created)
}

#[test]
fn one_that_is_abandoned_or_fails_ends_it() {
    let (mut key, _) = started();
    drop(key.authenticator.start(NEXT, key.now));
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);

    let (mut key, _) = started();
    key.fate = Fate::FailsAt(0);
    assert_eq!(key.status(NEXT), status::OTHER);
    key.fate = Fate::Durable;
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

#[test]
fn an_assertion_that_failed_to_commit_starts_nothing() {
    let (mut key, _) = key();
    key.fate = Fate::FailsAt(0);
    assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::OTHER);
    key.fate = Fate::Durable;
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}
