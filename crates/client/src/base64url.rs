//! Bytes in the text form that WebAuthn's JSON has for them.

use core::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, PAD, URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};

use crate::browser::Browser;

const UNPADDED: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
const PADDED: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PAD.with_decode_allow_trailing_bits(true));

/// Bytes that JSON holds in base64url without padding (`Base64URLString`, WebAuthn Level 3 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base64Url(pub Vec<u8>);

impl Base64Url {
    /// Reads the text form. Padding, the letters of the other alphabet and white space are not part of it.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }

    /// Reads it as a browser reads options: as Chromium 156 and Firefox 153 were observed to, whatever stands in bits behind the last
    /// byte does not count, and Firefox takes padding too, if it is as long as it has to be.
    pub(crate) fn decode_in(text: &str, browser: Browser) -> Option<Self> {
        let is_padded = browser == Browser::Firefox && text.contains('=');
        let engine = if is_padded { &PADDED } else { &UNPADDED };
        engine.decode(text).ok().map(Self)
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
