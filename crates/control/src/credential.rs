//! Credentials as one key gives them and another takes them: JSON with bytes in base64url, as WebAuthn's has them.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_authenticator::credential::{CredRandom, CredentialSource, Properties};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;
use keyrig_rack::KeyName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(feature = "openapi")]
use crate::schema;

/// Bytes that JSON holds in base64url without padding (`Base64URLString`, WebAuthn Level 3 §5.1).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Base64Url(pub Vec<u8>);

impl fmt::Debug for Base64Url {
    /// They may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64Url({})", self.0.len())
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

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = URL_SAFE_NO_PAD.decode(text.as_str());
        // Not the text: it may be a secret.
        bytes.map(Self).map_err(|_| serde::de::Error::custom("this is not base64url without padding"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Base64Url {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        schema::base64url("Bytes in base64url without padding.").into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Base64Url {}

/// A credential with all that belongs to it; the private key is in it, unencrypted. What an export gives, an import takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The credential id, 1 to 1023 bytes, and no longer than the key takes one in a request (`maxCredentialIdLength`, `maxMsgSize`).
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::credential_id))]
    pub credential_id: Base64Url,
    /// The RP ID, no longer than the messages that the key takes; for CTAP1/U2F the AppID.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::rp_id))]
    pub rp_id: String,
    /// The private key, PKCS#8 in DER: ES256, EdDSA, ES384, or the seed of ML-DSA.
    pub private_key: Base64Url,
    /// The user handle, at most 64 bytes, and not empty where the key makes none with an empty one: a credential that has one is
    /// discoverable, and others are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::user_id))]
    pub user_id: Option<Base64Url>,
    /// `user.name`, of a discoverable credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// `user.displayName`, of a discoverable credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_display_name: Option<String>,
    /// The signature counter: the value in the last assertion, and the next has one more, so that 4294967295 is refused. Without it, it is
    /// always 0, as those of synchronised passkeys are.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::sign_count))]
    pub sign_count: Option<u32>,
    /// Whether it says that it is eligible for backup (BE).
    #[serde(default)]
    pub backup_eligible: bool,
    /// Whether it says that it is backed up (BS).
    #[serde(default)]
    pub backup_state: bool,
    /// The level of `credProtect`, 1 to 3.
    #[serde(default = "lowest_protection")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3))]
    pub cred_protect: u8,
    /// `thirdPartyPayment`.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub third_party_payment: bool,
    /// `credBlob`, of a discoverable credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cred_blob: Option<Base64Url>,
    /// What hmac-secret and prf compute with, `CredRandomWithUV` and `CredRandomWithoutUV` behind it, 64 bytes; without it the key that
    /// imports the credential has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::cred_random))]
    pub cred_random: Option<Base64Url>,
    /// `largeBlobKey`, 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::large_blob_key))]
    pub large_blob_key: Option<Base64Url>,
}

fn lowest_protection() -> u8 {
    1
}

/// A credential is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidCredential {
    /// The private key.
    #[error(
        "private_key is no PKCS#8 key of ES256 (P-256), EdDSA (Ed25519), ES384 (P-384) or ML-DSA (as a seed), in DER and base64url"
    )]
    PrivateKey,
    /// Names without a user.
    #[error("user_name and user_display_name belong to a discoverable credential, which has a user_id")]
    NamesWithoutUser,
    /// The level of credProtect.
    #[error("cred_protect is 1, 2 or 3")]
    CredProtect,
    /// The length of `CredRandom`.
    #[error("cred_random has 64 bytes")]
    CredRandom,
    /// The length of `largeBlobKey`.
    #[error("large_blob_key has 32 bytes")]
    LargeBlobKey,
}

impl TryFrom<Credential> for CredentialSource {
    type Error = InvalidCredential;

    fn try_from(credential: Credential) -> Result<Self, InvalidCredential> {
        let private_key = Zeroizing::new(credential.private_key.0);
        if credential.user_id.is_none() && (credential.user_name.is_some() || credential.user_display_name.is_some()) {
            return Err(InvalidCredential::NamesWithoutUser);
        }
        let protection = CredentialProtection::from_number(credential.cred_protect.into());
        let large_blob_key = credential.large_blob_key.map(|key| key.0.try_into()).transpose();
        Ok(Self {
            id: credential.credential_id.0,
            relying_party_id: credential.rp_id,
            private_key: PrivateKey::from_pkcs8(&private_key).ok_or(InvalidCredential::PrivateKey)?,
            user: credential.user_id.map(|id| User {
                id: id.0,
                name: credential.user_name,
                display_name: credential.user_display_name,
            }),
            properties: Properties {
                protection: protection.ok_or(InvalidCredential::CredProtect)?,
                third_party_payment: credential.third_party_payment,
            },
            cred_blob: credential.cred_blob.unwrap_or_default().0,
            counter: credential.sign_count,
            backup_eligible: credential.backup_eligible,
            backup_state: credential.backup_state,
            cred_random: credential.cred_random.map(|secrets| cred_random(&secrets.0)).transpose()?,
            large_blob_key: large_blob_key.map_err(|_| InvalidCredential::LargeBlobKey)?,
        })
    }
}

