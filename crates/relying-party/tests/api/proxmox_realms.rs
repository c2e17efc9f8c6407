//! Realms over Proxmox VE's API. Names, parameters, words and statuses are those of its `PVE::API2::Domains`, `PVE::Auth` and
//! `PVE::SectionConfig`.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use keyrig_relying_party::{
    By, DIRECTORY_OPTIONS, EventFilter, EventKind, Options, PasswordCost, Policy, RealmChange, RealmError, Role,
    Settings, Store, UserChange, serve,
};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::ldap::{BASE, SEARCH, Server, entry, reference, result};
use crate::program::{Answer, Program, log_in, ticket};
use crate::revoked::Held;
use crate::rig::{ORIGIN, PASSWORD, RP_ID, Rig};

const READER: &str = "cn=reader,dc=example,dc=com";

/// A site as Proxmox VE 9 would be, with `root@pam`, `auditor@pve` and `alice@pve`, that keeps bind passwords.
struct World {
    rig: Rig,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with_policy(Policy::built_in("proxmox-9").unwrap())
    }

    fn with_policy(policy: Policy) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store) };
        let rig = Rig::with_options(Ok(Settings { policy, ..Settings::new(RP_ID, ORIGIN) }), options);
        rig.add_user("root@pam", Role::Administrator);
        rig.add_user("auditor@pve", Role::Auditor);
        rig.add_user("alice@pve", Role::User);
        rig.relying_party.settle_in().unwrap();
        Self { rig, directory }
    }

    fn by(&self) -> By {
        By::command_line(self.rig.now())
    }

    fn bind_password(&self) -> Option<String> {
        std::fs::read_to_string(self.directory.path().join("realm/corp.pw")).ok()
    }

    /// All that a call could have changed.
    fn stored(&self) -> String {
        let store = self.rig.store();
        let of_realms = (store.realms().unwrap(), store.directory_settings("corp").unwrap(), self.bind_password());
        format!("{of_realms:?} {:?} {:?}", store.users().unwrap(), store.events(&EventFilter::default()).unwrap())
    }

    async fn call(&self, program: &Program, method: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
        program.call(&self.rig, method, &format!("/access/domains{path}"), parameters).await
    }

    /// The realm `corp` as it is told, and the digest of all.
    async fn told(&self, program: &Program) -> (Map<String, Value>, String) {
        let Value::Object(mut told) = self.call(program, "GET", "/corp", &[]).await.data() else { panic!("no object") };
        let digest = told.remove("digest").unwrap().as_str().unwrap().to_owned();
        (told, digest)
    }

    async fn add(&self, program: &Program, more: &[(&str, &str)]) {
        assert_eq!(self.call(program, "POST", "", &with(&OF_CORP, more)).await.data(), Value::Null);
    }
}

/// What the realm `corp` is added with at least.
const OF_CORP: [(&str, &str); 5] =
    [("realm", "corp"), ("type", "ldap"), ("server1", "127.0.0.1"), ("base_dn", BASE), ("user_attr", "uid")];

/// Parameters, with others beside them or in place of some.
fn with<'a>(parameters: &[(&'a str, &'a str)], others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    parameters.iter().filter(|(name, _)| !is_other(name)).chain(others).copied().collect()
}

/// What comes of something that has an end.
async fn in_time<T>(of: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), of).await.expect("it ends")
}

