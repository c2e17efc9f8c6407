//! Keys plugged into this machine's kernel, through the virtual host controller of its module `vhci-hcd`.
//!
//! The kernel takes one end of a socket pair and speaks USB/IP on it; the key is served on the other (`drivers/usb/usbip/
//! vhci_sysfs.c`, `attach_store`). So no TCP port is open, and no other program is needed. The kernel holds its end until the
//! device is gone, and lets the device go when ours is closed: by [`Attachments::close`], or by the end of the process. The
//! `detach` file is never written to: a port's number may be another device's by the time it is written.
//!
//! A port is taken only when the kernel has removed the device that was on it before. For a moment after a disconnect the port is
//! free and the old device still there; an equal device that appears then is taken for the old one (`drivers/usb/core/hub.c`,
//! `hub_port_connect_change`), and is never set up. For the same reason ports are used in turn.
//!
//! An unplugged key is gone from the kernel, and is attached again, to a port that is free then, when it is plugged in. A key
//! that the *kernel* let go (`usbip detach`) stays detached until it is unplugged and plugged in, as a real one would after its
//! port was switched off.

mod nodes;
mod ports;

use core::future::{pending, ready};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keyrig_rack::{Change, Following, KeyHandle, KeyName, RackKey};
use keyrig_usb::wire::operations::DeviceRecord;
use keyrig_usb::{Detached, Exports, Follower, Limits, Presence, ServeError, serve_imported};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::nodes::{Announcement, HidrawNode, Nodes};
use self::ports::{Hub, Port, State};

/// Where the kernel shows its virtual host controllers: the files of all of them belong to the first.
const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";

/// How long the kernel may take to let a device go.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Why a key cannot be attached to this kernel.
#[derive(Debug, Error)]
pub enum VhciError {
    /// The kernel module is not loaded.
    #[error(
        "this kernel has no virtual USB host controller ({CONTROLLER} is missing). Load its module: sudo modprobe vhci-hcd"
    )]
    NoModule,
    /// Only root may attach devices.
    #[error("this user may not write {}: attaching a device takes root, and in a container a /sys that is not read-only", path.display())]
    NoRights {
        /// The file.
        path: PathBuf,
    },
    /// Every port is taken.
    #[error(
        "all {ports} ports of the virtual USB host controller are taken. See what is attached: usbip port; free one: sudo usbip detach -p PORT"
    )]
    NoFreePort {
        /// How many ports there are for full-speed devices.
        ports: usize,
    },
    /// The kernel says something else than the kernels that are known.
    #[error("{} has an unknown line: {line:?}. Linux 4.13 or later is needed", path.display())]
    UnknownStatus {
        /// The file.
        path: PathBuf,
        /// The line.
        line: String,
    },
    /// The kernel refused, or its files could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Kernel {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// The virtual host controllers of this kernel.
#[derive(Clone, Debug)]
pub struct Vhci {
    directory: PathBuf,
    /// Ports from this one on are tried first.
    next_port: Arc<AtomicU32>,
}

impl Vhci {
    /// Finds the controllers and makes sure that devices may be attached to them.
    ///
    /// # Errors
    ///
    /// [`VhciError::NoModule`] or [`VhciError::NoRights`], each with the command that mends it.
    pub fn open() -> Result<Self, VhciError> {
        Self::open_in(Path::new(CONTROLLER))
    }

    fn open_in(directory: &Path) -> Result<Self, VhciError> {
        let vhci = Self { directory: directory.to_owned(), next_port: Arc::default() };
        vhci.attach_file()?;
        Ok(vhci)
    }

