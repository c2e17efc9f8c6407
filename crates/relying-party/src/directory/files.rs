//! Opening files whose names somebody has set.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
#[cfg(feature = "tls")]
use std::path::PathBuf;

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

/// The regular files in a directory by name, links to such among them. A directory of more entries than `most` is an error before any of
/// them is looked at.
#[cfg(feature = "tls")]
pub(super) fn in_directory(directory: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        if files.len() == most {
            return Err(io::Error::other(format!("there are more than {most} entries in the directory")));
        }
        files.push(entry?.path());
    }
    files.sort();
    files.retain(|file| file.is_file());
    Ok(files)
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_more_entries_than_may_be_is_refused_and_one_of_as_many_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("b.pem"), "").unwrap();
        std::os::unix::fs::symlink("b.pem", path.join("a.0")).unwrap();
        std::os::unix::fs::symlink("nothing", path.join("c.0")).unwrap();
        fs::create_dir(path.join("d")).unwrap();
        let found = in_directory(path, 4).unwrap();
        assert_eq!(found, [path.join("a.0"), path.join("b.pem")]);
        let error = in_directory(path, 3).unwrap_err();
        assert_eq!(error.to_string(), "there are more than 3 entries in the directory");
    }
}
