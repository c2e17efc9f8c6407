//! Profiles: which key an authenticator is, as data.
//!
//! A profile describes the whole key that it is named after. What an authenticator says of itself is the profile intersected
//! with what is built here: a key that announces what it cannot do would be found out by the first client that tries.
//! [`Profile::withheld`] names the difference.

mod behaviour;
mod built;
mod device_info;
mod enterprise;
mod info;
mod quirk;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod virtual_authenticator;

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_ctap::Aaguid;
use keyrig_ctap::config::Subcommand;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialParameters, PUBLIC_KEY};
use keyrig_ctap::get_info::OptionId;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

pub use self::behaviour::{
    Behaviour, ChannelIds, EmptyRpList, Enumeration, Field, NoCredentials, Probe, Reading, RetriesWithoutPin, Stated,
    Touch,
};
pub use self::device_info::DeviceInfo;
pub use self::enterprise::{EnterpriseAttestation, EnterpriseRefused};
pub use self::quirk::{Need, Noticed, Quirk, QuirkRefused, UnknownQuirk};
pub use self::source::{Known, Source};
pub use self::value::{IdLength, StoredIdLength};
pub use self::virtual_authenticator::{
    UnknownVirtualExtension, VirtualAuthenticator, VirtualProtocol, VirtualTransport,
};
use crate::pin::SHORTEST_PIN;

/// The profiles that come with keyrig: name and text.
const BUILT_IN: [(&str, &str); 26] = [
    ("keyrig", include_str!("../../profiles/keyrig.toml")),
    ("keyrig-ml-dsa", include_str!("../../profiles/keyrig-ml-dsa.toml")),
    ("keyrig-uv", include_str!("../../profiles/keyrig-uv.toml")),
    ("synced-passkey", include_str!("../../profiles/synced-passkey.toml")),
    ("yubikey-5.8", include_str!("../../profiles/yubikey-5.8.toml")),
    ("yubikey-enterprise", include_str!("../../profiles/yubikey-enterprise.toml")),
    ("yubikey-5.7.4", include_str!("../../profiles/yubikey-5.7.4.toml")),
    ("yubikey-5.7", include_str!("../../profiles/yubikey-5.7.toml")),
    ("yubikey-5.4", include_str!("../../profiles/yubikey-5.4.toml")),
    ("yubikey-5.2", include_str!("../../profiles/yubikey-5.2.toml")),
    ("yubikey-bio-5.7", include_str!("../../profiles/yubikey-bio-5.7.toml")),
    ("yubikey-fips", include_str!("../../profiles/yubikey-fips.toml")),
    ("security-key-nfc-5.7", include_str!("../../profiles/security-key-nfc-5.7.toml")),
    ("security-key-5.1", include_str!("../../profiles/security-key-5.1.toml")),
    ("nitrokey-3", include_str!("../../profiles/nitrokey-3.toml")),
    ("solo-1", include_str!("../../profiles/solo-1.toml")),
    ("titan-v2", include_str!("../../profiles/titan-v2.toml")),
    ("feitian-epass", include_str!("../../profiles/feitian-epass.toml")),
    ("feitian-biopass", include_str!("../../profiles/feitian-biopass.toml")),
    ("token2-pin-plus", include_str!("../../profiles/token2-pin-plus.toml")),
    ("swissbit-ishield-2", include_str!("../../profiles/swissbit-ishield-2.toml")),
    ("crescendo", include_str!("../../profiles/crescendo.toml")),
    ("ctap-2.1", include_str!("../../profiles/ctap-2.1.toml")),
    ("ctap-2.1-pre", include_str!("../../profiles/ctap-2.1-pre.toml")),
    ("ctap-2.0", include_str!("../../profiles/ctap-2.0.toml")),
    ("u2f-only", include_str!("../../profiles/u2f-only.toml")),
];

/// The version string of keys that have CTAP1/U2F.
const U2F_V2: &str = keyrig_ctap::u2f::VERSION;

