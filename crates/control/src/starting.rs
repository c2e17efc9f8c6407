//! A rack that is starting: waiting until somebody listens at a path.
//!
//! Nobody polls: what happens in the directory is told by inotify(7). A rack sets its socket's mode once more when it listens, so that a
//! look that came between the making of the file and that is not the last.

use core::time::Duration;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// Waits until a rack listens at `path`, but no longer than `limit`. Whoever speaks to it then says what is wrong, if nobody does.
pub async fn wait_for_rack(path: &Path, limit: Duration) {
    let awaited = path.to_owned();
    // On a thread that may wait.
    let waited = tokio::task::spawn_blocking(move || listening(&awaited, Instant::now() + limit)).await;
    // A directory that cannot be watched: it is as if nobody had waited.
    tracing::debug!(?waited, path = %path.display(), "a rack was waited for");
}

fn listening(path: &Path, deadline: Instant) -> io::Result<()> {
    loop {
        let watched = watch(path)?;
        // Not before it is watched: what changes from here on is told.
        match connect(path) {
            Err(Errno::NOENT | Errno::CONNREFUSED) => {}
            // Somebody is there, or something that waiting does not mend.
            _ => return Ok(()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&watched, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Does not wait where as many wait to be accepted as the kernel keeps (unix(7)).
fn connect(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(socket, &SocketAddrUnix::new(path)?)
}

/// Watches the nearest directory above a path that there is.
fn watch(path: &Path) -> io::Result<OwnedFd> {
    let absolute = std::path::absolute(path)?;
    let directory = absolute.ancestors().skip(1).find(|above| above.is_dir()).ok_or(io::ErrorKind::NotFound)?;
    let inotify = init(CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
    add_watch(&inotify, directory, changes)?;
    Ok(inotify)
}
