//! What a step is to come to.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::at::{At, Several, WordOrTable};
use crate::report::Party;

/// What a step is to come to: `"accepted"`, or a table of all that is to be so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation(pub Expected);

/// All that is to be so. Without `refused-by`, nobody refuses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expected {
    /// Who is to refuse: the key, the browser, or the server.
    pub refused_by: Option<Refuser>,
    /// The refusal's code, as `keyrig explain` knows it: `credential-excluded` of a key, `rp-id-foreign` of a browser,
    /// `authentication_failed` of a server.
    pub code: Option<At<String>>,
    /// The cause in the server's report, such as `wrong_password`, `account_locked` or `verification`.
    pub cause: Option<At<String>>,
    /// The checks of WebAuthn by which the server refuses, and no others: `origin`, `signature-counter`.
    pub check: Option<Several>,
    /// Words that the reason has.
    #[serde(default)]
    pub says: Several,
    /// The HTTP status of a call's answer.
    pub status: Option<u16>,
    /// What is in a call's answer: JSON pointers, and what is there.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub json: toml::Table,
    /// The keys that asked for a touch in this ceremony, and no others. Several: nothing is touched before all of them ask, for 5 s at most.
    pub blinked: Option<Vec<At<String>>>,
    /// The keys that were touched in this ceremony, and no others.
    pub touched: Option<Several>,
    /// The key that the server takes it for: the one that logged in, by its description there.
    pub key: Option<String>,
    /// How many wrong PINs the step's key takes from here on until it is blocked.
    pub pin_retries: Option<u8>,
    /// The signature counter that the key said.
    pub counter: Option<u32>,
    /// What the server tells the user beside: the code of a notice, such as `totp_drift`.
    #[serde(default)]
    pub notices: Several,
}

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refuser {
    /// The key.
    Authenticator,
    /// The browser.
    Client,
    /// The server.
    RelyingParty,
}

impl From<Refuser> for Party {
    fn from(refuser: Refuser) -> Self {
        match refuser {
            Refuser::Authenticator => Self::Authenticator,
            Refuser::Client => Self::Client,
            Refuser::RelyingParty => Self::RelyingParty,
        }
    }
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let accepted = |word: &str| (word == "accepted").then(Expected::default);
        let wanted = "\"accepted\", or a table such as { refused-by = \"client\" }";
        deserializer.deserialize_any(WordOrTable { wanted, word: accepted }).map(Self)
    }
}

impl JsonSchema for Expectation {
    fn schema_name() -> Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Expected>();
        schemars::json_schema!({ "anyOf": [{ "const": "accepted" }, table] })
    }
}
