//! What is done with the relying party: users added, keys enrolled, logins that succeed and logins that fail.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyrig_client::Client;
use keyrig_client::channel::Cancel;
use keyrig_scenario::site::{Answer, PasswordStep, Site, SiteRefusal};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::program::{PASSWORD, Program};
use crate::rack::RackWork;
use crate::{Counts, count};

const ADMINISTRATOR: &str = "root@pam";

/// Who logs in all the time, with a password and a security key.
const USER: &str = "keys@pve";

/// How many users are added.
const MAX_USERS: usize = 2_000;

/// How many are looked at after each disturbance.
const SOME: usize = 5;

/// How long a browser waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct SiteWork {
    program: Arc<Program>,
    rack: Arc<RackWork>,
    counts: Arc<Counts>,
    /// Users whose adding was acknowledged.
    users: Mutex<Vec<String>>,
}

/// What a browser is told, in time; nothing if the site is away.
async fn told<T>(answer: impl Future<Output = Answer<T>>) -> Option<Result<T, SiteRefusal>> {
    timeout(PATIENCE, answer).await.ok()?.ok()
}

impl SiteWork {
    /// With the user who has a key.
    pub(crate) async fn new(program: Arc<Program>, rack: Arc<RackWork>, counts: Arc<Counts>) -> Self {
        let work = Self { program, rack, counts, users: Mutex::default() };
        let mut root = work.administrator().await.expect("root can log in");
        work.add_user(&mut root, USER).await.expect("the site answers").expect("the user is added");
        work.enrol(USER).await.expect("the user enrols a key");
        work
    }

    fn browser_of(listening: &Value) -> Option<Site> {
        let url = listening.get("url").and_then(Value::as_str)?;
        let port = url.strip_prefix("http://localhost:")?.parse().ok()?;
        Site::new(url, "localhost", SocketAddr::from(([127, 0, 0, 1], port))).ok()
    }

    /// A browser at the site as it runs now.
    async fn browser(&self) -> Site {
        Self::browser_of(&self.program.listening().await).expect("the site says where it is")
    }

    fn page(listening: &Value) -> Option<Client> {
        Some(Client::new(listening.get("url").and_then(Value::as_str)?.parse().ok()?))
    }

    async fn administrator(&self) -> Option<Site> {
        let mut browser = self.browser().await;
        told(browser.log_in(ADMINISTRATOR, PASSWORD)).await?.ok()?;
        told(browser.confirm(PASSWORD)).await?.ok()?;
        Some(browser)
    }

    async fn add_user(&self, root: &mut Site, user: &str) -> Option<Result<Value, SiteRefusal>> {
        let body = json!({ "user": user, "role": "user", "password": PASSWORD });
        told(root.request(Method::POST, "/api/users", Some(&body))).await
    }

