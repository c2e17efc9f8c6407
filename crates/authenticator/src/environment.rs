//! What an authenticator needs from outside: randomness and cryptography. Time is a parameter of every call instead.
//!
//! [`Seeded`] is the environment of tests and of replay: everything in it follows from a seed.

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::u2f::{Authentication, Registration};
use keyrig_ctap::{get_assertion, make_credential};
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

    /// How far it has come in what follows from its seed: from where [`Seeded::at`] goes on. None if nothing follows from one.
    fn position(&self) -> Option<u64> {
        None
    }

    /// Is shown everything that the authenticator says of a credential before it leaves, signed or not, and may change it: for
    /// faults that a relying party is to find behind a valid signature. Changes nothing unless it is overridden.
    fn before_sealing(&mut self, unsealed: Unsealed<'_>) {
        let _ = unsealed;
    }

    /// Is shown the same once more when it is signed, with all that is said beside it, and may change that: for faults that concern
    /// signatures, certificates and what no signature covers. Changes nothing unless it is overridden.
    fn after_sealing(&mut self, sealed: Sealed<'_>) {
        let _ = sealed;
    }
}

/// What the authenticator is about to say of a credential.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unsealed<'a> {
    /// The authenticator data of a registration or a login over CTAP2, or of a login over CTAP1/U2F, of which user presence and
    /// counter are sent.
    AuthenticatorData(&'a mut AuthenticatorData),
    /// A registration over CTAP1/U2F.
    U2fRegistration(&'a mut U2fRegistration),
}

/// What the authenticator says of a credential, on its way out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Sealed<'a> {
    /// A registration over CTAP2.
    MakeCredential(&'a mut make_credential::Response),
    /// A login over CTAP2.
    GetAssertion(&'a mut get_assertion::Response),
    /// A registration over CTAP1/U2F.
    U2fRegistration(&'a mut Registration),
    /// A login over CTAP1/U2F.
    U2fAuthentication(&'a mut Authentication),
}

/// What is signed of a registration over CTAP1/U2F (FIDO U2F Raw Message Formats 1.2 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct U2fRegistration {
    /// The application parameter.
    pub application: [u8; 32],
    /// The challenge parameter.
    pub challenge: [u8; 32],
    /// The key handle.
    pub key_handle: Vec<u8>,
    /// The user public key, an uncompressed point.
    pub public_key: [u8; 65],
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

    /// The same, come as far as another of this seed had when it said this [`position`](Environment::position).
    #[must_use]
    pub fn at(seed: [u8; 32], position: u64) -> Self {
        let mut seeded = Self::new(seed);
        seeded.random.set_word_pos(position.into());
        seeded
    }
}

impl Environment for Seeded {
    fn random(&mut self, bytes: &mut [u8]) {
        self.random.fill_bytes(bytes);
    }

    fn crypto(&self) -> &dyn Crypto {
        &self.crypto
    }

    fn position(&self) -> Option<u64> {
        u64::try_from(self.random.get_word_pos()).ok()
    }
}
