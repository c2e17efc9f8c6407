//! Endpoint 0: what a FIDO HID device answers to control requests (USB 2.0 §9.4, HID 1.11 §7).
//!
//! A pure model: a request goes in, a reply comes out. What the requests mean for transfers that
//! wait on the other endpoints is decided by the caller, from [`ControlEndpoint::is_open`].

use std::sync::Arc;

use crate::descriptors::descriptor_type;
use crate::{Identity, REPORT_SIZE, Report, descriptors};

#[cfg(test)]
mod tests;

const GET_STATUS: u8 = 0x00;
const CLEAR_FEATURE: u8 = 0x01;
const SET_FEATURE: u8 = 0x03;
const GET_DESCRIPTOR: u8 = 0x06;
const GET_CONFIGURATION: u8 = 0x08;
const SET_CONFIGURATION: u8 = 0x09;
const GET_INTERFACE: u8 = 0x0a;
const SET_INTERFACE: u8 = 0x0b;

const GET_REPORT: u8 = 0x01;
const GET_IDLE: u8 = 0x02;
const SET_REPORT: u8 = 0x09;
const SET_IDLE: u8 = 0x0a;

/// wValue of GET_REPORT and SET_REPORT: the report type in the high byte, report id 0.
const INPUT_REPORT: u16 = 0x0100;
const OUTPUT_REPORT: u16 = 0x0200;

const ENDPOINT_HALT: u16 = 0;
const PORT_RESET: u16 = 4;

/// A setup packet (USB 2.0 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// bmRequestType: direction, type and recipient.
    pub request_type: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
    /// wLength: the bytes of the data stage, at most.
    pub length: u16,
}

/// A control request that a host has made, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRequest<'a> {
    /// What was asked for.
    pub setup: Setup,
    /// 0, or the negated Linux errno that the host got, such as -32 for a stall.
    pub status: i32,
    /// What was moved, in whichever direction the setup packet says.
    pub data: &'a [u8],
}

/// Hears control requests. It is called between a host's message and its answer, so it may not wait for anything.
pub type ControlEar = Arc<dyn Fn(ControlRequest<'_>) + Send + Sync>;

impl Setup {
    /// Reads the eight bytes of a setup packet, which are little-endian.
    #[must_use]
    pub fn decode(bytes: [u8; 8]) -> Self {
        let [request_type, request, v0, v1, i0, i1, l0, l1] = bytes;
        Self {
            request_type,
            request,
            value: u16::from_le_bytes([v0, v1]),
            index: u16::from_le_bytes([i0, i1]),
            length: u16::from_le_bytes([l0, l1]),
        }
    }

    /// Writes the eight bytes of a setup packet.
    #[must_use]
    pub fn encode(self) -> [u8; 8] {
        let [v0, v1] = self.value.to_le_bytes();
        let [i0, i1] = self.index.to_le_bytes();
        let [l0, l1] = self.length.to_le_bytes();
        [self.request_type, self.request, v0, v1, i0, i1, l0, l1]
    }

    /// Whether the data stage goes from the device to the host. A request without a data stage
    /// has none.
    #[must_use]
    pub fn is_in(self) -> bool {
        self.request_type & 0x80 != 0
    }
}

/// An interrupt endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// From the key to the host.
    In,
    /// From the host to the key.
    Out,
}

impl Endpoint {
    fn at(address: u16) -> Option<Self> {
        if address == u16::from(descriptors::IN_ENDPOINT) {
            Some(Self::In)
        } else if address == u16::from(descriptors::OUT_ENDPOINT) {
            Some(Self::Out)
        } else {
            None
        }
    }
}

/// What the device answers to a control request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// The data stage of an IN request, at most wLength bytes.
    Data(Vec<u8>),
    /// A request without a data stage to the host succeeded.
    Done,
    /// A SET_REPORT brought an output report. The request succeeds once the key has taken it.
    Output(Report),
    /// The device does not know the request, or it is wrong: STALL (USB 2.0 §9.2.7).
    Stall,
}

/// The state behind endpoint 0 of one device.
#[derive(Clone, Debug)]
pub struct ControlEndpoint {
    identity: Identity,
    configuration: u8,
    idle_rate: u8,
    halted_in: bool,
    halted_out: bool,
}

