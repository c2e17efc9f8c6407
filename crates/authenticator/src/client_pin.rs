//! authenticatorClientPIN (CTAP 2.3 §6.5.5).

use core::time::Duration;

use keyrig_ctap::client_pin::{Permissions, Request, Response, Subcommand};
use keyrig_ctap::cose::{KeyAgreementKey, PublicKey};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::pin::{MAX_PIN_RETRIES, Pin};
use crate::pin_uv_auth_protocol::{PinUvAuthProtocol, SharedSecret};
use crate::pin_uv_auth_token::{PersistentPinUvAuthToken, PinUvAuthToken};
use crate::presence::Reason;
use crate::profile::RetriesWithoutPin;
use crate::progress::Progress;
use crate::store::{Change, Configuration};
use crate::user_verification::{self, Failure};

/// How many wrong PINs in a row block PIN entry until the next power-up (§6.5.5.6).
const MAX_CONSECUTIVE_MISMATCHES: u8 = 3;

/// How a user is verified for a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Pin,
    BuiltInUv,
}

/// What a request has to have for a subcommand.
fn required<T>(parameter: Option<T>) -> Result<T, Status> {
    parameter.ok_or(Status::MissingParameter)
}

pub(crate) fn start(authenticator: &mut Authenticator, request: Request) -> Progress {
    let has_pins = authenticator.profile.option(OptionId::ClientPin).is_some();
    let progress = match request.subcommand {
        Subcommand::GetPinRetries
        | Subcommand::SetPin
        | Subcommand::ChangePin
        | Subcommand::GetPinToken
        | Subcommand::GetPinUvAuthTokenUsingPinWithPermissions
            if !has_pins =>
        {
            Err(Status::InvalidSubcommand)
        }
        Subcommand::GetPinRetries => get_pin_retries(authenticator),
        Subcommand::GetKeyAgreement => get_key_agreement(authenticator, &request),
        Subcommand::SetPin => set_pin(authenticator, request),
        Subcommand::ChangePin => change_pin(authenticator, request),
        Subcommand::GetPinToken => get_pin_token(authenticator, request),
        Subcommand::GetPinUvAuthTokenUsingPinWithPermissions if authenticator.has_permissions() => {
            get_pin_uv_auth_token_using_pin_with_permissions(authenticator, request)
        }
        Subcommand::GetPinUvAuthTokenUsingUvWithPermissions
            if authenticator.has_permissions() && authenticator.built_in_uv().is_some() =>
        {
            get_pin_uv_auth_token_using_uv_with_permissions(authenticator, request)
        }
        Subcommand::GetUvRetries if authenticator.built_in_uv().is_some() => {
            let uv_retries = Some(authenticator.uv_retries().into());
            Ok(answer(Response { uv_retries, ..Response::default() }))
        }
        _ => Err(Status::InvalidSubcommand),
    };
    progress.unwrap_or_else(Progress::from)
}

fn answer(response: Response) -> Progress {
    Progress::Done(Ok(Answer::ClientPin(Box::new(response))))
}

/// getPINRetries (§6.5.5.2).
fn get_pin_retries(authenticator: &Authenticator) -> Result<Progress, Status> {
    // YubiKeys say so, and clients built on them rely on it; the specification is silent.
    if authenticator.store().pin().is_none() {
        return match authenticator.profile.behaviour.retries_without_pin {
            RetriesWithoutPin::Refused => Err(Status::PinNotSet),
            RetriesWithoutPin::Silence => Ok(Progress::Silence),
        };
    }
    authenticator.check_says_anything()?;
    Ok(answer(Response {
        pin_retries: Some(authenticator.store().pin_retries().into()),
        power_cycle_state: Some(authenticator.needs_power_cycle()),
        ..Response::default()
    }))
}

/// getKeyAgreement (§6.5.5.4).
fn get_key_agreement(authenticator: &mut Authenticator, request: &Request) -> Result<Progress, Status> {
    let protocol = authenticator.pin_uv_auth_protocol(request.pin_uv_auth_protocol)?;
    authenticator.check_says_anything()?;
    let key = authenticator.memory.key_agreement_keys.key(protocol, authenticator.environment.as_mut());
    let public = authenticator.environment.crypto().public_key(&key).map_err(|_| Status::OtherError)?;
    let PublicKey::Es256 { x, y } = public else { return Err(Status::OtherError) };
    Ok(answer(Response { key_agreement: Some(KeyAgreementKey { x, y }), ..Response::default() }))
}

