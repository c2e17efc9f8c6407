//! The written recovery procedure, followed on a real server: the commands are those of the document, and what it says
//! between them is done on the site, with keys of a rack.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use keyrig_client::channel::Cancel;
use keyrig_client::{Client, Key};
use keyrig_rack::command::Command as RackCommand;
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use keyrig_relying_party::Totp;
use keyrig_scenario::site::{PasswordStep, SecondFactor, Site};
use keyrig_ways::InProcess;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::schema::assert_is;

const DOCUMENT: &str = include_str!("../../relying-party/RECOVERY.md");
const PASSWORD: &str = "correct horse battery";

/// `keyrig rp serve`, until it is dropped.
struct Serving {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// With further options, and a `datacenter.cfg` beside the state.
    fn start_with(options: &[&str], config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("datacenter.cfg"), config).expect("it is written");
        let password = directory.path().join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).expect("it is written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrig"))
            .args(["rp", "serve", "--listen", "localhost:0", "--json", "--initial-password"])
            .arg(&password)
            .arg("--state")
            .arg(directory.path().join("state"))
            .args(options)
            .current_dir(directory.path())
            .env_remove("KEYRIG_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let listening: Value = serde_json::from_str(&line).expect("JSON");
        assert!(listening.get("initial_password").is_none(), "one that was given is not printed");
        let url = listening.get("url").and_then(Value::as_str).expect("a URL");
        let port = url.strip_prefix("http://localhost:").and_then(|port| port.parse().ok()).expect("a port");
        Self { child, directory, port }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn password_file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    /// How a program with this token for programs is answered.
    async fn asked_by(&self, token: &str) -> u16 {
        let url = format!("http://localhost:{}/api2/json/access/users", self.port);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        client.get(url).header("Authorization", token).send().await.expect("an answer").status().as_u16()
    }

    /// A browser that asks for this host, and gets here whatever it is.
    fn browser(&self, host: &str) -> Site {
        let address = ([127, 0, 0, 1], self.port).into();
        Site::new(&format!("http://{host}:{}", self.port), host, address).expect("an HTTP client")
    }
}

/// The commands of a document, by its headings.
struct Procedure {
    commands: Vec<(&'static str, &'static str)>,
    done: usize,
    state: PathBuf,
}

impl Procedure {
    fn of(document: &'static str, state: PathBuf) -> Self {
        let (mut heading, mut in_block, mut commands) = ("", false, Vec::new());
        for line in document.lines() {
            if let Some(found) = line.strip_prefix("## ") {
                heading = found;
            } else if line.starts_with("```") {
                in_block = line == "```sh";
            } else if in_block {
                commands.push((heading, line));
            }
        }
        Self { commands, done: 0, state }
    }

    /// Runs the next command, which has to be of this section, and returns what it prints. `ID` is what `id` says.
    fn next(&mut self, heading: &str, id: &str) -> String {
        let (found, command) = self.commands.get(self.done).copied().expect("there is another command");
        assert_eq!(found, heading, "{command}");
        self.done += 1;
        let words: Vec<_> = command.split(' ').map(|word| if word == "ID" { id } else { word }).collect();
        let (program, arguments) = words.split_first().expect("there are words");
        assert_eq!(*program, "keyrig", "{command}");
        run(arguments, &self.state)
    }

    /// Runs the rest of the commands of a section.
    fn rest(&mut self, heading: &str) -> String {
        let mut printed = String::new();
        while self.commands.get(self.done).is_some_and(|(found, _)| *found == heading) {
            printed.push_str(&self.next(heading, ""));
        }
        assert!(!printed.is_empty(), "{heading} has commands");
        printed
    }
}

