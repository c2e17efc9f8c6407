//! The operations before a device is imported: OP_REQ_DEVLIST, OP_REQ_IMPORT and their replies.

use super::{Fields, VERSION, WireError};

const REQ_IMPORT: u16 = 0x8003;
const REQ_DEVLIST: u16 = 0x8005;
const REP_IMPORT: u16 = 0x0003;
const REP_DEVLIST: u16 = 0x0005;

/// The bytes of a busid field, its closing zero included.
const BUSID_SIZE: usize = 32;
/// The bytes of a path field, its closing zero included.
const PATH_SIZE: usize = 256;
/// The bytes of a version, code and status.
const COMMON_SIZE: usize = 8;
/// The bytes of a request to import.
pub const IMPORT_REQUEST_SIZE: usize = COMMON_SIZE + BUSID_SIZE;

/// The status of a reply (Linux: tools/usb/usbip/libsrc/usbip_common.h). The `usbip` tool prints a
/// text for each.
pub mod status {
    /// The request was carried out (ST_OK).
    pub const OK: u32 = 0;
    /// The request failed (ST_NA).
    pub const NOT_AVAILABLE: u32 = 1;
    /// Another host has imported the device (ST_DEV_BUSY).
    pub const DEVICE_BUSY: u32 = 2;
    /// No device with this busid is exported (ST_NODEV).
    pub const NO_DEVICE: u32 = 4;
}

/// The identifier of a device at its exporting host: 1 to 31 characters of visible ASCII, such as
/// `1-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Busid(String);

impl Busid {
    /// Takes a text as a busid, or returns `None` if it cannot be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..BUSID_SIZE).contains(&text.len());
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && visible).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(field: &[u8; BUSID_SIZE]) -> Result<Self, WireError> {
        let wrong = WireError::Text { field: "busid" };
        Self::new(closed_text(field).ok_or(wrong)?).ok_or(wrong)
    }
}

/// A request from a host that has not imported a device yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// OP_REQ_DEVLIST: which devices are exported?
    DeviceList,
    /// OP_REQ_IMPORT: attach this device to this connection.
    Import(Busid),
}

impl Request {
    /// Reads a request; see the [module above](super) for the return value.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut fields = Fields(bytes);
        let Some((code, status)) = common(&mut fields)? else {
            return Ok(None);
        };
        if code != REQ_DEVLIST && code != REQ_IMPORT {
            return Err(WireError::Code { found: code });
        }
        if status != status::OK {
            return Err(WireError::RequestStatus { found: status });
        }
        if code == REQ_DEVLIST {
            return Ok(Some((Self::DeviceList, COMMON_SIZE)));
        }
        let Some(busid) = fields.array() else {
            return Ok(None);
        };
        Ok(Some((Self::Import(Busid::read(busid)?), IMPORT_REQUEST_SIZE)))
    }

    /// Appends the request to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::DeviceList => put_common(out, REQ_DEVLIST, status::OK),
            Self::Import(busid) => {
                put_common(out, REQ_IMPORT, status::OK);
                put_text::<BUSID_SIZE>(out, busid.as_str());
            }
        }
    }
}

/// The description of an exported device, 312 bytes in replies (struct usbip_usb_device).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The device's path at its exporting host, at most 255 bytes; for people.
    pub path: String,
    /// The busid to import it by.
    pub busid: Busid,
    /// Its bus, the upper half of the device id.
    pub bus_number: u32,
    /// Its number on the bus, the lower half of the device id.
    pub device_number: u32,
    /// usb_device_speed: 1 low, 2 full, 3 high, 5 super.
    pub speed: u32,
    /// idVendor.
    pub vendor_id: u16,
    /// idProduct.
    pub product_id: u16,
    /// bcdDevice.
    pub bcd_device: u16,
    /// bDeviceClass, bDeviceSubClass and bDeviceProtocol.
    pub class: [u8; 3],
    /// bConfigurationValue of the configuration in use.
    pub configuration_value: u8,
    /// bNumConfigurations.
    pub configurations: u8,
    /// bNumInterfaces of that configuration.
    pub interfaces: u8,
}

impl DeviceRecord {
    /// The size of the record in bytes.
    pub const SIZE: usize = 312;

    /// The `devid` of transfer messages for this device.
    #[must_use]
    pub fn device_id(&self) -> u32 {
        (self.bus_number << 16) | (self.device_number & 0xffff)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Option<Self>, WireError> {
        let read = |fields: &mut Fields<'_>| {
            let path = *fields.array::<PATH_SIZE>()?;
            let busid = *fields.array::<BUSID_SIZE>()?;
            let numbers = [fields.u32()?, fields.u32()?, fields.u32()?];
            let identity = [fields.u16()?, fields.u16()?, fields.u16()?];
            let class = *fields.array::<3>()?;
            let counts = [fields.u8()?, fields.u8()?, fields.u8()?];
            Some((path, busid, numbers, identity, class, counts))
        };
        let Some((path, busid, numbers, identity, class, counts)) = read(fields) else {
            return Ok(None);
        };
        let [bus_number, device_number, speed] = numbers;
        let [vendor_id, product_id, bcd_device] = identity;
        let [configuration_value, configurations, interfaces] = counts;
        Ok(Some(Self {
            path: closed_text(&path).ok_or(WireError::Text { field: "path" })?.to_owned(),
            busid: Busid::read(&busid)?,
            bus_number,
            device_number,
            speed,
            vendor_id,
            product_id,
            bcd_device,
            class,
            configuration_value,
            configurations,
            interfaces,
        }))
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_text::<PATH_SIZE>(out, &self.path);
        put_text::<BUSID_SIZE>(out, self.busid.as_str());
        for number in [self.bus_number, self.device_number, self.speed] {
            out.extend(number.to_be_bytes());
        }
        for number in [self.vendor_id, self.product_id, self.bcd_device] {
            out.extend(number.to_be_bytes());
        }
        out.extend(self.class);
        out.extend([self.configuration_value, self.configurations, self.interfaces]);
    }
}

