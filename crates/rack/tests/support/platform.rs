//! The platform's side of PIN/UV auth protocol one (CTAP 2.3 §6.5.6), as far as tests of this crate need it.

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::client_pin::{Permissions, Request, Response, Subcommand};
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::{Request as Message, parse_response};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

/// Sends a message to a key, and returns the answer.
pub(crate) type Send<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;

/// What platform and key have in common.
struct Agreed {
    secret: [u8; 32],
    key: KeyAgreementKey,
}

fn client_pin(request: Request) -> Vec<u8> {
    Message::ClientPin(Request { pin_uv_auth_protocol: Some(1), ..request }).encode()
}

fn agree(send: Send<'_>) -> Agreed {
    let answer = send(&client_pin(Request::new(Subcommand::GetKeyAgreement)));
    let theirs = Response::decode(parse_response(&answer).unwrap()).unwrap().key_agreement.unwrap();
    let theirs = p256::PublicKey::from_sec1_bytes(&[&[4], &theirs.x[..], &theirs.y].concat()).unwrap();
    let ours = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
    let z = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    let point = ours.public_key().to_sec1_point(false);
    let (x, y) = (point.x().unwrap().as_slice(), point.y().unwrap().as_slice());
    Agreed {
        secret: Sha256::digest(z.raw_secret_bytes()).into(),
        key: KeyAgreementKey { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
    }
}

fn authenticate(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes()[..16].to_vec()
}

impl Agreed {
    fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut encryptor = cbc::Encryptor::<aes::Aes256>::new(&self.secret.into(), &[0; 16].into());
        let blocks = plaintext.chunks_exact(16).flat_map(|block| {
            let mut block = Array::try_from(block).unwrap();
            encryptor.encrypt_block(&mut block);
            block
        });
        blocks.collect()
    }

    fn decrypt(&self, ciphertext: &[u8]) -> Vec<u8> {
        let mut decryptor = cbc::Decryptor::<aes::Aes256>::new(&self.secret.into(), &[0; 16].into());
        let blocks = ciphertext.chunks_exact(16).flat_map(|block| {
            let mut block = Array::try_from(block).unwrap();
            decryptor.decrypt_block(&mut block);
            block
        });
        blocks.collect()
    }

    fn new_pin_enc(&self, pin: &str) -> Vec<u8> {
        let mut padded = pin.as_bytes().to_vec();
        padded.resize(64, 0);
        self.encrypt(&padded)
    }

    fn pin_hash_enc(&self, pin: &str) -> Vec<u8> {
        self.encrypt(&Sha256::digest(pin)[..16])
    }
}

/// setPIN.
pub(crate) fn set_pin(send: Send<'_>, pin: &str) -> Vec<u8> {
    let agreed = agree(send);
    let new_pin_enc = agreed.new_pin_enc(pin);
    client_pin(Request {
        key_agreement: Some(agreed.key),
        pin_uv_auth_param: Some(authenticate(&agreed.secret, &new_pin_enc)),
        new_pin_enc: Some(new_pin_enc),
        ..Request::new(Subcommand::SetPin)
    })
}

/// changePIN.
pub(crate) fn change_pin(send: Send<'_>, old: &str, new: &str) -> Vec<u8> {
    let agreed = agree(send);
    let (new_pin_enc, pin_hash_enc) = (agreed.new_pin_enc(new), agreed.pin_hash_enc(old));
    client_pin(Request {
        key_agreement: Some(agreed.key),
        pin_uv_auth_param: Some(authenticate(&agreed.secret, &[&new_pin_enc[..], &pin_hash_enc].concat())),
        new_pin_enc: Some(new_pin_enc),
        pin_hash_enc: Some(pin_hash_enc),
        ..Request::new(Subcommand::ChangePin)
    })
}

fn get_token_request(agreed: &Agreed, pin: &str, permissions: Permissions) -> Vec<u8> {
    client_pin(Request {
        key_agreement: Some(agreed.key),
        pin_hash_enc: Some(agreed.pin_hash_enc(pin)),
        permissions: Some(permissions),
        ..Request::new(Subcommand::GetPinUvAuthTokenUsingPinWithPermissions)
    })
}

/// getPinUvAuthTokenUsingPinWithPermissions.
pub(crate) fn get_token(send: Send<'_>, pin: &str, permissions: Permissions) -> Vec<u8> {
    get_token_request(&agree(send), pin, permissions)
}

/// A token, and by it a `pinUvAuthParam` for `message`.
pub(crate) fn authorize(send: Send<'_>, pin: &str, permissions: Permissions, message: &[u8]) -> PinUvAuth {
    let agreed = agree(send);
    let answer = send(&get_token_request(&agreed, pin, permissions));
    let response = Response::decode(parse_response(&answer).unwrap()).unwrap();
    let token = agreed.decrypt(&response.pin_uv_auth_token.unwrap());
    PinUvAuth { param: Some(authenticate(&token, message)), protocol: Some(1) }
}
