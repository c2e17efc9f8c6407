//! Steps: what a command yields to its driver, and how it goes on.

#[cfg(test)]
mod tests;

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::bio_enrollment::Sample;
use keyrig_ctap::u2f::StatusWord;

use crate::authenticator::Authenticator;
use crate::presence::{self, Asks, Reason};
use crate::profile::Touch;
use crate::progress::{Answered, Continuation, Outcome, Progress};
use crate::store::Change;

/// How long before a request a touch may be that a key with a latch takes for it, and how long after power-up one that gives the
/// first away needs none.
const BEFORE: Duration = Duration::from_secs(2);

/// What an authenticator wants from its driver next; see the crate's driving contract.
#[derive(Debug)]
#[must_use = "dropping a step abandons its command"]
pub enum Step {
    /// Changes are to be made durable.
    Commit(Commit),
    /// A user is asked for a gesture.
    Gesture(Gesture),
    /// The command is not over, and never will be: a key that hangs. Only its channel's next command ends it, or the power.
    Silence,
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
    fn resume<Then>(
        &mut self,
        suspended: Suspended<Then>,
        now: Duration,
        then: impl FnOnce(&mut Self, Then) -> Progress,
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
            Progress::Gesture(reason, Asks::Touch, _, then) if self.needs_no_touch(reason, now) => {
                let progress = then(self, now, Outcome::Made);
                self.step(progress, protocol, now)
            }
            Progress::Silence => Step::Silence,
            Progress::Gesture(reason, asks, within, then) => {
                // From now on a touch is meant for this.
                self.memory.u2f_presence = presence::Presence::default();
                Step::Gesture(Gesture {
                    reason,
                    asks,
                    deadline: now.saturating_add(
                        within.unwrap_or(Duration::from_secs(self.profile.behaviour.touch_timeout.into())),
                    ),
                    suspended: Suspended { then, generation, protocol },
                })
            }
            Progress::Done(result) => {
                Step::Respond(result.map_or_else(|status| protocol.refusal(status), |response| self.encode(&response)))
            }
            Progress::DoneU2f(result) => {
                Step::Respond(result.map_or_else(StatusWord::response, keyrig_ctap::u2f::success))
            }
        }
    }
}

impl Authenticator {
    /// Whether a key of this behaviour has its touch already, or needs none. A reset has to be asked for.
    pub(crate) fn needs_no_touch(&mut self, reason: Reason, now: Duration) -> bool {
        if matches!(reason, Reason::Reset | Reason::ResetByLongTouch) {
            return false;
        }
        match self.profile.behaviour.touch {
            Touch::Asked => false,
            Touch::Never => true,
            Touch::Latched => {
                self.memory.latched_touch.take().is_some_and(|touched| now.saturating_sub(touched) <= BEFORE)
            }
            Touch::FirstFree => {
                let first = !core::mem::replace(&mut self.memory.was_asked, true);
                first && now.saturating_sub(self.powered_up_at) <= BEFORE
            }
        }
    }

    /// The user touches a key that waits for nothing. Without a latch that means nothing: false.
    pub fn touch_unasked(&mut self, now: Duration) -> bool {
        let latched = self.profile.behaviour.touch == Touch::Latched;
        if latched {
            self.memory.latched_touch = Some(now);
        }
        latched
    }
}

/// A command in the middle, and the state of the authenticator that it belongs to.
pub(crate) struct Suspended<Then> {
    pub(crate) then: Then,
    pub(crate) generation: u64,
    pub(crate) protocol: Protocol,
}

impl<Then> core::fmt::Debug for Suspended<Then> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Suspended({})", self.generation)
    }
}

/// Changes that are to be made durable before the command goes on.
#[derive(Debug)]
#[must_use = "dropping a commit abandons its command"]
pub struct Commit {
    pub(crate) changes: Vec<Change>,
    pub(crate) suspended: Suspended<Continuation>,
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
    pub(crate) asks: Asks,
    pub(crate) deadline: Duration,
    pub(crate) suspended: Suspended<Answered>,
}

impl Gesture {
    /// Why the user is asked.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What the user is asked for.
    #[must_use]
    pub fn asks(&self) -> Asks {
        self.asks
    }

    /// When the authenticator gives up, on the driver's clock.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The user touched the key, and is the one that it knows, if that was asked for.
    pub fn touched(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        self.ended(authenticator, now, Outcome::Made)
    }

    /// Somebody touched the key whom it does not know. If that was not asked for, a touch is a touch.
    pub fn missed(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        self.ended(authenticator, now, Outcome::Missed)
    }

    /// The user touched the key, and its sensor makes this of it. If no sample was asked for, one that is good is a touch by whom the
    /// key knows, and any other one by somebody else.
    pub fn sampled(self, authenticator: &mut Authenticator, now: Duration, sample: Sample) -> Step {
        let outcome = match (self.asks, sample) {
            (Asks::Sample, sample) => Outcome::Sampled(sample),
            (_, Sample::Good) => Outcome::Made,
            _ => Outcome::Missed,
        };
        self.ended(authenticator, now, outcome)
    }

    /// The user refused.
    pub fn denied(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        self.ended(authenticator, now, Outcome::Denied)
    }

    /// The platform cancelled the command.
    pub fn cancelled(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        self.ended(authenticator, now, Outcome::Cancelled)
    }

    /// The deadline has passed.
    pub fn timed_out(self, authenticator: &mut Authenticator, now: Duration) -> Step {
        self.ended(authenticator, now, Outcome::TimedOut)
    }

    fn ended(self, authenticator: &mut Authenticator, now: Duration, outcome: Outcome) -> Step {
        authenticator.resume(self.suspended, now, |authenticator, then| then(authenticator, now, outcome))
    }
}
