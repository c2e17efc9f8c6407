//! authenticatorLargeBlobs (CTAP 2.3 §6.10).

use crate::cbor::{Item, Writer};
use crate::entities::{PinUvAuth, numbered_entries, owned_bytes};
use crate::status::Status;

/// How many bytes of a message are not part of a fragment: `maxFragmentLength` is `maxMsgSize` less this (CTAP 2.3 §6.10.1).
pub const MESSAGE_OVERHEAD: u64 = 64;

/// The parameters of authenticatorLargeBlobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// 0x01 `get`: how many bytes to read.
    pub get: Option<u64>,
    /// 0x02 `set`: a fragment to write.
    pub set: Option<Vec<u8>>,
    /// 0x03 `offset`: where to read or write, bytes. It has to be there.
    pub offset: Option<u64>,
    /// 0x04 `length`: of the whole serialized array, bytes; with the first fragment only.
    pub length: Option<u64>,
    /// 0x05 `pinUvAuthParam` and 0x06 `pinUvAuthProtocol`.
    pub pin_uv_auth: PinUvAuth,
}

/// What `pinUvAuthParam` is computed over, when the fragment whose SHA-256 hash is given is written at `offset` (CTAP 2.3
/// §6.10.2).
#[must_use]
pub fn authenticated_message(offset: u32, fragment_hash: &[u8; 32]) -> Vec<u8> {
    let mut message = vec![0xFF; 32];
    message.extend_from_slice(&[0x0C, 0x00]);
    message.extend_from_slice(&offset.to_le_bytes());
    message.extend_from_slice(fragment_hash);
    message
}

impl Request {
    /// Parses the parameters: what follows the command byte. That members contradict each other is for the authenticator to
    /// say.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`] or [`Status::CborUnexpectedType`].
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut request = Self::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => request.get = Some(value.unsigned()?),
                0x02 => request.set = Some(owned_bytes(value)?),
                0x03 => request.offset = Some(value.unsigned()?),
                0x04 => request.length = Some(value.unsigned()?),
                0x05 => request.pin_uv_auth.param = Some(owned_bytes(value)?),
                0x06 => request.pin_uv_auth.protocol = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.get, Writer::unsigned);
            map.optional(0x02, self.set.as_deref(), Writer::bytes);
            map.optional(0x03, self.offset, Writer::unsigned);
            map.optional(0x04, self.length, Writer::unsigned);
            map.optional(0x05, self.pin_uv_auth.param.as_deref(), Writer::bytes);
            map.optional(0x06, self.pin_uv_auth.protocol, Writer::unsigned);
        })
    }
}

/// The answer of authenticatorLargeBlobs to `get`; to `set` it is success with nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0x01 `config`: the bytes that were read; fewer than asked for at the end of the array.
    pub config: Vec<u8>,
}

impl Response {
    /// Parses the response's map: what follows the status byte.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut config = None;
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            if key == 0x01 {
                config = Some(owned_bytes(value)?);
            }
        }
        Ok(Self { config: config.ok_or(Status::MissingParameter)? })
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.bytes(&self.config));
        })
    }
}
