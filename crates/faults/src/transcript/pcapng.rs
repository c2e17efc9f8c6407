//! pcapng with the link type of Linux's usbmon (draft-ietf-opsawg-pcapng; Documentation/usb/usbmon.rst): what Wireshark takes apart
//! by its own dissectors of USB and HID.

mod enumeration;
mod read;

pub(super) use read::Capture;

use std::collections::BTreeMap;

use keyrig_ctap::hid::{
    Capabilities, ChannelId, Command, InitResponse, Initialization, Message, NONCE_SIZE, PROTOCOL_VERSION,
};

use super::event::{Direction, Event, Header, KeyInTrace, What};

/// LINKTYPE_USB_LINUX_MMAPPED: `struct usbmon_packet` of 64 bytes before the data.
const USB_LINUX_MMAPPED: u16 = 220;
/// LINKTYPE_USB_LINUX: the same of 48 bytes.
const USB_LINUX: u16 = 189;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;

const OPTION_COMMENT: u16 = 1;
const OPTION_INTERFACE_NAME: u16 = 2;

/// Transfer types of usbmon.
const INTERRUPT: u8 = 1;
const CONTROL: u8 = 2;

const SUBMIT: u8 = b'S';
const COMPLETE: u8 = b'C';

/// -EINPROGRESS: what usbmon says of a URB that is submitted.
const IN_PROGRESS: i32 = -115;

/// The bus of all keys.
const BUS: u16 = 1;

const COMMENT: &str = "Written by keyrig. The URBs in here are synthesised: a submission and a completion for each HID report and for each \
control request, and an enumeration of each key that no USB host has enumerated. The reports are what passed, by USB or without it; those on channel 00000001 are synthesised too, of messages that came \
without CTAPHID. Reports are raw: nothing in them is masked.";

/// One URB as usbmon shows it.
struct Urb<'a> {
    phase: u8,
    transfer: u8,
    endpoint: u8,
    status: i32,
    setup: Option<[u8; 8]>,
    /// How long the data is, or may get.
    length: u32,
    data: &'a [u8],
}

#[derive(Debug)]
struct Device {
    interface: u32,
    number: u8,
    key: Option<KeyInTrace>,
    enumerated: bool,
    /// The channel of what came without CTAPHID.
    opened: bool,
}

/// The channel on which messages are shown that came without CTAPHID.
const WITHOUT_CTAPHID: ChannelId = ChannelId(1);

/// Writes reports as URBs.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    started_unix_us: u64,
    begun: bool,
    devices: BTreeMap<String, Device>,
    urbs: u64,
}

impl Pcapng {
    pub(super) fn header(&mut self, header: &Header, out: &mut Vec<u8>) {
        self.started_unix_us = header.started_unix_us;
        self.begin(out);
        for key in &header.keys {
            self.device(&key.name, Some(key), out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let mut body = Vec::new();
            body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
            // Version 1.0, and a section of unknown length.
            body.extend([1, 0, 0, 0]);
            body.extend([0xFF; 8]);
            option(&mut body, OPTION_COMMENT, COMMENT.as_bytes());
            end_of_options(&mut body);
            block(out, SECTION_HEADER, &body);
        }
    }

    /// The device of a key: each key has an interface of its own, so that its name is in the file.
    fn device(&mut self, name: &str, key: Option<&KeyInTrace>, out: &mut Vec<u8>) -> (u32, u8) {
        self.begin(out);
        let count = self.devices.len();
        if let Some(device) = self.devices.get(name) {
            return (device.interface, device.number);
        }
        let interface = u32::try_from(count).unwrap_or(u32::MAX);
        // Address 1 is the bus's root hub; a bus has 127 addresses, and a rack has no more keys than that.
        let number = u8::try_from(count.saturating_add(2)).unwrap_or(u8::MAX);
        let mut body = Vec::new();
        body.extend(USB_LINUX_MMAPPED.to_le_bytes());
        body.extend([0, 0]);
        body.extend(0_u32.to_le_bytes());
        option(&mut body, OPTION_INTERFACE_NAME, name.as_bytes());
        end_of_options(&mut body);
        block(out, INTERFACE_DESCRIPTION, &body);
        self.devices
            .insert(name.to_owned(), Device { interface, number, key: key.cloned(), enumerated: false, opened: false });
        (interface, number)
    }

    pub(super) fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let Some(key) = &event.key else { return };
        match &event.what {
            What::Unplugged | What::Attached | What::Detached => {
                if let Some(device) = self.devices.get_mut(key) {
                    (device.enumerated, device.opened) = (false, false);
                }
            }
            What::Control { setup, status, bytes, .. } => {
                let Some(setup) = hex::decode(setup).ok().and_then(|setup| setup.try_into().ok()) else { return };
                let place = self.device(key, None, out);
                self.control(place, event.at_us, setup, *status, bytes, out);
                if let Some(device) = self.devices.get_mut(key) {
                    device.enumerated |= enumeration::begins(setup);
                }
            }
            What::Report { direction, bytes, .. } => {
                let place = self.device(key, None, out);
                self.enumerate(key, place, event.at_us, out);
                self.report(place, event.at_us, *direction, bytes, out);
            }
            // What came without CTAPHID has no reports: these are what it would have been in.
            What::Request { peer, command, bytes: Some(bytes), .. } if peer == "direct" => {
                self.message(key, event.at_us, Direction::Out, is_u2f(command), bytes, out);
            }
            What::Response { peer, command, bytes: Some(bytes), .. } if peer == "direct" => {
                self.message(key, event.at_us, Direction::In, is_u2f(command), bytes, out);
            }
            _ => {}
        }
    }

