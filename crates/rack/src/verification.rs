//! Whom a key finds when it verifies its user itself: the user whom it knows, or somebody else.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::finger::{Gesture, MAX_DIGITS};

/// What comes of a touch by which a key with built-in user verification is to know its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UvPolicy {
    /// It is the user whom the key knows.
    #[default]
    Always,
    /// It is somebody else.
    Never,
    /// The finger does nothing by itself: [`verify`](crate::command::Command::Verify) is a command. A touch that is one is by the user
    /// whom the key knows.
    Manual,
    /// So often it is somebody else, and then always the user whom the key knows.
    Miss(u32),
}

/// A text is not a policy for user verification.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a policy for user verification: choose always, never, manual or miss=N")]
pub struct InvalidUvPolicy(String);

impl UvPolicy {
    /// What the next touch is.
    pub(crate) fn touch(&mut self) -> Gesture {
        match self {
            Self::Always | Self::Manual => Gesture::Touch,
            Self::Never => Gesture::Miss,
            Self::Miss(left) => {
                *self = if *left > 1 { Self::Miss(*left - 1) } else { Self::Always };
                Gesture::Miss
            }
        }
    }
}

impl FromStr for UvPolicy {
    type Err = InvalidUvPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidUvPolicy> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            "manual" => Ok(Self::Manual),
            _ => {
                let digits = text.strip_prefix("miss=").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let misses = digits.filter(|digits| digits.len() <= MAX_DIGITS).and_then(|digits| digits.parse().ok());
                let policy = misses.map(|misses| if misses == 0 { Self::Always } else { Self::Miss(misses) });
                policy.ok_or_else(|| InvalidUvPolicy(text.chars().take(64).collect()))
            }
        }
    }
}

impl fmt::Display for UvPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::Manual => f.write_str("manual"),
            Self::Miss(misses) => write!(f, "miss={misses}"),
        }
    }
}

impl Serialize for UvPolicy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UvPolicy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_as_they_are_written() {
        for policy in ["always", "never", "manual", "miss=1", "miss=999999999"] {
            assert_eq!(policy.parse::<UvPolicy>().unwrap().to_string(), policy);
        }
        assert_eq!("miss=0".parse(), Ok(UvPolicy::Always));
        for wrong in ["", "Always", "miss", "miss=", "miss=-1", "miss=+1", "miss=1000000000", "miss=1 "] {
            assert!(wrong.parse::<UvPolicy>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn misses_are_counted_and_then_the_user_is_known() {
        let mut policy = UvPolicy::Miss(2);
        let touches: Vec<_> = (0..4).map(|_| policy.touch()).collect();
        assert_eq!(touches, [Gesture::Miss, Gesture::Miss, Gesture::Touch, Gesture::Touch]);
        assert_eq!(policy, UvPolicy::Always);
        assert_eq!(
            [UvPolicy::Never, UvPolicy::Manual].map(|mut policy| policy.touch()),
            [Gesture::Miss, Gesture::Touch]
        );
    }
}
