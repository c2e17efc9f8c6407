//! The PIN/UV auth protocols one and two (CTAP 2.3 §6.5.6, §6.5.7): how platform and authenticator come to share a secret,
//! and what they do with it.

#[cfg(test)]
mod tests;

use aes::Aes256;
use aes::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::cose::{Algorithm, KeyAgreementKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::crypto::CryptoFailed;
use crate::environment::Environment;
use crate::private_key::PrivateKey;
use crate::profile::Behaviour;

const BLOCK: usize = 16;

/// A PIN/UV auth protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinUvAuthProtocol {
    One,
    Two,
}

impl PinUvAuthProtocol {
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// `kdf` over what Diffie and Hellman yield.
    pub(crate) fn shared_secret(self, z: &[u8; 32]) -> SharedSecret {
        let (mut hmac_key, mut aes_key) = ([0; 32], [0; 32]);
        match self {
            Self::One => {
                hmac_key = Sha256::digest(z).into();
                aes_key = hmac_key;
            }
            Self::Two => {
                let hkdf = Hkdf::<Sha256>::new(Some(&[0; 32]), z);
                hkdf.expand(b"CTAP2 HMAC key", &mut hmac_key).expect("HKDF yields 32 bytes");
                hkdf.expand(b"CTAP2 AES key", &mut aes_key).expect("HKDF yields 32 bytes");
            }
        }
        SharedSecret { protocol: self, hmac_key, aes_key }
    }

    /// `verify` with a key that is no shared secret, such as a pinUvAuthToken: whether `signature` authenticates the message
    /// given in parts.
    pub(crate) fn verify(self, key: &[u8; 32], message: &[&[u8]], signature: &[u8], comparison: Comparison) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        for part in message {
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let expected = match self {
            Self::One => whole.get(..16).unwrap_or_default(),
            Self::Two => &whole,
        };
        match comparison {
            Comparison::Whole => expected.ct_eq(signature).into(),
            Comparison::FirstHalf => {
                let half = signature.get(..16).unwrap_or(signature);
                expected.get(..16).unwrap_or_default().ct_eq(half).into()
            }
            Comparison::Fails => false,
        }
    }
}

/// How a `pinUvAuthParam` is compared with what it should be: whole, but for known mistakes of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Whole,
    /// The first 16 bytes.
    FirstHalf,
    /// Nothing is right.
    Fails,
}

impl Behaviour {
    /// How a `pinUvAuthParam` by a token is compared.
    pub(crate) fn comparison(&self, protocol: PinUvAuthProtocol) -> Comparison {
        match protocol {
            PinUvAuthProtocol::Two if self.fails_protocol_two => Comparison::Fails,
            PinUvAuthProtocol::Two if self.compares_half_of_param => Comparison::FirstHalf,
            _ => Comparison::Whole,
        }
    }
}

/// The key-agreement keys of the PIN/UV auth protocols, each made when it is first asked for.
#[derive(Default)]
pub(crate) struct KeyAgreementKeys {
    one: Option<PrivateKey>,
    two: Option<PrivateKey>,
}

impl KeyAgreementKeys {
    fn of(&mut self, protocol: PinUvAuthProtocol) -> &mut Option<PrivateKey> {
        match protocol {
            PinUvAuthProtocol::One => &mut self.one,
            PinUvAuthProtocol::Two => &mut self.two,
        }
    }

    /// The key of a protocol.
    pub(crate) fn key(&mut self, protocol: PinUvAuthProtocol, environment: &mut dyn Environment) -> PrivateKey {
        let generate = || PrivateKey::from_candidates(Algorithm::Es256, |bytes| environment.random(bytes));
        self.of(protocol).get_or_insert_with(generate).clone()
    }

    /// `regenerate`: the next that is asked for is another.
    pub(crate) fn forget(&mut self, protocol: PinUvAuthProtocol) {
        *self.of(protocol) = None;
    }

    /// `decapsulate`: what this key shares with a platform (§6.5.6).
    ///
    /// # Errors
    /// [`CryptoFailed`] if the platform's point is none of P-256.
    pub(crate) fn decapsulate(
        &mut self,
        protocol: PinUvAuthProtocol,
        peer: &KeyAgreementKey,
        environment: &mut dyn Environment,
    ) -> Result<SharedSecret, CryptoFailed> {
        let key = self.key(protocol, environment);
        let z = environment.crypto().diffie_hellman(&key, peer)?;
        Ok(protocol.shared_secret(&z))
    }
}

/// What a platform and the authenticator share after a key agreement. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub(crate) struct SharedSecret {
    #[zeroize(skip)]
    protocol: PinUvAuthProtocol,
    hmac_key: [u8; 32],
    aes_key: [u8; 32],
}

impl SharedSecret {
    pub(crate) fn protocol(&self) -> PinUvAuthProtocol {
        self.protocol
    }

    /// `encrypt`. The plaintext is a whole number of blocks of 16 bytes: the caller sees to that.
    pub(crate) fn encrypt(&self, environment: &mut dyn Environment, plaintext: &[u8]) -> Vec<u8> {
        let mut iv = [0; BLOCK];
        let mut ciphertext = Vec::with_capacity(BLOCK + plaintext.len());
        if self.protocol == PinUvAuthProtocol::Two {
            environment.random(&mut iv);
            ciphertext.extend_from_slice(&iv);
        }
        let mut encryptor = cbc::Encryptor::<Aes256>::new(&self.aes_key.into(), &iv.into());
        for block in plaintext.as_chunks::<BLOCK>().0 {
            let mut block = Block::<Aes256>::from(*block);
            encryptor.encrypt_block(&mut block);
            ciphertext.extend_from_slice(&block);
        }
        ciphertext
    }

    /// `decrypt`: nothing if the ciphertext has no length that the protocol's can have.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, ciphertext) = match self.protocol {
            PinUvAuthProtocol::One => (&[0; BLOCK], ciphertext),
            PinUvAuthProtocol::Two => ciphertext.split_first_chunk::<BLOCK>()?,
        };
        let (blocks, []) = ciphertext.as_chunks::<BLOCK>() else { return None };
        let mut decryptor = cbc::Decryptor::<Aes256>::new(&self.aes_key.into(), &(*iv).into());
        let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
        for block in blocks {
            let mut block = Block::<Aes256>::from(*block);
            decryptor.decrypt_block(&mut block);
            plaintext.extend_from_slice(&block);
        }
        Some(plaintext)
    }

    /// `verify`: whether `signature` authenticates the message given in parts.
    pub(crate) fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        self.protocol.verify(&self.hmac_key, message, signature, Comparison::Whole)
    }
}
