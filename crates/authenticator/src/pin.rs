//! PINs: what is kept of one, and what makes a new one acceptable (CTAP 2.3 §6.5.1, §6.5.5.5).

use keyrig_ctap::Status;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

/// How many wrong PINs there may be before the PIN is blocked (CTAP 2.3 §6.5.2.2: at most 8).
pub(crate) const MAX_PIN_RETRIES: u8 = 8;

/// The shortest PIN that the specification allows, code points (§6.5.1).
pub(crate) const SHORTEST_PIN: u8 = 4;

/// The longest PIN, bytes in UTF-8 (§6.5.1).
pub(crate) const LONGEST_PIN: u8 = 63;

/// How many bytes a new PIN is padded to.
const PADDED_PIN: usize = 64;

/// What is kept of a PIN: `CurrentStoredPIN` and `PINCodePointLength`. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Pin {
    /// The first 16 bytes of its SHA-256.
    pub(crate) hash: [u8; 16],
    /// How many code points it has.
    pub(crate) code_points: u8,
}

impl core::fmt::Debug for Pin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pin")
    }
}

/// What a new PIN has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PinPolicy {
    /// `minPINLength`, code points.
    pub(crate) min_length: u8,
    /// The most bytes.
    pub(crate) max_bytes: u8,
    /// `pinComplexityPolicy`: whether what is easily guessed is refused.
    pub(crate) complexity: bool,
}

impl Pin {
    /// What is to be kept of a new PIN, which comes padded with zeros to 64 bytes (§6.5.5.5).
    ///
    /// # Errors
    /// [`Status::InvalidParameter`] if there are not 64 bytes; [`Status::PinPolicyViolation`] if the PIN is too short, too
    /// long, no text, or against the policy.
    pub(crate) fn from_padded(padded: &[u8], policy: PinPolicy) -> Result<Self, Status> {
        if padded.len() != PADDED_PIN {
            return Err(Status::InvalidParameter);
        }
        let length = padded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let pin = padded.get(..length).unwrap_or_default();
        // A text: otherwise it would have no code points to count.
        Self::new(str::from_utf8(pin).map_err(|_| Status::PinPolicyViolation)?, policy)
    }

    /// What is to be kept of a new PIN.
    ///
    /// # Errors
    /// [`Status::PinPolicyViolation`] if the PIN is too short, too long, ends in a zero character, which no platform can send
    /// (§6.5.1), or is against the policy.
    pub(crate) fn new(text: &str, policy: PinPolicy) -> Result<Self, Status> {
        let code_points = u8::try_from(text.chars().count()).map_err(|_| Status::PinPolicyViolation)?;
        if text.len() > policy.max_bytes.into()
            || code_points < policy.min_length
            || text.ends_with('\0')
            || policy.complexity && is_simple(text)
        {
            return Err(Status::PinPolicyViolation);
        }
        Ok(Self { hash: Self::hash(text), code_points })
    }

    /// The first 16 bytes of the SHA-256 of a PIN.
    pub(crate) fn hash(pin: &str) -> [u8; 16] {
        let whole: [u8; 32] = Sha256::digest(pin).into();
        *whole.first_chunk().unwrap_or(&[0; 16])
    }

    /// Whether this is the start of its hash.
    pub(crate) fn matches(&self, hash: &[u8]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

/// The complexity policy, which the specification leaves to the authenticator (§7.4): neither one character again and again, nor
/// neighbours in order.
fn is_simple(pin: &str) -> bool {
    let steps = || {
        pin.chars()
            .zip(pin.chars().skip(1))
            .map(|(left, right)| i64::from(u32::from(right)) - i64::from(u32::from(left)))
    };
    [-1, 0, 1].into_iter().any(|step| steps().all(|found| found == step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAX: PinPolicy = PinPolicy { min_length: 4, max_bytes: LONGEST_PIN, complexity: false };

    fn padded(pin: &[u8]) -> Vec<u8> {
        let mut padded = pin.to_vec();
        padded.resize(PADDED_PIN, 0);
        padded
    }

    #[test]
    fn of_a_pin_its_hash_and_its_length_in_code_points_are_kept() {
        let pin = Pin::from_padded(&padded(b"1234"), LAX).unwrap();
        assert_eq!(hex::encode(pin.hash), "03ac674216f3e15c761ee1a5e255f067");
        assert_eq!(pin.code_points, 4);
        // Four code points of four bytes each.
        assert_eq!(Pin::from_padded(&padded("🔑🔒🔓🗝".as_bytes()), LAX).unwrap().code_points, 4);
        assert!(pin.matches(&pin.hash) && !pin.matches(&[0; 16]) && !pin.matches(&pin.hash[..15]));
        assert_eq!(format!("{pin:?}"), "Pin");
    }

    #[test]
    fn length_counts_code_points_at_least_and_bytes_at_most() {
        for (pin, expected) in [
            ("", Err(Status::PinPolicyViolation)),
            ("123", Err(Status::PinPolicyViolation)),
            ("1234", Ok(4)),
            // Seven bytes, but three code points.
            ("éé€", Err(Status::PinPolicyViolation)),
        ] {
            assert_eq!(Pin::from_padded(&padded(pin.as_bytes()), LAX).map(|pin| pin.code_points), expected, "{pin}");
        }
        assert_eq!(Pin::from_padded(&padded(&[b'1'; 63]), LAX).unwrap().code_points, 63);
        assert_eq!(Pin::from_padded(&padded(&[b'1'; 64]), LAX), Err(Status::PinPolicyViolation));
        let policy = PinPolicy { min_length: 6, ..LAX };
        assert_eq!(Pin::from_padded(&padded(b"12345"), policy), Err(Status::PinPolicyViolation));
        assert!(Pin::from_padded(&padded(b"123456"), policy).is_ok());
    }

    #[test]
    fn what_is_not_64_bytes_is_an_invalid_parameter_and_what_is_no_text_against_the_policy() {
        for length in [0, 16, 48, 80] {
            assert_eq!(Pin::from_padded(&vec![b'1'; length], LAX), Err(Status::InvalidParameter), "{length}");
        }
        assert_eq!(Pin::from_padded(&padded(&[0xFF; 8]), LAX), Err(Status::PinPolicyViolation));
    }

    #[test]
    fn the_complexity_policy_refuses_what_is_guessed_first() {
        let policy = PinPolicy { complexity: true, ..LAX };
        for simple in ["0000", "1111111", "1234", "98765", "abcdef", "éééé"] {
            assert!(Pin::from_padded(&padded(simple.as_bytes()), LAX).is_ok());
            let refused = Pin::from_padded(&padded(simple.as_bytes()), policy);
            assert_eq!(refused, Err(Status::PinPolicyViolation), "{simple}");
        }
        for fine in ["1235", "0001", "2468", "acbd"] {
            assert!(Pin::from_padded(&padded(fine.as_bytes()), policy).is_ok(), "{fine}");
        }
    }
}
