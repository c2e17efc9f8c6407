//! The finger: which key is touched, and when.
//!
//! A browser asks all keys at once, and the first that is touched wins. So touching belongs to the rack: there is one finger,
//! over one key, and the others keep blinking until they are cancelled.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::feedback::Feedback;
use crate::key_name::KeyName;

/// What the finger does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TouchPolicy {
    /// It touches the key that it is over as soon as that waits.
    #[default]
    Auto,
    /// Every key is touched as soon as it waits: for load on hosts of their own.
    Every,
    /// It does nothing by itself: [`touch`](crate::command::Command::Touch) and deny are commands.
    Manual,
    /// It refuses for every key, as soon as that waits. A host that asks several keys would wait for the others for ever.
    Deny,
    /// It touches the key that it is over once that has waited so long.
    After(Duration),
}

/// The most digits of a delay in milliseconds: a billion of them are eleven days.
pub(crate) const MAX_DIGITS: usize = 9;

/// A text is not a touch policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a touch policy: choose auto, every, manual, deny or after=MILLISECONDS")]
pub struct InvalidTouchPolicy(String);

impl FromStr for TouchPolicy {
    type Err = InvalidTouchPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidTouchPolicy> {
        let invalid = || InvalidTouchPolicy(text.chars().take(64).collect());
        match text {
            "auto" => Ok(Self::Auto),
            "every" => Ok(Self::Every),
            "manual" => Ok(Self::Manual),
            "deny" => Ok(Self::Deny),
            _ => {
                let digits = text.strip_prefix("after=").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let milliseconds =
                    digits.filter(|digits| digits.len() <= MAX_DIGITS).and_then(|digits| digits.parse().ok());
                milliseconds.map(|ms| Self::After(Duration::from_millis(ms))).ok_or_else(invalid)
            }
        }
    }
}

impl fmt::Display for TouchPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Every => f.write_str("every"),
            Self::Manual => f.write_str("manual"),
            Self::Deny => f.write_str("deny"),
            Self::After(delay) => write!(f, "after={}", delay.as_millis()),
        }
    }
}

impl Serialize for TouchPolicy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TouchPolicy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// Touched the key, and is the one whom it knows.
    Touch,
    /// Touched it, and is not: a key that does not verify its user finds no difference.
    Miss,
    /// Touched it, and its sensor makes this of it. A key that asks for no sample finds by one that is good whom it knows, and by any
    /// other somebody else.
    Sample(Feedback),
    /// Refused.
    Deny,
}

/// One key as the finger sees it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The key's name.
    pub name: &'a KeyName,
    /// Whether it is plugged in.
    pub plugged: bool,
    /// Since when it waits for a gesture, if it does.
    pub waiting_since: Option<Duration>,
    /// Whether that is for a verification which is left to a command.
    pub by_hand: bool,
}

/// The finger's policy, and where it is.
#[derive(Clone, Debug, Default)]
pub struct Finger {
    /// What it does.
    pub policy: TouchPolicy,
    /// The key it was put over; otherwise it is over the first that is plugged in.
    pub over: Option<KeyName>,
}

