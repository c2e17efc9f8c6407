//! getInfo of a profile: what it says of the whole key, as far as that is built.

use keyrig_ctap::entities::CredentialParameters;
use keyrig_ctap::get_info::{self, OptionId};

use super::{Profile, built};

impl Profile {
    /// What an authenticator of this profile says of itself: only what works.
    #[must_use]
    pub fn info(&self) -> get_info::Response {
        let kept = |values: &[String], built: &[&str]| -> Vec<String> {
            values.iter().filter(|value| built.contains(&value.as_str())).cloned().collect()
        };
        get_info::Response {
            versions: kept(&self.versions, &built::VERSIONS),
            extensions: kept(&self.extensions, &built::EXTENSIONS),
            aaguid: self.aaguid,
            options: self
                .options
                .iter()
                .filter(|(id, _)| built::OPTIONS.contains(id))
                .map(|(id, value)| (id.name().to_owned(), *value))
                .collect(),
            max_msg_size: Some(self.max_msg_size.into()),
            max_credential_count_in_list: self.announced_list_limit().map(u64::from),
            max_credential_id_length: self.max_credential_id_length.map(u64::from),
            transports: match self.simulates_transports {
                true => self.transports.clone(),
                false => kept(&self.transports, &built::TRANSPORTS),
            },
            algorithms: self
                .algorithms
                .iter()
                .filter(|_| self.tells_algorithms())
                .map(|algorithm| CredentialParameters::public_key(algorithm.identifier()))
                .collect(),
            pin_uv_auth_protocols: self.pin_uv_auth_protocols.clone(),
            preferred_platform_uv_attempts: self.preferred_platform_uv_attempts.map(u64::from),
            uv_modality: self.uv_modality,
            uv_count_since_last_pin_entry: self.uv_count_since_last_pin_entry.then_some(0),
            force_pin_change: self.force_pin_change,
            min_pin_length: self.min_pin_length.map(u64::from),
            max_serialized_large_blob_array: self
                .option(OptionId::LargeBlobs)
                .and(self.max_serialized_large_blob_array),
            max_rp_ids_for_set_min_pin_length: self.max_rp_ids_for_set_min_pin_length(),
            remaining_discoverable_credentials: self
                .remaining_discoverable_credentials
                .then_some(self.discoverable_credentials.into()),
            long_touch_for_reset: self.long_touch_for_reset,
            transports_for_reset: kept(&self.transports_for_reset, &built::TRANSPORTS),
            pin_complexity_policy: self.pin_complexity_policy,
            max_pin_length: self.max_pin_length.map(u64::from),
            authenticator_config_commands: self
                .config_commands()
                .map(u64::from)
                .filter(|number| self.names_config_command(*number))
                .collect(),
            firmware_version: self.firmware_version,
            max_cred_blob_length: self.max_cred_blob_length.map(u64::from),
            attestation_formats: kept(&self.attestation_formats, &built::ATTESTATION_FORMATS),
            ..get_info::Response::default()
        }
    }

    /// What the real key says of itself and this one does not, as `member: value`.
    #[must_use]
    pub fn withheld(&self) -> Vec<String> {
        let mut withheld = Vec::new();
        let mut list = |member: &str, values: &[String], built: &[&str]| {
            let missing = values.iter().filter(|value| !built.contains(&value.as_str()));
            withheld.extend(missing.map(|value| format!("{member}: {value}")));
        };
        list("versions", &self.versions, &built::VERSIONS);
        list("extensions", &self.extensions, &built::EXTENSIONS);
        list(
            "options",
            &self.options.keys().map(|id| id.name().to_owned()).collect::<Vec<_>>(),
            &built::OPTIONS.map(OptionId::name),
        );
        list("transports", &self.transports, &built::TRANSPORTS);
        list("attestationFormats", &self.attestation_formats, &built::ATTESTATION_FORMATS);
        withheld.extend(self.not_built.iter().cloned());
        withheld
    }
}
