//! What Proxmox VE's API says of what it refuses, to the letter: programs read it.

use serde_json::json;

use crate::program::{site, ticket};
use crate::rig::PASSWORD;

/// A method, a path, parameters, and what is named.
type Call<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)], &'c str);

/// Each call's `permissions` in pve-access-control, read by `PVE::RPCEnvironment`: where there is a choice, nothing is named.
#[tokio::test]
async fn who_may_not_is_told_path_and_privilege_as_proxmox_ve_tells_them() {
    let rig = site();
    let alice = ticket(&rig, "alice@pve").await;
    let user = [("userid", "bob@pve"), ("password", PASSWORD)];
    let role = [("roleid", "helpdesk"), ("privs", "Sys.Audit")];
    let password = [("userid", "root@pam"), ("password", PASSWORD), ("confirmation-password", PASSWORD)];
    let calls: [Call<'_>; 14] = [
        ("POST", "/access/users", &user, " (/access/realm/pve, Realm.AllocateUser)"),
        ("PUT", "/access/users/root@pam", &[("comment", "x")], " (/access/groups, User.Modify)"),
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
