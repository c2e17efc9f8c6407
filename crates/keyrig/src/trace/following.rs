//! A file that grows: its end is where one waits.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Reads a file, and waits at its end until there is more, or until the file is removed.
pub(crate) struct Following {
    file: File,
    position: u64,
    changes: OwnedFd,
}

impl Following {
    pub(crate) fn new(file: File, path: &Path) -> io::Result<Self> {
        let changes = inotify::init(CreateFlags::CLOEXEC)?;
        // An open file is never deleted: what its removal changes is its number of links, which is an attribute.
        inotify::add_watch(&changes, path, WatchFlags::MODIFY | WatchFlags::ATTRIB)?;
        Ok(Self { file, position: 0, changes })
    }

    fn read_more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position = self.position.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked at before the end is: what was written before the file was removed is there then.
            let metadata = self.file.metadata()?;
            if metadata.len() < self.position {
                return Err(io::Error::other("it was cut off meanwhile: it is written anew"));
            }
            let read = self.read_more(buffer)?;
            if read > 0 || buffer.is_empty() || metadata.nlink() == 0 {
                return Ok(read);
            }
            // What happened between the look and now is an event already: the watch is older than both.
            let mut events = [MaybeUninit::uninit(); 4096];
            inotify::Reader::new(&self.changes, &mut events).next()?;
        }
    }
}
