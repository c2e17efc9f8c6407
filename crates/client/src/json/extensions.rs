//! The client extensions of both ceremonies: what a page asks for, in the JSON forms of WebAuthn Level 3 §10.1, and CTAP 2.3
//! §12 for those that CTAP defines.
//!
//! An extension that is not known here is ignored, as browsers do.

use std::collections::BTreeMap;

use keyrig_ctap::extensions::CredentialProtection;

use super::invalid::InvalidJson;
use super::reader::Members;

/// `AuthenticationExtensionsClientInputsJSON`, for create().
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreationExtensions {
    /// Whether `appid` is there, which has no place at registration.
    pub app_id: bool,
    /// `appidExclude` (WebAuthn Level 3 §10.1.2).
    pub app_id_exclude: Option<String>,
    /// `credProps` (§10.1.3).
    pub cred_props: bool,
    /// `prf` (§10.1.4).
    pub prf: Option<PrfInputs>,
    /// `largeBlob` (§10.1.5).
    pub large_blob: Option<LargeBlobInputs>,
    /// `credentialProtectionPolicy` (CTAP 2.3 §12.1).
    pub credential_protection_policy: Option<CredentialProtection>,
    /// `enforceCredentialProtectionPolicy`.
    pub enforce_credential_protection_policy: bool,
    /// `credBlob` (CTAP 2.3 §12.2), decoded.
    pub cred_blob: Option<Vec<u8>>,
    /// `minPinLength` (CTAP 2.3 §12.5).
    pub min_pin_length: bool,
    /// `hmacCreateSecret` (CTAP 2.3 §12.7), which `prf` is built on.
    pub hmac_create_secret: bool,
}

/// `AuthenticationExtensionsClientInputsJSON`, for get().
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestExtensions {
    /// `appid` (WebAuthn Level 3 §10.1.1).
    pub app_id: Option<String>,
    /// `prf`.
    pub prf: Option<PrfInputs>,
    /// `largeBlob`.
    pub large_blob: Option<LargeBlobInputs>,
    /// `getCredBlob`.
    pub get_cred_blob: bool,
}

/// `AuthenticationExtensionsPRFInputs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrfInputs {
    /// `eval`.
    pub eval: Option<PrfValues>,
    /// `evalByCredential`: by credential id in base64url, as the page wrote it.
    pub eval_by_credential: Option<BTreeMap<String, PrfValues>>,
}

/// `AuthenticationExtensionsPRFValues`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrfValues {
    /// `first`.
    pub first: Vec<u8>,
    /// `second`.
    pub second: Option<Vec<u8>>,
}

/// `AuthenticationExtensionsLargeBlobInputs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LargeBlobInputs {
    /// `support`: whether it is required, or preferred.
    pub support: Option<LargeBlobSupport>,
    /// `read`.
    pub read: Option<bool>,
    /// `write`, decoded.
    pub write: Option<Vec<u8>>,
}

/// `LargeBlobSupport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargeBlobSupport {
    /// `required`.
    Required,
    /// `preferred`, and every text that is not known.
    Preferred,
}

impl CreationExtensions {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, InvalidJson> {
        Ok(Self {
            app_id: members.optional_text("appid")?.is_some(),
            app_id_exclude: members.optional_text("appidExclude")?,
            cred_props: members.optional_boolean("credProps")?.unwrap_or(false),
            large_blob: members
                .optional_dictionary("largeBlob")?
                .map(|blob| LargeBlobInputs::read(&blob))
                .transpose()?,
            prf: members.optional_dictionary("prf")?.map(|prf| PrfInputs::read(&prf)).transpose()?,
            credential_protection_policy: match members.optional_text("credentialProtectionPolicy")? {
                None => None,
                Some(text) => Some(policy(&text).ok_or_else(|| {
                    members.wrong_type("credentialProtectionPolicy", "a credential protection policy")
                })?),
            },
            enforce_credential_protection_policy: members
                .optional_boolean("enforceCredentialProtectionPolicy")?
                .unwrap_or(false),
            cred_blob: members.optional_bytes("credBlob")?,
            min_pin_length: members.optional_boolean("minPinLength")?.unwrap_or(false),
            hmac_create_secret: members.optional_boolean("hmacCreateSecret")?.unwrap_or(false),
        })
    }
}

impl RequestExtensions {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, InvalidJson> {
        Ok(Self {
            app_id: members.optional_text("appid")?,
            large_blob: members
                .optional_dictionary("largeBlob")?
                .map(|blob| LargeBlobInputs::read(&blob))
                .transpose()?,
            prf: members.optional_dictionary("prf")?.map(|prf| PrfInputs::read(&prf)).transpose()?,
            get_cred_blob: members.optional_boolean("getCredBlob")?.unwrap_or(false),
        })
    }
}

impl PrfInputs {
    fn read(members: &Members<'_>) -> Result<Self, InvalidJson> {
        Ok(Self {
            eval: members.optional_dictionary("eval")?.map(|eval| PrfValues::read(&eval)).transpose()?,
            eval_by_credential: members.optional_record("evalByCredential", PrfValues::read)?,
        })
    }
}

impl PrfValues {
    fn read(members: &Members<'_>) -> Result<Self, InvalidJson> {
        Ok(Self { first: members.bytes("first")?, second: members.optional_bytes("second")? })
    }
}

impl LargeBlobInputs {
    fn read(members: &Members<'_>) -> Result<Self, InvalidJson> {
        Ok(Self {
            support: members.optional_text("support")?.map(|text| match text.as_str() {
                "required" => LargeBlobSupport::Required,
                _ => LargeBlobSupport::Preferred,
            }),
            read: members.optional_boolean("read")?,
            write: members.optional_bytes("write")?,
        })
    }
}

fn policy(text: &str) -> Option<CredentialProtection> {
    match text {
        "userVerificationOptional" => Some(CredentialProtection::UserVerificationOptional),
        "userVerificationOptionalWithCredentialIDList" => {
            Some(CredentialProtection::UserVerificationOptionalWithCredentialIdList)
        }
        "userVerificationRequired" => Some(CredentialProtection::UserVerificationRequired),
        _ => None,
    }
}
