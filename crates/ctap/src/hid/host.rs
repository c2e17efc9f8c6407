//! The platform's side of CTAPHID: a channel of one's own, and one transaction at a time on it.
//!
//! Other programs talk to the same device, and their reports may come by here: what is not on our channel, or does not
//! answer our nonce, is passed over. What is on our channel and breaks the protocol ends the transaction with a
//! [`Misbehaviour`] that says what was wrong. Calls follow the driving contract in the [module's documentation](super).

use core::mem;
use core::time::Duration;
use std::collections::VecDeque;

use thiserror::Error;

use super::{
    ChannelId, Command, Continuation, ErrorCode, InitResponse, InitResponseTooShort, Initialization, KeepaliveStatus,
    Message, MessageTooLong, NONCE_SIZE, Packet, Reassembly, Report, WrongSequence,
};

#[cfg(test)]
mod tests;

/// What the caller has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A channel is open, or in step again.
    Opened(InitResponse),
    /// The authenticator works on the request, or waits for a touch.
    Keepalive(KeepaliveStatus),
    /// The answer to the request.
    Response(Vec<u8>),
    /// The request, or the opening of the channel, came to nothing.
    Failed(TransactionError),
}

/// Why a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// The device said no. After [`ErrorCode::ChannelBusy`], try again in 100 ms or so.
    #[error("the device refused the CTAPHID transaction: {0}")]
    Refused(ErrorCode),
    /// The device was silent for as long as was allowed. [`Host::resynchronize`] before the next request: the answer
    /// may still come.
    #[error("the device did not answer in time")]
    TimedOut,
    /// The device broke the protocol. [`Host::resynchronize`] before the next request.
    #[error("the device broke the CTAPHID protocol: {0}")]
    PeerMisbehaved(#[from] Misbehaviour),
}

/// How a device broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misbehaviour {
    /// The answer is to another command, or a keepalive came where none may.
    #[error("{found:?} in answer to {expected:?}")]
    UnexpectedCommand {
        /// The command that was asked.
        expected: Command,
        /// What came.
        found: Command,
    },
    /// A message began in the middle of the response.
    #[error("{0:?} in the middle of a response")]
    Interrupted(Command),
    /// The response claims more than a message can hold.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
    /// A packet of the response is missing or out of order.
    #[error(transparent)]
    WrongSequence(#[from] WrongSequence),
    /// The answer to `INIT` is cut short.
    #[error(transparent)]
    InitResponseTooShort(#[from] InitResponseTooShort),
    /// The channel that was given is one that is never given.
    #[error("the device gave out channel {0}")]
    ImpossibleChannel(ChannelId),
    /// An error or a keepalive is not of one byte.
    #[error("{command:?} of {length} bytes: it has one")]
    WrongLength {
        /// Which of them.
        command: Command,
        /// The length in bytes.
        length: u16,
    },
    /// A keepalive with a status that is not defined.
    #[error("keepalive status {0:#04x}")]
    UndefinedStatus(u8),
}

/// The caller did what cannot be done now. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostMisuse {
    /// No channel is open: wait for [`HostEvent::Opened`].
    #[error("no CTAPHID channel is open")]
    NoChannel,
    /// A transaction is in progress: wait for its end.
    #[error("a CTAPHID transaction is in progress")]
    Busy,
    /// No CTAP2 request is in progress that could be cancelled.
    #[error("no CTAPHID_CBOR request is in progress")]
    NothingToCancel,
    /// The request does not fit.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
}

/// The platform's side of CTAPHID.
#[derive(Debug, Default)]
pub struct Host {
    channel: Option<ChannelId>,
    exchange: Exchange,
    reports: VecDeque<Report>,
    events: VecDeque<HostEvent>,
}

#[derive(Debug, Default)]
enum Exchange {
    #[default]
    Idle,
    Init {
        on: ChannelId,
        nonce: [u8; NONCE_SIZE],
        deadline: Duration,
    },
    Request(Request),
}

#[derive(Debug)]
struct Request {
    channel: ChannelId,
    command: Command,
    patience: Duration,
    deadline: Duration,
    cancelled: bool,
    response: Option<Reassembly>,
}

