//! The task that owns a key, and the handle by which others speak to it.
//!
//! A driver, which knows no runtime, joins CTAPHID and the authenticator; the task tells it what happens, keeps the key's storage
//! and its clock, and serves one attached host at a time. Commits are awaited off the task's thread; while one is on its way to the
//! disk the key takes reports but finishes no command.

pub mod administration;
mod channel_ids;
mod command;
mod connection;
mod driver;
mod edges;
mod lone;
mod message;
mod task;
mod vendor;

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use keyrig_ctap::hid::RequestKind;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub use connection::{Connection, ToKey};
pub use lone::{LoneKey, StartingPoint};
pub use message::{Farewell, Progress};
pub use task::identity;

pub(crate) use message::{GestureId, News, Notice, TransactionId};
pub(crate) use task::Start;
pub(crate) use vendor::serial_number;

use self::message::{Direct, Message};
use crate::finger::Gesture;

/// Speaks to the task that owns a key.
#[derive(Clone, Debug)]
pub struct KeyHandle {
    /// One queue for all: what was sent first, be it a report, a goodbye or a loss of power, is taken first.
    messages: mpsc::UnboundedSender<Message>,
    transactions: Arc<AtomicU64>,
}

/// The key is unplugged, or was pulled out before it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the key is not plugged in")]
pub struct KeyGone;

/// A CTAP command under way on a key, without CTAPHID.
#[derive(Debug)]
pub struct Transaction {
    id: TransactionId,
    reply: oneshot::Receiver<Vec<u8>>,
    /// Every change, as a command has few of them: what comes and goes at once is told too.
    progress: mpsc::UnboundedReceiver<Progress>,
    /// To cancel and to abandon it, until it is over. Weak, because a key ends with its handles.
    messages: Option<mpsc::WeakUnboundedSender<Message>>,
}

impl KeyHandle {
    /// Starts a CTAP command on the key, without CTAPHID and USB. If a command is under way already, the answer is
    /// `CTAP1_ERR_CHANNEL_BUSY`.
    ///
    /// Dropping the transaction abandons the command, as CTAPHID_INIT would.
    #[must_use]
    pub fn transact(&self, message: Vec<u8>) -> Transaction {
        self.start(RequestKind::Cbor, message)
    }

    /// Sends the key a CTAP1/U2F message, without CTAPHID and USB. If a command is under way, the answer is that of a key that
    /// was not touched: ask again.
    #[must_use]
    pub fn transact_u2f(&self, message: Vec<u8>) -> Transaction {
        self.start(RequestKind::Msg, message)
    }

    fn start(&self, kind: RequestKind, message: Vec<u8>) -> Transaction {
        let id = TransactionId(self.transactions.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let (progress, watched) = mpsc::unbounded_channel();
        // A task that has ended drops the message, and the transaction finds out.
        let _ = self.messages.send(Message::Transact(Direct { id, kind, message, reply, progress }));
        Transaction { id, reply: answer, progress: watched, messages: Some(self.messages.downgrade()) }
    }

    /// Whether both lead to the same key.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.messages.same_channel(&other.messages)
    }

    /// Whether the key is no more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.messages.is_closed()
    }

    /// Waits until the key is no more. Cancel-safe.
    pub async fn gone(&self) {
        self.messages.closed().await;
    }

    pub(crate) async fn plug(&self) -> Result<Result<(), keyrig_usb::PlugError>, KeyGone> {
        let (done, plugged) = oneshot::channel();
        self.messages.send(Message::Plug { done }).map_err(|_| KeyGone)?;
        plugged.await.map_err(|_| KeyGone)
    }

    pub(crate) async fn unplug(&self) -> Result<(), KeyGone> {
        let (done, unplugged) = oneshot::channel();
        self.messages.send(Message::Unplug { done }).map_err(|_| KeyGone)?;
        unplugged.await.map_err(|_| KeyGone)
    }

    /// Ends the key, whoever has a handle to it, and waits until it has let everything go.
    pub(crate) async fn end(&self) {
        let (done, ended) = oneshot::channel();
        if self.messages.send(Message::End { done }).is_ok() {
            // It is told, or dropped by a task that has ended.
            let _ = ended.await;
        }
    }

    /// Touches it though it waits for nothing.
    pub(crate) fn touch_unasked(&self) {
        // A task that has ended is touched by nobody.
        let _ = self.messages.send(Message::TouchUnasked);
    }

    pub(crate) fn gesture(&self, id: GestureId, gesture: Gesture) {
        // A task that has ended waits for no gesture.
        let _ = self.messages.send(Message::Gesture { id, gesture });
    }
}

impl Transaction {
    /// Waits for the answer. Cancel-safe.
    ///
    /// # Errors
    /// [`KeyGone`] if the key is unplugged or is pulled out meanwhile.
    ///
    /// # Panics
    /// If it has given the answer already.
    pub async fn answer(&mut self) -> Result<Vec<u8>, KeyGone> {
        self.parts().0.await
    }

    /// Cancels the command, as CTAPHID_CANCEL does: the answer comes soon, and is
    /// `CTAP2_ERR_KEEPALIVE_CANCEL` if the key waited for a touch.
    pub fn cancel(&mut self) {
        self.tell(Message::Cancel { id: self.id });
    }

    fn tell(&self, message: Message) {
        if let Some(messages) = self.messages.as_ref().and_then(mpsc::WeakUnboundedSender::upgrade) {
            // The key may have ended.
            let _ = messages.send(message);
        }
    }

    /// The answer, as [`answer`](Self::answer) awaits it, beside what the key does: changes are seen as they happen, and end
    /// when the command does.
    pub fn parts(
        &mut self,
    ) -> (impl Future<Output = Result<Vec<u8>, KeyGone>>, &mut mpsc::UnboundedReceiver<Progress>) {
        let Self { reply, progress, messages, .. } = self;
        let answer = async {
            let answer = reply.await;
            *messages = None;
            answer.map_err(|_| KeyGone)
        };
        (answer, progress)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.tell(Message::Abandon { id: self.id });
    }
}

/// Starts the task of a key, which ends when every handle is dropped.
pub(crate) fn spawn(start: Start) -> KeyHandle {
    let (messages, inbox) = mpsc::unbounded_channel();
    tokio::spawn(task::Task::new(start, inbox).run());
    KeyHandle { messages, transactions: Arc::default() }
}
