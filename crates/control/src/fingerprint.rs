//! The commands about fingerprints, and their answer.

use keyrig_rack::KeyName;
use serde::{Deserialize, Serialize};

use crate::credential::Base64Url;
#[cfg(feature = "openapi")]
use crate::schema;

/// List the fingerprints that a key knows. No PIN is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ListFingerprints {
    /// The key.
    pub key: KeyName,
}

/// Have a key know another finger, without a PIN and without samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrollFingerprint {
    /// The key.
    pub key: KeyName,
    /// What it is called; without it, nothing.
    #[serde(default)]
    pub name: String,
}

/// Give a finger that a key knows another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenameFingerprint {
    /// The key.
    pub key: KeyName,
    /// The id of the template.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::template_id))]
    pub template_id: Base64Url,
    /// What it is to be called.
    pub name: String,
}

/// Have a key forget a finger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteFingerprint {
    /// The key.
    pub key: KeyName,
    /// The id of the template.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::template_id))]
    pub template_id: Base64Url,
}

/// The fingerprints that a key knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FingerprintList {
    /// The key.
    pub key: KeyName,
    /// The fingerprints, in the order of their ids.
    pub fingerprints: Vec<ListedFingerprint>,
}

/// A fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListedFingerprint {
    /// The id of its template.
    pub template_id: Base64Url,
    /// What it is called; empty before it is given a name.
    pub name: String,
}
