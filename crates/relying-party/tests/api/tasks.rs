//! Syncs over Proxmox VE's API: a call that is answered with the name of a task, and how it stands with that. Names, parameters and words are
//! those of its `PVE::API2::Domains` and `PVE::API2::Tasks`.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use axum::http::StatusCode;
use keyrig_relying_party::{By, RealmChange, Role, UserChange};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::ldap::{BASE, Request, SEARCH, Server, entry, result};
use crate::program::{Answer, Program, site, ticket};
use crate::rig::Rig;

const LIMIT: Duration = Duration::from_secs(60);

/// alice and bob, who are both in the group `staff`.
fn people(request: &Request) -> Vec<u8> {
    let entries = match request.operation {
        SEARCH if request.has("groupOfNames") => {
            let members = [format!("uid=alice,{BASE}"), format!("uid=bob,{BASE}")];
            entry(request.id, &format!("cn=staff,{BASE}"), &[("member", &members.each_ref().map(String::as_str))])
        }
        SEARCH => ["alice", "bob"]
            .iter()
            .flat_map(|name| entry(request.id, &format!("uid={name},{BASE}"), &[("uid", &[*name])]))
            .collect(),
        _ => Vec::new(),
    };
    [entries, result(request.id, 0x65, 0)].concat()
}

/// The site of [`site`], with the realm `corp` of a directory.
async fn site_of(server: &Server) -> Rig {
    let rig = site();
    let port = server.address.port().to_string();
    let options = [("server1", "127.0.0.1"), ("port", &port), ("base_dn", BASE), ("user_attr", "uid")];
    let options = options.map(|(option, value)| (option, value.to_owned())).into();
    let new = RealmChange { options, ..RealmChange::default() };
    rig.store().add_realm("corp", "ldap", &new, &By::command_line(rig.now())).await.unwrap();
    rig
}

