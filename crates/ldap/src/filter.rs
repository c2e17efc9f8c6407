//! Filters: the text of RFC 4515, and the form of RFC 4511, section 4.5.1.7.

use std::str::FromStr;

use thiserror::Error;

use crate::ber::{OCTETS, SEQUENCE, element};

/// The longest text of a filter.
pub const MAX_FILTER_BYTES: usize = 4096;

/// How deep a filter can be in filters.
pub const MAX_FILTER_DEPTH: usize = 16;

/// Which entries are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these.
    And(Vec<Filter>),
    /// One of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// An attribute has this value.
    Equal(String, Vec<u8>),
    /// An attribute has a value of these parts.
    Substrings {
        /// The attribute.
        attribute: String,
        /// What it begins with.
        initial: Option<Vec<u8>>,
        /// What comes in between, in this order.
        any: Vec<Vec<u8>>,
        /// What it ends with.
        end: Option<Vec<u8>>,
    },
    /// An attribute has this value or a greater one.
    GreaterOrEqual(String, Vec<u8>),
    /// An attribute has this value or a lesser one.
    LessOrEqual(String, Vec<u8>),
    /// An attribute is there.
    Present(String),
    /// An attribute has a value like this one.
    Approximate(String, Vec<u8>),
    /// A rule of the server's own.
    Extensible {
        /// The rule.
        rule: Option<String>,
        /// The attribute.
        attribute: Option<String>,
        /// What is compared with.
        value: Vec<u8>,
        /// Whether the entry's name counts as well.
        dn_attributes: bool,
    },
}

/// A text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "at byte {at} of the filter {problem}; a filter is such as (&(objectClass=person)(memberOf=cn=staff,dc=example,dc=com)) (RFC 4515)"
)]
pub struct InvalidFilter {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Whether a text is an attribute's name, with options if it has any (RFC 4512, section 2.5).
#[must_use]
pub fn is_attribute(text: &str) -> bool {
    let is_key = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_oid = |text: &str| text.contains('.') && text.split('.').all(is_number);
    let is_option =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mut parts = text.split(';');
    text.len() <= 256 && parts.next().is_some_and(|kind| is_key(kind) || is_oid(kind)) && parts.all(is_option)
}

impl Filter {
    /// An attribute has this value, whatever bytes are in it.
    pub fn equal(attribute: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        Self::Equal(attribute.into(), value.as_ref().to_vec())
    }

