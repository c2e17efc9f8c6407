//! CTAP2 messages to an authenticator that is driven by its contract: raw bytes, and valid requests with some bytes altered.
//!
//! What must hold: no panic; an answer comes; memory equals disk after every command; a refusal is a status alone; what was
//! decoded is encoded to what decodes to the same.

#![no_main]

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::store::{Change, Record, Store};
use keyrig_authenticator::{Authenticator, Profile, Step};
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::{Request, get_assertion, make_credential};
use libfuzzer_sys::fuzz_target;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::built_in("keyrig").unwrap());
static ATTESTATION: LazyLock<Attestation> = LazyLock::new(|| Root::new([0x52; 32]).unwrap().issue(&PROFILE).unwrap());

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

struct World<'a> {
    choices: &'a [u8],
    key: Authenticator,
    disk: Disk,
    now: Duration,
    /// Ids of credentials that were made, newest last.
    ids: Vec<Vec<u8>>,
}

fn persist(disk: &mut Disk, changes: &[Change]) {
    for change in changes {
        match change.record() {
            Record::Clear => disk.clear(),
            Record::Put { key, value } => drop(disk.insert(key, value)),
            Record::Remove { key } => drop(disk.remove(&key)),
        }
    }
}

impl<'a> World<'a> {
    fn new(choices: &'a [u8]) -> Self {
        let mut disk = Disk::new();
        let (_, changes) = Store::create(&mut Seeded::new([1; 32]));
        persist(&mut disk, &changes);
        let store = Store::load(disk.clone()).unwrap();
        let environment = Box::new(Seeded::new([2; 32]));
        let key = Authenticator::new(PROFILE.clone(), ATTESTATION.clone(), environment, store, Duration::ZERO);
        Self { choices, key, disk, now: Duration::ZERO, ids: Vec::new() }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.choices.split_first()?;
        self.choices = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.byte()?);
        let (taken, rest) = self.choices.split_at(length.min(self.choices.len()));
        self.choices = rest;
        Some(taken.to_vec())
    }

    fn step(&mut self) -> Option<()> {
        let message = match self.byte()? % 16 {
            0 => self.bytes()?,
            1 => {
                let seconds = self.byte()?;
                self.now += Duration::from_secs(seconds.into());
                return Some(());
            }
            2 => {
                self.key.power_up(self.now);
                return Some(());
            }
            template => {
                let mut message = self.template(template)?;
                // Some bytes altered, and the end cut off or added to.
                for _ in 0..self.byte()? % 4 {
                    let at = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?])) % message.len();
                    message[at] ^= self.byte()?;
                }
                match self.byte()? {
                    cut @ 0..8 => message.truncate(message.len().saturating_sub(usize::from(cut))),
                    8 => message.extend(self.bytes()?),
                    _ => {}
                }
                message
            }
        };
        self.send(&message)
    }

    /// A valid request. Which of its members are there, and some values, are the fuzzer's choice.
    fn template(&mut self, template: u8) -> Option<Vec<u8>> {
        let choice = self.byte()?;
        let flag = |bit: u8| (choice >> bit) & 1 == 1;
        let site = if flag(0) { "example.com" } else { "example.org" };
        let list: Vec<CredentialDescriptor> = match (flag(1), self.ids.last()) {
            (true, Some(id)) => vec![CredentialDescriptor::public_key(id.clone())],
            (true, None) => vec![CredentialDescriptor::public_key(vec![choice; 16])],
            (false, _) => Vec::new(),
        };
        let request = match template {
            3..=6 => Request::MakeCredential(make_credential::Request {
                client_data_hash: [choice; 32],
                relying_party: RelyingParty { id: site.to_owned(), name: flag(2).then(|| "Example".to_owned()) },
                user: User { id: vec![template], name: Some("user".to_owned()), display_name: None },
                parameters: vec![CredentialParameters::public_key([-7, -8, -35, -257][usize::from(choice >> 6)])],
                exclude_list: list,
                extensions: None,
                options: Options { rk: flag(3).then(|| flag(4)), up: None, uv: flag(5).then_some(false) },
                pin_uv_auth: PinUvAuth::default(),
                enterprise_attestation: None,
                attestation_formats_preference: flag(5).then(|| vec!["packed".to_owned(), "none".to_owned()]),
            }),
            7..=10 => Request::GetAssertion(get_assertion::Request {
                relying_party_id: site.to_owned(),
                client_data_hash: [choice; 32],
                allow_list: list,
                extensions: None,
                options: Options { rk: None, up: flag(2).then(|| flag(3)), uv: flag(4).then_some(false) },
                pin_uv_auth: PinUvAuth::default(),
            }),
            11 => Request::GetNextAssertion,
            12 => Request::GetInfo,
            13 => Request::Selection,
            14 => Request::Reset,
            _ => return self.bytes().filter(|bytes| !bytes.is_empty()),
        };
        Some(request.encode())
    }

    fn send(&mut self, message: &[u8]) -> Option<()> {
        if let Ok(request) = Request::decode(message) {
            let again = Request::decode(&request.encode()).expect("what is encoded can be decoded");
            assert_eq!(again, request, "and is the same");
        }
        let user = self.byte()?;
        let mut step = self.key.start(message, self.now);
        let answer = loop {
            step = match step {
                Step::Respond(answer) => break answer,
                Step::Gesture(gesture) => {
                    self.now += Duration::from_millis(u64::from(user) * 10);
                    let (key, now) = (&mut self.key, self.now);
                    match user % 8 {
                        0 => gesture.denied(key, now),
                        1 => gesture.cancelled(key, now),
                        2 => {
                            self.now = gesture.deadline();
                            gesture.timed_out(key, self.now)
                        }
                        // Abandoned, as when CTAPHID_INIT comes.
                        3 => return Some(()),
                        _ => gesture.touched(key, now),
                    }
                }
                Step::Commit(commit) => {
                    assert_eq!(&Store::load(self.disk.clone()).unwrap(), self.key.store(), "memory waits for the disk");
                    if user == 255 {
                        commit.failed(&mut self.key, self.now)
                    } else {
                        persist(&mut self.disk, commit.changes());
                        commit.committed(&mut self.key, self.now)
                    }
                }
            };
        };
        assert_eq!(&Store::load(self.disk.clone()).unwrap(), self.key.store(), "memory equals disk");
        let (status, body) = answer.split_first().expect("every answer has a status");
        assert!(*status == 0 || body.is_empty(), "a refusal is a status alone");
        if let (Some(0x01), Ok(made)) = (message.first(), make_credential::Response::decode(body)) {
            let data = &made.authenticator_data;
            let length = usize::from(u16::from_be_bytes([data[53], data[54]]));
            self.ids.push(data[55..55 + length].to_vec());
        }
        Some(())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut world = World::new(data);
    while world.step().is_some() {}
});
