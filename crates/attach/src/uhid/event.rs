//! The events of uhid, as Linux has them (`include/uapi/linux/uhid.h`): packed structures in the byte order of the machine, after a number
//! that says which. Who reads or writes a shorter one means zeros for the rest.

use keyrig_usb::descriptors::REPORT_DESCRIPTOR;
use keyrig_usb::{Identity, REPORT_SIZE, Report};
use rustix::io::Errno;

/// The size of `struct uhid_event`, of which UHID_CREATE2 is the longest, bytes.
pub const EVENT_SIZE: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA_MAX;

/// UHID_DATA_MAX and HID_MAX_DESCRIPTOR_SIZE.
const DATA_MAX: usize = 4096;

/// `enum uhid_event_type`.
mod kind {
    pub(super) const OUTPUT: u32 = 6;
    pub(super) const GET_REPORT: u32 = 9;
    pub(super) const GET_REPORT_REPLY: u32 = 10;
    pub(super) const CREATE2: u32 = 11;
    pub(super) const INPUT2: u32 = 12;
    pub(super) const SET_REPORT: u32 = 13;
    pub(super) const SET_REPORT_REPLY: u32 = 14;
}

/// `enum uhid_report_type`.
mod report_type {
    pub(super) const OUTPUT: u8 = 1;
    pub(super) const INPUT: u8 = 2;
}

/// BUS_USB (`include/uapi/linux/input.h`): what programs look for that want a security key.
const BUS_USB: u16 = 3;

/// bcdHID of the USB device, which is what USB's HID driver says here.
const HID_VERSION: u16 = 0x0110;

/// The number of an unnumbered report, which the kernel puts before what a program writes.
const UNNUMBERED: u8 = 0;

/// What the kernel tells of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program wrote to the node: a report, or what is none of this device's.
    Output(Option<Report>),
    /// A program asks for a report by a control request, and waits.
    GetReport {
        /// What the reply is to carry.
        id: u32,
        /// Whether it is the input report; the device has no feature report.
        is_input: bool,
    },
    /// A program sends a report by a control request, and waits.
    SetReport {
        /// What the reply is to carry.
        id: u32,
        /// The output report, or nothing if it is another.
        report: Option<Report>,
    },
    /// Any other, by its number: the device was started, stopped, opened or closed.
    Other(u32),
}

impl Event {
    /// Reads an event, whatever it is.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        match u32::from_ne_bytes(field(bytes, 0)) {
            kind::OUTPUT => {
                let size = u16::from_ne_bytes(field(bytes, 4 + DATA_MAX));
                let [report_type] = field(bytes, 4 + DATA_MAX + 2);
                Self::Output(report(bytes, 4, size).filter(|_| report_type == report_type::OUTPUT))
            }
            kind::GET_REPORT => {
                let [number, report_type] = field(bytes, 8);
                let is_input = (number, report_type) == (UNNUMBERED, report_type::INPUT);
                Self::GetReport { id: u32::from_ne_bytes(field(bytes, 4)), is_input }
            }
            kind::SET_REPORT => {
                let [number, report_type] = field(bytes, 8);
                let size = u16::from_ne_bytes(field(bytes, 10));
                let is_output = (number, report_type) == (UNNUMBERED, report_type::OUTPUT);
                let report = report(bytes, 12, size).filter(|_| is_output);
                Self::SetReport { id: u32::from_ne_bytes(field(bytes, 4)), report }
            }
            other => Self::Other(other),
        }
    }
}

/// The report at a place: its number, then its bytes.
fn report(bytes: &[u8], at: usize, size: u16) -> Option<Report> {
    let [number] = field(bytes, at);
    (number == UNNUMBERED && usize::from(size) == REPORT_SIZE + 1).then(|| field(bytes, at + 1))
}

/// The bytes at a place, zeros where there are none.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    field
}

