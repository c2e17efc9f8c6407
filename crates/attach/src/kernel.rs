//! Keys plugged into this machine's kernel, as they come and go in their rack: by its virtual USB host controller ([`vhci`]),
//! or as HID devices without USB ([`uhid`]).
//!
//! An unplugged key is gone from the kernel, and is attached again when it is plugged in.

use core::future::{pending, ready};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keyrig_rack::{Change, Following, KeyHandle, KeyName, RackKey};
use keyrig_usb::{Detached, Exports, Follower, Limits, Presence, ServeError, serve_imported};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::nodes::{Announcement, HidrawNode, Nodes};
use crate::uhid::{self, Uhid, UhidError};
use crate::vhci::{self, Vhci, VhciError};

/// HIDRAW_MAX_DEVICES (`include/uapi/linux/hidraw.h`): a device beyond them gets no node.
const NODES: usize = 64;

/// The way by which keys are plugged in.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// By its virtual USB host controllers.
    Vhci(Vhci),
    /// As HID devices, without USB.
    Uhid(Uhid),
}

/// Why a key cannot be attached to this kernel.
#[derive(Debug, Error)]
pub enum AttachError {
    /// By its virtual USB host controllers.
    #[error(transparent)]
    Vhci(#[from] VhciError),
    /// As a HID device.
    #[error(transparent)]
    Uhid(#[from] UhidError),
    /// The kernel has no nodes for so many.
    #[error(
        "{keys} keys do not fit: Linux has {NODES} hidraw nodes for all devices of a machine, and {free} are free. Attach fewer; 'keyrig exec' and \
         'keyrig serve' have room for more"
    )]
    TooFewNodes {
        /// How many keys are to be attached.
        keys: usize,
        /// How many nodes are free.
        free: usize,
    },
}

/// Makes sure that the kernel has nodes for so many keys, beside the devices that have one.
fn check_nodes(keys: usize, taken: usize) -> Result<(), AttachError> {
    match NODES.saturating_sub(taken) {
        free if free < keys => Err(AttachError::TooFewNodes { keys, free }),
        _ => Ok(()),
    }
}

impl Kernel {
    /// Where the device is that has this node, if it may be a key's.
    fn place(&self, node: &HidrawNode) -> Option<Place> {
        match self {
            Self::Vhci(vhci) => {
                let port = vhci.port_of(&node.device);
                port.inspect_err(|error| tracing::warn!(%error, "a node's key is not known")).ok()?.map(Place::Port)
            }
            Self::Uhid(_) => {
                // What goes before it is looked at is nobody's.
                let uevent = fs::read_to_string(format!("/sys{}/uevent", node.device)).ok()?;
                let phys = uevent.lines().find_map(|line| line.strip_prefix("HID_PHYS="))?;
                Some(Place::Phys(phys.to_owned()))
            }
        }
    }
}

/// What the kernel has, and we serve.
enum Device {
    /// The stream that it speaks USB/IP on.
    Usb(UnixStream),
    /// A HID device.
    Hid(uhid::Device),
}

impl Device {
    /// Lets it go, and waits until the kernel has.
    async fn release(self) {
        match self {
            Self::Usb(stream) => vhci::release(stream).await,
            Self::Hid(device) => {
                // The kernel takes the device away before the file is closed.
                let released = tokio::task::spawn_blocking(move || drop(device)).await;
                if let Err(error) = released {
                    tracing::error!(%error, "a device could not be let go: a fault of keyrig");
                }
            }
        }
    }
}

/// What happened to an attached key.
#[derive(Debug)]
pub enum Event {
    /// The kernel has the key.
    Attached {
        /// The key.
        key: KeyName,
        /// Its port, as `usbip port` counts them, if it is on one.
        port: Option<u32>,
    },
    /// Programs find the key at this node, once udev has given them the right to.
    Node {
        /// The key.
        key: KeyName,
        /// The node.
        path: PathBuf,
    },
    /// The key was unplugged. It will be attached again when it is plugged in.
    Unplugged {
        /// The key.
        key: KeyName,
    },
    /// The kernel let the key go. It will be attached again when it is unplugged and plugged in.
    DetachedByKernel {
        /// The key.
        key: KeyName,
    },
    /// The key could not be attached again, or its connection failed. The next attempt is when it is unplugged and plugged in.
    Failed {
        /// The key.
        key: KeyName,
        /// Why.
        error: Failure,
    },
}

/// Why a key is not attached.
#[derive(Debug, Error)]
pub enum Failure {
    /// It could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its connection failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Where the kernel has a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// At a port of a virtual host controller.
    Port(u32),
    /// Where the device of this `phys` is.
    Phys(String),
}

