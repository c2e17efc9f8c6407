//! `keyrig rp`: the administrator's commands, and what those are told who write them as guides do.

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use keyrig_relying_party::Policy;
use serde_json::Value;

use crate::program::{keyrig, run};

fn rp(state: &Path, arguments: &[&str], input: &str) -> Output {
    run(keyrig(&["rp"]).args(arguments).arg("--state").arg(state), input)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A state directory, and what commands on it print.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        rp(self.0.path(), arguments, "")
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).expect("JSON")
    }

    fn failed(&self, arguments: &[&str], status: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

#[test]
fn users_come_change_and_go() {
    let site = Site::new();
    let added = site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    let password = added.lines().find_map(|line| line.strip_prefix("password: ")).expect("one was made up");
    assert!(password.len() >= 20, "{password}");
    let output = rp(site.0.path(), &["user", "add", "alice@pve", "--password", "-"], "correct horse\nbattery\n");
    assert_eq!(text(&output.stdout), "added alice@pve, user\n", "a password that was given is not shown");

    assert_eq!(site.done(&["user", "list"]), "root@pam  administrator\nalice@pve  user\n");
    assert_eq!(
        site.done(&["user", "modify", "alice@pve", "--role", "auditor", "--enable", "0"]),
        "alice@pve is auditor, disabled\n"
    );
    let users = site.json(&["user", "list", "--json"]);
    assert_eq!(
        (&users[1]["name"], &users[1]["role"], &users[1]["enabled"]),
        (&"alice@pve".into(), &"auditor".into(), &false.into())
    );
    assert!(site.done(&["passwd", "alice@pve"]).contains("password: "));

    assert!(site.failed(&["user", "add", "alice@pve"], 1).contains("there is a user alice@pve already"));
    assert!(site.failed(&["user", "add", "alice@ldap"], 1).contains("realms are pam and pve"));
    assert!(site.failed(&["user", "modify", "root@pam", "--role", "user"], 1).contains("only administrator"));
    let short = rp(site.0.path(), &["passwd", "alice@pve", "--password", "-"], "short\n");
    assert!(text(&short.stderr).contains("a password has 8 to 512 bytes"), "{}", text(&short.stderr));
    let asked = site.run(&["user", "delete", "alice@pve"]);
    assert_eq!(asked.status.code(), Some(2), "nobody is there to answer");
    assert!(
        text(&asked.stdout).contains("alice@pve, no factor and no API token") && text(&asked.stderr).contains("--yes")
    );
    site.done(&["user", "delete", "alice@pve", "--yes"]);
    assert_eq!(site.done(&["user", "list"]), "root@pam  administrator\n");
}

#[test]
fn realms_take_the_option_as_proxmox_writes_it() {
    let site = Site::new();
    site.done(&["user", "add", "alice@pve"]);
    let changed = site.done(&["realm", "modify", "pve", "--tfa", "type=oath,digits=8,step=60"]);
    assert_eq!(changed, "pve  type=oath,digits=8,step=60\nthese lack it: alice@pve\n");
    assert_eq!(site.done(&["realm", "list"]), "pam  no second factor required\npve  type=oath,digits=8,step=60\n");
    assert_eq!(site.done(&["realm", "modify", "pve", "--delete", "tfa"]), "pve  no second factor required\n");
    assert!(site.failed(&["realm", "modify", "ldap", "--tfa", "type=any"], 1).contains("realms are pam and pve"));
}

/// The words are `pveum`'s: what it takes is taken here, and does the same.
#[test]
fn groups_roles_and_rights_are_given_as_pveum_gives_them() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    site.done(&["group", "add", "admins", "--comment", "System Admins"]);
    let attributes =
        ["--firstname", "Alice", "--lastname", "Example", "--email", "alice@example.com", "--groups", "admins"];
    site.done(&[&["user", "add", "alice@pve"], &attributes[..]].concat());
    assert_eq!(site.done(&["group", "list"]), "admins (System Admins)  alice@pve\n");
    assert_eq!(site.done(&["user", "permissions", "alice@pve"]), "alice@pve  /  nothing\n");
    site.done(&["acl", "modify", "/", "--groups", "admins", "--roles", "Administrator"]);
    assert!(
        site.done(&["user", "permissions", "alice@pve"])
            .starts_with("alice@pve  /  Group.Allocate, Permissions.Modify, ")
    );
    assert_eq!(site.done(&["user", "list"]), "root@pam  administrator\nalice@pve  administrator\n");
    assert_eq!(site.done(&["acl", "list"]), "/  root@pam  Administrator\n/  @admins  Administrator\n");

    // Of one's own making, and for a user.
    assert_eq!(site.done(&["role", "add", "Watch", "--privs", "Sys.Audit"]), "Watch  Sys.Audit\n");
    site.done(&["user", "add", "bob@pve"]);
    site.done(&["acl", "modify", "/", "--users", "bob@pve", "--roles", "Watch"]);
    assert_eq!(site.done(&["user", "permissions", "bob@pve", "--path", "/"]), "bob@pve  /  Sys.Audit\n");
    assert_eq!(site.done(&["user", "permissions", "bob@pve", "--path", "/access"]), "bob@pve  /access  Sys.Audit\n");
    assert!(site.failed(&["role", "delete", "Watch"], 1).contains("somebody has the role Watch"));
    site.done(&["role", "modify", "Watch", "--privs", ""]);
    assert_eq!(site.done(&["user", "permissions", "bob@pve"]), "bob@pve  /  nothing\n");
    site.done(&["role", "modify", "Watch", "--privs", "Sys.Audit", "--append"]);
    assert_eq!(site.done(&["user", "permissions", "bob@pve"]), "bob@pve  /  Sys.Audit\n");
    site.done(&["acl", "delete", "/", "--users", "bob@pve", "--roles", "Watch"]);
    assert_eq!(site.done(&["user", "permissions", "bob@pve"]), "bob@pve  /  nothing\n");
    site.done(&["role", "delete", "Watch"]);

    // A list of groups is the whole list, unless it comes to the others.
    site.done(&["group", "add", "staff"]);
    site.done(&["user", "modify", "alice@pve", "--groups", "staff", "--append"]);
    assert_eq!(site.done(&["group", "list"]), "admins (System Admins)  alice@pve\nstaff  alice@pve\n");
    site.done(&["user", "modify", "alice@pve", "--groups", "staff"]);
    assert_eq!(site.done(&["group", "list"]), "admins (System Admins)  nobody\nstaff  alice@pve\n");
    assert_eq!(site.done(&["user", "permissions", "alice@pve"]), "alice@pve  /  nothing\n");
    site.done(&["group", "modify", "staff", "--comment", "All"]);
    site.done(&["group", "delete", "admins"]);
    assert_eq!(site.done(&["group", "list"]), "staff (All)  alice@pve\n");
    let users = site.json(&["user", "list", "--json"]);
    assert_eq!((&users[1]["email"], &users[1]["firstname"]), (&"alice@example.com".into(), &"Alice".into()));
    let events = site.done(&["events", "--kind", "access_changed"]);
    assert!(events.contains("group admins deleted"), "{events}");
}

