//! One key of a replay.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use keyrig_ctap::hid::{KeepaliveStatus, Peer, Report, RequestKind};
use keyrig_rack::KeyName;
use keyrig_rack::finger::Gesture;
use keyrig_rack::key::LoneKey;
use keyrig_rack::seams::{Happening, USB_HOST};
use thiserror::Error;

use super::difference::{Difference, is_same};
use crate::fault::{Fault, InvalidFault};
use crate::kind::{Kind, Layer};
use crate::switch::{CannotSwitchOn, Faults, On};
use crate::transcript::{Direction, Event, Touch, What};

/// CTAPHID_KEEPALIVE, as the first packet of a message has it (CTAP 2.3 §11.2.4, §11.2.9.1.7).
const KEEPALIVE: u8 = 0x80 | 0x3B;

/// What a replay cannot go on with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Events were missed.
    #[error("{0} events are missing")]
    Gap(u64),
    /// The owner did something.
    #[error("its owner changed what it keeps, and to what is not written down")]
    Administered,
    /// A key that the header does not have.
    #[error("the header does not have it: it came while this was recorded")]
    UnknownKey,
    /// A report has another length than 64 bytes.
    #[error("a report of {0} bytes: reports have 64")]
    Report(usize),
    /// A message is not written down.
    #[error("a request whose bytes are not written down")]
    NoBytes,
    /// Nobody is called that.
    #[error("{0:?} is nobody who speaks to a key")]
    Peer(String),
    /// A fault cannot be done again.
    #[error("{0} was switched on, and when and how often that happens is a matter of the machine")]
    Fault(Kind),
    /// What was switched is no fault.
    #[error("a fault was switched that there is not: {0}")]
    NoFault(#[from] InvalidFault),
    /// A fault cannot be switched on, as more are than may be.
    #[error(transparent)]
    CannotSwitchOn(#[from] CannotSwitchOn),
    /// A fault happened that is not on.
    #[error("{0:?} happened, and that it was switched on is not written down")]
    NotSwitchedOn(String),
    /// It is earlier than what was before it.
    #[error("time goes back")]
    Back,
}

/// A key, and what it did beside what the recorded one did.
pub(super) struct Key {
    name: KeyName,
    key: LoneKey,
    /// What goes wrong with it and others.
    faults: Faults,
    /// What was switched on.
    switched: BTreeSet<String>,
    recorded: VecDeque<Event>,
    replayed: VecDeque<Event>,
    /// What was recorded of reports to peers and is not so.
    report: Option<Difference>,
    /// The latest keepalive, by peer and channel, if nothing else came after it.
    keepalives: BTreeMap<(Peer, [u8; 4]), u8>,
    /// A report that came where a keepalive is recorded that this key did not send.
    held: BTreeMap<Peer, Report>,
}

impl Key {
    pub(super) fn new(name: KeyName, key: LoneKey, faults: Faults) -> Self {
        Self {
            name,
            key,
            faults,
            switched: BTreeSet::new(),
            recorded: VecDeque::new(),
            replayed: VecDeque::new(),
            report: None,
            keepalives: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Switches what was.
    pub(super) fn switch(&mut self, what: &What) -> Result<(), Problem> {
        match what {
            What::FaultOn { fault } => {
                let fault: Fault = fault.parse()?;
                if !is_replayable(fault.kind()) {
                    return Err(Problem::Fault(fault.kind()));
                }
                self.switched.insert(fault.to_string());
                self.faults.switch_on(&self.name, fault)?;
            }
            What::FaultOff { fault } => {
                let which: Option<Fault> = fault.as_deref().map(str::parse).transpose()?;
                self.faults.switch_off(&self.name, which.as_ref());
            }
            _ => {}
        }
        Ok(())
    }

    /// Has the key meet what the recorded one met, and keeps what that did.
    pub(super) fn tell(&mut self, event: &Event) -> Result<(), Problem> {
        let now = Duration::from_micros(event.at_us);
        match &event.what {
            What::Report { direction, peer, bytes } => {
                let peer = self::peer(peer)?;
                let report = Report::try_from(bytes.as_slice()).map_err(|_| Problem::Report(bytes.len()))?;
                match direction {
                    Direction::Out => self.key.receive(peer, report, now),
                    Direction::In => {
                        self.report = self.expect(peer, &report, now).map(|found| of_reports(event, found))
                    }
                }
                return Ok(());
            }
            // They follow from reports.
            What::Message { .. } | What::BrokenMessage { .. } => return Ok(()),
            What::Request { peer, command, bytes, .. } if peer == "direct" => {
                let bytes = bytes.as_ref().and_then(|bytes| hex::decode(bytes).ok()).ok_or(Problem::NoBytes)?;
                // A message of U2F that is too short for an instruction has an unknown one.
                let is_u2f = command.starts_with("U2F_") || command.starts_with("INS(") || command == "(unknown)";
                self.key.transact(if is_u2f { RequestKind::Msg } else { RequestKind::Cbor }, bytes, now);
            }
            What::Plugged => self.power(Happening::Plugged, now),
            What::Unplugged => self.power(Happening::Unplugged, now),
            What::Attached => self.power(Happening::Attached, now),
            What::Detached => self.power(Happening::Detached, now),
            What::Connected { .. } => drop(self.key.connect(now)),
            What::Disconnected { peer } => self.key.disconnect(self::peer(peer)?, now),
            What::CancelAsked => self.key.end_transaction(Happening::CancelAsked, now),
            What::Abandoned => self.key.end_transaction(Happening::Abandoned, now),
            What::WaitEnded {
                touch: touch @ (Touch::Touched | Touch::Verified | Touch::Missed | Touch::Sampled(_) | Touch::Denied),
            } => {
                let gesture = match touch {
                    Touch::Denied => Gesture::Deny,
                    Touch::Missed => Gesture::Miss,
                    Touch::Sampled(feedback) => Gesture::Sample(*feedback),
                    _ => Gesture::Touch,
                };
                // If it waits for none, it is seen that it did not end.
                let _ = self.key.gesture(gesture, now);
            }
            What::TouchedUnasked => self.key.touch_unasked(now),
            What::Administered => return Err(Problem::Administered),
            // What it does is compared: when it is told depends on how many reports pass.
            What::Fault { fault } if self.switched.contains(fault) => return Ok(()),
            What::Fault { fault } => return Err(Problem::NotSwitchedOn(fault.chars().take(128).collect())),
            _ => {}
        }
        self.recorded.push_back(event.clone());
        Ok(())
    }

    fn power(&mut self, happening: Happening, now: Duration) {
        self.key.power(happening, now);
        self.keepalives.clear();
        self.held.clear();
    }

    /// What the key did.
    pub(super) fn heard(&mut self, event: Event) {
        let of_packets = matches!(event.what, What::Report { .. } | What::Message { .. } | What::BrokenMessage { .. });
        if !of_packets && !matches!(event.what, What::Fault { .. }) {
            self.replayed.push_back(event);
        }
    }

    /// Whether the recorded key did more.
    pub(super) fn is_behind(&self) -> bool {
        self.recorded.len() > self.replayed.len()
    }

    /// Has the key do what is due.
    pub(super) fn catch_up(&mut self, at_us: u64) {
        self.key.pass_time(Duration::from_micros(at_us));
    }

    /// The first thing that is otherwise, up to this event.
    pub(super) fn compare(&mut self, event: &Event) -> Option<Difference> {
        if let Some(report) = self.report.take() {
            return Some(report);
        }
        while let (Some(recorded), Some(replayed)) = (self.recorded.front(), self.replayed.front()) {
            if !is_same(&recorded.what, &replayed.what) {
                return Some(Difference::new(Some(recorded), Some(replayed)));
            }
            self.recorded.pop_front();
            self.replayed.pop_front();
        }
        // What a loss of power ends is told before the loss.
        let is_of_power = matches!(event.what, What::WaitEnded { touch: Touch::Cancelled } | What::Programs { .. });
        let missing = self.recorded.front().filter(|_| !is_of_power)?;
        Some(Difference::new(Some(missing), None))
    }

    /// What is otherwise at the end.
    pub(super) fn left(&mut self) -> Option<Difference> {
        if self.recorded.is_empty() && self.replayed.is_empty() {
            return None;
        }
        Some(Difference::new(self.recorded.front(), self.replayed.front()))
    }

    /// Takes reports up to one that is recorded. What came in its place, or that nothing did.
    fn expect(&mut self, peer: Peer, recorded: &Report, now: Duration) -> Option<Option<Report>> {
        self.key.pass_time(now);
        loop {
            let next = self.held.remove(&peer).or_else(|| self.key.poll_report(peer, now));
            match next {
                Some(report) if report == *recorded => {
                    self.note(peer, recorded);
                    return None;
                }
                // Another of the same status, of which the recorded key sent fewer.
                Some(report) if self.repeats(peer, &report) => {}
                found if self.repeats(peer, recorded) || self.may_be_of_a_commit(recorded) => {
                    if let Some(report) = found {
                        self.held.insert(peer, report);
                    }
                    self.note(peer, recorded);
                    return None;
                }
                found => return Some(found),
            }
        }
    }

    /// Whether a report is a keepalive with the status of the one before it.
    fn repeats(&self, peer: Peer, report: &Report) -> bool {
        let [c0, c1, c2, c3, command, _, _, status, ..] = *report;
        command == KEEPALIVE && self.keepalives.get(&(peer, [c0, c1, c2, c3])) == Some(&status)
    }

    /// Whether it says that the recorded key was still processing while a commit went by way of a faulty disk, which takes the
    /// machine's time.
    fn may_be_of_a_commit(&self, report: &Report) -> bool {
        let [_, _, _, _, command, _, _, status, ..] = *report;
        let is_of_storage = |on: &On| on.fault.kind().layer() == Layer::Storage;
        command == KEEPALIVE
            && status == u8::from(KeepaliveStatus::Processing)
            && self.faults.on(&self.name).iter().any(is_of_storage)
    }

    fn note(&mut self, peer: Peer, report: &Report) {
        let [c0, c1, c2, c3, command, _, _, status, ..] = *report;
        if command == KEEPALIVE {
            self.keepalives.insert((peer, [c0, c1, c2, c3]), status);
        } else {
            self.keepalives.remove(&(peer, [c0, c1, c2, c3]));
        }
    }
}

/// Whether a fault can be done again: not what is late by the machine's time, or concerns packets that were lost before they were seen,
/// or keepalives, of which there are as many as there is time. What happens on USB is farther out than what is recorded.
fn is_replayable(kind: Kind) -> bool {
    let is_lost_or_late = matches!(
        kind,
        Kind::CtaphidLostStart
            | Kind::CtaphidNoKeepalive
            | Kind::CtaphidUnknownKeepalive
            | Kind::CtaphidSilence
            | Kind::CtaphidSlow
            | Kind::StorageSlow
    );
    kind.layer() == Layer::Usb || !is_lost_or_late
}

fn peer(name: &str) -> Result<Peer, Problem> {
    if name == "usb" {
        return Ok(USB_HOST);
    }
    let number = name.strip_prefix("program-").and_then(|number| number.parse().ok());
    number.map(Peer).ok_or_else(|| Problem::Peer(name.chars().take(64).collect()))
}

/// A report that is recorded, and what came in its place.
fn of_reports(recorded: &Event, found: Option<Report>) -> Difference {
    let replayed = match (&recorded.what, found) {
        (What::Report { direction, peer, .. }, Some(report)) => {
            let what = What::Report { direction: *direction, peer: peer.clone(), bytes: report.to_vec() };
            Some(Event { what, ..recorded.clone() })
        }
        _ => None,
    };
    Difference::new(Some(recorded), replayed.as_ref())
}