impl ControlEndpoint {
    /// A device that its exporting host has configured already, which is how USB/IP hands it over.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            configuration: descriptors::CONFIGURATION_VALUE,
            idle_rate: 0,
            halted_in: false,
            halted_out: false,
        }
    }

    /// Whether a configuration is selected, so that the device has its interrupt endpoints.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.configuration != 0
    }

    /// Whether an interrupt endpoint moves data: the device is configured and the endpoint is not
    /// halted.
    #[must_use]
    pub fn is_open(&self, endpoint: Endpoint) -> bool {
        let halted = match endpoint {
            Endpoint::In => self.halted_in,
            Endpoint::Out => self.halted_out,
        };
        self.configuration != 0 && !halted
    }

    /// Halts an interrupt endpoint, as a device does that stalls a transfer there: until the host clears that, or configures or resets the
    /// device (USB 2.0 §9.4.5).
    pub fn halt(&mut self, endpoint: Endpoint) {
        match endpoint {
            Endpoint::In => self.halted_in = true,
            Endpoint::Out => self.halted_out = true,
        }
    }

    /// Answers one control request. `data` is the data stage of an OUT request, empty for IN.
    pub fn request(&mut self, setup: Setup, data: &[u8]) -> ControlReply {
        if !setup.is_in() && data.len() != usize::from(setup.length) {
            return ControlReply::Stall;
        }
        let reply = if setup.is_in() {
            self.read(setup).map(|mut bytes| {
                bytes.truncate(usize::from(setup.length));
                ControlReply::Data(bytes)
            })
        } else {
            self.write(setup, data)
        };
        reply.unwrap_or(ControlReply::Stall)
    }

    fn read(&self, setup: Setup) -> Option<Vec<u8>> {
        let Setup { request_type, request, value, index, .. } = setup;
        let [low, high] = value.to_le_bytes();
        match (request_type, request) {
            (0x80, GET_STATUS) if (value, index) == (0, 0) => Some(vec![0, 0]),
            (0x81, GET_STATUS) if (value, index) == (0, 0) && self.configuration != 0 => Some(vec![0, 0]),
            (0x82, GET_STATUS) if value == 0 => self.endpoint_status(index),
            (0x80, GET_DESCRIPTOR) => match (high, low) {
                (descriptor_type::DEVICE, 0) => Some(descriptors::device(&self.identity).to_vec()),
                (descriptor_type::CONFIGURATION, 0) => Some(descriptors::configuration(&self.identity)),
                // The language in wIndex is ignored, as devices with one language do.
                (descriptor_type::STRING, index) => descriptors::string(&self.identity, index),
                _ => None,
            },
            (0x81, GET_DESCRIPTOR) if index == 0 => match (high, low) {
                (descriptor_type::HID, 0) => Some(descriptors::hid().to_vec()),
                (descriptor_type::REPORT, 0) => Some(descriptors::REPORT_DESCRIPTOR.to_vec()),
                _ => None,
            },
            (0x80, GET_CONFIGURATION) if (value, index) == (0, 0) => Some(vec![self.configuration]),
            (0x81, GET_INTERFACE) if (value, index) == (0, 0) && self.configuration != 0 => Some(vec![0]),
            // Mandatory by HID 1.11 §7.2, and no way to poll: the input report has no state that
            // could be asked for, and must not take a packet away from the interrupt endpoint.
            (0xa1, GET_REPORT) if (value, index) == (INPUT_REPORT, 0) => Some(vec![0; REPORT_SIZE]),
            (0xa1, GET_IDLE) if (value, index) == (0, 0) => Some(vec![self.idle_rate]),
            _ => None,
        }
    }

    fn endpoint_status(&self, address: u16) -> Option<Vec<u8>> {
        let halted = match Endpoint::at(address) {
            Some(Endpoint::In) if self.configuration != 0 => self.halted_in,
            Some(Endpoint::Out) if self.configuration != 0 => self.halted_out,
            None if address & 0x7f == 0 => false,
            _ => return None,
        };
        Some(vec![u8::from(halted), 0])
    }

    fn write(&mut self, setup: Setup, data: &[u8]) -> Option<ControlReply> {
        let Setup { request_type, request, value, index, .. } = setup;
        match (request_type, request) {
            (0x21, SET_REPORT) if (value, index) == (OUTPUT_REPORT, 0) => {
                return padded_report(data).map(ControlReply::Output);
            }
            _ if !data.is_empty() => return None,
            (0x00, SET_CONFIGURATION) if value <= u16::from(descriptors::CONFIGURATION_VALUE) => {
                self.configuration = u8::try_from(value).ok()?;
                self.release_halts();
            }
            (0x01, SET_INTERFACE) if (value, index) == (0, 0) && self.configuration != 0 => {
                self.release_halts();
            }
            (0x02, CLEAR_FEATURE) if value == ENDPOINT_HALT => self.set_halt(index, false)?,
            (0x02, SET_FEATURE) if value == ENDPOINT_HALT => self.set_halt(index, true)?,
            // The low byte of wValue is the report id: 0 is all reports.
            (0x21, SET_IDLE) if value & 0xff == 0 && index == 0 => {
                let [_, rate] = value.to_le_bytes();
                self.idle_rate = rate;
            }
            // A port reset in the words of a hub, which some USB/IP hosts pass on. The device
            // stays configured, as after the kernel's own usb_reset_device().
            (0x23, SET_FEATURE) if value == PORT_RESET => {
                self.idle_rate = 0;
                self.release_halts();
            }
            _ => return None,
        }
        Some(ControlReply::Done)
    }

    fn set_halt(&mut self, address: u16, halted: bool) -> Option<()> {
        if self.configuration == 0 {
            return None;
        }
        match Endpoint::at(address)? {
            Endpoint::In => self.halted_in = halted,
            Endpoint::Out => self.halted_out = halted,
        }
        Some(())
    }

    fn release_halts(&mut self) {
        self.halted_in = false;
        self.halted_out = false;
    }
}

/// Reads an output report of 1 to 64 bytes. A short packet is a complete USB transaction
/// (USB 2.0 §5.7.3); what it does not bring is 0.
pub(crate) fn padded_report(data: &[u8]) -> Option<Report> {
    if data.is_empty() {
        return None;
    }
    let mut report = [0; REPORT_SIZE];
    report.get_mut(..data.len())?.copy_from_slice(data);
    Some(report)
}
