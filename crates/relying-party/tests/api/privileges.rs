//! What each of Proxmox VE's privileges allows, and nothing else does: expected is what pve-access-control's calls ask for in their
//! `permissions` (`PVE::API2::User`, `Group`, `Role`, `ACL`, `Domains`, `TFA`, `AccessControl`).
//!
//! What is asked for is about what is not there, so that nothing changes: who may is told that.

use axum::http::StatusCode;
use keyrig_relying_party::{By, Role, Subject};
use serde_json::{Value, json};

use crate::program::{Answer, Program, enrol_totp, site, ticket};
use crate::rig::{Browser, PASSWORD, Rig, text};

/// Users, and the privileges that count of their roles.
const USERS: [(&str, &[&str]); 14] = [
    ("none@pve", &[]),
    ("group@pve", &["Group.Allocate"]),
    ("permissions@pve", &["Permissions.Modify"]),
    ("realm@pve", &["Realm.Allocate"]),
    ("allocate@pve", &["Realm.AllocateUser"]),
    ("audit@pve", &["Sys.Audit"]),
    ("system@pve", &["Sys.Modify"]),
    ("log@pve", &["Sys.Syslog"]),
    ("user@pve", &["User.Modify"]),
    ("guests@pve", &["VM.Allocate", "Datastore.Allocate", "SDN.Allocate", "Sys.PowerMgmt", "Pool.Allocate"]),
    ("PVEUserAdmin@pve", &["Group.Allocate", "Realm.AllocateUser", "User.Modify"]),
    ("PVEAuditor@pve", &["Sys.Audit"]),
    ("PVESysAdmin@pve", &["Sys.Audit", "Sys.Syslog"]),
    ("PVEAdmin@pve", &["Group.Allocate", "Realm.AllocateUser", "Sys.Audit", "Sys.Syslog", "User.Modify"]),
];

/// All of these, each of which is any of some.
type Needs<'n> = &'n [&'n [&'n str]];

const NEW_USERS: Needs<'static> = &[&["Realm.AllocateUser"], &["User.Modify"]];
const OTHERS: Needs<'static> = &[&["User.Modify"]];
const TO_SEE: Needs<'static> = &[&["User.Modify", "Sys.Audit"]];
const GROUPS: Needs<'static> = &[&["Group.Allocate"]];
const REALMS: Needs<'static> = &[&["Realm.Allocate"]];
const ROLES: Needs<'static> = &[&["Sys.Modify"]];
const ACL: Needs<'static> = &[&["Permissions.Modify"]];
const SYSTEM: Needs<'static> = &[&["Sys.Audit"]];

fn by(rig: &Rig) -> By {
    By::command_line(rig.now())
}

fn names(privileges: &[&str]) -> Vec<String> {
    privileges.iter().map(|name| (*name).to_owned()).collect()
}

/// Gives a user a role of their own, with these privileges.
fn give(rig: &Rig, user: &str, privileges: &[&str]) {
    let role = format!("of.{}", user.replace('@', "."));
    rig.store().add_role(&role, &names(privileges), &by(rig)).unwrap();
    rig.store().grant(&[role], &[Subject::User(user.parse().unwrap())], &by(rig)).unwrap();
}

/// Has everybody there: who is called as a role has it, the others one with their privileges, of which every other one by a group.
fn people(rig: &Rig) {
    rig.store().add_group("staff", "", &by(rig)).unwrap();
    for (number, (user, privileges)) in USERS.iter().enumerate() {
        rig.add_user(user, Role::User);
        let subject = Subject::User(user.parse().unwrap());
        let name = user.trim_end_matches("@pve").to_owned();
        if name.starts_with("PVE") {
            rig.store().grant(&[name], &[subject], &by(rig)).unwrap();
        } else if number % 2 == 0 {
            give(rig, user, privileges);
        } else {
            rig.store().add_group(&name, "", &by(rig)).unwrap();
            let change = serde_json::from_value(json!({ "groups": [name] })).unwrap();
            rig.store().change_user(&user.parse().unwrap(), &change, &by(rig)).unwrap();
            rig.store().add_role(&format!("of.{name}"), &names(privileges), &by(rig)).unwrap();
            rig.store().grant(&[format!("of.{name}")], &[Subject::Group(name)], &by(rig)).unwrap();
        }
    }
}

