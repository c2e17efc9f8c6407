//! What is wrong with a scenario, and where.

use core::fmt;
use core::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrig_faults::plainly;
use thiserror::Error;

use crate::nearest::nearest;

/// Something that is wrong at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the file that are meant.
    pub at: Range<usize>,
    /// What is wrong, a sentence without a full stop.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

/// A file that is no scenario: why, with places in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InvalidScenario {
    /// The file.
    pub file: PathBuf,
    /// What is in it.
    pub text: Arc<str>,
    /// What is wrong, at least one thing.
    pub problems: Vec<Problem>,
}

/// A line for each problem: `FILE:LINE:COLUMN: what is wrong: what to do`.
impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            let (line, column) = line_and_column(&self.text, problem.at.start);
            write!(f, "{}:{line}:{column}: {}", self.file.display(), problem.message)?;
            if let Some(help) = &problem.help {
                write!(f, ": {help}")?;
            }
        }
        Ok(())
    }
}

impl Problem {
    /// Something that is wrong, and nothing is known that helps.
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }

    /// The same, with what to do.
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same, with the nearest of the names that are known, or all of them.
    pub(crate) fn with_nearest<'a>(self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        match nearest(found, &known) {
            Some(near) => self.with_help(format!("did you mean {near:?}?")),
            None if known.is_empty() => self,
            None => self.with_help(format!("known are {}", known.join(", "))),
        }
    }

    /// What a reader of TOML says, whose spans are those of the text.
    pub(crate) fn of_toml(error: &toml::de::Error, end: usize) -> Self {
        let at = error.span().unwrap_or(end..end);
        let message = plainly(error.message());
        // serde's words, which are the same for all readers: unknown field `a`, expected one of `b`, `c`.
        let unknown = ["unknown field `", "unknown variant `"].iter().find_map(|words| message.strip_prefix(words));
        let Some((found, rest)) = unknown.and_then(|rest| rest.split_once('`')) else { return Self::new(at, message) };
        let known: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
        let what = if message.starts_with("unknown field") { "there is no member" } else { "there is no" };
        let problem = Self::new(at, format!("{what} {found:?} here"));
        problem.with_nearest(found, known)
    }
}

/// Line and column of a byte, both from 1; columns are characters.
#[must_use]
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The file as an error has it.
pub(crate) fn invalid(file: &Path, text: &Arc<str>, problems: Vec<Problem>) -> InvalidScenario {
    InvalidScenario { file: file.to_owned(), text: text.clone(), problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a = 1\nä = \"ö\" x";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 6), (2, 1));
        assert_eq!(line_and_column(text, text.find('x').unwrap()), (2, 9));
        assert_eq!(line_and_column(text, 999), (2, 10));
    }
}
