//! What the clones of a rack share, and its task.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::entry::Entry;
use super::maker::Maker;
use crate::key::KeyHandle;
use crate::key_name::KeyName;

/// What the clones of a rack share.
pub(super) struct Shared {
    pub(super) maker: Maker,
    /// The keys, as the rack's task has them.
    pub(super) keys: RwLock<Vec<(KeyName, KeyHandle)>>,
}

impl Shared {
    pub(super) fn add(&self, entry: &Entry) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).push((entry.name.clone(), entry.handle.clone()));
    }

    pub(super) fn remove(&self, name: &KeyName) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|(key, _)| key != name);
    }

    pub(super) fn keys(&self) -> RwLockReadGuard<'_, Vec<(KeyName, KeyHandle)>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> Vec<KeyName> {
        self.keys().iter().map(|(name, _)| name.clone()).collect()
    }
}