    fn attach_file(&self) -> Result<File, VhciError> {
        let path = self.directory.join("attach");
        File::options().write(true).open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => VhciError::NoModule,
            // A container's /sys is read-only.
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => VhciError::NoRights { path },
            _ => VhciError::Kernel { action: "open", path, source: error },
        })
    }

    /// Gives the kernel a device, and returns its port and the stream that the kernel speaks USB/IP on.
    fn attach(&self, device: &DeviceRecord) -> Result<(u32, UnixStream), VhciError> {
        let path = self.directory.join("attach");
        let failed = |action| {
            let path = path.clone();
            move |source| VhciError::Kernel { action, path, source }
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed("make a socket pair for"))?;
        ours.set_nonblocking(true).map_err(failed("make a socket pair for"))?;
        let ours = UnixStream::from_std(ours).map_err(failed("make a socket pair for"))?;
        loop {
            let port = self.free_port()?;
            let request = format!("{port} {} {} {}\n", theirs.as_raw_fd(), device.device_id(), device.speed);
            match self.attach_file()?.write_all(request.as_bytes()) {
                Ok(()) => return Ok((port, ours)),
                // Another program was faster: the port is not free any more.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                Err(error) => return Err(failed("attach a device by")(error)),
            }
        }
    }

    fn free_port(&self) -> Result<u32, VhciError> {
        let mut ports: Vec<_> = self.ports()?.into_iter().filter(|port| port.hub == Hub::High).collect();
        let next = self.next_port.load(Ordering::Relaxed);
        ports.sort_by_key(|port| (port.number < next, port.number));
        for port in &ports {
            if port.state == State::Free && !self.has_device(port)? {
                self.next_port.store(port.number + 1, Ordering::Relaxed);
                return Ok(port.number);
            }
        }
        Err(VhciError::NoFreePort { ports: ports.len() })
    }

    /// Whether there is a device on a port of a high-speed hub, be it one that is about to be removed.
    fn has_device(&self, port: &Port) -> Result<bool, VhciError> {
        let controller = self.directory.with_file_name(format!("vhci_hcd.{}", port.controller));
        let failed = |source| VhciError::Kernel { action: "read", path: controller.clone(), source };
        for entry in fs::read_dir(&controller).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(bus) = name.to_str().and_then(|name| name.strip_prefix("usb")) else { continue };
            let root_hub = controller.join(&name);
            // 480 Mbit/s: the other one is the SuperSpeed hub.
            let is_high_speed = fs::read_to_string(root_hub.join("speed")).is_ok_and(|speed| speed.trim_end() == "480");
            if is_high_speed && root_hub.join(format!("{bus}-{}", port.hub_port)).exists() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The ports of all controllers: `status` is the first one's, `status.1` the second's.
    fn ports(&self) -> Result<Vec<Port>, VhciError> {
        let mut ports = Vec::new();
        for controller in 0_u32.. {
            let name = if controller == 0 { "status".to_owned() } else { format!("status.{controller}") };
            let path = self.directory.join(name);
            let status = match fs::read_to_string(&path) {
                Ok(status) => status,
                Err(error) if error.kind() == io::ErrorKind::NotFound && controller > 0 => break,
                Err(source) => return Err(VhciError::Kernel { action: "read", path, source }),
            };
            let parsed = ports::parse(controller, &status);
            ports.extend(parsed.map_err(|line| VhciError::UnknownStatus { path, line: line.to_owned() })?);
        }
        Ok(ports)
    }
}

