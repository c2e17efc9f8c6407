//! What is built, in the words of getInfo: a key says no more of itself, whatever its profile.

use keyrig_ctap::get_info::OptionId;

pub(super) const VERSIONS: [&str; 5] = ["FIDO_2_0", "FIDO_2_1", "FIDO_2_1_PRE", "FIDO_2_3", keyrig_ctap::u2f::VERSION];
pub(super) const OPTIONS: [OptionId; 20] = [
    OptionId::Rk,
    OptionId::Up,
    OptionId::Plat,
    OptionId::ClientPin,
    OptionId::PinUvAuthToken,
    OptionId::MakeCredUvNotRqd,
    OptionId::AlwaysUv,
    OptionId::AuthnrCfg,
    OptionId::CredMgmt,
    OptionId::CredentialMgmtPreview,
    OptionId::LargeBlobs,
    OptionId::PerCredMgmtRo,
    OptionId::SetMinPinLength,
    OptionId::Uv,
    OptionId::BioEnroll,
    OptionId::UserVerificationMgmtPreview,
    OptionId::UvBioEnroll,
    OptionId::UvAcfg,
    OptionId::NoMcGaPermissionsWithClientPin,
    OptionId::Ep,
];
pub(super) const EXTENSIONS: [&str; 8] = [
    "credBlob",
    "credProtect",
    "hmac-secret",
    "hmac-secret-mc",
    "largeBlobKey",
    "minPinLength",
    "pinComplexityPolicy",
    "thirdPartyPayment",
];
pub(super) const TRANSPORTS: [&str; 3] = ["usb", "internal", "hybrid"];
pub(super) const ATTESTATION_FORMATS: [&str; 2] = ["packed", "none"];
