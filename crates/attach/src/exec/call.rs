//! A system call that waits, and the program that makes it: its memory, its descriptors, its directory.
//!
//! **Whoever reads checks afterwards that the call still waits, and whoever writes checks before**: a thread that was killed
//! meanwhile has left its number to another.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::sys::{self, Listener, Notification};

/// The longest path, with its end (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// How much of a text is read at a time: most paths are shorter.
const CHUNK: usize = 256;

/// Memory is read up to the end of a page, as the next may not be there.
const PAGE: u64 = 4096;

/// `PIDFD_THREAD` (Linux 6.9).
const PIDFD_THREAD: u32 = rustix::fs::OFlags::EXCL.bits();

/// A call, its program, and who hears of it.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    listener: &'a Listener,
    notification: Notification,
}

impl core::ops::Deref for Call<'_> {
    type Target = Notification;

    fn deref(&self) -> &Notification {
        &self.notification
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(listener: &'a Listener, notification: Notification) -> Self {
        Self { listener, notification }
    }

    /// What was read of a program is its own only if the call still waits.
    fn checked<T>(&self, read: T) -> Result<T, Errno> {
        if self.listener.is_waiting(self.id) { Ok(read) } else { Err(Errno::SRCH) }
    }

    /// Reads exactly as many bytes.
    pub(super) fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        let read = sys::read_memory(self.thread, address, &mut bytes)?;
        self.checked(())?;
        if read == N { Ok(bytes) } else { Err(Errno::FAULT) }
    }

    /// Reads a text that ends with a zero byte, which is left out.
    pub(super) fn text(&self, address: u64) -> Result<Vec<u8>, Errno> {
        self.text_at(address).and_then(|text| self.checked(text))
    }

    fn text_at(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut chunk = [0; CHUNK];
        while text.len() < PATH_MAX {
            let at = address.wrapping_add(u64::try_from(text.len()).map_err(|_| Errno::FAULT)?);
            let to_page_end = usize::try_from(PAGE - at % PAGE).map_err(|_| Errno::FAULT)?;
            let room = chunk.get_mut(..to_page_end.min(PATH_MAX - text.len()).min(CHUNK)).ok_or(Errno::FAULT)?;
            let read = sys::read_memory(self.thread, at, room)?;
            let read = room.get(..read).filter(|read| !read.is_empty()).ok_or(Errno::FAULT)?;
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                text.extend(read.iter().take(end));
                return Ok(text);
            }
            text.extend(read);
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Reads a text that is to be looked at and not kept: nobody has checked that the call still waits.
    pub(super) fn glance(&self, address: u64) -> Result<Vec<u8>, Errno> {
        self.text_at(address)
    }

    /// Which argument is the path that tells whether the call concerns a key, of calls that one does.
    pub(super) fn path_argument(&self) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_readlink | libc::SYS_access = self.call {
            return Some(0);
        }
        match self.call {
            libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_readlinkat
            | libc::SYS_faccessat
            | libc::SYS_faccessat2 => Some(1),
            libc::SYS_newfstatat if self.int(3) & libc::AT_EMPTY_PATH == 0 => Some(1),
            libc::SYS_statx if self.int(2) & libc::AT_EMPTY_PATH == 0 => Some(1),
            libc::SYS_getxattr | libc::SYS_lgetxattr | libc::SYS_listxattr | libc::SYS_llistxattr | libc::SYS_chdir => {
                Some(0)
            }
            _ => None,
        }
    }

    /// Writes to the program's memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.checked(())?;
        sys::write_memory(self.thread, address, bytes)
    }

    /// Where a descriptor leads, as `/proc` tells it.
    pub(super) fn link(&self, descriptor: i32) -> Result<Vec<u8>, Errno> {
        self.proc_link(&format!("fd/{descriptor}"))
    }

    /// The program's directory.
    pub(super) fn directory(&self) -> Result<Vec<u8>, Errno> {
        self.proc_link("cwd")
    }

    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let link = fs::read_link(format!("/proc/{}/{name}", self.thread)).map_err(|error| errno(&error))?;
        self.checked(link.into_os_string().into_vec())
    }

    /// A file of `/proc` about the thread.
    pub(super) fn proc_file(&self, name: &str) -> Result<String, Errno> {
        let text = fs::read(format!("/proc/{}/{name}", self.thread)).map_err(|error| errno(&error))?;
        self.checked(String::from_utf8_lossy(&text).into_owned())
    }

    /// The program's name, to tell of.
    pub(super) fn program(&self) -> String {
        self.proc_file("comm").map_or_else(|_| "a program".to_owned(), |name| name.trim_end().to_owned())
    }

    /// The process that the thread belongs to.
    pub(super) fn process(&self) -> Result<i32, Errno> {
        let status = self.proc_file("status")?;
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        group.ok_or(Errno::SRCH)
    }

    /// A copy of one of the program's descriptors. Container runtimes forbid it.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let copied = match descriptor_of(self.thread, number) {
            Err(Errno::INVAL) => descriptor_of(self.process()?, number)?,
            copied => copied?,
        };
        self.checked(copied)
    }

    /// The inode of a socket, `None` of anything else.
    pub(super) fn socket(&self, descriptor: i32) -> Result<Option<u64>, Errno> {
        match self.link(descriptor) {
            Ok(link) => Ok(socket_inode(&link)),
            Err(Errno::NOENT) => Ok(None),
            // A program that forbids tracing hides its descriptors from all but the owner of its user namespace.
            Err(_) => {
                let status = fstat(self.descriptor(descriptor)?.as_fd())?;
                let is_socket = rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::Socket;
                Ok(is_socket.then_some(status.st_ino))
            }
        }
    }
}

/// A copy of a descriptor of a thread, or where the kernel knows only processes (before Linux 6.9) of a process: the caller has
/// to see that it is the one that was meant.
pub(super) fn descriptor_of(thread: i32, number: i32) -> Result<OwnedFd, Errno> {
    let thread = Pid::from_raw(thread).ok_or(Errno::SRCH)?;
    let descriptor = match pidfd_open(thread, PidfdFlags::from_bits_retain(PIDFD_THREAD)) {
        Err(Errno::INVAL) => pidfd_open(thread, PidfdFlags::empty())?,
        opened => opened?,
    };
    pidfd_getfd(descriptor, number, PidfdGetfdFlags::empty())
}

/// Whether descriptors of other processes can be copied: container runtimes forbid it.
pub(super) fn descriptors_can_be_copied() -> bool {
    let own = rustix::process::getpid();
    pidfd_open(own, PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(&process, std::os::fd::AsRawFd::as_raw_fd(&process), PidfdGetfdFlags::empty()))
        .is_ok()
}

/// `socket:[INODE]`
pub(super) fn socket_inode(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    core::str::from_utf8(number).ok()?.parse().ok()
}

/// The number of an error of the operating system.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
