//! HAR files that are too long to be taken whole: `log.entries` (HAR 1.2), one after the other.

use core::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Hands each entry's text on, and says whether there were entries.
pub(super) fn entries(text: &str, mut take: impl FnMut(&str)) -> Result<bool, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut found = false;
    let mut take = |entry: &str| {
        found = true;
        take(entry);
    };
    Within { path: &["log", "entries"], take: &mut take }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// What is at a path of members, of which all others are passed over.
struct Within<'p, F> {
    path: &'p [&'p str],
    take: &'p mut F,
}

impl<'de, F: FnMut(&str)> DeserializeSeed<'de> for Within<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str)> Visitor<'de> for Within<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a HAR file's log with its entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match self.path.split_first() {
                Some((first, path)) if name == *first => members.next_value_seed(Within { path, take: self.take })?,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if self.path.is_empty() {
            while let Some(entry) = elements.next_element::<&'de RawValue>()? {
                (self.take)(entry.get());
            }
        } else {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }
}