/// One model of security key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name by which it is chosen.
    #[serde(skip)]
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// The maker whose identity it carries, if it is an imitation.
    pub imitates: Option<String>,
    versions: Vec<String>,
    #[serde(default)]
    extensions: Vec<String>,
    /// The AAGUID.
    #[serde(deserialize_with = "aaguid")]
    pub aaguid: Aaguid,
    #[serde(deserialize_with = "algorithms")]
    algorithms: Vec<Algorithm>,
    #[serde(default)]
    transports: Vec<String>,
    #[serde(default)]
    attestation_formats: Vec<String>,
    #[serde(default)]
    pin_uv_auth_protocols: Vec<u64>,
    /// `maxMsgSize`, bytes.
    pub max_msg_size: u16,
    /// `maxCredentialCountInList`.
    pub max_credential_count_in_list: Option<u16>,
    /// `maxCredentialIdLength`, bytes.
    pub max_credential_id_length: Option<u16>,
    max_serialized_large_blob_array: Option<u64>,
    max_cred_blob_length: Option<u16>,
    max_rp_ids_for_set_min_pin_length: Option<u64>,
    min_pin_length: Option<u8>,
    force_pin_change: Option<bool>,
    pin_complexity_policy: Option<bool>,
    max_pin_length: Option<u8>,
    long_touch_for_reset: Option<bool>,
    #[serde(default)]
    transports_for_reset: Vec<String>,
    /// Whether getInfo says how many discoverable credentials still fit.
    #[serde(default)]
    remaining_discoverable_credentials: bool,
    /// Whether it says of all its transports that it has them, though none of them is built.
    #[serde(skip)]
    simulates_transports: bool,
    /// The subcommands of authenticatorConfig, if getInfo names them.
    authenticator_config_commands: Option<Vec<u64>>,
    firmware_version: Option<u64>,
    preferred_platform_uv_attempts: Option<u8>,
    fingerprints: Option<Fingerprints>,
    uv_modality: Option<u64>,
    /// Whether getInfo says how often built-in user verification was tried since the PIN was entered.
    #[serde(default)]
    uv_count_since_last_pin_entry: bool,
    /// For whom it gives enterprise attestations, if its options have `ep`.
    #[serde(default)]
    pub enterprise_attestation: EnterpriseAttestation,
    /// Whether getInfo names the algorithms, if that is not as its versions have it.
    tells_algorithms: Option<bool>,
    /// What getInfo of the real key has beyond the fields of this, as `member: value`.
    #[serde(default)]
    not_built: Vec<String>,
    /// How many discoverable credentials fit.
    pub discoverable_credentials: u32,
    #[serde(deserialize_with = "options")]
    options: BTreeMap<OptionId, bool>,
    /// What it does differently where getInfo says nothing of it.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// How it looks on USB. Without it the key is no device: it is there for clients that reach it by messages alone.
    pub usb: Option<Usb>,
    ctaphid: CtapHid,
    /// The names of the known bugs that it has beside what its profile says.
    #[serde(skip)]
    pub quirks: Vec<String>,
    /// What it tells its maker's tools, if it is a YubiKey.
    pub device_info: Option<DeviceInfo>,
    /// The record of a real key that it was compared with.
    pub compared_with: Option<String>,
    /// Fields beside behaviour that no record of a real key proves, and where their values come from.
    #[serde(default)]
    unproven: BTreeMap<String, String>,
}

/// How a key looks on USB.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usb {
    /// `idVendor`.
    pub vendor_id: u16,
    /// `idProduct`.
    pub product_id: u16,
    /// `bcdDevice`.
    pub device_release: u16,
    /// The manufacturer string.
    pub manufacturer: String,
    /// The product string.
    pub product: String,
    /// The serial number string, if it has one.
    pub serial: Option<String>,
    /// `bInterval` of both endpoints, milliseconds at full speed.
    pub interval: u8,
}

