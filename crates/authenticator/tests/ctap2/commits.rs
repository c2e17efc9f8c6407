//! Every command by every commit: killed before it, killed after it, or failed.

use keyrig_authenticator::driver::Turn;
use keyrig_authenticator::{Commit, Step};

use crate::support::codec::{
    Assertion, Created, GET_NEXT_ASSERTION, Parameters, RESET, SELECTION, UP, boolean, map, status,
};
use crate::support::{Driver, Event, Fate, altered};

const SITE: &str = "example.com";

/// A command, and what the key is like before it.
struct Case {
    name: &'static str,
    message: Vec<u8>,
    prepare: fn(&mut Driver),
}

fn cases() -> Vec<Case> {
    fn two_accounts(key: &mut Driver) {
        key.create(&Parameters::discoverable(SITE, "one"));
        key.create(&Parameters::discoverable(SITE, "two"));
    }
    fn one_answered(key: &mut Driver) {
        two_accounts(key);
        Assertion::read(&key.send(&Parameters::get_assertion(SITE).get()));
    }
    let silent = Parameters::get_assertion(SITE).with(5, map([("up", boolean(false))]));
    vec![
        Case { name: "makeCredential", message: Parameters::make_credential(SITE, "u").create(), prepare: |_| {} },
        Case { name: "discoverable", message: Parameters::discoverable(SITE, "u").create(), prepare: |_| {} },
        Case { name: "replacing", message: Parameters::discoverable(SITE, "one").create(), prepare: two_accounts },
        Case { name: "getAssertion", message: Parameters::get_assertion(SITE).get(), prepare: two_accounts },
        Case { name: "pre-flight", message: silent.get(), prepare: two_accounts },
        Case { name: "getNextAssertion", message: vec![GET_NEXT_ASSERTION], prepare: one_answered },
        Case {
            name: "reset",
            message: vec![RESET],
            prepare: |key| {
                two_accounts(key);
                key.power_up();
            },
        },
    ]
}

impl Case {
    /// The same key each time: seed, requests and times are the same.
    fn key(&self) -> Driver {
        let mut key = Driver::new();
        (self.prepare)(&mut key);
        key
    }

    /// The undisturbed run: the answer, the key after it, and how many commits there were.
    fn undisturbed(&self) -> (Vec<u8>, Driver, usize) {
        let mut key = self.key();
        let answer = key.send(&self.message);
        assert_eq!(answer[0], status::OK, "{}", self.name);
        let commits = key.seen.iter().filter(|event| **event == Event::Commit).count();
        assert!(commits > 0, "{} commits", self.name);
        (answer, key, commits)
    }
}

#[test]
fn a_key_killed_before_a_commit_is_durable_comes_back_as_before_it() {
    for case in cases() {
        let (_, _, commits) = case.undisturbed();
        for number in 0..commits {
            let mut key = case.key();
            let before = key.disk.clone();
            key.fate = Fate::KilledBefore(number);
            assert_eq!(key.try_send(&case.message), None, "{}", case.name);
            if number == 0 {
                assert_eq!(key.disk, before, "{}", case.name);
            }
            let mut key = key.restarted();
            assert_eq!(key.status(&[SELECTION]), status::OK, "{}", case.name);
            key.create(&Parameters::discoverable(SITE, "afterwards"));
        }
    }
}

#[test]
fn a_key_killed_after_its_last_commit_comes_back_as_after_the_command() {
    for case in cases() {
        let (answer, undisturbed, commits) = case.undisturbed();
        let mut key = case.key();
        key.fate = Fate::KilledAfter(commits - 1);
        assert_eq!(key.try_send(&case.message), None, "{}", case.name);
        assert_eq!(key.disk, undisturbed.disk, "{}", case.name);
        let mut key = key.restarted();
        assert_eq!(key.authenticator.store(), undisturbed.authenticator.store(), "{}", case.name);
        if case.message[0] == 0x01 {
            // The credential whose answer got lost works.
            let created = Created::read(&answer);
            let assertion = key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
            assert!(assertion.data.counter > created.data.counter, "{}", case.name);
        }
    }
}

