//! What follows from a run's seed, beside what the rack makes of it.

use sha2::{Digest, Sha256};

/// The seed of one thing that is random.
pub(super) fn of(seed: u64, purpose: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"keyrig run").chain_update(seed.to_be_bytes()).chain_update(purpose).finalize().into()
}
