//! The authenticator's side of CTAPHID: who may speak, what has come, what is going out.
//!
//! One transaction at a time: from its first packet until its response, every other channel is told `ERR_CHANNEL_BUSY`, and
//! the other channels of the same peer until the last report of the response has been taken: a response that is left unread
//! holds up nobody else. Only `INIT` and `CANCEL` stand outside of that. Answers to `PING`, `WINK`, `LOCK` and `INIT` are made
//! here; `CBOR` and `MSG` become a [`DeviceEvent::Request`], and the vendor commands (0x40 to 0x7F) that the device has a
//! [`DeviceEvent::Vendor`]. All others get `ERR_INVALID_CMD`, as any command that is not known.
//!
//! A device without randomness and clock: random bytes for channel ids and the time come with each call. Calls follow
//! the driving contract in the [module's documentation](super).

use core::mem;
use core::time::Duration;
use std::collections::VecDeque;

use thiserror::Error;

use self::transaction::{Action, Processing, Transaction};
pub use self::transaction::{RequestId, RequestKind};
use super::channels::Channels;
use super::{
    Capabilities, ChannelId, Command, Continuation, ErrorCode, InitResponse, Initialization, KeepaliveStatus, Message,
    MessageTooLong, NONCE_SIZE, PROTOCOL_VERSION, Packet, Peer, Reassembly, Report,
};

#[cfg(test)]
mod tests;
mod transaction;

/// How long the next packet of a message may take before `ERR_MSG_TIMEOUT`.
const REASSEMBLY_TIMEOUT: Duration = Duration::from_millis(500);

/// A device whose timer comes later than this had no processor meanwhile, and could not have taken a packet that was there.
const PUNCTUAL: Duration = Duration::from_millis(20);

/// The specification wants at least one keepalive in 100 ms (CTAP 2.3 §11.2.9.1.7). The rest is for the driver's timer
/// and for the bus.
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(80);

/// The longest channel lock in seconds. CTAP 2.3 §11.2.9.2.2.
const LONGEST_LOCK: u8 = 10;

/// `INIT` responses and errors that wait for a peer that does not read. Beyond that its oldest is forgotten.
const STANDALONE_CAPACITY: usize = 32;

/// What the device says of itself in every `INIT` response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Its version as its maker counts: major, minor, build.
    pub device_version: [u8; 3],
    /// What it implements. Commands without their capability get `ERR_INVALID_CMD`.
    pub capabilities: Capabilities,
    /// What of that it says of itself, and does not do: mistakes of real keys.
    pub refused: Capabilities,
    /// The vendor commands that it has, of 0x40 to 0x7F. CTAP 2.3 §11.2.9.3.
    pub vendor_commands: &'static [u8],
}

/// What the authenticator has to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// A request has come: to be answered by [`Device::respond`].
    Request {
        /// Names the request.
        id: RequestId,
        /// Who sent it.
        peer: Peer,
        /// The channel it came on.
        channel: ChannelId,
        /// Which protocol it speaks.
        kind: RequestKind,
        /// Its bytes, at least one.
        payload: Vec<u8>,
    },
    /// A vendor command has come: to be answered by [`Device::respond`], or refused by [`Device::refuse`].
    Vendor {
        /// Names the request.
        id: RequestId,
        /// Which command it is, one of [`DeviceConfig::vendor_commands`].
        command: u8,
        /// Its bytes; there may be none.
        payload: Vec<u8>,
    },
    /// The host cancels this CTAP2 request. It is still to be answered, with `CTAP2_ERR_KEEPALIVE_CANCEL` unless it is
    /// too late for that.
    Cancel(RequestId),
    /// This request is gone: its channel was resynchronised, its peer left, or power was lost. Nobody waits for the answer.
    Abort(RequestId),
    /// The host wants the user to see which device this is.
    Wink,
}

/// Why a response, or the status of a request, was of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RespondError {
    /// The request is gone: aborted, which [`DeviceEvent::Abort`] told, or answered already. Drop the response.
    #[error("the CTAPHID request was aborted, or answered already")]
    NotPending,
    /// The caller's mistake: the response does not fit. The request still waits for one.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
}

/// The authenticator's side of CTAPHID.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    channels: Channels,
    lock: Option<Lock>,
    transaction: Transaction,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<DeviceEvent>,
    requests: u64,
}

#[derive(Debug)]
struct Lock {
    channel: ChannelId,
    until: Duration,
}