#[test]
fn a_failed_commit_answers_other_and_leaves_memory_as_the_disk_is() {
    for case in cases() {
        let (_, _, commits) = case.undisturbed();
        for number in 0..commits {
            let mut key = case.key();
            let before = key.disk.clone();
            key.fate = Fate::FailsAt(number);
            assert_eq!(key.send(&case.message), [status::OTHER], "{}", case.name);
            assert_eq!(key.disk, before, "{}", case.name);
            key.fate = Fate::Durable;
            let created = key.create(&Parameters::discoverable(SITE, "afterwards"));
            assert_eq!(key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key).data.flags, UP);
        }
    }
}

#[test]
fn after_a_failed_commit_the_same_command_can_be_sent_again() {
    for case in cases().into_iter().filter(|case| case.message[0] != GET_NEXT_ASSERTION) {
        let mut key = case.key();
        key.fate = Fate::FailsAt(0);
        assert_eq!(key.send(&case.message), [status::OTHER], "{}", case.name);
        key.fate = Fate::Durable;
        assert_eq!(key.status(&case.message), status::OK, "{}", case.name);
    }
}

#[test]
fn a_failed_replacement_at_full_storage_loses_nothing() {
    let mut key = Driver::of(altered(&[("discoverable_credentials = 1000", "discoverable_credentials = 1")]));
    let old = key.create(&Parameters::discoverable(SITE, "root"));
    key.fate = Fate::FailsAt(0);
    assert_eq!(key.send(&Parameters::discoverable(SITE, "root").create()), [status::OTHER]);
    key.fate = Fate::Durable;
    key.assertion(&Parameters::get_assertion(SITE), &old.public_key);
    assert_eq!(key.status(&Parameters::discoverable(SITE, "other").create()), status::KEY_STORE_FULL);
}

/// Drives a command up to its commit.
fn pending(key: &mut Driver, message: &[u8]) -> Commit {
    match key.start(message) {
        Step::Commit(commit) => commit,
        step => match key.turn(step) {
            Turn::Next(Step::Commit(commit)) => commit,
            other => panic!("{other:?}"),
        },
    }
}

fn interrupt(key: &mut Driver, power_cycle: bool) {
    if power_cycle {
        key.power_up();
    } else {
        assert_eq!(key.send(&[0x04])[0], status::OK);
    }
}

fn assert_other(step: Step, name: &str) {
    let Step::Respond(answer) = step else { panic!("{name}: {step:?}") };
    assert_eq!(answer, [status::OTHER], "{name}");
}

#[test]
fn a_stale_commit_that_failed_or_was_dropped_changes_nothing() {
    for case in cases() {
        for power_cycle in [false, true] {
            let mut key = case.key();
            let before = key.authenticator.store().clone();
            drop(pending(&mut key, &case.message));
            interrupt(&mut key, power_cycle);
            assert_eq!(key.authenticator.store(), &before, "{}", case.name);

            let mut key = case.key();
            let commit = pending(&mut key, &case.message);
            interrupt(&mut key, power_cycle);
            let now = key.now;
            assert_other(commit.failed(&mut key.authenticator, now), case.name);
            assert_eq!(key.authenticator.store(), &before, "{}", case.name);
            key.create(&Parameters::discoverable(SITE, "afterwards"));
        }
    }
}

/// A power cycle or the next command can overtake a commit that is being made durable. The command is over, but what is on
/// disk is on disk: if memory did not follow, the key would change when it is next loaded.
#[test]
fn a_stale_commit_that_became_durable_answers_other_and_memory_follows_the_disk() {
    for case in cases() {
        for power_cycle in [false, true] {
            let mut key = case.key();
            let commit = pending(&mut key, &case.message);
            interrupt(&mut key, power_cycle);
            key.disk.apply(commit.changes());
            let now = key.now;
            assert_other(commit.committed(&mut key.authenticator, now), case.name);
            assert_eq!(&key.disk.load().unwrap(), key.authenticator.store(), "{}", case.name);
            key.create(&Parameters::discoverable(SITE, "afterwards"));
            assert_eq!(key.status(&[GET_NEXT_ASSERTION]), status::NOT_ALLOWED, "{}: the command is over", case.name);
        }
    }
}
