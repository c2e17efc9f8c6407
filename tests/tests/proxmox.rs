//! What automation written for Proxmox VE does at `keyrig rp serve`: proxmoxer, curl, a client made of Proxmox VE's own description of its
//! API, and npm's two, none of which anybody here wrote, log in, by password, code, recovery key, ticket and token, and administer.

#![cfg(test)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use keyrig_tests::site::{PASSWORD, Site};
use keyrig_tests::slapd::{self, READER, Slapd};
use keyrig_tests::{judge, program};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// A site with Proxmox VE's policy.
async fn site(directory: &TempDir, arguments: &[&str], log: impl Into<Stdio>) -> Site {
    let settings = directory.path().join("site.toml");
    std::fs::write(&settings, "rp_id = \"localhost\"\npolicy = \"proxmox-9\"\n").expect("a file");
    let config = ["--config", settings.to_str().expect("text")];
    Site::start(directory, &[&config, arguments].concat(), log).await
}

/// What a program prints of what its script did at a site over TLS, a line each.
async fn done(mut program: Command, script: &str, site: &Site) -> Vec<String> {
    program.arg(judge::tree(script)).arg(site.address()).arg(ca(site));
    let output = judge::run(&mut program, format!("{PASSWORD}\n").as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    output.stdout.lines().map(str::to_owned).collect()
}

fn ca(site: &Site) -> &str {
    site.listening["ca"].as_str().expect("a CA")
}

#[tokio::test]
async fn automation_written_for_proxmox_logs_in_here() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    if !Path::new("/usr/bin/curl").exists() {
        return judge::skip("curl is not installed (Debian package of this name)");
    }
    let directory = tempfile::tempdir().expect("a directory");
    // proxmoxer speaks TLS alone.
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    assert_eq!(
        done(Command::new(python), "tests/proxmox/session.py", &site).await,
        [
            "password, users, roles",
            "TOTP: refused without a code and with a used one, let in by the next",
            "renewal",
            "API token: users yes, factors no",
            "recovery key: once",
            "curl: cookie, token, reason phrases",
        ]
    );
}

/// Answers are read by a client that is made of Proxmox VE's own description of them.
#[tokio::test]
async fn answers_are_as_proxmox_ve_describes_them() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("clientapi_pve is not installed: run tests/proxmox/install");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    assert_eq!(
        done(Command::new(python), "tests/proxmox/described.py", &site).await,
        [
            "ticket, version, what is below /access",
            "users and groups",
            "roles and rights",
            "realms",
            "second factors",
            "API tokens",
            "a password, and everything is gone",
        ]
    );
}

#[tokio::test]
async fn automation_in_javascript_logs_in_here() {
    let modules = judge::tree(".cache/proxmox/node_modules");
    if !modules.exists() {
        return judge::skip("npm's clients are not installed: run tests/proxmox/install");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules).env("NODE_EXTRA_CA_CERTS", ca(&site));
    assert_eq!(
        done(node, "tests/proxmox/session.cjs", &site).await,
        ["proxmox-api: password, users, rights", "proxmox-api: API token", "cv4pve: password, TOTP"]
    );
}

/// A directory's users and groups, by a call that is answered with a task, which proxmoxer waits for.
#[tokio::test]
async fn automation_syncs_a_realm_and_waits_for_the_task() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    if !slapd::is_there() {
        return;
    }
    let entry = |name: &str, more: &str| format!("dn: {name},dc=example,dc=com\n{more}\n\n");
    let people = ["alice", "bob"].map(|name| {
        entry(&format!("uid={name}"), &format!("objectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: Of Example"))
    });
    let staff = entry("cn=staff", "objectClass: groupOfNames\ncn: staff\nmember: uid=alice,dc=example,dc=com");
    let slapd = Slapd::start(&(people.concat() + &staff), false).await;
    let directory = tempfile::tempdir().expect("a directory");
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let mut add = Command::new(program::keyrig());
    add.args(["rp", "realm", "add", "corp", "--type", "ldap", "--server1", "127.0.0.1", "--port"])
        .arg(slapd.port.to_string())
        .args(["--base_dn", "dc=example,dc=com", "--user_attr", "uid", "--user_classes", "inetOrgPerson", "--state"])
        .arg(directory.path().join("state"));
    let added = judge::run(&mut add, b"", LIMIT).await;
    assert!(added.success, "{added}");
    assert_eq!(
        done(Command::new(python), "tests/proxmox/sync.py", &site).await,
        ["dry run: nothing", "sync: users, groups", "by a token", "refused without a scope"]
    );
}

