//! The directory tree that is the view: sysfs, udev's database and the nodes of the keys that are plugged in.
//!
//! It has the layout of `/`. In a namespace it is mounted over the true directories; without one, files of it are given in
//! their place. Plugging a key is writing it here.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use keyrig_usb::Identity;
use keyrig_usb::descriptors::REPORT_DESCRIPTOR;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// Where the devices hang. No kernel has such a directory.
pub(super) const DEVICES: &str = "/sys/devices/keyrig";

/// The first minor number of ours. The kernel gives hidraw nodes the numbers below (`HIDRAW_MAX_DEVICES`), so that a node of
/// ours cannot reach a real key, whoever made it.
const FIRST_MINOR: u32 = 64;

/// hidraw's major number where no kernel says it: the kernel hands out such numbers from 254 down, and this one is seldom taken.
const USUAL_MAJOR: u32 = 245;

/// What udev tags a security key with (`60-fido-id.rules`, `70-uaccess.rules`).
const TAGS: [&str; 2] = ["security-device", "uaccess"];

/// A key in the tree.
#[derive(Clone, Debug)]
pub(super) struct Plugged {
    /// Which of the rack's keys.
    pub(super) key: usize,
    /// Which plugging this is: one that comes later has another.
    pub(super) plugging: u64,
    /// What hidraw tells of it: `HID_NAME`, `HID_PHYS`, `HID_UNIQ`.
    pub(super) name: String,
    pub(super) phys: String,
    pub(super) uniq: String,
    pub(super) identity: Identity,
    /// `DEVPATH`, below `/sys`.
    pub(super) path: String,
    hid: String,
    usb: String,
}

/// The tree, and the keys in it by the numbers of their nodes. Dropping it removes the files.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    major: u32,
    nodes: BTreeMap<u32, Plugged>,
    pluggings: u64,
}

