//! Private keys, independent of the library that uses them.

use core::fmt;

use keyrig_ctap::cose::Algorithm;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The order of P-256's base point (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA,
    0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

/// The order of P-384's base point (SEC 2 §2.5.1).
const P384_ORDER: [u8; 48] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC7, 0x63, 0x4D, 0x81, 0xF4, 0x37, 0x2D, 0xDF, 0x58, 0x1A, 0x0D, 0xB2, 0x48, 0xB0,
    0xA7, 0x7A, 0xEC, 0xEC, 0x19, 0x6A, 0xCC, 0xC5, 0x29, 0x73,
];

/// A private key of one of the algorithms: a scalar, big-endian, or an Ed25519 seed. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct PrivateKey {
    #[zeroize(skip)]
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm.name())
    }
}

impl PrivateKey {
    /// How many bytes a key of the algorithm has: 32, or 48 for [`Algorithm::Es384`].
    #[must_use]
    pub fn length(algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => 32,
            Algorithm::Es384 => 48,
        }
    }

    /// Takes the bytes of a key. `None` unless they have the algorithm's length and, for the curves with a prime order,
    /// lie between 1 and that order.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let in_range = |order: &[u8]| bytes < order && bytes.iter().any(|byte| *byte != 0);
        let valid = bytes.len() == Self::length(algorithm)
            && match algorithm {
                Algorithm::Es256 => in_range(&P256_ORDER),
                Algorithm::Es384 => in_range(&P384_ORDER),
                Algorithm::EdDsa => true,
            };
        valid.then(|| Self { algorithm, bytes: bytes.to_vec() })
    }

    /// A key from candidates: `candidate` fills the bytes, and is asked again in the rare case that they are not a scalar
    /// (rejection sampling; NIST SP 800-186 §4.2.2).
    pub fn from_candidates(algorithm: Algorithm, mut candidate: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 48];
        loop {
            let bytes = bytes.get_mut(..Self::length(algorithm)).unwrap_or_default();
            candidate(bytes);
            let key = Self::from_bytes(algorithm, bytes);
            bytes.zeroize();
            if let Some(key) = key {
                return key;
            }
        }
    }

    /// The algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_lie_between_one_and_the_order() {
        for (algorithm, order) in [(Algorithm::Es256, &P256_ORDER[..]), (Algorithm::Es384, &P384_ORDER[..])] {
            assert_eq!(PrivateKey::from_bytes(algorithm, order), None);
            assert_eq!(PrivateKey::from_bytes(algorithm, &vec![0; order.len()]), None);
            assert_eq!(PrivateKey::from_bytes(algorithm, &order[1..]), None);
            let mut largest = order.to_vec();
            *largest.last_mut().unwrap() -= 1;
            assert!(PrivateKey::from_bytes(algorithm, &largest).is_some());
        }
    }

    #[test]
    fn a_candidate_out_of_range_is_asked_for_again() {
        let mut candidates = [[0xFF; 32], [0x00; 32], [0x01; 32]].into_iter();
        let key = PrivateKey::from_candidates(Algorithm::Es256, |bytes| {
            bytes.copy_from_slice(&candidates.next().unwrap());
        });
        assert_eq!(key.expose(), [0x01; 32]);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = PrivateKey::from_bytes(Algorithm::EdDsa, &[0xA5; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(EdDSA)");
    }
}
