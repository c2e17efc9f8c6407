//! Groups, what they may, and tokens for programs, as the pages change them.

use std::time::SystemTime;

use keyrig_relying_party::{EventKind, Role};
use serde_json::{Value, json};

use crate::program::Program;
use crate::rig::{Browser, Rig, text};

async fn root(rig: &Rig) -> Browser {
    rig.add_user("root@pam", Role::Administrator);
    let mut root = rig.browser();
    root.log_in("root@pam").await;
    root.confirm().await;
    root
}

/// Privileges through a group, as `pveum acl modify / --groups` gives them: from the next request on, and as long as one is in it.
#[tokio::test]
async fn what_a_group_may_its_members_may() {
    let rig = Rig::new();
    let mut root = root(&rig).await;
    let mut alice = rig.new_user("alice@pve").await;
    root.post("/api/groups", json!({ "name": "ops", "comment": "who operates" })).await;
    root.accepted("PATCH", "/api/groups/ops", Some(json!({ "roles": ["PVEAuditor"] }))).await;
    assert_eq!(alice.refused_code("GET", "/api/users", None).await, "forbidden");
    let into = |groups: Value| Some(json!({ "groups": groups }));
    root.accepted("PATCH", "/api/users/alice@pve", into(json!(["ops"]))).await;
    assert_eq!(alice.get("/api/session").await["role"], "auditor");
    alice.get("/api/users").await;
    root.accepted("PATCH", "/api/groups/ops", Some(json!({ "roles": ["Administrator", "NoAccess"] }))).await;
    assert_eq!(alice.get("/api/session").await["role"], "administrator");
    let ops = json!([{
        "name": "ops", "comment": "who operates", "realm": null, "members": ["alice@pve"], "roles": ["Administrator", "NoAccess"],
    }]);
    assert_eq!(root.get("/api/groups").await, ops);
    // What is not said stays.
    root.accepted("PATCH", "/api/groups/ops", Some(json!({ "comment": "" }))).await;
    assert_eq!(root.get("/api/groups").await[0]["roles"], ops[0]["roles"]);
    root.accepted("PATCH", "/api/users/alice@pve", into(json!([]))).await;
    assert_eq!(alice.get("/api/session").await["role"], "user");
    let details: Vec<_> = rig.events(EventKind::AccessChanged).into_iter().map(|event| event.detail).collect();
    assert!(details.contains(&"the group ops has the role PVEAuditor no more".to_owned()), "{details:?}");
}

#[tokio::test]
async fn a_user_sees_of_a_group_themself_alone() {
    let rig = Rig::new();
    let mut root = root(&rig).await;
    let mut alice = rig.new_user("alice@pve").await;
    rig.add_user("bob@pve", Role::User);
    root.post("/api/groups", json!({ "name": "ops" })).await;
    root.accepted("PATCH", "/api/groups/ops", Some(json!({ "roles": ["NoAccess"] }))).await;
    for user in ["alice@pve", "bob@pve"] {
        root.accepted("PATCH", &format!("/api/users/{user}"), Some(json!({ "groups": ["ops"] }))).await;
    }
    assert_eq!(alice.get("/api/groups").await[0]["members"], json!(["alice@pve"]));
    assert_eq!(root.get("/api/groups").await[0]["members"], json!(["alice@pve", "bob@pve"]));
}

