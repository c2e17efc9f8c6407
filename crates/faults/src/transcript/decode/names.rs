//! How the specifications name commands and members (CTAP 2.3 §6, §12; WebAuthn Level 3 §6.5.1; RFC 9052 §7).

use keyrig_ctap::Command;
use keyrig_ctap::cbor::Item;
use keyrig_ctap::client_pin::Permissions;

/// What a member is, as far as there is more to say than its CBOR does.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Plain,
    /// Masked, if it is a byte string.
    Secret,
    Map(Names),
    /// Its members have names by its key type.
    CoseKey,
    Maps(Names),
    AuthenticatorData,
    Aaguid,
    Permissions,
    Certificates,
}

use Subject::{Aaguid, AuthenticatorData, Certificates, CoseKey, Map, Maps, Plain, Secret};

type Numbered = &'static [(i64, &'static str, Subject)];
type Texts = &'static [(&'static str, Subject)];

/// The names of a map's members: by number, or what is behind a text.
#[derive(Clone, Copy)]
pub(super) struct Names {
    numbered: Numbered,
    texts: Texts,
}

const fn numbered(numbered: Numbered) -> Names {
    Names { numbered, texts: &[] }
}

const fn texts(texts: Texts) -> Names {
    Names { numbered: &[], texts }
}

const NONE: Names = numbered(&[]);

/// A COSE_Key: common parameters, and those of OKP and EC2.
const COSE_KEY: Names =
    numbered(&[(1, "kty", Plain), (3, "alg", Plain), (-1, "crv", Plain), (-2, "x", Plain), (-3, "y", Plain)]);

/// One of the key type AKP (RFC 9964 §3).
const ALGORITHM_KEY_PAIR: Names = numbered(&[(1, "kty", Plain), (3, "alg", Plain), (-1, "pub", Plain)]);

/// The names of the parameters of a COSE_Key.
pub(super) fn of_cose_key(key: Item<'_>) -> Names {
    const AKP: i64 = 7;
    let kind = key.map().ok().and_then(|mut entries| entries.find(|(label, _)| label.integer() == Ok(1)));
    if kind.is_some_and(|(_, kind)| kind.integer() == Ok(AKP)) { ALGORITHM_KEY_PAIR } else { COSE_KEY }
}

const HMAC_SECRET: Names = numbered(&[
    (1, "keyAgreement", Map(COSE_KEY)),
    (2, "saltEnc", Secret),
    (3, "saltAuth", Plain),
    (4, "pinUvAuthProtocol", Plain),
]);

/// Extension inputs. What `hmac-secret` is at registration is no map.
const EXTENSION_INPUTS: Names = texts(&[("hmac-secret", Map(HMAC_SECRET)), ("hmac-secret-mc", Map(HMAC_SECRET))]);

/// Extension outputs. What `hmac-secret` is at registration is no byte string.
pub(super) const EXTENSION_OUTPUTS: Names = texts(&[("hmac-secret", Secret), ("hmac-secret-mc", Secret)]);

const STATEMENT: Names = texts(&[("x5c", Certificates)]);

const MAKE_CREDENTIAL: Names = numbered(&[
    (0x01, "clientDataHash", Plain),
    (0x02, "rp", Plain),
    (0x03, "user", Plain),
    (0x04, "pubKeyCredParams", Plain),
    (0x05, "excludeList", Plain),
    (0x06, "extensions", Map(EXTENSION_INPUTS)),
    (0x07, "options", Plain),
    (0x08, "pinUvAuthParam", Plain),
    (0x09, "pinUvAuthProtocol", Plain),
    (0x0A, "enterpriseAttestation", Plain),
    (0x0B, "attestationFormatsPreference", Plain),
]);

const GET_ASSERTION: Names = numbered(&[
    (0x01, "rpId", Plain),
    (0x02, "clientDataHash", Plain),
    (0x03, "allowList", Plain),
    (0x04, "extensions", Map(EXTENSION_INPUTS)),
    (0x05, "options", Plain),
    (0x06, "pinUvAuthParam", Plain),
    (0x07, "pinUvAuthProtocol", Plain),
    (0x08, "enterpriseAttestation", Plain),
    (0x09, "attestationFormatsPreference", Plain),
]);

