//! Keys as HID devices of this kernel, through its module `uhid`: for where there is no virtual host controller.
//!
//! Each key is a device that this process makes by opening `/dev/uhid` and writing UHID_CREATE2, and that goes when the file is closed,
//! however the process ends (`Documentation/hid/uhid.rst`). The kernel gives it a hidraw node as it does to any. There is no USB
//! beneath: no device or interface that programs could ask for its descriptors, and no transfer that could go wrong.
//!
//! The kernel is one program to the key, from the moment the key is plugged in until it loses power. It copies what the key says to all
//! that have the node open.

pub mod event;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keyrig_rack::Connection;
use keyrig_usb::Identity;
use rustix::fs::OFlags;
use rustix::io::Errno;
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use self::event::{EVENT_SIZE, Event};

/// What makes devices.
const NODE: &str = "/dev/uhid";

/// Why a key cannot be a device of this kernel.
#[derive(Debug, Error)]
pub enum UhidError {
    /// The kernel module is not loaded.
    #[error("this kernel lets no program make HID devices ({NODE} is missing). Load its module: sudo modprobe uhid")]
    NoModule,
    /// Only root may make devices.
    #[error("this user may not open {NODE}: making a device takes root, or a rule that gives the node to you")]
    NoRights,
    /// The kernel refused.
    #[error("cannot {action} {NODE}: {source}")]
    Kernel {
        /// What was done.
        action: &'static str,
        /// The answer.
        source: io::Error,
    },
}

/// The HID devices that this process may make.
#[derive(Clone, Debug)]
pub struct Uhid {
    node: PathBuf,
}

impl Uhid {
    /// Makes sure that devices may be made.
    ///
    /// # Errors
    ///
    /// [`UhidError::NoModule`] or [`UhidError::NoRights`], each with what mends it.
    pub fn open() -> Result<Self, UhidError> {
        let uhid = Self { node: Path::new(NODE).to_owned() };
        uhid.file()?;
        Ok(uhid)
    }

    fn file(&self) -> Result<File, UhidError> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = File::options().read(true).write(true).custom_flags(flags).open(&self.node);
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => UhidError::NoModule,
            io::ErrorKind::PermissionDenied => UhidError::NoRights,
            // There is a node, and no module behind it.
            _ if [Errno::NODEV, Errno::NXIO].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) => {
                UhidError::NoModule
            }
            _ => UhidError::Kernel { action: "open", source: error },
        })
    }

    /// A device that is still to be made.
    pub(crate) fn device(&self) -> Result<Device, UhidError> {
        Device::on(self.file()?)
    }

    /// Where the device of the key with this busid says that it is: no other device of this machine says the same.
    pub(crate) fn phys(busid: &str) -> String {
        format!("usb-keyrig.{}-{busid}/input0", std::process::id())
    }
}

/// A device of the kernel's, which goes when this is dropped. The file is no socket: tokio has no type for what can be waited for and is none
/// of its own, and knows of this one only when it is ready to be read.
#[derive(Debug)]
pub(crate) struct Device {
    file: UnixDatagram,
}

impl Device {
    fn on(file: File) -> Result<Self, UhidError> {
        let file = UnixDatagram::from_std(OwnedFd::from(file).into());
        let file = file.map_err(|source| UhidError::Kernel { action: "wait for", source })?;
        Ok(Self { file })
    }

    /// Has the kernel make it.
    pub(crate) fn create(&self, identity: &Identity, phys: &str) -> Result<(), UhidError> {
        let created = self.write(&event::create(identity, phys));
        created.map_err(|source| UhidError::Kernel { action: "make a device by", source })
    }

    /// Carries reports between the kernel and the key, until the key has lost power.
    pub(crate) async fn serve(&self, mut key: Connection) -> Result<(), UhidError> {
        let failed = |action| move |source| UhidError::Kernel { action, source };
        loop {
            tokio::select! {
                event = self.next() => match event.map_err(failed("read"))? {
                    // A key whose rack has ended is unplugged by that.
                    Event::Output(Some(report)) => drop(key.send(report).await),
                    Event::Output(None) => tracing::debug!("what a program wrote is not a report of a key"),
                    Event::GetReport { id, is_input } => {
                        let reply = event::get_report_reply(id, is_input);
                        self.write(&reply).map_err(failed("answer"))?;
                    }
                    Event::SetReport { id, report } => {
                        self.write(&event::set_report_reply(id, report.is_some())).map_err(failed("answer"))?;
                        if let Some(report) = report {
                            let _ = key.send(report).await;
                        }
                    }
                    Event::Other(kind) => tracing::trace!(kind, "the kernel tells of a HID device"),
                },
                report = key.receive() => match report {
                    // The kernel takes none while no driver has the device.
                    Some(report) => if let Err(error) = self.write(&event::input(&report)) {
                        tracing::debug!(%error, "the kernel did not take a report");
                    },
                    None => return Ok(()),
                },
            }
        }
    }

    /// The next event. Cancel-safe.
    async fn next(&self) -> io::Result<Event> {
        let read = || {
            let mut bytes = [0; EVENT_SIZE];
            match rustix::io::read(&self.file, &mut bytes)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                length => Ok(Event::decode(bytes.get(..length).unwrap_or_default())),
            }
        };
        self.file.async_io(Interest::READABLE, read).await
    }

    /// The kernel takes an event whole, or not.
    fn write(&self, event: &[u8]) -> io::Result<()> {
        Ok(rustix::io::write(&self.file, event).map(drop)?)
    }
}

#[cfg(test)]
mod tests;
