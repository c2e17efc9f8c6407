//! The set of plugged devices, and the two ends of each: the key's task and a host's connection.
//!
//! A device has one importer at a time. Who imports holds a lease; dropping it, however the
//! connection ends, closes the key's channels and makes the device free at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};

use crate::wire::operations::{Busid, DeviceRecord, ListedDevice};
use crate::{ControlEar, Host, Identity, IdentityError, Report, descriptors, wire};

/// Reports that the key has handed over and no host has taken yet: one, so that what the host gets
/// is as fresh as what a device would have in its endpoint's buffer.
const TO_HOST: usize = 1;
/// Reports that hosts have sent and the key has not taken yet. More than one saves a task switch
/// per packet of a long message.
const FROM_HOST: usize = 4;

/// The devices that hosts can import, by busid. Clones share one set.
#[derive(Clone, Default)]
pub struct Exports {
    devices: Arc<Mutex<BTreeMap<Location, Arc<Device>>>>,
    /// Counts what is plugged in and unplugged, and tells of it.
    changes: Arc<watch::Sender<u64>>,
    followers: Arc<Mutex<Vec<Followed>>>,
}

/// A follower: of which place, and up to which change it has seen to it.
#[derive(Clone)]
struct Followed {
    location: Option<Location>,
    seen: watch::Receiver<u64>,
}

impl Exports {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plugs a device in: from now on hosts see it and may import it.
    ///
    /// `busid` is `BUS-PORT`, two decimal numbers from 1 to 65534, such as `1-1`. The bus number is
    /// BUS and the device number PORT + 1, since device 1 of a bus is its root hub.
    ///
    /// # Errors
    ///
    /// The caller's mistake in the busid or the identity, or a busid that is plugged already.
    pub fn plug(&self, busid: &str, identity: Identity) -> Result<Plugged, PlugError> {
        self.plug_with(busid, identity, Standing::default())
    }

    /// The same, with what stands between the device and its hosts.
    ///
    /// # Errors
    ///
    /// As [`plug`](Self::plug).
    pub fn plug_with(&self, busid: &str, identity: Identity, standing: Standing) -> Result<Plugged, PlugError> {
        identity.check()?;
        let wrong = || PlugError::Busid { busid: busid.to_owned() };
        let location = Location::parse(busid).ok_or_else(wrong)?;
        let busid = Busid::new(busid).ok_or_else(wrong)?;
        let (present, unplugged) = watch::channel(());
        let device = Arc::new(Device {
            location,
            busid,
            identity,
            standing,
            imported: AtomicBool::new(false),
            arrival: Mutex::new(None),
            arrived: Notify::new(),
            unplugged,
        });
        let mut devices = lock(&self.devices);
        if devices.contains_key(&location) {
            return Err(PlugError::Taken { busid: device.busid.as_str().to_owned() });
        }
        devices.insert(location, Arc::clone(&device));
        drop(devices);
        self.changed();
        Ok(Plugged { exports: self.clone(), device, _present: present })
    }

    /// The devices as a host that asks for the list gets them, ordered by bus and port.
    #[must_use]
    pub fn list(&self) -> Vec<ListedDevice> {
        lock(&self.devices)
            .values()
            .map(|device| ListedDevice { device: device.record(), interfaces: vec![[descriptors::HID_CLASS, 0, 0]] })
            .collect()
    }

    /// Follows what is plugged in and unplugged at a busid, for who attaches devices to a host by itself. There is never anything if `busid`
    /// is not of the form that [`plug`](Self::plug) takes.
    #[must_use]
    pub fn follow(&self, busid: &str) -> Follower {
        let location = Location::parse(busid);
        // Nothing is seen to yet.
        let (seen, followed) = watch::channel(0);
        lock(&self.followers).push(Followed { location, seen: followed });
        Follower { exports: self.clone(), location, changes: self.changes.subscribe(), seen }
    }

    /// Waits until all who follow this busid have seen to what is plugged in there now, or is not. Cancel-safe.
    pub async fn settled(&self, busid: &str) {
        let location = Location::parse(busid);
        let now = *self.changes.borrow();
        let followers: Vec<_> = {
            let mut followers = lock(&self.followers);
            // Those that have gone see to nothing any more.
            followers.retain(|follower| follower.seen.has_changed().is_ok());
            followers.iter().filter(|follower| follower.location == location).cloned().collect()
        };
        for Followed { mut seen, .. } in followers {
            // One that goes meanwhile is not waited for.
            let _ = seen.wait_for(|seen| *seen >= now).await;
        }
    }

