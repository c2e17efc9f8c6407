//! Large blobs: what a relying party stores beside a credential, in an array that all credentials of a key share
//! (CTAP 2.3 §6.10).
//!
//! Each blob is compressed and encrypted under the key of its credential. A reader finds its own by trying all; what others
//! wrote stays as it is.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use keyrig_ctap::cbor::{Item, Writer};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::large_blobs::{Request, Response};
use keyrig_ctap::{Command, Request as Message, get_info};
use sha2::{Digest, Sha256};

use crate::channel::{Cancel, Channel, ChannelError};
use crate::error::{Cause, InvalidResponse, Unsuitable};
use crate::key::{Key, undecodable};
use crate::pin_uv_auth_token::PinUvAuthToken;
use crate::randomness::{self, Randomness};

/// Bytes of a message that are not part of a fragment (CTAP 2.3 §6.10.1).
const OVERHEAD: u64 = 64;

/// What a key takes that does not say: CTAP 2.3 §6.4.
const DEFAULT_MAX_MSG_SIZE: u64 = 1024;
const MIN_ARRAY_SIZE: u64 = 1024;

/// The most bytes of an array that are read, and of a blob that are decompressed: a thousand times what a key has room for.
const MAX_SIZE: usize = 4 * 1024 * 1024;

const HASH: usize = 16;
/// The nonce under which a blob is encrypted, bytes.
pub const NONCE: usize = 12;

/// The key of a credential's blob.
pub type LargeBlobKey = [u8; 32];

/// The blob that is stored in a serialized array under a key, decompressed; `None` if there is none.
#[must_use]
pub fn blob(serialized: &[u8], key: &LargeBlobKey) -> Option<Vec<u8>> {
    elements(serialized).iter().find_map(|entry| open(entry, key))
}

/// A serialized array with a blob under a key, in place of what was there. `nonce` is random.
#[must_use]
pub fn with_blob(serialized: &[u8], key: &LargeBlobKey, blob: &[u8], nonce: [u8; NONCE]) -> Vec<u8> {
    let mut array = elements(serialized);
    array.retain(|entry| open(entry, key).is_none());
    array.push(seal_under(nonce, key, blob));
    serialize(&array)
}

impl<C: Channel> Key<C> {
    /// The blob that is stored under a key, decompressed; `None` if there is none. It takes no token.
    ///
    /// # Errors
    /// [`Cause`]: why the array cannot be read.
    pub async fn large_blob(&mut self, key: &LargeBlobKey, cancel: &Cancel) -> Result<Option<Vec<u8>>, Cause> {
        let array = self.large_blob_array(cancel).await?;
        Ok(array.iter().find_map(|entry| open(entry, key)))
    }

    /// Stores a blob under a key, in place of what was there. The token needs the permission `lbw`; a key without PIN and
    /// fingerprint takes none.
    ///
    /// # Errors
    /// [`Cause`]: nothing was stored. [`Unsuitable::LargeBlobTooLong`] if there is no room.
    pub async fn write_large_blob(
        &mut self,
        key: &LargeBlobKey,
        blob: &[u8],
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let mut array = self.large_blob_array(cancel).await?;
        array.retain(|entry| open(entry, key).is_none());
        array.push(seal(key, blob, &**self.random())?);
        self.write_large_blob_array(&array, token, cancel).await
    }

    /// Deletes the blob that is stored under a key, if there is one.
    ///
    /// # Errors
    /// [`Cause`]: nothing was deleted.
    pub async fn delete_large_blob(
        &mut self,
        key: &LargeBlobKey,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let mut array = self.large_blob_array(cancel).await?;
        let before = array.len();
        array.retain(|entry| open(entry, key).is_none());
        if array.len() == before { Ok(()) } else { self.write_large_blob_array(&array, token, cancel).await }
    }

    /// The elements of the array, as they are encoded.
    async fn large_blob_array(&mut self, cancel: &Cancel) -> Result<Vec<Vec<u8>>, Cause> {
        let info = self.large_blob_info(cancel).await?;
        let fragment = fragment_size(&info);
        let mut serialized = Vec::new();
        loop {
            let offset = u64::try_from(serialized.len()).unwrap_or(u64::MAX);
            let request = Request { get: Some(fragment), offset: Some(offset), ..Request::default() };
            let response = self.transact(&Message::LargeBlobs(request), cancel).await?;
            let part = Response::decode(&response).map_err(undecodable(Command::LargeBlobs))?.config;
            let last = u64::try_from(part.len()).is_ok_and(|length| length < fragment);
            serialized.extend(part);
            if last {
                return Ok(elements(&serialized));
            }
            if serialized.len() > MAX_SIZE {
                let (command, error) = (Command::LargeBlobs, InvalidResponse::LargeBlobArray);
                return Err(Cause::InvalidResponse { command, error });
            }
        }
    }

