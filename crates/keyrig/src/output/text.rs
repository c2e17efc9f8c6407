//! Text as it is printed: what others wrote can do nothing to a terminal, and lines are broken between words.

use std::fmt::Write;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use anstyle::Style;
use keyrig_relying_party::printable;
use rustix::termios::tcgetwinsize;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter};

/// What stands at the end of the columns of lists is indented that far at most, in shares of the width.
const MAX_INDENT: usize = 2;

/// How many columns a terminal has; `None` if it is none, where lines stay whole for whatever reads them.
pub(super) fn columns(out: impl AsFd + IsTerminal) -> Option<usize> {
    let size = out.is_terminal().then(|| tcgetwinsize(&out).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= 20)
}

/// Text for people, behind a mark in a style: with what is not seen escaped, its own line ends apart, and lines that fit.
pub(super) fn for_people(style: Style, mark: &str, text: &str, columns: Option<usize>) -> String {
    let shown: Vec<_> = format!("{mark}{text}").split('\n').map(|line| fitted(&printable(line), columns)).collect();
    let shown = shown.join("\n");
    match shown.strip_prefix(mark) {
        Some(rest) if !mark.is_empty() => format!("{style}{mark}{style:#}{rest}"),
        _ => shown,
    }
}

/// A line broken between words, what follows indented as far as what it belongs to.
fn fitted(line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|columns| display_width(line) > *columns && !is_source(line)) else {
        return line.to_owned();
    };
    let indent = " ".repeat(indent(line, columns));
    let options = Options::new(columns)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(line, options)
}

/// Where the last column of a list begins, or two further than the line.
fn indent(line: &str, columns: usize) -> usize {
    let leading = line.len() - line.trim_start_matches(' ').len();
    let label = line.get(leading..).unwrap_or_default();
    let column = label.find("  ").and_then(|gap| {
        let text = label.get(gap..)?;
        let start = line.len() - text.trim_start_matches(' ').len();
        Some(display_width(line.get(..start)?))
    });
    column.filter(|column| column * MAX_INDENT <= columns).unwrap_or(leading + 2)
}

/// A line of a file with its number, or what points into it: it says where by its columns.
fn is_source(line: &str) -> bool {
    line.trim_start_matches(|character: char| character == ' ' || character.is_ascii_digit()).starts_with('|')
}

/// JSON that says the same, with what is not seen escaped in its strings.
pub(super) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for character in text.chars() {
        let alone: &str = character.encode_utf8(&mut buffer);
        if character == '\n' || printable(alone) == alone {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    #[test]
    fn lines_fit_and_are_broken_between_words_only() {
        let plain = |text: &str, columns| for_people(Style::new(), "", text, columns);
        let long =
            "the realm pve requires codes, and the policy lets no security key pass there: alice@pve cannot log in";
        assert_eq!(plain(long, None), long, "whatever reads it gets whole lines");
        assert_eq!(
            plain(&format!("  {long}"), Some(60)),
            "  the realm pve requires codes, and the policy lets no\n    security key pass there: alice@pve cannot log in"
        );
        // As far as the text beside a label.
        assert_eq!(plain("note     one two three four", Some(20)), "note     one two\n         three four");
        // What has no room stays in one piece.
        let path = format!("error: cannot read {}", "/a/very/long/path".repeat(3));
        assert_eq!(plain(&path, Some(30)), path.replace("read ", "read\n  "));
        for source in ["12 | webauthn: rp=x,id=example.com,origin=x", "   |                          ^^^^^^^^"] {
            assert_eq!(plain(source, Some(20)), source, "its columns are what it says");
        }
        assert_eq!(plain("one\ntwo", Some(20)), "one\ntwo");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let shown = for_people(AnsiColor::Red.on_default(), "error:", " \u{1b}[2J a\u{202e}b\u{200b}c", Some(80));
        assert_eq!(shown, "\u{1b}[31merror:\u{1b}[0m \\u{1b}[2J a\\u{202e}b\\u{200b}c");
        let value = serde_json::json!({ "name": "\u{1b}[2J\u{7f}\u{202e}\u{e0041}\n\"" });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&text);
            assert!(shown.contains("\\u001b[2J\\u007f\\u202e\\udb40\\udc41\\n"), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value, "it says the same");
        }
    }
}
