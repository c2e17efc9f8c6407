//! What a command does next: the authenticator's inside of a step.

use core::time::Duration;

use keyrig_ctap::bio_enrollment::Sample;
use keyrig_ctap::u2f::StatusWord;
use keyrig_ctap::{Response, Status};

use crate::authenticator::Authenticator;
use crate::presence::{Asks, Reason};
use crate::store::Change;

/// What a command does next, inside the authenticator.
pub(crate) enum Progress {
    Commit(Vec<Change>, Continuation),
    /// The user is asked, for so long if not for as long as for any touch.
    Gesture(Reason, Asks, Option<Duration>, Answered),
    /// There will be no answer.
    Silence,
    Done(Result<Response, Status>),
    /// A CTAP1/U2F message is answered: the data of a success, or why not.
    DoneU2f(Result<Vec<u8>, StatusWord>),
}

/// The rest of a command.
pub(crate) type Continuation = Box<dyn FnOnce(&mut Authenticator, Duration) -> Progress + Send>;

/// The rest of a command that depends on what comes of a gesture.
pub(crate) type Answered = Box<dyn FnOnce(&mut Authenticator, Duration, Outcome) -> Progress + Send>;

/// What comes of a gesture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The user was there, and is the one that the key knows, if it asked for that.
    Made,
    /// The user was there, and is not known.
    Missed,
    /// The user refused.
    Denied,
    /// The platform cancelled the command.
    Cancelled,
    /// Nobody came.
    TimedOut,
    /// The user was there, and the sensor makes this of it: only if a sample was asked for.
    Sampled(Sample),
}

impl Progress {
    pub(crate) fn commit(
        changes: Vec<Change>,
        then: impl FnOnce(&mut Authenticator, Duration) -> Self + Send + 'static,
    ) -> Self {
        Self::Commit(changes, Box::new(then))
    }

    /// Asks for a touch.
    pub(crate) fn gesture(
        reason: Reason,
        refusals: Refusals,
        then: impl FnOnce(&mut Authenticator, Duration) -> Self + Send + 'static,
    ) -> Self {
        let answered = move |authenticator: &mut Authenticator, now, outcome| match outcome {
            // Whoever it was.
            Outcome::Made | Outcome::Missed | Outcome::Sampled(_) => then(authenticator, now),
            Outcome::Denied => refusals.denied.into(),
            Outcome::Cancelled => Status::KeepaliveCancel.into(),
            Outcome::TimedOut => refusals.timed_out.into(),
        };
        Self::Gesture(reason, Asks::Touch, None, Box::new(answered))
    }

    /// Asks for a verification.
    pub(crate) fn verification(
        reason: Reason,
        then: impl FnOnce(&mut Authenticator, Duration, Outcome) -> Self + Send + 'static,
    ) -> Self {
        Self::Gesture(reason, Asks::Verification, None, Box::new(then))
    }
}

/// What a command answers if the gesture does not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusals {
    pub(crate) denied: Status,
    pub(crate) timed_out: Status,
}

impl Refusals {
    /// makeCredential and getAssertion do not tell the two apart (CTAP 2.3 §6.1.2 step 14, §6.2.2 step 9).
    pub(crate) fn of_a_ceremony(authenticator: &Authenticator) -> Self {
        let behaviour = &authenticator.profile.behaviour;
        let without_pin = behaviour.touch_timeout_without_pin_status.filter(|_| !authenticator.is_protected());
        Self { denied: Status::OperationDenied, timed_out: without_pin.unwrap_or(behaviour.touch_timeout_status) }
    }

    /// Selection and reset do (CTAP 2.3 §6.6, §6.9).
    pub(crate) fn of_a_choice(authenticator: &Authenticator) -> Self {
        Self { denied: Status::OperationDenied, timed_out: authenticator.profile.behaviour.choice_timeout_status }
    }

    /// What a credential is excluded by is said, whatever the user does (CTAP 2.3 §6.1.2 step 12).
    pub(crate) const OF_AN_EXCLUDED: Self =
        Self { denied: Status::CredentialExcluded, timed_out: Status::CredentialExcluded };
}

impl From<Status> for Progress {
    fn from(status: Status) -> Self {
        Self::Done(Err(status))
    }
}
