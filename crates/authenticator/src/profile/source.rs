//! Where it is known from that a key behaves as its profile says.

use core::fmt;

use serde::Deserialize;

/// Where a value is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Of which kind the knowledge is.
    pub known: Known,
    /// The record, the document, or why it is guessed so.
    pub from: String,
}

/// Of which kind the knowledge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Bytes or results of a real key were published.
    Recorded,
    /// Its maker says so.
    Documented,
    /// Somebody who had the key reports it.
    Reported,
    /// Nothing proves it.
    Guessed,
    /// It is a key of no maker, and was decided so.
    Decided,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recorded => "recorded",
            Self::Documented => "documented",
            Self::Reported => "reported",
            Self::Guessed => "guessed",
            Self::Decided => "decided",
        })
    }
}
