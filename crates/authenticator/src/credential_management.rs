//! authenticatorCredentialManagement (CTAP 2.3 §6.8) and its prototype: what is known of the discoverable credentials.

use core::time::Duration;

use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::credential_management::{Request, Response, Subcommand};
use keyrig_ctap::entities::{CredentialDescriptor, RelyingParty, User};
use keyrig_ctap::extensions::{CRED_PROTECT, THIRD_PARTY_PAYMENT};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::authorization::Authorization;
use crate::channel::Channel;
use crate::credential::{Discoverable, StoredCredential, rp_id_hash};
use crate::memory::{CredentialsCursor, RelyingPartiesCursor, Timed, UntilNextCommand};
use crate::profile::{EmptyRpList, Enumeration};
use crate::progress::Progress;
use crate::store::{Change, Store};

/// Under which of its two commands it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0x0A.
    Final,
    /// 0x41, which `credentialMgmtPreview` announces; it cannot update user information.
    Prototype,
}

/// Starts the command, with what its channel has begun.
pub(crate) fn start(
    authenticator: &mut Authenticator,
    channel: Channel,
    request: Request,
    version: Version,
    begun: UntilNextCommand,
    now: Duration,
) -> Progress {
    let subcommand = request.subcommand();
    let two_cursors = authenticator.profile.behaviour.enumeration == Enumeration::TwoCursors;
    let mut begun = UntilNextCommand {
        relying_parties: begun
            .relying_parties
            .filter(|_| two_cursors || matches!(subcommand, Subcommand::EnumerateRpsGetNextRp)),
        credentials: begun
            .credentials
            .filter(|_| two_cursors || matches!(subcommand, Subcommand::EnumerateCredentialsGetNextCredential)),
        ..Default::default()
    };
    let progress = match subcommand {
        Subcommand::GetCredsMetadata => get_creds_metadata(authenticator, &request, version),
        Subcommand::EnumerateRpsBegin => enumerate_rps_begin(authenticator, &request, version, &mut begun, now),
        Subcommand::EnumerateRpsGetNextRp => enumerate_rps_get_next_rp(authenticator, &mut begun, now),
        Subcommand::EnumerateCredentialsBegin => {
            enumerate_credentials_begin(authenticator, &request, version, &mut begun, now)
        }
        Subcommand::EnumerateCredentialsGetNextCredential => {
            enumerate_credentials_get_next_credential(authenticator, &mut begun, now)
        }
        Subcommand::DeleteCredential => delete_credential(authenticator, &request, version),
        Subcommand::UpdateUserInformation if version == Version::Final => {
            update_user_information(authenticator, &request)
        }
        Subcommand::UpdateUserInformation | Subcommand::Other(_) => Err(Status::InvalidSubcommand),
    };
    // Before what the command changes becomes durable: that ends what goes through it.
    authenticator.memory.begun.keep(channel, begun, now);
    progress.unwrap_or_else(Progress::from)
}

fn answer(response: Response) -> Result<Progress, Status> {
    Ok(Progress::Done(Ok(Answer::CredentialManagement(Box::new(response)))))
}

/// A token with `cm`; for what only reads, the persistent token as well.
fn authorize(
    authenticator: &mut Authenticator,
    request: &Request,
    version: Version,
    reads: bool,
) -> Result<Authorization, Status> {
    let permissions = if reads { Permissions::CM | Permissions::PCMR } else { Permissions::CM };
    let message = request.authenticated_message();
    match version {
        Version::Final => authenticator.verify_pin_uv_auth(&request.pin_uv_auth, &[&message], permissions),
        Version::Prototype => authenticator.verify_for_prototype(&request.pin_uv_auth, &[&message], permissions),
    }
}

