//! authenticatorGetInfo (CTAP 2.3 §6.4).

use crate::aaguid::Aaguid;
use crate::cbor::{Item, Writer};
use crate::entities::{CredentialParameters, list, numbered_entries, owned_bytes, owned_text, text_entries};
use crate::status::Status;

/// What an authenticator says of itself.
///
/// Members that are `None` or empty are absent from the encoding: absent, and present with the default value, are
/// different things to some clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0x01 `versions`, such as `FIDO_2_0` and `U2F_V2`.
    pub versions: Vec<String>,
    /// 0x02 `extensions`: identifiers.
    pub extensions: Vec<String>,
    /// 0x03 `aaguid`.
    pub aaguid: Aaguid,
    /// 0x04 `options`, in any order: the encoding sorts them.
    pub options: Vec<(String, bool)>,
    /// 0x05 `maxMsgSize`, bytes; 1024 if absent.
    pub max_msg_size: Option<u64>,
    /// 0x06 `pinUvAuthProtocols`, preferred first.
    pub pin_uv_auth_protocols: Vec<u64>,
    /// 0x07 `maxCredentialCountInList`.
    pub max_credential_count_in_list: Option<u64>,
    /// 0x08 `maxCredentialIdLength`, bytes.
    pub max_credential_id_length: Option<u64>,
    /// 0x09 `transports`.
    pub transports: Vec<String>,
    /// 0x0A `algorithms`, preferred first.
    pub algorithms: Vec<CredentialParameters>,
    /// 0x0B `maxSerializedLargeBlobArray`, bytes.
    pub max_serialized_large_blob_array: Option<u64>,
    /// 0x0C `forcePINChange`.
    pub force_pin_change: Option<bool>,
    /// 0x0D `minPINLength`, Unicode code points.
    pub min_pin_length: Option<u64>,
    /// 0x0E `firmwareVersion`.
    pub firmware_version: Option<u64>,
    /// 0x0F `maxCredBlobLength`, bytes.
    pub max_cred_blob_length: Option<u64>,
    /// 0x10 `maxRPIDsForSetMinPINLength`.
    pub max_rp_ids_for_set_min_pin_length: Option<u64>,
    /// 0x11 `preferredPlatformUvAttempts`.
    pub preferred_platform_uv_attempts: Option<u64>,
    /// 0x12 `uvModality`: bits of the FIDO registry's user verification methods.
    pub uv_modality: Option<u64>,
    /// 0x13 `certifications`: identifiers and levels, in any order: the encoding sorts them.
    pub certifications: Vec<(String, u64)>,
    /// 0x14 `remainingDiscoverableCredentials`.
    pub remaining_discoverable_credentials: Option<u64>,
    /// 0x15 `vendorPrototypeConfigCommands`.
    pub vendor_prototype_config_commands: Vec<u64>,
    /// 0x16 `attestationFormats`.
    pub attestation_formats: Vec<String>,
    /// 0x17 `uvCountSinceLastPinEntry`.
    pub uv_count_since_last_pin_entry: Option<u64>,
    /// 0x18 `longTouchForReset`: a reset wants a long touch; false: it could be made to want one.
    pub long_touch_for_reset: Option<bool>,
    /// 0x19 `encIdentifier`: an identifier of the device, encrypted under the persistent token.
    pub enc_identifier: Option<Vec<u8>>,
    /// 0x1A `transportsForReset`.
    pub transports_for_reset: Vec<String>,
    /// 0x1B `pinComplexityPolicy`: whether there is one beyond the minimum length.
    pub pin_complexity_policy: Option<bool>,
    /// 0x1C `pinComplexityPolicyURL`: where the policy is explained.
    pub pin_complexity_policy_url: Option<Vec<u8>>,
    /// 0x1D `maxPINLength`, Unicode code points.
    pub max_pin_length: Option<u64>,
    /// 0x1E `encCredStoreState`: changes when what is stored does, encrypted under the persistent token.
    pub enc_cred_store_state: Option<Vec<u8>>,
    /// 0x1F `authenticatorConfigCommands`: the subcommands of authenticatorConfig.
    pub authenticator_config_commands: Vec<u64>,
}