impl Host {
    /// A host without a channel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The channel that is open.
    #[must_use]
    pub const fn channel(&self) -> Option<ChannelId> {
        self.channel
    }

    /// Asks for a channel; it replaces the one that is open. The nonce has to be random: by it the answer is told from
    /// those to other programs. `patience` is how long the device may take.
    ///
    /// # Errors
    ///
    /// [`HostMisuse::Busy`] during a transaction.
    pub fn open(&mut self, nonce: [u8; NONCE_SIZE], patience: Duration, now: Duration) -> Result<(), HostMisuse> {
        if !matches!(self.exchange, Exchange::Idle) {
            return Err(HostMisuse::Busy);
        }
        self.init(ChannelId::BROADCAST, nonce, now.saturating_add(patience));
        Ok(())
    }

    /// Aborts whatever is in progress on the channel, here and in the device, and gets both in step again. An aborted
    /// request has no further event. CTAP 2.3 §11.2.5.3.
    ///
    /// # Errors
    ///
    /// [`HostMisuse::NoChannel`] if none is open.
    pub fn resynchronize(
        &mut self,
        nonce: [u8; NONCE_SIZE],
        patience: Duration,
        now: Duration,
    ) -> Result<(), HostMisuse> {
        let channel = self.channel.ok_or(HostMisuse::NoChannel)?;
        self.init(channel, nonce, now.saturating_add(patience));
        Ok(())
    }

    /// Sends a request: `CBOR`, `MSG`, `PING`, `WINK`, `LOCK`, or a vendor's command. `patience` is how long the device
    /// may be silent: every report that belongs to the transaction, a keepalive too, begins it anew.
    ///
    /// # Errors
    ///
    /// If no channel is open, during a transaction, and if the payload does not fit.
    pub fn request(
        &mut self,
        command: Command,
        payload: Vec<u8>,
        patience: Duration,
        now: Duration,
    ) -> Result<(), HostMisuse> {
        if !matches!(self.exchange, Exchange::Idle) {
            return Err(HostMisuse::Busy);
        }
        let channel = self.channel.ok_or(HostMisuse::NoChannel)?;
        let message = Message::new(channel, command, payload)?;
        self.reports.extend(message.reports());
        self.exchange = Exchange::Request(Request {
            channel,
            command,
            patience,
            deadline: now.saturating_add(patience),
            cancelled: false,
            response: None,
        });
        Ok(())
    }

    /// Asks the device to cancel the CTAP2 request in progress, once however often it is called. The request still ends
    /// by itself: with `CTAP2_ERR_KEEPALIVE_CANCEL`, or with a response that was on its way. CTAP 2.3 §11.2.9.1.5.
    ///
    /// # Errors
    ///
    /// [`HostMisuse::NothingToCancel`] if there is no such request.
    pub fn cancel(&mut self) -> Result<(), HostMisuse> {
        match &mut self.exchange {
            Exchange::Request(request) if request.command == Command::Cbor => {
                if !mem::replace(&mut request.cancelled, true) {
                    self.reports.extend(Message::empty(request.channel, Command::Cancel).reports());
                }
                Ok(())
            }
            _ => Err(HostMisuse::NothingToCancel),
        }
    }

