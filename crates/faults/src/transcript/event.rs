//! What a transcript consists of.

use core::fmt;
use core::str::FromStr;

use keyrig_rack::Feedback;
use keyrig_usb::Identity;
use serde::{Deserialize, Serialize};

use super::explanation::Explanation;
use super::hexadecimal;
use super::note::Note;
use super::value::Members;

/// Something that happened, at a key or to the transcript. As JSON, which `crates/keyrig/schemas/trace.json` describes, each is a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was: microseconds since the transcript's start, by the key's clock.
    pub at_us: u64,
    /// The key; none if it is about the transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// A transcript begins.
    Trace(Header),
    /// A HID report passed, which is a CTAPHID packet.
    Report {
        /// Where to.
        direction: Direction,
        /// Who sent or gets it.
        peer: String,
        /// Its 64 bytes, in hexadecimal.
        #[serde(with = "hexadecimal")]
        bytes: Vec<u8>,
    },
    /// A USB host made a control request. When, is by the machine's clock.
    Control {
        /// bRequest's name, where the USB or HID specification has one for it.
        request: String,
        /// The eight bytes of the setup packet, in hexadecimal.
        setup: String,
        /// 0, or the error that the host got, such as -32 for a stall.
        status: i32,
        /// What was moved, in hexadecimal.
        #[serde(with = "hexadecimal")]
        bytes: Vec<u8>,
    },
    /// A CTAPHID message passed whole.
    Message {
        /// Where to.
        direction: Direction,
        /// Who sent or gets it.
        peer: String,
        /// The channel, eight hexadecimal digits.
        channel: String,
        /// The command, as `CTAPHID_INIT`.
        command: String,
        /// Bytes of payload.
        length: usize,
        /// What it says, but for CTAPHID_CBOR and CTAPHID_MSG, which are requests and responses of their own.
        #[serde(default, skip_serializing_if = "Members::is_empty")]
        members: Members,
        /// The payload in hexadecimal, but for those two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<String>,
    },
    /// A CTAPHID message did not come whole, or a packet has no place in any.
    BrokenMessage {
        /// Where to.
        direction: Direction,
        /// Who sent or gets it.
        peer: String,
        /// The channel, eight hexadecimal digits.
        channel: String,
        /// What is wrong.
        reason: String,
    },
    /// The authenticator was given a request.
    Request {
        /// Counts exchanges, one for each request, from 1.
        exchange: u64,
        /// Who asked.
        peer: String,
        /// The channel, eight hexadecimal digits.
        channel: String,
        /// The command, as `authenticatorGetAssertion` or `U2F_REGISTER`.
        command: String,
        /// The subcommand, as `getPINRetries`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subcommand: Option<String>,
        /// Its members by their names in the specification.
        #[serde(default, skip_serializing_if = "Members::is_empty")]
        members: Members,
        /// Why it can't be decoded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        malformed: Option<String>,
        /// The message in hexadecimal, unless something in it is masked and there is no seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<String>,
    },
    /// It was answered.
    Response {
        /// The exchange; 0 if nobody asked.
        exchange: u64,
        /// Who asked.
        peer: String,
        /// The channel, eight hexadecimal digits.
        channel: String,
        /// The command that is answered.
        command: String,
        /// Its subcommand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subcommand: Option<String>,
        /// The status by its name, as `CTAP2_OK` or `SW_NO_ERROR`.
        status: String,
        /// The status as a number.
        status_code: u16,
        /// Microseconds since the request.
        took_us: u64,
        /// Its members by their names in the specification.
        #[serde(default, skip_serializing_if = "Members::is_empty")]
        members: Members,
        /// Why it can't be decoded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        malformed: Option<String>,
        /// The message in hexadecimal, unless something in it is masked and there is no seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<String>,
    },
    /// The key was plugged in.
    Plugged,
    /// It was pulled out.
    Unplugged,
    /// A USB host has taken it, which powers it up anew.
    Attached,
    /// A USB host has let it go.
    Detached,
    /// It waits for a gesture of its user.
    Waiting {
        /// The command that asks.
        command: String,
        /// Whether it verifies its user by that.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        for_verification: bool,
    },
    /// It waits no more.
    WaitEnded {
        /// How that ended.
        touch: Touch,
    },
    /// A host had it wink.
    Winked,
    /// Its discoverable credentials are more or fewer.
    Stored {
        /// How many there are now.
        discoverable_credentials: usize,
    },
    /// Programs use it without USB, or do so no more.
    Programs {
        /// How many there are now.
        programs: usize,
    },
    /// A program has come that speaks CTAPHID without USB.
    Connected {
        /// What its messages are from.
        peer: String,
    },
    /// It has gone.
    Disconnected {
        /// What its messages were from.
        peer: String,
    },
    /// Whoever sent the message without CTAPHID that is under way cancels it.
    CancelAsked,
    /// Whoever sent the message without CTAPHID that is under way has gone.
    Abandoned,
    /// The key's owner has changed what it keeps, beside all hosts: a PIN set, a credential imported, and the like.
    Administered,
    /// It was touched though it waits for nothing, and keeps that for a request to come: a known bug.
    TouchedUnasked,
    /// From here on something goes wrong with it on purpose. When, is by the machine's clock.
    FaultOn {
        /// What: the fault, with its parameters.
        fault: String,
    },
    /// From here on it does no more. When, is by the machine's clock.
    FaultOff {
        /// Which: of a name alone all of that name; without it all that were on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
    },
    /// Something went wrong with it on purpose.
    Fault {
        /// What: the fault as it was switched on.
        fault: String,
    },
    /// A page noted what it asked of its browser, and what came of it. When, is by the machine's clock.
    Observed(Note),
    /// A ceremony of a browser, or of another platform, failed: why, from what keys heard.
    Explained(Explanation),
    /// The transcript ends, and all that was heard is in it. One that has no such line at its end was cut short.
    End,
    /// Events were lost, because they came faster than they could be written.
    Gap {
        /// How many, of all keys.
        missed: u64,
    },
}

