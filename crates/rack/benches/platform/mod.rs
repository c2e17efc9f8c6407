//! A platform that has agreed on a key under PIN/UV auth protocol one (CTAP 2.3 §6.5.6), and its requests.

use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::Request as Message;
use keyrig_ctap::client_pin::{Permissions, Request, Response, Subcommand};
use keyrig_ctap::cose::KeyAgreementKey;
use sha2::{Digest, Sha256};

/// The platform's key, and what it shares with the authenticator.
pub(crate) struct Platform {
    pub(crate) key: KeyAgreementKey,
    pub(crate) shared_secret: [u8; 32],
}

impl Platform {
    pub(crate) fn get_key_agreement() -> Vec<u8> {
        let request = Request::new(Subcommand::GetKeyAgreement);
        Message::ClientPin(Request { pin_uv_auth_protocol: Some(1), ..request }).encode()
    }

    fn request(&self, subcommand: Subcommand) -> Request {
        Request { pin_uv_auth_protocol: Some(1), key_agreement: Some(self.key), ..Request::new(subcommand) }
    }

    pub(crate) fn set_pin(&self, pin: &str) -> Vec<u8> {
        let mut padded = pin.as_bytes().to_vec();
        padded.resize(64, 0);
        let new_pin_enc = self.encrypt(&padded);
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.shared_secret).expect("a key of any length");
        mac.update(&new_pin_enc);
        let param = mac.finalize().into_bytes();
        Message::ClientPin(Request {
            pin_uv_auth_param: Some(param.iter().copied().take(16).collect()),
            new_pin_enc: Some(new_pin_enc),
            ..self.request(Subcommand::SetPin)
        })
        .encode()
    }

    pub(crate) fn get_token(&self, pin: &str) -> Vec<u8> {
        let hash = Sha256::digest(pin);
        Message::ClientPin(Request {
            pin_hash_enc: Some(self.encrypt(hash.get(..16).expect("32 bytes"))),
            permissions: Some(Permissions::GA),
            rp_id: Some("example.com".into()),
            ..self.request(Subcommand::GetPinUvAuthTokenUsingPinWithPermissions)
        })
        .encode()
    }

    fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut encryptor = cbc::Encryptor::<aes::Aes256>::new(&self.shared_secret.into(), &[0; 16].into());
        let mut ciphertext = Vec::new();
        for block in plaintext.as_chunks::<16>().0 {
            let mut block = (*block).into();
            encryptor.encrypt_block(&mut block);
            ciphertext.extend_from_slice(&block);
        }
        ciphertext
    }
}

/// The key-agreement key that an authenticator answered with.
pub(crate) fn key_agreement_key(response: &[u8]) -> KeyAgreementKey {
    let response = Response::decode(response.get(1..).expect("a status")).expect("an answer");
    response.key_agreement.expect("a key")
}
