//! CTAP1/U2F messages to an authenticator that is driven by its contract: raw bytes, and valid requests in both encodings with
//! some bytes altered.
//!
//! What must hold: no panic; an answer with a status word comes; no gesture is asked for; memory equals disk; what was decoded is
//! encoded to what decodes to the same; a registration's key handle logs in once the key is touched.

#![no_main]

use core::time::Duration;
use std::sync::LazyLock;

use keyrig_authenticator::Profile;
use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::driver::{Driver, Event};
use keyrig_authenticator::environment::Seeded;
use keyrig_ctap::u2f::{Apdu, Authentication, Control, Encoding, Registration, Request, parse_response};
use libfuzzer_sys::fuzz_target;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::built_in("keyrig").unwrap());
static ATTESTATION: LazyLock<Attestation> =
    LazyLock::new(|| Root::new([0x52; 32]).unwrap().issue(&PROFILE, 1).unwrap());

struct World<'a> {
    choices: &'a [u8],
    key: Driver,
    handles: Vec<(u8, Vec<u8>)>,
}

impl<'a> World<'a> {
    fn new(choices: &'a [u8]) -> Self {
        let key = Driver::new(PROFILE.clone(), ATTESTATION.clone(), Box::new(Seeded::new([1; 32])));
        Self { choices, key, handles: Vec::new() }
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
        let choice = self.byte()?;
        let encoding = if choice & 0x80 == 0 { Encoding::Short } else { Encoding::Extended };
        let application = choice >> 5 & 1;
        let request = match choice % 16 {
            0 => {
                let message = self.bytes()?;
                self.send(&message);
                return Some(());
            }
            1..=3 => {
                self.key.touch_u2f();
                return Some(());
            }
            4 => {
                self.key.authenticator.deny_u2f();
                return Some(());
            }
            5 => {
                let seconds = self.byte()?;
                self.key.wait(Duration::from_millis(u64::from(seconds) * 100));
                return Some(());
            }
            6 => {
                self.key.power_up();
                return Some(());
            }
            7..=9 => Request::Register { challenge: [choice; 32], application: [application; 32] },
            10..=14 => {
                let control =
                    [Control::EnforceUserPresenceAndSign, Control::CheckOnly, Control::DontEnforceUserPresenceAndSign];
                let known = self.handles.last().map(|(_, handle)| handle.clone());
                let key_handle = if choice & 0x40 == 0 { known.unwrap_or_default() } else { self.bytes()? };
                let control = control[usize::from(self.byte()? % 3)];
                Request::Authenticate { control, challenge: [choice; 32], application: [application; 32], key_handle }
            }
            _ => Request::Version,
        };
        let mut message = request.encode(encoding);
        for _ in 0..self.byte()? % 3 {
            let at = usize::from(self.byte()?) % message.len();
            message[at] ^= self.byte()?;
        }
        match self.byte()? {
            cut @ 0..8 => message.truncate(message.len().saturating_sub(usize::from(cut))),
            8 => message.extend(self.bytes()?),
            _ => {}
        }
        self.send(&message);
        Some(())
    }

    fn send(&mut self, message: &[u8]) {
        if let Ok(apdu) = Apdu::decode(message) {
            let again = Apdu::decode(&apdu.encode(Encoding::Extended)).expect("what is encoded can be decoded");
            assert_eq!((again.instruction, again.data), (apdu.instruction, apdu.data), "and is the same");
        }
        let request = Request::decode(message);
        let answer = self.key.send_u2f(message).expect("an answer");
        assert!(!self.key.seen.iter().any(|event| matches!(event, Event::Gesture(_))), "U2F asks for no gesture");
        assert!(self.key.memory_equals_disk(), "memory equals disk");
        assert!(answer.len() >= 2, "an answer has a status word");
        let (Ok(request), Ok(data)) = (request, parse_response(&answer)) else { return };
        match request {
            Request::Register { application, .. } => {
                let registration = Registration::decode(data).expect("a registration");
                self.handles.push((application[0], registration.key_handle));
            }
            Request::Authenticate { key_handle, application, .. } => {
                Authentication::decode(data).expect("an authentication");
                let known = self.handles.iter().any(|(site, handle)| application[0] == *site && *handle == key_handle);
                assert!(known, "nobody registered this key handle for this application");
            }
            _ => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut world = World::new(data);
    while world.step().is_some() {}
});
