//! The dictionaries that requests and responses share: relying party, user, credential descriptor, parameters
//! (WebAuthn Level 3 §5.4, §5.8.3; CTAP 2.3 §6.1).

use crate::cbor::{Item, MapWriter, UnexpectedType, Writer};
use crate::status::Status;

/// The credential type that CTAP and WebAuthn know.
pub const PUBLIC_KEY: &str = "public-key";

/// `PublicKeyCredentialRpEntity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The RP ID, a domain.
    pub id: String,
    /// A name for people.
    pub name: Option<String>,
}

/// `PublicKeyCredentialUserEntity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user handle, 1 to 64 bytes; the relying party's own, opaque.
    pub id: Vec<u8>,
    /// The account's name for people, such as `root@pam`.
    pub name: Option<String>,
    /// The person's name.
    pub display_name: Option<String>,
}

/// `PublicKeyCredentialDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialDescriptor {
    /// The credential id, at most 1023 bytes.
    pub id: Vec<u8>,
    /// The credential type; anything but [`PUBLIC_KEY`] is to be ignored.
    pub kind: String,
    /// How a client may reach the authenticator, as hints.
    pub transports: Option<Vec<String>>,
}

impl CredentialDescriptor {
    /// A descriptor of a public key credential, without transports.
    #[must_use]
    pub fn public_key(id: Vec<u8>) -> Self {
        Self { id, kind: PUBLIC_KEY.to_owned(), transports: None }
    }

    /// Whether the type is [`PUBLIC_KEY`].
    #[must_use]
    pub fn is_public_key(&self) -> bool {
        self.kind == PUBLIC_KEY
    }
}

/// `PublicKeyCredentialParameters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialParameters {
    /// The credential type; anything but [`PUBLIC_KEY`] is to be ignored.
    pub kind: String,
    /// A COSE algorithm identifier.
    pub algorithm: i64,
}

impl CredentialParameters {
    /// Parameters of a public key credential.
    #[must_use]
    pub fn public_key(algorithm: i64) -> Self {
        Self { kind: PUBLIC_KEY.to_owned(), algorithm }
    }
}

pub(crate) fn owned_text(item: Item<'_>) -> Result<String, UnexpectedType> {
    item.text().map(str::to_owned)
}

pub(crate) fn owned_bytes(item: Item<'_>) -> Result<Vec<u8>, UnexpectedType> {
    item.bytes().map(<[u8]>::to_vec)
}

/// Reads every element of an array.
pub(crate) fn list<T, E: From<UnexpectedType>>(
    item: Item<'_>,
    element: impl FnMut(Item<'_>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    item.array()?.map(element).collect()
}

/// The entries of a map that have text keys; others are unknown members, to be ignored.
pub(crate) fn text_entries<'a>(item: Item<'a>) -> Result<impl Iterator<Item = (&'a str, Item<'a>)>, UnexpectedType> {
    Ok(item.map()?.filter_map(|(key, value)| Some((key.text().ok()?, value))))
}

/// The entries of a map that have unsigned keys; others are unknown members, to be ignored.
pub(crate) fn numbered_entries<'a>(item: Item<'a>) -> Result<impl Iterator<Item = (u64, Item<'a>)>, UnexpectedType> {
    Ok(item.map()?.filter_map(|(key, value)| Some((key.unsigned().ok()?, value))))
}

/// The entries of a map that have integer keys of either sign, as a COSE_Key has; others are unknown members.
pub(crate) fn integer_entries<'a>(item: Item<'a>) -> Result<impl Iterator<Item = (i64, Item<'a>)>, UnexpectedType> {
    Ok(item.map()?.filter_map(|(key, value)| Some((key.integer().ok()?, value))))
}

impl RelyingParty {
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut id, mut name) = (None, None);
        for (key, value) in text_entries(item)? {
            match key {
                "id" => id = Some(owned_text(value)?),
                "name" => name = Some(owned_text(value)?),
                _ => {}
            }
        }
        Ok(Self { id: id.ok_or(Status::MissingParameter)?, name })
    }

    pub(crate) fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.text_entry("id", |w| w.text(&self.id));
            map.optional_text("name", self.name.as_deref(), |w, name| w.text(name));
        })
    }
}

impl User {
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut id, mut name, mut display_name) = (None, None, None);
        for (key, value) in text_entries(item)? {
            match key {
                "id" => id = Some(owned_bytes(value)?),
                "name" => name = Some(owned_text(value)?),
                "displayName" => display_name = Some(owned_text(value)?),
                _ => {}
            }
        }
        Ok(Self { id: id.ok_or(Status::MissingParameter)?, name, display_name })
    }

    pub(crate) fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.text_entry("id", |w| w.bytes(&self.id));
            map.optional_text("name", self.name.as_deref(), |w, name| w.text(name));
            map.optional_text("displayName", self.display_name.as_deref(), |w, name| w.text(name));
        })
    }
}

