//! Which library computes with private keys, chosen at run time.
//!
//! The fast one, graviola, takes its nonces partly from the operating system and wants certain CPU features; the portable one
//! follows entirely from a seed.

use graviola::hashing::{Sha256, Sha384};
use graviola::key_agreement::{p256, p384};
use graviola::signing::ecdsa::{Curve, P256, P384, SigningKey};
use graviola::signing::eddsa::Ed25519SigningKey;
use keyrig_authenticator::environment::{Crypto, CryptoFailed, Environment};
use keyrig_authenticator::portable_crypto::{Portable, coordinates, uncompressed};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_ctap::cose::{Algorithm, KeyAgreementKey, PublicKey};
use zeroize::Zeroizing;

/// The longest DER encoding of an ECDSA signature on P-384: two integers of 49 bytes with a head of two each, and a head.
const MAX_DER_SIGNATURE: usize = 2 * (2 + 49) + 2;

/// Verified assembly for x86_64 and aarch64.
#[derive(Clone, Copy, Debug)]
pub struct Graviola(());

impl Graviola {
    /// The library, if this CPU has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        graviola::util::is_cpu_supported().then_some(Self(()))
    }
}

impl Crypto for Graviola {
    fn name(&self) -> &'static str {
        "graviola"
    }

    fn public_key(&self, key: &PrivateKey) -> Result<PublicKey, CryptoFailed> {
        match key.algorithm() {
            Algorithm::Es256 => {
                let key = p256::StaticPrivateKey::from_bytes(key.expose()).map_err(|_| CryptoFailed)?;
                let (x, y) = coordinates(&key.public_key_uncompressed())?;
                Ok(PublicKey::Es256 { x, y })
            }
            Algorithm::Es384 => {
                let key = p384::StaticPrivateKey::from_bytes(key.expose()).map_err(|_| CryptoFailed)?;
                let (x, y) = coordinates(&key.public_key_uncompressed())?;
                Ok(PublicKey::Es384 { x, y })
            }
            Algorithm::EdDsa => {
                let key = Ed25519SigningKey::from_bytes(key.expose()).map_err(|_| CryptoFailed)?;
                Ok(PublicKey::EdDsa(key.public_key().as_bytes()))
            }
            // The library has none that takes a seed.
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => Portable.public_key(key),
        }
    }

    fn sign(&self, key: &PrivateKey, message: &[&[u8]]) -> Result<Vec<u8>, CryptoFailed> {
        let mut signature = [0; MAX_DER_SIGNATURE];
        let signed = match key.algorithm() {
            Algorithm::Es256 => ecdsa::<P256>(key)?.sign_asn1::<Sha256>(message, &mut signature),
            Algorithm::Es384 => ecdsa::<P384>(key)?.sign_asn1::<Sha384>(message, &mut signature),
            Algorithm::EdDsa => {
                let key = Ed25519SigningKey::from_bytes(key.expose()).map_err(|_| CryptoFailed)?;
                return Ok(key.sign(&message.concat()).to_vec());
            }
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => return Portable.sign(key, message),
        };
        signed.map(<[u8]>::to_vec).map_err(|_| CryptoFailed)
    }

    fn diffie_hellman(&self, key: &PrivateKey, peer: &KeyAgreementKey) -> Result<Zeroizing<[u8; 32]>, CryptoFailed> {
        if key.algorithm() != Algorithm::Es256 {
            return Err(CryptoFailed);
        }
        let key = p256::StaticPrivateKey::from_bytes(key.expose()).map_err(|_| CryptoFailed)?;
        let peer = p256::PublicKey::from_x962_uncompressed(&uncompressed(peer)).map_err(|_| CryptoFailed)?;
        Ok(Zeroizing::new(key.diffie_hellman(&peer).map_err(|_| CryptoFailed)?.0))
    }
}

/// An ECPrivateKey (RFC 5915 §3) of nothing but the scalar is what the library takes without computing the public key.
fn ecdsa<C: Curve>(key: &PrivateKey) -> Result<SigningKey<C>, CryptoFailed> {
    let length = u8::try_from(key.expose().len()).map_err(|_| CryptoFailed)?;
    let mut der = Zeroizing::new(Vec::with_capacity(64));
    der.extend_from_slice(&[0x30, 3 + 2 + length, 0x02, 1, 1, 0x04, length]);
    der.extend_from_slice(key.expose());
    SigningKey::from_sec1_der(&der).map_err(|_| CryptoFailed)
}

