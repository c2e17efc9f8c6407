//! The one sealing step: what the authenticator says of a credential leaves through here, signed or not.
//!
//! makeCredential with every attestation format, getAssertion, and both of CTAP1/U2F end here. Whatever is to be wrong in what a
//! relying party receives is changed by [`Environment::before_sealing`], so that exactly one of its checks fails and the
//! signature is valid; and what no signature covers, or the signature itself, by [`Environment::after_sealing`], which the whole
//! answer passes.

use keyrig_ctap::Status;
use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::u2f::Registration;

use crate::environment::{self, Environment, U2fRegistration, Unsealed};
use crate::private_key::PrivateKey;

/// Authenticator data as it leaves, and the signature over it if there is one.
pub(crate) struct Sealed {
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
}

/// Signs authenticator data and client data hash (WebAuthn Level 3 §6.3.3, §8.2), if there is a key.
pub(crate) fn seal(
    environment: &mut dyn Environment,
    mut data: AuthenticatorData,
    client_data_hash: &[u8; 32],
    key: Option<&PrivateKey>,
) -> Result<Sealed, Status> {
    environment.before_sealing(Unsealed::AuthenticatorData(&mut data));
    let authenticator_data = data.encode();
    let message = [&authenticator_data[..], client_data_hash];
    let signature = key.map(|key| sign(environment, key, &message)).transpose()?;
    Ok(Sealed { authenticator_data, signature })
}

/// Signs a registration of CTAP1/U2F (FIDO U2F Raw Message Formats 1.2 §4.3), and completes it with the certificate.
pub(crate) fn seal_registration(
    environment: &mut dyn Environment,
    mut registration: U2fRegistration,
    key: &PrivateKey,
    certificate: Vec<u8>,
) -> Result<Registration, Status> {
    environment.before_sealing(Unsealed::U2fRegistration(&mut registration));
    let U2fRegistration { application, challenge, key_handle, public_key } = registration;
    let signed = Registration::signed(&application, &challenge, &key_handle, &public_key);
    let signature = sign(environment, key, &[&signed])?;
    let mut sealed = Registration { public_key, key_handle, certificate, signature };
    environment.after_sealing(environment::Sealed::U2fRegistration(&mut sealed));
    Ok(sealed)
}

fn sign(environment: &dyn Environment, key: &PrivateKey, message: &[&[u8]]) -> Result<Vec<u8>, Status> {
    environment.crypto().sign(key, message).map_err(|_| Status::OtherError)
}