/// An option ID that CTAP names (CTAP 2.3 §6.4, 0x04). Authenticators may have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OptionId {
    /// `plat`: the authenticator is part of the platform.
    Plat,
    /// `rk`: it makes discoverable credentials.
    Rk,
    /// `clientPin`: it takes a PIN; true: one is set.
    ClientPin,
    /// `up`: it tests for user presence.
    Up,
    /// `uv`: it has built-in user verification; true: it is set up.
    Uv,
    /// `pinUvAuthToken`: its tokens have permissions.
    PinUvAuthToken,
    /// `noMcGaPermissionsWithClientPin`: a PIN gives no token for makeCredential and getAssertion.
    NoMcGaPermissionsWithClientPin,
    /// `largeBlobs`: it has authenticatorLargeBlobs.
    LargeBlobs,
    /// `ep`: it has enterprise attestation; true: it is on.
    Ep,
    /// `bioEnroll`: it has authenticatorBioEnrollment; true: something is enrolled.
    BioEnroll,
    /// `userVerificationMgmtPreview`: the prototype of that.
    UserVerificationMgmtPreview,
    /// `uvBioEnroll`: built-in user verification may be what allows an enrolment.
    UvBioEnroll,
    /// `authnrCfg`: it has authenticatorConfig.
    AuthnrCfg,
    /// `uvAcfg`: built-in user verification may be what allows authenticatorConfig.
    UvAcfg,
    /// `credMgmt`: it has authenticatorCredentialManagement.
    CredMgmt,
    /// `perCredMgmtRO`: it has the persistent token that reads credentials' metadata.
    PerCredMgmtRo,
    /// `credentialMgmtPreview`: it has the prototype of credential management.
    CredentialMgmtPreview,
    /// `setMinPINLength`: it has setMinPINLength.
    SetMinPinLength,
    /// `makeCredUvNotRqd`: non-discoverable credentials are made without user verification.
    MakeCredUvNotRqd,
    /// `alwaysUv`: it can always want user verification; true: it does.
    AlwaysUv,
}

impl OptionId {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Plat,
        Self::Rk,
        Self::ClientPin,
        Self::Up,
        Self::Uv,
        Self::PinUvAuthToken,
        Self::NoMcGaPermissionsWithClientPin,
        Self::LargeBlobs,
        Self::Ep,
        Self::BioEnroll,
        Self::UserVerificationMgmtPreview,
        Self::UvBioEnroll,
        Self::AuthnrCfg,
        Self::UvAcfg,
        Self::CredMgmt,
        Self::PerCredMgmtRo,
        Self::CredentialMgmtPreview,
        Self::SetMinPinLength,
        Self::MakeCredUvNotRqd,
        Self::AlwaysUv,
    ];

    /// As it stands in getInfo.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plat => "plat",
            Self::Rk => "rk",
            Self::ClientPin => "clientPin",
            Self::Up => "up",
            Self::Uv => "uv",
            Self::PinUvAuthToken => "pinUvAuthToken",
            Self::NoMcGaPermissionsWithClientPin => "noMcGaPermissionsWithClientPin",
            Self::LargeBlobs => "largeBlobs",
            Self::Ep => "ep",
            Self::BioEnroll => "bioEnroll",
            Self::UserVerificationMgmtPreview => "userVerificationMgmtPreview",
            Self::UvBioEnroll => "uvBioEnroll",
            Self::AuthnrCfg => "authnrCfg",
            Self::UvAcfg => "uvAcfg",
            Self::CredMgmt => "credMgmt",
            Self::PerCredMgmtRo => "perCredMgmtRO",
            Self::CredentialMgmtPreview => "credentialMgmtPreview",
            Self::SetMinPinLength => "setMinPINLength",
            Self::MakeCredUvNotRqd => "makeCredUvNotRqd",
            Self::AlwaysUv => "alwaysUv",
        }
    }

    /// The option with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }
}

impl Response {
    /// The value of an option, if it is there.
    #[must_use]
    pub fn option(&self, id: OptionId) -> Option<bool> {
        self.options.iter().find(|(option, _)| option == id.name()).map(|(_, value)| *value)
    }

