//! What makeCredential and getAssertion have in common (CTAP 2.3 §6.1.2, §6.2.2).

use keyrig_ctap::Status;
use keyrig_ctap::entities::{CredentialDescriptor, Extensions, Options, PinUvAuth};
use keyrig_ctap::extensions::HmacSecretInput;
use keyrig_ctap::get_info::OptionId;

use crate::authenticator::Authenticator;
use crate::credential::CredRandom;
use crate::hmac_secret::Salts;
use crate::presence::Reason;
use crate::progress::{Progress, Refusals};

/// A `pinUvAuthParam` of no bytes asks for a touch and nothing else: the platform wants to know which of several keys the user
/// means (§6.1.2 step 1, §6.2.2 step 1).
///
/// Nothing if the request is no such one, or the key has no PINs: then it is a parameter like others.
pub(crate) fn touch_probe(authenticator: &Authenticator, pin_uv_auth: &PinUvAuth, reason: Reason) -> Option<Progress> {
    let asked = pin_uv_auth.param.as_ref().is_some_and(Vec::is_empty);
    if !asked || authenticator.profile.option(OptionId::ClientPin).is_none() {
        return None;
    }
    Some(Progress::gesture(reason, Refusals::OF_A_CEREMONY, |authenticator, _| {
        if authenticator.is_protected() { Status::PinInvalid.into() } else { Status::PinNotSet.into() }
    }))
}

/// The `uv` option asks for built-in user verification, which no key here has; with a `pinUvAuthParam` it is taken as false
/// (§6.1.2 step 5, §6.2.2 step 4).
pub(crate) fn check_uv_option(options: &Options, pin_uv_auth: &PinUvAuth) -> Result<(), Status> {
    if options.uv == Some(true) && pin_uv_auth.param.is_none() { Err(Status::InvalidOption) } else { Ok(()) }
}

/// A list longer than what getInfo promises is not searched in part.
pub(crate) fn check_list(authenticator: &Authenticator, list: &[CredentialDescriptor]) -> Result<(), Status> {
    match authenticator.profile.max_credential_count_in_list {
        Some(max) if list.len() > usize::from(max) => Err(Status::LimitExceeded),
        _ => Ok(()),
    }
}

impl Authenticator {
    /// Of a ceremony's extensions those that this key has; whatever is said of others is ignored.
    pub(crate) fn known_extensions(&self, extensions: Option<&Extensions>) -> Option<Extensions> {
        Some(extensions?.filtered(|identifier| self.profile.has_extension(identifier)))
    }

    /// Opens the input of hmac-secret or hmac-secret-mc.
    ///
    /// # Errors
    /// [`Status::InvalidParameter`] for a protocol that the key does not have, or a point off the curve; and those of
    /// [`Salts::open`].
    pub(crate) fn open_salts(&mut self, input: &HmacSecretInput) -> Result<Salts, Status> {
        // Before CTAP 2.1 there was protocol one alone, and no member to say so.
        let protocol = self.pin_uv_auth_protocol(Some(input.pin_uv_auth_protocol.unwrap_or(1)))?;
        let secret = self.decapsulate(protocol, &input.key_agreement)?;
        Salts::open(secret, input)
    }

    /// The output of hmac-secret or hmac-secret-mc for a credential.
    pub(crate) fn hmac_secret(&mut self, salts: &Salts, id: &[u8], user_verified: bool) -> Vec<u8> {
        let CredRandom { with_uv, without_uv } = &self.store().cred_randoms(id);
        salts.outputs(if user_verified { with_uv } else { without_uv }, self.environment.as_mut())
    }
}
