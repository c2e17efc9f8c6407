//! What is wrong with options.

use thiserror::Error;

use crate::dom_exception::DomException;

/// Why options are refused before anything else is looked at. Members are named by their path, such as
/// `excludeCredentials[1].id`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidJson {
    /// The text is not JSON.
    #[error("the options are not JSON: {0}")]
    Syntax(String),
    /// A member that must be there is not.
    #[error("the options lack {member}, which is required")]
    Missing {
        /// The member.
        member: String,
    },
    /// A member has another type than it must have.
    #[error("{member} is not {expected}")]
    WrongType {
        /// The member.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A member is not base64url, as the browser reads it.
    #[error("{member} {wrong}: use the alphabet with - and _, without padding")]
    Base64Url {
        /// The member.
        member: String,
        /// What is wrong with it.
        wrong: NoBase64Url,
        /// What a page's script called.
        parser: Parser,
    },
}

/// Why a text is not base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoBase64Url {
    /// It ends with padding, which Firefox alone takes.
    #[error("is padded with =")]
    Padded,
    /// It has letters of base64's own alphabet.
    #[error("has + or /, as base64 has and base64url has not")]
    OtherAlphabet,
    /// It has other letters, or a length that no bytes have.
    #[error("contains invalid base64url data")]
    Other,
}

/// What makes options of JSON in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// `PublicKeyCredential.parseCreationOptionsFromJSON()` (WebAuthn Level 3 §5.1.9).
    CreationOptions,
    /// `PublicKeyCredential.parseRequestOptionsFromJSON()` (§5.1.10).
    RequestOptions,
}

impl Parser {
    /// The method's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreationOptions => "parseCreationOptionsFromJSON",
            Self::RequestOptions => "parseRequestOptionsFromJSON",
        }
    }
}

impl InvalidJson {
    /// What the page sees of it.
    #[must_use]
    pub fn name(&self) -> DomException {
        match self {
            Self::Syntax(_) => DomException::SyntaxError,
            Self::Missing { .. } | Self::WrongType { .. } => DomException::TypeError,
            Self::Base64Url { .. } => DomException::EncodingError,
        }
    }
}
