//! What makes the commits of a key durable: a trait, so that something can stand in between.

use core::error::Error;
use core::fmt;

use keyrig_authenticator::store::{Change, LoadError, Records, Store};
use thiserror::Error;

/// What makes the commits of one key durable.
///
/// [`Database`](crate::Database) keeps records in a file, [`Memory`] in this process. A seam: its second user are faults, which fill a
/// disk or fail a commit, and transcripts; [`Seams::storage`](crate::seams::Seams::storage) puts them in between.
pub trait Storage: fmt::Debug + Send {
    /// Makes changes durable, all or none, and returns when they are.
    ///
    /// # Errors
    /// [`NotDurable`]: what is kept is as before.
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable>;

    /// Whether a commit waits, for a disk say. One that does is made off the thread of the key's task, and the host is told
    /// meanwhile that the key is processing.
    fn waits(&self) -> bool {
        true
    }
}

/// Changes could not be made durable: none of them was. The text is what the file system or the database says.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct NotDurable(Box<dyn Error + Send + Sync>);

impl NotDurable {
    /// For this reason: an error, or a text.
    #[must_use]
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// Records in memory: what a key that is not kept has, and a disk that tests can look at.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    records: Records,
}

impl Memory {
    /// Memory that holds what these changes, the ones of [`Store::create`], leave.
    #[must_use]
    pub fn holding(changes: &[Change]) -> Self {
        let mut memory = Self::default();
        memory.records.apply(changes);
        memory
    }

    /// Reads the store of a key from it.
    ///
    /// # Errors
    /// [`LoadError`] names the record that is missing.
    pub fn load(&self) -> Result<Store, LoadError> {
        self.records.load()
    }
}

impl Storage for Memory {
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        self.records.apply(changes);
        Ok(())
    }

    fn waits(&self) -> bool {
        false
    }
}
