//! `authenticatorGetInfo` of a statement (FIDO Metadata Statement 3.1 §3.13): what getInfo of the authenticator said when it was
//! certified, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits;

/// The members of getInfo (CTAP 2.3 §6.4) under their names.
///
/// Numbers are as they were written: no limit was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetInfo {
    /// 0x01.
    #[serde(deserialize_with = "limits::list")]
    pub versions: Vec<String>,
    /// 0x02.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// 0x03, 32 hexadecimal digits.
    pub aaguid: String,
    /// 0x04.
    #[serde(deserialize_with = "limits::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, bool>,
    /// 0x05, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_msg_size: Option<u64>,
    /// 0x06.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub pin_uv_auth_protocols: Vec<u64>,
    /// 0x07.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_credential_count_in_list: Option<u64>,
    /// 0x08, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_credential_id_length: Option<u64>,
    /// 0x09.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<String>,
    /// 0x0A.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Parameters>,
    /// 0x0B, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_serialized_large_blob_array: Option<u64>,
    /// 0x0C.
    #[serde(rename = "forcePINChange", skip_serializing_if = "Option::is_none")]
    pub force_pin_change: Option<bool>,
    /// 0x0D, Unicode code points.
    #[serde(rename = "minPINLength", skip_serializing_if = "Option::is_none")]
    pub min_pin_length: Option<u64>,
    /// 0x0E.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_version: Option<u64>,
    /// 0x0F, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cred_blob_length: Option<u64>,
    /// 0x10.
    #[serde(rename = "maxRPIDsForSetMinPINLength", skip_serializing_if = "Option::is_none")]
    pub max_rp_ids_for_set_min_pin_length: Option<u64>,
    /// 0x11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_platform_uv_attempts: Option<u64>,
    /// 0x12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uv_modality: Option<u64>,
    /// 0x13.
    #[serde(deserialize_with = "limits::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub certifications: BTreeMap<String, u64>,
    /// 0x14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_discoverable_credentials: Option<u64>,
    /// 0x15.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub vendor_prototype_config_commands: Vec<u64>,
    /// 0x16.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub attestation_formats: Vec<String>,
    /// 0x17.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uv_count_since_last_pin_entry: Option<u64>,
    /// 0x18.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_touch_for_reset: Option<bool>,
    /// 0x19: there, and without a value, as it is made when it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enc_identifier: Option<String>,
    /// 0x1A.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub transports_for_reset: Vec<String>,
    /// 0x1B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_complexity_policy: Option<bool>,
    /// 0x1C.
    #[serde(rename = "pinComplexityPolicyURL", skip_serializing_if = "Option::is_none")]
    pub pin_complexity_policy_url: Option<String>,
    /// 0x1D, Unicode code points.
    #[serde(rename = "maxPINLength", skip_serializing_if = "Option::is_none")]
    pub max_pin_length: Option<u64>,
    /// 0x1E: as 0x19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enc_cred_store_state: Option<String>,
    /// 0x1F.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub authenticator_config_commands: Vec<u64>,
}

/// One of `algorithms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The COSE algorithm identifier.
    pub alg: i64,
}
