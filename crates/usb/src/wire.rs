//! The USB/IP 1.1.1 codec (Linux: Documentation/usb/usbip_protocol.rst), over byte slices.
//!
//! [`operations`] are exchanged first, to list and to import; [`transfers`] follow on the same
//! connection once a device is imported. Decoding is strict and names the field that is wrong;
//! encoding writes what it is given. A decoder returns `Ok(None)` when the bytes are a true prefix
//! of a message, else the message and the bytes it took. What a sender "shall set to 0" and no
//! receiver reads, such as padding, is written as 0 and not looked at.

pub mod operations;
pub mod transfers;

#[cfg(test)]
mod tests;

use thiserror::Error;

/// The protocol version in messages: 1.1.1.
pub const VERSION: u16 = 0x0111;
/// The TCP port registered for USB/IP.
pub const PORT: u16 = 3240;
/// usb_device_speed of a full-speed device (Linux: include/uapi/linux/usb/ch9.h).
pub const SPEED_FULL: u32 = 2;

/// A message that breaks the protocol: the peer misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The version of an operation is not 1.1.1.
    #[error("version: found {found:#06x}, this side speaks 0x0111")]
    Version {
        /// What the message says.
        found: u16,
    },
    /// The code of an operation is none that is expected here.
    #[error("operation code: {found:#06x} is not expected here")]
    Code {
        /// What the message says.
        found: u16,
    },
    /// The status of a request is not 0.
    #[error("status of a request: found {found}, a request has 0")]
    RequestStatus {
        /// What the message says.
        found: u32,
    },
    /// A text field has no terminating zero, is empty, or is not ASCII without control characters.
    #[error("{field}: not a text closed with a zero byte")]
    Text {
        /// The field: `path` or `busid`.
        field: &'static str,
    },
    /// A reply is about another device than was asked for.
    #[error("busid: the reply is for another device than the request")]
    OtherDevice,
    /// The command of a transfer message is none that is expected here.
    #[error("command: {found:#010x} is not expected here")]
    Command {
        /// What the message says.
        found: u32,
    },
    /// The device id is not that of the imported device.
    #[error("devid: found {found:#010x}, the imported device is {expected:#010x}")]
    DeviceId {
        /// What the message says.
        found: u32,
        /// The imported device's.
        expected: u32,
    },
    /// The direction is neither OUT nor IN.
    #[error("direction: found {found}, it is 0 or 1")]
    Direction {
        /// What the message says.
        found: u32,
    },
    /// The endpoint number is impossible.
    #[error("ep: found {found}, endpoint numbers are 0 to 15")]
    EndpointNumber {
        /// What the message says.
        found: u32,
    },
    /// An isochronous transfer; a security key has no such endpoint.
    #[error("number_of_packets: found {found}, isochronous transfers are not supported")]
    Isochronous {
        /// What the message says.
        found: u32,
    },
    /// A length is more than any transfer of this device can have.
    #[error("{field}: found {found}, at most {limit} here")]
    Length {
        /// The field: `transfer_buffer_length` or `actual_length`.
        field: &'static str,
        /// What the message says.
        found: u32,
        /// The most that is accepted.
        limit: u32,
    },
    /// A sequence number that belongs to another transfer, or to none.
    #[error("seqnum: {found} does not fit the transfers that are pending")]
    SequenceNumber {
        /// What the message says.
        found: u32,
    },
}

/// Reads big-endian fields off the front of a slice; `None` when it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|&[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_be_bytes)
    }
}
