//! Realms whose users are in a directory, in front of OpenLDAP's slapd, which nobody here wrote.

#![cfg(test)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use keyrig_relying_party::Totp;
use keyrig_tests::site::Site;
use keyrig_tests::slapd::{self, READER, Slapd};
use keyrig_tests::{judge, program};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// alice and bob, carol whom it has disabled, dave who is there twice, and what they are in.
fn people() -> String {
    let person = |name: &str, below: &str, control: u32| {
        format!(
            "dn: cn={name},{below}dc=example,dc=com\nobjectClass: user\ncn: {name}\nsn: Of Example\nuid: {name}\n\
             sAMAccountName: {name}\nuserAccountControl: {control}\nmail: {name}@example.com\ngivenName: The {name}\n\
             userPassword: {name}'s own password\n\n"
        )
    };
    let unit = |name: &str, below: &str| {
        format!("dn: ou={name},{below}dc=example,dc=com\nobjectClass: organizationalUnit\nou: {name}\n\n")
    };
    let group = |name: &str, members: &[&str]| {
        let mut entry = format!("dn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: group\ncn: {name}\n");
        members.iter().for_each(|dn| writeln!(entry, "member: {dn}").expect("text"));
        entry + "\n"
    };
    [
        unit("people", ""),
        unit("other", "ou=people,"),
        unit("groups", ""),
        person("alice", "ou=people,", 512),
        person("bob", "ou=people,", 512),
        person("carol", "ou=people,", 514),
        person("dave", "ou=people,", 512),
        person("dave", "ou=other,ou=people,", 512),
        // In another spelling than the entry's own name.
        group("pve-admins", &["CN=Alice, OU=People, DC=Example, DC=com"]),
        group("all", &["cn=pve-admins,ou=groups,dc=example,dc=com", "cn=bob,ou=people,dc=example,dc=com"]),
    ]
    .concat()
}

/// A site on an empty directory of state.
struct World {
    directory: TempDir,
    site: Site,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("bind-password"), READER.1).expect("a file");
        let site = Site::start(&directory, &["--explain", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
        Self { directory, site }
    }

    /// What `keyrig rp` comes to.
    async fn run(&self, arguments: &[&str]) -> judge::Output {
        let mut command = Command::new(program::keyrig());
        command.arg("rp").args(arguments).arg("--state").arg(self.directory.path().join("state"));
        judge::run(&mut command, b"", LIMIT).await
    }

    /// The same, which has to be well: what it printed.
    async fn rp(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.success, "{arguments:?}: {output}");
        output.stdout
    }

    /// The same, which has to be refused: what it said.
    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.success, "{arguments:?}: {output}");
        output.stderr
    }

    fn bind_password(&self) -> String {
        self.directory.path().join("bind-password").display().to_string()
    }

    /// Adds the realm `corp`, of Active Directory over LDAPS.
    async fn add_ad(&self, slapd: &Slapd) {
        let (port, ca, password) = (slapd.tls_port.to_string(), slapd.ca().display().to_string(), self.bind_password());
        let of_server = ["--server1", "localhost", "--port", &port, "--mode", "ldaps", "--capath", &ca];
        let of_search = ["--base_dn", "dc=example,dc=com", "--bind_dn", READER.0, "--password", &password];
        let names = ["--sync_attributes", "email=mail,firstname=givenName,lastname=sn", "--domain", "example.com"];
        let add = ["realm", "add", "corp", "--type", "ad"];
        self.rp(&[&add[..], &of_server, &of_search, &names].concat()).await;
    }

    /// The certificate of a CA that has signed nothing, and its key in the same file.
    async fn another_ca(&self) -> String {
        let file = self.directory.path().join("other-ca.pem");
        let mut openssl = Command::new("/usr/bin/openssl");
        openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout - -days 2".split(' '));
        let made = judge::run(openssl.args(["-subj", "/CN=another CA"]), b"", LIMIT).await;
        std::fs::write(&file, made.stdout).expect("a file");
        file.display().to_string()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.site.address())
    }
}