fn is_met(needs: Needs<'_>, privileges: &[&str]) -> bool {
    needs.iter().all(|any| any.iter().any(|name| privileges.contains(name)))
}

/// What somebody lacks, as `/api` says it.
fn lacking(needs: Needs<'_>, privileges: &[&str]) -> String {
    let lacking = needs.iter().filter(|any| !any.iter().any(|name| privileges.contains(name)));
    let names: Vec<String> = lacking.map(|any| any.join(" or ")).collect();
    format!("this needs the privilege{} {}", if names.len() > 1 { "s" } else { "" }, names.join(" and "))
}

type Parameters<'p> = &'p [(&'p str, &'p str)];

#[tokio::test]
async fn each_call_of_proxmox_ve_s_api_takes_the_privileges_that_it_takes_there() {
    let rig = site();
    people(&rig);
    let (password, again) = (("password", PASSWORD), ("confirmation-password", PASSWORD));
    let task = "/nodes/pve/tasks/UPID:pve:00000001:00000001:57500527:auth-realm-sync:corp:root@pam:/status";
    let calls: [(&str, &str, Parameters<'_>, Needs<'_>); 29] = [
        ("POST", "/access/users", &[("userid", "new@nowhere"), password], NEW_USERS),
        ("GET", "/access/users/alice@pve", &[], TO_SEE),
        ("PUT", "/access/users/nobody@pve", &[("comment", "x")], OTHERS),
        ("PUT", "/access/users/nobody@pve", &[("groups", "staff")], OTHERS),
        ("DELETE", "/access/users/nobody@pve", &[], NEW_USERS),
        ("PUT", "/access/users/nobody@pve/unlock-tfa", &[], OTHERS),
        ("GET", "/access/users/alice@pve/tfa", &[], TO_SEE),
        ("GET", "/access/users/alice@pve/token", &[], OTHERS),
        ("POST", "/access/users/nobody@pve/token/ci", &[], OTHERS),
        ("PUT", "/access/users/nobody@pve/token/ci", &[("comment", "x")], OTHERS),
        ("DELETE", "/access/users/nobody@pve/token/ci", &[], OTHERS),
        ("GET", "/access/tfa/alice@pve", &[], TO_SEE),
        ("POST", "/access/tfa/nobody@pve", &[("type", "recovery"), ("description", "x"), password], OTHERS),
        ("PUT", "/access/tfa/alice@pve/none", &[("enable", "0"), password], OTHERS),
        ("DELETE", "/access/tfa/alice@pve/none", &[password], OTHERS),
        ("PUT", "/access/password", &[("userid", "nobody@pve"), password, again], NEW_USERS),
        ("POST", "/access/groups", &[("groupid", "a b")], GROUPS),
        ("GET", "/access/groups/staff", &[], &[&["Sys.Audit", "Group.Allocate"]]),
        ("PUT", "/access/groups/nobody", &[("comment", "x")], GROUPS),
        ("DELETE", "/access/groups/nobody", &[], GROUPS),
        ("POST", "/access/roles", &[("roleid", "a b")], ROLES),
        ("DELETE", "/access/roles/nothing", &[], ROLES),
        ("PUT", "/access/acl", &[("path", "/"), ("roles", "Nothing"), ("users", "alice@pve")], ACL),
        ("POST", "/access/domains", &[("realm", "pve"), ("type", "pve")], REALMS),
        ("GET", "/access/domains/nowhere", &[], &[&["Realm.Allocate", "Sys.Audit"]]),
        ("PUT", "/access/domains/nowhere", &[("comment", "x")], REALMS),
        ("DELETE", "/access/domains/nowhere", &[], REALMS),
        ("POST", "/access/domains/nowhere/sync", &[("scope", "users")], NEW_USERS),
        ("GET", task, &[], SYSTEM),
    ];
    for (user, privileges) in USERS {
        let program = ticket(&rig, user).await;
        for (method, path, parameters, needs) in calls {
            let Answer { status, reason, .. } = program.call(&rig, method, path, parameters).await;
            assert_eq!(status != StatusCode::FORBIDDEN, is_met(needs, privileges), "{user}: {method} {path}: {reason}");
        }
    }
}

