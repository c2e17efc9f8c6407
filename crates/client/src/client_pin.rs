//! authenticatorClientPIN: PIN and tokens of one key, from the platform's side (CTAP 2.3 §6.5.5).

use keyrig_ctap::client_pin::{Request, Response, Subcommand};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Command, Request as Message, get_info};

use crate::channel::{Cancel, Channel};
use crate::error::{Cause, InvalidResponse};
use crate::key::{Key, undecodable};
use crate::pin::{Pin, PinProblem};
use crate::pin_uv_auth_protocol::{AgreementError, PinUvAuthProtocol, SharedSecret};
use crate::pin_uv_auth_token::{PinUvAuthToken, Purpose};

/// How many wrong PINs are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRetries {
    /// Wrong PINs until the PIN is blocked for good.
    pub left: u64,
    /// Whether the key takes no PIN until it has been without power.
    pub power_cycle_needed: bool,
}

impl<C: Channel> Key<C> {
    /// How many wrong PINs are left (getPINRetries).
    ///
    /// # Errors
    /// [`Cause`]: why the key does not say.
    pub async fn pin_retries(&mut self, cancel: &Cancel) -> Result<PinRetries, Cause> {
        let response = self.client_pin(&Request::new(Subcommand::GetPinRetries), cancel).await?;
        let left = response.pin_retries.ok_or_else(|| missing("pinRetries"))?;
        Ok(PinRetries { left, power_cycle_needed: response.power_cycle_state == Some(true) })
    }

    /// How many failures of built-in user verification are left (getUVRetries).
    ///
    /// # Errors
    /// [`Cause`]: why the key does not say.
    pub async fn uv_retries(&mut self, cancel: &Cancel) -> Result<u64, Cause> {
        let response = self.client_pin(&Request::new(Subcommand::GetUvRetries), cancel).await?;
        response.uv_retries.ok_or_else(|| missing("uvRetries"))
    }

    /// Sets the first PIN (setPIN, CTAP 2.3 §6.5.5.5).
    ///
    /// # Errors
    /// [`Cause`]: [`PinProblem`] if it cannot be done with this key and this PIN, else what the key said.
    pub async fn set_pin(&mut self, new: &Pin, cancel: &Cancel) -> Result<(), Cause> {
        let info = self.get_info(cancel).await?;
        match info.option(OptionId::ClientPin) {
            None => return Err(PinProblem::NotSupported.into()),
            Some(true) => return Err(PinProblem::AlreadySet.into()),
            Some(false) => new.check_new(&info).map_err(PinProblem::from)?,
        }
        let (mut request, secret) = self.agree(Subcommand::SetPin, &info, cancel).await?;
        let new_pin_enc = secret.encrypt(new.padded().as_ref())?;
        request.pin_uv_auth_param = Some(secret.authenticate(&new_pin_enc));
        request.new_pin_enc = Some(new_pin_enc);
        self.pin_changed(&request, cancel).await
    }

    /// Sets another PIN in place of the one that the key has (changePIN, CTAP 2.3 §6.5.5.6).
    ///
    /// # Errors
    /// As [`set_pin`](Self::set_pin). `CTAP2_ERR_PIN_INVALID` says that `current` is wrong, which cost a retry.
    pub async fn change_pin(&mut self, current: &Pin, new: &Pin, cancel: &Cancel) -> Result<(), Cause> {
        let info = self.get_info(cancel).await?;
        has_pin(&info)?;
        new.check_new(&info).map_err(PinProblem::from)?;
        let (mut request, secret) = self.agree(Subcommand::ChangePin, &info, cancel).await?;
        let pin_hash_enc = secret.encrypt(current.hash().as_ref())?;
        let new_pin_enc = secret.encrypt(new.padded().as_ref())?;
        request.pin_uv_auth_param = Some(secret.authenticate(&[&new_pin_enc[..], &pin_hash_enc].concat()));
        request.new_pin_enc = Some(new_pin_enc);
        request.pin_hash_enc = Some(pin_hash_enc);
        self.pin_changed(&request, cancel).await
    }

    async fn pin_changed(&mut self, request: &Request, cancel: &Cancel) -> Result<(), Cause> {
        let changed = self.transact(&Message::ClientPin(request.clone()), cancel).await;
        // clientPin and forcePINChange.
        self.forget_info();
        changed.map(|_| ())
    }

