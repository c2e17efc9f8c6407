//! The parameters of a call: of its path, its query and its body, which is a form or JSON, whichever it says it is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::Failure;
use super::ticket::MAX_TICKET_BYTES;
use crate::http::body;
use crate::{Refusal, RelyingParty};

/// The longest body that is read: half a ticket in a form, which has three characters for some of its own, and the answer to it.
pub(super) const MAX_BODY_BYTES: usize = MAX_TICKET_BYTES + 32 * 1024;

/// How many parameters a call may have.
const MAX_PARAMETERS: usize = 32;

/// What was sent, by name. What a call has no use for is refused, as is what is there twice.
#[derive(Debug, Default)]
pub(super) struct Params {
    found: BTreeMap<String, Zeroizing<String>>,
    wrong: BTreeMap<String, String>,
}

impl FromRequest<Arc<RelyingParty>> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<RelyingParty>) -> Result<Self, Failure> {
        let mut params = Self::default();
        params.add_form(request.uri().query().unwrap_or_default().as_bytes());
        let form = Kind::of(request.headers())?;
        let limit = state.limits.body;
        let read = tokio::time::timeout(limit, Bytes::from_request(request, state)).await;
        let body = match read.map_err(|_| Failure::from(Refusal::BodyTooSlow { limit }))? {
            Ok(body) => body,
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Refusal::BodyTooLarge { limit: MAX_BODY_BYTES }.into());
            }
            Err(error) => return Err(Failure::of_body(&error.body_text())),
        };
        match form {
            Kind::Form => params.add_form(&body),
            Kind::Json if body.is_empty() => {}
            Kind::Json => params.add_json(&body)?,
            Kind::None if body.is_empty() => {}
            Kind::None => return Err(Refusal::BadContentType.into()),
        }
        if params.found.len() > MAX_PARAMETERS {
            return Err(Failure::of_body(&format!("more than {MAX_PARAMETERS} parameters")));
        }
        Ok(params)
    }
}

/// The members of an object in JSON, each time that one is there.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
                std::iter::from_fn(|| members.next_entry().transpose()).collect::<Result<_, _>>().map(Members)
            }
        }

        deserializer.deserialize_map(Each)
    }
}

/// The parts of the path.
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<RelyingParty>> for InPath<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Failure> {
        let body::InPath(found) = body::InPath::from_request_parts(parts, state).await?;
        Ok(Self(found))
    }
}

/// The parameters of a call that takes none: any is refused.
pub(super) struct NoParams;

impl FromRequest<Arc<RelyingParty>> for NoParams {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<RelyingParty>) -> Result<Self, Failure> {
        Params::from_request(request, state).await?.finish()?;
        Ok(Self)
    }
}

/// What a body says it is.
enum Kind {
    Form,
    Json,
    None,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Self::None) };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::Form)
        } else {
            Err(Refusal::BadContentType.into())
        }
    }
}

fn parts(text: &str) -> Vec<String> {
    text.split([',', ';', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Params {
    fn add_form(&mut self, text: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(text).take(MAX_PARAMETERS + 1) {
            self.add(name.into_owned(), value.into_owned());
        }
    }

    fn add_json(&mut self, text: &[u8]) -> Result<(), Failure> {
        // What it has is not repeated: a password may be there.
        let read: Result<Members, _> = serde_json::from_slice(text);
        let Members(members) = read.map_err(|error| {
            Failure::of_body(&format!(
                "the body is not an object in JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        for (name, value) in members.into_iter().take(MAX_PARAMETERS + 1) {
            match value {
                Value::String(text) => self.add(name, text),
                Value::Bool(is) => self.add(name, u8::from(is).to_string()),
                Value::Number(number) => self.add(name, number.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    self.wrong.insert(name, "type check failed: a text, a number or a boolean is taken".to_owned());
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, value: String) {
        match self.found.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert(Zeroizing::new(value))),
            Entry::Occupied(entry) => drop(self.wrong.insert(entry.key().clone(), "it is there twice".to_owned())),
        }
    }

    /// Takes out what may be there.
    pub(super) fn optional(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.found.remove(name)
    }

    /// The same, where an empty text means that there is nothing.
    pub(super) fn non_empty(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.optional(name).filter(|value| !value.is_empty())
    }

    /// Takes out what has to be there; empty where it is not, and [`Self::finish`] says so.
    pub(super) fn required(&mut self, name: &str) -> Zeroizing<String> {
        self.optional(name).unwrap_or_else(|| {
            self.wrong.insert(name.to_owned(), "property is missing and it is not optional".to_owned());
            Zeroizing::default()
        })
    }

    /// Takes out a list: its parts have commas, semicolons or spaces between.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        self.optional(name).map(|text| parts(&text))
    }

    /// The same of one that has to be there.
    pub(super) fn required_list(&mut self, name: &str) -> Vec<String> {
        parts(&self.required(name))
    }

    /// Takes out a boolean in the forms that Proxmox VE takes.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.optional(name)?;
        let is = match value.to_ascii_lowercase().as_str() {
            "1" | "on" | "yes" | "true" => Some(true),
            "0" | "off" | "no" | "false" => Some(false),
            _ => None,
        };
        if is.is_none() {
            self.wrong.insert(name.to_owned(), "type check ('boolean') failed: it is 0 or 1".to_owned());
        }
        is
    }

    /// Takes out what has words of its own.
    pub(super) fn parsed<T: FromStr<Err = &'static str>>(&mut self, name: &str) -> Option<T> {
        match self.optional(name)?.parse() {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(name, reason);
                None
            }
        }
    }

    /// Takes out a whole number that is not negative.
    pub(super) fn whole(&mut self, name: &str) -> Option<usize> {
        let value = self.optional(name)?.parse().ok();
        if value.is_none() {
            self.refuse(name, "type check ('integer') failed: it is 0 or more");
        }
        value
    }

    /// Says of something that was taken out what is wrong with it.
    pub(super) fn refuse(&mut self, name: &str, reason: impl ToString) {
        self.wrong.insert(name.to_owned(), reason.to_string());
    }

    /// Nothing is left, and all that was taken out was right.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        for (name, _) in std::mem::take(&mut self.found) {
            let reason = "property is not defined in schema and the schema does not allow additional properties";
            self.wrong.insert(name, reason.to_owned());
        }
        if self.wrong.is_empty() { Ok(()) } else { Err(Failure::of_parameters(self.wrong)) }
    }
}
