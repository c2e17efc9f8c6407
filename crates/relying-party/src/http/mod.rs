//! The HTTP API: JSON in, JSON out, a [`Refusal`] for everything else.

mod access;
mod administration;
mod body;
mod conformance;
mod factors;
mod login;
mod proxmox;
mod session;
mod site;
mod source;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use keyrig_http::Server;
use tokio::net::TcpListener;
use url::{Host, Url};

pub use self::body::MAX_BODY_BYTES;
pub use self::conformance::ROUTES as CONFORMANCE_ROUTES;
pub use self::proxmox::ROUTES as PROXMOX_ROUTES;
pub(crate) use self::proxmox::TICKET_KEY_BYTES;
pub use self::session::CSRF_HEADER;

use crate::refusal::of_what_is_no_request;
use crate::{Refusal, RelyingParty, page};

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path,)+) => {
        /// Every route of the API: method and path, with the parameters of a path in braces.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)+];

        fn routes() -> Router<Arc<RelyingParty>> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))+
        }
    };
}

routes! {
    GET "/api/site" => site::show,
    POST "/api/login" => login::password,
    POST "/api/login/totp" => login::totp,
    POST "/api/login/recovery" => login::recovery,
    POST "/api/login/webauthn/begin" => login::begin_webauthn,
    POST "/api/login/webauthn" => login::webauthn,
    POST "/api/login/passkey/begin" => login::begin_passkey,
    POST "/api/login/passkey" => login::passkey,
    GET "/api/session" => session::show,
    DELETE "/api/session" => session::end,
    POST "/api/session/confirm" => session::confirm,
    GET "/api/sessions" => session::list,
    DELETE "/api/sessions" => session::end_all,
    DELETE "/api/sessions/{id}" => session::end_one,
    PUT "/api/password" => session::change_password,
    GET "/api/factors" => factors::list,
    POST "/api/factors/webauthn/begin" => factors::begin_webauthn,
    POST "/api/factors/webauthn" => factors::finish_webauthn,
    POST "/api/factors/totp/begin" => factors::begin_totp,
    POST "/api/factors/totp" => factors::finish_totp,
    POST "/api/factors/recovery" => factors::add_recovery_keys,
    PATCH "/api/factors/{id}" => factors::change,
    DELETE "/api/factors/{id}" => factors::delete,
    GET "/api/users" => administration::users,
    POST "/api/users" => administration::add_user,
    PATCH "/api/users/{user}" => administration::change_user,
    DELETE "/api/users/{user}" => administration::delete_user,
    PUT "/api/users/{user}/password" => administration::set_password,
    POST "/api/users/{user}/unlock" => administration::unlock,
    GET "/api/users/{user}/sessions" => administration::sessions,
    DELETE "/api/users/{user}/sessions" => administration::end_sessions,
    DELETE "/api/users/{user}/sessions/{id}" => administration::end_session,
    GET "/api/users/{user}/factors" => administration::factors,
    DELETE "/api/users/{user}/factors" => administration::delete_factors,
    PATCH "/api/users/{user}/factors/{id}" => administration::change_factor,
    DELETE "/api/users/{user}/factors/{id}" => administration::delete_factor,
    GET "/api/users/{user}/tokens" => access::tokens,
    POST "/api/users/{user}/tokens" => access::add_token,
    DELETE "/api/users/{user}/tokens/{token}" => access::delete_token,
    GET "/api/groups" => access::groups,
    POST "/api/groups" => access::add_group,
    PATCH "/api/groups/{group}" => access::change_group,
    DELETE "/api/groups/{group}" => access::delete_group,
    GET "/api/roles" => access::roles,
    GET "/api/realms" => administration::realms,
    PUT "/api/realms/{realm}" => administration::change_realm,
    GET "/api/audit" => administration::audit,
    GET "/api/events" => administration::events,
    GET "/api/reports/{id}" => administration::report,
}

/// The API of a relying party, to be served or called directly. Pages can be added to it: their routes are their own.
pub fn router(relying_party: Arc<RelyingParty>) -> Router {
    let conformance = relying_party.fido_conformance.then(conformance::routes).unwrap_or_default();
    routes()
        .merge(page::routes())
        .merge(proxmox::routes())
        .merge(conformance)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
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

/// Nothing here is for caches, or to be taken for anything but what it says it is.
async fn guarded(State(relying_party): State<Arc<RelyingParty>>, request: Request, next: Next) -> Response {
    let is_strict = relying_party.is_of_real_tls && has_real_name(request.headers());
    let twice = SINGLE.into_iter().find(|name| request.headers().get_all(*name).iter().nth(1).is_some());
    let mut response = match twice {
        Some(name) => Refusal::BadRequest { reason: format!("the header {name} is there twice") }.into_response(),
        None => next.run(request).await,
    };
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
