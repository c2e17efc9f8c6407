//! What a page sends to its server: `RegistrationResponseJSON` and `AuthenticationResponseJSON` (WebAuthn Level 3 §5.1.8).

use serde::Serialize;
use serde_json::{Map, Value};

use super::Base64Url;

/// A `PublicKeyCredential` in JSON, around what a ceremony came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicKeyCredential<Response> {
    /// `id`, in base64url: the credential id.
    pub id: Base64Url,
    /// `rawId`: the same again.
    pub raw_id: Base64Url,
    /// `response`.
    pub response: Response,
    /// `authenticatorAttachment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticator_attachment: Option<String>,
    /// `clientExtensionResults`.
    pub client_extension_results: Map<String, Value>,
    /// `type`: `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `RegistrationResponseJSON`: the credential that create() made.
pub type RegistrationCredential = PublicKeyCredential<AttestationResponse>;

/// `AuthenticationResponseJSON`: the assertion that get() got.
pub type AuthenticationCredential = PublicKeyCredential<AssertionResponse>;

impl<Response: Serialize> PublicKeyCredential<Response> {
    /// The text that the page sends.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts, numbers and maps with text keys: nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `AuthenticatorAttestationResponseJSON`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationResponse {
    /// `clientDataJSON`.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Base64Url,
    /// `authenticatorData`: the same bytes as in the attestation object.
    pub authenticator_data: Base64Url,
    /// `transports`.
    pub transports: Vec<String>,
    /// `publicKey`: SubjectPublicKeyInfo, DER. Absent for algorithms that the browser does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Base64Url>,
    /// `publicKeyAlgorithm`: a COSE algorithm identifier.
    pub public_key_algorithm: i64,
    /// `attestationObject`.
    pub attestation_object: Base64Url,
}

/// `AuthenticatorAssertionResponseJSON`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssertionResponse {
    /// `clientDataJSON`.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Base64Url,
    /// `authenticatorData`.
    pub authenticator_data: Base64Url,
    /// `signature`.
    pub signature: Base64Url,
    /// `userHandle`: there if the authenticator gave it, which it does for discoverable credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_handle: Option<Base64Url>,
}