/// UHID_CREATE2: a device as USB's HID driver would describe it, at this place (`phys`).
#[must_use]
pub fn create(identity: &Identity, phys: &str) -> Vec<u8> {
    let Identity { manufacturer, product, serial, vendor_id, product_id, .. } = identity;
    let mut event = Vec::with_capacity(EVENT_SIZE);
    event.extend(kind::CREATE2.to_ne_bytes());
    event.extend(text::<128>(&format!("{manufacturer} {product}")));
    event.extend(text::<64>(phys));
    event.extend(text::<64>(serial.as_deref().unwrap_or_default()));
    event.extend(length(&REPORT_DESCRIPTOR));
    event.extend(BUS_USB.to_ne_bytes());
    // The last is the country, of which the device says nothing.
    for number in [*vendor_id, *product_id, HID_VERSION, 0] {
        event.extend(u32::from(number).to_ne_bytes());
    }
    event.extend(REPORT_DESCRIPTOR);
    event
}

/// UHID_INPUT2: a report for all that have the node open.
#[must_use]
pub fn input(report: &Report) -> Vec<u8> {
    let mut event = kind::INPUT2.to_ne_bytes().to_vec();
    event.extend(length(report));
    event.extend(report);
    event
}

/// UHID_GET_REPORT_REPLY: zeros for the input report, as on USB, where it may not take a report from the interrupt endpoint.
#[must_use]
pub fn get_report_reply(id: u32, is_input: bool) -> Vec<u8> {
    let data: &[u8] = if is_input { &[0; REPORT_SIZE] } else { &[] };
    let mut event = kind::GET_REPORT_REPLY.to_ne_bytes().to_vec();
    event.extend(id.to_ne_bytes());
    event.extend(error(is_input));
    event.extend(length(data));
    event.extend(data);
    event
}

/// UHID_SET_REPORT_REPLY.
#[must_use]
pub fn set_report_reply(id: u32, is_taken: bool) -> Vec<u8> {
    let mut event = kind::SET_REPORT_REPLY.to_ne_bytes().to_vec();
    event.extend(id.to_ne_bytes());
    event.extend(error(is_taken));
    event
}

fn error(is_none: bool) -> [u8; 2] {
    let error = if is_none { 0 } else { Errno::IO.raw_os_error() };
    u16::try_from(error).unwrap_or(u16::MAX).to_ne_bytes()
}

fn length(data: &[u8]) -> [u8; 2] {
    u16::try_from(data.len()).unwrap_or(u16::MAX).to_ne_bytes()
}