/// A realm of a directory that nobody asks.
const OF_DIRECTORY: [&str; 11] =
    ["realm", "add", "company", "--type", "ldap", "--server1", "localhost", "--base_dn", "dc=a", "--user_attr", "uid"];

#[test]
fn what_pveum_takes_and_cannot_be_had_here_is_refused_by_name() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    site.done(&["group", "add", "admins"]);
    for (arguments, status, words) in [
        (&["user", "modify", "root@pam", "--keys", "x"][..], 2, "a factor is no text of the user"),
        (&["user", "modify", "root@pam", "--email", "x"], 1, "an address of mail is NAME@HOST"),
        (&["user", "modify", "root@pam", "--expire", "1"], 1, "only administrator"),
        (&["user", "modify", "root@pam", "--groups", "none"], 1, "there is no group \"none\""),
        (&["user", "add", "carol@pve", "--groups", "none"], 1, "there is no group \"none\""),
        (&["user", "permissions", "carol@pve"], 1, "there is no user carol@pve"),
        (&["group", "add", "admins"], 1, "there is a group \"admins\" already"),
        (&["group", "add", "a b"], 1, "no group's name"),
        (&["group", "delete", "none"], 1, "there is no group \"none\""),
        (&["role", "add", "x", "--privs", "VM.Audit,VM.Everything"], 1, "invalid privilege 'VM.Everything'"),
        (&["role", "modify", "PVEAuditor", "--privs", ""], 1, "is built in"),
        (&["role", "delete", "Administrator"], 1, "is built in"),
        (&["acl", "modify", "/vms", "--users", "root@pam", "--roles", "NoAccess"], 2, "there is the path / alone"),
        (&["acl", "modify", "/", "--roles", "NoAccess"], 2, "--users"),
        (
            &["acl", "modify", "/", "--users", "root@pam", "--roles", "PVEEverything"],
            1,
            "there is no role \"PVEEverything\"",
        ),
        (&["acl", "modify", "/", "--tokens", "root@pam!x", "--roles", "NoAccess"], 1, "root@pam has no token \"x\""),
        (&["acl", "modify", "/", "--tokens", "root@pam", "--roles", "NoAccess"], 2, "a token is USER@REALM!NAME"),
        (
            &["acl", "modify", "/", "--groups", "admins", "--roles", "NoAccess", "--propagate", "0"],
            2,
            "leave out --propagate",
        ),
        (&["acl", "delete", "/", "--users", "root@pam", "--roles", "Administrator"], 1, "only administrator"),
        (&["realm", "add", "company", "--type", "openid"], 1, "a realm of the type openid is not to be had here"),
        (&["realm", "add", "company", "--type", "ldap"], 1, "--server1 has to be given"),
        (&["realm", "add", "company", "--type", "pve", "--server1", "localhost"], 2, "have no directory"),
        (&["realm", "modify", "pam", "--check-connection", "--comment", "x"], 2, "have no directory"),
        (
            &["realm", "modify", "pam", "--tfa", "type=oath", "--delete", "tfa"],
            2,
            "--tfa and --delete tfa are one too many",
        ),
        (&["realm", "modify", "pam", "--delete", "none"], 1, "there is no option \"none\""),
        (&[&OF_DIRECTORY[..], &["--bind_dn", "cn=a,dc=a"]].concat(), 2, "--bind_dn needs its --password FILE"),
        (
            &[&OF_DIRECTORY[..], &["--password", "/dev/null"]].concat(),
            2,
            "--password is that of --bind_dn, which is missing",
        ),
        (
            &[&OF_DIRECTORY[..], &["--bind_dn", "cn=a,dc=a", "--password", "/dev/null"]].concat(),
            2,
            "a bind password has 1 to 512 bytes",
        ),
        (&["realm", "sync", "pve", "--scope", "both"], 1, "in no directory"),
        (&["realm", "add", "1st", "--type", "pve"], 1, "begins with a letter"),
        (&["realm", "add", "pve", "--type", "pve"], 1, "there is a realm \"pve\" already"),
        (&["realm", "delete", "pam"], 1, "is always there"),
        (&["realm", "delete", "none"], 1, "there is no realm \"none\""),
    ] {
        let error = site.failed(arguments, status);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    assert_eq!(site.done(&["user", "list"]), "root@pam  administrator\n", "nothing is half done");
    assert_eq!(site.done(&["realm", "list"]), "pam  no second factor required\npve  no second factor required\n");
}

