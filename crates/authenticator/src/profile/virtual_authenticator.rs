//! Virtual authenticators of WebDriver (WebAuthn Level 3 §11): keys that are described by a few properties.

use keyrig_ctap::extensions::{CRED_BLOB, CRED_PROTECT, HMAC_SECRET, LARGE_BLOB_KEY, MIN_PIN_LENGTH};
use keyrig_ctap::get_info::OptionId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Profile, Reading, U2F_V2};

/// What a virtual authenticator is told to be: the members of an authenticator configuration (WebAuthn Level 3 §11.3) that concern
/// the key. Who touches it, and whom it finds, is told to the rack.
///
/// It stores each credential, with a signature counter of its own, and takes the maps of requests in any order, as Firefox 153 does not
/// sort what it asks of keys of CTAP 2.0 that verify their user themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualAuthenticator {
    /// `protocol`.
    pub protocol: VirtualProtocol,
    /// `hasResidentKey`: whether it makes discoverable credentials.
    #[serde(default)]
    pub resident_keys: bool,
    /// `hasUserVerification`: whether it verifies its user itself. It knows no PINs.
    #[serde(default)]
    pub user_verification: bool,
    /// `extensions`, by the names that WebAuthn has for them: those of [`VirtualAuthenticator::EXTENSIONS`].
    #[serde(default)]
    pub extensions: Vec<String>,
    /// `defaultBackupEligibility`: BE of the credentials that it makes.
    #[serde(default)]
    pub backup_eligible: bool,
    /// `defaultBackupState`: BS of the credentials that it makes.
    #[serde(default)]
    pub backup_state: bool,
    /// `transport`: how it says that it is reached. One that is `internal` is the platform's own, on no USB.
    #[serde(default)]
    pub transport: VirtualTransport,
}

/// The transport that a virtual authenticator simulates: `AuthenticatorTransport` (WebAuthn Level 3 §5.8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VirtualTransport {
    /// USB.
    #[default]
    Usb,
    /// NFC.
    Nfc,
    /// Bluetooth Low Energy.
    Ble,
    /// ISO/IEC 7816 with contacts.
    SmartCard,
    /// A phone.
    Hybrid,
    /// The platform's own.
    Internal,
}

impl VirtualTransport {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Usb, Self::Nfc, Self::Ble, Self::SmartCard, Self::Hybrid, Self::Internal];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usb => "usb",
            Self::Nfc => "nfc",
            Self::Ble => "ble",
            Self::SmartCard => "smart-card",
            Self::Hybrid => "hybrid",
            Self::Internal => "internal",
        }
    }
}

/// The protocol that a virtual authenticator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VirtualProtocol {
    /// CTAP1/U2F.
    #[serde(rename = "ctap1/u2f")]
    U2f,
    /// CTAP 2.0.
    #[serde(rename = "ctap2")]
    Ctap2,
    /// CTAP 2.1.
    #[serde(rename = "ctap2_1")]
    Ctap2_1,
}

/// A virtual authenticator cannot have an extension.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no virtual authenticator has the extension {0:?}: there are {known}", known = VirtualAuthenticator::EXTENSIONS.join(", "))]
pub struct UnknownVirtualExtension(String);

/// The profile of each protocol that is changed.
const U2F: &str = "u2f-only";
const CTAP2: &str = "keyrig-uv";

/// keyrig's own, with the last byte of the section of WebAuthn Level 3 that describes it.
const AAGUID: &str = "6b657972-6967-4000-8000-000000000011";

impl VirtualAuthenticator {
    /// The extensions that one may have. `prf` is `hmac-secret`, and `largeBlob` stands on `largeBlobKey`.
    pub const EXTENSIONS: [&str; 5] = ["credBlob", "credProtect", "largeBlob", "minPinLength", "prf"];

