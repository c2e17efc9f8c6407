//! Several keys, of which the user touches one.
//!
//! All are asked at once. The first that ends the ceremony decides it; the others are told to cancel, and their answers
//! are awaited, so that each key can be asked again afterwards. A key that can't help must not end the ceremony for those
//! that can: as in Chromium it blinks all the same, and what it has to say is said only if it is the one that the user
//! touches. A key that fails for reasons of its own (unplugged, out of its mind) drops out.
//!
//! Before anybody is asked for a PIN, it has to be known for which key: with several, all that want one blink first, and the
//! one that is touched takes the ceremony for itself ([`Turn::select`]).
//!
//! Chromium would go on waiting for another key to be plugged in when none is left. Here the set of keys is given, so the
//! ceremony ends.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::sync::{Arc, OnceLock};

use keyrig_ctap::entities::{CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::{Request, Status, get_info, make_credential};
use tokio::time::{sleep, timeout};

use crate::channel::{Cancel, Canceller, Channel, ChannelError};
use crate::error::{Cause, ClientError, DomException, InvalidResponse, KeyFailure, Refusal, Unsuitable};
use crate::key::Key;
use crate::u2f;

/// How long keys have to answer after they were told to cancel.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// The transport of a key that doesn't say which ones it has.
pub(crate) const DEFAULT_TRANSPORT: &str = "usb";

/// What one key contributed.
pub(crate) enum Verdict<T> {
    /// It did what was asked.
    Answered(T),
    /// It was touched, and this is why it can't help: the ceremony is over.
    Ended(KeyFailure),
    /// It is out; the others go on.
    DroppedOut(KeyFailure),
}

pub(crate) type Asking<'k, T> = Pin<Box<dyn Future<Output = Verdict<T>> + Send + 'k>>;

/// One key's part in a ceremony of several.
pub(crate) struct Turn {
    index: usize,
    cancel: Cancel,
    everyone: Arc<[Canceller]>,
    taken_by: Arc<OnceLock<usize>>,
}

impl Turn {
    /// Requested if another key has won, or the ceremony is over.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Has the user say which key it is to be, by a touch if there are several; the others are told to cancel.
    pub(crate) async fn select<C: Channel>(&self, key: &mut Key<C>) -> Result<(), Cause> {
        if self.everyone.len() > 1 && self.taken_by.get() != Some(&self.index) {
            await_touch(key, &self.cancel).await?;
        }
        self.take()
    }

    /// The user has chosen this key: the others are told to cancel, and whatever comes of this one ends the ceremony.
    pub(crate) fn take(&self) -> Result<(), Cause> {
        if *self.taken_by.get_or_init(|| self.index) != self.index {
            return Err(ChannelError::CancelledUnsent.into());
        }
        for (index, canceller) in self.everyone.iter().enumerate() {
            if index != self.index {
                canceller.cancel();
            }
        }
        Ok(())
    }

    fn is_taken(&self) -> bool {
        self.taken_by.get() == Some(&self.index)
    }
}

/// Asks all keys; `ask` is what is done with each.
pub(crate) async fn race<'k, C: Channel, T>(
    keys: &'k mut [Key<C>],
    patience: Duration,
    mut abort: Cancel,
    ask: impl Fn(&'k mut Key<C>, Turn) -> Asking<'k, T>,
) -> Result<T, ClientError> {
    if abort.is_requested() {
        return Err(Refusal::Aborted.named(DomException::AbortError));
    }
    if keys.is_empty() {
        return Err(Refusal::NoKeys.named(DomException::NotAllowedError));
    }
    let everyone: Arc<[Canceller]> = keys.iter().map(|_| Canceller::new()).collect();
    let taken_by = Arc::new(OnceLock::new());
    let mut asked: Vec<_> = keys
        .iter_mut()
        .zip(everyone.iter())
        .enumerate()
        .map(|(index, (key, canceller))| {
            key.begin_ceremony();
            let (everyone, taken_by) = (Arc::clone(&everyone), Arc::clone(&taken_by));
            Some(ask(key, Turn { index, cancel: canceller.token(), everyone, taken_by }))
        })
        .collect();
    let mut failures = Vec::new();
    let deadline = sleep(patience);
    tokio::pin!(deadline);
    let outcome = loop {
        tokio::select! {
            biased;
            () = abort.requested() => break Err(Refusal::Aborted.named(DomException::AbortError)),
            verdict = next(&mut asked) => match verdict {
                // Another key was chosen already.
                Some((index, _)) if taken_by.get().is_some_and(|taken| *taken != index) => {}
                Some((_, Verdict::Answered(answer))) => break Ok(answer),
                Some((_, Verdict::Ended(failure))) => break Err(ended_by(failure)),
                Some((_, Verdict::DroppedOut(failure))) => failures.push(failure),
                None => break Err(nobody_left(failures)),
            },
            () = &mut deadline => break Err(Refusal::TimedOut(patience).named(DomException::NotAllowedError)),
        }
    };
    for canceller in everyone.iter() {
        canceller.cancel();
    }
    let others = async { while next(&mut asked).await.is_some() {} };
    if timeout(CANCEL_PATIENCE, others).await.is_err() {
        tracing::warn!("a key didn't answer after it was told to cancel");
    }
    outcome
}

/// The next verdict of any key, and which key's it is; `None` if all have given theirs.
async fn next<T>(asked: &mut [Option<Asking<'_, T>>]) -> Option<(usize, Verdict<T>)> {
    poll_fn(|context| {
        let mut pending = false;
        for (index, slot) in asked.iter_mut().enumerate() {
            let Some(asking) = slot else { continue };
            if let Poll::Ready(verdict) = asking.as_mut().poll(context) {
                *slot = None;
                return Poll::Ready(Some((index, verdict)));
            }
            pending = true;
        }
        if pending { Poll::Pending } else { Poll::Ready(None) }
    })
    .await
}

fn ended_by(failure: KeyFailure) -> ClientError {
    let excluded = matches!(
        failure.cause,
        Cause::Status { status: Status::CredentialExcluded, .. } | Cause::Unsuitable(Unsuitable::Excluded)
    );
    let name = if excluded { DomException::InvalidStateError } else { DomException::NotAllowedError };
    Refusal::Key(failure).named(name)
}

fn nobody_left(mut failures: Vec<KeyFailure>) -> ClientError {
    let refusal = match failures.pop() {
        Some(only) if failures.is_empty() => Refusal::Key(only),
        Some(last) => {
            failures.push(last);
            Refusal::EveryKey(failures)
        }
        None => Refusal::NoKeys,
    };
    refusal.named(DomException::NotAllowedError)
}

/// What a failure means for the ceremony, after a touch if it takes one to find out.
pub(crate) async fn settle<C: Channel, T>(key: &mut Key<C>, cause: Cause, turn: &Turn) -> Verdict<T> {
    let failure = KeyFailure { key: key.name().to_owned(), cause };
    match weight(&failure.cause) {
        _ if turn.is_taken() => Verdict::Ended(failure),
        Weight::Touched => Verdict::Ended(failure),
        Weight::Out => Verdict::DroppedOut(failure),
        Weight::Untouched => match await_touch(key, turn.cancel()).await {
            Ok(()) => Verdict::Ended(failure),
            // Why it can't help says more than why it can't blink.
            Err(_) => Verdict::DroppedOut(failure),
        },
    }
}

enum Weight {
    /// The user has touched the key, or refused at it.
    Touched,
    /// The key can't help, and the user doesn't know yet.
    Untouched,
    /// The key failed.
    Out,
}

fn weight(cause: &Cause) -> Weight {
    match cause {
        Cause::Status { status, .. } => match status {
            Status::CredentialExcluded | Status::OperationDenied | Status::KeyStoreFull => Weight::Touched,
            Status::PinInvalid | Status::PinAuthBlocked | Status::PinBlocked => Weight::Touched,
            Status::NoCredentials
            | Status::InvalidCredential
            | Status::UnsupportedAlgorithm
            | Status::UnsupportedOption
            | Status::InvalidOption
            | Status::PuatRequired => Weight::Untouched,
            _ => Weight::Out,
        },
        Cause::InvalidResponse { error: InvalidResponse::Undecodable(_), .. } | Cause::Channel(_) => Weight::Out,
        Cause::InvalidResponse { .. } | Cause::InvalidU2fResponse(_) | Cause::Pin(_) => Weight::Touched,
        Cause::Unsuitable(Unsuitable::Excluded) => Weight::Touched,
        Cause::U2f { .. } => Weight::Out,
        Cause::Unsuitable(Unsuitable::Attachment | Unsuitable::Transport) => Weight::Out,
        Cause::Unsuitable(_) => Weight::Untouched,
    }
}

/// Makes the key blink until it is touched: by authenticatorSelection (CTAP 2.3 §6.9), or, with a key older than
/// CTAP 2.1, by a registration that nobody wants, as Chromium does.
pub(crate) async fn await_touch<C: Channel>(key: &mut Key<C>, cancel: &Cancel) -> Result<(), Cause> {
    let info = key.get_info(cancel).await?;
    if u2f::is_all_that(&info) {
        return key.u2f_touch(cancel).await;
    }
    let has_selection =
        info.versions.iter().any(|version| !matches!(version.as_str(), "U2F_V2" | "FIDO_2_0" | "FIDO_2_1_PRE"));
    let request = if has_selection { Request::Selection } else { Request::MakeCredential(unwanted_credential(&info)) };
    match key.transact(&request, cancel).await {
        // With a PIN set, the empty pinUvAuthParam is refused after the touch (CTAP 2.3 §6.1.2 step 1).
        Err(Cause::Status { status: Status::PinInvalid | Status::PinNotSet | Status::PinAuthInvalid, .. })
            if !has_selection =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

fn unwanted_credential(info: &get_info::Response) -> make_credential::Request {
    let pin_uv_auth = match info.option("clientPin") {
        Some(true) => PinUvAuth {
            param: Some(Vec::new()),
            protocol: Some(info.pin_uv_auth_protocols.first().copied().unwrap_or(1)),
        },
        _ => PinUvAuth::default(),
    };
    make_credential::Request {
        client_data_hash: [0; 32],
        relying_party: RelyingParty { id: ".dummy".to_owned(), name: None },
        user: User { id: vec![1], name: Some("dummy".to_owned()), display_name: None },
        parameters: vec![CredentialParameters::public_key(-7)],
        exclude_list: Vec::new(),
        extensions: None,
        options: Options::default(),
        pin_uv_auth,
        enterprise_attestation: None,
        attestation_formats_preference: None,
    }
}

#[cfg(test)]
mod tests;