#[test]
fn a_realm_that_is_added_has_users_of_its_own() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    let added = site.done(&["realm", "add", "test", "--type", "pve", "--comment", "Of the test", "--tfa", "type=any"]);
    assert_eq!(added, "test  type=any\n");
    site.done(&["user", "add", "alice@test"]);
    site.done(&["realm", "modify", "test", "--comment", "Of the tests"]);
    assert!(site.failed(&["realm", "delete", "test"], 1).contains("has 1 users"));
    site.done(&["user", "delete", "alice@test", "--yes"]);
    site.done(&["realm", "delete", "test"]);
    assert_eq!(site.done(&["realm", "list"]), "pam  no second factor required\npve  no second factor required\n");
    // Served as Proxmox VE is, it has its two.
    at_the_start(&site, "rp_id = \"example.com\"\norigins = [\"https://pve.example.com\"]\npolicy = \"proxmox-9\"\n");
    let refused = site.failed(&["realm", "add", "test", "--type", "pve"], 1);
    assert!(refused.contains("under the policy proxmox-9 no realm of the type pve is added"), "{refused}");
    for kind in ["any", "webauthn"] {
        let refused = site.failed(&["realm", "modify", "pve", "--tfa", &format!("type={kind}")], 1);
        assert!(refused.contains(&format!("under the policy proxmox-9 no realm asks for {kind}")), "{refused}");
        let tfa = format!("type={kind}");
        let refused = site.failed(&[&OF_DIRECTORY[..], &["--tfa", &tfa]].concat(), 1);
        assert!(refused.contains(&format!("no realm asks for {kind}")), "{refused}");
    }
    assert_eq!(site.done(&["realm", "list"]), "pam  no second factor required\npve  no second factor required\n");
    site.done(&[&OF_DIRECTORY[..], &["--tfa", "type=oath"]].concat());
    // Under a policy with types of keyrig's own a realm can be of one's own too.
    at_the_start(&site, "rp_id = \"example.com\"\norigins = [\"https://pve.example.com\"]\n");
    site.done(&["realm", "add", "test", "--type", "pve", "--tfa", "type=webauthn"]);
}

