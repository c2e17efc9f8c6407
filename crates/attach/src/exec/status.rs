//! What `stat`, `statx` and `statfs` write, as the kernel lays it out.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, makedev, minor};
use rustix::io::Errno;

use super::call::errno;

/// `SYSFS_MAGIC` (`linux/magic.h`).
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// `STATX_BASIC_STATS`.
const STATX_BASIC_STATS: u32 = 0x7ff;

/// Which struct is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `struct stat` of this architecture's kernel (`asm/stat.h`).
    Stat,
    /// `struct statx` (`linux/stat.h`).
    Statx,
}

/// A file's status.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Status {
    device: u64,
    inode: u64,
    mode: u32,
    links: u64,
    user: u32,
    group: u32,
    special: u64,
    size: u64,
    block_size: u64,
    blocks: u64,
    accessed: Time,
    modified: Time,
    changed: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

impl Status {
    /// Of a file.
    pub(super) fn of(path: &Path, follow: bool) -> Result<Self, Errno> {
        let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        metadata.map(|metadata| Self::from(&metadata)).map_err(|error| errno(&error))
    }

    /// Of a key's node, which everybody may read and write.
    pub(super) fn of_node((major, minor): (u32, u32), inode: u64) -> Self {
        let special = makedev(major, minor);
        Self { device: 5, inode, links: 1, block_size: 4096, ..Self::default() }.with_device(special)
    }

    /// The same, as of a character device.
    pub(super) fn with_device(self, special: u64) -> Self {
        Self { mode: libc::S_IFCHR | 0o666, special, size: 0, blocks: 0, ..self }
    }

    /// As the kernel would write it.
    pub(super) fn bytes(&self, layout: Layout) -> Vec<u8> {
        match layout {
            Layout::Stat => self.stat(),
            Layout::Statx => self.statx(),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn stat(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(144);
        for word in [self.device, self.inode, self.links] {
            bytes.extend(word.to_ne_bytes());
        }
        for half in [self.mode, self.user, self.group, 0] {
            bytes.extend(half.to_ne_bytes());
        }
        for word in [self.special, self.size, self.block_size, self.blocks] {
            bytes.extend(word.to_ne_bytes());
        }
        self.times(&mut bytes);
        bytes.extend([0; 24]);
        bytes
    }

    #[cfg(target_arch = "aarch64")]
    fn stat(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        for word in [self.device, self.inode] {
            bytes.extend(word.to_ne_bytes());
        }
        for half in [self.mode, low(self.links), self.user, self.group] {
            bytes.extend(half.to_ne_bytes());
        }
        for word in [self.special, 0, self.size] {
            bytes.extend(word.to_ne_bytes());
        }
        for half in [low(self.block_size), 0] {
            bytes.extend(half.to_ne_bytes());
        }
        bytes.extend(self.blocks.to_ne_bytes());
        self.times(&mut bytes);
        bytes.extend([0; 8]);
        bytes
    }

    fn times(&self, bytes: &mut Vec<u8>) {
        for time in [self.accessed, self.modified, self.changed] {
            bytes.extend(time.seconds.to_ne_bytes());
            bytes.extend(time.nanoseconds.to_ne_bytes());
        }
    }

    fn statx(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        for half in [STATX_BASIC_STATS, low(self.block_size)] {
            bytes.extend(half.to_ne_bytes());
        }
        bytes.extend(0_u64.to_ne_bytes());
        for half in [low(self.links), self.user, self.group, self.mode & 0xffff] {
            bytes.extend(half.to_ne_bytes());
        }
        for word in [self.inode, self.size, self.blocks, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for time in [self.accessed, Time::default(), self.changed, self.modified] {
            bytes.extend(time.seconds.to_ne_bytes());
            bytes.extend(time.nanoseconds.to_ne_bytes());
        }
        for half in [major(self.special), minor(self.special), major(self.device), minor(self.device)] {
            bytes.extend(half.to_ne_bytes());
        }
        bytes.resize(256, 0);
        bytes
    }
}

impl From<&Metadata> for Status {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            links: metadata.nlink(),
            user: metadata.uid(),
            group: metadata.gid(),
            special: metadata.rdev(),
            size: metadata.size(),
            block_size: metadata.blksize(),
            blocks: metadata.blocks(),
            accessed: Time { seconds: metadata.atime(), nanoseconds: metadata.atime_nsec() },
            modified: Time { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() },
            changed: Time { seconds: metadata.ctime(), nanoseconds: metadata.ctime_nsec() },
        }
    }
}

/// A number of which the kernel tells the lower half.
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// `struct statfs` of a sysfs (`asm-generic/statfs.h`): type, block size, three counts of blocks, two of files, the id, the
/// longest name, the fragment size, flags.
pub(super) fn sysfs() -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [SYSFS_MAGIC, 4096, 0, 0, 0, 0, 0, 0, 255, 4096].into_iter().flat_map(u64::to_ne_bytes).collect();
    bytes.resize(120, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    /// The C library's structs, which on 64-bit machines are the kernel's.
    #[test]
    fn structs_are_laid_out_as_the_c_library_has_them() {
        let status = Status {
            device: 1,
            inode: 2,
            mode: 3,
            links: 4,
            user: 5,
            group: 6,
            special: makedev(245, 64),
            size: 8,
            block_size: 9,
            blocks: 10,
            accessed: Time { seconds: 11, nanoseconds: 12 },
            modified: Time { seconds: 13, nanoseconds: 14 },
            changed: Time { seconds: 15, nanoseconds: 16 },
        };
        let stat = status.bytes(Layout::Stat);
        assert_eq!(stat.len(), size_of::<libc::stat>());
        let word = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let half = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(&stat, offset_of!(libc::stat, st_dev)), 1);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_ino)), 2);
        assert_eq!(half(&stat, offset_of!(libc::stat, st_mode)), 3);
        assert_eq!(half(&stat, offset_of!(libc::stat, st_nlink)), 4);
        assert_eq!(half(&stat, offset_of!(libc::stat, st_uid)), 5);
        assert_eq!(half(&stat, offset_of!(libc::stat, st_gid)), 6);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_rdev)), makedev(245, 64));
        assert_eq!(word(&stat, offset_of!(libc::stat, st_size)), 8);
        assert_eq!(half(&stat, offset_of!(libc::stat, st_blksize)), 9);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_blocks)), 10);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_atime)), 11);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_mtime_nsec)), 14);
        assert_eq!(word(&stat, offset_of!(libc::stat, st_ctime)), 15);
        let statx = status.bytes(Layout::Statx);
        assert_eq!(statx.len(), size_of::<libc::statx>());
        assert_eq!(half(&statx, offset_of!(libc::statx, stx_blksize)), 9);
        assert_eq!(half(&statx, offset_of!(libc::statx, stx_nlink)), 4);
        assert_eq!(half(&statx, offset_of!(libc::statx, stx_mode)) & 0xffff, 3);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_ino)), 2);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_size)), 8);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_blocks)), 10);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_atime)), 11);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_ctime)), 15);
        assert_eq!(word(&statx, offset_of!(libc::statx, stx_mtime)), 13);
        assert_eq!(half(&statx, offset_of!(libc::statx, stx_rdev_major)), 245);
        assert_eq!(half(&statx, offset_of!(libc::statx, stx_rdev_minor)), 64);
        assert_eq!(sysfs().len(), size_of::<libc::statfs>());
        assert_eq!(word(&sysfs(), offset_of!(libc::statfs, f_type)), SYSFS_MAGIC);
        assert_eq!(word(&sysfs(), offset_of!(libc::statfs, f_namelen)), 255);
    }
}