/// Keys that are kept attached to this kernel. Dropping it detaches them, but does not wait for the kernel.
pub struct Attachments {
    kernel: Kernel,
    exports: Exports,
    following: Following,
    sender: mpsc::UnboundedSender<(Event, Option<Place>)>,
    events: mpsc::UnboundedReceiver<(Event, Option<Place>)>,
    /// Absent where the kernel's announcements cannot be heard.
    nodes: Option<Nodes>,
    /// Nodes that may not have been announced.
    present: Vec<HidrawNode>,
    /// The key at each place, and its node once that was told.
    keys: BTreeMap<Place, (KeyName, Option<String>)>,
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
    /// Each completes when its key is not attached any more.
    detached: Vec<(KeyHandle, oneshot::Receiver<()>)>,
}

impl Attachments {
    /// Attaches keys, those that are there and those that will come to the rack.
    ///
    /// # Errors
    ///
    /// Why a key was not attached: those before it are detached again.
    pub async fn start(kernel: Kernel, exports: &Exports, following: Following) -> Result<Self, AttachError> {
        let keys = following.keys().len();
        // Where they cannot be counted none is known to be taken.
        check_nodes(keys, Nodes::present().map_or(0, |nodes| nodes.len()))?;
        if let Kernel::Vhci(vhci) = &kernel {
            vhci.check_room(keys)?;
        }
        let nodes = Nodes::listen().inspect_err(|error| tracing::debug!(%error, "device nodes will not be known")).ok();
        let (sender, events) = mpsc::unbounded_channel();
        let mut attachments = Self {
            kernel,
            exports: exports.clone(),
            following,
            sender,
            events,
            nodes,
            present: Vec::new(),
            keys: BTreeMap::new(),
            stop: watch::Sender::new(()),
            tasks: JoinSet::new(),
            detached: Vec::new(),
        };
        for key in attachments.following.keys().to_vec() {
            if let Err(error) = attachments.keep(key).await {
                attachments.close().await;
                return Err(error);
            }
        }
        Ok(attachments)
    }

    /// Attaches a key if it is plugged in, and keeps it so from now on: also if it could not be attached now.
    async fn keep(&mut self, RackKey { name, busid, handle, .. }: RackKey) -> Result<(), AttachError> {
        let mut follower = self.exports.follow(&busid);
        let presence = tokio::select! {
            biased;
            presence = follower.plugged() => Some(presence),
            () = ready(()) => None,
        };
        let (kernel, exports, events) = (self.kernel.clone(), self.exports.clone(), self.sender.clone());
        let key = Key { name, busid, handle: handle.clone(), exports, kernel, events };
        let (attached, tried) = match &presence {
            Some(presence) => match key.attach(presence) {
                Ok(device) => (Some(device), Ok(())),
                Err(error) => (None, Err(error)),
            },
            None => (None, Ok(())),
        };
        let (detached, is_detached) = oneshot::channel();
        self.detached.push((handle, is_detached));
        let stop = self.stop.subscribe();
        self.tasks.spawn(async move {
            key.keep(follower, presence, attached, stop).await;
            // Whoever waited may have gone.
            let _ = detached.send(());
        });
        tried
    }

    /// Waits for what happens next. Cancel-safe, but that a key which leaves the rack is not waited for then.
    pub async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                // A key's place is known before its node is.
                biased;
                Some((event, place)) = self.events.recv() => {
                    if let (Event::Attached { key, .. }, Some(place)) = (&event, place) {
                        self.keys.insert(place, (key.clone(), None));
                    }
                    return event;
                }
                Some(change) = self.following.next() => self.follow(change).await,
                announcement = announcement(&self.nodes, &mut self.present) => match announcement {
                    Ok(Announcement::Node(node)) => if let Some(event) = self.node(node) {
                        return event;
                    },
                    Ok(Announcement::Lost) => match Nodes::present().inspect(|present| {
                        tracing::debug!(nodes = present.len(), "announcements were lost: looked up what there is");
                    }) {
                        Ok(present) => self.present = present,
                        Err(error) => tracing::warn!(%error, "the nodes that came meanwhile are not known"),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "the kernel's announcements cannot be heard any more");
                        self.nodes = None;
                    }
                },
            }
        }
    }

    async fn follow(&mut self, change: Change) {
        match change {
            Change::Came(key) => {
                let name = key.name.clone();
                if let Err(error) = self.keep(key).await {
                    // We listen.
                    let _ = self.sender.send((Event::Failed { key: name, error: error.into() }, None));
                }
            }
            Change::Went(key) => {
                if let Some(place) = self.detached.iter().position(|(handle, _)| handle.is(&key.handle)) {
                    let (_, detached) = self.detached.swap_remove(place);
                    // It is told, or its task has ended.
                    let _ = detached.await;
                }
            }
        }
    }

    fn node(&mut self, node: HidrawNode) -> Option<Event> {
        let (key, told) = self.keys.get_mut(&self.kernel.place(&node)?)?;
        if told.as_ref() == Some(&node.name) {
            return None;
        }
        let path = Path::new("/dev").join(&node.name);
        *told = Some(node.name);
        Some(Event::Node { key: key.clone(), path })
    }

    /// Detaches all keys and waits until the kernel has let them go.
    pub async fn close(mut self) {
        self.stop.send_replace(());
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an attachment's task failed: a fault of keyrig");
            }
        }
    }
}

