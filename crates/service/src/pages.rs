//! Where tokens for pages are made and ended.

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keyrig_client::{Browser, Origin};
use keyrig_http::openapi::Operation;
use keyrig_rack::KeyName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::parsed_if_any;
use crate::commands::Members;
use crate::error::Refused;
use crate::page_token::ForPage;
use crate::service::Service;

/// How long one is good unless told otherwise, seconds, and at most.
const DEFAULT_LIFE: u64 = 60 * 60;
const LONGEST_LIFE: u64 = 24 * 60 * 60;

/// Make a token for pages of one origin, which /v1/page.js may have: it is good for /v1/client alone, and only if a browser says that
/// the request is of that origin. What a page says of the pages around it is claimed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakePageToken {
    /// The origin, as a browser writes it, without a path.
    #[schema(example = "https://login.example.com")]
    origin: String,
    /// The keys that its pages ask; without it, all that are plugged in.
    #[serde(default)]
    on: Vec<KeyName>,
    /// What is typed when a PIN is asked for.
    #[serde(default)]
    pin: Option<String>,
    /// The browser whose rules are followed: chromium, if it is not said, firefox or safari.
    #[serde(default, deserialize_with = "parsed_if_any")]
    #[schema(value_type = Option<String>, pattern = "^(chromium|firefox|safari)$")]
    browser: Option<Browser>,
    /// For how long it is good, seconds; an hour, if it is not said.
    #[serde(default = "default_life")]
    #[schema(minimum = 1, maximum = 86400)]
    expires_in_s: u64,
}

fn default_life() -> u64 {
    DEFAULT_LIFE
}

/// A token for pages.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageToken {
    /// It.
    token: String,
    /// Whose pages may use it.
    origin: String,
    /// For how long it is good, seconds.
    expires_in_s: u64,
}

/// End a token for pages before its time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokePageToken {
    /// The token.
    token: String,
}

/// It is good no more.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// Whether it was until now.
    revoked: bool,
}

/// Describes [`make`].
pub(crate) fn make_operation(id: &str, path: &str) -> Operation {
    Operation::asking::<MakePageToken, PageToken>(id, path, false)
}

pub(crate) async fn make(
    State(service): State<Arc<Service>>,
    Members(asked): Members<MakePageToken>,
) -> Result<Json<PageToken>, Refused> {
    let MakePageToken { origin, on, pin, browser, expires_in_s } = asked;
    if !(1..=LONGEST_LIFE).contains(&expires_in_s) {
        return Err(Refused::BadRequest(format!("expires_in_s is from 1 to {LONGEST_LIFE}")));
    }
    for name in &on {
        service.rack.known(name)?;
    }
    let parsed: Origin = origin.parse().map_err(|error| Refused::BadCeremony(format!("origin: {error}")))?;
    let origin = parsed.to_string();
    let page = ForPage { origin: Some(origin.clone()), on, pin, browser };
    let token = service.pages.give(page, Duration::from_secs(expires_in_s));
    let token = token.map_err(|error| Refused::NoRandomness(error.to_string()))?;
    Ok(Json(PageToken { token: token.expose().to_owned(), origin, expires_in_s }))
}

/// Describes [`revoke`].
pub(crate) fn revoke_operation(id: &str, path: &str) -> Operation {
    Operation::asking::<RevokePageToken, Revoked>(id, path, false)
}

pub(crate) async fn revoke(
    State(service): State<Arc<Service>>,
    Members(RevokePageToken { token }): Members<RevokePageToken>,
) -> Json<Revoked> {
    Json(Revoked { revoked: service.pages.take(&token) })
}
