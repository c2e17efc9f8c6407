//! The client data, read a second time: webauthn-rs says that a check failed, this says what was found.
//!
//! Read as WebAuthn Level 3 asks (§7.1 and §7.2: UTF-8 decode, which strips a byte-order mark, then JSON) and with
//! unknown members tolerated: Chromium adds some at random.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use url::Url;
use webauthn_rs::prelude::WebauthnError;

use crate::refusal::{Purpose, Refusal};
use crate::settings::Settings;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// `CollectedClientData` (WebAuthn Level 3, §5.8.1), the members that are checked.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientData {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) challenge: String,
    pub(crate) origin: String,
    #[serde(default)]
    pub(crate) cross_origin: bool,
    pub(crate) top_origin: Option<String>,
}

impl ClientData {
    pub(crate) fn parse(client_data_json: &[u8]) -> Result<Self, Refusal> {
        let text = client_data_json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(client_data_json);
        serde_json::from_slice(text).map_err(|error| Refusal::BadClientData { reason: error.to_string() })
    }

    /// This relying party expects to be in nobody's frame (WebAuthn Level 3, §7.1 and §7.2: crossOrigin and topOrigin).
    pub(crate) fn check_not_framed(self) -> Result<(), Refusal> {
        if self.cross_origin || self.top_origin.is_some() { Err(self.cross_origin()) } else { Ok(()) }
    }

    fn cross_origin(self) -> Refusal {
        Refusal::CrossOrigin { top_origin: self.top_origin }
    }
}

/// What webauthn-rs means by an error that concerns the client data or the RP ID; `None` for any other error.
pub(crate) fn explain(
    error: &WebauthnError,
    purpose: Purpose,
    client_data_json: &[u8],
    challenge: &[u8],
    settings: &Settings,
) -> Option<Refusal> {
    let found = ClientData::parse(client_data_json);
    let explained = match error {
        WebauthnError::InvalidRPIDHash => Ok(Refusal::RpIdHashMismatch { rp_id: settings.rp_id.clone() }),
        WebauthnError::InvalidClientDataType => {
            found.map(|found| Refusal::WrongType { expected: purpose.client_data_type(), found: found.kind })
        }
        WebauthnError::MismatchedChallenge => found.map(|found| Refusal::ChallengeMismatch {
            expected: URL_SAFE_NO_PAD.encode(challenge),
            found: found.challenge,
        }),
        WebauthnError::InvalidRPOrigin => found.map(|found| origin_mismatch(found, settings)),
        WebauthnError::CredentialCrossOrigin => found.map(ClientData::cross_origin),
        WebauthnError::ParseJSONFailure(reason) => {
            found.map(|found| unreadable(found, client_data_json, settings, &reason.to_string()))
        }
        _ => return None,
    };
    Some(explained.unwrap_or_else(|refusal| refusal))
}

/// Why webauthn-rs could not read client data that this module can.
fn unreadable(found: ClientData, client_data_json: &[u8], settings: &Settings, reason: &str) -> Refusal {
    if client_data_json.starts_with(BYTE_ORDER_MARK) {
        let reason =
            "it starts with a byte-order mark, which WebAuthn allows but this relying party's verifier does not";
        Refusal::BadClientData { reason: reason.to_owned() }
    } else if Url::parse(&found.origin).is_err() {
        // An opaque origin is the string "null" (HTML, "ASCII serialisation of an origin").
        origin_mismatch(found, settings)
    } else {
        Refusal::BadClientData { reason: reason.to_owned() }
    }
}

fn origin_mismatch(found: ClientData, settings: &Settings) -> Refusal {
    Refusal::OriginMismatch { expected: settings.origins.clone(), found: found.origin }
}

/// `id` is `rawId` in base64url (WebAuthn Level 3, §5.1): an ID that was encoded twice is found here, not by a login
/// that finds no such credential.
pub(crate) fn check_credential_id(id: &str, raw_id: &[u8]) -> Result<(), Refusal> {
    if id == URL_SAFE_NO_PAD.encode(raw_id) {
        Ok(())
    } else {
        Err(Refusal::CredentialIdMismatch { reason: "id is not rawId in base64url without padding" })
    }
}

#[cfg(test)]
mod tests;