/// A text that ends with a zero, cut where there is no room for more.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let end = text.floor_char_boundary(N.saturating_sub(1));
    field(text.get(..end).unwrap_or_default().as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of the kernel's: its number and what follows, the rest zeros.
    fn event(kind: u32, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 4380];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    /// The offsets are those that a C compiler gives the packed structures of linux/uhid.h.
    #[test]
    fn a_device_is_described_as_linux_uhid_h_lays_it_out() {
        let identity = Identity { serial: Some("a".to_owned()), ..Identity::default() };
        let bytes = create(&identity, "usb-keyrig.7-1-1/input0");
        let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let short = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        assert_eq!(number(0), 11);
        let name = format!("{} {}\0", identity.manufacturer, identity.product);
        assert!(bytes[4..132].starts_with(name.as_bytes()));
        assert!(bytes[132..196].starts_with(b"usb-keyrig.7-1-1/input0\0"));
        assert!(bytes[196..260].starts_with(b"a\0"));
        assert_eq!((short(260), short(262)), (34, 3));
        assert_eq!((number(264), number(268)), (identity.vendor_id.into(), identity.product_id.into()));
        assert_eq!((number(272), number(276)), (0x0110, 0));
        assert_eq!(bytes[280..], REPORT_DESCRIPTOR);
        assert_eq!(EVENT_SIZE, 4376, "sizeof (struct uhid_event)");
    }

    #[test]
    fn long_names_are_cut_between_characters_and_end_with_a_zero() {
        let identity = Identity { manufacturer: "é".repeat(80), ..Identity::default() };
        let bytes = create(&identity, &"x".repeat(100));
        assert_eq!(bytes[4..132].iter().position(|byte| *byte == 0), Some(126));
        assert_eq!(bytes[132..196].iter().position(|byte| *byte == 0), Some(63));
    }

    #[test]
    fn what_programs_write_is_a_report_if_it_is_unnumbered_and_whole() {
        let written = |number: u8, size: u16, kind: u8| {
            let report = [[number].as_slice(), &[7; 64]].concat();
            Event::decode(&event(6, &[(4, &report), (4100, &size.to_ne_bytes()), (4102, &[kind])]))
        };
        assert_eq!(written(0, 65, 1), Event::Output(Some([7; 64])));
        for (number, size, kind) in
            [(0, 64, 1), (0, 66, 1), (0, 0, 1), (0, u16::MAX, 1), (1, 65, 1), (0, 65, 0), (0, 65, 9)]
        {
            assert_eq!(written(number, size, kind), Event::Output(None), "{number} {size} {kind}");
        }
    }

    #[test]
    fn control_requests_are_told_with_the_id_that_their_reply_carries() {
        let id = 0x0102_0304_u32.to_ne_bytes();
        let get = |number: u8, kind: u8| Event::decode(&event(9, &[(4, &id), (8, &[number, kind])]));
        assert_eq!(get(0, 2), Event::GetReport { id: 0x0102_0304, is_input: true });
        assert_eq!(get(0, 0), Event::GetReport { id: 0x0102_0304, is_input: false });
        assert_eq!(get(1, 2), Event::GetReport { id: 0x0102_0304, is_input: false });
        let report = [[0].as_slice(), &[7; 64]].concat();
        let set = |kind: u8| {
            Event::decode(&event(13, &[(4, &id), (8, &[0, kind]), (10, &65_u16.to_ne_bytes()), (12, &report)]))
        };
        assert_eq!(set(1), Event::SetReport { id: 0x0102_0304, report: Some([7; 64]) });
        assert_eq!(set(0), Event::SetReport { id: 0x0102_0304, report: None });

        let reply = get_report_reply(0x0102_0304, true);
        assert_eq!(reply[..12], [10_u32.to_ne_bytes().as_slice(), &id, &[0, 0], &64_u16.to_ne_bytes()].concat());
        assert_eq!(reply[12..], [0; 64]);
        // EIO is 5.
        let refused = [10_u32.to_ne_bytes().as_slice(), &id, &5_u16.to_ne_bytes(), &[0, 0]].concat();
        assert_eq!(get_report_reply(0x0102_0304, false), refused);
        assert_eq!(set_report_reply(0x0102_0304, true), [14_u32.to_ne_bytes().as_slice(), &id, &[0, 0]].concat());
        assert_eq!(set_report_reply(7, false)[8..], 5_u16.to_ne_bytes());
    }

    #[test]
    fn a_report_of_the_keys_is_sent_with_its_size() {
        let bytes = input(&[9; 64]);
        assert_eq!(bytes, [12_u32.to_ne_bytes().as_slice(), &64_u16.to_ne_bytes(), &[9; 64]].concat());
    }

    #[test]
    fn events_that_are_short_or_unknown_are_no_reason_to_end() {
        assert_eq!(Event::decode(&[]), Event::Other(0));
        assert_eq!(Event::decode(&2_u32.to_ne_bytes()), Event::Other(2));
        assert_eq!(Event::decode(&u32::MAX.to_ne_bytes()), Event::Other(u32::MAX));
        for kind in [6_u32, 9, 13] {
            let whole = event(kind, &[]);
            for length in 4..20 {
                assert_eq!(Event::decode(&whole[..length]), Event::decode(&whole), "{kind} {length}");
            }
        }
    }
}
