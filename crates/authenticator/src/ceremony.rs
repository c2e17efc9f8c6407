//! What makeCredential and getAssertion have in common (CTAP 2.3 §6.1.2, §6.2.2).

use keyrig_ctap::Status;
use keyrig_ctap::entities::{CredentialDescriptor, Extensions, Options, PinUvAuth};
use keyrig_ctap::extensions::HmacSecretInput;

use crate::authenticator::Authenticator;
use crate::credential::CredRandom;
use crate::hmac_secret::Salts;
use crate::presence::Reason;
use crate::profile::Probe;
use crate::progress::{Progress, Refusals};
use crate::user_verification;

/// A `pinUvAuthParam` of no bytes asks for a touch and nothing else: the platform wants to know which of several keys the user
/// means (§6.1.2 step 1, §6.2.2 step 1).
///
/// Nothing if the request is no such one, or the key has no PINs: then it is a parameter like others.
pub(crate) fn touch_probe(authenticator: &Authenticator, pin_uv_auth: &PinUvAuth, reason: Reason) -> Option<Progress> {
    fn answer(authenticator: &Authenticator) -> Progress {
        let behaviour = &authenticator.profile.behaviour;
        let is_pin_set = authenticator.store().pin().is_some();
        if is_pin_set { behaviour.probe_status_with_pin.into() } else { behaviour.probe_status_without_pin.into() }
    }
    let asked = pin_uv_auth.param.as_ref().is_some_and(Vec::is_empty);
    if !asked || !authenticator.profile.has_client_pin() {
        return None;
    }
    let behaviour = &authenticator.profile.behaviour;
    if behaviour.probe == Probe::NeedsProtocol && pin_uv_auth.protocol.is_none() {
        return Some(Status::MissingParameter.into());
    }
    if behaviour.get_assertion_probe_at_once && reason == Reason::GetAssertion {
        return Some(answer(authenticator));
    }
    let refusals = Refusals::of_a_ceremony(authenticator);
    Some(Progress::gesture(reason, refusals, |authenticator, _| answer(authenticator)))
}

/// Whether the `uv` option asks for built-in user verification, which has to be set up; with a `pinUvAuthParam` it is taken as
/// false (§6.1.2 step 5, §6.2.2 step 4).
pub(crate) fn check_uv_option(
    authenticator: &Authenticator,
    options: &Options,
    pin_uv_auth: &PinUvAuth,
) -> Result<bool, Status> {
    let behaviour = &authenticator.profile.behaviour;
    let Some(uv) = options.uv.filter(|_| !behaviour.ignores_uv_option) else { return Ok(false) };
    let without = behaviour.uv_option_status.filter(|_| authenticator.built_in_uv().is_none());
    let refusal = match (uv, pin_uv_auth.param.is_some()) {
        (true, true) => behaviour.uv_with_param_status,
        (true, false) if authenticator.built_in_uv() == Some(true) => return Ok(true),
        (true, false) => without.or(Some(behaviour.uv_true_status)),
        (false, _) => without,
    };
    refusal.map_or(Ok(false), Err)
}

/// Goes on with a ceremony after built-in user verification (§6.1.2 step 11.2, §6.2.2 step 6.2).
pub(crate) fn after_built_in_uv(
    authenticator: &Authenticator,
    reason: Reason,
    then: impl FnOnce(&mut Authenticator) -> Result<Progress, Status> + Send + 'static,
) -> Progress {
    let attempts = authenticator.profile.behaviour.uv_internal_attempts;
    user_verification::perform(authenticator, reason, attempts, Authenticator::uv_failed, move |authenticator, _| {
        then(authenticator).unwrap_or_else(Progress::from)
    })
}

/// A list longer than what getInfo promises is not searched in part.
pub(crate) fn check_list(authenticator: &Authenticator, list: &[CredentialDescriptor]) -> Result<(), Status> {
    match authenticator.profile.list_limit() {
        Some(max) if list.len() > max => Err(Status::LimitExceeded),
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
