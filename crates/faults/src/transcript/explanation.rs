//! What came of a ceremony that failed, and who said no.

use serde::{Deserialize, Serialize};

use super::note::{Ceremony, Exception};

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
    /// What the page got, if it was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<ObservedPage>,
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

/// What a page got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPage {
    /// Its origin.
    pub origin: String,
    /// What it caught; none if it got a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// What its site said to the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_status: Option<u16>,
    /// By what it is known that the keys were asked for this page; none if none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_by: Option<JoinedBy>,
}

/// How what a page noted and what keys heard were found to be one ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinedBy {
    /// The hash of the client data is the same.
    ClientDataHash,
    /// Kind, RP ID and time are.
    Time,
}

/// Who said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedBy {
    /// A key.
    Key,
    /// The user: at a key, or by not coming.
    User,
    /// The browser.
    Browser,
    /// The page, which aborted it.
    Page,
    /// The site, to which the credential was sent.
    Site,
    /// Keys cannot tell: whoever asked them wanted it no more.
    Unknown,
}