/// The parameter that is said to be wrong, and why.
#[track_caller]
fn wrong(answer: &Answer) -> (String, String) {
    assert_eq!((answer.status.as_u16(), answer.reason.as_str()), (400, "Parameter verification failed."), "{answer:?}");
    let errors: Vec<_> = answer.body["errors"].as_object().unwrap().iter().collect();
    let [(name, reason)] = errors[..] else { panic!("{errors:?}") };
    (name.clone(), reason.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_realm_is_added_listed_told_changed_and_deleted() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let more = [
        ("comment", "the company"),
        ("tfa", "type=oath,digits=8,step=60"),
        ("bind_dn", READER),
        ("password", "the reader's"),
        ("mode", "ldaps"),
        ("port", "1636"),
        ("sync-defaults-options", "scope=both,remove-vanished=acl;entry"),
    ];
    world.add(&root, &more).await;
    assert_eq!(world.bind_password().as_deref(), Some("the reader's"));
    let listed = world.call(&Program::default(), "GET", "", &[]).await.data();
    let entry = json!({ "realm": "corp", "type": "ldap", "comment": "the company", "tfa": "oath" });
    assert_eq!(listed.as_array().unwrap().iter().find(|realm| realm["realm"] == "corp"), Some(&entry));

    let (told, digest) = world.told(&root).await;
    let mut expected = json!({
        "type": "ldap", "comment": "the company", "tfa": "type=oath,digits=8,step=60", "server1": "127.0.0.1", "port": 1636,
        "base_dn": BASE, "user_attr": "uid", "bind_dn": READER, "mode": "ldaps",
        "sync-defaults-options": "remove-vanished=acl;entry,scope=both",
        // What nobody said.
        "verify": 1, "case-sensitive": 1, "capath": "/etc/ssl/certs", "user_classes": "inetorgperson,posixaccount,person,user",
        "group_classes": "groupOfNames,group,univentionGroup,ipausergroup",
    });
    assert_eq!(Value::Object(told), expected);
    let other = world.call(&root, "GET", "/pve", &[]).await.data();
    assert_eq!(other, json!({ "type": "pve", "comment": "Accounts of the cluster", "digest": digest }));

    let change = [
        ("comment", ""),
        ("delete", "tfa,port;default"),
        ("filter", "(ou=staff)"),
        ("verify", "on"),
        ("digest", &digest),
    ];
    assert_eq!(world.call(&root, "PUT", "/corp", &change).await.data(), Value::Null);
    let members = expected.as_object_mut().unwrap();
    ["comment", "tfa", "port"].into_iter().for_each(|gone| drop(members.remove(gone).unwrap()));
    members.insert("filter".to_owned(), "(ou=staff)".into());
    let (told, changed) = world.told(&root).await;
    assert_eq!(Value::Object(told), expected);
    assert_ne!(changed, digest);
    assert_eq!(world.bind_password().as_deref(), Some("the reader's"), "nobody said that it is another one");
    // Who has seen the realm as it was before changes nothing.
    let stored = world.stored();
    let reason = "update auth server failed: detected modified configuration - file changed by other user? Try again.";
    world.call(&root, "PUT", "/corp", &change).await.refused(500, reason);
    assert_eq!(world.stored(), stored);

    let change = [("password", "the reader's new one"), ("comment", "again"), ("tfa", "type=oath")];
    world.call(&root, "PUT", "/corp", &change).await.data();
    assert_eq!(world.bind_password().as_deref(), Some("the reader's new one"));
    assert_eq!(world.told(&root).await.0["tfa"], "type=oath,digits=6,step=30");
    world.call(&root, "PUT", "/corp", &[("delete", "bind_dn,comment")]).await.data();
    assert_eq!(world.bind_password(), None, "it is nobody's");
    assert_eq!(world.told(&root).await.0.get("comment"), None);

    assert_eq!(world.call(&root, "DELETE", "/corp", &[]).await.data(), Value::Null);
    world.call(&root, "GET", "/corp", &[]).await.refused(500, "domain 'corp' does not exist");
    assert_eq!(world.rig.store().realms().unwrap().len(), 2);
    let kinds: Vec<_> = world.rig.store().events(&EventFilter::default()).unwrap();
    let kinds: Vec<_> = kinds.iter().filter(|event| event.detail.starts_with("realm corp")).collect();
    let details: Vec<_> = kinds.iter().rev().map(|event| event.detail.as_str()).collect();
    assert_eq!(
        details,
        [
            "realm corp added: ldap at 127.0.0.1",
            "realm corp requires oath, 8 digits every 60 s",
            "realm corp: comment",
            "realm corp requires none",
            "realm corp: its directory",
            "realm corp: comment",
            "realm corp requires oath, 6 digits every 30 s",
            "realm corp: its directory",
            "realm corp: comment",
            "realm corp: its directory",
            "realm corp deleted, with 0 users",
        ]
    );
    assert!(kinds.iter().all(|event| event.actor == "root@pam"), "{kinds:?}");
}

/// `mode` is what was `secure` before, and counts where both are there.
#[tokio::test]
async fn each_option_of_a_directory_is_taken_and_told() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    world
        .add(
            &root,
            &[("type", "ad"), ("domain", "example.com"), ("cert", "/a.pem"), ("certkey", "/a.key"), ("mode", "ldaps")],
        )
        .await;
    let values = [
        ("base_dn", json!("ou=people,dc=example,dc=com")),
        ("bind_dn", json!("reader@example.com")),
        ("capath", json!("/etc/ssl/ca.pem")),
        ("case-sensitive", json!(0)),
        ("cert", json!("/b.pem")),
        ("certkey", json!("/b.key")),
        ("domain", json!("corp.example.com")),
        ("filter", json!("(ou=staff)")),
        ("group_classes", json!("group")),
        ("group_dn", json!("ou=groups,dc=example,dc=com")),
        ("group_filter", json!("(cn=pve-*)")),
        ("group_name_attr", json!("cn")),
        ("mode", json!("ldap+starttls")),
        ("port", json!(1389)),
        ("server1", json!("dc1.example.com")),
        ("server2", json!("dc2.example.com")),
        ("sync-defaults-options", json!("enable-new=0,scope=users")),
        ("sync_attributes", json!("email=mail,firstname=givenName")),
        ("user_attr", json!("uid")),
        ("user_classes", json!("user,person")),
        ("verify", json!(1)),
    ];
    assert_eq!(values.len() + 1, DIRECTORY_OPTIONS.len());
    for (option, value) in &values {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Whoever it is that gets the password, it is said again.
        let set = if *option == "bind_dn" {
            vec![(*option, text.as_str()), ("password", "x")]
        } else {
            vec![(*option, text.as_str())]
        };
        let set = if option.starts_with("server") { with(&set, &[("password", "x")]) } else { set };
        world.call(&root, "PUT", "/corp", &set).await.data();
        assert_eq!(&world.told(&root).await.0[*option], value, "{option}");
    }
    let modes = async |parameters: &[(&str, &str)]| {
        world.call(&root, "PUT", "/corp", parameters).await.data();
        world.told(&root).await.0["mode"].clone()
    };
    assert_eq!(modes(&[("secure", "1")]).await, "ldaps");
    assert_eq!(modes(&[("secure", "0"), ("mode", "ldap+starttls")]).await, "ldap+starttls");
    // As JSON has it.
    let body = json!({ "case-sensitive": true, "port": 3269, "comment": "by JSON", "default": false }).to_string();
    let path = "/api2/json/access/domains/corp";
    root.raw(&world.rig, "PUT", path, Some("application/json"), body).await.data();
    let (told, _) = world.told(&root).await;
    assert_eq!(
        (&told["case-sensitive"], &told["port"], &told["comment"]),
        (&json!(1), &json!(3269), &json!("by JSON"))
    );
}

