//! Reads captures of usbmon: pcapng, pcap, and the kernel's own stream.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, Read};
use std::sync::Arc;

use keyrig_ctap::hid::Report;

use super::super::assembly::{Assembly, Heard, Sound, USB};
use super::super::decode::Secrets;
use super::super::event::{Direction, Event, Header, What};
use super::super::reading::NotATranscript;
use super::{
    BYTE_ORDER_MAGIC, COMMENT, COMPLETE, CONTROL, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERRUPT, OPTION_COMMENT,
    OPTION_INTERFACE_NAME, SECTION_HEADER, SUBMIT, USB_LINUX, USB_LINUX_MMAPPED,
};

/// The longest block or packet that is read, bytes.
const MAX_BLOCK: u32 = 16 * 1024 * 1024;

/// The most interfaces of a capture, and devices.
const MAX_INTERFACES: usize = 1024;
const MAX_DEVICES: usize = 1024;

/// The most control requests that are kept of a device, without an answer, and before it is known to be a key.
const MAX_CONTROLS: usize = 64;

const PCAP_MICROSECONDS: u32 = 0xA1B2_C3D4;
const PCAP_NANOSECONDS: u32 = 0xA1B2_3C4D;

/// -ESHUTDOWN: the device has gone, as usbmon says at the URBs that it had.
const SHUT_DOWN: i32 = -108;

/// The first bytes of CTAPHID_INIT on the broadcast channel, by which a key is known.
const INIT: [u8; 5] = [0xFF, 0xFF, 0xFF, 0xFF, 0x86];

#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u64(self, bytes: [u8; 8]) -> u64 {
        if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }
}

