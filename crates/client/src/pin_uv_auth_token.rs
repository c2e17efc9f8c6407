//! The token by which a key knows that its user was verified, and the conversation that yields one.

use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Status, get_info};
use zeroize::Zeroizing;

use crate::channel::{Cancel, Channel};
use crate::error::Cause;
use crate::key::Key;
use crate::pin::{self, AskForPin, Pin, PinMistake, PinProblem, PinReason, PinRequest};
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;

/// How often a PIN is asked for that no key could have, before its giver is taken for a program.
const PATIENCE: usize = 8;

/// What a token is wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose<'a> {
    pub(crate) permissions: Permissions,
    /// What the token is to be bound to, in keys that can.
    pub(crate) rp_id: Option<&'a str>,
}

/// A `pinUvAuthToken`.
pub struct PinUvAuthToken {
    protocol: PinUvAuthProtocol,
    secret: Zeroizing<Vec<u8>>,
}

impl PinUvAuthToken {
    pub(crate) fn new(protocol: PinUvAuthProtocol, secret: Zeroizing<Vec<u8>>) -> Self {
        Self { protocol, secret }
    }

    /// `pinUvAuthParam` over a message, and the protocol's number.
    pub(crate) fn authenticate(&self, message: &[u8]) -> PinUvAuth {
        PinUvAuth {
            param: Some(self.protocol.authenticate(&self.secret, message)),
            protocol: Some(self.protocol.number()),
        }
    }
}

impl core::fmt::Debug for PinUvAuthToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PinUvAuthToken").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl<C: Channel> Key<C> {
    /// Verifies the user, by the key itself or by its PIN, for what the permissions say; bound to an RP ID if one is given. Older
    /// keys know no permissions: their token is good for everything they do.
    ///
    /// # Errors
    /// [`Cause`]: the user was not verified.
    pub async fn pin_uv_auth_token(
        &mut self,
        permissions: Permissions,
        rp_id: Option<&str>,
        ask: &AskForPin<'_>,
        cancel: &Cancel,
    ) -> Result<PinUvAuthToken, Cause> {
        let info = self.get_info(cancel).await?;
        let purpose = Purpose { permissions, rp_id };
        if info.option(OptionId::Uv) == Some(true)
            && info.option(OptionId::PinUvAuthToken) == Some(true)
            && uv_may(&info, permissions)
            && let Some(token) = by_built_in_uv(self, purpose, cancel, || Ok(())).await?
        {
            return Ok(token);
        }
        if info.option(OptionId::ClientPin) == Some(false) {
            return Err(PinProblem::NotSet.into());
        }
        by_pin(self, ask, purpose, cancel).await
    }
}

/// Whether built-in user verification is enough for what a token is to permit: who may enrol and configure is another matter
/// (CTAP 2.3 §6.4, `uvBioEnroll` and `uvAcfg`).
fn uv_may(info: &get_info::Response, permissions: Permissions) -> bool {
    let may = |option| info.option(option) == Some(true);
    [(Permissions::BE, OptionId::UvBioEnroll), (Permissions::ACFG, OptionId::UvAcfg)]
        .into_iter()
        .all(|(permission, option)| !permissions.contains(permission) || may(option))
}

/// Gets a token by the key's PIN, which the user is asked for until it is right, the user gives up, or the key does.
///
/// As a browser does, it says what was wrong with the last PIN and how many tries are left; has a first PIN set where there
/// is none, and another one where the key demands it (CTAP 2.3 §6.5.5.7: `forcePINChange`).
pub(crate) async fn by_pin<C: Channel>(
    key: &mut Key<C>,
    ask: &AskForPin<'_>,
    purpose: Purpose<'_>,
    cancel: &Cancel,
) -> Result<PinUvAuthToken, Cause> {
    let info = key.get_info(cancel).await?;
    match info.option(OptionId::ClientPin) {
        None => return Err(PinProblem::NotSupported.into()),
        Some(false) => {
            let pin = set(key, &info, ask, cancel).await?;
            return key.token_by_pin(&pin, purpose, cancel).await;
        }
        Some(true) => {}
    }
    let mut mistake = None;
    loop {
        let current = current(key, ask, mistake, cancel).await?;
        if info.force_pin_change != Some(true) {
            match key.token_by_pin(&current, purpose, cancel).await {
                Ok(token) => return Ok(token),
                Err(Cause::Status { status: Status::PinInvalid, .. }) => {
                    mistake = Some(PinMistake::Wrong);
                    continue;
                }
                // The PIN is right, and has to be another: the minimum length was raised since getInfo, for instance.
                Err(Cause::Status { status: Status::PinPolicyViolation, .. }) => {}
                Err(other) => return Err(other),
            }
        }
        match change(key, &current, ask, cancel).await {
            Ok(new) => return key.token_by_pin(&new, purpose, cancel).await,
            Err(Cause::Status { status: Status::PinInvalid, .. }) => mistake = Some(PinMistake::Wrong),
            Err(other) => return Err(other),
        }
    }
}

