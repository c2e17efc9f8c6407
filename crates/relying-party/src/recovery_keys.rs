//! Recovery keys: ten that are shown once, each good for one login when every other factor is out of reach.
//!
//! As in Proxmox VE, a key is eight random bytes, written `xxxx-xxxx-xxxx-xxxx`, and what is stored of it is an
//! HMAC-SHA-256 under a random secret of the set. A key is as random as a key for a cipher would be, so a slow hash for
//! passwords would add nothing.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random::{self, Randomness};

/// How many keys a set has.
pub const RECOVERY_KEYS: usize = 10;

/// With as many left, or fewer, the user is told to make a new set.
pub const FEW_RECOVERY_KEYS: usize = 3;

/// The length of the secret under which a set is hashed, in bytes.
pub const RECOVERY_SECRET_BYTES: usize = 32;

/// The hash of a key, as it is stored.
pub type RecoveryHash = [u8; 32];

const KEY_BYTES: usize = 8;

/// Somebody who writes a key by hand may set spaces and dashes anywhere, within reason.
const MAX_WRITTEN_BYTES: usize = 64;

/// A recovery key. Its `Display` is the key, its `Debug` is not.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey([u8; KEY_BYTES]);

/// A set that was made: the keys, to be shown once, and what is stored of them.
pub struct RecoveryKeySet {
    /// The keys, in the order of their hashes.
    pub keys: [RecoveryKey; RECOVERY_KEYS],
    /// The secret under which they are hashed.
    pub secret: [u8; RECOVERY_SECRET_BYTES],
    /// Their hashes.
    pub hashes: [RecoveryHash; RECOVERY_KEYS],
}

/// The text is not of the form of a recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a recovery key is 16 digits from 0 to 9 and a to f, written xxxx-xxxx-xxxx-xxxx")]
pub struct NotARecoveryKey;

impl RecoveryKeySet {
    /// Ten new keys under a new secret.
    pub fn generate(random: &dyn Randomness) -> Self {
        let secret = random::bytes(random);
        let keys = std::array::from_fn(|_| RecoveryKey(random::bytes(random)));
        let hashes = keys.each_ref().map(|key| key.hash(&secret));
        Self { keys, secret, hashes }
    }
}

impl RecoveryKey {
    /// What is stored of it: HMAC-SHA-256 of its written form.
    #[must_use]
    pub fn hash(&self, secret: &[u8]) -> RecoveryHash {
        let mut text = self.to_string();
        let hash = hmac_sha256(secret, text.as_bytes());
        text.zeroize();
        hash
    }

    /// Which of the stored hashes is this key's. All of them are compared, whichever it is.
    pub fn find<'a>(&self, secret: &[u8], hashes: impl IntoIterator<Item = &'a RecoveryHash>) -> Option<usize> {
        let hash = self.hash(secret);
        let compare = |found: Option<usize>, (index, stored): (usize, &RecoveryHash)| {
            if bool::from(hash.ct_eq(stored)) { Some(index) } else { found }
        };
        hashes.into_iter().enumerate().fold(None, compare)
    }
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.as_chunks::<2>().0.iter().enumerate() {
            let dash = if index == 0 { "" } else { "-" };
            write!(formatter, "{dash}{:04x}", u16::from_be_bytes(*pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryKey(..)")
    }
}

/// Reads a key as people write it from paper: in either case, with spaces or dashes anywhere or nowhere. Proxmox VE
/// takes the exact text only.
impl FromStr for RecoveryKey {
    type Err = NotARecoveryKey;

    fn from_str(text: &str) -> Result<Self, NotARecoveryKey> {
        if text.len() > MAX_WRITTEN_BYTES {
            return Err(NotARecoveryKey);
        }
        let mut value = 0_u64;
        let mut digits = 0;
        for character in text.chars().filter(|character| !matches!(character, ' ' | '-')) {
            let digit = character.to_digit(16).ok_or(NotARecoveryKey)?;
            value = value << 4 | u64::from(digit);
            digits += 1;
        }
        if digits == 2 * KEY_BYTES { Ok(Self(value.to_be_bytes())) } else { Err(NotARecoveryKey) }
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> RecoveryHash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
