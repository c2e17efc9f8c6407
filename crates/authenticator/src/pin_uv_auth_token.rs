//! pinUvAuthToken: what a right PIN is exchanged for, and what it may be used for (CTAP 2.3 §6.5.2.1, §6.5.5.7).
//!
//! There is no built-in user verification, so a token always comes from a PIN: it verifies the user and never shows presence,
//! and the user present time limit has nothing to end.

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::PinUvAuth;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::authenticator::Authenticator;
use crate::environment::Environment;
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;

/// `initial usage time limit`: a token that was not used by then ends (§6.5.2.1).
const INITIAL_USAGE_TIME_LIMIT: Duration = Duration::from_secs(30);

/// `max usage time period`: after this a token ends, used or not (§6.5.2.1).
const MAX_USAGE_TIME_PERIOD: Duration = Duration::from_secs(600);

/// A token in use.
pub(crate) struct PinUvAuthToken {
    protocol: PinUvAuthProtocol,
    bytes: Zeroizing<[u8; 32]>,
    permissions: Permissions,
    /// The RP ID that it is bound to, from its request or from its first use.
    rp_id: Option<String>,
    lifetime: Lifetime,
}

/// How long a token lives.
enum Lifetime {
    /// As long as the usage timer lets it.
    UsageTimer { issued: Duration, used: bool },
    /// The pinToken of CTAP 2.0: until the next power-up, for whatever a PIN is wanted for.
    UntilPowerUp,
}

/// The persistentPinUvAuthToken: it reads credentials' metadata until the PIN changes (§6.5.2.1). Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct PersistentPinUvAuthToken(pub(crate) [u8; 32]);

impl core::fmt::Debug for PersistentPinUvAuthToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PersistentPinUvAuthToken")
    }
}

impl PersistentPinUvAuthToken {
    pub(crate) fn generate(environment: &mut dyn Environment) -> Self {
        let mut token = Self([0; 32]);
        environment.random(&mut token.0);
        token
    }
}

/// What a verified `pinUvAuthParam` authorizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// The RP ID that the token is bound to: nothing of another relying party may be touched with it.
    pub(crate) rp_id: Option<String>,
}

impl PinUvAuthToken {
    /// A new token, with the timer running.
    pub(crate) fn issue(
        environment: &mut dyn Environment,
        protocol: PinUvAuthProtocol,
        permissions: Permissions,
        rp_id: Option<String>,
        now: Duration,
    ) -> Self {
        let lifetime = Lifetime::UsageTimer { issued: now, used: false };
        Self { protocol, bytes: random(environment), permissions, rp_id, lifetime }
    }

    /// The pinToken of CTAP 2.0: the one that there is, if it is of this protocol.
    pub(crate) fn pin_token(
        environment: &mut dyn Environment,
        protocol: PinUvAuthProtocol,
        known: Option<Self>,
    ) -> Self {
        if let Some(known) = known.filter(|known| known.protocol == protocol) {
            return known;
        }
        let permissions = Permissions::MC | Permissions::GA | Permissions::CM;
        Self { protocol, bytes: random(environment), permissions, rp_id: None, lifetime: Lifetime::UntilPowerUp }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn has_ended(&self, now: Duration) -> bool {
        let Lifetime::UsageTimer { issued, used } = self.lifetime else { return false };
        let age = now.saturating_sub(issued);
        age >= MAX_USAGE_TIME_PERIOD || !used && age >= INITIAL_USAGE_TIME_LIMIT
    }
}

fn random(environment: &mut dyn Environment) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    environment.random(bytes.as_mut_slice());
    bytes
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
        let number = number.ok_or(Status::MissingParameter)?;
        let known = self.profile.pin_uv_auth_protocols().contains(&number);
        PinUvAuthProtocol::from_number(number).filter(|_| known).ok_or(Status::InvalidParameter)
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
            && protocol.verify(&token.0, message, param)
        {
            return Ok(Authorization { rp_id: None });
        }
        let wanted = Permissions(permissions.0 & !Permissions::PCMR.0);
        let token = self
            .memory
            .token
            .as_mut()
            .filter(|token| token.protocol == protocol && protocol.verify(&token.bytes, message, param))
            .filter(|token| token.permissions.contains(wanted))
            .ok_or(Status::PinAuthInvalid)?;
        if let Lifetime::UsageTimer { used, .. } = &mut token.lifetime {
            *used = true;
        }
        Ok(Authorization { rp_id: token.rp_id.clone() })
    }

    /// Binds the token in use to an RP ID, if it is not bound yet.
    ///
    /// # Errors
    /// [`Status::PinAuthInvalid`] if it is bound to another.
    pub(crate) fn bind_token(&mut self, rp_id: &str) -> Result<(), Status> {
        match self.memory.token.as_mut() {
            Some(PinUvAuthToken { lifetime: Lifetime::UntilPowerUp, .. }) | None => Ok(()),
            Some(token) => match &token.rp_id {
                Some(bound) if bound != rp_id => Err(Status::PinAuthInvalid),
                Some(_) => Ok(()),
                None => {
                    token.rp_id = Some(rp_id.to_owned());
                    Ok(())
                }
            },
        }
    }

    /// What a user's touch ends: `clearUserVerifiedFlag` and `clearPinUvAuthTokenPermissionsExceptLbw` (§6.1.2 step 14,
    /// §6.2.2 step 9).
    ///
    /// Without mc and ga nothing asks for the flag any more, so it needs no place of its own.
    pub(crate) fn consume_token(&mut self) {
        if let Some(token) = &mut self.memory.token
            && matches!(token.lifetime, Lifetime::UsageTimer { .. })
        {
            token.permissions = token.permissions.intersection(Permissions::LBW);
        }
    }
}
