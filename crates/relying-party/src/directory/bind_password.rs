//! The password by which a directory is searched: in a file of the state directory, for its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::answer::DirectoryUnavailable;
use super::files;
use crate::password::MAX_PASSWORD_BYTES;
use crate::random::{self, SystemRandomness};

/// Writes it whole, in place of the one that is there.
pub(super) fn write(file: &Path, password: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    if !directory.try_exists()? {
        fs::DirBuilder::new().mode(0o700).create(directory)?;
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", random::name(&SystemRandomness)));
    let new = Path::new(&name);
    let written = (|| {
        // Not through a link, and nobody else's.
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
        opened.write_all(password.as_bytes())?;
        opened.sync_all()?;
        fs::rename(new, file)
    })();
    if written.is_err() {
        // What was not renamed is of no use; why it was not is told.
        let _ = fs::remove_file(new);
    }
    written
}

/// Removes it, if it is there.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads it. A file that others may read or write is refused, as is another's.
pub(super) fn read(file: &Path) -> Result<Zeroizing<String>, DirectoryUnavailable> {
    let wrong = |reason: &str| DirectoryUnavailable {
        reason: format!("{} {reason}: 'keyrig rp realm modify REALM --password FILE' writes it anew", file.display()),
    };
    let unreadable = |error: io::Error| wrong(&format!("cannot be read ({error})"));
    let opened = files::open(file, OFlags::NOFOLLOW).map_err(unreadable)?;
    let metadata = opened.metadata().map_err(unreadable)?;
    let own = rustix::process::geteuid();
    if metadata.uid() != own.as_raw() && !own.is_root() {
        return Err(wrong("belongs to another user"));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(wrong(&format!("has the mode {mode:o}, and has to be a file of 600")));
    }
    let limit = u64::try_from(MAX_PASSWORD_BYTES).unwrap_or(u64::MAX) + 1;
    let mut password = Zeroizing::new(String::new());
    opened.take(limit).read_to_string(&mut password).map_err(unreadable)?;
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(wrong("is empty or too long"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_bind_password_is_for_its_owner_alone_and_read_only_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("realm").join("corp.pw");
        write(&file, "secret one").unwrap();
        write(&file, "secret two").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(read(&file).unwrap().as_str(), "secret two");
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read(&file).unwrap_err().reason.contains(&format!("{mode:o}")), "{mode:o}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let link = directory.path().join("link.pw");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read(&link).is_err());
        let pipe = directory.path().join("pipe.pw");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let held = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        assert!(read(&pipe).unwrap_err().reason.contains("it is no regular file"));
        drop(held);
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(read(&file).is_err());
    }
}
