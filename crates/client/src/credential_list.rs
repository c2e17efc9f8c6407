//! Exclude and allow lists, cut to what a key takes, and the silent question which entry is on it.
//!
//! A key says how long a credential id it takes, how many fit in one list, and how large a message may be (CTAP 2.3 §6.4).
//! Longer ids are not its own and are left out. If the rest fits, it is sent as it is. If not, the platform asks without
//! user presence, part by part, and then sends the one entry that is there (§6.1.1 and §6.2.1: platforms "preflight").

use keyrig_ctap::entities::{CredentialDescriptor, Options};
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_ctap::{Request, Status, get_assertion, get_info};

use crate::channel::{Cancel, Channel};
use crate::error::Cause;
use crate::key::Key;
use crate::pin_uv_auth_token::PinUvAuthToken;

/// What a key takes that does not say: CTAP 2.3 §6.4 for the size of messages; for the count Chromium assumes this.
const DEFAULT_MAX_MSG_SIZE: u64 = 1024;
const DEFAULT_MAX_COUNT: u64 = 1;

/// Cuts a list into parts that the key takes, without the entries that cannot be its own. No part is empty.
///
/// `message_size` is the size of the request with a given part in it. An entry that does not even fit alone stays, for the
/// key to refuse; but one that no message of CTAPHID holds cannot be the key's own.
pub(crate) fn parts(
    list: &[CredentialDescriptor],
    info: &get_info::Response,
    message_size: impl Fn(&[CredentialDescriptor]) -> usize,
) -> Vec<Vec<CredentialDescriptor>> {
    // Zero is no limit to Chromium.
    let id_length = size(info.max_credential_id_length.filter(|length| *length > 0).unwrap_or(u64::MAX));
    let count = size(info.max_credential_count_in_list.unwrap_or(DEFAULT_MAX_COUNT).max(1));
    let max_size = size(info.max_msg_size.unwrap_or(DEFAULT_MAX_MSG_SIZE));
    let mut parts: Vec<Vec<CredentialDescriptor>> = Vec::new();
    for entry in list.iter().filter(|entry| entry.is_public_key() && entry.id.len() <= id_length) {
        // Transports are hints for the platform: they go no further.
        let entry = CredentialDescriptor { transports: None, ..entry.clone() };
        if message_size(core::slice::from_ref(&entry)) > MAX_MESSAGE_SIZE {
            continue;
        }
        match parts.last_mut() {
            Some(part) if part.len() < count => {
                part.push(entry);
                let overflow = if message_size(part) > max_size { part.pop() } else { None };
                parts.extend(overflow.map(|entry| vec![entry]));
            }
            _ => parts.push(vec![entry]),
        }
    }
    parts
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The statuses by which Chromium sees, before a credential is made, that none of a list is on the key; keys have been seen to
/// answer with each of them.
pub(crate) fn is_unrecognised(status: Status) -> bool {
    matches!(
        status,
        Status::NoCredentials
            | Status::InvalidCredential
            | Status::LimitExceeded
            | Status::RequestTooLarge
            | Status::PuatRequired
    )
}

/// Asks without user presence which part has a credential that is on the key, and returns what of the list to send then. With
/// a token the key also admits to credentials that it keeps from users who are not verified (CTAP 2.3 §12.1). `goes_on`: the
/// statuses after which the next part is asked for.
pub(crate) async fn find<C: Channel>(
    key: &mut Key<C>,
    rp_id: &str,
    parts: Vec<Vec<CredentialDescriptor>>,
    token: Option<&PinUvAuthToken>,
    goes_on: impl Fn(Status) -> bool,
    cancel: &Cancel,
) -> Result<Option<Vec<CredentialDescriptor>>, Cause> {
    for part in parts {
        match key.get_assertion(silent(rp_id, part.clone(), token), cancel).await {
            Ok(response) => {
                let named = response.credential.filter(|found| part.iter().any(|entry| entry.id == found.id));
                return Ok(Some(named.map_or(part, |found| vec![CredentialDescriptor::public_key(found.id)])));
            }
            Err(Cause::Status { status, .. }) if goes_on(status) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// The size of the silent question.
pub(crate) fn silent_size(rp_id: &str, part: &[CredentialDescriptor], token: Option<&PinUvAuthToken>) -> usize {
    Request::GetAssertion(silent(rp_id, part.to_vec(), token)).encode().len()
}

fn silent(rp_id: &str, part: Vec<CredentialDescriptor>, token: Option<&PinUvAuthToken>) -> get_assertion::Request {
    // Nobody sees this signature.
    let client_data_hash = [0; 32];
    get_assertion::Request {
        relying_party_id: rp_id.to_owned(),
        client_data_hash,
        allow_list: part,
        extensions: None,
        options: Options { up: Some(false), ..Options::default() },
        pin_uv_auth: token.map(|token| token.authenticate(&client_data_hash)).unwrap_or_default(),
    }
}