    /// As it is sent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let pair =
            |tag, attribute: &str, value: &[u8]| element(tag, &[octets(attribute.as_bytes()), octets(value)].concat());
        match self {
            Self::And(filters) => element(0xa0, &filters.iter().flat_map(Self::encode).collect::<Vec<_>>()),
            Self::Or(filters) => element(0xa1, &filters.iter().flat_map(Self::encode).collect::<Vec<_>>()),
            Self::Not(filter) => element(0xa2, &filter.encode()),
            Self::Equal(attribute, value) => pair(0xa3, attribute, value),
            Self::Substrings { attribute, initial, any, end } => {
                let initial = initial.iter().flat_map(|part| element(0x80, part));
                let any = any.iter().flat_map(|part| element(0x81, part));
                let end = end.iter().flat_map(|part| element(0x82, part));
                let parts: Vec<u8> = initial.chain(any).chain(end).collect();
                element(0xa4, &[octets(attribute.as_bytes()), element(SEQUENCE, &parts)].concat())
            }
            Self::GreaterOrEqual(attribute, value) => pair(0xa5, attribute, value),
            Self::LessOrEqual(attribute, value) => pair(0xa6, attribute, value),
            Self::Present(attribute) => element(0x87, attribute.as_bytes()),
            Self::Approximate(attribute, value) => pair(0xa8, attribute, value),
            Self::Extensible { rule, attribute, value, dn_attributes } => {
                let rule = rule.iter().flat_map(|rule| element(0x81, rule.as_bytes()));
                let attribute = attribute.iter().flat_map(|attribute| element(0x82, attribute.as_bytes()));
                let mut parts: Vec<u8> = rule.chain(attribute).collect();
                parts.extend(element(0x83, value));
                if *dn_attributes {
                    parts.extend(element(0x84, &[0xff]));
                }
                element(0xa9, &parts)
            }
        }
    }
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTETS, bytes)
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(InvalidFilter { at: MAX_FILTER_BYTES, problem: "there is more than can be in one" });
        }
        let mut parser = Parser { text, at: 0 };
        let filter = parser.filter(0)?;
        if parser.rest().is_empty() { Ok(filter) } else { Err(parser.error("something follows its end")) }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, problem: &'static str) -> InvalidFilter {
        InvalidFilter { at: self.at, problem }
    }

    fn take(&mut self, expected: char, problem: &'static str) -> Result<(), InvalidFilter> {
        if !self.rest().starts_with(expected) {
            return Err(self.error(problem));
        }
        self.at += expected.len_utf8();
        Ok(())
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, InvalidFilter> {
        if depth >= MAX_FILTER_DEPTH {
            return Err(self.error("it is too deep"));
        }
        self.take('(', "there is no (")?;
        let filter = match self.rest().chars().next() {
            Some('&') => Filter::And(self.list(depth)?),
            Some('|') => Filter::Or(self.list(depth)?),
            Some('!') => {
                self.at += 1;
                Filter::Not(Box::new(self.filter(depth + 1)?))
            }
            _ => self.item()?,
        };
        self.take(')', "there is no )")?;
        Ok(filter)
    }

    /// RFC 4526: a list may be empty.
    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, InvalidFilter> {
        self.at += 1;
        let mut filters = Vec::new();
        while self.rest().starts_with('(') {
            filters.push(self.filter(depth + 1)?);
        }
        Ok(filters)
    }

    fn item(&mut self) -> Result<Filter, InvalidFilter> {
        let start = self.at;
        let no_end = self.error("there is no )");
        let item = self.rest().split_once(')').ok_or(no_end)?.0;
        let (left, right) = item.split_once('=').ok_or_else(|| self.error("there is no ="))?;
        let value_at = start + left.len() + 1;
        let attribute = |text: &str| {
            if is_attribute(text) {
                Ok(text.to_owned())
            } else {
                Err(InvalidFilter { at: start, problem: "there is no name of an attribute" })
            }
        };
        let value = |text: &str, at: usize| unescaped(text).map_err(|problem| InvalidFilter { at, problem });
        let filter = match left.as_bytes().last() {
            Some(b'>') => Filter::GreaterOrEqual(attribute(left.trim_end_matches('>'))?, value(right, value_at)?),
            Some(b'<') => Filter::LessOrEqual(attribute(left.trim_end_matches('<'))?, value(right, value_at)?),
            Some(b'~') => Filter::Approximate(attribute(left.trim_end_matches('~'))?, value(right, value_at)?),
            Some(b':') => {
                let mut parts = left.trim_end_matches(':').split(':');
                let name = parts.next().filter(|name| !name.is_empty()).map(attribute).transpose()?;
                let mut rest: Vec<_> = parts.collect();
                let dn_attributes = rest.first().is_some_and(|first| first.eq_ignore_ascii_case("dn"));
                if dn_attributes {
                    rest.remove(0);
                }
                let rule = match rest.as_slice() {
                    [] => None,
                    [rule] => Some(attribute(rule)?),
                    _ => return Err(InvalidFilter { at: start, problem: "there is more than one rule" }),
                };
                if name.is_none() && rule.is_none() {
                    return Err(InvalidFilter { at: start, problem: "there is neither attribute nor rule" });
                }
                Filter::Extensible { rule, attribute: name, value: value(right, value_at)?, dn_attributes }
            }
            _ if right == "*" => Filter::Present(attribute(left)?),
            _ if right.contains('*') => {
                let parts: Vec<_> = right.split('*').map(|part| value(part, value_at)).collect::<Result<_, _>>()?;
                let [initial, any @ .., end] = parts.as_slice() else {
                    return Err(InvalidFilter { at: value_at, problem: "there is no value" });
                };
                if any.iter().any(Vec::is_empty) {
                    return Err(InvalidFilter { at: value_at, problem: "there are two * side by side" });
                }
                let some = |part: &Vec<u8>| (!part.is_empty()).then(|| part.clone());
                Filter::Substrings {
                    attribute: attribute(left)?,
                    initial: some(initial),
                    any: any.to_vec(),
                    end: some(end),
                }
            }
            _ => Filter::Equal(attribute(left)?, value(right, value_at)?),
        };
        self.at = start + item.len();
        Ok(filter)
    }
}

