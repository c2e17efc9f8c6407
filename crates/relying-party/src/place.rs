//! A place in a text that somebody wrote, shown as the line with a mark under the character.

use std::fmt;
use std::ops::Range;

/// The most characters of a line that are shown.
const SHOWN: usize = 100;

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// How many characters are meant: at least 1.
    pub length: usize,
    /// The line's text.
    pub text: String,
}

impl Place {
    /// The place of a range of bytes. One that is not of this text is its end.
    pub(crate) fn of(text: &str, range: Range<usize>) -> Self {
        let start = text.floor_char_boundary(range.start.min(text.len()));
        let (before, after) = text.split_at_checked(start).unwrap_or((text, ""));
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let line_after = after.split(['\r', '\n']).next().unwrap_or_default();
        let end = line_after.floor_char_boundary(range.end.saturating_sub(start).min(line_after.len()));
        let meant = line_after.get(..end).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line_before.chars().count() + 1,
            length: meant.chars().count().max(1),
            text: format!("{line_before}{line_after}"),
        }
    }
}

/// The line with its number, and the mark under it, without a line end.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        // A long line is shown around the place.
        let skipped = if self.column > SHOWN { self.column - SHOWN / 2 } else { 0 };
        let shown: String = self.text.chars().skip(skipped).take(SHOWN).map(visible).collect();
        let margin = " ".repeat(number.len());
        let before = " ".repeat(self.column - 1 - skipped);
        let mark = "^".repeat(self.length.min(SHOWN.saturating_sub(before.len()).max(1)));
        write!(formatter, "{number} | {shown}\n{margin} | {before}{mark}")
    }
}

/// One column wide, whatever it is: a terminal must not be told anything by a line of somebody's file.
fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_character() {
        let text = "# ours\nwebauthn: rp=ü,id=exámple\r\nkeyboard: de\n";
        let start = text.find("id=").unwrap();
        let place = Place::of(text, start..start + 2);
        assert_eq!((place.line, place.column, place.length), (2, 16, 2));
        assert_eq!(place.to_string(), "2 | webauthn: rp=ü,id=exámple\n  |                ^^");
    }

    #[test]
    fn the_end_and_what_is_beyond_have_a_place_too() {
        for at in [3, 4, 900] {
            let place = Place::of("abc", at..at);
            assert_eq!((place.line, place.column, place.length), (1, 4, 1));
            assert_eq!(place.to_string(), "1 | abc\n  |    ^");
        }
        assert_eq!(Place::of("", 0..0).to_string(), "1 | \n  | ^");
        let place = Place::of("ü", 1..9);
        assert_eq!((place.column, place.length), (1, 1), "inside a character is that character");
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let shown = Place::of(&text, 5000..5001).to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.len() < 120), "{shown}");
        assert_eq!(lines[0].find('X'), lines[1].find('^'), "{shown}");
        assert!(!Place::of("a\x1b[31mb", 0..1).to_string().contains('\x1b'));
    }
}
