//! The three formats that events are written in.

use core::fmt;
use core::str::FromStr;
use std::path::Path;

use thiserror::Error;

use super::event::{Event, Level, What};
use super::pcapng::Pcapng;
use super::text::Text;

/// How a transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.jsonl`: an [`Event`] a line, of all levels.
    Jsonl,
    /// `.txt`: an exchange a line, for people.
    Text,
    /// `.pcapng`: reports as URBs that Wireshark reads, with usbmon's link type.
    Pcapng,
}

/// A file's name ends with none of the formats' endings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0} is no form of a transcript: the name ends in .jsonl (for programs), .txt (for people) or .pcapng (for Wireshark)"
)]
pub struct UnknownFormat(pub String);

impl Format {
    /// The format that a file's name ends with.
    ///
    /// # Errors
    /// [`UnknownFormat`].
    pub fn of(path: &Path) -> Result<Self, UnknownFormat> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        ending.parse().map_err(|_| UnknownFormat(path.display().to_string()))
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(ending: &str) -> Result<Self, UnknownFormat> {
        match ending {
            "jsonl" => Ok(Self::Jsonl),
            "txt" => Ok(Self::Text),
            "pcapng" => Ok(Self::Pcapng),
            other => Err(UnknownFormat(format!(".{other}"))),
        }
    }
}

/// Writes events in one format.
#[derive(Debug)]
pub struct Output(Kind);

enum Kind {
    Jsonl,
    Text { text: Text, line: String },
    Pcapng(Pcapng),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl => "Jsonl",
            Self::Text { .. } => "Text",
            Self::Pcapng(_) => "Pcapng",
        })
    }
}

impl Output {
    /// In this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self(match format {
            Format::Jsonl => Kind::Jsonl,
            Format::Text => Kind::Text { text: Text::new(false, None), line: String::new() },
            Format::Pcapng => Kind::Pcapng(Pcapng::default()),
        })
    }

    /// As text with all members, and with what is as close as `level`.
    #[must_use]
    pub fn text(verbose: bool, level: Option<Level>) -> Self {
        Self(Kind::Text { text: Text::new(verbose, level), line: String::new() })
    }

    /// Whether it has bytes and no members.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.0, Kind::Pcapng(_))
    }

    /// Has room, as text, for the names of these keys, where no header says which there are.
    pub fn expect<'k>(&mut self, keys: impl Iterator<Item = &'k str>) {
        if let Kind::Text { text, .. } = &mut self.0 {
            text.expect(keys);
        }
    }

    /// Appends what an event is in this format, if it is anything.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Jsonl => {
                let before = out.len();
                // Names and values of messages have no form that JSON lacks.
                match serde_json::to_writer(&mut *out, event) {
                    Ok(()) => out.push(b'\n'),
                    Err(_) => out.truncate(before),
                }
            }
            Kind::Text { text, line } => {
                line.clear();
                text.event(event, line);
                out.extend_from_slice(line.as_bytes());
            }
            Kind::Pcapng(pcapng) => match &event.what {
                What::Trace(header) => pcapng.header(header, out),
                _ => pcapng.event(event, out),
            },
        }
    }

    /// Appends what is to be written at the end.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if let Kind::Text { text, line } = &mut self.0 {
            line.clear();
            text.end(line);
            out.extend_from_slice(line.as_bytes());
        }
    }
}
