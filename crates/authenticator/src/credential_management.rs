//! authenticatorCredentialManagement (CTAP 2.3 §6.8) and its prototype: what is known of the discoverable credentials.

use core::time::Duration;
use std::collections::VecDeque;

use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::credential_management::{Request, Response, Subcommand};
use keyrig_ctap::entities::{CredentialDescriptor, RelyingParty, User};
use keyrig_ctap::extensions::{CRED_PROTECT, THIRD_PARTY_PAYMENT};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::credential::{Discoverable, StoredCredential, rp_id_hash};
use crate::make_credential::truncated;
use crate::pin_uv_auth_token::Authorization;
use crate::step::Progress;
use crate::store::Change;

/// How long an enumeration may be gone on with after its last answer (CTAP 2.3 §6, stateful commands).
const ENUMERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What enumerateRPsGetNextRP and enumerateCredentialsGetNextCredential go on with.
pub(crate) struct Enumeration {
    remaining: Remaining,
    last_answer: Duration,
}

enum Remaining {
    /// Hashes of the RP IDs still to come.
    RelyingParties(VecDeque<[u8; 32]>),
    /// Ids of the credentials still to come.
    Credentials(VecDeque<Vec<u8>>),
}

/// Under which of its two commands it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0x0A.
    Final,
    /// 0x41, which `credentialMgmtPreview` announces; it cannot update user information.
    Prototype,
}

/// Starts the command. `enumeration` was taken out of the authenticator: whatever goes wrong, it is gone.
pub(crate) fn start(
    authenticator: &mut Authenticator,
    request: Request,
    version: Version,
    enumeration: Option<Enumeration>,
    now: Duration,
) -> Progress {
    let progress = match request.subcommand() {
        Subcommand::GetCredsMetadata => get_creds_metadata(authenticator, &request),
        Subcommand::EnumerateRpsBegin => enumerate_rps_begin(authenticator, &request, now),
        Subcommand::EnumerateRpsGetNextRp => enumerate_rps_get_next_rp(authenticator, enumeration, now),
        Subcommand::EnumerateCredentialsBegin => enumerate_credentials_begin(authenticator, &request, now),
        Subcommand::EnumerateCredentialsGetNextCredential => {
            enumerate_credentials_get_next_credential(authenticator, enumeration, now)
        }
        Subcommand::DeleteCredential => delete_credential(authenticator, &request),
        Subcommand::UpdateUserInformation if version == Version::Final => {
            update_user_information(authenticator, &request)
        }
        Subcommand::UpdateUserInformation | Subcommand::Other(_) => Err(Status::InvalidSubcommand),
    };
    progress.unwrap_or_else(Progress::from)
}

fn answer(response: Response) -> Result<Progress, Status> {
    Ok(Progress::Done(Ok(Answer::CredentialManagement(Box::new(response)))))
}

/// A token with `cm`; for what only reads, the persistent token as well.
fn authorize(authenticator: &mut Authenticator, request: &Request, reads: bool) -> Result<Authorization, Status> {
    let permissions = if reads { Permissions::CM | Permissions::PCMR } else { Permissions::CM };
    authenticator.verify_pin_uv_auth(&request.pin_uv_auth, &[&request.authenticated_message()], permissions)
}

/// The token must not be bound to one RP ID.
fn authorize_all(authenticator: &mut Authenticator, request: &Request) -> Result<(), Status> {
    match authorize(authenticator, request, true)?.rp_id {
        Some(_) => Err(Status::PinAuthInvalid),
        None => Ok(()),
    }
}

/// If the token is bound, then to this relying party.
fn check_bound(authorization: &Authorization, hash: &[u8; 32]) -> Result<(), Status> {
    match &authorization.rp_id {
        Some(bound) if rp_id_hash(bound) != *hash => Err(Status::PinAuthInvalid),
        _ => Ok(()),
    }
}

