//! udev's announcements: what a program opens to hear them is a socket to which anyone may send, in the place of one to which
//! only the kernel and root may.
//!
//! It is bound here, without the groups that an ordinary user may not join. A message that names group 2 as its destination and
//! the socket's own port arrives as one of that group, as udev's are. It is received here too, because libudev believes a sender
//! only if that is root.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use core::mem::MaybeUninit;
use core::ops::ControlFlow::{Break, Continue};
use std::io::IoSliceMut;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, SocketFlags, SocketType, bind, getsockname,
    recvmsg, sendto, socket_with,
};

use super::answers::Answer;
use super::call::{Call, socket_inode};
use super::filter::WINDOW;
use super::given::Monitor;
use super::supervisor::{Outcome, Place, Supervisor};
use super::sys::{Listener, Notification, Reply};
use super::tree::Plugged;
use super::uevent::{self, Action};

/// The group that udev sends to, as libudev knows it (`MONITOR_GROUP_UDEV`).
const UDEV_GROUP: u32 = 2;

/// The longest announcement that is received.
const MAX_MESSAGE: usize = 64 * 1024;

impl Supervisor {
    /// A program asks for a socket that hears announcements.
    pub(super) fn monitor(&mut self, call: &Call<'_>) -> Answer {
        let flags = call.int(1);
        let process = call.process()?;
        self.forget_closed_monitors();
        let kind = SocketFlags::CLOEXEC
            | if flags & libc::SOCK_NONBLOCK != 0 { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, kind, Some(netlink::USERSOCK))?;
        let inode = rustix::fs::fstat(&socket)?.st_ino;
        let descriptor = rustix::io::fcntl_dupfd_cloexec(&socket, 0)?;
        self.given.monitors.insert(inode, Monitor { socket, process, bound: false });
        Ok(Break(Outcome::Descriptor {
            descriptor,
            close_on_exec: flags & libc::SOCK_CLOEXEC != 0,
            place: Place::Window(*WINDOW.start()),
        }))
    }

    /// Lets go of sockets that the programs that opened them have closed: a copy of ours would keep them open.
    fn forget_closed_monitors(&mut self) {
        self.given.monitors.retain(|inode, monitor| {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", monitor.process)) else { return false };
            descriptors.flatten().any(|entry| {
                use std::os::unix::ffi::OsStrExt;
                fs::read_link(entry.path()).is_ok_and(|link| socket_inode(link.as_os_str().as_bytes()) == Some(*inode))
            })
        });
    }

    pub(super) fn bind_monitor(&mut self, call: &Call<'_>) -> Answer {
        let Some(inode) = call.socket(call.int(0))? else { return Ok(Continue(())) };
        let Some(monitor) = self.given.monitors.get_mut(&inode) else { return Ok(Continue(())) };
        let bound = bind(&monitor.socket, &SocketAddrNetlink::new(0, 0));
        monitor.bound = bound.is_ok();
        Ok(Break(bound.map_or_else(Reply::Error, |()| Reply::Value(0)).into()))
    }

    pub(super) fn receive(&mut self, call: &Call<'_>) -> Answer {
        let Some(inode) = call.socket(call.int(0))? else { return Ok(Continue(())) };
        let Some(monitor) = self.given.monitors.get(&inode) else { return Ok(Continue(())) };
        let reply = receive_for(call, monitor.socket.as_fd())?;
        let waits = call.int(2) & libc::MSG_DONTWAIT == 0 && !is_nonblocking(monitor.socket.as_fd());
        if reply == Reply::Error(Errno::AGAIN) && waits {
            self.waiting.push((**call, inode));
            return Ok(Break(Outcome::Later));
        }
        Ok(Break(reply.into()))
    }

    /// Goes on with the calls that waited for an announcement.
    pub(super) fn resume(&mut self, listener: &Listener) {
        for (notification, inode) in core::mem::take(&mut self.waiting) {
            if let Some(reply) = self.received(listener, notification, inode) {
                // A program that was killed waits no more.
                let _ = listener.reply(notification.id, reply);
            } else if listener.is_waiting(notification.id) {
                self.waiting.push((notification, inode));
            }
        }
    }

    fn received(&self, listener: &Listener, notification: Notification, inode: u64) -> Option<Reply> {
        let Some(monitor) = self.given.monitors.get(&inode) else { return Some(Reply::Error(Errno::BADF)) };
        let reply =
            receive_for(&Call::new(listener, notification), monitor.socket.as_fd()).unwrap_or_else(Reply::Error);
        (reply != Reply::Error(Errno::AGAIN)).then_some(reply)
    }