/// The environment of a key that nobody wants to replay: randomness of the operating system, and the fastest library.
pub struct System {
    crypto: Box<dyn Crypto>,
}

impl System {
    /// An environment with the given library.
    #[must_use]
    pub fn with(crypto: Box<dyn Crypto>) -> Self {
        Self { crypto }
    }

    /// An environment with the fastest library that this CPU can run.
    #[must_use]
    pub fn new() -> Self {
        match Graviola::new() {
            Some(fast) => Self::with(Box::new(fast)),
            None => Self::with(Box::new(Portable)),
        }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for System {
    /// # Panics
    /// If the operating system has no randomness: no key can be made without.
    fn random(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness");
    }

    fn crypto(&self) -> &dyn Crypto {
        self.crypto.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = PrivateKey> {
        Algorithm::ALL.into_iter().flat_map(|algorithm| {
            [1, 2, 0x7F]
                .map(|byte| PrivateKey::from_bytes(algorithm, &vec![byte; PrivateKey::length(algorithm)]).unwrap())
        })
    }

    #[test]
    fn both_libraries_agree_on_public_keys() {
        let Some(fast) = Graviola::new() else { return eprintln!("skipped: this CPU cannot run graviola") };
        for key in keys() {
            assert_eq!(fast.public_key(&key), Portable.public_key(&key), "{key:?}");
        }
    }

    #[test]
    fn both_libraries_agree_on_shared_secrets_and_on_what_is_no_point() {
        let Some(fast) = Graviola::new() else { return eprintln!("skipped: this CPU cannot run graviola") };
        let peers: Vec<_> = keys()
            .filter_map(|key| match fast.public_key(&key) {
                Ok(PublicKey::Es256 { x, y }) => Some(KeyAgreementKey { x, y }),
                _ => None,
            })
            .collect();
        assert_eq!(peers.len(), 3);
        for (key, peer) in keys().flat_map(|key| peers.iter().map(move |peer| (key.clone(), peer))) {
            let expected = Portable.diffie_hellman(&key, peer);
            assert_eq!(expected.is_ok(), key.algorithm() == Algorithm::Es256);
            assert_eq!(fast.diffie_hellman(&key, peer), expected, "{key:?}");
            let mut off = *peer;
            off.x[0] ^= 1;
            assert_eq!(fast.diffie_hellman(&key, &off), Err(CryptoFailed), "{key:?}");
        }
    }

    #[test]
    fn signatures_of_the_fast_library_verify_in_the_portable_one() {
        use ed25519_dalek::Verifier;
        let Some(fast) = Graviola::new() else { return eprintln!("skipped: this CPU cannot run graviola") };
        for key in keys() {
            let signature = fast.sign(&key, &[b"authenticator data", b"client data hash"]).unwrap();
            let message = b"authenticator dataclient data hash";
            match fast.public_key(&key).unwrap() {
                PublicKey::Es256 { x, y } => {
                    let key = ::p256::ecdsa::VerifyingKey::from_sec1_bytes(&[&[4], &x[..], &y[..]].concat()).unwrap();
                    key.verify(message, &::p256::ecdsa::DerSignature::try_from(&signature[..]).unwrap()).unwrap();
                }
                PublicKey::Es384 { x, y } => {
                    let key = ::p384::ecdsa::VerifyingKey::from_sec1_bytes(&[&[4], &x[..], &y[..]].concat()).unwrap();
                    key.verify(message, &::p384::ecdsa::DerSignature::try_from(&signature[..]).unwrap()).unwrap();
                }
                PublicKey::EdDsa(point) => {
                    let key = ed25519_dalek::VerifyingKey::from_bytes(&point).unwrap();
                    key.verify(message, &ed25519_dalek::Signature::from_slice(&signature).unwrap()).unwrap();
                }
                // Computed by the portable one alone: vectors judge it.
                PublicKey::MlDsa44(_) | PublicKey::MlDsa65(_) | PublicKey::MlDsa87(_) => {
                    assert_eq!(Portable.sign(&key, &[message]).as_ref(), Ok(&signature));
                }
            }
        }
    }
}
