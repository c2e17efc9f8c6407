//! Keys plugged into this machine's kernel, through the virtual host controller of its module `vhci-hcd`.
//!
//! The kernel takes one end of a socket pair and speaks USB/IP on it; the key is served on the other (`drivers/usb/usbip/
//! vhci_sysfs.c`, `attach_store`). So no TCP port is open, and no other program is needed. The kernel holds its end until the
//! device is gone, and lets the device go when ours is closed: by whoever keeps it attached, or by the end of the process. The
//! `detach` file is never written to: a port's number may be another device's by the time it is written.
//!
//! A port is taken only when the kernel has removed the device that was on it before. For a moment after a disconnect the port is
//! free and the old device still there; an equal device that appears then is taken for the old one (`drivers/usb/core/hub.c`,
//! `hub_port_connect_change`), and is never set up. For the same reason ports are used in turn.
//!
//! A key that the *kernel* let go (`usbip detach`) stays detached until it is unplugged and plugged in, as a real one would after its
//! port was switched off.

mod ports;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keyrig_usb::wire::operations::DeviceRecord;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use self::ports::{Hub, Port, State, UsbPlace};

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
    /// There are more keys than free ports.
    #[error(
        "{keys} keys do not fit: of the {ports} ports that this kernel's virtual USB host controllers have for such, {free} are free. Attach \
         fewer, or free some: usbip port lists what is attached"
    )]
    TooFewPorts {
        /// How many keys are to be attached.
        keys: usize,
        /// How many ports are free.
        free: usize,
        /// How many there are for full-speed devices.
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

    /// Makes sure that so many keys can be attached. That none can is told by the first.
    pub(crate) fn check_room(&self, keys: usize) -> Result<(), VhciError> {
        let ports: Vec<_> = self.ports()?.into_iter().filter(|port| port.hub == Hub::High).collect();
        let free = ports.iter().filter(|port| port.state == State::Free).count();
        if free > 0 && free < keys {
            return Err(VhciError::TooFewPorts { keys, free, ports: ports.len() });
        }
        Ok(())
    }

    /// The port of the USB device that the device with this path belongs to.
    pub(crate) fn port_of(&self, device_path: &str) -> Result<Option<u32>, VhciError> {
        let Some(place) = UsbPlace::of(device_path) else { return Ok(None) };
        Ok(self.ports()?.iter().find(|port| place.is_at(port)).map(|port| port.number))
    }

    /// Gives the kernel a device, and returns its port and the stream that the kernel speaks USB/IP on.
    pub(crate) fn attach(&self, device: &DeviceRecord) -> Result<(u32, UnixStream), VhciError> {
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

/// Closes our end in good order: the kernel sees an end, not a reset, and has let go of its end when this returns.
pub(crate) async fn release(mut stream: UnixStream) {
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
    fn how_many_keys_fit_is_said_before_one_is_attached() {
        let (_platform, vhci) = controllers(&[("status", FREE)], &[]);
        vhci.check_room(3).unwrap();
        let error = vhci.check_room(1000).unwrap_err();
        assert!(matches!(error, VhciError::TooFewPorts { keys: 1000, free: 3, ports: 3 }), "{error}");
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
