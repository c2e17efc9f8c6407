//! How the pages of a session get their keys.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// How the pages of a session get their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The browser finds keys where those on USB are.
    Hid,
    /// The page gets a script in the place of `navigator.credentials`.
    Page,
    /// The driver's own virtual authenticators.
    Driver,
}

/// A text names no mode.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no way to a page: choose hid, page or driver")]
pub struct InvalidMode(String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        match text {
            "hid" => Ok(Self::Hid),
            "page" => Ok(Self::Page),
            "driver" => Ok(Self::Driver),
            _ => Err(InvalidMode(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hid => "hid",
            Self::Page => "page",
            Self::Driver => "driver",
        })
    }
}
