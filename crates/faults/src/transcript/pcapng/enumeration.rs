//! What a host asks of a device that it finds: without it no dissector knows that it is a HID device.

use keyrig_usb::descriptors::{self, descriptor_type as kind};
use keyrig_usb::{ControlEndpoint, ControlReply, Setup};

use super::{COMPLETE, CONTROL, IN_PROGRESS, Pcapng, SUBMIT, Urb};

const GET_DESCRIPTOR: u8 = 6;
const SET_CONFIGURATION: u8 = 9;

/// The languages of strings, and the strings: USB 2.0 §9.6.7.
const LANGUAGES: u8 = 0;

impl Pcapng {
    /// Writes the enumeration of a key, if it has not been since it last got power.
    pub(super) fn enumerate(&mut self, key: &str, place: (u32, u8), at_us: u64, out: &mut Vec<u8>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        if core::mem::replace(&mut device.enumerated, true) {
            return;
        }
        // A key of a capture that does not say who it is looks as any.
        let identity = device.key.as_ref().and_then(|key| key.usb.clone()).unwrap_or_default();
        let configuration = u16::try_from(descriptors::configuration(&identity).len()).unwrap_or(u16::MAX);
        let mut control = ControlEndpoint::new(identity);
        let descriptor = |kind: u8, index: u8, language: u16, length: u16| Setup {
            request_type: 0x80,
            request: GET_DESCRIPTOR,
            value: u16::from_be_bytes([kind, index]),
            index: language,
            length,
        };
        let english = 0x0409;
        let report = u16::try_from(descriptors::REPORT_DESCRIPTOR.len()).unwrap_or(u16::MAX);
        for setup in [
            descriptor(kind::DEVICE, 0, 0, 18),
            descriptor(kind::CONFIGURATION, 0, 0, 9),
            descriptor(kind::CONFIGURATION, 0, 0, configuration),
            descriptor(kind::STRING, LANGUAGES, 0, 255),
            descriptor(kind::STRING, 1, english, 255),
            descriptor(kind::STRING, 2, english, 255),
            Setup { request_type: 0, request: SET_CONFIGURATION, value: 1, index: 0, length: 0 },
            Setup { request_type: 0x81, ..descriptor(kind::REPORT, 0, 0, report) },
        ] {
            let (data, status) = match control.request(setup, &[]) {
                ControlReply::Data(data) => (data, 0),
                ControlReply::Done | ControlReply::Output(_) => (Vec::new(), 0),
                ControlReply::Stall => (Vec::new(), -32),
            };
            self.control(place, at_us, setup.encode(), status, &data, out);
        }
    }

    /// A control request, submitted and completed.
    pub(super) fn control(
        &mut self,
        place: (u32, u8),
        at_us: u64,
        setup: [u8; 8],
        status: i32,
        data: &[u8],
        out: &mut Vec<u8>,
    ) {
        let decoded = Setup::decode(setup);
        let moved = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let (endpoint, sent, received) = if decoded.is_in() { (0x80, &[][..], data) } else { (0, data, &[][..]) };
        let urb = Urb {
            phase: SUBMIT,
            transfer: CONTROL,
            endpoint,
            status: IN_PROGRESS,
            setup: Some(setup),
            length: u32::from(decoded.length),
            data: sent,
        };
        let id = self.next_urb();
        self.urb(place, at_us, id, &urb, out);
        let completed = Urb { phase: COMPLETE, status, setup: None, length: moved, data: received, ..urb };
        self.urb(place, at_us, id, &completed, out);
    }
}

/// Whether a request is for the device descriptor, with which a host that enumerates begins: one that does not knows already
/// what it has.
pub(super) fn begins(setup: [u8; 8]) -> bool {
    let Setup { request_type, request, value, .. } = Setup::decode(setup);
    let [descriptor, _] = value.to_be_bytes();
    (request_type, request, descriptor) == (0x80, GET_DESCRIPTOR, kind::DEVICE)
}