    /// Adds users, as fast as passwords are hashed.
    pub(crate) async fn add_users(self: Arc<Self>) {
        let mut number = 0_usize;
        loop {
            let Some(mut root) = self.administrator().await else {
                sleep(Duration::from_millis(200)).await;
                continue;
            };
            while number < MAX_USERS {
                let user = format!("user{number}@pve");
                number += 1;
                match self.add_user(&mut root, &user).await {
                    Some(Ok(_)) => self.users.lock().expect("whole").push(user),
                    Some(Err(refusal)) if refusal.status == 503 => count(&self.counts.unavailable),
                    // Another process, another port; or a session that was confirmed too long ago.
                    _ => break,
                }
                sleep(Duration::from_millis(50)).await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn enrol(&self, user: &str) -> Option<()> {
        let page = Self::page(&self.program.listening().await)?;
        let mut browser = self.browser().await;
        told(browser.log_in(user, PASSWORD)).await?.ok()?;
        told(browser.confirm(PASSWORD)).await?.ok()?;
        let begun = told(browser.begin_registration(false)).await?.ok()?;
        let mut keys = [self.rack.key()];
        let made = page.create(&begun.options, &mut keys, Cancel::never());
        let made = timeout(PATIENCE, made).await.ok()?.ok()?;
        let credential = serde_json::from_str(&made.to_json()).expect("JSON");
        told(browser.finish_registration(&begun.challenge, "key", &credential)).await?.ok()?;
        Some(())
    }

    /// A whole login by password and key.
    async fn log_in_once(&self) -> Option<()> {
        let page = Self::page(&self.program.listening().await)?;
        let mut browser = self.browser().await;
        let PasswordStep::SecondFactor(offer) = told(browser.log_in(USER, PASSWORD)).await?.ok()? else {
            panic!("the user's key is lost: a password was enough");
        };
        let ceremony = offer.webauthn?;
        let mut keys = [self.rack.key()];
        let got = page.get(&ceremony.options, &mut keys, Cancel::never());
        let got = timeout(PATIENCE, got).await.ok()?.ok()?;
        let credential = serde_json::from_str(&got.to_json()).expect("JSON");
        told(browser.finish_login_by_key(&offer.login, &ceremony.challenge, &credential)).await?.ok()?;
        Some(())
    }

    pub(crate) async fn log_in(self: Arc<Self>) {
        loop {
            let began = Instant::now();
            match self.log_in_once().await {
                Some(()) => {
                    count(&self.counts.logins);
                    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.counts.slowest_login_ms.fetch_max(took, Ordering::Relaxed);
                }
                None => count(&self.counts.unavailable),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Gives wrong passwords, for users who are there and users who are not.
    pub(crate) async fn fail_to_log_in(self: Arc<Self>, number: usize) {
        let users = [ADMINISTRATOR, USER, "user0@pve", "nobody@pve"];
        for user in users.iter().cycle().skip(number) {
            let mut browser = self.browser().await;
            match told(browser.log_in(user, "wrong password")).await {
                Some(Err(refusal)) if refusal.code == "authentication_failed" => count(&self.counts.refused_logins),
                Some(Err(refusal)) if refusal.status == 429 => count(&self.counts.busy),
                Some(Err(refusal)) if refusal.status == 503 => count(&self.counts.unavailable),
                Some(other) => panic!("a wrong password was answered with {other:?}"),
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Begins logins that nobody ends.
    pub(crate) async fn begin_passkeys(self: Arc<Self>) {
        loop {
            let mut browser = self.browser().await;
            for _ in 0..20 {
                match told(browser.begin_passkey_login()).await {
                    Some(Ok(_)) => count(&self.counts.ceremonies),
                    Some(Err(refusal)) if refusal.status == 429 => count(&self.counts.busy),
                    _ => break,
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Comes when users are let in, whose failures are written down first.
    pub(crate) async fn works(&self) {
        while self.log_in_once().await.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The users that there are, in all parts of the list.
    async fn users(&self) -> Vec<String> {
        let deadline = Instant::now() + crate::RECOVERY;
        'again: loop {
            assert!(Instant::now() < deadline, "the list of users cannot be had");
            let Some(mut root) = self.administrator().await else { continue };
            let (mut found, mut after) = (Vec::<String>::new(), String::new());
            loop {
                let path = format!("/api/users?limit=200{after}");
                let Some(Ok(answer)) = told(root.request(Method::GET, &path, None)).await else { continue 'again };
                let part = answer.as_array().cloned().unwrap_or_default();
                let names = part.iter().filter_map(|user| user.get("name").and_then(Value::as_str)).map(str::to_owned);
                found.extend(names);
                match found.last() {
                    Some(last) if part.len() == 200 => after = format!("&after={last}"),
                    _ => return found,
                }
            }
        }
    }

    async fn check(&self, users: &[String], told: &str) {
        let there = self.users().await;
        for user in users {
            assert!(there.contains(user), "the user {user} is lost {told}");
        }
    }

    pub(crate) async fn check_some(&self, when: &str) {
        let acknowledged = self.users.lock().expect("whole").clone();
        self.check(&acknowledged, when).await;
        // The latest can log in with what was set.
        for user in acknowledged.iter().rev().take(SOME) {
            let mut browser = self.browser().await;
            let answer = told(browser.log_in(user, PASSWORD)).await;
            let is_out = answer
                .as_ref()
                .is_some_and(|answer| answer.as_ref().is_err_and(|refusal| refusal.code == "authentication_failed"));
            assert!(!is_out, "the password of {user} is lost {when}: {answer:?}");
        }
    }

    /// How many there are, none of them lost.
    pub(crate) async fn check_all(&self) -> usize {
        let all = self.users.lock().expect("whole").clone();
        self.check(&all, "at the end").await;
        all.len()
    }
}
