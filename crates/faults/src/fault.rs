//! A fault: what goes wrong, and which times. It is written as `NAME[,PARAMETER=VALUE…]`, everywhere.

use core::fmt;
use core::str::FromStr;

use keyrig_ctap::hid::RequestKind;
use keyrig_ctap::{Command, Status};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::kind::{Kind, Layer, Unit};
use crate::scope::can_happen;

/// The commands that a fault can be of, by the names of their specifications.
pub const COMMANDS: [&str; 18] = [
    "authenticatorMakeCredential",
    "authenticatorGetAssertion",
    "authenticatorGetInfo",
    "authenticatorClientPIN",
    "authenticatorReset",
    "authenticatorGetNextAssertion",
    "authenticatorBioEnrollment",
    "authenticatorCredentialManagement",
    "authenticatorSelection",
    "authenticatorLargeBlobs",
    "authenticatorConfig",
    "U2F_REGISTER",
    "U2F_AUTHENTICATE",
    "U2F_VERSION",
    "CTAPHID_INIT",
    "CTAPHID_PING",
    "CTAPHID_WINK",
    "CTAPHID_LOCK",
];

/// The name of what a message asks, if it is one of [`COMMANDS`].
pub(crate) fn command_of(kind: RequestKind, message: &[u8]) -> Option<&'static str> {
    Some(match (kind, message) {
        (RequestKind::Cbor, [command, ..]) => match Command::from(*command) {
            Command::MakeCredential => "authenticatorMakeCredential",
            Command::GetAssertion => "authenticatorGetAssertion",
            Command::GetInfo => "authenticatorGetInfo",
            Command::ClientPin => "authenticatorClientPIN",
            Command::Reset => "authenticatorReset",
            Command::GetNextAssertion => "authenticatorGetNextAssertion",
            Command::BioEnrollment | Command::BioEnrollmentPreview => "authenticatorBioEnrollment",
            Command::CredentialManagement | Command::CredentialManagementPreview => "authenticatorCredentialManagement",
            Command::Selection => "authenticatorSelection",
            Command::LargeBlobs => "authenticatorLargeBlobs",
            Command::Config => "authenticatorConfig",
            _ => return None,
        },
        // The instruction (FIDO U2F Raw Message Formats 1.2 §3.1.3).
        (RequestKind::Msg, [_, 0x01, ..]) => "U2F_REGISTER",
        (RequestKind::Msg, [_, 0x02, ..]) => "U2F_AUTHENTICATE",
        (RequestKind::Msg, [_, 0x03, ..]) => "U2F_VERSION",
        _ => return None,
    })
}

/// The denominator of probabilities.
const MILLION: u32 = 1_000_000;

/// Something that goes wrong on purpose, and when.
///
/// Its text, `ctap-status,status=0x2E,command=authenticatorGetAssertion,nth=2`, is how it is written on the command line, over the
/// control socket and HTTP, and in timelines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Fault {
    kind: Kind,
    /// What its parameter is, if the kind has one.
    value: u64,
    command: Option<&'static str>,
    which: Which,
    /// In millionths.
    probability: u32,
}

/// Which of the times that something could go wrong it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// Each.
    Every,
    /// This one alone, counted from 1 since the fault was switched on.
    Nth(u32),
    /// So many, and then no more.
    First(u32),
}

/// A text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFault {
    /// No fault has this name.
    #[error("no fault is called {0:?}: 'keyrig faults' lists them")]
    Unknown(String),
    /// It does not have this parameter.
    #[error("{fault} has no parameter {parameter:?}: {known}")]
    Parameter {
        /// The fault.
        fault: Kind,
        /// What was written.
        parameter: String,
        /// What it has.
        known: String,
    },
    /// A parameter has a value that it cannot have.
    #[error("{parameter}={value}: {wanted}")]
    Value {
        /// The parameter.
        parameter: String,
        /// What was written.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// It never happens in this command.
    #[error("{fault} never happens in {command}: it can in {known}")]
    Command {
        /// The fault.
        fault: Kind,
        /// The command.
        command: &'static str,
        /// In which it does.
        known: String,
    },
    /// A parameter is there twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// `nth` and `times` contradict each other.
    #[error("nth and times are two answers to one question: give one of them")]
    NthAndTimes,
}

