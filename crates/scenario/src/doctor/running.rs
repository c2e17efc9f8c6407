//! A site that runs: the options that it sends, and the file of related origins that it serves.

use std::collections::BTreeMap;

use keyrig_client::related_origins::{self, Fetched};
use keyrig_verifier::{InvalidRecording, Recording};
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::fetch::{FetchError, Fetcher, MAX_REDIRECTS, TIME};

/// Why there are no options at an address.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// It cannot be fetched.
    #[error("{}", once(.address, .error))]
    NotFetched {
        /// The address.
        address: String,
        /// Why.
        error: Box<FetchError>,
    },
    /// The server refuses.
    #[error("{address} answers with status {status}: {}", begin(.body))]
    Status {
        /// The address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        body: String,
    },
    /// It is something else, a page perhaps.
    #[error("{address} is {} and no JSON (line {line}, column {column}): {}", .content_type.as_deref().unwrap_or("of no type"), begin(.body))]
    NotJson {
        /// The address.
        address: String,
        /// The `Content-Type` header.
        content_type: Option<String>,
        /// The line where JSON ends, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What it says.
        body: String,
    },
    /// There is nothing where the options were to be.
    #[error("{address}: there is no {missing} in {within}, which has {}", listed(.has))]
    NoSuchMember {
        /// The address.
        address: String,
        /// The name that is not there.
        missing: String,
        /// Where it is not.
        within: String,
        /// What is there.
        has: Vec<String>,
    },
    /// There is nothing of WebAuthn in it.
    #[error("{address}: {error}")]
    NoOptions {
        /// The address.
        address: String,
        /// Why.
        error: InvalidRecording,
    },
}

impl OptionsError {
    /// What could not be fetched, if it is that.
    #[must_use]
    pub fn fetching(&self) -> Option<&FetchError> {
        match self {
            Self::NotFetched { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// An error behind the address that it is of, which it may begin with itself.
fn once(address: &str, error: &FetchError) -> String {
    let error = error.to_string();
    if error.starts_with(address) { error } else { format!("{address}: {error}") }
}

/// The beginning of what somebody said, in one line.
fn begin(body: &str) -> String {
    const SHOWN: usize = 80;
    let words = body.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None if words.is_empty() => "it is empty".to_owned(),
        None => words,
    }
}

fn listed(has: &[String]) -> String {
    const SHOWN: usize = 8;
    match has.split_at_checked(SHOWN) {
        _ if has.is_empty() => "no members".to_owned(),
        Some((shown, more)) if !more.is_empty() => format!("{} and {} more", shown.join(", "), more.len()),
        _ => has.join(", "),
    }
}

/// What browsers get that ask for a file of related origins.
#[derive(Debug, Default)]
pub struct FoundFile {
    /// Each redirect and the answer, by address. Whatever there is no answer to is [`Fetched::Unreachable`], and says why.
    pub answers: BTreeMap<String, Fetched>,
    /// Why there is no answer, if there is none.
    pub failed: Option<FetchError>,
}

impl Fetcher {
    /// The options that a site sends: the answer to GET, or to POST of a JSON text. They are at `path` in it: names and numbers of
    /// elements joined by dots, as `data.publicKey`, or a JSON Pointer (RFC 6901), as `/data/publicKey`; without one they are looked for.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub async fn options(
        &mut self,
        address: &Url,
        json: Option<&str>,
        path: Option<&str>,
    ) -> Result<Recording, OptionsError> {
        let fetched = self.fetch(address, json).await;
        let (at, answer) = fetched
            .map_err(|error| OptionsError::NotFetched { address: address.to_string(), error: Box::new(error) })?;
        let address = at.to_string();
        let body = || String::from_utf8_lossy(&answer.body).into_owned();
        if !(200..300).contains(&answer.status) {
            return Err(OptionsError::Status { address, status: answer.status, body: body() });
        }
        let value: Value = serde_json::from_slice(&answer.body).map_err(|error| OptionsError::NotJson {
            address: address.clone(),
            content_type: answer.content_type.clone(),
            line: error.line(),
            column: error.column(),
            body: body(),
        })?;
        let value = path.map_or(Ok(value.clone()), |path| at_path(&value, path, &address))?;
        let text = value.to_string();
        Recording::read(text.as_bytes()).map_err(|error| OptionsError::NoOptions { address, error })
    }

    /// What browsers get that ask for an RP ID's file of related origins.
    pub async fn related_origins(&mut self, rp_id: &str) -> FoundFile {
        let mut found = FoundFile::default();
        let deadline = Instant::now() + TIME;
        let first = related_origins::address(rp_id);
        let mut next = Url::parse(&first).ok();
        let mut redirects = 0;
        while let Some(at) = next.take() {
            let asked = timeout_at(deadline, self.once(&at, None)).await;
            let host = || at.host_str().unwrap_or_default().to_owned();
            let asked = asked.unwrap_or_else(|_| Err(FetchError::TooSlow { host: host() }));
            let asked = asked.and_then(|answer| match answer.location {
                Some(_) if redirects == MAX_REDIRECTS => Err(FetchError::TooManyRedirects(first.clone())),
                _ => Ok(answer),
            });
            let fetched = match asked {
                Err(error) => {
                    let reason = error.to_string();
                    found.failed = Some(error);
                    Fetched::Unreachable(reason)
                }
                Ok(answer) => match answer.location {
                    Some(location) => {
                        redirects += 1;
                        next = at.join(&location).ok().filter(|next| next.scheme() == "https");
                        Fetched::Redirect(location)
                    }
                    None => {
                        let (status, content_type, body) = (answer.status, answer.content_type, answer.body);
                        Fetched::Answer { status, content_type, body }
                    }
                },
            };
            found.answers.insert(at.to_string(), fetched);
        }
        found
    }
}

/// What is at a path; a text on the way that is JSON is read, as some sites have options in one.
fn at_path(value: &Value, path: &str, address: &str) -> Result<Value, OptionsError> {
    let names: Vec<String> = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None => path.split('.').skip_while(|name| matches!(*name, "$" | "")).map(str::to_owned).collect(),
    };
    let mut value = value.clone();
    let mut within = "what it sends".to_owned();
    for name in names {
        if let Some(inner) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            value = inner;
        }
        let inner = match &value {
            Value::Object(members) => members.get(&name),
            Value::Array(elements) => name.parse::<usize>().ok().and_then(|index| elements.get(index)),
            _ => None,
        };
        let Some(inner) = inner.cloned() else {
            let mut has: Vec<String> = match &value {
                Value::Object(members) => members.keys().cloned().collect(),
                Value::Array(elements) => (0..elements.len()).map(|index| index.to_string()).collect(),
                _ => Vec::new(),
            };
            // Elements are in order, and members in none.
            if value.is_object() {
                has.sort();
            }
            return Err(OptionsError::NoSuchMember { address: address.to_owned(), missing: name, within, has });
        };
        value = inner;
        within = name;
    }
    Ok(value)
}
