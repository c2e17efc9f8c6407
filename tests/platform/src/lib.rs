//! The platform's side of PIN/UV auth protocol one (CTAP 2.3 §6.5.6), for tests, benches and fuzz targets: apart from the
//! authenticator's and the client's, so that mistakes there do not cancel. It speaks `keyrig_ctap`; the authenticator's own tests have
//! both protocols once more, in a codec that shares nothing with it.
//!
//! What a key answers wrongly is a panic.

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::client_pin::{Permissions, Request, Response, Subcommand};
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::parse_response;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

const BLOCK: usize = 16;

/// A platform that has agreed on a secret with a key.
#[derive(Clone, Debug)]
pub struct Platform {
    key: KeyAgreementKey,
    secret: [u8; 32],
}

/// A pinUvAuthToken.
#[derive(Clone, Debug)]
pub struct Token(Vec<u8>);

/// getKeyAgreement.
#[must_use]
pub fn get_key_agreement() -> Request {
    Request { pin_uv_auth_protocol: Some(1), ..Request::new(Subcommand::GetKeyAgreement) }
}

/// The key in an answer to [`get_key_agreement`].
///
/// # Panics
/// If there is none.
#[must_use]
pub fn key_agreement_key(answer: &[u8]) -> KeyAgreementKey {
    response(answer).key_agreement.expect("a key")
}

impl Platform {
    /// Agrees with a key of its own, always the same, on what the answer to [`get_key_agreement`] has.
    ///
    /// # Panics
    /// If that is not a key on P-256.
    #[must_use]
    pub fn agree(answer: &[u8]) -> Self {
        let theirs = key_agreement_key(answer);
        let point = [&[4], &theirs.x[..], &theirs.y].concat();
        let theirs = p256::PublicKey::from_sec1_bytes(&point).expect("a point on the curve");
        let ours = p256::SecretKey::from_slice(&[0x42; 32]).expect("a scalar");
        let z = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
        let point = ours.public_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&_>| <[u8; 32]>::from(*bytes.expect("it is not compressed"));
        let key = KeyAgreementKey { x: coordinate(point.x()), y: coordinate(point.y()) };
        Self { key, secret: Sha256::digest(z.raw_secret_bytes()).into() }
    }

    /// setPIN.
    #[must_use]
    pub fn set_pin(&self, pin: &str) -> Request {
        let new_pin_enc = self.encrypt(&padded(pin));
        Request {
            pin_uv_auth_param: Some(authenticate(&self.secret, &new_pin_enc)),
            new_pin_enc: Some(new_pin_enc),
            ..self.request(Subcommand::SetPin)
        }
    }

    /// changePIN.
    #[must_use]
    pub fn change_pin(&self, old: &str, new: &str) -> Request {
        let (new_pin_enc, pin_hash_enc) = (self.encrypt(&padded(new)), self.pin_hash_enc(old));
        Request {
            pin_uv_auth_param: Some(authenticate(&self.secret, &[&new_pin_enc[..], &pin_hash_enc].concat())),
            new_pin_enc: Some(new_pin_enc),
            pin_hash_enc: Some(pin_hash_enc),
            ..self.request(Subcommand::ChangePin)
        }
    }

    /// getPinUvAuthTokenUsingPinWithPermissions.
    #[must_use]
    pub fn get_token(&self, pin: &str, permissions: Permissions, rp_id: Option<&str>) -> Request {
        Request {
            pin_hash_enc: Some(self.pin_hash_enc(pin)),
            permissions: Some(permissions),
            rp_id: rp_id.map(str::to_owned),
            ..self.request(Subcommand::GetPinUvAuthTokenUsingPinWithPermissions)
        }
    }

    /// getPinUvAuthTokenUsingUvWithPermissions.
    #[must_use]
    pub fn get_token_by_uv(&self, permissions: Permissions, rp_id: Option<&str>) -> Request {
        Request {
            permissions: Some(permissions),
            rp_id: rp_id.map(str::to_owned),
            ..self.request(Subcommand::GetPinUvAuthTokenUsingUvWithPermissions)
        }
    }

    /// The token in an answer.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn token(&self, answer: &[u8]) -> Token {
        let ciphertext = response(answer).pin_uv_auth_token.expect("a token");
        let mut decryptor = cbc::Decryptor::<Aes256>::new(&self.secret.into(), &[0; BLOCK].into());
        Token(blocks(&ciphertext, |block| decryptor.decrypt_block(block)))
    }

    fn request(&self, subcommand: Subcommand) -> Request {
        Request { pin_uv_auth_protocol: Some(1), key_agreement: Some(self.key), ..Request::new(subcommand) }
    }

    fn pin_hash_enc(&self, pin: &str) -> Vec<u8> {
        let hash = Sha256::digest(pin);
        self.encrypt(hash.first_chunk::<BLOCK>().expect("32 bytes"))
    }

    fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut encryptor = cbc::Encryptor::<Aes256>::new(&self.secret.into(), &[0; BLOCK].into());
        blocks(plaintext, |block| encryptor.encrypt_block(block))
    }
}

impl Token {
    /// `pinUvAuthParam` for a message, and its protocol.
    #[must_use]
    pub fn authorize(&self, message: &[u8]) -> PinUvAuth {
        PinUvAuth { param: Some(authenticate(&self.0, message)), protocol: Some(1) }
    }
}

fn response(answer: &[u8]) -> Response {
    Response::decode(parse_response(answer).expect("it succeeds")).expect("it is canonical")
}

fn padded(pin: &str) -> Vec<u8> {
    let mut padded = pin.as_bytes().to_vec();
    padded.resize(64, 0);
    padded
}

fn authenticate(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().iter().copied().take(16).collect()
}

/// Carries whole blocks through a cipher.
fn blocks(bytes: &[u8], mut carry: impl FnMut(&mut Array<u8, aes::cipher::consts::U16>)) -> Vec<u8> {
    let mut carried = Vec::with_capacity(bytes.len());
    for block in bytes.as_chunks::<BLOCK>().0 {
        let mut block = Array::from(*block);
        carry(&mut block);
        carried.extend_from_slice(&block);
    }
    carried
}
