//! Sockets at a path: bound so that nobody but their owner can open them, and removed when they are let go.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_socket, listen, socket_with};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

/// The longest path of a socket, bytes: sockaddr_un has 108 for it, with the zero at its end (unix(7)).
const MAX_PATH: usize = 107;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Why no socket was bound.
#[derive(Debug)]
pub enum BindError {
    /// A program listens there.
    InUse,
    /// The path is something else.
    NotASocket,
    /// The path is longer than a socket's may be.
    TooLong(PathTooLong),
    /// The operating system refused.
    Io(io::Error),
}

impl From<PathTooLong> for BindError {
    fn from(error: PathTooLong) -> Self {
        Self::TooLong(error)
    }
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A path is too long for a socket: nobody could connect there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{} has {} bytes, and the path of a socket {MAX_PATH} at most: {} is shorter",
    path.display(), path.as_os_str().len(), shorter.display()
)]
pub struct PathTooLong {
    path: PathBuf,
    shorter: PathBuf,
}

/// Refuses a path that is too long for a socket, and proposes another.
///
/// # Errors
/// [`PathTooLong`].
pub fn check_length(path: &Path) -> Result<(), PathTooLong> {
    check(path, std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).as_deref())
}

/// Proposes one in the directory for sockets of this user, if there is one.
fn check(path: &Path, runtime_directory: Option<&OsStr>) -> Result<(), PathTooLong> {
    if path.as_os_str().len() <= MAX_PATH {
        return Ok(());
    }
    let in_directory = |directory: &OsStr, name: &OsStr| Path::new(directory).join(name);
    let name = path.file_name().unwrap_or_default();
    let temporary = OsStr::new("/tmp");
    let plain = OsStr::new("keyrig.sock");
    let directories = [runtime_directory.unwrap_or(temporary), temporary];
    let proposals = directories.map(|directory| [in_directory(directory, name), in_directory(directory, plain)]);
    let shorter = proposals.concat().into_iter().find(|proposal| proposal.as_os_str().len() <= MAX_PATH);
    Err(PathTooLong { path: path.to_owned(), shorter: shorter.unwrap_or_else(|| plain.into()) })
}

/// The file of a socket that is bound. Dropping it removes the file, unless another is in its place by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// What tells a file from another one at its path: device and inode.
type FileId = (u64, u64);

/// Binds a socket of this type with mode 0600, and listens. One that a program left behind when it was killed is replaced.
pub async fn bind(path: &Path, socket_type: SocketType) -> Result<(UnixListener, SocketFile), BindError> {
    check_length(path)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(BindError::NotASocket),
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(BindError::InUse),
            // A socket of another type, that a program listens on all the same.
            Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                return Err(BindError::InUse);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let socket = socket_with(AddressFamily::UNIX, socket_type, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
        .map_err(io::Error::from)?;
    // Linux gives the file the mode of the socket, so it is never there with a wider one.
    let socket = File::from(socket);
    socket.set_permissions(Permissions::from_mode(0o600))?;
    bind_socket(&socket, &SocketAddrUnix::new(path).map_err(io::Error::from)?).map_err(|error| match error {
        // Another program was faster.
        Errno::ADDRINUSE => BindError::InUse,
        error => BindError::Io(error.into()),
    })?;
    let file = SocketFile { path: path.to_owned(), id: file_id(path)? };
    listen(&socket, BACKLOG).map_err(io::Error::from)?;
    // The same again: whoever watches the directory for a program that listens is told that one does.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let listener = UnixListener::from_std(StdUnixListener::from(OwnedFd::from(socket)))?;
    Ok((listener, file))
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl SocketFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let removed = match file_id(&self.path) {
            Ok(id) if id != self.id => return,
            Ok(_) => fs::remove_file(&self.path),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::debug!(%error, path = %self.path.display(), "the socket was gone already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_refused_with_one_that_is_not() {
        let long = Path::new("/srv").join("d".repeat(200)).join("key.sock");
        let refusal = |runtime: Option<&str>, path: &Path| {
            check(path, runtime.map(OsStr::new)).map_err(|error| error.to_string())
        };
        let text = |shorter: &str| {
            Err(format!("{} has 214 bytes, and the path of a socket 107 at most: {shorter} is shorter", long.display()))
        };
        assert_eq!(refusal(Some("/run/user/1000"), &long), text("/run/user/1000/key.sock"));
        assert_eq!(refusal(None, &long), text("/tmp/key.sock"));
        assert_eq!(refusal(Some(&"/r".repeat(60)), &long), text("/tmp/key.sock"));
        let named = Path::new("/srv").join("n".repeat(209));
        assert!(refusal(Some("/run/user/1000"), &named).unwrap_err().contains(": /run/user/1000/keyrig.sock is"));
        assert_eq!(refusal(None, Path::new(&"a".repeat(107))), Ok(()));
        assert!(refusal(None, Path::new(&"a".repeat(108))).is_err());
    }
}