    /// A token for the PIN: with permissions where the key knows them (CTAP 2.3 §6.5.5.7.2), else by getPinToken, which
    /// CTAP 2.0 has (§6.5.5.7.1).
    pub(crate) async fn token_by_pin(
        &mut self,
        pin: &Pin,
        purpose: Purpose<'_>,
        cancel: &Cancel,
    ) -> Result<PinUvAuthToken, Cause> {
        let info = self.get_info(cancel).await?;
        has_pin(&info)?;
        let with_permissions = info.option(OptionId::PinUvAuthToken) == Some(true);
        let subcommand = if with_permissions {
            Subcommand::GetPinUvAuthTokenUsingPinWithPermissions
        } else {
            Subcommand::GetPinToken
        };
        let (mut request, secret) = self.agree(subcommand, &info, cancel).await?;
        request.pin_hash_enc = Some(secret.encrypt(pin.hash().as_ref())?);
        if with_permissions {
            ask_permissions(&mut request, purpose);
        }
        self.token(&request, &secret, cancel).await
    }

    /// A token for built-in user verification (CTAP 2.3 §6.5.5.7.3).
    pub(crate) async fn token_by_built_in_uv(
        &mut self,
        purpose: Purpose<'_>,
        cancel: &Cancel,
    ) -> Result<PinUvAuthToken, Cause> {
        let info = self.get_info(cancel).await?;
        let subcommand = Subcommand::GetPinUvAuthTokenUsingUvWithPermissions;
        let (mut request, secret) = self.agree(subcommand, &info, cancel).await?;
        ask_permissions(&mut request, purpose);
        self.token(&request, &secret, cancel).await
    }

    async fn token(
        &mut self,
        request: &Request,
        secret: &SharedSecret,
        cancel: &Cancel,
    ) -> Result<PinUvAuthToken, Cause> {
        let response = self.client_pin(request, cancel).await?;
        let encrypted = response.pin_uv_auth_token.ok_or_else(|| missing("pinUvAuthToken"))?;
        let token = secret.decrypt(&encrypted).filter(|token| secret.protocol().is_token_length(token.len()));
        let token = token.ok_or_else(|| refused(InvalidResponse::TokenLength))?;
        Ok(PinUvAuthToken::new(secret.protocol(), token))
    }

    /// The beginning of a request that needs a shared secret, and that secret.
    async fn agree(
        &mut self,
        subcommand: Subcommand,
        info: &get_info::Response,
        cancel: &Cancel,
    ) -> Result<(Request, SharedSecret), Cause> {
        let (key_agreement, secret) = self.shared_secret(info, cancel).await?;
        let request = Request {
            pin_uv_auth_protocol: Some(secret.protocol().number()),
            key_agreement: Some(key_agreement),
            ..Request::new(subcommand)
        };
        Ok((request, secret))
    }

    /// A secret shared with the key (getKeyAgreement), and the platform's half of it.
    pub(crate) async fn shared_secret(
        &mut self,
        info: &get_info::Response,
        cancel: &Cancel,
    ) -> Result<(keyrig_ctap::cose::KeyAgreementKey, SharedSecret), Cause> {
        let protocol = PinUvAuthProtocol::of(info).ok_or(PinProblem::NotSupported)?;
        let request =
            Request { pin_uv_auth_protocol: Some(protocol.number()), ..Request::new(Subcommand::GetKeyAgreement) };
        let response = self.client_pin(&request, cancel).await?;
        let theirs = response.key_agreement.ok_or_else(|| missing("keyAgreement"))?;
        protocol.encapsulate(&theirs, self.random()).map_err(|error| match error {
            AgreementError::NotOnTheCurve => refused(InvalidResponse::KeyAgreement),
            AgreementError::Channel(error) => error.into(),
        })
    }

    async fn client_pin(&mut self, request: &Request, cancel: &Cancel) -> Result<Response, Cause> {
        let response = self.transact(&Message::ClientPin(request.clone()), cancel).await?;
        Response::decode(&response).map_err(undecodable(Command::ClientPin))
    }
}

fn ask_permissions(request: &mut Request, purpose: Purpose<'_>) {
    request.permissions = Some(purpose.permissions);
    request.rp_id = purpose.rp_id.map(str::to_owned);
}

fn has_pin(info: &get_info::Response) -> Result<(), PinProblem> {
    match info.option(OptionId::ClientPin) {
        None => Err(PinProblem::NotSupported),
        Some(false) => Err(PinProblem::NotSet),
        Some(true) => Ok(()),
    }
}

fn missing(member: &'static str) -> Cause {
    refused(InvalidResponse::Missing(member))
}

fn refused(error: InvalidResponse) -> Cause {
    Cause::InvalidResponse { command: Command::ClientPin, error }
}

#[cfg(test)]
mod tests;