/// getCredsMetadata (§6.8.2).
fn get_creds_metadata(authenticator: &mut Authenticator, request: &Request) -> Result<Progress, Status> {
    authorize_all(authenticator, request)?;
    answer(Response {
        existing_resident_credentials_count: Some(count(authenticator.store().discoverable_count())),
        max_possible_remaining_resident_credentials_count: Some(authenticator.remaining_discoverable_credentials()),
        ..Response::default()
    })
}

/// enumerateRPsBegin (§6.8.3).
fn enumerate_rps_begin(
    authenticator: &mut Authenticator,
    request: &Request,
    now: Duration,
) -> Result<Progress, Status> {
    authorize_all(authenticator, request)?;
    let relying_parties: VecDeque<_> = authenticator.store().relying_parties().collect();
    let total = count(relying_parties.len());
    next_relying_party(authenticator, relying_parties, Some(total), now).unwrap_or(Err(Status::NoCredentials))
}

/// enumerateRPsGetNextRP (§6.8.3).
fn enumerate_rps_get_next_rp(
    authenticator: &mut Authenticator,
    enumeration: Option<Enumeration>,
    now: Duration,
) -> Result<Progress, Status> {
    match alive(enumeration, now) {
        Some(Remaining::RelyingParties(remaining)) => {
            next_relying_party(authenticator, remaining, None, now).unwrap_or(Err(Status::NotAllowed))
        }
        _ => Err(Status::NotAllowed),
    }
}

fn alive(enumeration: Option<Enumeration>, now: Duration) -> Option<Remaining> {
    let Enumeration { remaining, last_answer } = enumeration?;
    (now.saturating_sub(last_answer) <= ENUMERATION_TIMEOUT).then_some(remaining)
}

/// Answers with the first that remains; nothing if none does.
fn next_relying_party(
    authenticator: &mut Authenticator,
    mut remaining: VecDeque<[u8; 32]>,
    total_rps: Option<u64>,
    now: Duration,
) -> Option<Result<Progress, Status>> {
    let hash = remaining.pop_front()?;
    let id = authenticator.store().discoverable(&hash).next()?.relying_party_id.clone();
    remember(authenticator, Remaining::RelyingParties(remaining), now);
    Some(answer(Response {
        // Whole: §6.8.7 lets an authenticator shorten it, and this one has no need to.
        relying_party: Some(RelyingParty { id, name: None }),
        rp_id_hash: Some(hash),
        total_rps,
        ..Response::default()
    }))
}

fn remember(authenticator: &mut Authenticator, remaining: Remaining, now: Duration) {
    let some = match &remaining {
        Remaining::RelyingParties(remaining) => !remaining.is_empty(),
        Remaining::Credentials(remaining) => !remaining.is_empty(),
    };
    authenticator.enumeration = some.then_some(Enumeration { remaining, last_answer: now });
}

/// enumerateCredentialsBegin (§6.8.4).
///
/// A token that is bound to the RP ID of this request will do, as CTAP 2.1 says. Step 3 of 2.3 wants one that is not bound,
/// but then no platform could do what the introduction of §6.8 describes, and libfido2 asks with a bound one.
fn enumerate_credentials_begin(
    authenticator: &mut Authenticator,
    request: &Request,
    now: Duration,
) -> Result<Progress, Status> {
    let authorization = authorize(authenticator, request, true)?;
    let hash = request.parameters().rp_id_hash.ok_or(Status::MissingParameter)?;
    check_bound(&authorization, &hash)?;
    let credentials: VecDeque<_> =
        authenticator.store().discoverable(&hash).map(|credential| credential.id.clone()).collect();
    let total = count(credentials.len());
    next_credential(authenticator, credentials, Some(total), now).unwrap_or(Err(Status::NoCredentials))
}

