//! Programs that a filter of system calls does not reach, known by their files when they start.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::notice::Notice;

/// What there is to tell of a program that starts.
pub(super) fn of_program(path: &[u8]) -> Option<Notice> {
    let path = PathBuf::from(OsStr::from_bytes(path));
    let mut file = File::open(&path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mode = metadata.permissions().mode();
    let other_user = mode & libc::S_ISUID != 0 && metadata.uid() != rustix::process::geteuid().as_raw();
    let other_group = mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP
        && metadata.gid() != rustix::process::getegid().as_raw();
    if other_user || other_group {
        return Some(Notice::SetUserId { path });
    }
    if let Some(by) = sandbox(&path) {
        return Some(Notice::Sandbox { path, by });
    }
    let mut start = [0; 5];
    file.read_exact(&mut start).ok()?;
    // EI_CLASS is ELFCLASS32.
    (start == *b"\x7fELF\x01").then_some(Notice::ThirtyTwoBits { path })
}

/// Starters of programs that see a `/dev` of their own.
fn sandbox(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    if path.starts_with("/snap") || name == "snap" {
        return Some("snap");
    }
    (name == "flatpak").then_some("flatpak")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn notice(name: &str, content: &[u8], mode: u32) -> Option<Notice> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        of_program(path.as_os_str().as_bytes())
    }

    #[test]
    fn what_is_not_reached_is_known_by_its_file() {
        assert_eq!(notice("plain", b"\x7fELF\x02", 0o755), None);
        assert_eq!(notice("script", b"#!", 0o755), None);
        assert!(matches!(notice("old", b"\x7fELF\x01", 0o755), Some(Notice::ThirtyTwoBits { .. })));
        assert!(matches!(notice("flatpak", b"#!/bin/sh", 0o755), Some(Notice::Sandbox { by: "flatpak", .. })));
        // The owner's own set-user-id bit changes nothing for the owner.
        assert_eq!(notice("own", b"\x7fELF\x02", 0o4755), None);
        assert_eq!(of_program(b"/"), None);
        assert_eq!(of_program(b"/missing"), None);
    }
}
