use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;

use super::*;
use crate::credential::{Discoverable, Properties};
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
        properties: Properties::default(),
        has_large_blob_key: false,
        cred_blob: Vec::new(),
        own: None,
    }
}

#[test]
fn memory_and_records_agree_after_every_change() {
    let mut environment = Seeded::new([1; 32]);
    let (mut store, changes) = Store::create(&mut environment);
    let mut disk = Records::default();
    disk.apply(&changes);
    assert_eq!(disk.load().unwrap(), store);
    for changes in [
        vec![Change::Counter(7), Change::Put(credential(b"one", "example.com", Some((b"u1", 1))))],
        vec![Change::Put(credential(b"two", "example.com", None))],
        vec![Change::Put(StoredCredential {
            properties: Properties {
                protection: CredentialProtection::UserVerificationRequired,
                third_party_payment: true,
            },
            has_large_blob_key: true,
            cred_blob: vec![1, 2, 3],
            own: None,
            ..credential(b"two", "example.com", Some((b"u2", 9)))
        })],
        vec![Change::Put(credential(b"one", "example.com", Some((b"u2", 2))))],
        vec![Change::Remove(b"two".to_vec()), Change::Remove(b"never".to_vec())],
        vec![Change::LargeBlobs(vec![1; 17])],
        Store::blank(&mut environment, 7),
    ] {
        disk.apply(&changes);
        store.apply(&changes);
        assert_eq!(disk.load().unwrap(), store);
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
    let mut disk = Records::default();
    disk.apply(&changes);

    for (key, value) in disk.as_map() {
        for cut in 0..value.len() {
            let mut damaged = disk.as_map().clone();
            damaged.insert(key.clone(), value[..cut].to_vec());
            let name = String::from_utf8_lossy(key).into_owned();
            assert_eq!(Store::load(damaged), Err(LoadError::Damaged(name)));
        }
    }
    let mut newer = disk.as_map().clone();
    newer.insert(b"fingerprints".to_vec(), vec![]);
    assert_eq!(Store::load(newer), Err(LoadError::UnknownRecord("fingerprints".into())));
    for name in ["secret", "counter"] {
        let mut missing = disk.as_map().clone();
        missing.remove(name.as_bytes());
        assert_eq!(Store::load(missing), Err(LoadError::Missing(name)));
    }
    assert_eq!(Store::load([]), Err(LoadError::Missing("secret")));
}

#[test]
fn what_is_kept_of_pins_and_configuration_survives_and_a_reset_takes_it_back() {
    let mut environment = Seeded::new([1; 32]);
    let (mut store, changes) = Store::create(&mut environment);
    let mut disk = Records::default();
    disk.apply(&changes);
    let configuration = Configuration {
        always_uv: Some(true),
        min_pin_length: Some(6),
        force_pin_change: true,
        min_pin_length_rp_ids: vec!["example.com".into(), "example.org".into()],
        pin_complexity_policy: true,
        long_touch_for_reset: true,
        enterprise_attestation: Some(true),
    };
    let token = PersistentPinUvAuthToken([7; 32]);
    let set = vec![
        Change::Pin(Pin { hash: [3; 16], code_points: 63 }),
        Change::PinRetries(0),
        Change::PersistentPinUvAuthToken(token.clone()),
        Change::CredentialStoreState([9; 16]),
        Change::Configuration(configuration.clone()),
    ];
    disk.apply(&set);
    store.apply(&set);
    assert_eq!(disk.load().unwrap(), store);
    assert_eq!((store.pin_retries(), store.configuration()), (0, &configuration));
    assert_eq!((store.persistent_token(), store.credential_store_state()), (Some(&token), Some([9; 16])));
    let blank = Store::blank(&mut environment, 0);
    disk.apply(&blank);
    store.apply(&blank);
    assert_eq!(disk.load().unwrap(), store);
    assert_eq!((store.pin(), store.pin_retries()), (None, 8));
    assert_eq!(store.configuration(), &Configuration::default());
    assert!(store.persistent_token().is_some_and(|other| *other != token), "there is another from then on");
    assert!(store.credential_store_state().is_some_and(|other| other != [9; 16]));
}

/// What the first version wrote: a secret, a counter, and credentials of four members.
#[test]
fn a_store_of_the_first_version_loads() {
    let record = |text: &str| hex::decode(text.replace(' ', "")).unwrap();
    let credential =
        format!("a4 01 6b 6578616d706c652e636f6d 02 26 03 5820 {} 04 a3 01 01 02 41 01 03 61 75", "01".repeat(32));
    let disk = BTreeMap::from([
        (b"secret".to_vec(), vec![7; 32]),
        (b"counter".to_vec(), vec![0, 0, 0, 9]),
        (b"credential/id".to_vec(), record(&credential)),
    ]);
    let store = Store::load(disk.clone()).unwrap();
    assert_eq!((store.counter(), store.discoverable_count(), store.pin_retries()), (9, 1, 8));
    assert_eq!((store.persistent_token(), store.credential_store_state()), (None, None));
    for (key, value) in [
        ("pin", vec![4; 16]),
        ("pin retries", vec![1, 2]),
        ("persistent token", vec![0; 31]),
        ("credential store state", vec![0; 17]),
        ("configuration", vec![0xA1, 0x18, 0x63, 0xF5]),
    ] {
        let mut disk = disk.clone();
        disk.insert(key.into(), value);
        assert_eq!(Store::load(disk), Err(LoadError::Damaged(key.to_owned())));
    }
}

#[test]
fn relying_parties_come_once_each() {
    let (mut store, _) = Store::create(&mut Seeded::new([1; 32]));
    assert_eq!(store.relying_parties().count(), 0);
    let sites = ["a.example", "b.example", "c.example"];
    for (index, site) in (1..).zip(sites.iter().cycle().take(7)) {
        store.apply(&[Change::Put(credential(&[index], site, Some((&[index], index.into()))))]);
    }
    store.apply(&[Change::Put(credential(b"stored", "d.example", None))]);
    let mut expected = sites.map(rp_id_hash);
    expected.sort_unstable();
    assert_eq!(store.relying_parties().collect::<Vec<_>>(), expected);
}
