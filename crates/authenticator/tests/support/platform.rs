//! The platform's side of PINs (CTAP 2.3 §6.5), written apart from the authenticator's.

use std::collections::BTreeMap;

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::Mac;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use sk_cbor::Value;

use super::Driver;
use super::codec::{CLIENT_PIN, Parameters, body, bytes, cose, int, status, text};

pub(crate) mod subcommand {
    pub(crate) const GET_PIN_RETRIES: i64 = 0x01;
    pub(crate) const GET_KEY_AGREEMENT: i64 = 0x02;
    pub(crate) const SET_PIN: i64 = 0x03;
    pub(crate) const CHANGE_PIN: i64 = 0x04;
    pub(crate) const GET_PIN_TOKEN: i64 = 0x05;
    pub(crate) const GET_PIN_UV_AUTH_TOKEN_USING_UV_WITH_PERMISSIONS: i64 = 0x06;
    pub(crate) const GET_UV_RETRIES: i64 = 0x07;
    pub(crate) const GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS: i64 = 0x09;
}

pub(crate) mod permission {
    pub(crate) const MC: i64 = 0x01;
    pub(crate) const GA: i64 = 0x02;
    pub(crate) const CM: i64 = 0x04;
    pub(crate) const BE: i64 = 0x08;
    pub(crate) const LBW: i64 = 0x10;
    pub(crate) const ACFG: i64 = 0x20;
    pub(crate) const PCMR: i64 = 0x40;
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <hmac::Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The first half under protocol one, the whole under two.
fn authenticate(protocol: i64, key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut signature = hmac_sha256(key, message);
    signature.truncate(if protocol == 1 { 16 } else { 32 });
    signature
}

/// HKDF (RFC 5869) of one block, with 32 zeros as salt.
pub(crate) fn hkdf(z: &[u8], info: &str) -> [u8; 32] {
    let prk = hmac_sha256(&[0; 32], z);
    hmac_sha256(&prk, &[info.as_bytes(), &[1]].concat()).try_into().unwrap()
}

/// What a platform has after a key agreement.
#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) protocol: i64,
    hmac_key: [u8; 32],
    aes_key: [u8; 32],
    /// The platform's key-agreement key as a COSE_Key.
    pub(crate) key: Value,
}