/// setPIN (§6.5.5.5).
fn set_pin(authenticator: &mut Authenticator, request: Request) -> Result<Progress, Status> {
    let (number, peer) = (required(request.pin_uv_auth_protocol)?, required(request.key_agreement)?);
    let (new_pin_enc, param) = (required(request.new_pin_enc)?, required(request.pin_uv_auth_param)?);
    let protocol = authenticator.pin_uv_auth_protocol(Some(number))?;
    if authenticator.store().pin().is_some() {
        return Err(Status::PinAuthInvalid);
    }
    let secret = authenticator.decapsulate(protocol, &peer)?;
    if !secret.verify(&[&new_pin_enc], &param) {
        return Err(Status::PinAuthInvalid);
    }
    let padded = secret.decrypt(&new_pin_enc).ok_or(Status::PinAuthInvalid)?;
    let pin = Pin::from_padded(&padded, authenticator.pin_policy())?;
    let changes = vec![Change::Pin(pin), Change::PinRetries(MAX_PIN_RETRIES)];
    Ok(Progress::commit(changes, |_, _| Progress::Done(Ok(Answer::Done))))
}

/// changePIN (§6.5.5.6).
fn change_pin(authenticator: &mut Authenticator, request: Request) -> Result<Progress, Status> {
    let (number, peer) = (required(request.pin_uv_auth_protocol)?, required(request.key_agreement)?);
    let (pin_hash_enc, new_pin_enc) = (required(request.pin_hash_enc)?, required(request.new_pin_enc)?);
    let param = required(request.pin_uv_auth_param)?;
    let protocol = authenticator.pin_uv_auth_protocol(Some(number))?;
    authenticator.check_pin_can_be_entered()?;
    let secret = authenticator.decapsulate(protocol, &peer)?;
    if !secret.verify(&[&new_pin_enc, &pin_hash_enc], &param) {
        return Err(Status::PinAuthInvalid);
    }
    Ok(enter_pin(authenticator, secret, pin_hash_enc, move |authenticator, secret, _| {
        match new_pin(authenticator, &secret, &new_pin_enc) {
            Ok(pin) => {
                let configuration =
                    Configuration { force_pin_change: false, ..authenticator.store().configuration().clone() };
                let mut changes = authenticator.full_retries();
                changes.extend([
                    Change::Pin(pin),
                    Change::Configuration(configuration),
                    Change::new_persistent_token(authenticator.environment.as_mut()),
                ]);
                Progress::commit(changes, |authenticator, _| {
                    authenticator.pin_was_right();
                    authenticator.memory.token = None;
                    Progress::Done(Ok(Answer::Done))
                })
            }
            // The old PIN was right, whatever is wrong with the new one.
            Err(status) => Progress::commit(authenticator.full_retries(), move |authenticator, _| {
                authenticator.pin_was_right();
                status.into()
            }),
        }
    }))
}

fn new_pin(authenticator: &Authenticator, secret: &SharedSecret, new_pin_enc: &[u8]) -> Result<Pin, Status> {
    let padded = secret.decrypt(new_pin_enc).ok_or(Status::PinAuthInvalid)?;
    let pin = Pin::from_padded(&padded, authenticator.pin_policy())?;
    let store = authenticator.store();
    if store.configuration().force_pin_change && store.pin().is_some_and(|old| old.matches(&pin.hash)) {
        return Err(Status::PinPolicyViolation);
    }
    Ok(pin)
}

/// getPinToken (§6.5.5.7.1).
fn get_pin_token(authenticator: &mut Authenticator, request: Request) -> Result<Progress, Status> {
    let (number, peer) = (required(request.pin_uv_auth_protocol)?, required(request.key_agreement)?);
    let pin_hash_enc = required(request.pin_hash_enc)?;
    let protocol = authenticator.pin_uv_auth_protocol(Some(number))?;
    if authenticator.has_permissions() && (request.permissions.is_some() || request.rp_id.is_some()) {
        return Err(Status::InvalidParameter);
    }
    authenticator.check_pin_can_be_entered()?;
    let secret = authenticator.decapsulate(protocol, &peer)?;
    Ok(enter_pin(authenticator, secret, pin_hash_enc, |authenticator, secret, now| {
        if authenticator.store().configuration().force_pin_change {
            return refuse_until_pin_is_changed(authenticator, Status::PinInvalid);
        }
        let protocol = secret.protocol();
        Progress::commit(authenticator.full_retries(), move |authenticator, _| {
            authenticator.pin_was_right();
            let has_permissions = authenticator.has_permissions();
            // Step 14: otherwise it has none.
            let default = Some(Permissions::MC | Permissions::GA).filter(|_| !authenticator.no_mc_ga_with_pin());
            let environment = authenticator.environment.as_mut();
            let token = if has_permissions {
                PinUvAuthToken::without_named_permissions(environment, protocol, default.unwrap_or_default(), now)
            } else {
                PinUvAuthToken::pin_token(environment, protocol, authenticator.memory.token.take())
            };
            hand_out(authenticator, &secret, token)
        })
    }))
}

