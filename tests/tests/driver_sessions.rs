//! Sessions of WebDriver in front of real drivers and browsers: how they end, whose keys are whose, and whose documents get the script first.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use keyrig_control::request::{ExportCredentials, List, Wait};
use keyrig_control::socket::send;
use keyrig_rack::command::WaitFor;
use keyrig_tests::{judge, program};
use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);

/// Whether what is needed is there.
fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().map(|path| judge::tree(path)).find(|path| !path.exists());
    if let Some(missing) = &missing {
        judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
    }
    missing.is_none()
}

const CHROMIUM: [&str; 2] = ["/usr/bin/chromium", "/usr/bin/chromedriver"];
const GECKODRIVER: &str = ".cache/drivers/geckodriver/bin/geckodriver";

/// A site of two pages: one that a test asks, and one whose own script asks as soon as it is run.
struct Site {
    url: String,
    serving: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let script = fs::read_to_string(judge::tree("tests/drivers/page.js")).unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let script = script.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 65536];
                    let length = stream.read(&mut head).await.unwrap_or_default();
                    let early = String::from_utf8_lossy(&head[..length]).starts_with("GET /early");
                    let asks = "globalThis.early = site.create({ resident: true, verified: 'required' });";
                    let asks = if early { asks } else { "" };
                    let page =
                        format!("<!doctype html><title>a site</title><script>{script}</script><script>{asks}</script>");
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length";
                    let _ = stream.write_all(format!("{head}: {}\r\n\r\n{page}", page.len()).as_bytes()).await;
                });
            }
        });
        Self { url, serving }
    }
}

/// WebDriver that is served by a process, until this is dropped.
struct WebDriver {
    child: Child,
    url: String,
    http: Client,
    directory: TempDir,
}

impl WebDriver {
    /// The program under test in the place of a driver, which it finds in the environment.
    async fn by_the_name_of(driver: &str, options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(driver);
        symlink(program::keyrig(), &path).unwrap();
        let mut command = Command::new(path);
        command.arg("--port=0").env("KEYRIG_WEBDRIVER_OPTIONS", options);
        Self::start(command, directory).await
    }