#[tokio::test]
async fn each_request_of_the_pages_takes_the_same_privileges_and_says_which_are_lacking() {
    let rig = Rig::new();
    rig.add_user("root@pam", Role::Administrator);
    rig.add_user("alice@pve", Role::User);
    people(&rig);
    let role = |role: &str| Some(json!({ "user": "new@nowhere", "role": role, "password": PASSWORD }));
    let password = || Some(json!({ "password": PASSWORD }));
    let requests: [(&str, &str, Option<Value>, Needs<'_>); 27] = [
        ("GET", "/api/users", None, TO_SEE),
        ("POST", "/api/users", role("user"), NEW_USERS),
        ("PATCH", "/api/users/nobody@pve", Some(json!({ "comment": "x" })), OTHERS),
        ("PATCH", "/api/users/nobody@pve", Some(json!({})), OTHERS),
        ("PATCH", "/api/users/nobody@pve", Some(json!({ "role": "administrator" })), ACL),
        ("DELETE", "/api/users/nobody@pve", None, NEW_USERS),
        ("PUT", "/api/users/nobody@pve/password", password(), NEW_USERS),
        ("POST", "/api/users/nobody@pve/unlock", None, OTHERS),
        ("GET", "/api/users/alice@pve/sessions", None, TO_SEE),
        ("DELETE", "/api/users/nobody@pve/sessions", None, OTHERS),
        ("DELETE", "/api/users/alice@pve/sessions/none", None, OTHERS),
        ("GET", "/api/users/alice@pve/factors", None, TO_SEE),
        ("DELETE", "/api/users/alice@pve/factors", None, OTHERS),
        ("PATCH", "/api/users/alice@pve/factors/none", Some(json!({})), OTHERS),
        ("DELETE", "/api/users/alice@pve/factors/none", None, OTHERS),
        ("GET", "/api/users/alice@pve/tokens", None, TO_SEE),
        ("POST", "/api/users/nobody@pve/tokens", Some(json!({ "name": "ci" })), OTHERS),
        ("DELETE", "/api/users/nobody@pve/tokens/ci", None, OTHERS),
        ("POST", "/api/groups", Some(json!({ "name": "a b" })), GROUPS),
        ("PATCH", "/api/groups/nobody", Some(json!({ "comment": "x" })), GROUPS),
        ("PATCH", "/api/groups/nobody", Some(json!({})), GROUPS),
        ("PATCH", "/api/groups/nobody", Some(json!({ "roles": [] })), ACL),
        ("DELETE", "/api/groups/nobody", None, GROUPS),
        ("PUT", "/api/realms/nowhere", Some(json!({ "requirement": { "type": "none" } })), REALMS),
        ("GET", "/api/audit", None, SYSTEM),
        ("GET", "/api/events", None, SYSTEM),
        ("GET", "/api/reports/none", None, &[&["Sys.Syslog"]]),
    ];
    for (user, privileges) in USERS {
        let mut browser = browser(&rig, user).await;
        for (method, path, body, needs) in &requests {
            let (status, answer) = browser.send(method, path, body.as_ref()).await;
            let met = is_met(needs, privileges);
            assert_eq!(status != StatusCode::FORBIDDEN, met, "{user}: {method} {path}: {answer}");
            if !met {
                assert_eq!(answer["reason"], lacking(needs, privileges), "{user}: {method} {path}");
            }
        }
        // An administrator is made by who may make one.
        let (status, answer) = browser.send("POST", "/api/users", role("administrator").as_ref()).await;
        let needs = [NEW_USERS, ACL].concat();
        assert_eq!(status != StatusCode::FORBIDDEN, is_met(&needs, privileges), "{user}: {answer}");
    }
}

async fn browser(rig: &Rig, user: &str) -> Browser {
    let mut browser = rig.browser();
    browser.log_in(user).await;
    browser.confirm().await;
    browser
}

/// `PVEUserAdmin` is for those who help users: `User.Modify`, `Group.Allocate`, `Realm.AllocateUser`.
#[tokio::test]
async fn who_administers_users_resets_a_factor_and_changes_no_rights_roles_or_realms() {
    let rig = site();
    rig.add_user("helper@pve", Role::User);
    rig.store().grant(&names(&["PVEUserAdmin"]), &[Subject::User("helper@pve".parse().unwrap())], &by(&rig)).unwrap();
    let (alice, helper) = (ticket(&rig, "alice@pve").await, ticket(&rig, "helper@pve").await);
    enrol_totp(&rig, &alice, "alice@pve").await;
    let of_alice = async || helper.get(&rig, "/access/tfa/alice@pve").await;
    let id = text(&of_alice().await[0]["id"]);
    helper.call(&rig, "DELETE", &format!("/access/tfa/alice@pve/{id}"), &[("password", PASSWORD)]).await.data();
    assert_eq!(of_alice().await, json!([]));
    let role = [("path", "/"), ("roles", "Administrator"), ("users", "helper@pve")];
    let refused = async |method: &str, path: &str, parameters: Parameters<'_>, named: &str| {
        let expected = format!("Permission check failed ({named})");
        helper.call(&rig, method, path, parameters).await.refused(403, &expected);
    };
    refused("PUT", "/access/acl", &role, "/, Permissions.Modify").await;
    refused("PUT", "/access/roles/Mine", &[("privs", "Sys.Audit")], "/access, Sys.Modify").await;
    refused("PUT", "/access/domains/pve", &[("tfa", "type=any")], "/access/realm, Realm.Allocate").await;
    let own = json!({ "Group.Allocate": 1, "Realm.AllocateUser": 1, "User.Modify": 1 });
    assert_eq!(helper.get(&rig, "/access/permissions").await["/access"], own);
}