/// getPinUvAuthTokenUsingPinWithPermissions (§6.5.5.7.2).
fn get_pin_uv_auth_token_using_pin_with_permissions(
    authenticator: &mut Authenticator,
    request: Request,
) -> Result<Progress, Status> {
    let (number, peer) = (required(request.pin_uv_auth_protocol)?, required(request.key_agreement)?);
    let (pin_hash_enc, permissions) = (required(request.pin_hash_enc)?, required(request.permissions)?);
    let protocol = authenticator.pin_uv_auth_protocol(Some(number))?;
    let (permissions, rp_id) = authenticator.authorized(permissions, request.rp_id, By::Pin)?;
    authenticator.check_pin_can_be_entered()?;
    let secret = authenticator.decapsulate(protocol, &peer)?;
    Ok(enter_pin(authenticator, secret, pin_hash_enc, move |authenticator, secret, now| {
        if authenticator.store().configuration().force_pin_change {
            return refuse_until_pin_is_changed(authenticator, Status::PinPolicyViolation);
        }
        let right = authenticator.full_retries();
        if permissions == Permissions::PCMR {
            return persistent_token(authenticator, secret, right, By::Pin);
        }
        Progress::commit(right, move |authenticator, _| {
            authenticator.pin_was_right();
            let environment = authenticator.environment.as_mut();
            let token = PinUvAuthToken::issue(environment, secret.protocol(), permissions, rp_id, now);
            hand_out(authenticator, &secret, token)
        })
    }))
}

/// getPinUvAuthTokenUsingUvWithPermissions (§6.5.5.7.3).
fn get_pin_uv_auth_token_using_uv_with_permissions(
    authenticator: &mut Authenticator,
    request: Request,
) -> Result<Progress, Status> {
    let (number, peer) = (required(request.pin_uv_auth_protocol)?, required(request.key_agreement)?);
    let permissions = required(request.permissions)?;
    let protocol = authenticator.pin_uv_auth_protocol(Some(number))?;
    let (permissions, rp_id) = authenticator.authorized(permissions, request.rp_id, By::BuiltInUv)?;
    if authenticator.built_in_uv() != Some(true) {
        return Err(Status::NotAllowed);
    }
    let secret = authenticator.decapsulate(protocol, &peer)?;
    let attempts = authenticator.profile.uv_attempts_per_token();
    let failed = |authenticator: &Authenticator, failure| match failure {
        Failure::TimedOut => Status::UserActionTimeout,
        Failure::NotKnown if authenticator.uv_retries() == 0 => Status::UvBlocked,
        Failure::NotKnown => Status::UvInvalid,
    };
    Ok(user_verification::perform(
        authenticator,
        Reason::PinUvAuthToken,
        attempts,
        failed,
        move |authenticator, now| {
            if permissions == Permissions::PCMR {
                return persistent_token(authenticator, secret, Vec::new(), By::BuiltInUv);
            }
            let environment = authenticator.environment.as_mut();
            let token = PinUvAuthToken::issue(environment, protocol, permissions, rp_id, now).of_a_present_user(now);
            hand_out(authenticator, &secret, token)
        },
    ))
}

/// The persistent token is the one that there is from the last reset or change of the PIN on; a store of an earlier version may have
/// none yet.
fn persistent_token(
    authenticator: &mut Authenticator,
    secret: SharedSecret,
    mut changes: Vec<Change>,
    by: By,
) -> Progress {
    let known = authenticator.store().persistent_token().cloned();
    let token = known.unwrap_or_else(|| PersistentPinUvAuthToken::generate(authenticator.environment.as_mut()));
    changes.push(Change::PersistentPinUvAuthToken(token.clone()));
    Progress::commit(changes, move |authenticator, _| {
        if by == By::Pin {
            authenticator.pin_was_right();
        }
        let encrypted = secret.encrypt(authenticator.environment.as_mut(), &token.0);
        answer(Response { pin_uv_auth_token: Some(encrypted), ..Response::default() })
    })
}

/// `resetPinUvAuthToken` for all protocols, and `beginUsingPinUvAuthToken`: there is one token in use at a time.
fn hand_out(authenticator: &mut Authenticator, secret: &SharedSecret, token: PinUvAuthToken) -> Progress {
    let encrypted = secret.encrypt(authenticator.environment.as_mut(), token.bytes());
    authenticator.memory.token = Some(token);
    answer(Response { pin_uv_auth_token: Some(encrypted), ..Response::default() })
}

/// `forcePINChange`: no token before the PIN was changed, though it was right.
fn refuse_until_pin_is_changed(authenticator: &Authenticator, status: Status) -> Progress {
    Progress::commit(authenticator.full_retries(), move |authenticator, _| {
        authenticator.pin_was_right();
        status.into()
    })
}

