//! What came from elsewhere, as a report repeats it: cut where it is too long.

use crate::report::Text;

const MAX_BYTES_SHOWN: usize = 64;
const MAX_CHARACTERS_SHOWN: usize = 300;

/// Bytes as a report shows them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    let mut text = String::with_capacity(2 * bytes.len().min(MAX_BYTES_SHOWN) + 16);
    for byte in bytes.iter().take(MAX_BYTES_SHOWN) {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0x0f));
    }
    if bytes.len() > MAX_BYTES_SHOWN {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

/// Text as a report shows it.
pub(crate) fn shown(text: &str) -> Text {
    match text.char_indices().nth(MAX_CHARACTERS_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()).into(),
        None => text.to_owned().into(),
    }
}

/// Where JSON breaks, in bytes from its beginning, and why.
pub(crate) fn json_problem(json: &[u8], error: &serde_json::Error) -> (usize, String) {
    let lines = json.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(|line| line.len() + 1).sum();
    let words = error.to_string();
    let reason = words.split(" at line ").next().unwrap_or_default().to_owned();
    ((before + error.column().saturating_sub(1)).min(json.len()), reason)
}
