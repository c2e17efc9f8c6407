//! The PIN: what may be one, and how it is asked for.

use core::fmt;

use keyrig_ctap::get_info;
use sha2::{Digest, Sha256};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Fewest Unicode code points in a PIN, where a key does not ask for more (CTAP 2.3 §6.5.1).
pub(crate) const MIN_CODE_POINTS: u64 = 4;

/// Most bytes in a PIN: it is padded to 64, with at least one zero (CTAP 2.3 §6.5.1).
const MAX_BYTES: usize = 63;

/// A PIN as a user types it, in Unicode's Normalization Form C, as it has to be before it is encoded
/// (CTAP 2.3 §6.5.1). It is wiped from memory when it is dropped, and shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes what a user typed.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        Self(Zeroizing::new(typed.nfc().collect()))
    }

    /// Whether a key could take it as a new PIN, by the length and the letters that it must have.
    ///
    /// # Errors
    /// [`PinMistake`]: what is wrong with it.
    pub fn check_new(&self, info: &get_info::Response) -> Result<(), PinMistake> {
        self.check(minimum(info))
    }

    /// Whether it may be the PIN that a key has. That one may be shorter than the next one must be.
    pub(crate) fn check_current(&self) -> Result<(), PinMistake> {
        self.check(MIN_CODE_POINTS)
    }

    fn check(&self, minimum: u64) -> Result<(), PinMistake> {
        let code_points = u64::try_from(self.0.chars().count()).unwrap_or(u64::MAX);
        if code_points < minimum {
            Err(PinMistake::TooShort { minimum })
        } else if self.0.len() > MAX_BYTES {
            Err(PinMistake::TooLong)
        } else if self.0.ends_with('\0') {
            Err(PinMistake::EndsInZero)
        } else {
            Ok(())
        }
    }

    /// Padded with zeros to 64 bytes, as a new PIN is sent. Cut there, should it be longer.
    pub(crate) fn padded(&self) -> Zeroizing<[u8; 64]> {
        let mut padded = Zeroizing::new([0; 64]);
        for (to, from) in padded.iter_mut().zip(self.0.bytes()) {
            *to = from;
        }
        padded
    }

    /// The first half of its SHA-256, by which a key knows it again.
    pub(crate) fn hash(&self) -> Zeroizing<[u8; 16]> {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut half = Zeroizing::new([0; 16]);
        for (to, from) in half.iter_mut().zip(digest) {
            *to = from;
        }
        half
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// The fewest code points that a new PIN of a key must have.
pub(crate) fn minimum(info: &get_info::Response) -> u64 {
    info.min_pin_length.unwrap_or(MIN_CODE_POINTS)
}

/// What was wrong with the last PIN that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PinMistake {
    /// It is not the key's.
    #[error("the PIN is wrong")]
    Wrong,
    /// It is too short.
    #[error("the PIN is too short: it must have at least {minimum} characters")]
    TooShort {
        /// Fewest Unicode code points.
        minimum: u64,
    },
    /// It is too long.
    #[error("the PIN is too long: it may have at most {MAX_BYTES} bytes in UTF-8")]
    TooLong,
    /// Its last character is zero, with which PINs are padded.
    #[error("the PIN ends in a zero character")]
    EndsInZero,
    /// The key demands another, and this is the one it has.
    #[error("the key has this PIN already: choose another")]
    SameAsCurrent,
    /// The key refuses it by a policy of its own.
    #[error("the key refuses the PIN by its policy: choose one that is longer, or harder to guess")]
    Policy,
}

/// Which PIN is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinReason {
    /// The key's, to verify the user.
    Verify,
    /// A first one, since the key has none and user verification is required.
    Set,
    /// A new one in place of the key's, which demands it before it does anything else (`forcePINChange`).
    Change,
}

