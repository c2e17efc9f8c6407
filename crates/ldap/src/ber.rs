//! The subset of BER that LDAP has (RFC 4511, section 5.1): definite lengths, tags of one byte. It is read without recursion, as each
//! message has its fixed form.

use thiserror::Error;

/// What came is no answer of LDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the server sent {0}")]
pub struct Malformed(pub &'static str);

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// How long an element is: its tag and length, and its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    bytes: usize,
    contents: usize,
}

/// The header at the beginning; `None` if there are not enough bytes of it yet.
fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let [tag, rest @ ..] = bytes else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed("a tag of several bytes"));
    }
    let [first, rest @ ..] = rest else { return Ok(None) };
    if first & 0x80 == 0 {
        return Ok(Some(Header { bytes: 2, contents: usize::from(*first) }));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 {
        return Err(Malformed("a length without an end"));
    }
    if count > 4 {
        return Err(Malformed("a length of more than four bytes"));
    }
    let Some(length) = rest.get(..count) else { return Ok(None) };
    let contents = length.iter().fold(0_u32, |length, byte| length << 8 | u32::from(*byte));
    let contents = usize::try_from(contents).map_err(|_| Malformed("a length that cannot be"))?;
    Ok(Some(Header { bytes: 2 + count, contents }))
}

/// How many bytes the message at the beginning has; `None` if that is not known yet.
pub(crate) fn message_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    if bytes.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(Malformed("something that is no LDAP message"));
    }
    Ok(header(bytes)?.map(|Header { bytes, contents }| bytes.saturating_add(contents)))
}

/// What is left of some elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The tag of the next element.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The contents of the next element, which has this tag.
    pub(crate) fn octets(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        if self.tag() != Some(tag) {
            return Err(Malformed("another element than the message has there"));
        }
        let Header { bytes, contents } = header(self.0)?.ok_or(Malformed("an element that is cut off"))?;
        let (element, rest) =
            self.0.split_at_checked(bytes.saturating_add(contents)).ok_or(Malformed("an element that is cut off"))?;
        self.0 = rest;
        Ok(element.get(bytes..).unwrap_or_default())
    }

    /// What is in the next element.
    pub(crate) fn inside(&mut self, tag: u8) -> Result<Reader<'a>, Malformed> {
        self.octets(tag).map(Self)
    }

    pub(crate) fn text(&mut self, tag: u8) -> Result<&'a str, Malformed> {
        str::from_utf8(self.octets(tag)?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    /// A number that is not negative.
    pub(crate) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        let contents = self.octets(tag)?;
        let wrong = Malformed("a number out of bounds");
        match contents {
            [first, ..] if first & 0x80 == 0 => {}
            _ => return Err(wrong),
        }
        contents.iter().try_fold(0_u32, |number, byte| {
            let shifted = number.checked_mul(256).ok_or(wrong)?;
            Ok(shifted | u32::from(*byte))
        })
    }
}

/// An element.
pub(crate) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut bytes = Vec::with_capacity(length + 6);
    bytes.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            // More than four bytes cannot be: no message is that long.
            let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
            bytes.push(0x84);
            bytes.extend(length);
        }
    }
    bytes.extend(contents);
    bytes
}

pub(crate) fn number(tag: u8, number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let mut contents = bytes.get(zeros..).unwrap_or_default().to_vec();
    if contents.first().is_some_and(|first| first & 0x80 != 0) {
        contents.insert(0, 0);
    }
    element(tag, &contents)
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    element(BOOLEAN, &[if value { 0xff } else { 0 }])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X.690, sections 8.1.3 and 8.3; RFC 4511, section 5.1.
    #[test]
    fn elements_are_written_and_read_as_x690_has_them() {
        assert_eq!(element(OCTETS, b"ab"), [4, 2, b'a', b'b']);
        assert_eq!(number(INTEGER, 0), [2, 1, 0]);
        assert_eq!(number(INTEGER, 127), [2, 1, 127]);
        assert_eq!(number(INTEGER, 128), [2, 2, 0, 128]);
        assert_eq!(number(INTEGER, 0x7fff_ffff), [2, 4, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(element(OCTETS, &[7; 200])[..6], [4, 0x84, 0, 0, 0, 200]);
        for value in [0, 1, 127, 128, 255, 256, 65_535, 0x7fff_ffff] {
            assert_eq!(Reader::new(&number(INTEGER, value)).number(INTEGER), Ok(value));
        }
        // The long form, as Active Directory writes every length.
        assert_eq!(Reader::new(&[4, 0x84, 0, 0, 0, 1, 9]).octets(OCTETS), Ok(&[9][..]));
    }

    #[test]
    fn what_is_no_element_of_ldap_is_refused() {
        for bytes in [&[4, 2, 1][..], &[4], &[4, 0x80, 0, 0], &[0x1f, 1, 0], &[4, 0x85, 0, 0, 0, 0, 1, 0], &[2, 1, 0]] {
            assert!(Reader::new(bytes).octets(OCTETS).is_err(), "{bytes:?}");
        }
        for number in [&[2, 0][..], &[2, 1, 0x80], &[2, 6, 1, 0, 0, 0, 0, 0], &[2, 5, 1, 0, 0, 0, 0]] {
            assert!(Reader::new(number).number(INTEGER).is_err(), "{number:?}");
        }
    }

    #[test]
    fn a_message_is_as_long_as_its_header_says_and_nothing_else_begins_one() {
        assert_eq!(message_length(&[]), Ok(None));
        assert_eq!(message_length(&[0x30]), Ok(None));
        assert_eq!(message_length(&[0x30, 0x82, 1]), Ok(None));
        assert_eq!(message_length(&[0x30, 0x82, 1, 2]), Ok(Some(4 + 258)));
        assert_eq!(message_length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Ok(Some(6 + 0xffff_ffff)));
        assert!(message_length(b"HTTP/1.1").is_err());
        assert!(message_length(&[0x30, 0x80]).is_err());
    }
}