/// Spends a retry, durably and before anything is compared, and goes on with `then` if the PIN is right
/// (§6.5.5.6, §6.5.5.7.1, §6.5.5.7.2).
///
/// `then` makes the retries full again in a commit of its own.
fn enter_pin(
    authenticator: &Authenticator,
    secret: SharedSecret,
    pin_hash_enc: Vec<u8>,
    then: impl FnOnce(&mut Authenticator, SharedSecret, Duration) -> Progress + Send + 'static,
) -> Progress {
    let retries = authenticator.store().pin_retries().saturating_sub(1);
    Progress::commit(vec![Change::PinRetries(retries)], move |authenticator, now| {
        let hash = secret.decrypt(&pin_hash_enc);
        let right = hash.zip(authenticator.store().pin()).is_some_and(|(hash, pin)| pin.matches(&hash));
        if right { then(authenticator, secret, now) } else { pin_was_wrong(authenticator, secret.protocol()).into() }
    })
}

/// A new key-agreement key, and which of three statuses it is.
fn pin_was_wrong(authenticator: &mut Authenticator, protocol: PinUvAuthProtocol) -> Status {
    authenticator.memory.key_agreement_keys.forget(protocol);
    authenticator.memory.consecutive_mismatches = authenticator.memory.consecutive_mismatches.saturating_add(1);
    if authenticator.store().pin_retries() == 0 {
        Status::PinBlocked
    } else if authenticator.needs_power_cycle() {
        Status::PinAuthBlocked
    } else {
        Status::PinInvalid
    }
}

impl Authenticator {
    /// Whether tokens have permissions: before CTAP 2.1 they had none.
    fn has_permissions(&self) -> bool {
        self.profile.option(OptionId::PinUvAuthToken) == Some(true)
    }

    /// Whether PIN entry is blocked until the next power-up.
    pub(crate) fn needs_power_cycle(&self) -> bool {
        self.memory.consecutive_mismatches >= MAX_CONSECUTIVE_MISMATCHES
    }

    fn pin_was_right(&mut self) {
        self.memory.consecutive_mismatches = 0;
    }

    /// Some keys refuse whatever has to do with PINs while theirs is blocked.
    fn check_says_anything(&self) -> Result<(), Status> {
        let blocked = self.store().pin().is_some() && self.store().pin_retries() == 0;
        if blocked && self.profile.behaviour.refuses_all_while_blocked { Err(Status::PinBlocked) } else { Ok(()) }
    }

    fn check_pin_can_be_entered(&self) -> Result<(), Status> {
        if self.store().pin().is_none() {
            Err(Status::PinNotSet)
        } else if self.store().pin_retries() == 0 {
            Err(Status::PinBlocked)
        } else if self.needs_power_cycle() {
            Err(Status::PinAuthBlocked)
        } else {
            Ok(())
        }
    }

    /// The permissions of a request that this key knows, if it has all that they are for, and the RP ID that goes with them
    /// (§6.5.5.7.2, §6.5.5.7.3).
    fn authorized(
        &self,
        permissions: Permissions,
        rp_id: Option<String>,
        by: By,
    ) -> Result<(Permissions, Option<String>), Status> {
        if permissions == Permissions::default() {
            return Err(Status::InvalidParameter);
        }
        let known = Permissions::MC
            | Permissions::GA
            | Permissions::CM
            | Permissions::BE
            | Permissions::LBW
            | Permissions::ACFG
            | Permissions::PCMR;
        let permissions = permissions.intersection(known);
        let has = |option| self.profile.option(option) == Some(true);
        let with_pin = by == By::Pin;
        for (permission, allowed) in [
            (Permissions::MC, !with_pin || !self.no_mc_ga_with_pin()),
            (Permissions::GA, !with_pin || !self.no_mc_ga_with_pin()),
            (Permissions::CM, has(OptionId::CredMgmt)),
            // Whether fingerprints are enrolled or not.
            (
                Permissions::BE,
                self.profile.option(OptionId::BioEnroll).is_some() && (with_pin || has(OptionId::UvBioEnroll)),
            ),
            (Permissions::LBW, has(OptionId::LargeBlobs)),
            (Permissions::ACFG, has(OptionId::AuthnrCfg) && (with_pin || has(OptionId::UvAcfg))),
            // It cannot be had together with others.
            (Permissions::PCMR, has(OptionId::PerCredMgmtRo) && permissions == Permissions::PCMR),
        ] {
            if permissions.contains(permission) && !allowed {
                return Err(Status::UnauthorizedPermission);
            }
        }
        // mc and ga need an RP ID (§6.5.5.7, the table of permissions); the others have none, but for cm, which may.
        let bound = Permissions::MC | Permissions::GA;
        let rp_id = rp_id.filter(|_| permissions.intersects(bound | Permissions::CM));
        if permissions.intersects(bound) && rp_id.is_none() {
            return Err(Status::MissingParameter);
        }
        Ok((permissions, rp_id))
    }
}
