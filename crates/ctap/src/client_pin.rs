//! authenticatorClientPIN (CTAP 2.3 §6.5).

use core::ops::BitOr;

use crate::cbor::{Item, Writer};
use crate::cose::KeyAgreementKey;
use crate::entities::{numbered_entries, owned_bytes, owned_text};
use crate::status::Status;

/// What authenticatorClientPIN is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subcommand {
    /// getPINRetries, 0x01.
    GetPinRetries,
    /// getKeyAgreement, 0x02.
    GetKeyAgreement,
    /// setPIN, 0x03.
    SetPin,
    /// changePIN, 0x04.
    ChangePin,
    /// getPinToken, 0x05: a token with the default permissions, superseded.
    GetPinToken,
    /// getPinUvAuthTokenUsingUvWithPermissions, 0x06.
    GetPinUvAuthTokenUsingUvWithPermissions,
    /// getUVRetries, 0x07.
    GetUvRetries,
    /// getPinUvAuthTokenUsingPinWithPermissions, 0x09.
    GetPinUvAuthTokenUsingPinWithPermissions,
    /// Any other number.
    Other(u64),
}

impl From<u64> for Subcommand {
    fn from(number: u64) -> Self {
        match number {
            0x01 => Self::GetPinRetries,
            0x02 => Self::GetKeyAgreement,
            0x03 => Self::SetPin,
            0x04 => Self::ChangePin,
            0x05 => Self::GetPinToken,
            0x06 => Self::GetPinUvAuthTokenUsingUvWithPermissions,
            0x07 => Self::GetUvRetries,
            0x09 => Self::GetPinUvAuthTokenUsingPinWithPermissions,
            other => Self::Other(other),
        }
    }
}

impl From<Subcommand> for u64 {
    fn from(subcommand: Subcommand) -> Self {
        match subcommand {
            Subcommand::GetPinRetries => 0x01,
            Subcommand::GetKeyAgreement => 0x02,
            Subcommand::SetPin => 0x03,
            Subcommand::ChangePin => 0x04,
            Subcommand::GetPinToken => 0x05,
            Subcommand::GetPinUvAuthTokenUsingUvWithPermissions => 0x06,
            Subcommand::GetUvRetries => 0x07,
            Subcommand::GetPinUvAuthTokenUsingPinWithPermissions => 0x09,
            Subcommand::Other(number) => number,
        }
    }
}

/// What a pinUvAuthToken may be used for: a set of bits (CTAP 2.3 §6.5.5.7).
///
/// Bits that the specification does not define are kept: an authenticator ignores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(pub u64);

impl Permissions {
    /// `mc`, MakeCredential. Needs an RP ID.
    pub const MC: Self = Self(0x01);
    /// `ga`, GetAssertion. Needs an RP ID.
    pub const GA: Self = Self(0x02);
    /// `cm`, Credential Management. An RP ID is optional.
    pub const CM: Self = Self(0x04);
    /// `be`, Bio Enrollment.
    pub const BE: Self = Self(0x08);
    /// `lbw`, Large Blob Write.
    pub const LBW: Self = Self(0x10);
    /// `acfg`, Authenticator Configuration.
    pub const ACFG: Self = Self(0x20);
    /// `pcmr`, Persistent Credential Management Read Only: alone it yields a token that outlives power-up.
    pub const PCMR: Self = Self(0x40);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits that are in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The parameters of authenticatorClientPIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// 0x01 `pinUvAuthProtocol`.
    pub pin_uv_auth_protocol: Option<u64>,
    /// 0x02 `subCommand`.
    pub subcommand: Subcommand,
    /// 0x03 `keyAgreement`: the platform's key-agreement key.
    pub key_agreement: Option<KeyAgreementKey>,
    /// 0x04 `pinUvAuthParam`.
    pub pin_uv_auth_param: Option<Vec<u8>>,
    /// 0x05 `newPinEnc`: the new PIN, padded to 64 bytes and encrypted under the shared secret.
    pub new_pin_enc: Option<Vec<u8>>,
    /// 0x06 `pinHashEnc`: the first 16 bytes of the PIN's SHA-256, encrypted under the shared secret.
    pub pin_hash_enc: Option<Vec<u8>>,
    /// 0x09 `permissions`: wanted of the token.
    pub permissions: Option<Permissions>,
    /// 0x0A `rpId`: what the token is bound to.
    pub rp_id: Option<String>,
}

