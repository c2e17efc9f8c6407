//! The kernel's ear on USB buses (Linux, Documentation/usb/usbmon.rst): what passes there, whoever sends it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::ioctl::{Getter, Opcode, ioctl, opcode};

/// `struct mon_bin_stats`.
#[repr(C)]
struct Stats {
    /// How many packets wait to be read.
    _queued: u32,
    /// How many there was no room for, since this was last asked.
    dropped: u32,
}

/// `_IOR(0x92, 3, struct mon_bin_stats)`.
const MON_IOCG_STATS: Opcode = opcode::read::<Stats>(0x92, 3);

/// A bus that is listened to. What is read is whole packets, each a header of 48 bytes with data behind it.
#[derive(Debug)]
pub struct Bus(File);

impl Bus {
    /// Where the kernel gives a bus to be heard. Bus 0 is all of them.
    #[must_use]
    pub fn path(number: u16) -> PathBuf {
        PathBuf::from(format!("/dev/usbmon{number}"))
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// Those of the operating system: `NotFound` without the module usbmon, `PermissionDenied` without the right to read.
    pub fn open(number: u16) -> io::Result<Self> {
        File::open(Self::path(number)).map(Self)
    }

    /// How many packets passed unheard since this was last asked: they come into a ring, and what finds no room there is lost.
    ///
    /// # Errors
    /// Those of the operating system, of something that is no usbmon.
    pub fn dropped(&self) -> io::Result<u32> {
        dropped(self.0.as_fd())
    }
}

#[expect(unsafe_code, reason = "this request of usbmon's has no safe interface")]
fn dropped(bus: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: number and structure are those of Linux (drivers/usb/mon/mon_bin.c), which fills the structure whole and touches nothing else
    // of this process. Other files do not know the number: its type, 0x92, is usbmon's.
    let stats = unsafe { ioctl(bus, Getter::<MON_IOCG_STATS, Stats>::new()) }?;
    Ok(stats.dropped)
}

impl Read for &Bus {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl AsFd for Bus {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux's headers compute it: direction 2, size 8, type 0x92, number 3 (asm-generic/ioctl.h).
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn the_request_has_the_number_of_linux() {
        assert_eq!(MON_IOCG_STATS, 0x8008_9203);
    }

    #[test]
    fn what_is_no_usbmon_knows_nothing_of_what_was_dropped() {
        let error = dropped(io::pipe().unwrap().0.as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
