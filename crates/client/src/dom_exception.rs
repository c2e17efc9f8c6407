//! What a page sees of a refusal.

use core::fmt;

/// What a page sees of a refusal: the name of a DOMException (Web IDL §4.3), or of an exception of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DomException {
    /// The page may not do this here.
    SecurityError,
    /// Not allowed, or timed out. Browsers fold most of what an authenticator says into this one.
    NotAllowedError,
    /// A credential of the exclude list is on the key that was touched.
    InvalidStateError,
    /// None of the algorithms is of a type that is known.
    NotSupportedError,
    /// The page aborted the ceremony.
    AbortError,
    /// A text is not base64url.
    EncodingError,
    /// A text is not JSON.
    SyntaxError,
    /// A list of credentials is longer than the browser takes.
    RangeError,
    /// An option is missing or of another type than it must be; also what a script gets that calls an API which a page
    /// outside of a secure context does not have.
    TypeError,
}

impl fmt::Display for DomException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecurityError => "SecurityError",
            Self::NotAllowedError => "NotAllowedError",
            Self::InvalidStateError => "InvalidStateError",
            Self::NotSupportedError => "NotSupportedError",
            Self::AbortError => "AbortError",
            Self::EncodingError => "EncodingError",
            Self::SyntaxError => "SyntaxError",
            Self::RangeError => "RangeError",
            Self::TypeError => "TypeError",
        })
    }
}
