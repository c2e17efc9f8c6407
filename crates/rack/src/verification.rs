//! Whom a key finds when it verifies its user itself: the user whom it knows, or somebody else; and by a script, what its sensor makes of
//! samples.

use core::fmt;
use core::str::FromStr;
use std::collections::VecDeque;

use keyrig_authenticator::Asks;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::feedback::{Feedback, InvalidFeedback, names};
use crate::finger::{Gesture, MAX_DIGITS};

/// What comes of a touch by which a key with built-in user verification is to know its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// These, one a touch, and then always the user whom the key knows. Samples of fingerprints, which the other policies leave good, go by
    /// it too. At most [`MAX_SCRIPT`].
    Script(VecDeque<Finding>),
}

/// The most touches of a script.
pub const MAX_SCRIPT: usize = 64;

/// What a key finds by one touch of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Somebody else than its user; a sample of poor quality.
    Miss,
    /// Its user, if this is good, and somebody else if not; of a sample, this.
    Sample(Feedback),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Miss => f.write_str("miss"),
            Self::Sample(feedback) => feedback.fmt(f),
        }
    }
}

impl FromStr for Finding {
    type Err = InvalidFeedback;

    fn from_str(text: &str) -> Result<Self, InvalidFeedback> {
        if text == "miss" { Ok(Self::Miss) } else { text.parse().map(Self::Sample) }
    }
}

/// A text is not a policy for user verification.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a policy for user verification: choose always, never, manual, miss=N or script=A,B,…, at most {MAX_SCRIPT} of miss, {names}",
    names = names()
)]
pub struct InvalidUvPolicy(String);

impl UvPolicy {
    /// What the next touch is.
    pub(crate) fn touch(&mut self, asks: Asks) -> Gesture {
        match self {
            _ if asks == Asks::Touch => Gesture::Touch,
            Self::Script(script) => {
                let finding = script.pop_front();
                if script.is_empty() {
                    *self = Self::Always;
                }
                match finding {
                    None => Gesture::Touch,
                    Some(Finding::Miss) => Gesture::Miss,
                    Some(Finding::Sample(feedback)) => Gesture::Sample(feedback),
                }
            }
            _ if asks == Asks::Sample => Gesture::Touch,
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
            _ if let Some(script) = text.strip_prefix("script=") => {
                let findings = script.split(',').take(MAX_SCRIPT.saturating_add(1)).map(str::parse);
                let script = findings.collect::<Result<VecDeque<_>, _>>().ok();
                let script = script.filter(|script| script.len() <= MAX_SCRIPT).map(Self::Script);
                script.ok_or_else(|| InvalidUvPolicy(text.chars().take(64).collect()))
            }
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
            Self::Script(script) => {
                let findings: Vec<_> = script.iter().map(Finding::to_string).collect();
                write!(f, "script={}", findings.join(","))
            }
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
        for policy in
            ["always", "never", "manual", "miss=1", "miss=999999999", "script=good", "script=miss,too-fast,good,exists"]
        {
            assert_eq!(policy.parse::<UvPolicy>().unwrap().to_string(), policy);
        }
        assert_eq!("miss=0".parse(), Ok(UvPolicy::Always));
        let longest = |count| format!("script={}", vec!["miss"; count].join(","));
        assert_eq!(longest(MAX_SCRIPT).parse::<UvPolicy>().unwrap().to_string(), longest(MAX_SCRIPT));
        for wrong in ["script=", "script", "script=good,", "script=always", "script=miss=1", &longest(MAX_SCRIPT + 1)] {
            assert!(wrong.parse::<UvPolicy>().is_err(), "{wrong:?}");
        }
        for wrong in ["", "Always", "miss", "miss=", "miss=-1", "miss=+1", "miss=1000000000", "miss=1 "] {
            assert!(wrong.parse::<UvPolicy>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn misses_are_counted_and_then_the_user_is_known() {
        let mut policy = UvPolicy::Miss(2);
        let touches: Vec<_> = (0..4).map(|_| policy.touch(Asks::Verification)).collect();
        assert_eq!(touches, [Gesture::Miss, Gesture::Miss, Gesture::Touch, Gesture::Touch]);
        assert_eq!(policy, UvPolicy::Always);
        assert_eq!(
            [UvPolicy::Never, UvPolicy::Manual].map(|mut policy| policy.touch(Asks::Verification)),
            [Gesture::Miss, Gesture::Touch]
        );
    }

    #[test]
    fn a_script_goes_by_verifications_and_samples_alone_and_other_policies_leave_samples_good() {
        let mut policy: UvPolicy = "script=miss,too-fast,good".parse().unwrap();
        let sample = |text: &str| Gesture::Sample(text.parse().unwrap());
        assert_eq!(policy.touch(Asks::Touch), Gesture::Touch);
        let asked = [Asks::Sample, Asks::Verification, Asks::Touch, Asks::Sample, Asks::Verification];
        let touches = asked.map(|asks| policy.touch(asks));
        assert_eq!(touches, [Gesture::Miss, sample("too-fast"), Gesture::Touch, sample("good"), Gesture::Touch]);
        assert_eq!(policy, UvPolicy::Always);
        for mut other in [UvPolicy::Never, UvPolicy::Miss(1)] {
            assert_eq!(other.touch(Asks::Sample), Gesture::Touch);
        }
    }
}
