//! What a realm asks for beside the password, written as Proxmox VE's `--tfa` is: `type=oath,digits=6,step=30`.
//!
//! Proxmox VE has the types `oath` and `yubico`. `any` and `webauthn` are ours: a realm of Proxmox VE can ask for one-time
//! codes, and not for security keys.

use std::str::FromStr;

use thiserror::Error;

use crate::place::Place;
use crate::property_string::{self, Property, PropertyProblem};
use crate::realms::Requirement;

/// An option that cannot be read, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the --tfa option cannot be read: {problem}\n{place}")]
pub struct TfaOptionError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub problem: TfaOptionProblem,
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TfaOptionProblem {
    /// It is not `key=value,key=value`.
    #[error(transparent)]
    Properties(#[from] PropertyProblem),
    /// It does not say `type=`.
    #[error("it names no type; write type=oath,digits=6,step=30")]
    NoType,
    /// `type=totp`, as guides have it.
    #[error("a realm's type is called oath, not {found}: write type=oath,digits=6,step=30")]
    Oath {
        /// What stands there.
        found: String,
    },
    /// `none`.
    #[error("to require nothing, write --delete tfa in place of --tfa")]
    Nothing,
    /// `type=yubico`.
    #[error(
        "yubico is for one-time passwords that Yubico's servers check, and this relying party asks no server; write type=oath, type=webauthn or type=any"
    )]
    Yubico,
    /// The type is none.
    #[error("there is no type {found:?}; the types are oath, webauthn and any")]
    UnknownType {
        /// What stands there.
        found: String,
    },
    /// The property is none of this type's.
    #[error("{found:?} is unknown here; {known}")]
    UnknownProperty {
        /// What stands there.
        found: String,
        /// Which there are.
        known: &'static str,
    },
    /// `digits` is not 6, 7 or 8.
    #[error("digits is {found:?}; it has to be 6, 7 or 8")]
    Digits {
        /// What stands there.
        found: String,
    },
    /// `step` is not a number from 10 to 3600.
    #[error("step is {found:?}; it has to be a number of seconds, at least 10 and at most 3600")]
    Step {
        /// What stands there.
        found: String,
    },
}

/// Reads the form of the option. What asks for nothing has none: in Proxmox VE the option is deleted then.
impl FromStr for Requirement {
    type Err = TfaOptionError;

    fn from_str(text: &str) -> Result<Self, TfaOptionError> {
        let error = |at, problem| TfaOptionError { place: Place::of(text, at), problem };
        if matches!(text, "none" | "type=none") {
            return Err(error(0..text.len(), TfaOptionProblem::Nothing));
        }
        let properties = property_string::parse(text).map_err(|(at, problem)| error(at, problem.into()))?;
        let Some(kind) = properties.iter().find(|property| property.key == "type") else {
            return Err(error(0..0, TfaOptionProblem::NoType));
        };
        let found = kind.value.to_owned();
        let (mut option, known) = match kind.value {
            "oath" => (Self::Oath { digits: 6, step: 30 }, "oath has digits and step"),
            "any" => (Self::Any, "any has no other property"),
            "webauthn" => (Self::Webauthn, "webauthn has no other property"),
            "yubico" => return Err(error(kind.value_at.clone(), TfaOptionProblem::Yubico)),
            "totp" | "otp" | "hotp" => return Err(error(kind.value_at.clone(), TfaOptionProblem::Oath { found })),
            _ => return Err(error(kind.value_at.clone(), TfaOptionProblem::UnknownType { found })),
        };
        for Property { key, key_at, value, value_at } in &properties {
            let found = (*value).to_owned();
            match (*key, &mut option) {
                ("type", _) => {}
                ("digits", Self::Oath { digits, .. }) => match *value {
                    "6" => *digits = 6,
                    "7" => *digits = 7,
                    "8" => *digits = 8,
                    _ => return Err(error(value_at.clone(), TfaOptionProblem::Digits { found })),
                },
                ("step", Self::Oath { step, .. }) => match value.parse() {
                    Ok(seconds @ 10..=3600) if !value.starts_with('+') => *step = seconds,
                    _ => return Err(error(value_at.clone(), TfaOptionProblem::Step { found })),
                },
                _ => {
                    let found = (*key).to_owned();
                    return Err(error(key_at.clone(), TfaOptionProblem::UnknownProperty { found, known }));
                }
            }
        }
        Ok(option)
    }
}

impl Requirement {
    /// The option that says so, `None` if nothing is asked for.
    #[must_use]
    pub fn tfa_option(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Oath { digits, step } => Some(format!("type=oath,digits={digits},step={step}")),
            Self::Any => Some("type=any".to_owned()),
            Self::Webauthn => Some("type=webauthn".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
