//! What an authenticator keeps: in memory for reading, and as records for the driver, which makes them durable.
//!
//! Storage is an output: a command yields [`Change`]s, and memory follows only after the driver has said that they are
//! durable. A change is one record written or removed; the records of one commit belong in one transaction.

mod configuration;
mod records;

#[cfg(test)]
mod tests;

use core::ops::Bound::{Excluded, Unbounded};
use core::ops::RangeBounds;
use std::collections::{BTreeMap, BTreeSet};

pub use configuration::Configuration;
pub use records::{LoadError, Record, Records};

use crate::credential::{CredRandom, CredentialSecret, OpenedCredential, StoredCredential, rp_id_hash};
use crate::environment::Environment;
use crate::fingerprint::Fingerprint;
use crate::pin::{MAX_PIN_RETRIES, Pin};
use crate::pin_uv_auth_token::PersistentPinUvAuthToken;
use crate::uv_attempts::UvAttempts;

/// How many credentials that are not discoverable may be stored.
pub(crate) const MAX_OTHERS: usize = 1000;

/// The initial serialized large-blob array (§6.10.1): an empty array, and the first half of its SHA-256.
const INITIAL_LARGE_BLOBS: [u8; 17] =
    [0x80, 0x76, 0xBE, 0x8B, 0x52, 0x8D, 0x00, 0x75, 0xF7, 0xAA, 0xE9, 0x8D, 0x6F, 0xA5, 0x7A, 0x6D, 0x3C];

/// One change of what an authenticator keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Forget everything. Comes first in a commit, with a new secret behind it.
    Clear,
    /// The secret that credentials which live in their own id are made under.
    Secret(CredentialSecret),
    /// The signature counter.
    Counter(u32),
    /// Write a credential, in place of one with the same id.
    Put(StoredCredential),
    /// Write a credential of which nothing has changed but its counter.
    Counted(StoredCredential),
    /// Remove the credential with this id.
    Remove(Vec<u8>),
    /// What is kept of the PIN.
    Pin(Pin),
    /// How many wrong PINs there may still be.
    PinRetries(u8),
    /// How built-in user verification was tried.
    UvAttempts(UvAttempts),
    /// Write a fingerprint, in place of one with the same id.
    PutFingerprint(Fingerprint),
    /// Remove the fingerprint with this id.
    RemoveFingerprint(Vec<u8>),
    /// The persistentPinUvAuthToken.
    PersistentPinUvAuthToken(PersistentPinUvAuthToken),
    /// What encCredStoreState says of the credentials: another random value after every change of them.
    CredentialStoreState([u8; 16]),
    /// What authenticatorConfig set.
    Configuration(Configuration),
    /// The serialized large-blob array.
    LargeBlobs(Vec<u8>),
}

impl Change {
    /// Another persistentPinUvAuthToken: whoever has the one before has it no more.
    pub(crate) fn new_persistent_token(environment: &mut dyn Environment) -> Self {
        Self::PersistentPinUvAuthToken(PersistentPinUvAuthToken::generate(environment))
    }

    /// What goes with every change of discoverable credentials (CTAP 2.3 §6.1.2 step 17.5).
    pub(crate) fn new_credential_store_state(environment: &mut dyn Environment) -> Self {
        let mut state = [0; 16];
        environment.random(&mut state);
        Self::CredentialStoreState(state)
    }
}

/// What an authenticator keeps, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    secret: CredentialSecret,
    counter: u32,
    credentials: BTreeMap<Vec<u8>, StoredCredential>,
    /// Ids of the discoverable credentials, by relying party and then by creation.
    discoverable: BTreeMap<([u8; 32], u64), Vec<u8>>,
    /// The creation counts in use.
    creations: BTreeSet<u64>,
    pin: Option<Pin>,
    pin_retries: u8,
    uv_attempts: UvAttempts,
    fingerprints: BTreeMap<Vec<u8>, Fingerprint>,
    /// Absent, as the state below is, from a store of an earlier version.
    persistent_token: Option<PersistentPinUvAuthToken>,
    credential_store_state: Option<[u8; 16]>,
    configuration: Configuration,
    large_blobs: Vec<u8>,
}

impl Store {
    /// The store of a new authenticator, and the changes that make it durable.
    pub fn create(environment: &mut dyn Environment) -> (Self, Vec<Change>) {
        let changes = Self::blank(environment, 0);
        let mut store = Self::empty();
        store.apply(&changes);
        (store, changes)
    }

