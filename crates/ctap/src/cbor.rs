//! CTAP2 canonical CBOR (CTAP 2.3 §8): a strict view of what arrived, and a writer that can also write nonsense.
//!
//! [`Item::parse`] checks a whole message in one pass and names the byte that is wrong; afterwards every [`Item`] is a
//! borrowed view into it, and reading one can only fail by being of another type. The order matters to clients: a message
//! that is malformed anywhere is `CTAP2_ERR_INVALID_CBOR`, whatever else is wrong with it.

mod writer;

#[cfg(test)]
mod tests;

pub use writer::{MapWriter, Writer};

use thiserror::Error;

/// How deep arrays and maps may nest (CTAP 2.3 §8).
pub const MAX_DEPTH: usize = 4;

/// Why bytes are not one canonical CTAP2 item, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {offset}: {reason}")]
pub struct Malformed {
    /// Offset of the byte that is wrong, from the start of what was parsed.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What can be wrong with the encoding of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The item continues beyond the end of the input.
    #[error("the input ends inside an item")]
    Truncated,
    /// Bytes follow the item.
    #[error("bytes follow the item")]
    TrailingBytes,
    /// An integer or a length is not in its shortest form.
    #[error("a number is not in its shortest form")]
    NotMinimal,
    /// An indefinite length or a break.
    #[error("indefinite lengths are not allowed")]
    IndefiniteLength,
    /// Additional information 28, 29 or 30, or a simple value that RFC 8949 §3.3 does not allow in that form.
    #[error("reserved additional information")]
    Reserved,
    /// A tag (major type 6).
    #[error("tags are not allowed")]
    Tag,
    /// A text string is not UTF-8.
    #[error("a text string is not UTF-8")]
    NotUtf8,
    /// A map's keys are not in canonical order.
    #[error("the keys of a map are not sorted")]
    UnsortedKeys,
    /// A map has the same key twice.
    #[error("a key of a map occurs twice")]
    DuplicateKey,
    /// Arrays and maps nest deeper than [`MAX_DEPTH`].
    #[error("arrays and maps nest deeper than 4 levels")]
    TooDeep,
}

/// An item is not of the type that its place wants: `CTAP2_ERR_CBOR_UNEXPECTED_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an item has another type than its place wants")]
pub struct UnexpectedType;

/// One well-formed, canonical item: a view into the message it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    head: Head,
    body: &'a [u8],
    whole: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    major: u8,
    information: u8,
    argument: u64,
}

