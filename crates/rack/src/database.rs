//! The database of one key: its records in one small file, each commit one durable transaction.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use keyrig_authenticator::store::{Change, LoadError, Record, Store};
use redb::backends::FileBackend;
use redb::{Database as Redb, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;

use crate::storage::{NotDurable, Storage};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// The database of one key, held: nobody else has it until this is dropped.
///
/// It is what a driver of the authenticator makes its commits durable with.
pub struct Database {
    redb: Redb,
    /// Outlives the database above.
    _lock: File,
}

impl core::fmt::Debug for Database {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// Why a database can't be opened.
#[derive(Debug, Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Redb(Box<redb::Error>),
    #[error(transparent)]
    Load(#[from] LoadError),
}

fn redb<E: Into<redb::Error>>(error: E) -> DatabaseError {
    DatabaseError::Redb(Box::new(error.into()))
}

impl Database {
    /// Makes the database of a new key, readable by its owner alone.
    pub(crate) fn create(path: &Path, changes: &[Change]) -> Result<(), DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let backend = FileBackend::new(file.map_err(redb::Error::Io).map_err(redb)?).map_err(redb)?;
        let database = Redb::builder().create_with_backend(backend).map_err(redb)?;
        commit(&database, changes).map_err(redb)
    }

    /// Opens the database of a key, and reads it. The lock is held for as long as the database is.
    pub(crate) fn open(path: &Path, lock: File) -> Result<(Self, Store), DatabaseError> {
        // Every page is checked: a file that was damaged is refused, where a plain open may panic.
        let redb = Redb::builder().set_check_integrity_on_open(true).open(path).map_err(redb)?;
        let store = read(&redb)?;
        Ok((Self { redb, _lock: lock }, store))
    }

    /// Makes changes durable, all or none. Blocks until they are on the disk.
    ///
    /// # Errors
    /// [`NotDurable`]: the database is as before.
    pub fn commit(&self, changes: &[Change]) -> Result<(), NotDurable> {
        commit(&self.redb, changes).map_err(NotDurable::new)
    }
}

impl Storage for Database {
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        Self::commit(self, changes)
    }
}

fn read(database: &Redb) -> Result<Store, DatabaseError> {
    let transaction = database.begin_read().map_err(redb)?;
    let table = transaction.open_table(RECORDS).map_err(redb)?;
    let records: Result<Vec<_>, _> = table
        .iter()
        .map_err(redb)?
        .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
        .collect();
    Ok(Store::load(records.map_err(redb)?)?)
}

fn commit(database: &Redb, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for change in changes {
            match change.record() {
                Record::Clear => table.retain(|_, _| false)?,
                Record::Put { key, value } => {
                    table.insert(key.as_slice(), value.as_slice())?;
                }
                Record::Remove { key } => {
                    table.remove(key.as_slice())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}
