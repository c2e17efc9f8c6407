//! A transcript as text: a line for each exchange.

use core::fmt::Write;

use super::event::{Event, Header, Level, Touch, What};
use super::exchange::{Exchange, Exchanges};
use super::hexadecimal;
use super::note::Note;
use super::value::{Members, Value};

/// How wide the column of keys is, in characters: at least, and at most.
const LEAST: usize = 8;
const MOST: usize = 32;

/// Writes events as text.
#[derive(Debug)]
pub(super) struct Text {
    /// All members, and what else happens, a line each.
    verbose: bool,
    /// The closest that is written; without one, that of exchanges.
    level: Option<Level>,
    exchanges: Exchanges,
    /// The longest name of a key.
    width: usize,
}

impl Text {
    pub(super) fn new(verbose: bool, level: Option<Level>) -> Self {
        Self { verbose, level, exchanges: Exchanges::default(), width: LEAST }
    }

    /// Has room for the names of keys of which something is going to be written.
    pub(super) fn expect<'k>(&mut self, keys: impl Iterator<Item = &'k str>) {
        let longest = keys.map(|key| key.chars().count()).max().unwrap_or_default();
        self.width = self.width.max(longest.min(MOST));
    }

    pub(super) fn header(&mut self, header: &Header, out: &mut String) {
        self.expect(header.keys.iter().map(|key| key.name.as_str()));
        let masked = if header.masked { "; secrets are masked" } else { "; secrets are shown as they passed" };
        line(
            out,
            format_args!(
                "# what keys were asked, by {}{masked}; times are seconds since the start",
                header.recorded_by
            ),
        );
        if let (Some(seed), Some(warning)) = (header.seed, &header.warning) {
            line(out, format_args!("# seed {seed}: {}", warning.escape_debug()));
        }
        for key in &header.keys {
            let quirks = if key.quirks.is_empty() { String::new() } else { format!(" with {}", key.quirks.join(", ")) };
            line(out, format_args!("# key {} is a {}{quirks}", key.name, key.profile));
        }
        row(out, self.width, ["# time", "key", "command", "RP ID", "status", "touch", "took", ""]);
    }

    pub(super) fn event(&mut self, event: &Event, out: &mut String) {
        for ended in self.exchanges.take(event) {
            self.exchange(&ended, out);
        }
        let key = event.key.as_deref().unwrap_or("-");
        let width = self.width;
        let mut note = |text: String| {
            line(out, format_args!("{:>12}  {key:<width$}  {}", seconds(event.at_us), text.trim_end()));
        };
        match &event.what {
            What::Trace(header) => self.header(header, out),
            What::Plugged => note("is plugged in".to_owned()),
            What::Unplugged => note("is pulled out".to_owned()),
            What::Attached => note("is taken by a USB host, and powers up".to_owned()),
            What::Detached => note("is let go by its USB host".to_owned()),
            What::Winked => note("winks".to_owned()),
            What::TouchedUnasked => note("is touched, though it waits for nothing".to_owned()),
            What::FaultOn { fault } => note(format!("fault on: {}", fault.escape_debug())),
            What::FaultOff { fault: Some(fault) } => note(format!("fault off: {}", fault.escape_debug())),
            What::FaultOff { fault: None } => note("all faults off".to_owned()),
            What::Fault { fault } => note(format!("fault: {}", fault.escape_debug())),
            What::Observed(noted) => note(observed(noted)),
            What::Explained(explanation) => note(explanation.text.clone()),
            What::Gap { missed } => {
                let were = if *missed == 1 { "event is missing here: it" } else { "events are missing here: they" };
                note(format!("{missed} {were} came faster than could be written"))
            }
            What::Message { command, members, channel, .. } if command == "CTAPHID_ERROR" => {
                note(format!("{command} on channel {channel}: {members}"));
            }
            What::BrokenMessage { channel, reason, .. } => {
                note(format!("broken message on channel {channel}: {reason}"))
            }
            What::Waiting { command, for_verification: true } if self.verbose => {
                note(format!("waits for its user, for {command}"));
            }
            What::Waiting { command, .. } if self.verbose => note(format!("waits for a touch, for {command}")),
            What::WaitEnded { touch } if self.verbose => note(format!("waits no more: {touch}")),
            What::Stored { discoverable_credentials } if self.verbose => {
                note(format!("holds {}", counted(*discoverable_credentials, "discoverable credential")));
            }
            What::Programs { programs } if self.verbose => {
                note(format!("is used by {} without USB", counted(*programs, "program")))
            }
            What::Connected { peer } if self.verbose => note(format!("{} has come", peer.escape_debug())),
            What::Disconnected { peer } if self.verbose => note(format!("{} has gone", peer.escape_debug())),
            What::CancelAsked => note("whoever asks it directly cancels".to_owned()),
            What::Abandoned => note("whoever asked it directly has gone".to_owned()),
            What::Administered => note("its owner changes what it keeps".to_owned()),
            What::Message { direction, channel, command, length, members, .. }
                if self.level <= Some(Level::Ctaphid) && self.level.is_some() =>
            {
                let arrow = arrow(*direction);
                note(format!("{arrow} {command} on channel {channel}, {}  {members}", counted(*length, "byte")));
            }
            What::Report { direction, bytes, .. } if self.level == Some(Level::Usb) => {
                note(format!("{} {}", arrow(*direction), hexadecimal::encode(bytes)));
            }
            What::Control { request, setup, status, bytes } if self.level == Some(Level::Usb) => {
                note(format!("{request} (setup {setup}): status {status}  {}", hexadecimal::encode(bytes)));
            }
            _ => {}
        }
    }

    pub(super) fn end(&mut self, out: &mut String) {
        for left in core::mem::take(&mut self.exchanges).end() {
            self.exchange(&left, out);
        }
    }

    fn exchange(&self, exchange: &Exchange, out: &mut String) {
        let command = match &exchange.subcommand {
            Some(subcommand) => format!("{} {subcommand}", exchange.command),
            None => exchange.command.clone(),
        };
        let touch = match exchange.touch {
            Some(touch) => touch.to_string(),
            None if exchange.touch_asked => "waiting".to_owned(),
            None => "-".to_owned(),
        };
        let took = exchange.took_us.map_or_else(|| "-".to_owned(), milliseconds);
        let rp_id = exchange.rp_id().map(|rp_id| rp_id.escape_debug().to_string());
        let rp_id = rp_id.as_deref().unwrap_or("-");
        let status = exchange.status.as_deref().unwrap_or("no-answer");
        let why = why(exchange).unwrap_or_default();
        row(out, self.width, [&seconds(exchange.at_us), &exchange.key, &command, rp_id, status, &touch, &took, &why]);
        if self.verbose {
            members(out, '>', &exchange.request);
            members(out, '<', &exchange.response);
        }
    }
}

