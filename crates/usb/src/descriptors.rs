//! The descriptors of a FIDO HID device: USB 2.0 §9.6, HID 1.11 §6.2, CTAP 2.3 §11.2.8.
//!
//! One configuration with one interface and two interrupt endpoints, at full speed, laid out as a
//! YubiKey lays out its FIDO interface.

use crate::Identity;

/// bDescriptorType values (USB 2.0 table 9-5, HID 1.11 §7.1).
pub mod descriptor_type {
    /// Device.
    pub const DEVICE: u8 = 0x01;
    /// Configuration.
    pub const CONFIGURATION: u8 = 0x02;
    /// String.
    pub const STRING: u8 = 0x03;
    /// Interface.
    pub const INTERFACE: u8 = 0x04;
    /// Endpoint.
    pub const ENDPOINT: u8 = 0x05;
    /// HID.
    pub const HID: u8 = 0x21;
    /// HID report.
    pub const REPORT: u8 = 0x22;
}

/// bInterfaceClass of a HID interface (HID 1.11 §4.1).
pub const HID_CLASS: u8 = 0x03;
/// bEndpointAddress of the interrupt OUT endpoint, which carries reports to the key.
pub const OUT_ENDPOINT: u8 = 0x04;
/// bEndpointAddress of the interrupt IN endpoint, which carries reports to the host.
pub const IN_ENDPOINT: u8 = 0x84;
/// bConfigurationValue of the only configuration.
pub const CONFIGURATION_VALUE: u8 = 1;

/// The language of the strings: English (United States).
const LANGUAGE: u16 = 0x0409;
const MANUFACTURER_INDEX: u8 = 1;
const PRODUCT_INDEX: u8 = 2;
const SERIAL_INDEX: u8 = 3;

/// The report descriptor: usage page 0xF1D0, usage 1, one input and one output report of 64
/// bytes without report ids (the example of CTAP 2.3 §11.2.8.2).
pub const REPORT_DESCRIPTOR: [u8; 34] = [
    0x06, 0xd0, 0xf1, // Usage Page (FIDO Alliance)
    0x09, 0x01, // Usage (U2F Authenticator Device)
    0xa1, 0x01, // Collection (Application)
    0x09, 0x20, //   Usage (Input Report Data)
    0x15, 0x00, //   Logical Minimum (0)
    0x26, 0xff, 0x00, //   Logical Maximum (255)
    0x75, 0x08, //   Report Size (8)
    0x95, 0x40, //   Report Count (64)
    0x81, 0x02, //   Input (Data, Absolute, Variable)
    0x09, 0x21, //   Usage (Output Report Data)
    0x15, 0x00, //   Logical Minimum (0)
    0x26, 0xff, 0x00, //   Logical Maximum (255)
    0x75, 0x08, //   Report Size (8)
    0x95, 0x40, //   Report Count (64)
    0x91, 0x02, //   Output (Data, Absolute, Variable)
    0xc0, // End Collection
];

/// The device descriptor (USB 2.0 §9.6.1).
#[must_use]
pub fn device(identity: &Identity) -> [u8; 18] {
    let [vendor_low, vendor_high] = identity.vendor_id.to_le_bytes();
    let [product_low, product_high] = identity.product_id.to_le_bytes();
    let [release_low, release_high] = identity.bcd_device.to_le_bytes();
    let serial = if identity.serial.is_some() { SERIAL_INDEX } else { 0 };
    [
        18,
        descriptor_type::DEVICE,
        0x00, // bcdUSB 2.00
        0x02,
        0x00, // bDeviceClass: each interface says
        0x00,
        0x00,
        64, // bMaxPacketSize0
        vendor_low,
        vendor_high,
        product_low,
        product_high,
        release_low,
        release_high,
        MANUFACTURER_INDEX,
        PRODUCT_INDEX,
        serial,
        1, // bNumConfigurations
    ]
}

