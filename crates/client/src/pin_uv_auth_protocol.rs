//! PIN/UV auth protocols one and two, the platform's side (CTAP 2.3 §6.5.4 to §6.5.7).
//!
//! The authenticator has an implementation of its own, so that the same mistake is not made on both sides of the wire.

use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::get_info;
use keyrig_ctap::get_info::OptionId;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, Sec1Point, SecretKey, ecdh};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::channel::ChannelError;
use crate::randomness;

const BLOCK: usize = 16;

/// A PIN/UV auth protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PinUvAuthProtocol {
    /// Protocol one (CTAP 2.3 §6.5.6).
    One,
    /// Protocol two (CTAP 2.3 §6.5.7).
    Two,
}

impl PinUvAuthProtocol {
    /// Its number on the wire.
    #[must_use]
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Which protocol to speak with a key: the first of its list that is known here, since the list is in the key's order
    /// of preference (CTAP 2.3 §6.5.5.4). A CTAP 2.0 key with a PIN may give no list, and speaks protocol one.
    #[must_use]
    pub(crate) fn of(info: &get_info::Response) -> Option<Self> {
        let listed = &info.pin_uv_auth_protocols;
        if listed.is_empty() {
            return info.option(OptionId::ClientPin).map(|_| Self::One);
        }
        listed.iter().find_map(|number| match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        })
    }

    /// Makes a key pair and the secret that is shared with an authenticator by its key agreement key
    /// (`encapsulate`, CTAP 2.3 §6.5.4).
    pub(crate) fn encapsulate(
        self,
        authenticator: &KeyAgreementKey,
        random: &randomness::Shared,
    ) -> Result<(KeyAgreementKey, SharedSecret), AgreementError> {
        loop {
            let scalar = Zeroizing::new(randomness::bytes::<32>(&**random)?);
            // Zero, or not below the group's order: once in 2^32.
            if let Ok(secret) = SecretKey::from_slice(scalar.as_ref()) {
                return self.agree(&secret, authenticator, random);
            }
        }
    }

    pub(crate) fn agree(
        self,
        own: &SecretKey,
        other: &KeyAgreementKey,
        random: &randomness::Shared,
    ) -> Result<(KeyAgreementKey, SharedSecret), AgreementError> {
        let point = Sec1Point::from_affine_coordinates(&other.x.into(), &other.y.into(), false);
        let other = PublicKey::from_sec1_bytes(point.as_bytes()).map_err(|_| AgreementError::NotOnTheCurve)?;
        let shared = ecdh::diffie_hellman(own.to_nonzero_scalar(), other.as_affine());
        let public = own.public_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&_>| bytes.map(|bytes: &p256::FieldBytes| <[u8; 32]>::from(*bytes));
        let (x, y) = coordinate(public.x()).zip(coordinate(public.y())).ok_or(AgreementError::NotOnTheCurve)?;
        Ok((KeyAgreementKey { x, y }, SharedSecret::derive(self, shared.raw_secret_bytes(), random.clone())))
    }

    /// `pinUvAuthParam` over a message, under a token or another key (`authenticate`).
    pub(crate) fn authenticate(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let mac = hmac_sha_256(key, message);
        match self {
            Self::One => mac.iter().take(16).copied().collect(),
            Self::Two => mac.to_vec(),
        }
    }

    /// Whether a token may have this length: 16 or 32 bytes under protocol one, 32 under protocol two (CTAP 2.3 §6.5.6,
    /// §6.5.7).
    pub(crate) fn is_token_length(self, length: usize) -> bool {
        matches!((self, length), (Self::One, 16) | (_, 32))
    }
}

/// Why there is no shared secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AgreementError {
    #[error("the key agreement key is not a point on P-256")]
    NotOnTheCurve,
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// What the platform and an authenticator share until the authenticator makes another key agreement key.
pub(crate) struct SharedSecret {
    protocol: PinUvAuthProtocol,
    hmac_key: Zeroizing<[u8; 32]>,
    aes_key: Zeroizing<[u8; 32]>,
    random: randomness::Shared,
}

impl SharedSecret {
    /// `kdf`, over the x coordinate of the shared point.
    fn derive(protocol: PinUvAuthProtocol, z: &[u8], random: randomness::Shared) -> Self {
        match protocol {
            PinUvAuthProtocol::One => {
                let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(z)));
                Self { protocol, hmac_key: key.clone(), aes_key: key, random }
            }
            PinUvAuthProtocol::Two => {
                let hkdf = Hkdf::<Sha256>::new(Some(&[0; 32]), z);
                let derive = |info: &[u8]| {
                    let mut key = Zeroizing::new([0; 32]);
                    hkdf.expand(info, key.as_mut()).expect("32 bytes are fewer than HKDF gives");
                    key
                };
                Self { protocol, hmac_key: derive(b"CTAP2 HMAC key"), aes_key: derive(b"CTAP2 AES key"), random }
            }
        }
    }

    pub(crate) fn protocol(&self) -> PinUvAuthProtocol {
        self.protocol
    }

    /// `encrypt`: whole blocks only, since the protocols pad nothing.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let iv = match self.protocol {
            PinUvAuthProtocol::One => [0; BLOCK],
            PinUvAuthProtocol::Two => randomness::bytes(&*self.random)?,
        };
        Ok(self.encrypt_under(iv, plaintext))
    }

    fn encrypt_under(&self, iv: [u8; BLOCK], plaintext: &[u8]) -> Vec<u8> {
        debug_assert!(plaintext.len().is_multiple_of(BLOCK), "the protocols pad nothing");
        let cipher = cbc::Encryptor::<Aes256>::new((&*self.aes_key).into(), &iv.into());
        let encrypted = cipher.encrypt_padded_vec::<NoPadding>(plaintext);
        match self.protocol {
            PinUvAuthProtocol::One => encrypted,
            PinUvAuthProtocol::Two => [&iv[..], &encrypted].concat(),
        }
    }

    /// `decrypt`. `None` if the ciphertext is not made of whole blocks, or is too short to hold its IV.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, ciphertext) = match self.protocol {
            PinUvAuthProtocol::One => ([0; BLOCK], ciphertext),
            PinUvAuthProtocol::Two => ciphertext.split_first_chunk().map(|(iv, rest)| (*iv, rest))?,
        };
        let cipher = cbc::Decryptor::<Aes256>::new((&*self.aes_key).into(), &iv.into());
        cipher.decrypt_padded_vec::<NoPadding>(ciphertext).ok().map(Zeroizing::new)
    }

    /// `authenticate` under the secret itself, before there is a token.
    pub(crate) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.protocol.authenticate(self.hmac_key.as_ref(), message)
    }
}

fn hmac_sha_256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