impl Request {
    /// A request of nothing but a subcommand.
    #[must_use]
    pub fn new(subcommand: Subcommand) -> Self {
        Self {
            pin_uv_auth_protocol: None,
            subcommand,
            key_agreement: None,
            pin_uv_auth_param: None,
            new_pin_enc: None,
            pin_hash_enc: None,
            permissions: None,
            rp_id: None,
        }
    }

    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`], [`Status::CborUnexpectedType`],
    /// [`Status::MissingParameter`] without a subcommand, or [`Status::InvalidParameter`] for a key that is no
    /// key-agreement key.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut request = Self::new(Subcommand::Other(0));
        let mut subcommand = None;
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => request.pin_uv_auth_protocol = Some(value.unsigned()?),
                0x02 => subcommand = Some(Subcommand::from(value.unsigned()?)),
                0x03 => request.key_agreement = Some(KeyAgreementKey::decode(value)?),
                0x04 => request.pin_uv_auth_param = Some(owned_bytes(value)?),
                0x05 => request.new_pin_enc = Some(owned_bytes(value)?),
                0x06 => request.pin_hash_enc = Some(owned_bytes(value)?),
                0x09 => request.permissions = Some(Permissions(value.unsigned()?)),
                0x0A => request.rp_id = Some(owned_text(value)?),
                _ => {}
            }
        }
        request.subcommand = subcommand.ok_or(Status::MissingParameter)?;
        Ok(request)
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.pin_uv_auth_protocol, Writer::unsigned);
            map.entry(0x02, |w| w.unsigned(self.subcommand.into()));
            map.optional(0x03, self.key_agreement.as_ref(), |w, key| key.encode(w));
            map.optional(0x04, self.pin_uv_auth_param.as_deref(), Writer::bytes);
            map.optional(0x05, self.new_pin_enc.as_deref(), Writer::bytes);
            map.optional(0x06, self.pin_hash_enc.as_deref(), Writer::bytes);
            map.optional(0x09, self.permissions, |w, permissions| w.unsigned(permissions.0));
            map.optional(0x0A, self.rp_id.as_deref(), Writer::text);
        })
    }
}

/// The answer of authenticatorClientPIN. setPIN and changePIN have none but their status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0x01 `KeyAgreement`: the authenticator's key-agreement key.
    pub key_agreement: Option<KeyAgreementKey>,
    /// 0x02 `pinUvAuthToken`, encrypted under the shared secret.
    pub pin_uv_auth_token: Option<Vec<u8>>,
    /// 0x03 `pinRetries`: wrong PINs left before the PIN is blocked.
    pub pin_retries: Option<u64>,
    /// 0x04 `powerCycleState`: whether a power cycle is needed before the next attempt.
    pub power_cycle_state: Option<bool>,
    /// 0x05 `uvRetries`: failures of built-in user verification left.
    pub uv_retries: Option<u64>,
}

impl Response {
    /// Parses the response's map: what follows the status byte.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut response = Self::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => response.key_agreement = Some(KeyAgreementKey::decode(value)?),
                0x02 => response.pin_uv_auth_token = Some(owned_bytes(value)?),
                0x03 => response.pin_retries = Some(value.unsigned()?),
                0x04 => response.power_cycle_state = Some(value.boolean()?),
                0x05 => response.uv_retries = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(response)
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.key_agreement.as_ref(), |w, key| key.encode(w));
            map.optional(0x02, self.pin_uv_auth_token.as_deref(), Writer::bytes);
            map.optional(0x03, self.pin_retries, Writer::unsigned);
            map.optional(0x04, self.power_cycle_state, Writer::boolean);
            map.optional(0x05, self.uv_retries, Writer::unsigned);
        })
    }
}