#[derive(Debug)]
struct Outgoing {
    to: Peer,
    channel: ChannelId,
    kind: OutgoingKind,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutgoingKind {
    Init,
    Error,
    Keepalive(KeepaliveStatus),
    Response,
}

impl Outgoing {
    fn is_response(&self) -> bool {
        self.kind == OutgoingKind::Response
    }
}

impl Device {
    /// A device that has just got power.
    #[must_use]
    pub fn new(config: DeviceConfig) -> Self {
        Self {
            config,
            channels: Channels::default(),
            lock: None,
            transaction: Transaction::Idle,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            requests: 0,
        }
    }

    /// A report from the host. `random` fills its argument with random bytes, of which channel ids are made.
    pub fn receive(&mut self, report: &Report, now: Duration, random: &mut dyn FnMut(&mut [u8])) {
        self.receive_from(Peer::default(), report, now, random);
    }

    /// A report from one of several hosts that share the device. A channel belongs to the peer that opened it, and is
    /// `ERR_INVALID_CHANNEL` for the others; each peer's answers are for it alone.
    pub fn receive_from(&mut self, from: Peer, report: &Report, now: Duration, random: &mut dyn FnMut(&mut [u8])) {
        self.handle_timeout(now);
        match Packet::parse(report) {
            Packet::Initialization(packet) => self.initialization(from, &packet, now, random),
            Packet::Continuation(packet) => self.continuation(from, &packet, now),
        }
    }

