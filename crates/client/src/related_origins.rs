//! Related origins: which pages a site lets claim its RP ID, by a file that it serves (WebAuthn Level 3 §5.11).
//!
//! Nothing is fetched here. Who has a [`Client`](crate::Client) gives it a function that says what came of fetching an address
//! ([`Client::fetching`](crate::Client::fetching)); it is called while a ceremony begins, so what takes a network is fetched
//! before: [`address`] says from where.

use core::fmt;

use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::origin::Origin;

/// How many different labels before the public suffix a browser looks at: as many as it has to, at least (§5.11.1 step 4), and
/// as many as Chromium does.
pub const MAX_LABELS: usize = 5;

/// Most bytes that Chromium reads of the file.
pub const MAX_BYTES: usize = 256 * 1024;

/// Most redirects that are followed (Fetch §4.4).
const MAX_REDIRECTS: usize = 20;

/// What came of asking for an address once, redirects not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A server answered.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The Content-Type header.
        content_type: Option<String>,
        /// The body. More than [`MAX_BYTES`] are as good as none.
        body: Vec<u8>,
    },
    /// A server sends elsewhere: its Location header.
    Redirect(String),
    /// Nobody answered, or not over good TLS: why.
    Unreachable(String),
}

/// Why a page's origin is not related to an RP ID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unrelated {
    /// The file could not be fetched.
    #[error("{address} cannot be fetched: {reason}")]
    NotFetched {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// It is served as another type than JSON.
    #[error("{address} is served as {}: the type has to be application/json", found.as_deref().unwrap_or("no type at all"))]
    ContentType {
        /// The address.
        address: String,
        /// The type, if there is any.
        found: Option<String>,
    },
    /// It is no JSON object with a list of texts as `origins`.
    #[error("{address} is not {{\"origins\": [\"https://…\"]}}: {reason}")]
    Malformed {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The page's origin is not in it.
    #[error("{address} lists {} and not {origin}: scheme, host and port have to be equal", Listed(.listed))]
    NotListed {
        /// The address.
        address: String,
        /// The page's origin.
        origin: String,
        /// The origins that are in it.
        listed: Vec<String>,
    },
    /// The page's origin may be in it, behind origins of five other names, where browsers stop.
    #[error(
        "{address} lists {origin} behind origins of {MAX_LABELS} other names, and browsers look at no more: put it further up"
    )]
    TooManyLabels {
        /// The address.
        address: String,
        /// The page's origin.
        origin: String,
    },
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        match self.0.split_at_checked(SHOWN) {
            Some((shown, more)) if !more.is_empty() => write!(f, "{} and {} more", shown.join(", "), more.len()),
            _ if self.0.is_empty() => f.write_str("no origins"),
            _ => f.write_str(&self.0.join(", ")),
        }
    }
}

/// Where an RP ID's file is.
#[must_use]
pub fn address(rp_id: &str) -> String {
    format!("https://{rp_id}/.well-known/webauthn")
}

/// What an RP ID's file lists, in its order (§5.11.1 steps 1 and 2).
///
/// # Errors
/// [`Unrelated`], if there is no such file.
pub fn listed(rp_id: &str, fetch: &dyn Fn(&str) -> Fetched) -> Result<Vec<String>, Unrelated> {
    let address = address(rp_id);
    let body = body(&address, fetch)?;
    let malformed = |reason: String| Unrelated::Malformed { address: address.clone(), reason };
    let file: Value = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    let listed = file.as_object().ok_or_else(|| malformed("it is no object".to_owned()))?.get("origins");
    let listed = listed.ok_or_else(|| malformed("it has no member \"origins\"".to_owned()))?;
    let listed = listed.as_array().ok_or_else(|| malformed("\"origins\" is no list".to_owned()))?;
    let text = |entry: &Value| entry.as_str().map(str::to_owned);
    let listed: Option<Vec<String>> = listed.iter().map(text).collect();
    listed.ok_or_else(|| malformed("an entry of \"origins\" is no text".to_owned()))
}

/// Whether a page may claim an RP ID by the RP ID's file (§5.11.1).
///
/// # Errors
/// [`Unrelated`], if it may not.
pub fn judge(origin: &Origin, rp_id: &str, fetch: &dyn Fn(&str) -> Fetched) -> Result<(), Unrelated> {
    let address = address(rp_id);
    let listed = listed(rp_id, fetch)?;
    let mut labels: Vec<String> = Vec::new();
    let mut passed_over = false;
    for entry in &listed {
        let Ok(related) = entry.parse::<Origin>() else { continue };
        let Some(label) = related.domain().and_then(label) else { continue };
        if !labels.contains(&label) {
            if labels.len() >= MAX_LABELS {
                passed_over |= related == *origin;
                continue;
            }
            labels.push(label);
        }
        if related == *origin {
            return Ok(());
        }
    }
    let origin = origin.to_string();
    Err(if passed_over {
        Unrelated::TooManyLabels { address, origin }
    } else {
        Unrelated::NotListed { address, origin, listed }
    })
}

/// The file's bytes, after redirects.
fn body(address: &str, fetch: &dyn Fn(&str) -> Fetched) -> Result<Vec<u8>, Unrelated> {
    let failed = |reason: String| Unrelated::NotFetched { address: address.to_owned(), reason };
    let mut at = Url::parse(address).map_err(|error| failed(error.to_string()))?;
    for _ in 0..=MAX_REDIRECTS {
        match fetch(at.as_str()) {
            Fetched::Unreachable(reason) => return Err(failed(reason)),
            Fetched::Redirect(location) => {
                let next = at.join(&location);
                at = next.map_err(|error| failed(format!("it redirects to {location:?}: {error}")))?;
                if at.scheme() != "https" {
                    return Err(failed(format!("it redirects to {at}, which is not https")));
                }
            }
            Fetched::Answer { status, .. } if status != 200 => {
                return Err(failed(format!("the status is {status}")));
            }
            Fetched::Answer { body, .. } if body.len() > MAX_BYTES => {
                return Err(failed(format!("it has more than {MAX_BYTES} bytes")));
            }
            Fetched::Answer { content_type, body, .. } => {
                let of_the_type = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                if content_type.as_deref().map(of_the_type).as_deref() != Some("application/json") {
                    return Err(Unrelated::ContentType { address: address.to_owned(), found: content_type });
                }
                return Ok(body);
            }
        }
    }
    Err(failed(format!("it redirects more than {MAX_REDIRECTS} times")))
}

/// What stands before the public suffix: `example` of `www.example.co.uk`. `None` of what has nothing there.
#[must_use]
pub fn label(domain: &str) -> Option<String> {
    let registrable = psl::domain_str(domain)?;
    registrable.split('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests;
