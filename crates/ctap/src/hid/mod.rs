//! CTAPHID: how CTAP messages travel in 64-byte HID reports, as two state machines without I/O.
//!
//! A host opens a channel (`INIT` on the broadcast channel), then sends one message at a time on it; the
//! authenticator answers on the same channel. A message is one initialisation packet and up to 128 continuation
//! packets. While one channel has a transaction, every other channel is told that the device is busy.
//! CTAP 2.3 §11.2, USB Human Interface Device, is the source of everything here. CTAP 2.1 numbers its parts alike.
//!
//! [`Device`] is the authenticator's side, [`Host`] the platform's. Both take time as a parameter: a [`Duration`]
//! since an epoch of the driver's choosing, the same for all calls, and never going back.
//!
//! # The driving contract
//!
//! **Mutate, then drain events, then drain reports, then set the timer.** After every call that takes `&mut self` and
//! may change something (`receive`, `handle_timeout`, `respond`, `set_status`, `request`, ...):
//!
//! 1. **call `poll_event` until it is empty** and act on what it says; acting on it may be a mutation again;
//! 2. **call `poll_report` while the other end has room for a report**, and not further: a report that has been taken
//!    counts as delivered. What is not taken stays, in bounded memory, for as long as the other end does not read;
//! 3. **set one timer to `poll_timeout`**, replacing the one before (`None`: no timer), and call `handle_timeout` when
//!    it expires. `poll_report` changes what `poll_timeout` says, so this comes last, also when a report was taken
//!    much later than it was queued.
//!
//! ```
//! use core::time::Duration;
//! use keyrig_ctap::hid::{Capabilities, Command, Device, DeviceConfig, DeviceEvent, Host, HostEvent};
//!
//! let mut device = Device::new(DeviceConfig { device_version: [1, 0, 0], capabilities: Capabilities::CBOR, ..DeviceConfig::default() });
//! let mut host = Host::new();
//! let (now, patience) = (Duration::ZERO, Duration::from_secs(2));
//! let mut random = |bytes: &mut [u8]| bytes.fill(7);
//! let mut carry = |host: &mut Host, device: &mut Device| {
//!     while let Some(report) = host.poll_report() {
//!         device.receive(&report, now, &mut random);
//!     }
//!     while let Some(DeviceEvent::Request { id, .. }) = device.poll_event() {
//!         device.respond(id, vec![0x00]).unwrap();
//!     }
//!     while let Some(report) = device.poll_report() {
//!         host.receive(&report, now);
//!     }
//! };
//!
//! host.open([1; 8], patience, now).unwrap();
//! carry(&mut host, &mut device);
//! assert!(matches!(host.poll_event(), Some(HostEvent::Opened(_))));
//!
//! host.request(Command::Cbor, vec![0x04], patience, now).unwrap();
//! carry(&mut host, &mut device);
//! assert_eq!(host.poll_event(), Some(HostEvent::Response(vec![0x00])));
//! ```
//!
//! [`Duration`]: core::time::Duration

mod channels;
mod device;
mod host;
mod init;
mod message;
mod packet;

#[cfg(test)]
mod tests;

use core::fmt;

pub use device::{Device, DeviceConfig, DeviceEvent, RequestId, RequestKind, RespondError};
pub use host::{Host, HostEvent, HostMisuse, Misbehaviour, TransactionError};
pub use init::{InitResponse, InitResponseTooShort};
pub use message::{Message, MessageTooLong, Reassembly, WrongSequence};
pub use packet::{Continuation, Initialization, Packet};

/// Bytes in a HID report, without a report id: CTAPHID declares none. CTAP 2.3 §11.2.8.
pub const REPORT_SIZE: usize = 64;

/// One HID report in either direction, which is one CTAPHID packet.
pub type Report = [u8; REPORT_SIZE];

/// Most bytes a message carries: 57 in the initialisation packet and 59 in each of 128 continuation packets.
/// CTAP 2.3 §11.2.4.
pub const MAX_MESSAGE_SIZE: usize = 7609;

/// Bytes in the nonce by which a host finds the answer to its own `INIT`. CTAP 2.3 §11.2.9.1.3.
pub const NONCE_SIZE: usize = 8;

/// The version of CTAPHID that an `INIT` response announces. CTAP 2.3 §11.2.9.1.3.
pub const PROTOCOL_VERSION: u8 = 2;

/// One of the hosts that share a device: programs on one socket, say, each of which is to hear of its own channels only. The
/// driver numbers them. A USB device has one host, and needs none of this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u64);

/// Names one conversation between a host application and the device. CTAP 2.3 §11.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// Never allocated; a packet on it is answered with [`ErrorCode::InvalidChannel`].
    pub const RESERVED: Self = Self(0);
    /// Where a host asks for a channel of its own.
    pub const BROADCAST: Self = Self(0xffff_ffff);
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What an initialisation packet asks for, or answers: seven bits. CTAP 2.3 §11.2.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// 0x01: send the payload back.
    Ping,
    /// 0x03: a CTAP1/U2F message, an APDU.
    Msg,
    /// 0x04: keep other channels out for up to ten seconds.
    Lock,
    /// 0x06: allocate a channel, or resynchronise the one it came on.
    Init,
    /// 0x08: make oneself noticed.
    Wink,
    /// 0x10: a CTAP2 message.
    Cbor,
    /// 0x11: cancel the CTAP2 request in progress. Never answered.
    Cancel,
    /// 0x3B: the request is still being worked on. Sent by the authenticator only.
    Keepalive,
    /// 0x3F: the request failed below CTAP. Sent by the authenticator only.
    Error,
    /// Anything else; 0x40 to 0x7F belong to vendors.
    Other(u8),
}