/// What happened to an attached key.
#[derive(Debug)]
pub enum Event {
    /// The kernel has the key.
    Attached {
        /// The key.
        key: KeyName,
        /// Its port, as `usbip port` counts them.
        port: u32,
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
    Attach(#[from] VhciError),
    /// Its connection failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Keys that are kept attached to this kernel. Dropping it detaches them, but does not wait for the kernel.
pub struct Attachments {
    vhci: Vhci,
    exports: Exports,
    following: Following,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Absent where the kernel's announcements cannot be heard.
    nodes: Option<Nodes>,
    /// Nodes that may not have been announced.
    present: Vec<HidrawNode>,
    /// The key at each port, and its node once that was told.
    keys: BTreeMap<u32, (KeyName, Option<String>)>,
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
    pub async fn start(vhci: Vhci, exports: &Exports, following: Following) -> Result<Self, VhciError> {
        let nodes = Nodes::listen().inspect_err(|error| tracing::debug!(%error, "device nodes will not be known")).ok();
        let (sender, events) = mpsc::unbounded_channel();
        let mut attachments = Self {
            vhci,
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
    async fn keep(&mut self, RackKey { name, busid, handle, .. }: RackKey) -> Result<(), VhciError> {
        let mut follower = self.exports.follow(&busid);
        let presence = tokio::select! {
            biased;
            presence = follower.plugged() => Some(presence),
            () = ready(()) => None,
        };
        let (vhci, exports, events) = (self.vhci.clone(), self.exports.clone(), self.sender.clone());
        let key = Key { name, busid, handle: handle.clone(), exports, vhci, events };
        let (attached, tried) = match &presence {
            Some(presence) => match key.attach(presence) {
                Ok(stream) => (Some(stream), Ok(())),
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
                // A key's port is known before its node is.
                biased;
                Some(event) = self.events.recv() => {
                    if let Event::Attached { key, port } = &event {
                        self.keys.insert(*port, (key.clone(), None));
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
                    let _ = self.sender.send(Event::Failed { key: name, error: error.into() });
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
        let ports = self.vhci.ports().inspect_err(|error| tracing::warn!(%error, "a node's key is not known")).ok()?;
        let port = ports.iter().find(|port| node.is_at(port))?;
        let (key, told) = self.keys.get_mut(&port.number)?;
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
    vhci: Vhci,
    events: mpsc::UnboundedSender<Event>,
}

impl Key {
    fn attach(&self, presence: &Presence) -> Result<UnixStream, VhciError> {
        let (port, stream) = self.vhci.attach(&presence.record())?;
        self.tell(Event::Attached { key: self.name.clone(), port });
        Ok(stream)
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// Serves the key, and attaches it again whenever it was plugged in again, until it is no more or told to stop.
    async fn keep(
        self,
        mut follower: Follower,
        mut presence: Option<Presence>,
        mut attached: Option<UnixStream>,
        mut stop: watch::Receiver<()>,
    ) {
        loop {
            if let Some(mut stream) = attached.take() {
                let there = async {
                    if let Some(presence) = &presence {
                        follower.unplugged(presence).await;
                    }
                    // The connection ends by itself.
                    pending::<()>().await;
                };
                let ended = tokio::select! {
                    ended = serve_imported(&mut stream, &self.exports, &self.busid, Limits::default()) => Some(ended),
                    () = there => None,
                    _ = stop.changed() => None,
                };
                release(stream).await;
                match ended {
                    Some(ended) => self.tell(self.end(ended)),
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
                Ok(stream) => attached = Some(stream),
                Err(error) => self.tell(Event::Failed { key: self.name.clone(), error: error.into() }),
            }
            presence = Some(plugged);
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

/// Closes our end in good order: the kernel sees an end, not a reset, and has let go of its end when this returns.
async fn release(mut stream: UnixStream) {
    let released = async {
        stream.shutdown().await?;
        let mut requests = [0; 1024];
        while stream.read(&mut requests).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    match timeout(RELEASE_LIMIT, released).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the kernel had closed its end"),
        Err(_) => tracing::warn!("the kernel has not let go of a device within {RELEASE_LIMIT:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "hub port sta spd dev      sockfd local_busid\n";

    /// What the kernel shows, as far as it is read: two controllers, of which the first has these files, and these devices on
    /// high-speed and SuperSpeed hubs.
    fn controllers(files: &[(&str, &str)], devices: &[&str]) -> (tempfile::TempDir, Vhci) {
        let platform = tempfile::tempdir().unwrap();
        for (hub, speed) in [("0/usb1", "480\n"), ("0/usb2", "5000\n"), ("1/usb3", "480\n"), ("1/usb4", "5000\n")] {
            let hub = platform.path().join(format!("vhci_hcd.{hub}"));
            fs::create_dir_all(&hub).unwrap();
            fs::write(hub.join("speed"), speed).unwrap();
        }
        let first = platform.path().join("vhci_hcd.0");
        fs::write(first.join("attach"), "").unwrap();
        for (name, content) in files {
            fs::write(first.join(name), format!("{HEADING}{content}")).unwrap();
        }
        for device in devices {
            fs::create_dir(platform.path().join(device)).unwrap();
        }
        let vhci = Vhci::open_in(&first).unwrap();
        (platform, vhci)
    }

    #[test]
    fn without_the_module_the_command_that_loads_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Vhci::open_in(&directory.path().join("vhci_hcd.0")).unwrap_err();
        assert!(matches!(error, VhciError::NoModule), "{error}");
        assert!(error.to_string().ends_with("sudo modprobe vhci-hcd"), "{error}");
    }

    const FIRST: &str = "\
hs  0000 006 002 00010002 000003 1-1
hs  0001 007 000 00000000 000000 0-0
ss  0002 004 000 00000000 000000 0-0
ss  0003 004 000 00000000 000000 0-0
";
    const SECOND: &str = "\
hs  0004 005 002 00010003 000004 0-0
hs  0005 004 000 00000000 000000 0-0
ss  0006 004 000 00000000 000000 0-0
ss  0007 004 000 00000000 000000 0-0
";
    const FREE: &str = "\
hs  0000 004 000 00000000 000000 0-0
hs  0001 004 000 00000000 000000 0-0
hs  0002 004 000 00000000 000000 0-0
";

    #[test]
    fn a_free_port_of_any_high_speed_hub_is_taken() {
        let (_platform, vhci) = controllers(&[("status", FIRST), ("status.1", SECOND)], &[]);
        assert_eq!(vhci.free_port().unwrap(), 5);
        let (_platform, vhci) = controllers(&[("status", FIRST)], &[]);
        let error = vhci.free_port().unwrap_err();
        assert!(matches!(error, VhciError::NoFreePort { ports: 2 }), "{error}");
    }

    #[test]
    fn a_port_whose_last_device_is_still_there_is_not_free() {
        let devices = ["vhci_hcd.0/usb1/1-1", "vhci_hcd.0/usb2/2-2", "vhci_hcd.1/usb3/3-2"];
        let (platform, vhci) = controllers(&[("status", FREE)], &devices);
        assert_eq!(vhci.free_port().unwrap(), 1);
        fs::remove_dir(platform.path().join("vhci_hcd.0/usb1/1-1")).unwrap();
        assert_eq!(Vhci::open_in(&vhci.directory).unwrap().free_port().unwrap(), 0);
    }

    #[test]
    fn ports_are_used_in_turn() {
        let (_platform, vhci) = controllers(&[("status", FREE)], &[]);
        let ports: Vec<_> = (0..4).map(|_| vhci.free_port().unwrap()).collect();
        assert_eq!(ports, [0, 1, 2, 0]);
    }

    #[test]
    fn a_status_of_another_kernel_is_named_with_its_file_and_line() {
        let (_platform, vhci) = controllers(&[("status", "hs  0000 042\n")], &[]);
        let error = vhci.free_port().unwrap_err();
        let VhciError::UnknownStatus { path, line } = &error else { panic!("{error}") };
        assert_eq!((path.file_name().unwrap(), line.as_str()), ("status".as_ref(), "hs  0000 042"));
    }
}
