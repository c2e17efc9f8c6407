//! The extensions of makeCredential and getAssertion (CTAP 2.3 §12): typed inputs and outputs.
//!
//! The `extensions` member is a map from extension identifier to input; here it is read with the extensions that keyrig
//! knows, and the others are ignored, as an authenticator must. `largeBlobKey` has its output outside of authenticator data,
//! in the answer itself.

use crate::cbor::{Item, MapWriter, Writer};
use crate::cose::KeyAgreementKey;
use crate::entities::{Extensions, numbered_entries, owned_bytes, text_entries};
use crate::status::Status;

/// `credProtect` (CTAP 2.3 §12.1).
pub const CRED_PROTECT: &str = "credProtect";
/// `credBlob` (CTAP 2.3 §12.2).
pub const CRED_BLOB: &str = "credBlob";
/// `largeBlobKey` (CTAP 2.3 §12.3).
pub const LARGE_BLOB_KEY: &str = "largeBlobKey";
/// `minPinLength` (CTAP 2.3 §12.5).
pub const MIN_PIN_LENGTH: &str = "minPinLength";
/// `pinComplexityPolicy` (CTAP 2.3 §12.6).
pub const PIN_COMPLEXITY_POLICY: &str = "pinComplexityPolicy";
/// `hmac-secret` (CTAP 2.3 §12.7).
pub const HMAC_SECRET: &str = "hmac-secret";
/// `hmac-secret-mc` (CTAP 2.3 §12.8).
pub const HMAC_SECRET_MC: &str = "hmac-secret-mc";
/// `thirdPartyPayment` (CTAP 2.3 §12.9).
pub const THIRD_PARTY_PAYMENT: &str = "thirdPartyPayment";

/// `credProtect`: what a credential wants before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialProtection {
    /// 1 `userVerificationOptional`: what holds without the extension.
    #[default]
    UserVerificationOptional,
    /// 2 `userVerificationOptionalWithCredentialIDList`: user verification, or an allow list that names the credential.
    UserVerificationOptionalWithCredentialIdList,
    /// 3 `userVerificationRequired`.
    UserVerificationRequired,
}

impl CredentialProtection {
    /// The level with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::UserVerificationOptional),
            2 => Some(Self::UserVerificationOptionalWithCredentialIdList),
            3 => Some(Self::UserVerificationRequired),
            _ => None,
        }
    }

    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        Self::from_number(item.unsigned()?).ok_or(Status::InvalidOption)
    }
}

impl From<CredentialProtection> for u64 {
    fn from(level: CredentialProtection) -> Self {
        match level {
            CredentialProtection::UserVerificationOptional => 1,
            CredentialProtection::UserVerificationOptionalWithCredentialIdList => 2,
            CredentialProtection::UserVerificationRequired => 3,
        }
    }
}

/// The salts of `hmac-secret` and `hmac-secret-mc`, encrypted under the shared secret of a PIN/UV auth protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacSecretInput {
    /// 0x01 `keyAgreement`: the platform's key-agreement key.
    pub key_agreement: KeyAgreementKey,
    /// 0x02 `saltEnc`: one salt of 32 bytes or two, encrypted.
    pub salt_enc: Vec<u8>,
    /// 0x03 `saltAuth`: authenticates `saltEnc`.
    pub salt_auth: Vec<u8>,
    /// 0x04 `pinUvAuthProtocol`; 1 if absent.
    pub pin_uv_auth_protocol: Option<u64>,
}

impl HmacSecretInput {
    fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut key_agreement, mut salt_enc, mut salt_auth, mut pin_uv_auth_protocol) = (None, None, None, None);
        for (key, value) in numbered_entries(item)? {
            match key {
                0x01 => key_agreement = Some(KeyAgreementKey::decode(value)?),
                0x02 => salt_enc = Some(owned_bytes(value)?),
                0x03 => salt_auth = Some(owned_bytes(value)?),
                0x04 => pin_uv_auth_protocol = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(Self {
            key_agreement: key_agreement.ok_or(Status::MissingParameter)?,
            salt_enc: salt_enc.ok_or(Status::MissingParameter)?,
            salt_auth: salt_auth.ok_or(Status::MissingParameter)?,
            pin_uv_auth_protocol,
        })
    }

    fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| self.key_agreement.encode(w));
            map.entry(0x02, |w| w.bytes(&self.salt_enc));
            map.entry(0x03, |w| w.bytes(&self.salt_auth));
            map.optional(0x04, self.pin_uv_auth_protocol, Writer::unsigned);
        })
    }
}

