//! What a page asked of its browser and what came of it, as `script/observe.js` of the service notes it.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A note. A page's script made it, so all of it is what somebody else says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// A page has asked.
    Began(Box<Began>),
    /// The browser has answered.
    Ended(Box<Ended>),
    /// The site has answered to a request that had the credential in it.
    Answered(Box<Answered>),
}

/// What the id of a note begins with that a client of keyrig's took itself.
const OF_CLIENT: &str = "client-";

/// The id of such a note, by its number.
#[must_use]
pub fn of_client(number: u64) -> String {
    format!("{OF_CLIENT}{number}")
}

/// Whether the id is one of these.
pub(super) fn is_of_client(id: &str) -> bool {
    id.starts_with(OF_CLIENT)
}

impl Note {
    /// The ceremony that it is about.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Began(began) => &began.id,
            Self::Ended(ended) => &ended.id,
            Self::Answered(answered) => &answered.id,
        }
    }
}

/// What a page has asked for, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// What the notes of one ceremony have in common.
    pub id: String,
    /// When, by the browser's clock: milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// Which ceremony.
    pub ceremony: Ceremony,
    /// The origin of the document.
    pub origin: String,
    /// Whether its frame is the topmost.
    pub top: bool,
    /// The origins of the frames around it, the nearest first; none if the browser does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestors: Option<Vec<String>>,
    /// What the browser calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What it asked for.
    pub options: Options,
}

/// What a page asked for, as far as it is a plain value: WebAuthn Level 3 §5.4 and §5.5. Binary is base64url.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// `rp.id` or `rpId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp_id: Option<String>,
    /// `challenge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// `timeout`, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<f64>,
    /// `userVerification`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_verification: Option<String>,
    /// `residentKey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_key: Option<String>,
    /// `authenticatorAttachment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// `attestation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<String>,
    /// `mediation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mediation: Option<String>,
    /// `alg` of each of `pubKeyCredParams`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<Option<f64>>>,
    /// `id` of each of `allowCredentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Option<String>>>,
    /// `id` of each of `excludeCredentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Vec<Option<String>>>,
    /// `hints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hints: Option<Vec<Option<String>>>,
    /// The names in `extensions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<Option<String>>>,
}

/// What the page got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// What the notes of one ceremony have in common.
    pub id: String,
    /// When, by the browser's clock: milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// The id of the credential that it got, in base64url; none if it got none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// `clientDataJSON`, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_data_json: Option<String>,
    /// What was thrown, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
}

/// What a page catches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its name, such as `NotAllowedError`.
    pub name: String,
    /// What the browser says.
    pub message: String,
}

/// What the site said to a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What the notes of one ceremony have in common.
    pub id: String,
    /// When, by the browser's clock: milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// The status of HTTP; 0 if there was no answer.
    pub status: u16,
    /// Where it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the site said, up to some length, unless it was content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
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
