//! BLOBs (FIDO Metadata Service 3.1 §3.1): what the service publishes.

use keyrig_ctap::Aaguid;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::limits;
use crate::statement::{Statement, aaguid};
use crate::status::StatusReport;

/// `MetadataBLOBPayload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// Under which terms it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_header: Option<String>,
    /// Its number: each is higher than the one before.
    pub no: u64,
    /// The day by which there is another one at the latest.
    pub next_update: Date,
    /// The authenticators.
    #[serde(deserialize_with = "limits::entries")]
    pub entries: Vec<Entry>,
}

/// `MetadataBLOBPayloadEntry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The model, if it is of UAF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aaid: Option<String>,
    /// The model, if it is of FIDO2.
    #[serde(default, with = "aaguid", skip_serializing_if = "Option::is_none")]
    pub aaguid: Option<Aaguid>,
    /// The model, if it is of U2F.
    #[serde(default, deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub attestation_certificate_key_identifiers: Vec<String>,
    /// What its maker states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_statement: Option<Statement>,
    /// What became of it, oldest first.
    #[serde(deserialize_with = "limits::list")]
    pub status_reports: Vec<StatusReport>,
    /// When the last report was added.
    pub time_of_last_status_change: Date,
}

impl Blob {
    /// What it says of a model of FIDO2.
    #[must_use]
    pub fn entry(&self, aaguid: Aaguid) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.aaguid == Some(aaguid))
    }

    /// The payload of a JWT.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names are texts, and nothing here fails to be written")
    }
}
