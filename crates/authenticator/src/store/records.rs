//! The records of a store: a key and a value each, written in CBOR. Format 2: format 1 had no imported credentials.
//!
//! Every store has a secret and a counter; what else is missing is as on a new key. So the stores of earlier versions load.

use std::collections::BTreeMap;

use keyrig_ctap::cbor::{Item, UnexpectedType, Writer};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;
use thiserror::Error;

use super::{Change, Configuration, Store};
use crate::credential::{CredRandom, CredentialSecret, Discoverable, Own, Properties, StoredCredential};
use crate::fingerprint::Fingerprint;
use crate::pin::Pin;
use crate::pin_uv_auth_token::PersistentPinUvAuthToken;
use crate::private_key::PrivateKey;
use crate::uv_attempts::UvAttempts;

const SECRET: &[u8] = b"secret";
const COUNTER: &[u8] = b"counter";
const LARGE_BLOBS: &[u8] = b"large blobs";
const CREDENTIAL: &[u8] = b"credential/";
const PIN: &[u8] = b"pin";
const PIN_RETRIES: &[u8] = b"pin retries";
const UV_ATTEMPTS: &[u8] = b"uv attempts";
const FINGERPRINT: &[u8] = b"fingerprint/";
const PERSISTENT_TOKEN: &[u8] = b"persistent token";
const CREDENTIAL_STORE_STATE: &[u8] = b"credential store state";
const CONFIGURATION: &[u8] = b"configuration";

/// A change as the keeper of the records has to carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Remove every record.
    Clear,
    /// Write a record, in place of one with the same key.
    Put {
        /// The record's key.
        key: Vec<u8>,
        /// Its value; secret.
        value: Vec<u8>,
    },
    /// Remove the record with this key, if there is one.
    Remove {
        /// The record's key.
        key: Vec<u8>,
    },
}

/// Records are not a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// A record has a key that this version does not know.
    #[error("record {0:?} is unknown: it was written by another version")]
    UnknownRecord(String),
    /// A record's value is damaged.
    #[error("record {0:?} is damaged")]
    Damaged(String),
    /// A record that every store has is missing.
    #[error("record {0:?} is missing")]
    Missing(&'static str),
}

/// Records by key, in memory: a disk for who needs no other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl core::fmt::Debug for Records {
    /// Private keys are in them.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Records({})", self.0.len())
    }
}

impl Records {
    /// Carries out changes.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change.record() {
                Record::Clear => self.0.clear(),
                Record::Put { key, value } => drop(self.0.insert(key, value)),
                Record::Remove { key } => drop(self.0.remove(&key)),
            }
        }
    }

    /// Reads the store that they make up.
    ///
    /// # Errors
    /// [`LoadError`] names the record that is wrong or missing.
    pub fn load(&self) -> Result<Store, LoadError> {
        Store::load(self.0.clone())
    }

    /// The records.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.0
    }
}

impl From<BTreeMap<Vec<u8>, Vec<u8>>> for Records {
    fn from(records: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self(records)
    }
}

impl Change {
    /// The record that makes the change durable.
    #[must_use]
    pub fn record(&self) -> Record {
        match self {
            Self::Clear => Record::Clear,
            Self::Secret(secret) => put(SECRET, secret.0.to_vec()),
            Self::Counter(counter) => put(COUNTER, counter.to_be_bytes().to_vec()),
            Self::Put(credential) | Self::Counted(credential) => {
                Record::Put { key: credential_key(&credential.id), value: encode(credential) }
            }
            Self::Remove(id) => Record::Remove { key: credential_key(id) },
            // The number of code points, and the hash.
            Self::Pin(pin) => put(PIN, [&[pin.code_points], &pin.hash[..]].concat()),
            Self::PinRetries(retries) => put(PIN_RETRIES, vec![*retries]),
            // What failed since a success, and the count since the PIN was entered.
            Self::UvAttempts(UvAttempts { failed, since_pin_entry }) => {
                put(UV_ATTEMPTS, [&[*failed], &since_pin_entry.to_be_bytes()[..]].concat())
            }
            // The name.
            Self::PutFingerprint(Fingerprint { id, name }) => {
                let mut writer = Writer::new();
                writer.map(|map| {
                    map.entry(1, |w| w.text(name));
                });
                Record::Put { key: [FINGERPRINT, id].concat(), value: writer.finish() }
            }
            Self::RemoveFingerprint(id) => Record::Remove { key: [FINGERPRINT, id].concat() },
            Self::PersistentPinUvAuthToken(token) => put(PERSISTENT_TOKEN, token.0.to_vec()),
            Self::CredentialStoreState(state) => put(CREDENTIAL_STORE_STATE, state.to_vec()),
            Self::Configuration(configuration) => put(CONFIGURATION, configuration.encode()),
            Self::LargeBlobs(array) => put(LARGE_BLOBS, array.clone()),
        }
    }
}

