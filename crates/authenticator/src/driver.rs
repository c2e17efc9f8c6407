//! A synchronous driver: virtual time, a user who follows a script, and a disk that does. For tests, benches and fuzz targets.
//!
//! ```
//! use keyrig_authenticator::attestation::Root;
//! use keyrig_authenticator::driver::{Driver, Event, User};
//! use keyrig_authenticator::environment::Seeded;
//! use keyrig_authenticator::{Profile, Reason};
//!
//! let profile = Profile::built_in("keyrig").unwrap();
//! let attestation = Root::new([1; 32]).unwrap().issue(&profile, 1).unwrap();
//! let mut key = Driver::new(profile, attestation, Box::new(Seeded::new([2; 32])));
//! key.user = User::Denies;
//! // authenticatorSelection, and CTAP2_ERR_OPERATION_DENIED.
//! assert_eq!(key.send(&[0x0B]), Some(vec![0x27]));
//! assert_eq!(key.seen, [Event::Gesture(Reason::Selection)]);
//! ```

use core::time::Duration;

use keyrig_ctap::bio_enrollment::Sample;

use crate::attestation::Attestation;
use crate::authenticator::Authenticator;
use crate::channel::Channel;
use crate::environment::Environment;
use crate::presence::Reason;
use crate::profile::Profile;
use crate::step::Step;
use crate::store::{Change, LoadError, Records, Store};

/// What makes commits durable.
pub trait Disk {
    /// Makes changes durable, all or none: whether they are.
    fn commit(&mut self, changes: &[Change]) -> bool;
}

impl Disk for Records {
    fn commit(&mut self, changes: &[Change]) -> bool {
        self.apply(changes);
        true
    }
}

/// What the user does when the key asks for a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Touches it, and is the one whom it knows.
    Touches,
    /// Touches it, and is somebody else.
    IsAnother,
    /// Touches it, and its sensor makes this of it.
    IsSampled(Sample),
    /// Refuses.
    Denies,
    /// Does nothing, and the platform cancels the command.
    Cancels,
    /// Does nothing until the key gives up.
    StaysAway,
}

/// What becomes of a command's commits, which are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Each becomes durable, if the disk says so.
    Durable,
    /// This one does not.
    FailsAt(usize),
    /// The key is killed before this one: there is no answer.
    KilledBefore(usize),
    /// The key is killed after this one.
    KilledAfter(usize),
}

/// What a command asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A touch.
    Gesture(Reason),
    /// A commit.
    Commit,
}

/// What comes of one step.
#[derive(Debug)]
#[must_use]
pub enum Turn {
    /// The command goes on.
    Next(Step),
    /// It is over.
    Answer(Vec<u8>),
    /// The key was killed.
    Killed,
    /// The key will never answer.
    Silence,
}

/// Drives one authenticator.
#[derive(Debug)]
pub struct Driver<D = Records> {
    /// The authenticator.
    pub authenticator: Authenticator,
    /// Where its commits go.
    pub disk: D,
    /// The channel on which messages come.
    pub channel: Channel,
    /// The time.
    pub now: Duration,
    /// What the user does.
    pub user: User,
    /// How long the user takes for it.
    pub reaction: Duration,
    /// What becomes of commits.
    pub fate: Fate,
    /// What the last command asked for, in order.
    pub seen: Vec<Event>,
}

impl Driver {
    /// A new key, which gets power at zero.
    #[must_use]
    pub fn new(profile: Profile, attestation: Attestation, mut environment: Box<dyn Environment>) -> Self {
        let (store, changes) = Store::create(environment.as_mut());
        let mut disk = Records::default();
        disk.apply(&changes);
        Self::with(Authenticator::new(profile, attestation, environment, store, Duration::ZERO), disk)
    }

