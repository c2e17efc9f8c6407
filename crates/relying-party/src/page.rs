//! The page: registers and logs in with everything that the API has, for trying it in a browser; and the file that lets pages
//! elsewhere use the RP ID.
//!
//! The page is three files that come with the program, and loads nothing from elsewhere: its Content-Security-Policy would not
//! let it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::{Refusal, RelyingParty};

/// Nothing inline, nothing from elsewhere; who may have it in a frame follows. `data:` is the QR code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors";

/// The page's routes: `/`, `/page.css` and `/page.js`; and `/.well-known/webauthn`.
pub(crate) fn routes() -> Router<Arc<RelyingParty>> {
    let file = |media_type: &'static str, content: &'static str| {
        get(async move |State(site): State<Arc<RelyingParty>>| (headers(&site, media_type), content).into_response())
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
        .route(RELATED_ORIGINS, get(related_origins))
        .route("/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
}

/// Where browsers look for related origins (WebAuthn Level 3, §5.11).
const RELATED_ORIGINS: &str = "/.well-known/webauthn";

async fn related_origins(State(site): State<Arc<RelyingParty>>, uri: Uri) -> Response {
    match site.related_origins_file() {
        Some(file) => ([(CONTENT_TYPE, "application/json")], file).into_response(),
        None => Refusal::NotFound { path: uri.path().to_owned() }.into_response(),
    }
}

fn headers(site: &RelyingParty, media_type: &'static str) -> [(HeaderName, HeaderValue); 4] {
    let around = match site.top_origins() {
        [] => "'none'".to_owned(),
        origins => origins.join(" "),
    };
    let policy = HeaderValue::from_str(&format!("{POLICY} {around}"));
    // An origin is visible ASCII, or the settings would have been refused.
    let policy = policy.unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]
}
