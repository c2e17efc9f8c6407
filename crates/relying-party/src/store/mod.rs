//! What lasts: one SQLite database, that several processes may have open at once.
//!
//! A change is one transaction, and it is on the disk (`synchronous = FULL`) before it is answered: killed at any moment,
//! what was acknowledged is there and what was used up stays used up. A change also writes the
//! [event](crate::audit_log) that says so, in the same transaction.
//!
//! All of it blocks: call it off the threads that serve.

mod files;
mod migrations;

use std::fmt;
use std::io::ErrorKind;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::types::Type;
use rusqlite::{Connection, MAIN_DB, OpenFlags, TransactionBehavior};
use thiserror::Error;

use crate::audit_log::Sweep;
use crate::limits::EventRetention;
use crate::random::{Randomness, SystemRandomness};

/// The database's file name in its directory.
pub const DATABASE_FILE: &str = "relying-party.sqlite";

/// How long a change waits for another process's to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections are kept that nobody reads with: each has three descriptors and up to 2 MB of pages.
const MAX_IDLE_READERS: usize = 8;

/// The database of a relying party.
pub struct Store {
    /// SQLite has one writer at a time; within this process they queue here rather than in its retries.
    writer: Mutex<Connection>,
    /// Connections that nobody reads with at the moment.
    readers: Mutex<Vec<Connection>>,
    /// `None` is a database in memory, which its one connection both reads and writes.
    file: Option<PathBuf>,
    /// What deletes events, in a process that serves: commands know nothing of the site's settings.
    sweep: Mutex<Option<Sweep>>,
    random: Arc<dyn Randomness>,
}

