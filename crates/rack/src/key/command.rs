//! The command that a key is carrying out: where it came from, and what it waits for.

use core::future::pending;
use core::time::Duration;

use keyrig_authenticator::{Commit, Gesture};
use keyrig_ctap::hid::RequestId;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{GestureId, Progress, TransactionId};
use crate::database::{Database, NotDurable};

/// Where a command came from, and its answer goes.
pub(super) enum Source {
    Hid(RequestId),
    Direct {
        id: TransactionId,
        reply: oneshot::Sender<Vec<u8>>,
        progress: watch::Sender<Progress>,
    },
    /// Nobody waits for the answer any more. A commit under way is still brought to its end.
    Nobody,
}

/// Who asks for the end of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Hid(RequestId),
    Direct(TransactionId),
}

impl Source {
    pub(super) fn is(&self, asker: Asker) -> bool {
        match self {
            Self::Hid(id) => asker == Asker::Hid(*id),
            Self::Direct { id, .. } => asker == Asker::Direct(*id),
            Self::Nobody => false,
        }
    }
}

/// What a command waits for.
pub(super) enum Wait {
    /// `held_until` is when a touch that has begun will have lasted long enough.
    Gesture { id: GestureId, gesture: Gesture, held_until: Option<Duration> },
    /// `cancelled` is told to the gesture that may come after it.
    Commit { commit: Commit, writing: JoinHandle<(Database, Result<(), NotDurable>)>, cancelled: bool },
}

/// A command under way.
pub(super) struct Command {
    pub(super) source: Source,
    pub(super) wait: Wait,
}

/// Waits until a commit has been written, or could not be. Cancel-safe.
pub(super) async fn written(command: Option<&mut Command>) -> (Database, Result<(), NotDurable>) {
    match command {
        Some(Command { wait: Wait::Commit { writing, .. }, .. }) => {
            writing.await.expect("writing to the database does not panic")
        }
        _ => pending().await,
    }
}
