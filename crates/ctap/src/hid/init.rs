//! The `INIT` response: by which a host gets its channel and learns what the device is. CTAP 2.3 §11.2.9.1.3.

use thiserror::Error;

use super::{Capabilities, ChannelId, Command, Initialization, NONCE_SIZE, Report};

const RESPONSE_SIZE: u16 = 17;

/// What a device answers to `INIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitResponse {
    /// The nonce of the request.
    pub nonce: [u8; NONCE_SIZE],
    /// The channel from now on: a new one, or the one that was resynchronised.
    pub channel: ChannelId,
    /// The version of CTAPHID, [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION).
    pub protocol_version: u8,
    /// The device's version as its maker counts: major, minor, build.
    pub device_version: [u8; 3],
    /// What the device implements.
    pub capabilities: Capabilities,
}

/// An `INIT` response claims fewer bytes than it has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an INIT response of {length} bytes: it has {RESPONSE_SIZE}")]
pub struct InitResponseTooShort {
    /// The length in bytes.
    pub length: u16,
}

impl InitResponse {
    /// The response as the one report that it is, on the channel that the request came on.
    #[must_use]
    pub fn to_report(&self, on: ChannelId) -> Report {
        let mut payload = Vec::with_capacity(usize::from(RESPONSE_SIZE));
        payload.extend(self.nonce);
        payload.extend(self.channel.0.to_be_bytes());
        payload.push(self.protocol_version);
        payload.extend(self.device_version);
        payload.push(self.capabilities.0);
        Initialization::new(on, Command::Init, RESPONSE_SIZE, &payload).to_report()
    }

    /// Reads an `INIT` packet from a device. Bytes beyond the seventeenth belong to later versions and are ignored.
    ///
    /// # Errors
    ///
    /// If it claims fewer than 17 bytes.
    pub fn parse(packet: &Initialization) -> Result<Self, InitResponseTooShort> {
        if packet.length < RESPONSE_SIZE {
            return Err(InitResponseTooShort { length: packet.length });
        }
        let [n0, n1, n2, n3, n4, n5, n6, n7, c0, c1, c2, c3, protocol_version, major, minor, build, flags, ..] =
            packet.data;
        Ok(Self {
            nonce: [n0, n1, n2, n3, n4, n5, n6, n7],
            channel: ChannelId(u32::from_be_bytes([c0, c1, c2, c3])),
            protocol_version,
            device_version: [major, minor, build],
            capabilities: Capabilities(flags),
        })
    }
}
