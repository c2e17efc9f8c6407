//! A disk that is full for one moment, at each operation of each commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keyrig_authenticator::environment::Seeded;
use tempfile::TempDir;

use super::*;

/// Fails one operation that takes room: the one after which there are `left` to go.
#[derive(Clone, Debug)]
struct Disk(Arc<AtomicU32>);

const ROOM: u32 = u32::MAX;

impl Disk {
    fn fill_after(&self, operations: u32) {
        self.0.store(operations, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            ROOM => Ok(()),
            0 => Err(io::ErrorKind::StorageFull.into()),
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

#[derive(Debug)]
struct Fallible {
    file: Shared,
    disk: Disk,
}

impl StorageBackend for Fallible {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.take()?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        // What was written may be there all the same.
        self.disk.take()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.take()?;
        self.file.write(offset, data)
    }
}

/// A key's database on such a disk, in a file.
fn database(directory: &TempDir) -> (Database, Store, Disk, std::path::PathBuf) {
    let path = directory.path().join("store");
    let (_, changes) = Store::create(&mut Seeded::new([1; 32]));
    Database::create(&path, &changes).unwrap();
    let disk = Disk(Arc::new(AtomicU32::new(ROOM)));
    let of_database = disk.clone();
    let open = move |file: Arc<File>| open_backend(Fallible { file: Shared(file), disk: of_database.clone() });
    let (database, store) = Database::open_by(Box::new(open), file(&path), file(&path)).unwrap();
    (database, store, disk, path)
}

fn file(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn reopened(path: &Path) -> Store {
    Database::open(file(path), file(path)).unwrap().1
}

/// The changes of a reset: all records are replaced.
fn reset(seed: u8) -> (Store, Vec<Change>) {
    Store::create(&mut Seeded::new([seed; 32]))
}

#[test]
fn after_one_moment_of_a_full_disk_a_key_goes_on_and_nothing_acknowledged_is_lost() {
    let mut failures = 0;
    // Each turn the disk fills up one operation later, until the commit is through before it does.
    for operations in 0.. {
        let directory = TempDir::new().unwrap();
        let (mut database, before, disk, path) = database(&directory);
        let (after, changes) = reset(2);
        disk.fill_after(operations);
        let committed = database.commit(&changes);
        let filled = disk.is_full();
        // While it is full nothing gets through, and nothing that did not is there later.
        let meanwhile = filled.then(|| database.commit(&reset(3).1));
        disk.fill_after(ROOM);
        if committed.is_ok() {
            assert_eq!(reopened_with(database, &path), after, "{operations}");
            if !filled {
                break;
            }
            continue;
        }
        failures += 1;
        assert!(meanwhile.unwrap().is_err(), "{operations}");
        // What comes next is durable, and is all that has changed.
        database.commit(&[]).unwrap();
        let State::Open(redb) = &database.state else { panic!("it was opened again") };
        assert_eq!(read(redb).unwrap(), before, "{operations}");
        let (last, changes) = reset(4);
        database.commit(&changes).unwrap();
        assert_eq!(reopened_with(database, &path), last, "{operations}");
    }
    assert!(failures >= 3, "writing, growing and syncing have failed: {failures}");
}

/// Whoever only looks leaves every byte as it is, of a database that was not closed too.
#[test]
fn a_database_that_is_opened_and_not_changed_is_the_same_file() {
    let directory = TempDir::new().unwrap();
    let (mut database, _, _, path) = database(&directory);
    let (after, changes) = reset(2);
    database.commit(&changes).unwrap();
    // As a process that was killed leaves it.
    let killed = std::fs::read(&path).unwrap();
    drop(database);
    let closed = std::fs::read(&path).unwrap();
    assert_ne!(killed, closed);
    for bytes in [killed, closed] {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(reopened(&path), after);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let (mut again, _) = Database::open(file(&path), file(&path)).unwrap();
        again.commit(&reset(3).1).unwrap();
        assert_eq!(reopened_with(again, &path), reset(3).0);
    }
}

/// What was written is read, whatever it meets of what is there.
#[test]
fn a_view_has_what_was_written_over_what_is_in_the_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, b"0123456789").unwrap();
    let view = View::of(Arc::new(file(&path))).unwrap();
    let read = |offset: u64, length: usize| {
        let mut out = vec![b'-'; length];
        view.read(offset, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(read(2, 3).unwrap(), "234");
    assert!(read(8, 3).is_err());
    view.write(3, b"abc").unwrap();
    view.write(5, b"CD").unwrap();
    assert_eq!(read(0, 10).unwrap(), "012abCD789");
    assert_eq!(
        (read(4, 2).unwrap(), read(5, 1).unwrap(), read(6, 4).unwrap()),
        ("bC".into(), "C".into(), "D789".into())
    );
    view.set_len(14).unwrap();
    view.write(12, b"z").unwrap();
    assert_eq!(read(9, 5).unwrap(), "9\0\0z\0");
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
}

fn reopened_with(database: Database, path: &Path) -> Store {
    drop(database);
    reopened(path)
}

#[test]
fn an_empty_file_is_no_database() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    File::create(&path).unwrap();
    let Err(DatabaseError::Redb(error)) = Database::open(file(&path), file(&path)) else { panic!("it was made anew") };
    assert!(matches!(*error, redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}
