//! The token in a file that its owner alone can read.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::token::{InvalidToken, Token};

/// A token's line in a file is no longer, bytes.
const MAX_FILE: u64 = 4096;

/// A file that tells the token to programs of its owner. Dropping it removes the file, unless another is in its place by then.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// Open for as long as it is told from another by its number, which the system gives away again.
    file: File,
}

/// Why a token cannot be kept in a file, or taken from one.
#[derive(Debug, Error)]
pub enum TokenFileError {
    /// Others can read it.
    #[error("{} can be read by others (its mode is {mode:03o}): chmod 600", path.display())]
    OthersMayRead {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is another user's.
    #[error("{} belongs to another user", path.display())]
    OtherUser {
        /// The file.
        path: PathBuf,
    },
    /// It has no token in it.
    #[error("{}: {error}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: InvalidToken,
    },
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl TokenFile {
    /// Writes a token to a new file of mode 0600, in place of one that was left behind.
    ///
    /// # Errors
    /// [`TokenFileError::Io`].
    pub fn create(path: &Path, token: &Token) -> Result<Self, TokenFileError> {
        Self::written(path, token).map_err(|error| TokenFileError::Io { path: path.to_owned(), error })
    }

    fn written(path: &Path, token: &Token) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let text = format!("{}\n", token.expose());
        let written = file.write_all(text.as_bytes());
        let kept = Self { path: path.to_owned(), file };
        written.map(|()| kept)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let removed = match (fs::symlink_metadata(&self.path).map(id), self.file.metadata().map(id)) {
            (Ok(there), Ok(ours)) if there != ours => return,
            (Ok(_), Ok(_)) => fs::remove_file(&self.path),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if let Err(error) = removed {
            tracing::debug!(%error, path = %self.path.display(), "the token's file was gone already");
        }
    }
}

impl Token {
    /// The first line of a file that its owner alone can read, who has to be this user.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn from_file(path: &Path) -> Result<Self, TokenFileError> {
        let io = |error| TokenFileError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(TokenFileError::OtherUser { path: path.to_owned() });
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenFileError::OthersMayRead { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE).read_to_string(&mut text).map_err(io)?;
        let line = text.lines().next().unwrap_or_default();
        line.parse().map_err(|error| TokenFileError::Invalid { path: path.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_for_its_owner_and_goes_with_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/keyrig.token");
        let token = Token::random().unwrap();
        let file = TokenFile::create(&path, &token).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(Token::from_file(&path).unwrap().is(token.expose().as_bytes()));
        let next = TokenFile::create(&path, &"another".parse().unwrap()).unwrap();
        drop(file);
        assert!(Token::from_file(&path).unwrap().is(b"another"), "another was in its place");
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_others_can_read_has_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "secret\n").unwrap();
        for (mode, readable) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::from_file(&path).is_ok(), readable, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "\n").unwrap();
        assert!(matches!(Token::from_file(&path), Err(TokenFileError::Invalid { error: InvalidToken::Empty, .. })));
        assert!(matches!(Token::from_file(&directory.path().join("no")), Err(TokenFileError::Io { .. })));
    }
}
