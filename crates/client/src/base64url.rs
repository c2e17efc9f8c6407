//! Bytes in the text form that WebAuthn's JSON has for them.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

/// Bytes that JSON holds in base64url without padding (`Base64URLString`, WebAuthn Level 3 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base64Url(pub Vec<u8>);

impl Base64Url {
    /// Reads the text form. Padding, the letters of the other alphabet and white space are not part of it.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }
}

impl fmt::Display for Base64Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
