//! `[site]` and `[[user]]`: the server, and who has an account there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::{At, Several};
use super::directory::DirectoryTable;

/// A relying party of ours, as it is at the start or, in a step's `set`, what changes of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SiteTable {
    /// How it behaves where relying parties differ: `keyrig rp policies` lists them. Without it, `strict-l3`.
    pub policy: Option<At<String>>,
    /// What it does otherwise than the policy, by the names of a policy's fields: `signature_counter = "report"`.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub policy_fields: Option<At<toml::Table>>,
    /// The RP ID, a domain. Without it, `login.example.com`, or `localhost` of a site that listens.
    pub rp_id: Option<At<String>>,
    /// The origins of its pages. Without them, `https://` and the RP ID.
    pub origins: Option<Vec<At<String>>>,
    /// Origins that are no pages, such as `android:apk-key-hash:…`.
    pub app_origins: Option<Vec<At<String>>>,
    /// Origins elsewhere whose pages may use the RP ID: browsers find them at its `/.well-known/webauthn`. Without them none looks there.
    pub related_origins: Option<Vec<At<String>>>,
    /// The AppID under which its keys were registered by U2F: `https://login.example.com/app-id.json`.
    pub app_id: Option<At<String>>,
    /// Whether pages on hosts below those of `origins` are its own, too.
    pub allow_subdomains: Option<bool>,
    /// Whether users can log in by a passkey alone.
    pub passkey_login: Option<bool>,
    /// Which attestation a registration must have. Without it, none.
    pub attestation: Option<At<AttestationTable>>,
    /// The second factor that realms require, as `keyrig rp realm modify --tfa` has it: `pam = "type=webauthn"`, or `none`.
    #[serde(default)]
    pub realm: BTreeMap<String, At<String>>,
    /// Realms whose users and passwords are in a directory, by their names: where it is, and what it is asked by, in the options of
    /// `keyrig rp realm add`. Its users come with `admin = "realm sync REALM --scope both"`.
    #[serde(default)]
    pub directory: BTreeMap<String, DirectoryTable>,
    /// Whether it listens on a port of this machine and its pages are at `http://localhost:PORT`. Without it nothing listens, and it has
    /// whatever origins are written.
    pub listens: Option<At<bool>>,
}

/// Which attestation a registration must have.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AttestationTable {
    /// What is accepted.
    pub accept: AcceptedAttestation,
    /// The models that are accepted: profiles, or AAGUIDs. For `model`.
    #[serde(default)]
    pub models: Several,
    /// Whether the root is that of the scenario's keys, or of other keys, which these are not.
    #[serde(default)]
    pub root: AttestationRoot,
    /// Whether browsers are asked for enterprise attestation, which says which key it is; no, unless told otherwise.
    pub enterprise: Option<At<bool>>,
}

/// What attestation is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptedAttestation {
    /// None: browsers are not asked for any.
    None,
    /// Some, from anybody.
    Any,
    /// A certificate that leads to the root.
    Root,
    /// One of the models, proven by a certificate that leads to the root.
    Model,
}

/// Whose root is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationRoot {
    /// The TEST root of the scenario's keys.
    #[default]
    OfTheKeys,
    /// Another, which has attested none of them.
    OfOthers,
}

/// Who has an account. Without any, there is `root@pam`, an administrator.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UserTable {
    /// NAME@REALM; the realms are pam and pve, and those of a directory, whose users have an account once they were synced.
    pub name: At<String>,
    /// What the user may do: `administrator`, `auditor`, or without it `user`. Users of a directory have roles by their groups.
    pub role: Option<At<String>>,
    /// The password, of a user of a directory the one there. Without it, one that only the scenario knows.
    pub password: Option<At<String>>,
}
