//! What readers of JSON and TOML say, in the words of these and not in those of a programming language.

/// The words of serde for what is there, and for what was wanted, with ours.
const KINDS: [(&str, &str); 12] = [
    ("sequence", "a list"),
    ("a sequence", "a list"),
    ("map", "an object"),
    ("a map", "an object"),
    ("unit", "null"),
    ("unit value", "null"),
    ("a nonzero u32", "a whole number from 1 to 4294967295"),
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0 on"),
    ("i64", "a whole number"),
];

/// An error of serde's, of a value that has the wrong type, for who knows nothing of Rust. Whatever else it says stays.
#[must_use]
pub fn plainly(message: &str) -> String {
    let told = || {
        let (problem, rest) = message.split_once(": ")?;
        if !matches!(problem, "invalid type" | "invalid value") {
            return None;
        }
        // What was found may have any text in it: the last of these words is serde's.
        let (found, wanted) = rest.rsplit_once(", expected ")?;
        // Where it is, which serde_json says behind it.
        let (wanted, place) = wanted.split_at(wanted.find(" at line ").unwrap_or(wanted.len()));
        Some(format!("{problem}: {}, expected {}{place}", plain(found), plain(wanted)))
    };
    told().unwrap_or_else(|| message.to_owned())
}

fn plain(kind: &str) -> &str {
    let is_object = ["struct ", "internally tagged enum ", "adjacently tagged enum "];
    if is_object.iter().any(|word| kind.starts_with(word)) {
        return "an object";
    }
    KINDS.iter().find(|(theirs, _)| *theirs == kind).map_or(kind, |(_, ours)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_programming_language_calls_it_is_called_as_json_does() {
        for (theirs, ours) in [
            ("invalid type: sequence, expected struct Timeline", "invalid type: a list, expected an object"),
            ("invalid type: map, expected a string", "invalid type: an object, expected a string"),
            ("invalid type: null, expected u64", "invalid type: null, expected a whole number from 0 on"),
            (
                "invalid value: integer `-1`, expected u8 at line 1 column 9",
                "invalid value: integer `-1`, expected a whole number from 0 to 255 at line 1 column 9",
            ),
            (
                "invalid type: string \"a, expected struct B\", expected internally tagged enum Request",
                "invalid type: string \"a, expected struct B\", expected an object",
            ),
            ("unknown field `map`, expected one of `u64`", "unknown field `map`, expected one of `u64`"),
            ("missing field `for`", "missing field `for`"),
        ] {
            assert_eq!(plainly(theirs), ours);
        }
    }
}
