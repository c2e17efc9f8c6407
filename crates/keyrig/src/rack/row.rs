//! A row of keys on the command line: `NAME[FIRST-LAST]=PROFILE`.

use std::ops::RangeInclusive;

use keyrig_rack::MAX_KEYS;

/// `NAME[FIRST-LAST]=PROFILE`, where more of the name may follow. A FIRST that begins with 0 says how many digits all have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    before: &'a str,
    numbers: RangeInclusive<usize>,
    digits: usize,
    after: &'a str,
    pub(super) profile: &'a str,
}

impl<'a> Row<'a> {
    /// The row that an argument says, if it says one.
    pub(super) fn in_argument(text: &'a str) -> Result<Option<Self>, String> {
        if !text.contains(['[', ']']) {
            return Ok(None);
        }
        let row = Self::parse(text).ok_or_else(|| {
            let text: String = text.chars().take(64).collect();
            format!("{text:?} is no row of keys: write 'NAME[FIRST-LAST]=PROFILE', such as 'k[1-1000]=keyrig'")
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

    fn parse(text: &'a str) -> Option<Self> {
        let (name, profile) = text.split_once('=')?;
        let (before, rest) = name.split_once('[')?;
        let (range, after) = rest.split_once(']')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let digits = if first.starts_with('0') { first.len() } else { 1 };
        let numbers = number(first)?..=number(last)?;
        let single = !after.contains(['[', ']']) && !profile.contains(['[', ']']);
        // No name has so many.
        (single && digits <= 32).then_some(Self { before, numbers, digits, after, profile })
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
        Row::in_argument(text).unwrap().unwrap().names().collect()
    }

    #[test]
    fn a_row_has_a_name_for_each_number() {
        assert_eq!(names("k[1-3]=keyrig"), ["k1", "k2", "k3"]);
        assert_eq!(names("k[008-10].b=keyrig"), ["k008.b", "k009.b", "k010.b"]);
        assert_eq!(names("[7-7]=keyrig"), ["7"]);
        assert_eq!(names("k[0-1]=mds:aa"), ["k0", "k1"]);
        assert_eq!(names("k[1-1000]=keyrig").len(), 1000);
        assert_eq!(Row::in_argument("a=keyrig"), Ok(None));
        assert_eq!(Row::in_argument("keyrig"), Ok(None));
    }

    #[test]
    fn what_is_no_row_is_refused_with_what_to_write() {
        for text in [
            "k[1-3]",
            "k[1]=keyrig",
            "k[-3]=x",
            "k[1-]=x",
            "k1-3]=x",
            "k[1-3=x",
            "k[1-3][1-3]=x",
            "k[+1-3]=x",
            "k[a-c]=x",
            "keyrig=k[1-3]",
            "k[1-99999999999999999999999]=x",
        ] {
            let refused = Row::in_argument(text).unwrap_err();
            assert!(refused.contains("is no row of keys: write 'NAME[FIRST-LAST]=PROFILE'"), "{text}: {refused}");
        }
        let refused = Row::in_argument("k[3-1]=x").unwrap_err();
        assert_eq!(refused, "[3-1] is no key: write the lower number first, [1-3]");
        let refused = Row::in_argument("k[1-1009]=x").unwrap_err();
        assert_eq!(refused, "[1-1009] are too many keys: a rack holds 1008");
        assert!(Row::in_argument("k[0-18446744073709551615]=x").unwrap_err().contains("too many"));
    }
}
