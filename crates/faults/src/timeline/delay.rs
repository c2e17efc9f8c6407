//! How long, as timelines have it.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// How long: `500ms`, `2s`, `1.5s`, `10min`; of milliseconds eight digits, of seconds five and of minutes four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delay(Duration);

/// A text is no time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no time: write 500ms, 2s, 1.5s or 10min, at most 99999999ms, 99999s or 9999min")]
pub struct InvalidDelay(String);

impl Delay {
    /// No time.
    pub(super) const NONE: Self = Self(Duration::ZERO);

    /// So many milliseconds, or the longest there is if that is less.
    #[must_use]
    pub fn milliseconds(milliseconds: u32) -> Self {
        Self(Duration::from_millis(milliseconds.min(99_999_999).into()))
    }
}

impl From<Delay> for Duration {
    fn from(Delay(duration): Delay) -> Self {
        duration
    }
}

impl FromStr for Delay {
    type Err = InvalidDelay;

    fn from_str(text: &str) -> Result<Self, InvalidDelay> {
        let number = |digits: &str, most: usize| {
            let is_number = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { digits.parse::<u64>().ok() } else { None }
        };
        let read = || {
            if let Some(milliseconds) = text.strip_suffix("ms") {
                return number(milliseconds, 8).map(Duration::from_millis);
            }
            if let Some(minutes) = text.strip_suffix("min") {
                return number(minutes, 4).map(|minutes| Duration::from_secs(60 * minutes));
            }
            let seconds = text.strip_suffix('s')?;
            let (whole, thousandths) = match seconds.split_once('.') {
                Some((whole, fraction)) => {
                    (whole, number(fraction, 3).and_then(|_| number(&format!("{fraction:0<3}"), 3))?)
                }
                None => (seconds, 0),
            };
            Some(Duration::from_millis(1000 * number(whole, 5)? + thousandths))
        };
        read().map(Self).ok_or_else(|| InvalidDelay(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds.is_multiple_of(1000) {
            write!(f, "{}s", milliseconds / 1000)
        } else {
            write!(f, "{milliseconds}ms")
        }
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
