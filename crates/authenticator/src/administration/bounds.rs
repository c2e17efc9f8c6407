//! What a key can come to keep: one rule for what it makes, what is imported and what is restored.

use std::collections::BTreeSet;

use keyrig_ctap::cbor::Writer;
use keyrig_ctap::config::Subcommand;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialDescriptor, Options, PinUvAuth};
use keyrig_ctap::extensions::{CRED_PROTECT, CredentialProtection, HMAC_SECRET, LARGE_BLOB_KEY, THIRD_PARTY_PAYMENT};
use keyrig_ctap::get_assertion;
use keyrig_ctap::get_info::OptionId;

use super::refused::{FingerprintRefused, ImportRefused, LargeBlobsRefused, MAX_CREDENTIAL_ID, RestoreRefused};
use crate::credential::{Discoverable, MAX_USER_ID, StoredCredential, rp_id_hash};
use crate::large_blobs;
use crate::pin::{MAX_PIN_RETRIES, SHORTEST_PIN};
use crate::profile::{Fingerprints, Profile};
use crate::store::{Configuration, MAX_OTHERS, Store};

/// What a creation count stays below, so that there is always a next one.
const MAX_CREATION: u64 = u64::MAX / 2;

/// The longest key handle, bytes: its length is one byte (FIDO U2F Raw Message Formats §5.1).
const MAX_KEY_HANDLE: usize = 255;

/// How much of a credential id an error shows, bytes.
const SHOWN_ID: usize = 8;

/// Whether a credential may come to those of a store.
pub(super) fn check_new(profile: &Profile, store: &Store, credential: &StoredCredential) -> Result<(), ImportRefused> {
    check_credential(profile, credential)?;
    if credential.own.as_ref().is_some_and(|own| own.counter == Some(u32::MAX)) {
        return Err(ImportRefused::Counter);
    }
    let hash = rp_id_hash(&credential.relying_party_id);
    if store.credential(&credential.id).is_some() || store.open(&hash, &credential.id).is_some() {
        return Err(ImportRefused::Exists);
    }
    let Some(Discoverable { user, .. }) = &credential.discoverable else {
        return if store.has_room_for_others() { Ok(()) } else { Err(ImportRefused::Full) };
    };
    let is_same = |credential: &StoredCredential| {
        credential.discoverable.as_ref().is_some_and(|discoverable| discoverable.user.id == user.id)
    };
    if store.discoverable(&hash).any(is_same) {
        return Err(ImportRefused::SameUser(credential.relying_party_id.clone()));
    }
    let mut beside = store.discoverable(&hash).filter_map(|credential| credential.discoverable.as_ref()).peekable();
    if !profile.behaviour.tells_empty_user_id
        && beside.peek().is_some()
        && (user.id.is_empty() || beside.any(|beside| beside.user.id.is_empty()))
    {
        return Err(ImportRefused::EmptyUserId(credential.relying_party_id.clone()));
    }
    if store.discoverable_count() >= capacity(profile) { Err(ImportRefused::Full) } else { Ok(()) }
}

fn capacity(profile: &Profile) -> usize {
    usize::try_from(profile.discoverable_credentials).unwrap_or(usize::MAX)
}

/// Whether a credential by itself is one that the key can have.
fn check_credential(profile: &Profile, credential: &StoredCredential) -> Result<(), ImportRefused> {
    let (length, longest) = (credential.id.len(), longest_id(profile));
    if !(1..=longest).contains(&length) {
        return Err(ImportRefused::Id { length, longest });
    }
    let (length, longest) = (credential.relying_party_id.len(), profile.max_msg_size.into());
    if length > longest {
        return Err(ImportRefused::RpId { length, longest });
    }
    let length = if profile.has_ctap2() && credential.discoverable.is_none() { request_length(credential) } else { 0 };
    if length > longest {
        return Err(ImportRefused::Request { length, longest });
    }
    let algorithm = credential.private_key.algorithm();
    let is_u2f = profile.has_u2f() && algorithm == Algorithm::Es256;
    if !is_u2f && !profile.supports(algorithm) {
        return Err(ImportRefused::Algorithm { profile: profile.name.clone(), algorithm });
    }
    check_extensions(profile, credential)?;
    let own = credential.own.as_ref();
    if own.is_some_and(|own| own.backup_state && !own.backup_eligible) {
        return Err(ImportRefused::BackupState);
    }
    if own.is_some_and(|own| own.backup_eligible) && !profile.has_backup_flags() {
        return Err(ImportRefused::BackupFlags(profile.name.clone()));
    }
    let longest_blob = if credential.discoverable.is_some() { profile.max_cred_blob_length() } else { 0 };
    if credential.cred_blob.len() > longest_blob {
        return Err(ImportRefused::CredBlob(credential.cred_blob.len(), longest_blob));
    }
    let Some(Discoverable { user, .. }) = &credential.discoverable else { return Ok(()) };
    if profile.option(OptionId::Rk) != Some(true) {
        return Err(ImportRefused::NotDiscoverable(profile.name.clone()));
    }
    let (length, shortest) = (user.id.len(), profile.shortest_user_id());
    if !(shortest..=MAX_USER_ID).contains(&length) {
        return Err(ImportRefused::UserId { length, shortest });
    }
    let mut names = [&user.name, &user.display_name].into_iter().flatten();
    names
        .find(|name| profile.behaviour.kept((*name).clone()) != **name)
        .map_or(Ok(()), |name| Err(ImportRefused::UserName(name.len())))
}