/// What guides say, and what is right.
/// The roles of Proxmox VE 9, of which guides name some, and privileges that are about something else.
#[test]
fn roles_of_guides_are_there_and_what_they_come_to_is_said() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    site.done(&["user", "add", "alice@pve"]);
    let roles = site.json(&["role", "list", "--json"]);
    let special: Vec<_> = roles.as_array().expect("a list").iter().filter(|role| role["special"] == true).collect();
    let named = |name: &str| *special.iter().find(|role| role["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(special.len(), 17);
    let everything = "Group.Allocate Permissions.Modify Realm.Allocate Realm.AllocateUser Sys.Audit Sys.Modify Sys.Syslog User.Modify";
    for (name, grants, privileges) in [
        ("Administrator", everything, 47),
        ("NoAccess", "", 0),
        ("PVEAdmin", "Group.Allocate Realm.AllocateUser Sys.Audit Sys.Syslog User.Modify", 40),
        ("PVEAuditor", "Sys.Audit", 7),
        ("PVEDatastoreAdmin", "", 4),
        ("PVEDatastoreUser", "", 2),
        ("PVEMappingAdmin", "", 3),
        ("PVEMappingUser", "", 2),
        ("PVEPoolAdmin", "", 2),
        ("PVEPoolUser", "", 1),
        ("PVESDNAdmin", "", 3),
        ("PVESDNUser", "", 2),
        ("PVESysAdmin", "Sys.Audit Sys.Syslog", 3),
        ("PVETemplateUser", "", 2),
        ("PVEUserAdmin", "Group.Allocate Realm.AllocateUser User.Modify", 3),
        ("PVEVMAdmin", "", 23),
        ("PVEVMUser", "", 10),
    ] {
        let found = named(name);
        let given = found["grants"].as_array().expect("a list").iter().filter_map(|name| name.as_str());
        assert_eq!(given.collect::<Vec<_>>().join(" "), grants, "{name}");
        assert_eq!(found["privileges"].as_array().map(Vec::len), Some(privileges), "{found}");
    }
    assert_eq!(
        site.done(&["acl", "modify", "/", "--user", "alice@pve", "--role", "PVEUserAdmin"]),
        "/  alice@pve  PVEUserAdmin\n"
    );
    assert_eq!(
        site.done(&["user", "permissions", "alice@pve"]),
        "alice@pve  /  Group.Allocate, Realm.AllocateUser, User.Modify\n"
    );
    let listed = site.done(&["user", "list"]);
    assert!(listed.contains("alice@pve  user with Group.Allocate, Realm.AllocateUser, User.Modify\n"), "{listed}");
    site.done(&["acl", "delete", "/", "--users", "alice@pve", "--roles", "PVEUserAdmin"]);
    assert_eq!(site.done(&["user", "permissions", "alice@pve"]), "alice@pve  /  nothing\n");

    // As a provider of Terraform asks for it, of Proxmox VE 8 and 9.
    let provider = "VM.Allocate VM.Monitor VM.GuestAgent.Audit Datastore.Audit Pool.Allocate SDN.Use Sys.Modify";
    assert_eq!(
        site.done(&["role", "add", "TerraformProv", "--privs", provider]),
        "TerraformProv  Sys.Modify; without effect: Datastore.Audit, Pool.Allocate, SDN.Use, VM.Allocate, VM.GuestAgent.Audit, VM.Monitor\n"
    );
    let changed = site.done(&["role", "modify", "TerraformProv", "--privs", "Sys.Audit", "--append"]);
    assert!(changed.starts_with("TerraformProv  Sys.Audit, Sys.Modify; without effect: "), "{changed}");
    let changed = site.done(&["role", "modify", "TerraformProv", "--privs", "User.Modify", "--append"]);
    assert!(changed.starts_with("TerraformProv  Sys.Audit, Sys.Modify, User.Modify; without effect: "), "{changed}");
}

#[test]
fn what_guides_get_wrong_is_answered_with_the_right_form() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam"]);
    let cases = [
        (&["realm", "modify", "pam", "--tfa", "type=totp"][..], "write type=oath,digits=6,step=30"),
        (&["realm", "modify", "pam", "--tfa", "type=totp"], "1 | type=totp\n  |      ^^^^"),
        (&["realm", "modify", "pam", "--tfa", "type=yubico,id=1,key=2"], "type=oath, type=webauthn or type=any"),
        (&["realm", "modify", "pam", "--tfa", "type=oath,digits=5"], "it has to be 6, 7 or 8"),
        (&["realm", "modify", "pam", "--tfa", "none"], "--delete tfa"),
        (&["realm", "modify", "pam"], "--tfa <OPTION>"),
        (&["user", "tfa", "delete", "root@pam", "abc123"], "keyrig rp user tfa delete root@pam --id abc123"),
        (&["user", "tfa", "add", "root@pam", "totp"], "a factor is added by the user, on the page"),
        (&["user", "tfa", "list", "root"], "a user is NAME@REALM, such as root@pam"),
        (&["user", "tfa", "unlok", "root@pam"], "'unlock'"),
        (&["user", "modify", "root@pam"], "nothing to change"),
        (&["role", "add", "x", "-privs", "Sys.Audit"], "an option has two dashes here: --privs"),
        (&["acl", "modify", "/", "-user", "root@pam", "-role", "NoAccess"], "an option has two dashes here: --user"),
        (&["policies", "proxmox-8"], "the policies are strict-l3, proxmox-9, pve-8.0.3, webauthn-rs, post-quantum"),
    ];
    for (arguments, expected) in cases {
        // 'policies' and what clap refuses take no --state.
        let error = if arguments[0] == "policies" {
            let output = run(keyrig(&["rp"]).args(arguments), "");
            assert_eq!(output.status.code(), Some(2));
            text(&output.stderr)
        } else {
            site.failed(arguments, 2)
        };
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

/// As `pveum user token` has it, and as nobody forgets a token whose user has lost everything.
#[test]
fn tokens_are_seen_changed_and_deleted_and_said_to_live_on() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    site.done(&["user", "add", "alice@pve", "--role", "auditor"]);
    let added = site.done(&["user", "token", "add", "alice@pve", "ci", "--comment", "builds", "--privsep", "0"]);
    let (done, secret) = added.split_once("\nsecret: ").expect("a secret");
    let secret = secret.lines().next().expect("it is on the line");
    assert_eq!(done, "added alice@pve!ci");
    assert!(added.ends_with(&format!("  Authorization: PVEAPIToken=alice@pve!ci={secret}\n")), "{added}");
    assert!(
        site.failed(&["user", "token", "add", "alice@pve", "ci"], 1).contains("alice@pve has a token \"ci\" already")
    );

    let listed = site.done(&["user", "token", "list", "alice@pve"]);
    assert!(listed.starts_with("alice@pve\n  api token ci  \"builds\"  added "), "{listed}");
    assert!(listed.ends_with("; may do what its user may, never expires\n") && !listed.contains(secret), "{listed}");
    let everybody = site.done(&["user", "token", "list"]);
    assert_eq!(everybody, format!("root@pam\n  no API token\n{listed}"));
    assert_eq!(site.done(&["user", "token", "permissions", "alice@pve", "ci"]), "alice@pve!ci  /  Sys.Audit\n");
    assert_eq!(
        site.done(&["user", "token", "permissions", "alice@pve", "ci", "--path", "/vms"]),
        "alice@pve!ci  /vms  Sys.Audit\n"
    );
    let audit = site.done(&["audit"]);
    assert!(
        audit.contains("    api token ci  \"builds\"  added ") && audit.ends_with(", 1 with API tokens\n"),
        "{audit}"
    );
    assert!(site.done(&["audit", "--csv"]).contains(",api_token,ci,builds,"));

    let note = format!(
        "note: 1 API token of alice@pve lives on, good without password and second factor: ci\n\
         keyrig rp user token delete --state {} alice@pve TOKEN deletes one\n",
        site.0.path().display()
    );
    for arguments in [
        &["user", "tfa", "delete", "alice@pve", "--yes", "--force"][..],
        &["passwd", "alice@pve"],
        &["session", "end", "alice@pve"],
        &["user", "modify", "alice@pve", "--enable", "1"],
    ] {
        let printed = site.done(arguments);
        assert!(printed.ends_with(&note), "{arguments:?}: {printed}");
    }
    assert!(!site.done(&["user", "modify", "alice@pve", "--enable", "0"]).contains("note:"), "it is good for nothing");
    assert_eq!(site.json(&["passwd", "alice@pve", "--json"])["tokens"], serde_json::json!(["ci"]));

    assert!(site.failed(&["user", "token", "modify", "alice@pve", "ci"], 2).contains("nothing to change"));
    let changed = site.done(&["user", "token", "modify", "alice@pve", "ci", "--privsep", "1", "--comment", ""]);
    assert!(changed.contains("may do what any user may, never expires") && !changed.contains("builds"), "{changed}");
    assert!(!changed.contains("secret"), "it keeps the one that it has: {changed}");
    assert_eq!(site.done(&["user", "token", "permissions", "alice@pve", "ci"]), "alice@pve!ci  /  nothing\n");
    // Of what its user may, what roles of its own allow: they go with it.
    let roles = ["/", "--tokens", "alice@pve!ci", "--roles", "PVESysAdmin"];
    let line = "/  alice@pve!ci  PVESysAdmin\n";
    assert_eq!(site.done(&[&["acl", "modify"][..], &roles].concat()), line);
    assert!(site.done(&["acl", "list"]).ends_with(line));
    assert_eq!(site.done(&["user", "token", "permissions", "alice@pve", "ci"]), "alice@pve!ci  /  Sys.Audit\n");
    let listed = site.done(&["user", "token", "list", "alice@pve"]);
    assert!(listed.contains("; may do what any user may, and Sys.Audit, never expires"), "{listed}");
    site.done(&[&["acl", "delete"][..], &roles].concat());
    assert_eq!(site.done(&["user", "token", "permissions", "alice@pve", "ci"]), "alice@pve!ci  /  nothing\n");
    site.done(&[&["acl", "modify"][..], &roles].concat());
    let changed = site.done(&["user", "token", "modify", "alice@pve", "ci", "--regenerate"]);
    assert!(changed.contains("secret: ") && !changed.contains(secret), "{changed}");
    // One that is over is listed, and lets nobody in.
    let changed = site.done(&["user", "token", "modify", "alice@pve", "ci", "--expire", "1795557600"]);
    assert!(changed.ends_with("expires 2026-11-24T22:00:00Z\n"), "{changed}");
    assert!(!site.done(&["passwd", "alice@pve"]).contains("note:"));

    assert!(site.failed(&["user", "token", "delete", "alice@pve", "cd"], 1).contains("alice@pve has no token \"cd\""));
    assert_eq!(site.done(&["user", "token", "remove", "alice@pve", "ci"]), "deleted alice@pve!ci\n");
    assert!(!site.done(&["acl", "list"]).contains("alice@pve!ci"), "its roles go with it");
    assert_eq!(site.done(&["user", "token", "list", "alice@pve"]), "alice@pve\n  no API token\n");
    let events = site.done(&["events", "--user", "alice@pve"]);
    for event in ["token_added", "token_changed", "token_deleted"] {
        assert!(events.contains(&format!(" {event} alice@pve by command line: ci")), "{event} in {events}");
    }
    assert!(site.failed(&["user", "token", "list", "bob@pve"], 1).contains("there is no user bob@pve"));
}

#[test]
fn a_directory_that_is_misspelt_does_not_look_empty() {
    let site = Site::new();
    for arguments in [&["user", "list"][..], &["audit"], &["events"], &["user", "tfa", "unlock", "root@pam"]] {
        assert!(site.failed(arguments, 1).contains("check --state"), "{arguments:?}");
    }
    assert!(std::fs::read_dir(site.0.path()).unwrap().next().is_none(), "nothing has come into being");
    std::fs::write(site.0.path().join("relying-party.sqlite"), "not a database, but long enough to look like a file")
        .unwrap();
    assert!(site.failed(&["user", "list"], 1).contains("is not a database of keyrig's relying party"));
}

#[test]
fn users_without_factors_are_told_apart() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    site.done(&["user", "add", "alice@pve"]);
    assert_eq!(site.done(&["user", "tfa", "list"]), "root@pam\n  no factor\nalice@pve\n  no factor\n");
    assert_eq!(site.done(&["user", "tfa", "list", "alice@pve"]), "alice@pve\n  no factor\n");
    assert!(site.failed(&["user", "tfa", "list", "bob@pve"], 1).contains("there is no user bob@pve"));
    assert_eq!(site.done(&["user", "tfa", "delete", "alice@pve"]), "alice@pve has no factor\n");
    assert_eq!(site.done(&["user", "tfa", "unlock", "alice@pve"]), "alice@pve was not locked\n");
    assert!(
        site.failed(&["user", "tfa", "delete", "alice@pve", "--id", "x"], 1).contains("alice@pve has no factor \"x\"")
    );

    let audit = site.done(&["audit"]);
    assert!(
        audit.ends_with(
            "2 users: 2 without a second factor, 0 with only one, 0 locked, 0 locked out of TOTP, 0 with API tokens\n"
        ),
        "{audit}"
    );
    assert_eq!(site.json(&["audit", "--json"])["users"][0]["findings"][0], "no_factor");
    assert!(site.done(&["audit", "--csv"]).contains("alice@pve,user,true,,,false,,no_factor,,,,,,,"));
    let events = site.done(&["events"]);
    let kinds: Vec<_> = events.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(kinds, ["user_added", "user_added", "unlocked"], "{events}");
    assert_eq!(site.done(&["events", "--user", "alice@pve", "--limit", "1"]).lines().count(), 1);
    assert!(site.failed(&["report", "nothing"], 1).contains("there is no report nothing"));
}