/// Gets a token by built-in user verification. A key that takes no more of it may be left to its PIN: `None`. `on_finger` is
/// called when a finger was there that the key does not know.
pub(crate) async fn by_built_in_uv<C: Channel>(
    key: &mut Key<C>,
    purpose: Purpose<'_>,
    cancel: &Cancel,
    on_finger: impl Fn() -> Result<(), Cause>,
) -> Result<Option<PinUvAuthToken>, Cause> {
    let mut retries = key.uv_retries(cancel).await?;
    while retries > 0 {
        match key.token_by_built_in_uv(purpose, cancel).await {
            Ok(token) => return Ok(Some(token)),
            // Once more.
            Err(Cause::Status { status: Status::UvInvalid, .. }) => {
                on_finger()?;
                retries -= 1;
            }
            Err(Cause::Status { status: Status::UvBlocked, .. }) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// Asks for the PIN that the key has.
async fn current<C: Channel>(
    key: &mut Key<C>,
    ask: &AskForPin<'_>,
    mut mistake: Option<PinMistake>,
    cancel: &Cancel,
) -> Result<Pin, Cause> {
    let retries = key.pin_retries(cancel).await?;
    if retries.left == 0 {
        return Err(PinProblem::Blocked.into());
    }
    if retries.power_cycle_needed {
        return Err(PinProblem::PowerCycleNeeded.into());
    }
    for _ in 0..PATIENCE {
        let request = PinRequest {
            key: key.name().to_owned(),
            reason: PinReason::Verify,
            mistake,
            retries: Some(retries.left),
            minimum_length: pin::MIN_CODE_POINTS,
        };
        let given = ask(&request).ok_or_else(|| none_given(mistake))?;
        match given.check_current() {
            Ok(()) => return Ok(given),
            Err(impossible) => mistake = Some(impossible),
        }
    }
    Err(none_given(mistake).into())
}

/// Nothing was typed, or nothing after a mistake: then that is what ends it.
fn none_given(mistake: Option<PinMistake>) -> PinProblem {
    mistake.map_or(PinProblem::NotGiven, PinProblem::Mistake)
}

/// Has a first PIN set.
async fn set<C: Channel>(
    key: &mut Key<C>,
    info: &get_info::Response,
    ask: &AskForPin<'_>,
    cancel: &Cancel,
) -> Result<Pin, Cause> {
    let mut mistake = None;
    for _ in 0..PATIENCE {
        let new = new_pin(key.name(), PinReason::Set, info, None, ask, mistake)?;
        match key.set_pin(&new, cancel).await {
            Ok(()) => return Ok(new),
            Err(Cause::Status { status: Status::PinPolicyViolation, .. }) => mistake = Some(PinMistake::Policy),
            Err(other) => return Err(other),
        }
    }
    Err(PinProblem::Mistake(PinMistake::Policy).into())
}

/// Has another PIN set in place of `current`.
async fn change<C: Channel>(
    key: &mut Key<C>,
    current: &Pin,
    ask: &AskForPin<'_>,
    cancel: &Cancel,
) -> Result<Pin, Cause> {
    let mut mistake = None;
    for _ in 0..PATIENCE {
        let info = key.get_info(cancel).await?;
        let new = new_pin(key.name(), PinReason::Change, &info, Some(current), ask, mistake)?;
        match key.change_pin(current, &new, cancel).await {
            Ok(()) => return Ok(new),
            Err(Cause::Status { status: Status::PinPolicyViolation, .. }) => mistake = Some(PinMistake::Policy),
            Err(other) => return Err(other),
        }
    }
    Err(PinProblem::Mistake(PinMistake::Policy).into())
}

/// Asks for a new PIN until it is one that the key could take.
fn new_pin(
    key: &str,
    reason: PinReason,
    info: &get_info::Response,
    current: Option<&Pin>,
    ask: &AskForPin<'_>,
    mut mistake: Option<PinMistake>,
) -> Result<Pin, PinProblem> {
    for _ in 0..PATIENCE {
        let minimum_length = pin::minimum(info);
        let request = PinRequest { key: key.to_owned(), reason, mistake, retries: None, minimum_length };
        let new = ask(&request).ok_or_else(|| none_given(mistake))?;
        mistake = match new.check_new(info) {
            Ok(()) if Some(&new) == current => Some(PinMistake::SameAsCurrent),
            Ok(()) => return Ok(new),
            Err(mistake) => Some(mistake),
        };
    }
    Err(none_given(mistake))
}

#[cfg(test)]
mod tests;