const CLIENT_PIN: Names = numbered(&[
    (0x01, "pinUvAuthProtocol", Plain),
    (0x02, "subCommand", Plain),
    (0x03, "keyAgreement", Map(COSE_KEY)),
    (0x04, "pinUvAuthParam", Plain),
    (0x05, "newPinEnc", Secret),
    (0x06, "pinHashEnc", Secret),
    (0x09, "permissions", Subject::Permissions),
    (0x0A, "rpId", Plain),
]);

const BIO_ENROLLMENT: Names = numbered(&[
    (0x01, "modality", Plain),
    (0x02, "subCommand", Plain),
    (0x03, "subCommandParams", Map(BIO_ENROLLMENT_PARAMETERS)),
    (0x04, "pinUvAuthProtocol", Plain),
    (0x05, "pinUvAuthParam", Plain),
    (0x06, "getModality", Plain),
]);

const BIO_ENROLLMENT_PARAMETERS: Names = numbered(&[
    (0x01, "templateId", Plain),
    (0x02, "templateFriendlyName", Plain),
    (0x03, "timeoutMilliseconds", Plain),
]);

const CREDENTIAL_MANAGEMENT: Names = numbered(&[
    (0x01, "subCommand", Plain),
    (0x02, "subCommandParams", Map(CREDENTIAL_MANAGEMENT_PARAMETERS)),
    (0x03, "pinUvAuthProtocol", Plain),
    (0x04, "pinUvAuthParam", Plain),
]);

const CREDENTIAL_MANAGEMENT_PARAMETERS: Names =
    numbered(&[(0x01, "rpIDHash", Plain), (0x02, "credentialID", Plain), (0x03, "user", Plain)]);

const LARGE_BLOBS: Names = numbered(&[
    (0x01, "get", Plain),
    (0x02, "set", Plain),
    (0x03, "offset", Plain),
    (0x04, "length", Plain),
    (0x05, "pinUvAuthParam", Plain),
    (0x06, "pinUvAuthProtocol", Plain),
]);

const CONFIG: Names = numbered(&[
    (0x01, "subCommand", Plain),
    (0x02, "subCommandParams", Plain),
    (0x03, "pinUvAuthProtocol", Plain),
    (0x04, "pinUvAuthParam", Plain),
]);

const CONFIG_SET_MIN_PIN_LENGTH: Names = numbered(&[
    (0x01, "subCommand", Plain),
    (0x02, "subCommandParams", Map(SET_MIN_PIN_LENGTH_PARAMETERS)),
    (0x03, "pinUvAuthProtocol", Plain),
    (0x04, "pinUvAuthParam", Plain),
]);

const SET_MIN_PIN_LENGTH_PARAMETERS: Names = numbered(&[
    (0x01, "newMinPINLength", Plain),
    (0x02, "minPinLengthRPIDs", Plain),
    (0x03, "forceChangePin", Plain),
    (0x04, "pinComplexityPolicy", Plain),
]);

const MAKE_CREDENTIAL_RESPONSE: Names = numbered(&[
    (0x01, "fmt", Plain),
    (0x02, "authData", AuthenticatorData),
    (0x03, "attStmt", Map(STATEMENT)),
    (0x04, "epAtt", Plain),
    (0x05, "largeBlobKey", Secret),
    (0x06, "unsignedExtensionOutputs", Plain),
]);

const GET_ASSERTION_RESPONSE: Names = numbered(&[
    (0x01, "credential", Plain),
    (0x02, "authData", AuthenticatorData),
    (0x03, "signature", Plain),
    (0x04, "user", Plain),
    (0x05, "numberOfCredentials", Plain),
    (0x06, "userSelected", Plain),
    (0x07, "largeBlobKey", Secret),
    (0x08, "unsignedExtensionOutputs", Plain),
    (0x09, "epAtt", Plain),
    (0x0A, "attStmt", Map(STATEMENT)),
]);

