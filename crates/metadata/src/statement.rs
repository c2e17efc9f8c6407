//! Metadata statements (FIDO Metadata Statement 3.1 §4).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyrig_ctap::Aaguid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::get_info::GetInfo;
use crate::limits;

/// What a maker states of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statement {
    /// Under which terms the statement may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_header: Option<String>,
    /// The model, if it is of UAF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aaid: Option<String>,
    /// The model, if it is of FIDO2.
    #[serde(with = "aaguid", skip_serializing_if = "Option::is_none")]
    pub aaguid: Option<Aaguid>,
    /// The model, if it is of U2F: identifiers of the keys in its attestation certificates, hexadecimal.
    #[serde(deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub attestation_certificate_key_identifiers: Vec<String>,
    /// Its names, by language.
    #[serde(deserialize_with = "limits::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub friendly_names: BTreeMap<String, String>,
    /// What it is, in English.
    pub description: String,
    /// The earliest firmware that the statement is about.
    pub authenticator_version: u64,
    /// `uaf`, `u2f` or `fido2`.
    pub protocol_family: String,
    /// The version of the schema: 3.
    pub schema: u64,
    /// The versions of the protocol.
    #[serde(deserialize_with = "limits::list")]
    pub upv: Vec<Version>,
    /// What it signs with, in the words of the FIDO Registry of Predefined Values.
    #[serde(deserialize_with = "limits::list")]
    pub authentication_algorithms: Vec<String>,
    /// How public keys are written.
    #[serde(deserialize_with = "limits::list")]
    pub public_key_alg_and_encodings: Vec<String>,
    /// Of which types its attestation is.
    #[serde(deserialize_with = "limits::list")]
    pub attestation_types: Vec<String>,
    /// How it verifies users: one of these ways, each of which is all of its methods.
    #[serde(deserialize_with = "limits::lists")]
    pub user_verification_details: Vec<Vec<VerificationMethod>>,
    /// How private keys are protected.
    #[serde(deserialize_with = "limits::list")]
    pub key_protection: Vec<String>,
    /// How what verifies the user is protected.
    #[serde(deserialize_with = "limits::list")]
    pub matcher_protection: Vec<String>,
    /// The strength of its cryptography, bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crypto_strength: Option<u64>,
    /// How it is attached.
    #[serde(deserialize_with = "limits::list")]
    pub attachment_hint: Vec<String>,
    /// How it shows transactions.
    #[serde(deserialize_with = "limits::list")]
    pub tc_display: Vec<String>,
    /// The certificates that attestation leads to: roots, intermediates, or the attestation certificate itself.
    #[serde(deserialize_with = "limits::list")]
    pub attestation_root_certificates: Vec<Certificate>,
    /// getInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticator_get_info: Option<GetInfo>,
}

/// A version of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Before the point.
    pub major: u64,
    /// Behind it.
    pub minor: u64,
}

/// One method of verifying a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationMethod {
    /// Such as `passcode_external`, in the words of the FIDO Registry of Predefined Values.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_verification_method: String,
    /// Of a passcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_desc: Option<PasscodeDescription>,
    /// Of what is measured at a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ba_desc: Option<BiometricDescription>,
}

/// `CodeAccuracyDescriptor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasscodeDescription {
    /// How many different characters there are.
    #[serde(default)]
    pub base: u64,
    /// How many there are at least.
    #[serde(default)]
    pub min_length: u64,
    /// How often it may be wrong; zero is not stated.
    #[serde(default)]
    pub max_retries: u64,
    /// For how long the method is blocked then, seconds; zero is until something else unblocks it.
    #[serde(default)]
    pub block_slowdown: u64,
}

/// `BiometricAccuracyDescriptor`, without its rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BiometricDescription {
    /// How many templates there may be.
    #[serde(default)]
    pub max_templates: u64,
    /// How often it may fail; zero is not stated.
    #[serde(default)]
    pub max_retries: u64,
    /// For how long the method is blocked then, seconds.
    #[serde(default)]
    pub block_slowdown: u64,
}

/// A certificate, DER; written as Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(pub Vec<u8>);

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        // Some are broken into lines.
        text.retain(|character| !character.is_ascii_whitespace());
        STANDARD.decode(text).map(Self).map_err(|_| serde::de::Error::custom("a certificate is DER in Base64"))
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// An AAGUID that may be absent, as a UUID is written.
pub(crate) mod aaguid {
    use keyrig_ctap::Aaguid;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Aaguid>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }

    pub(crate) fn serialize<S: Serializer>(aaguid: &Option<Aaguid>, serializer: S) -> Result<S::Ok, S::Error> {
        aaguid.as_ref().map(ToString::to_string).serialize(serializer)
    }
}
