//! A command that commits twice, by everything that can become of either commit. No command does so before there is a PIN,
//! whose retry is spent before the PIN is checked.

use keyrig_ctap::Response;

use super::*;
use crate::attestation::Root;
use crate::channel::Channel;
use crate::driver::Driver;
use crate::environment::Seeded;
use crate::profile::Profile;
use crate::store::Records;

fn new() -> (Authenticator, Records) {
    let profile = Profile::built_in("keyrig").unwrap();
    let attestation = Root::new([3; 32]).unwrap().issue(&profile, 1).unwrap();
    let key = Driver::new(profile, attestation, Box::new(Seeded::new([1; 32])));
    (key.authenticator, key.disk)
}

/// The counter becomes 1, then 2; each part sees what the part before it made durable.
fn twice() -> Progress {
    Progress::commit(vec![Change::Counter(1)], |authenticator, _| {
        assert_eq!(authenticator.store().counter(), 1);
        Progress::commit(vec![Change::Counter(2)], |authenticator, _| {
            assert_eq!(authenticator.store().counter(), 2);
            Progress::Done(Ok(Response::Done))
        })
    })
}

fn commit(step: Step) -> Commit {
    let Step::Commit(commit) = step else { panic!("{step:?}") };
    commit
}

fn answer(step: Step) -> Vec<u8> {
    let Step::Respond(answer) = step else { panic!("{step:?}") };
    answer
}

fn start(authenticator: &mut Authenticator) -> Commit {
    commit(authenticator.step(twice(), Protocol::Ctap2, Duration::ZERO))
}

fn durable(commit: Commit, authenticator: &mut Authenticator, disk: &mut Records) -> Step {
    disk.apply(commit.changes());
    commit.committed(authenticator, Duration::ZERO)
}

/// Memory equals disk, the counter is as expected, and the next command works.
fn assert_state(mut authenticator: Authenticator, disk: &Records, counter: u32) {
    let loaded = disk.load().unwrap();
    assert_eq!(loaded.counter(), counter);
    assert_eq!(authenticator.store(), &loaded);
    assert_eq!(answer(authenticator.start(Channel::default(), &[0x04], Duration::ZERO))[0], 0);
}

#[test]
fn both_commits_become_durable() {
    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    assert_eq!((authenticator.store().counter(), first.changes()), (0, &[Change::Counter(1)][..]));
    let second = commit(durable(first, &mut authenticator, &mut disk));
    assert_eq!((authenticator.store().counter(), second.changes()), (1, &[Change::Counter(2)][..]));
    assert_eq!(answer(durable(second, &mut authenticator, &mut disk)), [0x00]);
    assert_state(authenticator, &disk, 2);
}

#[test]
fn the_first_commit_fails_and_there_is_no_second() {
    let (mut authenticator, disk) = new();
    let first = start(&mut authenticator);
    assert_eq!(answer(first.failed(&mut authenticator, Duration::ZERO)), [0x7F]);
    assert_state(authenticator, &disk, 0);
}

#[test]
fn the_second_commit_fails_and_the_first_stays() {
    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    let second = commit(durable(first, &mut authenticator, &mut disk));
    assert_eq!(answer(second.failed(&mut authenticator, Duration::ZERO)), [0x7F]);
    assert_state(authenticator, &disk, 1);
}

#[test]
fn a_command_abandoned_at_either_commit_keeps_what_is_durable() {
    let (mut authenticator, disk) = new();
    drop(start(&mut authenticator));
    assert_state(authenticator, &disk, 0);

    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    drop(durable(first, &mut authenticator, &mut disk));
    assert_state(authenticator, &disk, 1);
}

#[test]
fn power_lost_at_either_commit_ends_the_command_there() {
    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    authenticator.power_up(Duration::ZERO);
    assert_eq!(answer(durable(first, &mut authenticator, &mut disk)), [0x7F], "the second is not asked for");
    assert_state(authenticator, &disk, 1);

    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    let second = commit(durable(first, &mut authenticator, &mut disk));
    authenticator.power_up(Duration::ZERO);
    assert_eq!(answer(durable(second, &mut authenticator, &mut disk)), [0x7F]);
    assert_state(authenticator, &disk, 2);

    let (mut authenticator, mut disk) = new();
    let first = start(&mut authenticator);
    let second = commit(durable(first, &mut authenticator, &mut disk));
    authenticator.power_up(Duration::ZERO);
    assert_eq!(answer(second.failed(&mut authenticator, Duration::ZERO)), [0x7F]);
    assert_state(authenticator, &disk, 1);
}
