//! The extensions hmac-secret and hmac-secret-mc (CTAP 2.3 §12.7, §12.8): a secret of a credential, by a salt of the platform's.

use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::Status;
use keyrig_ctap::extensions::HmacSecretInput;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::environment::Environment;
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
    /// [`Status::PinAuthInvalid`] for what is not authenticated, [`Status::InvalidParameter`] for salts of another length.
    pub(crate) fn open(secret: SharedSecret, input: &HmacSecretInput) -> Result<Self, Status> {
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
    pub(crate) fn outputs(&self, cred_random: &[u8; 32], environment: &mut dyn Environment) -> Vec<u8> {
        let mut outputs = Zeroizing::new(Vec::with_capacity(self.salts.len()));
        for salt in self.salts.chunks(LENGTH) {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(cred_random.as_slice()).expect("HMAC takes a key of any length");
            mac.update(salt);
            outputs.extend_from_slice(&mac.finalize().into_bytes());
        }
        self.secret.encrypt(environment, &outputs)
    }
}
