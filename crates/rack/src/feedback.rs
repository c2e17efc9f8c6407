//! What a sensor makes of a sample of a fingerprint.

use core::fmt;
use core::str::FromStr;

use keyrig_ctap::bio_enrollment::Sample;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a sensor makes of a sample: a `lastEnrollSampleStatus` (CTAP 2.3 §6.7), by its name there without `CTAP2_ENROLL_FEEDBACK_` and
/// `FP_`, as `too-fast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback(Sample);

/// The names, in the order of the specification's numbers.
pub(crate) const FEEDBACK: [(&str, Sample); 14] = [
    ("good", Sample::Good),
    ("too-high", Sample::TooHigh),
    ("too-low", Sample::TooLow),
    ("too-left", Sample::TooLeft),
    ("too-right", Sample::TooRight),
    ("too-fast", Sample::TooFast),
    ("too-slow", Sample::TooSlow),
    ("poor-quality", Sample::PoorQuality),
    ("too-skewed", Sample::TooSkewed),
    ("too-short", Sample::TooShort),
    ("merge-failure", Sample::MergeFailure),
    ("exists", Sample::Exists),
    ("no-user-activity", Sample::NoUserActivity),
    ("no-user-presence-transition", Sample::NoUserPresenceTransition),
];

/// A text is not what a sensor makes of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is nothing that a sensor makes of a sample: choose {names}", names = names())]
pub struct InvalidFeedback(String);

/// The names, for errors.
pub(crate) fn names() -> String {
    FEEDBACK.map(|(name, _)| name).join(", ")
}

impl Feedback {
    /// All that there are, in the order of the specification's numbers.
    pub const ALL: [Self; 14] = {
        let mut all = [Self(Sample::Good); 14];
        let mut rest: &mut [Self] = &mut all;
        let mut known: &[(&str, Sample)] = &FEEDBACK;
        while let ([first, others @ ..], [(_, sample), more @ ..]) = (rest, known) {
            *first = Self(*sample);
            (rest, known) = (others, more);
        }
        all
    };

    /// As the key tells it.
    #[must_use]
    pub fn sample(self) -> Sample {
        self.0
    }

    /// Whether the sample counts.
    #[must_use]
    pub fn is_good(self) -> bool {
        self.0 == Sample::Good
    }
}

impl FromStr for Feedback {
    type Err = InvalidFeedback;

    fn from_str(text: &str) -> Result<Self, InvalidFeedback> {
        let known = FEEDBACK.iter().find(|(name, _)| *name == text);
        known.map(|(_, sample)| Self(*sample)).ok_or_else(|| InvalidFeedback(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FEEDBACK.iter().find(|(_, sample)| *sample == self.0).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Serialize for Feedback {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Feedback {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CTAP 2.3 §6.7, `lastEnrollSampleStatus`; libfido2 has the same in `fido/bio.h`.
    #[test]
    fn names_stand_for_the_numbers_of_the_specification() {
        let expected = "0 good, 1 too-high, 2 too-low, 3 too-left, 4 too-right, 5 too-fast, 6 too-slow, 7 poor-quality, \
                        8 too-skewed, 9 too-short, 10 merge-failure, 11 exists, 13 no-user-activity, \
                        14 no-user-presence-transition";
        let all = Feedback::ALL.map(|feedback| format!("{} {feedback}", u64::from(feedback.sample())));
        assert_eq!(all.join(", "), expected);
        for feedback in Feedback::ALL {
            assert_eq!(feedback.to_string().parse(), Ok(feedback));
        }
        for wrong in ["", "Good", "fast", "too_fast", "5", "good "] {
            assert!(wrong.parse::<Feedback>().is_err(), "{wrong:?}");
        }
    }
}
