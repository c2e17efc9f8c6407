//! A relying party killed with SIGKILL under load: what it acknowledged is there, and what was used up works no second
//! time.
//!
//! The test starts itself again as a child ([`child`], picked by name), which serves a state directory over HTTP. Several
//! clients log in, enrol and administer at once, and note what was acknowledged and what was only sent. At some point the
//! child is killed, and another relying party opens what it left.

#![cfg(test)]

#[allow(dead_code, reason = "shared with the tests of the API")]
#[path = "api/rig.rs"]
mod rig;

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keyrig_relying_party::{Role, Settings, Store};
use reqwest::header::{COOKIE, HOST, SET_COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig};

const DIRECTORY: &str = "KEYRIG_TEST_DIRECTORY";

fn rig(directory: &Path) -> Rig {
    Rig::on(Store::open(directory).unwrap(), Ok(Settings::new(RP_ID, ORIGIN)), true)
}

#[test]
#[ignore = "the child of another test, which starts it"]
fn child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = keyrig_relying_party::serve(listener, rig(Path::new(&directory)).relying_party).unwrap();
        let mut output = std::io::stdout();
        writeln!(output, "keyrig: {}", server.local_addr()).unwrap();
        output.flush().unwrap();
        // Until it is killed, or the test that started it is gone.
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    });
}

/// A child that is killed when this is dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            // The test runner leaves its own line open while a test runs.
            if let Some((_, address)) = lines.next().unwrap().unwrap().split_once("keyrig: ") {
                break address.to_owned();
            }
        };
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Killed already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser over a socket. `None` is a request that the kill cut off.
#[derive(Clone)]
struct Browser {
    http: reqwest::Client,
    address: String,
    cookie: Option<String>,
    csrf_token: String,
}

impl Browser {
    fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, address: address.to_owned(), cookie: None, csrf_token: String::new() }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Option<Value> {
        let mut request = self.http.post(format!("http://{}{path}", self.address)).header(HOST, rig::HOST).json(body);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie).header("x-csrf-token", &self.csrf_token);
        }
        let response = request.send().await.ok()?;
        let cookie = response.headers().get(SET_COOKIE).map(|header| header.to_str().unwrap().to_owned());
        let status = response.status();
        let answer: Value = response.json().await.ok()?;
        assert!(status.is_success(), "{path}: {answer}");
        if let Some(cookie) = cookie {
            self.cookie = cookie.split(';').next().map(str::to_owned);
            self.csrf_token = answer["session"]["csrf_token"].as_str().unwrap().to_owned();
        }
        Some(answer)
    }

    async fn log_in(&mut self, user: &str) -> Option<Value> {
        self.post("/api/login", &json!({ "user": user, "password": PASSWORD })).await
    }
}

/// What was asked of the relying party before it was killed.
#[derive(Default)]
struct Noted {
    /// Path, body, and whether it was acknowledged, of what can be used once.
    once: Vec<(&'static str, Value, bool)>,
    /// Cookies of sessions, of users.
    sessions: Vec<String>,
    /// Descriptions of factors of `enrolling@pve`.
    factors: Vec<String>,
    users: Vec<String>,
}

struct Load {
    address: String,
    noted: Mutex<Noted>,
    acknowledged: AtomicUsize,
    enough: usize,
    reached: tokio::sync::Notify,
}

impl Load {
    fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.noted.lock().unwrap());
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.enough {
            self.reached.notify_one();
        }
    }

    /// Sends what can be used once.
    async fn use_once(&self, browser: &mut Browser, path: &'static str, body: Value) -> Option<()> {
        let number = {
            let mut noted = self.noted.lock().unwrap();
            noted.once.push((path, body.clone(), false));
            noted.once.len() - 1
        };
        browser.post(path, &body).await?;
        let cookie = browser.cookie.clone().unwrap();
        self.note(|noted| {
            noted.once[number].2 = true;
            noted.sessions.push(cookie);
        });
        Some(())
    }

    async fn log_in_by_key(&self, mut key: Key) -> Option<()> {
        loop {
            let mut browser = Browser::new(&self.address);
            let offered = browser.log_in("keys@pve").await?;
            let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
            self.use_once(&mut browser, "/api/login/webauthn", rig::login(&offered, &credential)).await?;
        }
    }

    async fn log_in_by_paper(&self, paper: Vec<String>) -> Option<()> {
        for key in paper {
            let mut browser = Browser::new(&self.address);
            let offered = browser.log_in("paper@pve").await?;
            let body = json!({ "login": offered["login"], "key": key });
            self.use_once(&mut browser, "/api/login/recovery", body).await?;
        }
        Some(())
    }

    async fn enrol(&self) -> Option<()> {
        let mut browser = Browser::new(&self.address);
        browser.log_in("enrolling@pve").await?;
        browser.post("/api/session/confirm", &json!({ "password": PASSWORD })).await?;
        for number in 0..60 {
            let begun = browser.post("/api/factors/webauthn/begin", &json!({})).await?;
            let credential = Key::default().create(&begun).await.unwrap();
            let description = format!("key {number}");
            browser.post("/api/factors/webauthn", &rig::registration(&begun, &description, &credential)).await?;
            self.note(|noted| noted.factors.push(description));
        }
        Some(())
    }

    async fn administer(&self) -> Option<()> {
        let mut browser = Browser::new(&self.address);
        browser.log_in("root@pam").await?;
        browser.post("/api/session/confirm", &json!({ "password": PASSWORD })).await?;
        for number in 0.. {
            let user = format!("user{number}@pve");
            browser.post("/api/users", &json!({ "user": user, "role": "user", "password": PASSWORD })).await?;
            self.note(|noted| noted.users.push(user));
        }
        Some(())
    }
}