    async fn start(mut command: Command, directory: TempDir) -> Self {
        command
            .env("KEYRIG_CHROMEDRIVER", "/usr/bin/chromedriver")
            .env("KEYRIG_GECKODRIVER", judge::tree(GECKODRIVER))
            .env("TMPDIR", directory.path())
            .env_remove("KEYRIG_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What drivers and browsers say; of one that fails keyrig tells the last of it.
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it says where it listens");
                let found = line.rsplit_once("port ").or_else(|| line.rsplit_once(':'));
                let port = found.map(|(_, port)| port.trim_end_matches('.').to_owned());
                if let Some(port) =
                    port.filter(|_| line.contains("successfully on port") || line.to_lowercase().contains("listen"))
                {
                    return port.parse::<u16>().unwrap();
                }
            }
        };
        let port = timeout(LIMIT, port).await.expect("it listens in time");
        // Whatever it says later is read, so that nothing waits for that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = Client::builder().timeout(LIMIT).build().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}"), http, directory }
    }

    /// Status and `value`.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        asked(&self.http, &self.url, method, path, body).await
    }

    /// What has to be a success.
    async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        let (status, value) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.done(Method::POST, path, body).await
    }

    /// A session with Chromium: where its commands are, and what it says of itself.
    async fn chromium(&self) -> (String, Value) {
        self.chromium_with(json!({})).await
    }

    /// The same with more capabilities.
    async fn chromium_with(&self, mut wanted: Value) -> (String, Value) {
        let profile = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        let mut arguments: Vec<String> =
            ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"]
                .map(ToOwned::to_owned)
                .into();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let options = json!({"binary": "/usr/bin/chromium", "args": arguments});
        (wanted["browserName"], wanted["goog:chromeOptions"]) = ("chrome".into(), options);
        self.session(wanted).await
    }

    async fn firefox(&self) -> (String, Value) {
        let options = json!({"binary": "/usr/bin/firefox-esr", "args": ["-headless"]});
        self.session(json!({"browserName": "firefox", "moz:firefoxOptions": options})).await
    }

    async fn session(&self, wanted: Value) -> (String, Value) {
        let begun = self.post("/session", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        let id = begun["sessionId"].as_str().unwrap();
        (format!("/session/{id}"), begun["capabilities"].clone())
    }

    /// Adds a virtual authenticator: where it is.
    async fn add(&self, session: &str, properties: Value) -> String {
        let mut all = json!({"protocol": "ctap2_1", "transport": "usb"});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let id = self.post(&format!("{session}/webauthn/authenticator"), all).await;
        format!("{session}/webauthn/authenticator/{}", id.as_str().unwrap())
    }

    async fn open(&self, session: &str, url: &str) {
        self.post(&format!("{session}/url"), json!({"url": url})).await;
    }

    /// What a script in the page comes to, which calls `done`.
    async fn run(&self, session: &str, script: &str, arguments: Value) -> Value {
        self.post(&format!("{session}/execute/async"), in_page(script, arguments)).await
    }

    /// The processes that it has started, and those that these have.
    fn descendants(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::from([i32::try_from(self.child.id().unwrap()).unwrap()]);
        let own = found.clone();
        loop {
            let before = found.len();
            for (id, parent) in processes() {
                if found.contains(&parent) {
                    found.insert(id);
                }
            }
            if found.len() == before {
                return &found - &own;
            }
        }
    }

    /// The control sockets of the racks of its sessions, the first one first.
    fn controls(&self) -> Vec<PathBuf> {
        let lines = self.descendants().into_iter().map(command_line);
        let controls: BTreeSet<_> = lines
            .filter_map(|line| {
                let at = line.iter().position(|argument| argument == "--control")?;
                Some(PathBuf::from(line.get(at + 1)?.strip_prefix("unix:")?))
            })
            .collect();
        controls.into_iter().collect()
    }

    fn driver(&self) -> i32 {
        let is_driver = |id: &i32| {
            let name = command_line(*id).first().cloned().unwrap_or_default();
            name.ends_with("/chromedriver")
        };
        let found: Vec<_> = self.descendants().into_iter().filter(is_driver).collect();
        assert_eq!(found.len(), 1, "one driver");
        found[0]
    }

    /// Ends it, and all that it has started.
    async fn end(mut self) {
        let id = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        timeout(LIMIT, self.child.wait()).await.expect("it ends").unwrap();
    }

    /// Whatever still runs with a directory of this test in its command line: a browser that was left behind.
    fn left_behind(&self) -> Vec<Vec<String>> {
        let directory = self.directory.path().display().to_string();
        let own = self.child.id().unwrap();
        let others =
            processes().into_iter().filter(|(id, _)| u32::try_from(*id) != Ok(own)).map(|(id, _)| command_line(id));
        others.filter(|line| line.iter().any(|argument| argument.contains(&format!("{directory}/.tmp")))).collect()
    }
}

async fn asked(http: &Client, url: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = http.request(method, format!("{url}{path}"));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json::<Value>().await.unwrap()["value"].take())
}

fn in_page(script: &str, arguments: Value) -> Value {
    json!({"script": format!("const done = arguments[arguments.length - 1];\n{script}"), "args": arguments})
}

/// All processes with their parents.
fn processes() -> Vec<(i32, i32)> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        Some((id, rest.split(' ').nth(1)?.parse().ok()?))
    })
    .collect()
}