    /// Parses the response's map: what follows the status byte. Unknown members are ignored.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut info = Self::default();
        let (mut versions, mut aaguid) = (None, None);
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => versions = Some(list(value, owned_text)?),
                0x02 => info.extensions = list(value, owned_text)?,
                0x03 => aaguid = Some(Aaguid(value.bytes()?.try_into().map_err(|_| Status::InvalidLength)?)),
                0x04 => {
                    for (name, value) in text_entries(value)? {
                        info.options.push((name.to_owned(), value.boolean()?));
                    }
                }
                0x05 => info.max_msg_size = Some(value.unsigned()?),
                0x06 => info.pin_uv_auth_protocols = list(value, |item| item.unsigned())?,
                0x07 => info.max_credential_count_in_list = Some(value.unsigned()?),
                0x08 => info.max_credential_id_length = Some(value.unsigned()?),
                0x09 => info.transports = list(value, owned_text)?,
                0x0A => info.algorithms = list(value, CredentialParameters::decode)?,
                0x0B => info.max_serialized_large_blob_array = Some(value.unsigned()?),
                0x0C => info.force_pin_change = Some(value.boolean()?),
                0x0D => info.min_pin_length = Some(value.unsigned()?),
                0x0E => info.firmware_version = Some(value.unsigned()?),
                0x0F => info.max_cred_blob_length = Some(value.unsigned()?),
                0x10 => info.max_rp_ids_for_set_min_pin_length = Some(value.unsigned()?),
                0x11 => info.preferred_platform_uv_attempts = Some(value.unsigned()?),
                0x12 => info.uv_modality = Some(value.unsigned()?),
                0x13 => {
                    for (name, value) in text_entries(value)? {
                        info.certifications.push((name.to_owned(), value.unsigned()?));
                    }
                }
                0x14 => info.remaining_discoverable_credentials = Some(value.unsigned()?),
                0x15 => info.vendor_prototype_config_commands = list(value, |item| item.unsigned())?,
                0x16 => info.attestation_formats = list(value, owned_text)?,
                0x17 => info.uv_count_since_last_pin_entry = Some(value.unsigned()?),
                0x18 => info.long_touch_for_reset = Some(value.boolean()?),
                0x19 => info.enc_identifier = Some(owned_bytes(value)?),
                0x1A => info.transports_for_reset = list(value, owned_text)?,
                0x1B => info.pin_complexity_policy = Some(value.boolean()?),
                0x1C => info.pin_complexity_policy_url = Some(owned_bytes(value)?),
                0x1D => info.max_pin_length = Some(value.unsigned()?),
                0x1E => info.enc_cred_store_state = Some(owned_bytes(value)?),
                0x1F => info.authenticator_config_commands = list(value, |item| item.unsigned())?,
                _ => {}
            }
        }
        info.versions = versions.ok_or(Status::MissingParameter)?;
        info.aaguid = aaguid.ok_or(Status::MissingParameter)?;
        Ok(info)
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        fn texts<'w>(writer: &'w mut Writer, texts: &[String]) -> &'w mut Writer {
            writer.array_of(texts, |w, text| w.text(text))
        }
        fn numbers<'w>(writer: &'w mut Writer, numbers: &[u64]) -> &'w mut Writer {
            writer.array_of(numbers, |w, number| w.unsigned(*number))
        }
        fn filled<T>(list: &[T]) -> Option<&[T]> {
            (!list.is_empty()).then_some(list)
        }
        fn sorted<T: Clone>(entries: &[(String, T)]) -> Vec<(String, T)> {
            let mut entries = entries.to_vec();
            entries.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
            entries
        }
        let (options, certifications) = (sorted(&self.options), sorted(&self.certifications));
        writer.map(|map| {
            map.entry(0x01, |w| texts(w, &self.versions));
            map.optional(0x02, filled(&self.extensions), texts);
            map.entry(0x03, |w| w.bytes(&self.aaguid.0));
            map.optional(0x04, filled(&options), |w, options| {
                w.map(|map| {
                    for (name, value) in options {
                        map.text_entry(name, |w| w.boolean(*value));
                    }
                })
            });
            map.optional(0x05, self.max_msg_size, Writer::unsigned);
            map.optional(0x06, filled(&self.pin_uv_auth_protocols), numbers);
            map.optional(0x07, self.max_credential_count_in_list, Writer::unsigned);
            map.optional(0x08, self.max_credential_id_length, Writer::unsigned);
            map.optional(0x09, filled(&self.transports), texts);
            map.optional(0x0A, filled(&self.algorithms), |w, algorithms| {
                w.array_of(algorithms, |w, parameters| parameters.encode(w))
            });
            map.optional(0x0B, self.max_serialized_large_blob_array, Writer::unsigned);
            map.optional(0x0C, self.force_pin_change, Writer::boolean);
            map.optional(0x0D, self.min_pin_length, Writer::unsigned);
            map.optional(0x0E, self.firmware_version, Writer::unsigned);
            map.optional(0x0F, self.max_cred_blob_length, Writer::unsigned);
            map.optional(0x10, self.max_rp_ids_for_set_min_pin_length, Writer::unsigned);
            map.optional(0x11, self.preferred_platform_uv_attempts, Writer::unsigned);
            map.optional(0x12, self.uv_modality, Writer::unsigned);
            map.optional(0x13, filled(&certifications), |w, certifications| {
                w.map(|map| {
                    for (name, level) in certifications {
                        map.text_entry(name, |w| w.unsigned(*level));
                    }
                })
            });
            map.optional(0x14, self.remaining_discoverable_credentials, Writer::unsigned);
            map.optional(0x15, filled(&self.vendor_prototype_config_commands), numbers);
            map.optional(0x16, filled(&self.attestation_formats), texts);
            map.optional(0x17, self.uv_count_since_last_pin_entry, Writer::unsigned);
            map.optional(0x18, self.long_touch_for_reset, Writer::boolean);
            map.optional(0x19, self.enc_identifier.as_deref(), Writer::bytes);
            map.optional(0x1A, filled(&self.transports_for_reset), texts);
            map.optional(0x1B, self.pin_complexity_policy, Writer::boolean);
            map.optional(0x1C, self.pin_complexity_policy_url.as_deref(), Writer::bytes);
            map.optional(0x1D, self.max_pin_length, Writer::unsigned);
            map.optional(0x1E, self.enc_cred_store_state.as_deref(), Writer::bytes);
            map.optional(0x1F, filled(&self.authenticator_config_commands), numbers);
        })
    }
}
