//! Reads transcripts, and captures of real keys.

use std::io::{self, BufRead, Read};

use thiserror::Error;

use super::decode::Secrets;
use super::event::{Event, What};
use super::pcapng::Capture;

/// The longest line of JSON that is read, bytes. The longest that is written has a message of CTAPHID three times over.
const MAX_LINE: u64 = 1024 * 1024;

/// The form that is read.
const FORMAT: u32 = 1;

/// Why something is not a transcript, or from where on it is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotATranscript {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It begins as none of the forms does.
    #[error("it is neither a transcript of keyrig (.jsonl), nor a capture of usbmon (.pcapng, .pcap)")]
    Unknown,
    /// It is a transcript as text.
    #[error("it is a transcript as text, which is for people: what was written to .jsonl or .pcapng can be read back")]
    Text,
    /// A line is no event.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It was written in a later form.
    #[error("it has form {0}, and this keyrig reads form {FORMAT}")]
    Format(u32),
    /// A capture is broken.
    #[error("byte {offset} of the capture: {reason}")]
    Capture {
        /// From where on, in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A capture is of something else than USB on Linux.
    #[error("the capture has link type {0}: captures of usbmon have 189 or 220")]
    LinkType(u32),
}

/// The events of a transcript, as they are read.
pub struct Reader<R>(Kind<R>);

enum Kind<R> {
    Lines { input: R, line: u64 },
    Capture(Box<Capture<R>>),
    Ended,
}

/// Reads a transcript that was written as `.jsonl` or `.pcapng`, or a capture of usbmon as pcapng or pcap: which one, its first
/// bytes say. Secrets are masked in what is decoded here; in lines of JSON they are what they were when these were written.
///
/// # Errors
/// [`NotATranscript`]: it is none of these.
pub fn read<R: BufRead>(input: R) -> Result<Reader<R>, NotATranscript> {
    Reader::new(input, Secrets::Masked)
}

impl<R: BufRead> Reader<R> {
    /// As [`read()`], with secrets or without.
    ///
    /// # Errors
    /// [`NotATranscript`]: it is no transcript.
    pub fn new(mut input: R, secrets: Secrets) -> Result<Self, NotATranscript> {
        let first = loop {
            match input.fill_buf() {
                Ok(bytes) => break bytes.first().copied(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Self(match first {
            None => return Err(NotATranscript::Empty),
            Some(b'{') => Kind::Lines { input, line: 0 },
            Some(b'#') => return Err(NotATranscript::Text),
            Some(_) => Kind::Capture(Box::new(Capture::new(input, secrets)?)),
        }))
    }

    /// Whether it is a capture, of whoever's keys.
    #[must_use]
    pub fn is_capture(&self) -> bool {
        matches!(self.0, Kind::Capture(_))
    }

    /// Reads what the kernel's `/dev/usbmonN` says: packets of 48 bytes with data behind them (Documentation/usb/usbmon.rst).
    #[must_use]
    pub fn of_usbmon(input: R, secrets: Secrets) -> Self {
        Self(Kind::Capture(Box::new(Capture::live(input, secrets))))
    }

    /// Tells by [`What::Gap`] what the source has lost: `missed` says how much, since it was last asked. It is asked behind each event and at
    /// the end, so that a gap is told before the event that was read when it was known.
    pub fn telling_gaps<M: FnMut() -> io::Result<u64>>(self, missed: M) -> TellingGaps<R, M> {
        TellingGaps { reader: self, missed, next: None, last_at_us: 0 }
    }
}

/// Events of a source that may lose some: see [`Reader::telling_gaps`].
pub struct TellingGaps<R, M> {
    reader: Reader<R>,
    missed: M,
    /// The event behind a gap, or the error.
    next: Option<Result<Event, NotATranscript>>,
    last_at_us: u64,
}

impl<R: BufRead, M: FnMut() -> io::Result<u64>> Iterator for TellingGaps<R, M> {
    type Item = Result<Event, NotATranscript>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let next = self.reader.next();
        if let Some(Ok(event)) = &next {
            self.last_at_us = event.at_us;
            // Nothing comes before a header.
            if matches!(event.what, What::Trace(_)) {
                return next;
            }
        }
        match (self.missed)() {
            Ok(0) => next,
            Ok(missed) => {
                self.next = next;
                Some(Ok(Event { at_us: self.last_at_us, key: None, what: What::Gap { missed } }))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, NotATranscript>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.0 {
            Kind::Lines { input, line } => next_line(input, line),
            Kind::Capture(capture) => capture.next(),
            Kind::Ended => None,
        };
        // What comes behind an error has lost its meaning.
        if !matches!(next, Some(Ok(_))) {
            self.0 = Kind::Ended;
        }
        next
    }
}

fn next_line(input: &mut impl BufRead, number: &mut u64) -> Option<Result<Event, NotATranscript>> {
    let mut line = Vec::new();
    match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
        Ok(0) => return None,
        Ok(_) => {}
        Err(error) => return Some(Err(error.into())),
    }
    *number = number.saturating_add(1);
    let wrong = |reason: String| NotATranscript::Line { line: *number, reason };
    if line.last() != Some(&b'\n') {
        // A line of ours that is whole, but for its end, is cut off.
        if *number == 1 && serde_json::from_slice(&line).is_ok_and(|_: serde::de::IgnoredAny| !is_of_ours(&line)) {
            return Some(Err(NotATranscript::Unknown));
        }
        // Whoever wrote it was stopped, or writes on.
        let reason = "the line does not end: whoever wrote it was stopped, or it is too long";
        return Some(Err(wrong(reason.to_owned())));
    }
    Some(match serde_json::from_slice(&line) {
        Ok(Event { what: What::Trace(header), .. }) if header.format != FORMAT => {
            Err(NotATranscript::Format(header.format))
        }
        Ok(event) => Ok(event),
        Err(_) if *number == 1 && !is_of_ours(&line) => Err(NotATranscript::Unknown),
        Err(error) => Err(wrong(error.to_string())),
    })
}

/// Whether a line has what all events have, whatever else is wrong with it.
fn is_of_ours(line: &[u8]) -> bool {
    serde_json::from_slice(line).is_ok_and(|value: serde_json::Value| value.get("at_us").is_some())
}
