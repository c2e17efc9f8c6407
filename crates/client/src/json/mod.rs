//! The JSON that pages and servers exchange (WebAuthn Level 3 §5.1.8 to §5.1.10): options in, credentials out.
//!
//! Options are read as a browser reads them: strictly where Web IDL is, and blind to members and enumeration values that it
//! does not know. Credentials are plain public structs, so that a rig can alter them before they are written.

mod extensions;
mod invalid;
mod options;
mod reader;
mod response;

#[cfg(test)]
mod tests;

pub use crate::base64url::Base64Url;
pub use extensions::{CreationExtensions, LargeBlobInputs, LargeBlobSupport, PrfInputs, PrfValues, RequestExtensions};
pub use invalid::{InvalidJson, NoBase64Url, Parser};
pub use options::{
    Attachment, Attestation, AuthenticatorSelection, CreationOptions, Mediation, RelyingPartyEntity, RequestOptions,
    Requirement, UnknownMediation, UserEntity,
};
pub use response::{
    AssertionResponse, AttestationResponse, AuthenticationCredential, PublicKeyCredential, RegistrationCredential,
};
