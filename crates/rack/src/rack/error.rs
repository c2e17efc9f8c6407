//! Why there is no rack.

use keyrig_authenticator::attestation::CertificateFailed;
use thiserror::Error;

use crate::command::{MAX_KEYS, Refusal};
use crate::key_name::KeyName;
use crate::state_directory::StateError;

/// Why a rack could not be set up.
#[derive(Debug, Error)]
pub enum RackError {
    /// There are too many keys in it.
    #[error("{0} keys are too many: a rack holds {MAX_KEYS}")]
    TooManyKeys(usize),
    /// Two keys have the same name.
    #[error("two keys are called {0}")]
    SameName(KeyName),
    /// The finger is to be over a key that there is none of.
    #[error("the finger cannot be over {0}: no key has that name")]
    NoSuchFinger(KeyName),
    /// A seed and a state directory contradict each other.
    #[error(
        "a seed promises the same bytes from the same start, and a state directory starts differently each time: use one of the two"
    )]
    SeedAndState,
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// An attestation certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateFailed),
    /// A key could not be plugged in, or does not keep what it is to keep.
    #[error(transparent)]
    Refused(Refusal),
}