    /// A report from the device, meant for us or not.
    pub fn receive(&mut self, report: &Report, now: Duration) {
        self.handle_timeout(now);
        let outcome = match (&mut self.exchange, Packet::parse(report)) {
            (Exchange::Init { on, nonce, .. }, Packet::Initialization(packet)) if packet.channel == *on => {
                opened(*nonce, &packet)
            }
            (Exchange::Request(request), Packet::Initialization(packet)) if packet.channel == request.channel => {
                request.initialization(&packet, now)
            }
            (Exchange::Request(request), Packet::Continuation(packet)) if packet.channel == request.channel => {
                request.continuation(&packet, now)
            }
            _ => Ok(None),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(HostEvent::Keepalive(status))) => self.events.push_back(HostEvent::Keepalive(status)),
            Ok(Some(HostEvent::Opened(response))) => {
                self.channel = Some(response.channel);
                self.end(HostEvent::Opened(response));
            }
            Ok(Some(end)) => self.end(end),
            Err(error) => self.end(HostEvent::Failed(error)),
        }
    }

    /// Gives up a transaction that is overdue.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.end(HostEvent::Failed(TransactionError::TimedOut));
        }
    }

    /// The next report for the device.
    #[must_use = "a report that is taken is never offered again"]
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// What the caller has to know next.
    #[must_use = "an event that is taken is never offered again"]
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, in the time of `now`.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Duration> {
        match &self.exchange {
            Exchange::Idle => None,
            Exchange::Init { deadline, .. } | Exchange::Request(Request { deadline, .. }) => Some(*deadline),
        }
    }

    fn init(&mut self, on: ChannelId, nonce: [u8; NONCE_SIZE], deadline: Duration) {
        self.reports.clear();
        self.reports.push_back(Initialization::new(on, Command::Init, 8, &nonce).to_report());
        self.exchange = Exchange::Init { on, nonce, deadline };
    }

    /// What has not been sent yet of a transaction that is over is not sent: neither packets nor a `CANCEL`.
    fn end(&mut self, event: HostEvent) {
        self.exchange = Exchange::Idle;
        self.reports.clear();
        self.events.push_back(event);
    }
}

fn opened(nonce: [u8; NONCE_SIZE], packet: &Initialization) -> Result<Option<HostEvent>, TransactionError> {
    match packet.command {
        Command::Init if packet.data.starts_with(&nonce) => {
            let response = InitResponse::parse(packet).map_err(Misbehaviour::from)?;
            let given = response.channel;
            let possible = match packet.channel {
                ChannelId::BROADCAST => given != ChannelId::RESERVED && given != ChannelId::BROADCAST,
                own => given == own,
            };
            if possible {
                Ok(Some(HostEvent::Opened(response)))
            } else {
                Err(Misbehaviour::ImpossibleChannel(given).into())
            }
        }
        // Other errors are left from before, or somebody else's on the broadcast channel.
        Command::Error => match refusal(packet)? {
            code @ (ErrorCode::ChannelBusy | ErrorCode::InvalidChannel) => Err(TransactionError::Refused(code)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn refusal(packet: &Initialization) -> Result<ErrorCode, Misbehaviour> {
    Ok(ErrorCode::from(only_byte(packet)?))
}

fn only_byte(packet: &Initialization) -> Result<u8, Misbehaviour> {
    match (packet.length, packet.data.first()) {
        (1, Some(byte)) => Ok(*byte),
        (length, _) => Err(Misbehaviour::WrongLength { command: packet.command, length }),
    }
}

impl Request {
    fn initialization(
        &mut self,
        packet: &Initialization,
        now: Duration,
    ) -> Result<Option<HostEvent>, TransactionError> {
        self.deadline = now.saturating_add(self.patience);
        if self.response.is_some() {
            return Err(Misbehaviour::Interrupted(packet.command).into());
        }
        match packet.command {
            Command::Error => Err(TransactionError::Refused(refusal(packet)?)),
            Command::Keepalive if self.command == Command::Cbor => {
                let byte = only_byte(packet)?;
                let status = KeepaliveStatus::from_byte(byte).ok_or(Misbehaviour::UndefinedStatus(byte))?;
                Ok(Some(HostEvent::Keepalive(status)))
            }
            found if found == self.command => {
                let response = Reassembly::start(packet).map_err(Misbehaviour::from)?;
                Ok(self.advance(response))
            }
            found => Err(Misbehaviour::UnexpectedCommand { expected: self.command, found }.into()),
        }
    }

    /// Without the packet before it, a continuation is left from a response that was aborted.
    fn continuation(&mut self, packet: &Continuation, now: Duration) -> Result<Option<HostEvent>, TransactionError> {
        let Some(mut response) = self.response.take() else {
            return Ok(None);
        };
        self.deadline = now.saturating_add(self.patience);
        response.push(packet).map_err(Misbehaviour::from)?;
        Ok(self.advance(response))
    }

    fn advance(&mut self, response: Reassembly) -> Option<HostEvent> {
        match response.finish() {
            Ok(message) => Some(HostEvent::Response(message.into_payload())),
            Err(unfinished) => {
                self.response = Some(unfinished);
                None
            }
        }
    }
}
