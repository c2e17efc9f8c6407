//! What is served, and its bounds.

use std::sync::Arc;

use keyrig_rack::Rack;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::conditional::Conditionals;
use crate::token::Token;

/// The longest body that is read, bytes: the longest snapshot of a key fits in base64url.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// The longest body of a ceremony, bytes.
pub(crate) const MAX_CEREMONY: usize = 1024 * 1024;

/// The longest of any other, bytes.
pub(crate) const MAX_SHORT: usize = 64 * 1024;

/// How many bodies that are longer than most are read at once.
const LONG_BODIES: usize = 4;

/// How many ceremonies are under way at once: far fewer than there are connections, as each holds one.
pub(crate) const MAX_CEREMONIES: usize = 128;

/// What is served, and to whom.
#[derive(Debug)]
pub struct Service {
    pub(crate) rack: Rack,
    pub(crate) token: Token,
    pub(crate) conditionals: Conditionals,
    pub(crate) long_bodies: Semaphore,
    ceremonies: Semaphore,
}

impl Service {
    /// The rack, for those who have the token.
    #[must_use]
    pub fn new(rack: Rack, token: Token) -> Arc<Self> {
        Arc::new(Self {
            rack,
            token,
            conditionals: Conditionals::default(),
            long_bodies: Semaphore::new(LONG_BODIES),
            ceremonies: Semaphore::new(MAX_CEREMONIES),
        })
    }

    /// A place for one more ceremony, if there is one.
    pub(crate) fn begin_ceremony(&self) -> Option<SemaphorePermit<'_>> {
        self.ceremonies.try_acquire().ok()
    }
}