impl Fault {
    /// What goes wrong, each time, with the parameter's usual value.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let value = kind.parameter().map_or(0, |parameter| parameter.default);
        Self { kind, value, command: None, which: Which::Every, probability: MILLION }
    }

    /// What goes wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What its parameter is.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The command of which it is, if of one.
    #[must_use]
    pub fn command(&self) -> Option<&'static str> {
        self.command
    }

    /// Which of the times it happens.
    #[must_use]
    pub fn which(&self) -> Which {
        self.which
    }

    /// How probable it is each of these times, in millionths.
    #[must_use]
    pub fn probability(&self) -> u32 {
        self.probability
    }

    /// Whether another is meant, when this is to be switched off: with a name alone all of that name are, else those that are written
    /// like this.
    #[must_use]
    pub fn names(&self, other: &Self) -> bool {
        self == other || *self == Self::new(other.kind)
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), InvalidFault> {
        let wrong = |wanted: String| InvalidFault::Value { parameter: name.to_owned(), value: text.to_owned(), wanted };
        let count = || {
            let count = text.parse().ok().filter(|count| *count > 0);
            count.ok_or_else(|| wrong("a count from 1 on".to_owned()))
        };
        match name {
            "command" if self.kind.layer() != Layer::Usb => {
                let is_named = |known: &&&str| {
                    let short = known.strip_prefix("authenticator").unwrap_or(known);
                    known.eq_ignore_ascii_case(text) || short.eq_ignore_ascii_case(text)
                };
                let known: Vec<_> = COMMANDS.into_iter().filter(|command| can_happen(self.kind, command)).collect();
                let known = known.join(", ");
                let command = *COMMANDS.iter().find(is_named).ok_or_else(|| wrong(format!("one of {known}")))?;
                if !can_happen(self.kind, command) {
                    return Err(InvalidFault::Command { fault: self.kind, command, known });
                }
                self.command = Some(command);
            }
            "nth" => self.which = Which::Nth(count()?),
            "times" => self.which = Which::First(count()?),
            "probability" => {
                let millionths = text.parse::<f64>().ok().and_then(millionths);
                self.probability = millionths.ok_or_else(|| wrong("a number above 0 and up to 1".to_owned()))?;
            }
            _ => {
                let parameter = self.kind.parameter().filter(|parameter| parameter.name == name);
                let parameter = parameter.ok_or_else(|| self.unknown(name))?;
                let value = number(text).or_else(|| parameter.unit.named(text));
                let value = value.filter(|value| (parameter.least..=parameter.most).contains(value));
                let wanted = || wrong(format!("a number from {} to {}", parameter.least, parameter.most));
                self.value = value.ok_or_else(wanted)?;
            }
        }
        Ok(())
    }

    fn unknown(&self, parameter: &str) -> InvalidFault {
        let own = self.kind.parameter().map(|parameter| parameter.name);
        let command = (self.kind.layer() != Layer::Usb).then_some("command");
        let known: Vec<_> = own.into_iter().chain(command).chain(["nth", "times", "probability"]).collect();
        let known = format!("it has {}", known.join(", "));
        InvalidFault::Parameter { fault: self.kind, parameter: parameter.to_owned(), known }
    }
}

