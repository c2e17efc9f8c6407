//! Which keys an argument is about: `NAME`, or a row of them, `NAME[FIRST-LAST]`.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use keyrig_rack::{KeyName, MAX_KEYS};

/// The keys that an option is for, by a name or a row of them.
#[derive(Clone)]
pub(crate) struct Named {
    /// As it was written.
    written: String,
    names: Vec<KeyName>,
}

impl Named {
    /// Reads the part before the `=`, and gives the rest; `form` says what to write.
    pub(crate) fn split<'a>(text: &'a str, form: &str) -> Result<(Self, &'a str), Box<dyn Error + Send + Sync>> {
        let (written, rest) = text.split_once('=').ok_or(form)?;
        let names = match Row::in_name(written)? {
            Some(row) => row.names().map(|name| name.parse()).collect::<Result<_, _>>()?,
            None => vec![written.parse()?],
        };
        Ok((Self { written: written.to_owned(), names }, rest))
    }

    pub(crate) fn names(&self) -> &[KeyName] {
        &self.names
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `NAME[FIRST-LAST]`, where more of the name may follow. A FIRST that begins with 0 says how many digits all have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    before: &'a str,
    numbers: RangeInclusive<usize>,
    digits: usize,
    after: &'a str,
}

impl<'a> Row<'a> {
    /// The row that a name is, if it is one.
    pub(super) fn in_name(name: &'a str) -> Result<Option<Self>, String> {
        if !name.contains(['[', ']']) {
            return Ok(None);
        }
        let row = Self::parse(name).ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            format!("{name:?} is no row of keys: write NAME[FIRST-LAST], such as k[1-1000]")
        })?;
        match row.numbers.end().checked_sub(*row.numbers.start()) {
            None => {
                let (first, last) = row.numbers.into_inner();
                Err(format!("[{first}-{last}] is no key: write the lower number first, [{last}-{first}]"))
            }
            Some(more) if more >= MAX_KEYS => {
                Err(format!("[{}] are too many keys: a rack holds {MAX_KEYS}", row.range()))
            }
            Some(_) => Ok(Some(row)),
        }
    }

    fn parse(name: &'a str) -> Option<Self> {
        let (before, rest) = name.split_once('[')?;
        let (range, after) = rest.split_once(']')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let digits = if first.starts_with('0') { first.len() } else { 1 };
        let numbers = number(first)?..=number(last)?;
        // No name has so many.
        (!after.contains(['[', ']']) && digits <= 32).then_some(Self { before, numbers, digits, after })
    }

    fn range(&self) -> String {
        format!("{}-{}", self.numbers.start(), self.numbers.end())
    }

    pub(super) fn first(&self) -> String {
        self.name(*self.numbers.start())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.numbers.clone().map(|number| self.name(number))
    }

    fn name(&self, number: usize) -> String {
        let Self { before, digits, after, .. } = self;
        format!("{before}{number:0digits$}{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Row::in_name(text).unwrap().unwrap().names().collect()
    }

    #[test]
    fn a_row_has_a_name_for_each_number() {
        assert_eq!(names("k[1-3]"), ["k1", "k2", "k3"]);
        assert_eq!(names("k[008-10].b"), ["k008.b", "k009.b", "k010.b"]);
        assert_eq!(names("[7-7]"), ["7"]);
        assert_eq!(names("k[0-1]"), ["k0", "k1"]);
        assert_eq!(names("k[1-1000]").len(), 1000);
        assert_eq!(Row::in_name("a"), Ok(None));
    }

    /// What is said of keys may have brackets of its own, such as a file's name.
    #[test]
    fn what_is_for_keys_is_for_one_or_for_a_row_of_them() {
        for (text, expected, rest) in [
            ("a=touch-latch", vec!["a"], "touch-latch"),
            ("k[9-11]=touch-latch", vec!["k9", "k10", "k11"], "touch-latch"),
            ("k[1-2]=pins[1].txt", vec!["k1", "k2"], "pins[1].txt"),
            ("a=x=y", vec!["a"], "x=y"),
        ] {
            let (named, found) = Named::split(text, "write NAME=…").unwrap();
            assert_eq!((named.names().iter().map(KeyName::as_str).collect::<Vec<_>>(), found), (expected, rest));
            assert_eq!(format!("{named}={found}"), text);
        }
        for (text, expected) in [
            ("a", "write NAME=…"),
            ("k[1]=x", "is no row of keys"),
            ("k[2-1]=x", "the lower number first"),
            ("k[1-2]/=x", "1 to 32 letters"),
        ] {
            let refused = Named::split(text, "write NAME=…").map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn what_is_no_row_is_refused_with_what_to_write() {
        for text in [
            "k[1]",
            "k[-3]",
            "k[1-]",
            "k1-3]",
            "k[1-3",
            "k[1-3][1-3]",
            "k[+1-3]",
            "k[a-c]",
            "k[1-99999999999999999999999]",
        ] {
            let refused = Row::in_name(text).unwrap_err();
            assert!(refused.contains("is no row of keys: write NAME[FIRST-LAST]"), "{text}: {refused}");
        }
        let refused = Row::in_name("k[3-1]").unwrap_err();
        assert_eq!(refused, "[3-1] is no key: write the lower number first, [1-3]");
        let refused = Row::in_name("k[1-1009]").unwrap_err();
        assert_eq!(refused, "[1-1009] are too many keys: a rack holds 1008");
        assert!(Row::in_name("k[0-18446744073709551615]").unwrap_err().contains("too many"));
    }
}