fn command_line(id: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

const CREATE: &str = "site.create(arguments[0]).then(done);";

#[tokio::test]
async fn a_driver_that_is_killed_ends_its_session_alone_and_leaves_no_browser() {
    if !has(&CHROMIUM) {
        return;
    }
    let site = Site::start().await;
    let driver = WebDriver::by_the_name_of("keyrig-chromedriver", "").await;
    let (session, _) = driver.chromium().await;
    let authenticator = driver.add(&session, json!({})).await;
    driver.open(&session, &site.url).await;
    let made = driver.run(&session, CREATE, json!([{}])).await;
    assert_eq!(made["flags"], "UP AT", "{made}");
    let [control] = &driver.controls()[..] else { panic!("one rack") };
    assert!(control.exists());
    assert!(!driver.left_behind().is_empty(), "a browser runs");

    kill_process(Pid::from_raw(driver.driver()).unwrap(), Signal::KILL).unwrap();
    // While its end is not known yet the command itself fails.
    let (status, error) = driver.ask(Method::GET, &format!("{session}/url"), None).await;
    let word = error["error"].as_str().unwrap();
    assert!(matches!((status, word), (500, "unknown error") | (404, "invalid session id")), "{status} {error}");
    assert!(
        error["message"].as_str().unwrap().contains("the driver has gone: ") || word == "invalid session id",
        "{error}"
    );
    for path in [format!("{session}/url"), format!("{authenticator}/credentials")] {
        let (status, error) = driver.ask(Method::GET, &path, None).await;
        assert_eq!((status, &error["error"]), (404, &"invalid session id".into()), "{error}");
        assert!(error["message"].as_str().unwrap().contains("driver has gone: "), "{error}");
    }
    assert!(!control.exists(), "its keys are gone");
    assert_eq!(driver.left_behind(), Vec::<Vec<String>>::new());
    // Others begin as before.
    let (session, _) = driver.chromium().await;
    driver.done(Method::DELETE, &session, Value::Null).await;
    assert_eq!(driver.left_behind(), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn a_session_that_is_deleted_while_a_key_blinks_ends_with_its_ceremony_and_its_keys() {
    if !has(&CHROMIUM) {
        return;
    }
    let site = Site::start().await;
    let driver = WebDriver::by_the_name_of("keyrig-chromedriver", "").await;
    let (session, _) = driver.chromium().await;
    let authenticator = driver.add(&session, json!({"isUserConsenting": false})).await;
    driver.open(&session, &site.url).await;
    driver.post(&format!("{session}/timeouts"), json!({"script": 100_000})).await;
    let [control] = &driver.controls()[..] else { panic!("one rack") };
    let (http, url, path) = (driver.http.clone(), driver.url.clone(), format!("{session}/execute/async"));
    let ceremony = tokio::spawn(async move {
        asked(&http, &url, Method::POST, &path, Some(in_page(CREATE, json!([{"timeout": 90_000}])))).await
    });
    let key = authenticator.rsplit('/').next().unwrap().parse().unwrap();
    let waits = Wait { key, r#for: WaitFor::Touch, timeout_ms: 60_000 };
    let state = send(control, waits).await.expect("it blinks");
    assert!(state.keys[0].waiting_for.is_some());

    let deleted = timeout(Duration::from_secs(60), driver.ask(Method::DELETE, &session, None)).await;
    assert_eq!(deleted.expect("it does not wait for the ceremony"), (200, Value::Null));
    let (status, ended) = timeout(Duration::from_secs(30), ceremony).await.expect("it ends").unwrap();
    assert_ne!(status, 200, "{ended}");
    assert!(!ended["error"].as_str().unwrap().is_empty());
    assert!(!control.exists(), "no rack, and so no key that blinks");
    assert_eq!(driver.left_behind(), Vec::<Vec<String>>::new());
    let (status, error) = driver.ask(Method::DELETE, &session, None).await;
    assert_eq!((status, &error["error"]), (404, &"invalid session id".into()));
}

#[tokio::test]
async fn of_two_sessions_with_keys_of_the_same_name_neither_reaches_the_others() {
    if !has(&CHROMIUM) {
        return;
    }
    let site = Site::start().await;
    let driver = WebDriver::by_the_name_of("keyrig-chromedriver", "--key a=keyrig").await;
    let ((first, _), (second, _)) = tokio::join!(driver.chromium(), driver.chromium());
    let controls = driver.controls();
    assert_eq!(controls.len(), 2);
    for control in &controls {
        let keys = send(control, List {}).await.unwrap().keys;
        assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a"]);
    }
    for session in [&first, &second] {
        driver.open(session, &site.url).await;
    }
    let resident = json!([{"resident": false}]);
    let made = driver.run(&first, CREATE, resident).await;
    assert_eq!(made["flags"], "UP AT", "{made}");
    let get = "site.get(arguments[0]).then(done);";
    let asked = json!([{"allowed": [made["id"]], "keys": {}, "timeout": 1000}]);
    let elsewhere = driver.run(&second, get, asked.clone()).await;
    assert!(elsewhere.get("flags").is_none(), "{elsewhere}");
    assert_eq!(driver.run(&first, get, asked).await["flags"], "UP");

    // Nor by the id of an authenticator, and not by that of a credential.
    let authenticator = driver.add(&first, json!({"hasResidentKey": true, "hasUserVerification": true})).await;
    let (_, id) = authenticator.rsplit_once('/').unwrap();
    let of_the_other = format!("{second}/webauthn/authenticator/{id}");
    for (method, path) in [(Method::GET, format!("{of_the_other}/credentials")), (Method::DELETE, of_the_other)] {
        let (status, error) = driver.ask(method, &path, None).await;
        assert_eq!((status, &error["error"]), (400, &"invalid argument".into()), "{error}");
    }
    let counts = async || {
        let mut counts = Vec::new();
        for control in &controls {
            let keys = send(control, List {}).await.unwrap().keys;
            for key in keys {
                let export = ExportCredentials { key: key.name.clone(), credential_id: None, rp_id: None };
                counts.push((
                    control.clone(),
                    key.name.to_string(),
                    send(control, export).await.unwrap().credentials.len(),
                ));
            }
        }
        counts
    };
    assert_eq!(counts().await.len(), 3, "the second rack has no key of the first");
    // One that ends takes nothing of the other along.
    driver.done(Method::DELETE, &first, Value::Null).await;
    assert_eq!(controls.iter().filter(|control| control.exists()).count(), 1);
    let added = driver.add(&second, json!({})).await;
    assert_eq!(driver.done(Method::GET, &format!("{added}/credentials"), Value::Null).await, json!([]));
    driver.done(Method::DELETE, &second, Value::Null).await;
}

/// A driver that runs under `keyrig exec` already, whose rack is named: as that of `keyrig attach` is, where the browser finds its keys.
#[tokio::test]
async fn a_driver_at_an_address_finds_the_keys_of_the_rack_that_is_named() {
    if !has(&CHROMIUM) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control.sock");
    let mut command = Command::new(program::keyrig());
    command.args(["exec", "--quiet", "--http", "none", "--key", "none", "--touch", "manual"]);
    command.arg("--control").arg(format!("unix:{}", control.display())).args([
        "--",
        "/usr/bin/chromedriver",
        "--port=0",
    ]);
    let under = WebDriver::start(command, directory).await;
    let in_front = |more: &[&str]| {
        let mut command = Command::new(program::keyrig());
        command.args(["webdriver", "--listen", "0", "--driver", &under.url]).args(more);
        WebDriver::start(command, tempfile::tempdir().unwrap())
    };
    let named = format!("unix:{}", control.display());
    let driver = in_front(&["--control", &named]).await;
    let site = Site::start().await;
    let (session, capabilities) = driver.chromium().await;
    assert_eq!(capabilities["keyrig:webauthn"]["mode"], "hid", "{capabilities}");
    let verified = json!({"hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true});
    let authenticator = driver.add(&session, verified).await;
    assert_eq!(send(&control, List {}).await.unwrap().keys.len(), 1);
    driver.open(&session, &site.url).await;
    let made = driver.run(&session, CREATE, json!([{"resident": true, "verified": "required"}])).await;
    assert_eq!(made["flags"], "UP UV AT", "{made}");
    let told = driver.done(Method::GET, &format!("{authenticator}/credentials"), Value::Null).await;
    assert_eq!((&told[0]["credentialId"], told.as_array().unwrap().len()), (&made["id"], 1));
    // Its browser has the keys of that rack, and a second one would have them, too.
    let (status, error) = driver.ask(Method::POST, "/session", Some(json!({"capabilities": {}}))).await;
    assert_eq!((status, &error["error"]), (500, &"session not created".into()));
    driver.done(Method::DELETE, &session, Value::Null).await;
    assert!(send(&control, List {}).await.unwrap().keys.is_empty(), "its keys went with the session");
    // Without a rack no key reaches the browser: its pages get the script.
    let driver = in_front(&[]).await;
    let (session, capabilities) = driver.chromium().await;
    assert_eq!(capabilities["keyrig:webauthn"]["mode"], "page", "{capabilities}");
    driver.done(Method::DELETE, &session, Value::Null).await;
    under.end().await;
}

/// What a page's own script asks while the page is parsed, in the first window and in another.
async fn pages_that_ask_early(driver: &WebDriver, session: &str, told: &Value, direct: &[&str]) {
    assert_eq!(told["keyrig:webauthn"], json!({"mode": "page", "direct": direct, "script": "before"}));
    let site = Site::start().await;
    let verified =
        json!({"transport": "ble", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true});
    let authenticator = driver.add(session, verified).await;
    let credentials = async || {
        let told = driver.done(Method::GET, &format!("{authenticator}/credentials"), Value::Null).await;
        told.as_array()
            .unwrap()
            .iter()
            .map(|one| one["credentialId"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let early = format!("{}/early", site.url);
    let mut made = Vec::new();
    for window in ["first", "other"] {
        if window == "other" {
            let other = driver.post(&format!("{session}/window/new"), json!({"type": "tab"})).await;
            driver.post(&format!("{session}/window"), json!({"handle": other["handle"]})).await;
        }
        driver.open(session, &early).await;
        let asked = driver.run(session, "early.then(done);", json!([])).await;
        assert_eq!((&asked["flags"], &asked["transports"]), (&"UP UV AT".into(), &json!(["ble"])), "{window}: {asked}");
        made.push(asked["id"].as_str().unwrap().to_owned());
        // The same user's: it takes the place of the one before (CTAP 2.3 §6.1.2 step 17.2).
        assert_eq!(credentials().await, BTreeSet::from([asked["id"].as_str().unwrap().to_owned()]));
    }
    assert_ne!(made[0], made[1]);

    // What a site signals reaches it, as it does Chromium's own (WebAuthn Level 3 §5.1.10).
    let signal = "PublicKeyCredential[arguments[0]](arguments[1]).then(() => done(null), (error) => done(error.name));";
    let own = made[1].clone();
    let other = "AAAA";
    let user = "dXNlcg";
    for (method, options, expected, left) in [
        ("signalUnknownCredential", json!({"rpId": "example.com", "credentialId": own}), json!("SecurityError"), 1),
        ("signalUnknownCredential", json!({"rpId": "localhost", "credentialId": "?"}), json!("TypeError"), 1),
        ("signalUnknownCredential", json!({"rpId": "localhost", "credentialId": other}), Value::Null, 1),
        (
            "signalAllAcceptedCredentials",
            json!({"rpId": "localhost", "userId": other, "allAcceptedCredentialIds": []}),
            Value::Null,
            1,
        ),
        (
            "signalAllAcceptedCredentials",
            json!({"rpId": "localhost", "userId": user, "allAcceptedCredentialIds": [own, other]}),
            Value::Null,
            1,
        ),
        (
            "signalCurrentUserDetails",
            json!({"rpId": "localhost", "userId": user, "name": "new", "displayName": "New"}),
            Value::Null,
            1,
        ),
        (
            "signalAllAcceptedCredentials",
            json!({"rpId": "localhost", "userId": user, "allAcceptedCredentialIds": [other]}),
            Value::Null,
            0,
        ),
    ] {
        assert_eq!(driver.run(session, signal, json!([method, options])).await, expected, "{method} {options}");
        let told = driver.done(Method::GET, &format!("{authenticator}/credentials"), Value::Null).await;
        let names: Vec<_> = told.as_array().unwrap().iter().map(|one| &one["userName"]).collect();
        assert_eq!(names.len(), left, "{method} {options}");
        if method == "signalCurrentUserDetails" {
            assert_eq!(names, ["new"]);
        }
    }
    driver.done(Method::DELETE, session, Value::Null).await;
}

#[tokio::test]
async fn a_page_in_chromium_has_the_script_before_its_own_by_devtools_and_by_bidi() {
    if !has(&CHROMIUM) {
        return;
    }
    let driver = WebDriver::by_the_name_of("keyrig-chromedriver", "--webauthn page").await;
    let (session, told) = driver.chromium().await;
    pages_that_ask_early(&driver, &session, &told, &[]).await;
    let (session, told) = driver.chromium_with(json!({"webSocketUrl": true})).await;
    pages_that_ask_early(&driver, &session, &told, &["webSocketUrl"]).await;
}

#[tokio::test]
async fn a_page_in_firefox_has_the_script_before_its_own_by_bidi_that_nobody_asked_for() {
    if !has(&["/usr/bin/firefox-esr", GECKODRIVER]) {
        return;
    }
    let driver = WebDriver::by_the_name_of("keyrig-geckodriver", "--webauthn page").await;
    let (session, capabilities) = driver.firefox().await;
    assert!(capabilities.get("webSocketUrl").is_none(), "{capabilities}");
    pages_that_ask_early(&driver, &session, &capabilities, &[]).await;
}