/// All of a change or nothing of it, and nobody is left without an administrator.
#[tokio::test]
async fn a_group_that_cannot_be_so_stays_as_it_is() {
    let rig = Rig::new();
    let mut root = root(&rig).await;
    root.post("/api/groups", json!({ "name": "ops" })).await;
    for (method, path, body, code) in [
        ("POST", "/api/groups", Some(json!({ "name": "ops" })), "group_exists"),
        ("POST", "/api/groups", Some(json!({ "name": "a b" })), "bad_group_name"),
        ("PATCH", "/api/groups/ops", Some(json!({ "comment": "new", "roles": ["King"] })), "unknown_role"),
        ("PATCH", "/api/groups/none", Some(json!({ "roles": [] })), "unknown_group"),
        ("DELETE", "/api/groups/none", None, "unknown_group"),
        ("PATCH", "/api/users/root@pam", Some(json!({ "groups": ["none"] })), "unknown_group"),
    ] {
        assert_eq!(root.refused_code(method, path, body).await, code, "{method} {path}");
    }
    assert_eq!(root.get("/api/groups").await[0]["comment"], "");
    root.accepted("PATCH", "/api/groups/ops", Some(json!({ "roles": ["Administrator"] }))).await;
    root.accepted("PATCH", "/api/users/root@pam", Some(json!({ "groups": ["ops"], "role": "user" }))).await;
    assert_eq!(root.refused_code("PATCH", "/api/groups/ops", Some(json!({ "roles": [] }))).await, "last_administrator");
    assert_eq!(root.refused_code("DELETE", "/api/groups/ops", None).await, "last_administrator");
    assert_eq!(root.get("/api/session").await["role"], "administrator");
}

/// Made here, used where programs ask: with its user's rights, or with those of any user as long as it has no role.
#[tokio::test]
async fn a_token_made_on_the_pages_is_good_for_programs() {
    let rig = Rig::new();
    let mut root = root(&rig).await;
    let path = "/api/users/root@pam/tokens";
    for (body, may) in [
        (json!({ "name": "separate" }), false),
        (json!({ "name": "whole", "comment": "of CI", "privilege_separated": false, "expire": u32::MAX }), true),
    ] {
        let made = root.post(path, body).await;
        let token = Some(format!("{}={}", text(&made["id"]), text(&made["secret"])));
        let program = Program { token, ..Program::default() };
        assert_eq!(program.get(&rig, "/access/permissions").await != json!({}), may, "{made}");
        assert!(!root.get(path).await.to_string().contains(&text(&made["secret"])), "it is told once");
    }
    let created = rig.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let everything = root.get("/api/session").await["privileges"].clone();
    let listed = json!([
        { "name": "separate", "comment": "", "privilege_separated": true, "privileges": [], "expires": null, "created": created },
        { "name": "whole", "comment": "of CI", "privilege_separated": false, "privileges": everything, "expires": u32::MAX, "created": created },
    ]);
    assert_eq!(root.get(path).await, listed);
    root.accepted("DELETE", &format!("{path}/whole"), None).await;
    assert_eq!(root.get(path).await, json!([listed[0]]));
}

/// One's own without an administrator, and without the password again: as Proxmox VE has it.
#[tokio::test]
async fn tokens_are_made_by_their_user_or_by_an_administrator() {
    let rig = Rig::new();
    let mut root = root(&rig).await;
    let mut alice = rig.new_user("alice@pve").await;
    rig.add_user("bob@pve", Role::User);
    let new = || Some(json!({ "name": "ci" }));
    alice.accepted("POST", "/api/users/alice@pve/tokens", new()).await;
    assert_eq!(alice.refused_code("POST", "/api/users/alice@pve/tokens", new()).await, "token_exists");
    assert_eq!(alice.refused_code("POST", "/api/users/bob@pve/tokens", new()).await, "forbidden");
    assert_eq!(alice.refused_code("GET", "/api/users/bob@pve/tokens", None).await, "forbidden");
    root.accepted("POST", "/api/users/bob@pve/tokens", new()).await;
    root.accepted("DELETE", "/api/users/alice@pve/tokens/ci", None).await;
    assert_eq!(alice.get("/api/users/alice@pve/tokens").await, json!([]));
    for (method, path, body, code) in [
        ("DELETE", "/api/users/alice@pve/tokens/ci", None, "unknown_token"),
        ("POST", "/api/users/none@pve/tokens", new(), "unknown_user"),
        ("POST", "/api/users/bob@pve/tokens", Some(json!({ "name": "a!b" })), "bad_token_name"),
    ] {
        assert_eq!(root.refused_code(method, path, body).await, code, "{method} {path}");
    }
}
