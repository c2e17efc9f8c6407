//! One key of a replay.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use keyrig_ctap::hid::{Peer, Report, RequestKind};
use keyrig_rack::finger::Gesture;
use keyrig_rack::key::LoneKey;
use keyrig_rack::seams::{Happening, USB_HOST};
use thiserror::Error;

use super::difference::{Difference, is_same};
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
    /// It is earlier than what was before it.
    #[error("time goes back")]
    Back,
}

/// A key, and what it did beside what the recorded one did.
pub(super) struct Key {
    key: LoneKey,
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
    pub(super) fn new(key: LoneKey) -> Self {
        Self {
            key,
            recorded: VecDeque::new(),
            replayed: VecDeque::new(),
            report: None,
            keepalives: BTreeMap::new(),
            held: BTreeMap::new(),
        }
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
            What::WaitEnded { touch: touch @ (Touch::Touched | Touch::Denied) } => {
                let gesture = if *touch == Touch::Touched { Gesture::Touch } else { Gesture::Deny };
                // If it waits for none, it is seen that it did not end.
                let _ = self.key.gesture(gesture, now);
            }
            What::Administered => return Err(Problem::Administered),
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
        if !matches!(event.what, What::Report { .. } | What::Message { .. } | What::BrokenMessage { .. }) {
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
                found if self.repeats(peer, recorded) => {
                    if let Some(report) = found {
                        self.held.insert(peer, report);
                    }
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

    fn note(&mut self, peer: Peer, report: &Report) {
        let [c0, c1, c2, c3, command, _, _, status, ..] = *report;
        if command == KEEPALIVE {
            self.keepalives.insert((peer, [c0, c1, c2, c3]), status);
        } else {
            self.keepalives.remove(&(peer, [c0, c1, c2, c3]));
        }
    }
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
