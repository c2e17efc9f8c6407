//! The form of a record: JSON, which `crates/keyrig/schemas/key-record.json` describes.

use std::io::Read;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest record that is read, bytes.
pub const MAX_RECORD_BYTES: u64 = 1 << 20;

/// What is recorded beside the rest: what tells one key from another of its model, or who made it, and what takes long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Including {
    /// Serial numbers, and encrypted identifiers.
    pub serial: bool,
    /// Certificates of attestation.
    pub certificates: bool,
    /// How long a touch is waited for, which takes as long: half a minute with most keys.
    pub touch_timeout: bool,
}

/// What a key said and did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The version of this form: 1.
    pub format: u32,
    /// Who wrote it down, as `keyrig 0.1.0`.
    pub recorded_by: String,
    /// How it looks on USB.
    pub usb: Usb,
    /// What it says below CTAP.
    pub ctaphid: CtapHid,
    /// What follows the status of getInfo's answer, in hexadecimal; none of a key of U2F alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_info: Option<String>,
    /// The pages of a YubiKey's device information, each as its entries of tag, length and value in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_info: Vec<String>,
    /// What was asked, in this order.
    pub questions: Vec<Answer>,
    /// What was left out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// How a key looks on USB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usb {
    /// `idVendor`, four hexadecimal digits.
    pub vendor_id: String,
    /// `idProduct`, likewise.
    pub product_id: String,
    /// `bcdDevice`, likewise.
    pub release: String,
    /// The manufacturer string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The product string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The serial number string, if it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// What a key says below CTAP (CTAP 2.3 §11.2.9.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CtapHid {
    /// The version of CTAPHID.
    pub protocol_version: u8,
    /// Its own version: major, minor, build.
    pub device_version: [u8; 3],
    /// The capability flags.
    pub capabilities: u8,
    /// What CTAPHID_WINK got: `answered`, or the error.
    pub wink: String,
    /// The channels that it gave one after the other, eight hexadecimal digits each.
    pub channel_ids: Vec<String>,
    /// How these come about, by what they look like.
    pub channels: Channels,
}

/// How the ids of channels come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Each is one more than the one before.
    Counted,
    /// The two halves are small numbers that rise.
    TwoCounters,
    /// By nothing that shows.
    Random,
}

impl Channels {
    pub(super) fn of(ids: &[u32]) -> Self {
        let pairs = || ids.iter().zip(ids.iter().skip(1));
        if pairs().all(|(one, next)| one.checked_add(1) == Some(*next)) {
            return Self::Counted;
        }
        let halves = |id: u32| (id >> 16, id & 0xFFFF);
        let is_small = |id: &u32| halves(*id).0 < 256 && halves(*id).1 < 256;
        let rises = |(one, next): (&u32, &u32)| {
            let ((a, b), (c, d)) = (halves(*one), halves(*next));
            c >= a && d >= b && (c, d) != (a, b)
        };
        if ids.iter().all(is_small) && pairs().all(rises) { Self::TwoCounters } else { Self::Random }
    }
}

/// A question. Which fields of a profile it settles is with [`import`](crate::hardware::import).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A login at a site that no key knows, without user presence.
    NoCredentialSilently,
    /// The same with the option `rk`.
    OptionRk,
    /// getNextAssertion without a login before.
    NextAssertionOfNone,
    /// A command that CTAP does not have.
    UnknownCommand,
    /// How many tries the PIN has.
    PinRetries,
    /// A login at a site that no key knows: whoever is asked for a touch gives it.
    NoCredential,
    /// The same with the id of a credential that is none.
    NoCredentialOfList,
    /// A credential that is stored nowhere.
    Credential,
    /// The same with that credential excluded.
    Excluded,
    /// A registration over U2F, which stores nothing either.
    U2fRegistration,
    /// A credential, and nobody touches the key.
    TouchTimeout,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which.
    pub question: Question,
    /// The message that was sent: a command byte and parameters, or an APDU, in hexadecimal.
    pub asked: String,
    /// Milliseconds until the key asked for a touch, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for_touch_ms: Option<f64>,
    /// The status by its name.
    pub status: String,
    /// The status as a number: a byte of CTAP2, or two of U2F.
    pub status_code: u16,
    /// Milliseconds until the answer.
    pub ms: f64,
    /// What followed the status, in hexadecimal: only where it is of use, and without what is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// The length of the credential's id, or of the key handle, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_length: Option<usize>,
}

/// A record cannot be read.
#[derive(Debug, Error)]
pub enum CannotReadRecord {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// It is longer than [`MAX_RECORD_BYTES`].
    #[error("it is longer than {MAX_RECORD_BYTES} bytes: no record of a key is")]
    TooLong,
    /// It is none.
    #[error("it is no record of a key: {0}")]
    Invalid(#[from] serde_json::Error),
    /// It is of a later version.
    #[error("it is of format {0}, and this keyrig reads format 1")]
    Format(u32),
}

/// Reads a record.
///
/// # Errors
/// [`CannotReadRecord`].
pub fn read(file: &Path) -> Result<KeyRecord, CannotReadRecord> {
    let mut text = String::new();
    let read = fs::File::open(file)?.take(MAX_RECORD_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_RECORD_BYTES) {
        return Err(CannotReadRecord::TooLong);
    }
    let record: KeyRecord = serde_json::from_str(&text)?;
    if record.format == 1 { Ok(record) } else { Err(CannotReadRecord::Format(record.format)) }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hexadecimal; none of what is not.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [Some(high), Some(low)] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keys do, in the words of their profiles: recorded of Solo, of YubiKeys, of a Security Key 5.1.
    #[test]
    fn how_channels_come_about_is_seen_from_their_ids() {
        assert_eq!(Channels::of(&[1, 2, 3, 4]), Channels::Counted);
        assert_eq!(Channels::of(&[0x0003_0001, 0x0003_0002, 0x0004_0003]), Channels::TwoCounters);
        assert_eq!(Channels::of(&[0x1a2b_3c4d, 0x9f00_1234, 0x5566_7788]), Channels::Random);
    }
}
