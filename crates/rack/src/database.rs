//! The database of one key: its records in one small file, each commit one durable transaction.

use std::path::Path;

use keyrig_authenticator::store::{Change, LoadError, Record, Store};
use redb::{Database as Redb, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// A key's database.
pub(crate) struct Database(Redb);

/// Why a database can't be read or written.
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
    /// Makes the database of a new key.
    pub(crate) fn create(path: &Path, changes: &[Change]) -> Result<(), DatabaseError> {
        Self(Redb::create(path).map_err(redb)?).commit(changes)
    }

    /// Opens the database of a key, and reads it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Store), DatabaseError> {
        let database = Redb::open(path).map_err(redb)?;
        let store = {
            let transaction = database.begin_read().map_err(redb)?;
            let table = transaction.open_table(RECORDS).map_err(redb)?;
            let records: Result<Vec<_>, _> = table
                .iter()
                .map_err(redb)?
                .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
                .collect();
            Store::load(records.map_err(redb)?)?
        };
        Ok((Self(database), store))
    }

    /// Makes changes durable, all or none. Blocks until they are on the disk.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        let transaction = self.0.begin_write().map_err(redb)?;
        {
            let mut table = transaction.open_table(RECORDS).map_err(redb)?;
            for change in changes {
                match change.record() {
                    Record::Clear => table.retain(|_, _| false).map_err(redb)?,
                    Record::Put { key, value } => {
                        table.insert(key.as_slice(), value.as_slice()).map_err(redb)?;
                    }
                    Record::Remove { key } => {
                        table.remove(key.as_slice()).map_err(redb)?;
                    }
                }
            }
        }
        transaction.commit().map_err(redb)
    }
}