impl Tree {
    /// An empty tree at this path, whose parent must be there.
    pub(super) fn create(root: PathBuf) -> io::Result<Self> {
        let tree = Self { root, major: hidraw_major(), nodes: BTreeMap::new(), pluggings: 0 };
        let directories =
            ["/sys/class/hidraw", "/sys/bus/hid/devices", "/sys/bus/hid/drivers", "/sys/dev/char", DEVICES, "/dev"];
        for directory in directories.into_iter().chain(["/run/udev/data", "/run/udev/tags"]) {
            DirBuilder::new().recursive(true).mode(0o755).create(tree.at(directory))?;
        }
        // What tells libudev that udev runs.
        tree.file("/run/udev/control", b"")?;
        Ok(tree)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the view is in the tree.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn node(&self, number: u32) -> Option<&Plugged> {
        self.nodes.get(&number)
    }

    /// The device number of a node.
    pub(super) fn device(&self, number: u32) -> (u32, u32) {
        (self.major, FIRST_MINOR + number)
    }

    /// Plugs a key in, at the lowest number that is free as the kernel does, and returns that.
    pub(super) fn plug(&mut self, key: usize, busid: &str, identity: Identity) -> io::Result<u32> {
        let number = (0..).find(|number| !self.nodes.contains_key(number)).unwrap_or(u32::MAX);
        self.pluggings += 1;
        let (vendor, product) = (identity.vendor_id, identity.product_id);
        let bus = busid.split('-').next().unwrap_or("1");
        let usb = format!("{DEVICES}/usb{bus}/{busid}");
        let hid = format!("{usb}/{busid}:1.0/0003:{vendor:04X}:{product:04X}.{:04X}", self.pluggings);
        let plugged = Plugged {
            key,
            plugging: self.pluggings,
            name: format!("{} {}", identity.manufacturer, identity.product),
            phys: format!("usb-keyrig-{busid}/input0"),
            uniq: identity.serial.clone().unwrap_or_default(),
            identity,
            path: format!("{}/hidraw/hidraw{number}", hid.trim_start_matches("/sys")),
            hid,
            usb,
        };
        self.nodes.insert(number, plugged.clone());
        let written = self.write(number, busid, &plugged);
        if written.is_err() {
            // What was written of it says nothing without the rest.
            let _ = self.unplug(number);
        }
        written.map(|()| number)
    }

    fn write(&self, number: u32, busid: &str, plugged: &Plugged) -> io::Result<()> {
        let Plugged { identity, hid, usb, name, phys, uniq, .. } = plugged;
        let (major, minor) = self.device(number);
        let (vendor, product, release) = (identity.vendor_id, identity.product_id, identity.bcd_device);
        let (bus, port) = busid.split_once('-').unwrap_or(("1", "1"));
        let (bus, device) = (bus.parse::<u32>().unwrap_or(1), port.parse::<u32>().unwrap_or(1) + 1);
        let interface = format!("{usb}/{busid}:1.0");
        let raw = format!("{hid}/hidraw/hidraw{number}");
        self.file(
            &format!("{usb}/uevent"),
            format!(
                "MAJOR=189\nMINOR={}\nDEVNAME=bus/usb/{bus:03}/{device:03}\nDEVTYPE=usb_device\nDRIVER=usb\n\
                 PRODUCT={vendor:x}/{product:x}/{release:x}\nTYPE=0/0/0\nBUSNUM={bus:03}\nDEVNUM={device:03}\n",
                (bus - 1) * 128 + device - 1
            )
            .as_bytes(),
        )?;
        let attributes = [
            ("idVendor", format!("{vendor:04x}")),
            ("idProduct", format!("{product:04x}")),
            ("bcdDevice", format!("{release:04x}")),
            ("manufacturer", identity.manufacturer.clone()),
            ("product", identity.product.clone()),
            ("busnum", bus.to_string()),
            ("devnum", device.to_string()),
            ("devpath", port.to_owned()),
            ("speed", "12".to_owned()),
            ("version", " 2.00".to_owned()),
            ("bDeviceClass", "00".to_owned()),
            ("bNumInterfaces", " 1".to_owned()),
            ("removable", "removable".to_owned()),
        ];
        let serial = identity.serial.clone().map(|serial| ("serial", serial));
        for (attribute, value) in attributes.into_iter().chain(serial) {
            self.file(&format!("{usb}/{attribute}"), format!("{value}\n").as_bytes())?;
        }
        self.link(&format!("{usb}/subsystem"), "/sys/bus/usb")?;
        self.file(
            &format!("{interface}/uevent"),
            format!("DEVTYPE=usb_interface\nDRIVER=usbhid\nPRODUCT={vendor:x}/{product:x}/{release:x}\nTYPE=0/0/0\nINTERFACE=3/0/0\n")
                .as_bytes(),
        )?;
        for (attribute, value) in [
            ("bInterfaceNumber", "00"),
            ("bInterfaceClass", "03"),
            ("bInterfaceSubClass", "00"),
            ("bInterfaceProtocol", "00"),
            ("bNumEndpoints", "02"),
        ] {
            self.file(&format!("{interface}/{attribute}"), format!("{value}\n").as_bytes())?;
        }
        self.link(&format!("{interface}/subsystem"), "/sys/bus/usb")?;
        self.file(
            &format!("{hid}/uevent"),
            format!(
                "DRIVER=hid-generic\nHID_ID=0003:{vendor:08X}:{product:08X}\nHID_NAME={name}\nHID_PHYS={phys}\nHID_UNIQ={uniq}\n\
                 MODALIAS=hid:b0003g0001v{vendor:08X}p{product:08X}\n"
            )
            .as_bytes(),
        )?;
        self.file(&format!("{hid}/report_descriptor"), &REPORT_DESCRIPTOR)?;
        self.link(&format!("{hid}/subsystem"), "/sys/bus/hid")?;
        self.file(
            &format!("{raw}/uevent"),
            format!("MAJOR={major}\nMINOR={minor}\nDEVNAME=hidraw{number}\n").as_bytes(),
        )?;
        self.file(&format!("{raw}/dev"), format!("{major}:{minor}\n").as_bytes())?;
        self.link(&format!("{raw}/device"), hid)?;
        self.link(&format!("{raw}/subsystem"), "/sys/class/hidraw")?;
        let mut database = "I:1000000\nE:ID_FIDO_TOKEN=1\nE:ID_SECURITY_TOKEN=1\n".to_owned();
        for tag in TAGS {
            database.push_str(&format!("G:{tag}\nQ:{tag}\n"));
            self.file(&format!("/run/udev/tags/{tag}/c{major}:{minor}"), b"")?;
        }
        database.push_str("V:1\n");
        self.file(&format!("/run/udev/data/c{major}:{minor}"), database.as_bytes())?;
        // What finds the device comes last: who finds it finds all of it.
        self.make_node(number)?;
        for (link, target) in self.ways(number, plugged) {
            self.link(&link, &target)?;
        }
        Ok(())
    }

    /// The links that lead to a device.
    fn ways(&self, number: u32, Plugged { hid, .. }: &Plugged) -> [(String, String); 3] {
        let (major, minor) = self.device(number);
        let raw = format!("{hid}/hidraw/hidraw{number}");
        let instance = hid.rsplit('/').next().unwrap_or_default();
        [
            (format!("/sys/bus/hid/devices/{instance}"), hid.clone()),
            (format!("/sys/dev/char/{major}:{minor}"), raw.clone()),
            (format!("/sys/class/hidraw/hidraw{number}"), raw),
        ]
    }

    /// Takes a key out, and returns it.
    pub(super) fn unplug(&mut self, number: u32) -> io::Result<Option<Plugged>> {
        let Some(plugged) = self.nodes.remove(&number) else { return Ok(None) };
        let (major, minor) = self.device(number);
        let links = self.ways(number, &plugged).map(|(link, _)| link);
        let tags = TAGS.map(|tag| format!("/run/udev/tags/{tag}/c{major}:{minor}"));
        let files = [format!("/dev/hidraw{number}"), format!("/run/udev/data/c{major}:{minor}")];
        // As far as it goes: the first failure is told.
        let mut removed = Ok(());
        for path in links.iter().rev().chain(&tags).chain(&files) {
            removed = removed.and(unless_missing(fs::remove_file(self.at(path))));
        }
        removed.and(unless_missing(fs::remove_dir_all(self.at(&plugged.usb)))).map(|()| Some(plugged))
    }

    /// A file to be listed, of the same kind as another.
    pub(super) fn make_alike(path: &Path, kind: fs::FileType) -> io::Result<()> {
        let make = |kind| mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), 0);
        // A device with a number takes root, and a block device any: what cannot be made is listed as a file.
        let made = if kind.is_dir() {
            return fs::create_dir(path);
        } else if kind.is_char_device() {
            make(FileType::CharacterDevice)
        } else if kind.is_block_device() {
            make(FileType::BlockDevice)
        } else if kind.is_fifo() {
            make(FileType::Fifo)
        } else if kind.is_socket() {
            make(FileType::Socket)
        } else {
            make(FileType::RegularFile)
        };
        made.or_else(|_| make(FileType::RegularFile)).map_err(io::Error::from)
    }

    /// A node that nobody can open by itself. Making one with a number takes root; any user may make one with none.
    fn make_node(&self, number: u32) -> io::Result<()> {
        let path = self.at(&format!("/dev/hidraw{number}"));
        let (major, minor) = self.device(number);
        let mode = Mode::from_raw_mode(0o666);
        let make = |device: u64| mknodat(CWD, &path, FileType::CharacterDevice, mode, device);
        if make(makedev(major, minor)).or_else(|_| make(0)).is_err() {
            fs::write(&path, b"")?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
    }

    fn file(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.at(path);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        fs::write(path, content)
    }

    /// A relative link between two paths of the view, as all links in sysfs are.
    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let from: Vec<_> = path.split('/').collect();
        let to: Vec<_> = target.split('/').collect();
        let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
        let up = from.len().saturating_sub(common + 1);
        let down = to.into_iter().skip(common);
        let relative: Vec<_> = core::iter::repeat_n("..", up).chain(down).collect();
        symlink(relative.join("/"), self.at(path))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = unless_missing(fs::remove_dir_all(&self.root)) {
            tracing::warn!(path = %self.root.display(), %error, "files of the keys were left behind");
        }
    }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// What this kernel has given hidraw, so that nodes look as its own do.
