//! authenticatorMakeCredential (CTAP 2.3 §6.1).

use crate::attestation::Statement;
use crate::cbor::{Item, Writer};
use crate::entities::{
    CredentialDescriptor, CredentialParameters, Extensions, Options, PinUvAuth, RelyingParty, User, hash, list,
    numbered_entries, owned_bytes, owned_text,
};
use crate::status::Status;

/// The parameters of authenticatorMakeCredential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `clientDataHash`: SHA-256 of clientDataJSON.
    pub client_data_hash: [u8; 32],
    /// `rp`.
    pub relying_party: RelyingParty,
    /// `user`.
    pub user: User,
    /// `pubKeyCredParams`, most wanted first.
    pub parameters: Vec<CredentialParameters>,
    /// `excludeList`; an empty one counts as absent.
    pub exclude_list: Vec<CredentialDescriptor>,
    /// `extensions`.
    pub extensions: Option<Extensions>,
    /// `options`.
    pub options: Options,
    /// `pinUvAuthParam` and `pinUvAuthProtocol`.
    pub pin_uv_auth: PinUvAuth,
    /// `enterpriseAttestation`: 1 (vendor-facilitated) or 2 (platform-managed).
    pub enterprise_attestation: Option<u64>,
    /// `attestationFormatsPreference`, most wanted first.
    pub attestation_formats_preference: Option<Vec<String>>,
}

impl Request {
    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`], [`Status::CborUnexpectedType`],
    /// [`Status::MissingParameter`], or [`Status::InvalidLength`] for a hash that is not 32 bytes.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut client_data_hash, mut relying_party, mut user, mut algorithms) = (None, None, None, None);
        let mut exclude_list = Vec::new();
        let mut extensions = None;
        let mut options = Options::default();
        let mut pin_uv_auth = PinUvAuth::default();
        let (mut enterprise_attestation, mut attestation_formats_preference) = (None, None);
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => client_data_hash = Some(hash(value)?),
                0x02 => relying_party = Some(RelyingParty::decode(value)?),
                0x03 => user = Some(User::decode(value)?),
                0x04 => algorithms = Some(list(value, CredentialParameters::decode)?),
                0x05 => exclude_list = list(value, CredentialDescriptor::decode)?,
                0x06 => extensions = Some(Extensions::decode(value)?),
                0x07 => options = Options::decode(value)?,
                0x08 => pin_uv_auth.param = Some(owned_bytes(value)?),
                0x09 => pin_uv_auth.protocol = Some(value.unsigned()?),
                0x0A => enterprise_attestation = Some(value.unsigned()?),
                0x0B => attestation_formats_preference = Some(list(value, owned_text)?),
                _ => {}
            }
        }
        Ok(Self {
            client_data_hash: client_data_hash.ok_or(Status::MissingParameter)?,
            relying_party: relying_party.ok_or(Status::MissingParameter)?,
            user: user.ok_or(Status::MissingParameter)?,
            parameters: algorithms.ok_or(Status::MissingParameter)?,
            exclude_list,
            extensions,
            options,
            pin_uv_auth,
            enterprise_attestation,
            attestation_formats_preference,
        })
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.bytes(&self.client_data_hash));
            map.entry(0x02, |w| self.relying_party.encode(w));
            map.entry(0x03, |w| self.user.encode(w));
            map.entry(0x04, |w| w.array_of(&self.parameters, |w, parameters| parameters.encode(w)));
            let exclude_list = (!self.exclude_list.is_empty()).then_some(&self.exclude_list);
            map.optional(0x05, exclude_list, |w, list| w.array_of(list, |w, descriptor| descriptor.encode(w)));
            map.optional(0x06, self.extensions.as_ref(), |w, extensions| w.raw(extensions.encoded()));
            self.options.encode(map, 0x07);
            map.optional(0x08, self.pin_uv_auth.param.as_deref(), |w, param| w.bytes(param));
            map.optional(0x09, self.pin_uv_auth.protocol, |w, protocol| w.unsigned(protocol));
            map.optional(0x0A, self.enterprise_attestation, |w, value| w.unsigned(value));
            map.optional(0x0B, self.attestation_formats_preference.as_deref(), |w, formats| {
                w.array_of(formats, |w, format| w.text(format))
            });
        })
    }
}

/// The answer of authenticatorMakeCredential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `authData`: authenticator data with attested credential data, as signed.
    pub authenticator_data: Vec<u8>,
    /// `fmt` and `attStmt`.
    pub statement: Statement,
    /// `epAtt`: whether the statement is an enterprise attestation.
    pub enterprise_attestation: Option<bool>,
    /// `largeBlobKey`.
    pub large_blob_key: Option<Vec<u8>>,
}

impl Response {
    /// Parses the response's map: what follows the status byte.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut format, mut authenticator_data, mut statement) = (None, None, None);
        let (mut enterprise_attestation, mut large_blob_key) = (None, None);
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => format = Some(value.text()?),
                0x02 => authenticator_data = Some(owned_bytes(value)?),
                0x03 => statement = Some(value),
                0x04 => enterprise_attestation = Some(value.boolean()?),
                0x05 => large_blob_key = Some(owned_bytes(value)?),
                _ => {}
            }
        }
        let (format, statement) = format.zip(statement).ok_or(Status::MissingParameter)?;
        Ok(Self {
            authenticator_data: authenticator_data.ok_or(Status::MissingParameter)?,
            statement: Statement::decode(format, statement)?,
            enterprise_attestation,
            large_blob_key,
        })
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.text(self.statement.format()));
            map.entry(0x02, |w| w.bytes(&self.authenticator_data));
            map.entry(0x03, |w| self.statement.encode(w));
            map.optional(0x04, self.enterprise_attestation, |w, value| w.boolean(value));
            map.optional(0x05, self.large_blob_key.as_deref(), |w, key| w.bytes(key));
        })
    }
}
