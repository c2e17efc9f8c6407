//! What a browser sends: WebAuthn's JSON (Level 3, §5.1 "toJSON"), this crate's own reading of it.
//!
//! Only what is not a credential at all is an error here. Whether it is a good one is for the checks to say.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::check::Check;
use crate::report::Findings;
use crate::shown::shown;
use crate::strictness::{Deviation, Strictness};

/// The longest credential id (WebAuthn Level 3, §7.1 and §6.5.1).
pub const MAX_CREDENTIAL_ID_BYTES: usize = 1023;

/// `RegistrationResponseJSON`: what `navigator.credentials.create()` led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationResponse {
    /// `id`, as it was written.
    pub id: String,
    /// `rawId`, decoded.
    pub raw_id: Vec<u8>,
    /// `type`.
    pub credential_type: String,
    /// `response.clientDataJSON`, decoded: the bytes that are hashed.
    pub client_data_json: Vec<u8>,
    /// `response.attestationObject`, decoded.
    pub attestation_object: Vec<u8>,
    /// `response.transports`, as the client gave them.
    pub transports: Vec<String>,
    /// `clientExtensionResults`; empty if it is not there.
    pub client_extension_results: Map<String, Value>,
}

/// `AuthenticationResponseJSON`: what `navigator.credentials.get()` led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationResponse {
    /// `id`, as it was written.
    pub id: String,
    /// `rawId`, decoded.
    pub raw_id: Vec<u8>,
    /// `type`.
    pub credential_type: String,
    /// `response.clientDataJSON`, decoded: the bytes that are hashed.
    pub client_data_json: Vec<u8>,
    /// `response.authenticatorData`, decoded.
    pub authenticator_data: Vec<u8>,
    /// `response.signature`, decoded.
    pub signature: Vec<u8>,
    /// `response.userHandle`, decoded; `None` if it is not there or null.
    pub user_handle: Option<Vec<u8>>,
    /// `clientExtensionResults`; empty if it is not there.
    pub client_extension_results: Map<String, Value>,
}

/// Why JSON is not a credential.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// It is not JSON.
    #[error("the credential is not JSON: {reason}")]
    NotJson {
        /// The parser's words, with line and column.
        reason: String,
    },
    /// A member is missing.
    #[error("the credential has no {member}; send what PublicKeyCredential.toJSON() gives")]
    Missing {
        /// The member, such as `response.clientDataJSON`.
        member: &'static str,
    },
    /// A member has another JSON type.
    #[error("the credential's {member} is not {expected}; send what PublicKeyCredential.toJSON() gives")]
    WrongType {
        /// The member.
        member: &'static str,
        /// The JSON type that it has to have.
        expected: &'static str,
    },
    /// A member is not base64url without padding.
    #[error("the credential's {member} is not base64url without padding: {error}")]
    NotBase64Url {
        /// The member.
        member: &'static str,
        /// What is wrong, and at which byte.
        #[source]
        error: base64::DecodeError,
    },
}

impl RegistrationResponse {
    /// Reads `RegistrationResponseJSON`. Members that are not known are ignored.
    ///
    /// # Errors
    /// When a member that is needed is missing, of another type, or no base64url.
    pub fn from_json(json: &[u8]) -> Result<Self, CredentialError> {
        Self::from_value(&parse(json)?)
    }

    /// The same from JSON that was parsed before.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_value(credential: &Value) -> Result<Self, CredentialError> {
        Self::from_value_by(credential, &Strictness::by_the_letter())
    }

    /// The same, with padding in base64url where that is let pass.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_value_by(credential: &Value, strictness: &Strictness) -> Result<Self, CredentialError> {
        let credential = Members::of(credential, "JSON", strictness.base64_padding)?;
        let response = credential.object("response", "response")?;
        Ok(Self {
            id: credential.text("id", "id")?,
            raw_id: credential.bytes("rawId", "rawId")?,
            credential_type: credential.text("type", "type")?,
            client_data_json: response.bytes("clientDataJSON", "response.clientDataJSON")?,
            attestation_object: response.bytes("attestationObject", "response.attestationObject")?,
            transports: response.texts("transports", "response.transports")?,
            client_extension_results: credential.map("clientExtensionResults", "clientExtensionResults")?,
        })
    }
}

impl AuthenticationResponse {
    /// Reads `AuthenticationResponseJSON`. Members that are not known are ignored.
    ///
    /// # Errors
    /// When a member that is needed is missing, of another type, or no base64url.
    pub fn from_json(json: &[u8]) -> Result<Self, CredentialError> {
        Self::from_value(&parse(json)?)
    }

