//! Sockets at a path: bound so that nobody but their owner could ever open them, and removed when they are let go.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tokio::net::UnixStream;

/// Why no socket was bound.
#[derive(Debug)]
pub(crate) enum BindError {
    /// A program listens there.
    InUse,
    /// The path is something else.
    NotASocket,
    /// The operating system refused.
    Io(io::Error),
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The file of a socket that is bound. Dropping it removes the file, unless another is in its place by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// What tells a file from another one at its path: device and inode.
type FileId = (u64, u64);

/// Binds a socket with mode 0600 by means of `listen`. One that a program left behind when it was killed is replaced.
pub(crate) async fn bind<L>(
    path: &Path,
    listen: impl FnOnce(&Path) -> io::Result<L>,
) -> Result<(L, SocketFile), BindError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(BindError::NotASocket),
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(BindError::InUse),
            // A socket of another type, that a program listens on all the same.
            Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                return Err(BindError::InUse);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // Bound in a directory that nobody else can enter and then renamed, so that it is never there with a wider mode.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    // Short, because a socket's path may have no more than 107 bytes. Not our process id: in containers that is always the
    // same, and one that was killed in here would be in the way for ever.
    let private = parent.join(format!(".{:08x}", u32::from_be_bytes(random)));
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_private(&private, path, listen);
    let removed = fs::remove_dir_all(&private);
    let (listener, id) = bound?;
    let file = SocketFile { path: path.to_owned(), id };
    removed?;
    Ok((listener, file))
}

fn bind_private<L>(
    private: &Path,
    path: &Path,
    listen: impl FnOnce(&Path) -> io::Result<L>,
) -> io::Result<(L, FileId)> {
    let socket = private.join("s");
    let listener = listen(&socket)?;
    fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
    let id = file_id(&socket)?;
    fs::rename(&socket, path)?;
    Ok((listener, id))
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
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
