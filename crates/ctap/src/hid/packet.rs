//! The packet: what 64 bytes say, and 64 bytes that say anything at all.
//!
//! Every report is one packet or the other by the top bit of its fifth byte, so parsing cannot fail; whether a packet
//! makes sense where it stands is for [`Reassembly`](super::Reassembly), [`Device`](super::Device) and
//! [`Host`](super::Host) to say. The fields are public and unchecked so that a rig can send wrong lengths, wrong
//! sequence numbers and commands that do not exist. CTAP 2.3 §11.2.4.

use super::{ChannelId, Command, REPORT_SIZE, Report};

const INITIALIZATION_DATA_SIZE: usize = REPORT_SIZE - 7;
const CONTINUATION_DATA_SIZE: usize = REPORT_SIZE - 5;

/// One CTAPHID packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The first packet of a message.
    Initialization(Initialization),
    /// Any further packet of a message.
    Continuation(Continuation),
}

/// The first packet of a message: what it is, how long, and the first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialization {
    /// The channel.
    pub channel: ChannelId,
    /// The command, or what is answered.
    pub command: Command,
    /// Bytes in the whole message as the sender claims (BCNT), whatever follows.
    pub length: u16,
    /// The first bytes of the payload; zeros beyond its end.
    pub data: [u8; INITIALIZATION_DATA_SIZE],
}

/// A further packet of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The channel.
    pub channel: ChannelId,
    /// Counts continuation packets from 0 to 127; the top bit is not sent.
    pub sequence: u8,
    /// The next bytes of the payload; zeros beyond its end.
    pub data: [u8; CONTINUATION_DATA_SIZE],
}

impl Packet {
    /// Reads a report.
    #[must_use]
    pub fn parse(report: &Report) -> Self {
        let [c0, c1, c2, c3, kind, rest @ ..] = *report;
        let channel = ChannelId(u32::from_be_bytes([c0, c1, c2, c3]));
        if kind & 0x80 == 0 {
            return Self::Continuation(Continuation { channel, sequence: kind, data: rest });
        }
        let [high, low, data @ ..] = rest;
        Self::Initialization(Initialization {
            channel,
            command: Command::from(kind),
            length: u16::from_be_bytes([high, low]),
            data,
        })
    }
}

impl Initialization {
    /// Bytes of payload that fit.
    pub const DATA_SIZE: usize = INITIALIZATION_DATA_SIZE;

    /// A packet that claims `length` and carries as much of `data` as fits, zeros after it.
    #[must_use]
    pub fn new(channel: ChannelId, command: Command, length: u16, data: &[u8]) -> Self {
        Self { channel, command, length, data: padded(data) }
    }

    /// The packet as a report.
    #[must_use]
    pub fn to_report(&self) -> Report {
        let [c0, c1, c2, c3] = self.channel.0.to_be_bytes();
        let [high, low] = self.length.to_be_bytes();
        let command = u8::from(self.command) | 0x80;
        concatenated(&[c0, c1, c2, c3, command, high, low], &self.data)
    }
}

impl Continuation {
    /// Bytes of payload that fit.
    pub const DATA_SIZE: usize = CONTINUATION_DATA_SIZE;

    /// A packet that carries as much of `data` as fits, zeros after it.
    #[must_use]
    pub fn new(channel: ChannelId, sequence: u8, data: &[u8]) -> Self {
        Self { channel, sequence, data: padded(data) }
    }

    /// The packet as a report.
    #[must_use]
    pub fn to_report(&self) -> Report {
        let [c0, c1, c2, c3] = self.channel.0.to_be_bytes();
        concatenated(&[c0, c1, c2, c3, self.sequence & 0x7f], &self.data)
    }
}

fn padded<const N: usize>(data: &[u8]) -> [u8; N] {
    concatenated(&[], data)
}

fn concatenated<const N: usize>(head: &[u8], tail: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (slot, byte) in bytes.iter_mut().zip(head.iter().chain(tail)) {
        *slot = *byte;
    }
    bytes
}