    /// The key that is described.
    ///
    /// # Errors
    /// [`UnknownVirtualExtension`].
    ///
    /// # Panics
    /// Never: the profiles that it is made of come with keyrig.
    pub fn profile(&self) -> Result<Profile, UnknownVirtualExtension> {
        if let Some(unknown) = self.extensions.iter().find(|name| !Self::EXTENSIONS.contains(&name.as_str())) {
            return Err(UnknownVirtualExtension(unknown.chars().take(64).collect()));
        }
        let base = if self.protocol == VirtualProtocol::U2f { U2F } else { CTAP2 };
        let mut profile = Profile::built_in(base).expect("it comes with keyrig");
        "virtual-authenticator".clone_into(&mut profile.name);
        "a virtual authenticator of WebDriver".clone_into(&mut profile.description);
        if let Some(usb) = &mut profile.usb {
            usb.product = "keyrig virtual authenticator".to_owned();
        }
        if self.protocol == VirtualProtocol::U2f {
            return Ok(profile);
        }
        if self.is_of_platform() {
            profile.usb = None;
        }
        profile.transports = vec![self.transport.name().to_owned()];
        profile.simulates_transports = true;
        profile.behaviour.stores_all = true;
        profile.behaviour.counts_each_credential = true;
        // A user who is not known once may be the next time, for longer than any test.
        profile.behaviour.uv_retries = 25;
        profile.behaviour.uv_internal_attempts = 1;
        profile.behaviour.backup_eligible = self.backup_eligible;
        profile.behaviour.backup_state = self.backup_state;
        profile.behaviour.reading = Reading::AnyOrder;
        profile.aaguid = AAGUID.parse().expect("an AAGUID");
        let is_2_1 = self.protocol == VirtualProtocol::Ctap2_1;
        profile.versions = ["FIDO_2_1", "FIDO_2_0"].into_iter().skip(usize::from(!is_2_1)).map(str::to_owned).collect();
        debug_assert!(!profile.versions.iter().any(|version| version == U2F_V2));
        self.set_options(&mut profile, is_2_1);
        self.set_extensions(&mut profile);
        profile.pin_uv_auth_protocols = if is_2_1 { vec![2, 1] } else { vec![1] };
        let needs_protocol = self.user_verification && is_2_1 || profile.has_extension(HMAC_SECRET);
        profile.pin_uv_auth_protocols.retain(|_| needs_protocol);
        profile.authenticator_config_commands = None;
        profile.pin_complexity_policy = None;
        profile.long_touch_for_reset = None;
        profile.force_pin_change = None;
        profile.max_rp_ids_for_set_min_pin_length = None;
        profile.min_pin_length = profile.min_pin_length.filter(|_| profile.has_extension(MIN_PIN_LENGTH));
        profile.max_pin_length = None;
        profile.uv_count_since_last_pin_entry = false;
        profile.remaining_discoverable_credentials = is_2_1 && self.resident_keys;
        if !is_2_1 {
            profile.attestation_formats.clear();
            profile.transports_for_reset.clear();
            profile.firmware_version = None;
        }
        if !self.user_verification {
            profile.uv_modality = None;
            profile.preferred_platform_uv_attempts = None;
        }
        if !self.resident_keys {
            profile.discoverable_credentials = 0;
        }
        Ok(profile)
    }

    fn set_options(&self, profile: &mut Profile, is_2_1: bool) {
        let by_uv = self.user_verification && is_2_1;
        profile.options = [
            (OptionId::Rk, Some(self.resident_keys)),
            (OptionId::Up, Some(true)),
            (OptionId::Plat, Some(self.is_of_platform())),
            (OptionId::Uv, self.user_verification.then_some(true)),
            (OptionId::PinUvAuthToken, by_uv.then_some(true)),
            (OptionId::CredMgmt, (by_uv && self.resident_keys).then_some(true)),
            (OptionId::LargeBlobs, self.has("largeBlob").then_some(true)),
        ]
        .into_iter()
        .filter_map(|(option, value)| Some((option, value?)))
        .collect();
    }

    fn set_extensions(&self, profile: &mut Profile) {
        let known = [
            ("credBlob", CRED_BLOB),
            ("credProtect", CRED_PROTECT),
            ("largeBlob", LARGE_BLOB_KEY),
            ("minPinLength", MIN_PIN_LENGTH),
            ("prf", HMAC_SECRET),
        ];
        profile.extensions =
            known.into_iter().filter(|(name, _)| self.has(name)).map(|(_, extension)| extension.to_owned()).collect();
        if !self.has("credBlob") {
            profile.max_cred_blob_length = None;
        }
        if !self.has("largeBlob") {
            profile.max_serialized_large_blob_array = None;
        }
    }

    fn is_of_platform(&self) -> bool {
        self.transport == VirtualTransport::Internal
    }

    fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|name| name == extension)
    }
}