    /// Does what is due: gives up an unfinished message, sends a keepalive. A device that is called far too late has no right to blame its
    /// host for that: it gives the packet that may have come meanwhile as long again as it was late, and 500 ms at most, once.
    pub fn handle_timeout(&mut self, now: Duration) {
        let keepalive_waits = self.keepalive_waits();
        match &mut self.transaction {
            Transaction::Receiving { deadline, excused, .. }
                if !*excused && deadline.saturating_add(PUNCTUAL) < now =>
            {
                *excused = true;
                *deadline = now.saturating_add(now.saturating_sub(*deadline).min(REASSEMBLY_TIMEOUT));
            }
            Transaction::Receiving { message, deadline, .. } if *deadline <= now => {
                let channel = message.channel();
                self.transaction = Transaction::Idle;
                self.error(self.owner(channel), channel, ErrorCode::MsgTimeout);
            }
            Transaction::Processing(processing)
                if processing.command == Command::Cbor && !keepalive_waits && processing.next_keepalive <= now =>
            {
                processing.next_keepalive = now.saturating_add(KEEPALIVE_INTERVAL);
                let (channel, status) = (processing.channel, processing.status);
                self.keepalive(channel, status);
            }
            _ => {}
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// [`RespondError::NotPending`] if nobody waits for it any more, [`RespondError::TooLong`] if it has more than
    /// [`MAX_MESSAGE_SIZE`](super::MAX_MESSAGE_SIZE) bytes.
    pub fn respond(&mut self, id: RequestId, payload: Vec<u8>) -> Result<(), RespondError> {
        let processing = self.pending(id)?;
        let message = Message::new(processing.channel, processing.command, payload)?;
        self.answer(&message);
        Ok(())
    }

    /// Refuses a request below CTAP, by CTAPHID_ERROR.
    ///
    /// # Errors
    ///
    /// [`RespondError::NotPending`] if nobody waits for it any more.
    pub fn refuse(&mut self, id: RequestId, code: ErrorCode) -> Result<(), RespondError> {
        let channel = self.pending(id)?.channel;
        self.transaction = Transaction::Idle;
        self.error(self.owner(channel), channel, code);
        Ok(())
    }

    /// Says what is being done about a request. The host of a CTAP2 request hears of every change at once, and of a
    /// lasting status every 80 ms; that of a CTAP1 request never does. A request begins as
    /// [`KeepaliveStatus::Processing`].
    ///
    /// # Errors
    ///
    /// [`RespondError::NotPending`] if the request is gone.
    pub fn set_status(&mut self, id: RequestId, status: KeepaliveStatus, now: Duration) -> Result<(), RespondError> {
        let processing = self.pending(id)?;
        if processing.status == status {
            return Ok(());
        }
        processing.status = status;
        if processing.command == Command::Cbor {
            processing.next_keepalive = now.saturating_add(KEEPALIVE_INTERVAL);
            let channel = processing.channel;
            self.keepalive(channel, status);
        }
        Ok(())
    }

    /// A peer has left: its transaction is aborted, its lock is released and its channels are closed, and nothing is kept for it.
    /// To peers that stay nothing is said.
    pub fn disconnect(&mut self, peer: Peer) {
        let is_its_own = |channel: ChannelId| self.channels.owner(channel) == Some(peer);
        if self.transaction.channel().is_some_and(is_its_own) {
            self.abort();
        }
        if self.lock.as_ref().is_some_and(|lock| self.channels.owner(lock.channel) == Some(peer)) {
            self.lock = None;
        }
        self.channels.close(peer);
        self.outgoing.retain(|waiting| waiting.to != peer);
    }

    /// Whether something goes on for a peer at `now`: it has the transaction, or a lock that has not expired.
    #[must_use]
    pub fn is_in_use_by(&self, peer: Peer, now: Duration) -> bool {
        let lock = self.lock.as_ref().filter(|lock| now < lock.until).map(|lock| lock.channel);
        [self.transaction.channel(), lock]
            .into_iter()
            .flatten()
            .any(|channel| self.channels.owner(channel) == Some(peer))
    }

    /// Power was lost and is back: no channel is open, nothing waits to be sent, nobody holds the lock.
    pub fn power_cycle(&mut self) {
        self.abort();
        self.channels.clear();
        self.lock = None;
        self.outgoing.clear();
    }

    /// The next report for the host. To be called only if the host has room for it.
    #[must_use = "a report that is taken is never offered again"]
    pub fn poll_report(&mut self) -> Option<Report> {
        self.poll_report_to(|_| true).map(|(_, report)| report)
    }

    /// The next report for one of several hosts, among those that have room for it.
    #[must_use = "a report that is taken is never offered again"]
    pub fn poll_report_to(&mut self, has_room: impl Fn(Peer) -> bool) -> Option<(Peer, Report)> {
        let next = self.outgoing.iter().position(|waiting| has_room(waiting.to))?;
        let outgoing = self.outgoing.remove(next)?;
        Some((outgoing.to, outgoing.report))
    }

    /// What the authenticator has to act on next.
    #[must_use = "an event that is taken is never offered again"]
    pub fn poll_event(&mut self) -> Option<DeviceEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. A keepalive that was not taken stops the clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.transaction {
            Transaction::Receiving { deadline, .. } => Some(*deadline),
            Transaction::Processing(processing) if processing.command == Command::Cbor && !self.keepalive_waits() => {
                Some(processing.next_keepalive)
            }
            _ => None,
        }
    }

    fn initialization(
        &mut self,
        from: Peer,
        packet: &Initialization,
        now: Duration,
        random: &mut dyn FnMut(&mut [u8]),
    ) {
        let outcome = match packet.command {
            Command::Cancel => {
                self.cancel(from, packet);
                Ok(())
            }
            Command::Init => self.init(from, packet, random),
            _ => self.begin(from, packet, now),
        };
        if let Err(code) = outcome {
            self.error(from, packet.channel, code);
        }
    }

    fn continuation(&mut self, from: Peer, packet: &Continuation, now: Duration) {
        let owned = self.channels.owner(packet.channel) == Some(from);
        match mem::take(&mut self.transaction) {
            Transaction::Receiving { action, mut message, .. } if owned && message.channel() == packet.channel => {
                match message.push(packet) {
                    Ok(()) => self.advance(action, message, now),
                    Err(_) => self.error(from, packet.channel, ErrorCode::InvalidSeq),
                }
            }
            other => self.transaction = other,
        }
    }

    /// Never answered, whatever is wrong with it. CTAP 2.3 §11.2.9.1.5.
    fn cancel(&mut self, from: Peer, packet: &Initialization) {
        let owned = self.channels.owner(packet.channel) == Some(from);
        if let Transaction::Processing(processing) = &mut self.transaction
            && processing.channel == packet.channel
            && owned
            && processing.command == Command::Cbor
            && packet.length == 0
            && !mem::replace(&mut processing.cancelled, true)
        {
            self.events.push_back(DeviceEvent::Cancel(processing.id));
        }
    }

    /// Neither a transaction nor a lock of another channel is in the way of `INIT`. CTAP 2.3 §11.2.9.1.3.
    fn init(
        &mut self,
        from: Peer,
        packet: &Initialization,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), ErrorCode> {
        if packet.channel == ChannelId::RESERVED {
            return Err(ErrorCode::InvalidChannel);
        }
        let nonce = match packet.data.first_chunk::<NONCE_SIZE>() {
            Some(nonce) if usize::from(packet.length) == NONCE_SIZE => *nonce,
            _ => return Err(ErrorCode::InvalidLen),
        };
        let channel = if packet.channel == ChannelId::BROADCAST {
            let Self { channels, lock, transaction, outgoing, .. } = self;
            let in_use = |channel| {
                transaction.channel() == Some(channel)
                    || lock.as_ref().is_some_and(|lock| lock.channel == channel)
                    || outgoing.iter().any(|waiting| waiting.is_response() && waiting.channel == channel)
            };
            channels.allocate(from, random, in_use)
        } else if self.channels.hear(packet.channel, from) {
            self.resynchronize(packet.channel);
            packet.channel
        } else {
            return Err(ErrorCode::InvalidChannel);
        };
        let response = InitResponse {
            nonce,
            channel,
            protocol_version: PROTOCOL_VERSION,
            device_version: self.config.device_version,
            capabilities: self.config.capabilities,
        };
        self.standalone(from, packet.channel, OutgoingKind::Init, response.to_report(packet.channel));
        Ok(())
    }

    fn resynchronize(&mut self, channel: ChannelId) {
        if self.transaction.channel() == Some(channel) {
            self.abort();
        }
        self.outgoing.retain(|waiting| waiting.channel != channel || waiting.kind == OutgoingKind::Init);
    }

    fn abort(&mut self) {
        if let Transaction::Processing(processing) = mem::take(&mut self.transaction) {
            self.events.push_back(DeviceEvent::Abort(processing.id));
        }
    }

    /// The first packet of a message. Busy comes before an unknown channel: while the device is busy nobody else learns
    /// more than that.
    fn begin(&mut self, from: Peer, packet: &Initialization, now: Duration) -> Result<(), ErrorCode> {
        let channel = packet.channel;
        if channel == ChannelId::RESERVED || channel == ChannelId::BROADCAST {
            return Err(ErrorCode::InvalidChannel);
        }
        let taken_by_another = self.transaction.channel().is_some_and(|busy| busy != channel);
        let locked_by_another = self.lock.as_ref().is_some_and(|lock| lock.channel != channel && now < lock.until);
        let unread = self.outgoing.iter().any(|waiting| waiting.is_response() && waiting.to == from);
        if taken_by_another || locked_by_another || unread {
            return Err(ErrorCode::ChannelBusy);
        }
        if !self.channels.hear(channel, from) {
            return Err(ErrorCode::InvalidChannel);
        }
        match self.transaction {
            Transaction::Idle => {}
            Transaction::Receiving { .. } => {
                self.transaction = Transaction::Idle;
                return Err(ErrorCode::InvalidSeq);
            }
            Transaction::Processing(_) => return Err(ErrorCode::ChannelBusy),
        }
        let action = self.action(packet.command).ok_or(ErrorCode::InvalidCmd)?;
        let message = Reassembly::start(packet).map_err(|_| ErrorCode::InvalidLen)?;
        let length_fits = match action {
            Action::Ping | Action::Vendor(_) => true,
            Action::Wink => packet.length == 0,
            Action::Lock => packet.length == 1,
            Action::Request(_) => packet.length >= 1,
        };
        if !length_fits {
            return Err(ErrorCode::InvalidLen);
        }
        self.advance(action, message, now);
        Ok(())
    }

    fn action(&self, command: Command) -> Option<Action> {
        let capabilities = Capabilities(self.config.capabilities.0 & !self.config.refused.0);
        match command {
            Command::Ping => Some(Action::Ping),
            Command::Lock => Some(Action::Lock),
            Command::Wink if capabilities.contains(Capabilities::WINK) => Some(Action::Wink),
            Command::Cbor if capabilities.contains(Capabilities::CBOR) => Some(Action::Request(RequestKind::Cbor)),
            Command::Msg if !capabilities.contains(Capabilities::NMSG) => Some(Action::Request(RequestKind::Msg)),
            Command::Other(command) if self.config.vendor_commands.contains(&command) => Some(Action::Vendor(command)),
            _ => None,
        }
    }

    fn advance(&mut self, action: Action, message: Reassembly, now: Duration) {
        match message.finish() {
            Ok(message) => self.act(action, message, now),
            Err(message) => {
                let deadline = now.saturating_add(REASSEMBLY_TIMEOUT);
                self.transaction = Transaction::Receiving { action, message, deadline, excused: false };
            }
        }
    }

    fn act(&mut self, action: Action, message: Message, now: Duration) {
        match action {
            Action::Ping => self.answer(&message),
            Action::Wink => {
                self.events.push_back(DeviceEvent::Wink);
                self.answer(&message);
            }
            Action::Lock => self.set_lock(&message, now),
            Action::Request(kind) => {
                let (id, channel, peer) = self.process(&message, now);
                let payload = message.into_payload();
                self.events.push_back(DeviceEvent::Request { id, peer, channel, kind, payload });
            }
            Action::Vendor(command) => {
                let (id, ..) = self.process(&message, now);
                self.events.push_back(DeviceEvent::Vendor { id, command, payload: message.into_payload() });
            }
        }
    }

    fn set_lock(&mut self, message: &Message, now: Duration) {
        let channel = message.channel();
        match message.payload() {
            [0] => self.lock = None,
            [seconds @ 1..=LONGEST_LOCK] => {
                let until = now.saturating_add(Duration::from_secs(u64::from(*seconds)));
                self.lock = Some(Lock { channel, until });
            }
            _ => return self.error(self.owner(channel), channel, ErrorCode::InvalidPar),
        }
        self.answer(&Message::empty(channel, Command::Lock));
    }

    /// The transaction goes on with a message that the driver answers.
    fn process(&mut self, message: &Message, now: Duration) -> (RequestId, ChannelId, Peer) {
        let id = RequestId(self.requests);
        self.requests += 1;
        let channel = message.channel();
        self.transaction = Transaction::Processing(Processing {
            id,
            channel,
            command: message.command(),
            status: KeepaliveStatus::Processing,
            next_keepalive: now.saturating_add(KEEPALIVE_INTERVAL),
            cancelled: false,
        });
        (id, channel, self.owner(channel))
    }

    fn pending(&mut self, id: RequestId) -> Result<&mut Processing, RespondError> {
        match &mut self.transaction {
            Transaction::Processing(processing) if processing.id == id => Ok(processing),
            _ => Err(RespondError::NotPending),
        }
    }

    fn answer(&mut self, message: &Message) {
        let channel = message.channel();
        self.transaction = Transaction::Idle;
        let to = self.owner(channel);
        self.outgoing.extend(message.reports().map(|report| Outgoing {
            to,
            channel,
            kind: OutgoingKind::Response,
            report,
        }));
    }

    /// Whose the channel of a transaction is: such a channel is never forgotten.
    fn owner(&self, channel: ChannelId) -> Peer {
        self.channels.owner(channel).unwrap_or_default()
    }

    fn error(&mut self, to: Peer, channel: ChannelId, code: ErrorCode) {
        let report = Initialization::new(channel, Command::Error, 1, &[u8::from(code)]).to_report();
        self.standalone(to, channel, OutgoingKind::Error, report);
    }

    fn standalone(&mut self, to: Peer, channel: ChannelId, kind: OutgoingKind, report: Report) {
        let is_standalone =
            |waiting: &&Outgoing| waiting.to == to && matches!(waiting.kind, OutgoingKind::Init | OutgoingKind::Error);
        if self.outgoing.iter().filter(is_standalone).count() >= STANDALONE_CAPACITY
            && let Some(oldest) = self.outgoing.iter().position(|waiting| is_standalone(&waiting))
        {
            self.outgoing.remove(oldest);
        }
        self.outgoing.push_back(Outgoing { to, channel, kind, report });
    }

    /// At most two wait: that a touch is needed, which is never held back, and after it that it no longer is.
    fn keepalive(&mut self, channel: ChannelId, status: KeepaliveStatus) {
        let up_needed = OutgoingKind::Keepalive(KeepaliveStatus::UpNeeded);
        let processing = OutgoingKind::Keepalive(KeepaliveStatus::Processing);
        self.outgoing.retain(|waiting| waiting.channel != channel || waiting.kind != processing);
        let kind = OutgoingKind::Keepalive(status);
        let waits = |waiting: &Outgoing| waiting.channel == channel && waiting.kind == up_needed;
        if kind == up_needed && self.outgoing.iter().any(waits) {
            return;
        }
        let report = Initialization::new(channel, Command::Keepalive, 1, &[u8::from(status)]).to_report();
        let to = self.owner(channel);
        self.outgoing.push_back(Outgoing { to, channel, kind, report });
    }

    /// Whether the host of the transaction has not taken its keepalive.
    fn keepalive_waits(&self) -> bool {
        let channel = self.transaction.channel();
        let is_keepalive = |kind| matches!(kind, OutgoingKind::Keepalive(_));
        self.outgoing.iter().any(|waiting| Some(waiting.channel) == channel && is_keepalive(waiting.kind))
    }
}
