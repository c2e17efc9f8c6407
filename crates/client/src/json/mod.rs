//! The JSON that pages and servers exchange (WebAuthn Level 3 §5.1.8 to §5.1.10): options in, credentials out.
//!
//! Options are read as a browser reads them: strictly where Web IDL is, and blind to members and enumeration values that it
//! does not know. Credentials are plain public structs, so that a rig can alter them before they are written.

mod extensions;
mod options;
mod reader;
mod response;

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::dom_exception::DomException;

pub use crate::base64url::Base64Url;
pub use extensions::{CreationExtensions, LargeBlobInputs, LargeBlobSupport, PrfInputs, PrfValues, RequestExtensions};
pub use options::{
    Attachment, Attestation, AuthenticatorSelection, CreationOptions, Mediation, RelyingPartyEntity, RequestOptions,
    Requirement, UnknownMediation, UserEntity,
};
pub use response::{
    AssertionResponse, AttestationResponse, AuthenticationCredential, PublicKeyCredential, RegistrationCredential,
};

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
    /// A member is not base64url.
    #[error("{member} contains invalid base64url data: use the alphabet with - and _, without padding")]
    Base64Url {
        /// The member.
        member: String,
    },
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