/// A directory that answers nothing until it is let.
fn held() -> (Server, mpsc::Sender<()>) {
    let (let_go, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    // Once it is let, by the end of the channel, it answers all.
    let server = Server::start(move |request| {
        let _ = waits.lock().unwrap().recv();
        people(request)
    });
    (server, let_go)
}

async fn begin(program: &Program, rig: &Rig, parameters: &[(&str, &str)]) -> String {
    let upid = program.call(rig, "POST", "/access/domains/corp/sync", parameters).await.data();
    upid.as_str().unwrap_or_else(|| panic!("{upid}")).to_owned()
}

/// Asks for the status until the task has stopped, as programs do.
async fn ended(program: &Program, rig: &Rig, upid: &str) -> Value {
    let path = format!("/nodes/pve/tasks/{upid}/status");
    let ended = timeout(LIMIT, async {
        loop {
            let status = program.get(rig, &path).await;
            if status["status"] == "stopped" {
                return status;
            }
        }
    });
    ended.await.expect("it ends in time")
}

async fn log(program: &Program, rig: &Rig, upid: &str) -> Vec<String> {
    let lines = program.get(rig, &format!("/nodes/pve/tasks/{upid}/log?limit=0")).await;
    lines.as_array().unwrap().iter().map(|line| line["t"].as_str().unwrap().to_owned()).collect()
}

fn users(rig: &Rig) -> Vec<String> {
    let users = rig.store().users().unwrap().into_iter().map(|user| user.name.to_string());
    users.filter(|name| name.ends_with("@corp")).collect()
}

#[tokio::test]
async fn a_sync_is_a_task_that_goes_on_after_the_answer() {
    let (server, let_go) = held();
    let rig = site_of(&server).await;
    let root = ticket(&rig, "root@pam").await;
    let upid = begin(&root, &rig, &[("scope", "both")]).await;
    // UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:, and the node is the one that was asked.
    let [tag, node, pid, pstart, begun, kind, about, user, end] =
        <[&str; 9]>::try_from(upid.split(':').collect::<Vec<_>>()).unwrap();
    assert_eq!((tag, node, kind, about, user, end), ("UPID", "pve", "auth-realm-sync", "corp", "root@pam", ""));
    let number = |digits: &str| {
        assert_eq!((digits.len(), digits.to_uppercase().as_str()), (8, digits));
        u32::from_str_radix(digits, 16).unwrap()
    };
    let seconds = rig.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(u64::from(number(begun)), seconds);

    let status = root.get(&rig, &format!("/nodes/pve/tasks/{upid}/status")).await;
    let expected = json!({
        "upid": upid, "node": "pve", "pid": number(pid), "pstart": number(pstart), "starttime": seconds,
        "type": "auth-realm-sync", "id": "corp", "user": "root@pam", "status": "running",
    });
    assert_eq!(status, expected);
    assert_eq!(log(&root, &rig, &upid).await, ["starting sync for realm corp"]);
    assert_eq!(users(&rig), Vec::<String>::new());
    drop(let_go);
    assert_eq!(ended(&root, &rig, &upid).await["exitstatus"], "OK");
    assert_eq!(users(&rig), ["alice@corp", "bob@corp"]);
    assert_eq!(root.get(&rig, "/access/groups/staff-corp").await["members"], json!(["alice@corp", "bob@corp"]));
    let lines = log(&root, &rig, &upid).await;
    assert_eq!(
        lines,
        [
            "starting sync for realm corp",
            "added the user alice@corp",
            "added the user bob@corp",
            "added the group staff-corp",
            "changed the members of the group staff-corp",
            "the directory has 2 users and 1 group; 4 changes",
            "TASK OK",
        ]
    );
    // A part of it, and how many there are.
    let answer =
        root.call(&rig, "GET", &format!("/nodes/pve/tasks/{upid}/log"), &[("start", "5"), ("limit", "1")]).await;
    assert_eq!(answer.body, json!({ "data": [{ "n": 6, "t": lines[5] }], "total": 7 }));
}

#[tokio::test]
async fn what_is_taken_away_and_a_dry_run_are_asked_for_in_proxmox_ve_s_words() {
    let server = Server::start(people);
    let rig = site_of(&server).await;
    let root = ticket(&rig, "root@pam").await;
    let upid = begin(&root, &rig, &[("scope", "users"), ("dry-run", "1")]).await;
    assert!(upid.contains(":auth-realm-sync-test:corp:"), "{upid}");
    assert_eq!(ended(&root, &rig, &upid).await["exitstatus"], "OK");
    let lines = log(&root, &rig, &upid).await;
    assert_eq!(lines[0], "(dry test run) starting sync for realm corp");
    assert!(lines[lines.len() - 2].ends_with("2 changes; this was a dry run, nothing was changed"), "{lines:?}");
    assert_eq!(users(&rig), Vec::<String>::new());
    // What a dry run does not leave either is an event.
    assert_eq!(rig.events(keyrig_relying_party::EventKind::RealmSynced).len(), 0);

    let gone = "carol@corp".parse().unwrap();
    let by = By::command_line(rig.now());
    // `full` and `purge` are older than `remove-vanished`, and mean these.
    for (parameter, is_deleted) in [
        (("remove-vanished", "entry;acl"), true),
        (("full", "1"), true),
        (("purge", "1"), false),
        (("full", "0"), false),
    ] {
        rig.store().add_user_of_directory(&gone, Role::User, &UserChange::default(), &by).unwrap();
        let upid = begin(&root, &rig, &[("scope", "users"), ("enable-new", "0"), parameter]).await;
        assert_eq!(ended(&root, &rig, &upid).await["exitstatus"], "OK");
        assert_eq!(!users(&rig).contains(&gone.to_string()), is_deleted, "{parameter:?}");
        if !is_deleted {
            rig.store().delete_user(&gone, &by).unwrap();
        }
    }
    assert_eq!(root.get(&rig, "/access/users/alice@corp").await["enable"], 0);
}

#[tokio::test]
async fn a_sync_that_cannot_be_is_refused_with_the_parameter() {
    let server = Server::start(people);
    let rig = site_of(&server).await;
    let root = ticket(&rig, "root@pam").await;
    let sync = async |realm: &str, parameters: &[(&str, &str)]| {
        root.call(&rig, "POST", &format!("/access/domains/{realm}/sync"), parameters).await
    };
    let wrong = |answer: Answer| {
        assert_eq!((answer.status.as_u16(), answer.reason.as_str()), (400, "Parameter verification failed."));
        answer.body["errors"].as_object().unwrap().clone()
    };
    let both = [("scope", "both")];
    assert_eq!(wrong(sync("nowhere", &both).await)["realm"], "Realm does not exist.");
    let without = "Not passed as parameter and not defined in realm default sync options.";
    assert_eq!(wrong(sync("corp", &[]).await)["scope"], without);
    assert!(wrong(sync("corp", &[("scope", "all")]).await).contains_key("scope"));
    assert!(wrong(sync("corp", &[both[0], ("remove-vanished", "all")]).await).contains_key("remove-vanished"));
    assert!(wrong(sync("corp", &[both[0], ("dry-run", "maybe")]).await).contains_key("dry-run"));
    let answer = sync("pve", &both).await;
    assert!(answer.status == StatusCode::INTERNAL_SERVER_ERROR && answer.reason.contains("no directory"), "{answer:?}");
    // Where the realm says what is synced, nobody else has to.
    let defaults = [("sync-defaults-options", "scope=users,enable-new=0")];
    root.call(&rig, "PUT", "/access/domains/corp", &defaults).await.data();
    let upid = begin(&root, &rig, &[]).await;
    assert_eq!(ended(&root, &rig, &upid).await["exitstatus"], "OK");
    assert_eq!(root.get(&rig, "/access/users/bob@corp").await["enable"], 0);
}

#[tokio::test]
async fn a_task_is_for_its_user_and_for_who_sees_others() {
    let server = Server::start(people);
    let rig = site_of(&server).await;
    rig.add_user("admin@pve", Role::Administrator);
    let (root, admin) = (ticket(&rig, "root@pam").await, ticket(&rig, "admin@pve").await);
    let (auditor, alice) = (ticket(&rig, "auditor@pve").await, ticket(&rig, "alice@pve").await);
    for nobody in [&auditor, &alice] {
        nobody
            .call(&rig, "POST", "/access/domains/corp/sync", &[("scope", "both")])
            .await
            .refused(403, "Permission check failed (/access/realm/corp, Realm.AllocateUser)");
    }
    // By a token, whose name is told apart.
    let made = root.call(&rig, "POST", "/access/users/root@pam/token/ci", &[("privsep", "0")]).await.data();
    let program =
        Program { token: Some(format!("root@pam!ci={}", made["value"].as_str().unwrap())), ..Program::default() };
    let upid = begin(&program, &rig, &[("scope", "both")]).await;
    assert!(upid.ends_with(":root@pam!ci:"), "{upid}");
    let status = ended(&program, &rig, &upid).await;
    assert_eq!((&status["user"], &status["tokenid"]), (&json!("root@pam"), &json!("ci")));
    for path in ["status", "log"] {
        let path = format!("/nodes/pve/tasks/{upid}/{path}");
        for seeing in [&root, &admin, &auditor] {
            seeing.call(&rig, "GET", &path, &[]).await.data();
        }
        alice.call(&rig, "GET", &path, &[]).await.refused(403, "Permission check failed (/nodes/pve, Sys.Audit)");
    }
    let errors = async |node: &str, upid: &str| {
        let answer = root.call(&rig, "GET", &format!("/nodes/{node}/tasks/{upid}/status"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        answer.body["errors"]["upid"].as_str().unwrap().to_owned()
    };
    assert_eq!(errors("pve", "UPID").await, "unable to parse worker upid");
    assert_eq!(errors("pve2", &upid).await, "no such task");
    assert_eq!(errors("pve", &upid.replace(":corp:", ":other:")).await, "no such task");
}

/// The worker of Proxmox VE goes on as whoever began it.
#[tokio::test]
async fn who_loses_the_right_while_a_directory_answers_changes_nothing() {
    let (server, let_go) = held();
    let rig = site_of(&server).await;
    rig.add_user("admin@pve", Role::Administrator);
    let (root, admin) = (ticket(&rig, "root@pam").await, ticket(&rig, "admin@pve").await);
    let upid = begin(&admin, &rig, &[("scope", "both")]).await;
    let demoted = UserChange { role: Some(Role::User), ..UserChange::default() };
    rig.store().change_user(&"admin@pve".parse().unwrap(), &demoted, &By::command_line(rig.now())).unwrap();
    drop(let_go);
    assert_eq!(
        ended(&root, &rig, &upid).await["exitstatus"],
        "this needs the privileges Realm.AllocateUser and User.Modify"
    );
    assert_eq!(users(&rig), Vec::<String>::new());
    assert_eq!(
        log(&root, &rig, &upid).await[1..],
        ["TASK ERROR: this needs the privileges Realm.AllocateUser and User.Modify"]
    );
}

#[tokio::test]
async fn a_directory_that_gives_no_answer_ends_the_task_with_the_reason() {
    // Section 4.1.9 of RFC 4511: unwillingToPerform.
    let server = Server::start(|request| result(request.id, 0x65, 53));
    let rig = site_of(&server).await;
    let root = ticket(&rig, "root@pam").await;
    let upid = begin(&root, &rig, &[("scope", "both")]).await;
    let status = ended(&root, &rig, &upid).await;
    let reason = status["exitstatus"].as_str().unwrap();
    assert!(reason.starts_with("nothing was done: the directory of the realm corp"), "{reason}");
    assert_eq!(log(&root, &rig, &upid).await[1], format!("TASK ERROR: {reason}"));
}

#[tokio::test]
async fn only_so_many_syncs_go_on_at_once() {
    let (server, let_go) = held();
    let rig = site_of(&server).await;
    let root = ticket(&rig, "root@pam").await;
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(begin(&root, &rig, &[("scope", "users")]).await);
    }
    let answer = root.call(&rig, "POST", "/access/domains/corp/sync", &[("scope", "users")]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    drop(let_go);
    for upid in &begun {
        assert_eq!(ended(&root, &rig, upid).await["exitstatus"], "OK");
    }
    // Each is another one.
    begun.dedup();
    assert_eq!(begun.len(), 4);
}