/// Loads a relying party until so many requests are acknowledged, kills it, and looks at what is left.
async fn killed_after(enough: usize) {
    let directory = TempDir::new().unwrap();
    let mut key = Key::without_counter();
    let paper = {
        let rig = rig(directory.path());
        for user in ["enrolling@pve", "root@pam"] {
            rig.add_user(user, if user == "root@pam" { Role::Administrator } else { Role::User });
        }
        rig.new_user("keys@pve").await.register(&mut key, "key").await;
        rig.new_user("paper@pve").await.add_recovery_keys().await
    };
    let mut serving = Serving::start(directory.path());
    let load = Arc::new(Load {
        address: serving.address.clone(),
        noted: Mutex::default(),
        acknowledged: AtomicUsize::new(0),
        enough,
        reached: tokio::sync::Notify::new(),
    });
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (load, key) = (load.clone(), key.clone());
        clients.spawn(async move { load.log_in_by_key(key).await });
    }
    let (papers, enrolments, administration) = (load.clone(), load.clone(), load.clone());
    let keys = paper.clone();
    clients.spawn(async move { papers.log_in_by_paper(keys).await });
    clients.spawn(async move { enrolments.enrol().await });
    clients.spawn(async move { administration.administer().await });
    load.reached.notified().await;
    serving.kill();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let noted = std::mem::take(&mut *load.noted.lock().unwrap());
    judge(&rig(directory.path()), noted, &paper).await;
}

async fn judge(rig: &Rig, noted: Noted, paper: &[String]) {
    // Sessions, factors and users that were acknowledged.
    for cookie in &noted.sessions {
        let mut browser = rig.browser();
        browser.cookie = Some(cookie.clone());
        browser.get("/api/session").await;
    }
    let factors = rig.store().factors(&"enrolling@pve".parse().unwrap()).unwrap();
    let missing: Vec<_> =
        noted.factors.iter().filter(|name| !factors.iter().any(|factor| factor.description == **name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(factors.len() <= noted.factors.len() + 1, "one at most was under way");
    for user in &noted.users {
        rig.store().user(&user.parse().unwrap()).unwrap();
    }
    // What can be used once was used once, if it was acknowledged; else it can be at most once.
    for (path, body, acknowledged) in &noted.once {
        let mut successes = usize::from(*acknowledged);
        for _ in 0..2 {
            successes += usize::from(rig.browser().send("POST", path, Some(body)).await.0.is_success());
        }
        assert!(successes <= 1, "{path} {body} worked {successes} times");
    }
    // A recovery key works no second time by another login either.
    let tried: Vec<&str> = noted.once.iter().filter_map(|(_, body, _)| body["key"].as_str()).collect();
    let credentials = json!({ "user": "paper@pve", "password": PASSWORD });
    for key in &tried {
        let (_, offered) = rig.browser().send("POST", "/api/login", Some(&credentials)).await;
        let body = json!({ "login": offered["login"], "key": key });
        assert!(!rig.browser().send("POST", "/api/login/recovery", Some(&body)).await.0.is_success(), "{key}");
    }
    // And those that nobody has tried are all there.
    for key in paper.iter().filter(|key| !tried.contains(&key.as_str())) {
        let offered = rig.browser().log_in("paper@pve").await;
        rig.browser().post("/api/login/recovery", json!({ "login": offered["login"], "key": key })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_and_what_was_used_up_stays_so() {
    for enough in [1, 7, 25, 80] {
        killed_after(enough).await;
    }
}
