//! pinUvAuthToken: what a right PIN or a verified user is exchanged for, and what it may be used for (CTAP 2.3 §6.5.2.1, §6.5.5.7).

use core::time::Duration;

use keyrig_ctap::client_pin::Permissions;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::environment::Environment;
use crate::pin_uv_auth_protocol::{Comparison, PinUvAuthProtocol};

/// `initial usage time limit`: a token that was not used by then ends (§6.5.2.1).
const INITIAL_USAGE_TIME_LIMIT: Duration = Duration::from_secs(30);

/// `user present time limit`: for so long a token shows the presence of the user whom the key has verified for it (§6.5.2.1).
const USER_PRESENT_TIME_LIMIT: Duration = INITIAL_USAGE_TIME_LIMIT;

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
    /// When built-in user verification has shown the user's presence, until that is used.
    present_at: Option<Duration>,
    /// It was asked for by getPinToken, which knows of no permissions.
    is_pin_token: bool,
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
        let bytes = random(environment);
        Self { protocol, bytes, permissions, rp_id, lifetime, present_at: None, is_pin_token: false }
    }

    /// The same token for a user whom the key has just verified itself.
    pub(crate) fn of_a_present_user(self, now: Duration) -> Self {
        Self { present_at: Some(now), ..self }
    }

    /// The token of getPinToken on a key that has permissions: the default ones, or none (§6.5.5.7.1 step 14).
    pub(crate) fn without_named_permissions(
        environment: &mut dyn Environment,
        protocol: PinUvAuthProtocol,
        permissions: Permissions,
        now: Duration,
    ) -> Self {
        let issued = Self::issue(environment, protocol, permissions, None, now);
        Self { is_pin_token: true, ..issued }
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
        let lifetime = Lifetime::UntilPowerUp;
        let bytes = random(environment);
        Self { protocol, bytes, permissions, rp_id: None, lifetime, present_at: None, is_pin_token: true }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Whether a `pinUvAuthParam` authenticates a message, given in parts, under this token.
    pub(crate) fn verify(
        &self,
        protocol: PinUvAuthProtocol,
        message: &[&[u8]],
        param: &[u8],
        comparison: Comparison,
    ) -> bool {
        self.protocol == protocol && protocol.verify(&self.bytes, message, param, comparison)
    }

    /// Whether it has all of these permissions.
    pub(crate) fn has(&self, permissions: Permissions) -> bool {
        self.permissions.contains(permissions)
    }

    /// Whether it was asked for by getPinToken.
    pub(crate) fn is_pin_token(&self) -> bool {
        self.is_pin_token
    }

    /// The RP ID that it is bound to.
    pub(crate) fn rp_id(&self) -> Option<&str> {
        self.rp_id.as_deref()
    }

    /// The usage timer has something to go on.
    pub(crate) fn was_used(&mut self) {
        if let Lifetime::UsageTimer { used, .. } = &mut self.lifetime {
            *used = true;
        }
    }

    /// Binds it to an RP ID, if it is bound to none yet; false if it is bound to another.
    pub(crate) fn bind(&mut self, rp_id: &str) -> bool {
        match self.lifetime {
            Lifetime::UntilPowerUp => true,
            Lifetime::UsageTimer { .. } => self.rp_id.get_or_insert_with(|| rp_id.to_owned()) == rp_id,
        }
    }

    /// `getUserPresentFlagValue`.
    pub(crate) fn shows_presence(&self, now: Duration) -> bool {
        self.present_at.is_some_and(|at| now.saturating_sub(at) < USER_PRESENT_TIME_LIMIT)
    }

    /// A user's touch leaves it `lbw` alone. Without mc and ga nothing asks for the user verified flag any more, so that needs
    /// no place of its own.
    pub(crate) fn consume(&mut self) {
        self.present_at = None;
        if let Lifetime::UsageTimer { .. } = self.lifetime {
            self.permissions = self.permissions.intersection(Permissions::LBW);
        }
    }

    pub(crate) fn has_ended(&self, now: Duration) -> bool {
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