#[tokio::test]
async fn each_parameter_that_cannot_be_so_is_named() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let long = "a".repeat(257);
    let of_each = [
        ("comment", long.as_str()),
        ("comment", "two\nlines"),
        ("tfa", "type=totp"),
        ("tfa", "none"),
        ("tfa", "type=oath,digits=5"),
        ("tfa", "type=oath,step=5"),
        ("tfa", "type=yubico,id=1,key=2"),
        // Proxmox VE has no such types, and the site is one of its policy.
        ("tfa", "type=webauthn"),
        ("tfa", "type=any"),
        ("base_dn", "example.com"),
        ("bind_dn", "reader"),
        ("capath", "ca.pem"),
        ("case-sensitive", "maybe"),
        ("cert", "a.pem"),
        ("certkey", "a.key"),
        ("filter", "(a=b"),
        ("group_classes", ""),
        ("group_dn", "groups"),
        ("group_filter", "(a"),
        ("group_name_attr", "a b"),
        ("mode", "tls"),
        ("port", "0"),
        ("secure", "maybe"),
        ("server1", "-x"),
        ("server2", "ldap://a"),
        ("sync-defaults-options", "full=1"),
        ("sync_attributes", "keys=x"),
        ("user_attr", "uid)(cn=*"),
        ("user_classes", ";"),
        ("verify", "maybe"),
        ("check-connection", "maybe"),
        ("default", "1"),
        ("sslversion", "tlsv1_2"),
        ("client-id", "x"),
    ];
    let named: std::collections::BTreeSet<_> = of_each.iter().map(|(name, _)| *name).collect();
    let unnamed: Vec<_> = DIRECTORY_OPTIONS.iter().filter(|option| !named.contains(*option)).collect();
    assert_eq!(unnamed, [&"domain"], "which is for another type, and in other words");

    let stored = world.stored();
    let of_new = [
        ("realm", "1st"),
        ("realm", "a b"),
        ("realm", &long[..33]),
        ("type", "openid"),
        ("type", "fido"),
        ("digest", "x"),
        ("delete", "x"),
    ];
    for bad in of_new.iter().chain(&of_each) {
        let answer = world.call(&root, "POST", "", &with(&OF_CORP, &[*bad])).await;
        assert_eq!(wrong(&answer).0, bad.0, "{bad:?}");
    }
    let long_password = "x".repeat(513);
    for (more, parameter) in [
        (&[("bind_dn", READER)][..], "password"),
        (&[("bind_dn", READER), ("password", "")], "password"),
        (&[("bind_dn", READER), ("password", long_password.as_str())], "password"),
        (&[("password", "x")], "bind_dn"),
        (&[("cert", "/a.pem"), ("certkey", "/a.key")], "cert"),
    ] {
        let answer = world.call(&root, "POST", "", &with(&OF_CORP, more)).await;
        assert_eq!(wrong(&answer).0, parameter, "{more:?}");
    }
    let answer = world.call(&root, "POST", "", &[]).await;
    let missing = "property is missing and it is not optional";
    assert_eq!(answer.body["errors"], json!({ "realm": missing, "type": missing }));
    assert_eq!(world.stored(), stored, "nothing was added, and nothing is half done");

    world.add(&root, &[("bind_dn", READER), ("password", "right")]).await;
    let stored = world.stored();
    let of_change = [("type", "ldap"), ("realm", "corp"), ("delete", "sslversion"), ("delete", "none")];
    for bad in of_change.iter().chain(&of_each) {
        // Beside it something that could be done.
        let answer = world
            .call(&root, "PUT", "/corp", &[*bad, ("group_dn", BASE)][..1 + usize::from(bad.0 != "group_dn")])
            .await;
        assert_eq!(wrong(&answer).0, bad.0, "{bad:?}");
    }
    for (parameters, parameter) in [
        (&[("comment", "x"), ("delete", "comment")][..], "delete"),
        (&[("tfa", "type=oath"), ("delete", "tfa")], "delete"),
        (&[("filter", "a=b"), ("delete", "port filter")], "delete"),
        (&[("password", "x"), ("delete", "password")], "delete"),
        // A password is for whom it was given, and whoever searches needs one.
        (&[("server1", "localhost")], "password"),
        (&[("server2", "localhost")], "password"),
        (&[("bind_dn", "cn=other,dc=example,dc=com")], "password"),
        (&[("verify", "0")], "password"),
        (&[("password", "")], "password"),
        (&[("delete", "password")], "password"),
        (&[("delete", "bind_dn"), ("password", "x")], "bind_dn"),
    ] {
        let answer = world.call(&root, "PUT", "/corp", parameters).await;
        assert_eq!(wrong(&answer).0, parameter, "{parameters:?}");
    }
    // What is not there to delete is told with all that is.
    let (_, reason) = wrong(&world.call(&root, "PUT", "/corp", &[("delete", "nope")]).await);
    let said =
        reason.strip_prefix("there is no option \"nope\"; those to delete are ").unwrap_or_else(|| panic!("{reason}"));
    let said: std::collections::BTreeSet<_> = said.split(", ").collect();
    assert_eq!(said, DIRECTORY_OPTIONS.iter().copied().chain(["tfa", "comment", "password"]).collect());
    assert_eq!(world.stored(), stored);
}

