//! The extensions hmac-secret and hmac-secret-mc (CTAP 2.3 §12.7, §12.8): a secret of a credential, by a salt of the platform's.

use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::Status;
use keyrig_ctap::extensions::HmacSecretInput;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::authenticator::Authenticator;
use crate::pin_uv_auth_protocol::SharedSecret;

/// How long a salt and an output are, bytes.
const LENGTH: usize = 32;

/// Salts as a platform sent them, authenticated and decrypted.
pub(crate) struct Salts {
    secret: SharedSecret,
    /// One salt or two.
    salts: Zeroizing<Vec<u8>>,
}

impl Salts {
    /// Opens an input.
    ///
    /// # Errors
    /// [`Status::InvalidParameter`] for a protocol that the key does not have, a point off the curve, or salts of another length;
    /// [`Status::PinAuthInvalid`] for what is not authenticated.
    pub(crate) fn open(authenticator: &mut Authenticator, input: &HmacSecretInput) -> Result<Self, Status> {
        // Before CTAP 2.1 there was protocol one alone, and no member to say so.
        let protocol = authenticator.pin_uv_auth_protocol(Some(input.pin_uv_auth_protocol.unwrap_or(1)))?;
        let secret = authenticator.decapsulate(protocol, &input.key_agreement)?;
        if !secret.verify(&[&input.salt_enc], &input.salt_auth) {
            return Err(Status::PinAuthInvalid);
        }
        let salts = secret.decrypt(&input.salt_enc).ok_or(Status::InvalidParameter)?;
        if salts.len() != LENGTH && salts.len() != 2 * LENGTH {
            return Err(Status::InvalidParameter);
        }
        Ok(Self { secret, salts })
    }

    /// The outputs for a credential, encrypted.
    pub(crate) fn outputs(&self, authenticator: &mut Authenticator, id: &[u8], user_verified: bool) -> Vec<u8> {
        let cred_random = authenticator.store().secret().cred_random(id, user_verified);
        let mut outputs = Zeroizing::new(Vec::with_capacity(self.salts.len()));
        for salt in self.salts.chunks(LENGTH) {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(cred_random.as_slice()).expect("HMAC takes a key of any length");
            mac.update(salt);
            outputs.extend_from_slice(&mac.finalize().into_bytes());
        }
        self.secret.encrypt(authenticator.environment.as_mut(), &outputs)
    }
}