impl<'a> Item<'a> {
    /// Parses `bytes` as exactly one item.
    ///
    /// # Errors
    /// [`Malformed`] at the first byte that CTAP2's canonical form does not allow.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse_within(bytes, MAX_DEPTH)
    }

    /// The same for a reader that lets arrays and maps nest to another depth than [`MAX_DEPTH`].
    ///
    /// # Errors
    /// As [`Item::parse`].
    pub fn parse_within(bytes: &'a [u8], max_depth: usize) -> Result<Self, Malformed> {
        let (item, rest) = Self::prefix_within(bytes, max_depth)?;
        if rest.is_empty() {
            Ok(item)
        } else {
            Err(Malformed { offset: item.whole.len(), reason: Reason::TrailingBytes })
        }
    }

    /// Parses the item that `bytes` starts with, and returns it with what follows.
    ///
    /// Authenticator data needs this: the public key and the extensions in it say only by their encoding where they end.
    ///
    /// # Errors
    /// As [`Item::parse`], but for [`Reason::TrailingBytes`].
    pub fn parse_prefix(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        Self::prefix_within(bytes, MAX_DEPTH)
    }

    fn prefix_within(bytes: &'a [u8], max_depth: usize) -> Result<(Self, &'a [u8]), Malformed> {
        let end = check(bytes, 0, max_depth)?;
        let (whole, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        Ok((Self::view(whole), rest))
    }

    /// The item at the start of bytes that were checked before.
    fn view(bytes: &'a [u8]) -> Self {
        match head(bytes) {
            Ok((head, length)) => Self { head, body: bytes.get(length..).unwrap_or_default(), whole: bytes },
            // Only reached if an unchecked slice is viewed: it reads as null, of the wrong type for every use.
            Err(_) => Self { head: Head { major: 7, information: 22, argument: 22 }, body: &[], whole: bytes },
        }
    }

    /// The item as it was encoded.
    #[must_use]
    pub fn encoded(self) -> &'a [u8] {
        self.whole
    }

    /// The item as an unsigned integer.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn unsigned(self) -> Result<u64, UnexpectedType> {
        if self.head.major == 0 { Ok(self.head.argument) } else { Err(UnexpectedType) }
    }

    /// The item as an integer.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else, or beyond 64 bits with a sign.
    pub fn integer(self) -> Result<i64, UnexpectedType> {
        let argument = i64::try_from(self.head.argument).map_err(|_| UnexpectedType)?;
        match self.head.major {
            0 => Ok(argument),
            1 => Ok(-1 - argument),
            _ => Err(UnexpectedType),
        }
    }

    /// The item as a byte string.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn bytes(self) -> Result<&'a [u8], UnexpectedType> {
        if self.head.major == 2 { Ok(self.body) } else { Err(UnexpectedType) }
    }

    /// The item as a text string.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn text(self) -> Result<&'a str, UnexpectedType> {
        if self.head.major == 3 { str::from_utf8(self.body).map_err(|_| UnexpectedType) } else { Err(UnexpectedType) }
    }

    /// The item as a boolean.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn boolean(self) -> Result<bool, UnexpectedType> {
        match (self.head.major, self.head.information) {
            (7, 20) => Ok(false),
            (7, 21) => Ok(true),
            _ => Err(UnexpectedType),
        }
    }

    /// The elements of an array.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn array(self) -> Result<Elements<'a>, UnexpectedType> {
        if self.head.major == 4 { Ok(Elements { rest: self.body }) } else { Err(UnexpectedType) }
    }

    /// The entries of a map, in canonical order.
    ///
    /// # Errors
    /// [`UnexpectedType`] if it is anything else.
    pub fn map(self) -> Result<Entries<'a>, UnexpectedType> {
        if self.head.major == 5 { Ok(Entries(Elements { rest: self.body })) } else { Err(UnexpectedType) }
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = skip(self.rest).unwrap_or(self.rest.len());
        let (item, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(Item::view(item))
    }
}

/// The entries of a map: key and value.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Elements<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