fn put(key: &[u8], value: Vec<u8>) -> Record {
    Record::Put { key: key.to_vec(), value }
}

fn credential_key(id: &[u8]) -> Vec<u8> {
    [CREDENTIAL, id].concat()
}

/// The changes that lead to a store with these records.
pub(super) fn decode_all(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Vec<Change>, LoadError> {
    let mut changes = Vec::new();
    let (mut has_secret, mut has_counter) = (false, false);
    for (key, value) in records {
        let name = || String::from_utf8_lossy(&key).into_owned();
        let damaged = || LoadError::Damaged(name());
        changes.push(if key == SECRET {
            has_secret = true;
            Change::Secret(CredentialSecret(value.try_into().map_err(|_| damaged())?))
        } else if key == COUNTER {
            has_counter = true;
            Change::Counter(u32::from_be_bytes(value.try_into().map_err(|_| damaged())?))
        } else if let Some(id) = key.strip_prefix(CREDENTIAL) {
            Change::Put(decode(id, &value).ok_or_else(damaged)?)
        } else if key == PIN {
            let (code_points, hash) = value.split_first().ok_or_else(damaged)?;
            Change::Pin(Pin { code_points: *code_points, hash: hash.try_into().map_err(|_| damaged())? })
        } else if key == PIN_RETRIES {
            let [retries] = value.try_into().map_err(|_| damaged())?;
            Change::PinRetries(retries)
        } else if key == UV_ATTEMPTS {
            let (failed, since) = value.split_first().ok_or_else(damaged)?;
            let since_pin_entry = u32::from_be_bytes(since.try_into().map_err(|_| damaged())?);
            Change::UvAttempts(UvAttempts { failed: *failed, since_pin_entry })
        } else if let Some(id) = key.strip_prefix(FINGERPRINT) {
            Change::PutFingerprint(decode_fingerprint(id, &value).ok_or_else(damaged)?)
        } else if key == PERSISTENT_TOKEN {
            let token = PersistentPinUvAuthToken(value.try_into().map_err(|_| damaged())?);
            Change::PersistentPinUvAuthToken(token)
        } else if key == CREDENTIAL_STORE_STATE {
            Change::CredentialStoreState(value.try_into().map_err(|_| damaged())?)
        } else if key == CONFIGURATION {
            Change::Configuration(Configuration::decode(&value).ok_or_else(damaged)?)
        } else if key == LARGE_BLOBS {
            Change::LargeBlobs(value)
        } else {
            return Err(LoadError::UnknownRecord(name()));
        });
    }
    match (has_secret, has_counter) {
        (false, _) => Err(LoadError::Missing("secret")),
        (_, false) => Err(LoadError::Missing("counter")),
        _ => Ok(changes),
    }
}

fn encode(credential: &StoredCredential) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(|map| {
        map.entry(1, |w| w.text(&credential.relying_party_id));
        map.entry(2, |w| w.integer(credential.private_key.algorithm().identifier()));
        map.entry(3, |w| w.bytes(credential.private_key.expose()));
        map.optional(4, credential.discoverable.as_ref(), |w, discoverable| {
            let user = &discoverable.user;
            w.map(|map| {
                map.entry(1, |w| w.unsigned(discoverable.creation));
                map.entry(2, |w| w.bytes(&user.id));
                map.optional(3, user.name.as_deref(), Writer::text);
                map.optional(4, user.display_name.as_deref(), Writer::text);
            })
        });
        // What is as it is without extensions is left out, and so read as earlier versions wrote it.
        let Properties { protection, third_party_payment } = credential.properties;
        let protection = (protection != CredentialProtection::default()).then_some(protection);
        map.optional(5, protection, |w, level| w.unsigned(level.into()));
        map.optional(6, third_party_payment.then_some(true), Writer::boolean);
        map.optional(7, credential.has_large_blob_key.then_some(true), Writer::boolean);
        map.optional(8, (!credential.cred_blob.is_empty()).then_some(&credential.cred_blob), |w, blob| w.bytes(blob));
        map.optional(9, credential.own.as_ref(), encode_own);
    });
    writer.finish()
}

