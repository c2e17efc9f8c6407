//! What automation written for Proxmox VE does at `keyrig rp serve`: proxmoxer and curl, which nobody here wrote, log in, by password,
//! code, recovery key, ticket and token, and administer.

#![cfg(test)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use keyrig_tests::{judge, program};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);

/// The password that the site's first user is given.
const PASSWORD: &str = "correct horse battery staple";

/// `keyrig rp serve` with Proxmox VE's policy, and root@pam with [`PASSWORD`].
struct Site {
    child: Child,
    address: String,
    _state: TempDir,
}

impl Site {
    /// Serves, with a log at that place.
    async fn start(log: impl Into<Stdio>) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let password = state.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file");
        let settings = state.path().join("site.toml");
        std::fs::write(&settings, "rp_id = \"localhost\"\npolicy = \"proxmox-9\"\n").expect("a file");
        let mut child = Command::new(program::keyrig())
            .args(["rp", "serve", "--listen", "127.0.0.1:0", "--json"])
            .arg("--state")
            .arg(state.path().join("state"))
            .arg("--initial-password")
            .arg(&password)
            .arg("--config")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("keyrig starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line in time").expect("a line");
        let listening: Value = serde_json::from_str(&line).expect("JSON");
        let address = listening["listen"][0].as_str().expect("an address");
        Self { child, address: address.to_owned(), _state: state }
    }

    /// Ends it as Ctrl-C does.
    async fn stop(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(id).expect("a process"),
            rustix::process::Signal::INT,
        )
        .expect("it is ours");
        assert!(timeout(LIMIT, self.child.wait()).await.expect("it ends").expect("it ends").success());
    }
}

#[tokio::test]
async fn automation_written_for_proxmox_logs_in_here() {
    let python = judge::tree(".cache/proxmox/venv/bin/python");
    if !python.exists() {
        return judge::skip("proxmoxer is not installed: run tests/proxmox/install");
    }
    if !["curl", "openssl"].iter().all(|name| Path::new("/usr/bin").join(name).exists()) {
        return judge::skip("curl and openssl are not installed (Debian packages of these names)");
    }
    let site = Site::start(Stdio::inherit()).await;
    let mut session = Command::new(python);
    session.arg(judge::tree("tests/proxmox/session.py")).arg(&site.address);
    let output = judge::run(&mut session, format!("{PASSWORD}\n").as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    assert_eq!(
        output.stdout.lines().collect::<Vec<_>>(),
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
    let site = Site::start(std::fs::File::create(&log).expect("a file")).await;
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
        let url = format!("http://{}/api2/json/access/ticket", site.address);
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
        let answer = client.post(format!("http://{}{path}", site.address)).json(&body).send().await.expect("an answer");
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
