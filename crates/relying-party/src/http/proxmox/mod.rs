//! The same decisions in the shapes of Proxmox VE's API, under `/api2/json` and `/api2/extjs`: what is written for a cluster logs in
//! here. Only what second factors and their administration need is there.

mod access;
mod access_control;
mod administration;
mod answer;
mod caller;
mod factors;
mod params;
mod permission;
mod realms;
mod tasks;
mod ticket;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};

pub(crate) use self::caller::CSRF_HEADER;
pub(crate) use self::ticket::TICKET_KEY_BYTES;

use self::answer::Failure;
use self::params::MAX_BODY_BYTES;
use crate::{Refusal, RelyingParty};

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path,)+) => {
        /// Every call: method and path below `/api2/json`, with the parameters of a path in braces.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)+];

        fn calls() -> Router<Arc<RelyingParty>> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))+
        }
    };
}

routes! {
    GET "/version" => access::version,
    GET "/access" => access::index,
    GET "/access/ticket" => access::no_ticket,
    POST "/access/ticket" => access::ticket,
    GET "/access/domains" => realms::domains,
    POST "/access/domains" => realms::add,
    GET "/access/domains/{realm}" => realms::domain,
    PUT "/access/domains/{realm}" => realms::change,
    DELETE "/access/domains/{realm}" => realms::delete,
    POST "/access/domains/{realm}/sync" => tasks::sync,
    GET "/access/permissions" => access::permissions,
    PUT "/access/password" => access::change_password,
    GET "/access/tfa" => factors::of_all,
    GET "/access/tfa/{userid}" => factors::of_user,
    POST "/access/tfa/{userid}" => factors::add,
    GET "/access/tfa/{userid}/{id}" => factors::one,
    PUT "/access/tfa/{userid}/{id}" => factors::change,
    DELETE "/access/tfa/{userid}/{id}" => factors::delete,
    GET "/access/users" => administration::users,
    POST "/access/users" => administration::add_user,
    GET "/access/users/{userid}" => administration::user,
    PUT "/access/users/{userid}" => administration::change_user,
    DELETE "/access/users/{userid}" => administration::delete_user,
    GET "/access/users/{userid}/tfa" => factors::types,
    PUT "/access/users/{userid}/unlock-tfa" => administration::unlock,
    GET "/access/users/{userid}/token" => administration::tokens,
    GET "/access/users/{userid}/token/{tokenid}" => administration::token,
    POST "/access/users/{userid}/token/{tokenid}" => administration::add_token,
    PUT "/access/users/{userid}/token/{tokenid}" => administration::change_token,
    DELETE "/access/users/{userid}/token/{tokenid}" => administration::delete_token,
    GET "/access/groups" => access_control::groups,
    POST "/access/groups" => access_control::add_group,
    GET "/access/groups/{groupid}" => access_control::group,
    PUT "/access/groups/{groupid}" => access_control::change_group,
    DELETE "/access/groups/{groupid}" => access_control::delete_group,
    GET "/access/roles" => access_control::roles,
    POST "/access/roles" => access_control::add_role,
    GET "/access/roles/{roleid}" => access_control::role,
    PUT "/access/roles/{roleid}" => access_control::change_role,
    DELETE "/access/roles/{roleid}" => access_control::delete_role,
    GET "/access/acl" => access_control::acl,
    PUT "/access/acl" => access_control::change_acl,
    GET "/nodes/{node}/tasks/{upid}/status" => tasks::status,
    GET "/nodes/{node}/tasks/{upid}/log" => tasks::log,
}

/// What is wrong with a request's head, whatever it asks for.
type Check = fn(&HeaderMap) -> Option<Refusal>;

/// Both formats of all calls; of what is in none of them, that it is not. A call whose head `check` refuses is not looked at.
pub(super) fn routes(check: Check) -> Router<Arc<RelyingParty>> {
    // A prefix with a slash and nothing behind it is no path of what is nested there.
    let calls = |prefix: &str| {
        let calls = calls().layer(from_fn(permission::named));
        let calls = calls.fallback(not_implemented).method_not_allowed_fallback(not_implemented);
        let calls = Router::new().nest(prefix, calls).route(&format!("{prefix}/"), any(no_call));
        let checked = from_fn(move |request, next| checked(check, request, next));
        calls.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).layer(checked)
    };
    let others = Router::new().nest("/api2", Router::new().route("/", any(no_such_uri)).fallback(no_such_uri));
    Router::new()
        .merge(calls("/api2/json").layer(map_response(answer::json)))
        .merge(calls("/api2/extjs").layer(map_response(answer::extjs)))
        .merge(others.route("/api2/", any(no_such_uri)).layer(map_response(answer::json)))
}

async fn checked(check: Check, request: Request, next: Next) -> Result<Response, Failure> {
    match check(request.headers()) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(next.run(request).await),
    }
}

async fn not_implemented(method: Method, uri: Uri) -> Failure {
    Failure::not_implemented(method.as_str(), uri.path())
}

async fn no_call(method: Method) -> Failure {
    Failure::not_implemented(method.as_str(), "/")
}

async fn no_such_uri() -> Failure {
    Failure::no_such_uri()
}
