//! Credential parameters: what Add Credential is given and Get Credentials gives (WebAuthn Level 3 §11.5).

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keyrig_control::request::{Base64Url, Credential};
use serde_json::{Map, Value, json};

use crate::error::WebDriverError;

/// Selenium's bindings write padding, or none.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A credential that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// It, as a rack takes it. BE and BS are to be those of the authenticator if they were not said.
    pub credential: Credential,
    /// `backupEligibility`.
    pub backup_eligibility: Option<bool>,
    /// `backupState`.
    pub backup_state: Option<bool>,
    /// `largeBlob`.
    pub large_blob: Option<Vec<u8>>,
}

impl NewCredential {
    /// Reads one.
    ///
    /// # Errors
    /// *invalid argument*, with the member.
    pub fn read(parameters: &Map<String, Value>) -> Result<Self, WebDriverError> {
        let credential_id = bytes(parameters, "credentialId")?.ok_or_else(|| missing("credentialId"))?;
        let is_resident = flag(parameters, "isResidentCredential")?.ok_or_else(|| missing("isResidentCredential"))?;
        let rp_id = text(parameters, "rpId")?.ok_or_else(|| missing("rpId"))?;
        check_rp_id(&rp_id)?;
        let private_key = bytes(parameters, "privateKey")?.ok_or_else(|| missing("privateKey"))?;
        let user_id = bytes(parameters, "userHandle")?;
        if is_resident && user_id.is_none() {
            return Err(WebDriverError::argument("userHandle is missing: a discoverable credential has one"));
        }
        let sign_count =
            match parameters.get("signCount") {
                None => Some(0),
                // As a synchronised passkey: it counts nothing.
                Some(Value::Null) => None,
                Some(value) => Some(value.as_u64().and_then(|count| u32::try_from(count).ok()).ok_or_else(|| {
                    WebDriverError::argument(format!("signCount is a number from 0 to {}", u32::MAX))
                })?),
            };
        let of_user = |name: &str| text(parameters, name).map(|text| text.filter(|_| is_resident));
        let credential = Credential {
            credential_id: Base64Url(credential_id),
            rp_id,
            private_key: Base64Url(private_key),
            // A credential that is not discoverable has no account here: nobody is told one.
            user_id: user_id.filter(|_| is_resident).map(Base64Url),
            user_name: of_user("userName")?,
            user_display_name: of_user("userDisplayName")?,
            sign_count,
            backup_eligible: false,
            backup_state: false,
            cred_protect: 1,
            third_party_payment: false,
            cred_blob: None,
            cred_random: None,
            large_blob_key: None,
        };
        Ok(Self {
            credential,
            backup_eligibility: flag(parameters, "backupEligibility")?,
            backup_state: flag(parameters, "backupState")?,
            large_blob: bytes(parameters, "largeBlob")?,
        })
    }
}

/// What Set Credential Properties is given: those that are to be others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// `backupEligibility`.
    pub backup_eligibility: Option<bool>,
    /// `backupState`.
    pub backup_state: Option<bool>,
}

impl Properties {
    /// Reads them.
    ///
    /// # Errors
    /// *invalid argument*, with the member.
    pub fn read(parameters: &Map<String, Value>) -> Result<Self, WebDriverError> {
        Ok(Self {
            backup_eligibility: flag(parameters, "backupEligibility")?,
            backup_state: flag(parameters, "backupState")?,
        })
    }
}

/// `isUserVerified` of Set User Verified.
///
/// # Errors
/// *invalid argument*.
pub fn is_user_verified(parameters: &Map<String, Value>) -> Result<bool, WebDriverError> {
    flag(parameters, "isUserVerified")?.ok_or_else(|| missing("isUserVerified"))
}

/// A credential, as Get Credentials tells it.
#[must_use]
pub fn parameters(credential: &Credential, large_blob: Option<&[u8]>) -> Value {
    let mut parameters = json!({
        "credentialId": credential.credential_id.to_string(),
        "isResidentCredential": credential.user_id.is_some(),
        "rpId": credential.rp_id,
        "privateKey": credential.private_key.to_string(),
        "signCount": credential.sign_count,
        "backupEligibility": credential.backup_eligible,
        "backupState": credential.backup_state,
    });
    let texts = [
        ("userHandle", credential.user_id.as_ref().map(ToString::to_string)),
        ("userName", credential.user_name.clone()),
        ("userDisplayName", credential.user_display_name.clone()),
        ("largeBlob", large_blob.map(|blob| BASE64URL.encode(blob))),
    ];
    if let Some(members) = parameters.as_object_mut() {
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.into());
            }
        }
    }
    parameters
}

/// The credential id in a path.
///
/// # Errors
/// *invalid argument*.
pub fn credential_id(text: &str) -> Result<Base64Url, WebDriverError> {
    let bytes = BASE64URL.decode(text);
    bytes.map(Base64Url).map_err(|_| WebDriverError::argument("the credential id in the path is not base64url"))
}

fn missing(name: &str) -> WebDriverError {
    WebDriverError::argument(format!("{name} is missing"))
}

fn text(parameters: &Map<String, Value>, name: &str) -> Result<Option<String>, WebDriverError> {
    match parameters.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(WebDriverError::argument(format!("{name} is a text"))),
    }
}

fn flag(parameters: &Map<String, Value>, name: &str) -> Result<Option<bool>, WebDriverError> {
    match parameters.get(name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(WebDriverError::argument(format!("{name} is true or false"))),
    }
}

/// Not the text: it may be a private key.
fn bytes(parameters: &Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, WebDriverError> {
    let Some(text) = text(parameters, name)? else { return Ok(None) };
    let bytes = BASE64URL.decode(text);
    bytes.map(Some).map_err(|_| WebDriverError::argument(format!("{name} is not base64url")))
}

/// A valid domain string, or what a browser makes of a loopback address (WebAuthn Level 3 §5.1.2).
fn check_rp_id(rp_id: &str) -> Result<(), WebDriverError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
    };
    if rp_id.len() <= 253 && rp_id.split('.').all(is_label) {
        return Ok(());
    }
    let shown: String = rp_id.chars().take(64).collect();
    Err(WebDriverError::argument(format!("rpId {shown:?} is not an RP ID: it is a domain, such as example.com")))
}

#[cfg(test)]
mod tests;
