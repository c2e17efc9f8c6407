use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;

use super::*;
use crate::credential::Discoverable;
use crate::environment::Seeded;
use crate::private_key::PrivateKey;

fn credential(id: &[u8], site: &str, user: Option<(&[u8], u64)>) -> StoredCredential {
    StoredCredential {
        id: id.to_vec(),
        relying_party_id: site.to_owned(),
        private_key: PrivateKey::from_bytes(Algorithm::Es256, &[1; 32]).unwrap(),
        discoverable: user.map(|(id, creation)| Discoverable {
            user: User { id: id.to_vec(), name: Some("root@pam".into()), display_name: None },
            creation,
        }),
    }
}

fn persisted(store: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: &[Change]) {
    for change in changes {
        match change.record() {
            Record::Clear => store.clear(),
            Record::Put { key, value } => drop(store.insert(key, value)),
            Record::Remove { key } => drop(store.remove(&key)),
        }
    }
}

#[test]
fn memory_and_records_agree_after_every_change() {
    let mut environment = Seeded::new([1; 32]);
    let (mut store, changes) = Store::create(&mut environment);
    let mut disk = BTreeMap::new();
    persisted(&mut disk, &changes);
    assert_eq!(Store::load(disk.clone()).unwrap(), store);
    for changes in [
        vec![Change::Counter(7), Change::Put(credential(b"one", "example.com", Some((b"u1", 1))))],
        vec![Change::Put(credential(b"two", "example.com", None))],
        vec![Change::Put(credential(b"one", "example.com", Some((b"u2", 2))))],
        vec![Change::Remove(b"two".to_vec()), Change::Remove(b"never".to_vec())],
        Store::blank(&mut environment, 7),
    ] {
        persisted(&mut disk, &changes);
        store.apply(&changes);
        assert_eq!(Store::load(disk.clone()).unwrap(), store);
    }
    assert_eq!((store.discoverable_count(), store.counter()), (0, 7));
}

#[test]
fn discoverable_credentials_come_newest_first_and_only_for_their_relying_party() {
    let (mut store, _) = Store::create(&mut Seeded::new([1; 32]));
    store.apply(&[
        Change::Put(credential(b"a", "example.com", Some((b"1", 1)))),
        Change::Put(credential(b"c", "example.org", Some((b"2", 2)))),
        Change::Put(credential(b"b", "example.com", Some((b"3", 3)))),
        Change::Put(credential(b"d", "example.com", None)),
    ]);
    let site = rp_id_hash("example.com");
    let ids: Vec<_> = store.discoverable(&site).map(|credential| credential.id.as_slice()).collect();
    assert_eq!(ids, [b"b", b"a"]);
    assert!(store.find(&site, b"d").is_some());
    assert!(store.find(&site, b"c").is_none(), "belongs to another relying party");
    assert_eq!(store.next_creation(), 4);
}

#[test]
fn a_record_that_is_damaged_unknown_or_missing_is_named() {
    let (mut store, mut changes) = Store::create(&mut Seeded::new([1; 32]));
    changes.push(Change::Put(credential(b"id", "example.com", Some((b"1", 1)))));
    store.apply(&changes);
    let mut disk = BTreeMap::new();
    persisted(&mut disk, &changes);

    for (key, value) in &disk {
        for cut in 0..value.len() {
            let mut damaged = disk.clone();
            damaged.insert(key.clone(), value[..cut].to_vec());
            let name = String::from_utf8_lossy(key).into_owned();
            assert_eq!(Store::load(damaged), Err(LoadError::Damaged(name)));
        }
    }
    let mut newer = disk.clone();
    newer.insert(b"fingerprints".to_vec(), vec![]);
    assert_eq!(Store::load(newer), Err(LoadError::UnknownRecord("fingerprints".into())));
    for name in ["secret", "counter"] {
        let mut missing = disk.clone();
        missing.remove(name.as_bytes());
        assert_eq!(Store::load(missing), Err(LoadError::Missing(name)));
    }
    assert_eq!(Store::load([]), Err(LoadError::Missing("secret")));
}
