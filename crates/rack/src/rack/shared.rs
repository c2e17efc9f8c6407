//! What the clones of a rack share, and its task.

use std::sync::Arc;

use keyrig_metadata::Blob;

use super::following::Keys;
use super::maker::Maker;

/// What the clones of a rack share.
pub(super) struct Shared {
    pub(super) maker: Maker,
    /// The keys, as the rack's task has them.
    pub(super) keys: Keys,
    pub(super) metadata: Option<Arc<Blob>>,
}
