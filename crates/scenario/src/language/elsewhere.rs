//! `[elsewhere]`: a site of others, by its four addresses.

use std::collections::BTreeMap;

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;
use super::problem::Problem;

/// The adapter's name for servers of FIDO's conformance tools.
const FIDO_CONFORMANCE: &str = "fido-conformance";

/// A site of others. Texts in bodies and headers have what is known by then: `{user}`, `{cookie:NAME}`, `{kept:NAME}` of an earlier call, in the
/// second request of a ceremony `{begun:/POINTER}` of the first one's answer, and as a whole value `{credential}`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElsewhereTable {
    /// Where it listens: `http://127.0.0.1:8000`.
    pub url: At<String>,
    /// Where its pages are. Without it, at its URL.
    pub origin: Option<At<String>>,
    /// The four addresses by a name: `fido-conformance` (`POST /attestation/options` and so on).
    pub adapter: Option<At<String>>,
    /// How a registration goes.
    pub register: Option<CeremonyTable>,
    /// How a login with a key goes.
    pub login: Option<CeremonyTable>,
    /// How a login with a passkey alone goes; without it, as one with a key.
    pub passkey: Option<CeremonyTable>,
    /// What each request has beside: `X-CSRFToken = "{cookie:csrftoken}"`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is in an answer that accepts, beside an HTTP status below 400: JSON pointers, and what is there.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub accepts: toml::Table,
}

/// The two requests of a ceremony.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CeremonyTable {
    /// What gives the options: `POST /webauthn/register/begin`.
    pub begin: At<String>,
    /// Its body.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub begin_body: Option<toml::Table>,
    /// Where the options are in the answer: a JSON pointer, empty if the answer is they.
    #[serde(default)]
    pub options: String,
    /// What takes the credential.
    pub finish: At<String>,
    /// Its body. Without it, the credential.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub finish_body: Option<toml::Table>,
}

/// A site of others, with all three ceremonies.
#[derive(Clone, Debug)]
pub struct ElsewherePlan {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// Where its pages are.
    pub origin: String,
    /// How a registration goes.
    pub register: CeremonyTable,
    /// How a login goes.
    pub login: CeremonyTable,
    /// How a login with a passkey alone goes.
    pub passkey: CeremonyTable,
    /// What each request has beside.
    pub headers: BTreeMap<String, String>,
    /// What is in an answer that accepts.
    pub accepts: toml::Table,
}

impl ElsewhereTable {
    pub(super) fn plan(&self) -> Result<ElsewherePlan, Problem> {
        let url = self.url.value.trim_end_matches('/').to_owned();
        let is_address = |url: Url| {
            ["http", "https"].contains(&url.scheme())
                && url.host().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        if !Url::parse(&url).is_ok_and(is_address) {
            let problem = Problem::new(self.url.at.clone(), format!("{:?} is no address of a site", self.url.value));
            return Err(problem.with_help("write http://HOST:PORT or https://HOST"));
        }
        let known = match &self.adapter {
            None => None,
            Some(name) if name.value == FIDO_CONFORMANCE => Some(conformance()),
            Some(name) => {
                let problem = Problem::new(name.at.clone(), format!("no adapter is called {:?}", name.value));
                return Err(problem.with_nearest(&name.value, [FIDO_CONFORMANCE]));
            }
        };
        let missing = |what: &str| {
            let problem = Problem::new(self.url.at.clone(), format!("nothing says how a {what} goes there"));
            problem.with_help(format!(
                "write [elsewhere.{what}] with begin and finish, or adapter = \"{FIDO_CONFORMANCE}\""
            ))
        };
        let (known_register, known_login) = known.unzip();
        let register = self.register.clone().or(known_register).ok_or_else(|| missing("register"))?;
        let login = self.login.clone().or(known_login).ok_or_else(|| missing("login"))?;
        let passkey = self.passkey.clone().unwrap_or_else(|| login.clone());
        for call in [&register, &login, &passkey].into_iter().flat_map(|ceremony| [&ceremony.begin, &ceremony.finish]) {
            is_call(call)?;
        }
        let mut accepts = self.accepts.clone();
        if self.adapter.is_some() && accepts.is_empty() {
            accepts.insert("/status".to_owned(), "ok".into());
        }
        let origin = self.origin.as_ref().map_or_else(|| url.clone(), |origin| origin.value.clone());
        Ok(ElsewherePlan { url, origin, register, login, passkey, headers: self.headers.clone(), accepts })
    }
}

/// Whether a text is a method and a path.
pub(super) fn is_call(call: &At<String>) -> Result<(), Problem> {
    let is_call = call.value.split_once(' ').is_some_and(|(method, path)| {
        ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) && path.starts_with('/')
    });
    if is_call {
        return Ok(());
    }
    let problem = Problem::new(call.at.clone(), format!("{:?} is no call", call.value));
    Err(problem.with_help("write a method and a path, such as \"GET /api/session\""))
}

/// The addresses of FIDO's "Server Requirements and Transport Binding Profile", which its conformance tools call.
fn conformance() -> (CeremonyTable, CeremonyTable) {
    let call = |text: &str| At { value: text.to_owned(), at: 0..0 };
    let body = |members: &[(&str, &str)]| {
        Some(members.iter().map(|(name, value)| ((*name).to_owned(), toml::Value::from(*value))).collect())
    };
    let ceremony = |begin: &str, begin_body, finish: &str| CeremonyTable {
        begin: call(begin),
        begin_body,
        options: String::new(),
        finish: call(finish),
        finish_body: None,
    };
    (
        ceremony(
            "POST /attestation/options",
            body(&[("username", "{user}"), ("displayName", "{user}"), ("attestation", "none")]),
            "POST /attestation/result",
        ),
        ceremony("POST /assertion/options", body(&[("username", "{user}")]), "POST /assertion/result"),
    )
}
