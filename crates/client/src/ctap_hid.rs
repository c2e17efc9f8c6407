//! A channel over 64-byte HID reports: [`keyrig_ctap::hid::Host`], driven by tokio.
//!
//! Timing is Chromium's: a key may be silent for 20 seconds, each KEEPALIVE begins them anew, and one that is busy with
//! another program is asked again after 100 ms.

use core::future::{Future, pending};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use keyrig_ctap::hid::{
    Command, ErrorCode, Host, HostEvent, HostMisuse, InitResponse, KeepaliveStatus, NONCE_SIZE, Report,
    TransactionError,
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::channel::{Cancel, Channel, ChannelError};
use crate::randomness::{self, Randomness, SystemRandomness};

/// How long a key may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long until a busy key is asked again, and for how long in all.
const BUSY_INTERVAL: Duration = Duration::from_millis(100);
const BUSY_PATIENCE: Duration = Duration::from_secs(20);

/// Linux's ENODEV and EIO, which hidraw gives once the device is gone.
const GONE: [i32; 2] = [19, 5];

/// A pipe of HID reports to one key: a hidraw device, a datagram socket, USB/IP, memory.
///
/// An error of kind `NotFound`, `BrokenPipe`, `UnexpectedEof`, `NotConnected`, `ConnectionReset` or `ConnectionAborted`,
/// or with Linux's `ENODEV` or `EIO`, says that the key is gone.
pub trait ReportPipe: Send {
    /// Sends a report to the key.
    fn send(&mut self, report: Report) -> impl Future<Output = io::Result<()>> + Send;

    /// The next report of the key. Cancel-safe: a future that is dropped has taken no report.
    fn receive(&mut self) -> impl Future<Output = io::Result<Report>> + Send;
}

/// CTAPHID over a pipe.
#[derive(Debug)]
pub struct CtapHidChannel<P> {
    pipe: P,
    host: Host,
    /// What the host's times count from.
    epoch: Instant,
    /// Whether the last transaction came to its end, here and in the key.
    in_step: bool,
    /// What the key said when the channel was opened.
    opened: Option<InitResponse>,
    random: randomness::Shared,
}

impl<P: ReportPipe> CtapHidChannel<P> {
    /// A channel that is opened when it is used first. To be called inside of a tokio runtime, as is everything else here.
    pub fn new(pipe: P) -> Self {
        let random = Arc::new(SystemRandomness);
        Self { pipe, host: Host::new(), epoch: Instant::now(), in_step: true, opened: None, random }
    }

    /// The same channel, whose nonces come from elsewhere than the operating system.
    #[must_use]
    pub fn with_randomness(self, random: Arc<dyn Randomness>) -> Self {
        Self { random, ..self }
    }

    /// Opens another channel, whatever was open: what the key says of itself then.
    ///
    /// # Errors
    /// [`ChannelError`]: why there is none.
    pub async fn open(&mut self) -> Result<InitResponse, ChannelError> {
        self.host = Host::new();
        self.opened = None;
        match self.synchronize().await {
            Ok(()) => self.opened.ok_or(ChannelError::TimedOut),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Refused(code)) => Err(ChannelError::Refused(code)),
        }
    }

    /// Sends a message that is neither CTAP2 nor CTAP1/U2F, a ping or a vendor's (CTAP 2.3 §11.2.9.3), and awaits the response.
    ///
    /// # Errors
    /// [`ChannelError`]: no response came.
    pub async fn command(&mut self, command: Command, payload: &[u8]) -> Result<Vec<u8>, ChannelError> {
        self.carry(command, payload, Cancel::never(), &mut |_| {}).await
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Opens the channel, or gets it in step if the last transaction was left in the middle.
    async fn synchronize(&mut self) -> Result<(), Failure> {
        if self.in_step && self.host.channel().is_some() {
            return Ok(());
        }
        let nonce = randomness::bytes::<NONCE_SIZE>(&*self.random)?;
        self.in_step = false;
        if self.host.channel().is_some() {
            self.host.resynchronize(nonce, PATIENCE, self.now()).map_err(misuse)?;
        } else {
            // It may be in the middle of an INIT that was given up.
            self.host = Host::new();
            self.host.open(nonce, PATIENCE, self.now()).map_err(misuse)?;
        }
        self.drive(Cancel::never(), &mut |_| {}).await?;
        self.in_step = true;
        Ok(())
    }

    async fn attempt(
        &mut self,
        command: Command,
        request: &[u8],
        cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, Failure> {
        self.synchronize().await?;
        if cancel.is_requested() {
            return Err(ChannelError::CancelledUnsent.into());
        }
        self.host.request(command, request.to_vec(), PATIENCE, self.now()).map_err(misuse)?;
        self.in_step = false;
        let response = self.drive(cancel, on_status).await;
        // A refusal is an end as well; silence and nonsense are none.
        self.in_step = matches!(response, Ok(_) | Err(Failure::Refused(_)));
        response
    }

    /// Follows the host's driving contract until the transaction is over. Opening a channel yields no bytes.
    async fn drive(
        &mut self,
        mut cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, Failure> {
        let mut cancelled = false;
        loop {
            while let Some(event) = self.host.poll_event() {
                match event {
                    HostEvent::Keepalive(status) => on_status(status),
                    HostEvent::Response(response) => return Ok(response),
                    HostEvent::Opened(opened) => {
                        self.opened = Some(opened);
                        return Ok(Vec::new());
                    }
                    HostEvent::Failed(TransactionError::Refused(code)) => return Err(Failure::Refused(code)),
                    HostEvent::Failed(TransactionError::TimedOut) => return Err(ChannelError::TimedOut.into()),
                    HostEvent::Failed(TransactionError::PeerMisbehaved(misbehaviour)) => {
                        return Err(ChannelError::PeerMisbehaved(misbehaviour).into());
                    }
                }
            }
            let deadline = self.host.poll_timeout().map(|deadline| self.epoch + deadline);
            while let Some(report) = self.host.poll_report() {
                let sent = timeout_at(deadline.unwrap_or_else(Instant::now), self.pipe.send(report)).await;
                sent.map_err(|_| ChannelError::TimedOut)?.map_err(of_system)?;
            }
            tokio::select! {
                received = self.pipe.receive() => {
                    let report = received.map_err(of_system)?;
                    let now = self.epoch.elapsed();
                    self.host.receive(&report, now);
                }
                () = expired(deadline) => self.host.handle_timeout(self.epoch.elapsed()),
                () = cancel.requested(), if !cancelled => {
                    cancelled = true;
                    self.host.cancel().map_err(misuse)?;
                }
            }
        }
    }
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

impl<P: ReportPipe> Channel for CtapHidChannel<P> {
    async fn transact(
        &mut self,
        request: &[u8],
        cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        self.carry(Command::Cbor, request, cancel, on_status).await
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        // CTAPHID_CANCEL is for CTAP2 only (CTAP 2.3 §11.2.9.1.5).
        self.carry(Command::Msg, apdu, Cancel::never(), &mut |_| {}).await
    }
}

impl<P: ReportPipe> CtapHidChannel<P> {
    async fn carry(
        &mut self,
        command: Command,
        request: &[u8],
        mut cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let busy_until = Instant::now() + BUSY_PATIENCE;
        let mut reopened = false;
        loop {
            match self.attempt(command, request, cancel.clone(), on_status).await {
                Ok(response) => return Ok(response),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused(ErrorCode::ChannelBusy)) if Instant::now() >= busy_until => {
                    return Err(ChannelError::Busy);
                }
                Err(Failure::Refused(ErrorCode::ChannelBusy)) => {
                    tokio::select! {
                        () = sleep(BUSY_INTERVAL) => {}
                        () = cancel.requested() => return Err(ChannelError::CancelledUnsent),
                    }
                }
                // The key has lost power since, and its channels with it.
                Err(Failure::Refused(ErrorCode::InvalidChannel)) if !reopened => {
                    reopened = true;
                    self.host = Host::new();
                }
                Err(Failure::Refused(code)) => return Err(ChannelError::Refused(code)),
            }
        }
    }
}

/// A refusal may be worth another try.
enum Failure {
    Refused(ErrorCode),
    Final(ChannelError),
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        Self::Final(error)
    }
}

fn misuse(misuse: HostMisuse) -> Failure {
    Failure::Final(match misuse {
        HostMisuse::TooLong(too_long) => ChannelError::TooLong(too_long),
        other => ChannelError::Bug(other),
    })
}

fn of_system(error: io::Error) -> ChannelError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, NotFound, UnexpectedEof};
    let gone = matches!(
        error.kind(),
        NotFound | BrokenPipe | UnexpectedEof | NotConnected | ConnectionReset | ConnectionAborted
    );
    if gone || error.raw_os_error().is_some_and(|code| GONE.contains(&code)) {
        ChannelError::Unplugged
    } else {
        ChannelError::System(error.to_string())
    }
}

#[cfg(test)]
mod tests;
