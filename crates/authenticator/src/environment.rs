//! What an authenticator needs from outside: randomness and cryptography. Time is a parameter of every call instead.
//!
//! [`Seeded`] is the environment of tests and of replay: everything in it follows from a seed.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub use crate::crypto::{Crypto, CryptoFailed};
use crate::portable_crypto::Portable;

/// The bundle of what comes from outside.
pub trait Environment: Send {
    /// Fills `bytes` with randomness.
    fn random(&mut self, bytes: &mut [u8]);

    /// The library that computes with private keys.
    fn crypto(&self) -> &dyn Crypto;
}

/// An environment that follows entirely from a seed: the same seed, requests and times give the same bytes.
#[derive(Debug)]
pub struct Seeded {
    random: ChaCha20Rng,
    crypto: Portable,
}

impl Seeded {
    /// An environment from a seed of 32 bytes.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { random: ChaCha20Rng::from_seed(seed), crypto: Portable }
    }
}

impl Environment for Seeded {
    fn random(&mut self, bytes: &mut [u8]) {
        self.random.fill_bytes(bytes);
    }

    fn crypto(&self) -> &dyn Crypto {
        &self.crypto
    }
}