/// The sensor of a key that knows fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprints {
    /// `fingerprintKind`: 1 is touch, 2 is swipe.
    pub kind: u8,
    /// `maxCaptureSamplesRequiredForEnroll`: how many good samples there have to be of a finger.
    pub samples: u8,
    /// How many fingers it knows at most.
    pub templates: u8,
    /// `maxTemplateFriendlyName`, bytes.
    pub longest_name: u8,
    /// Whether it tells that.
    #[serde(default)]
    pub tells_longest_name: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CtapHid {
    version: [u8; 3],
    capabilities: Vec<Capability>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Capability {
    Wink,
    Cbor,
}

/// Why a text is not a profile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("profile {name}: {reason}")]
pub struct InvalidProfile {
    /// The name under which it was read.
    pub name: String,
    /// What is wrong and where, over several lines.
    #[source]
    pub reason: toml::de::Error,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`InvalidProfile`] if the text is not TOML, or a field is missing, unknown or out of range.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidProfile> {
        let invalid = |reason| InvalidProfile { name: name.to_owned(), reason };
        let profile: Self = toml::from_str(text).map_err(invalid)?;
        Ok(Self { name: name.to_owned(), ..profile })
    }

    /// The profile that comes with keyrig under this name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(name, text).expect("a profile that comes with keyrig is valid: a test reads them all"))
    }

    /// The names of the profiles that come with keyrig.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The algorithms with which the authenticator makes credentials, preferred first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether the authenticator can make a credential with this algorithm.
    #[must_use]
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// What no record of a real key proves, and why it is as it is: fields of the profile, its device information if that is
    /// guessed, and of its behaviour, as `behaviour.NAME`, those that are.
    #[must_use]
    pub fn unproven(&self) -> BTreeMap<String, String> {
        let guessed = self.behaviour.stated().filter(|stated| stated.source.known == Known::Guessed);
        let guessed = guessed.map(|stated| (format!("behaviour.{}", stated.field.name), stated.source.from.clone()));
        let device_info = self.device_info.as_ref().map(DeviceInfo::source);
        let device_info = device_info.filter(|source| source.known == Known::Guessed);
        let device_info = device_info.map(|source| ("device_info".to_owned(), source.from));
        self.unproven.clone().into_iter().chain(guessed).chain(device_info).collect()
    }

    /// Whether getInfo names the algorithms: since CTAP 2.1, if the profile does not say.
    fn tells_algorithms(&self) -> bool {
        self.tells_algorithms.unwrap_or_else(|| self.knows_ctap_2_1())
    }

    /// `maxCredentialCountInList`, if it is told.
    fn announced_list_limit(&self) -> Option<u16> {
        self.max_credential_count_in_list.filter(|_| self.behaviour.unannounced_list_limit.is_none())
    }

    /// How many ids a list may have, if there is a limit.
    pub(crate) fn list_limit(&self) -> Option<usize> {
        let unannounced = self.behaviour.unannounced_list_limit.map(usize::from);
        unannounced.or(self.max_credential_count_in_list.map(usize::from))
    }

    /// Whether the authenticator can make a credential by these parameters.
    pub(crate) fn knows(&self, parameters: &CredentialParameters) -> bool {
        parameters.kind == PUBLIC_KEY
            && Algorithm::from_identifier(parameters.algorithm).is_some_and(|algorithm| self.supports(algorithm))
    }

    /// The fields of behaviour in which an imitation goes by the specification because nothing is known of them.
    pub fn unknown(&self) -> impl Iterator<Item = Field> {
        self.behaviour.unknown().filter(|_| self.imitates.is_some())
    }

    /// Whether the key has CTAP2: without it a key knows CTAP1/U2F alone.
    #[must_use]
    pub fn has_ctap2(&self) -> bool {
        self.ctaphid.capabilities.contains(&Capability::Cbor)
    }

    /// Whether the key is of CTAP 2.1, a preview of it or later: only then it has authenticatorSelection, and `algorithms` in
    /// getInfo.
    pub(crate) fn knows_ctap_2_1(&self) -> bool {
        self.versions.iter().any(|version| !["FIDO_2_0", U2F_V2].contains(&version.as_str()))
    }

    /// Whether credentials may say that they are eligible for backup: since CTAP 2.1, and if the key says so of its own.
    pub(crate) fn has_backup_flags(&self) -> bool {
        self.knows_ctap_2_1() || self.behaviour.stores_all
    }

    /// The PIN/UV auth protocols, preferred first.
    pub(crate) fn pin_uv_auth_protocols(&self) -> &[u64] {
        &self.pin_uv_auth_protocols
    }

    /// `minPINLength` of a new key, code points: the specification's, if the profile does not say.
    pub(crate) fn min_pin_length(&self) -> u8 {
        self.min_pin_length.unwrap_or(SHORTEST_PIN)
    }

    /// Whether PINs that are easily guessed are refused.
    pub(crate) fn enforces_pin_complexity(&self) -> bool {
        self.pin_complexity_policy == Some(true)
    }

    /// Whether the authenticator has an extension.
    pub(crate) fn has_extension(&self, identifier: &str) -> bool {
        built::EXTENSIONS.contains(&identifier) && self.extensions.iter().any(|extension| extension == identifier)
    }

    /// `maxCredBlobLength`, bytes.
    pub(crate) fn max_cred_blob_length(&self) -> usize {
        self.max_cred_blob_length.map_or(0, usize::from)
    }

    /// The attestation statement formats, if the authenticator says which: only then it knows of
    /// `attestationFormatsPreference`.
    pub(crate) fn attestation_formats(&self) -> impl Iterator<Item = &str> {
        self.attestation_formats.iter().map(String::as_str).filter(|format| built::ATTESTATION_FORMATS.contains(format))
    }

    /// How long after power-up a reset is taken.
    pub(crate) fn reset_window(&self) -> Duration {
        Duration::from_secs(self.behaviour.reset_window.into())
    }

    /// Whether the key has a policy for PINs beyond their length, in force or not.
    pub(crate) fn has_pin_complexity_policy(&self) -> bool {
        self.pin_complexity_policy.is_some()
    }

    /// The shortest user handle that a discoverable credential may have, bytes.
    pub(crate) fn shortest_user_id(&self) -> usize {
        self.behaviour.empty_user_id_status.is_some().into()
    }

    /// `maxSerializedLargeBlobArray`, bytes: what the specification wants at least, if the profile does not say.
    pub(crate) fn max_serialized_large_blob_array(&self) -> u64 {
        self.max_serialized_large_blob_array.unwrap_or(1024)
    }

    /// `maxRPIDsForSetMinPINLength`, if the key has setMinPINLength.
    pub(crate) fn max_rp_ids_for_set_min_pin_length(&self) -> Option<u64> {
        self.option(OptionId::SetMinPinLength).and(self.max_rp_ids_for_set_min_pin_length)
    }

    /// The subcommands of authenticatorConfig that the key has.
    pub(crate) fn config_commands(&self) -> impl Iterator<Item = Subcommand> {
        let has = [
            (Subcommand::EnableEnterpriseAttestation, self.option(OptionId::Ep).is_some()),
            (Subcommand::ToggleAlwaysUv, self.option(OptionId::AlwaysUv).is_some()),
            (Subcommand::SetMinPinLength, self.option(OptionId::SetMinPinLength) == Some(true)),
            // A key that tells whether a reset wants a long touch need not have the subcommand: YubiKey 5.8.
            (Subcommand::EnableLongTouchForReset, self.long_touch_for_reset.is_some() && self.names_config_command(4)),
        ];
        let configurable = self.option(OptionId::AuthnrCfg) == Some(true);
        has.into_iter().filter(move |(_, has)| *has && configurable).map(|(subcommand, _)| subcommand)
    }

    fn names_config_command(&self, number: u64) -> bool {
        self.authenticator_config_commands.as_ref().is_some_and(|commands| commands.contains(&number))
    }

    /// Whether the key verifies its user itself, set up or not.
    #[must_use]
    pub fn has_built_in_uv(&self) -> bool {
        self.option(OptionId::Uv).is_some()
    }

    /// The sensor, if the key knows fingerprints.
    #[must_use]
    pub fn fingerprints(&self) -> Option<Fingerprints> {
        self.fingerprints
    }

    /// Whether the key has authenticatorClientPIN: for PINs, or for tokens by built-in user verification.
    pub(crate) fn has_client_pin(&self) -> bool {
        let by_uv = self.has_built_in_uv() && self.option(OptionId::PinUvAuthToken) == Some(true);
        by_uv || self.option(OptionId::ClientPin).is_some()
    }

    /// How many attempts at built-in user verification one request for a token has: one if the platform is to ask again, and
    /// otherwise as many as a ceremony (CTAP 2.3 §6.5.5.7.3 step 6).
    pub(crate) fn uv_attempts_per_token(&self) -> u8 {
        match self.preferred_platform_uv_attempts {
            Some(2..) => 1,
            _ => self.behaviour.uv_internal_attempts,
        }
    }

    /// Has the key list an RP ID for enterprise attestations, beside those that it lists.
    ///
    /// # Errors
    /// [`EnterpriseRefused`].
    pub fn list_for_enterprise(&mut self, rp_id: &str) -> Result<(), EnterpriseRefused> {
        if self.option(OptionId::Ep).is_none() {
            return Err(EnterpriseRefused::NotCapable { profile: self.name.clone() });
        }
        self.enterprise_attestation.list(rp_id)
    }

    /// An option that the authenticator has.
    pub(crate) fn option(&self, id: OptionId) -> Option<bool> {
        self.options.get(&id).copied().filter(|_| built::OPTIONS.contains(&id))
    }

    /// The device version in the answer to CTAPHID_INIT: major, minor, build.
    #[must_use]
    pub fn device_version(&self) -> [u8; 3] {
        self.ctaphid.version
    }

    /// The capability flags in the answer to CTAPHID_INIT (CTAP 2.3 §11.2.9.1.3). A key without CTAP1/U2F says NMSG.
    #[must_use]
    pub fn capabilities(&self) -> u8 {
        let flags = self.ctaphid.capabilities.iter().map(|capability| match capability {
            Capability::Wink => 0x01,
            Capability::Cbor => 0x04,
        });
        flags.fold(if self.has_u2f() { 0 } else { 0x08 }, |all, flag| all | flag)
    }

    /// Whether the key has CTAP1/U2F.
    #[must_use]
    pub fn has_u2f(&self) -> bool {
        self.versions.iter().any(|version| version == U2F_V2)
    }
}

fn aaguid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Aaguid, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<OptionId, bool>, D::Error> {
    let known = |(name, value): (String, bool)| match OptionId::from_name(&name) {
        Some(id) => Ok((id, value)),
        None => Err(serde::de::Error::custom(format!("option {name:?} is not known"))),
    };
    BTreeMap::<String, bool>::deserialize(deserializer)?.into_iter().map(known).collect()
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Algorithm>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let known = |name: &String| Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    names
        .iter()
        .map(|name| known(name).ok_or_else(|| serde::de::Error::custom(format!("algorithm {name:?} is not known"))))
        .collect()
}
