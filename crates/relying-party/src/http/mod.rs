//! The HTTP API: JSON in, JSON out, a [`Refusal`] for everything else.

mod access;
mod administration;
mod body;
mod conformance;
mod factors;
mod login;
mod openapi;
mod proxmox;
mod routes;
pub(crate) mod schemas;
mod session;
mod site;
mod source;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use keyrig_http::Server;
use tokio::net::TcpListener;
use url::{Host, Url};

pub use self::body::MAX_BODY_BYTES;
pub use self::conformance::ROUTES as CONFORMANCE_ROUTES;
pub use self::proxmox::ROUTES as PROXMOX_ROUTES;
pub(crate) use self::proxmox::TICKET_KEY_BYTES;
pub use self::routes::ROUTES;
pub use self::session::CSRF_HEADER;

use crate::refusal::of_what_is_no_request;
use crate::{Refusal, RelyingParty, page};

/// The API of a relying party, to be served or called directly. Pages can be added to it: their routes are their own.
pub fn router(relying_party: Arc<RelyingParty>) -> Router {
    let conformance = relying_party.fido_conformance.then(conformance::routes).unwrap_or_default();
    routes::routes()
        .merge(page::routes())
        .merge(conformance)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(unambiguous))
        .merge(proxmox::routes(twice))
        .layer(from_fn_with_state(relying_party.clone(), guarded))
        .with_state(relying_party)
}

/// Serves a relying party's API on a listener, in a task of the present tokio runtime. Connections have the
/// [limits](crate::Limits) of its settings; those of several listeners are counted together.
///
/// Who may connect is decided by the address that the listener is bound to: it should be a loopback address.
///
/// # Errors
/// When the listener's address cannot be read.
pub fn serve(listener: TcpListener, relying_party: Arc<RelyingParty>) -> io::Result<Server> {
    let connections = relying_party.connections.clone();
    keyrig_http::serve(listener, router(relying_party), of_what_is_no_request, connections)
}

/// The same over TLS.
///
/// # Errors
/// When the listener's address cannot be read.
#[cfg(feature = "tls")]
pub fn serve_tls(listener: TcpListener, relying_party: Arc<RelyingParty>, tls: keyrig_http::Tls) -> io::Result<Server> {
    let connections = relying_party.connections.clone();
    keyrig_http::serve_tls(listener, tls, router(relying_party), of_what_is_no_request, connections)
}

/// How browsers are told to ask for a site over TLS alone (RFC 6797), for a day: it is for rehearsals.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=86400");

/// Headers that are looked at, and are no lists: who sends one twice means one to a proxy and the other one here (RFC 9110, section 5.3).
const SINGLE: [&str; 5] = ["host", "content-type", "authorization", CSRF_HEADER, proxmox::CSRF_HEADER];

/// Refuses what can be read in two ways.
async fn unambiguous(request: Request, next: Next) -> Result<Response, Refusal> {
    match twice(request.headers()) {
        Some(refusal) => Err(refusal),
        None => Ok(next.run(request).await),
    }
}

fn twice(headers: &HeaderMap) -> Option<Refusal> {
    let name = SINGLE.into_iter().find(|name| headers.get_all(*name).iter().nth(1).is_some())?;
    Some(Refusal::BadRequest { reason: format!("the header {name} is there twice") })
}

/// Nothing here is for caches, or to be taken for anything but what it says it is.
async fn guarded(State(relying_party): State<Arc<RelyingParty>>, request: Request, next: Next) -> Response {
    let is_strict = relying_party.is_of_real_tls && has_real_name(request.headers());
    let mut response = next.run(request).await;
    if is_strict {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request asks for a name below one of the public suffixes: not an address, nor a name that has a meaning on one machine or
/// network alone.
fn has_real_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Ok(url) = Url::parse(&format!("https://{host}")) else { return false };
    let Some(Host::Domain(name)) = url.host() else { return false };
    let domain = psl::domain(name.as_bytes());
    domain.is_some_and(|domain| domain.suffix().is_known())
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::NotFound { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}
