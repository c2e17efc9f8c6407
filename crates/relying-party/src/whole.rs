//! Whole numbers of JSON, in which `291.0` is one too (JSON Schema 2020-12, Validation §6.1.1).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// 2^53, from where on a double does not have every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);

        impl<T: TryFrom<u64>> Visitor<'_> for Number<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a whole number of at most {} bits", 8 * size_of::<T>())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
                T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
                let whole = (number.fract() == 0.0 && (0.0..EXACT).contains(&number))
                    .then(|| format!("{number}").parse().ok())
                    .flatten();
                match whole {
                    Some(whole) => self.visit_u64(whole),
                    None => Err(E::invalid_value(Unexpected::Float(number), &self)),
                }
            }
        }

        deserializer.deserialize_any(Number(PhantomData)).map(Whole)
    }
}

/// For serde's `deserialize_with`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// The same where there may be none.
pub(crate) fn option<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(number)| number))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    struct Numbers {
        #[serde(deserialize_with = "super::deserialize")]
        digits: u8,
        #[serde(default, deserialize_with = "super::option")]
        step: Option<u64>,
    }

    #[test]
    fn a_number_with_nothing_behind_its_point_is_whole() {
        for (text, digits, step) in [
            (r#"{"digits":6}"#, 6, None),
            (r#"{"digits":6.0,"step":30.0}"#, 6, Some(30)),
            (r#"{"digits":2.55e2,"step":null}"#, 255, None),
            (r#"{"digits":0,"step":18446744073709551615}"#, 0, Some(u64::MAX)),
        ] {
            assert_eq!(serde_json::from_str::<Numbers>(text).unwrap(), Numbers { digits, step }, "{text}");
        }
        for text in [
            r#"{"digits":6.5}"#,
            r#"{"digits":256}"#,
            r#"{"digits":256.0}"#,
            r#"{"digits":-1}"#,
            r#"{"digits":-1.0}"#,
            r#"{"digits":"6"}"#,
            r#"{"digits":6,"step":1e300}"#,
        ] {
            serde_json::from_str::<Numbers>(text).unwrap_err();
        }
    }
}
