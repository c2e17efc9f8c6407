//! Several discoverable credentials, and authenticatorGetNextAssertion (CTAP 2.3 §6.3).

use core::time::Duration;

use keyrig_authenticator::Channel;
use keyrig_ctap::hid::{ChannelId, Peer};

use crate::support::codec::{
    Assertion, Created, GET_INFO, GET_NEXT_ASSERTION, Parameters, RESET, SELECTION, UP, boolean, map, status,
};
use crate::support::signature::verify_assertion;
use crate::support::{Driver, Event, Fate, User, other_channels};

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

/// Commands that have nothing to do with it and change nothing of it.
fn others() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    [
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
    ]
    .into_iter()
}

#[test]
fn every_other_command_ends_it() {
    for (name, message) in others() {
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
    drop(key.start(NEXT));
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

/// What one program has begun answers over its client data: nobody else may have it, and nobody else ends it.
#[test]
fn it_belongs_to_the_channel_that_began_it() {
    for other in other_channels() {
        for (name, message) in others() {
            let (mut key, created) = started();
            key.wait(Duration::from_secs(20));
            key.elsewhere(other, |key| {
                assert_eq!(key.status(NEXT), status::NOT_ALLOWED, "{other:?}");
                key.send(&message);
            });
            assert_eq!(Assertion::read(&key.send(NEXT)).id, created[1].id, "{name} on {other:?}");
        }
        let (mut key, created) = started();
        key.elsewhere(other, |key| drop(key.send_u2f(&[0, 3, 0, 0])));
        assert_eq!(Assertion::read(&key.send(NEXT)).id, created[1].id, "U2F on {other:?}");
    }
}

#[test]
fn two_channels_go_on_side_by_side() {
    let (mut key, created) = started();
    let [other, _] = other_channels();
    let first = key.elsewhere(other, |key| key.assertion(&Parameters::get_assertion(SITE), &created[2].public_key));
    assert_eq!(first.number_of_credentials, Some(3));
    for expected in [&created[1], &created[0]] {
        assert_eq!(Assertion::read(&key.send(NEXT)).id, expected.id);
        assert_eq!(Assertion::read(&key.elsewhere(other, |key| key.send(NEXT))).id, expected.id);
    }
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
    assert_eq!(key.elsewhere(other, |key| key.status(NEXT)), status::NOT_ALLOWED);
}

#[test]
fn it_ends_with_its_host() {
    let (mut key, _) = started();
    key.authenticator.forget(other_channels()[0].peer);
    assert_eq!(key.status(NEXT), status::OK, "that was another");
    let (mut key, _) = started();
    let peer = key.channel.peer;
    key.authenticator.forget(peer);
    assert_eq!(key.status(NEXT), status::NOT_ALLOWED);
}

/// By any channel: what goes through the accounts of a site ends when they change, and not when others do.
#[test]
fn what_changes_the_accounts_of_the_site_ends_it() {
    for other in other_channels() {
        let changes: [(&str, Parameters, u8); 4] = [
            ("another account", Parameters::discoverable(SITE, "four"), status::NOT_ALLOWED),
            ("an account replaced", Parameters::discoverable(SITE, "one"), status::NOT_ALLOWED),
            ("an account elsewhere", Parameters::discoverable("example.org", "four"), status::OK),
            ("none stored", Parameters::make_credential(SITE, "four"), status::OK),
        ];
        for (name, change, expected) in changes {
            let (mut key, _) = started();
            key.elsewhere(other, |key| drop(key.create(&change)));
            assert_eq!(key.status(NEXT), expected, "{name} on {other:?}");
        }
        let (mut key, _) = key_just_powered();
        assert_eq!(key.elsewhere(other, |key| key.status(&[RESET])), status::OK);
        assert_eq!(key.status(NEXT), status::NOT_ALLOWED, "a reset on {other:?}");
    }
}

/// 64 channels may be in the middle of something. Who begins more than that loses the first of its own.
#[test]
fn a_host_that_begins_on_many_channels_ends_its_own() {
    let (mut key, _) = key();
    let silent = Parameters::get_assertion(SITE).with(5, map([("up", boolean(false))])).get();
    let channel = |peer, id| Channel { peer: Peer(peer), id: ChannelId(id) };
    assert_eq!(key.status(&silent), status::OK);
    for id in 1..=100 {
        assert_eq!(key.elsewhere(channel(7, id), |key| key.status(&silent)), status::OK);
    }
    assert_eq!(key.status(NEXT), status::OK, "the one channel of another host");
    // That one was kept again, behind the others.
    let alive: Vec<u32> =
        (1..=100).filter(|id| key.elsewhere(channel(7, *id), |key| key.status(NEXT)) == status::OK).collect();
    assert_eq!(alive, (38..=100).collect::<Vec<_>>());
}
