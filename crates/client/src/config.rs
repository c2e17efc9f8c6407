//! How a key is set up: authenticatorConfig (CTAP 2.3 §6.11), and authenticatorReset (§6.6).

use keyrig_ctap::Request as Message;
use keyrig_ctap::config::{Parameters, Request, Subcommand};
use keyrig_ctap::get_info::OptionId;

use crate::channel::{Cancel, Channel};
use crate::error::{Cause, Unsuitable};
use crate::key::Key;
use crate::pin_uv_auth_token::PinUvAuthToken;

/// What setMinPINLength changes (CTAP 2.3 §6.11.4). What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinRules {
    /// The fewest Unicode code points of a PIN. It can only grow.
    pub minimum_length: Option<u64>,
    /// The RP IDs that may learn it by the `minPinLength` extension.
    pub rp_ids: Option<Vec<String>>,
    /// Whether the PIN has to be changed before it is of use again.
    pub force_change: bool,
    /// Whether the key holds a policy of its own besides.
    pub complexity_policy: Option<bool>,
}

impl<C: Channel> Key<C> {
    /// Switches `alwaysUv` on, or off. The token needs the permission `acfg`, as for everything here; a key without PIN and
    /// fingerprint takes no token.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed.
    pub async fn toggle_always_uv(&mut self, token: Option<&PinUvAuthToken>, cancel: &Cancel) -> Result<(), Cause> {
        self.configure(Request::new(Subcommand::ToggleAlwaysUv, Parameters::default()), token, cancel).await
    }

    /// Raises the minimum length of PINs, or demands another PIN.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed.
    pub async fn set_pin_rules(
        &mut self,
        rules: &PinRules,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let parameters = Parameters {
            new_min_pin_length: rules.minimum_length,
            min_pin_length_rp_ids: rules.rp_ids.clone(),
            force_change_pin: rules.force_change.then_some(true),
            pin_complexity_policy: rules.complexity_policy,
        };
        self.configure(Request::new(Subcommand::SetMinPinLength, parameters), token, cancel).await
    }

    /// Lets the key give enterprise attestations.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed.
    pub async fn enable_enterprise_attestation(
        &mut self,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let request = Request::new(Subcommand::EnableEnterpriseAttestation, Parameters::default());
        self.configure(request, token, cancel).await
    }

    /// Has a reset take a long touch instead of a fresh power-up.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed.
    pub async fn enable_long_touch_for_reset(
        &mut self,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let request = Request::new(Subcommand::EnableLongTouchForReset, Parameters::default());
        self.configure(request, token, cancel).await
    }

    /// Deletes all credentials and the PIN, after a touch. Most keys allow it only in the first seconds after they were plugged
    /// in, and answer `CTAP2_ERR_NOT_ALLOWED` later.
    ///
    /// # Errors
    /// [`Cause`]: nothing was deleted.
    pub async fn reset(&mut self, cancel: &Cancel) -> Result<(), Cause> {
        self.transact(&Message::Reset, cancel).await?;
        self.forget_info();
        Ok(())
    }

    async fn configure(
        &mut self,
        mut request: Request,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        if self.get_info(cancel).await?.option(OptionId::AuthnrCfg) != Some(true) {
            return Err(Unsuitable::Configuration.into());
        }
        request.pin_uv_auth =
            token.map(|token| token.authenticate(&request.authenticated_message())).unwrap_or_default();
        self.transact(&Message::Config(request), cancel).await?;
        self.forget_info();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
