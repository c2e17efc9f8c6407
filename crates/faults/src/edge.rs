//! Faults at the edge of a key: of packets, of answers, and of the clock, which a request turns.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use keyrig_authenticator::Channel;
use keyrig_ctap::hid::{Peer, Report, RequestKind};
use keyrig_rack::seams::{Edge, Happening, Onward, WITHOUT_CTAPHID};

use crate::answers::{altered, order};
use crate::fault::{Fault, command_of};
use crate::kind::{Kind, Layer};
use crate::reports::Reports;
use crate::switch::{Switches, Way};

/// Stands at the edge of one key.
#[derive(Debug)]
pub(crate) struct FaultyEdge {
    switches: Arc<Switches>,
    reports: Reports,
    /// Answers that are late, and when they are due.
    late: VecDeque<(Duration, Channel, RequestKind, Vec<u8>)>,
}

impl FaultyEdge {
    pub(crate) fn new(switches: Arc<Switches>) -> Self {
        Self { switches, reports: Reports::default(), late: VecDeque::new() }
    }
}

fn way(channel: Channel) -> Way {
    if channel == WITHOUT_CTAPHID { Way::Direct } else { Way::Host }
}

impl Edge for FaultyEdge {
    fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        self.reports.pass(&self.switches, peer, report, now)
    }

    fn request(&mut self, channel: Channel, kind: RequestKind, message: Vec<u8>, _: Duration) -> Option<Vec<u8>> {
        let command = command_of(kind, &message);
        self.switches.asked(way(channel), command);
        for fault in self.switches.happen(Layer::Clock, command, usize::MAX, |_| true) {
            self.switches.turn(fault.value());
        }
        Some(message)
    }

    fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        if !self.switches.any(Layer::Ctap) {
            return Onward::Now(answer);
        }
        let could = |fault: &Fault| {
            matches!(fault.kind(), Kind::CtapSlow | Kind::CtapNoAnswer) || altered(fault, kind, &answer).is_some()
        };
        let command = self.switches.command(way(channel));
        let mut faults = self.switches.happen(Layer::Ctap, command, usize::MAX, could);
        faults.sort_by_key(order);
        let mut slow = None;
        let mut answer = answer;
        for fault in &faults {
            match fault.kind() {
                Kind::CtapNoAnswer => return Onward::Never,
                Kind::CtapSlow => slow = slow.max(Some(Duration::from_millis(fault.value()))),
                _ => answer = altered(fault, kind, &answer).unwrap_or(answer),
            }
        }
        let Some(slow) = slow else { return Onward::Now(answer) };
        // In the order of their times, so that the first is the next that is due.
        let due = now.saturating_add(slow);
        let place = self.late.partition_point(|(other, ..)| *other <= due);
        self.late.insert(place, (due, channel, kind, answer));
        Onward::Later
    }

    fn poll_report_out(&mut self, now: Duration) -> Option<(Peer, Report)> {
        self.reports.due(now)
    }

    fn poll_response(&mut self, now: Duration) -> Option<(Channel, RequestKind, Vec<u8>)> {
        self.late.pop_front_if(|(due, ..)| *due <= now).map(|(_, channel, kind, answer)| (channel, kind, answer))
    }

    fn poll_happening(&mut self) -> Option<Happening> {
        self.switches.heard().map(Happening::Fault)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.late.front().map(|(due, ..)| *due).into_iter().chain(self.reports.next_due()).min()
    }
}
