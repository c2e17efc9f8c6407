//! What a request may do: `pinUvAuthParam`, and user verification as makeCredential and getAssertion want it (CTAP 2.3 §6.1.2,
//! §6.2.2, §6.5.5.7).

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::PinUvAuth;

use crate::authenticator::Authenticator;
use crate::pin_uv_auth_protocol::{PinUvAuthProtocol, SharedSecret};
use crate::pin_uv_auth_token::PinUvAuthToken;

/// What a verified `pinUvAuthParam` authorizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// The RP ID that the token is bound to: nothing of another relying party may be touched with it.
    pub(crate) rp_id: Option<String>,
}

/// What is known of the user before a touch is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct User {
    pub(crate) is_verified: bool,
    /// Built-in user verification has shown it, for this ceremony or lately for its token.
    pub(crate) is_present: bool,
}

impl User {
    /// One whom the key has just verified itself.
    pub(crate) const KNOWN: Self = Self { is_verified: true, is_present: true };
}

impl Authenticator {
    /// `pinUvAuthTokenUsageTimerObserver` (§6.5.2.1): called as every command begins, for nothing sees a token in between.
    pub(crate) fn end_token_by_timer(&mut self, now: Duration) {
        self.memory.token.take_if(|token| token.has_ended(now));
    }

    /// The PIN/UV auth protocol that a request names.
    ///
    /// # Errors
    /// [`Status::MissingParameter`] if it names none, [`Status::InvalidParameter`] if the key does not have it.
    pub(crate) fn pin_uv_auth_protocol(&self, number: Option<u64>) -> Result<PinUvAuthProtocol, Status> {
        let assumed = Some(1).filter(|_| self.profile.behaviour.assumes_protocol_one);
        let number = number.or(assumed).ok_or(Status::MissingParameter)?;
        let known = self.profile.pin_uv_auth_protocols().contains(&number);
        let protocol = PinUvAuthProtocol::from_number(number).filter(|_| known);
        protocol.ok_or(self.profile.behaviour.unknown_protocol_status)
    }

    /// Verifies the `pinUvAuthParam` of a request under the pinUvAuthToken in use, over a message given in parts.
    ///
    /// The token has to have all of `permissions`; for [`Permissions::PCMR`] the persistentPinUvAuthToken will do as well, for
    /// then only reading is meant. That the token is bound to the right RP ID is for the caller to check, by what is returned.
    ///
    /// # Errors
    /// [`Status::PuatRequired`] without a `pinUvAuthParam`; [`Status::MissingParameter`] without a protocol,
    /// [`Status::InvalidParameter`] with one that the key does not have; [`Status::PinAuthInvalid`] if there is no token, it
    /// does not verify, or has not the permissions.
    pub(crate) fn verify_pin_uv_auth(
        &mut self,
        pin_uv_auth: &PinUvAuth,
        message: &[&[u8]],
        permissions: Permissions,
    ) -> Result<Authorization, Status> {
        let param = pin_uv_auth.param.as_ref().ok_or(Status::PuatRequired)?;
        let protocol = self.pin_uv_auth_protocol(pin_uv_auth.protocol)?;
        if permissions.contains(Permissions::PCMR)
            && let Some(token) = self.store().persistent_token()
            && protocol.verify(&token.0, message, param, self.profile.behaviour.comparison(protocol))
        {
            return Ok(Authorization { rp_id: None });
        }
        let wanted = Permissions(permissions.0 & !Permissions::PCMR.0);
        let comparison = self.profile.behaviour.comparison(protocol);
        let token = self.memory.token.as_mut().filter(|token| token.verify(protocol, message, param, comparison));
        let token = token.filter(|token| token.has(wanted));
        let token = token.ok_or(Status::PinAuthInvalid)?;
        token.was_used();
        Ok(Authorization { rp_id: token.rp_id().map(str::to_owned) })
    }

