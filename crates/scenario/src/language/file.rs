//! A file, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;
use super::client::ClientTable;
use super::elsewhere::ElsewhereTable;
use super::key::KeyTable;
use super::on::On;
use super::site::{SiteTable, UserTable};
use super::step::StepTable;

/// A file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    /// What it is about, for people.
    pub(super) description: Option<String>,
    /// The seed from which everything random follows, unless `keyrig run --seed` says another. Without it, 0.
    pub(super) seed: Option<u64>,
    /// On what it can run: without it, on everything.
    #[serde(default)]
    pub(super) on: Vec<On>,
    /// The keys.
    #[serde(default)]
    pub(super) key: Vec<KeyTable>,
    /// The site.
    #[serde(default)]
    pub(super) site: SiteTable,
    /// A site of others, instead of ours.
    pub(super) elsewhere: Option<ElsewhereTable>,
    /// Who has an account there.
    #[serde(default)]
    pub(super) user: Vec<UserTable>,
    /// The pages.
    #[serde(default)]
    pub(super) client: Vec<ClientTable>,
    /// What is done.
    #[serde(default)]
    pub(super) step: Vec<At<StepTable>>,
}
