//! Attestation statements and the attestation object (WebAuthn Level 3 §6.5, §8).

use crate::cbor::{Item, Writer};
use crate::entities::{list, owned_bytes, text_entries};
use crate::status::Status;

/// `fmt` and `attStmt`: how an authenticator vouches for a credential that it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `none` (§8.7).
    None,
    /// `packed` (§8.2).
    Packed {
        /// The COSE algorithm that `sig` was made with.
        algorithm: i64,
        /// The signature over authenticator data and client data hash.
        signature: Vec<u8>,
        /// The attestation certificate and its chain, DER; empty for self attestation.
        certificates: Vec<Vec<u8>>,
    },
    /// `fido-u2f` (§8.6).
    FidoU2f {
        /// The signature over the U2F registration data.
        signature: Vec<u8>,
        /// The attestation certificate, DER.
        certificate: Vec<u8>,
    },
    /// Any other format, as it was encoded.
    Other {
        /// The format identifier.
        format: String,
        /// The encoded statement.
        encoded: Vec<u8>,
    },
}

impl Statement {
    /// The attestation statement format identifier.
    #[must_use]
    pub fn format(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Packed { .. } => "packed",
            Self::FidoU2f { .. } => "fido-u2f",
            Self::Other { format, .. } => format,
        }
    }

    pub(crate) fn decode(format: &str, statement: Item<'_>) -> Result<Self, Status> {
        let (mut algorithm, mut signature, mut certificates) = (None, None, Vec::new());
        let entries = text_entries(statement)?;
        if !matches!(format, "none" | "packed" | "fido-u2f") {
            return Ok(Self::Other { format: format.to_owned(), encoded: statement.encoded().to_vec() });
        }
        for (key, value) in entries {
            match key {
                "alg" => algorithm = Some(value.integer()?),
                "sig" => signature = Some(owned_bytes(value)?),
                "x5c" => certificates = list(value, owned_bytes)?,
                _ => {}
            }
        }
        Ok(match format {
            "none" => Self::None,
            "packed" => Self::Packed {
                algorithm: algorithm.ok_or(Status::MissingParameter)?,
                signature: signature.ok_or(Status::MissingParameter)?,
                certificates,
            },
            _ => Self::FidoU2f {
                signature: signature.ok_or(Status::MissingParameter)?,
                certificate: certificates.into_iter().next().ok_or(Status::MissingParameter)?,
            },
        })
    }

    /// Appends the encoded statement: the value of `attStmt`.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        match self {
            Self::None => writer.map(|_| {}),
            Self::Packed { algorithm, signature, certificates } => writer.map(|map| {
                map.text_entry("alg", |w| w.integer(*algorithm));
                map.text_entry("sig", |w| w.bytes(signature));
                let certificates = (!certificates.is_empty()).then_some(certificates);
                map.optional_text("x5c", certificates, |w, list| w.array_of(list, |w, der| w.bytes(der)));
            }),
            Self::FidoU2f { signature, certificate } => writer.map(|map| {
                map.text_entry("sig", |w| w.bytes(signature));
                map.text_entry("x5c", |w| w.array(1).bytes(certificate));
            }),
            Self::Other { encoded, .. } => writer.raw(encoded),
        }
    }

    /// The attestation object, as a client hands it to a relying party (WebAuthn Level 3 §6.5.4).
    #[must_use]
    pub fn attestation_object(&self, authenticator_data: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(|map| {
            map.text_entry("fmt", |w| w.text(self.format()));
            map.text_entry("attStmt", |w| self.encode(w));
            map.text_entry("authData", |w| w.bytes(authenticator_data));
        });
        writer.finish()
    }
}