/// A realm of a directory that is tried, added, told, changed, synced and deleted.
#[tokio::test]
async fn automation_adds_changes_and_deletes_realms() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    if !slapd::is_there() {
        return;
    }
    let people = ["alice", "bob"].map(|name| {
        format!(
            "dn: uid={name},dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: Of Example\n\n"
        )
    });
    let slapd = Slapd::start(&people.concat(), true).await;
    let directory = tempfile::tempdir().expect("a directory");
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let mut realms = Command::new(python);
    realms
        .arg(judge::tree("tests/proxmox/realms.py"))
        .arg(site.address())
        .arg(ca(&site))
        .arg(slapd.tls_port.to_string())
        .arg(slapd.ca())
        .args([READER.0, READER.1]);
    let output = judge::run(&mut realms, format!("{PASSWORD}\n").as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    assert_eq!(
        output.stdout.lines().collect::<Vec<_>>(),
        [
            "added, as the directory takes the password",
            "told, without the password",
            "changed; what cannot be changes nothing",
            "synced",
            "deleted with its user",
        ]
    );
}

/// The session of the book and of the README, as it stands there.
#[tokio::test]
async fn the_session_of_the_book_does_what_it_says() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    let page = std::fs::read_to_string(judge::tree("docs/src/how-to/relying-party.md")).expect("text");
    let blocks = page.split("```python\n").skip(1).filter_map(|block| block.split("```").next());
    let session = blocks.into_iter().find(|block| block.starts_with("# automation.py")).expect("it is there");
    assert!(session.lines().count() <= 10, "{session}");
    let readme = std::fs::read_to_string(judge::tree("README.md")).expect("text");
    assert!(readme.contains(&format!("```python\n{session}```")), "the README has it too");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("automation.py");
    std::fs::write(&file, session).expect("a file");
    let site = site(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let (_, port) = site.address().rsplit_once(':').expect("a port");
    let mut session = Command::new(python);
    session.arg(file).args([port, site.listening["ca"].as_str().expect("a CA"), PASSWORD]);
    let output = judge::run(&mut session, b"", LIMIT).await;
    assert_eq!(output.stdout.trim(), "['root@pam', 'ci@pve']", "{output}");
}

/// What guides tell people to put into `/etc/fail2ban/filter.d/proxmox.conf`, with Debian's `common.conf`.
const FILTER: &str = r"
[INCLUDES]
before = common.conf

[Definition]
failregex = pvedaemon\[.*authentication failure; rhost=<HOST> user=.* msg=.*
ignoreregex =
";

/// Who looks for refused logins at Proxmox VE finds those here, all of them, and nobody can have another banned.
#[tokio::test]
async fn fail2ban_finds_refused_logins_by_the_filter_that_guides_have() {
    let filters = Path::new("/etc/fail2ban/filter.d");
    if !Path::new("/usr/bin/fail2ban-regex").exists() || !filters.join("common.conf").exists() {
        return judge::skip("fail2ban is not installed (Debian package of this name)");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let log_file = std::fs::File::create(&log).expect("a file");
    let site = site(&directory, &["--listen", "127.0.0.1:0"], log_file).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let hostile = "x\nDec 24 00:00:00 pvedaemon[1]: authentication failure; rhost=198.51.100.1 user=y msg=z";
    let form = [("username", "root@pam"), ("password", "wrong")];
    for form in [
        form.to_vec(),
        form.to_vec(),
        vec![("username", "nobody@pve"), ("password", "x")],
        vec![("username", hostile), ("password", "x")],
        vec![("username", "root@pam"), ("password", "x"), ("tfa-challenge", hostile)],
        vec![("username", "root@pam"), ("password", "PVE:root@pam:6B02016B::AAAA")],
    ] {
        let url = format!("http://{}/api2/json/access/ticket", site.address());
        let body: serde_json::Map<String, Value> =
            form.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let answer = client.post(url).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
    }
    // The other face.
    for (path, body) in [
        ("/api/login", serde_json::json!({ "user": "root@pam", "password": "wrong" })),
        ("/api/login/totp", serde_json::json!({ "login": "x", "code": "000000" })),
    ] {
        let answer =
            client.post(format!("http://{}{path}", site.address())).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "{path}");
    }
    site.stop().await;
    let filter = directory.path().join("proxmox.conf");
    std::fs::write(&filter, FILTER).expect("a file");
    std::fs::copy(filters.join("common.conf"), directory.path().join("common.conf")).expect("a copy");
    let mut found = Command::new("/usr/bin/fail2ban-regex");
    found.args(["--out", "ip"]).arg(&log).arg(&filter);
    let output = judge::run(&mut found, b"", LIMIT).await;
    let text = std::fs::read_to_string(&log).expect("text");
    assert!(output.success, "{output}");
    assert_eq!(output.stdout.lines().collect::<Vec<_>>(), ["127.0.0.1"; 8], "{output} of {text}");
}