    /// The same from JSON that was parsed before.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_value(credential: &Value) -> Result<Self, CredentialError> {
        Self::from_value_by(credential, &Strictness::by_the_letter())
    }

    /// The same, with padding in base64url where that is let pass.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_value_by(credential: &Value, strictness: &Strictness) -> Result<Self, CredentialError> {
        let credential = Members::of(credential, "JSON", strictness.base64_padding)?;
        let response = credential.object("response", "response")?;
        Ok(Self {
            id: credential.text("id", "id")?,
            raw_id: credential.bytes("rawId", "rawId")?,
            credential_type: credential.text("type", "type")?,
            client_data_json: response.bytes("clientDataJSON", "response.clientDataJSON")?,
            authenticator_data: response.bytes("authenticatorData", "response.authenticatorData")?,
            signature: response.bytes("signature", "response.signature")?,
            user_handle: response.optional_bytes("userHandle", "response.userHandle")?,
            client_extension_results: credential.map("clientExtensionResults", "clientExtensionResults")?,
        })
    }
}

/// [`Check::CredentialType`] and [`Check::CredentialIdEncoding`].
pub(crate) fn check_credential(
    findings: &mut Findings,
    credential_type: &str,
    id: &str,
    raw_id: &[u8],
    strictness: &Strictness,
) {
    let (is_right, found) = (credential_type == "public-key", shown(credential_type));
    findings.decide_by(Check::CredentialType, strictness.credential_type, is_right, "public-key", found);
    let expected = URL_SAFE_NO_PAD.encode(raw_id);
    let is_right = id == expected;
    let finding =
        findings.decide_by(Check::CredentialIdEncoding, strictness.credential_id, is_right, expected, shown(id));
    if !is_right {
        finding.explanation = Some("the page must send both as the browser gave them, encoded once".into());
    }
}

fn parse(json: &[u8]) -> Result<Value, CredentialError> {
    serde_json::from_slice(json).map_err(|error| CredentialError::NotJson { reason: error.to_string() })
}

#[derive(Clone, Copy)]
struct Members<'a> {
    members: &'a Map<String, Value>,
    padding: Deviation,
}

impl<'a> Members<'a> {
    fn of(value: &'a Value, member: &'static str, padding: Deviation) -> Result<Self, CredentialError> {
        let members = value.as_object().ok_or(CredentialError::WrongType { member, expected: "an object" })?;
        Ok(Self { members, padding })
    }

    fn optional(self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn required(self, name: &str, member: &'static str) -> Result<&'a Value, CredentialError> {
        self.optional(name).ok_or(CredentialError::Missing { member })
    }

    fn object(self, name: &str, member: &'static str) -> Result<Self, CredentialError> {
        Self::of(self.required(name, member)?, member, self.padding)
    }

    fn text(self, name: &str, member: &'static str) -> Result<String, CredentialError> {
        text(self.required(name, member)?, member).map(str::to_owned)
    }

    fn bytes(self, name: &str, member: &'static str) -> Result<Vec<u8>, CredentialError> {
        decode(self.required(name, member)?, member, self.padding)
    }

    fn optional_bytes(self, name: &str, member: &'static str) -> Result<Option<Vec<u8>>, CredentialError> {
        self.optional(name).map(|value| decode(value, member, self.padding)).transpose()
    }

    fn texts(self, name: &str, member: &'static str) -> Result<Vec<String>, CredentialError> {
        let wrong = CredentialError::WrongType { member, expected: "an array of strings" };
        let Some(value) = self.optional(name) else { return Ok(Vec::new()) };
        let array = value.as_array().ok_or_else(|| wrong.clone())?;
        array.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(|| wrong.clone())).collect()
    }

    fn map(self, name: &str, member: &'static str) -> Result<Map<String, Value>, CredentialError> {
        let Some(value) = self.optional(name) else { return Ok(Map::new()) };
        Self::of(value, member, self.padding).map(|it| it.members.clone())
    }
}

fn text<'a>(value: &'a Value, member: &'static str) -> Result<&'a str, CredentialError> {
    value.as_str().ok_or(CredentialError::WrongType { member, expected: "a string" })
}

fn decode(value: &Value, member: &'static str, padding: Deviation) -> Result<Vec<u8>, CredentialError> {
    let text = text(value, member)?;
    if !padding.refuses()
        && let Ok(decoded) = URL_SAFE.decode(text)
    {
        return Ok(decoded);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|error| CredentialError::NotBase64Url { member, error })
}