/// The HID descriptor (HID 1.11 §6.2.1), which is also part of the configuration.
#[must_use]
pub fn hid() -> [u8; 9] {
    [
        9,
        descriptor_type::HID,
        0x10, // bcdHID 1.10
        0x01,
        0x00, // bCountryCode: not localized
        1,    // bNumDescriptors
        descriptor_type::REPORT,
        34, // wDescriptorLength
        0,
    ]
}

/// The configuration descriptor with its interface, HID and endpoint descriptors (USB 2.0 §9.6.3
/// to §9.6.6).
#[must_use]
pub fn configuration(identity: &Identity) -> Vec<u8> {
    let mut bytes = vec![
        9,
        descriptor_type::CONFIGURATION,
        41, // wTotalLength
        0,
        1, // bNumInterfaces
        CONFIGURATION_VALUE,
        0,    // iConfiguration
        0x80, // bmAttributes: bus powered, no remote wakeup
        15,   // bMaxPower: 30 mA
        9,
        descriptor_type::INTERFACE,
        0, // bInterfaceNumber
        0, // bAlternateSetting
        2, // bNumEndpoints
        HID_CLASS,
        0, // bInterfaceSubClass: no boot protocol
        0,
        0, // iInterface
    ];
    bytes.extend(hid());
    for address in [OUT_ENDPOINT, IN_ENDPOINT] {
        bytes.extend([
            7,
            descriptor_type::ENDPOINT,
            address,
            0x03, // bmAttributes: interrupt
            64,   // wMaxPacketSize
            0,
            identity.interval,
        ]);
    }
    bytes
}

/// The string descriptor at `index` (USB 2.0 §9.6.7), or `None` if the device has none there.
/// Index 0 is the table of languages.
pub fn string(identity: &Identity, index: u8) -> Option<Vec<u8>> {
    let text = match index {
        0 => {
            let [low, high] = LANGUAGE.to_le_bytes();
            return Some(vec![4, descriptor_type::STRING, low, high]);
        }
        MANUFACTURER_INDEX => &identity.manufacturer,
        PRODUCT_INDEX => &identity.product,
        SERIAL_INDEX => identity.serial.as_ref()?,
        _ => return None,
    };
    let mut bytes = vec![0, descriptor_type::STRING];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let length = u8::try_from(bytes.len()).ok()?;
    if let Some(first) = bytes.first_mut() {
        *first = length;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// python-fido2's test vector of a FIDO report descriptor.
    const FIDO_REPORT_DESCRIPTOR: &str = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0";

    fn identity() -> Identity {
        Identity {
            vendor_id: 0x1050,
            product_id: 0x0402,
            bcd_device: 0x0543,
            manufacturer: "Test".to_owned(),
            product: "Kéy".to_owned(),
            serial: Some("42".to_owned()),
            interval: 2,
        }
    }

    #[test]
    fn the_report_descriptor_is_the_one_that_hosts_know() {
        assert_eq!(hex::encode(REPORT_DESCRIPTOR), FIDO_REPORT_DESCRIPTOR);
    }

    #[test]
    fn the_device_descriptor_follows_usb_2_0_table_9_8() {
        assert_eq!(hex::encode(device(&identity())), "120100020000004050100204430501020301");
    }

    #[test]
    fn a_device_without_a_serial_number_has_index_0_and_no_string() {
        let identity = Identity::default();
        assert_eq!(hex::encode(device(&identity)), "120100020000004009120100000101020001");
        assert_eq!(string(&identity, 3), None);
    }

    #[test]
    fn the_configuration_holds_interface_hid_and_both_endpoints() {
        assert_eq!(
            hex::encode(configuration(&identity())),
            concat!(
                "09022900010100800f",
                "090400000203000000",
                "092110010001222200",
                "07050403400002",
                "07058403400002",
            )
        );
    }

    #[test]
    fn strings_are_utf_16_little_endian_with_their_length() {
        let cases = [
            (0, Some("04030904")),
            (1, Some("0a035400650073007400")),
            (2, Some("08034b00e9007900")),
            (3, Some("060334003200")),
            (4, None),
        ];
        for (index, expected) in cases {
            assert_eq!(string(&identity(), index).map(hex::encode).as_deref(), expected, "string {index}");
        }
    }
}
