//! A file that grows: its end is where one waits.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Reads a file, and waits at its end until there is more.
pub(crate) struct Following {
    file: File,
    changes: OwnedFd,
}

impl Following {
    pub(crate) fn new(file: File, path: &Path) -> io::Result<Self> {
        let changes = inotify::init(CreateFlags::CLOEXEC)?;
        inotify::add_watch(&changes, path, WatchFlags::MODIFY | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF)?;
        Ok(Self { file, changes })
    }
}

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            // What was written between the read and now is an event already: the watch is older than both.
            let mut events = [MaybeUninit::uninit(); 4096];
            inotify::Reader::new(&self.changes, &mut events).next()?;
        }
    }
}
