//! From what was heard to events: messages are put together, requests and answers are paired and decoded.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use keyrig_ctap::hid::{ChannelId, Command, KeepaliveStatus, Report, RequestKind};

use super::decode::{self, Asked, Decoded, Secrets};
use super::event::{Direction, Event, Touch, What};
use super::hexadecimal;
use super::messages::{self, Messages, Passed};
use super::note::Note;

/// The USB host, by number.
pub(super) const USB: u64 = 0;
/// Who speaks to a key without CTAPHID.
pub(super) const DIRECT: u64 = u64::MAX;

/// How many exchanges of one key may be under way; of more, the first by peer and channel is forgotten.
const MAX_UNDER_WAY: usize = 512;

/// What was heard of one key.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Duration,
    pub(super) key: Arc<str>,
    pub(super) sound: Sound,
}

#[derive(Clone, Debug)]
pub(super) enum Sound {
    Report {
        direction: Direction,
        peer: u64,
        report: Box<Report>,
    },
    Request {
        peer: u64,
        channel: u32,
        kind: RequestKind,
        message: Vec<u8>,
    },
    Response {
        peer: u64,
        channel: u32,
        kind: RequestKind,
        message: Vec<u8>,
    },
    Became(Box<What>),
    /// What a page noted: of no key.
    Noted(Box<Note>),
}

#[derive(Debug)]
struct UnderWay {
    exchange: u64,
    asked: Asked,
    at: Duration,
    /// The host was told that a touch is needed: known of captures alone.
    up_needed: bool,
}

#[derive(Debug, Default)]
struct Key {
    messages: Messages,
    exchanges: BTreeMap<(u64, u32), UnderWay>,
}

/// Makes events of what is heard.
#[derive(Debug)]
pub(super) struct Assembly {
    secrets: Secrets,
    /// There is nothing but reports: requests and touches follow from them.
    captured: bool,
    /// Messages are kept as they are too: with the seed nothing is secret, and without them nothing can be replayed.
    whole: bool,
    keys: BTreeMap<Arc<str>, Key>,
    exchanges: u64,
}

