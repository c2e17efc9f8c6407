//! What is under way on a device: a message that is coming, or one that is to be answered.

use core::time::Duration;

use crate::hid::{ChannelId, Command, KeepaliveStatus, Reassembly};

/// Names one request, so that a late response does not answer another one. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub(super) u64);

/// Which protocol a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// CTAP2: a command byte and CBOR.
    Cbor,
    /// CTAP1/U2F: an APDU.
    Msg,
}

#[derive(Debug, Default)]
pub(super) enum Transaction {
    #[default]
    Idle,
    Receiving {
        action: Action,
        message: Reassembly,
        deadline: Duration,
        /// The device was late at the deadline, and has put it off.
        excused: bool,
    },
    Processing(Processing),
}

impl Transaction {
    pub(super) fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Idle => None,
            Self::Receiving { message, .. } => Some(message.channel()),
            Self::Processing(processing) => Some(processing.channel),
        }
    }
}

#[derive(Debug)]
pub(super) struct Processing {
    pub(super) id: RequestId,
    pub(super) channel: ChannelId,
    pub(super) command: Command,
    pub(super) status: KeepaliveStatus,
    pub(super) next_keepalive: Duration,
    pub(super) cancelled: bool,
}

/// What to do with a message once it is whole. `INIT` and `CANCEL` are acted on at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Ping,
    Wink,
    Lock,
    Request(RequestKind),
    Vendor(u8),
}
