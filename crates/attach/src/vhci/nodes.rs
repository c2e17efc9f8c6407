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

use super::ports::{Hub, Port, State};

/// The group that the kernel sends to itself. Group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// More than the kernel ever sends (`UEVENT_BUFFER_SIZE` and the heading).
const MESSAGE_SIZE: usize = 4096;

/// Where the kernel lists all hidraw nodes, as links to their devices.
const CLASS: &str = "/sys/class/hidraw";

/// What is heard from the kernel.
#[derive(Debug)]
pub(super) enum Announcement {
    /// There is a new node.
    Node(HidrawNode),
    /// More came at once than there is room for, and some were lost.
    Lost,
}

/// A hidraw node that a USB device was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HidrawNode {
    /// Which virtual host controller the USB device is on, from 0.
    pub(super) controller: u32,
    /// What the kernel calls the USB device.
    pub(super) local_busid: String,
    /// The name of the node in `/dev`.
    pub(super) name: String,
}

impl HidrawNode {
    /// Whether its device is attached to this port.
    pub(super) fn is_at(&self, port: &Port) -> bool {
        let hub_port = || self.local_busid.rsplit_once('-').and_then(|(_, hub_port)| hub_port.parse().ok());
        match port.state {
            State::Used => port.local_busid == self.local_busid,
            // A device that comes while the one before it is given its address has that address: vhci_hcd.c sees no request for one,
            // and its port never says that it is used, nor by what.
            State::NotAssigned => {
                port.hub == Hub::High && port.controller == self.controller && Some(port.hub_port) == hub_port()
            }
            State::Free | State::Failed => false,
        }
    }
}

/// Listens for new nodes. The socket is of another family than its type says: tokio has no type for netlink sockets, and knows
/// of this one only when it is ready to be read.
pub(super) struct Nodes(UnixDatagram);

impl Nodes {
    pub(super) fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(UnixDatagram::from_std(socket.into())?))
    }

    /// The nodes of all devices on virtual host controllers.
    pub(super) fn present() -> io::Result<Vec<HidrawNode>> {
        present_in(Path::new(CLASS))
    }

    /// Waits for the next announcement that matters. Cancel-safe.
    pub(super) async fn next(&self) -> io::Result<Announcement> {
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
        if let (Some(name), Some((controller, local_busid))) = (name, device.to_str().and_then(place)) {
            nodes.push(HidrawNode { controller, local_busid: local_busid.to_owned(), name });
        }
    }
    Ok(nodes)
}

/// The hidraw node of a USB device that a message announces.
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
    let (controller, local_busid) = place(path)?;
    is_hidraw.then_some(HidrawNode { controller, local_busid: local_busid.to_owned(), name: name? })
}

/// The virtual host controller that a device is on, and what the kernel calls the USB device that it belongs to there.
fn place(device_path: &str) -> Option<(u32, &str)> {
    let mut folders = device_path.split('/');
    // A virtual host controller, its root hub, the device.
    let controller = folders.find_map(|folder| folder.strip_prefix("vhci_hcd."))?.parse().ok()?;
    folders.next().filter(|folder| folder.starts_with("usb"))?;
    Some((controller, folders.next()?))
}

#[cfg(test)]
mod tests {
    use super::super::ports::parse;
    use super::*;

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
    fn a_node_is_found_by_its_usb_device() {
        let node = HidrawNode { controller: 0, local_busid: "1-2".to_owned(), name: "hidraw3".to_owned() };
        assert_eq!(hidraw_node(&message("add", PATH, "hidraw")), Some(node));
    }

    #[test]
    fn other_messages_announce_no_node() {
        for (action, path, subsystem) in [
            ("remove", PATH, "hidraw"),
            ("add", PATH, "hid"),
            ("add", "/devices/virtual/misc/uhid/0003:1209:0001.0001/hidraw/hidraw0", "hidraw"),
            ("add", "/devices/pci0000:00/usb1/1-2/1-2:1.0/0003:1209:0001.0002/hidraw/hidraw3", "hidraw"),
            ("add", "/devices/platform/vhci_hcd.0/usb1", "hidraw"),
        ] {
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
        for (name, device) in [
            ("hidraw0", "../../devices/virtual/misc/uhid/0003:1209:0001.0001/hidraw/hidraw0"),
            ("hidraw1", "../../devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/0003:1209:0001.0002/hidraw/hidraw1"),
            ("hidraw3", &format!("../..{PATH}")),
        ] {
            std::os::unix::fs::symlink(device, class.path().join(name)).unwrap();
        }
        let node = HidrawNode { controller: 0, local_busid: "1-2".to_owned(), name: "hidraw3".to_owned() };
        assert_eq!(present_in(class.path()).unwrap(), [node]);
    }

    /// A port without an address as Linux 6.1 printed it while its device had a node: it had come while another was given an address.
    #[test]
    fn a_node_is_at_the_port_of_its_device_also_if_the_kernel_has_not_seen_it_get_an_address() {
        let node = hidraw_node(&message("add", PATH, "hidraw")).unwrap();
        let status = "hub port sta spd dev      sockfd local_busid\n\
            hs  0000 005 002 00010002 000019 0-0\n\
            hs  0001 005 002 00010003 000020 0-0\n\
            hs  0002 004 000 00000000 000000 0-0\n\
            ss  0003 004 000 00000000 000000 0-0\n\
            ss  0004 005 000 00000000 000021 0-0\n";
        let is_at = |node: &HidrawNode, controller: u32| -> Vec<u32> {
            let ports = parse(controller, status).unwrap();
            ports.iter().filter(|port| node.is_at(port)).map(|port| port.number).collect()
        };
        assert_eq!(is_at(&node, 0), [1]);
        assert!(is_at(&node, 1).is_empty(), "of another controller");
        let other = HidrawNode { local_busid: "1-3".to_owned(), ..node };
        assert!(is_at(&other, 0).is_empty(), "nothing is attached there");
    }

    #[tokio::test]
    async fn anyone_may_listen() {
        Nodes::listen().unwrap();
    }
}