impl Assembly {
    /// Of a rack's keys, whose requests are heard whole.
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { secrets, captured: false, whole: false, keys: BTreeMap::new(), exchanges: 0 }
    }

    /// Keeps messages as they are too, whatever is masked in their members.
    pub(super) fn keep_messages(&mut self) {
        self.whole = true;
    }

    /// Of reports alone.
    pub(super) fn of_reports(secrets: Secrets) -> Self {
        Self { captured: true, ..Self::new(secrets) }
    }

    /// Something was missed, of whichever keys.
    pub(super) fn gap(&mut self) {
        for key in self.keys.values_mut() {
            key.messages.gap();
        }
    }

    pub(super) fn take(&mut self, heard: Heard, events: &mut impl FnMut(Event)) {
        let Heard { at, key, sound } = heard;
        match sound {
            Sound::Report { direction, peer, report } => self.report(at, &key, peer, direction, &report, events),
            Sound::Request { peer, channel, kind, message } => {
                self.request(at, &key, (peer, channel), kind, &message, events);
            }
            Sound::Response { peer, channel, kind, message } => {
                self.response(at, &key, (peer, channel), kind, &message, events);
            }
            Sound::Noted(note) => {
                events(Event { at_us: microseconds(at), key: None, what: What::Observed(*note) });
            }
            Sound::Became(what) => {
                if matches!(*what, What::Unplugged | What::Attached | What::Detached)
                    && let Some(key) = self.keys.get_mut(&key)
                {
                    key.messages.power_lost();
                    key.exchanges.clear();
                }
                events(event(at, &key, *what));
            }
        }
    }

    fn report(
        &mut self,
        at: Duration,
        key: &Arc<str>,
        peer: u64,
        direction: Direction,
        report: &Report,
        events: &mut impl FnMut(Event),
    ) {
        let name = peer_name(peer);
        events(event(at, key, What::Report { direction, peer: name.clone(), bytes: report.to_vec() }));
        let message = match self.key(key).messages.take(peer, direction, report) {
            None => return,
            Some(Passed::Broken { channel, reason }) => {
                let channel = ChannelId(channel).to_string();
                return events(event(at, key, What::BrokenMessage { direction, peer: name, channel, reason }));
            }
            Some(Passed::Whole(message)) => message,
        };
        events(event(at, key, messages::event(&name, direction, &message)));
        if !self.captured {
            return;
        }
        let way = (peer, message.channel().0);
        let kind = match message.command() {
            Command::Cbor => RequestKind::Cbor,
            Command::Msg => RequestKind::Msg,
            Command::Keepalive => return self.keepalive(at, key, way, message.payload(), events),
            _ => return,
        };
        match direction {
            Direction::Out => self.request(at, key, way, kind, message.payload(), events),
            Direction::In => self.response(at, key, way, kind, message.payload(), events),
        }
    }

    /// A touch is needed, as the key of a capture says.
    fn keepalive(
        &mut self,
        at: Duration,
        key: &Arc<str>,
        way: (u64, u32),
        payload: &[u8],
        events: &mut impl FnMut(Event),
    ) {
        let status = payload.first().copied().and_then(KeepaliveStatus::from_byte);
        if status != Some(KeepaliveStatus::UpNeeded) {
            return;
        }
        if let Some(under_way) = self.key(key).exchanges.get_mut(&way)
            && !under_way.up_needed
        {
            under_way.up_needed = true;
            let command = decode::command(under_way.asked);
            events(event(at, key, What::Waiting { command, for_verification: false }));
        }
    }

    fn request(
        &mut self,
        at: Duration,
        key: &Arc<str>,
        (peer, channel): (u64, u32),
        kind: RequestKind,
        message: &[u8],
        events: &mut impl FnMut(Event),
    ) {
        let (decoded, asked) = decode::request(kind, message, self.secrets);
        self.exchanges = self.exchanges.saturating_add(1);
        let exchange = self.exchanges;
        let exchanges = &mut self.key(key).exchanges;
        if exchanges.len() >= MAX_UNDER_WAY {
            exchanges.pop_first();
        }
        exchanges.insert((peer, channel), UnderWay { exchange, asked, at, up_needed: false });
        let Decoded { command, subcommand, members, malformed, masked, .. } = decoded;
        let what = What::Request {
            exchange,
            peer: peer_name(peer),
            channel: ChannelId(channel).to_string(),
            command,
            subcommand,
            members,
            malformed,
            bytes: (self.whole || !masked).then(|| hexadecimal::encode(message)),
        };
        events(event(at, key, what));
    }

    fn response(
        &mut self,
        at: Duration,
        key: &Arc<str>,
        (peer, channel): (u64, u32),
        kind: RequestKind,
        message: &[u8],
        events: &mut impl FnMut(Event),
    ) {
        let under_way = self.key(key).exchanges.remove(&(peer, channel));
        let asked = under_way.as_ref().map_or_else(|| Asked::unknown(kind), |under_way| under_way.asked);
        let decoded = decode::response(asked, message, self.secrets);
        let Decoded { command, subcommand, status, members, malformed, masked } = decoded;
        let (status, status_code) = status.unwrap_or_else(|| ("(none)".to_owned(), u16::MAX));
        if under_way.as_ref().is_some_and(|under_way| under_way.up_needed) {
            let touch = match status.as_str() {
                "CTAP2_ERR_OPERATION_DENIED" => Touch::Denied,
                "CTAP2_ERR_USER_ACTION_TIMEOUT" | "CTAP2_ERR_ACTION_TIMEOUT" => Touch::TimedOut,
                "CTAP2_ERR_KEEPALIVE_CANCEL" => Touch::Cancelled,
                "CTAP2_ERR_UV_INVALID" | "CTAP2_ERR_UV_BLOCKED" => Touch::Missed,
                _ => Touch::Touched,
            };
            events(event(at, key, What::WaitEnded { touch }));
        }
        let what = What::Response {
            exchange: under_way.as_ref().map_or(0, |under_way| under_way.exchange),
            peer: peer_name(peer),
            channel: ChannelId(channel).to_string(),
            command,
            subcommand,
            status,
            status_code,
            took_us: under_way.map_or(0, |under_way| microseconds(at.saturating_sub(under_way.at))),
            members,
            malformed,
            bytes: (self.whole || !masked).then(|| hexadecimal::encode(message)),
        };
        events(event(at, key, what));
    }

    fn key(&mut self, name: &Arc<str>) -> &mut Key {
        self.keys.entry(Arc::clone(name)).or_default()
    }
}

fn event(at: Duration, key: &Arc<str>, what: What) -> Event {
    Event { at_us: microseconds(at), key: Some(key.as_ref().to_owned()), what }
}

pub(super) fn peer_name(peer: u64) -> String {
    match peer {
        USB => "usb".to_owned(),
        DIRECT => "direct".to_owned(),
        program => format!("program-{program}"),
    }
}

pub(super) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
