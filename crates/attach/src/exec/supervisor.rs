//! The supervisor: a thread that answers the calls of the tree, one after the other, and owns the view.
//!
//! It never waits for anything but calls and orders. Reports do not pass through it.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::{io, thread};

use keyrig_usb::Identity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use tokio::sync::{mpsc as async_mpsc, oneshot};

use super::call::Call;
use super::calls::{Calls, Next};
use super::filter::WINDOW;
use super::given::{Given, Open};
use super::notice::Notice;
use super::paths::Paths;
use super::sys::{Listener, Notification, Reply};
use super::tree::Tree;
use super::uevent::Action;
use super::view::View;

/// A program's way to a key: the end that is not its own, of a socket whose other end has this inode.
pub(super) struct Opened {
    pub(super) inode: u64,
    pub(super) socket: UnixStream,
}

/// What the supervisor is told.
pub(super) enum Order {
    /// There is a key, whose openings go here. The answer is the number by which it is plugged in.
    Add { opens: async_mpsc::UnboundedSender<Opened>, done: oneshot::Sender<usize> },
    /// A key is plugged in. The answer is its node's number.
    Plug { key: usize, busid: String, identity: Identity, done: oneshot::Sender<io::Result<u32>> },
    /// A key is pulled out: its node goes, and what is open of it is over.
    Unplug { node: u32, done: oneshot::Sender<io::Result<()>> },
    /// The sockets of a key that was pulled out are closed: udev tells of it now.
    Gone { done: oneshot::Sender<()> },
    /// A program has closed a socket.
    Closed { inode: u64 },
}

/// Speaks to the supervisor.
#[derive(Clone)]
pub(super) struct Handle {
    orders: mpsc::Sender<Order>,
    wake: Arc<OwnedFd>,
}

impl Handle {
    fn send(&self, order: Order) {
        // A supervisor whose tree has ended needs no orders.
        if self.orders.send(order).is_ok() {
            let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }

    pub(super) async fn add(&self, opens: async_mpsc::UnboundedSender<Opened>) -> io::Result<usize> {
        let (done, answer) = oneshot::channel();
        self.send(Order::Add { opens, done });
        answer.await.map_err(io::Error::other)
    }

    pub(super) async fn plug(&self, key: usize, busid: String, identity: Identity) -> io::Result<u32> {
        let (done, answer) = oneshot::channel();
        self.send(Order::Plug { key, busid, identity, done });
        answer.await.map_err(io::Error::other)?
    }

    pub(super) async fn unplug(&self, node: u32) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Order::Unplug { node, done });
        answer.await.map_err(io::Error::other)?
    }

    pub(super) async fn gone(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Order::Gone { done });
        // A supervisor that has ended has nobody to tell.
        let _ = answer.await;
    }

    pub(super) fn closed(&self, inode: u64) {
        self.send(Order::Closed { inode });
    }
}

/// What becomes of a call.
pub(super) enum Outcome {
    Reply(Reply),
    /// It returns a descriptor of ours.
    Descriptor {
        descriptor: OwnedFd,
        close_on_exec: bool,
        place: Place,
    },
    /// It returns a program's end of a key's node, whose socket has this inode.
    Node {
        inode: u64,
        descriptor: OwnedFd,
        close_on_exec: bool,
    },
    /// It is answered when there is something to answer.
    Later,
}