/// Whether the key has the extensions that left something with a credential.
fn check_extensions(profile: &Profile, credential: &StoredCredential) -> Result<(), ImportRefused> {
    let own = credential.own.as_ref();
    let missing = [
        (CRED_PROTECT, credential.properties.protection != CredentialProtection::UserVerificationOptional),
        (THIRD_PARTY_PAYMENT, credential.properties.third_party_payment),
        (HMAC_SECRET, own.is_some_and(|own| own.cred_random.is_some())),
        (LARGE_BLOB_KEY, credential.has_large_blob_key),
    ]
    .into_iter()
    .find(|(extension, is_used)| *is_used && !profile.has_extension(extension));
    missing.map_or(Ok(()), |(extension, _)| Err(ImportRefused::Extension { profile: profile.name.clone(), extension }))
}

/// The longest id that reaches the key in a list: platforms leave out longer ones than it announces.
fn longest_id(profile: &Profile) -> usize {
    if !profile.has_ctap2() {
        return MAX_KEY_HANDLE;
    }
    profile.max_credential_id_length.filter(|length| *length > 0).map_or(MAX_CREDENTIAL_ID, usize::from)
}

/// How long the shortest authenticatorGetAssertion with the credential's id is, the command byte included.
fn request_length(credential: &StoredCredential) -> usize {
    let request = get_assertion::Request {
        relying_party_id: credential.relying_party_id.clone(),
        client_data_hash: [0; 32],
        allow_list: vec![CredentialDescriptor::public_key(credential.id.clone())],
        extensions: None,
        options: Options::default(),
        pin_uv_auth: PinUvAuth::default(),
    };
    let mut writer = Writer::new();
    request.encode(&mut writer);
    writer.finish().len() + 1
}

/// Whether a large-blob array is one that the key can have, if it has any.
pub(super) fn check_large_blobs(profile: &Profile, array: &[u8]) -> Result<(), LargeBlobsRefused> {
    let (length, room) = (array.len(), profile.max_serialized_large_blob_array());
    if u64::try_from(length).map_or(true, |length| length > room) {
        return Err(LargeBlobsRefused::TooLong { length, room });
    }
    if large_blobs::ends_with_its_hash(array) { Ok(()) } else { Err(LargeBlobsRefused::Hash) }
}

/// Whether a key can come to keep all this: by what hosts ask of it, or by imports.
///
/// # Errors
/// [`RestoreRefused`]: what it could not.
pub fn check_store(profile: &Profile, store: &Store) -> Result<(), RestoreRefused> {
    check_pin(profile, store)?;
    check_fingerprints(profile, store).map_err(RestoreRefused::Fingerprints)?;
    let wrong = wrong_configuration(profile, store);
    wrong.map_or(Ok(()), |member| Err(RestoreRefused::Configuration(member)))?;
    let (mut users, mut creations) = (BTreeSet::new(), BTreeSet::new());
    let mut others = 0;
    for credential in store.credentials() {
        let id = || shown(&credential.id);
        let refused = |refused| RestoreRefused::Credential { id: id(), refused };
        check_credential(profile, credential).map_err(refused)?;
        let is_full = match &credential.discoverable {
            Some(Discoverable { user, creation }) => {
                if *creation >= MAX_CREATION || !creations.insert(*creation) {
                    return Err(RestoreRefused::Creation { id: id() });
                }
                if !users.insert((&credential.relying_party_id, &user.id)) {
                    return Err(refused(ImportRefused::SameUser(credential.relying_party_id.clone())));
                }
                creations.len() > capacity(profile)
            }
            None => {
                others += 1;
                others > MAX_OTHERS
            }
        };
        if is_full {
            return Err(refused(ImportRefused::Full));
        }
    }
    match profile.option(OptionId::LargeBlobs) {
        Some(true) => check_large_blobs(profile, store.large_blobs()),
        _ if store.has_initial_large_blobs() => Ok(()),
        _ => Err(LargeBlobsRefused::NotSupported),
    }
    .map_err(RestoreRefused::LargeBlobs)
}

