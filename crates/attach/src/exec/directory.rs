//! A directory for what a running `exec` needs: files of the keys, sockets.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::ExecError;

const PREFIX: &str = "keyrig-exec-";
const LOCK: &str = "lock";

/// Memory that looks like a directory, where everybody may make files (`shm_overview(7)`).
const MEMORY: &str = "/dev/shm";

/// A directory that nobody else can enter, where `TMPDIR` says, or in memory if it says nothing and there is some: making hundreds
/// of files takes a busy disk a second. Dropping it removes it; if this process is killed, the next one of the same user does.
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    /// Locked as long as the directory is in use.
    _lock: File,
}

impl PrivateDirectory {
    /// Makes a directory, and removes what processes that were killed have left.
    ///
    /// # Errors
    /// [`ExecError::Files`].
    pub fn create() -> Result<Self, ExecError> {
        let parent = std::env::temp_dir();
        let in_memory = in_memory().and_then(|memory| Self::create_in(memory).ok());
        let create = || Self::create_in(&parent);
        in_memory.map_or_else(create, Ok).map_err(|error| ExecError::Files { path: parent.clone(), error })
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        remove_abandoned_in(parent);
        let mut random = [0; 8];
        rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()))?;
        let path = parent.join(format!("{PREFIX}{:016x}", u64::from_ne_bytes(random)));
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create(path.join(LOCK)).and_then(|lock| lock.lock().map(|()| lock));
        match lock {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a directory was left behind");
        }
    }
}

fn in_memory() -> Option<&'static Path> {
    std::env::var_os("TMPDIR").is_none().then_some(Path::new(MEMORY))
}

/// Removes directories of this user's whose process is gone, wherever they may be made.
pub(super) fn remove_abandoned() {
    in_memory().into_iter().for_each(remove_abandoned_in);
    remove_abandoned_in(&std::env::temp_dir());
}

fn remove_abandoned_in(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own);
        // One without a lock is being made.
        let abandoned = is_ours && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::debug!(path = %entry.path().display(), %error, "a directory that was left behind stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let in_use = PrivateDirectory::create_in(parent.path()).unwrap();
        let abandoned = parent.path().join("keyrig-exec-0123456789abcdef");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        let being_made = parent.path().join("keyrig-exec-1");
        fs::create_dir(&being_made).unwrap();
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        let second = PrivateDirectory::create_in(parent.path()).unwrap();
        assert!(!abandoned.exists());
        for path in [in_use.path(), second.path(), &being_made, &other] {
            assert!(path.exists(), "{}", path.display());
        }
        let path = in_use.path().to_owned();
        drop(in_use);
        assert!(!path.exists());
    }
}
