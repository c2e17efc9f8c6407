//! Computing with private keys: what a cryptographic library does for the authenticator.

use keyrig_ctap::cose::{KeyAgreementKey, PublicKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private_key::PrivateKey;

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
    /// EdDSA; and as FIPS 204 §7.2 encodes them for ML-DSA, without a context.
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
