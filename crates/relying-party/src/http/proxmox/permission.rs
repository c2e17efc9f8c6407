//! What Proxmox VE says is lacking where it refuses a call: a path and a privilege, which clients show, and guides have people grant.
//!
//! What that is was decided ([`crate::needed`]); here are its paths. They are those of each call's `permissions` in pve-access-control
//! (`PVE::API2::*`), by `PVE::RPCEnvironment::exec_api2_perm_check`: where there is a choice of what may be granted, as with second factors, it
//! names nothing.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::answer;

/// Has a refusal name what is lacking.
pub(super) async fn named(request: Request, next: Next) -> Response {
    let called = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let parts: Vec<&str> = called.split('/').skip(1).collect();
    let (realm, node) = match *parts.as_slice() {
        ["access", "users", user, ..] => (Some(realm_of(user)), None),
        ["access", "domains", realm, ..] => (Some(realm), None),
        ["nodes", node, ..] => (None, Some(node)),
        _ => (None, None),
    };
    answer::name_lacking(&mut response, |path| path.named(realm, node));
    response
}

/// The realm in a user's name as a path has it, which may have the `@` escaped.
fn realm_of(user: &str) -> &str {
    let at = user.rsplit_once('@').or_else(|| user.rsplit_once("%40"));
    at.map_or(user, |(_, realm)| realm)
}