/// The beginning of a credential id, in hexadecimal.
fn shown(id: &[u8]) -> String {
    let shown: String = id.iter().take(SHOWN_ID).map(|byte| format!("{byte:02x}")).collect();
    if id.len() > SHOWN_ID { shown + "…" } else { shown }
}

fn check_pin(profile: &Profile, store: &Store) -> Result<(), RestoreRefused> {
    let retries = store.pin_retries();
    if retries > MAX_PIN_RETRIES {
        return Err(RestoreRefused::PinRetries(retries));
    }
    let most = if profile.has_built_in_uv() { profile.behaviour.uv_retries } else { 0 };
    let failed = store.uv_attempts().failed;
    if failed > most {
        return Err(RestoreRefused::UvAttempts { failed, most });
    }
    let Some(pin) = store.pin() else { return Ok(()) };
    if profile.option(OptionId::ClientPin).is_none() {
        return Err(RestoreRefused::NoPins(profile.name.clone()));
    }
    let (length, longest) = (pin.code_points, profile.behaviour.longest_pin);
    if (SHORTEST_PIN..=longest).contains(&length) { Ok(()) } else { Err(RestoreRefused::PinLength { length, longest }) }
}

/// The member of the configuration that no request to the key would have set.
fn wrong_configuration(profile: &Profile, store: &Store) -> Option<&'static str> {
    let Configuration {
        always_uv,
        min_pin_length,
        force_pin_change,
        min_pin_length_rp_ids,
        pin_complexity_policy,
        long_touch_for_reset,
        enterprise_attestation,
    } = store.configuration();
    let has = |wanted| profile.config_commands().any(|command| command == wanted);
    let sets_length = has(Subcommand::SetMinPinLength);
    let is_length = |length: u8| length >= profile.min_pin_length() && length <= profile.behaviour.longest_pin;
    let max_rp_ids = profile.max_rp_ids_for_set_min_pin_length().unwrap_or(0);
    let is_many = u64::try_from(min_pin_length_rp_ids.len()).map_or(true, |count| count > max_rp_ids);
    let is_long = |rp_id: &String| rp_id.len() > profile.max_msg_size.into();
    [
        ("alwaysUv", always_uv.is_some() && !has(Subcommand::ToggleAlwaysUv)),
        ("minPINLength", min_pin_length.is_some_and(|length| !sets_length || !is_length(length))),
        ("forcePINChange", *force_pin_change && (!sets_length || store.pin().is_none())),
        ("minPinLengthRPIDs", is_many || min_pin_length_rp_ids.iter().any(is_long)),
        ("pinComplexityPolicy", *pin_complexity_policy && !profile.has_pin_complexity_policy()),
        ("ep", enterprise_attestation.is_some() && !has(Subcommand::EnableEnterpriseAttestation)),
        ("longTouchForReset", *long_touch_for_reset && !has(Subcommand::EnableLongTouchForReset)),
    ]
    .into_iter()
    .find_map(|(member, is_wrong)| is_wrong.then_some(member))
}

/// Whether a finger may be called so.
pub(super) fn check_name(sensor: Fingerprints, name: &str) -> Result<(), FingerprintRefused> {
    let (length, longest) = (name.len(), sensor.longest_name);
    if length > longest.into() { Err(FingerprintRefused::Name { length, longest }) } else { Ok(()) }
}

/// Whether a key can come to know all these.
fn check_fingerprints(profile: &Profile, store: &Store) -> Result<(), FingerprintRefused> {
    let Some(sensor) = profile.fingerprints() else {
        return if store.fingerprints().len() == 0 { Ok(()) } else { Err(FingerprintRefused::NotSupported) };
    };
    if store.fingerprints().len() > sensor.templates.into() {
        return Err(FingerprintRefused::Full(sensor.templates));
    }
    store.fingerprints().try_for_each(|fingerprint| check_name(sensor, &fingerprint.name))
}
