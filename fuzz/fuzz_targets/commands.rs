//! CTAP2 messages to an authenticator that is driven by its contract: raw bytes, and valid requests with some bytes altered,
//! which are authenticated by a token afterwards if the fuzzer likes.
//!
//! What must hold: no panic; an answer comes; memory equals disk after every command; a refusal is a status alone; what was
//! decoded is encoded to what decodes to the same.

#![no_main]

use core::time::Duration;
use std::sync::LazyLock;

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::driver::{self, Driver, Fate, Turn};
use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::profile::Quirk;
use keyrig_authenticator::{Channel, Profile, Step};
use keyrig_ctap::bio_enrollment::Sample;
use keyrig_ctap::client_pin::{self, Permissions};
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::hid::{ChannelId, Peer};
use keyrig_ctap::{
    Request, bio_enrollment, config, credential_management, get_assertion, large_blobs, make_credential,
};
use keyrig_test_platform::{Platform, Token, get_key_agreement};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

/// Every kind of key that knows CTAP2, what it vouches with, and keyrig's own with every known bug.
static KEYS: LazyLock<Vec<(Profile, Attestation)>> = LazyLock::new(|| {
    let root = Root::new([0x52; 32]).unwrap();
    let mut profiles: Vec<_> =
        Profile::built_in_names().filter_map(Profile::built_in).filter(Profile::has_ctap2).collect();
    for quirk in Quirk::all() {
        let mut profile = Profile::built_in("keyrig").unwrap();
        // Some are for other keys.
        if profile.add(quirk).is_ok() {
            profiles.push(profile);
        }
    }
    let issue = |profile: Profile| (profile.clone(), root.issue(&profile, 1).unwrap());
    profiles.into_iter().map(issue).collect()
});

struct World<'a> {
    choices: &'a [u8],
    key: Driver,
    /// Ids of credentials that were made, newest last.
    ids: Vec<Vec<u8>>,
    platform: Option<Platform>,
    /// The last token that the key gave.
    token: Option<Token>,
    /// The template that is being enrolled, or was last.
    template: Vec<u8>,
}

const PIN: &str = "1234";

/// Puts a right `pinUvAuthParam` into a request, whatever else is in it.
fn authorize(token: &Token, request: &mut Request) {
    match request {
        Request::MakeCredential(request) => request.pin_uv_auth = token.authorize(&request.client_data_hash),
        Request::GetAssertion(request) => request.pin_uv_auth = token.authorize(&request.client_data_hash),
        Request::CredentialManagement(request) | Request::CredentialManagementPreview(request) => {
            request.pin_uv_auth = token.authorize(&request.authenticated_message());
        }
        Request::LargeBlobs(request) => {
            if let (Some(set), Some(Ok(offset))) = (&request.set, request.offset.map(u32::try_from)) {
                let hash = Sha256::digest(set).into();
                request.pin_uv_auth = token.authorize(&large_blobs::authenticated_message(offset, &hash));
            }
        }
        Request::BioEnrollment(request) | Request::BioEnrollmentPreview(request) => {
            request.pin_uv_auth = token.authorize(&request.authenticated_message());
        }
        Request::Config(request) => request.pin_uv_auth = token.authorize(&request.authenticated_message()),
        _ => {}
    }
}

impl<'a> World<'a> {
    fn new(choices: &'a [u8]) -> Self {
        // Half of all sessions are with keyrig's own key.
        let (first, choices) = choices.split_first().unwrap_or((&0, choices));
        let kind = if first % 2 == 0 { 0 } else { usize::from(first / 2) % KEYS.len() };
        let (profile, attestation) = KEYS[kind].clone();
        let key = Driver::new(profile, attestation, Box::new(Seeded::new([1; 32])));
        Self { choices, key, ids: Vec::new(), platform: None, token: None, template: Vec::new() }
    }

    /// A key agreement, without choices.
    ///
    /// Nothing if the key refuses it, as one with a blocked PIN may.
    fn agree(&mut self) -> Option<Platform> {
        let request = Request::ClientPin(get_key_agreement()).encode();
        let answer = self.key.send(&request).expect("an answer");
        if answer.first() != Some(&0) {
            return None;
        }
        Some(self.platform.insert(Platform::agree(&answer)).clone())
    }