/// The bytes of a value: `\` and two hexadecimal digits are one.
fn unescaped(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('\\');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let digits = digits.ok_or("a \\ is not followed by two hexadecimal digits")?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "a \\ is not followed by two hexadecimal digits")?);
        bytes.extend(part.bytes().skip(2));
    }
    if text.contains(['(', '\0']) { Err("a ( or a NUL is not written as \\28 or \\00") } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Filter {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// RFC 4515, section 4.
    #[test]
    fn the_examples_of_rfc_4515_are_read_as_it_says() {
        assert_eq!(parsed("(cn=Babs Jensen)"), Filter::equal("cn", "Babs Jensen"));
        assert_eq!(parsed("(!(cn=Tim Howes))"), Filter::Not(Box::new(Filter::equal("cn", "Tim Howes"))));
        assert_eq!(
            parsed("(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))"),
            Filter::And(vec![
                Filter::equal("objectClass", "Person"),
                Filter::Or(vec![
                    Filter::equal("sn", "Jensen"),
                    Filter::Substrings {
                        attribute: "cn".to_owned(),
                        initial: Some(b"Babs J".to_vec()),
                        any: vec![],
                        end: None
                    },
                ]),
            ])
        );
        assert_eq!(
            parsed("(o=univ*of*mich*)"),
            Filter::Substrings {
                attribute: "o".to_owned(),
                initial: Some(b"univ".to_vec()),
                any: vec![b"of".to_vec(), b"mich".to_vec()],
                end: None
            }
        );
        assert_eq!(parsed("(seeAlso=)"), Filter::equal("seeAlso", ""));
        let extensible = |rule: Option<&str>, attribute: Option<&str>, value: &str, dn_attributes| Filter::Extensible {
            rule: rule.map(str::to_owned),
            attribute: attribute.map(str::to_owned),
            value: value.as_bytes().to_vec(),
            dn_attributes,
        };
        assert_eq!(
            parsed("(cn:caseExactMatch:=Fred Flintstone)"),
            extensible(Some("caseExactMatch"), Some("cn"), "Fred Flintstone", false)
        );
        assert_eq!(parsed("(cn:=Betty Rubble)"), extensible(None, Some("cn"), "Betty Rubble", false));
        assert_eq!(
            parsed("(sn:dn:2.4.6.8.10:=Barney Rubble)"),
            extensible(Some("2.4.6.8.10"), Some("sn"), "Barney Rubble", true)
        );
        assert_eq!(parsed("(o:dn:=Ace Industry)"), extensible(None, Some("o"), "Ace Industry", true));
        assert_eq!(parsed("(:1.2.3:=Wilma Flintstone)"), extensible(Some("1.2.3"), None, "Wilma Flintstone", false));
        assert_eq!(parsed("(:DN:2.4.6.8.10:=Dino)"), extensible(Some("2.4.6.8.10"), None, "Dino", true));
        assert_eq!(
            parsed(r"(o=Parens R Us \28for all your parenthetical needs\29)"),
            Filter::equal("o", "Parens R Us (for all your parenthetical needs)")
        );
        assert_eq!(
            parsed(r"(cn=*\2A*)"),
            Filter::Substrings { attribute: "cn".to_owned(), initial: None, any: vec![b"*".to_vec()], end: None }
        );
        assert_eq!(parsed(r"(filename=C:\5cMyFile)"), Filter::equal("filename", r"C:\MyFile"));
        assert_eq!(parsed(r"(bin=\00\00\00\04)"), Filter::equal("bin", [0, 0, 0, 4]));
        assert_eq!(parsed(r"(sn=Lu\c4\8di\c4\87)"), Filter::equal("sn", "Lučić"));
        assert_eq!(
            parsed(r"(1.3.6.1.4.1.1466.0=\04\02\48\69)"),
            Filter::equal("1.3.6.1.4.1.1466.0", [4, 2, 0x48, 0x69])
        );
        assert_eq!(parsed("(objectClass=*)"), Filter::Present("objectClass".to_owned()));
        assert_eq!(parsed("(&)"), Filter::And(vec![]));
    }

    /// RFC 4511, section 4.5.1.7, in X.690's form.
    #[test]
    fn a_filter_is_sent_in_the_form_of_rfc_4511() {
        let sent = parsed("(&(a=b)(!(c=*)))").encode();
        assert_eq!(sent, [0xa0, 13, 0xa3, 6, 4, 1, b'a', 4, 1, b'b', 0xa2, 3, 0x87, 1, b'c']);
    }

    /// What somebody typed is a value, whatever is in it: there is one comparison, with these bytes.
    #[test]
    fn what_is_put_into_a_filter_as_a_value_stays_one() {
        for typed in ["*", "a)(uid=*", "*)(objectClass=*", "a\0b", r"\2a", "admin)(|(uid=*"] {
            let encoded = Filter::equal("uid", typed).encode();
            assert_eq!(encoded[..2], [0xa3, u8::try_from(7 + typed.len()).unwrap()]);
            assert_eq!(encoded[2..7], [4, 3, b'u', b'i', b'd']);
            assert!(encoded.ends_with(typed.as_bytes()), "{typed:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_pointed_at() {
        let deep = format!("{}(a=b){}", "(!".repeat(20), ")".repeat(20));
        let long = format!("(a={})", "b".repeat(MAX_FILTER_BYTES));
        for text in [
            "",
            "a=b",
            "(a=b",
            "(a=b))",
            "(a)",
            "(=b)",
            "(a b=c)",
            "(a=b)(c=d)",
            "(!)",
            "((a=b))",
            r"(a=\2)",
            r"(a=\zz)",
            "(a=b(c)",
            "(a=**)",
            "(a=b\0)",
            "(&(a=b)",
            "(:=x)",
            "(1.=x)",
            "(a:b:c:=x)",
            &deep,
            &long,
        ] {
            assert!(text.parse::<Filter>().is_err(), "{text:?}");
        }
        assert_eq!("(cn=a)x".parse::<Filter>(), Err(InvalidFilter { at: 6, problem: "something follows its end" }));
    }
}
