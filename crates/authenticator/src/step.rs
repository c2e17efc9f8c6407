//! Steps: what a command yields to its driver, and how it goes on.

#[cfg(test)]
mod tests;

use core::time::Duration;

use keyrig_ctap::u2f::StatusWord;
use keyrig_ctap::{Response, Status};

use crate::authenticator::Authenticator;
use crate::store::Change;

/// How long a user has to make a gesture. CTAP 2.3 §6.1.2 leaves it to the authenticator, and wants at least 10 s.
pub(crate) const GESTURE_TIMEOUT: Duration = Duration::from_secs(30);

/// What an authenticator wants from its driver next; see the crate's driving contract.
#[derive(Debug)]
#[must_use = "dropping a step abandons its command"]
pub enum Step {
    /// Changes are to be made durable.
    Commit(Commit),
    /// A user is asked for a gesture.
    Gesture(Gesture),
    /// The command is over: the answer, status byte first; to a CTAP1/U2F message, status word last.
    Respond(Vec<u8>),
}

/// What a command does next, inside the authenticator.
pub(crate) enum Progress {
    Commit(Vec<Change>, Continuation),
    Gesture(Reason, Refusals, Continuation),
    Done(Result<Response, Status>),
    /// A CTAP1/U2F message is answered: the data of a success, or why not.
    DoneU2f(Result<Vec<u8>, StatusWord>),
}

/// In whose words a command is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Ctap2,
    U2f,
}

impl Protocol {
    /// The answer to a command that ends by what is wrong with the key, or with its driver.
    pub(crate) fn refusal(self, status: Status) -> Vec<u8> {
        match self {
            Self::Ctap2 => vec![status.into()],
            Self::U2f => StatusWord::UnknownError.response(),
        }
    }
}

/// The rest of a command.
pub(crate) type Continuation = Box<dyn FnOnce(&mut Authenticator, Duration) -> Progress + Send>;

impl Progress {
    pub(crate) fn commit(
        changes: Vec<Change>,
        then: impl FnOnce(&mut Authenticator, Duration) -> Self + Send + 'static,
    ) -> Self {
        Self::Commit(changes, Box::new(then))
    }

    pub(crate) fn gesture(
        reason: Reason,
        refusals: Refusals,
        then: impl FnOnce(&mut Authenticator, Duration) -> Self + Send + 'static,
    ) -> Self {
        Self::Gesture(reason, refusals, Box::new(then))
    }
}

/// What a command answers if the gesture does not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusals {
    pub(crate) denied: Status,
    pub(crate) timed_out: Status,
}

impl Refusals {
    /// makeCredential and getAssertion don't tell the two apart (CTAP 2.3 §6.1.2 step 14, §6.2.2 step 9).
    pub(crate) const OF_A_CEREMONY: Self = Self { denied: Status::OperationDenied, timed_out: Status::OperationDenied };

    /// Selection and reset do (CTAP 2.3 §6.6, §6.9).
    pub(crate) const OF_A_CHOICE: Self = Self { denied: Status::OperationDenied, timed_out: Status::UserActionTimeout };

    /// What a credential is excluded by is said, whatever the user does (CTAP 2.3 §6.1.2 step 12).
    pub(crate) const OF_AN_EXCLUDED: Self =
        Self { denied: Status::CredentialExcluded, timed_out: Status::CredentialExcluded };
}

impl From<Status> for Progress {
    fn from(status: Status) -> Self {
        Self::Done(Err(status))
    }
}

/// Why a user is asked for a gesture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// To register a credential.
    MakeCredential,
    /// To log in.
    GetAssertion,
    /// To choose this authenticator among several.
    Selection,
    /// To erase everything.
    Reset,
    /// To erase everything, by a long touch.
    ResetByLongTouch,
    /// To register by CTAP1/U2F.
    U2fRegister,
    /// To log in by CTAP1/U2F.
    U2fAuthenticate,
}

impl Reason {
    /// How long the touch has to last; zero if a moment will do. A long touch is one of at least five seconds (CTAP 2.3 §6.6).
    #[must_use]
    pub fn touch(self) -> Duration {
        match self {
            Self::ResetByLongTouch => Duration::from_secs(5),
            _ => Duration::ZERO,
        }
    }

    /// The command that asks, as its specification spells it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::MakeCredential => "authenticatorMakeCredential",
            Self::GetAssertion => "authenticatorGetAssertion",
            Self::Selection => "authenticatorSelection",
            Self::Reset | Self::ResetByLongTouch => "authenticatorReset",
            Self::U2fRegister => "U2F_REGISTER",
            Self::U2fAuthenticate => "U2F_AUTHENTICATE",
        }
    }
}

/// A command in the middle, and the state of the authenticator that it belongs to.
pub(crate) struct Suspended {
    pub(crate) then: Continuation,
    pub(crate) generation: u64,
    pub(crate) protocol: Protocol,
}

impl core::fmt::Debug for Suspended {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Suspended({})", self.generation)
    }
}

/// Changes that are to be made durable before the command goes on.
#[derive(Debug)]
#[must_use = "dropping a commit abandons its command"]
pub struct Commit {
    pub(crate) changes: Vec<Change>,
    pub(crate) suspended: Suspended,
}

impl Commit {
    /// The changes, to be made durable all or none.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes are durable.
    ///
    /// Memory follows the disk even if the command is over, because the power was interrupted meanwhile or another command
    /// was started: then that is all that happens, and the answer is `CTAP1_ERR_OTHER`, or 0x6F00 of CTAP1/U2F.
    pub fn committed(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.apply(&self.changes);
        authenticator.resume(self.suspended, now, |authenticator, then| then(authenticator, now))
    }

    /// The changes could not be made durable: the command ends with `CTAP1_ERR_OTHER`, or 0x6F00 of CTAP1/U2F, and nothing has
    /// changed.
    pub fn failed(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.resume(self.suspended, now, |_, _| Status::OtherError.into())
    }
}

/// A gesture that the user is asked for.
#[derive(Debug)]
#[must_use = "dropping a gesture abandons its command"]
pub struct Gesture {
    pub(crate) reason: Reason,
    pub(crate) deadline: Duration,
    pub(crate) refusals: Refusals,
    pub(crate) suspended: Suspended,
}

impl Gesture {
    /// Why the user is asked.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When the authenticator gives up, on the driver's clock.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The user touched the key.
    pub fn touched(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.resume(self.suspended, now, |authenticator, then| then(authenticator, now))
    }

    /// The user refused.
    pub fn denied(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.resume(self.suspended, now, move |_, _| self.refusals.denied.into())
    }

    /// The platform cancelled the command.
    pub fn cancelled(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.resume(self.suspended, now, |_, _| Status::KeepaliveCancel.into())
    }

    /// The deadline has passed.
    pub fn timed_out(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        authenticator.resume(self.suspended, now, move |_, _| self.refusals.timed_out.into())
    }
}
