//! Whether a key is to verify the user for a ceremony, and by which of its ways: Chromium's decision.
//!
//! What goes into it: what the page wants (`userVerification`), whether the key can verify by itself (`uv`), whether it has a
//! PIN (`clientPin`), whether it always wants to (`alwaysUv`), and whether it makes credentials without (`makeCredUvNotRqd`).

use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::get_info;

use crate::ceremony::Turn;
use crate::channel::Channel;
use crate::client_pin::Purpose;
use crate::error::{Cause, Unsuitable};
use crate::json::Requirement;
use crate::key::Key;
use crate::pin::AskForPin;
use crate::pin_uv_auth_token::{self, PinUvAuthToken};

/// How the user is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Not at all.
    Nothing,
    /// By the key itself, asked by the `uv` option: a key that verifies, but knows no tokens.
    UvOption,
    /// By the key itself, which gives a token for it; by its PIN if that comes to nothing.
    BuiltIn,
    /// By the key's PIN; one is set first where there is none.
    Pin,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Verification {
    /// The user is not verified.
    Nothing,
    /// The key will verify the user when it carries out the command.
    ByOption,
    /// The user was verified, and this proves it.
    Token(PinUvAuthToken),
}

impl Verification {
    pub(crate) fn uv_option(&self) -> Option<bool> {
        matches!(self, Self::ByOption).then_some(true)
    }

    pub(crate) fn token(&self) -> Option<&PinUvAuthToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Nothing | Self::ByOption => None,
        }
    }

    /// `pinUvAuthParam` over a message, if there is a token to make it with.
    pub(crate) fn authenticate(&self, message: &[u8]) -> PinUvAuth {
        self.token().map(|token| token.authenticate(message)).unwrap_or_default()
    }
}

impl Method {
    /// What a request will carry for it, of the right size but without meaning.
    pub(crate) fn placeholder(self) -> PinUvAuth {
        match self {
            Self::Nothing | Self::UvOption => PinUvAuth::default(),
            Self::BuiltIn | Self::Pin => PinUvAuth { param: Some(vec![0; 32]), protocol: Some(2) },
        }
    }

    /// Verifies the user.
    pub(crate) async fn verify<C: Channel>(
        self,
        key: &mut Key<C>,
        ask: Option<&AskForPin<'_>>,
        purpose: Purpose<'_>,
        turn: &Turn,
    ) -> Result<Verification, Cause> {
        match self {
            Self::Nothing => return Ok(Verification::Nothing),
            Self::UvOption => return Ok(Verification::ByOption),
            Self::BuiltIn => {
                let verified = pin_uv_auth_token::by_built_in_uv(key, purpose, turn.cancel()).await?;
                // A finger on the sensor is a choice of the key as well.
                turn.take()?;
                if let Some(token) = verified {
                    return Ok(Verification::Token(token));
                }
                if key.get_info(turn.cancel()).await?.option("clientPin") != Some(true) {
                    return Err(Unsuitable::UserVerificationBlocked.into());
                }
            }
            Self::Pin => turn.select(key).await?,
        }
        let ask = ask.ok_or(Unsuitable::UserVerification)?;
        pin_uv_auth_token::by_pin(key, ask, purpose, turn.cancel()).await.map(Verification::Token)
    }
}

/// What decides about makeCredential.
pub(crate) struct Registration {
    pub(crate) wanted: Requirement,
    pub(crate) discoverable: bool,
    /// Whether the key will be asked over U2F if the user isn't verified.
    pub(crate) u2f_possible: bool,
}

/// The decision for makeCredential.
///
/// A key with a PIN makes no credential without it, unless it says `makeCredUvNotRqd` and the credential is not discoverable
/// (CTAP 2.3 §6.1.2 steps 8 to 10), or U2F is a way around.
pub(crate) fn for_make_credential(
    info: &get_info::Response,
    registration: &Registration,
    can_ask_for_pin: bool,
) -> Result<Method, Unsuitable> {
    let not_required = info.option("makeCredUvNotRqd") == Some(true) && !registration.discoverable;
    let pin_set = info.option("clientPin") == Some(true);
    let by_the_key = always(info) || (pin_set && !not_required && !registration.u2f_possible);
    // A page that requires it has a PIN set where there is none, and so does a key that always wants to verify.
    let may_set = info.option("clientPin") == Some(false);
    decide(info, registration.wanted, by_the_key, can_ask_for_pin, may_set)
}

/// The decision for getAssertion. A key without a PIN has no credential that was made with it, so none is set here.
pub(crate) fn for_get_assertion(
    info: &get_info::Response,
    wanted: Requirement,
    can_ask_for_pin: bool,
) -> Result<Method, Unsuitable> {
    decide(info, wanted, always(info), can_ask_for_pin, false)
}

fn decide(
    info: &get_info::Response,
    wanted: Requirement,
    by_the_key: bool,
    can_ask_for_pin: bool,
    may_set_pin: bool,
) -> Result<Method, Unsuitable> {
    let requirement = if by_the_key { Requirement::Required } else { wanted };
    if requirement == Requirement::Discouraged {
        return Ok(Method::Nothing);
    }
    if info.option("uv") == Some(true) {
        let tokens = info.option("pinUvAuthToken") == Some(true);
        return Ok(if tokens { Method::BuiltIn } else { Method::UvOption });
    }
    // CTAP 2.3 §6.4: a PIN that is good for configuration only.
    let for_ceremonies = info.option("noMcGaPermissionsWithClientPin") != Some(true);
    if can_ask_for_pin && for_ceremonies {
        let pin_set = info.option("clientPin") == Some(true);
        if pin_set || (may_set_pin && requirement == Requirement::Required) {
            return Ok(Method::Pin);
        }
    }
    match wanted {
        Requirement::Required => Err(Unsuitable::UserVerification),
        // What the key wants for itself it says for itself.
        Requirement::Preferred | Requirement::Discouraged => Ok(Method::Nothing),
    }
}

fn always(info: &get_info::Response) -> bool {
    info.option("alwaysUv") == Some(true)
}

#[cfg(test)]
mod tests;