/// Extension inputs of authenticatorMakeCredential. `false` is what a client that does not ask may say as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MakeCredentialInputs {
    /// `credProtect`.
    pub cred_protect: Option<CredentialProtection>,
    /// `credBlob`: what is to be stored with the credential.
    pub cred_blob: Option<Vec<u8>>,
    /// `largeBlobKey`: only true is allowed, which is for the authenticator to say.
    pub large_blob_key: Option<bool>,
    /// `minPinLength`.
    pub min_pin_length: Option<bool>,
    /// `pinComplexityPolicy`.
    pub pin_complexity_policy: Option<bool>,
    /// `hmac-secret`.
    pub hmac_secret: Option<bool>,
    /// `hmac-secret-mc`.
    pub hmac_secret_mc: Option<HmacSecretInput>,
    /// `thirdPartyPayment`.
    pub third_party_payment: Option<bool>,
}

impl MakeCredentialInputs {
    /// Reads the known extensions.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::CborUnexpectedType`], [`Status::MissingParameter`] or
    /// [`Status::InvalidParameter`] inside an input, [`Status::InvalidOption`] for a level that `credProtect` does not have.
    pub fn decode(extensions: &Extensions) -> Result<Self, Status> {
        let mut inputs = Self::default();
        for (identifier, value) in text_entries(Item::parse(extensions.encoded())?)? {
            match identifier {
                CRED_PROTECT => inputs.cred_protect = Some(CredentialProtection::decode(value)?),
                CRED_BLOB => inputs.cred_blob = Some(owned_bytes(value)?),
                LARGE_BLOB_KEY => inputs.large_blob_key = Some(value.boolean()?),
                MIN_PIN_LENGTH => inputs.min_pin_length = Some(value.boolean()?),
                PIN_COMPLEXITY_POLICY => inputs.pin_complexity_policy = Some(value.boolean()?),
                HMAC_SECRET => inputs.hmac_secret = Some(value.boolean()?),
                HMAC_SECRET_MC => inputs.hmac_secret_mc = Some(HmacSecretInput::decode(value)?),
                THIRD_PARTY_PAYMENT => inputs.third_party_payment = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(inputs)
    }

    /// The `extensions` member; nothing if there is no input.
    #[must_use]
    pub fn encode(&self) -> Option<Extensions> {
        let encoded = encoded(|map| {
            map.optional_text(CRED_BLOB, self.cred_blob.as_deref(), Writer::bytes);
            map.optional_text(CRED_PROTECT, self.cred_protect, |w, level| w.unsigned(level.into()));
            map.optional_text(HMAC_SECRET, self.hmac_secret, Writer::boolean);
            map.optional_text(LARGE_BLOB_KEY, self.large_blob_key, Writer::boolean);
            map.optional_text(MIN_PIN_LENGTH, self.min_pin_length, Writer::boolean);
            map.optional_text(HMAC_SECRET_MC, self.hmac_secret_mc.as_ref(), |w, input| input.encode(w));
            map.optional_text(THIRD_PARTY_PAYMENT, self.third_party_payment, Writer::boolean);
            map.optional_text(PIN_COMPLEXITY_POLICY, self.pin_complexity_policy, Writer::boolean);
        });
        (*self != Self::default()).then(|| Extensions::of(encoded))
    }
}

/// Extension inputs of authenticatorGetAssertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetAssertionInputs {
    /// `credBlob`: whether what was stored is wanted.
    pub cred_blob: Option<bool>,
    /// `largeBlobKey`: only true is allowed, which is for the authenticator to say.
    pub large_blob_key: Option<bool>,
    /// `hmac-secret`.
    pub hmac_secret: Option<HmacSecretInput>,
    /// `thirdPartyPayment`.
    pub third_party_payment: Option<bool>,
}

impl GetAssertionInputs {
    /// Reads the known extensions.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::CborUnexpectedType`], [`Status::MissingParameter`] or
    /// [`Status::InvalidParameter`] inside an input.
    pub fn decode(extensions: &Extensions) -> Result<Self, Status> {
        let mut inputs = Self::default();
        for (identifier, value) in text_entries(Item::parse(extensions.encoded())?)? {
            match identifier {
                CRED_BLOB => inputs.cred_blob = Some(value.boolean()?),
                LARGE_BLOB_KEY => inputs.large_blob_key = Some(value.boolean()?),
                HMAC_SECRET => inputs.hmac_secret = Some(HmacSecretInput::decode(value)?),
                THIRD_PARTY_PAYMENT => inputs.third_party_payment = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(inputs)
    }

    /// The `extensions` member; nothing if there is no input.
    #[must_use]
    pub fn encode(&self) -> Option<Extensions> {
        let encoded = encoded(|map| {
            map.optional_text(CRED_BLOB, self.cred_blob, Writer::boolean);
            map.optional_text(HMAC_SECRET, self.hmac_secret.as_ref(), |w, input| input.encode(w));
            map.optional_text(LARGE_BLOB_KEY, self.large_blob_key, Writer::boolean);
            map.optional_text(THIRD_PARTY_PAYMENT, self.third_party_payment, Writer::boolean);
        });
        (*self != Self::default()).then(|| Extensions::of(encoded))
    }
}

/// Extension outputs in the authenticator data of authenticatorMakeCredential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MakeCredentialOutputs {
    /// `credProtect`: the level that the credential has.
    pub cred_protect: Option<CredentialProtection>,
    /// `credBlob`: whether it was stored.
    pub cred_blob: Option<bool>,
    /// `minPinLength`: Unicode code points.
    pub min_pin_length: Option<u64>,
    /// `pinComplexityPolicy`: whether the authenticator holds one.
    pub pin_complexity_policy: Option<bool>,
    /// `hmac-secret`: whether the credential can do it.
    pub hmac_secret: Option<bool>,
    /// `hmac-secret-mc`: one output of 32 bytes or two, encrypted.
    pub hmac_secret_mc: Option<Vec<u8>>,
    /// `thirdPartyPayment`: not named by the specification at registration, but some send it.
    pub third_party_payment: Option<bool>,
}

impl MakeCredentialOutputs {
    /// Reads the known extensions from the map in authenticator data.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(extensions: &[u8]) -> Result<Self, Status> {
        let mut outputs = Self::default();
        for (identifier, value) in text_entries(Item::parse(extensions)?)? {
            match identifier {
                CRED_PROTECT => outputs.cred_protect = Some(CredentialProtection::decode(value)?),
                CRED_BLOB => outputs.cred_blob = Some(value.boolean()?),
                MIN_PIN_LENGTH => outputs.min_pin_length = Some(value.unsigned()?),
                PIN_COMPLEXITY_POLICY => outputs.pin_complexity_policy = Some(value.boolean()?),
                HMAC_SECRET => outputs.hmac_secret = Some(value.boolean()?),
                HMAC_SECRET_MC => outputs.hmac_secret_mc = Some(owned_bytes(value)?),
                THIRD_PARTY_PAYMENT => outputs.third_party_payment = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(outputs)
    }

    /// The map for authenticator data; nothing if there is no output.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let encoded = encoded(|map| {
            map.optional_text(CRED_BLOB, self.cred_blob, Writer::boolean);
            map.optional_text(CRED_PROTECT, self.cred_protect, |w, level| w.unsigned(level.into()));
            map.optional_text(HMAC_SECRET, self.hmac_secret, Writer::boolean);
            map.optional_text(MIN_PIN_LENGTH, self.min_pin_length, Writer::unsigned);
            map.optional_text(HMAC_SECRET_MC, self.hmac_secret_mc.as_deref(), Writer::bytes);
            map.optional_text(THIRD_PARTY_PAYMENT, self.third_party_payment, Writer::boolean);
            map.optional_text(PIN_COMPLEXITY_POLICY, self.pin_complexity_policy, Writer::boolean);
        });
        (*self != Self::default()).then_some(encoded)
    }
}

