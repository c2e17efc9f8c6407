//! Authenticator data (WebAuthn Level 3 §6.1).

use thiserror::Error;

use crate::aaguid::Aaguid;
use crate::cbor::{Item, Malformed};

/// The flags byte of authenticator data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Bit 0: user presence.
    pub const UP: Self = Self(0x01);
    /// Bit 2: user verification.
    pub const UV: Self = Self(0x04);
    /// Bit 3: backup eligibility.
    pub const BE: Self = Self(0x08);
    /// Bit 4: backup state.
    pub const BS: Self = Self(0x10);
    /// Bit 6: attested credential data follows.
    pub const AT: Self = Self(0x40);
    /// Bit 7: extension outputs follow.
    pub const ED: Self = Self(0x80);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and, if `condition` holds, those of `other`.
    #[must_use]
    pub fn with_if(self, other: Self, condition: bool) -> Self {
        if condition { Self(self.0 | other.0) } else { self }
    }
}

/// Attested credential data (WebAuthn Level 3 §6.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedCredentialData {
    /// The model of the authenticator.
    pub aaguid: Aaguid,
    /// The credential id, at most 1023 bytes by the specification, 65535 by the encoding.
    pub credential_id: Vec<u8>,
    /// The credential public key: a COSE_Key as it was encoded.
    pub public_key: Vec<u8>,
}

/// Authenticator data.
///
/// The flags are written as they are: [`Flags::AT`] and [`Flags::ED`] set without what they announce is nonsense that a rig
/// may want to send. [`AuthenticatorData::decode`] refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorData {
    /// SHA-256 of the RP ID.
    pub rp_id_hash: [u8; 32],
    /// The flags.
    pub flags: Flags,
    /// The signature counter.
    pub counter: u32,
    /// Attested credential data, after authenticatorMakeCredential.
    pub attested_credential_data: Option<AttestedCredentialData>,
    /// Extension outputs: an encoded map.
    pub extensions: Option<Vec<u8>>,
}

/// Why bytes are not authenticator data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It ends before what the flags announce does.
    #[error("authenticator data ends inside the {0}")]
    Truncated(&'static str),
    /// The COSE_Key or the extensions are not canonical CBOR; the offset counts from their own start.
    #[error("authenticator data: {0}: {1}")]
    Malformed(&'static str, Malformed),
    /// The extensions are not a map.
    #[error("authenticator data: the {0} is not a map")]
    NotAMap(&'static str),
    /// Bytes follow.
    #[error("authenticator data: {0} bytes follow what its flags announce")]
    TrailingBytes(usize),
}

impl AuthenticatorData {
    /// The bytes that are signed.
    ///
    /// A credential id longer than 65535 bytes is cut there, as its length has no other encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&self.rp_id_hash);
        bytes.push(self.flags.0);
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        if let Some(attested) = &self.attested_credential_data {
            let length = u16::try_from(attested.credential_id.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&attested.aaguid.0);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend(attested.credential_id.iter().take(usize::from(length)));
            bytes.extend_from_slice(&attested.public_key);
        }
        if let Some(extensions) = &self.extensions {
            bytes.extend_from_slice(extensions);
        }
        bytes
    }

    /// Parses authenticator data.
    ///
    /// # Errors
    /// [`Invalid`] says which part is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let (rp_id_hash, rest) = bytes.split_first_chunk().ok_or(Invalid::Truncated("RP ID hash"))?;
        let ([flags], rest) = rest.split_first_chunk().ok_or(Invalid::Truncated("flags"))?;
        let (counter, mut rest) = rest.split_first_chunk().ok_or(Invalid::Truncated("signature counter"))?;
        let flags = Flags(*flags);
        let mut attested_credential_data = None;
        if flags.contains(Flags::AT) {
            let (aaguid, tail) = rest.split_first_chunk().ok_or(Invalid::Truncated("AAGUID"))?;
            let (length, tail) = tail.split_first_chunk().ok_or(Invalid::Truncated("credential id's length"))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (credential_id, tail) = tail.split_at_checked(length).ok_or(Invalid::Truncated("credential id"))?;
            let (public_key, tail) = map("credential public key", tail)?;
            attested_credential_data = Some(AttestedCredentialData {
                aaguid: Aaguid(*aaguid),
                credential_id: credential_id.to_vec(),
                public_key: public_key.to_vec(),
            });
            rest = tail;
        }
        let mut extensions = None;
        if flags.contains(Flags::ED) {
            let (outputs, tail) = map("extension outputs", rest)?;
            extensions = Some(outputs.to_vec());
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(Invalid::TrailingBytes(rest.len()));
        }
        Ok(Self {
            rp_id_hash: *rp_id_hash,
            flags,
            counter: u32::from_be_bytes(*counter),
            attested_credential_data,
            extensions,
        })
    }
}

fn map<'a>(part: &'static str, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Invalid> {
    let (item, rest) = Item::parse_prefix(bytes).map_err(|error| Invalid::Malformed(part, error))?;
    item.map().map_err(|_| Invalid::NotAMap(part))?;
    Ok((item.encoded(), rest))
}