    async fn write_large_blob_array(
        &mut self,
        array: &[Vec<u8>],
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let info = self.large_blob_info(cancel).await?;
        let serialized = serialize(array);
        let room = info.max_serialized_large_blob_array.unwrap_or(MIN_ARRAY_SIZE);
        let length = u32::try_from(serialized.len()).map_err(|_| Unsuitable::LargeBlobTooLong { room })?;
        if u64::from(length) > room {
            return Err(Unsuitable::LargeBlobTooLong { room }.into());
        }
        let size = usize::try_from(fragment_size(&info)).unwrap_or(usize::MAX);
        let mut offset: u32 = 0;
        for fragment in serialized.chunks(size) {
            let message = authenticated_message(offset, fragment);
            let request = Request {
                set: Some(fragment.to_vec()),
                offset: Some(offset.into()),
                length: (offset == 0).then_some(length.into()),
                pin_uv_auth: token.map(|token| token.authenticate(&message)).unwrap_or_default(),
                ..Request::default()
            };
            self.transact(&Message::LargeBlobs(request), cancel).await?;
            offset = offset.saturating_add(u32::try_from(fragment.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    async fn large_blob_info(&mut self, cancel: &Cancel) -> Result<get_info::Response, Cause> {
        let info = self.get_info(cancel).await?;
        if info.option(OptionId::LargeBlobs) == Some(true) { Ok(info) } else { Err(Unsuitable::LargeBlob.into()) }
    }
}

/// `maxFragmentLength`. At least one byte, whatever the key says.
fn fragment_size(info: &get_info::Response) -> u64 {
    info.max_msg_size.unwrap_or(DEFAULT_MAX_MSG_SIZE).saturating_sub(OVERHEAD).max(1)
}

/// 32 bytes of 0xFF, the command byte with a zero, the offset and the fragment's hash.
fn authenticated_message(offset: u32, fragment: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 32];
    message.extend([0x0c, 0x00]);
    message.extend(offset.to_le_bytes());
    message.extend(Sha256::digest(fragment));
    message
}

/// The elements of a serialized array. One whose hash is wrong counts as empty: it was torn while it was written
/// (CTAP 2.3 §6.10.2).
fn elements(serialized: &[u8]) -> Vec<Vec<u8>> {
    let Some((array, hash)) = serialized.len().checked_sub(HASH).and_then(|at| serialized.split_at_checked(at)) else {
        return Vec::new();
    };
    if !Sha256::digest(array).starts_with(hash) {
        return Vec::new();
    }
    let elements = Item::parse(array).ok().and_then(|item| item.array().ok());
    elements.map(|elements| elements.map(|element| element.encoded().to_vec()).collect()).unwrap_or_default()
}

fn serialize(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array_of(elements, |w, element| w.raw(element));
    let mut serialized = writer.finish();
    let hash = Sha256::digest(&serialized);
    serialized.extend(hash.iter().take(HASH));
    serialized
}

/// "blob", and the size that the blob has without compression.
fn associated_data(original_size: u64) -> [u8; 12] {
    let mut data = *b"blob\0\0\0\0\0\0\0\0";
    for (to, from) in data.iter_mut().skip(4).zip(original_size.to_le_bytes()) {
        *to = from;
    }
    data
}

/// A large-blob map around a blob (CTAP 2.3 §6.10.3).
fn seal(key: &LargeBlobKey, blob: &[u8], random: &dyn Randomness) -> Result<Vec<u8>, ChannelError> {
    Ok(seal_under(randomness::bytes(random)?, key, blob))
}

fn seal_under(nonce: [u8; NONCE], key: &LargeBlobKey, blob: &[u8]) -> Vec<u8> {
    let original_size = u64::try_from(blob.len()).unwrap_or(u64::MAX);
    let compressed = miniz_oxide::deflate::compress_to_vec(blob, 6);
    let payload = Payload { msg: &compressed, aad: &associated_data(original_size) };
    let ciphertext = Aes256Gcm::new(key.into())
        .encrypt(&Nonce::from(nonce), payload)
        .expect("AES-GCM takes far more than what fits into memory here");
    let mut writer = Writer::new();
    writer.map(|map| {
        map.entry(1, |w| w.bytes(&ciphertext));
        map.entry(2, |w| w.bytes(&nonce));
        map.entry(3, |w| w.unsigned(original_size));
    });
    writer.finish()
}

/// What is in an element, if it is a large-blob map under this key.
fn open(element: &[u8], key: &LargeBlobKey) -> Option<Vec<u8>> {
    let (mut ciphertext, mut nonce, mut original_size) = (None, None, None);
    for (label, value) in Item::parse(element).ok()?.map().ok()? {
        match label.unsigned() {
            Ok(1) => ciphertext = Some(value.bytes().ok()?),
            Ok(2) => nonce = Some(<[u8; NONCE]>::try_from(value.bytes().ok()?).ok()?),
            Ok(3) => original_size = Some(value.unsigned().ok()?),
            _ => {}
        }
    }
    let original_size = original_size?;
    let payload = Payload { msg: ciphertext?, aad: &associated_data(original_size) };
    let compressed = Aes256Gcm::new(key.into()).decrypt(&Nonce::from(nonce?), payload).ok()?;
    let size = usize::try_from(original_size).ok().filter(|size| *size <= MAX_SIZE)?;
    let blob = miniz_oxide::inflate::decompress_to_vec_with_limit(&compressed, size).ok()?;
    (blob.len() == size).then_some(blob)
}

#[cfg(test)]
mod tests;
