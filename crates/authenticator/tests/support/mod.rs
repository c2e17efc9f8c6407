//! Drives an authenticator by its contract: in virtual time, with a user who follows a policy and a disk that can fail.
//!
//! After every answer the driver itself asserts what holds for all commands: memory equals disk, and a command that was
//! refused has changed neither, but for the PIN retries.

pub(crate) mod codec;
pub(crate) mod platform;
pub(crate) mod signature;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::environment::{Environment, Seeded};
use keyrig_authenticator::store::{Change, Record, Store};
use keyrig_authenticator::{Authenticator, Channel, Commit, Profile, Reason, Step};
use keyrig_ctap::hid::{ChannelId, Peer};

use codec::{Assertion, Created, Parameters, status};

/// Records by key, as a driver keeps them.
pub(crate) type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the user does when the key asks for a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Touches,
    Denies,
    Cancels,
    StaysAway,
}

/// What becomes of a command's commits, which are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Durable,
    FailsAt(usize),
    KilledBefore(usize),
    KilledAfter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Gesture(Reason),
    Commit,
}

pub(crate) struct Driver {
    pub(crate) authenticator: Authenticator,
    /// The channel on which messages are sent.
    pub(crate) channel: Channel,
    pub(crate) disk: Disk,
    pub(crate) now: Duration,
    pub(crate) user: User,
    pub(crate) fate: Fate,
    /// What the last command asked for, in order.
    pub(crate) seen: Vec<Event>,
}

pub(crate) static ROOT: LazyLock<Root> = LazyLock::new(|| Root::new([0x52; 32]).unwrap());

/// Attestation of a profile, issued once: it depends on the AAGUID alone, and tests make thousands of keys.
fn attestation(profile: &Profile) -> Attestation {
    static ISSUED: Mutex<BTreeMap<[u8; 16], Attestation>> = Mutex::new(BTreeMap::new());
    let mut issued = ISSUED.lock().unwrap();
    issued.entry(profile.aaguid.0).or_insert_with(|| ROOT.issue(profile).unwrap()).clone()
}

/// How long the user of these tests takes to touch.
const REACTION: Duration = Duration::from_secs(1);

pub(crate) fn built_in(name: &str) -> Profile {
    Profile::built_in(name).unwrap()
}

/// The names of the profiles that know CTAP2.
pub(crate) fn ctap2_profiles() -> impl Iterator<Item = &'static str> {
    Profile::built_in_names().filter(|name| built_in(name).has_ctap2())
}

