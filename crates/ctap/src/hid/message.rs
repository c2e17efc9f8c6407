//! The message: cut into packets, and put together again.
//!
//! A message of at most [`MAX_MESSAGE_SIZE`] bytes can always be cut, so [`Message`] checks once and [`Message::reports`]
//! cannot fail. Memory grows with the bytes that have come, never with the length that a packet claims.
//! CTAP 2.3 §11.2.4.

use thiserror::Error;

use super::packet::{Continuation, Initialization};
use super::{ChannelId, Command, MAX_MESSAGE_SIZE, Report};

#[cfg(test)]
mod tests;

/// A whole message, of at most [`MAX_MESSAGE_SIZE`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    channel: ChannelId,
    command: Command,
    length: u16,
    payload: Vec<u8>,
}

/// A message has, or claims, more bytes than CTAPHID carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a CTAPHID message of {length} bytes: at most {MAX_MESSAGE_SIZE} fit")]
pub struct MessageTooLong {
    /// The length in bytes.
    pub length: usize,
}

/// A continuation packet is not the one that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("CTAPHID continuation packet {found} where {expected} comes next")]
pub struct WrongSequence {
    /// The sequence number that comes next.
    pub expected: u8,
    /// The one that came.
    pub found: u8,
}

impl Message {
    /// A message to send.
    ///
    /// # Errors
    ///
    /// If the payload is longer than [`MAX_MESSAGE_SIZE`].
    pub fn new(channel: ChannelId, command: Command, payload: Vec<u8>) -> Result<Self, MessageTooLong> {
        match u16::try_from(payload.len()) {
            Ok(length) if payload.len() <= MAX_MESSAGE_SIZE => Ok(Self { channel, command, length, payload }),
            _ => Err(MessageTooLong { length: payload.len() }),
        }
    }

    /// A message without payload.
    #[must_use]
    pub const fn empty(channel: ChannelId, command: Command) -> Self {
        Self { channel, command, length: 0, payload: Vec::new() }
    }

    /// The channel.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.channel
    }

    /// The command, or what is answered.
    #[must_use]
    pub const fn command(&self) -> Command {
        self.command
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, to keep.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The packets of this message in order: 1 to 129 reports.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        let (first, rest) = self.payload.split_at_checked(Initialization::DATA_SIZE).unwrap_or((&self.payload, &[]));
        let first = Initialization::new(self.channel, self.command, self.length, first).to_report();
        let rest = (0_u8..)
            .zip(rest.chunks(Continuation::DATA_SIZE))
            .map(|(sequence, data)| Continuation::new(self.channel, sequence, data).to_report());
        core::iter::once(first).chain(rest)
    }
}

/// A message of which the first packets have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassembly {
    channel: ChannelId,
    command: Command,
    length: u16,
    payload: Vec<u8>,
    next_sequence: u8,
}

impl Reassembly {
    /// Begins with the first packet.
    ///
    /// # Errors
    ///
    /// If the packet claims more than [`MAX_MESSAGE_SIZE`] bytes.
    pub fn start(packet: &Initialization) -> Result<Self, MessageTooLong> {
        let length = usize::from(packet.length);
        if length > MAX_MESSAGE_SIZE {
            return Err(MessageTooLong { length });
        }
        Ok(Self {
            channel: packet.channel,
            command: packet.command,
            length: packet.length,
            payload: packet.data.iter().copied().take(length).collect(),
            next_sequence: 0,
        })
    }

    /// The channel that the message comes on.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Adds a packet of the same channel, which is for the caller to check.
    ///
    /// # Errors
    ///
    /// If it is not the one that comes next. The message cannot be completed then.
    pub fn push(&mut self, packet: &Continuation) -> Result<(), WrongSequence> {
        if packet.sequence != self.next_sequence {
            return Err(WrongSequence { expected: self.next_sequence, found: packet.sequence });
        }
        let missing = usize::from(self.length).saturating_sub(self.payload.len());
        self.payload.extend(packet.data.iter().take(missing));
        self.next_sequence = self.next_sequence.saturating_add(1);
        Ok(())
    }

    /// The message, or this again if packets are missing.
    ///
    /// # Errors
    ///
    /// If packets are missing.
    pub fn finish(self) -> Result<Message, Self> {
        if self.payload.len() < usize::from(self.length) {
            return Err(self);
        }
        Ok(Message { channel: self.channel, command: self.command, length: self.length, payload: self.payload })
    }
}
