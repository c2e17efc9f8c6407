//! The metadata statement of a profile (FIDO Metadata Statement 3.1 §4).

use keyrig_authenticator::Profile;
use keyrig_authenticator::attestation::Root;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::get_info::{self, OptionId};
use keyrig_metadata::{
    BiometricDescription, Certificate, GetInfo, Parameters, PasscodeDescription, Statement, VerificationMethod, Version,
};

pub(super) const LEGAL_HEADER: &str =
    "keyrig TEST metadata: of keys made of software, which nobody has certified. For tests alone.";

const PIN_RETRIES: u64 = 8;

/// What a maker would state of the key: that it is made of software, and attested by the root.
pub(super) fn of(profile: &Profile, root: &Root) -> Statement {
    let (info, ctap2) = (profile.info(), profile.has_ctap2());
    let description = format!("keyrig TEST: {}", profile.description);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Statement {
        legal_header: Some(LEGAL_HEADER.to_owned()),
        aaguid: ctap2.then_some(profile.aaguid),
        friendly_names: [("en-US".to_owned(), description.clone())].into(),
        description,
        authenticator_version: info.firmware_version.unwrap_or(1),
        protocol_family: if ctap2 { "fido2" } else { "u2f" }.to_owned(),
        schema: 3,
        upv: versions(&info),
        authentication_algorithms: profile.algorithms().iter().filter_map(|algorithm| registered(*algorithm)).collect(),
        public_key_alg_and_encodings: words(if ctap2 { &["cose"] } else { &["ecc_x962_raw"] }),
        attestation_types: words(&["basic_full"]),
        user_verification_details: verification(profile, &info),
        key_protection: words(&["software"]),
        matcher_protection: words(&["software"]),
        crypto_strength: Some(128),
        attachment_hint: words(&["external", "wired"]),
        attestation_root_certificates: vec![Certificate(root.certificate().to_vec())],
        authenticator_get_info: ctap2.then(|| get_info(&info)),
        ..Statement::default()
    }
}

/// The algorithm in the words of the FIDO Registry of Predefined Values, §3.6.1, which has none for ML-DSA: getInfo alone names it.
fn registered(algorithm: Algorithm) -> Option<String> {
    let name = match algorithm {
        Algorithm::Es256 => "secp256r1_ecdsa_sha256_raw",
        Algorithm::EdDsa => "ed25519_eddsa_sha512_raw",
        Algorithm::Es384 => "secp384r1_ecdsa_sha384_raw",
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => return None,
    };
    Some(name.to_owned())
}

fn versions(info: &get_info::Response) -> Vec<Version> {
    let minor = |version: &String| match version.as_str() {
        "FIDO_2_0" => Some(0),
        "FIDO_2_1" => Some(1),
        "FIDO_2_3" => Some(3),
        _ => None,
    };
    let versions: Vec<_> = info.versions.iter().filter_map(minor).map(|minor| Version { major: 1, minor }).collect();
    // U2F 1.2.
    if versions.is_empty() { vec![Version { major: 1, minor: 2 }] } else { versions }
}

fn verification(profile: &Profile, info: &get_info::Response) -> Vec<Vec<VerificationMethod>> {
    let method =
        |name: &str| VerificationMethod { user_verification_method: name.to_owned(), ca_desc: None, ba_desc: None };
    let presence = method("presence_internal");
    let mut details = vec![vec![presence.clone()]];
    if info.option(OptionId::ClientPin).is_some() {
        let passcode = PasscodeDescription {
            base: 64,
            min_length: info.min_pin_length.unwrap_or(4),
            max_retries: PIN_RETRIES,
            block_slowdown: 0,
        };
        details.push(vec![
            VerificationMethod { ca_desc: Some(passcode), ..method("passcode_external") },
            presence.clone(),
        ]);
    }
    if info.option(OptionId::Uv).is_some() {
        let sensor = BiometricDescription {
            max_templates: profile.fingerprints().map_or(1, |sensor| sensor.templates.into()),
            max_retries: profile.behaviour.uv_retries.into(),
            block_slowdown: 0,
        };
        details.push(vec![VerificationMethod { ba_desc: Some(sensor), ..method("fingerprint_internal") }, presence]);
    }
    details
}

/// getInfo of a new key.
fn get_info(info: &get_info::Response) -> GetInfo {
    GetInfo {
        versions: info.versions.clone(),
        extensions: info.extensions.clone(),
        aaguid: hexadecimal(&info.aaguid.0),
        options: info.options.iter().cloned().collect(),
        max_msg_size: info.max_msg_size,
        pin_uv_auth_protocols: info.pin_uv_auth_protocols.clone(),
        max_credential_count_in_list: info.max_credential_count_in_list,
        max_credential_id_length: info.max_credential_id_length,
        transports: info.transports.clone(),
        algorithms: info
            .algorithms
            .iter()
            .map(|parameters| Parameters { kind: parameters.kind.clone(), alg: parameters.algorithm })
            .collect(),
        max_serialized_large_blob_array: info.max_serialized_large_blob_array,
        force_pin_change: info.force_pin_change,
        min_pin_length: info.min_pin_length,
        firmware_version: info.firmware_version,
        max_cred_blob_length: info.max_cred_blob_length,
        max_rp_ids_for_set_min_pin_length: info.max_rp_ids_for_set_min_pin_length,
        preferred_platform_uv_attempts: info.preferred_platform_uv_attempts,
        uv_modality: info.uv_modality,
        certifications: info.certifications.iter().cloned().collect(),
        remaining_discoverable_credentials: info.remaining_discoverable_credentials,
        vendor_prototype_config_commands: info.vendor_prototype_config_commands.clone(),
        attestation_formats: info.attestation_formats.clone(),
        uv_count_since_last_pin_entry: info.uv_count_since_last_pin_entry,
        long_touch_for_reset: info.long_touch_for_reset,
        enc_identifier: None,
        transports_for_reset: info.transports_for_reset.clone(),
        pin_complexity_policy: info.pin_complexity_policy,
        pin_complexity_policy_url: None,
        max_pin_length: info.max_pin_length,
        enc_cred_store_state: None,
        authenticator_config_commands: info.authenticator_config_commands.clone(),
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