    /// Reads a store from its records, in any order.
    ///
    /// # Errors
    /// [`LoadError`] names the record that is wrong or missing. Nothing is repaired or left out.
    pub fn load(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, LoadError> {
        let mut store = Self::empty();
        store.apply(&records::decode_all(records)?);
        Ok(store)
    }

    fn empty() -> Self {
        Self {
            secret: CredentialSecret([0; 32]),
            counter: 0,
            credentials: BTreeMap::new(),
            discoverable: BTreeMap::new(),
            creations: BTreeSet::new(),
            pin: None,
            pin_retries: MAX_PIN_RETRIES,
            uv_attempts: UvAttempts::default(),
            fingerprints: BTreeMap::new(),
            persistent_token: None,
            credential_store_state: None,
            configuration: Configuration::default(),
            large_blobs: INITIAL_LARGE_BLOBS.to_vec(),
        }
    }

    /// The changes that make a store blank. The counter goes on: a clone of an older state must never look newer.
    pub(crate) fn blank(environment: &mut dyn Environment, counter: u32) -> Vec<Change> {
        vec![
            Change::Clear,
            Change::Secret(CredentialSecret::generate(environment)),
            Change::Counter(counter),
            Change::new_persistent_token(environment),
            Change::new_credential_store_state(environment),
        ]
    }

    /// The changes that make a store this one, whatever it was.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Clear, Change::Secret(self.secret.clone()), Change::Counter(self.counter)];
        changes.extend(self.credentials.values().cloned().map(Change::Put));
        changes.extend(self.pin.clone().map(Change::Pin));
        if self.pin_retries != MAX_PIN_RETRIES {
            changes.push(Change::PinRetries(self.pin_retries));
        }
        if self.uv_attempts != UvAttempts::default() {
            changes.push(Change::UvAttempts(self.uv_attempts));
        }
        changes.extend(self.fingerprints.values().cloned().map(Change::PutFingerprint));
        changes.extend(self.persistent_token.clone().map(Change::PersistentPinUvAuthToken));
        changes.extend(self.credential_store_state.map(Change::CredentialStoreState));
        if self.configuration != Configuration::default() {
            changes.push(Change::Configuration(self.configuration.clone()));
        }
        if !self.has_initial_large_blobs() {
            changes.push(Change::LargeBlobs(self.large_blobs.clone()));
        }
        changes
    }

