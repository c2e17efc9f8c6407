//! From messages to members by name.
//!
//! Members that a specification names have that name; others their number, or their text. What is not in CTAP2's canonical form is
//! not guessed at: it is said where it is broken.

mod authenticator_data;
mod names;
mod u2f;

#[cfg(test)]
mod tests;

use keyrig_ctap::cbor::Item;
use keyrig_ctap::hid::RequestKind;
use keyrig_ctap::{Command, Status};

use self::names::{Names, Subject};
use super::value::{Members, Value};

/// Whether secrets are in members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// They are masked.
    #[default]
    Masked,
    /// They are shown as they passed: most of them encrypted.
    Shown,
}

/// A message, decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Decoded {
    pub(super) command: String,
    pub(super) subcommand: Option<String>,
    pub(super) status: Option<(String, u16)>,
    pub(super) members: Members,
    pub(super) malformed: Option<String>,
    /// Something in it is masked.
    pub(super) masked: bool,
}

/// What a response needs to know of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) kind: RequestKind,
    /// Command byte, or instruction.
    code: Option<u8>,
    subcommand: Option<u64>,
}

impl Asked {
    /// Of a request that nobody saw.
    pub(super) fn unknown(kind: RequestKind) -> Self {
        Self { kind, code: None, subcommand: None }
    }
}

/// The command that was asked for.
pub(super) fn command(asked: Asked) -> String {
    match asked.kind {
        RequestKind::Msg => u2f::command(asked.code),
        RequestKind::Cbor => asked.code.map_or_else(|| "(unknown)".to_owned(), |code| Command::from(code).to_string()),
    }
}

/// Reads a request.
pub(super) fn request(kind: RequestKind, message: &[u8], secrets: Secrets) -> (Decoded, Asked) {
    if kind == RequestKind::Msg {
        return u2f::request(message);
    }
    let Some((code, parameters)) = message.split_first() else {
        let malformed = Some("the message is empty: it has no command".to_owned());
        return (Decoded { command: "(none)".to_owned(), malformed, ..Decoded::default() }, Asked::unknown(kind));
    };
    let command = Command::from(*code);
    let mut reading = Reading::new(secrets);
    let mut asked = Asked { kind, code: Some(*code), subcommand: None };
    let mut decoded = Decoded { command: command.to_string(), ..Decoded::default() };
    if !parameters.is_empty() {
        match Item::parse(parameters) {
            // Counted from the command byte, as people count bytes of a message.
            Err(error) => decoded.malformed = Some(malformed(error, 1)),
            Ok(item) => {
                asked.subcommand = subcommand_number(command, item);
                decoded.subcommand = asked.subcommand.map(|number| names::subcommand(command, number));
                decoded.members = reading.members(item, Names::of_request(command, asked.subcommand));
            }
        }
    }
    decoded.masked = reading.masked;
    (decoded, asked)
}

/// Reads a response.
pub(super) fn response(asked: Asked, message: &[u8], secrets: Secrets) -> Decoded {
    if asked.kind == RequestKind::Msg {
        return u2f::response(asked.code, message);
    }
    let command = asked.code.map(Command::from);
    let mut reading = Reading::new(secrets);
    let mut decoded = Decoded {
        command: self::command(asked),
        subcommand: command.zip(asked.subcommand).map(|(command, subcommand)| names::subcommand(command, subcommand)),
        ..Decoded::default()
    };
    let Some((status, parameters)) = message.split_first() else {
        decoded.malformed = Some("the message is empty: it has no status".to_owned());
        return decoded;
    };
    decoded.status = Some((Status::from(*status).to_string(), u16::from(*status)));
    if !parameters.is_empty() {
        match Item::parse(parameters) {
            Err(error) => decoded.malformed = Some(malformed(error, 1)),
            Ok(item) => {
                let names = command.map_or_else(Names::none, Names::of_response);
                decoded.members = reading.members(item, names);
            }
        }
    }
    decoded.masked = reading.masked;
    decoded
}