fn cred_random(secrets: &[u8]) -> Result<CredRandom, InvalidCredential> {
    let (with_uv, rest) = secrets.split_first_chunk().ok_or(InvalidCredential::CredRandom)?;
    let without_uv = rest.try_into().map_err(|_| InvalidCredential::CredRandom)?;
    Ok(CredRandom { with_uv: *with_uv, without_uv })
}

impl From<CredentialSource> for Credential {
    fn from(source: CredentialSource) -> Self {
        let private_key = Base64Url(source.private_key.to_pkcs8().to_vec());
        let (user_id, user_name, user_display_name) = user(source.user);
        Self {
            credential_id: Base64Url(source.id),
            rp_id: source.relying_party_id,
            private_key,
            user_id,
            user_name,
            user_display_name,
            sign_count: source.counter,
            backup_eligible: source.backup_eligible,
            backup_state: source.backup_state,
            cred_protect: protection(source.properties.protection),
            third_party_payment: source.properties.third_party_payment,
            cred_blob: Some(source.cred_blob).filter(|blob| !blob.is_empty()).map(Base64Url),
            cred_random: source.cred_random.map(|random| Base64Url([random.with_uv, random.without_uv].concat())),
            large_blob_key: source.large_blob_key.map(|key| Base64Url(key.to_vec())),
        }
    }
}

/// A credential as a key lists it: nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListedCredential {
    /// The credential id.
    pub credential_id: Base64Url,
    /// The RP ID; for CTAP1/U2F the AppID.
    pub rp_id: String,
    /// The user handle, of a discoverable credential.
    pub user_id: Option<Base64Url>,
    /// `user.name`.
    pub user_name: Option<String>,
    /// `user.displayName`.
    pub user_display_name: Option<String>,
    /// Whether it is discoverable.
    pub discoverable: bool,
    /// The algorithm, as IANA's registry of COSE spells it.
    pub algorithm: String,
    /// The signature counter; null if it is always 0.
    pub sign_count: Option<u32>,
    /// BE.
    pub backup_eligible: bool,
    /// BS.
    pub backup_state: bool,
    /// The level of `credProtect`.
    pub cred_protect: u8,
    /// Whether it has a key for the large-blob array.
    pub large_blob: bool,
}

impl From<CredentialSource> for ListedCredential {
    fn from(source: CredentialSource) -> Self {
        let (user_id, user_name, user_display_name) = user(source.user);
        Self {
            discoverable: user_id.is_some(),
            credential_id: Base64Url(source.id),
            rp_id: source.relying_party_id,
            user_id,
            user_name,
            user_display_name,
            algorithm: source.private_key.algorithm().name().to_owned(),
            sign_count: source.counter,
            backup_eligible: source.backup_eligible,
            backup_state: source.backup_state,
            cred_protect: protection(source.properties.protection),
            large_blob: source.large_blob_key.is_some(),
        }
    }
}

fn user(user: Option<User>) -> (Option<Base64Url>, Option<String>, Option<String>) {
    match user {
        Some(User { id, name, display_name }) => (Some(Base64Url(id)), name, display_name),
        None => (None, None, None),
    }
}

fn protection(level: CredentialProtection) -> u8 {
    u64::from(level).try_into().unwrap_or(lowest_protection())
}

/// Read a key's serialized large-blob array (CTAP 2.3 §6.10.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadLargeBlobs {
    /// The key.
    pub key: KeyName,
}

/// A key's serialized large-blob array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LargeBlobs {
    /// The key.
    pub key: KeyName,
    /// The array, encoded in CBOR, with the first 16 bytes of its SHA-256 behind it.
    pub array: Base64Url,
}

/// Write a key's serialized large-blob array, whole. No PIN is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WriteLargeBlobs {
    /// The key.
    pub key: KeyName,
    /// The array, as it is read.
    pub array: Base64Url,
}
