//! The command that a key is carrying out: where it came from, and what it waits for.

use core::time::Duration;

use keyrig_authenticator::{Channel, Commit, Gesture};
use keyrig_ctap::Status;
use keyrig_ctap::hid::{MAX_MESSAGE_SIZE, RequestId, RequestKind};
use keyrig_ctap::u2f::StatusWord;

use super::message::{GestureId, TransactionId};

/// A message that came, from where, and what its answer is for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) source: Source,
    pub(super) kind: RequestKind,
    pub(super) message: Vec<u8>,
}

/// Where a command came from, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) channel: Channel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceId {
    Hid(RequestId),
    Direct(TransactionId),
}

/// A command under way.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) kind: RequestKind,
    pub(super) interest: Interest,
    pub(super) wait: Wait,
}

/// Who is interested in how a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Its sender.
    Of(Source),
    /// The same, who has cancelled it: a gesture that it comes to is not waited for.
    Cancelled(Source),
    /// Nobody any more. What it has begun is brought to its end, as far as that needs no gesture.
    Nobody,
    /// Nobody, as the power was lost: a commit under way is told, and nothing comes after it.
    PowerLost,
}

/// What a command waits for.
#[derive(Debug)]
pub(super) enum Wait {
    /// `held_until` is when a touch that has begun will have lasted long enough.
    Gesture {
        id: GestureId,
        gesture: Gesture,
        held_until: Option<Duration>,
    },
    Commit(Commit),
    /// Nothing: there will be no answer.
    Forever,
}

impl Command {
    pub(super) fn is_of(&self, id: SourceId) -> bool {
        match self.interest {
            Interest::Of(source) | Interest::Cancelled(source) => source.id == id,
            Interest::Nobody | Interest::PowerLost => false,
        }
    }

    pub(super) fn waits_for(&self, gesture: GestureId) -> bool {
        matches!(self.wait, Wait::Gesture { id, .. } if id == gesture)
    }
}

/// The answer while a command is under way that came another way. CTAP1/U2F knows but one word for later.
pub(super) fn busy(kind: RequestKind) -> Vec<u8> {
    match kind {
        RequestKind::Cbor => vec![Status::ChannelBusy.into()],
        RequestKind::Msg => StatusWord::ConditionsNotSatisfied.response(),
    }
}

/// An answer that no message carries would be silence: that something is wrong with the key is said instead.
pub(super) fn fitting(kind: RequestKind, answer: Vec<u8>) -> Vec<u8> {
    match kind {
        _ if answer.len() <= MAX_MESSAGE_SIZE => answer,
        RequestKind::Cbor => vec![Status::OtherError.into()],
        RequestKind::Msg => StatusWord::UnknownError.response(),
    }
}