/// enumerateCredentialsGetNextCredential (§6.8.4).
fn enumerate_credentials_get_next_credential(
    authenticator: &mut Authenticator,
    enumeration: Option<Enumeration>,
    now: Duration,
) -> Result<Progress, Status> {
    match alive(enumeration, now) {
        Some(Remaining::Credentials(remaining)) => {
            next_credential(authenticator, remaining, None, now).unwrap_or(Err(Status::NotAllowed))
        }
        _ => Err(Status::NotAllowed),
    }
}

/// Answers with the first that remains; nothing if none does.
fn next_credential(
    authenticator: &mut Authenticator,
    mut remaining: VecDeque<Vec<u8>>,
    total: Option<u64>,
    now: Duration,
) -> Option<Result<Progress, Status>> {
    let id = remaining.pop_front()?;
    let response = describe(authenticator, authenticator.store().credential(&id)?, total);
    remember(authenticator, Remaining::Credentials(remaining), now);
    Some(response.and_then(answer))
}

fn describe(
    authenticator: &Authenticator,
    credential: &StoredCredential,
    total_credentials: Option<u64>,
) -> Result<Response, Status> {
    let public_key =
        authenticator.environment.crypto().public_key(&credential.private_key).map_err(|_| Status::OtherError)?;
    let has = |identifier| authenticator.profile.has_extension(identifier);
    Ok(Response {
        user: credential.discoverable.as_ref().map(|discoverable| discoverable.user.clone()),
        credential_id: Some(CredentialDescriptor::public_key(credential.id.clone())),
        public_key: Some(public_key.to_cose()),
        total_credentials,
        credential_protection: has(CRED_PROTECT).then_some(credential.properties.protection),
        large_blob_key: credential
            .has_large_blob_key
            .then(|| authenticator.store().secret().large_blob_key(&credential.id).to_vec()),
        third_party_payment: has(THIRD_PARTY_PAYMENT).then_some(credential.properties.third_party_payment),
        ..Response::default()
    })
}

/// The credential that a request is about, if the token covers it.
fn authorized_credential(authenticator: &mut Authenticator, request: &Request) -> Result<StoredCredential, Status> {
    let authorization = authorize(authenticator, request, false)?;
    let descriptor = request.parameters().credential_id.as_ref().ok_or(Status::MissingParameter)?;
    let credential = authenticator
        .store()
        .credential(&descriptor.id)
        .filter(|credential| descriptor.is_public_key() && credential.discoverable.is_some())
        .ok_or(Status::NoCredentials)?;
    check_bound(&authorization, &rp_id_hash(&credential.relying_party_id))?;
    Ok(credential.clone())
}

/// deleteCredential (§6.8.5).
fn delete_credential(authenticator: &mut Authenticator, request: &Request) -> Result<Progress, Status> {
    let credential = authorized_credential(authenticator, request)?;
    let changes = vec![Change::Remove(credential.id)];
    Ok(Progress::commit(changes, |_, _| Progress::Done(Ok(Answer::Done))))
}

/// updateUserInformation (§6.8.6): names that are absent or empty are removed.
fn update_user_information(authenticator: &mut Authenticator, request: &Request) -> Result<Progress, Status> {
    let mut credential = authorized_credential(authenticator, request)?;
    let user = request.parameters().user.clone().ok_or(Status::MissingParameter)?;
    let Some(Discoverable { user: known, .. }) = &mut credential.discoverable else {
        return Err(Status::NoCredentials);
    };
    if known.id != user.id {
        return Err(Status::InvalidParameter);
    }
    let kept = |name: Option<String>| name.filter(|name| !name.is_empty()).map(truncated);
    *known = User { id: user.id, name: kept(user.name), display_name: kept(user.display_name) };
    Ok(Progress::commit(vec![Change::Put(credential)], |_, _| Progress::Done(Ok(Answer::Done))))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Authenticator {
    /// How many discoverable credentials still fit.
    pub(crate) fn remaining_discoverable_credentials(&self) -> u64 {
        u64::from(self.profile.discoverable_credentials).saturating_sub(count(self.store().discoverable_count()))
    }
}
