//! The command that a key is carrying out: where it came from, and what it waits for.

use core::future::{Future, pending};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use keyrig_authenticator::{Commit, Gesture};
use keyrig_ctap::hid::RequestId;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{GestureId, Progress};
use crate::database::{Database, NotDurable};

/// Where a command came from, and its answer goes.
pub(super) enum Source {
    Hid(RequestId),
    Direct {
        reply: oneshot::Sender<Vec<u8>>,
        cancel: Option<oneshot::Receiver<()>>,
        progress: watch::Sender<Progress>,
    },
    /// Nobody waits for the answer any more. A commit under way is still brought to its end.
    Nobody,
}

/// What a command waits for.
pub(super) enum Wait {
    /// `held_until` is when a touch that has begun will have lasted long enough.
    Gesture {
        id: GestureId,
        gesture: Gesture,
        held_until: Option<Duration>,
    },
    Commit {
        commit: Commit,
        writing: JoinHandle<(Database, Result<(), NotDurable>)>,
    },
}

/// What happens next to the command under way, apart from what others send.
pub(super) enum Outcome {
    Written(Database, Result<(), NotDurable>),
    Cancelled,
    Abandoned,
}

/// A command under way.
pub(super) struct Command {
    pub(super) source: Source,
    pub(super) wait: Wait,
}

impl Command {
    /// Waits for the disk or for a source without CTAPHID. Cancel-safe.
    pub(super) async fn outcome(&mut self) -> Outcome {
        match &mut self.wait {
            Wait::Commit { writing, .. } => {
                let (database, result) = writing.await.expect("writing to the database does not panic");
                Outcome::Written(database, result)
            }
            Wait::Gesture { .. } => match &mut self.source {
                Source::Direct { reply, cancel, .. } => direct(reply, cancel).await,
                Source::Hid(_) | Source::Nobody => pending().await,
            },
        }
    }
}

async fn direct(reply: &mut oneshot::Sender<Vec<u8>>, cancel: &mut Option<oneshot::Receiver<()>>) -> Outcome {
    let cancelled = Cancelled(cancel);
    tokio::select! {
        biased;
        () = reply.closed() => Outcome::Abandoned,
        () = cancelled => Outcome::Cancelled,
    }
}

/// Resolves when the command is cancelled; never if its canceller is gone, for then only the answer is awaited.
struct Cancelled<'a>(&'a mut Option<oneshot::Receiver<()>>);

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(receiver) = self.0.as_mut() else { return Poll::Pending };
        match Pin::new(receiver).poll(context) {
            Poll::Ready(result) => {
                *self.0 = None;
                if result.is_ok() { Poll::Ready(()) } else { Poll::Pending }
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