    fn device(&self, location: Option<Location>) -> Option<Arc<Device>> {
        lock(&self.devices).get(&location?).cloned()
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub(crate) fn import(&self, busid: &str) -> Result<Import, ImportError> {
        let no_device = || ImportError::NoDevice { busid: busid.to_owned() };
        let location = Location::parse(busid).ok_or_else(no_device)?;
        let devices = lock(&self.devices);
        let device = Arc::clone(devices.get(&location).ok_or_else(no_device)?);
        if device.imported.swap(true, Ordering::AcqRel) {
            return Err(ImportError::Busy { busid: busid.to_owned() });
        }
        let lease = Lease(Arc::clone(&device));
        let (to_host, from_key) = mpsc::channel(TO_HOST);
        let (to_key, from_host) = mpsc::channel(FROM_HOST);
        *lock(&device.arrival) = Some(Attachment { to_host, from_host });
        device.arrived.notify_one();
        Ok(Import { from_key, to_key, unplugged: device.unplugged.clone(), lease })
    }
}

/// What stands between a device and its hosts.
#[derive(Clone, Default)]
pub struct Standing {
    /// Hears every control request of every host.
    pub ear: Option<ControlEar>,
    /// Decides how transfers end.
    pub host: Option<Host>,
}

/// A device that is plugged in, owned by the key's task. Dropping it unplugs the device: its
/// host's connection is closed, and its busid is free.
pub struct Plugged {
    exports: Exports,
    device: Arc<Device>,
    _present: watch::Sender<()>,
}

impl Plugged {
    /// Waits for the next host that imports the device. Cancel-safe.
    pub async fn attached(&mut self) -> Attachment {
        loop {
            let arrival = lock(&self.device.arrival).take();
            if let Some(attachment) = arrival
                && !attachment.to_host.is_closed()
            {
                return attachment;
            }
            self.device.arrived.notified().await;
        }
    }

    /// The device as hosts see it. Its device id and speed are what the kernel wants to know when
    /// a stream is attached to vhci.
    #[must_use]
    pub fn record(&self) -> DeviceRecord {
        self.device.record()
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        lock(&self.exports.devices).remove(&self.device.location);
        self.exports.changed();
    }
}

/// Follows one busid of an [`Exports`]. What it waits for says what its owner has seen to: while it waits for a device there is none at the
/// host, and while it waits for the device's end it is there.
pub struct Follower {
    exports: Exports,
    location: Option<Location>,
    changes: watch::Receiver<u64>,
    seen: watch::Sender<u64>,
}

impl Follower {
    /// Waits until a device is plugged in. Cancel-safe.
    pub async fn plugged(&mut self) -> Presence {
        loop {
            // What changes from here on is told.
            let now = *self.changes.borrow_and_update();
            if let Some(device) = self.exports.device(self.location) {
                return Presence { device };
            }
            self.wait(now).await;
        }
    }

    /// Waits until a device is unplugged. Cancel-safe.
    pub async fn unplugged(&mut self, presence: &Presence) {
        loop {
            let now = *self.changes.borrow_and_update();
            if !self.exports.device(self.location).is_some_and(|device| Arc::ptr_eq(&device, &presence.device)) {
                return;
            }
            self.wait(now).await;
        }
    }

    async fn wait(&mut self, seen: u64) {
        self.seen.send_replace(seen);
        // The sender lives as long as this does.
        let _ = self.changes.changed().await;
    }
}

/// A device from the moment it was plugged in until it is unplugged: another one with the same busid is another presence.
pub struct Presence {
    device: Arc<Device>,
}

impl Presence {
    /// The device as hosts see it.
    #[must_use]
    pub fn record(&self) -> DeviceRecord {
        self.device.record()
    }

    /// What the device says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.device.identity
    }
}

/// A key's end of an import. Both channels close when the host lets go; a report that the host had
/// not taken by then is lost, as on a bus. Dropping it disconnects the host.
#[derive(Debug)]
pub struct Attachment {
    /// Reports to the host. There is room for one, and it waits until the host asks: take a permit
    /// with [`mpsc::Sender::reserve`] first and make the report then.
    pub to_host: mpsc::Sender<Report>,
    /// Reports from the host, in order.
    pub from_host: mpsc::Receiver<Report>,
}

/// A host's end of an import. The fields drop in this order: the key sees the host leave before
/// the device is free for another.
pub(crate) struct Import {
    pub(crate) from_key: mpsc::Receiver<Report>,
    pub(crate) to_key: mpsc::Sender<Report>,
    pub(crate) unplugged: watch::Receiver<()>,
    pub(crate) lease: Lease,
}

/// The right to be a device's only importer.
pub(crate) struct Lease(Arc<Device>);

