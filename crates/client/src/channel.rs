//! How CTAP messages reach a key, whatever carries them.

use core::future::{Future, pending, ready};
use std::sync::Arc;

use keyrig_ctap::hid::{ErrorCode, HostMisuse, KeepaliveStatus, MessageTooLong, Misbehaviour};
use thiserror::Error;
use tokio::sync::watch;

/// A way to one key, at the level of CTAP messages: [`ctap_hid`](crate::ctap_hid) over reports, or straight into an
/// authenticator in the same process.
pub trait Channel: Send {
    /// Sends one request (command byte and parameters) and awaits the response (status byte and what follows).
    ///
    /// When `cancel` is requested, the key is told, and what it answers then is the response:
    /// `CTAP2_ERR_KEEPALIVE_CANCEL`, or the response that it was about to give. If it is requested before the key has the
    /// request, nothing is sent ([`ChannelError::CancelledUnsent`]); a way without packets may send it and cancel it at once, so that which
    /// keys were asked does not hang on how soon another answers. `on_status` learns what the key says it is
    /// doing in the meantime, each time it says so.
    ///
    /// A future that is dropped leaves the key with the request; the next call gets both in step again.
    ///
    /// # Errors
    /// [`ChannelError`]: no response came.
    fn transact(
        &mut self,
        request: &[u8],
        cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> impl Future<Output = Result<Vec<u8>, ChannelError>> + Send;

    /// Sends one CTAP1/U2F message (an APDU) and awaits the response, which a key gives at once: it never waits for a touch.
    ///
    /// A channel that carries none of them refuses as a key without U2F does.
    ///
    /// # Errors
    /// [`ChannelError`]: no response came.
    fn transact_u2f(&mut self, apdu: &[u8]) -> impl Future<Output = Result<Vec<u8>, ChannelError>> + Send {
        let _ = apdu;
        ready(Err(ChannelError::Refused(ErrorCode::InvalidCmd)))
    }
}

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// The key is gone.
    #[error("it was unplugged: plug it in again")]
    Unplugged,
    /// The key is gone for good: whoever had it has taken it away.
    #[error("it is no more: it was taken out of the rack")]
    Removed,
    /// The key was silent for too long.
    #[error("it did not answer in time: unplug it and plug it in again")]
    TimedOut,
    /// The key is busy with another program and stayed so.
    #[error("another program kept it busy: close that program, or wait")]
    Busy,
    /// The key refused to carry the message.
    #[error("it refused the message below CTAP: {0}")]
    Refused(ErrorCode),
    /// The key broke the transport's protocol.
    #[error("it broke the transport's protocol: {0}")]
    PeerMisbehaved(Misbehaviour),
    /// The request is larger than the transport carries: our mistake, no key takes it.
    #[error(transparent)]
    TooLong(MessageTooLong),
    /// The end was requested before the key had taken the request.
    #[error("it was told to cancel before it had taken the request")]
    CancelledUnsent,
    /// What carries messages to the key failed, in its own words.
    #[error("{0}")]
    Carrier(String),
    /// The operating system failed to read, to write, or to give random bytes.
    #[error("the operating system failed: {0}")]
    System(String),
    /// Our mistake: the transport was driven in a way that it cannot be.
    #[error("the client's own mistake: {0}")]
    Bug(HostMisuse),
}

/// Asks for the end of something, such as an `AbortController`'s signal asks for the end of a ceremony.
///
/// Cheap to clone; every clone learns of it.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<bool>);

/// The other end of a [`Cancel`]. Dropping it cancels nothing.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<watch::Sender<bool>>);

impl Canceller {
    /// A new pair's first half.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Requests the end. Once is enough.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// What learns of it.
    #[must_use]
    pub fn token(&self) -> Cancel {
        Cancel(self.0.subscribe())
    }
}

impl Default for Canceller {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// One that nobody ever requests.
    #[must_use]
    pub fn never() -> Self {
        Canceller::new().token()
    }

    /// Whether the end has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the end is requested, or never.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|requested| *requested).await.is_err() {
            pending().await
        }
    }
}