/// In Proxmox VE somebody with `User.Modify` alone neither adds nor deletes users, nor has a role by asking for one.
#[tokio::test]
async fn nobody_gains_rights_by_changing_users() {
    let rig = Rig::new();
    rig.add_user("root@pam", Role::Administrator);
    rig.add_user("mod@pve", Role::User);
    rig.add_user("alice@pve", Role::User);
    give(&rig, "mod@pve", &["User.Modify", "Group.Allocate", "Realm.AllocateUser"]);
    let mut moderator = browser(&rig, "mod@pve").await;
    assert_eq!(
        moderator.get("/api/session").await["privileges"],
        json!(["Group.Allocate", "Realm.AllocateUser", "User.Modify"])
    );
    moderator.post("/api/groups", json!({ "name": "mine" })).await;
    for (method, path, body) in [
        ("PATCH", "/api/users/mod@pve", json!({ "role": "administrator" })),
        ("PATCH", "/api/users/mod@pve", json!({ "role": "auditor", "comment": "x" })),
        ("PATCH", "/api/users/root@pam", json!({ "role": "user" })),
        ("POST", "/api/users", json!({ "user": "new@pve", "role": "administrator", "password": PASSWORD })),
        ("PATCH", "/api/groups/mine", json!({ "comment": "x", "roles": ["Administrator"] })),
    ] {
        let refused = moderator.refused(method, path, Some(body)).await;
        assert_eq!(refused["reason"], "this needs the privilege Permissions.Modify", "{method} {path}");
    }
    let users = rig.store().users().unwrap();
    let roles: Vec<_> = users.iter().map(|user| (user.name.to_string(), user.role, user.comment.as_str())).collect();
    let expected = [("root@pam", Role::Administrator), ("alice@pve", Role::User), ("mod@pve", Role::User)];
    assert_eq!(roles, expected.map(|(name, role)| (name.to_owned(), role, "")));
    moderator.accepted("PATCH", "/api/users/alice@pve", Some(json!({ "comment": "helped" }))).await;
}

/// At `/` each of these is not far from everything, there as here: `PVE::API2::User::update_user` asks for `User.Modify` of the groups, whatever
/// roles these have, and `PVE::API2::Role::update_role` for `Sys.Modify`, whoever has the role.
#[tokio::test]
async fn by_a_group_or_a_role_one_comes_to_more_as_in_proxmox_ve() {
    let rig = site();
    rig.store().add_group("admins", "", &by(&rig)).unwrap();
    rig.store().grant(&names(&["Administrator"]), &[Subject::Group("admins".to_owned())], &by(&rig)).unwrap();
    for (user, privilege) in [("user@pve", "User.Modify"), ("system@pve", "Sys.Modify")] {
        rig.add_user(user, Role::User);
        give(&rig, user, &[privilege]);
    }
    let (user, system) = (ticket(&rig, "user@pve").await, ticket(&rig, "system@pve").await);
    user.call(&rig, "PUT", "/access/users/user@pve", &[("groups", "admins")]).await.data();
    let more = [("privs", "Permissions.Modify"), ("append", "1")];
    system.call(&rig, "PUT", "/access/roles/of.system.pve", &more).await.data();
    for program in [user, system] {
        assert_eq!(program.get(&rig, "/access/permissions").await["/"]["Permissions.Modify"], 1);
    }
}

