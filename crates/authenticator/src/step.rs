//! Steps: what a command yields to its driver, and how it goes on.

#[cfg(test)]
mod tests;

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::u2f::StatusWord;

use crate::authenticator::Authenticator;
use crate::presence::{self, Reason};
use crate::progress::{Continuation, Progress, Refusals};
use crate::store::Change;

/// How long a user has to make a gesture. CTAP 2.3 §6.1.2 leaves it to the authenticator, and wants at least 10 s.
const GESTURE_TIMEOUT: Duration = Duration::from_secs(30);

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

impl Authenticator {
    fn resume(
        &mut self,
        suspended: Suspended,
        now: Duration,
        then: impl FnOnce(&mut Self, Continuation) -> Progress,
    ) -> Step {
        let protocol = suspended.protocol;
        if suspended.generation != self.generation {
            return Step::Respond(protocol.refusal(Status::OtherError));
        }
        let progress = then(self, suspended.then);
        self.step(progress, protocol, now)
    }

    pub(crate) fn step(&mut self, progress: Progress, protocol: Protocol, now: Duration) -> Step {
        let generation = self.generation;
        match progress {
            // There is nothing to wait for.
            Progress::Commit(changes, then) if changes.is_empty() => {
                let progress = then(self, now);
                self.step(progress, protocol, now)
            }
            Progress::Commit(changes, then) => {
                Step::Commit(Commit { changes, suspended: Suspended { then, generation, protocol } })
            }
            Progress::Gesture(reason, refusals, then) => {
                // From now on a touch is meant for this.
                self.memory.u2f_presence = presence::Presence::default();
                Step::Gesture(Gesture {
                    reason,
                    refusals,
                    deadline: now.saturating_add(GESTURE_TIMEOUT),
                    suspended: Suspended { then, generation, protocol },
                })
            }
            Progress::Done(result) => {
                Step::Respond(result.map_or_else(|status| protocol.refusal(status), |response| response.encode()))
            }
            Progress::DoneU2f(result) => {
                Step::Respond(result.map_or_else(StatusWord::response, keyrig_ctap::u2f::success))
            }
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
