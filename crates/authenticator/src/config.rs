//! authenticatorConfig (CTAP 2.3 §6.11).

use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::config::{Parameters, Request, Subcommand};
use keyrig_ctap::{Response, Status};

use crate::authenticator::Authenticator;
use crate::pin::LONGEST_PIN;
use crate::progress::Progress;
use crate::store::{Change, Configuration};

pub(crate) fn start(authenticator: &mut Authenticator, request: Request) -> Progress {
    match configure(authenticator, &request) {
        Ok(configuration) => {
            let changes = vec![Change::Configuration(configuration)];
            Progress::commit(changes, |_, _| Progress::Done(Ok(Response::Done)))
        }
        Err(status) => status.into(),
    }
}

/// What is configured after the request.
fn configure(authenticator: &mut Authenticator, request: &Request) -> Result<Configuration, Status> {
    // Step 2.
    let subcommand = request.subcommand();
    if !authenticator.profile.config_commands().any(|supported| supported == subcommand) {
        return Err(Status::InvalidParameter);
    }
    // Step 3: a new key may be configured by anybody.
    if authenticator.is_protected() || authenticator.always_uv() {
        let message = request.authenticated_message();
        authenticator.verify_pin_uv_auth(&request.pin_uv_auth, &[&message], Permissions::ACFG)?;
    }
    let configuration = authenticator.store().configuration().clone();
    match subcommand {
        // §6.11.1: where it is enabled, nothing changes.
        Subcommand::EnableEnterpriseAttestation => {
            Ok(Configuration { enterprise_attestation: Some(true), ..configuration })
        }
        // §6.11.2.
        Subcommand::ToggleAlwaysUv => {
            Ok(Configuration { always_uv: Some(!authenticator.always_uv()), ..configuration })
        }
        Subcommand::SetMinPinLength => set_min_pin_length(authenticator, request.parameters(), configuration),
        // §6.11.5. Only a reset takes it back.
        Subcommand::EnableLongTouchForReset => Ok(Configuration { long_touch_for_reset: true, ..configuration }),
        _ => Err(Status::InvalidParameter),
    }
}

/// setMinPINLength (§6.11.4).
fn set_min_pin_length(
    authenticator: &Authenticator,
    parameters: &Parameters,
    mut configuration: Configuration,
) -> Result<Configuration, Status> {
    let max_rp_ids = authenticator.profile.max_rp_ids_for_set_min_pin_length();
    if parameters.min_pin_length_rp_ids.is_some() && max_rp_ids.is_none() {
        return Err(Status::InvalidParameter);
    }
    let current = authenticator.min_pin_length();
    let length = parameters.new_min_pin_length.map_or(Ok(current), u8::try_from);
    let length =
        length.ok().filter(|length| *length >= current && *length <= LONGEST_PIN).ok_or(Status::PinPolicyViolation)?;
    let pin = authenticator.store().pin();
    let mut force = parameters.force_change_pin == Some(true);
    if force && pin.is_none() {
        return Err(Status::PinNotSet);
    }
    force |= pin.is_some_and(|pin| pin.code_points < length);
    // A key without the policy ignores the parameter; to take a policy back is not asked for by it.
    let policy = authenticator.pin_policy().complexity;
    if parameters.pin_complexity_policy == Some(true) && authenticator.profile.has_pin_complexity_policy() && !policy {
        configuration.pin_complexity_policy = true;
        // Whether the PIN meets it cannot be told from what is kept of the PIN.
        force |= pin.is_some();
    }
    if let Some(rp_ids) = &parameters.min_pin_length_rp_ids {
        let count = u64::try_from(rp_ids.len()).unwrap_or(u64::MAX);
        if max_rp_ids.is_some_and(|max| count > max) {
            return Err(Status::KeyStoreFull);
        }
        configuration.min_pin_length_rp_ids.clone_from(rp_ids);
    }
    configuration.force_pin_change |= force;
    configuration.min_pin_length = Some(length);
    Ok(configuration)
}
