//! Bytes as recordings have them: base64url, base64, hexadecimal, arrays and objects of numbers.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Bytes in any form, and what the form is if it is not base64url without padding.
pub(super) fn decode(value: &Value) -> Option<(Vec<u8>, Option<&'static str>)> {
    let byte = |value: &Value| {
        let number = value.as_i64()?;
        // Java has bytes with a sign.
        u8::try_from(number).ok().or_else(|| i8::try_from(number).ok().map(i8::cast_unsigned))
    };
    let numbers = |values: &mut dyn Iterator<Item = &Value>| values.map(byte).collect::<Option<Vec<u8>>>();
    match value {
        Value::String(text) => decode_text(text),
        Value::Array(values) => Some((numbers(&mut values.iter())?, Some("an array of numbers"))),
        Value::Object(members) => {
            if let Some(Value::Array(values)) = members.get("data") {
                return Some((numbers(&mut values.iter())?, Some("an array of numbers")));
            }
            // What JSON.stringify makes of a Uint8Array.
            let indexed =
                (0..members.len()).map(|index| members.get(&index.to_string())).collect::<Option<Vec<_>>>()?;
            Some((
                numbers(&mut indexed.into_iter())?,
                Some("an object of numbers, as JSON.stringify makes of a Uint8Array"),
            ))
        }
        _ => None,
    }
}

pub(crate) fn decode_text(text: &str) -> Option<(Vec<u8>, Option<&'static str>)> {
    const MIN_HEX_DIGITS: usize = 32;
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    if text.len() >= MIN_HEX_DIGITS && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = text.as_bytes().chunks_exact(2).map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        });
        return Some((pairs.collect::<Option<_>>()?, Some("hexadecimal")));
    }
    if let Ok(bytes) = GeneralPurpose::new(&URL_SAFE, config).decode(text) {
        return Some((bytes, text.ends_with('=').then_some("base64url with padding")));
    }
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(text).ok()?;
    Some((bytes, Some("base64")))
}
