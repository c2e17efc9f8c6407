//! What Proxmox VE says is lacking where it refuses a call: a path and a privilege, which clients show, and guides have people grant.
//!
//! Each call's `permissions` in pve-access-control (`PVE::API2::*`), by `PVE::RPCEnvironment::exec_api2_perm_check`: where there is a choice
//! of what may be granted, as with second factors, it names nothing.

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::answer;
use crate::user_name::UserName;

/// Has a refusal name what is lacking.
pub(super) async fn named(request: Request, next: Next) -> Response {
    let lacking = lacking(request.method(), request.uri().path());
    let mut response = next.run(request).await;
    if let Some(lacking) = lacking {
        answer::name_lacking(&mut response, &lacking);
    }
    response
}

/// What it takes to add users of a realm.
pub(super) fn to_allocate(user: &UserName) -> String {
    to_allocate_in(user.realm())
}

fn to_allocate_in(realm: &str) -> String {
    format!("/access/realm/{realm}, Realm.AllocateUser")
}

/// What Proxmox VE names of a call that is refused by its path alone.
fn lacking(method: &Method, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let named = match (method.as_str(), parts.as_slice()) {
        ("PUT", ["access", "users", _]) => "/access/groups, User.Modify",
        ("DELETE", ["access", "users", user]) => return Some(to_allocate_in(realm_of(user))),
        ("POST" | "PUT" | "DELETE", ["access", "groups", ..]) => "/access/groups, Group.Allocate",
        ("POST" | "PUT" | "DELETE", ["access", "roles", ..]) => "/access, Sys.Modify",
        ("PUT", ["access", "acl"]) => "/, Permissions.Modify",
        ("POST", ["access", "domains", realm, "sync"]) => return Some(to_allocate_in(realm)),
        ("POST" | "PUT" | "DELETE", ["access", "domains", ..]) => "/access/realm, Realm.Allocate",
        ("GET", ["access", "domains", _]) => "/access/realm, Realm.Allocate|Sys.Audit",
        ("GET", ["nodes", node, "tasks", ..]) => return Some(format!("/nodes/{node}, Sys.Audit")),
        _ => return None,
    };
    Some(named.to_owned())
}

/// The realm in a user's name as a path has it, which may have the `@` escaped.
fn realm_of(user: &str) -> &str {
    let at = user.rsplit_once('@').or_else(|| user.rsplit_once("%40"));
    at.map_or(user, |(_, realm)| realm)
}