/// SQL and HTML are text like any other.
#[test]
fn texts_are_kept_as_they_are() {
    let site = Site::new();
    site.done(&["user", "add", "root@pam", "--role", "administrator"]);
    let evil = "'); DROP TABLE users; -- <script>";
    site.done(&["user", "modify", "root@pam", "--comment", evil]);
    assert_eq!(site.json(&["user", "list", "--json"])[0]["comment"], evil);
    assert!(site.failed(&["user", "add", "a/b@pve"], 2).contains("a user is NAME@REALM"));
    assert!(site.failed(&["user", "modify", "root@pam", "--comment", "a\u{1b}[31m"], 1).contains("control characters"));
}

#[test]
fn policies_say_what_they_do_and_why_it_is_a_risk() {
    let policies = |arguments: &[&str]| {
        let output = run(keyrig(&["rp", "policies"]).args(arguments), "");
        assert!(output.status.success());
        text(&output.stdout)
    };
    let all = policies(&[]);
    assert!(all.starts_with("strict-l3: "), "{all}");
    for expected in ["proxmox-9: ", "webauthn-rs: ", "takes an answer for 120 s", "risk: "] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
    assert_eq!(all.matches("\n    it ").count(), all.matches("\n    risk: ").count());
    // Every field of every policy, and what another value than the default's means right below it.
    assert_eq!(all.matches("\n  strictness.empty_user_handle = ").count(), 5, "{all}");
    assert!(all.contains("\n  strictness.empty_user_handle = \"report\"\n    it takes an empty userHandle"), "{all}");
    let one: Value = serde_json::from_str(&policies(&["proxmox-9", "--json"])).unwrap();
    assert_eq!((&one[0]["name"], &one[0]["challenge_lifetime_s"]), (&"proxmox-9".into(), &120.into()));
}

