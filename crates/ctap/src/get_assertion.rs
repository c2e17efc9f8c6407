//! authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.3 §6.2, §6.3).

use crate::cbor::{Item, Writer};
use crate::entities::{
    CredentialDescriptor, Extensions, Options, PinUvAuth, User, hash, list, numbered_entries, owned_bytes, owned_text,
};
use crate::status::Status;

/// The parameters of authenticatorGetAssertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `rpId`.
    pub relying_party_id: String,
    /// `clientDataHash`: SHA-256 of clientDataJSON.
    pub client_data_hash: [u8; 32],
    /// `allowList`; an empty one counts as absent.
    pub allow_list: Vec<CredentialDescriptor>,
    /// `extensions`.
    pub extensions: Option<Extensions>,
    /// `options`.
    pub options: Options,
    /// `pinUvAuthParam` and `pinUvAuthProtocol`.
    pub pin_uv_auth: PinUvAuth,
}

impl Request {
    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`], [`Status::CborUnexpectedType`],
    /// [`Status::MissingParameter`], or [`Status::InvalidLength`] for a hash that is not 32 bytes.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut relying_party_id, mut client_data_hash) = (None, None);
        let mut allow_list = Vec::new();
        let mut extensions = None;
        let mut options = Options::default();
        let mut pin_uv_auth = PinUvAuth::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => relying_party_id = Some(owned_text(value)?),
                0x02 => client_data_hash = Some(hash(value)?),
                0x03 => allow_list = list(value, CredentialDescriptor::decode)?,
                0x04 => extensions = Some(Extensions::decode(value)?),
                0x05 => options = Options::decode(value)?,
                0x06 => pin_uv_auth.param = Some(owned_bytes(value)?),
                0x07 => pin_uv_auth.protocol = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(Self {
            relying_party_id: relying_party_id.ok_or(Status::MissingParameter)?,
            client_data_hash: client_data_hash.ok_or(Status::MissingParameter)?,
            allow_list,
            extensions,
            options,
            pin_uv_auth,
        })
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(0x01, |w| w.text(&self.relying_party_id));
            map.entry(0x02, |w| w.bytes(&self.client_data_hash));
            let allow_list = (!self.allow_list.is_empty()).then_some(&self.allow_list);
            map.optional(0x03, allow_list, |w, list| w.array_of(list, |w, descriptor| descriptor.encode(w)));
            map.optional(0x04, self.extensions.as_ref(), |w, extensions| w.raw(extensions.encoded()));
            self.options.encode(map, 0x05);
            map.optional(0x06, self.pin_uv_auth.param.as_deref(), |w, param| w.bytes(param));
            map.optional(0x07, self.pin_uv_auth.protocol, |w, protocol| w.unsigned(protocol));
        })
    }
}

/// The answer of authenticatorGetAssertion and authenticatorGetNextAssertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `credential`: which credential signed. CTAP 2.0 let it be absent with an allow list of one.
    pub credential: Option<CredentialDescriptor>,
    /// `authData`, as signed.
    pub authenticator_data: Vec<u8>,
    /// `signature` over authenticator data and client data hash.
    pub signature: Vec<u8>,
    /// `user`: there for discoverable credentials; more than the id only after user verification.
    pub user: Option<User>,
    /// `numberOfCredentials`: there if more than one applies, and only in the first answer.
    pub number_of_credentials: Option<u64>,
    /// `userSelected`: the user chose the credential on the authenticator.
    pub user_selected: Option<bool>,
    /// `largeBlobKey`.
    pub large_blob_key: Option<Vec<u8>>,
}

impl Response {
    /// Parses the response's map: what follows the status byte.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let (mut credential, mut authenticator_data, mut signature, mut user) = (None, None, None, None);
        let (mut number_of_credentials, mut user_selected, mut large_blob_key) = (None, None, None);
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => credential = Some(CredentialDescriptor::decode(value)?),
                0x02 => authenticator_data = Some(owned_bytes(value)?),
                0x03 => signature = Some(owned_bytes(value)?),
                0x04 => user = Some(User::decode(value)?),
                0x05 => number_of_credentials = Some(value.unsigned()?),
                0x06 => user_selected = Some(value.boolean()?),
                0x07 => large_blob_key = Some(owned_bytes(value)?),
                _ => {}
            }
        }
        Ok(Self {
            credential,
            authenticator_data: authenticator_data.ok_or(Status::MissingParameter)?,
            signature: signature.ok_or(Status::MissingParameter)?,
            user,
            number_of_credentials,
            user_selected,
            large_blob_key,
        })
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.credential.as_ref(), |w, credential| credential.encode(w));
            map.entry(0x02, |w| w.bytes(&self.authenticator_data));
            map.entry(0x03, |w| w.bytes(&self.signature));
            map.optional(0x04, self.user.as_ref(), |w, user| user.encode(w));
            map.optional(0x05, self.number_of_credentials, |w, number| w.unsigned(number));
            map.optional(0x06, self.user_selected, |w, value| w.boolean(value));
            map.optional(0x07, self.large_blob_key.as_deref(), |w, key| w.bytes(key));
        })
    }
}
