//! Snapshots: all that a key keeps, in one piece that can be put aside, restored and made another key of.
//!
//! ```text
//! "keyrig snapshot 1\n"
//! CBOR: [profile's name, {record's key: record's value, …}]
//! SHA-256 of all before it, 32 bytes
//! ```
//!
//! Private keys are in it, unencrypted, as they are in a state directory.

use std::collections::BTreeMap;

use keyrig_authenticator::store::{LoadError, Records, Store};
use keyrig_ctap::cbor::{Item, Writer};
use sha2::{Digest, Sha256};
use thiserror::Error;

const FORMAT: &[u8] = b"keyrig snapshot 1\n";
/// The beginning of what other versions write.
const FORMAT_FAMILY: &[u8] = b"keyrig snapshot ";

const HASH_LENGTH: usize = 32;

/// The longest snapshot that is read, bytes: a full key has less, whatever is in it.
pub const MAX_SNAPSHOT: usize = 8 * 1024 * 1024;

/// All that a key keeps, and which key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The name of its profile.
    pub profile: String,
    /// What it keeps.
    pub store: Store,
}

/// Bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidSnapshot {
    /// They are too many.
    #[error("a snapshot has {MAX_SNAPSHOT} bytes at most, and these are {0}")]
    TooLong(usize),
    /// They do not begin as one does.
    #[error("this is no snapshot of a key")]
    Foreign,
    /// Another version wrote them.
    #[error("the snapshot was written by another version of keyrig")]
    Version,
    /// Some are missing, or are others.
    #[error("the snapshot is damaged: it has another checksum")]
    Checksum,
    /// They hold something else than a key's records.
    #[error("the snapshot is damaged: it does not hold a key")]
    Malformed,
    /// A record is wrong or missing.
    #[error("the snapshot is damaged: {0}")]
    Records(#[from] LoadError),
}

impl Snapshot {
    /// Writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut records = Records::default();
        records.apply(&self.store.changes());
        let records: Vec<_> = records.as_map().iter().collect();
        let mut writer = Writer::new();
        // Pairs, as CTAP2's canonical order of keys would not be that of the records.
        writer.array(2 * records.len() + 1).text(&self.profile);
        for (key, value) in records {
            writer.bytes(key).bytes(value);
        }
        let mut bytes = [FORMAT, &writer.finish()].concat();
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`InvalidSnapshot`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSnapshot> {
        if bytes.len() > MAX_SNAPSHOT {
            return Err(InvalidSnapshot::TooLong(bytes.len()));
        }
        if !bytes.starts_with(FORMAT) {
            let is_ours = bytes.starts_with(FORMAT_FAMILY);
            return Err(if is_ours { InvalidSnapshot::Version } else { InvalidSnapshot::Foreign });
        }
        let (content, hash) = bytes.split_last_chunk::<HASH_LENGTH>().ok_or(InvalidSnapshot::Checksum)?;
        if Sha256::digest(content).as_slice() != hash {
            return Err(InvalidSnapshot::Checksum);
        }
        let content = content.strip_prefix(FORMAT).ok_or(InvalidSnapshot::Checksum)?;
        let (profile, records) = parse(content).ok_or(InvalidSnapshot::Malformed)?;
        Ok(Self { profile, store: records.load()? })
    }
}

fn parse(content: &[u8]) -> Option<(String, Records)> {
    let mut items = Item::parse(content).ok()?.array().ok()?;
    let profile = items.next()?.text().ok()?.to_owned();
    let mut records = BTreeMap::new();
    while let Some(key) = items.next() {
        let (key, value) = (key.bytes().ok()?, items.next()?.bytes().ok()?);
        if records.insert(key.to_vec(), value.to_vec()).is_some() {
            return None;
        }
    }
    Some((profile, records.into()))
}

#[cfg(test)]
mod tests {
    use keyrig_authenticator::environment::Seeded;

    use super::*;

    fn snapshot() -> Snapshot {
        let (store, _) = Store::create(&mut Seeded::new([5; 32]));
        Snapshot { profile: "keyrig".to_owned(), store }
    }

    #[test]
    fn a_snapshot_reads_as_it_was_written_and_nothing_else_does() {
        let snapshot = snapshot();
        let bytes = snapshot.to_bytes();
        assert_eq!(Snapshot::from_bytes(&bytes), Ok(snapshot));
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            assert!(Snapshot::from_bytes(&altered).is_err(), "byte {position}");
            assert!(Snapshot::from_bytes(&bytes[..position]).is_err(), "{position} bytes");
        }
        assert_eq!(Snapshot::from_bytes(b"keyrig snapshot 2\n"), Err(InvalidSnapshot::Version));
        assert_eq!(Snapshot::from_bytes(b"PNG"), Err(InvalidSnapshot::Foreign));
        assert_eq!(Snapshot::from_bytes(&vec![0; MAX_SNAPSHOT + 1]), Err(InvalidSnapshot::TooLong(MAX_SNAPSHOT + 1)));
    }

    /// With a checksum that is right.
    fn of(content: &[u8]) -> Result<Snapshot, InvalidSnapshot> {
        let mut bytes = [FORMAT, content].concat();
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        Snapshot::from_bytes(&bytes)
    }

    #[test]
    fn what_has_a_right_checksum_and_holds_no_key_is_refused() {
        // CBOR by hand: 1; []; [1]; ["a", h'00']; ["a", 1, 2]; ["a", h'00', h'', h'00', h'']; twice an item.
        for content in ["01", "80", "8101", "8261614100", "8361610102", "85616141004041004040", "6161"] {
            assert_eq!(of(&hex::decode(content).unwrap()), Err(InvalidSnapshot::Malformed), "{content}");
        }
        // ["a"]; ["a", h'00', h''].
        assert!(matches!(of(&hex::decode("816161").unwrap()), Err(InvalidSnapshot::Records(LoadError::Missing(_)))));
        let unknown = of(&hex::decode("836161410040").unwrap());
        assert!(matches!(unknown, Err(InvalidSnapshot::Records(LoadError::UnknownRecord(_)))));
    }
}
