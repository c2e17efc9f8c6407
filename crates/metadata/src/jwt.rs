//! The envelope of a BLOB: a JSON Web Token in its compact form (RFC 7515 §3.1), signed as FIDO Metadata Service 3.1 §3.1.7 says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;
use crate::statement::Certificate;

/// The header of a JWT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What it is signed with, such as `ES256` (RFC 7518 §3.1).
    pub alg: String,
    /// `JWT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// The signer's certificate, and those that vouch for it; the root may be left out.
    #[serde(default, deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub x5c: Vec<Certificate>,
    /// Where they would be, if they are not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5u: Option<String>,
}

/// A JWT that was taken apart. Nothing says that its signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The header.
    pub header: Header,
    /// What is signed: header and payload as they were written.
    pub signed: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The signature (RFC 7518 §3.4 for ES256: two numbers of 32 bytes).
    pub signature: Vec<u8>,
}

/// Why a text is no JWT.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAJwt {
    /// It has not three parts.
    #[error("a JWT has three parts with points in between, and this has {0}")]
    Parts(usize),
    /// A part is not Base64url.
    #[error("its {0} is not Base64url without padding")]
    Encoding(&'static str),
    /// The header is not what it should be.
    #[error("its header: {0}")]
    Header(String),
}

impl Jwt {
    /// Takes a JWT apart.
    ///
    /// # Errors
    /// [`NotAJwt`].
    pub fn read(text: &str) -> Result<Self, NotAJwt> {
        let text = text.trim_ascii();
        let parts = text.split('.').count();
        let mut split = text.splitn(3, '.');
        let (Some(header), Some(payload), Some(signature), 3) = (split.next(), split.next(), split.next(), parts)
        else {
            return Err(NotAJwt::Parts(parts));
        };
        let decoded = |part: &str, name| URL_SAFE_NO_PAD.decode(part).map_err(|_| NotAJwt::Encoding(name));
        let json = decoded(header, "header")?;
        if limits::depth(&json) > limits::MAX_DEPTH {
            return Err(NotAJwt::Header(format!("it is deeper than {}", limits::MAX_DEPTH)));
        }
        Ok(Self {
            header: serde_json::from_slice(&json).map_err(|error| NotAJwt::Header(error.to_string()))?,
            signed: format!("{header}.{payload}"),
            payload: decoded(payload, "payload")?,
            signature: decoded(signature, "signature")?,
        })
    }

    /// The whole token, with this signature of [`signing_input`].
    #[must_use]
    pub fn compact(signing_input: &str, signature: &[u8]) -> String {
        format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What is to be signed for a token with this header and payload.
#[must_use]
pub fn signing_input(header: &Header, payload: &str) -> String {
    let header = serde_json::to_string(header).expect("a header is texts");
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}
