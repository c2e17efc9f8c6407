//! `[[key]]`: a key of the scenario.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;

/// A key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeyTable {
    /// What it is called; no other key is called so.
    pub name: At<String>,
    /// Which key it is: `keyrig profiles` lists them. Without it, `keyrig`.
    pub profile: Option<At<String>>,
    /// Its PIN, from the start. Whoever sits before the client knows it.
    pub pin: Option<At<String>>,
    /// Known bugs that it has beside what its profile says: `keyrig profiles` lists them.
    #[serde(default)]
    pub quirks: Vec<At<String>>,
    /// RP IDs that it gives enterprise attestations to, beside those of its profile, once `enable-enterprise-attestation` is done.
    #[serde(default)]
    pub enterprise_rps: Vec<At<String>>,
    /// What goes wrong with it from the start: `keyrig faults` lists it.
    #[serde(default)]
    pub faults: Vec<At<String>>,
    /// Whether it is plugged in at the start; yes, unless told otherwise.
    #[serde(default = "yes")]
    pub plugged: bool,
    /// For how many other accounts, of sites elsewhere, it holds a discoverable credential from the start: to fill a key.
    pub stored: Option<At<usize>>,
    /// Whom it finds when it verifies its user itself: `match`, `miss` and others, as `keyrig serve --uv` has them.
    pub uv: Option<At<String>>,
}

fn yes() -> bool {
    true
}
