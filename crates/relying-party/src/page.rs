//! The pages: everything that the API has, for users and administrators in a browser; and the file that lets pages elsewhere use
//! the RP ID.
//!
//! The pages are one document with a style and scripts that come with the program, and load nothing from elsewhere: the
//! Content-Security-Policy would not let them. Who is in, and which page is shown, is in `page.js`; the others are named after what
//! they show.

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

const STYLE: (&str, &str) = ("/page.css", include_str!("page/page.css"));

const SCRIPTS: [(&str, &str); 8] = [
    ("/page.js", include_str!("page/page.js")),
    ("/core.js", include_str!("page/core.js")),
    ("/ceremony.js", include_str!("page/ceremony.js")),
    ("/account.js", include_str!("page/account.js")),
    ("/administration.js", include_str!("page/administration.js")),
    ("/groups.js", include_str!("page/groups.js")),
    ("/tokens.js", include_str!("page/tokens.js")),
    ("/records.js", include_str!("page/records.js")),
];

/// The routes of the document, `/`, and of what it loads; and `/.well-known/webauthn`.
pub(crate) fn routes() -> Router<Arc<RelyingParty>> {
    let file = |media_type: &'static str, content: &'static str| {
        get(async move |State(site): State<Arc<RelyingParty>>| (headers(&site, media_type), content).into_response())
    };
    let (style, rules) = STYLE;
    let document = Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route(style, file("text/css; charset=utf-8", rules))
        .route(RELATED_ORIGINS, get(related_origins));
    SCRIPTS
        .into_iter()
        .fold(document, |router, (path, script)| router.route(path, file("text/javascript; charset=utf-8", script)))
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
