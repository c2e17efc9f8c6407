//! authenticatorGetInfo (CTAP 2.3 §6.4).

use crate::aaguid::Aaguid;
use crate::cbor::{Item, Writer};
use crate::entities::{CredentialParameters, list, numbered_entries, owned_text, text_entries};
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
    /// 0x14 `remainingDiscoverableCredentials`.
    pub remaining_discoverable_credentials: Option<u64>,
    /// 0x16 `attestationFormats`.
    pub attestation_formats: Vec<String>,
}

impl Response {
    /// The value of an option, if it is there.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<bool> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| *value)
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
                0x14 => info.remaining_discoverable_credentials = Some(value.unsigned()?),
                0x16 => info.attestation_formats = list(value, owned_text)?,
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
        fn filled<T>(list: &[T]) -> Option<&[T]> {
            (!list.is_empty()).then_some(list)
        }
        let mut options = self.options.clone();
        options.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
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
            map.optional(0x06, filled(&self.pin_uv_auth_protocols), |w, protocols| {
                w.array_of(protocols, |w, protocol| w.unsigned(*protocol))
            });
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
            map.optional(0x14, self.remaining_discoverable_credentials, Writer::unsigned);
            map.optional(0x16, filled(&self.attestation_formats), texts);
        })
    }
}