/// A browser, as far as cookies go.
struct Browser<'a> {
    world: &'a World,
    client: reqwest::Client,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { world, client, cookie: String::new(), csrf: String::new() }
    }

    /// The status and the answer to a request.
    async fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, self.world.url(path));
        request = request.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        request = request.header("origin", self.world.url(""));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        if let Some(set) = answer.headers().get("set-cookie") {
            self.cookie = set.to_str().expect("text").split(';').next().unwrap_or_default().to_owned();
        }
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        if let Some(csrf) = body.pointer("/session/csrf_token").and_then(Value::as_str) {
            csrf.clone_into(&mut self.csrf);
        }
        (status, body)
    }

    async fn log_in(&mut self, user: &str, password: &str) -> (u16, Value) {
        self.send("POST", "/api/login", Some(&json!({ "user": user, "password": password }))).await
    }
}

/// The cause by which a login is refused.
async fn cause(world: &World, user: &str, password: &str) -> String {
    let (status, answer) = Browser::new(world).log_in(user, password).await;
    assert!(status == 401 || status == 503, "{user}: {answer}");
    answer.pointer("/report/cause").and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Identity from the domain, access by groups, a second factor at the door: as an administrator sets it up, and as users meet it.
#[tokio::test]
async fn people_of_a_domain_come_in_by_groups_and_a_second_factor_at_the_door() {
    if !slapd::is_there() {
        return;
    }
    let slapd = Slapd::start(&people(), true).await;
    let world = World::new().await;
    world.add_ad(&slapd).await;
    // Nobody is here yet, and a rehearsal changes nothing.
    assert_eq!(cause(&world, "alice@corp", "alice's own password").await, "unknown_user");
    let sync = ["realm", "sync", "corp", "--scope", "both"];
    let rehearsed = world.rp(&[&sync[..], &["--dry-run", "1"]].concat()).await;
    assert!(rehearsed.contains("added the user alice@corp\n") && rehearsed.contains("dry run"), "{rehearsed}");
    assert!(!world.rp(&["user", "list"]).await.contains("corp"));
    let synced = world.rp(&sync).await;
    let dave = synced.matches("\"dave\" is the name of another entry too").count();
    assert!(dave == 2 && synced.contains("has 3 users and 2 groups"), "{synced}");
    let users: Value = serde_json::from_str(&world.rp(&["user", "list", "--json"]).await).expect("JSON");
    let alice = users.as_array().and_then(|users| users.iter().find(|user| user["name"] == "alice@corp"));
    let alice = alice.unwrap_or_else(|| panic!("{users}"));
    assert_eq!(
        [&alice["email"], &alice["firstname"], &alice["lastname"], &alice["role"]],
        ["alice@example.com", "The alice", "Of Example", "user"]
    );
    // A group in a group is none of its members.
    let groups: Value = serde_json::from_str(&world.rp(&["group", "list", "--json"]).await).expect("JSON");
    let members = |name: &str| {
        let found = groups.as_array().and_then(|groups| groups.iter().find(|group| group["name"] == name).cloned());
        found.unwrap_or_else(|| panic!("{groups}"))["members"].clone()
    };
    assert_eq!(members("pve-admins-corp"), json!(["alice@corp"]));
    assert_eq!(members("all-corp"), json!(["bob@corp"]));
    world.rp(&["acl", "modify", "/", "--groups", "pve-admins-corp", "--roles", "Administrator"]).await;
    world.rp(&["realm", "modify", "corp", "--tfa", "type=any"]).await;

    // The password is the domain's; without a factor there is nothing to be had but that.
    assert_eq!(cause(&world, "alice@corp", "bob's own password").await, "wrong_password");
    let mut alice = Browser::new(&world);
    let (_, answer) = alice.log_in("alice@corp", "alice's own password").await;
    assert_eq!(answer["state"], "enrolment_required", "{answer}");
    assert_eq!(alice.send("GET", "/api/users", None).await.0, 403);
    let (_, begun) = alice.send("POST", "/api/factors/totp/begin", Some(&json!({}))).await;
    let totp = Totp::from_uri(begun["uri"].as_str().expect("an address")).expect("an address");
    let now = SystemTime::now();
    let code = json!({ "challenge": begun["challenge"], "description": "phone", "code": totp.code(now) });
    let (status, answer) = alice.send("POST", "/api/factors/totp", Some(&code)).await;
    assert_eq!(status, 200, "{answer}");
    // From now on both, and the role is the group's.
    let mut alice = Browser::new(&world);
    let (_, answer) = alice.log_in("alice@corp", "alice's own password").await;
    assert_eq!(answer["state"], "second_factor", "{answer}");
    let code = totp.code(now + Duration::from_secs(30));
    let (_, answer) =
        alice.send("POST", "/api/login/totp", Some(&json!({ "login": answer["login"], "code": code }))).await;
    assert_eq!(answer.pointer("/session/role"), Some(&json!("administrator")), "{answer}");
    assert_eq!(alice.send("GET", "/api/users", None).await.0, 200);
    // Passwords are set in the domain, and given again to it.
    let set = json!({ "password": "alice's own password", "new_password": "another long password" });
    assert_eq!(alice.send("PUT", "/api/password", Some(&set)).await.1["code"], "password_elsewhere");
    assert!(world.refused(&["passwd", "alice@corp"]).await.contains("kept in a directory"));
    let again = |password: &str| json!({ "password": password });
    assert_eq!(
        alice.send("POST", "/api/session/confirm", Some(&again("wrong"))).await.1["code"],
        "confirmation_failed"
    );
    assert_eq!(alice.send("POST", "/api/session/confirm", Some(&again("alice's own password"))).await.0, 200);

    // Out of the group, and no administrator any more; out of the domain, and out.
    slapd.change("dn: cn=pve-admins,ou=groups,dc=example,dc=com\nchangetype: modify\ndelete: member\n").await;
    assert!(world.rp(&sync).await.contains("changed the members of the group pve-admins-corp"));
    assert_eq!(alice.send("GET", "/api/users", None).await.0, 403);
    assert_eq!(alice.send("GET", "/api/session", None).await.0, 200);
    slapd.change("dn: cn=alice,ou=people,dc=example,dc=com\nchangetype: delete\n").await;
    assert!(world.rp(&sync).await.contains("gone from the directory, out at once: the user alice@corp"));
    assert_eq!(alice.send("GET", "/api/session", None).await.0, 401);
    assert_eq!(cause(&world, "alice@corp", "alice's own password").await, "kept_out_by_directory");
    assert!(world.rp(&["user", "tfa", "list", "alice@corp"]).await.contains("phone"));
    // Nothing is left of what is to be removed, and removing the last one of all is nobody's wish.
    let remove = ["--remove-vanished", "acl;entry;properties"];
    assert!(world.rp(&[&sync[..], &remove].concat()).await.contains("deleted the user alice@corp"));
    assert!(!world.rp(&["user", "list"]).await.contains("alice@corp"));
    world.rp(&["realm", "modify", "corp", "--filter", "(uid=nobody)"]).await;
    let nobody = world.refused(&[&sync[..], &remove].concat()).await;
    assert!(nobody.contains("nothing was done") && nobody.contains("filter"), "{nobody}");
    assert!(world.rp(&["user", "list"]).await.contains("bob@corp"));
    let deleted = world.rp(&["realm", "delete", "corp", "--yes"]).await;
    assert!(deleted.contains("deleted corp and 2 users"), "{deleted}");
    assert!(!world.directory.path().join("state/realm/corp.pw").exists());
}

/// Both ways to TLS, and each way in which it is not what it should be: nobody's password is said then.
#[tokio::test]
async fn a_directory_that_cannot_prove_who_it_is_hears_no_password() {
    if !slapd::is_there() {
        return;
    }
    let (slapd, plain) = (Slapd::start(&people(), true).await, Slapd::start(&people(), false).await);
    let world = World::new().await;
    let (port, tls_port, ca) = (slapd.port.to_string(), slapd.tls_port.to_string(), slapd.ca().display().to_string());
    let other_ca = world.another_ca().await;
    let plain_port = plain.port.to_string();
    let add = async |realm: &str, mode: &str, port: &str, more: &[&str]| {
        let of_server = ["realm", "add", realm, "--type", "ldap", "--mode", mode, "--port", port];
        let names = ["--base_dn", "ou=people,dc=example,dc=com", "--user_attr", "uid"];
        world.rp(&[&of_server[..], &names, more].concat()).await;
        world.rp(&["user", "add", &format!("alice@{realm}")]).await;
    };
    let localhost = ["--server1", "localhost"];
    add("starttls", "ldap+starttls", &port, &[&localhost[..], &["--capath", &ca]].concat()).await;
    add("ldaps", "ldaps", &tls_port, &[&localhost[..], &["--capath", &ca]].concat()).await;
    add("unverified", "ldaps", &tls_port, &["--server1", "127.0.0.1", "--verify", "0"]).await;
    add("clear", "ldap", &plain_port, &localhost).await;
    for realm in ["starttls", "ldaps", "unverified", "clear"] {
        let user = format!("alice@{realm}");
        let (_, answer) = Browser::new(&world).log_in(&user, "alice's own password").await;
        assert_eq!(answer["state"], "logged_in", "{realm}: {answer}");
        assert_eq!(cause(&world, &user, "wrong").await, "wrong_password", "{realm}");
    }
    let before = (slapd.log().await.matches(" BIND dn=").count(), plain.log().await.matches(" BIND dn=").count());
    // Another CA's certificate, another name's, and no StartTLS to be had.
    add("otherca", "ldaps", &tls_port, &[&localhost[..], &["--capath", &other_ca]].concat()).await;
    add("othername", "ldaps", &tls_port, &["--server1", "127.0.0.1", "--capath", &ca]).await;
    add("otherca-starttls", "ldap+starttls", &port, &[&localhost[..], &["--capath", &other_ca]].concat()).await;
    add("nostarttls", "ldap+starttls", &plain_port, &[&localhost[..], &["--capath", &ca]].concat()).await;
    add("notls", "ldaps", &plain_port, &[&localhost[..], &["--capath", &ca]].concat()).await;
    for realm in ["otherca", "othername", "otherca-starttls", "nostarttls", "notls"] {
        assert_eq!(cause(&world, &format!("alice@{realm}"), "alice's own password").await, "directory_unavailable");
        assert!(world.refused(&["realm", "sync", realm, "--scope", "users"]).await.contains("no TLS"), "{realm}");
    }
    let after = (slapd.log().await.matches(" BIND dn=").count(), plain.log().await.matches(" BIND dn=").count());
    // ldapsearch, by which the log is read, binds once.
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

/// `cert` and `certkey`, in front of a server that takes nobody without: with LDAPS and StartTLS.
#[tokio::test]
async fn a_directory_that_asks_for_a_client_certificate_is_shown_the_realm_s() {
    if !slapd::is_there() {
        return;
    }
    let slapd = Slapd::start_for_known_clients(&people()).await;
    let world = World::new().await;
    let (port, tls_port, ca) = (slapd.port.to_string(), slapd.tls_port.to_string(), slapd.ca().display().to_string());
    let [cert, key] = slapd.client().map(|path| path.display().to_string());
    let other = world.another_ca().await;
    let with = |cert: &str, key: &str| ["--cert", cert, "--certkey", key].map(str::to_owned);
    let add = |realm: &str, mode: &str, more: &[String]| {
        let port = if mode == "ldaps" { &tls_port } else { &port };
        let of_server = ["realm", "add", realm, "--type", "ldap", "--server1", "localhost", "--port", port];
        let names = ["--mode", mode, "--capath", &ca, "--base_dn", "ou=people,dc=example,dc=com", "--user_attr", "uid"];
        of_server.iter().chain(&names).map(|text| (*text).to_owned()).chain(more.iter().cloned()).collect::<Vec<_>>()
    };
    let texts = |arguments: &[String]| arguments.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    for (number, mode) in ["ldaps", "ldap+starttls"].into_iter().enumerate() {
        let realm = |what: &str| format!("{what}{number}");
        for (what, more, cause) in [
            ("own", with(&cert, &key).to_vec(), None),
            ("none", Vec::new(), Some("directory_unavailable")),
            ("other", with(&other, &other).to_vec(), Some("directory_unavailable")),
        ] {
            let (realm, arguments) = (realm(what), add(&realm(what), mode, &more));
            world.rp(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
            world.rp(&["user", "add", &format!("alice@{realm}")]).await;
            let (_, answer) = Browser::new(&world).log_in(&format!("alice@{realm}"), "alice's own password").await;
            match cause {
                None => assert_eq!(answer["state"], "logged_in", "{mode} {what}: {answer}"),
                Some(cause) => assert_eq!(answer["report"]["cause"], cause, "{mode} {what}: {answer}"),
            }
        }
        // What cannot be is told where it is asked for.
        for (more, expected) in [
            (with(&cert, &other), "cert "),
            (with(&cert, &cert), "certkey "),
            (with("/nowhere.pem", &key), "cert /nowhere.pem cannot be read"),
        ] {
            let arguments = [add(&realm("wrong"), mode, &more), vec!["--check-connection".to_owned()]].concat();
            let refused = world.refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
            assert!(refused.contains(expected), "{}: {refused}", texts(&arguments));
        }
    }
    for (mode, more, expected) in [
        ("ldaps", vec!["--cert".to_owned(), cert.clone()], "--certkey has to be given"),
        ("ldap", with(&cert, &key).to_vec(), "--cert is for --mode ldaps"),
        ("ldaps", [&with(&cert, &key)[..], &["--verify".to_owned(), "0".to_owned()]].concat(), "with --verify 1"),
    ] {
        let arguments = add("wrong", mode, &more);
        let refused = world.refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(refused.contains(expected), "{}: {refused}", texts(&arguments));
    }
}

/// `check-connection`: a realm is written if the directory can be asked as it says, and not otherwise.
#[tokio::test]
async fn a_connection_is_tried_before_a_realm_is_added_or_changed() {
    if !slapd::is_there() {
        return;
    }
    let (slapd, other) = (Slapd::start(&people(), true).await, Slapd::start(&people(), true).await);
    let world = World::new().await;
    let (port, ca, password) = (slapd.tls_port.to_string(), slapd.ca().display().to_string(), world.bind_password());
    let wrong_password = world.directory.path().join("wrong-password").display().to_string();
    std::fs::write(&wrong_password, "not the reader's").expect("a file");
    let (other_port, other_ca) = (other.tls_port.to_string(), other.ca().display().to_string());
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port().to_string();
    let add = ["realm", "add", "corp", "--type", "ldap", "--server1", "localhost", "--mode", "ldaps"];
    let names = ["--base_dn", "dc=example,dc=com", "--user_attr", "uid", "--check-connection", "1"];
    let bind = |password| ["--bind_dn", READER.0, "--password", password];
    for (more, expected) in [
        (
            [&["--capath", &ca, "--port", &port][..], &bind(&wrong_password)].concat(),
            "the bind as cn=reader,dc=example,dc=com was refused: result 49",
        ),
        ([&["--capath", &ca, "--port", &nobody][..], &bind(&password)].concat(), "cannot be reached"),
        // Without anybody to bind as, the server has to answer all the same.
        (vec!["--capath", &ca, "--port", &nobody], "cannot be reached"),
        (vec!["--capath", &other_ca, "--port", &port], "no TLS"),
    ] {
        let refused = world.refused(&[&add[..], &names, &more].concat()).await;
        assert!(refused.contains("nothing was done") && refused.contains(expected), "{refused}");
        assert!(!world.rp(&["realm", "list"]).await.contains("corp"));
        assert!(!world.directory.path().join("state/realm/corp.pw").exists());
    }
    world.rp(&[&add[..], &names, &["--capath", &ca, "--port", &port], &bind(&password)].concat()).await;
    world.rp(&["user", "add", "alice@corp"]).await;
    // A password that is kept is tried too, and goes to no other server than it was given for.
    world.rp(&["realm", "modify", "corp", "--comment", "the company", "--check-connection"]).await;
    let refused = world.refused(&["realm", "modify", "corp", "--port", &nobody, "--check-connection"]).await;
    assert!(refused.contains("cannot be reached"), "{refused}");
    let elsewhere = ["realm", "modify", "corp", "--server2", "localhost", "--port", &other_port, "--capath", &other_ca];
    let refused = world.refused(&[&elsewhere[..], &["--check-connection"]].concat()).await;
    assert!(refused.contains("give it again"), "{refused}");
    assert!(!other.log().await.contains(READER.0), "it was asked");
    let (_, answer) = Browser::new(&world).log_in("alice@corp", "alice's own password").await;
    assert_eq!(answer["state"], "logged_in", "{answer}");
    for add in [["add", "x", "--type", "pve"].as_slice(), &["modify", "pve", "--comment", "x"]] {
        let refused = world.refused(&[&["realm"], add, &["--check-connection"]].concat()).await;
        assert!(refused.contains("no directory"), "{refused}");
    }
    // Not asked for, it is not tried.
    world.rp(&["realm", "modify", "corp", "--port", &nobody, "--check-connection", "0"]).await;
}

/// The walk-through as a scenario, in front of a directory; without one it fails, and so it does where somebody's password is another.
#[tokio::test]
async fn the_scenario_of_a_domain_passes_in_front_of_a_directory() {
    if !slapd::is_there() {
        return;
    }
    let entries = std::fs::read_to_string(judge::tree("fixtures/directory/people.ldif")).expect("text");
    let slapd = Slapd::start(&entries, false).await;
    let run = async |port: u16| {
        let mut command = Command::new(program::keyrig());
        command.arg("run").arg(judge::tree("fixtures/directory/identity-from-the-domain.toml"));
        judge::run(command.args(["--variable", &format!("port={port}")]), b"", LIMIT).await
    };
    let passed = run(slapd.port).await;
    assert!(passed.success, "{passed}");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let failed = run(nobody).await;
    assert!(!failed.success && failed.stdout.contains("cannot be reached"), "{failed}");
    let another = "dn: uid=alice,dc=example,dc=com\nchangetype: modify\nreplace: userPassword\nuserPassword: another\n";
    slapd.change(another).await;
    let failed = run(slapd.port).await;
    assert!(!failed.success && failed.stdout.contains("wrong_password"), "{failed}");
}

/// What has let people in elsewhere.
#[tokio::test]
async fn nobody_comes_in_by_a_hole_that_directories_are_known_for() {
    if !slapd::is_there() {
        return;
    }
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a listener");
    let address = elsewhere.local_addr().expect("an address");
    let referral = format!(
        "dn: ou=elsewhere,ou=people,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n\
         ref: ldap://{address}/ou=people,dc=example,dc=com\n\n"
    );
    let mut slapd = Slapd::start(&(people() + &referral), true).await;
    let world = World::new().await;
    world.add_ad(&slapd).await;
    let added = ["alice", "ALICE", "carol", "dave", "erin", "*", "alice)(uid=*", "al*", "alice,ou=people", r"a\6cice"];
    for name in added {
        world.rp(&["user", "add", &format!("{name}@corp")]).await;
    }
    let right = "alice's own password";
    let (_, answer) = Browser::new(&world).log_in("alice@corp", right).await;
    assert_eq!(answer["state"], "logged_in", "{answer}");
    // RFC 4513, section 5.1.2: slapd takes a bind without a password for one of nobody, and says yes to it if it is let.
    let binds = slapd.log().await.matches("method=128").count();
    assert_eq!(cause(&world, "alice@corp", "").await, "wrong_password");
    assert_eq!(slapd.log().await.matches("method=128").count(), binds + 1, "ldapsearch's own, and no other");
    // One entry or nobody; and the one that is named, to the letter.
    assert_eq!(cause(&world, "dave@corp", "dave's own password").await, "ambiguous_in_directory");
    assert_eq!(cause(&world, "carol@corp", "carol's own password").await, "disabled_in_directory");
    for name in ["ALICE", "*", "alice)(uid=*", "al*", "alice,ou=people", r"a\6cice", "erin"] {
        assert_eq!(cause(&world, &format!("{name}@corp"), right).await, "not_in_directory", "{name}");
    }
    world.rp(&["realm", "modify", "corp", "--case-sensitive", "0"]).await;
    let (_, answer) = Browser::new(&world).log_in("ALICE@corp", right).await;
    assert_eq!(answer["state"], "logged_in", "{answer}");
    // The server that the referral names was not asked, by a login or a sync.
    assert!(world.rp(&["realm", "sync", "corp", "--scope", "both"]).await.contains("1 references to other servers"));
    assert_eq!(elsewhere.accept().expect_err("nobody").kind(), std::io::ErrorKind::WouldBlock);
    // The filter holds at the door too.
    world.rp(&["realm", "modify", "corp", "--filter", "(!(uid=alice))"]).await;
    assert_eq!(cause(&world, "alice@corp", right).await, "not_in_directory");
    world.rp(&["realm", "modify", "corp", "--delete", "filter"]).await;
    // The bind password is for its owner alone, and goes to no other server than it was given for.
    let file = world.directory.path().join("state/realm/corp.pw");
    let mode =
        |mode| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a file");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("a file").permissions()) & 0o777,
        0o600
    );
    mode(0o644);
    assert_eq!(cause(&world, "alice@corp", right).await, "directory_unavailable");
    mode(0o600);
    for change in [["--server1", "127.0.0.1"], ["--mode", "ldap"], ["--verify", "0"]] {
        let refused = world.refused(&[&["realm", "modify", "corp"][..], &change].concat()).await;
        assert!(refused.contains("give it again"), "{refused}");
    }
    // A directory that has gone lets nobody in, and takes nothing away.
    slapd.stop().await;
    assert_eq!(cause(&world, "alice@corp", right).await, "directory_unavailable");
    let remove = ["realm", "sync", "corp", "--scope", "both", "--remove-vanished", "acl;entry;properties"];
    assert!(world.refused(&remove).await.contains("nothing was done"));
    assert!(world.rp(&["user", "list"]).await.contains("alice@corp"));
}

/// A directory of a hundred thousand is read in pages; one that gives a part of it alone takes nothing away.
#[tokio::test]
async fn a_directory_of_a_hundred_thousand_is_whole_or_nothing() {
    const USERS: usize = 100_000;

    if !slapd::is_there() {
        return;
    }
    let mut entries = people();
    for number in 0..USERS {
        write!(
            entries,
            "dn: cn=u{number},ou=people,dc=example,dc=com\nobjectClass: user\ncn: u{number}\nsn: u\nuid: u{number}\n\n"
        )
        .expect("text");
    }
    entries.push_str("dn: cn=everybody,ou=groups,dc=example,dc=com\nobjectClass: group\ncn: everybody\n");
    for number in 0..USERS {
        writeln!(entries, "member: cn=u{number},ou=people,dc=example,dc=com").expect("text");
    }
    let slapd = Slapd::start(&entries, false).await;
    let world = World::new().await;
    let (port, password) = (slapd.port.to_string(), world.bind_password());
    let of_server = ["realm", "add", "corp", "--type", "ldap", "--server1", "127.0.0.1", "--port", &port];
    let names =
        ["--base_dn", "dc=example,dc=com", "--user_attr", "uid", "--bind_dn", READER.0, "--password", &password];
    world.rp(&[&of_server[..], &names].concat()).await;
    let sync = ["realm", "sync", "corp", "--scope", "both"];
    let synced = world.rp(&sync).await;
    assert!(synced.contains(&format!("has {} users and 3 groups", USERS + 3)), "{}", &synced[synced.len() - 300..]);
    let last = format!("u{}@corp", USERS - 1);
    assert!(synced.contains(&format!("added the user {last}\n")));
    assert!(world.rp(&sync).await.ends_with("0 changes\n"));
    // Whom slapd has a size limit for, and whom it has none for.
    world.rp(&["realm", "modify", "corp", "--delete", "bind_dn"]).await;
    let refused = world.refused(&[&sync[..], &["--remove-vanished", "entry"]].concat()).await;
    assert!(refused.contains("nothing was done") && refused.contains("size limit"), "{refused}");
    assert!(world.rp(&["user", "list"]).await.contains(&last));
}