    /// Tells every program that listens what happened to a key.
    pub(super) fn announce(&mut self, action: Action, node: u32, plugged: &Plugged) {
        self.sequence += 1;
        let message = uevent::message(action, &self.tree, node, plugged, self.sequence);
        let sender =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::USERSOCK));
        let sender = match sender {
            Ok(sender) => sender,
            Err(error) => return tracing::warn!(%error, "udev's announcements cannot be imitated"),
        };
        for monitor in self.given.monitors.values().filter(|monitor| monitor.bound) {
            let sent = getsockname(&monitor.socket).and_then(SocketAddrNetlink::try_from).and_then(|address| {
                sendto(&sender, &message, SendFlags::DONTWAIT, &SocketAddrNetlink::new(address.pid(), UDEV_GROUP))
            });
            if let Err(error) = sent {
                tracing::debug!(%error, process = monitor.process, "a program missed an announcement");
            }
        }
    }
}

fn is_nonblocking(socket: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

/// `struct msghdr` of a 64-bit kernel: name, its length, vectors, their count, control data, its length, flags.
struct MessageHeader {
    name: u64,
    name_length: u32,
    vectors: u64,
    vector_count: u64,
    control: u64,
    control_length: u64,
}

impl MessageHeader {
    const SIZE: usize = 56;

    fn read(call: &Call<'_>) -> Result<Self, Errno> {
        let bytes: [u8; Self::SIZE] = call.read(call.argument(1))?;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| words.get(index).copied().map(u64::from_ne_bytes).unwrap_or_default();
        let name_length = u32::try_from(word(1) & 0xffff_ffff).unwrap_or_default();
        Ok(Self {
            name: word(0),
            name_length,
            vectors: word(2),
            vector_count: word(3),
            control: word(4),
            control_length: word(5),
        })
    }
}

/// Does a program's `recvmsg`. The error is that of its memory.
fn receive_for(call: &Call<'_>, socket: BorrowedFd<'_>) -> Result<Reply, Errno> {
    let header = MessageHeader::read(call)?;
    if header.vector_count == 0 {
        return Err(Errno::FAULT);
    }
    let [base, length] = {
        let vector: [u8; 16] = call.read(header.vectors)?;
        let (words, _) = vector.as_chunks::<8>();
        [0, 1].map(|index: usize| words.get(index).copied().map(u64::from_ne_bytes).unwrap_or_default())
    };
    let length = usize::try_from(length).unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE);
    let mut message = vec![0; length];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let wanted = RecvFlags::PEEK | RecvFlags::TRUNC;
    let flags = RecvFlags::from_bits_retain(call.unsigned(2)) & wanted | RecvFlags::DONTWAIT;
    let received = match recvmsg(socket, &mut [IoSliceMut::new(&mut message)], &mut ancillary, flags) {
        Ok(received) => received,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let taken = received.bytes.min(length);
    call.write(base, message.get(..taken).unwrap_or_default())?;
    // struct sockaddr_nl: the family, padding, port and groups.
    if header.name != 0 {
        let sender = received.address.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        let mut name = libc::AF_NETLINK.to_ne_bytes().get(..2).unwrap_or_default().to_vec();
        name.extend([0; 2]);
        name.extend(sender.as_ref().map_or(0, SocketAddrNetlink::pid).to_ne_bytes());
        name.extend(sender.as_ref().map_or(UDEV_GROUP, SocketAddrNetlink::groups).to_ne_bytes());
        name.truncate(usize::try_from(header.name_length).unwrap_or_default());
        call.write(header.name, &name)?;
        call.write(call.argument(1).wrapping_add(8), &12_u32.to_ne_bytes())?;
    }
    let credentials = credentials_of_root();
    let room = usize::try_from(header.control_length).unwrap_or_default();
    let (control, truncated) =
        if room >= credentials.len() { (credentials.as_slice(), false) } else { (&[][..], true) };
    call.write(header.control, control)?;
    let control_length = u64::try_from(control.len()).unwrap_or_default();
    call.write(call.argument(1).wrapping_add(40), &control_length.to_ne_bytes())?;
    let mut flags = received.flags & (ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    flags.set(ReturnFlags::CTRUNC, truncated);
    call.write(call.argument(1).wrapping_add(48), &flags.bits().to_ne_bytes())?;
    Ok(Reply::Value(i64::try_from(received.bytes).unwrap_or_default()))
}

/// A control message `SCM_CREDENTIALS` that says root: its length, level and type, then process, user and group.
fn credentials_of_root() -> Vec<u8> {
    let process = std::process::id();
    let mut message = 28_u64.to_ne_bytes().to_vec();
    message.extend(libc::SOL_SOCKET.to_ne_bytes());
    message.extend(libc::SCM_CREDENTIALS.to_ne_bytes());
    for number in [process, 0, 0, 0] {
        message.extend(number.to_ne_bytes());
    }
    message
}