/// Extension outputs in the authenticator data of authenticatorGetAssertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetAssertionOutputs {
    /// `credBlob`: what was stored; empty if nothing was.
    pub cred_blob: Option<Vec<u8>>,
    /// `hmac-secret`: one output of 32 bytes or two, encrypted.
    pub hmac_secret: Option<Vec<u8>>,
    /// `thirdPartyPayment`: whether the credential was made for it.
    pub third_party_payment: Option<bool>,
}

impl GetAssertionOutputs {
    /// Reads the known extensions from the map in authenticator data.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(extensions: &[u8]) -> Result<Self, Status> {
        let mut outputs = Self::default();
        for (identifier, value) in text_entries(Item::parse(extensions)?)? {
            match identifier {
                CRED_BLOB => outputs.cred_blob = Some(owned_bytes(value)?),
                HMAC_SECRET => outputs.hmac_secret = Some(owned_bytes(value)?),
                THIRD_PARTY_PAYMENT => outputs.third_party_payment = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(outputs)
    }

    /// The map for authenticator data; nothing if there is no output.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let encoded = encoded(|map| {
            map.optional_text(CRED_BLOB, self.cred_blob.as_deref(), Writer::bytes);
            map.optional_text(HMAC_SECRET, self.hmac_secret.as_deref(), Writer::bytes);
            map.optional_text(THIRD_PARTY_PAYMENT, self.third_party_payment, Writer::boolean);
        });
        (*self != Self::default()).then_some(encoded)
    }
}

fn encoded(fill: impl FnOnce(&mut MapWriter<'_>)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(fill);
    writer.finish()
}
