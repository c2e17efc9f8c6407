//! authenticatorConfig (CTAP 2.3 §6.11).

use crate::cbor::{Item, Writer};
use crate::entities::{PinUvAuth, list, numbered_entries, owned_bytes, owned_text};
use crate::status::Status;

/// `subCommand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subcommand {
    /// 0x01 `enableEnterpriseAttestation`.
    EnableEnterpriseAttestation,
    /// 0x02 `toggleAlwaysUv`.
    ToggleAlwaysUv,
    /// 0x03 `setMinPINLength`.
    SetMinPinLength,
    /// 0x04 `enableLongTouchForReset`.
    EnableLongTouchForReset,
    /// 0xFF `vendorPrototype`.
    VendorPrototype,
    /// Any other number.
    Other(u64),
}

impl From<u64> for Subcommand {
    fn from(number: u64) -> Self {
        match number {
            0x01 => Self::EnableEnterpriseAttestation,
            0x02 => Self::ToggleAlwaysUv,
            0x03 => Self::SetMinPinLength,
            0x04 => Self::EnableLongTouchForReset,
            0xFF => Self::VendorPrototype,
            other => Self::Other(other),
        }
    }
}

impl From<Subcommand> for u64 {
    fn from(subcommand: Subcommand) -> Self {
        match subcommand {
            Subcommand::EnableEnterpriseAttestation => 0x01,
            Subcommand::ToggleAlwaysUv => 0x02,
            Subcommand::SetMinPinLength => 0x03,
            Subcommand::EnableLongTouchForReset => 0x04,
            Subcommand::VendorPrototype => 0xFF,
            Subcommand::Other(number) => number,
        }
    }
}

/// `subCommandParams` of `setMinPINLength` (CTAP 2.3 §6.11.4), the one subcommand of the specification that has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// 0x01 `newMinPINLength`, Unicode code points.
    pub new_min_pin_length: Option<u64>,
    /// 0x02 `minPinLengthRPIDs`: who may learn the minimum length by the `minPinLength` extension.
    pub min_pin_length_rp_ids: Option<Vec<String>>,
    /// 0x03 `forceChangePin`.
    pub force_change_pin: Option<bool>,
    /// 0x04 `pinComplexityPolicy`: whether the authenticator is to hold its own policy, beyond the minimum length.
    pub pin_complexity_policy: Option<bool>,
}

impl Parameters {
    fn decode(item: Item<'_>) -> Result<Self, Status> {
        let mut parameters = Self::default();
        for (key, value) in numbered_entries(item)? {
            match key {
                0x01 => parameters.new_min_pin_length = Some(value.unsigned()?),
                0x02 => parameters.min_pin_length_rp_ids = Some(list(value, owned_text)?),
                0x03 => parameters.force_change_pin = Some(value.boolean()?),
                0x04 => parameters.pin_complexity_policy = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(parameters)
    }

    fn encode(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        let mut writer = Writer::new();
        writer.map(|map| {
            map.optional(0x01, self.new_min_pin_length, Writer::unsigned);
            map.optional(0x02, self.min_pin_length_rp_ids.as_deref(), |w, ids| w.array_of(ids, |w, id| w.text(id)));
            map.optional(0x03, self.force_change_pin, Writer::boolean);
            map.optional(0x04, self.pin_complexity_policy, Writer::boolean);
        });
        Some(writer.finish())
    }
}

/// The parameters of authenticatorConfig. Its answer is a status alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    subcommand: Subcommand,
    parameters: Parameters,
    /// `subCommandParams` as they stand in the message: `pinUvAuthParam` is over these very bytes.
    encoded_parameters: Option<Vec<u8>>,
    /// `pinUvAuthParam` and `pinUvAuthProtocol`.
    pub pin_uv_auth: PinUvAuth,
}

impl Request {
    /// A request that is not authenticated yet. Parameters of which none is there are left out.
    #[must_use]
    pub fn new(subcommand: Subcommand, parameters: Parameters) -> Self {
        let encoded_parameters = parameters.encode();
        Self { subcommand, parameters, encoded_parameters, pin_uv_auth: PinUvAuth::default() }
    }

    /// `subCommand`.
    #[must_use]
    pub fn subcommand(&self) -> Subcommand {
        self.subcommand
    }

    /// `subCommandParams`. Those of `vendorPrototype` belong to the vendor and are not read.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What `pinUvAuthParam` is computed over (CTAP 2.3 §6.11): 32 bytes of 0xFF, the command byte, the subcommand's byte, then
    /// `subCommandParams` as encoded. A subcommand of more than one byte counts by its last.
    #[must_use]
    pub fn authenticated_message(&self) -> Vec<u8> {
        let [.., byte] = u64::from(self.subcommand).to_be_bytes();
        let mut message = vec![0xFF; 32];
        message.extend_from_slice(&[0x0D, byte]);
        message.extend_from_slice(self.encoded_parameters.as_deref().unwrap_or_default());
        message
    }

    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`], [`Status::CborUnexpectedType`] or
    /// [`Status::MissingParameter`].
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut subcommand, mut subcommand_parameters) = (None, None);
        let mut pin_uv_auth = PinUvAuth::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => subcommand = Some(Subcommand::from(value.unsigned()?)),
                0x02 => {
                    value.map()?;
                    subcommand_parameters = Some(value);
                }
                0x03 => pin_uv_auth.protocol = Some(value.unsigned()?),
                0x04 => pin_uv_auth.param = Some(owned_bytes(value)?),
                _ => {}
            }
        }
        let subcommand = subcommand.ok_or(Status::MissingParameter)?;
        let parameters = match subcommand_parameters {
            Some(item) if subcommand == Subcommand::SetMinPinLength => Parameters::decode(item)?,
            _ => Parameters::default(),
        };
        let encoded_parameters = subcommand_parameters.map(|item| item.encoded().to_vec());
        Ok(Self { subcommand, parameters, encoded_parameters, pin_uv_auth })
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.unsigned(self.subcommand.into()));
            map.optional(0x02, self.encoded_parameters.as_deref(), Writer::raw);
            map.optional(0x03, self.pin_uv_auth.protocol, Writer::unsigned);
            map.optional(0x04, self.pin_uv_auth.param.as_deref(), Writer::bytes);
        })
    }
}
