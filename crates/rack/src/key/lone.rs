//! A key without a rack, a runtime and a disk: told what was recorded of another, at the times at which that was.

use core::time::Duration;
use std::sync::Arc;

use keyrig_authenticator::attestation::{CertificateFailed, Root};
use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_ctap::hid::{Peer, Report, RequestKind};

use super::driver::{Driver, Effect};
use super::message::{Farewell, GestureId, News, TransactionId};
use super::vendor::serial_number;
use crate::finger::Gesture;
use crate::key_name::KeyName;
use crate::seams::{Happening, Row, Seams};
use crate::seed;
use crate::snapshot::Snapshot;
use crate::storage::{Memory, Storage};

/// From where a key whose randomness follows from a seed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartingPoint {
    /// What it keeps.
    pub snapshot: Snapshot,
    /// How far its randomness has come: [`Environment::position`](keyrig_authenticator::environment::Environment::position).
    pub position: u64,
}

/// A key that does as one of a rack did, if it is told the same: its commits are durable at once, or fail, and it hands out reports
/// when it is asked for them. What it does is heard at its edge. Every `now` is its own time, which never goes back.
#[derive(Debug)]
pub struct LoneKey {
    driver: Driver,
    storage: Box<dyn Storage>,
    waiting: Option<GestureId>,
    transactions: u64,
    /// Those without an answer.
    unanswered: Vec<TransactionId>,
}

impl LoneKey {
    /// The key of this name and profile in a rack with this seed, not plugged in. At its seams stands what would there, in a row from
    /// the key outwards; its clock and its hosts are whoever drives it.
    ///
    /// # Errors
    /// [`CertificateFailed`]: it could not be attested.
    pub fn new(
        seed: u64,
        name: &KeyName,
        profile: Profile,
        start: StartingPoint,
        seams: Vec<Arc<dyn Seams>>,
    ) -> Result<Self, CertificateFailed> {
        let seams = Row(seams);
        let root = Root::new(seed::of_attestation_root(seed))?;
        let attestation = root.issue(&profile, serial_number(name))?;
        let environment = Box::new(Seeded::at(seed::of_key(seed, name), start.position));
        let environment = seams.environment(name, &root, &attestation, environment);
        let authenticator = Authenticator::new(profile, attestation, environment, start.snapshot.store, Duration::ZERO);
        Ok(Self {
            driver: Driver::new(name, authenticator, seams.edges(name)),
            storage: seams.storage(name, Box::new(Memory::default())),
            waiting: None,
            transactions: 0,
            unanswered: Vec::new(),
        })
    }

    /// What became of its power: [`Happening::Plugged`], [`Unplugged`](Happening::Unplugged), [`Attached`](Happening::Attached)
    /// or [`Detached`](Happening::Detached).
    pub fn power(&mut self, happening: Happening, now: Duration) {
        match happening {
            Happening::Plugged => {
                self.driver.happens(happening, now);
                self.driver.power_on(now);
            }
            Happening::Attached => {
                self.driver.power_on(now);
                self.driver.happens(happening, now);
            }
            _ => {
                self.driver.power_off(now);
                self.unanswered.clear();
                self.driver.happens(happening, now);
            }
        }
        self.settle(now);
    }

    /// A report comes.
    pub fn receive(&mut self, peer: Peer, report: Report, now: Duration) {
        self.driver.receive(peer, report, now);
        self.settle(now);
    }

    /// The next report for this peer.
    pub fn poll_report(&mut self, peer: Peer, now: Duration) -> Option<Report> {
        self.driver.poll_report(|of| of == peer, now).map(|(_, report)| report)
    }

    /// A program comes that speaks CTAPHID without USB.
    pub fn connect(&mut self, now: Duration) -> Peer {
        let peer = self.driver.connect(Farewell::Said, now);
        self.settle(now);
        peer
    }

    /// It goes.
    pub fn disconnect(&mut self, peer: Peer, now: Duration) {
        self.driver.disconnect(peer, now);
        self.settle(now);
    }

    /// A message comes without CTAPHID.
    pub fn transact(&mut self, kind: RequestKind, message: Vec<u8>, now: Duration) {
        self.transactions += 1;
        let id = TransactionId(self.transactions);
        self.unanswered.push(id);
        self.driver.transact(id, kind, message, now);
        self.settle(now);
    }

    /// The sender of the message without CTAPHID that is under way cancels it, or has gone.
    pub fn end_transaction(&mut self, happening: Happening, now: Duration) {
        for id in self.unanswered.clone() {
            match happening {
                Happening::CancelAsked => self.driver.cancel(id, now),
                _ => {
                    self.unanswered.retain(|unanswered| *unanswered != id);
                    self.driver.abandon(id, now);
                }
            }
        }
        self.settle(now);
    }

    /// The user does something. Whether the key waits for it.
    pub fn gesture(&mut self, gesture: Gesture, now: Duration) -> bool {
        let Some(id) = self.waiting.take() else { return false };
        self.driver.gesture(id, gesture, now);
        self.settle(now);
        true
    }

    /// The user touches it though it waits for nothing.
    pub fn touch_unasked(&mut self, now: Duration) {
        self.driver.touch_unasked(now);
        self.settle(now);
    }

    /// It does what is due by now.
    pub fn pass_time(&mut self, now: Duration) {
        self.driver.handle_timeout(now);
        self.settle(now);
    }

    fn settle(&mut self, now: Duration) {
        while let Some(effect) = self.driver.poll_effect() {
            match effect {
                Effect::Commit => {
                    if self.storage.waits() {
                        self.driver.committing(now);
                    }
                    let result = self.storage.commit(self.driver.changes());
                    self.driver.committed(result, now);
                }
                Effect::Tell(News::Waiting { id, .. }) => self.waiting = Some(id),
                Effect::Tell(News::NotWaiting { id, .. }) => drop(self.waiting.take_if(|waiting| *waiting == id)),
                // What it says is heard at the edge.
                Effect::Answer(id, _) => self.unanswered.retain(|unanswered| *unanswered != id),
                Effect::Progress(..) | Effect::Tell(_) => {}
            }
        }
    }
}
