//! The HTTP API: JSON in, JSON out, a [`Refusal`] for everything else.

mod administration;
mod body;
mod factors;
mod login;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};

pub use self::session::CSRF_HEADER;

use crate::{Refusal, RelyingParty, page};

/// The longest request body that is read. An answer with a chain of attestation certificates is below 8 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The API of a relying party, to be served or called directly. Pages can be added to it: their routes are their own.
pub fn router(relying_party: Arc<RelyingParty>) -> Router {
    Router::new()
        .route("/api/login", post(login::password))
        .route("/api/login/totp", post(login::totp))
        .route("/api/login/recovery", post(login::recovery))
        .route("/api/login/webauthn/begin", post(login::begin_webauthn))
        .route("/api/login/webauthn", post(login::webauthn))
        .route("/api/login/passkey/begin", post(login::begin_passkey))
        .route("/api/login/passkey", post(login::passkey))
        .route("/api/session", get(session::show).delete(session::end))
        .route("/api/session/confirm", post(session::confirm))
        .route("/api/sessions", delete(session::end_all))
        .route("/api/password", put(session::change_password))
        .route("/api/factors", get(factors::list))
        .route("/api/factors/webauthn/begin", post(factors::begin_webauthn))
        .route("/api/factors/webauthn", post(factors::finish_webauthn))
        .route("/api/factors/totp/begin", post(factors::begin_totp))
        .route("/api/factors/totp", post(factors::finish_totp))
        .route("/api/factors/recovery", post(factors::add_recovery_keys))
        .route("/api/factors/{id}", patch(factors::change).delete(factors::delete))
        .route("/api/users", get(administration::users).post(administration::add_user))
        .route("/api/users/{user}", patch(administration::change_user).delete(administration::delete_user))
        .route("/api/users/{user}/password", put(administration::set_password))
        .route("/api/users/{user}/unlock", post(administration::unlock))
        .route("/api/users/{user}/sessions", delete(administration::end_sessions))
        .route("/api/users/{user}/factors", get(administration::factors).delete(administration::delete_factors))
        .route(
            "/api/users/{user}/factors/{id}",
            patch(administration::change_factor).delete(administration::delete_factor),
        )
        .route("/api/realms", get(administration::realms))
        .route("/api/realms/{realm}", put(administration::change_realm))
        .route("/api/events", get(administration::events))
        .route("/api/reports/{id}", get(administration::report))
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(guarded))
        .with_state(relying_party)
}

/// Nothing here is for caches, or to be taken for anything but what it says it is.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::NotFound { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}
