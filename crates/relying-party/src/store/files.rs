//! The files of a database: made whole, for their owner alone, and looked at before they are opened.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{StoreError, connect, migrations};
use crate::random::{self, SystemRandomness};

/// The header of an SQLite database, in bytes. Nothing that was ever made is shorter.
const SHORTEST: u64 = 100;

/// What it begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Makes a directory that is not there, for its owner alone; one that is there is looked at.
pub(super) fn prepare_directory(directory: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Directory { directory: directory.to_owned(), error };
    if !directory.try_exists().map_err(failed)? {
        return fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed);
    }
    guard(directory)
}

/// Makes a database that is not there. It gets its name when it is whole: a file of that name that is empty is damaged.
pub(super) fn make(directory: &Path, file: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Directory { directory: directory.to_owned(), error };
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", random::name(&SystemRandomness)));
    let new = PathBuf::from(name);
    // Not through a link, and nobody else's.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    let made = connect(&new).and_then(|mut connection| migrations::migrate(&mut connection, &new));
    let named = made.and_then(|()| match fs::hard_link(&new, file) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(failed),
    });
    let removed = fs::remove_file(&new).map_err(failed);
    named.and(removed)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Looks at a database and the files beside it that SQLite makes.
pub(super) fn check(file: &Path) -> Result<(), StoreError> {
    check_length(file)?;
    guard(file)?;
    for beside in ["-wal", "-shm"] {
        let path = beside_of(file, beside);
        if path.exists() {
            guard(&path)?;
        }
    }
    Ok(())
}

pub(super) fn check_length(file: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Directory { directory: file.to_owned(), error };
    let length = fs::metadata(file).map_err(failed)?.len();
    if length >= SHORTEST {
        return Ok(());
    }
    let mut found = Vec::new();
    fs::File::open(file).and_then(|file| file.take(SHORTEST).read_to_end(&mut found)).map_err(failed)?;
    let is_ours = found.iter().zip(MAGIC).all(|(found, expected)| found == expected);
    Err(if is_ours {
        StoreError::CutOff { file: file.to_owned(), length }
    } else {
        StoreError::NotOurs { file: file.to_owned() }
    })
}

pub(super) fn beside_of(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Refuses what others may write; closes what others may read.
fn guard(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Directory { directory: path.to_owned(), error };
    let metadata = fs::metadata(path).map_err(failed)?;
    let (mode, own) = (metadata.mode() & 0o777, rustix::process::geteuid());
    // Root may look after anybody's.
    if metadata.uid() != own.as_raw() && !own.is_root() {
        return Err(StoreError::OfAnother { path: path.to_owned() });
    }
    if mode & 0o022 != 0 {
        return Err(StoreError::WritableByOthers { path: path.to_owned(), mode });
    }
    if mode & 0o055 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)).map_err(failed)?;
        tracing::warn!(path = %path.display(), "others could read this: it is for its owner alone now");
    }
    Ok(())
}
