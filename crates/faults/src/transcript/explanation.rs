//! What came of a ceremony that failed, and who said no.

use core::fmt;

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
    /// The program that asked, if that was no browser by what it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Program>,
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
    /// All of it, and what browsers or that program do then, in one paragraph for people.
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

/// Whoever asks keys and is no browser, as the RP ID is none that a page can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// OpenSSH: RP IDs begin with `ssh:` (OpenSSH's `PROTOCOL.u2f`).
    #[serde(rename = "openssh")]
    OpenSsh,
    /// Yubico's module for PAM, and `pamu2fcfg`: `pam://HOSTNAME`, unless the option `origin` says another (pam_u2f(8)).
    PamU2f,
    /// systemd's: `io.systemd.cryptsetup` of disks, `io.systemd.home` of homes.
    Systemd,
    /// Another one: what has a colon is no domain, and no AppID either unless it is a URL of the web's.
    Other,
}

impl Program {
    /// Who asks for an RP ID, if that is no browser.
    #[must_use]
    pub fn of_rp_id(rp_id: &str) -> Option<Self> {
        let begins = |with: &str| rp_id.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        Some(match rp_id {
            _ if begins("ssh:") => Self::OpenSsh,
            _ if begins("pam://") => Self::PamU2f,
            "io.systemd.cryptsetup" | "io.systemd.home" => Self::Systemd,
            _ if begins("https://") || begins("http://") => return None,
            _ if rp_id.contains(':') => Self::Other,
            _ => return None,
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSsh => "OpenSSH",
            Self::PamU2f => "pam_u2f",
            Self::Systemd => "systemd",
            Self::Other => "A program",
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
    /// The browser.
    Browser,
    /// The page, which aborted it.
    Page,
    /// The site, to which the credential was sent.
    Site,
    /// Keys cannot tell: whoever asked them wanted it no more.
    Unknown,
}
