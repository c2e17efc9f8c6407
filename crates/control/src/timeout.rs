//! How long a command waits.

use serde::{Deserialize, Deserializer};

/// How long is waited, unless a command says so, milliseconds: as long as a key waits for a touch.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;

/// How long a command may wait, milliseconds: a day.
pub const MAX_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) fn by_default() -> u64 {
    DEFAULT_TIMEOUT_MS
}

pub(crate) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let milliseconds = u64::deserialize(deserializer)?;
    if milliseconds > MAX_TIMEOUT_MS {
        return Err(serde::de::Error::custom(format_args!("{milliseconds} ms are more than {MAX_TIMEOUT_MS}, a day")));
    }
    Ok(milliseconds)
}
