//! Where relying parties differ in how much they let pass. The specification's letter is [`Strictness::by_the_letter`];
//! each member says what a relying party may do otherwise.
//!
//! Whatever is let pass stays in the report as a check that failed and was not enforced.

use serde::{Deserialize, Serialize};

/// What a deviation from the specification leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// The ceremony is refused.
    #[default]
    Refuse,
    /// It is reported, and refuses nothing.
    Report,
}

impl Deviation {
    pub(crate) fn refuses(self) -> bool {
        self == Self::Refuse
    }
}

/// How clientDataJSON becomes JSON (WebAuthn Level 3, §7.1, §7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientDataDecoding {
    /// By UTF-8 decode, as the specification says: a byte-order mark is stripped, and what is not UTF-8 is replaced.
    #[default]
    Utf8Decode,
    /// The bytes have to be JSON as they are (RFC 8259, §8.1), with each member once: a byte-order mark, or what is not UTF-8,
    /// is refused.
    Json,
}

/// How much of the specification's letter is insisted on, where relying parties differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strictness {
    /// CBOR that is well-formed and not in CTAP2's canonical form: keys in another order, numbers longer than they need be,
    /// indefinite lengths, tags (§2: decoders *should* reject it).
    pub cbor_form: Deviation,
    /// A credential public key with parameters that its algorithm does not have (§6.5.1.1).
    pub key_parameters: Deviation,
    /// Bytes after what the flags of authenticator data announce (§6.1).
    pub trailing_bytes: Deviation,
    /// A credential id of more than 1023 bytes (§7.1: *should* be refused).
    pub credential_id_length: Deviation,
    /// A statement that is not an empty map where the format is none (§8.7).
    pub none_statement: Deviation,
    /// A type that is not public-key (§5.1).
    pub credential_type: Deviation,
    /// `id` that is not rawId in base64url, and rawId that is not the id in authenticator data (§5.1).
    pub credential_id: Deviation,
    /// An empty userHandle where the user is known already (§7.2: if present it has to be the account's). Never passes where it
    /// is what says who logs in.
    pub empty_user_handle: Deviation,
    /// The userHandle of another account where the user is known already (§7.2).
    pub other_user_handle: Deviation,
    /// An origin that is an expected one in another form than browsers write: with a path, in upper case, with the default
    /// port (§5.8.1).
    pub origin_form: Deviation,
    /// The challenge, or a member of the credential's JSON, in base64url with padding (§3: without). In the JSON it is not
    /// reported either.
    pub base64_padding: Deviation,
    /// A topOrigin that nobody expects, or without a frame (§7.1, §7.2).
    pub top_origin: Deviation,
    /// How clientDataJSON becomes JSON.
    pub client_data_decoding: ClientDataDecoding,
}

impl Strictness {
    /// WebAuthn Level 3 as it is written.
    #[must_use]
    pub fn by_the_letter() -> Self {
        Self::default()
    }
}
