//! Writing CBOR.

use super::canonical_order;

/// Writes items one after another.
///
/// Lengths and numbers are always in their shortest form. It is up to the caller that what is written makes sense:
/// [`Writer::array`] and [`Writer::raw`] let a rig write messages that no parser should accept, while [`Writer::map`] keeps
/// count by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer with nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that appends to `bytes`.
    #[must_use]
    pub fn after(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes an initial byte of the given major type (0 to 7) with its argument in the shortest form (RFC 8949 §3).
    pub fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let (encoded, length) = encode_head(major, argument);
        self.bytes.extend(encoded.iter().take(length));
        self
    }

    /// Writes an unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            Err(_) => self.head(1, (-1 - value).unsigned_abs()),
        }
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, length(value.len()));
        self.raw(value)
    }

    /// Writes a text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, length(value.len()));
        self.raw(value.as_bytes())
    }

    /// Writes a boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.head(7, if value { 21 } else { 20 })
    }

    /// Writes the head of an array of `elements`, which are to be written next.
    pub fn array(&mut self, elements: usize) -> &mut Self {
        self.head(4, length(elements))
    }

    /// Writes an array with an element for each of `values`.
    pub fn array_of<T>(
        &mut self,
        values: &[T],
        mut element: impl for<'w> FnMut(&'w mut Self, &T) -> &'w mut Self,
    ) -> &mut Self {
        self.array(values.len());
        for value in values {
            element(self, value);
        }
        self
    }

    /// Writes a map whose entries are added by `fill` in canonical order of their keys.
    ///
    /// # Panics
    /// In debug builds, if the keys do not come in canonical order.
    pub fn map(&mut self, fill: impl FnOnce(&mut MapWriter<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.push(0);
        let mut map = MapWriter { writer: self, entries: 0, previous: None };
        fill(&mut map);
        let (encoded, length) = encode_head(5, map.entries);
        self.bytes.splice(start..=start, encoded.into_iter().take(length));
        self
    }

    /// Writes bytes as they are: an item encoded elsewhere, or nonsense.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(encoded);
        self
    }
}

/// Adds entries to a map; see [`Writer::map`].
#[derive(Debug)]
pub struct MapWriter<'a> {
    writer: &'a mut Writer,
    entries: u64,
    previous: Option<core::ops::Range<usize>>,
}

impl MapWriter<'_> {
    /// Adds an entry with an integer as key.
    pub fn entry(&mut self, key: i64, value: impl FnOnce(&mut Writer) -> &mut Writer) -> &mut Self {
        self.add(|writer| writer.integer(key), value)
    }

    /// Adds an entry with a text string as key.
    pub fn text_entry(&mut self, key: &str, value: impl FnOnce(&mut Writer) -> &mut Writer) -> &mut Self {
        self.add(|writer| writer.text(key), value)
    }

    /// Adds an entry if there is a value for it.
    pub fn optional<T>(
        &mut self,
        key: i64,
        value: Option<T>,
        write: impl FnOnce(&mut Writer, T) -> &mut Writer,
    ) -> &mut Self {
        match value {
            Some(value) => self.entry(key, |writer| write(writer, value)),
            None => self,
        }
    }

    /// Adds an entry with a text string as key if there is a value for it.
    pub fn optional_text<T>(
        &mut self,
        key: &str,
        value: Option<T>,
        write: impl FnOnce(&mut Writer, T) -> &mut Writer,
    ) -> &mut Self {
        match value {
            Some(value) => self.text_entry(key, |writer| write(writer, value)),
            None => self,
        }
    }

    fn add(
        &mut self,
        key: impl FnOnce(&mut Writer) -> &mut Writer,
        value: impl FnOnce(&mut Writer) -> &mut Writer,
    ) -> &mut Self {
        let start = self.writer.bytes.len();
        key(self.writer);
        let range = start..self.writer.bytes.len();
        debug_assert!(
            self.previous.take().is_none_or(|previous| {
                let encoded = |range: core::ops::Range<usize>| self.writer.bytes.get(range).unwrap_or_default();
                canonical_order(encoded(previous), encoded(range.clone())).is_lt()
            }),
            "the keys of a map are written in canonical order"
        );
        self.previous = Some(range);
        value(self.writer);
        self.entries += 1;
        self
    }
}

fn encode_head(major: u8, argument: u64) -> ([u8; 9], usize) {
    let mut encoded = [0; 9];
    let [first, rest @ ..] = &mut encoded;
    let bytes = argument.to_be_bytes();
    let (information, length) = match argument {
        0..=23 => (bytes[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    *first = major << 5 | information;
    for (to, from) in rest.iter_mut().zip(bytes.iter().skip(8 - length)) {
        *to = *from;
    }
    (encoded, 1 + length)
}

fn length(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