/// `PVE::RPCEnvironment::reauth_user_for_user_modification` and `PVE::API2::AccessControl::change_password`: root@pam's factors are changed by
/// root@pam alone, and so are the passwords of the realm `pam`.
#[tokio::test]
async fn root_s_factors_and_the_machine_s_passwords_are_root_s_alone() {
    let rig = site();
    rig.add_user("admin@pve", Role::Administrator);
    rig.add_user("bob@pam", Role::User);
    let (root, admin) = (ticket(&rig, "root@pam").await, ticket(&rig, "admin@pve").await);
    enrol_totp(&rig, &root, "root@pam").await;
    let id = text(&admin.get(&rig, "/access/tfa/root@pam").await[0]["id"]);
    let (path, own) = (format!("/access/tfa/root@pam/{id}"), [("password", PASSWORD)]);
    admin.call(&rig, "DELETE", &path, &own).await.refused(403, "Permission check failed");
    let off = [("enable", "0"), ("password", PASSWORD)];
    admin.call(&rig, "PUT", &path, &off).await.refused(403, "Permission check failed");
    let paper = [("type", "recovery"), ("description", "x"), ("password", PASSWORD)];
    admin.call(&rig, "POST", "/access/tfa/root@pam", &paper).await.refused(403, "Permission check failed");
    let set = async |program: &Program, user: &str| {
        let password = [("userid", user), ("password", "another password"), ("confirmation-password", PASSWORD)];
        program.call(&rig, "PUT", "/access/password", &password).await
    };
    for user in ["root@pam", "bob@pam"] {
        set(&admin, user).await.refused(403, "Permission check failed");
    }
    set(&admin, "alice@pve").await.data();
    set(&root, "bob@pam").await.data();
    root.call(&rig, "DELETE", &path, &[]).await.data();
    // The pages have the same decisions.
    let mut admin = browser(&rig, "admin@pve").await;
    let password = Some(json!({ "password": "another password" }));
    for (method, path, body) in [
        ("DELETE", "/api/users/root@pam/factors", None),
        ("PUT", "/api/users/root@pam/password", password.clone()),
        ("PUT", "/api/users/bob@pam/password", password),
    ] {
        assert_eq!(admin.refused(method, path, body).await["reason"], "this needs to be root@pam", "{path}");
    }
}

/// An administrator is who has `Permissions.Modify`: that gives everything else. One is left, however they have it.
#[tokio::test]
async fn who_may_give_rights_is_an_administrator_and_the_last_one_stays() {
    let rig = Rig::new();
    rig.add_user("root@pam", Role::Administrator);
    rig.add_user("keeper@pve", Role::User);
    rig.add_user("helper@pve", Role::User);
    give(&rig, "helper@pve", &["User.Modify", "Realm.AllocateUser", "Realm.Allocate", "Sys.Modify"]);
    let mut root = browser(&rig, "root@pam").await;
    let demoted = || Some(json!({ "role": "user" }));
    assert_eq!(root.refused_code("PATCH", "/api/users/root@pam", demoted()).await, "last_administrator");
    give(&rig, "keeper@pve", &["Permissions.Modify"]);
    root.accepted("PATCH", "/api/users/root@pam", demoted()).await;
    let mut keeper = browser(&rig, "keeper@pve").await;
    assert_eq!(keeper.get("/api/session").await["role"], "administrator");
    assert_eq!(keeper.refused_code("GET", "/api/users", None).await, "forbidden");
    let mut helper = browser(&rig, "helper@pve").await;
    let disabled = Some(json!({ "enabled": false }));
    assert_eq!(helper.refused_code("PATCH", "/api/users/keeper@pve", disabled).await, "last_administrator");
    keeper.accepted("PATCH", "/api/users/keeper@pve", Some(json!({ "role": "administrator" }))).await;
    keeper.get("/api/users").await;
}

async fn token(rig: &Rig, program: &Program, id: &str, privsep: &str) -> Program {
    let (user, name) = id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    let made = program.call(rig, "POST", &path, &[("privsep", privsep)]).await.data();
    assert_eq!(made["full-tokenid"], id);
    Program { token: Some(format!("{id}={}", text(&made["value"]))), ..Program::default() }
}

