//! authenticatorCredentialManagement (CTAP 2.3 §6.8), and its prototype under command byte 0x41.

use crate::cbor::{Item, Writer};
use crate::entities::{CredentialDescriptor, PinUvAuth, RelyingParty, User, hash, numbered_entries, owned_bytes};
use crate::extensions::CredentialProtection;
use crate::status::Status;

/// `subCommand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subcommand {
    /// 0x01 `getCredsMetadata`.
    GetCredsMetadata,
    /// 0x02 `enumerateRPsBegin`.
    EnumerateRpsBegin,
    /// 0x03 `enumerateRPsGetNextRP`.
    EnumerateRpsGetNextRp,
    /// 0x04 `enumerateCredentialsBegin`.
    EnumerateCredentialsBegin,
    /// 0x05 `enumerateCredentialsGetNextCredential`.
    EnumerateCredentialsGetNextCredential,
    /// 0x06 `deleteCredential`.
    DeleteCredential,
    /// 0x07 `updateUserInformation`; the prototype does not have it.
    UpdateUserInformation,
    /// Any other number.
    Other(u64),
}

impl From<u64> for Subcommand {
    fn from(number: u64) -> Self {
        match number {
            0x01 => Self::GetCredsMetadata,
            0x02 => Self::EnumerateRpsBegin,
            0x03 => Self::EnumerateRpsGetNextRp,
            0x04 => Self::EnumerateCredentialsBegin,
            0x05 => Self::EnumerateCredentialsGetNextCredential,
            0x06 => Self::DeleteCredential,
            0x07 => Self::UpdateUserInformation,
            other => Self::Other(other),
        }
    }
}

impl From<Subcommand> for u64 {
    fn from(subcommand: Subcommand) -> Self {
        match subcommand {
            Subcommand::GetCredsMetadata => 0x01,
            Subcommand::EnumerateRpsBegin => 0x02,
            Subcommand::EnumerateRpsGetNextRp => 0x03,
            Subcommand::EnumerateCredentialsBegin => 0x04,
            Subcommand::EnumerateCredentialsGetNextCredential => 0x05,
            Subcommand::DeleteCredential => 0x06,
            Subcommand::UpdateUserInformation => 0x07,
            Subcommand::Other(number) => number,
        }
    }
}

/// `subCommandParams`: which of them a subcommand needs is for the authenticator to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// 0x01 `rpIDHash`: SHA-256 of the RP ID.
    pub rp_id_hash: Option<[u8; 32]>,
    /// 0x02 `credentialID`.
    pub credential_id: Option<CredentialDescriptor>,
    /// 0x03 `user`.
    pub user: Option<User>,
}

impl Parameters {
    fn decode(item: Item<'_>) -> Result<Self, Status> {
        let mut parameters = Self::default();
        for (key, value) in numbered_entries(item)? {
            match key {
                0x01 => parameters.rp_id_hash = Some(hash(value)?),
                0x02 => parameters.credential_id = Some(CredentialDescriptor::decode(value)?),
                0x03 => parameters.user = Some(User::decode(value)?),
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
            map.optional(0x01, self.rp_id_hash.as_ref(), |w, hash| w.bytes(hash));
            map.optional(0x02, self.credential_id.as_ref(), |w, descriptor| descriptor.encode(w));
            map.optional(0x03, self.user.as_ref(), |w, user| user.encode(w));
        });
        Some(writer.finish())
    }
}

