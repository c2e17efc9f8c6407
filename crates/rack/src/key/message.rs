//! What a key's task is told, and what it tells.

use keyrig_authenticator::store::Change;
use keyrig_authenticator::{Asks, Authenticator, Reason};
use keyrig_ctap::hid::{Peer, Report, RequestKind};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::finger::Gesture;
use crate::key_name::KeyName;
use crate::seams::{Ended, Happening};
use crate::storage::NotDurable;

/// What a key does for a command that came without CTAPHID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It computes.
    #[default]
    Processing,
    /// It waits for a touch.
    UpNeeded,
}

/// Identifies one gesture that one key waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GestureId(pub(super) u64);

/// Identifies one command that came without CTAPHID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TransactionId(pub(super) u64);

/// To a key's task.
#[derive(Debug)]
pub(crate) enum Message {
    Plug {
        done: oneshot::Sender<Result<(), keyrig_usb::PlugError>>,
    },
    Unplug {
        done: oneshot::Sender<()>,
    },
    /// The key is to be no more.
    End {
        done: oneshot::Sender<()>,
    },
    /// Its owner has something done with it.
    Work(Box<dyn Work>),
    Gesture {
        id: GestureId,
        gesture: Gesture,
    },
    /// The user touches it though it waits for nothing.
    TouchUnasked,
    Transact(Direct),
    Cancel {
        id: TransactionId,
    },
    Abandon {
        id: TransactionId,
    },
    Connect {
        to_program: mpsc::Sender<Report>,
        farewell: Farewell,
        connected: oneshot::Sender<Peer>,
    },
    /// A report, and the place that it takes among those of its program that the key has not taken yet.
    Report {
        peer: Peer,
        report: Report,
        place: OwnedSemaphorePermit,
    },
    Disconnect {
        peer: Peer,
    },
    /// Of these programs, and among them of those that nothing goes on for, the one that has been silent longest is to be disconnected.
    Displace {
        candidates: Vec<Peer>,
        displaced: oneshot::Sender<Option<Peer>>,
    },
}

/// An act as the key's task carries it out: begun, made durable, and told of.
pub(crate) trait Work: Send {
    /// Begins it: the changes to be made durable, and whether they replace everything. Nothing if it is refused, or was but a question.
    fn begin(&mut self, authenticator: &mut Authenticator) -> Option<(Vec<Change>, bool)>;

    /// The changes are durable, or are not and will not be.
    fn end(self: Box<Self>, authenticator: &mut Authenticator, durable: Result<(), NotDurable>);
}

impl core::fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Work")
    }
}

/// A CTAP message that came without CTAPHID.
#[derive(Debug)]
pub(crate) struct Direct {
    pub(super) id: TransactionId,
    pub(super) kind: RequestKind,
    pub(super) message: Vec<u8>,
    pub(super) reply: oneshot::Sender<Vec<u8>>,
    pub(super) progress: mpsc::UnboundedSender<Progress>,
}

/// From a key's task to the rack.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) key: KeyName,
    pub(crate) news: News,
}

/// What a rack hears of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Waiting { id: GestureId, reason: Reason, asks: Asks },
    NotWaiting { id: GestureId, ended: Ended },
    Attached(bool),
    Programs { programs: usize, over_udp: usize },
    Stored { discoverable_credentials: usize },
    Winked,
}

impl Ended {
    /// What a gesture is to a key that asks for this.
    pub(super) fn by(gesture: Gesture, asks: Asks) -> Self {
        match (gesture, asks) {
            (Gesture::Deny, _) => Self::Denied,
            (Gesture::Touch, Asks::Verification) => Self::Verified,
            (Gesture::Miss, Asks::Verification | Asks::Sample) => Self::Missed,
            (Gesture::Sample(feedback), Asks::Verification) if feedback.is_good() => Self::Verified,
            (Gesture::Sample(_), Asks::Verification) => Self::Missed,
            (Gesture::Sample(feedback), Asks::Sample) if !feedback.is_good() => Self::Sampled(feedback),
            _ => Self::Touched,
        }
    }
}

impl From<News> for Happening {
    fn from(news: News) -> Self {
        match news {
            News::Waiting { reason, asks, .. } => Self::Waiting(reason, asks),
            News::NotWaiting { ended, .. } => Self::WaitEnded(ended),
            News::Attached(true) => Self::Attached,
            News::Attached(false) => Self::Detached,
            News::Programs { programs, .. } => Self::Programs(programs),
            News::Stored { discoverable_credentials } => Self::Stored(discoverable_credentials),
            News::Winked => Self::Winked,
        }
    }
}

/// Whether the end of a program is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Its connection ends with it.
    Said,
    /// It sends datagrams, and at some time no more.
    Never,
}