/// What a user is told who is asked for a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRequest {
    /// The key's name.
    pub key: String,
    /// Which PIN.
    pub reason: PinReason,
    /// What was wrong with the one given before.
    pub mistake: Option<PinMistake>,
    /// How many wrong PINs are left until the key blocks its PIN. Known for [`PinReason::Verify`].
    pub retries: Option<u64>,
    /// Fewest Unicode code points that it must have.
    pub minimum_length: u64,
}

/// Asks a user for a PIN. `None`: the user gives none.
pub type AskForPin<'a> = dyn Fn(&PinRequest) -> Option<Pin> + Send + Sync + 'a;

/// Why there is nothing to be done with a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PinProblem {
    /// The key knows no PIN, or none by a protocol that is known here.
    #[error("it has no PIN, and can have none")]
    NotSupported,
    /// The key has no PIN yet.
    #[error("it has no PIN yet: set one first")]
    NotSet,
    /// The key has a PIN already.
    #[error("it has a PIN already: change it")]
    AlreadySet,
    /// The user gave no PIN.
    #[error("it needs a PIN, and none was given")]
    NotGiven,
    /// The PIN that was given cannot be the key's, or become it.
    #[error(transparent)]
    Mistake(#[from] PinMistake),
    /// Three wrong PINs in a row: the key takes none until it has been without power (CTAP 2.3 §6.5.5.7).
    #[error("it accepts no PIN after three wrong ones in a row: unplug it and plug it in again")]
    PowerCycleNeeded,
    /// No retries are left.
    #[error("its PIN is blocked after too many wrong ones: reset it, which deletes its credentials")]
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(min_pin_length: Option<u64>) -> get_info::Response {
        get_info::Response { min_pin_length, ..get_info::Response::default() }
    }

    /// CTAP 2.3 §6.5.1: at least four code points, at most 63 bytes, no zero at the end.
    #[test]
    fn a_new_pin_is_measured_in_code_points_and_in_bytes() {
        for (pin, minimum, expected) in [
            ("1234", None, Ok(())),
            ("123", None, Err(PinMistake::TooShort { minimum: 4 })),
            ("", None, Err(PinMistake::TooShort { minimum: 4 })),
            // Four code points, twelve bytes.
            ("€€€€", None, Ok(())),
            ("€€€", None, Err(PinMistake::TooShort { minimum: 4 })),
            ("12345", Some(6), Err(PinMistake::TooShort { minimum: 6 })),
            ("123456", Some(6), Ok(())),
            (&"1".repeat(63), None, Ok(())),
            (&"1".repeat(64), None, Err(PinMistake::TooLong)),
            // 21 code points of three bytes are 63, one more is too long.
            (&"€".repeat(21), None, Ok(())),
            (&"€".repeat(22), None, Err(PinMistake::TooLong)),
            ("1234\0", None, Err(PinMistake::EndsInZero)),
        ] {
            assert_eq!(Pin::new(pin).check_new(&info(minimum)), expected, "{pin:?}");
        }
        assert_eq!(Pin::new("1234").check_current(), Ok(()), "what a key has may be shorter than it must be now");
    }

    /// UAX #15: "e" with a combining acute accent composes to U+00E9.
    #[test]
    fn a_pin_is_composed_however_it_is_typed() {
        assert_eq!(Pin::new("e\u{301}tui"), Pin::new("\u{e9}tui"));
        assert_eq!(Pin::new("e\u{301}23").check_new(&info(None)), Err(PinMistake::TooShort { minimum: 4 }));
        assert_eq!(Pin::new("e\u{301}").padded()[..3], [0xc3, 0xa9, 0]);
    }

    /// SHA-256 of "1234" by `sha256sum`.
    #[test]
    fn the_hash_is_the_left_half_of_sha_256() {
        assert_eq!(hex::encode(*Pin::new("1234").hash()), "03ac674216f3e15c761ee1a5e255f067");
    }

    #[test]
    fn nothing_shows_a_pin() {
        assert_eq!(format!("{:?}", Pin::new("1234")), "Pin(…)");
    }
}