/// RFC 8259, section 4: of a name that is there twice some take the first, some the last.
#[tokio::test]
async fn a_member_that_is_there_twice_is_refused() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let stored = world.stored();
    let path = "/api2/json/access/domains/pve";
    for body in [
        r#"{"comment": "one", "comment": "two"}"#,
        r#"{"comment": null, "comment": "two"}"#,
        r#"{"comment": "one", "tfa": "type=oath", "\u0063omment": "one"}"#,
    ] {
        let answer = root.raw(&world.rig, "PUT", path, Some("application/json"), body.to_owned()).await;
        assert_eq!(wrong(&answer).0, "comment", "{body}");
    }
    let answer = root.raw(&world.rig, "PUT", path, Some("application/json"), "[\"comment\"]".to_owned()).await;
    answer.refused(400, "the body is not an object in JSON (line 1, column 0)");
    assert_eq!(world.stored(), stored);
}

#[tokio::test]
async fn what_proxmox_ve_dies_of_is_told_in_its_words() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let add = "add auth server failed: ";
    let update = "update auth server failed: ";
    let delete = "delete auth server failed: ";
    world.add(&root, &[]).await;
    let stored = world.stored();
    for (method, path, parameters, reason) in [
        ("POST", "", with(&OF_CORP, &[]), format!("{add}domain 'corp' already exists")),
        ("POST", "", with(&OF_CORP, &[("realm", "pam")]), format!("{add}domain 'pam' already exists")),
        ("POST", "", with(&OF_CORP, &[("realm", "a"), ("domain", "b")]), format!("{add}unexpected property 'domain'")),
        (
            "POST",
            "",
            vec![("realm", "a"), ("type", "ldap")],
            format!("{add}missing value for required option 'server1'"),
        ),
        ("POST", "", vec![("realm", "a"), ("type", "pve")], format!("{add}unable to create builtin type 'pve'")),
        ("POST", "", with(&OF_CORP, &[("realm", "a"), ("type", "pve")]), format!("{add}unexpected property 'base_dn'")),
        (
            "POST",
            "",
            vec![("realm", "a"), ("type", "pam"), ("check-connection", "0")],
            format!("{add}'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"),
        ),
        ("PUT", "/nowhere", vec![("comment", "x")], format!("{update}domain 'nowhere' does not exist")),
        ("PUT", "/corp", vec![], format!("{update}no options specified")),
        ("PUT", "/corp", vec![("check-connection", "1")], format!("{update}no options specified")),
        ("PUT", "/corp", vec![("delete", "server1")], format!("{update}missing value for required option 'server1'")),
        ("PUT", "/corp", vec![("domain", "b")], format!("{update}unexpected property 'domain'")),
        ("PUT", "/pam", vec![("server1", "b"), ("comment", "x")], format!("{update}unexpected property 'server1'")),
        ("PUT", "/pam", vec![("password", "b")], format!("{update}unexpected property 'password'")),
        ("PUT", "/pam", vec![("delete", "filter")], format!("{update}unexpected property 'filter'")),
        (
            "PUT",
            "/pam",
            vec![("comment", "x"), ("check-connection", "1")],
            format!("{update}'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"),
        ),
        ("GET", "/nowhere", vec![], "domain 'nowhere' does not exist".to_owned()),
        ("DELETE", "/nowhere", vec![], format!("{delete}authentication domain 'nowhere' does not exist")),
        ("DELETE", "/pam", vec![], format!("{delete}the realm pam is always there, and is not deleted")),
    ] {
        world.call(&root, method, path, &parameters).await.refused(500, &reason);
    }
    assert_eq!(world.stored(), stored);
    // The other format has it in a success.
    let path = "/api2/extjs/access/domains/nowhere";
    let answer = root.raw(&world.rig, "DELETE", path, None, String::new()).await;
    let message = format!("{delete}authentication domain 'nowhere' does not exist\n");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({ "data": null, "success": 0, "status": 500, "message": message }));
    let path = "/api2/extjs/access/domains/corp?port=0";
    let answer = root.raw(&world.rig, "PUT", path, None, String::new()).await;
    assert_eq!((&answer.body["success"], &answer.body["status"]), (&json!(0), &json!(400)));
    assert_eq!(answer.body["errors"], json!({ "port": "it is 1 to 65535" }));
    let path = "/api2/extjs/access/domains/corp";
    let answer = root.raw(&world.rig, "GET", path, None, String::new()).await;
    assert_eq!((&answer.body["success"], &answer.body["data"]["type"]), (&json!(1), &json!("ldap")));
}