impl Lease {
    pub(crate) fn record(&self) -> DeviceRecord {
        self.0.record()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn standing(&self) -> Standing {
        self.0.standing.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.imported.store(false, Ordering::Release);
    }
}

struct Device {
    location: Location,
    busid: Busid,
    identity: Identity,
    standing: Standing,
    imported: AtomicBool,
    arrival: Mutex<Option<Attachment>>,
    arrived: Notify,
    /// Closes when [`Plugged`] is dropped.
    unplugged: watch::Receiver<()>,
}

impl Device {
    fn record(&self) -> DeviceRecord {
        let Location { bus, port } = self.location;
        let busid = self.busid.as_str();
        DeviceRecord {
            path: format!("/sys/devices/platform/keyrig/usb{bus}/{busid}"),
            busid: self.busid.clone(),
            bus_number: u32::from(bus),
            device_number: u32::from(port) + 1,
            speed: wire::SPEED_FULL,
            vendor_id: self.identity.vendor_id,
            product_id: self.identity.product_id,
            bcd_device: self.identity.bcd_device,
            class: [0; 3],
            configuration_value: descriptors::CONFIGURATION_VALUE,
            configurations: 1,
            interfaces: 1,
        }
    }
}

/// A busid of a port at a root hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Location {
    bus: u16,
    port: u16,
}

impl Location {
    fn parse(busid: &str) -> Option<Self> {
        let number = |text: &str| -> Option<u16> {
            let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok()?;
            (plain && number < u16::MAX).then_some(number)
        };
        let (bus, port) = busid.split_once('-')?;
        Some(Self { bus: number(bus)?, port: number(port)? })
    }
}

/// Why a device was not plugged: the caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlugError {
    /// The busid is not of the form `BUS-PORT`.
    #[error("busid {busid:?} is not BUS-PORT, two numbers from 1 to 65534, such as 1-1")]
    Busid {
        /// The busid.
        busid: String,
    },
    /// A device with this busid is plugged in.
    #[error("busid {busid} is taken by a device that is plugged in: unplug it or choose another")]
    Taken {
        /// The busid.
        busid: String,
    },
    /// The identity cannot be put into descriptors.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why a device was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// No device with this busid is plugged in.
    #[error("no device with busid {busid:?} is plugged in")]
    NoDevice {
        /// The busid.
        busid: String,
    },
    /// Another host has it.
    #[error("the device with busid {busid} is imported by another host")]
    Busy {
        /// The busid.
        busid: String,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_busid_gets_the_device_that_is_plugged_in_there() {
        let exports = Exports::new();
        let mut follower = exports.follow("1-2");
        let mut waiting = pin!(follower.plugged());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let _other = exports.plug("1-1", Identity::default()).unwrap();
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let plugged = exports.plug("1-2", Identity::default()).unwrap();
        assert_eq!(waiting.await.record(), plugged.record());
        assert_eq!(exports.follow("1-2").plugged().await.record(), plugged.record());
    }

    #[tokio::test]
    async fn a_presence_ends_with_its_device_even_if_another_took_the_busid_at_once() {
        let exports = Exports::new();
        let first = exports.plug("1-1", Identity::default()).unwrap();
        let mut follower = exports.follow("1-1");
        let presence = follower.plugged().await;
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(follower.unplugged(&presence)).poll(&mut context).is_pending());
        drop(first);
        let _second = exports.plug("1-1", Identity::default()).unwrap();
        assert_eq!(pin!(follower.unplugged(&presence)).poll(&mut context), Poll::Ready(()));
        let presence = follower.plugged().await;
        assert!(pin!(follower.unplugged(&presence)).poll(&mut context).is_pending());
    }

    #[tokio::test]
    async fn a_place_has_settled_when_who_follows_it_has_seen_to_what_is_there() {
        let exports = Exports::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut has_settled = || pin!(exports.settled("1-1")).poll(&mut context).is_ready();
        let mut context = Context::from_waker(Waker::noop());
        assert!(has_settled(), "nobody follows");
        let (mut follower, _of_another) = (exports.follow("1-1"), exports.follow("1-2"));
        assert!(pin!(follower.plugged()).poll(&mut context).is_pending());
        assert!(has_settled(), "there is nothing to see to");
        let first = exports.plug("1-1", Identity::default()).unwrap();
        assert!(!has_settled());
        let presence = follower.plugged().await;
        assert!(!has_settled(), "it is being seen to");
        assert!(pin!(follower.unplugged(&presence)).poll(&mut context).is_pending());
        assert!(has_settled());
        drop(first);
        assert!(!has_settled());
        follower.unplugged(&presence).await;
        assert!(!has_settled());
        assert!(pin!(follower.plugged()).poll(&mut context).is_pending());
        assert!(has_settled());
        let _second = exports.plug("1-1", Identity::default()).unwrap();
        assert!(!has_settled());
        drop(follower);
        assert!(has_settled(), "nobody follows any more");
    }
}
