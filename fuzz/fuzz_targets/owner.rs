//! What the owner of a rack hands to it: snapshots, with a checksum that is right, and PKCS#8 private keys.
//!
//! What must hold: no panic; a snapshot that is read is written to what reads as the same, and a private key likewise.

#![no_main]

use keyrig_authenticator::private_key::PrivateKey;
use keyrig_rack::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

fuzz_target!(|data: &[u8]| {
    // As they are, and behind a beginning and before a checksum that lead further in.
    read(data);
    let mut snapshot = [b"keyrig snapshot 1\n", data].concat();
    let checksum = Sha256::digest(&snapshot);
    snapshot.extend_from_slice(&checksum);
    read(&snapshot);
    if let Some(key) = PrivateKey::from_pkcs8(data) {
        let written = key.to_pkcs8();
        assert!(PrivateKey::from_pkcs8(&written) == Some(key));
    }
});

fn read(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::from_bytes(bytes) {
        assert_eq!(Snapshot::from_bytes(&snapshot.to_bytes()), Ok(snapshot));
    }
}
