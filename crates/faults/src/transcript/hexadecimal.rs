//! Bytes in lower-case hexadecimal: most of what is written is that, so it is made a byte at a time and not a character.

use serde::Serializer;

pub(super) use hex::serde::deserialize;

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut digits = vec![b'0'; bytes.len().saturating_mul(2)];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 0xF));
        }
    }
    // Digits are ASCII.
    String::from_utf8(digits).unwrap_or_default()
}

/// Without a branch, so that many are made at once.
const fn digit(value: u8) -> u8 {
    let letter = if value > 9 { b'a' - b'9' - 1 } else { 0 };
    b'0' + value + letter
}

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_is_as_the_library_has_it() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(super::encode(&bytes), hex::encode(&bytes));
        assert_eq!(super::encode(&[]), "");
    }
}
