//! What a key of a replay does otherwise.

use core::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::transcript::{Event, What};

/// How many members are told of, of two events that differ.
const MAX_SHOWN: usize = 12;

/// How many characters are shown of each of two values that differ.
const MAX_SHOWN_CHARACTERS: usize = 40;

/// The first thing that is otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What is recorded; nothing where the recorded key did nothing more.
    pub recorded: Option<Event>,
    /// What the key did in its place; nothing where it did nothing.
    pub replayed: Option<Event>,
}

impl Difference {
    pub(super) fn new(recorded: Option<&Event>, replayed: Option<&Event>) -> Self {
        Self { recorded: recorded.cloned(), replayed: replayed.cloned() }
    }

    /// The members that differ, by their place, such as `members.authData.signCount`: as recorded, and as replayed.
    #[must_use]
    pub fn members(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let value = |event: &Option<Event>| event.as_ref().map(|event| comparable(&event.what));
        let (Some(recorded), Some(replayed)) = (value(&self.recorded), value(&self.replayed)) else {
            return Vec::new();
        };
        let mut members = Vec::new();
        compare("", Some(&recorded), Some(&replayed), &mut members);
        members
    }
}

/// For a person: when and where, what each did, and the members that differ.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.recorded.as_ref().or(self.replayed.as_ref());
        let (at_us, key) = event.map_or((0, ""), |event| (event.at_us, event.key.as_deref().unwrap_or("-")));
        write!(f, "at {} s, key {}", seconds(at_us), key.escape_debug())?;
        let said = |event: &Option<Event>| event.as_ref().map_or_else(|| "nothing".to_owned(), headline);
        write!(f, "\n  recorded  {}\n  replayed  {}", said(&self.recorded), said(&self.replayed))?;
        let members = self.members();
        for (place, recorded, replayed) in members.iter().take(MAX_SHOWN) {
            let [recorded, replayed] = excerpts([recorded, replayed]);
            write!(f, "\n  {}\n    recorded  {recorded}\n    replayed  {replayed}", place.escape_debug())?;
        }
        if members.len() > MAX_SHOWN {
            write!(f, "\n  and {} members more", members.len() - MAX_SHOWN)?;
        }
        Ok(())
    }
}

/// Two values that differ, or what of them is around the first character that does, where they are long.
fn excerpts(values: [&Option<String>; 2]) -> [String; 2] {
    let [a, b] = values.map(|value| value.as_deref().unwrap_or_default());
    let differs = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let before = differs.saturating_sub(MAX_SHOWN_CHARACTERS / 4);
    values.map(|value| {
        let Some(value) = value else { return "(not there)".to_owned() };
        let length = value.chars().count();
        if length <= MAX_SHOWN_CHARACTERS {
            return value.clone();
        }
        let part: String = value.chars().skip(before).take(MAX_SHOWN_CHARACTERS).collect();
        let head = if before > 0 { "…" } else { "" };
        let tail = if before + part.chars().count() < length { "…" } else { "" };
        format!("{head}{part}{tail} ({length} characters, from {before} on)")
    })
}

/// What an event is, in one line.
fn headline(event: &Event) -> String {
    match &event.what {
        What::Request { command, subcommand, .. } => format!("asked {}", named(command, subcommand.as_deref())),
        What::Response { command, subcommand, status, .. } => {
            format!("{} answered {status}", named(command, subcommand.as_deref()))
        }
        What::Waiting { command, .. } => format!("waits for a touch, for {command}"),
        What::WaitEnded { touch } => format!("waits no more: {touch}"),
        What::Report { peer, .. } => format!("a report to {peer}"),
        what => match serde_json::to_value(what).ok().as_ref().and_then(|value| value.get("event")?.as_str()) {
            Some(kind) => kind.replace('-', " "),
            None => String::new(),
        },
    }
    .escape_debug()
    .to_string()
}

fn named(command: &str, subcommand: Option<&str>) -> String {
    subcommand.map_or_else(|| command.to_owned(), |subcommand| format!("{command} {subcommand}"))
}

/// Whether two events are the same, but for when they were.
pub(super) fn is_same(recorded: &What, replayed: &What) -> bool {
    comparable(recorded) == comparable(replayed)
}

/// As lines of JSON have it, where byte strings are text, without what is a matter of time and count.
fn comparable(what: &What) -> Value {
    let mut value = serde_json::to_value(what).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.remove("exchange");
        members.remove("took_us");
    }
    value
}

fn compare(
    place: &str,
    recorded: Option<&Value>,
    replayed: Option<&Value>,
    members: &mut Vec<(String, Option<String>, Option<String>)>,
) {
    if recorded == replayed {
        return;
    }
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match (recorded, replayed) {
        (Some(Value::Object(recorded)), Some(Value::Object(replayed))) => {
            for (name, value) in recorded {
                compare(&below(name), Some(value), replayed.get(name), members);
            }
            for (name, value) in replayed.iter().filter(|(name, _)| !recorded.contains_key(*name)) {
                compare(&below(name), None, Some(value), members);
            }
        }
        (Some(Value::Array(recorded)), Some(Value::Array(replayed))) => {
            for index in 0..recorded.len().max(replayed.len()) {
                compare(&below(&index.to_string()), recorded.get(index), replayed.get(index), members);
            }
        }
        _ => {
            let shown = |value: &Value| match value {
                Value::String(text) => text.escape_debug().to_string(),
                other => other.to_string().escape_debug().to_string(),
            };
            members.push((place.to_owned(), recorded.map(shown), replayed.map(shown)));
        }
    }
}

pub(super) fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}