/// The parameters of authenticatorCredentialManagement.
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

    /// `subCommandParams`.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What `pinUvAuthParam` is computed over: the subcommand's byte and, for the subcommands that have any, `subCommandParams`
    /// as encoded (CTAP 2.3 §6.8.2 to §6.8.6). A subcommand of more than one byte counts by its last.
    #[must_use]
    pub fn authenticated_message(&self) -> Vec<u8> {
        let [.., byte] = u64::from(self.subcommand).to_be_bytes();
        let mut message = vec![byte];
        if !matches!(self.subcommand, Subcommand::GetCredsMetadata | Subcommand::EnumerateRpsBegin) {
            message.extend_from_slice(self.encoded_parameters.as_deref().unwrap_or_default());
        }
        message
    }

    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`], [`Status::CborUnexpectedType`],
    /// [`Status::MissingParameter`], or [`Status::InvalidLength`] for a hash that is not 32 bytes.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut subcommand, mut members, mut encoded_parameters) = (None, Parameters::default(), None);
        let mut pin_uv_auth = PinUvAuth::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => subcommand = Some(value.unsigned()?.into()),
                0x02 => {
                    members = Parameters::decode(value)?;
                    encoded_parameters = Some(value.encoded().to_vec());
                }
                0x03 => pin_uv_auth.protocol = Some(value.unsigned()?),
                0x04 => pin_uv_auth.param = Some(owned_bytes(value)?),
                _ => {}
            }
        }
        let subcommand = subcommand.ok_or(Status::MissingParameter)?;
        Ok(Self { subcommand, parameters: members, encoded_parameters, pin_uv_auth })
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.unsigned(self.subcommand.into()));
            map.optional(0x02, self.encoded_parameters.as_deref(), |w, encoded| w.raw(encoded));
            map.optional(0x03, self.pin_uv_auth.protocol, |w, protocol| w.unsigned(protocol));
            map.optional(0x04, self.pin_uv_auth.param.as_deref(), |w, param| w.bytes(param));
        })
    }
}

/// The answer of authenticatorCredentialManagement: which members are there depends on the subcommand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0x01 `existingResidentCredentialsCount`.
    pub existing_resident_credentials_count: Option<u64>,
    /// 0x02 `maxPossibleRemainingResidentCredentialsCount`.
    pub max_possible_remaining_resident_credentials_count: Option<u64>,
    /// 0x03 `rp`.
    pub relying_party: Option<RelyingParty>,
    /// 0x04 `rpIDHash`.
    pub rp_id_hash: Option<[u8; 32]>,
    /// 0x05 `totalRPs`: only in the first answer of an enumeration.
    pub total_rps: Option<u64>,
    /// 0x06 `user`.
    pub user: Option<User>,
    /// 0x07 `credentialID`.
    pub credential_id: Option<CredentialDescriptor>,
    /// 0x08 `publicKey`: a COSE_Key as it was encoded.
    pub public_key: Option<Vec<u8>>,
    /// 0x09 `totalCredentials`: only in the first answer of an enumeration.
    pub total_credentials: Option<u64>,
    /// 0x0A `credProtect`.
    pub credential_protection: Option<CredentialProtection>,
    /// 0x0B `largeBlobKey`.
    pub large_blob_key: Option<Vec<u8>>,
    /// 0x0C `thirdPartyPayment`.
    pub third_party_payment: Option<bool>,
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
                0x01 => response.existing_resident_credentials_count = Some(value.unsigned()?),
                0x02 => response.max_possible_remaining_resident_credentials_count = Some(value.unsigned()?),
                0x03 => response.relying_party = Some(RelyingParty::decode(value)?),
                0x04 => response.rp_id_hash = Some(hash(value)?),
                0x05 => response.total_rps = Some(value.unsigned()?),
                0x06 => response.user = Some(User::decode(value)?),
                0x07 => response.credential_id = Some(CredentialDescriptor::decode(value)?),
                0x08 => {
                    value.map()?;
                    response.public_key = Some(value.encoded().to_vec());
                }
                0x09 => response.total_credentials = Some(value.unsigned()?),
                0x0A => response.credential_protection = Some(CredentialProtection::decode(value)?),
                0x0B => response.large_blob_key = Some(owned_bytes(value)?),
                0x0C => response.third_party_payment = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(response)
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.existing_resident_credentials_count, Writer::unsigned);
            map.optional(0x02, self.max_possible_remaining_resident_credentials_count, Writer::unsigned);
            map.optional(0x03, self.relying_party.as_ref(), |w, relying_party| relying_party.encode(w));
            map.optional(0x04, self.rp_id_hash.as_ref(), |w, hash| w.bytes(hash));
            map.optional(0x05, self.total_rps, Writer::unsigned);
            map.optional(0x06, self.user.as_ref(), |w, user| user.encode(w));
            map.optional(0x07, self.credential_id.as_ref(), |w, descriptor| descriptor.encode(w));
            map.optional(0x08, self.public_key.as_deref(), Writer::raw);
            map.optional(0x09, self.total_credentials, Writer::unsigned);
            map.optional(0x0A, self.credential_protection, |w, level| w.unsigned(level.into()));
            map.optional(0x0B, self.large_blob_key.as_deref(), Writer::bytes);
            map.optional(0x0C, self.third_party_payment, Writer::boolean);
        })
    }
}
