//! What Proxmox VE's API says of what it refuses, to the letter: programs read it.

use axum::http::StatusCode;
use serde_json::json;

use crate::program::{site, ticket};
use crate::rig::PASSWORD;

type Parameters<'p> = &'p [(&'p str, &'p str)];

/// A method, a path, parameters, and what is named.
type Call<'c> = (&'c str, &'c str, Parameters<'c>, &'c str);

/// Each call's `permissions` in pve-access-control, read by `PVE::RPCEnvironment`: where there is a choice, nothing is named.
#[tokio::test]
async fn who_may_not_is_told_path_and_privilege_as_proxmox_ve_tells_them() {
    let rig = site();
    let alice = ticket(&rig, "alice@pve").await;
    let user = [("userid", "bob@pve"), ("password", PASSWORD)];
    let role = [("roleid", "helpdesk"), ("privs", "Sys.Audit")];
    let password = [("userid", "root@pam"), ("password", PASSWORD), ("confirmation-password", PASSWORD)];
    let calls: [Call<'_>; 15] = [
        ("POST", "/access/users", &user, " (/access/realm/pve, Realm.AllocateUser)"),
        ("PUT", "/access/users/root@pam", &[("comment", "x")], " (/access/groups, User.Modify)"),
        ("PUT", "/access/users/root@pam", &[("groups", "ops,staff")], " (/access/groups/ops, User.Modify)"),
        ("DELETE", "/access/users/root%40pam", &[], " (/access/realm/pam, Realm.AllocateUser)"),
        ("DELETE", "/access/users/root@pam", &[], " (/access/realm/pam, Realm.AllocateUser)"),
        ("PUT", "/access/users/root@pam/unlock-tfa", &[], ""),
        ("GET", "/access/users/root@pam/tfa", &[], ""),
        ("GET", "/access/users/root@pam/token", &[], ""),
        ("POST", "/access/groups", &[("groupid", "staff")], " (/access/groups, Group.Allocate)"),
        ("DELETE", "/access/groups/staff", &[], " (/access/groups, Group.Allocate)"),
        ("POST", "/access/roles", &role, " (/access, Sys.Modify)"),
        ("PUT", "/access/domains/pve", &[("comment", "x")], " (/access/realm, Realm.Allocate)"),
        ("GET", "/access/domains/pve", &[], " (/access/realm, Realm.Allocate|Sys.Audit)"),
        ("POST", "/access/domains/corp/sync", &[], " (/access/realm/corp, Realm.AllocateUser)"),
        ("PUT", "/access/password", &password, " (/access/realm/pam, Realm.AllocateUser)"),
    ];
    for (method, path, parameters, named) in calls {
        let answer = alice.call(&rig, method, path, parameters).await;
        let expected = format!("Permission check failed{named}");
        // Since libpve-http-server-perl 5.2.0 the body has it too, as a line.
        assert_eq!(answer.body, json!({ "data": null, "message": format!("{expected}\n") }), "{method} {path}");
        answer.refused(403, &expected);
    }
    let below = alice.get(&rig, "/access").await;
    assert!(below.as_array().unwrap().contains(&json!({ "subdir": "tfa" })), "{below}");
}

/// `PVE::API2::User`, `Group`, `Role` and `ACL`, under `PVE::AccessControl::lock_user_config`, which puts what was to be done before the cause.
#[tokio::test]
async fn what_is_not_there_or_is_there_already_is_told_as_proxmox_ve_tells_it() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let made: [(&str, &str, Parameters<'_>); 2] = [
        ("POST", "/access/groups", &[("groupid", "ops")]),
        ("POST", "/access/roles", &[("roleid", "Helpdesk"), ("privs", "User.Modify")]),
    ];
    for (method, path, parameters) in made {
        root.call(&rig, method, path, parameters).await.data();
    }
    root.call(&rig, "POST", "/access/users/alice@pve/token/ci", &[]).await.data();
    let acl = |whom, name, role| [("path", "/"), ("roles", role), (whom, name)];
    let user = [("userid", "alice@pve"), ("password", PASSWORD)];
    let in_group = [("userid", "new@pve"), ("password", PASSWORD), ("groups", "x")];
    let dies: [Call<'_>; 19] = [
        ("POST", "/access/users", &user, "create user failed: user 'alice@pve' already exists"),
        ("POST", "/access/users", &in_group, "create user failed: no such group 'x'"),
        ("PUT", "/access/users/x@pve", &[("comment", "x")], "update user failed: no such user ('x@pve')"),
        ("PUT", "/access/users/alice@pve", &[("groups", "x")], "update user failed: no such group 'x'"),
        ("GET", "/access/users/x@pve", &[], "no such user ('x@pve')"),
        ("GET", "/access/users/alice@pve/token/x", &[], "no such token 'x' for user 'alice@pve'"),
        ("POST", "/access/groups", &[("groupid", "ops")], "create group failed: group 'ops' already exists"),
        ("PUT", "/access/groups/x", &[("comment", "x")], "update group failed: group 'x' does not exist"),
        ("GET", "/access/groups/x", &[], "group 'x' does not exist"),
        ("DELETE", "/access/groups/x", &[], "delete group failed: group 'x' does not exist"),
        ("POST", "/access/roles", &[("roleid", "Helpdesk")], "create role failed: role 'Helpdesk' already exists"),
        ("PUT", "/access/roles/x", &[("privs", "")], "update role failed: role 'x' does not exist"),
        ("PUT", "/access/roles/PVEAdmin", &[("privs", "")], "auto-generated role 'PVEAdmin' cannot be modified"),
        ("DELETE", "/access/roles/PVEAdmin", &[], "auto-generated role 'PVEAdmin' cannot be deleted"),
        ("GET", "/access/roles/x", &[], "role 'x' does not exist"),
        ("PUT", "/access/acl", &acl("users", "alice@pve", "x"), "ACL update failed: role 'x' does not exist"),
        ("PUT", "/access/acl", &acl("users", "x@pve", "Helpdesk"), "ACL update failed: user 'x@pve' does not exist"),
        ("PUT", "/access/acl", &acl("groups", "x", "Helpdesk"), "ACL update failed: group 'x' does not exist"),
        (
            "PUT",
            "/access/acl",
            &acl("tokens", "alice@pve!x", "Helpdesk"),
            "ACL update failed: no such token 'x' for user 'alice@pve'",
        ),
    ];
    for (method, path, parameters, words) in dies {
        let answer = root.call(&rig, method, path, parameters).await;
        assert_eq!(answer.body, json!({ "data": null, "message": format!("{words}\n") }), "{method} {path}");
        answer.refused(500, words);
    }
    let reserved = root.call(&rig, "POST", "/access/roles", &[("roleid", "pveMine")]).await;
    let words = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
    assert_eq!((reserved.status, &reserved.body["errors"]["roleid"]), (StatusCode::BAD_REQUEST, &json!(words)));
    let again = root.call(&rig, "POST", "/access/users/alice@pve/token/ci", &[]).await;
    assert_eq!(again.body["errors"]["tokenid"], "Token already exists.");
}
