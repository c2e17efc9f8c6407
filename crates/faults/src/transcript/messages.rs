//! From reports to CTAPHID messages.

use std::collections::BTreeMap;

use keyrig_ctap::hid::{
    Capabilities, Command, ErrorCode, InitResponse, KeepaliveStatus, Message, Packet, Reassembly, Report,
};

use super::event::{Direction, What};
use super::hexadecimal;
use super::value::{Members, Value};

/// How many messages of one key may be under way; of more, the first by peer and channel is forgotten. A capture may claim any number.
const MAX_UNDER_WAY: usize = 512;

/// A message or what became of it.
pub(super) enum Passed {
    Whole(Message),
    Broken { channel: u32, reason: String },
}

/// Who speaks, where to, and on which channel.
type Way = (u64, Direction, u32);

/// Puts the reports of one key together.
#[derive(Debug, Default)]
pub(super) struct Messages {
    under_way: BTreeMap<Way, Reassembly>,
    /// Reports were missed: what goes on now may have begun among them.
    missed: bool,
}

impl Messages {
    /// Forgets what is under way: the key has lost its power.
    pub(super) fn power_lost(&mut self) {
        self.under_way.clear();
    }

    /// Forgets what is under way, some of which is missing.
    pub(super) fn gap(&mut self) {
        self.under_way.clear();
        self.missed = true;
    }

    pub(super) fn take(&mut self, peer: u64, direction: Direction, report: &Report) -> Option<Passed> {
        match Packet::parse(report) {
            Packet::Initialization(packet) => {
                let channel = packet.channel.0;
                let key = (peer, direction, channel);
                match Reassembly::start(&packet) {
                    Ok(reassembly) => {
                        self.under_way.remove(&key);
                        self.go_on(key, reassembly)
                    }
                    Err(error) => Some(Passed::Broken { channel, reason: error.to_string() }),
                }
            }
            Packet::Continuation(packet) => {
                let channel = packet.channel.0;
                let key = (peer, direction, channel);
                let Some(mut reassembly) = self.under_way.remove(&key) else {
                    let reason = format!("continuation packet {} of no message", packet.sequence);
                    return (!self.missed).then_some(Passed::Broken { channel, reason });
                };
                match reassembly.push(&packet) {
                    Ok(()) => self.go_on(key, reassembly),
                    Err(error) => Some(Passed::Broken { channel, reason: error.to_string() }),
                }
            }
        }
    }

    fn go_on(&mut self, key: Way, reassembly: Reassembly) -> Option<Passed> {
        match reassembly.finish() {
            Ok(message) => {
                self.missed = false;
                Some(Passed::Whole(message))
            }
            Err(reassembly) => {
                if self.under_way.len() >= MAX_UNDER_WAY {
                    self.under_way.pop_first();
                }
                self.under_way.insert(key, reassembly);
                None
            }
        }
    }
}

/// The event of a message.
pub(super) fn event(peer: &str, direction: Direction, message: &Message) -> What {
    let carries = matches!(message.command(), Command::Cbor | Command::Msg);
    What::Message {
        direction,
        peer: peer.to_owned(),
        channel: message.channel().to_string(),
        command: message.command().to_string(),
        length: message.payload().len(),
        members: if carries { Members::default() } else { members(direction, message) },
        bytes: (!carries).then(|| hexadecimal::encode(message.payload())),
    }
}

fn members(direction: Direction, message: &Message) -> Members {
    let mut members = Members::default();
    let payload = message.payload();
    match (message.command(), direction) {
        (Command::Init, Direction::Out) => members.push("nonce", Value::bytes(payload)),
        (Command::Init, Direction::In) => {
            let answer = message.reports().next().and_then(|report| match Packet::parse(&report) {
                Packet::Initialization(packet) => InitResponse::parse(&packet).ok(),
                Packet::Continuation(_) => None,
            });
            if let Some(answer) = answer {
                let [major, minor, build] = answer.device_version;
                members.push("nonce", Value::bytes(&answer.nonce));
                members.push("channel", Value::Text(answer.channel.to_string()));
                members.push("protocolVersion", Value::Integer(answer.protocol_version.into()));
                members.push("deviceVersion", Value::Text(format!("{major}.{minor}.{build}")));
                members.push("capabilities", capabilities(answer.capabilities));
            }
        }
        (Command::Keepalive, _) => {
            if let Some(byte) = payload.first() {
                let status = match KeepaliveStatus::from_byte(*byte) {
                    Some(KeepaliveStatus::Processing) => "PROCESSING".to_owned(),
                    Some(KeepaliveStatus::UpNeeded) => "UPNEEDED".to_owned(),
                    None => format!("0x{byte:02X}"),
                };
                members.push("status", Value::Text(status));
            }
        }
        (Command::Error, _) => {
            if let Some(byte) = payload.first() {
                members.push("code", Value::Text(ErrorCode::from(*byte).to_string()));
            }
        }
        (Command::Lock, Direction::Out) => {
            if let Some(seconds) = payload.first() {
                members.push("seconds", Value::Integer((*seconds).into()));
            }
        }
        _ => {}
    }
    members
}

fn capabilities(capabilities: Capabilities) -> Value {
    const NAMED: [(Capabilities, &str); 3] =
        [(Capabilities::WINK, "WINK"), (Capabilities::CBOR, "CBOR"), (Capabilities::NMSG, "NMSG")];
    let named = NAMED.iter().filter(|(bit, _)| capabilities.contains(*bit));
    Value::List(named.map(|(_, name)| Value::text(*name)).collect())
}
