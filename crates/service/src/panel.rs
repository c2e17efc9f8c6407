//! The panel: the rack to look at in a browser, at `/`. Who opens it has a code, in the fragment of its address, where no log sees it; the
//! page exchanges that for a token of its own. The files hold no secret, and are for anybody, whatever the Host is: a machine of a lab
//! is reached by a name of its own.

mod stream;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use keyrig_http::openapi::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::stream::{operation as stream_operation, panel as stream};
use crate::commands::Members;
use crate::error::Refused;
use crate::panel_access::{CODE_LIFE, Exchanged, path_with};
use crate::service::Service;

/// Nothing inline, nothing from elsewhere, in no frame, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What is at which path.
const FILES: [(&str, &str, &str); 9] = [
    ("/", HTML, include_str!("panel/index.html")),
    ("/panel/panel.css", CSS, include_str!("panel/panel.css")),
    ("/panel/drawing.css", CSS, include_str!("panel/drawing.css")),
    ("/panel/panel.js", SCRIPT, include_str!("panel/panel.js")),
    ("/panel/core.js", SCRIPT, include_str!("panel/core.js")),
    ("/panel/keys.js", SCRIPT, include_str!("panel/keys.js")),
    ("/panel/inside.js", SCRIPT, include_str!("panel/inside.js")),
    ("/panel/drawing.js", SCRIPT, include_str!("panel/drawing.js")),
    ("/panel/told.js", SCRIPT, include_str!("panel/told.js")),
];

/// Where a code is exchanged.
pub(crate) const TOKENS: &str = "/v1/panel/tokens";

/// The files, and where each is.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, MethodRouter<Arc<Service>>)> {
    FILES.into_iter().map(|(path, kind, content)| (path, get(async move || file(kind, content))))
}

/// Whether anybody may ask for this.
pub(crate) fn is_for_anybody(method: &Method, path: &str) -> bool {
    match *method {
        Method::GET | Method::HEAD => FILES.iter().any(|(known, ..)| *known == path),
        Method::POST => path == TOKENS,
        _ => false,
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), content).into_response()
}

/// Make a code by which the panel at / is opened once: `/#code=CODE` at this service's address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakeCode {}

/// A code for the panel.
#[derive(Serialize, ToSchema)]
pub(crate) struct PanelCode {
    /// It.
    code: String,
    /// Where the panel is with it, to be put behind this service's address.
    path: String,
    /// For how long it is good, seconds, if it is not used.
    expires_in_s: u64,
}

/// Describes [`make_code`].
pub(crate) fn make_code_operation(id: &str, path: &str) -> Operation {
    Operation::asking::<MakeCode, PanelCode>(id, path, false)
}

pub(crate) async fn make_code(
    State(service): State<Arc<Service>>,
    Members(MakeCode {}): Members<MakeCode>,
) -> Result<Json<PanelCode>, Refused> {
    let code = service.panel.make_code().map_err(|error| Refused::NoRandomness(error.to_string()))?;
    let (code, path) = (code.expose().to_owned(), path_with(code.expose()));
    Ok(Json(PanelCode { code, path, expires_in_s: CODE_LIFE.as_secs() }))
}

/// Exchange a code for a token, once, for anybody who has one. The token may do all that the service's own may, for as long as that runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeCode {
    /// The code.
    code: String,
}

/// A token for the panel.
#[derive(Serialize, ToSchema)]
pub(crate) struct PanelToken {
    /// It.
    token: String,
}

/// Describes [`exchange`].
pub(crate) fn exchange_operation(id: &str, path: &str) -> Operation {
    Operation::asking::<ExchangeCode, PanelToken>(id, path, false).for_anybody()
}

pub(crate) async fn exchange(
    State(service): State<Arc<Service>>,
    Members(ExchangeCode { code }): Members<ExchangeCode>,
) -> Result<Json<PanelToken>, Refused> {
    match service.panel.exchange(code.as_bytes()) {
        Ok(Exchanged::Token(token)) => Ok(Json(PanelToken { token: token.expose().to_owned() })),
        Ok(Exchanged::NotGood) => Err(Refused::CodeNotGood),
        Err(error) => Err(Refused::NoRandomness(error.to_string())),
    }
}