fn head(bytes: &[u8]) -> Result<(Head, usize), Malformed> {
    let at = |offset, reason| Malformed { offset, reason };
    let first = *bytes.first().ok_or(at(0, Reason::Truncated))?;
    let (major, information) = (first >> 5, first & 0x1f);
    let argument = |length: usize| -> Result<u64, Malformed> {
        let bytes = bytes.get(1..1 + length).ok_or(at(bytes.len(), Reason::Truncated))?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let (argument, length, smallest) = match information {
        0..=23 => (u64::from(information), 0, 0),
        24 => (argument(1)?, 1, 24),
        25 => (argument(2)?, 2, 0x100),
        26 => (argument(4)?, 4, 0x1_0000),
        27 => (argument(8)?, 8, 0x1_0000_0000),
        31 => return Err(at(0, Reason::IndefiniteLength)),
        _ => return Err(at(0, Reason::Reserved)),
    };
    match major {
        6 => return Err(at(0, Reason::Tag)),
        // Simple values below 32 have one byte; 25 to 27 are floating-point numbers, whose width is part of the value.
        7 if information == 24 && argument < 32 => return Err(at(0, Reason::Reserved)),
        7 => {}
        _ if argument < smallest => return Err(at(0, Reason::NotMinimal)),
        _ => {}
    }
    Ok((Head { major, information, argument }, 1 + length))
}

/// Checks the item at the start of `bytes` and returns where it ends; `offset` is where `bytes` stands in the message, and `depth`
/// how deep arrays and maps may still nest.
fn check(bytes: &[u8], offset: usize, depth: usize) -> Result<usize, Malformed> {
    let (head, start) = head(bytes).map_err(|error| Malformed { offset: offset + error.offset, ..error })?;
    let truncated = Malformed { offset: offset + bytes.len(), reason: Reason::Truncated };
    let at = |end: usize, reason| Malformed { offset: offset + end, reason };
    match head.major {
        2 | 3 => {
            let length = usize::try_from(head.argument).map_err(|_| truncated)?;
            let end = start.checked_add(length).ok_or(truncated)?;
            let body = bytes.get(start..end).ok_or(truncated)?;
            if head.major == 3 {
                str::from_utf8(body).map_err(|error| at(start + error.valid_up_to(), Reason::NotUtf8))?;
            }
            Ok(end)
        }
        4 | 5 if depth == 0 => Err(at(0, Reason::TooDeep)),
        4 => {
            let mut end = start;
            for _ in 0..head.argument {
                end += check(bytes.get(end..).unwrap_or_default(), offset + end, depth - 1)?;
            }
            Ok(end)
        }
        5 => {
            let mut end = start;
            let mut previous: Option<&[u8]> = None;
            for _ in 0..head.argument {
                let rest = bytes.get(end..).unwrap_or_default();
                let length = check(rest, offset + end, depth - 1)?;
                let key = rest.get(..length).unwrap_or_default();
                if let Some(previous) = previous {
                    match canonical_order(previous, key) {
                        core::cmp::Ordering::Less => {}
                        core::cmp::Ordering::Equal => return Err(at(end, Reason::DuplicateKey)),
                        core::cmp::Ordering::Greater => return Err(at(end, Reason::UnsortedKeys)),
                    }
                }
                previous = Some(key);
                end += length;
                end += check(bytes.get(end..).unwrap_or_default(), offset + end, depth - 1)?;
            }
            Ok(end)
        }
        _ => Ok(start),
    }
}

/// Where the first item of checked bytes ends.
fn skip(bytes: &[u8]) -> Option<usize> {
    let (head, start) = head(bytes).ok()?;
    match head.major {
        2 | 3 => start.checked_add(usize::try_from(head.argument).ok()?),
        4 | 5 => {
            let items = if head.major == 4 { head.argument } else { head.argument.checked_mul(2)? };
            let mut end = start;
            for _ in 0..items {
                end += skip(bytes.get(end..)?)?;
            }
            Some(end)
        }
        _ => Some(start),
    }
}

/// The first item of these bytes with the keys of each map in canonical order, for a reader that takes them in any; what follows it, and
/// whatever else is wrong with it, stays as it is.
#[must_use]
pub fn in_order(bytes: &[u8]) -> Vec<u8> {
    match sorted(bytes, MAX_DEPTH) {
        Some((mut item, length)) => {
            item.extend_from_slice(bytes.get(length..).unwrap_or_default());
            item
        }
        None => bytes.to_vec(),
    }
}

/// An item with its maps sorted, and its length before.
fn sorted(bytes: &[u8], depth: usize) -> Option<(Vec<u8>, usize)> {
    let (head, start) = head(bytes).ok()?;
    if head.major != 4 && head.major != 5 {
        let end = skip(bytes)?;
        return Some((bytes.get(..end)?.to_vec(), end));
    }
    let depth = depth.checked_sub(1)?;
    let mut end = start;
    let mut next = || {
        let (item, length) = sorted(bytes.get(end..)?, depth)?;
        end = end.checked_add(length)?;
        Some(item)
    };
    let mut parts = Vec::new();
    for _ in 0..head.argument {
        let key = next()?;
        parts.push(if head.major == 5 { (key, next()?) } else { (key, Vec::new()) });
    }
    if head.major == 5 {
        parts.sort_by(|(left, _), (right, _)| canonical_order(left, right));
    }
    let mut item = bytes.get(..start)?.to_vec();
    for (key, value) in parts {
        item.extend(key);
        item.extend(value);
    }
    Some((item, end))
}

/// The order of keys in a map (CTAP 2.3 §8): by major type, then by length of the encoding, then by bytes.
#[must_use]
pub fn canonical_order(left: &[u8], right: &[u8]) -> core::cmp::Ordering {
    let major = |key: &[u8]| key.first().map(|byte| byte >> 5);
    (major(left), left.len(), left).cmp(&(major(right), right.len(), right))
}
