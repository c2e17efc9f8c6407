//! The AAGUID: which model an authenticator is (WebAuthn Level 3 §6.5.1).

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// An Authenticator Attestation Globally Unique ID, 16 bytes; written like a UUID.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Aaguid(pub [u8; 16]);

impl fmt::Display for Aaguid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Aaguid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not an AAGUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an AAGUID is 32 hexadecimal digits in groups of 8-4-4-4-12")]
pub struct NotAnAaguid;

impl FromStr for Aaguid {
    type Err = NotAnAaguid;

    fn from_str(text: &str) -> Result<Self, NotAnAaguid> {
        let mut aaguid = Self::default();
        let mut characters = text.chars();
        for (index, byte) in aaguid.0.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) && characters.next() != Some('-') {
                return Err(NotAnAaguid);
            }
            let mut digit = || -> Result<u8, NotAnAaguid> {
                let digit = characters.next().and_then(|c| c.to_digit(16)).ok_or(NotAnAaguid)?;
                u8::try_from(digit).map_err(|_| NotAnAaguid)
            };
            *byte = digit()? << 4 | digit()?;
        }
        if characters.next().is_none() { Ok(aaguid) } else { Err(NotAnAaguid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_uuid_form() {
        let text = "2fc0579f-8113-47ea-b116-bb5a8db9202a";
        let aaguid: Aaguid = text.parse().unwrap();
        assert_eq!(aaguid.0[..4], [0x2f, 0xc0, 0x57, 0x9f]);
        assert_eq!(aaguid.to_string(), text);
        for wrong in ["", "2fc0579f811347eab116bb5a8db9202a", &text[1..], "2fc0579f-8113-47ea-b116-bb5a8db9202a0"] {
            assert_eq!(wrong.parse::<Aaguid>(), Err(NotAnAaguid), "{wrong}");
        }
    }
}
