//! What goes wrong with the packets of an answer on their way out of CTAPHID (CTAP 2.3 §11.2).

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use keyrig_ctap::hid::{ChannelId, Command, Continuation, ErrorCode, Initialization, Packet, Peer, Report};

use crate::fault::Fault;
use crate::kind::{Kind, Layer};
use crate::switch::{Switches, Way};

/// More messages are not sent at once: CTAPHID remembers so many channels.
const MAX_MESSAGES: usize = 256;

/// The packets that leave one key.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Messages of which something goes wrong, by their channel, until their last packet.
    sending: BTreeMap<(Peer, u32), Sending>,
    /// Packets that are late, or come once more, and when.
    late: VecDeque<(Duration, Peer, Report)>,
}

#[derive(Debug)]
struct Sending {
    faults: Vec<Fault>,
    /// Bytes of payload that are still to come.
    left: usize,
    /// A packet that comes after the next one.
    kept: Option<Report>,
}

impl Reports {
    /// Lets a packet pass, or another in its place, or none.
    pub(crate) fn pass(&mut self, switches: &Switches, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        if !switches.any(Layer::Ctaphid) && self.sending.is_empty() && self.late.is_empty() {
            return Some(report);
        }
        let due = self.late.iter().rev().find(|(_, to, _)| *to == peer).map(|(due, ..)| *due);
        let (passed, by) = match Packet::parse(&report) {
            Packet::Initialization(packet) => self.first(switches, peer, packet),
            Packet::Continuation(packet) => self.further(peer, packet),
        };
        // What comes behind a late packet waits for it.
        let due = by.map(|by| now.saturating_add(by)).max(due);
        let mut passed = passed.into_iter().flatten();
        let first = if due.is_none() { passed.next() } else { None };
        self.late.extend(passed.map(|report| (due.unwrap_or(now), peer, report)));
        first
    }

    /// A packet that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(Peer, Report)> {
        self.late.pop_front_if(|(due, ..)| *due <= now).map(|(_, peer, report)| (peer, report))
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.late.front().map(|(due, ..)| *due)
    }

    /// The first packet of a message: what goes wrong with it is decided here.
    fn first(&mut self, switches: &Switches, peer: Peer, packet: Initialization) -> Passed {
        let length = usize::from(packet.length);
        let further = length.saturating_sub(Initialization::DATA_SIZE).div_ceil(Continuation::DATA_SIZE);
        let command = match packet.command {
            Command::Init => Some("CTAPHID_INIT"),
            Command::Ping => Some("CTAPHID_PING"),
            Command::Wink => Some("CTAPHID_WINK"),
            Command::Lock => Some("CTAPHID_LOCK"),
            _ => switches.command(Way::Host),
        };
        let could = |fault: &Fault| could(fault.kind(), packet.command, further);
        let faults = switches.happen(Layer::Ctaphid, command, usize::MAX, could);
        if faults.is_empty() {
            return ([Some(packet.to_report()), None], None);
        }
        let channel = packet.channel;
        let mut packet = Some(packet);
        let mut by = None;
        for fault in &faults {
            let value = u8::try_from(fault.value()).unwrap_or(u8::MAX);
            let error = |code: ErrorCode| Initialization::new(channel, Command::Error, 1, &[code.into()]);
            packet = packet.and_then(|mut packet| {
                match fault.kind() {
                    Kind::CtaphidSilence | Kind::CtaphidLostStart | Kind::CtaphidNoKeepalive => return None,
                    Kind::CtaphidBusy => return Some(error(ErrorCode::ChannelBusy)),
                    Kind::CtaphidError => return Some(error(value.into())),
                    Kind::CtaphidWrongChannel => packet.channel = other(channel),
                    Kind::CtaphidWrongCommand => packet.command = value.into(),
                    Kind::CtaphidWrongLength => {
                        let by = u16::try_from(fault.value()).unwrap_or(u16::MAX);
                        packet.length = packet.length.saturating_add(by);
                    }
                    Kind::CtaphidWrongNonce => packet.data.iter_mut().take(8).for_each(|byte| *byte ^= 0xFF),
                    Kind::CtaphidUnknownKeepalive => packet.data.iter_mut().take(1).for_each(|byte| *byte = value),
                    Kind::CtaphidSlow => by = by.max(Some(Duration::from_millis(fault.value()))),
                    _ => {}
                }
                Some(packet)
            });
        }
        let left = length.saturating_sub(Initialization::DATA_SIZE);
        if left > 0 && self.sending.len() < MAX_MESSAGES {
            self.sending.insert((peer, channel.0), Sending { faults, left, kept: None });
        }
        ([packet.map(|packet| packet.to_report()), None], by)
    }

    /// A further packet of a message.
    fn further(&mut self, peer: Peer, packet: Continuation) -> Passed {
        let key = (peer, packet.channel.0);
        let unchanged = packet.to_report();
        let Some(sending) = self.sending.get_mut(&key) else { return ([Some(unchanged), None], None) };
        sending.left = sending.left.saturating_sub(Continuation::DATA_SIZE);
        let is_first = packet.sequence == 0;
        let (mut packet, mut by) = (Some(packet), None);
        let (mut again, mut kept) = (false, false);
        for fault in &sending.faults {
            packet = packet.and_then(|mut packet| {
                match fault.kind() {
                    Kind::CtaphidSilence | Kind::CtaphidBusy | Kind::CtaphidError => return None,
                    Kind::CtaphidLostContinuation if is_first => return None,
                    Kind::CtaphidRepeatedContinuation => again = is_first,
                    Kind::CtaphidReorderedContinuations => kept = is_first,
                    Kind::CtaphidWrongSequence if is_first => {
                        let by = u8::try_from(fault.value()).unwrap_or(u8::MAX);
                        packet.sequence = packet.sequence.wrapping_add(by);
                    }
                    Kind::CtaphidWrongChannel => packet.channel = other(packet.channel),
                    Kind::CtaphidSlow => by = by.max(Some(Duration::from_millis(fault.value()))),
                    _ => {}
                }
                Some(packet)
            });
        }
        let report = packet.map(|packet| packet.to_report());
        let passed = if kept {
            sending.kept = report;
            [None, None]
        } else {
            [report, sending.kept.take().or(report.filter(|_| again))]
        };
        if sending.left == 0 {
            self.sending.remove(&key);
        }
        (passed, by)
    }
}

/// Packets that pass in place of one, in their order, and by how much they are late.
type Passed = ([Option<Report>; 2], Option<Duration>);

/// A channel that nobody was given: at the other end of the numbers.
fn other(channel: ChannelId) -> ChannelId {
    ChannelId(!channel.0)
}

/// Whether a fault could happen to a message with so many further packets.
fn could(kind: Kind, command: Command, further: usize) -> bool {
    match command {
        Command::Keepalive => {
            matches!(kind, Kind::CtaphidNoKeepalive | Kind::CtaphidUnknownKeepalive | Kind::CtaphidSilence)
        }
        Command::Error => matches!(kind, Kind::CtaphidSilence | Kind::CtaphidSlow | Kind::CtaphidWrongChannel),
        _ => match kind {
            Kind::CtaphidNoKeepalive | Kind::CtaphidUnknownKeepalive => false,
            Kind::CtaphidLostContinuation | Kind::CtaphidRepeatedContinuation | Kind::CtaphidWrongSequence => {
                further > 0
            }
            Kind::CtaphidReorderedContinuations => further > 1,
            Kind::CtaphidWrongNonce => command == Command::Init,
            _ => true,
        },
    }
}