    /// The same for the prototype of credential management, which is older than permissions: platforms that know no other ask
    /// getPinToken for the token, and that one will do as long as it has what getPinToken gave it.
    pub(crate) fn verify_for_prototype(
        &mut self,
        pin_uv_auth: &PinUvAuth,
        message: &[&[u8]],
        permissions: Permissions,
    ) -> Result<Authorization, Status> {
        let pin_token = self.memory.token.as_ref().is_some_and(PinUvAuthToken::is_pin_token);
        let reads = permissions.intersection(Permissions::PCMR);
        let permissions = if pin_token { reads | Permissions::GA } else { permissions };
        self.verify_pin_uv_auth(pin_uv_auth, message, permissions)
    }

    /// What a user's touch ends: `clearUserVerifiedFlag` and `clearPinUvAuthTokenPermissionsExceptLbw` (§6.1.2 step 14,
    /// §6.2.2 step 9).
    pub(crate) fn consume_token(&mut self) {
        if let Some(token) = &mut self.memory.token {
            token.consume();
        }
    }

    /// `decapsulate` (§6.5.6).
    ///
    /// # Errors
    /// [`Status::InvalidParameter`] if the platform's point is none of P-256.
    pub(crate) fn decapsulate(
        &mut self,
        protocol: PinUvAuthProtocol,
        peer: &KeyAgreementKey,
    ) -> Result<SharedSecret, Status> {
        let keys = &mut self.memory.key_agreement_keys;
        keys.decapsulate(protocol, peer, self.environment.as_mut()).map_err(|_| Status::InvalidParameter)
    }

    /// Whether a ceremony performs built-in user verification though its `uv` option does not ask for it: what `alwaysUv` makes of
    /// one without a `pinUvAuthParam` (§6.1.2 step 6, §6.2.2 step 5).
    ///
    /// # Errors
    /// [`Authenticator::uv_required`] if user verification is wanted, and cannot be had so.
    pub(crate) fn check_always_uv(&self, pin_uv_auth: &PinUvAuth) -> Result<bool, Status> {
        match (self.is_protected(), pin_uv_auth.param.is_some(), self.built_in_uv()) {
            _ if !self.always_uv() => Ok(false),
            (true, true, _) => Ok(false),
            (true, false, Some(true)) => Ok(true),
            _ => Err(self.uv_required()),
        }
    }

    /// A `pinUvAuthParam` names a protocol that the key has (§6.1.2 step 2, §6.2.2 step 2).
    pub(crate) fn check_pin_uv_auth_protocol(&self, pin_uv_auth: &PinUvAuth) -> Result<(), Status> {
        match &pin_uv_auth.param {
            None => Ok(()),
            Some(_) => self.pin_uv_auth_protocol(pin_uv_auth.protocol).map(drop),
        }
    }

    /// Whether there is a `pinUvAuthParam`, and it is the right one for this ceremony (§6.1.2 step 11.1, §6.2.2 step 6.1).
    ///
    /// # Errors
    /// [`Status::PinAuthInvalid`] if there is one and it is not, and what the profile says if no PIN is set.
    pub(crate) fn verify_user(
        &mut self,
        pin_uv_auth: &PinUvAuth,
        client_data_hash: &[u8; 32],
        permission: Permissions,
        rp_id: &str,
        now: Duration,
    ) -> Result<User, Status> {
        if pin_uv_auth.param.is_none() {
            return Ok(User::default());
        }
        if !self.is_protected() {
            return Err(self.profile.behaviour.without_pin_status);
        }
        self.verify_pin_uv_auth(pin_uv_auth, &[client_data_hash], permission)?;
        let Some(token) = self.memory.token.as_mut() else { return Err(Status::PinAuthInvalid) };
        let is_present = token.shows_presence(now);
        if token.bind(rp_id) { Ok(User { is_verified: true, is_present }) } else { Err(Status::PinAuthInvalid) }
    }
}