fn malformed(error: keyrig_ctap::cbor::Malformed, before: usize) -> String {
    format!("byte {}: {}", error.offset.saturating_add(before), error.reason)
}

fn subcommand_number(command: Command, item: Item<'_>) -> Option<u64> {
    let number = names::subcommand_member(command)?;
    let mut entries = item.map().ok()?;
    entries.find(|(key, _)| key.integer() == Ok(number))?.1.unsigned().ok()
}

/// Reads members, and notes what it masks.
struct Reading {
    secrets: Secrets,
    masked: bool,
}

impl Reading {
    fn new(secrets: Secrets) -> Self {
        Self { secrets, masked: false }
    }

    /// The members of a message. One that is no map is a member by itself.
    fn members(&mut self, item: Item<'_>, names: Names) -> Members {
        match item.map() {
            Ok(entries) => Members(
                entries
                    .map(|(key, value)| {
                        let (name, subject) = names.get(key);
                        let value = self.value(value, subject);
                        (name, value)
                    })
                    .collect(),
            ),
            Err(_) => Members(vec![("(no map)".to_owned(), self.value(item, Subject::Plain))]),
        }
    }

    fn map(&mut self, item: Item<'_>, names: Names) -> Value {
        match item.map() {
            Ok(_) => Value::Map(self.members(item, names)),
            Err(_) => self.value(item, Subject::Plain),
        }
    }

    fn value(&mut self, item: Item<'_>, subject: Subject) -> Value {
        match subject {
            Subject::Plain => self.plain(item),
            Subject::Secret => self.secret(item),
            Subject::Map(names) => self.map(item, names),
            Subject::CoseKey => self.map(item, names::of_cose_key(item)),
            Subject::Maps(names) => match item.array() {
                Ok(elements) => Value::List(elements.map(|element| self.map(element, names)).collect()),
                Err(_) => self.plain(item),
            },
            Subject::AuthenticatorData => match item.bytes() {
                Ok(bytes) => self.authenticator_data(bytes),
                Err(_) => self.plain(item),
            },
            Subject::Aaguid => match item.bytes().ok().and_then(|bytes| bytes.try_into().ok()) {
                Some(aaguid) => Value::text(keyrig_ctap::Aaguid(aaguid).to_string()),
                None => self.plain(item),
            },
            Subject::Permissions => match item.unsigned() {
                Ok(bits) => Value::List(names::permissions(bits).into_iter().map(Value::Text).collect()),
                Err(_) => self.plain(item),
            },
            Subject::Certificates => match item.array() {
                Ok(elements) => Value::List(
                    elements
                        .map(|element| match element.bytes() {
                            Ok(bytes) => authenticator_data::certificate(bytes),
                            Err(_) => self.plain(element),
                        })
                        .collect(),
                ),
                Err(_) => self.plain(item),
            },
        }
    }

    /// As much of it as may be seen: a byte string is masked, and what else may stand in its place is not secret.
    fn secret(&mut self, item: Item<'_>) -> Value {
        match item.bytes() {
            Ok(bytes) if self.secrets == Secrets::Masked => {
                self.masked = true;
                Value::Text(format!("({} bytes, masked)", bytes.len()))
            }
            _ => self.plain(item),
        }
    }

    fn plain(&mut self, item: Item<'_>) -> Value {
        if let Ok(text) = item.text() {
            Value::text(text)
        } else if let Ok(bytes) = item.bytes() {
            Value::bytes(bytes)
        } else if let Ok(number) = item.unsigned() {
            Value::Integer(number.into())
        } else if let Ok(number) = item.integer() {
            Value::Integer(number.into())
        } else if let Ok(value) = item.boolean() {
            Value::Boolean(value)
        } else if let Ok(elements) = item.array() {
            Value::List(elements.map(|element| self.plain(element)).collect())
        } else if item.map().is_ok() {
            Value::Map(self.members(item, Names::none()))
        } else {
            Value::Other
        }
    }
}