fn run(arguments: &[&str], state: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_keyrig"))
        .args(arguments)
        .arg("--state")
        .arg(state)
        .env_remove("KEYRIG_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("keyrig runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A user with a drawer of security keys.
struct Person {
    rack: Rack,
    keys: Vec<Key<InProcess>>,
    page: Client,
    site: Site,
    name: &'static str,
    password: String,
}

const KEYS: [&str; 4] = ["primary", "backup", "new", "spare"];

impl Person {
    async fn new(serving: &Serving, name: &'static str) -> Self {
        Self::at(serving, name, "http", "localhost").await
    }

    async fn at(serving: &Serving, name: &'static str, scheme: &str, host: &str) -> Self {
        let called = |key: &str| key.parse::<KeyName>().expect("a name");
        let specifications = KEYS.map(|key| KeySpecification::built_in("keyrig", key).expect("built in")).to_vec();
        let options = Options { finger: Finger { policy: TouchPolicy::Auto, over: None }, ..Options::default() };
        let rack = Rack::start(options, specifications).await.expect("a rack");
        let key = |key| Key::new(key, InProcess(rack.key(&called(key)).expect("it is there")));
        let keys = KEYS.map(key).into();
        let origin = format!("{scheme}://{host}:{}", serving.port);
        let page = Client::new(origin.parse().expect("an origin"));
        Self { rack, keys, page, site: serving.browser(host), name, password: PASSWORD.to_owned() }
    }

    async fn touch(&self, key: &str) {
        let key = Some(key.parse().expect("a name"));
        self.rack.command(RackCommand::Finger { key }).await.expect("there is such a key");
    }

    async fn give_password(&mut self) -> PasswordStep {
        self.site = self.site.another_browser();
        let step = self.site.log_in(self.name, &self.password).await.expect("an answer");
        step.expect("the password is right")
    }

    async fn second_factor(&mut self) -> SecondFactor {
        match self.give_password().await {
            PasswordStep::SecondFactor(offer) => *offer,
            other => panic!("a second factor is asked for, not {other:?}"),
        }
    }

    async fn log_in_by_key(&mut self, key: &str) -> bool {
        let offer = self.second_factor().await;
        let ceremony = offer.webauthn.expect("there is a key to ask for");
        self.touch(key).await;
        let Ok(found) = self.page.get(&ceremony.options, &mut self.keys, Cancel::never()).await else {
            return false;
        };
        let credential: Value = serde_json::from_str(&found.to_json()).expect("JSON");
        let answer = self.site.finish_login_by_key(&offer.login, &ceremony.challenge, &credential).await;
        answer.expect("an answer").is_ok()
    }

    async fn add_key(&mut self, key: &str) {
        self.confirm().await;
        let begun = self.site.begin_registration(false).await.expect("an answer").expect("it begins");
        self.touch(key).await;
        let made = self.page.create(&begun.options, &mut self.keys, Cancel::never()).await.expect("a credential");
        let credential: Value = serde_json::from_str(&made.to_json()).expect("JSON");
        let answer = self.site.finish_registration(&begun.challenge, key, &credential).await;
        answer.expect("an answer").expect("it is taken");
    }

    async fn confirm(&mut self) {
        let password = self.password.clone();
        self.site.confirm(&password).await.expect("an answer").expect("the password is right");
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        let answer = self.site.request(Method::POST, path, Some(&body)).await.expect("an answer");
        answer.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
    }

    async fn add_totp(&mut self) -> Totp {
        self.confirm().await;
        let begun = self.post("/api/factors/totp/begin", json!({})).await;
        let totp =
            begun.get("uri").and_then(Value::as_str).and_then(|uri| Totp::from_uri(uri).ok()).expect("a URI of TOTP");
        let code = totp.code(SystemTime::now());
        let body = json!({ "challenge": begun.get("challenge"), "description": "phone", "code": code });
        self.post("/api/factors/totp", body).await;
        totp
    }

    async fn add_recovery_keys(&mut self) -> Vec<String> {
        self.confirm().await;
        let added = self.post("/api/factors/recovery", json!({ "description": "paper" })).await;
        let keys = added.get("recovery_keys").and_then(Value::as_array).expect("a list");
        keys.iter().map(|key| key.as_str().expect("text").to_owned()).collect()
    }

    /// Gives so many codes that are good for no step from now to the end of any test.
    async fn give_wrong_codes(&mut self, totp: &Totp, number: usize) {
        let now = SystemTime::now();
        let good: Vec<_> =
            (0..40_u64).map(|step| totp.code(now + Duration::from_secs(30 * step) - Duration::from_secs(60))).collect();
        let wrong = (0..).map(|code| format!("{code:06}")).find(|code| !good.contains(code)).expect("some are wrong");
        let offer = self.second_factor().await;
        for _ in 0..number {
            let refusal = self.site.finish_login_by_totp(&offer.login, &wrong).await.expect("an answer");
            assert_eq!(refusal.expect_err("it is wrong").code, "authentication_failed");
        }
    }
}

fn descriptions(factors: &[Value]) -> Vec<&str> {
    factors.iter().map(|factor| factor["description"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn the_document_leads_back_in() {
    let serving = Serving::start();
    let mut procedure = Procedure::of(DOCUMENT, serving.state());
    let password = serving.password_file();
    let password = password.to_str().expect("text");
    run(&["rp", "user", "add", "alice@pve", "--password", password], &serving.state());
    run(&["rp", "realm", "modify", "pve", "--tfa", "type=any"], &serving.state());

    // Alice is led through enrolment, and has what the document advises.
    let mut alice = Person::new(&serving, "alice@pve").await;
    assert!(matches!(alice.give_password().await, PasswordStep::EnrolmentRequired));
    alice.add_key("primary").await;
    alice.add_key("backup").await;
    let totp = alice.add_totp().await;
    let paper = alice.add_recovery_keys().await;
    let mut root = Person::new(&serving, "root@pam").await;
    assert!(matches!(root.give_password().await, PasswordStep::LoggedIn));
    root.add_key("primary").await;
    assert!(root.log_in_by_key("primary").await);

    // What somebody else made meanwhile, and what is good for as much as she is.
    let token =
        run(&["rp", "user", "token", "add", "alice@pve", "backup", "--privsep", "0", "--json"], &serving.state());
    let token: Value = serde_json::from_str(&token).expect("JSON");
    let token = format!("PVEAPIToken=alice@pve!backup={}", token["secret"].as_str().expect("it is told"));

    let audit = procedure.rest("Before it happens");
    assert!(audit.contains("api token backup") && audit.contains("1 with API tokens"), "{audit}");
    let (_, of_alice) = audit.split_once("alice@pve").expect("she is there");
    assert!(!of_alice.contains("  ! "), "nothing is to be said of her: {audit}");
    assert!(audit.contains("is an administrator with only one security key"), "{audit}");
    // All kinds of factors are there: programs are told of them as the schemas say.
    for (schema, words) in
        [("audit", &["rp", "audit", "--json"][..]), ("factors", &["rp", "user", "tfa", "list", "--json"])]
    {
        let told = run(words, &serving.state());
        for kind in ["webauthn", "totp", "recovery"] {
            assert!(told.contains(&format!(r#""type":"{kind}""#)), "{told}");
        }
        assert_is(schema, &serde_json::from_str(&told).expect("JSON"));
    }

    // Locked out of TOTP: a recovery key lifts it, or an administrator.
    alice.give_wrong_codes(&totp, 8).await;
    let offer = alice.second_factor().await;
    assert!(offer.totp_locked && !offer.totp);
    let answer = alice.site.finish_login_by_recovery_key(&offer.login, &paper[0]).await.expect("an answer");
    answer.expect("a recovery key is good once");
    let offer = alice.second_factor().await;
    assert!(offer.totp && !offer.totp_locked && offer.recovery == Some(9));
    let again = alice.site.finish_login_by_recovery_key(&offer.login, &paper[0]).await.expect("an answer");
    again.expect_err("and only once");
    alice.give_wrong_codes(&totp, 8).await;
    assert!(alice.second_factor().await.totp_locked);
    assert_eq!(procedure.rest("Codes are refused"), "unlocked alice@pve\n");
    assert!(alice.second_factor().await.totp);

    // The primary key is lost: the backup is good, and the primary is taken out.
    assert!(alice.log_in_by_key("backup").await);
    let listed = procedure.next("One security key is lost", "");
    let line = listed.lines().find(|line| line.contains("\"primary\"")).expect("it is listed");
    let id = line.split_whitespace().nth(1).expect("an identifier").to_owned();
    let deleted = procedure.next("One security key is lost", &id);
    assert!(deleted.contains("deleted webauthn") && deleted.contains("left: 3 factors"), "{deleted}");
    let factors = alice.site.factors().await.expect("an answer").expect("she is in");
    assert_eq!(descriptions(&factors), ["backup", "phone", "paper"]);
    assert!(!alice.log_in_by_key("primary").await, "what was deleted is good for nothing");
    assert!(alice.log_in_by_key("backup").await);

    // Everything is lost.
    let printed = procedure.next("Everything is lost", "") + &procedure.next("Everything is lost", "");
    assert!(printed.contains("every factor of alice@pve is deleted: 3 factors") && printed.contains("no factor left"));
    let lives_on = "1 API token of alice@pve lives on";
    assert!(printed.contains(lives_on), "{printed}");
    procedure.next("Everything is lost", "");
    let printed = procedure.next("Everything is lost", "");
    assert!(printed.contains(lives_on), "{printed}");
    alice.site.factors().await.expect("an answer").expect_err("her sessions are over");
    alice.password = printed.lines().find_map(|line| line.strip_prefix("password: ")).expect("printed").to_owned();
    assert_eq!(serving.asked_by(&token).await, 200, "no factor and no password was its own");
    assert!(procedure.next("Everything is lost", "").contains("api token backup"));
    assert_eq!(procedure.next("Everything is lost", "backup"), "deleted alice@pve!backup\n");
    assert_eq!(serving.asked_by(&token).await, 401);
    assert!(matches!(alice.give_password().await, PasswordStep::EnrolmentRequired), "not in before she has a factor");
    alice.add_key("new").await;
    alice.add_key("spare").await;
    alice.add_recovery_keys().await;
    assert!(alice.log_in_by_key("spare").await);
    let looked = procedure.rest("Everything is lost");
    let (audit, events) = looked.split_once("with API tokens\n").expect("the audit, then the events");
    let (_, of_alice) = audit.split_once("alice@pve").expect("she is there");
    assert!(!of_alice.contains("  ! ") && of_alice.contains("\"new\"") && of_alice.contains("\"spare\""), "{audit}");
    for kind in ["factor_deleted", "unlocked", "password_changed", "factor_added", "logged_in"] {
        assert!(events.contains(&format!(" {kind} alice@pve by ")), "{kind} in {events}");
    }

    // No administrator can log in.
    let printed = procedure.rest("No administrator can log in");
    root.password = printed.lines().find_map(|line| line.strip_prefix("password: ")).expect("printed").to_owned();
    assert!(matches!(root.give_password().await, PasswordStep::LoggedIn), "the realm pam requires nothing");

    // An attacker may have been in.
    const ATTACKED: &str = "An attacker may have been in";
    assert_eq!(procedure.next(ATTACKED, ""), "alice@pve is user, disabled\n");
    alice.site.factors().await.expect("an answer").expect_err("her sessions are over");
    let refused = alice.site.log_in("alice@pve", &alice.password).await.expect("an answer").expect_err("disabled");
    assert_eq!(refused.code, "authentication_failed");
    let events = procedure.next(ATTACKED, "");
    let line = events.lines().rfind(|line| line.contains("login_refused")).expect("a wrong code");
    let id = line.rsplit_once("(report ").and_then(|(_, rest)| rest.strip_suffix(')')).expect("a report").to_owned();
    let report: Value = serde_json::from_str(&procedure.next(ATTACKED, &id)).expect("JSON");
    assert_eq!(report["event"]["kind"], "login_refused");
    let token = run(&["rp", "user", "token", "add", "alice@pve", "evil", "--json"], &serving.state());
    let token: Value = serde_json::from_str(&token).expect("JSON");
    let token = format!("PVEAPIToken=alice@pve!evil={}", token["secret"].as_str().expect("it is told"));
    assert_eq!(serving.asked_by(&token).await, 401, "while its user is disabled");
    assert!(procedure.next(ATTACKED, "").contains("api token evil"));
    assert_eq!(procedure.next(ATTACKED, "evil"), "deleted alice@pve!evil\n");
    assert_eq!(procedure.next(ATTACKED, ""), "alice@pve is user, enabled\n");
    assert_eq!(serving.asked_by(&token).await, 401, "it is gone, and does not come back with its user");
    assert!(alice.log_in_by_key("new").await);

    assert_eq!(procedure.done, procedure.commands.len(), "every command of the document was run");
}

/// The state directory is open in two processes at once all along: this one is about a server that goes and comes back.
#[test]
fn the_first_password_is_printed_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let serve = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrig"))
            .args(["rp", "serve", "--listen", "localhost:0", "--json", "--state"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let terminated = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        assert!(terminated.success());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "it ends in order");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    let first = serve();
    assert!(first["initial_password"].as_str().expect("made up").len() >= 20);
    assert_eq!(first["listen"][0].as_str().and_then(|address| address.split(':').next()), Some("127.0.0.1"));
    assert!(serve().get("initial_password").is_none());
}

/// As Proxmox VE has it: without `origin` it is https and the request's host, here the one that a proxy passes on.
#[tokio::test]
async fn without_an_origin_the_host_that_was_asked_for_is_the_origin() {
    let options = ["--config", "datacenter.cfg", "--behind-tls", "--explain"];
    let serving = Serving::start_with(&options, "keyboard: de\nwebauthn: rp=Example,id=example.com\n");
    let mut root = Person::at(&serving, "root@pam", "https", "pve.example.com").await;
    assert!(matches!(root.give_password().await, PasswordStep::LoggedIn));
    root.add_key("primary").await;
    assert!(root.log_in_by_key("primary").await);
    // The browser was on one node, and the request came for another.
    root.site = serving.browser("pve2.example.com");
    assert!(!root.log_in_by_key("primary").await);
    let events = run(&["rp", "events"], &serving.state());
    let refused = events.lines().last().expect("there are some");
    assert!(refused.contains("login_refused") && refused.contains("origin"), "{refused}");
}
