//! The one sealing step: authenticator data becomes a signed statement.
//!
//! makeCredential and getAssertion both end here. Whatever is to be wrong in what a relying party receives is changed before
//! this, so that exactly one of its checks fails and the signature is valid.

use keyrig_ctap::Status;
use keyrig_ctap::authenticator_data::AuthenticatorData;

use crate::environment::Environment;
use crate::private_key::PrivateKey;

/// Authenticator data as it was signed, and the signature.
pub(crate) struct Sealed {
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Signs authenticator data and client data hash (WebAuthn Level 3 §6.3.3, §8.2).
pub(crate) fn seal(
    environment: &dyn Environment,
    data: &AuthenticatorData,
    client_data_hash: &[u8; 32],
    key: &PrivateKey,
) -> Result<Sealed, Status> {
    let authenticator_data = data.encode();
    let signature =
        environment.crypto().sign(key, &[&authenticator_data, client_data_hash]).map_err(|_| Status::OtherError)?;
    Ok(Sealed { authenticator_data, signature })
}
