//! What somebody wrote, as a text in HTML.

/// A text in HTML, in and out of attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // What directs text would let one line look like another.
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{FFFD}'),
            character if character.is_control() && character != '\n' && character != '\t' => escaped.push('\u{FFFD}'),
            character => escaped.push(character),
        }
    }
    escaped
}