async fn announcement(nodes: &Option<Nodes>, present: &mut Vec<HidrawNode>) -> io::Result<Announcement> {
    if let Some(node) = present.pop() {
        return Ok(Announcement::Node(node));
    }
    match nodes {
        Some(nodes) => nodes.next().await,
        None => pending().await,
    }
}

/// A key that is kept attached.
struct Key {
    name: KeyName,
    busid: String,
    handle: KeyHandle,
    exports: Exports,
    kernel: Kernel,
    events: mpsc::UnboundedSender<(Event, Option<Place>)>,
}

impl Key {
    fn attach(&self, presence: &Presence) -> Result<Device, AttachError> {
        match &self.kernel {
            Kernel::Vhci(vhci) => {
                let (port, stream) = vhci.attach(&presence.record())?;
                self.tell_of_place(Some(port), Place::Port(port));
                Ok(Device::Usb(stream))
            }
            Kernel::Uhid(uhid) => {
                let (device, phys) = (uhid.device()?, Uhid::phys(&self.busid));
                // The kernel may give it its node at once.
                self.tell_of_place(None, Place::Phys(phys.clone()));
                device.create(presence.identity(), &phys)?;
                Ok(Device::Hid(device))
            }
        }
    }

    fn tell_of_place(&self, port: Option<u32>, place: Place) {
        // Nobody has to listen.
        let _ = self.events.send((Event::Attached { key: self.name.clone(), port }, Some(place)));
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send((event, None));
    }

    /// Serves the key, and attaches it again whenever it was plugged in again, until it is no more or told to stop.
    async fn keep(
        self,
        mut follower: Follower,
        mut presence: Option<Presence>,
        mut attached: Option<Device>,
        mut stop: watch::Receiver<()>,
    ) {
        loop {
            if let Some(mut device) = attached.take() {
                let there = async {
                    if let Some(presence) = &presence {
                        follower.unplugged(presence).await;
                    }
                    // The connection ends by itself.
                    pending::<()>().await;
                };
                let ended = tokio::select! {
                    ended = self.serve(&mut device) => Some(ended),
                    () = there => None,
                    _ = stop.changed() => None,
                };
                device.release().await;
                match ended {
                    Some(ended) => self.tell(ended),
                    None => return,
                }
            }
            let plugged = async {
                if let Some(presence) = &presence {
                    follower.unplugged(presence).await;
                }
                follower.plugged().await
            };
            let plugged = tokio::select! {
                biased;
                // Before another key may have its place.
                () = self.handle.gone() => return,
                presence = plugged => presence,
                _ = stop.changed() => return,
            };
            match self.attach(&plugged) {
                Ok(device) => attached = Some(device),
                Err(error) => self.tell(Event::Failed { key: self.name.clone(), error: error.into() }),
            }
            presence = Some(plugged);
        }
    }

    /// Serves the key until it is attached no more, and says what happened.
    async fn serve(&self, device: &mut Device) -> Event {
        let key = self.name.clone();
        match device {
            Device::Usb(stream) => {
                self.end(serve_imported(stream, &self.exports, &self.busid, Limits::default()).await)
            }
            Device::Hid(device) => {
                // Otherwise it is being pulled out.
                let served = match self.handle.connect().await {
                    Ok(connection) => device.serve(connection).await,
                    Err(_) => Ok(()),
                };
                match served {
                    Ok(()) => Event::Unplugged { key },
                    Err(error) => Event::Failed { key, error: AttachError::from(error).into() },
                }
            }
        }
    }

    fn end(&self, ended: Result<Detached, ServeError>) -> Event {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let key = self.name.clone();
        match ended {
            Ok(Detached::Unplugged | Detached::ByKey)
            | Err(ServeError::Import(keyrig_usb::ImportError::NoDevice { .. })) => Event::Unplugged { key },
            Ok(Detached::ByHost) | Err(ServeError::Connection(BrokenPipe | ConnectionReset)) => {
                Event::DetachedByKernel { key }
            }
            Err(error) => Event::Failed { key, error: error.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_keys_are_attached_than_the_kernel_has_nodes_for() {
        check_nodes(64, 0).unwrap();
        check_nodes(60, 4).unwrap();
        for (keys, taken, left) in [(65, 0, 64), (61, 4, 60), (1, 64, 0), (1, 100, 0)] {
            let refused = check_nodes(keys, taken).unwrap_err();
            assert!(matches!(refused, AttachError::TooFewNodes { free, .. } if free == left), "{refused}");
        }
    }
}