/// A device as OP_REP_DEVLIST describes it: with the classes of its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// The device.
    pub device: DeviceRecord,
    /// bInterfaceClass, bInterfaceSubClass and bInterfaceProtocol of each interface.
    pub interfaces: Vec<[u8; 3]>,
}

impl ListedDevice {
    /// Reads one device of a list, after [`DeviceListHeader`].
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut fields = Fields(bytes);
        let Some(device) = DeviceRecord::read(&mut fields)? else {
            return Ok(None);
        };
        let mut interfaces = Vec::new();
        for _ in 0..device.interfaces {
            let Some(&[class, subclass, protocol, _padding]) = fields.array() else {
                return Ok(None);
            };
            interfaces.push([class, subclass, protocol]);
        }
        let listed = Self { device, interfaces };
        Ok(Some((listed, bytes.len() - fields.0.len())))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.device.write(out);
        for [class, subclass, protocol] in &self.interfaces {
            out.extend([*class, *subclass, *protocol, 0]);
        }
    }
}

/// The head of OP_REP_DEVLIST, which `devices` [`ListedDevice`]s follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceListHeader {
    /// One of [`status`].
    pub status: u32,
    /// The devices that follow: 0 unless the status is OK. A number from the peer: believe it one
    /// device at a time.
    pub devices: u32,
}

impl DeviceListHeader {
    /// Reads the head of a list.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut fields = Fields(bytes);
        let Some(status) = reply(&mut fields, REP_DEVLIST)? else {
            return Ok(None);
        };
        // A refusal may end with its status (usbipd: send_reply_devlist).
        let devices = if status == status::OK {
            match fields.u32() {
                Some(devices) => devices,
                None => return Ok(None),
            }
        } else {
            0
        };
        let header = Self { status, devices };
        Ok(Some((header, bytes.len() - fields.0.len())))
    }
}

/// Appends an OP_REP_DEVLIST of these devices to `out`.
pub fn encode_device_list(devices: &[ListedDevice], out: &mut Vec<u8>) {
    put_common(out, REP_DEVLIST, status::OK);
    out.extend(u32::try_from(devices.len()).unwrap_or(u32::MAX).to_be_bytes());
    for device in devices {
        device.write(out);
    }
}

/// OP_REP_IMPORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportReply {
    /// The device is attached to this connection.
    Imported(DeviceRecord),
    /// It is not: one of [`status`] but OK.
    Refused(u32),
}

impl ImportReply {
    /// Reads the reply to an import; see the [module above](super) for the return value.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut fields = Fields(bytes);
        let Some(status) = reply(&mut fields, REP_IMPORT)? else {
            return Ok(None);
        };
        if status != status::OK {
            return Ok(Some((Self::Refused(status), COMMON_SIZE)));
        }
        let Some(device) = DeviceRecord::read(&mut fields)? else {
            return Ok(None);
        };
        Ok(Some((Self::Imported(device), COMMON_SIZE + DeviceRecord::SIZE)))
    }

    /// Appends the reply to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Imported(device) => {
                put_common(out, REP_IMPORT, status::OK);
                device.write(out);
            }
            Self::Refused(status) => put_common(out, REP_IMPORT, *status),
        }
    }
}

/// Reads a code and a status behind a version that must be ours.
fn common(fields: &mut Fields<'_>) -> Result<Option<(u16, u32)>, WireError> {
    let read = |fields: &mut Fields<'_>| Some((fields.u16()?, fields.u16()?, fields.u32()?));
    let Some((version, code, status)) = read(fields) else {
        return Ok(None);
    };
    if version != VERSION {
        return Err(WireError::Version { found: version });
    }
    Ok(Some((code, status)))
}

fn reply(fields: &mut Fields<'_>, expected: u16) -> Result<Option<u32>, WireError> {
    match common(fields)? {
        None => Ok(None),
        Some((code, status)) if code == expected => Ok(Some(status)),
        Some((code, _)) => Err(WireError::Code { found: code }),
    }
}

fn put_common(out: &mut Vec<u8>, code: u16, status: u32) {
    out.extend(VERSION.to_be_bytes());
    out.extend(code.to_be_bytes());
    out.extend(status.to_be_bytes());
}

fn closed_text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|&byte| byte == 0)?;
    let text = str::from_utf8(field.get(..end)?).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// Appends a text and zeros up to `SIZE`, at least one.
fn put_text<const SIZE: usize>(out: &mut Vec<u8>, text: &str) {
    let end = out.len() + SIZE;
    out.extend(text.bytes().take(SIZE - 1));
    out.resize(end, 0);
}
