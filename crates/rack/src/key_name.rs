//! Names of keys.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a key in its rack: 1 to 32 characters of `a`–`z`, `A`–`Z`, `0`–`9`, `-`, `_` and `.`, not beginning with a dot. It is
/// the name of the key's directory too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

/// A text is not a key name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a name for a key: use 1 to 32 letters, digits, '-', '_' and '.', and do not begin with '.'")]
pub struct InvalidKeyName(String);

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(name: &str) -> Result<Self, InvalidKeyName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=32).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.') {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidKeyName(name.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for KeyName {
    type Error = InvalidKeyName;

    fn try_from(name: String) -> Result<Self, InvalidKeyName> {
        name.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_nothing_else() {
        for name in ["a", "primary", "yubikey-5.7", "A_1", &"x".repeat(32)] {
            assert_eq!(name.parse::<KeyName>().unwrap().as_str(), name);
        }
        for name in ["", ".", "..", ".a", "a/b", "a b", "ä", "a\0", &"x".repeat(33)] {
            assert!(name.parse::<KeyName>().is_err(), "{name:?}");
        }
    }
}