fn hidraw_major() -> u32 {
    let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
    let major = devices.lines().find_map(|line| line.trim().strip_suffix(" hidraw")?.parse().ok());
    major.unwrap_or(USUAL_MAJOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::create(directory.path().join("view")).unwrap();
        (directory, tree)
    }

    #[test]
    fn a_key_has_the_lowest_number_that_is_free_and_another_instance_each_time() {
        let (_directory, mut tree) = tree();
        assert_eq!(tree.plug(0, "1-1", Identity::default()).unwrap(), 0);
        assert_eq!(tree.plug(1, "1-2", Identity::default()).unwrap(), 1);
        let first = tree.unplug(0).unwrap().unwrap();
        assert_eq!(tree.plug(0, "1-1", Identity::default()).unwrap(), 0);
        assert_ne!(tree.node(0).unwrap().path, first.path);
    }

    #[test]
    fn every_link_leads_to_the_device_and_its_files_say_the_same() {
        let (_directory, mut tree) = tree();
        let identity = Identity { vendor_id: 0x1050, product_id: 0x0407, ..Identity::default() };
        let number = tree.plug(0, "1-3", identity).unwrap();
        let (major, minor) = tree.device(number);
        let at = |path: &str| tree.at(path).canonicalize().unwrap();
        let device = at(&format!("/sys{}", tree.node(number).unwrap().path));
        assert_eq!(at("/sys/class/hidraw/hidraw0"), device);
        assert_eq!(at(&format!("/sys/dev/char/{major}:{minor}")), device);
        let hid = device.join("device").canonicalize().unwrap();
        assert!(hid.ends_with("1-3:1.0/0003:1050:0407.0001"), "{}", hid.display());
        assert_eq!(at("/sys/bus/hid/devices/0003:1050:0407.0001"), hid);
        assert_eq!(fs::read_to_string(device.join("dev")).unwrap(), format!("{major}:{minor}\n"));
        assert_eq!(device.join("subsystem").canonicalize().unwrap(), at("/sys/class/hidraw"));
        assert_eq!(hid.join("subsystem").canonicalize().unwrap(), at("/sys/bus/hid"));
        // sysfs of another bus is not in this tree: the link is as the kernel writes it.
        let usb = hid.parent().unwrap().parent().unwrap();
        assert_eq!(fs::read_link(usb.join("subsystem")).unwrap(), Path::new("../../../../bus/usb"));
        assert_eq!(fs::read_to_string(usb.join("idVendor")).unwrap(), "1050\n");
    }

    #[test]
    fn nothing_is_left_of_a_key_that_is_unplugged() {
        fn files(directory: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
            entries
                .flat_map(
                    |entry| {
                        if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { vec![entry.path()] }
                    },
                )
                .collect()
        }
        let (_directory, mut tree) = tree();
        let before = files(tree.root());
        let number = tree.plug(0, "1-1", Identity::default()).unwrap();
        assert!(files(tree.root()).len() > before.len() + 20);
        tree.unplug(number).unwrap();
        assert_eq!(files(tree.root()), before);
    }
}