/// Some of it could be done, and the rest not: none is.
#[tokio::test]
async fn a_change_is_all_of_it_or_nothing() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    world.add(&root, &[("comment", "before"), ("bind_dn", READER), ("password", "before")]).await;
    let stored = world.stored();
    let good = [
        ("comment", "after"),
        ("tfa", "type=oath"),
        ("server2", "localhost"),
        ("password", "after"),
        ("group_dn", BASE),
    ];
    for bad in
        [("comment", "a\u{7}"), ("tfa", "type=webauthn"), ("server2", "-x"), ("password", ""), ("delete", "user_attr")]
    {
        let answer = world.call(&root, "PUT", "/corp", &with(&good, &[bad])).await;
        assert!(answer.status == 400 || answer.status == 500, "{answer:?}");
        assert_eq!(world.stored(), stored, "{bad:?}");
    }
    world.call(&root, "PUT", "/corp", &good).await.data();
    assert_eq!(world.bind_password().as_deref(), Some("after"));
    // Nor is a realm half added.
    world.call(&root, "DELETE", "/corp", &[]).await.data();
    let stored = world.stored();
    let answer = world
        .call(&root, "POST", "", &with(&OF_CORP, &[("tfa", "type=webauthn"), ("bind_dn", READER), ("password", "x")]))
        .await;
    let (parameter, reason) = wrong(&answer);
    assert!(
        parameter == "tfa" && reason.starts_with("under the policy proxmox-9 no realm asks for webauthn"),
        "{reason}"
    );
    assert_eq!(world.stored(), stored);
}

#[tokio::test]
async fn a_realm_is_for_administrators_to_change_and_for_auditors_to_see() {
    let world = World::new();
    let rig = &world.rig;
    let (root, auditor, alice) =
        (ticket(rig, "root@pam").await, ticket(rig, "auditor@pve").await, ticket(rig, "alice@pve").await);
    let token = async |name: &str, privsep: &str| {
        let path = format!("/access/users/root@pam/token/{name}");
        let made = root.call(rig, "POST", &path, &[("privsep", privsep)]).await.data();
        let token = format!("root@pam!{name}={}", made["value"].as_str().unwrap());
        Program { token: Some(token), ..Program::default() }
    };
    let (full, separate) = (token("full", "0").await, token("separate", "1").await);
    let calls = [
        ("POST", "", &OF_CORP[..]),
        ("PUT", "/pve", &[("comment", "another")]),
        ("PUT", "/corp", &[("port", "1389")]),
        ("DELETE", "/corp", &[]),
    ];
    let stored = world.stored();
    for (method, path, parameters) in calls {
        world.call(&Program::default(), method, path, parameters).await.refused(401, "No ticket");
        let without_csrf = Program { csrf: None, ..root.clone() };
        world
            .call(&without_csrf, method, path, parameters)
            .await
            .refused(401, "Permission denied - invalid csrf token");
        for other in [&alice, &auditor, &separate] {
            world
                .call(other, method, path, parameters)
                .await
                .refused(403, "Permission check failed (/access/realm, Realm.Allocate)");
        }
    }
    assert_eq!(world.stored(), stored);
    for administrator in [&root, &full] {
        for (method, path, parameters) in calls {
            if method == "DELETE" {
                world.told(&auditor).await;
            }
            assert_eq!(
                world.call(administrator, method, path, parameters).await.data(),
                Value::Null,
                "{method} {path}"
            );
        }
    }
    for seeing in [&root, &auditor, &full] {
        assert_eq!(world.call(seeing, "GET", "/pve", &[]).await.data()["comment"], "another");
    }
    world.call(&Program::default(), "GET", "/pve", &[]).await.refused(401, "No ticket");
    for other in [&alice, &separate] {
        world
            .call(other, "GET", "/pve", &[])
            .await
            .refused(403, "Permission check failed (/access/realm, Realm.Allocate|Sys.Audit)");
    }
}

const NEEDED: &str = "confirm your password first: what you ask for needs that, and it is good for 300 s";