/// `PVE::RPCEnvironment::permissions`: a token that is separated may what both its user and its own roles allow, any other what its user may.
#[tokio::test]
async fn a_separated_token_may_what_its_user_and_its_own_roles_allow() {
    let rig = site();
    rig.add_user("admin@pve", Role::User);
    rig.store().grant(&names(&["PVEAdmin"]), &[Subject::User("admin@pve".parse().unwrap())], &by(&rig)).unwrap();
    let (root, admin) = (ticket(&rig, "root@pam").await, ticket(&rig, "admin@pve").await);
    let separate = token(&rig, &admin, "admin@pve!separate", "1").await;
    let whole = token(&rig, &admin, "admin@pve!whole", "0").await;
    let of = async |program: &Program| program.get(&rig, "/access/permissions").await["/"].clone();
    let of_admin =
        json!({ "Group.Allocate": 1, "Realm.AllocateUser": 1, "Sys.Audit": 1, "Sys.Syslog": 1, "User.Modify": 1 });
    assert_eq!((of(&separate).await, of(&whole).await), (Value::Null, of_admin.clone()));
    let group =
        async |program: &Program, name: &str| program.call(&rig, "POST", "/access/groups", &[("groupid", name)]).await;
    group(&separate, "staff").await.refused(403, "Permission check failed (/access/groups, Group.Allocate)");
    group(&whole, "staff").await.data();
    let acl = async |roles: &str, delete: &str| {
        let of_token = [("path", "/"), ("tokens", "admin@pve!separate"), ("roles", roles), ("delete", delete)];
        root.call(&rig, "PUT", "/access/acl", &of_token).await.data()
    };
    // More than its user has is nothing to it.
    acl("Administrator,PVEVMAdmin", "0").await;
    assert_eq!(of(&separate).await, of_admin);
    let role = [("path", "/"), ("roles", "Administrator"), ("users", "admin@pve")];
    separate
        .call(&rig, "PUT", "/access/acl", &role)
        .await
        .refused(403, "Permission check failed (/, Permissions.Modify)");
    acl("Administrator", "1").await;
    assert_eq!(of(&separate).await, Value::Null);
    acl("PVEUserAdmin", "0").await;
    group(&separate, "others").await.data();
    separate.call(&rig, "GET", "/access/users/alice@pve", &[]).await.data();
    separate.call(&rig, "GET", "/access/groups/staff", &[]).await.data();
    separate
        .call(&rig, "GET", "/access/domains/pve", &[])
        .await
        .refused(403, "Permission check failed (/access/realm, Realm.Allocate|Sys.Audit)");
    // What its user has no more, it has no more.
    rig.store().revoke(&names(&["PVEAdmin"]), &[Subject::User("admin@pve".parse().unwrap())], &by(&rig)).unwrap();
    assert_eq!((of(&separate).await, of(&whole).await), (Value::Null, Value::Null));
}

