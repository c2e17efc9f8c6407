//! Randomness as a parameter, so that everything random can follow from a seed.

use core::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::channel::ChannelError;

/// Where a client takes randomness from: for key agreement, initialization vectors, and nonces. Each [`Key`](crate::Key) and
/// each channel has its own, as several keys are asked at once, in no order.
pub trait Randomness: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with randomness.
    ///
    /// # Errors
    /// When there is none.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}

/// What follows from a seed, for replays: the same ceremonies with the same keys send the same bytes. Whoever knows the seed
/// can read what the client encrypts, PINs among it.
pub struct DangerSeeded(Mutex<ChaCha20Rng>);

impl DangerSeeded {
    /// Randomness from a seed of 32 bytes.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(ChaCha20Rng::from_seed(seed)))
    }
}

impl Randomness for DangerSeeded {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
        Ok(())
    }
}

impl fmt::Debug for DangerSeeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DangerSeeded(..)")
    }
}

pub(crate) type Shared = Arc<dyn Randomness>;

pub(crate) fn bytes<const N: usize>(random: &dyn Randomness) -> Result<[u8; N], ChannelError> {
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|error| ChannelError::System(error.to_string()))?;
    Ok(bytes)
}