#[tokio::test]
async fn where_every_change_needs_the_password_again_realms_do_too() {
    let world = World::with_policy(Policy::built_in("strict-l3").unwrap());
    let root = ticket(&world.rig, "root@pam").await;
    let calls = [
        ("POST", "", &[("realm", "test"), ("type", "pve"), ("tfa", "type=webauthn")][..]),
        ("PUT", "/test", &[("delete", "tfa")]),
        ("DELETE", "/test", &[]),
    ];
    // No call of realms takes it, by whatever name: that of a directory's reader is another one.
    for name in ["password", "confirmation-password"] {
        for (method, path, parameters) in calls {
            world.call(&root, method, path, &with(parameters, &[(name, PASSWORD)])).await.refused(403, NEEDED);
        }
        world.call(&root, "POST", "/test/sync", &[("scope", "both"), (name, PASSWORD)]).await.refused(403, NEEDED);
    }
    for (method, path, parameters) in calls {
        world.call(&root, method, path, parameters).await.refused(403, NEEDED);
    }
    // It is given with what changes a factor.
    let factor = [("type", "recovery"), ("password", PASSWORD)];
    root.call(&world.rig, "POST", "/access/tfa/root@pam", &factor).await.data();
    for (method, path, parameters) in calls {
        world.call(&root, method, path, parameters).await.data();
        if method == "POST" {
            // A realm of one's own, with a type of keyrig's own: no policy of Proxmox VE's is in the way.
            assert_eq!(world.call(&root, "GET", "/test", &[]).await.data()["tfa"], "type=webauthn");
            world.rig.add_user("bob@test", Role::User);
            let in_use = "delete auth server failed: the realm test has 1 users: delete them first";
            world.call(&root, "DELETE", "/test", &[]).await.refused(500, in_use);
            world.rig.store().delete_user(&"bob@test".parse().unwrap(), &world.by()).unwrap();
        }
    }
    assert_eq!(world.rig.store().realms().unwrap().len(), 2);
}

/// A directory whose reader has the password "right", and in which everybody has another one.
fn directory() -> Server {
    Server::start(|request| match request.operation {
        SEARCH if request.has("admin") => {
            [entry(request.id, &format!("uid=admin,{BASE}"), &[("uid", &["admin"])]), result(request.id, 0x65, 0)]
                .concat()
        }
        SEARCH => result(request.id, 0x65, 0),
        _ => result(request.id, 0x61, if request.has("right") || request.has(PASSWORD) { 0 } else { 49 }),
    })
}

#[tokio::test]
async fn a_realm_of_a_directory_is_deleted_with_its_users_but_not_with_the_last_administrator() {
    let world = World::new();
    let server = directory();
    let root = ticket(&world.rig, "root@pam").await;
    let port = server.address.port().to_string();
    world.add(&root, &[("port", &port), ("bind_dn", READER), ("password", "right")]).await;
    let store = world.rig.store();
    let (admin, name) = ("admin@corp".parse().unwrap(), "root@pam".parse().unwrap());
    store.add_user_of_directory(&admin, Role::Administrator, &UserChange::default(), &world.by()).unwrap();
    let program = ticket(&world.rig, "admin@corp").await;
    let enabled = |enabled| UserChange { enabled: Some(enabled), ..UserChange::default() };
    store.change_user(&name, &enabled(false), &world.by()).unwrap();
    let stored = world.stored();
    let reason = "delete auth server failed: the only administrators who are enabled are of the realm corp; make another one first";
    world.call(&program, "DELETE", "/corp", &[]).await.refused(500, reason);
    assert_eq!(world.stored(), stored);
    store.change_user(&name, &enabled(true), &world.by()).unwrap();
    world.call(&program, "DELETE", "/corp", &[]).await.data();
    assert!(store.users().unwrap().iter().all(|user| user.name.realm() != "corp"));
    assert_eq!(world.bind_password(), None);
    program.call(&world.rig, "GET", "/version", &[]).await.refused(401, "permission denied - invalid PVE ticket");
    assert_eq!(world.rig.events(EventKind::RealmDeleted)[0].detail, "realm corp deleted, with 1 users");
}

#[tokio::test]
async fn a_directory_is_tried_where_that_is_asked_for_and_nothing_is_written_if_it_fails() {
    let world = World::new();
    let (server, other) = (directory(), directory());
    let root = ticket(&world.rig, "root@pam").await;
    let port = server.address.port().to_string();
    let to_check = [("port", port.as_str()), ("bind_dn", READER), ("check-connection", "1")];
    let stored = world.stored();
    let answer = world.call(&root, "POST", "", &with(&OF_CORP, &with(&to_check, &[("password", "wrong")]))).await;
    let refused = "nothing was done: the directory of the realm corp gives no whole answer: the bind as cn=reader,dc=example,dc=com was \
                   refused: result 49";
    answer.refused(500, &format!("add auth server failed: {refused}"));
    assert_eq!(world.stored(), stored);
    // Not asked for, it is not tried.
    let (asked, _) = (server.asked(), other.asked());
    assert_eq!(asked.len(), 1);
    world.add(&root, &[("port", &port), ("bind_dn", READER), ("password", "wrong"), ("check-connection", "0")]).await;
    assert_eq!(server.asked(), []);
    // The password that is kept is what is tried.
    let stored = world.stored();
    let answer = world.call(&root, "PUT", "/corp", &[("comment", "x"), ("check-connection", "1")]).await;
    answer.refused(500, &format!("update auth server failed: {refused}"));
    assert_eq!(world.stored(), stored);
    world.call(&root, "PUT", "/corp", &[("password", "right"), ("check-connection", "1")]).await.data();
    world.call(&root, "PUT", "/corp", &[("comment", "x"), ("check-connection", "1")]).await.data();
    // It goes to no other server than it was given for.
    let other_port = other.address.port().to_string();
    let elsewhere = [("server1", "localhost"), ("port", &other_port), ("check-connection", "1")];
    assert_eq!(wrong(&world.call(&root, "PUT", "/corp", &elsewhere).await).0, "password");
    assert_eq!(other.asked(), []);
    world.call(&root, "PUT", "/corp", &with(&elsewhere, &[("password", "right")])).await.data();
    assert_eq!(other.asked().len(), 1);
    // Nor is any asked for whom it is not to be asked.
    let auditor = ticket(&world.rig, "auditor@pve").await;
    let answer = world.call(&auditor, "PUT", "/corp", &[("comment", "y"), ("check-connection", "1")]).await;
    answer.refused(403, "Permission check failed (/access/realm, Realm.Allocate)");
    assert_eq!(other.asked(), []);
}