/// Takes numbers off the front of bytes.
struct Fields<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| self.order.u16(bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| self.order.u32(bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| self.order.u64(bytes))
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The options of a block: code and value.
    fn options(mut self) -> impl Iterator<Item = (u16, &'a [u8])> {
        core::iter::from_fn(move || {
            let (code, length) = (self.u16()?, self.u16()?);
            let value = self.bytes(u32::from(length))?;
            // The last option may lack its padding.
            self.rest = self.rest.get(usize::from(length.wrapping_neg() & 3)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }
}

enum Container {
    Pcapng {
        order: Order,
        own: bool,
        interfaces: Vec<Interface>,
    },
    Pcap {
        order: Order,
        link: u16,
    },
    /// The kernel's, in this machine's byte order.
    Live,
}

struct Interface {
    link: u16,
    name: String,
}

#[derive(Default)]
struct Device {
    is_key: bool,
    /// Control requests without an answer, by URB.
    asked: BTreeMap<u64, [u8; 8]>,
    /// What was asked of it before it was known to be a key.
    before: VecDeque<Heard>,
}

/// A packet of usbmon.
struct Packet<'a> {
    urb: u64,
    phase: u8,
    transfer: u8,
    endpoint: u8,
    device: u8,
    bus: u16,
    setup: Option<[u8; 8]>,
    time_us: u64,
    status: i32,
    data: &'a [u8],
}

/// Reads a capture.
pub(in crate::transcript) struct Capture<R> {
    input: R,
    offset: u64,
    container: Container,
    started_us: Option<u64>,
    masked: bool,
    assembly: Assembly,
    devices: BTreeMap<(u32, u16, u8), Device>,
    pending: VecDeque<Event>,
}

impl<R: BufRead> Capture<R> {
    pub(in crate::transcript) fn new(input: R, secrets: Secrets) -> Result<Self, NotATranscript> {
        let mut capture = Self::live(input, secrets);
        let magic = capture.read_exact::<4>()?.ok_or(NotATranscript::Unknown)?;
        let big = |value: u32| u32::from_be_bytes(magic) == value;
        let little = |value: u32| u32::from_le_bytes(magic) == value;
        if little(SECTION_HEADER) {
            // It reads the same in both orders; which one it is comes next.
            capture.section()?;
            return Ok(capture);
        }
        let order = match () {
            () if big(PCAP_MICROSECONDS) || big(PCAP_NANOSECONDS) => Order { big: true },
            () if little(PCAP_MICROSECONDS) || little(PCAP_NANOSECONDS) => Order { big: false },
            () => return Err(NotATranscript::Unknown),
        };
        let header = capture.read_exact::<20>()?.ok_or_else(|| capture.wrong("the file's header is cut off"))?;
        let mut fields = Fields { order, rest: &header };
        let link = fields.bytes(16).and_then(|_| fields.u32()).unwrap_or_default() & 0xFFFF;
        capture.container = Container::Pcap { order, link: known_link(link)? };
        Ok(capture)
    }

    pub(in crate::transcript) fn live(input: R, secrets: Secrets) -> Self {
        Self {
            input,
            offset: 0,
            container: Container::Live,
            started_us: None,
            masked: secrets == Secrets::Masked,
            assembly: Assembly::of_reports(secrets),
            devices: BTreeMap::new(),
            pending: VecDeque::new(),
        }
    }

    fn wrong(&self, reason: &'static str) -> NotATranscript {
        NotATranscript::Capture { offset: self.offset, reason }
    }

    /// Reads so many bytes; nothing at the end of the input.
    fn read(&mut self, length: u32) -> Result<Option<Vec<u8>>, NotATranscript> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(u64::from(length)).read_to_end(&mut bytes)?;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        match u32::try_from(read) {
            Ok(0) if length > 0 => Ok(None),
            Ok(read) if read == length => Ok(Some(bytes)),
            _ => Err(self.wrong("the capture ends inside of a packet")),
        }
    }

    fn read_exact<const N: usize>(&mut self) -> Result<Option<[u8; N]>, NotATranscript> {
        let bytes = self.read(u32::try_from(N).unwrap_or(u32::MAX))?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }

    /// A section header, behind its type.
    fn section(&mut self) -> Result<(), NotATranscript> {
        let cut = "the section's header is cut off";
        let head = self.read_exact::<8>()?.ok_or_else(|| self.wrong(cut))?;
        let [l0, l1, l2, l3, magic @ ..] = head;
        let order = match () {
            () if u32::from_be_bytes(magic) == BYTE_ORDER_MAGIC => Order { big: true },
            () if u32::from_le_bytes(magic) == BYTE_ORDER_MAGIC => Order { big: false },
            () => return Err(self.wrong("the section has no byte order")),
        };
        let length = order.u32([l0, l1, l2, l3]);
        let rest = length.checked_sub(12).filter(|rest| *rest >= 16 && *rest <= MAX_BLOCK && rest % 4 == 0);
        let rest = rest.ok_or_else(|| self.wrong("the section's header has an impossible length"))?;
        let body = self.read(rest)?.ok_or_else(|| self.wrong(cut))?;
        // Version and section length before the options, the block's length behind them.
        let options = body.get(12..body.len().saturating_sub(4)).unwrap_or_default();
        let own = Fields { order, rest: options }
            .options()
            .any(|(code, value)| code == OPTION_COMMENT && value == COMMENT.as_bytes());
        self.container = Container::Pcapng { order, own, interfaces: Vec::new() };
        Ok(())
    }

    pub(in crate::transcript) fn next(&mut self) -> Option<Result<Event, NotATranscript>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            match self.packet() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Takes the next packet or block in; false at the end.
    fn packet(&mut self) -> Result<bool, NotATranscript> {
        match &self.container {
            Container::Pcapng { order, .. } => self.block(*order),
            Container::Pcap { order, link } => {
                let (order, link) = (*order, *link);
                let Some(head) = self.read_exact::<16>()? else { return Ok(false) };
                let mut fields = Fields { order, rest: &head };
                let length = fields.bytes(8).and_then(|_| fields.u32()).unwrap_or_default();
                if length > MAX_BLOCK {
                    return Err(self.wrong("a packet has an impossible length"));
                }
                let packet = self.read(length)?.ok_or_else(|| self.wrong("the capture ends inside of a packet"))?;
                self.usbmon(order, link, 0, "usbmon", &packet)?;
                Ok(true)
            }
            Container::Live => {
                let order = Order { big: cfg!(target_endian = "big") };
                let Some(mut packet) = self.read(48)? else { return Ok(false) };
                // len_cap.
                let length =
                    packet.get(36..40).and_then(|bytes| bytes.try_into().ok()).map_or(0, |bytes| order.u32(bytes));
                if length > MAX_BLOCK {
                    return Err(self.wrong("a packet has an impossible length"));
                }
                if length > 0 {
                    let data = self.read(length)?;
                    packet.extend(data.ok_or_else(|| self.wrong("usbmon ends inside of a packet"))?);
                }
                self.usbmon(order, USB_LINUX, 0, "usbmon", &packet)?;
                Ok(true)
            }
        }
    }

    fn block(&mut self, order: Order) -> Result<bool, NotATranscript> {
        let Some(kind) = self.read_exact::<4>()? else { return Ok(false) };
        let kind = order.u32(kind);
        if kind == SECTION_HEADER {
            return self.section().map(|()| true);
        }
        let length = self.read_exact::<4>()?.ok_or_else(|| self.wrong("the capture ends inside of a block"))?;
        let length = order.u32(length);
        if !(12..=MAX_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(self.wrong("a block has an impossible length"));
        }
        let body = self.read(length - 8)?.ok_or_else(|| self.wrong("the capture ends inside of a block"))?;
        let mut fields = Fields { order, rest: body.get(..body.len().saturating_sub(4)).unwrap_or_default() };
        let short = || NotATranscript::Capture { offset: self.offset, reason: "a block is too short for what it is" };
        match kind {
            INTERFACE_DESCRIPTION => {
                let link = fields.u16().ok_or_else(short)?;
                let link = known_link(u32::from(link))?;
                fields.bytes(6).ok_or_else(short)?;
                let name = fields.options().find(|(code, _)| *code == OPTION_INTERFACE_NAME);
                let name = name.map(|(_, name)| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
                let Container::Pcapng { interfaces, .. } = &mut self.container else { return Ok(true) };
                if interfaces.len() >= MAX_INTERFACES {
                    return Err(self.wrong("the capture has too many interfaces"));
                }
                interfaces.push(Interface { link, name });
            }
            ENHANCED_PACKET => {
                let interface = fields.u32().ok_or_else(short)?;
                fields.bytes(8).ok_or_else(short)?;
                let captured = fields.u32().ok_or_else(short)?;
                fields.bytes(4).ok_or_else(short)?;
                let packet = fields.bytes(captured).ok_or_else(short)?;
                let Container::Pcapng { interfaces, own, .. } = &self.container else { return Ok(true) };
                let known = usize::try_from(interface).ok().and_then(|index| interfaces.get(index));
                let Some(Interface { link, name }) = known else {
                    return Err(self.wrong("a packet is of an interface that there is none of"));
                };
                let (link, name) = (*link, if *own { name.clone() } else { "usbmon".to_owned() });
                self.usbmon(order, link, interface, &name, packet)?;
            }
            // Statistics, names, whatever else there is.
            _ => {}
        }
        Ok(true)
    }

    /// A packet of usbmon, of an interface that a key gave its name to, or of usbmon itself.
    fn usbmon(
        &mut self,
        order: Order,
        link: u16,
        interface: u32,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), NotATranscript> {
        let packet = Packet::parse(order, link, bytes).ok_or_else(|| self.wrong("a packet of usbmon is cut off"))?;
        let started = match self.started_us {
            Some(started) => started,
            None => {
                self.started_us = Some(packet.time_us);
                let recorded_by = if name == "usbmon" { "usbmon" } else { "keyrig" }.to_owned();
                let (started_unix_us, masked) = (packet.time_us, self.masked);
                let header = Header {
                    format: 1,
                    recorded_by,
                    started_unix_us,
                    masked,
                    seed: None,
                    warning: None,
                    keys: Vec::new(),
                };
                self.pending.push_back(Event { at_us: 0, key: None, what: What::Trace(header) });
                packet.time_us
            }
        };
        let at = Duration::from_micros(packet.time_us.saturating_sub(started));
        let place = (interface, packet.bus, packet.device);
        if !self.devices.contains_key(&place) && self.devices.len() >= MAX_DEVICES {
            return Err(self.wrong("the capture has too many devices"));
        }
        let device = self.devices.entry(place).or_default();
        let key: Arc<str> = match name {
            "usbmon" => Arc::from(format!("usb-{}.{}", packet.bus, packet.device)),
            name => Arc::from(name),
        };
        let Some(sound) = device.sound(&packet) else { return Ok(()) };
        let heard = Heard { at, key, sound };
        if !device.is_key {
            if device.before.len() >= MAX_CONTROLS {
                device.before.pop_front();
            }
            device.before.push_back(heard);
            return Ok(());
        }
        let pending = &mut self.pending;
        for heard in core::mem::take(&mut device.before).into_iter().chain([heard]) {
            self.assembly.take(heard, &mut |event| pending.push_back(event));
        }
        Ok(())
    }
}

impl Device {
    /// What a packet says, if it is a report or ends a control request.
    fn sound(&mut self, packet: &Packet<'_>) -> Option<Sound> {
        let is_in = packet.endpoint & 0x80 != 0;
        match (packet.transfer, packet.phase) {
            (INTERRUPT, COMPLETE) if is_in && packet.status == SHUT_DOWN && self.is_key => {
                Some(Sound::Became(Box::new(What::Detached)))
            }
            (INTERRUPT, phase @ (SUBMIT | COMPLETE)) if is_in == (phase == COMPLETE) => {
                let report: Report = packet.data.try_into().ok()?;
                let direction = if is_in { Direction::In } else { Direction::Out };
                self.is_key |= direction == Direction::Out && report.starts_with(&INIT);
                // Other devices have interrupts of 64 bytes too.
                self.is_key.then(|| Sound::Report { direction, peer: USB, report: Box::new(report) })
            }
            (CONTROL, SUBMIT) => {
                if self.asked.len() >= MAX_CONTROLS {
                    self.asked.pop_first();
                }
                self.asked.insert(packet.urb, packet.setup?);
                None
            }
            (CONTROL, COMPLETE) => {
                let setup = self.asked.remove(&packet.urb)?;
                let what = What::control(setup, packet.status, packet.data.to_vec());
                Some(Sound::Became(Box::new(what)))
            }
            _ => None,
        }
    }
}

impl<'a> Packet<'a> {
    fn parse(order: Order, link: u16, bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields { order, rest: bytes };
        let urb = fields.u64()?;
        let [phase, transfer, endpoint, device] = fields.array()?;
        let bus = fields.u16()?;
        let has_setup = fields.u8()? == 0;
        let has_data = fields.u8()? == 0;
        let seconds = fields.u64()?;
        let microseconds = fields.u32()?;
        let status = i32::from_ne_bytes(fields.u32()?.to_ne_bytes());
        let _length = fields.u32()?;
        let captured = fields.u32()?;
        let setup: [u8; 8] = fields.array()?;
        if link == USB_LINUX_MMAPPED {
            fields.bytes(16)?;
        }
        Some(Self {
            urb,
            phase,
            transfer,
            endpoint,
            device,
            bus,
            setup: has_setup.then_some(setup),
            time_us: seconds.saturating_mul(1_000_000).saturating_add(u64::from(microseconds)),
            status,
            // A capture may be of a length that cuts packets off.
            data: if has_data { fields.bytes(captured)? } else { &[] },
        })
    }
}

fn known_link(link: u32) -> Result<u16, NotATranscript> {
    match u16::try_from(link) {
        Ok(link @ (USB_LINUX | USB_LINUX_MMAPPED)) => Ok(link),
        _ => Err(NotATranscript::LinkType(link)),
    }
}
