//! Distinguished names (RFC 4514), to compare.

use std::fmt::Write as _;

/// A distinguished name in a form in which equal ones are equal texts: types in lower case, values without escapes, in lower case and with
/// single spaces, as most attributes of names compare (RFC 4517, section 4.2.11).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dn(String);

impl Dn {
    /// Reads a name; `None` if it is none, or has no part.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in split(text, &[',', ';']) {
            let mut pairs = Vec::new();
            for pair in split(part, &['+']) {
                let (kind, value) = pair.split_once('=')?;
                let kind = kind.trim().to_ascii_lowercase();
                if kind.is_empty() {
                    return None;
                }
                pairs.push(format!("{kind}={}", normal(value)?));
            }
            // The order does not matter.
            pairs.sort();
            parts.push(pairs.join("+"));
        }
        let name = parts.join(",");
        (!name.is_empty()).then_some(Self(name))
    }

    /// The value of the first part, as it was written but for its escapes.
    #[must_use]
    pub fn first_value(text: &str) -> Option<String> {
        let part = split(text, &[',', ';']).into_iter().next()?;
        let pair = split(part, &['+']).into_iter().next()?;
        String::from_utf8(unescaped(pair.split_once('=')?.1.trim())?).ok()
    }
}

/// The parts between separators that are neither escaped nor quoted.
fn split<'a>(text: &'a str, separators: &[char]) -> Vec<&'a str> {
    let (mut parts, mut start, mut is_escaped, mut is_quoted) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if !is_quoted && separators.contains(&character) => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// A value's bytes, without quotes and escapes. What is escaped at an end is no space that could be left out.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next()?;
        if !escaped.is_ascii_hexdigit() {
            bytes.push(escaped);
            continue;
        }
        let digits = [escaped, rest.next()?];
        bytes.push(u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(bytes)
}

fn normal(value: &str) -> Option<String> {
    let bytes = unescaped(value.trim())?;
    match String::from_utf8(bytes) {
        Ok(text) => {
            let words: Vec<_> = text.split_whitespace().collect();
            let mut normal = String::new();
            // What separates parts is kept apart from what is in them.
            for character in words.join(" ").to_lowercase().chars() {
                if matches!(character, ',' | '+' | '=' | ';' | '\\') {
                    normal.push('\\');
                }
                normal.push(character);
            }
            Some(normal)
        }
        Err(error) => {
            let mut normal = "#".to_owned();
            error.as_bytes().iter().try_for_each(|byte| write!(normal, "{byte:02x}")).ok()?;
            Some(normal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4514, section 4, and RFC 4517, section 4.2.15.
    #[test]
    fn names_that_are_the_same_compare_as_such() {
        let same = [
            ("UID=jsmith,DC=example,DC=net", "uid=JSmith, dc=Example , DC = net"),
            ("OU=Sales+CN=J.  Smith,DC=example,DC=net", "cn=j. smith+ou=sales,dc=example,dc=net"),
            (r#"CN=James \"Jim\" Smith\, III,DC=example"#, r"cn=James \22Jim\22 Smith\2c III,dc=example"),
            (r"CN=Lu\C4\8Di\C4\87", "cn=LUČIĆ"),
            (r#"CN="a,b",DC=c"#, r"cn=a\,b,dc=c"),
        ];
        for (one, other) in same {
            assert_eq!(Dn::new(one), Dn::new(other), "{one} {other}");
            assert!(Dn::new(one).is_some());
        }
        let different = [
            ("cn=a,dc=b", r"cn=a\,dc\=b"),
            ("cn=a+ou=b", "cn=a,ou=b"),
            ("cn=a,dc=b", "dc=b,cn=a"),
            ("cn=ab", "cn=a b"),
        ];
        for (one, other) in different {
            assert_ne!(Dn::new(one), Dn::new(other), "{one} {other}");
        }
        for nothing in ["", "a", "=b", "cn=a,", r"cn=a\"] {
            assert_eq!(Dn::new(nothing), None, "{nothing}");
        }
        assert_eq!(Dn::first_value(r"CN=Admins\, all,DC=example").as_deref(), Some("Admins, all"));
    }
}
