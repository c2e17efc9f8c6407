//! What follows from the seed of a rack.

use sha2::{Digest, Sha256};

use crate::key_name::KeyName;

/// What the randomness of a key follows from.
pub(crate) fn of_key(seed: u64, name: &KeyName) -> [u8; 32] {
    derive(seed, &format!("key {name}"))
}

/// The secret of the attestation root.
pub(crate) fn of_attestation_root(seed: u64) -> [u8; 32] {
    derive(seed, "attestation root")
}

fn derive(seed: u64, purpose: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"keyrig seed").chain_update(seed.to_be_bytes()).chain_update(purpose).finalize().into()
}