    fn report(&mut self, place: (u32, u8), at_us: u64, direction: Direction, bytes: &[u8], out: &mut Vec<u8>) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (endpoint, submitted, completed): (u8, &[u8], &[u8]) = match direction {
            Direction::Out => (keyrig_usb::descriptors::OUT_ENDPOINT, bytes, &[]),
            Direction::In => (keyrig_usb::descriptors::IN_ENDPOINT, &[], bytes),
        };
        let urb = Urb {
            phase: SUBMIT,
            transfer: INTERRUPT,
            endpoint,
            status: IN_PROGRESS,
            setup: None,
            length,
            data: submitted,
        };
        let id = self.next_urb();
        self.urb(place, at_us, id, &urb, out);
        self.urb(place, at_us, id, &Urb { phase: COMPLETE, status: 0, data: completed, ..urb }, out);
    }

    /// A message that came without CTAPHID, on a channel that is opened for it.
    fn message(&mut self, key: &str, at_us: u64, direction: Direction, u2f: bool, bytes: &str, out: &mut Vec<u8>) {
        let Ok(payload) = hex::decode(bytes) else { return };
        let command = if u2f { Command::Msg } else { Command::Cbor };
        let Ok(message) = Message::new(WITHOUT_CTAPHID, command, payload) else { return };
        let place = self.device(key, None, out);
        self.enumerate(key, place, at_us, out);
        let opened = self.devices.get_mut(key).is_some_and(|device| core::mem::replace(&mut device.opened, true));
        if !opened {
            let nonce = [0; NONCE_SIZE];
            let asked = Initialization::new(ChannelId::BROADCAST, Command::Init, 8, &nonce);
            let answer = InitResponse {
                nonce,
                channel: WITHOUT_CTAPHID,
                protocol_version: PROTOCOL_VERSION,
                device_version: [0; 3],
                capabilities: Capabilities::CBOR,
            };
            self.report(place, at_us, Direction::Out, &asked.to_report(), out);
            self.report(place, at_us, Direction::In, &answer.to_report(ChannelId::BROADCAST), out);
        }
        for report in message.reports() {
            self.report(place, at_us, direction, &report, out);
        }
    }

    fn next_urb(&mut self) -> u64 {
        self.urbs = self.urbs.saturating_add(1);
        self.urbs
    }

    fn urb(&self, (interface, device): (u32, u8), at_us: u64, id: u64, urb: &Urb<'_>, out: &mut Vec<u8>) {
        let time = self.started_unix_us.saturating_add(at_us);
        let captured = u32::try_from(urb.data.len()).unwrap_or(u32::MAX);
        let mut packet = Vec::with_capacity(160);
        packet.extend(id.to_le_bytes());
        packet.extend([urb.phase, urb.transfer, urb.endpoint, device]);
        packet.extend(BUS.to_le_bytes());
        packet.push(if urb.setup.is_some() { 0 } else { b'-' });
        // No data: '<' waits for some, '>' has sent some.
        packet.push(match (urb.data.is_empty(), urb.endpoint & 0x80 != 0) {
            (false, _) => 0,
            (true, true) => b'<',
            (true, false) => b'>',
        });
        packet.extend((time / 1_000_000).to_le_bytes());
        packet.extend(u32::try_from(time % 1_000_000).unwrap_or_default().to_le_bytes());
        packet.extend(urb.status.to_le_bytes());
        packet.extend(urb.length.to_le_bytes());
        packet.extend(captured.to_le_bytes());
        packet.extend(urb.setup.unwrap_or_default());
        // Interval, start frame, transfer flags, number of descriptors.
        packet.extend((if urb.transfer == INTERRUPT { 2_u32 } else { 0 }).to_le_bytes());
        packet.extend([0; 12]);
        packet.extend_from_slice(urb.data);

        let size = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let mut body = Vec::with_capacity(packet.len() + 24);
        body.extend(interface.to_le_bytes());
        let [a, b, c, d, e, f, g, h] = time.to_be_bytes();
        body.extend(u32::from_be_bytes([a, b, c, d]).to_le_bytes());
        body.extend(u32::from_be_bytes([e, f, g, h]).to_le_bytes());
        body.extend(size.to_le_bytes());
        body.extend(size.to_le_bytes());
        padded(&mut body, &packet);
        block(out, ENHANCED_PACKET, &body);
    }
}

fn is_u2f(command: &str) -> bool {
    command.starts_with("U2F_") || command.starts_with("INS(")
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len().saturating_add(12)).unwrap_or(u32::MAX);
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend_from_slice(body);
    out.extend(length.to_le_bytes());
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(body, value);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// Appends bytes, and zeros up to a multiple of four.
fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}
