//! The crate's driver, with what only tests want: after every answer it asserts what holds for all commands (memory equals disk,
//! and a command that was refused has changed neither, but for the PIN retries), and what is signed is verified.

pub(crate) mod codec;
pub(crate) mod platform;
pub(crate) mod signature;

use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::driver::{self, Turn};
pub(crate) use keyrig_authenticator::driver::{Event, Fate, User};
use keyrig_authenticator::environment::{Environment, Seeded};
use keyrig_authenticator::profile::Quirk;
pub(crate) use keyrig_authenticator::store::Records;
use keyrig_authenticator::store::{Change, Store};
use keyrig_authenticator::{Channel, Profile, Step};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::hid::{ChannelId, Peer};

use codec::{Assertion, Created, Parameters, status};

/// An authenticator with its driver, in whose hands the key never has another state than its disk.
pub(crate) struct Driver(driver::Driver);

impl Deref for Driver {
    type Target = driver::Driver;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Driver {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

pub(crate) static ROOT: LazyLock<Root> = LazyLock::new(|| Root::new([0x52; 32]).unwrap());

/// Of every key of these tests.
pub(crate) const SERIAL_NUMBER: u32 = 12_345_678;

/// By model, and by what is in their certificates.
type Issued = BTreeMap<([u8; 16], [bool; 3]), Attestation>;

/// Attestation of a profile, issued once: tests make thousands of keys.
fn attestation(profile: &Profile) -> Attestation {
    static ISSUED: Mutex<Issued> = Mutex::new(BTreeMap::new());
    let behaviour = &profile.behaviour;
    let is_capable = profile.info().option(OptionId::Ep).is_some();
    let shape = [behaviour.attestation_tells_transports, behaviour.attestation_sends_root, is_capable];
    let mut issued = ISSUED.lock().unwrap();
    issued.entry((profile.aaguid.0, shape)).or_insert_with(|| ROOT.issue(profile, SERIAL_NUMBER).unwrap()).clone()
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

/// A key of no maker with known bugs.
pub(crate) fn with_quirks(profile: &str, quirks: &[&str]) -> Profile {
    let mut profile = built_in(profile);
    for quirk in quirks {
        profile.add(Quirk::named(quirk).unwrap()).unwrap();
    }
    profile
}

/// The same without those that, new, make no credential of any kind by a touch alone.
pub(crate) fn profiles_that_want_a_touch() -> impl Iterator<Item = &'static str> {
    ctap2_profiles().filter(|name| !["yubikey-fips", "yubikey-bio-5.7", "keyrig-uv", "synced-passkey"].contains(name))
}

/// keyrig's own key with some lines of its profile replaced.
pub(crate) fn altered(changes: &[(&str, &str)]) -> Profile {
    altered_from(include_str!("../../profiles/keyrig.toml"), changes)
}

/// The same of another profile.
pub(crate) fn altered_from(text: &str, changes: &[(&str, &str)]) -> Profile {
    let mut text = text.to_owned();
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

/// A disk without the records that a refusal may change.
fn but_retries(disk: &Records) -> Records {
    let mut disk = disk.as_map().clone();
    disk.remove(&b"pin retries"[..]);
    disk.remove(&b"uv attempts"[..]);
    disk.into()
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
        let mut disk = Records::default();
        let (_, changes) = Store::create(&mut Seeded::new([seed ^ 0xFF; 32]));
        disk.apply(&changes);
        Self::on(disk, profile, seed)
    }

    /// A key that gets power with what is on a disk.
    pub(crate) fn on(disk: Records, profile: Profile, seed: u8) -> Self {
        Self::within(Box::new(Seeded::new([seed; 32])), disk, profile)
    }

    /// The same in an environment of its own.
    pub(crate) fn within(environment: Box<dyn Environment>, disk: Records, profile: Profile) -> Self {
        let attestation = attestation(&profile);
        let mut key = driver::Driver::on(disk, profile, attestation, environment).unwrap();
        key.reaction = REACTION;
        Self(key)
    }

    /// The same key after a crash: memory is gone, the disk is what it is.
    pub(crate) fn restarted(self) -> Self {
        let profile = self.authenticator.profile().clone();
        Self::on(self.0.disk, profile, 0xEE)
    }

    /// Does something on another channel.
    pub(crate) fn elsewhere<T>(&mut self, channel: Channel, does: impl FnOnce(&mut Self) -> T) -> T {
        let own = core::mem::replace(&mut self.channel, channel);
        let done = does(self);
        self.channel = own;
        done
    }

    /// Sends a message and returns the answer, or nothing if the key was killed on the way or never answers.
    pub(crate) fn try_send(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.disk.clone();
        let step = self.start(message);
        let answer = self.judge(step)?;
        self.check(&before, answer[0] == status::OK);
        assert!(answer[0] == status::OK || answer.len() == 1, "a refusal is a status alone");
        Some(answer)
    }

    /// Sends a CTAP1/U2F message and returns the answer, or nothing if the key was killed on the way.
    pub(crate) fn try_send_u2f(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.disk.clone();
        let step = self.start_u2f(message);
        let answer = self.judge(step)?;
        let done = answer.ends_with(&[0x90, 0x00]);
        self.check(&before, done);
        assert!(done || answer.len() == 2, "a refusal is a status word alone");
        Some(answer)
    }

    /// Drives a command to its answer, or to where the key is killed.
    fn judge(&mut self, mut step: Step) -> Option<Vec<u8>> {
        loop {
            if let Step::Commit(commit) = &step {
                assert!(self.memory_equals_disk(), "memory is as before the commit");
                let credentials = |change: &Change| match change {
                    Change::Put(credential) => credential.discoverable.is_some(),
                    change => matches!(change, Change::Remove(_)),
                };
                let state = |change: &Change| matches!(change, Change::CredentialStoreState(_));
                assert!(
                    !commit.changes().iter().any(credentials) || commit.changes().iter().any(state),
                    "with credentials the credential store state changes (CTAP 2.3 §6.1.2 step 17.5)"
                );
            }
            step = match self.turn(step) {
                Turn::Next(step) => step,
                Turn::Answer(answer) => return Some(answer),
                Turn::Killed | Turn::Silence => return None,
            };
        }
    }

    fn check(&self, before: &Records, done: bool) {
        assert!(self.memory_equals_disk(), "memory equals disk");
        assert!(done || but_retries(&self.disk) == but_retries(before), "a refused command changes nothing");
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
        if self.authenticator.profile().name == "synced-passkey" {
            assert_eq!((created.format.as_str(), created.statement.len()), ("none", 0));
        } else {
            signature::verify_attestation(&created, parameters);
        }
        created
    }

    /// Gets an assertion and verifies it under a public key from registration.
    pub(crate) fn assertion(&mut self, parameters: &Parameters, public_key: &sk_cbor::Value) -> Assertion {
        let assertion = Assertion::read(&self.send(&parameters.message(codec::GET_ASSERTION)));
        signature::verify_assertion(&assertion, &parameters.hash(2), public_key);
        assertion
    }
}