const GET_INFO_RESPONSE: Names = numbered(&[
    (0x01, "versions", Plain),
    (0x02, "extensions", Plain),
    (0x03, "aaguid", Aaguid),
    (0x04, "options", Plain),
    (0x05, "maxMsgSize", Plain),
    (0x06, "pinUvAuthProtocols", Plain),
    (0x07, "maxCredentialCountInList", Plain),
    (0x08, "maxCredentialIdLength", Plain),
    (0x09, "transports", Plain),
    (0x0A, "algorithms", Plain),
    (0x0B, "maxSerializedLargeBlobArray", Plain),
    (0x0C, "forcePINChange", Plain),
    (0x0D, "minPINLength", Plain),
    (0x0E, "firmwareVersion", Plain),
    (0x0F, "maxCredBlobLength", Plain),
    (0x10, "maxRPIDsForSetMinPINLength", Plain),
    (0x11, "preferredPlatformUvAttempts", Plain),
    (0x12, "uvModality", Plain),
    (0x13, "certifications", Plain),
    (0x14, "remainingDiscoverableCredentials", Plain),
    (0x15, "vendorPrototypeConfigCommands", Plain),
    (0x16, "attestationFormats", Plain),
    (0x17, "uvCountSinceLastPinEntry", Plain),
    (0x18, "longTouchForReset", Plain),
    (0x19, "encIdentifier", Plain),
    (0x1A, "transportsForReset", Plain),
    (0x1B, "pinComplexityPolicy", Plain),
    (0x1C, "pinComplexityPolicyURL", Plain),
    (0x1D, "maxPINLength", Plain),
    (0x1E, "encCredStoreState", Plain),
    (0x1F, "authenticatorConfigCommands", Plain),
]);

const CLIENT_PIN_RESPONSE: Names = numbered(&[
    (0x01, "KeyAgreement", Map(COSE_KEY)),
    (0x02, "pinUvAuthToken", Secret),
    (0x03, "pinRetries", Plain),
    (0x04, "powerCycleState", Plain),
    (0x05, "uvRetries", Plain),
]);

const BIO_ENROLLMENT_RESPONSE: Names = numbered(&[
    (0x01, "modality", Plain),
    (0x02, "fingerprintKind", Plain),
    (0x03, "maxCaptureSamplesRequiredForEnroll", Plain),
    (0x04, "templateId", Plain),
    (0x05, "lastEnrollSampleStatus", Plain),
    (0x06, "remainingSamples", Plain),
    (0x07, "templateInfos", Maps(TEMPLATE_INFO)),
    (0x08, "maxTemplateFriendlyName", Plain),
]);

const TEMPLATE_INFO: Names = numbered(&[(0x01, "templateId", Plain), (0x02, "templateFriendlyName", Plain)]);

const CREDENTIAL_MANAGEMENT_RESPONSE: Names = numbered(&[
    (0x01, "existingResidentCredentialsCount", Plain),
    (0x02, "maxPossibleRemainingResidentCredentialsCount", Plain),
    (0x03, "rp", Plain),
    (0x04, "rpIDHash", Plain),
    (0x05, "totalRPs", Plain),
    (0x06, "user", Plain),
    (0x07, "credentialID", Plain),
    (0x08, "publicKey", CoseKey),
    (0x09, "totalCredentials", Plain),
    (0x0A, "credProtect", Plain),
    (0x0B, "largeBlobKey", Secret),
    (0x0C, "thirdPartyPayment", Plain),
]);

const LARGE_BLOBS_RESPONSE: Names = numbered(&[(0x01, "config", Plain)]);

impl Names {
    pub(super) fn none() -> Self {
        NONE
    }

    pub(super) fn of_request(command: Command, subcommand: Option<u64>) -> Self {
        match command {
            Command::MakeCredential => MAKE_CREDENTIAL,
            Command::GetAssertion => GET_ASSERTION,
            Command::ClientPin => CLIENT_PIN,
            Command::BioEnrollment | Command::BioEnrollmentPreview => BIO_ENROLLMENT,
            Command::CredentialManagement | Command::CredentialManagementPreview => CREDENTIAL_MANAGEMENT,
            Command::LargeBlobs => LARGE_BLOBS,
            Command::Config if subcommand == Some(0x03) => CONFIG_SET_MIN_PIN_LENGTH,
            Command::Config => CONFIG,
            _ => NONE,
        }
    }