/// keyrig's own key with some lines of its profile replaced.
pub(crate) fn altered(changes: &[(&str, &str)]) -> Profile {
    let mut text = include_str!("../../profiles/keyrig.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Profile::parse("altered", &text).unwrap()
}

/// A channel of another host, and another channel of the same host, as which the tests' own is [`Channel::default`].
pub(crate) fn other_channels() -> [Channel; 2] {
    let own = Channel::default();
    [Channel { peer: Peer(own.peer.0 + 1), ..own }, Channel { id: ChannelId(own.id.0 + 1), ..own }]
}

/// Carries out changes as the keeper of the records has to.
pub(crate) fn persist(disk: &mut Disk, changes: &[Change]) {
    for change in changes {
        match change.record() {
            Record::Clear => disk.clear(),
            Record::Put { key, value } => drop(disk.insert(key, value)),
            Record::Remove { key } => drop(disk.remove(&key)),
        }
    }
}

/// A disk without the one record that a refusal may change.
fn but_pin_retries(disk: &Disk) -> Disk {
    let mut disk = disk.clone();
    disk.remove(&b"pin retries"[..]);
    disk
}

impl Driver {
    /// keyrig's own key, new.
    pub(crate) fn new() -> Self {
        Self::of(built_in("keyrig"))
    }

    pub(crate) fn of(profile: Profile) -> Self {
        Self::seeded(profile, 1)
    }

    pub(crate) fn seeded(profile: Profile, seed: u8) -> Self {
        let mut disk = Disk::new();
        let (_, changes) = Store::create(&mut Seeded::new([seed ^ 0xFF; 32]));
        persist(&mut disk, &changes);
        Self::on(disk, profile, seed)
    }

    /// A key that gets power with what is on a disk.
    pub(crate) fn on(disk: Disk, profile: Profile, seed: u8) -> Self {
        Self::within(Box::new(Seeded::new([seed; 32])), disk, profile)
    }

    /// The same in an environment of its own.
    pub(crate) fn within(environment: Box<dyn Environment>, disk: Disk, profile: Profile) -> Self {
        let attestation = attestation(&profile);
        let store = Store::load(disk.clone()).unwrap();
        Self {
            authenticator: Authenticator::new(profile, attestation, environment, store, Duration::ZERO),
            channel: Channel::default(),
            disk,
            now: Duration::ZERO,
            user: User::Touches,
            fate: Fate::Durable,
            seen: Vec::new(),
        }
    }

    /// The same key after a crash: memory is gone, the disk is what it is.
    pub(crate) fn restarted(self) -> Self {
        let profile = self.authenticator.profile().clone();
        Self::on(self.disk, profile, 0xEE)
    }

    pub(crate) fn power_up(&mut self) {
        self.authenticator.power_up(self.now);
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Does something on another channel.
    pub(crate) fn elsewhere<T>(&mut self, channel: Channel, does: impl FnOnce(&mut Self) -> T) -> T {
        let own = core::mem::replace(&mut self.channel, channel);
        let done = does(self);
        self.channel = own;
        done
    }

    /// Sends a message and returns the answer, or nothing if the key was killed on the way.
    pub(crate) fn try_send(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.disk.clone();
        let step = self.authenticator.start(self.channel, message, self.now);
        let answer = self.drive(step)?;
        self.check(&before, answer[0] == status::OK);
        assert!(answer[0] == status::OK || answer.len() == 1, "a refusal is a status alone");
        Some(answer)
    }

    /// Sends a CTAP1/U2F message and returns the answer, or nothing if the key was killed on the way.
    pub(crate) fn try_send_u2f(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.disk.clone();
        let step = self.authenticator.start_u2f(self.channel, message, self.now);
        let answer = self.drive(step)?;
        let done = answer.ends_with(&[0x90, 0x00]);
        self.check(&before, done);
        assert!(done || answer.len() == 2, "a refusal is a status word alone");
        Some(answer)
    }

    /// Drives a command to its answer, or to where the key is killed.
    fn drive(&mut self, mut step: Step) -> Option<Vec<u8>> {
        self.seen.clear();
        let mut commits = 0..;
        loop {
            step = match step {
                Step::Respond(answer) => return Some(answer),
                Step::Gesture(gesture) => {
                    self.seen.push(Event::Gesture(gesture.reason()));
                    let deadline = gesture.deadline();
                    self.now = if self.user == User::StaysAway { deadline } else { self.now + REACTION };
                    let (key, now) = (&mut self.authenticator, self.now);
                    match self.user {
                        User::Touches => gesture.touched(key, now),
                        User::Denies => gesture.denied(key, now),
                        User::Cancels => gesture.cancelled(key, now),
                        User::StaysAway => gesture.timed_out(key, now),
                    }
                }
                Step::Commit(commit) => {
                    self.seen.push(Event::Commit);
                    self.commit(commit, commits.next()?)?
                }
            };
        }
    }

    fn commit(&mut self, commit: Commit, number: usize) -> Option<Step> {
        assert_eq!(
            &Store::load(self.disk.clone()).unwrap(),
            self.authenticator.store(),
            "memory is as before the commit"
        );
        match self.fate {
            Fate::KilledBefore(at) if at == number => return None,
            Fate::FailsAt(at) if at == number => return Some(commit.failed(&mut self.authenticator, self.now)),
            _ => persist(&mut self.disk, commit.changes()),
        }
        if self.fate == Fate::KilledAfter(number) {
            return None;
        }
        Some(commit.committed(&mut self.authenticator, self.now))
    }

    fn check(&self, before: &Disk, done: bool) {
        assert_eq!(&Store::load(self.disk.clone()).unwrap(), self.authenticator.store(), "memory equals disk");
        assert!(done || but_pin_retries(&self.disk) == but_pin_retries(before), "a refused command changes nothing");
    }

    pub(crate) fn send(&mut self, message: &[u8]) -> Vec<u8> {
        self.try_send(message).expect("the key was not killed")
    }

    pub(crate) fn send_u2f(&mut self, message: &[u8]) -> Vec<u8> {
        self.try_send_u2f(message).expect("the key was not killed")
    }

    /// The status of the answer to a message.
    pub(crate) fn status(&mut self, message: &[u8]) -> u8 {
        self.send(message)[0]
    }

    /// Makes a credential and verifies what is signed.
    pub(crate) fn create(&mut self, parameters: &Parameters) -> Created {
        let created = Created::read(&self.send(&parameters.message(codec::MAKE_CREDENTIAL)));
        signature::verify_attestation(&created, parameters);
        created
    }

    /// Gets an assertion and verifies it under a public key from registration.
    pub(crate) fn assertion(&mut self, parameters: &Parameters, public_key: &sk_cbor::Value) -> Assertion {
        let assertion = Assertion::read(&self.send(&parameters.message(codec::GET_ASSERTION)));
        signature::verify_assertion(&assertion, &parameters.hash(2), public_key);
        assertion
    }
}