/// What a page noted, in a line.
fn observed(note: &Note) -> String {
    match note {
        Note::Began(began) => {
            let rp_id = began.options.rp_id.as_deref().unwrap_or("no RP ID");
            format!("page {}: {} for {}", began.origin.escape_debug(), began.ceremony, rp_id.escape_debug())
        }
        Note::Ended(ended) => match &ended.exception {
            Some(error) => format!("page: {}: {}", error.name.escape_debug(), error.message.escape_debug()),
            None => "page: it has the credential".to_owned(),
        },
        Note::Answered(answered) => format!("site: status {}", answered.status),
    }
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn arrow(direction: super::event::Direction) -> &'static str {
    match direction {
        super::event::Direction::Out => "->",
        super::event::Direction::In => "<-",
    }
}

fn members(out: &mut String, side: char, members: &Members) {
    for (name, value) in &members.0 {
        line(out, format_args!("              {side} {}: {value}", name.escape_debug()));
    }
}

/// Time, key, command, RP ID, status, touch, how long it took, and why.
fn row(out: &mut String, width: usize, [time, key, command, rp_id, status, touch, took, why]: [&str; 8]) {
    let row =
        format!("{time:>12}  {key:<width$}  {command:<42}  {rp_id:<20}  {status:<28}  {touch:<9}  {took:>10}  {why}");
    line(out, format_args!("{}", row.trim_end()));
}

fn line(out: &mut String, text: core::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = writeln!(out, "{text}");
}

fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03} ms", microseconds / 1_000, microseconds % 1_000)
}

