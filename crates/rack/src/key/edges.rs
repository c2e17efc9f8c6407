//! What stands at the edge of a key, in a row from the key outwards.

use core::time::Duration;
use std::collections::VecDeque;

use keyrig_authenticator::Channel;
use keyrig_ctap::hid::{Peer, Report, RequestKind};

use super::command::Source;
use crate::seams::{Edge, Happening, Onward};

/// See [`Edge`], of which it is several.
#[derive(Debug)]
pub(super) struct Edges {
    row: Vec<Box<dyn Edge>>,
    /// Where the answers go that are held here, in the order in which they were given.
    held: VecDeque<(Source, RequestKind)>,
    /// Reports that were held or made up here, and wait for room.
    late: VecDeque<(Peer, Report)>,
}

impl Edges {
    pub(super) fn new(row: Vec<Box<dyn Edge>>) -> Self {
        Self { row, held: VecDeque::new(), late: VecDeque::new() }
    }

    /// Nobody waits for reports any more.
    pub(super) fn power_off(&mut self) {
        self.late.clear();
    }

    /// An answer to this will go on later.
    pub(super) fn hold(&mut self, source: Source, kind: RequestKind) {
        self.held.push_back((source, kind));
    }

    /// An answer that was held and is due.
    pub(super) fn late_response(&mut self, now: Duration) -> Option<(Source, RequestKind, Onward)> {
        loop {
            let (channel, onward) = self.poll_response(now)?;
            // Each that was held has its source here.
            let place = self.held.iter().position(|(source, _)| source.channel == channel);
            if let Some((source, kind)) = place.and_then(|place| self.held.remove(place)) {
                return Some((source, kind, onward));
            }
        }
    }

    /// Takes the reports that are due, whether there is room for them or not, so that nobody has to be asked for them again.
    pub(super) fn collect(&mut self, now: Duration) {
        while let Some(late) = self.poll_report_out(now) {
            self.late.push_back(late);
        }
    }

    /// A report that was held or made up and is due, for a peer that has room.
    pub(super) fn late_report(&mut self, has_room: impl Fn(Peer) -> bool, now: Duration) -> Option<(Peer, Report)> {
        self.collect(now);
        let place = self.late.iter().position(|(peer, _)| has_room(*peer))?;
        self.late.remove(place)
    }

    pub(super) fn report_in(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        self.inwards(report, now, |edge, report| edge.report_in(peer, report, now))
    }

    pub(super) fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        self.outwards(0, report, now, |edge, report| edge.report_out(peer, report, now))
    }

    pub(super) fn request(
        &mut self,
        channel: Channel,
        kind: RequestKind,
        message: Vec<u8>,
        now: Duration,
    ) -> Option<Vec<u8>> {
        self.inwards(message, now, |edge, message| edge.request(channel, kind, message, now))
    }

    pub(super) fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        self.respond(0, channel, kind, answer, now)
    }

    fn respond(&mut self, from: usize, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        let mut passing = answer;
        for place in from..self.row.len() {
            let Some(edge) = self.row.get_mut(place) else { break };
            let onward = edge.response(channel, kind, passing, now);
            self.told_by(place, now);
            match onward {
                Onward::Now(answer) => passing = answer,
                held => return held,
            }
        }
        Onward::Now(passing)
    }

    pub(super) fn happens(&mut self, happening: &Happening, now: Duration) {
        for edge in &mut self.row {
            edge.happens(happening, now);
        }
        for place in 0..self.row.len() {
            self.told_by(place, now);
        }
    }

    /// A report that one of them has kept or made up, past those that stand farther out.
    fn poll_report_out(&mut self, now: Duration) -> Option<(Peer, Report)> {
        for place in 0..self.row.len() {
            while let Some((peer, report)) = self.row.get_mut(place).and_then(|edge| edge.poll_report_out(now)) {
                self.told_by(place, now);
                let passed = self.outwards(place + 1, report, now, |edge, report| edge.report_out(peer, report, now));
                if let Some(report) = passed {
                    return Some((peer, report));
                }
            }
            self.told_by(place, now);
        }
        None
    }

    /// An answer that one of them has held, past those that stand farther out: which may hold it again, or lose it.
    fn poll_response(&mut self, now: Duration) -> Option<(Channel, Onward)> {
        for place in 0..self.row.len() {
            if let Some((channel, kind, answer)) = self.row.get_mut(place).and_then(|edge| edge.poll_response(now)) {
                self.told_by(place, now);
                return Some((channel, self.respond(place + 1, channel, kind, answer, now)));
            }
            self.told_by(place, now);
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.row.iter().filter_map(|edge| edge.poll_timeout()).min()
    }

    fn inwards<T>(&mut self, passing: T, now: Duration, pass: impl Fn(&mut dyn Edge, T) -> Option<T>) -> Option<T> {
        let mut passing = Some(passing);
        for place in (0..self.row.len()).rev() {
            let edge = self.row.get_mut(place)?;
            passing = passing.and_then(|it| pass(edge.as_mut(), it));
            self.told_by(place, now);
        }
        passing
    }

    fn outwards<T>(
        &mut self,
        from: usize,
        passing: T,
        now: Duration,
        pass: impl Fn(&mut dyn Edge, T) -> Option<T>,
    ) -> Option<T> {
        let mut passing = Some(passing);
        for place in from..self.row.len() {
            let edge = self.row.get_mut(place)?;
            passing = passing.and_then(|it| pass(edge.as_mut(), it));
            self.told_by(place, now);
        }
        passing
    }

    /// Has those that stand farther out hear what one has to tell.
    fn told_by(&mut self, place: usize, now: Duration) {
        let Some((told, farther)) = self.row.get_mut(place..).and_then(|rest| rest.split_first_mut()) else { return };
        while let Some(happening) = told.poll_happening() {
            for edge in &mut *farther {
                edge.happens(&happening, now);
            }
        }
    }
}
