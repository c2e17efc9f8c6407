//! The database of one key: its records in one small file, each commit one durable transaction.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use keyrig_authenticator::store::{Change, LoadError, Record, Store};
use redb::{Builder, Database as Redb, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::storage::{NotDurable, Storage};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// Pages that a key's database keeps in memory, bytes: none, as the kernel keeps them too, and a rack may have a thousand keys.
const CACHE: usize = 0;

/// The database of one key, held: nobody else has it until this is dropped.
///
/// It is what a driver of the authenticator makes its commits durable with.
pub struct Database {
    /// Absent after an error, of which redb does not recover by itself: it is opened again for the next commit.
    redb: Option<Redb>,
    /// What a commit that failed may have left on the disk all the same: values to be put back, the last one first.
    unsure: Vec<Before>,
    open: Open,
    /// Locked.
    file: Arc<File>,
    /// Outlives the database above.
    _lock: File,
}

/// A record's key, and its value before a commit.
type Before = (Vec<u8>, Option<Zeroizing<Vec<u8>>>);

/// Opens the database in a file.
type Open = Box<dyn Fn(Arc<File>) -> Result<Redb, redb::Error> + Send>;

/// A database's file, which its owner has too: so that one descriptor serves for both.
#[derive(Debug)]
struct Shared(Arc<File>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

fn builder() -> Builder {
    let mut builder = Redb::builder();
    builder.set_cache_size(CACHE);
    builder
}

impl core::fmt::Debug for Database {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// Why a database cannot be opened.
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
        let file = Arc::new(file.map_err(redb::Error::Io).map_err(redb)?);
        let database = builder().create_with_backend(Shared(file)).map_err(redb)?;
        commit(&database, changes, &mut Vec::new()).map_err(redb)
    }

    /// Opens the database of a key, and reads it. The lock is held for as long as the database is.
    pub(crate) fn open(file: File, lock: File) -> Result<(Self, Store), DatabaseError> {
        Self::open_by(Box::new(open), file, lock)
    }

    fn open_by(open: Open, file: File, lock: File) -> Result<(Self, Store), DatabaseError> {
        // Of who has it though the lock's file was taken away.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => redb(redb::Error::DatabaseAlreadyOpen),
            TryLockError::Error(error) => redb(redb::Error::Io(error)),
        })?;
        let file = Arc::new(file);
        let database = open(Arc::clone(&file)).map_err(redb)?;
        let store = read(&database)?;
        Ok((Self { redb: Some(database), unsure: Vec::new(), open, file, _lock: lock }, store))
    }

    /// Makes changes durable, all or none. Blocks until they are on the disk.
    ///
    /// # Errors
    /// [`NotDurable`]: none of them will be there, and later commits may succeed.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        let database = match self.redb.take() {
            Some(database) => database,
            None => self.open_again().map_err(NotDurable::new)?,
        };
        let mut before = Vec::new();
        let committed = commit(&database, changes, &mut before);
        match &committed {
            Ok(()) => self.redb = Some(database),
            Err(_) => self.unsure = before,
        }
        committed.map_err(NotDurable::new)
    }

    fn open_again(&mut self) -> Result<Redb, redb::Error> {
        let database = (self.open)(Arc::clone(&self.file))?;
        if !self.unsure.is_empty() {
            restore(&database, &self.unsure)?;
            self.unsure.clear();
        }
        tracing::warn!("a key's database was opened again after an error, and goes on");
        Ok(database)
    }
}

impl Storage for Database {
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        Self::commit(self, changes)
    }
}

/// Every page is checked: a file that was damaged is refused, where a plain open may panic.
fn open(file: Arc<File>) -> Result<Redb, redb::Error> {
    // redb would make a new database of it.
    if file.metadata()?.len() == 0 {
        return Err(redb::Error::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(builder().set_check_integrity_on_open(true).create_with_backend(Shared(file))?)
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

/// Commits changes; `before` becomes what was there before each of them.
fn commit(database: &Redb, changes: &[Change], before: &mut Vec<Before>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for change in changes {
            match change.record() {
                Record::Clear => {
                    for entry in table.iter()? {
                        let (key, value) = entry?;
                        before.push((key.value().to_vec(), Some(value.value().to_vec().into())));
                    }
                    table.retain(|_, _| false)?;
                }
                Record::Put { key, value } => {
                    let old = table.insert(key.as_slice(), value.as_slice())?.map(|old| old.value().to_vec().into());
                    before.push((key, old));
                }
                Record::Remove { key } => {
                    let old = table.remove(key.as_slice())?.map(|old| old.value().to_vec().into());
                    before.push((key, old));
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

fn restore(database: &Redb, before: &[Before]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for (key, value) in before.iter().rev() {
            match value {
                Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                None => drop(table.remove(key.as_slice())?),
            }
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests;
