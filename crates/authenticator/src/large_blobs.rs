//! authenticatorLargeBlobs (CTAP 2.3 §6.10): one array for all credentials, which the authenticator keeps and does not read.

use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::large_blobs::{MESSAGE_OVERHEAD, Request, Response, authenticated_message};
use keyrig_ctap::{Response as Answer, Status};
use sha2::{Digest, Sha256};

use crate::authenticator::Authenticator;
use crate::memory::PendingArray;
use crate::progress::Progress;
use crate::store::Change;

/// How many bytes of hash an array ends with.
const HASH_LENGTH: usize = 16;

/// The shortest array: one byte and the hash.
const SHORTEST: usize = 1 + HASH_LENGTH;

pub(crate) fn start(authenticator: &mut Authenticator, request: Request) -> Progress {
    let Some(offset) = request.offset.and_then(|offset| usize::try_from(offset).ok()) else {
        return Status::InvalidParameter.into();
    };
    let progress = match (request.get, &request.set) {
        (Some(length), None) => get(authenticator, &request, offset, length),
        (None, Some(fragment)) => set(authenticator, &request, offset, fragment),
        _ => Err(Status::InvalidParameter),
    };
    progress.unwrap_or_else(Progress::from)
}

fn get(authenticator: &Authenticator, request: &Request, offset: usize, length: u64) -> Result<Progress, Status> {
    if request.length.is_some() || request.pin_uv_auth.param.is_some() || request.pin_uv_auth.protocol.is_some() {
        return Err(Status::InvalidParameter);
    }
    let length = authenticator.fragment_length(length)?;
    let array = authenticator.store().large_blobs();
    let rest = array.get(offset..).ok_or(Status::InvalidParameter)?;
    let config = rest.get(..length).unwrap_or(rest).to_vec();
    Ok(Progress::Done(Ok(Answer::LargeBlobs(Response { config }))))
}

fn set(
    authenticator: &mut Authenticator,
    request: &Request,
    offset: usize,
    fragment: &[u8],
) -> Result<Progress, Status> {
    authenticator.fragment_length(u64::try_from(fragment.len()).unwrap_or(u64::MAX))?;
    if offset == 0 {
        let length = request.length.ok_or(Status::InvalidParameter)?;
        if length > authenticator.profile.max_serialized_large_blob_array() {
            return Err(Status::LargeBlobStorageFull);
        }
        let expected_length = usize::try_from(length).map_err(|_| Status::LargeBlobStorageFull)?;
        if expected_length < SHORTEST {
            return Err(Status::InvalidParameter);
        }
        authenticator.memory.pending_array = Some(PendingArray { expected_length, bytes: Vec::new() });
    } else if request.length.is_some() {
        return Err(Status::InvalidParameter);
    }
    let next_offset = authenticator.memory.pending_array.as_ref().map_or(0, |pending| pending.bytes.len());
    if offset != next_offset {
        return Err(Status::InvalidSeq);
    }
    if authenticator.is_protected() || authenticator.always_uv() {
        let offset = u32::try_from(offset).map_err(|_| Status::InvalidParameter)?;
        let message = authenticated_message(offset, &Sha256::digest(fragment).into());
        authenticator.verify_pin_uv_auth(&request.pin_uv_auth, &[&message], Permissions::LBW)?;
    }
    // Not before here: a fragment that is refused leaves the others where they are.
    let pending = authenticator.memory.pending_array.as_mut().ok_or(Status::InvalidSeq)?;
    if fragment.len() > pending.expected_length.saturating_sub(offset) {
        return Err(Status::InvalidParameter);
    }
    pending.bytes.extend_from_slice(fragment);
    if pending.bytes.len() < pending.expected_length {
        return Ok(Progress::Done(Ok(Answer::Done)));
    }
    let array = authenticator.memory.pending_array.take().map(|pending| pending.bytes).unwrap_or_default();
    if !ends_with_its_hash(&array) {
        return Err(Status::IntegrityFailure);
    }
    Ok(Progress::commit(vec![Change::LargeBlobs(array)], |_, _| Progress::Done(Ok(Answer::Done))))
}

pub(crate) fn ends_with_its_hash(array: &[u8]) -> bool {
    array
        .split_last_chunk::<HASH_LENGTH>()
        .is_some_and(|(content, hash)| Sha256::digest(content).first_chunk::<HASH_LENGTH>() == Some(hash))
}

impl Authenticator {
    /// A length that is not beyond `maxFragmentLength` (§6.10.1).
    fn fragment_length(&self, length: u64) -> Result<usize, Status> {
        let max = u64::from(self.profile.max_msg_size).saturating_sub(MESSAGE_OVERHEAD);
        if length > max {
            return Err(Status::InvalidLength);
        }
        usize::try_from(length).map_err(|_| Status::InvalidLength)
    }
}