/// `PVE::API2::ACL` and `PVE::API2::AccessControl`: what tokens have is listed, asked for by name, and goes with them.
#[tokio::test]
async fn roles_of_tokens_are_listed_asked_for_by_name_and_go_with_the_token() {
    let rig = site();
    let (root, auditor) = (ticket(&rig, "root@pam").await, ticket(&rig, "auditor@pve").await);
    let alice = ticket(&rig, "alice@pve").await;
    let program = token(&rig, &auditor, "auditor@pve!ci", "1").await;
    token(&rig, &alice, "alice@pve!ci", "1").await;
    let give = async |ids: &str| {
        let parameters = [("path", "/"), ("tokens", ids), ("roles", "PVEAuditor")];
        root.call(&rig, "PUT", "/access/acl", &parameters).await
    };
    give("auditor@pve!ci,alice@pve!ci").await.data();
    let entry = |id: &str| json!({ "path": "/", "type": "token", "ugid": id, "roleid": "PVEAuditor", "propagate": 1 });
    let of_tokens = async |program: &Program| {
        let listed = program.get(&rig, "/access/acl").await.as_array().unwrap().clone();
        listed.into_iter().filter(|entry| entry["type"] == "token").collect::<Vec<_>>()
    };
    assert_eq!(of_tokens(&root).await, [entry("alice@pve!ci"), entry("auditor@pve!ci")]);
    assert_eq!(of_tokens(&alice).await, [entry("alice@pve!ci")]);
    let audit = json!({ "Sys.Audit": 1 });
    let of = async |program: &Program, id: &str| {
        program.call(&rig, "GET", "/access/permissions", &[("userid", id), ("path", "/access")]).await
    };
    for (asker, id, expected) in [
        (&auditor, "auditor@pve!ci", json!({ "/access": audit })),
        (&auditor, "root@pam", root.get(&rig, "/access/permissions").await),
        (&program, "auditor@pve!ci", json!({ "/access": audit })),
        (&program, "auditor@pve", json!({ "/access": audit })),
        (&alice, "alice@pve!ci", json!({ "/access": {} })),
        (&alice, "alice@pve", json!({ "/access": {} })),
    ] {
        assert_eq!(of(asker, id).await.data()["/access"], expected["/access"], "{id}");
    }
    for id in ["auditor@pve", "auditor@pve!ci", "nobody@pve"] {
        of(&alice, id).await.refused(403, "Permission check failed (/access, Sys.Audit)");
    }
    let wrong = give("alice@pve").await;
    assert_eq!(wrong.body["errors"]["tokens"], "a token is USER@REALM!NAME, such as root@pam!ci", "{wrong:?}");
    assert_eq!(give("alice@pve!none").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let nobody = root.call(&rig, "PUT", "/access/acl", &[("path", "/"), ("roles", "PVEAuditor")]).await;
    assert_eq!(nobody.body["errors"]["tokens"], "either 'users', 'groups' or 'tokens' is required.");

    root.call(&rig, "DELETE", "/access/users/alice@pve/token/ci", &[]).await.data();
    assert_eq!(of_tokens(&root).await, [entry("auditor@pve!ci")]);
    token(&rig, &alice, "alice@pve!ci", "1").await;
    assert_eq!(of_tokens(&root).await, [entry("auditor@pve!ci")]);
    root.call(&rig, "DELETE", "/access/users/auditor@pve", &[]).await.data();
    assert_eq!(of_tokens(&root).await, Vec::<Value>::new());
}

/// What has `allowtoken => 0` there (`PVE::API2::AccessControl`, `PVE::API2::TFA`) takes a ticket, as `PVE::HTTPServer` says: no token sets a
/// password or changes factors, and none can try passwords so.
#[tokio::test]
async fn no_api_token_sets_passwords_or_changes_factors() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let program = token(&rig, &root, "root@pam!ci", "0").await;
    let password = [("userid", "root@pam"), ("password", "another password"), ("confirmation-password", PASSWORD)];
    let other = [("userid", "alice@pve"), ("password", "another password")];
    let paper = [("type", "recovery"), ("password", PASSWORD)];
    for (method, path, parameters) in [
        ("PUT", "/access/password", password.as_slice()),
        ("PUT", "/access/password", other.as_slice()),
        ("POST", "/access/tfa/root@pam", paper.as_slice()),
        ("POST", "/access/tfa/alice@pve", paper.as_slice()),
        ("PUT", "/access/tfa/root@pam/recovery", &[("enable", "0")]),
        ("DELETE", "/access/tfa/alice@pve/recovery", &[]),
    ] {
        let answer = program.call(&rig, method, path, parameters).await;
        let what =
            format!("Permission check failed (URI '{path}' not available with API token, need proper ticket.\n)\n");
        assert_eq!((answer.status, &answer.body["message"]), (StatusCode::FORBIDDEN, &json!(what)), "{method}");
    }
    program.get(&rig, "/access/tfa").await;
}

/// `PVE::API2::ACL` adds an entry beside those that there are.
#[tokio::test]
async fn a_role_is_given_beside_those_that_are_there() {
    let rig = site();
    rig.add_user("admin@pve", Role::Administrator);
    let root = ticket(&rig, "root@pam").await;
    let acl = async |roles: &str, delete: &str| {
        let parameters = [("path", "/"), ("users", "admin@pve"), ("roles", roles), ("delete", delete)];
        root.call(&rig, "PUT", "/access/acl", &parameters).await.data()
    };
    let of_admin = || {
        let acl = rig.store().acl().unwrap().into_iter();
        let own = acl.filter(|entry| entry.subject == Subject::User("admin@pve".parse().unwrap()));
        own.map(|entry| entry.role).collect::<Vec<_>>()
    };
    for (roles, delete, expected) in [
        ("PVEAuditor", "0", &["Administrator", "PVEAuditor"][..]),
        ("NoAccess", "0", &["Administrator", "NoAccess", "PVEAuditor"]),
        ("Administrator,PVEAuditor", "0", &["Administrator", "NoAccess", "PVEAuditor"]),
        ("Administrator", "1", &["NoAccess", "PVEAuditor"]),
        ("NoAccess,PVEAuditor", "1", &[]),
        ("PVEAuditor,Administrator", "0", &["PVEAuditor", "Administrator"]),
    ] {
        acl(roles, delete).await;
        assert_eq!(of_admin(), expected, "{roles} {delete}");
    }
}