impl Finger {
    /// Whether the finger is over a key, among all keys in the order in which they came to the rack.
    #[must_use]
    pub fn is_over(&self, name: &KeyName, places: &[Place<'_>]) -> bool {
        match &self.over {
            Some(over) => over == name,
            None => places.iter().find(|place| place.plugged).is_some_and(|first| first.name == name),
        }
    }

    /// What the finger does now: gestures on keys that wait, and when it has to be asked again.
    #[must_use]
    pub fn decide<'a>(&self, places: &[Place<'a>], now: Duration) -> (Vec<(&'a KeyName, Gesture)>, Option<Duration>) {
        let mut gestures = Vec::new();
        let mut again: Option<Duration> = None;
        for place in places {
            let Some(since) = place.waiting_since else { continue };
            let over = self.is_over(place.name, places);
            match self.policy {
                TouchPolicy::Deny => gestures.push((place.name, Gesture::Deny)),
                _ if place.by_hand => {}
                TouchPolicy::Every => gestures.push((place.name, Gesture::Touch)),
                TouchPolicy::Auto if over => gestures.push((place.name, Gesture::Touch)),
                TouchPolicy::After(delay) if over => {
                    let due = since.saturating_add(delay);
                    if due <= now {
                        gestures.push((place.name, Gesture::Touch));
                    } else {
                        again = Some(again.map_or(due, |again| again.min(due)));
                    }
                }
                TouchPolicy::Auto | TouchPolicy::Manual | TouchPolicy::After(_) => {}
            }
        }
        (gestures, again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [KeyName; 3] {
        ["a", "b", "c"].map(|name| name.parse().unwrap())
    }

    /// a is unplugged, b and c are plugged in and wait since 100 ms.
    fn places(names: &[KeyName; 3]) -> [Place<'_>; 3] {
        let waiting_since = Some(Duration::from_millis(100));
        [
            Place { name: &names[0], plugged: false, waiting_since: None, by_hand: false },
            Place { name: &names[1], plugged: true, waiting_since, by_hand: false },
            Place { name: &names[2], plugged: true, waiting_since, by_hand: false },
        ]
    }

    fn decide(policy: &str, over: Option<&str>, now: u64) -> (Vec<(String, Gesture)>, Option<u128>) {
        let names = names();
        let finger = Finger { policy: policy.parse().unwrap(), over: over.map(|name| name.parse().unwrap()) };
        let (gestures, again) = finger.decide(&places(&names), Duration::from_millis(now));
        let gestures = gestures.into_iter().map(|(name, gesture)| (name.to_string(), gesture)).collect();
        (gestures, again.map(|again| again.as_millis()))
    }

    #[test]
    fn one_finger_touches_only_the_key_it_is_over_and_refuses_for_all() {
        let touch = |name: &str| (name.to_owned(), Gesture::Touch);
        let deny = |name: &str| (name.to_owned(), Gesture::Deny);
        assert_eq!(decide("auto", None, 100), (vec![touch("b")], None), "the first that is plugged in");
        assert_eq!(decide("auto", Some("c"), 100), (vec![touch("c")], None), "unless told otherwise");
        assert_eq!(decide("auto", Some("a"), 100), (vec![], None), "over a key that is unplugged it touches none");
        assert_eq!(decide("every", None, 100), (vec![touch("b"), touch("c")], None));
        assert_eq!(decide("manual", None, 100), (vec![], None));
        assert_eq!(decide("deny", None, 100), (vec![deny("b"), deny("c")], None), "wherever the finger is");
        assert_eq!(decide("after=50", None, 149), (vec![], Some(150)));
        assert_eq!(decide("after=50", None, 150), (vec![touch("b")], None));
    }

    #[test]
    fn a_verification_that_is_left_to_a_command_is_refused_at_most() {
        let names = names();
        for (policy, expected) in
            [("auto", None), ("every", None), ("after=0", None), ("manual", None), ("deny", Some(Gesture::Deny))]
        {
            let finger = Finger { policy: policy.parse().unwrap(), over: None };
            let place = Place { by_hand: true, ..places(&names)[1] };
            let (gestures, again) = finger.decide(&[place], Duration::from_secs(1));
            assert_eq!((gestures.first().map(|(_, gesture)| *gesture), again), (expected, None), "{policy}");
        }
    }

    #[test]
    fn policies_read_as_they_are_written() {
        for policy in ["auto", "every", "manual", "deny", "after=0", "after=2500"] {
            assert_eq!(policy.parse::<TouchPolicy>().unwrap().to_string(), policy);
        }
        for wrong in
            ["", "Auto", "after", "after=", "after=-1", "after=+1", "after=1000000000", "after=99999999999", "after=1s"]
        {
            assert!(wrong.parse::<TouchPolicy>().is_err(), "{wrong:?}");
        }
    }
}
