//! Days, as metadata says them.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// A day of the proleptic Gregorian calendar, in UTC; written as ISO 8601 does, such as `2026-11-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a day is written as YYYY-MM-DD, from 1970-01-01 to 9999-12-31")]
pub struct NotADate;

impl Date {
    /// The last day that can be said.
    pub const LAST: Self = Self { year: 9999, month: 12, day: 31 };

    /// The day on which a moment is, given as the time since 1970 began; the last one if it is later than that.
    #[must_use]
    pub fn of(since_1970: Duration) -> Self {
        let mut left = since_1970.as_secs() / SECONDS_OF_A_DAY;
        for year in 1970..=Self::LAST.year {
            let days = if is_leap(year) { 366 } else { 365 };
            if left >= days {
                left -= days;
                continue;
            }
            for month in 1..=12 {
                let days = u64::from(days_of(year, month));
                if left < days {
                    let day = u8::try_from(left + 1).unwrap_or(1);
                    return Self { year, month, day };
                }
                left -= days;
            }
        }
        Self::LAST
    }

    /// When the day begins, as the time since 1970 began.
    #[must_use]
    pub fn begins(self) -> Duration {
        let years: u64 = (1970..self.year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
        let months: u64 = (1..self.month).map(|month| u64::from(days_of(self.year, month))).sum();
        Duration::from_secs((years + months + u64::from(self.day) - 1) * SECONDS_OF_A_DAY)
    }

    /// So many days later, as far as there are days.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self::of(self.begins() + Duration::from_secs(u64::from(days) * SECONDS_OF_A_DAY))
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| -> Result<u16, NotADate> {
            let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|it| it.is_ascii_digit()));
            part.and_then(|part| part.parse().ok()).ok_or(NotADate)
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let (month, day) = (u8::try_from(month).map_err(|_| NotADate)?, u8::try_from(day).map_err(|_| NotADate)?);
        let exists = year >= 1970 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        if exists && parts.next().is_none() { Ok(Self { year, month, day }) } else { Err(NotADate) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // Seconds as date(1) says them.
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-12-31", 1_735_603_200),
            ("2026-11-01", 1_793_491_200),
            ("2100-03-01", 4_107_542_400),
        ] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.begins(), Duration::from_secs(seconds), "{text}");
            assert_eq!(Date::of(Duration::from_secs(seconds + 86_399)), date, "{text}");
            assert_eq!(date.to_string(), text);
        }
        assert_eq!(Date::of(Duration::MAX), Date::LAST);
        assert_eq!("2026-12-30".parse::<Date>().unwrap().plus_days(2).to_string(), "2027-01-01");
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2026-1-01", "2026-13-01", "2026-02-29", "2026-11-01T00:00:00Z", "1969-12-31", "2026-11-+1"] {
            assert_eq!(text.parse::<Date>(), Err(NotADate), "{text}");
        }
    }
}
