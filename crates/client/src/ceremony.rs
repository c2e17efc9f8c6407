//! Several keys, of which the user touches one.
//!
//! All are asked at once. The first that ends the ceremony decides it; the others are told to cancel, and their answers
//! are awaited, so that each key can be asked again afterwards. What it means for the others that one key cannot help is weighed
//! as the browser does ([`weigh`]).
//!
//! Before anybody is asked for a PIN, it has to be known for which key: with several, all that want one blink first, and the
//! one that is touched takes the ceremony for itself ([`Turn::select`]). Firefox has the user choose whether or not there is a
//! PIN.
//!
//! Chromium would go on waiting for another key to be plugged in when none is left. Here the set of keys is given, so the
//! ceremony ends.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::sync::{Arc, OnceLock};

use keyrig_ctap::entities::{CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Request, Status, get_info, make_credential};
use tokio::time::{sleep, timeout};

use crate::browser::{AtKeys, Browser};
use crate::channel::{Cancel, Canceller, Channel, ChannelError};
use crate::error::{Cause, ClientError, DomException, KeyFailure, Refusal, Unsuitable};
use crate::key::Key;
use crate::u2f;
use crate::weight::{Ceremony, Weight, weigh};

/// How long keys have to answer after they were told to cancel.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// The transport of a key that does not say which ones it has.
pub(crate) const DEFAULT_TRANSPORT: &str = "usb";

/// What one key contributed.
pub(crate) enum Verdict<T> {
    /// It did what was asked.
    Answered(T),
    /// This is why it cannot help, and the ceremony is over: it was touched, or the browser thinks so.
    Ended(KeyFailure),
    /// It is out; the others go on.
    DroppedOut(KeyFailure),
}

pub(crate) type Asking<'k, T> = Pin<Box<dyn Future<Output = Verdict<T>> + Send + 'k>>;

/// One key's part in a ceremony of several.
pub(crate) struct Turn {
    browser: Browser,
    ceremony: Ceremony,
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

    /// What a browser does before it asks the key for anything.
    pub(crate) async fn begin<C: Channel>(&self, key: &mut Key<C>) -> Result<(), Cause> {
        match self.browser.at_keys() {
            AtKeys::Chromium => Ok(()),
            AtKeys::Firefox => self.select(key).await,
        }
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
    (browser, ceremony): (Browser, Ceremony),
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
            Some(ask(key, Turn { browser, ceremony, index, cancel: canceller.token(), everyone, taken_by }))
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
        tracing::warn!("a key did not answer after it was told to cancel");
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
    let touched = match weigh(turn.browser, turn.ceremony, turn.is_taken(), &cause) {
        Weight::Ends => Ok(()),
        Weight::Blinks => await_touch(key, turn.cancel()).await,
        Weight::BlinksForADummy => await_dummy(key, turn.cancel()).await,
        Weight::Out => return Verdict::DroppedOut(KeyFailure { key: key.name().to_owned(), cause }),
    };
    // Why it cannot help says more than why it cannot blink.
    let failure = KeyFailure { key: key.name().to_owned(), cause };
    if touched.is_ok() || turn.is_taken() { Verdict::Ended(failure) } else { Verdict::DroppedOut(failure) }
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
        // The empty pinUvAuthParam is refused after the touch (CTAP 2.3 §6.1.2 step 1).
        Err(Cause::Status { status: Status::PinInvalid | Status::PinNotSet | Status::PinAuthInvalid, .. })
            if !has_selection =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// Makes the key blink for a credential that nobody wants. Whatever it answers is taken for a touch, as browsers do where they
/// want no more than the touch.
pub(crate) async fn await_dummy<C: Channel>(key: &mut Key<C>, cancel: &Cancel) -> Result<(), Cause> {
    let info = key.get_info(cancel).await?;
    if u2f::is_all_that(&info) {
        return key.u2f_touch(cancel).await;
    }
    match key.transact(&Request::MakeCredential(unwanted_credential(&info)), cancel).await {
        Err(Cause::Channel(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

fn unwanted_credential(info: &get_info::Response) -> make_credential::Request {
    let pin_uv_auth = match info.option(OptionId::ClientPin) {
        Some(_) => PinUvAuth { param: Some(Vec::new()), protocol: Some(1) },
        None => PinUvAuth::default(),
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
