//! Built-in user verification: how it is performed, and how often it may fail (CTAP 2.3 §6.5.2.3, §6.5.3.1).

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::get_info::OptionId;

use crate::authenticator::Authenticator;
use crate::pin::MAX_PIN_RETRIES;
use crate::presence::Reason;
use crate::progress::{Outcome, Progress};
use crate::store::Change;
use crate::uv_attempts::UvAttempts;

/// Why a user was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody came.
    TimedOut,
    /// Whoever came is not known, or nobody is asked any more.
    NotKnown,
}

impl Authenticator {
    /// Whether built-in user verification is set up; nothing if the key has none.
    pub(crate) fn built_in_uv(&self) -> Option<bool> {
        let by_default = self.profile.option(OptionId::Uv)?;
        Some(if self.profile.fingerprints().is_some() { self.store().fingerprints().len() > 0 } else { by_default })
    }

    /// `uvRetries`. A blocked PIN disables built-in user verification, too.
    pub(crate) fn uv_retries(&self) -> u8 {
        if self.store().pin().is_some() && self.store().pin_retries() == 0 {
            return 0;
        }
        self.profile.behaviour.uv_retries.saturating_sub(self.store().uv_attempts().failed)
    }

    /// What makes the retries of PIN and built-in user verification full again: the right PIN was entered.
    pub(crate) fn full_retries(&self) -> Vec<Change> {
        let mut changes = vec![Change::PinRetries(MAX_PIN_RETRIES)];
        if self.store().uv_attempts() != UvAttempts::default() {
            changes.push(Change::UvAttempts(UvAttempts::default()));
        }
        changes
    }

    /// Whether a PIN is of no use for makeCredential and getAssertion.
    pub(crate) fn no_mc_ga_with_pin(&self) -> bool {
        self.profile.option(OptionId::NoMcGaPermissionsWithClientPin) == Some(true)
    }

    /// What a ceremony is refused with that wants user verification: whether a PIN would help (§6.1.2 steps 6 to 8).
    pub(crate) fn uv_required(&self) -> Status {
        let has_pins = self.profile.option(OptionId::ClientPin).is_some();
        if has_pins && !self.no_mc_ga_with_pin() { Status::PuatRequired } else { Status::OperationDenied }
    }

    /// What a ceremony is refused with whose `uv` option failed (§6.1.2 step 11.2, §6.2.2 step 6.2).
    pub(crate) fn uv_failed(&self, failure: Failure) -> Status {
        if failure == Failure::TimedOut {
            Status::UserActionTimeout
        } else if self.store().pin().is_some() && !self.no_mc_ga_with_pin() {
            Status::PuatRequired
        } else if self.uv_retries() == 0 {
            Status::PinBlocked
        } else {
            Status::OperationDenied
        }
    }
}

/// `performBuiltInUv`, with as many attempts as there may be before it is told that they failed: goes on with `then` if one does not.
///
/// An attempt is spent, durably, before it is made. One that nobody makes, as the user refuses or the platform cancels, is given back.
pub(crate) fn perform(
    authenticator: &Authenticator,
    reason: Reason,
    attempts: u8,
    failed: impl FnOnce(&Authenticator, Failure) -> Status + Send + 'static,
    then: impl FnOnce(&mut Authenticator, Duration) -> Progress + Send + 'static,
) -> Progress {
    let (Some(attempts), 1..) = (attempts.checked_sub(1), authenticator.uv_retries()) else {
        return failed(authenticator, Failure::NotKnown).into();
    };
    let before = authenticator.store().uv_attempts();
    let spent = UvAttempts {
        failed: before.failed.saturating_add(1),
        since_pin_entry: before.since_pin_entry.saturating_add(1),
    };
    Progress::commit(vec![Change::UvAttempts(spent)], move |_, _| {
        Progress::verification(reason, move |authenticator, _, outcome| {
            let refused =
                |status: Status| Progress::commit(vec![Change::UvAttempts(before)], move |_, _| status.into());
            match outcome {
                Outcome::Made => Progress::commit(vec![Change::UvAttempts(UvAttempts { failed: 0, ..spent })], then),
                Outcome::Missed | Outcome::Sampled(_) => perform(authenticator, reason, attempts, failed, then),
                Outcome::TimedOut => failed(authenticator, Failure::TimedOut).into(),
                Outcome::Denied => refused(Status::OperationDenied),
                Outcome::Cancelled => refused(Status::KeepaliveCancel),
            }
        })
    })
}
