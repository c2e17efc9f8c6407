use std::collections::HashSet;

use super::*;
use crate::random::SystemRandomness;

/// RFC 4231, test cases 1 and 2.
#[test]
fn the_hash_is_hmac_sha_256() {
    let cases = [
        (&[0x0b; 20][..], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ];
    for (key, message, expected) in cases {
        let found: String = hmac_sha256(key, message.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_set_is_ten_different_keys_of_the_written_form() {
    let set = RecoveryKeySet::generate(&SystemRandomness);
    let written: HashSet<_> = set.keys.iter().map(RecoveryKey::to_string).collect();
    assert_eq!(written.len(), 10);
    for key in written {
        let groups: Vec<_> = key.split('-').collect();
        assert_eq!(groups.len(), 4, "{key}");
        assert!(groups.iter().all(|group| group.len() == 4), "{key}");
        assert!(key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{key}");
    }
    assert_ne!(RecoveryKeySet::generate(&SystemRandomness).secret, set.secret);
}

/// What is hashed is the written form, as in Proxmox VE: a set of its can be checked here.
#[test]
fn what_is_hashed_is_the_written_form() {
    let key: RecoveryKey = "0123-4567-89ab-cdef".parse().unwrap();
    assert_eq!(key.hash(b"secret"), hmac_sha256(b"secret", b"0123-4567-89ab-cdef"));
}

#[test]
fn a_key_is_found_among_its_set_and_nowhere_else() {
    let (set, other) = (RecoveryKeySet::generate(&SystemRandomness), RecoveryKeySet::generate(&SystemRandomness));
    for (index, key) in set.keys.iter().enumerate() {
        assert_eq!(key.find(&set.secret, &set.hashes), Some(index));
        assert_eq!(key.find(&other.secret, &other.hashes), None);
        assert_eq!(key.find(&other.secret, &set.hashes), None, "under another secret");
    }
    assert_eq!(set.keys[0].find(&set.secret, []), None);
}

#[test]
fn keys_are_read_as_people_write_them() {
    let key: RecoveryKey = "0123-4567-89ab-cdef".parse().unwrap();
    assert_eq!(key.to_string(), "0123-4567-89ab-cdef");
    for written in ["0123-4567-89AB-CDEF", "0123456789abcdef", " 0123 4567 89ab cdef ", "01-23456789ab--cdef"] {
        assert_eq!(written.parse().as_ref(), Ok(&key), "{written:?}");
    }
    let long = format!("0123-4567-89ab-cdef{}", " ".repeat(64));
    for written in [
        "",
        "0123-4567-89ab-cde",
        "0123-4567-89ab-cdef0",
        "0123-4567-89ab-cdeg",
        "O123-4567-89ab-cdef",
        "+123-4567-89ab-cdef",
        "0123-4567-89ab-cdef\n",
        "٠123-4567-89ab-cdef",
        &long,
    ] {
        assert_eq!(written.parse::<RecoveryKey>(), Err(NotARecoveryKey), "{written:?}");
    }
}

#[test]
fn a_key_is_not_shown_by_debug() {
    let key: RecoveryKey = "0123-4567-89ab-cdef".parse().unwrap();
    assert_eq!(format!("{key:?}"), "RecoveryKey(..)");
}
