//! The keys that this machine has, whoever made them: hidapi finds them, [`Hidraw`] carries to them.
//!
//! hidapi reads in a thread that waits for a report for ever, and nothing ends that wait but a report: so it finds, and does not carry.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use hidapi::{BusType, DeviceInfo, HidApi};
use thiserror::Error;

use crate::Hidraw;

/// The usage page and the usage of security keys (CTAP 2.3 §11.2.8.2).
const FIDO: (u16, u16) = (0xf1d0, 0x01);

/// Where the kernel lists hidraw nodes.
const CLASS: &str = "/sys/class/hidraw";

/// A security key that is plugged into this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HidKey {
    /// Where it is on USB, as the kernel names ports: `1-1.4.2` is bus 1, port 1, and behind two hubs ports 4 and 2. It stays the same when
    /// a key is plugged in again. None of a key that is on no USB.
    pub topology: Option<String>,
    /// Its node, such as `/dev/hidraw0`: the next plugging may give another.
    pub path: PathBuf,
    /// What the kernel calls it since it was plugged in, such as `0003:1050:0407.0001`: another at each plugging.
    pub instance: Option<String>,
    /// Its bus and its number there, as usbmon calls it since it was plugged in. None of a key that is on no USB.
    pub address: Option<(u16, u8)>,
    /// `idVendor`.
    pub vendor_id: u16,
    /// `idProduct`.
    pub product_id: u16,
    /// `bcdDevice`.
    pub release: u16,
    /// The manufacturer string.
    pub manufacturer: Option<String>,
    /// The product string.
    pub product: Option<String>,
    /// The serial number string, which few keys have.
    pub serial: Option<String>,
}

/// The keys cannot be looked for.
#[derive(Debug, Error)]
#[error("cannot look for the security keys of this machine: {0}")]
pub struct CannotFind(String);

impl HidKey {
    /// All of them, by topology.
    ///
    /// # Errors
    /// [`CannotFind`], in the words of hidapi.
    pub fn all() -> Result<Vec<Self>, CannotFind> {
        let found = HidApi::new().map_err(|error| CannotFind(error.to_string()))?;
        let mut keys: Vec<_> = found.device_list().filter(|device| is_key(device)).map(Self::of).collect();
        keys.sort();
        // A node with several collections is listed for each.
        keys.dedup_by(|left, right| left.path == right.path);
        Ok(keys)
    }

    fn of(device: &DeviceInfo) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned).filter(|text| !text.is_empty());
        let path = path(device.path());
        let found = device_path(Path::new(CLASS), &path).unwrap_or_default();
        let of_usb = usb_device(&found);
        let attribute = |name| of_usb.as_deref().and_then(|device| attribute(device, name));
        let number = |name| attribute(name).and_then(|text| text.parse::<u16>().ok());
        let address = number("busnum").zip(number("devnum").and_then(|number| u8::try_from(number).ok()));
        let release = attribute("bcdDevice").and_then(|text| u16::from_str_radix(&text, 16).ok());
        Self {
            topology: topology(&found),
            instance: instance(&found),
            address,
            vendor_id: device.vendor_id(),
            product_id: device.product_id(),
            release: release.unwrap_or_else(|| device.release_number()),
            manufacturer: attribute("manufacturer").or_else(|| text(device.manufacturer_string())),
            product: attribute("product").or_else(|| text(device.product_string())),
            serial: attribute("serial").or_else(|| text(device.serial_number())),
            path,
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// Those of the operating system: `PermissionDenied` without a udev rule that gives it to the user.
    pub async fn open(&self) -> io::Result<Hidraw> {
        Hidraw::open(&self.path).await
    }

    /// What it is called for people: manufacturer and product, or vendor and product id.
    #[must_use]
    pub fn title(&self) -> String {
        let words: Vec<_> = [&self.manufacturer, &self.product].into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { format!("{:04x}:{:04x}", self.vendor_id, self.product_id) } else { words.join(" ") }
    }

    /// Where it is, for people: its topology, or else its node.
    #[must_use]
    pub fn place(&self) -> String {
        self.topology.clone().unwrap_or_else(|| self.path.display().to_string())
    }
}

fn is_key(device: &DeviceInfo) -> bool {
    (device.usage_page(), device.usage()) == FIDO && !matches!(device.bus_type(), BusType::Unknown)
}

fn path(path: &CStr) -> PathBuf {
    OsStr::from_bytes(path.to_bytes()).into()
}

/// Where the device that a node belongs to is in sysfs.
fn device_path(class: &Path, node: &Path) -> Option<PathBuf> {
    fs::canonicalize(class.join(node.file_name()?)).ok()
}

/// The folder of the USB device: the last that is called as a port is. hidapi looks for it by its bus, which is not shown everywhere.
fn usb_device(device: &Path) -> Option<PathBuf> {
    device
        .ancestors()
        .find(|folder| folder.file_name().and_then(OsStr::to_str).is_some_and(is_port))
        .map(Path::to_owned)
}

fn topology(device: &Path) -> Option<String> {
    Some(usb_device(device)?.file_name()?.to_str()?.to_owned())
}

/// The name of the HID device: the folder in which there is `hidraw/hidraw0`.
fn instance(device: &Path) -> Option<String> {
    Some(device.ancestors().nth(2)?.file_name()?.to_str()?.to_owned())
}

/// An attribute of a device, as far as it is text. The kernel gives at most a page of it.
fn attribute(device: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(device.join(name)).ok()?;
    Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty())
}

/// Whether a text is a bus and the ports that lead to a device: `1-1.4.2` (Linux, Documentation/ABI/stable/sysfs-bus-usb).
#[must_use]
pub fn is_port(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(bus, ports)| is_number(bus) && ports.split('.').all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_bus_and_ports_behind_each_other() {
        for port in ["1-1", "1-1.4.2", "12-3", "3-10.1"] {
            assert!(is_port(port), "{port}");
        }
        for other in ["", "1", "1-", "-1", "1-1:1.0", "usb1", "1-1.", "1-1..2", "a-1", "1-1/2", "1-1234"] {
            assert!(!is_port(other), "{other}");
        }
    }

    #[test]
    fn a_node_is_at_the_port_of_the_device_that_it_belongs_to() {
        let folder = tempfile::tempdir().unwrap();
        let class = folder.path().join("class");
        fs::create_dir(&class).unwrap();
        for (name, device) in [
            ("hidraw0", "pci0000:00/usb1/1-1/1-1.4/1-1.4.2/1-1.4.2:1.0/0003:1050:0407.0001/hidraw/hidraw0"),
            ("hidraw1", "virtual/misc/uhid/0003:1209:0001.0001/hidraw/hidraw1"),
        ] {
            let device = folder.path().join("devices").join(device);
            fs::create_dir_all(&device).unwrap();
            std::os::unix::fs::symlink(&device, class.join(name)).unwrap();
        }
        let at = |node: &str| device_path(&class, Path::new(node));
        let found = at("/dev/hidraw0").unwrap();
        assert_eq!(topology(&found).as_deref(), Some("1-1.4.2"));
        assert_eq!(instance(&found).as_deref(), Some("0003:1050:0407.0001"));
        let usb = usb_device(&found).unwrap();
        fs::write(usb.join("manufacturer"), "Yubico\n").unwrap();
        assert_eq!(attribute(&usb, "manufacturer").as_deref(), Some("Yubico"));
        assert_eq!(attribute(&usb, "serial"), None);
        assert_eq!(topology(&at("/dev/hidraw1").unwrap()), None);
        assert_eq!(at("/dev/hidraw2"), None);
    }
}
