//! `key=value,key=value`: how Proxmox VE writes several settings in one line, with the place of each.

use std::ops::Range;

use thiserror::Error;

/// One property, and where its parts are: ranges of bytes in the text that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property<'a> {
    pub(crate) key: &'a str,
    pub(crate) key_at: Range<usize>,
    pub(crate) value: &'a str,
    pub(crate) value_at: Range<usize>,
}

/// What is wrong with the text as a list of properties.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PropertyProblem {
    /// Something has no `=`.
    #[error("{found:?} has no value; write {found}=VALUE")]
    NoValue {
        /// What stands there.
        found: String,
    },
    /// There is nothing behind the `=`.
    #[error("nothing follows the =; write a value, or leave {key} out")]
    EmptyValue {
        /// The key.
        key: String,
    },
    /// There is nothing before the `=`.
    #[error("the = has no name before it")]
    NoKey,
    /// There is nothing between two commas, or at an end.
    #[error("nothing stands here; remove the comma")]
    Nothing,
    /// There is a space around a key or a value.
    #[error("a space stands here; write the properties without spaces between them")]
    Space,
    /// The key is there twice.
    #[error("{key} stands here twice; remove one")]
    Twice {
        /// The key.
        key: String,
    },
}

/// The properties of a text, or what is wrong, and where.
pub(crate) fn parse(text: &str) -> Result<Vec<Property<'_>>, (Range<usize>, PropertyProblem)> {
    let mut properties: Vec<Property<'_>> = Vec::new();
    let mut start = 0;
    for part in text.split(',') {
        let at = start..start + part.len();
        start = at.end + 1;
        if part.trim().is_empty() {
            // The comma itself: the one before the gap, else the one behind it.
            let comma = if at.start == 0 { at.end } else { at.start - 1 };
            return Err((comma..comma + 1, PropertyProblem::Nothing));
        }
        let Some((key, value)) = part.split_once('=') else {
            return Err((at, PropertyProblem::NoValue { found: part.trim().to_owned() }));
        };
        let key_at = at.start..at.start + key.len();
        let value_at = key_at.end + 1..at.end;
        for (text, at) in [(key, &key_at), (value, &value_at)] {
            let leading = text.len() - text.trim_start().len();
            let trailing = text.trim_end().len();
            if leading > 0 {
                return Err((at.start..at.start + leading, PropertyProblem::Space));
            }
            if trailing < text.len() {
                return Err((at.start + trailing..at.end, PropertyProblem::Space));
            }
        }
        if key.is_empty() {
            return Err((key_at.start..key_at.start + 1, PropertyProblem::NoKey));
        }
        if value.is_empty() {
            return Err((key_at.end..key_at.end + 1, PropertyProblem::EmptyValue { key: key.to_owned() }));
        }
        if properties.iter().any(|property| property.key == key) {
            return Err((key_at, PropertyProblem::Twice { key: key.to_owned() }));
        }
        properties.push(Property { key, key_at, value, value_at });
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_with_their_places() {
        let text = "type=oath,digits=6";
        let properties = parse(text).unwrap();
        let found: Vec<_> = properties.iter().map(|property| (property.key, property.value)).collect();
        assert_eq!(found, [("type", "oath"), ("digits", "6")]);
        for property in properties {
            assert_eq!(&text[property.key_at], property.key);
            assert_eq!(&text[property.value_at], property.value);
        }
        assert_eq!(parse("origin=https://a.example/?x=y").unwrap()[0].value, "https://a.example/?x=y");
    }

    #[test]
    fn what_is_half_a_list_is_pointed_at() {
        let twice = |key: &str| PropertyProblem::Twice { key: key.to_owned() };
        let no_value = |found: &str| PropertyProblem::NoValue { found: found.to_owned() };
        let cases = [
            ("", 0..1, PropertyProblem::Nothing),
            (",rp=a", 0..1, PropertyProblem::Nothing),
            ("rp=a,", 4..5, PropertyProblem::Nothing),
            ("rp=a,,id=b", 4..5, PropertyProblem::Nothing),
            ("rp=a, id=b", 5..6, PropertyProblem::Space),
            ("rp=a ,id=b", 4..5, PropertyProblem::Space),
            ("rp = a", 2..3, PropertyProblem::Space),
            ("rp= a", 3..4, PropertyProblem::Space),
            ("rp=a,id", 5..7, no_value("id")),
            ("=a", 0..1, PropertyProblem::NoKey),
            ("rp=,id=b", 2..3, PropertyProblem::EmptyValue { key: "rp".to_owned() }),
            ("rp=a,id=b,rp=c", 10..12, twice("rp")),
        ];
        for (text, at, problem) in cases {
            assert_eq!(parse(text), Err((at, problem)), "{text:?}");
        }
    }
}