/// The token must not be bound to one RP ID.
fn authorize_all(authenticator: &mut Authenticator, request: &Request, version: Version) -> Result<(), Status> {
    match authorize(authenticator, request, version, true)?.rp_id {
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
fn get_creds_metadata(
    authenticator: &mut Authenticator,
    request: &Request,
    version: Version,
) -> Result<Progress, Status> {
    authorize_all(authenticator, request, version)?;
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
    version: Version,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    begun.relying_parties = None;
    authorize_all(authenticator, request, version)?;
    let store = authenticator.store();
    let Some(first) = store.relying_parties().next() else {
        return match authenticator.profile.behaviour.empty_rp_list {
            EmptyRpList::NoCredentials => Err(Status::NoCredentials),
            EmptyRpList::TotalOfNone => answer(Response { total_rps: Some(0), ..Response::default() }),
            EmptyRpList::Nothing => Ok(Progress::Done(Ok(Answer::Done))),
        };
    };
    tell_relying_party(store, first, Some(count(store.relying_parties().count())), begun, now)
}

/// enumerateRPsGetNextRP (§6.8.3).
fn enumerate_rps_get_next_rp(
    authenticator: &Authenticator,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    let cursor = begun.relying_parties.take().and_then(|cursor| cursor.alive(now)).ok_or(Status::NotAllowed)?;
    let next = authenticator.store().relying_party_after(&cursor.after).ok_or(Status::NotAllowed)?;
    tell_relying_party(authenticator.store(), next, None, begun, now)
}

/// Answers with a relying party, and remembers it if others come after it.
fn tell_relying_party(
    store: &Store,
    hash: [u8; 32],
    total_rps: Option<u64>,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    let credential = store.discoverable(&hash).next().ok_or(Status::OtherError)?;
    begun.relying_parties =
        store.relying_party_after(&hash).map(|_| Timed::new(RelyingPartiesCursor { after: hash }, now));
    answer(Response {
        // Whole: §6.8.7 lets an authenticator shorten it, and this one has no need to.
        relying_party: Some(RelyingParty { id: credential.relying_party_id.clone(), name: None }),
        rp_id_hash: Some(hash),
        total_rps,
        ..Response::default()
    })
}

/// enumerateCredentialsBegin (§6.8.4).
///
/// A token that is bound to the RP ID of this request will do, as CTAP 2.1 says. Step 3 of 2.3 wants one that is not bound,
/// but then no platform could do what the introduction of §6.8 describes, and libfido2 asks with a bound one.
fn enumerate_credentials_begin(
    authenticator: &mut Authenticator,
    request: &Request,
    version: Version,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    begun.credentials = None;
    let authorization = authorize(authenticator, request, version, true)?;
    let hash = request.parameters().rp_id_hash.ok_or(Status::MissingParameter)?;
    check_bound(&authorization, &hash)?;
    let mut credentials = authenticator.store().discoverable(&hash);
    let first = credentials.next().ok_or(Status::NoCredentials)?;
    let others = credentials.count();
    tell_credential(authenticator, first, hash, Some(count(others).saturating_add(1)), begun, now)
}

/// enumerateCredentialsGetNextCredential (§6.8.4).
fn enumerate_credentials_get_next_credential(
    authenticator: &Authenticator,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    let cursor = begun.credentials.take().and_then(|cursor| cursor.alive(now)).ok_or(Status::NotAllowed)?;
    let mut older = authenticator.store().discoverable_before(&cursor.rp_id_hash, cursor.before);
    let next = older.next().ok_or(Status::NotAllowed)?;
    tell_credential(authenticator, next, cursor.rp_id_hash, None, begun, now)
}

/// Answers with a credential, and remembers it if others come after it.
fn tell_credential(
    authenticator: &Authenticator,
    credential: &StoredCredential,
    rp_id_hash: [u8; 32],
    total_credentials: Option<u64>,
    begun: &mut UntilNextCommand,
    now: Duration,
) -> Result<Progress, Status> {
    let response = describe(authenticator, credential, total_credentials)?;
    let before = credential.discoverable.as_ref().ok_or(Status::OtherError)?.creation;
    let others = authenticator.store().discoverable_before(&rp_id_hash, before).next();
    begun.credentials = others.map(|_| Timed::new(CredentialsCursor { rp_id_hash, before }, now));
    answer(response)
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
            .then(|| authenticator.store().large_blob_key(&credential.id).to_vec()),
        third_party_payment: has(THIRD_PARTY_PAYMENT).then_some(credential.properties.third_party_payment),
        ..Response::default()
    })
}

/// The credential that a request is about, if the token covers it.
fn authorized_credential(
    authenticator: &mut Authenticator,
    request: &Request,
    version: Version,
) -> Result<StoredCredential, Status> {
    let authorization = authorize(authenticator, request, version, false)?;
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
fn delete_credential(
    authenticator: &mut Authenticator,
    request: &Request,
    version: Version,
) -> Result<Progress, Status> {
    let credential = authorized_credential(authenticator, request, version)?;
    let state = Change::new_credential_store_state(authenticator.environment.as_mut());
    let changes = vec![Change::Remove(credential.id), state];
    Ok(Progress::commit(changes, |_, _| Progress::Done(Ok(Answer::Done))))
}

/// updateUserInformation (§6.8.6): names that are absent or empty are removed.
fn update_user_information(authenticator: &mut Authenticator, request: &Request) -> Result<Progress, Status> {
    let mut credential = authorized_credential(authenticator, request, Version::Final)?;
    let user = request.parameters().user.clone().ok_or(Status::MissingParameter)?;
    let Some(Discoverable { user: known, .. }) = &mut credential.discoverable else {
        return Err(Status::NoCredentials);
    };
    if known.id != user.id {
        return Err(Status::InvalidParameter);
    }
    let behaviour = &authenticator.profile.behaviour;
    let kept = |name: Option<String>| name.filter(|name| !name.is_empty()).map(|name| behaviour.kept(name));
    *known = User { id: user.id, name: kept(user.name), display_name: kept(user.display_name) };
    let state = Change::new_credential_store_state(authenticator.environment.as_mut());
    Ok(Progress::commit(vec![Change::Put(credential), state], |_, _| Progress::Done(Ok(Answer::Done))))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