impl CredentialDescriptor {
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut id, mut kind, mut transports) = (None, None, None);
        for (key, value) in text_entries(item)? {
            match key {
                "id" => id = Some(owned_bytes(value)?),
                "type" => kind = Some(owned_text(value)?),
                "transports" => transports = Some(list(value, owned_text)?),
                _ => {}
            }
        }
        let (id, kind) = id.zip(kind).ok_or(Status::MissingParameter)?;
        Ok(Self { id, kind, transports })
    }

    pub(crate) fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.text_entry("id", |w| w.bytes(&self.id));
            map.text_entry("type", |w| w.text(&self.kind));
            map.optional_text("transports", self.transports.as_deref(), |w, transports| {
                w.array_of(transports, |w, transport| w.text(transport))
            });
        })
    }
}

impl CredentialParameters {
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut algorithm, mut kind) = (None, None);
        for (key, value) in text_entries(item)? {
            match key {
                "alg" => algorithm = Some(value.integer()?),
                "type" => kind = Some(owned_text(value)?),
                _ => {}
            }
        }
        let (algorithm, kind) = algorithm.zip(kind).ok_or(Status::MissingParameter)?;
        Ok(Self { kind, algorithm })
    }

    pub(crate) fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.text_entry("alg", |w| w.integer(self.algorithm));
            map.text_entry("type", |w| w.text(&self.kind));
        })
    }
}

/// The option keys of makeCredential and getAssertion: absent is not the same as false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Discoverable credential.
    pub rk: Option<bool>,
    /// User presence.
    pub up: Option<bool>,
    /// User verification.
    pub uv: Option<bool>,
}

impl Options {
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let mut options = Self::default();
        for (key, value) in text_entries(item)? {
            match key {
                "rk" => options.rk = Some(value.boolean()?),
                "up" => options.up = Some(value.boolean()?),
                "uv" => options.uv = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(options)
    }

    /// Adds the options under `key`, if any is there.
    pub(crate) fn encode(self, map: &mut MapWriter<'_>, key: i64) {
        map.optional(key, (self != Self::default()).then_some(self), |w, options| {
            w.map(|map| {
                map.optional_text("rk", options.rk, |w, value| w.boolean(value));
                map.optional_text("up", options.up, |w, value| w.boolean(value));
                map.optional_text("uv", options.uv, |w, value| w.boolean(value));
            })
        });
    }
}

/// A SHA-256 hash or another member of exactly 32 bytes.
pub(crate) fn hash(item: Item<'_>) -> Result<[u8; 32], Status> {
    item.bytes()?.try_into().map_err(|_| Status::InvalidLength)
}

/// `pinUvAuthParam` with the number of the protocol it was made under, as makeCredential and getAssertion carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinUvAuth {
    /// `pinUvAuthParam`: empty is a request to blink (CTAP 2.3 §6.1.2 step 1).
    pub param: Option<Vec<u8>>,
    /// `pinUvAuthProtocol`.
    pub protocol: Option<u64>,
}

/// The `extensions` member as it was encoded: a map from extension identifier to input.
///
/// What is in it belongs to [`extensions`](crate::extensions); here it is only known to be a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extensions(Vec<u8>);

impl Extensions {
    /// Takes an encoded map.
    ///
    /// # Errors
    /// [`Status::InvalidCbor`] if it is not canonical, [`Status::CborUnexpectedType`] if it is not a map.
    pub fn new(encoded: Vec<u8>) -> Result<Self, Status> {
        Item::parse(&encoded)?.map()?;
        Ok(Self(encoded))
    }

    /// The entries whose identifiers are wanted: an authenticator ignores the extensions that it does not have, whatever their
    /// inputs are.
    #[must_use]
    pub fn filtered(&self, mut wanted: impl FnMut(&str) -> bool) -> Self {
        let mut writer = Writer::new();
        writer.map(|map| {
            let entries = Item::parse(&self.0).ok().and_then(|item| text_entries(item).ok());
            for (identifier, input) in entries.into_iter().flatten().filter(|(identifier, _)| wanted(identifier)) {
                map.text_entry(identifier, |w| w.raw(input.encoded()));
            }
        });
        Self(writer.finish())
    }

    /// The encoded map.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// Takes a map that was written here.
    pub(crate) fn of(encoded: Vec<u8>) -> Self {
        Self(encoded)
    }

    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        item.map()?;
        Ok(Self(item.encoded().to_vec()))
    }
}