    /// What was agreed on; if nothing yet it is now.
    fn platform(&mut self) -> Option<Platform> {
        match &self.platform {
            Some(platform) => Some(platform.clone()),
            None => self.agree(),
        }
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
        let message = match self.byte()? % 32 {
            0 => self.bytes()?,
            1 => {
                let seconds = self.byte()?;
                self.key.wait(Duration::from_secs(seconds.into()));
                return Some(());
            }
            2 => {
                self.key.power_up();
                return Some(());
            }
            3 => {
                self.agree();
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
                match Request::decode(&message) {
                    Ok(mut request) if self.byte()? % 4 != 0 => {
                        if let Some(token) = &self.token {
                            authorize(token, &mut request);
                        }
                        request.encode()
                    }
                    _ => message,
                }
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
            4..=8 => Request::MakeCredential(make_credential::Request {
                client_data_hash: [choice; 32],
                relying_party: RelyingParty { id: site.to_owned(), name: flag(2).then(|| "Example".to_owned()) },
                user: User { id: vec![template], name: Some("user".to_owned()), display_name: None },
                parameters: vec![CredentialParameters::public_key([-7, -8, -35, -257][usize::from(choice >> 6)])],
                exclude_list: list,
                extensions: None,
                options: Options { rk: flag(3).then(|| flag(4)), up: None, uv: flag(5).then_some(flag(6)) },
                pin_uv_auth: PinUvAuth::default(),
                enterprise_attestation: None,
                attestation_formats_preference: flag(5).then(|| vec!["packed".to_owned(), "none".to_owned()]),
            }),
            9..=12 => Request::GetAssertion(get_assertion::Request {
                relying_party_id: site.to_owned(),
                client_data_hash: [choice; 32],
                allow_list: list,
                extensions: None,
                options: Options { rk: None, up: flag(2).then(|| flag(3)), uv: flag(4).then_some(flag(5)) },
                pin_uv_auth: PinUvAuth::default(),
            }),
            13 => Request::GetNextAssertion,
            14 => Request::GetInfo,
            15 => Request::Selection,
            16 => Request::Reset,
            // Most sessions have no PIN in them, and are quicker without a key agreement.
            17 | 18 => Request::ClientPin(self.platform()?.set_pin(PIN)),
            19..=21 => {
                let permissions = Permissions((choice | 0x37).into());
                Request::ClientPin(self.platform()?.get_token(PIN, permissions, Some("example.com")))
            }
            22..=24 => {
                let parameters = credential_management::Parameters {
                    rp_id_hash: flag(2).then(|| Sha256::digest(site).into()),
                    credential_id: list.first().cloned(),
                    user: flag(3).then(|| User { id: vec![4], name: Some("renamed".to_owned()), display_name: None }),
                };
                let subcommand = credential_management::Subcommand::from(u64::from(choice >> 4));
                let request = credential_management::Request::new(subcommand, parameters);
                if flag(0) {
                    Request::CredentialManagementPreview(request)
                } else {
                    Request::CredentialManagement(request)
                }
            }
            25 | 26 => {
                let fragment = self.bytes()?;
                Request::LargeBlobs(large_blobs::Request {
                    get: flag(0).then_some(u64::from(choice) * 8),
                    length: flag(1).then_some(u64::try_from(fragment.len()).unwrap()),
                    set: flag(2).then_some(fragment),
                    offset: Some(if flag(3) { 0 } else { choice.into() }),
                    pin_uv_auth: PinUvAuth::default(),
                })
            }
            27 | 28 => {
                let parameters = config::Parameters {
                    new_min_pin_length: flag(2).then_some(u64::from(choice & 7)),
                    min_pin_length_rp_ids: flag(3).then(|| vec![site.to_owned()]),
                    force_change_pin: flag(4).then_some(flag(5)),
                    ..config::Parameters::default()
                };
                Request::Config(config::Request::new(config::Subcommand::from(u64::from(choice >> 5)), parameters))
            }
            29 => {
                let permissions = Permissions((choice | 0x03).into());
                Request::ClientPin(self.platform()?.get_token_by_uv(permissions, Some("example.com")))
            }
            30 | 31 => {
                let parameters = bio_enrollment::Parameters {
                    template_id: flag(3).then(|| self.template.clone()),
                    template_friendly_name: flag(4).then(|| "finger".to_owned()),
                    timeout_milliseconds: flag(5).then_some(u64::from(choice) * 100),
                };
                let request = bio_enrollment::Request::new(u64::from(choice & 7).into(), parameters);
                if flag(6) { Request::BioEnrollmentPreview(request) } else { Request::BioEnrollment(request) }
            }
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
        // One of two channels of one of two hosts.
        self.key.channel = Channel { peer: Peer((user >> 7).into()), id: ChannelId(1 + u32::from(user >> 6 & 1)) };
        self.key.reaction = Duration::from_millis(u64::from(user) * 10);
        self.key.user = match user % 8 {
            0 => driver::User::Denies,
            1 => driver::User::Cancels,
            2 => driver::User::StaysAway,
            4 => driver::User::IsAnother,
            5 => driver::User::IsSampled(Sample::from(u64::from(user / 8))),
            _ => driver::User::Touches,
        };
        self.key.fate = if user == 255 { Fate::FailsAt(0) } else { Fate::Durable };
        let mut step = self.key.start(message);
        let answer = loop {
            match step {
                // Abandoned, as when CTAPHID_INIT comes.
                Step::Gesture(_) if user % 8 == 3 => return Some(()),
                Step::Commit(_) => assert!(self.key.memory_equals_disk(), "memory waits for the disk"),
                _ => {}
            }
            step = match self.key.turn(step) {
                Turn::Next(step) => step,
                Turn::Answer(answer) => break answer,
                Turn::Killed => unreachable!("nobody is killed"),
                // A key that hangs.
                Turn::Silence => return Some(()),
            };
        };
        assert!(self.key.memory_equals_disk(), "memory equals disk");
        let (status, body) = answer.split_first().expect("every answer has a status");
        assert!(*status == 0 || body.is_empty(), "a refusal is a status alone");
        if let (Some(0x06), Ok(client_pin::Response { pin_uv_auth_token: Some(_), .. }), Some(platform)) =
            (message.first(), client_pin::Response::decode(body), &self.platform)
        {
            self.token = Some(platform.token(&answer));
        }
        if let (Some(0x09 | 0x40), Ok(bio_enrollment::Response { template_id: Some(id), .. })) =
            (message.first(), bio_enrollment::Response::decode(body))
        {
            self.template = id;
        }
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