#[test]
fn a_config_that_is_half_one_is_pointed_at_and_nothing_is_served() {
    let site = Site::new();
    let config = site.0.path().join("datacenter.cfg");
    std::fs::write(&config, "keyboard: de\nwebauthn: rp=x,id=example.com,origin=pve.example.com:8006\n").unwrap();
    let state = site.0.path().join("state");
    let output = rp(&state, &["serve", "--listen", "localhost:0", "--config", config.to_str().expect("text")], "");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    let place = format!("{}:2:38: the origin cannot work: it has no scheme", config.display());
    assert!(error.contains(&place), "{error}");
    assert!(error.contains("\n  |                                      ^^^^^^^^^^^^^^^^^^^^"), "{error}");
    assert!(!state.exists(), "nothing has come into being");
}

#[test]
fn where_to_listen_is_checked_first() {
    let site = Site::new();
    assert!(site.failed(&["serve", "--listen", "0.0.0.0:8006"], 2).contains("--open-to-network"));
    assert!(site.failed(&["serve", "--listen", "8006"], 2).contains("such as localhost:8006"));
    assert!(site.failed(&["serve", "--listen", "localhost:80060"], 2).contains("up to 65535"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = site.failed(&["serve", "--listen", &format!("localhost:{port}")], 1);
    assert!(error.contains(&format!("127.0.0.1:{port} is in use")) && error.contains("--listen"), "{error}");
    assert!(
        site.failed(&["serve", "--listen", "localhost:0", "--initial-password", "/nowhere"], 1).contains("/nowhere")
    );
    assert!(
        site.failed(&["serve", "--listen", "localhost:0", "--initial-password", "-"], 1).contains("8 to 512 bytes")
    );
}

/// RFC 6238, appendix B: the last six digits of the codes with SHA-1.
#[test]
fn the_app_shows_the_code_and_the_address() {
    const URI: &str = "otpauth://totp/Example:root%40pam?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example";
    let totp = |arguments: &[&str], input: &str| run(keyrig(&["rp", "totp"]).args(arguments), input);
    for (at, expected) in [("59", "287082"), ("1111111109", "081804"), ("2000000000", "279037")] {
        assert_eq!(text(&totp(&[URI, "--at", at], "").stdout), format!("{expected}\n"));
        assert_eq!(text(&totp(&["-", "--at", at], URI).stdout), format!("{expected}\n"));
    }
    let drawn = text(&totp(&["-", "--qr"], URI).stdout);
    assert!(drawn.lines().count() > 15 && drawn.contains('█') && !drawn.contains("GEZD"), "{drawn}");
    let output = totp(&["otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("only TOTP is supported"), "{}", text(&output.stderr));
}

/// Browsers have no WebAuthn on an IP address: what is printed is where it works.
#[test]
fn a_site_on_a_loopback_address_is_opened_by_the_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = keyrig(&["rp", "serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("keyrig runs");
    let mut line = String::new();
    let out = child.stdout.take().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let _ = child.kill();
    child.wait().expect("it ends");
    let port = line.strip_prefix("site     http://localhost:").and_then(|rest| rest.split(',').next());
    let port = port.unwrap_or_else(|| panic!("{line}"));
    assert_eq!(line, format!("site     http://localhost:{port}, at 127.0.0.1:{port} alone\n"));
}

/// The policy that `rp serve` says it has.
fn policy_of(site: &Site, arguments: &[&str]) -> String {
    let mut serving = keyrig(&["rp", "serve", "--listen", "localhost:0", "--json", "--state"])
        .arg(site.0.path().join("state"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(serving.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    serving.kill().expect("it is ours");
    serving.wait().expect("it ends");
    let listening: Value = serde_json::from_str(&line).expect("JSON");
    listening.get("policy").and_then(Value::as_str).expect("a policy").to_owned()
}

#[test]
fn a_datacenter_cfg_has_proxmox_ve_s_rules_unless_a_policy_is_named() {
    let site = Site::new();
    let file = |name: &str, text: &str| {
        let path = site.0.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_str().expect("text").to_owned()
    };
    let of_proxmox = file("datacenter.cfg", "webauthn: rp=x,id=localhost,origin=http://localhost:8006\n");
    let ours = file("site.toml", "rp_id = \"localhost\"\npolicy = \"post-quantum\"\n");
    for (arguments, expected) in [
        (vec!["--config", &of_proxmox], "proxmox-9"),
        (vec!["--config", &of_proxmox, "--policy", "pve-8.0.3"], "pve-8.0.3"),
        (vec!["--config", &ours], "post-quantum"),
        (vec!["--config", &ours, "--policy", "strict-l3"], "strict-l3"),
        (vec![], "strict-l3"),
        (vec!["--policy", "proxmox-9"], "proxmox-9"),
    ] {
        assert_eq!(policy_of(&site, &arguments), expected, "{arguments:?}");
    }
    let error = site.failed(&["serve", "--listen", "localhost:0", "--policy", "proxmox"], 2);
    assert!(error.contains("proxmox-9"), "{error}");
}

/// What `rp serve` prints with these settings before it serves.
fn at_the_start(site: &Site, settings: &str) -> Vec<String> {
    at_the_start_with(site, settings, &["--listen", "localhost:0"])
}

fn at_the_start_with(site: &Site, settings: &str, arguments: &[&str]) -> Vec<String> {
    let config = site.0.path().join("site.toml");
    std::fs::write(&config, settings).expect("it is written");
    let mut serving = keyrig(&["rp", "serve", "--config"])
        .arg(&config)
        .args(arguments)
        .arg("--state")
        .arg(site.0.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(serving.stdout.take().expect("a pipe"));
    let lines: Vec<_> = out.lines().map_while(Result::ok).take_while(|line| line != "Ctrl-C ends it.").collect();
    serving.kill().expect("it is ours");
    serving.wait().expect("it ends");
    lines
}

/// The nodes are where it is opened, whatever its settings name.
#[test]
fn a_cluster_says_at_its_start_which_node_browsers_refuse() {
    let site = Site::new();
    let nodes = ["--tls", "self", "--node", "pve1.example.com=127.0.0.1:0", "--node", "pve2.example.net=127.0.0.1:0"];
    for origins in ["", "origins = [\"https://example.com\"]\nallow_subdomains = true\n"] {
        let settings = format!("rp_id = \"example.com\"\n{origins}");
        let lines = at_the_start_with(&site, &settings, &nodes);
        let refused = |name: &str| {
            let note = format!("nobody can use WebAuthn at https://{name}:");
            lines.iter().any(|line| line.contains(&note))
        };
        assert!(refused("pve2.example.net"), "{lines:#?}");
        // With an origin that has another port, the site itself refuses what comes from there.
        assert_eq!(refused("pve1.example.com"), !origins.is_empty(), "{lines:#?}");
    }
}

/// The doctor is asked about the site's own settings: what no browser will ever do there is said before anybody tries.
#[test]
fn a_site_says_at_its_start_where_browsers_refuse_it() {
    let site = Site::new();
    for (rp_id, origin, said) in [
        ("github.io", "https://example.github.io", true),
        ("lan", "https://pve.lan", true),
        ("example.com", "https://pve.example.com", false),
    ] {
        let lines = at_the_start(&site, &format!("rp_id = \"{rp_id}\"\norigins = [\"{origin}\"]\n"));
        let note = format!("nobody can use WebAuthn at {origin}: the RP ID");
        assert_eq!(lines.iter().any(|line| line.contains(&note)), said, "{lines:#?}");
    }
}

/// Where its origins lead elsewhere, what is opened is the address that is said. Of names that could lead here it says how they do.
#[test]
fn a_site_says_at_its_start_what_its_own_address_is_good_for() {
    let site = Site::new();
    let rule = "--host-resolver-rules=\"MAP pve1.example.com 127.0.0.1\"";
    let node = "pve1.example.com=127.0.0.1:0";
    for (arguments, leads_here) in [(["--listen", "localhost:0"], false), (["--node", node], true)] {
        let settings = "rp_id = \"pve1.example.com\"\norigins = [\"https://pve1.example.com:8006\"]\n";
        let arguments = [["--tls", "self"], arguments].concat();
        let lines = at_the_start_with(&site, settings, &arguments).join("\n");
        assert_eq!(lines.contains("nobody can use WebAuthn at https://localhost:"), !leads_here, "{lines}");
        assert_eq!(lines.contains(rule), leads_here, "{lines}");
        let trust = format!("keyrig rp tls trust --state {}", site.0.path().display());
        assert!(lines.contains(&trust), "{lines}");
    }
    // hosts(5): an address, and then all names that lead to it.
    let lines = at_the_start_with(
        &site,
        "rp_id = \"pve1.example.com\"\n",
        &["--tls", "self", "--node", node, "--node", "pve2.pve1.example.com=127.0.0.1:0"],
    );
    let lines = lines.join("\n");
    assert!(lines.contains("\"127.0.0.1 pve1.example.com pve2.pve1.example.com\" in /etc/hosts"), "{lines}");
    let rules = "\"MAP pve1.example.com 127.0.0.1, MAP pve2.pve1.example.com 127.0.0.1\"";
    assert!(lines.contains(rules), "{lines}");
    let lines = at_the_start(&site, "rp_id = \"example.com\"\npolicy = \"proxmox-9\"\n").join("\n");
    assert!(lines.contains("nobody can use WebAuthn at http://localhost:"), "{lines}");
    assert!(lines.contains("120 s"), "{lines}");
}

#[test]
fn a_site_says_at_its_start_that_its_policy_lets_anybody_in() {
    let site = Site::new();
    for policy in Policy::built_in_names() {
        let settings =
            format!("rp_id = \"example.com\"\norigins = [\"https://pve.example.com\"]\npolicy = \"{policy}\"\n");
        let lines = at_the_start(&site, &settings).join("\n");
        assert_eq!(lines.contains("CVE-2023-54391"), policy == "pve-8.0.3", "{lines}");
    }
}
