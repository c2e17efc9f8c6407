//! The CTAPHID vendor commands of YubiKeys, by which their maker's tools read what a key is, and would configure it.

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::DeviceInfo;
use keyrig_ctap::hid::{Device, ErrorCode, RequestId};
use sha2::{Digest, Sha256};

use crate::key_name::KeyName;

/// Chooses the USB interfaces, as firmware 4 did it.
const SET_MODE: u8 = 0x40;
const READ_CONFIG: u8 = 0x42;
const WRITE_CONFIG: u8 = 0x43;

/// Real serial numbers have at most eight digits; these have nine.
const FIRST_SERIAL_NUMBER: u32 = 900_000_000;
const SERIAL_NUMBERS: u32 = 100_000_000;

/// What a key answers to vendor commands.
#[derive(Debug)]
pub(super) struct Vendor {
    device_info: Option<DeviceInfo>,
    serial_number: u32,
}

impl Vendor {
    pub(super) fn of(profile: &Profile, name: &KeyName) -> Self {
        Self { device_info: profile.device_info.clone(), serial_number: serial_number(name) }
    }

    /// The commands that the key has.
    pub(super) fn commands(&self) -> &'static [u8] {
        if self.device_info.is_some() { &[SET_MODE, READ_CONFIG, WRITE_CONFIG] } else { &[] }
    }

    /// Answers one of these, or refuses it.
    pub(super) fn carry_out(&self, hid: &mut Device, id: RequestId, command: u8, payload: &[u8]) {
        let answered = match self.answer(command, payload) {
            Ok(answer) => hid.respond(id, answer),
            Err(code) => hid.refuse(id, code),
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "an answer that nobody waits for");
        }
    }

    /// The answer to one of these, or why it is refused: what writes is, as by a key that is locked. READ_CONFIG takes the number of a
    /// page, or none for the first.
    fn answer(&self, command: u8, payload: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let device_info = self.device_info.as_ref().ok_or(ErrorCode::InvalidCmd)?;
        let page = match (command, payload) {
            (READ_CONFIG, []) => 0,
            (READ_CONFIG, [page]) => *page,
            (READ_CONFIG, _) => return Err(ErrorCode::InvalidLen),
            (SET_MODE | WRITE_CONFIG, _) => return Err(ErrorCode::InvalidPar),
            _ => return Err(ErrorCode::InvalidCmd),
        };
        device_info.page(page, self.serial_number).ok_or(ErrorCode::InvalidPar)
    }
}

/// A key's serial number follows from its name: it outlives resets, and is the same in every rack.
pub(crate) fn serial_number(name: &KeyName) -> u32 {
    let digest = Sha256::digest(name.as_str());
    let number = digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    FIRST_SERIAL_NUMBER + number % SERIAL_NUMBERS
}
