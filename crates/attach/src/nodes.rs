//! Which device nodes the kernel makes, heard from the kernel itself.
//!
//! The kernel announces each new device to a netlink group that anyone may listen to (netlink(7), `NETLINK_KOBJECT_UEVENT`;
//! `lib/kobject_uevent.c`). The message is `ACTION@DEVPATH` and `NAME=VALUE` strings, each ended by a zero byte. Who is slow to
//! read loses some, and is told so (netlink(7), `ENOBUFS`): what there is by then, [`Nodes::present`] looks up.

use std::path::Path;
use std::{fs, io};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The group that the kernel sends to itself. Group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// More than the kernel ever sends (`UEVENT_BUFFER_SIZE` and the heading).
const MESSAGE_SIZE: usize = 4096;

/// Where the kernel lists all hidraw nodes, as links to their devices.
const CLASS: &str = "/sys/class/hidraw";

/// What is heard from the kernel.
#[derive(Debug)]
pub(crate) enum Announcement {
    /// There is a new node.
    Node(HidrawNode),
    /// More came at once than there is room for, and some were lost.
    Lost,
}

/// A hidraw node that a device was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HidrawNode {
    /// The HID device's path, below `/sys`.
    pub(crate) device: String,
    /// The name of the node in `/dev`.
    pub(crate) name: String,
}

/// Listens for new nodes. The socket is of another family than its type says: tokio has no type for netlink sockets, and knows
/// of this one only when it is ready to be read.
pub(crate) struct Nodes(UnixDatagram);

impl Nodes {
    pub(crate) fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(UnixDatagram::from_std(socket.into())?))
    }

    /// All nodes that there are.
    pub(crate) fn present() -> io::Result<Vec<HidrawNode>> {
        present_in(Path::new(CLASS))
    }

    /// Waits for the next announcement that matters. Cancel-safe.
    pub(crate) async fn next(&self) -> io::Result<Announcement> {
        let mut buffer = [0; MESSAGE_SIZE];
        loop {
            let received = self.0.async_io(Interest::READABLE, || {
                let (_, length, sender) = recvfrom(&self.0, &mut buffer[..], RecvFlags::empty())?;
                Ok((length, sender))
            });
            let (length, sender) = match received.await {
                Ok(received) => received,
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(Announcement::Lost);
                }
                Err(error) => return Err(error),
            };
            let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
            // The kernel's own address is 0; processes with the right to may send to the group too.
            if sender.is_some_and(|sender| sender.pid() == 0)
                && let Some(node) = buffer.get(..length).and_then(hidraw_node)
            {
                return Ok(Announcement::Node(node));
            }
        }
    }
}

fn present_in(class: &Path) -> io::Result<Vec<HidrawNode>> {
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        // There is no node yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut nodes = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_str().map(str::to_owned);
        let device = match fs::read_link(entry.path()) {
            Ok(device) => device,
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // From the folder that the link is in, which is two below /sys.
        let path = device.to_str().and_then(|device| device.strip_prefix("../.."));
        if let (Some(name), Some(device)) = (name, path.and_then(hid_device)) {
            nodes.push(HidrawNode { device: device.to_owned(), name });
        }
    }
    Ok(nodes)
}

/// The hidraw node that a message announces.
fn hidraw_node(message: &[u8]) -> Option<HidrawNode> {
    let mut strings = message.split(|byte| *byte == 0).filter_map(|string| str::from_utf8(string).ok());
    let path = strings.next()?.strip_prefix("add@")?;
    let (mut is_hidraw, mut name) = (false, None);
    for string in strings {
        match string.split_once('=') {
            Some(("SUBSYSTEM", subsystem)) => is_hidraw = subsystem == "hidraw",
            Some(("DEVNAME", value)) => name = Some(value.to_owned()),
            _ => {}
        }
    }
    let device = hid_device(path)?.to_owned();
    is_hidraw.then_some(HidrawNode { device, name: name? })
}

/// The HID device that has a node with this path.
fn hid_device(node: &str) -> Option<&str> {
    node.rsplit_once("/hidraw/").map(|(device, _)| device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "/devices/platform/vhci_hcd.0/usb1/1-2/1-2:1.0/0003:1209:0001.0002";
    const PATH: &str = "/devices/platform/vhci_hcd.0/usb1/1-2/1-2:1.0/0003:1209:0001.0002/hidraw/hidraw3";

    fn message(action: &str, path: &str, subsystem: &str) -> Vec<u8> {
        let strings = [
            format!("{action}@{path}"),
            format!("ACTION={action}"),
            format!("DEVPATH={path}"),
            format!("SUBSYSTEM={subsystem}"),
            "MAJOR=247".to_owned(),
            "MINOR=3".to_owned(),
            "DEVNAME=hidraw3".to_owned(),
            "SEQNUM=1234".to_owned(),
        ];
        strings.into_iter().flat_map(|string| (string + "\0").into_bytes()).collect()
    }

    #[test]
    fn a_node_is_found_by_its_device() {
        let node = HidrawNode { device: DEVICE.to_owned(), name: "hidraw3".to_owned() };
        assert_eq!(hidraw_node(&message("add", PATH, "hidraw")), Some(node));
    }

    #[test]
    fn other_messages_announce_no_node() {
        for (action, path, subsystem) in
            [("remove", PATH, "hidraw"), ("add", PATH, "hid"), ("add", "/devices/platform/vhci_hcd.0/usb1", "hidraw")]
        {
            assert_eq!(hidraw_node(&message(action, path, subsystem)), None, "{action} {path} {subsystem}");
        }
        for bytes in [&b""[..], b"\0", b"libudev\0\xfe\xed\xca\xfe", b"add@/\0SUBSYSTEM=hidraw"] {
            assert_eq!(hidraw_node(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn nodes_that_were_not_announced_are_found_by_their_links() {
        let class = tempfile::tempdir().unwrap();
        assert_eq!(present_in(&class.path().join("none")).unwrap(), []);
        let uhid = "/devices/virtual/misc/uhid/0003:1209:0001.0001";
        for (name, device) in [("hidraw0", format!("../..{uhid}/hidraw/hidraw0")), ("hidraw3", format!("../..{PATH}"))]
        {
            std::os::unix::fs::symlink(device, class.path().join(name)).unwrap();
        }
        let mut present = present_in(class.path()).unwrap();
        present.sort_by(|one, other| one.name.cmp(&other.name));
        let node = |device: &str, name: &str| HidrawNode { device: device.to_owned(), name: name.to_owned() };
        assert_eq!(present, [node(uhid, "hidraw0"), node(DEVICE, "hidraw3")]);
    }

    #[tokio::test]
    async fn anyone_may_listen() {
        Nodes::listen().unwrap();
    }
}