impl From<u8> for Command {
    /// Ignores the top bit, which only says that the packet is an initialisation packet.
    fn from(byte: u8) -> Self {
        match byte & 0x7f {
            0x01 => Self::Ping,
            0x03 => Self::Msg,
            0x04 => Self::Lock,
            0x06 => Self::Init,
            0x08 => Self::Wink,
            0x10 => Self::Cbor,
            0x11 => Self::Cancel,
            0x3b => Self::Keepalive,
            0x3f => Self::Error,
            other => Self::Other(other),
        }
    }
}

impl From<Command> for u8 {
    fn from(command: Command) -> Self {
        match command {
            Command::Ping => 0x01,
            Command::Msg => 0x03,
            Command::Lock => 0x04,
            Command::Init => 0x06,
            Command::Wink => 0x08,
            Command::Cbor => 0x10,
            Command::Cancel => 0x11,
            Command::Keepalive => 0x3b,
            Command::Error => 0x3f,
            Command::Other(other) => other & 0x7f,
        }
    }
}

/// As the specification spells it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "CTAPHID_PING",
            Self::Msg => "CTAPHID_MSG",
            Self::Lock => "CTAPHID_LOCK",
            Self::Init => "CTAPHID_INIT",
            Self::Wink => "CTAPHID_WINK",
            Self::Cbor => "CTAPHID_CBOR",
            Self::Cancel => "CTAPHID_CANCEL",
            Self::Keepalive => "CTAPHID_KEEPALIVE",
            Self::Error => "CTAPHID_ERROR",
            Self::Other(byte @ 0x40..=0x7F) => return write!(f, "vendor(0x{byte:02X})"),
            Self::Other(byte) => return write!(f, "command(0x{byte:02X})"),
        })
    }
}

/// Why a transaction failed, as the payload of a `CTAPHID_ERROR` says. CTAP 2.3 §11.2.9.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 0x01: the command is not known or is not supported.
    InvalidCmd,
    /// 0x02: a parameter is out of range.
    InvalidPar,
    /// 0x03: the length is not valid for the command.
    InvalidLen,
    /// 0x04: a packet came out of sequence.
    InvalidSeq,
    /// 0x05: the rest of the message did not come in time.
    MsgTimeout,
    /// 0x06: another transaction is in progress; try again after a short while.
    ChannelBusy,
    /// 0x0A: the command needs the channel lock.
    LockRequired,
    /// 0x0B: the channel is not allocated, or the command is not allowed on it.
    InvalidChannel,
    /// 0x7F: something else.
    Other,
    /// A code that the specification does not define.
    Undefined(u8),
}

impl From<u8> for ErrorCode {
    fn from(byte: u8) -> Self {
        match byte {
            0x01 => Self::InvalidCmd,
            0x02 => Self::InvalidPar,
            0x03 => Self::InvalidLen,
            0x04 => Self::InvalidSeq,
            0x05 => Self::MsgTimeout,
            0x06 => Self::ChannelBusy,
            0x0a => Self::LockRequired,
            0x0b => Self::InvalidChannel,
            0x7f => Self::Other,
            undefined => Self::Undefined(undefined),
        }
    }
}

impl From<ErrorCode> for u8 {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidCmd => 0x01,
            ErrorCode::InvalidPar => 0x02,
            ErrorCode::InvalidLen => 0x03,
            ErrorCode::InvalidSeq => 0x04,
            ErrorCode::MsgTimeout => 0x05,
            ErrorCode::ChannelBusy => 0x06,
            ErrorCode::LockRequired => 0x0a,
            ErrorCode::InvalidChannel => 0x0b,
            ErrorCode::Other => 0x7f,
            ErrorCode::Undefined(undefined) => undefined,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::InvalidCmd => "ERR_INVALID_CMD",
            Self::InvalidPar => "ERR_INVALID_PAR",
            Self::InvalidLen => "ERR_INVALID_LEN",
            Self::InvalidSeq => "ERR_INVALID_SEQ",
            Self::MsgTimeout => "ERR_MSG_TIMEOUT",
            Self::ChannelBusy => "ERR_CHANNEL_BUSY",
            Self::LockRequired => "ERR_LOCK_REQUIRED",
            Self::InvalidChannel => "ERR_INVALID_CHANNEL",
            Self::Other => "ERR_OTHER",
            Self::Undefined(_) => "undefined error",
        };
        write!(f, "{name} (0x{:02x})", u8::from(*self))
    }
}

/// What a device says of itself in its `INIT` response: a set of bits. CTAP 2.3 §11.2.9.1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u8);

impl Capabilities {
    /// 0x01: implements `WINK`.
    pub const WINK: Self = Self(0x01);
    /// 0x04: implements `CBOR`, that is CTAP2.
    pub const CBOR: Self = Self(0x04);
    /// 0x08: does *not* implement `MSG`, that is CTAP1/U2F.
    pub const NMSG: Self = Self(0x08);

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the authenticator is doing about a CTAP2 request. CTAP 2.3 §11.2.9.1.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeepaliveStatus {
    /// 1: it computes.
    Processing,
    /// 2: it waits for the user to touch it.
    UpNeeded,
}

impl KeepaliveStatus {
    /// The status that a byte stands for; `None` if the specification defines none.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Processing),
            2 => Some(Self::UpNeeded),
            _ => None,
        }
    }
}

impl From<KeepaliveStatus> for u8 {
    fn from(status: KeepaliveStatus) -> Self {
        match status {
            KeepaliveStatus::Processing => 1,
            KeepaliveStatus::UpNeeded => 2,
        }
    }
}