impl FromStr for Kind {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        Self::ALL
            .iter()
            .find(|kind| kind.name() == text)
            .copied()
            .ok_or_else(|| InvalidFault::Unknown(text.chars().take(64).collect()))
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut parts = text.split(',');
        let mut fault = Self::new(parts.next().unwrap_or_default().parse()?);
        let mut given = Vec::new();
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { return Err(fault.unknown(part)) };
            if given.contains(&name) {
                return Err(InvalidFault::Twice(name.to_owned()));
            }
            given.push(name);
            fault.set(name, value)?;
        }
        if given.contains(&"nth") && given.contains(&"times") {
            return Err(InvalidFault::NthAndTimes);
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(parameter) = self.kind.parameter().filter(|parameter| parameter.default != self.value) {
            match parameter.unit {
                Unit::Code | Unit::Status => write!(f, ",{}=0x{:02X}", parameter.name, self.value)?,
                Unit::Number => write!(f, ",{}={}", parameter.name, self.value)?,
            }
        }
        if let Some(command) = self.command {
            write!(f, ",command={command}")?;
        }
        match self.which {
            Which::Every => {}
            Which::Nth(nth) => write!(f, ",nth={nth}")?,
            Which::First(times) => write!(f, ",times={times}")?,
        }
        if self.probability != MILLION {
            write!(f, ",probability={}", f64::from(self.probability) / f64::from(MILLION))?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<String> for Kind {
    type Error = InvalidFault;

    fn try_from(text: String) -> Result<Self, InvalidFault> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl Unit {
    /// What a word stands for.
    fn named(self, text: &str) -> Option<u64> {
        match self {
            Self::Status => (0..=u8::MAX).find(|code| Status::from(*code).to_string() == text).map(u64::from),
            Self::Number | Self::Code => None,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
    }
}

/// Of a probability above 0 and up to 1, at least one.
fn millionths(probability: f64) -> Option<u32> {
    let is_one = probability > 0.0 && probability <= 1.0;
    // Six digits behind the point, as they are written: no cast that could truncate.
    is_one.then(|| format!("{:.0}", probability * f64::from(MILLION)).parse().ok().map(|it: u32| it.max(1))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_from_what_it_is_written_as() {
        for text in [
            "usb-delay",
            "usb-delay,ms=5",
            "ctap-status,status=0x2E,command=authenticatorGetAssertion,nth=2",
            "bad-signature,probability=0.25",
            "ctaphid-busy,times=3",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            assert_eq!(serde_json::to_string(&fault).unwrap(), format!("{text:?}"));
        }
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Fault>(), Ok(Fault::new(*kind)));
        }
        let same = |left: &str, right: &str| assert_eq!(left.parse::<Fault>().unwrap(), right.parse().unwrap());
        same("ctap-status,status=CTAP2_ERR_NO_CREDENTIALS", "ctap-status,status=46");
        same("ctap-slow,command=getassertion", "ctap-slow,command=authenticatorGetAssertion");
        same("ctap-slow,probability=1", "ctap-slow");
    }

    #[test]
    fn every_fault_but_those_of_usb_can_happen_in_some_command() {
        for kind in Kind::ALL {
            let can = COMMANDS.iter().any(|command| can_happen(*kind, command));
            assert_eq!(can, kind.layer() != Layer::Usb, "{kind}");
        }
        for command in COMMANDS {
            assert!(Kind::ALL.iter().any(|kind| can_happen(*kind, command)), "{command}");
        }
    }

    #[test]
    fn what_is_no_fault_is_refused_with_words() {
        for (text, words) in [
            ("", "no fault is called \"\": 'keyrig faults' lists them"),
            ("tarpit", "no fault is called \"tarpit\": 'keyrig faults' lists them"),
            ("usb-delay,ms", "usb-delay has no parameter \"ms\": it has ms, nth, times, probability"),
            ("usb-delay,command=reset", "usb-delay has no parameter \"command\": it has ms, nth, times, probability"),
            (
                "bad-signature,status=1",
                "bad-signature has no parameter \"status\": it has command, nth, times, probability",
            ),
            (
                "bad-signature,command=makecredential",
                "bad-signature never happens in authenticatorMakeCredential: it can in authenticatorGetAssertion, \
                 authenticatorGetNextAssertion, U2F_AUTHENTICATE",
            ),
            (
                "ctaphid-wrong-nonce,command=reset",
                "ctaphid-wrong-nonce never happens in authenticatorReset: it can in CTAPHID_INIT",
            ),
            ("usb-delay,ms=99999999999999999999", "ms=99999999999999999999: a number from 1 to 600000"),
            ("usb-delay,ms=+1", "ms=+1: a number from 1 to 600000"),
            ("usb-delay,nth=0", "nth=0: a count from 1 on"),
            ("usb-delay,nth=1,nth=2", "nth is there twice"),
            ("usb-delay,nth=1,times=2", "nth and times are two answers to one question: give one of them"),
            ("usb-delay,probability=NaN", "probability=NaN: a number above 0 and up to 1"),
            ("usb-delay,probability=1.5", "probability=1.5: a number above 0 and up to 1"),
            ("ctap-status,status=CTAP2_MAYBE", "status=CTAP2_MAYBE: a number from 0 to 255"),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), words);
        }
        let error = "ctap-slow,command=getassert".parse::<Fault>().unwrap_err().to_string();
        assert!(error.starts_with("command=getassert: one of authenticatorMakeCredential, "), "{error}");
    }
}