#[tokio::test]
async fn no_directory_is_tried_for_what_is_refused_anyway() {
    let world = World::new();
    let server = directory();
    let root = ticket(&world.rig, "root@pam").await;
    let port = server.address.port().to_string();
    let to_check = [("port", port.as_str()), ("bind_dn", READER), ("password", "right"), ("check-connection", "1")];
    world.add(&root, &to_check).await;
    assert_eq!(server.asked().len(), 1);
    let stored = world.stored();
    let exists = "add auth server failed: domain 'corp' already exists";
    world.call(&root, "POST", "", &with(&OF_CORP, &to_check)).await.refused(500, exists);
    for bad in [("realm", "../corp"), ("comment", "a\u{7}"), ("tfa", "type=oath,digits=5"), ("tfa", "type=webauthn")] {
        let new = with(&with(&OF_CORP, &[("realm", "other")]), &to_check);
        assert_eq!(wrong(&world.call(&root, "POST", "", &with(&new, &[bad])).await).0, bad.0);
        if bad.0 != "realm" {
            assert_eq!(wrong(&world.call(&root, "PUT", "/corp", &with(&to_check, &[bad])).await).0, bad.0);
        }
    }
    // Nor from the command line, which goes the same way.
    let store = world.rig.store();
    let change = || RealmChange {
        options: [("server1", "127.0.0.1"), ("port", &port), ("base_dn", BASE), ("user_attr", "uid")]
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
        check_connection: Some(true),
        ..RealmChange::default()
    };
    let added = store.add_realm("corp", "ldap", &change(), &world.by()).await;
    assert!(matches!(added, Err(RealmError::Exists(_))), "{added:?}");
    let long = RealmChange { comment: Some("a".repeat(257)), ..change() };
    let changed = store.change_realm("corp", &long, &world.by()).await;
    assert!(matches!(changed, Err(RealmError::Comment)), "{changed:?}");
    assert_eq!(world.stored(), stored);
    assert_eq!(server.asked(), []);
}

/// Of a pipe that somebody holds open a reader hears neither words nor an end, and of `/dev/zero` no end.
#[cfg(feature = "tls")]
#[tokio::test]
async fn files_of_tls_that_are_no_files_are_refused_and_not_waited_for() {
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let path = |name: &str| world.directory.path().join(name).to_str().unwrap().to_owned();
    let (pipe, nothing, link) = (path("pipe"), path("nothing.pem"), path("link"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    std::fs::write(&nothing, "").unwrap();
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    // Should anybody wait for it after all, that has an end with the test.
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let reason = "it is no regular file; name one";
    let directory = path("");
    for file in [&pipe, &link, "/dev/zero", &directory] {
        let mut cases = vec![
            ("cert", [("capath", nothing.as_str()), ("cert", file), ("certkey", &nothing)]),
            ("certkey", [("capath", &nothing), ("cert", &nothing), ("certkey", file)]),
        ];
        if file != directory {
            cases.push(("capath", [("capath", file), ("cert", &nothing), ("certkey", &nothing)]));
        }
        for (option, files) in cases {
            let more = with(&files, &[("mode", "ldaps"), ("check-connection", "1")]);
            let answer = in_time(world.call(&root, "POST", "", &with(&OF_CORP, &more))).await;
            let refused =
                "add auth server failed: nothing was done: the directory of the realm corp gives no whole answer";
            answer.refused(500, &format!("{refused}: {option} {file} cannot be read: {reason}"));
        }
    }
    // Whoever is not tried has it, and neither a login nor a sync waits for it either.
    world.add(&root, &[("capath", &pipe), ("mode", "ldaps")]).await;
    let alice = "alice@corp".parse().unwrap();
    world.rig.store().add_user_of_directory(&alice, Role::User, &UserChange::default(), &world.by()).unwrap();
    let login = [("username", "alice@corp"), ("password", "x")];
    in_time(log_in(&world.rig, &login)).await.refused(401, "authentication failure");
    let fetched = in_time(world.rig.store().fetch_directory("corp")).await;
    let error = fetched.unwrap_err().to_string();
    assert!(error.ends_with(&format!("capath {pipe} cannot be read: {reason}")), "{error}");
    drop(held);
}

/// RFC 4511, section 4.5.3: references, as many as a server likes. The clock goes on by itself when there is nothing else to wait for.
#[tokio::test(start_paused = true)]
async fn a_directory_that_goes_on_and_on_is_tried_no_longer_than_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut often = tokio::time::interval(Duration::from_secs(4));
                while stream.write_all(&reference(1)).await.is_ok() {
                    often.tick().await;
                }
            });
        }
    });
    let world = World::new();
    let root = ticket(&world.rig, "root@pam").await;
    let parameters = with(&OF_CORP, &[("port", &port), ("check-connection", "1")]);
    let answer = in_time(world.call(&root, "POST", "", &parameters)).await;
    let reason = "the directory of the realm corp gives no whole answer: there was no whole answer within 10 s";
    answer.refused(500, &format!("add auth server failed: nothing was done: {reason}"));
}

