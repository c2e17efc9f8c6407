//! What came of a ceremony that failed, and who said no.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Why a ceremony failed, as far as it can be known from what keys heard. As JSON, which
/// `crates/keyrig/schemas/trace.json` describes, it is part of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which ceremony; none if no key heard enough to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<Ceremony>,
    /// The RP ID, if a key was told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp_id: Option<String>,
    /// The hash of the client data that a key was to sign, in hexadecimal: all keys that one ceremony asks have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_data_hash: Option<String>,
    /// When the first key was asked: microseconds since the transcript's start.
    pub began_at_us: u64,
    /// Who said no.
    pub refused_by: RefusedBy,
    /// What was asked of each key, and what it did.
    pub keys: Vec<KeyInCeremony>,
    /// All of it, and what browsers do then, in one paragraph for people.
    pub text: String,
}

/// A key in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInCeremony {
    /// Its name.
    pub key: String,
    /// The last thing that it was asked, as `authenticatorGetAssertion`.
    pub command: String,
    /// What it answered to that; none if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it was asked and did, in words.
    pub text: String,
}

/// What a page asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ceremony {
    /// `navigator.credentials.create()`, authenticatorMakeCredential.
    Create,
    /// `navigator.credentials.get()`, authenticatorGetAssertion.
    Get,
}

impl fmt::Display for Ceremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create()",
            Self::Get => "get()",
        })
    }
}

/// Who said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedBy {
    /// A key.
    Key,
    /// The user: at a key, or by not coming.
    User,
    /// Keys cannot tell: whoever asked them wanted it no more.
    Unknown,
}