fn decode_fingerprint(id: &[u8], value: &[u8]) -> Option<Fingerprint> {
    let mut name = None;
    for (number, item) in Item::parse(value).ok()?.map().ok()? {
        match number.unsigned().ok()? {
            1 => name = Some(item.text().ok()?.to_owned()),
            _ => return None,
        }
    }
    Some(Fingerprint { id: id.to_vec(), name: name? })
}

fn encode_own<'a>(writer: &'a mut Writer, own: &Own) -> &'a mut Writer {
    writer.map(|map| {
        map.optional(1, own.counter.map(u64::from), Writer::unsigned);
        map.entry(2, |w| w.boolean(own.backup_eligible));
        map.entry(3, |w| w.boolean(own.backup_state));
        map.optional(4, own.cred_random.as_ref(), |w, random| w.bytes(&random.with_uv));
        map.optional(5, own.cred_random.as_ref(), |w, random| w.bytes(&random.without_uv));
        map.optional(6, own.large_blob_key, |w, key| w.bytes(&key));
    })
}

fn decode_own(item: Item<'_>) -> Option<Own> {
    let (mut counter, mut backup_eligible, mut backup_state) = (None, None, None);
    let (mut with_uv, mut without_uv, mut large_blob_key) = (None, None, None);
    let secret = |item: Item<'_>| -> Option<[u8; 32]> { item.bytes().ok()?.try_into().ok() };
    for (number, item) in item.map().ok()? {
        match number.unsigned().ok()? {
            1 => counter = Some(item.unsigned().ok()?.try_into().ok()?),
            2 => backup_eligible = Some(item.boolean().ok()?),
            3 => backup_state = Some(item.boolean().ok()?),
            4 => with_uv = Some(secret(item)?),
            5 => without_uv = Some(secret(item)?),
            6 => large_blob_key = Some(secret(item)?),
            _ => return None,
        }
    }
    let cred_random = match (with_uv, without_uv) {
        (Some(with_uv), Some(without_uv)) => Some(CredRandom { with_uv, without_uv }),
        (None, None) => None,
        _ => return None,
    };
    Some(Own { counter, backup_eligible: backup_eligible?, backup_state: backup_state?, cred_random, large_blob_key })
}

fn decode(id: &[u8], value: &[u8]) -> Option<StoredCredential> {
    let (mut relying_party_id, mut algorithm, mut key, mut discoverable) = (None, None, None, None);
    let (mut properties, mut has_large_blob_key, mut cred_blob) = (Properties::default(), false, Vec::new());
    let mut own = None;
    for (number, item) in Item::parse(value).ok()?.map().ok()? {
        match number.unsigned().ok()? {
            1 => relying_party_id = Some(item.text().ok()?.to_owned()),
            2 => algorithm = Some(Algorithm::from_identifier(item.integer().ok()?)?),
            3 => key = Some(item.bytes().ok()?),
            4 => discoverable = Some(decode_discoverable(item)?),
            5 => properties.protection = CredentialProtection::from_number(item.unsigned().ok()?)?,
            6 => properties.third_party_payment = item.boolean().ok()?,
            7 => has_large_blob_key = item.boolean().ok()?,
            8 => cred_blob = item.bytes().ok()?.to_vec(),
            9 => own = Some(decode_own(item)?),
            _ => return None,
        }
    }
    Some(StoredCredential {
        id: id.to_vec(),
        relying_party_id: relying_party_id?,
        private_key: PrivateKey::from_bytes(algorithm?, key?)?,
        discoverable,
        properties,
        has_large_blob_key,
        cred_blob,
        own,
    })
}

fn decode_discoverable(item: Item<'_>) -> Option<Discoverable> {
    let (mut creation, mut id, mut name, mut display_name) = (None, None, None, None);
    let text = |item: Item<'_>| -> Result<String, UnexpectedType> { item.text().map(str::to_owned) };
    for (number, item) in item.map().ok()? {
        match number.unsigned().ok()? {
            1 => creation = Some(item.unsigned().ok()?),
            2 => id = Some(item.bytes().ok()?.to_vec()),
            3 => name = Some(text(item).ok()?),
            4 => display_name = Some(text(item).ok()?),
            _ => return None,
        }
    }
    Some(Discoverable { user: User { id: id?, name, display_name }, creation: creation? })
}