/// What a status means here, for who does not know it by heart.
pub(super) fn why(exchange: &Exchange) -> Option<String> {
    if let Some(malformed) = &exchange.malformed {
        return Some(format!("cannot be decoded: {malformed}"));
    }
    let Some(status) = exchange.status.as_deref() else {
        return Some("it was not answered: the key lost power, or the host went on without the answer".to_owned());
    };
    let listed = |name: &str| exchange.request.get(name).and_then(Value::as_list).map_or(0, <[Value]>::len);
    let why = match status {
        "CTAP2_ERR_NO_CREDENTIALS" | "CTAP2_ERR_INVALID_CREDENTIAL"
            if exchange.command == "authenticatorGetAssertion" =>
        {
            let has_token = exchange.request.get("pinUvAuthParam").is_some();
            let unless = if has_token { "" } else { ", unless it wants a PIN first (credProtect)" };
            return Some(match listed("allowList") {
                0 => format!("this key holds no discoverable credential for this RP ID{unless}"),
                1 => format!("the credential in allowList is not on this key for this RP ID{unless}"),
                count => format!("none of the {count} credentials in allowList is on this key for this RP ID{unless}"),
            });
        }
        "CTAP2_ERR_NO_CREDENTIALS" => "there is none of what was asked for",
        "CTAP2_ERR_CREDENTIAL_EXCLUDED" => "a credential in excludeList is on this key: it is registered already",
        "CTAP2_ERR_PUAT_REQUIRED" => "this key wants a PIN for it, and the host came without a token for one",
        "CTAP2_ERR_PIN_NOT_SET" => "this key has no PIN",
        "CTAP2_ERR_PIN_INVALID" => "the PIN was wrong, and a retry is spent",
        "CTAP2_ERR_PIN_AUTH_BLOCKED" => "three wrong PINs in a row: the key wants to be unplugged and plugged in again",
        "CTAP2_ERR_PIN_BLOCKED" => "no PIN retries are left: a reset alone helps, and deletes all credentials",
        "CTAP2_ERR_PIN_AUTH_INVALID" => "pinUvAuthParam was not made with the token that the key has in use",
        "CTAP2_ERR_PIN_POLICY_VIOLATION" => {
            "the PIN is too short, too long or too simple for this key, or has to be changed"
        }
        "CTAP2_ERR_UV_INVALID" => "whoever touched the key is not the user whom it knows",
        "CTAP2_ERR_UV_BLOCKED" => "built-in user verification has failed too often: the PIN helps",
        "CTAP2_ERR_UNAUTHORIZED_PERMISSION" => "the token was asked for without the permission for this command",
        "CTAP2_ERR_OPERATION_DENIED" => match exchange.touch {
            Some(Touch::TimedOut) => "nobody touched the key in time",
            _ => "the user refused at the key",
        },
        "CTAP2_ERR_KEEPALIVE_CANCEL" => "the host cancelled it: another key was touched, or it gave up",
        "CTAP2_ERR_USER_ACTION_TIMEOUT" | "CTAP2_ERR_ACTION_TIMEOUT" => "nobody touched the key in time",
        "CTAP2_ERR_UNSUPPORTED_ALGORITHM" => "this key has none of the algorithms in pubKeyCredParams",
        "CTAP2_ERR_UNSUPPORTED_OPTION" => "options asks for what this key does not have",
        "CTAP2_ERR_INVALID_OPTION" => "options or an extension asks for what is not allowed in this command",
        "CTAP2_ERR_MISSING_PARAMETER" => "a member that has to be there is missing from the request",
        "CTAP2_ERR_INVALID_CBOR" => "the request is not in CTAP2's canonical CBOR",
        "CTAP2_ERR_CBOR_UNEXPECTED_TYPE" => "a member of the request is of another type than it has to be",
        "CTAP2_ERR_KEY_STORE_FULL" => "the key has no room for another discoverable credential",
        "CTAP2_ERR_LIMIT_EXCEEDED" => "the request has more of something than this key takes",
        "CTAP2_ERR_REQUEST_TOO_LARGE" => "the request is longer than this key takes",
        "CTAP2_ERR_NOT_ALLOWED" => {
            "it is not allowed now: there is nothing to go on with, or it is too late after power-up"
        }
        "CTAP1_ERR_CHANNEL_BUSY" => "the key was at work for somebody else",
        "CTAP1_ERR_INVALID_COMMAND" => "this key does not have the command",
        "CTAP1_ERR_OTHER" => "something went wrong in the key",
        "SW_CONDITIONS_NOT_SATISFIED" => match exchange.request.get("control").and_then(Value::as_text) {
            Some("check-only") => "the key handle is of this key",
            _ => "not touched yet: hosts ask again",
        },
        "SW_WRONG_DATA" => "the key handle is not of this key for this application",
        "SW_INS_NOT_SUPPORTED" => "this key does not have the command",
        _ => return None,
    };
    Some(why.to_owned())
}