/// A transaction, with the randomness of what is written in it.
pub(crate) struct Transaction<'a> {
    connection: &'a Connection,
    pub(crate) random: &'a dyn Randomness,
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Why the store could not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory for the database cannot be made or used.
    #[error("the state directory {} cannot be used: {error}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// The file is another program's, or no database.
    #[error("{} is not a database of keyrig's relying party; choose another --state directory", .file.display())]
    NotOurs {
        /// The file.
        file: PathBuf,
    },
    /// The database was written by a newer keyrig.
    #[error(
        "the database has the format {found}, this keyrig knows {known}: use the keyrig that wrote it, or a newer one"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// The file is too short for a database.
    #[error(
        "{} has {length} bytes: it was cut off, and is no database. Replace it by a copy, or remove it to begin anew",
        .file.display()
    )]
    CutOff {
        /// The file.
        file: PathBuf,
        /// Its length, bytes.
        length: u64,
    },
    /// The directory, or a file of the database, may be written by others.
    #[error(
        "{} may be written by others (mode {mode:o}), who could let anybody in: chmod go-w {}, or choose another --state directory",
        .path.display(), .path.display()
    )]
    WritableByOthers {
        /// The directory or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The directory, or a file of the database, belongs to another user.
    #[error("{} belongs to another user: choose another --state directory", .path.display())]
    OfAnother {
        /// The directory or file.
        path: PathBuf,
    },
    /// The database has an older format, and cannot be written to be given today's.
    #[error("the database has the format {found} and needs the format {known}, but cannot be written")]
    OlderReadOnly {
        /// The format found.
        found: u32,
        /// Today's.
        known: u32,
    },
    /// What is stored cannot be what was written.
    #[error("the database is damaged: {what}")]
    Damaged {
        /// Which value, and what is wrong with it.
        what: String,
    },
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            // A value that is not of its column's type, or that the type's own reader refused.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Self::Damaged { what: error.to_string() },
            _ => Self::Sqlite(error),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database in a directory, and makes both if they are not there. The directory that is made is for its
    /// owner alone (mode 0700), as is the database (0600): secrets of TOTP are in it.
    ///
    /// # Errors
    /// [`StoreError`], saying what to do.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        files::prepare_directory(directory)?;
        let file = directory.join(DATABASE_FILE);
        if !file.exists() {
            files::make(directory, &file)?;
        }
        files::check(&file)?;
        let mut writer = connect(&file)?;
        migrations::migrate(&mut writer, &file)?;
        Ok(Self::new(writer, Some(file)))
    }

    /// Opens a database that is there, to read it. It need not be writable: where the file system is read-only, or belongs
    /// to somebody else, whatever would change it fails.
    ///
    /// # Errors
    /// [`StoreError`], saying what to do.
    pub fn open_to_read(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(DATABASE_FILE);
        match std::fs::OpenOptions::new().write(true).open(&file) {
            Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                Self::open_read_only(&file)
            }
            _ => Self::open(directory),
        }
    }

    fn open_read_only(file: &Path) -> Result<Self, StoreError> {
        files::check_length(file)?;
        let failed = |error| StoreError::Directory { directory: file.to_owned(), error };
        let has_log = std::fs::metadata(files::beside_of(file, "-wal")).is_ok_and(|log| log.len() > 0);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = if has_log {
            Connection::open_with_flags(file, flags)?
        } else {
            // SQLite could not make its files beside it.
            let absolute = std::path::absolute(file).map_err(failed)?;
            let mut address = url::Url::from_file_path(absolute)
                .map_err(|()| failed(std::io::Error::from(ErrorKind::InvalidFilename)))?;
            address.set_query(Some("immutable=1"));
            Connection::open_with_flags(address.as_str(), flags | OpenFlags::SQLITE_OPEN_URI)?
        };
        migrations::check(&connection, file)?;
        Ok(Self::new(connection, None))
    }

    /// A database that ends with this value.
    ///
    /// # Errors
    /// [`StoreError`] if SQLite fails.
    pub fn in_memory() -> Result<Self, StoreError> {
        // One without a user, as bytes: to make its tables takes longer than most of what is done with it.
        static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
        let mut writer = Connection::open_in_memory()?;
        if let Some(empty) = EMPTY.get() {
            writer.deserialize_read_exact(MAIN_DB, empty.as_slice(), empty.len(), false)?;
            prepare(&writer)?;
        } else {
            prepare(&writer)?;
            migrations::migrate(&mut writer, Path::new(":memory:"))?;
            // Whichever was made first.
            let _ = EMPTY.set(writer.serialize(MAIN_DB)?.to_vec());
        }
        Ok(Self::new(writer, None))
    }

    fn new(writer: Connection, file: Option<PathBuf>) -> Self {
        Self {
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            file,
            sweep: Mutex::default(),
            random: Arc::new(SystemRandomness),
        }
    }

    /// The same store, whose relying party takes its randomness from elsewhere than the operating system.
    #[must_use]
    pub fn with_randomness(self, random: Arc<dyn Randomness>) -> Self {
        Self { random, ..self }
    }

    /// Where the database is, unless it is in memory.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }

    pub(crate) fn random(&self) -> &Arc<dyn Randomness> {
        &self.random
    }

    /// Deletes events from now on, as others are added.
    pub(crate) fn keep_events(&self, retention: EventRetention) {
        *lock(&self.sweep) = Some(Sweep::new(retention));
    }

    fn transaction<'a>(&'a self, connection: &'a Connection) -> Transaction<'a> {
        Transaction { connection, random: &*self.random }
    }

    /// Reads what belongs together, as of one moment.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(file) = &self.file else {
            return read(&self.transaction(&lock(&self.writer)));
        };
        let idle = lock(&self.readers).pop();
        let connection = idle.map_or_else(|| connect(file), Ok)?;
        // One snapshot for all statements; it ends with nothing to write.
        let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
        let found = read(&self.transaction(&transaction))?;
        transaction.commit().map_err(StoreError::from)?;
        let mut readers = lock(&self.readers);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        Ok(found)
    }

    /// Changes all or, where `change` fails, nothing. What it returns is on the disk.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let changed = change(&self.transaction(&transaction))?;
        transaction.commit().map_err(StoreError::from)?;
        self.sweep_events(&mut writer);
        Ok(changed)
    }

    /// Now and then, after a change. That it fails takes nothing back of the change.
    fn sweep_events(&self, writer: &mut Connection) {
        let mut sweep = lock(&self.sweep);
        let Some(sweep) = sweep.as_mut() else { return };
        if !sweep.is_due() {
            return;
        }
        let mut swept = || -> Result<(), StoreError> {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // By the log's own time: a test's clock need not be the machine's.
            let latest = "SELECT max(time) FROM events WHERE id = (SELECT max(id) FROM events)";
            let now: Option<i64> = transaction.prepare_cached(latest)?.query_row([], |row| row.get(0))?;
            if let Some(now) = now {
                sweep.run(&transaction, moment(now))?;
            }
            Ok(transaction.commit()?)
        };
        if let Err(error) = swept() {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}

/// Does a part of a transaction whole or, where it fails, not at all; the rest of the transaction stays.
pub(crate) fn part<T, E: From<StoreError>>(
    transaction: &Connection,
    change: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let execute = |sql| transaction.execute_batch(sql).map_err(StoreError::from);
    execute("SAVEPOINT part")?;
    let changed = change();
    if changed.is_err() {
        execute("ROLLBACK TO part")?;
    }
    execute("RELEASE part")?;
    changed
}

/// A transaction that a panic interrupted was rolled back when it was dropped: the connection is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(file)?;
    prepare(&connection).map_err(|error| match error {
        StoreError::Sqlite(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            StoreError::NotOurs { file: file.to_owned() }
        }
        other => other,
    })?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What was deleted is overwritten: secrets of factors that are gone are not to be found in the file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// Moments are stored as milliseconds since 1970.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The moment that is stored as `milliseconds`.
pub(crate) fn moment(milliseconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds.try_into().unwrap_or(0))
}

/// Seconds since 1970, as the API shows moments.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// For a text column whose value nobody can have written: what the column holds, and which value it is.
pub(crate) fn unreadable(column: &'static str, value: &str) -> rusqlite::Error {
    let words = format!("{column} is {value:?}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, words.into())
}

/// Serialises a moment as seconds since 1970, as the API shows all of them.
pub(crate) mod unix_time {
    use std::time::SystemTime;

    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::seconds(*time))
    }

    pub(crate) mod option {
        use std::time::SystemTime;

        use serde::Serializer;

        pub(crate) fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => serializer.serialize_some(&super::super::seconds(*time)),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
