//! What a document may have at most.

use core::fmt;
use core::marker::PhantomData;
use std::collections::BTreeMap;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How long a document may be, bytes: 64 MiB. The service's own has 9.
pub const MAX_SIZE: usize = 64 << 20;

/// How deep lists and objects may be in each other. A BLOB of the service has 8.
pub const MAX_DEPTH: usize = 32;

/// How many entries a BLOB may have.
pub const MAX_ENTRIES: usize = 65_536;

/// How many elements any other list or object may have.
pub const MAX_LIST: usize = 1024;

/// A list of at most [`MAX_LIST`].
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List::<T, MAX_LIST>(PhantomData))
}

/// A BLOB's entries.
pub(crate) fn entries<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List::<T, MAX_ENTRIES>(PhantomData))
}

/// A list of lists, none of more than [`MAX_LIST`].
pub(crate) fn lists<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<Vec<T>>, D::Error> {
    struct Lists<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Lists<T> {
        type Value = Vec<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of lists")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut lists = Vec::new();
            while let Some(list) = sequence.next_element_seed(Elements(PhantomData))? {
                lists.push(list);
                if lists.len() > MAX_LIST {
                    return Err(A::Error::custom(format!("a list of more than {MAX_LIST}")));
                }
            }
            Ok(lists)
        }
    }

    struct Elements<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> serde::de::DeserializeSeed<'de> for Elements<T> {
        type Value = Vec<T>;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
            list(deserializer)
        }
    }

    deserializer.deserialize_seq(Lists(PhantomData))
}

/// An object of at most [`MAX_LIST`] members.
pub(crate) fn map<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    deserializer.deserialize_map(Map(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = sequence.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format!("a list of more than {MOST}")));
            }
            list.push(element);
        }
        Ok(list)
    }
}

struct Map<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MAX_LIST} members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = members.next_entry()? {
            if map.len() == MAX_LIST {
                return Err(A::Error::custom(format!("an object of more than {MAX_LIST} members")));
            }
            map.insert(name, value);
        }
        Ok(map)
    }
}

/// How deep a JSON text is, as far as brackets outside of strings say.
pub(crate) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
