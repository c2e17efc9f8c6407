//! What an authenticator needs from outside: randomness and cryptography. Time is a parameter of every call instead.
//!
//! [`Seeded`] is the environment of tests and of replay: everything in it follows from a seed.

use keyrig_ctap::cose::{KeyAgreementKey, PublicKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::portable_crypto::Portable;
use crate::private_key::PrivateKey;

/// The bundle of what comes from outside.
pub trait Environment: Send {
    /// Fills `bytes` with randomness.
    fn random(&mut self, bytes: &mut [u8]);

    /// The library that computes with private keys.
    fn crypto(&self) -> &dyn Crypto;
}

/// Computing with private keys. Hashes and message authentication are not behind this: they are fast in every library.
pub trait Crypto: Send + Sync {
    /// What the library is called, for reports.
    fn name(&self) -> &'static str;

    /// The public key that belongs to a private key.
    ///
    /// # Errors
    /// [`CryptoFailed`] if the library refuses.
    fn public_key(&self, key: &PrivateKey) -> Result<PublicKey, CryptoFailed>;

    /// Signs a message given in parts, as WebAuthn wants signatures encoded (Level 3 §6.5.5): DER for ECDSA, 64 bytes for
    /// EdDSA.
    ///
    /// # Errors
    /// [`CryptoFailed`] if the library refuses.
    fn sign(&self, key: &PrivateKey, message: &[&[u8]]) -> Result<Vec<u8>, CryptoFailed>;

    /// What a key on P-256 and the key of the other side have in common: the x coordinate of the shared point, big-endian
    /// (SEC 1 §3.3.1).
    ///
    /// # Errors
    /// [`CryptoFailed`] if the other side's point is not on the curve, or the key is for another one.
    fn diffie_hellman(&self, key: &PrivateKey, peer: &KeyAgreementKey) -> Result<Zeroizing<[u8; 32]>, CryptoFailed>;
}

/// The cryptographic library refused: for want of randomness, say, or because a point is not on its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the cryptographic library refused to compute with a private key")]
pub struct CryptoFailed;

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