/// A directory that says when it is asked, and answers once it is let: all is well.
fn held() -> (Server, UnboundedReceiver<()>, mpsc::Sender<()>) {
    let (tell, told) = unbounded_channel();
    let (let_go, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let server = Server::start(move |request| {
        let _ = tell.send(());
        let _ = waits.lock().unwrap().recv();
        result(request.id, if request.operation == SEARCH { 0x65 } else { 0x61 }, 0)
    });
    (server, told, let_go)
}

#[tokio::test]
async fn what_changes_while_a_directory_is_tried_counts() {
    let demoted = UserChange { role: Some(Role::User), ..UserChange::default() };
    for (is_new, is_demoted) in [(true, true), (false, true), (false, false)] {
        let world = World::new();
        world.rig.add_user("admin@pve", Role::Administrator);
        let (server, mut told, let_go) = held();
        let admin = ticket(&world.rig, "admin@pve").await;
        let port = server.address.port().to_string();
        let parameters = [("port", port.as_str()), ("check-connection", "1")];
        let call = async {
            match is_new {
                true => world.call(&admin, "POST", "", &with(&OF_CORP, &parameters)).await,
                false => world.call(&admin, "PUT", "/corp", &parameters).await,
            }
        };
        if !is_new {
            world.add(&admin, &[("port", &port)]).await;
        }
        let meanwhile = async {
            told.recv().await.unwrap();
            if is_demoted {
                world.rig.store().change_user(&"admin@pve".parse().unwrap(), &demoted, &world.by()).unwrap();
            } else {
                let options = vec![("server2", "localhost".to_owned())];
                let change = RealmChange { options, ..RealmChange::default() };
                world.rig.store().change_realm("corp", &change, &world.by()).await.unwrap();
            }
            drop(let_go);
            world.stored()
        };
        let (answer, stored) = tokio::join!(call, meanwhile);
        match is_demoted {
            true => answer.refused(403, "Permission check failed (/access/realm, Realm.Allocate)"),
            false => answer.refused(
                500,
                "update auth server failed: detected modified configuration - file changed by other user? Try again.",
            ),
        }
        assert_eq!(world.stored(), stored);
    }
}

/// The body of a call comes later than its head, and whoever has lost the right by then has no directory asked either.
#[tokio::test]
async fn who_has_lost_the_right_has_no_directory_asked() {
    let world = World::new();
    world.rig.add_user("admin@pve", Role::Administrator);
    let directory = directory();
    let admin = ticket(&world.rig, "admin@pve").await;
    let port = directory.address.port().to_string();
    world.add(&admin, &[("port", &port), ("bind_dn", READER), ("password", "right")]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(listener, world.rig.relying_party.clone()).unwrap();
    let (text, csrf) = (admin.ticket.clone().unwrap(), admin.csrf.clone().unwrap());
    let headers = format!("Cookie: PVEAuthCookie={text}\r\nCSRFPreventionToken: {csrf}\r\n");
    let new = json!({
        "realm": "other", "type": "ldap", "server1": "127.0.0.1", "port": port, "base_dn": BASE, "user_attr": "uid",
        "check-connection": true,
    });
    let mut held = Vec::new();
    for (method, path, body) in
        [("POST", "", &new), ("PUT", "/corp", &json!({ "comment": "x", "check-connection": 1 }))]
    {
        let path = format!("/api2/json/access/domains{path}");
        held.push(Held::begin_with(server.local_addr(), &headers, method, &path, body).await);
    }
    let demoted = UserChange { role: Some(Role::User), ..UserChange::default() };
    world.rig.store().change_user(&"admin@pve".parse().unwrap(), &demoted, &world.by()).unwrap();
    let stored = world.stored();
    for held in held {
        assert_eq!(held.end().await.0, 403);
    }
    assert_eq!(world.stored(), stored);
    assert_eq!(directory.asked(), []);
}
