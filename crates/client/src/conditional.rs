//! Conditional mediation: a ceremony that waits until the user does something (WebAuthn Level 3 §5.1.4.1 and §5.1.3).
//!
//! A browser offers what is there in a field of the page, and no key blinks for it. Here the keys that have a discoverable credential
//! for the site, or may have one that a PIN protects, stand for what is offered, and a touch for the choice: they blink, and what
//! any of them refuses is no end.

use core::time::Duration;

use keyrig_ctap::entities::{Options, PinUvAuth};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Status, get_assertion, get_info};
use tokio::time::Instant;

use crate::channel::{Cancel, Channel, ChannelError};
use crate::error::{Cause, ClientError, DomException, KeyFailure, Refusal};
use crate::key::Key;
use crate::u2f;

/// For as long as a page may be open (step 6: the timer is infinite).
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A user refuses within this time; a key gives up later.
const SOON: Duration = Duration::from_secs(1);

/// Whether the key has a discoverable credential for the site, as it says without a touch; or may have one that it tells nobody of who
/// is not verified (credProtect, CTAP 2.3 §12.1).
pub(crate) async fn is_offered_by<C: Channel>(
    key: &mut Key<C>,
    rp_id: &str,
    client_data_hash: [u8; 32],
    cancel: &Cancel,
) -> bool {
    match key.get_info(cancel).await {
        Ok(info) if u2f::is_all_that(&info) => return false,
        Ok(info) if verifies(&info) => return true,
        Ok(_) => {}
        Err(_) => return false,
    }
    let silent = get_assertion::Request {
        relying_party_id: rp_id.to_owned(),
        client_data_hash,
        allow_list: Vec::new(),
        extensions: None,
        options: Options { rk: None, up: Some(false), uv: None },
        pin_uv_auth: PinUvAuth::default(),
    };
    key.get_assertion(silent, cancel).await.is_ok()
}

fn verifies(info: &get_info::Response) -> bool {
    [OptionId::ClientPin, OptionId::Uv].iter().any(|option| info.option(*option) == Some(true))
}

/// Whether the key gave up waiting for a gesture: it was asked at this time. One that refuses sooner was told to by its user, and is
/// not asked again.
pub(crate) fn nobody_came(cause: &Cause, asked: Instant) -> bool {
    let statuses = [Status::OperationDenied, Status::UserActionTimeout, Status::ActionTimeout];
    asked.elapsed() > SOON && matches!(cause, Cause::Status { status, .. } if statuses.contains(status))
}

/// Whether it is the key, or its user, that wants no part: not one that is gone or busy, or was told to cancel.
pub(crate) fn is_refusal(cause: &Cause) -> bool {
    let elsewhere = [Status::KeepaliveCancel, Status::ChannelBusy];
    match cause {
        Cause::Channel(_) => false,
        Cause::Status { status, .. } => !elsewhere.contains(status),
        _ => true,
    }
}

/// What a key says of itself that has no part any more, once it is told to cancel.
pub(crate) async fn until_cancelled(key: &str, cancel: &Cancel) -> KeyFailure {
    cancel.clone().requested().await;
    KeyFailure { key: key.to_owned(), cause: ChannelError::CancelledUnsent.into() }
}

/// There is no key that could be offered: only the page can end it.
pub(crate) async fn until_aborted(mut abort: Cancel) -> ClientError {
    abort.requested().await;
    Refusal::Aborted.named(DomException::AbortError)
}