/// pve-access-control 8.1.3: whoever sets a password gives their own again, but for root@pam, whose own takes none either.
#[tokio::test]
async fn to_set_a_password_one_gives_one_s_own_and_root_none() {
    const AGAIN: &str = "confirm your password first: what you ask for needs that, and it is good for 300 s";
    let rig = site();
    rig.add_user("helper@pve", Role::User);
    rig.store().grant(&names(&["PVEUserAdmin"]), &[Subject::User("helper@pve".parse().unwrap())], &by(&rig)).unwrap();
    let (root, helper) = (ticket(&rig, "root@pam").await, ticket(&rig, "helper@pve").await);
    let set = async |program: &Program, user: &str, own: &str| {
        let password = [("userid", user), ("password", "another password"), ("confirmation-password", own)];
        program.call(&rig, "PUT", "/access/password", if own.is_empty() { &password[..2] } else { &password }).await
    };
    set(&helper, "alice@pve", "").await.refused(403, AGAIN);
    assert_eq!(set(&helper, "alice@pve", "wrong").await.status, StatusCode::FORBIDDEN);
    set(&helper, "alice@pve", PASSWORD).await.data();
    set(&helper, "helper@pve", "").await.refused(403, AGAIN);
    set(&root, "alice@pve", "").await.data();
    set(&root, "root@pam", "").await.data();
}

/// Tickets outlive a new password there, and with the new one its user goes on.
#[tokio::test]
async fn a_ticket_that_outlives_its_session_takes_the_new_password() {
    let rig = site();
    let alice = ticket(&rig, "alice@pve").await;
    let password = [("userid", "alice@pve"), ("password", "another password"), ("confirmation-password", PASSWORD)];
    alice.call(&rig, "PUT", "/access/password", &password).await.data();
    let paper = |password| [("type", "recovery"), ("password", password)];
    assert_eq!(alice.call(&rig, "POST", "/access/tfa/alice@pve", &paper(PASSWORD)).await.status, StatusCode::FORBIDDEN);
    alice.call(&rig, "POST", "/access/tfa/alice@pve", &paper("another password")).await.data();
}

#[tokio::test]
async fn the_last_administrator_neither_expires_nor_is_left_to_who_does() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    let expire = [("expire", "4000000000")];
    root.call(&rig, "PUT", "/access/users/root@pam", &expire).await.refused(
        500,
        "update user failed: root@pam is the only administrator who stays enabled; make another one first",
    );
    rig.add_user("guest@pve", Role::Administrator);
    root.call(&rig, "PUT", "/access/users/guest@pve", &expire).await.data();
    root.call(&rig, "PUT", "/access/users/root@pam", &[("enable", "0")]).await.refused(
        500,
        "update user failed: root@pam is the only administrator who stays enabled; make another one first",
    );
    root.call(&rig, "PUT", "/access/users/guest@pve", &[("expire", "0")]).await.data();
    root.call(&rig, "PUT", "/access/users/root@pam", &expire).await.data();
}

/// A realm's users go with it, which in Proxmox VE they do not.
#[tokio::test]
async fn a_realm_that_has_users_is_deleted_by_who_may_delete_these() {
    let rig = site();
    rig.add_user("realms@pve", Role::User);
    give(&rig, "realms@pve", &["Realm.Allocate"]);
    let realms = ticket(&rig, "realms@pve").await;
    let delete = async || realms.call(&rig, "DELETE", "/access/domains/pve", &[]).await;
    delete().await.refused(403, "Permission check failed (/access/realm/pve, Realm.AllocateUser)");
    rig.store().user(&"alice@pve".parse().unwrap()).unwrap();
}
