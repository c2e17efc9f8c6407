//! That a device came or went, heard from the kernel and from udev.
//!
//! Both announce devices to netlink groups that anyone may listen to (netlink(7), `NETLINK_KOBJECT_UEVENT`). What is announced is not
//! believed: it says that it is time to look. udev's announcement is the later one, when the rules have given a node to its user.

use std::io;

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The kernel's group, and udev's.
const GROUPS: u32 = 1 | 2;

/// More than the kernel or udev ever send at once.
const MESSAGE_SIZE: usize = 16 * 1024;

/// Hears of hidraw nodes that come and go.
///
/// The socket is of another family than its type says: tokio has no type for netlink sockets, and knows of this one only when it is ready
/// to be read.
#[derive(Debug)]
pub struct Arrivals(UnixDatagram);

impl Arrivals {
    /// Begins to listen: what changes from here on is heard.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(UnixDatagram::from_std(socket.into())?))
    }

    /// Waits until something was announced of a hidraw node, or announcements were lost. Cancel-safe.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn changed(&self) -> io::Result<()> {
        let mut message = vec![0; MESSAGE_SIZE];
        loop {
            let received = self.0.async_io(Interest::READABLE, || {
                let (length, _) = recv(&self.0, message.as_mut_slice(), RecvFlags::empty())?;
                Ok(length)
            });
            match received.await {
                Ok(length) if is_of_hidraw(message.get(..length).unwrap_or_default()) => return Ok(()),
                Ok(_) => {}
                // More came at once than there is room for.
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Both senders have `NAME=VALUE` strings, each ended by a zero byte.
fn is_of_hidraw(message: &[u8]) -> bool {
    message.split(|byte| *byte == 0).any(|string| string == b"SUBSYSTEM=hidraw")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_hidraw_nodes_matters() {
        let said = |strings: &[&str]| is_of_hidraw(strings.join("\0").as_bytes());
        assert!(said(&["add@/devices/x/hidraw/hidraw0", "ACTION=add", "SUBSYSTEM=hidraw", "DEVNAME=hidraw0"]));
        assert!(said(&["libudev", "ACTION=remove", "SUBSYSTEM=hidraw", ""]));
        assert!(!said(&["add@/devices/x/hidraw/hidraw0", "SUBSYSTEM=hid"]));
        assert!(!said(&["SUBSYSTEM=hidraw2"]) && !said(&[]));
    }

    #[tokio::test]
    async fn anyone_may_hear_of_both() {
        Arrivals::listen().unwrap();
    }
}