impl Platform {
    /// Asks for the authenticator's key, and agrees with a key of its own.
    pub(crate) fn agree(key: &mut Driver, protocol: i64) -> Self {
        let request = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(protocol));
        let theirs = body(&key.send(&request.message(CLIENT_PIN)))[&1].clone();
        assert_eq!(cose(&theirs, 1), int(2));
        assert_eq!(cose(&theirs, 3), int(-25));
        assert_eq!(cose(&theirs, -1), int(1));
        let coordinate = |label| cose(&theirs, label).extract_byte_string().unwrap();
        let point = [vec![4], coordinate(-2), coordinate(-3)].concat();
        let theirs = p256::PublicKey::from_sec1_bytes(&point).unwrap();
        let secret = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
        let z = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), theirs.as_affine());
        let z = z.raw_secret_bytes();
        let (hmac_key, aes_key) = if protocol == 1 {
            let key: [u8; 32] = Sha256::digest(z).into();
            (key, key)
        } else {
            (hkdf(z, "CTAP2 HMAC key"), hkdf(z, "CTAP2 AES key"))
        };
        let ours = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        let key = Value::map(vec![
            (int(1), int(2)),
            (int(3), int(-25)),
            (int(-1), int(1)),
            (int(-2), bytes(&ours[1..33])),
            (int(-3), bytes(&ours[33..])),
        ]);
        Self { protocol, hmac_key, aes_key, key }
    }

    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let (iv, mut ciphertext) = if self.protocol == 1 { ([0; 16], vec![]) } else { ([0x69; 16], vec![0x69; 16]) };
        let mut encryptor = cbc::Encryptor::<aes::Aes256>::new(&self.aes_key.into(), &iv.into());
        for block in plaintext.chunks_exact(16) {
            let mut block = Array::try_from(block).unwrap();
            encryptor.encrypt_block(&mut block);
            ciphertext.extend_from_slice(&block);
        }
        ciphertext
    }

    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Vec<u8> {
        let (iv, ciphertext) = if self.protocol == 1 {
            ([0; 16], ciphertext)
        } else {
            (ciphertext[..16].try_into().unwrap(), &ciphertext[16..])
        };
        assert_eq!(ciphertext.len() % 16, 0);
        let mut decryptor = cbc::Decryptor::<aes::Aes256>::new(&self.aes_key.into(), &iv.into());
        let mut plaintext = Vec::new();
        for block in ciphertext.chunks_exact(16) {
            let mut block = Array::try_from(block).unwrap();
            decryptor.decrypt_block(&mut block);
            plaintext.extend_from_slice(&block);
        }
        plaintext
    }

    pub(crate) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        authenticate(self.protocol, &self.hmac_key, message)
    }

    fn request(&self, number: i64) -> Parameters {
        Parameters::client_pin(number).with(1, int(self.protocol)).with(3, self.key.clone())
    }

    fn pin_hash_enc(&self, pin: &str) -> Vec<u8> {
        self.encrypt(&Sha256::digest(pin)[..16])
    }

    /// setPIN; `pin` is padded to 64 bytes.
    pub(crate) fn set_pin(&self, pin: &[u8]) -> Parameters {
        let new_pin_enc = self.encrypt(&padded(pin));
        let param = self.authenticate(&new_pin_enc);
        self.request(subcommand::SET_PIN).with(4, bytes(&param)).with(5, bytes(&new_pin_enc))
    }

    /// changePIN.
    pub(crate) fn change_pin(&self, old: &str, new: &[u8]) -> Parameters {
        let (new_pin_enc, pin_hash_enc) = (self.encrypt(&padded(new)), self.pin_hash_enc(old));
        let param = self.authenticate(&[&new_pin_enc[..], &pin_hash_enc].concat());
        self.request(subcommand::CHANGE_PIN)
            .with(4, bytes(&param))
            .with(5, bytes(&new_pin_enc))
            .with(6, bytes(&pin_hash_enc))
    }

    /// getPinToken.
    pub(crate) fn get_pin_token(&self, pin: &str) -> Parameters {
        self.request(subcommand::GET_PIN_TOKEN).with(6, bytes(&self.pin_hash_enc(pin)))
    }

    /// getPinUvAuthTokenUsingPinWithPermissions.
    pub(crate) fn get_token(&self, pin: &str, permissions: i64, rp_id: Option<&str>) -> Parameters {
        let request = self
            .request(subcommand::GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS)
            .with(6, bytes(&self.pin_hash_enc(pin)))
            .with(9, int(permissions));
        match rp_id {
            Some(rp_id) => request.with(10, text(rp_id)),
            None => request,
        }
    }

    /// getPinUvAuthTokenUsingUvWithPermissions.
    pub(crate) fn get_token_by_uv(&self, permissions: i64, rp_id: Option<&str>) -> Parameters {
        let request =
            self.request(subcommand::GET_PIN_UV_AUTH_TOKEN_USING_UV_WITH_PERMISSIONS).with(9, int(permissions));
        match rp_id {
            Some(rp_id) => request.with(10, text(rp_id)),
            None => request,
        }
    }

    /// The input of hmac-secret and hmac-secret-mc, of one salt or two.
    pub(crate) fn salts(&self, salts: &[u8]) -> BTreeMap<i64, Value> {
        let salt_enc = self.encrypt(salts);
        let salt_auth = self.authenticate(&salt_enc);
        BTreeMap::from([(1, self.key.clone()), (2, bytes(&salt_enc)), (3, bytes(&salt_auth)), (4, int(self.protocol))])
    }

    /// The token in an answer.
    pub(crate) fn token(&self, answer: &[u8]) -> Token {
        let body = body(answer);
        assert_eq!(body.keys().copied().collect::<Vec<_>>(), [2], "a token and nothing else");
        let token = self.decrypt(&body[&2].clone().extract_byte_string().unwrap());
        assert_eq!(token.len(), 32);
        Token { protocol: self.protocol, bytes: token }
    }
}

fn padded(pin: &[u8]) -> Vec<u8> {
    let mut padded = pin.to_vec();
    padded.resize(pin.len().max(64), 0);
    padded
}

/// A pinUvAuthToken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) protocol: i64,
    pub(crate) bytes: Vec<u8>,
}

impl Token {
    pub(crate) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        authenticate(self.protocol, &self.bytes, message)
    }
}

impl Driver {
    /// authenticatorClientPIN with these parameters: its status.
    pub(crate) fn client_pin(&mut self, parameters: &Parameters) -> u8 {
        self.status(&parameters.message(CLIENT_PIN))
    }

    /// Sets a PIN under protocol two.
    pub(crate) fn set_pin(&mut self, pin: &str) {
        let request = Platform::agree(self, 2).set_pin(pin.as_bytes());
        assert_eq!(self.client_pin(&request), status::OK);
    }

    /// A token, or the status of the refusal.
    pub(crate) fn token(
        &mut self,
        protocol: i64,
        pin: &str,
        permissions: i64,
        rp_id: Option<&str>,
    ) -> Result<Token, u8> {
        let platform = Platform::agree(self, protocol);
        let answer = self.send(&platform.get_token(pin, permissions, rp_id).message(CLIENT_PIN));
        if answer[0] == status::OK { Ok(platform.token(&answer)) } else { Err(answer[0]) }
    }

    /// A token of getPinToken, or the status of the refusal.
    pub(crate) fn pin_token(&mut self, protocol: i64, pin: &str) -> Result<Token, u8> {
        let platform = Platform::agree(self, protocol);
        let answer = self.send(&platform.get_pin_token(pin).message(CLIENT_PIN));
        if answer[0] == status::OK { Ok(platform.token(&answer)) } else { Err(answer[0]) }
    }

    /// `pinRetries` and `powerCycleState`.
    pub(crate) fn pin_retries(&mut self) -> (u64, bool) {
        let request = Parameters::client_pin(subcommand::GET_PIN_RETRIES);
        let body = body(&self.send(&request.message(CLIENT_PIN)));
        (body[&3].clone().extract_unsigned().unwrap(), body[&4].clone().extract_bool().unwrap())
    }
}
