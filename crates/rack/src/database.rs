//! The database of one key: its records in one small file, each commit one durable transaction.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::mem;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    state: State,
    open: Open,
    /// Locked.
    file: Arc<File>,
    /// Outlives the database above.
    _lock: File,
}

enum State {
    /// Nobody has changed anything: what redb takes in memory, a key that is only there does without.
    AtRest,
    Open(Redb),
    /// After an error redb does not go on by itself. What the commit that failed may have left on the disk all the same: values to be put
    /// back, the last one first.
    Failed(Vec<Before>),
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

/// A database's file to look at: whatever redb writes to open it, or to repair what a crash left, stays here and goes with this.
#[derive(Debug)]
struct View {
    file: Arc<File>,
    changes: Mutex<Changes>,
}

/// The length by now, and what was written where, in order.
#[derive(Debug)]
struct Changes {
    len: u64,
    written: Vec<(u64, Vec<u8>)>,
}

impl View {
    fn of(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, changes: Mutex::new(Changes { len, written: Vec::new() }) })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for View {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        let end = offset.saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        if end > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // It may be longer here than the file is.
        out.fill(0);
        let mut place = offset;
        while let Some(rest) = usize::try_from(place - offset).ok().and_then(|read| out.get_mut(read..)) {
            match self.file.read_at(rest, place) {
                Ok(0) => break,
                Ok(more) => place += u64::try_from(more).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        for (at, data) in &changes.written {
            put(out, offset, *at, data);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changes().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.changes().written.push((offset, data.to_vec()));
        Ok(())
    }
}

/// Puts what belongs at `at` over what is at `offset`, as far as they meet.
fn put(out: &mut [u8], offset: u64, at: u64, data: &[u8]) {
    let skip = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let (Some(out), Some(data)) = (out.get_mut(skip(offset, at)..), data.get(skip(at, offset)..)) else { return };
    out.iter_mut().zip(data).for_each(|(out, data)| *out = *data);
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
        let view = View::of(Arc::clone(&file)).map_err(redb::Error::Io).map_err(redb)?;
        let store = read(&open_backend(view).map_err(redb)?)?;
        Ok((Self { state: State::AtRest, open, file, _lock: lock }, store))
    }

    /// Makes changes durable, all or none. Blocks until they are on the disk.
    ///
    /// # Errors
    /// [`NotDurable`]: none of them will be there, and later commits may succeed.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        let database = match mem::replace(&mut self.state, State::AtRest) {
            State::Open(database) => database,
            State::AtRest => (self.open)(Arc::clone(&self.file)).map_err(NotDurable::new)?,
            State::Failed(unsure) => match self.open_again(&unsure) {
                Ok(database) => database,
                Err(error) => {
                    self.state = State::Failed(unsure);
                    return Err(NotDurable::new(error));
                }
            },
        };
        let mut before = Vec::new();
        let committed = commit(&database, changes, &mut before);
        self.state = if committed.is_ok() { State::Open(database) } else { State::Failed(before) };
        committed.map_err(NotDurable::new)
    }

    fn open_again(&self, unsure: &[Before]) -> Result<Redb, redb::Error> {
        let database = (self.open)(Arc::clone(&self.file))?;
        if !unsure.is_empty() {
            restore(&database, unsure)?;
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

fn open(file: Arc<File>) -> Result<Redb, redb::Error> {
    open_backend(Shared(file))
}

/// Every page is checked: a file that was damaged is refused, where a plain open may panic.
fn open_backend(backend: impl StorageBackend) -> Result<Redb, redb::Error> {
    // redb would make a new database of it.
    if backend.len()? == 0 {
        return Err(redb::Error::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(builder().set_check_integrity_on_open(true).create_with_backend(backend)?)
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
