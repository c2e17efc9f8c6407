//! A program's way to a key without USB: CTAPHID reports, on channels of its own.

use keyrig_ctap::hid::{Peer, Report};
use tokio::sync::{mpsc, oneshot};

use super::{KeyGone, KeyHandle, Message};

/// Reports from programs that the key has not taken yet.
pub(super) const TO_KEY: usize = 16;

/// Reports that a program has not taken yet: more than the longest CTAPHID message has.
const TO_PROGRAM: usize = 256;

/// A program that speaks CTAPHID to a key beside whatever else does. It hears of the channels that it opens itself, and of no
/// other's.
///
/// It ends when the key loses power: when it is unplugged, and when a USB host takes it or lets it go.
#[derive(Debug)]
pub struct Connection {
    to_key: ToKey,
    from_key: mpsc::Receiver<Report>,
}

/// The half of a connection that leads to the key.
#[derive(Debug)]
pub(crate) struct ToKey {
    peer: Peer,
    reports: mpsc::Sender<(Peer, Report)>,
    /// To say goodbye. Weak, because a key ends with its handles.
    messages: mpsc::WeakUnboundedSender<Message>,
}

impl KeyHandle {
    /// Connects a program that speaks CTAPHID.
    ///
    /// # Errors
    /// [`KeyGone`] if the key is not plugged in.
    pub async fn connect(&self) -> Result<Connection, KeyGone> {
        let (to_program, from_key) = mpsc::channel(TO_PROGRAM);
        let (connected, peer) = oneshot::channel();
        self.messages.send(Message::Connect { to_program, connected }).map_err(|_| KeyGone)?;
        let peer = peer.await.map_err(|_| KeyGone)?;
        let to_key = ToKey { peer, reports: self.reports.clone(), messages: self.messages.downgrade() };
        Ok(Connection { to_key, from_key })
    }
}

impl Connection {
    /// Hands the key a report. One that comes after the key has lost power is lost too.
    ///
    /// # Errors
    /// [`KeyGone`] if the key's rack has ended.
    pub async fn send(&self, report: Report) -> Result<(), KeyGone> {
        self.to_key.send(report).await
    }

    /// Waits for the next report from the key; `None` once the connection has ended. Cancel-safe.
    pub async fn receive(&mut self) -> Option<Report> {
        self.from_key.recv().await
    }

    pub(crate) fn into_halves(self) -> (ToKey, mpsc::Receiver<Report>) {
        (self.to_key, self.from_key)
    }
}

impl ToKey {
    pub(crate) async fn send(&self, report: Report) -> Result<(), KeyGone> {
        self.reports.send((self.peer, report)).await.map_err(|_| KeyGone)
    }
}

impl Drop for ToKey {
    fn drop(&mut self) {
        if let Some(messages) = self.messages.upgrade() {
            // The key may have ended.
            let _ = messages.send(Message::Disconnect { peer: self.peer });
        }
    }
}
