//! Whether a key is to verify the user for a ceremony, and by which of its ways: each browser's decision.
//!
//! What goes into it: what the page wants (`userVerification`), whether the key can verify by itself (`uv`), whether it has a
//! PIN (`clientPin`), whether it always wants to (`alwaysUv`), and whether it makes credentials without (`makeCredUvNotRqd`).

use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::get_info;
use keyrig_ctap::get_info::OptionId;

use crate::browser::{AtKeys, Browser};
use crate::ceremony::Turn;
use crate::channel::Channel;
use crate::error::{Cause, Unsuitable};
use crate::json::Requirement;
use crate::key::Key;
use crate::pin::AskForPin;
use crate::pin_uv_auth_token::{self, PinUvAuthToken, Purpose};

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
                // A finger on the sensor is a choice of the key, known or not.
                let verified = pin_uv_auth_token::by_built_in_uv(key, purpose, turn.cancel(), || turn.take()).await?;
                turn.take()?;
                if let Some(token) = verified {
                    return Ok(Verification::Token(token));
                }
                if key.get_info(turn.cancel()).await?.option(OptionId::ClientPin) != Some(true) {
                    return Err(Unsuitable::UserVerificationBlocked.into());
                }
            }
            Self::Pin => turn.select(key).await?,
        }
        let ask = ask.ok_or(Unsuitable::UserVerification)?;
        pin_uv_auth_token::by_pin(key, ask, purpose, turn.cancel()).await.map(Verification::Token)
    }
}

/// What decides, beside what the key says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) browser: Browser,
    /// What the page wants.
    pub(crate) wanted: Requirement,
    /// Whether the credential is to be discoverable, or has to be discovered.
    pub(crate) discoverable: bool,
    /// Whether the page wants the credential's secret (`prf`, `hmacCreateSecret`), of which keys have one with user
    /// verification and one without, and the key has secrets.
    pub(crate) secret: bool,
    /// Whether somebody can be asked for a PIN.
    pub(crate) can_ask: bool,
}

/// The decision for makeCredential. `u2f_possible`: whether U2F can make what the page wants.
///
/// A key with a PIN or built-in user verification makes no credential without it, unless it says `makeCredUvNotRqd` and the credential is not discoverable
/// (CTAP 2.3 §6.1.2 steps 8 to 10), or U2F is a way around.
pub(crate) fn for_make_credential(
    info: &get_info::Response,
    circumstances: Circumstances,
    u2f_possible: bool,
) -> Result<Method, Unsuitable> {
    let Circumstances { browser, wanted, discoverable, .. } = circumstances;
    let not_required = info.option(OptionId::MakeCredUvNotRqd) == Some(true) && wanted == Requirement::Discouraged;
    match browser.at_keys() {
        AtKeys::Chromium => {
            let wanted = chromiums_requirement(info, circumstances);
            let not_required = not_required && wanted == Requirement::Discouraged;
            // Found so of Chromium 156 with a key of CTAP 2.1 that verifies its user itself, too.
            let is_protected = has_pin(info) || info.option(OptionId::Uv) == Some(true) && has_tokens(info);
            let by_the_key = is_protected && !u2f_possible && !not_required;
            let wanted = if by_the_key { Requirement::Required } else { wanted };
            // A PIN is set where there is none.
            chromium(info, wanted, circumstances, knows_pin(info))
        }
        AtKeys::Firefox => firefox(info, not_required && !discoverable),
    }
}

/// The decision for getAssertion. A key without a PIN has no credential that was made with it, so none is set here.
pub(crate) fn for_get_assertion(info: &get_info::Response, circumstances: Circumstances) -> Result<Method, Unsuitable> {
    match circumstances.browser.at_keys() {
        AtKeys::Chromium => {
            let wanted = chromiums_requirement(info, circumstances);
            chromium(info, wanted, circumstances, has_pin(info))
        }
        AtKeys::Firefox => firefox(info, circumstances.wanted == Requirement::Discouraged),
    }
}

/// Discoverable credentials are always made and used with user verification, whatever the page says; and secrets, if that
/// is possible at all.
fn chromiums_requirement(info: &get_info::Response, circumstances: Circumstances) -> Requirement {
    let Circumstances { wanted, discoverable, secret, .. } = circumstances;
    match wanted {
        _ if discoverable || always(info) => Requirement::Required,
        Requirement::Discouraged if secret => Requirement::Preferred,
        wanted => wanted,
    }
}

fn chromium(
    info: &get_info::Response,
    wanted: Requirement,
    circumstances: Circumstances,
    pin_possible: bool,
) -> Result<Method, Unsuitable> {
    let pin_possible = pin_possible && circumstances.can_ask;
    let verifies = info.option(OptionId::Uv) == Some(true);
    // A secret that a PIN set later on would change is reason enough to have one set.
    let pin_wanted = pin_possible && (has_pin(info) || circumstances.secret);
    match wanted {
        Requirement::Discouraged => Ok(Method::Nothing),
        Requirement::Preferred if !verifies && !pin_wanted => Ok(Method::Nothing),
        _ if verifies && has_tokens(info) => Ok(Method::BuiltIn),
        _ if verifies => Ok(Method::UvOption),
        _ if pin_possible => Ok(Method::Pin),
        Requirement::Preferred => Ok(Method::Nothing),
        Requirement::Required => Err(Unsuitable::UserVerification),
    }
}

/// What a page wants is no reason to set a PIN: a key without any is taken as it is.
fn firefox(info: &get_info::Response, not_required: bool) -> Result<Method, Unsuitable> {
    let verifies = info.option(OptionId::Uv) == Some(true);
    let protected = verifies || has_pin(info);
    match () {
        () if !always(info) && (!protected || not_required) => Ok(Method::Nothing),
        () if verifies && has_tokens(info) => Ok(Method::BuiltIn),
        () if verifies => Ok(Method::UvOption),
        () if has_pin(info) => Ok(Method::Pin),
        () if knows_pin(info) => Err(Unsuitable::NoPin),
        () => Ok(Method::Nothing),
    }
}

fn has_tokens(info: &get_info::Response) -> bool {
    info.option(OptionId::PinUvAuthToken) == Some(true)
}

/// Whether there is a PIN that is good for ceremonies (CTAP 2.3 §6.4, `noMcGaPermissionsWithClientPin`).
fn has_pin(info: &get_info::Response) -> bool {
    info.option(OptionId::ClientPin) == Some(true) && knows_pin(info)
}

fn knows_pin(info: &get_info::Response) -> bool {
    info.option(OptionId::ClientPin).is_some() && info.option(OptionId::NoMcGaPermissionsWithClientPin) != Some(true)
}

fn always(info: &get_info::Response) -> bool {
    info.option(OptionId::AlwaysUv) == Some(true)
}

#[cfg(test)]
mod tests;
