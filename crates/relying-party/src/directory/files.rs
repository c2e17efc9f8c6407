//! Opening files whose names somebody has set.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file, and nothing else: a pipe would be waited for, and some devices do things as soon as they are opened.
pub(super) fn open(file: &Path, flags: OFlags) -> io::Result<File> {
    let check = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no regular file; name one")),
    };
    check(fs::metadata(file)?)?;
    // Some of what the kernel has as files waits like a pipe, and by now it may be another one.
    let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    check(opened.metadata()?)?;
    Ok(opened)
}