/// Where a program's descriptor is to be.
pub(super) enum Place {
    /// In the window, from this number on.
    Window(i32),
    /// Where there is room.
    Anywhere,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

pub(super) struct Supervisor {
    pub(super) view: View,
    pub(super) tree: Tree,
    pub(super) given: Given,
    pub(super) paths: Paths,
    pub(super) notices: async_mpsc::UnboundedSender<Notice>,
    /// Announcements so far.
    pub(super) sequence: u64,
    /// Calls that wait for an announcement, and the inodes of the sockets on which they do.
    pub(super) waiting: Vec<(Notification, u64)>,
    /// What has been told of already: once is enough.
    pub(super) told: Vec<Notice>,
    /// Where the openings of each key go.
    opens: Vec<async_mpsc::UnboundedSender<Opened>>,
    /// Keys that were pulled out and are not announced yet.
    gone: Vec<(u32, super::tree::Plugged)>,
}

impl Supervisor {
    pub(super) fn new(view: View, tree: Tree, notices: async_mpsc::UnboundedSender<Notice>) -> io::Result<Self> {
        let paths = Paths::new(view, &tree)?;
        let (given, waiting, told, opens, gone) = (Given::default(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { view, tree, given, paths, notices, sequence: 90_000, waiting, told, opens, gone })
    }

    /// Starts the thread. The tree's listener comes over `socket`; when nobody is left under its filter, or the socket is closed
    /// before it came, the thread ends. It returns the files of the view, to be removed when no mount namespace shows them any more:
    /// a file that is a mount point somewhere takes a millisecond.
    pub(super) fn start(self, socket: OwnedFd) -> io::Result<(Handle, thread::JoinHandle<Tree>)> {
        let (orders, received) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let handle = Handle { orders, wake: Arc::clone(&wake) };
        let thread =
            thread::Builder::new().name("exec".to_owned()).spawn(move || self.run(&socket, &received, &wake))?;
        Ok((handle, thread))
    }

    fn run(mut self, socket: &OwnedFd, orders: &mpsc::Receiver<Order>, wake: &Arc<OwnedFd>) -> Tree {
        let ended = match self.wait_for_listener(socket, orders, wake) {
            Ok(Some(listener)) => self.serve_with_helpers(listener, orders, wake),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the tree's calls are not answered any more");
        }
        self.tree
    }

    fn wait_for_listener(
        &mut self,
        socket: &OwnedFd,
        orders: &mpsc::Receiver<Order>,
        wake: &OwnedFd,
    ) -> io::Result<Option<Listener>> {
        loop {
            let mut polled = [PollFd::new(wake, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
            retry(|| poll(&mut polled, None))?;
            let [_, socket_events] = polled.map(|polled| polled.revents());
            self.take_orders(orders, wake);
            if !socket_events.is_empty() {
                return Ok(receive_descriptor(socket)?.map(Listener::new));
            }
        }
    }

    fn serve_with_helpers(
        &mut self,
        listener: Listener,
        orders: &mpsc::Receiver<Order>,
        wake: &Arc<OwnedFd>,
    ) -> io::Result<()> {
        if let Err(error) = listener.wake_synchronously() {
            tracing::debug!(%error, "calls cost twice as much: this kernel is older than 6.6");
        }
        let (calls, passed_on) = Calls::new(listener, self.view, Arc::clone(&self.paths.listed), Arc::clone(wake));
        thread::scope(|scope| {
            calls.start_helpers(scope);
            let ended = self.serve(&calls, &passed_on, orders, wake);
            calls.end();
            ended
        })
    }

    fn serve(
        &mut self,
        calls: &Calls,
        passed_on: &mpsc::Receiver<Notification>,
        orders: &mpsc::Receiver<Order>,
        wake: &OwnedFd,
    ) -> io::Result<()> {
        let listener = calls.listener();
        loop {
            let mut polled = vec![PollFd::new(listener, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
            let monitors = self.waiting.iter().filter_map(|(_, inode)| self.given.monitors.get(inode));
            polled.extend(monitors.map(|monitor| PollFd::new(&monitor.socket, PollFlags::IN)));
            retry(|| poll(&mut polled, None))?;
            let events: Vec<_> = polled.iter().map(PollFd::revents).collect();
            let (woken, announced) = match events.as_slice() {
                [_, wake, monitors @ ..] => (!wake.is_empty(), monitors.iter().any(|events| !events.is_empty())),
                _ => continue,
            };
            if woken {
                self.take_orders(orders, wake);
                for notification in passed_on.try_iter() {
                    self.answer_call(listener, notification);
                }
            }
            if announced {
                self.resume(listener);
            }
            match calls.next(0)? {
                Next::Call(notification) if calls.concerns_no_key(notification) => {
                    self.carry_out(listener, &Call::new(listener, notification), Reply::Continue.into());
                }
                Next::Call(notification) => self.answer_call(listener, notification),
                Next::Nothing => {}
                Next::Ended => return Ok(()),
            }
        }
    }

    fn take_orders(&mut self, orders: &mpsc::Receiver<Order>, wake: &OwnedFd) {
        // Its count says nothing that the channel does not.
        let _ = rustix::io::read(wake, &mut [0; 8]);
        for order in orders.try_iter() {
            match order {
                Order::Add { opens, done } => {
                    // In the place of one that is no more.
                    let place = self.opens.iter().position(async_mpsc::UnboundedSender::is_closed);
                    match place.and_then(|place| self.opens.get_mut(place)) {
                        Some(closed) => *closed = opens,
                        None => self.opens.push(opens),
                    }
                    let place = place.unwrap_or(self.opens.len().saturating_sub(1));
                    let _ = done.send(place);
                }
                Order::Plug { key, busid, identity, done } => {
                    let plugged = self.tree.plug(key, &busid, identity);
                    if let Ok(node) = &plugged
                        && let Some(plugged) = self.tree.node(*node).cloned()
                    {
                        self.announce(Action::Add, *node, &plugged);
                    }
                    // Whoever asked may have ended with the rack.
                    let _ = done.send(plugged);
                }
                Order::Unplug { node, done } => {
                    let unplugged = self.tree.unplug(node);
                    if let Ok(Some(plugged)) = &unplugged {
                        self.break_off(plugged.plugging);
                        self.given.unplugged(plugged.plugging);
                        self.gone.push((node, plugged.clone()));
                    }
                    let _ = done.send(unplugged.map(drop));
                }
                Order::Gone { done } => {
                    for (node, plugged) in core::mem::take(&mut self.gone) {
                        self.announce(Action::Remove, node, &plugged);
                    }
                    let _ = done.send(());
                }
                Order::Closed { inode } => self.given.closed(inode),
            }
        }
    }

    fn answer_call(&mut self, listener: &Listener, notification: Notification) {
        let call = Call::new(listener, notification);
        // What cannot be read of a program, the kernel is to judge.
        let outcome = self.answer(&call).unwrap_or(ControlFlow::Break(Reply::Continue.into()));
        let outcome = match outcome {
            ControlFlow::Break(outcome) => outcome,
            ControlFlow::Continue(()) => Reply::Continue.into(),
        };
        self.carry_out(listener, &call, outcome);
    }

    fn carry_out(&mut self, listener: &Listener, call: &Call<'_>, outcome: Outcome) {
        let answered = match outcome {
            Outcome::Later => Ok(()),
            Outcome::Reply(reply) => listener.reply(call.id, reply),
            Outcome::Descriptor { descriptor, close_on_exec, place } => {
                give(listener, call, descriptor.as_fd(), close_on_exec, &place).map(drop)
            }
            Outcome::Node { inode, descriptor, close_on_exec } => {
                let process = call.process();
                let place = Place::Window(*WINDOW.start());
                give(listener, call, descriptor.as_fd(), close_on_exec, &place).map(|number| {
                    if let Ok(process) = process {
                        self.given.holds(inode, process, number);
                    }
                })
            }
        };
        let answered = answered.or_else(|error| match error.raw_os_error() {
            // The program was killed, or left the call for a signal.
            Some(libc::ENOENT) => Err(error),
            _ => listener.reply(call.id, Reply::Error(super::call::errno(&error))),
        });
        if let Err(error) = answered {
            tracing::debug!(%error, program = call.program(), "a call ended before its answer");
        }
    }

    /// Has what is open of a plugging end in an error rather than as a file ends: programs that read on at the end of a file
    /// would do so for ever. A socket's end is an error if the other side left something unread.
    fn break_off(&self, plugging: u64) {
        for (inode, open) in self.given.of(plugging) {
            let Some((process, descriptor)) = open.holder else { continue };
            let unread = super::call::descriptor_of(process, descriptor).and_then(|socket| {
                // The number may be another file's by now, and the process another.
                if rustix::fs::fstat(&socket)?.st_ino != inode {
                    return Err(Errno::BADF);
                }
                send(&socket, &[0], SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            });
            if let Err(error) = unread {
                tracing::debug!(%error, process, "a program sees the end of a file where a key was pulled out");
            }
        }
    }

    /// Opens a node, and hands the other end to its key.
    pub(super) fn open_node(&mut self, node: u32, flags: i32) -> Outcome {
        let Some(plugged) = self.tree.node(node) else { return Reply::Error(Errno::NOENT).into() };
        let (ours, theirs) = match socket_pair(flags & libc::O_NONBLOCK != 0) {
            Ok(pair) => pair,
            Err(error) => {
                tracing::warn!(%error, "a program could not open a key");
                return Reply::Error(Errno::NFILE).into();
            }
        };
        let inode = match rustix::fs::fstat(&theirs) {
            Ok(status) => status.st_ino,
            Err(error) => return Reply::Error(error).into(),
        };
        let opened = Opened { inode, socket: ours };
        let Some(Ok(())) = self.opens.get(plugged.key).map(|opens| opens.send(opened)) else {
            return Reply::Error(Errno::NODEV).into();
        };
        self.given.opened(inode, Open { node, plugging: plugged.plugging, holder: None });
        Outcome::Node { inode, descriptor: theirs, close_on_exec: flags & libc::O_CLOEXEC != 0 }
    }

    /// Tells the user something, once.
    pub(super) fn tell(&mut self, notice: Notice) {
        if !self.told.contains(&notice) {
            self.told.push(notice.clone());
            // Nobody may listen any more.
            let _ = self.notices.send(notice);
        }
    }
}

/// Answers a call with a descriptor, and returns its number.
fn give(
    listener: &Listener,
    call: &Call<'_>,
    descriptor: BorrowedFd<'_>,
    close_on_exec: bool,
    place: &Place,
) -> io::Result<i32> {
    let number = match place {
        Place::Window(from) => free_number(call, *from),
        Place::Anywhere => None,
    };
    let given = listener.reply_descriptor(call.id, descriptor, number, close_on_exec);
    match given.as_ref().map_err(super::call::errno) {
        // Its limit of open files is below the window.
        Err(Errno::BADF | Errno::MFILE) if number.is_some() => {
            listener.reply_descriptor(call.id, descriptor, None, close_on_exec)
        }
        _ => given,
    }
}

/// The lowest number in the window that the program has not in use.
fn free_number(call: &Call<'_>, from: i32) -> Option<i32> {
    (from.max(*WINDOW.start())..=*WINDOW.end()).find(|number| call.link(*number) == Err(Errno::NOENT))
}

fn socket_pair(nonblocking: bool) -> io::Result<(UnixStream, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    rustix::io::ioctl_fionbio(&theirs, nonblocking)?;
    Ok((UnixStream::from(ours), theirs))
}

fn receive_descriptor(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [core::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().next())
}

fn retry<T>(call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(call)
}
