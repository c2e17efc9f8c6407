//! A program's way to a key without USB: CTAPHID reports, on channels of its own.

use std::sync::Arc;

use keyrig_ctap::hid::{Peer, Report};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::message::{Farewell, Message};
use super::{KeyGone, KeyHandle};

/// Reports from one program that the key has not taken yet: a program that floods the key waits itself.
const TO_KEY: usize = 16;

/// Reports that a program has not taken yet: more than the longest CTAPHID message has.
const TO_PROGRAM: usize = 256;

/// A program that speaks CTAPHID to a key beside whatever else does. It hears of the channels that it opens itself, and of no
/// other's.
///
/// It ends when the key loses power: when it is unplugged, and when a USB host takes it or lets it go. Dropping it ends all that the
/// program began, behind the reports that it has sent.
#[derive(Debug)]
pub struct Connection {
    to_key: ToKey,
    from_key: mpsc::Receiver<Report>,
}

/// The half of a connection that leads to the key.
#[derive(Debug)]
pub struct ToKey {
    peer: Peer,
    places: Arc<Semaphore>,
    /// Weak, because a key ends with its handles.
    messages: mpsc::WeakUnboundedSender<Message>,
}

impl KeyHandle {
    /// Connects a program that speaks CTAPHID.
    ///
    /// # Errors
    /// [`KeyGone`] if the key is not plugged in.
    pub async fn connect(&self) -> Result<Connection, KeyGone> {
        self.connect_with(Farewell::Said).await
    }

    /// Connects a program whose end is seen, or not.
    ///
    /// # Errors
    /// [`KeyGone`] if the key is not plugged in.
    pub async fn connect_with(&self, farewell: Farewell) -> Result<Connection, KeyGone> {
        let (to_program, from_key) = mpsc::channel(TO_PROGRAM);
        let (connected, peer) = oneshot::channel();
        self.messages.send(Message::Connect { to_program, farewell, connected }).map_err(|_| KeyGone)?;
        let peer = peer.await.map_err(|_| KeyGone)?;
        let places = Arc::new(Semaphore::new(TO_KEY));
        Ok(Connection { to_key: ToKey { peer, places, messages: self.messages.downgrade() }, from_key })
    }

    /// Disconnects one of these programs, and says which: of those that nothing goes on for, the one that has been silent longest.
    pub async fn displace(&self, candidates: Vec<Peer>) -> Option<Peer> {
        let (displaced, answer) = oneshot::channel();
        self.messages.send(Message::Displace { candidates, displaced }).ok()?;
        answer.await.ok()?
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

    /// Its halves: to send, and to receive.
    #[must_use]
    pub fn into_halves(self) -> (ToKey, mpsc::Receiver<Report>) {
        (self.to_key, self.from_key)
    }
}

impl ToKey {
    /// The program, as the key knows it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Hands the key a report, as [`Connection::send`] does.
    ///
    /// # Errors
    /// [`KeyGone`] if the key's rack has ended.
    pub async fn send(&self, report: Report) -> Result<(), KeyGone> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| KeyGone)?;
        let messages = self.messages.upgrade().ok_or(KeyGone)?;
        messages.send(Message::Report { peer: self.peer, report, place }).map_err(|_| KeyGone)
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