impl What {
    /// A control request by its setup packet.
    pub(super) fn control(setup: [u8; 8], status: i32, bytes: Vec<u8>) -> Self {
        Self::Control { request: request_name(setup), setup: hexadecimal::encode(&setup), status, bytes }
    }
}

/// The name of a control request (USB 2.0 table 9-4, HID 1.11 §7.2).
fn request_name([request_type, request, ..]: [u8; 8]) -> String {
    let name = match (request_type & 0x60, request) {
        (0x00, 0) => "GET_STATUS",
        (0x00, 1) => "CLEAR_FEATURE",
        (0x00, 3) => "SET_FEATURE",
        (0x00, 5) => "SET_ADDRESS",
        (0x00, 6) => "GET_DESCRIPTOR",
        (0x00, 8) => "GET_CONFIGURATION",
        (0x00, 9) => "SET_CONFIGURATION",
        (0x00, 10) => "GET_INTERFACE",
        (0x00, 11) => "SET_INTERFACE",
        (0x20, 1) => "GET_REPORT",
        (0x20, 2) => "GET_IDLE",
        (0x20, 3) => "GET_PROTOCOL",
        (0x20, 9) => "SET_REPORT",
        (0x20, 10) => "SET_IDLE",
        (0x20, 11) => "SET_PROTOCOL",
        _ => return format!("request(0x{request_type:02X}, 0x{request:02X})"),
    };
    name.to_owned()
}

/// How a key's wait for a gesture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Touch {
    /// The user touched it.
    Touched,
    /// It asked for a verification of its user, and was touched by that.
    Verified,
    /// The same, by somebody else.
    Missed,
    /// The user refused.
    Denied,
    /// Whoever asked wants it no more, or the power was lost.
    Cancelled,
    /// No gesture came in time.
    TimedOut,
    /// It asked for a sample of a fingerprint, which was not good: why, as `too-fast`.
    #[serde(untagged)]
    Sampled(Feedback),
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Touched => "touched",
            Self::Verified => "verified",
            Self::Missed => "missed",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::Sampled(feedback) => return feedback.fmt(f),
        })
    }
}

/// Where to, as USB says it: OUT is to the key, IN is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the key.
    Out,
    /// To the host.
    In,
}

/// What a transcript says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this form: 1.
    pub format: u32,
    /// Who wrote it down, as `keyrig 0.1.0` or `usbmon`.
    pub recorded_by: String,
    /// When it began, microseconds since 1970-01-01T00:00:00Z.
    pub started_unix_us: u64,
    /// Whether secrets are masked in members.
    pub masked: bool,
    /// The seed from which all follows that is random, if there was one: such a session can be [replayed](crate::replay).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What whoever passes it on should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The keys, if they are known beforehand.
    pub keys: Vec<KeyInTrace>,
}

/// A key, as a transcript introduces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyInTrace {
    /// Its name.
    pub name: String,
    /// Its profile.
    pub profile: String,
    /// The known bugs that it has beside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<String>,
    /// The RP IDs that it gives enterprise attestations to, once that is enabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enterprise_rps: Vec<String>,
    /// How it looks on USB, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb: Option<Identity>,
    /// From where it starts, if all that is random in it follows from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

/// From where a key starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The [snapshot](keyrig_rack::snapshot) of what it keeps, in hexadecimal.
    #[serde(with = "hexadecimal")]
    pub snapshot: Vec<u8>,
    /// How far its randomness has come, in words of four bytes.
    pub position: u64,
}

/// How closely one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// HID reports and control requests.
    Usb,
    /// CTAPHID messages.
    Ctaphid,
    /// CTAP and U2F requests and responses.
    Ctap,
}

/// A text names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the levels are usb, ctaphid and ctap")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text {
            "usb" => Ok(Self::Usb),
            "ctaphid" => Ok(Self::Ctaphid),
            "ctap" => Ok(Self::Ctap),
            _ => Err(UnknownLevel),
        }
    }
}

impl Event {
    /// The level that it is of; none for what belongs to all.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        match &self.what {
            What::Report { .. } | What::Control { .. } => Some(Level::Usb),
            What::Message { .. } | What::BrokenMessage { .. } => Some(Level::Ctaphid),
            What::Request { .. } | What::Response { .. } => Some(Level::Ctap),
            _ => None,
        }
    }
}
