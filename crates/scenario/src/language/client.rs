//! `[[client]]`: a page in a browser.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;

/// A page in a browser, which sees all keys that are plugged in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientTable {
    /// What it is called; no other client is called so.
    pub name: At<String>,
    /// Whose ways it has: `chromium`, unless told otherwise, or `firefox`.
    pub browser: Option<At<String>>,
    /// Where the page is. Without it, at the site's first origin.
    pub origin: Option<At<String>>,
    /// The pages that it is a frame in, the nearest first and the one at the top last.
    #[serde(default)]
    pub ancestors: Vec<At<String>>,
    /// Whether it is held to a browser's rules: `enforced`, or `forced-past`, which no browser is.
    pub rules: Option<RulesTable>,
    /// Whether somebody sits there who types PINs; yes, unless told otherwise.
    #[serde(default = "yes")]
    pub types_pins: bool,
}

/// Whether a page is held to a browser's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RulesTable {
    /// It is.
    Enforced,
    /// It is not: to find out what a server or a key says to what no browser would send.
    ForcedPast,
}

fn yes() -> bool {
    true
}