    pub(super) fn of_response(command: Command) -> Self {
        match command {
            Command::MakeCredential => MAKE_CREDENTIAL_RESPONSE,
            Command::GetAssertion | Command::GetNextAssertion => GET_ASSERTION_RESPONSE,
            Command::GetInfo => GET_INFO_RESPONSE,
            Command::ClientPin => CLIENT_PIN_RESPONSE,
            Command::BioEnrollment | Command::BioEnrollmentPreview => BIO_ENROLLMENT_RESPONSE,
            Command::CredentialManagement | Command::CredentialManagementPreview => CREDENTIAL_MANAGEMENT_RESPONSE,
            Command::LargeBlobs => LARGE_BLOBS_RESPONSE,
            _ => NONE,
        }
    }

    /// The name of a member with this key, and what it is.
    pub(super) fn get(self, key: Item<'_>) -> (String, Subject) {
        if let Ok(text) = key.text() {
            let known = self.texts.iter().find(|(name, _)| *name == text);
            return (text.to_owned(), known.map_or(Plain, |(_, subject)| *subject));
        }
        let Ok(number) = key.integer() else {
            return (format!("key {}", hex::encode(key.encoded())), Plain);
        };
        match self.numbered.iter().find(|(known, ..)| *known == number) {
            Some((_, name, subject)) => ((*name).to_owned(), *subject),
            None => (number.to_string(), Plain),
        }
    }
}

/// The number of the member that holds the subcommand.
pub(super) fn subcommand_member(command: Command) -> Option<i64> {
    match command {
        Command::ClientPin | Command::BioEnrollment | Command::BioEnrollmentPreview => Some(0x02),
        Command::CredentialManagement | Command::CredentialManagementPreview | Command::Config => Some(0x01),
        _ => None,
    }
}

pub(super) fn subcommand(command: Command, number: u64) -> String {
    let name = match (command, number) {
        (Command::ClientPin, 0x01) => "getPINRetries",
        (Command::ClientPin, 0x02) => "getKeyAgreement",
        (Command::ClientPin, 0x03) => "setPIN",
        (Command::ClientPin, 0x04) => "changePIN",
        (Command::ClientPin, 0x05) => "getPinToken",
        (Command::ClientPin, 0x06) => "getPinUvAuthTokenUsingUvWithPermissions",
        (Command::ClientPin, 0x07) => "getUVRetries",
        (Command::ClientPin, 0x09) => "getPinUvAuthTokenUsingPinWithPermissions",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x01) => "enrollBegin",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x02) => "enrollCaptureNextSample",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x03) => "cancelCurrentEnrollment",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x04) => "enumerateEnrollments",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x05) => "setFriendlyName",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x06) => "removeEnrollment",
        (Command::BioEnrollment | Command::BioEnrollmentPreview, 0x07) => "getFingerprintSensorInfo",
        (Command::Config, 0x01) => "enableEnterpriseAttestation",
        (Command::Config, 0x02) => "toggleAlwaysUv",
        (Command::Config, 0x03) => "setMinPINLength",
        (Command::Config, 0x04) => "enableLongTouchForReset",
        (Command::Config, 0xFF) => "vendorPrototype",
        (Command::CredentialManagement | Command::CredentialManagementPreview, number) => match number {
            0x01 => "getCredsMetadata",
            0x02 => "enumerateRPsBegin",
            0x03 => "enumerateRPsGetNextRP",
            0x04 => "enumerateCredentialsBegin",
            0x05 => "enumerateCredentialsGetNextCredential",
            0x06 => "deleteCredential",
            0x07 => "updateUserInformation",
            _ => return format!("0x{number:02X}"),
        },
        _ => return format!("0x{number:02X}"),
    };
    name.to_owned()
}

/// The names of permissions, and what is left of bits without a name.
pub(super) fn permissions(bits: u64) -> Vec<String> {
    const NAMED: [(Permissions, &str); 7] = [
        (Permissions::MC, "mc"),
        (Permissions::GA, "ga"),
        (Permissions::CM, "cm"),
        (Permissions::BE, "be"),
        (Permissions::LBW, "lbw"),
        (Permissions::ACFG, "acfg"),
        (Permissions::PCMR, "pcmr"),
    ];
    let all = Permissions(bits);
    let mut names: Vec<_> =
        NAMED.iter().filter(|(bit, _)| all.contains(*bit)).map(|(_, name)| (*name).to_owned()).collect();
    let unnamed = NAMED.iter().fold(bits, |rest, (bit, _)| rest & !bit.0);
    if unnamed != 0 {
        names.push(format!("0x{unnamed:02X}"));
    }
    names
}
