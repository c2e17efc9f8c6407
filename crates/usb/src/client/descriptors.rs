//! Reads a device's descriptors: which interface speaks HID, by which endpoints, in which words.

use crate::descriptors::{HID_CLASS, descriptor_type};

/// The interrupt transfer type in bmAttributes of an endpoint.
const INTERRUPT: u8 = 0x03;

/// What the device descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) vendor_id: u16,
    pub(super) product_id: u16,
    pub(super) bcd_device: u16,
    /// String indices; 0 is none.
    pub(super) manufacturer: u8,
    pub(super) product: u8,
    pub(super) serial: u8,
}

impl Device {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[18, descriptor_type::DEVICE, ref version_and_class @ ..] = bytes.first_chunk::<18>()? else {
            return None;
        };
        let [_, _, _, _, _, _, v0, v1, p0, p1, r0, r1, manufacturer, product, serial, _] = *version_and_class;
        Some(Self {
            vendor_id: u16::from_le_bytes([v0, v1]),
            product_id: u16::from_le_bytes([p0, p1]),
            bcd_device: u16::from_le_bytes([r0, r1]),
            manufacturer,
            product,
            serial,
        })
    }
}

/// A HID interface with an interrupt endpoint in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HidInterface {
    pub(super) number: u8,
    pub(super) report_descriptor_length: u16,
    /// Endpoint addresses.
    pub(super) input: u8,
    pub(super) output: u8,
    pub(super) interval: u8,
}

/// bConfigurationValue and the HID interfaces of a configuration.
pub(super) fn configuration(bytes: &[u8]) -> Option<(u8, Vec<HidInterface>)> {
    let &[9, descriptor_type::CONFIGURATION, _, _, _, value, _, _, _, ref rest @ ..] = bytes else {
        return None;
    };
    let mut interfaces = Vec::new();
    let mut current = Partial::default();
    let mut rest = rest;
    while let Some(&length) = rest.first() {
        let (descriptor, after) = rest.split_at_checked(usize::from(length)).filter(|_| length >= 2)?;
        rest = after;
        match *descriptor {
            [_, descriptor_type::INTERFACE, number, alternate, _, class, ..] => {
                interfaces.extend(current.finish());
                current =
                    Partial { number: (class == HID_CLASS && alternate == 0).then_some(number), ..Partial::default() };
            }
            [_, descriptor_type::HID, _, _, _, _, descriptor_type::REPORT, low, high, ..] => {
                current.report_descriptor_length = Some(u16::from_le_bytes([low, high]));
            }
            [_, descriptor_type::ENDPOINT, address, attributes, _, _, interval, ..]
                if attributes & 0x03 == INTERRUPT =>
            {
                if address & 0x80 == 0 {
                    current.output = Some(address);
                } else {
                    current.input = Some((address, interval));
                }
            }
            _ => {}
        }
    }
    interfaces.extend(current.finish());
    Some((value, interfaces))
}

#[derive(Default)]
struct Partial {
    number: Option<u8>,
    report_descriptor_length: Option<u16>,
    input: Option<(u8, u8)>,
    output: Option<u8>,
}

impl Partial {
    fn finish(&self) -> Option<HidInterface> {
        let (input, interval) = self.input?;
        Some(HidInterface {
            number: self.number?,
            report_descriptor_length: self.report_descriptor_length?,
            input,
            output: self.output?,
            interval,
        })
    }
}

/// The text of a string descriptor.
pub(super) fn string(bytes: &[u8]) -> Option<String> {
    let [length, descriptor_type::STRING, ..] = *bytes else {
        return None;
    };
    let (units, _) = bytes.get(2..usize::from(length))?.as_chunks();
    String::from_utf16(&units.iter().map(|unit| u16::from_le_bytes(*unit)).collect::<Vec<_>>()).ok()
}