    /// A key that gets power with what is on a disk.
    ///
    /// # Errors
    /// [`LoadError`] if that is no key.
    pub fn on(
        disk: Records,
        profile: Profile,
        attestation: Attestation,
        environment: Box<dyn Environment>,
    ) -> Result<Self, LoadError> {
        let store = disk.load()?;
        Ok(Self::with(Authenticator::new(profile, attestation, environment, store, Duration::ZERO), disk))
    }

    /// Whether memory and disk say the same, as they have to before every commit and after every command.
    #[must_use]
    pub fn memory_equals_disk(&self) -> bool {
        self.disk.load().as_ref() == Ok(self.authenticator.store())
    }
}

impl<D: Disk> Driver<D> {
    /// Drives an authenticator that has just got power, with a user who touches.
    #[must_use]
    pub fn with(authenticator: Authenticator, disk: D) -> Self {
        Self {
            authenticator,
            disk,
            channel: Channel::default(),
            now: Duration::ZERO,
            user: User::Touches,
            reaction: Duration::ZERO,
            fate: Fate::Durable,
            seen: Vec::new(),
        }
    }

    /// Sends a CTAP2 message and returns the answer; nothing if the key was killed on the way, or never answers.
    pub fn send(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let step = self.start(message);
        self.drive(step)
    }

    /// The same with a CTAP1/U2F message.
    pub fn send_u2f(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let step = self.start_u2f(message);
        self.drive(step)
    }

    /// Starts a CTAP2 message.
    pub fn start(&mut self, message: &[u8]) -> Step {
        self.seen.clear();
        self.authenticator.start(self.channel, message, self.now)
    }

    /// Starts a CTAP1/U2F message.
    pub fn start_u2f(&mut self, message: &[u8]) -> Step {
        self.seen.clear();
        self.authenticator.start_u2f(self.channel, message, self.now)
    }

    /// Drives a command to its end.
    pub fn drive(&mut self, mut step: Step) -> Option<Vec<u8>> {
        loop {
            step = match self.turn(step) {
                Turn::Next(step) => step,
                Turn::Answer(answer) => return Some(answer),
                Turn::Killed | Turn::Silence => return None,
            }
        }
    }

    /// Carries out one step.
    pub fn turn(&mut self, step: Step) -> Turn {
        match step {
            Step::Respond(answer) => Turn::Answer(answer),
            Step::Silence => Turn::Silence,
            Step::Gesture(gesture) => {
                self.seen.push(Event::Gesture(gesture.reason()));
                let deadline = gesture.deadline();
                self.now = match self.user {
                    User::StaysAway => deadline,
                    _ => self.now.saturating_add(self.reaction),
                };
                let (key, now) = (&mut self.authenticator, self.now);
                Turn::Next(match self.user {
                    User::Touches => gesture.touched(key, now),
                    User::IsAnother => gesture.missed(key, now),
                    User::IsSampled(sample) => gesture.sampled(key, now, sample),
                    User::Denies => gesture.denied(key, now),
                    User::Cancels => gesture.cancelled(key, now),
                    User::StaysAway => gesture.timed_out(key, now),
                })
            }
            Step::Commit(commit) => {
                let number = self.seen.iter().filter(|event| **event == Event::Commit).count();
                self.seen.push(Event::Commit);
                if self.fate == Fate::KilledBefore(number) {
                    return Turn::Killed;
                }
                let durable = self.fate != Fate::FailsAt(number) && self.disk.commit(commit.changes());
                if self.fate == Fate::KilledAfter(number) {
                    return Turn::Killed;
                }
                Turn::Next(if durable {
                    commit.committed(&mut self.authenticator, self.now)
                } else {
                    commit.failed(&mut self.authenticator, self.now)
                })
            }
        }
    }

    /// The user touches a key that CTAP1/U2F waits with.
    pub fn touch_u2f(&mut self) {
        self.authenticator.touch_u2f(self.now);
    }

    /// The power is interrupted for a moment.
    pub fn power_up(&mut self) {
        self.authenticator.power_up(self.now);
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }
}
