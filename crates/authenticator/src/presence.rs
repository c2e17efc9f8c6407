//! The user's presence: what a touch is asked for, and the latch of CTAP1/U2F that keeps one.

use core::time::Duration;

use keyrig_ctap::Command;
use keyrig_ctap::hid::Peer;
use keyrig_ctap::u2f::{Instruction, StatusWord};

use crate::channel::Channel;

/// How long a key counts as waiting after it was asked: clients ask some times in a second.
const WAITING: Duration = Duration::from_secs(2);

/// How long a touch is kept for the request that it is meant for.
const TOUCH: Duration = Duration::from_secs(10);

/// What a user is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Asks {
    /// A touch, by whomever.
    Touch,
    /// A touch by which the key knows its user: built-in user verification (CTAP 2.3 §6.5.3.1).
    Verification,
    /// A touch by which the key learns to know its user: a sample of a fingerprint (CTAP 2.3 §6.7).
    Sample,
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
    /// To enrol a fingerprint.
    Enrollment,
    /// To have a pinUvAuthToken by built-in user verification.
    PinUvAuthToken,
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
    pub fn command(self) -> String {
        match self {
            Self::MakeCredential => Command::MakeCredential.to_string(),
            Self::GetAssertion => Command::GetAssertion.to_string(),
            Self::Selection => Command::Selection.to_string(),
            Self::Enrollment => Command::BioEnrollment.to_string(),
            Self::PinUvAuthToken => Command::ClientPin.to_string(),
            Self::Reset | Self::ResetByLongTouch => Command::Reset.to_string(),
            Self::U2fRegister => Instruction::Register.to_string(),
            Self::U2fAuthenticate => Instruction::Authenticate.to_string(),
        }
    }
}

/// Whether the user is waited for, and was there.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    waiting: Option<Waiting>,
    /// Whom a touch was meant for, and until when.
    touched: Option<(Channel, Duration)>,
}

/// What CTAP1/U2F waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What was asked for.
    pub reason: Reason,
    /// Who asked.
    pub channel: Channel,
    /// Until when the key counts as waiting if it is not asked again, on the driver's clock.
    pub until: Duration,
}

impl Presence {
    pub(crate) fn waiting_at(&self, now: Duration) -> Option<Waiting> {
        self.waiting.filter(|waiting| now < waiting.until)
    }

    /// The user touched the key: without a request that waits for it that means nothing.
    pub(crate) fn touch(&mut self, now: Duration) {
        if let Some(Waiting { channel, .. }) = self.waiting_at(now) {
            *self = Self { waiting: None, touched: Some((channel, now.saturating_add(TOUCH))) };
        }
    }

    /// A host has gone, and waits for nothing.
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.waiting.take_if(|waiting| waiting.channel.peer == peer);
        self.touched.take_if(|(meant_for, _)| meant_for.peer == peer);
    }

    /// Takes the touch that was meant for a channel, if there is one.
    pub(crate) fn take_touch(&mut self, channel: Channel, now: Duration) -> bool {
        let touch = self.touched.take_if(|(meant_for, _)| *meant_for == channel);
        let touched = touch.is_some_and(|(_, until)| now < until);
        if touched {
            self.waiting.take_if(|waiting| waiting.channel == channel);
        }
        touched
    }

    pub(crate) fn wait_for_touch(&mut self, channel: Channel, reason: Reason, now: Duration) -> StatusWord {
        if self.waiting_at(now).is_none_or(|waiting| waiting.channel == channel) {
            self.waiting = Some(Waiting { reason, channel, until: now.saturating_add(WAITING) });
        }
        StatusWord::ConditionsNotSatisfied
    }
}
