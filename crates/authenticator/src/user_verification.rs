//! User verification as makeCredential and getAssertion want it (CTAP 2.3 §6.1.2, §6.2.2). There is none but by PIN.

use keyrig_ctap::Status;
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::{Options, PinUvAuth};

use crate::authenticator::Authenticator;
use crate::step::{Progress, Reason, Refusals};

/// A `pinUvAuthParam` of no bytes asks for a touch and nothing else: the platform wants to know which of several keys the user
/// means (§6.1.2 step 1, §6.2.2 step 1).
///
/// Nothing if the request is no such one, or the key has no PINs: then it is a parameter like others.
pub(crate) fn touch_probe(authenticator: &Authenticator, pin_uv_auth: &PinUvAuth, reason: Reason) -> Option<Progress> {
    let asked = pin_uv_auth.param.as_ref().is_some_and(Vec::is_empty);
    if !asked || authenticator.profile.option("clientPin").is_none() {
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

impl Authenticator {
    /// Whether the key is protected by some form of user verification: whether a PIN is set.
    pub(crate) fn is_protected(&self) -> bool {
        self.store().pin().is_some()
    }

    /// `alwaysUv`: whether every ceremony wants user verification.
    pub(crate) fn always_uv(&self) -> bool {
        self.profile.option("alwaysUv").is_some_and(|default| self.store().configuration().always_uv.unwrap_or(default))
    }

    /// What `alwaysUv` wants of a ceremony: a PIN that is set, and a `pinUvAuthParam` by it (§6.1.2 step 6, §6.2.2 step 5).
    pub(crate) fn check_always_uv(&self, pin_uv_auth: &PinUvAuth) -> Result<(), Status> {
        let satisfied = self.is_protected() && pin_uv_auth.param.is_some();
        if self.always_uv() && !satisfied { Err(Status::PuatRequired) } else { Ok(()) }
    }

    /// `makeCredUvNotRqd`: whether non-discoverable credentials are made without user verification, though a PIN is set.
    pub(crate) fn make_cred_uv_not_rqd(&self) -> bool {
        self.profile.option("makeCredUvNotRqd") == Some(true) && !self.always_uv()
    }

    /// A `pinUvAuthParam` names a protocol that the key has (§6.1.2 step 2, §6.2.2 step 2).
    pub(crate) fn check_pin_uv_auth_protocol(&self, pin_uv_auth: &PinUvAuth) -> Result<(), Status> {
        match &pin_uv_auth.param {
            None => Ok(()),
            Some(_) => self.pin_uv_auth_protocol(pin_uv_auth.protocol).map(drop),
        }
    }

    /// Whether the user is verified: whether there is a `pinUvAuthParam`, and it is the right one for this ceremony
    /// (§6.1.2 step 11, §6.2.2 step 6).
    ///
    /// # Errors
    /// [`Status::PinAuthInvalid`] if there is one and it is not.
    pub(crate) fn verify_user(
        &mut self,
        pin_uv_auth: &PinUvAuth,
        client_data_hash: &[u8; 32],
        permission: Permissions,
        rp_id: &str,
    ) -> Result<bool, Status> {
        if pin_uv_auth.param.is_none() {
            return Ok(false);
        }
        self.verify_pin_uv_auth(pin_uv_auth, &[client_data_hash], permission)?;
        self.bind_token(rp_id)?;
        Ok(true)
    }
}