    pub(crate) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Clear => *self = Self::empty(),
                Change::Secret(secret) => self.secret = secret.clone(),
                Change::Counter(counter) => self.counter = *counter,
                Change::Put(credential) => {
                    self.remove(&credential.id);
                    if let Some(discoverable) = &credential.discoverable {
                        let key = (rp_id_hash(&credential.relying_party_id), discoverable.creation);
                        self.discoverable.insert(key, credential.id.clone());
                        self.creations.insert(discoverable.creation);
                    }
                    self.credentials.insert(credential.id.clone(), credential.clone());
                }
                Change::Counted(credential) => {
                    self.credentials.insert(credential.id.clone(), credential.clone());
                }
                Change::Remove(id) => self.remove(id),
                Change::Pin(pin) => self.pin = Some(pin.clone()),
                Change::PinRetries(retries) => self.pin_retries = *retries,
                Change::PutFingerprint(fingerprint) => {
                    self.fingerprints.insert(fingerprint.id.clone(), fingerprint.clone());
                }
                Change::RemoveFingerprint(id) => drop(self.fingerprints.remove(id)),
                Change::UvAttempts(attempts) => self.uv_attempts = *attempts,
                Change::PersistentPinUvAuthToken(token) => self.persistent_token = Some(token.clone()),
                Change::CredentialStoreState(state) => self.credential_store_state = Some(*state),
                Change::Configuration(configuration) => self.configuration = configuration.clone(),
                Change::LargeBlobs(array) => self.large_blobs.clone_from(array),
            }
        }
    }

    fn remove(&mut self, id: &[u8]) {
        let Some(credential) = self.credentials.remove(id) else { return };
        if let Some(discoverable) = credential.discoverable {
            self.discoverable.remove(&(rp_id_hash(&credential.relying_party_id), discoverable.creation));
            self.creations.remove(&discoverable.creation);
        }
    }

    /// What encCredStoreState says of the credentials (CTAP 2.3 §6.4).
    pub(crate) fn credential_store_state(&self) -> Option<[u8; 16]> {
        self.credential_store_state
    }

    /// The secret that credentials which live in their own id are made under.
    pub(crate) fn secret(&self) -> &CredentialSecret {
        &self.secret
    }

    /// What is kept of the PIN, if one is set.
    pub(crate) fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// How many wrong PINs there may still be.
    #[must_use]
    pub fn pin_retries(&self) -> u8 {
        self.pin_retries
    }

    /// How built-in user verification was tried.
    #[must_use]
    pub fn uv_attempts(&self) -> UvAttempts {
        self.uv_attempts
    }

    /// The fingerprints that it knows, in the order of their ids.
    pub fn fingerprints(&self) -> impl ExactSizeIterator<Item = &Fingerprint> {
        self.fingerprints.values()
    }

    /// The fingerprint with this id.
    #[must_use]
    pub fn fingerprint(&self, id: &[u8]) -> Option<&Fingerprint> {
        self.fingerprints.get(id)
    }

    /// The persistentPinUvAuthToken, whether a platform has it or not.
    pub(crate) fn persistent_token(&self) -> Option<&PersistentPinUvAuthToken> {
        self.persistent_token.as_ref()
    }

    /// What authenticatorConfig set.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The serialized large-blob array.
    #[must_use]
    pub fn large_blobs(&self) -> &[u8] {
        &self.large_blobs
    }

    /// Whether the large-blob array is that of a new key.
    pub(crate) fn has_initial_large_blobs(&self) -> bool {
        self.large_blobs == INITIAL_LARGE_BLOBS
    }

    /// The signature counter: the value in the last assertion.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// The stored credential with this id, of any relying party.
    #[must_use]
    pub fn credential(&self, id: &[u8]) -> Option<&StoredCredential> {
        self.credentials.get(id)
    }

    /// The stored credential with this id, if it belongs to the relying party.
    #[must_use]
    pub fn find(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Option<&StoredCredential> {
        self.credentials.get(id).filter(|credential| self::rp_id_hash(&credential.relying_party_id) == *rp_id_hash)
    }

    /// What a credential with this id can do, if it belongs to the relying party: a stored one, or one that lives in its id.
    pub(crate) fn open(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Option<OpenedCredential> {
        let stored = self.find(rp_id_hash, id).map(|credential| OpenedCredential {
            private_key: credential.private_key.clone(),
            properties: credential.properties,
        });
        stored.or_else(|| self.secret.open(rp_id_hash, id))
    }

    /// `CredRandomWithUV` and `CredRandomWithoutUV` of a credential.
    pub(crate) fn cred_randoms(&self, id: &[u8]) -> CredRandom {
        let own = self.credential(id).and_then(|credential| credential.own.as_ref()?.cred_random.clone());
        own.unwrap_or_else(|| CredRandom {
            with_uv: *self.secret.cred_random(id, true),
            without_uv: *self.secret.cred_random(id, false),
        })
    }

    /// `largeBlobKey` of a credential, if it has one.
    pub(crate) fn large_blob_key(&self, id: &[u8]) -> [u8; 32] {
        let own = self.credential(id).and_then(|credential| credential.own.as_ref()?.large_blob_key);
        own.unwrap_or_else(|| self.secret.large_blob_key(id))
    }

    /// The discoverable credentials of a relying party, the newest first.
    pub fn discoverable(&self, rp_id_hash: &[u8; 32]) -> impl Iterator<Item = &StoredCredential> {
        self.discoverable_in((*rp_id_hash, 0)..=(*rp_id_hash, u64::MAX))
    }

    /// Of these those that are older than the one with this creation count.
    pub(crate) fn discoverable_before(
        &self,
        rp_id_hash: &[u8; 32],
        creation: u64,
    ) -> impl Iterator<Item = &StoredCredential> {
        self.discoverable_in((*rp_id_hash, 0)..(*rp_id_hash, creation))
    }

    fn discoverable_in(&self, range: impl RangeBounds<([u8; 32], u64)>) -> impl Iterator<Item = &StoredCredential> {
        self.discoverable.range(range).rev().filter_map(|(_, id)| self.credentials.get(id))
    }

    /// Whether a relying party has discoverable credentials.
    pub(crate) fn has_discoverable(&self, rp_id_hash: &[u8; 32]) -> bool {
        self.discoverable(rp_id_hash).next().is_some()
    }

    /// The relying party among whose credentials a change changes something.
    pub(crate) fn relying_party_of(&self, change: &Change) -> Option<[u8; 32]> {
        let credential = match change {
            Change::Put(credential) => credential,
            Change::Remove(id) => self.credentials.get(id)?,
            _ => return None,
        };
        Some(rp_id_hash(&credential.relying_party_id))
    }

    /// The relying parties that have discoverable credentials, by the hash of their RP ID, each once.
    pub fn relying_parties(&self) -> impl Iterator<Item = [u8; 32]> {
        let first = self.discoverable.keys().next().map(|(hash, _)| *hash);
        core::iter::successors(first, |hash| self.relying_party_after(hash))
    }

    /// The relying party that comes after this one.
    pub(crate) fn relying_party_after(&self, rp_id_hash: &[u8; 32]) -> Option<[u8; 32]> {
        // They are sorted: the next one begins behind the last credential of this one.
        let mut behind = self.discoverable.range((Excluded((*rp_id_hash, u64::MAX)), Unbounded));
        behind.next().map(|((hash, _), _)| *hash)
    }

    /// How many discoverable credentials are stored.
    #[must_use]
    pub fn discoverable_count(&self) -> usize {
        self.discoverable.len()
    }

    /// Whether another credential fits that is not discoverable.
    pub(crate) fn has_room_for_others(&self) -> bool {
        self.credentials.len() - self.discoverable.len() < MAX_OTHERS
    }

    /// All stored credentials.
    pub fn credentials(&self) -> impl Iterator<Item = &StoredCredential> {
        self.credentials.values()
    }

    /// The creation count for the next discoverable credential.
    pub(crate) fn next_creation(&self) -> u64 {
        self.creations.last().map_or(1, |last| last.saturating_add(1))
    }
}
