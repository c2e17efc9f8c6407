//! What is done with the rack: credentials made and asked for, keys pulled and plugged.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Browser, Client, Key};
use keyrig_control::request::{Plug, Unplug};
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use keyrig_ways::{ControlChannel, usb_ip};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::program::Program;
use crate::{Counts, count};

const ORIGIN: &str = "https://soak.example.com";
const RP_ID: &str = "soak.example.com";

/// How many credentials are made: a key has room for a hundred.
const MAX_CREDENTIALS: usize = 90;

/// How many are looked at after each disturbance.
const SOME: usize = 5;

/// How long a key may take for one ceremony before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RackWork {
    program: Arc<Program>,
    control: PathBuf,
    counts: Arc<Counts>,
    /// The ids of credentials on the key `b` that were acknowledged.
    credentials: Mutex<Vec<String>>,
}

fn name(name: &str) -> KeyName {
    name.parse().expect("a name")
}

impl RackWork {
    pub(crate) fn new(program: Arc<Program>, directory: &Path, counts: Arc<Counts>) -> Self {
        Self { program, control: directory.join("control"), counts, credentials: Mutex::default() }
    }

    /// A key that nobody pulls, for the site.
    pub(crate) fn key(&self) -> Key<ControlChannel> {
        self.key_named("a")
    }

    fn key_named(&self, key: &str) -> Key<ControlChannel> {
        Key::new(key, ControlChannel { path: self.control.clone(), key: name(key) })
    }

    fn page() -> Client {
        // Chromium asks for a PIN where a credential is to be discoverable.
        Client::new(ORIGIN.parse().expect("an origin")).in_browser(Browser::Firefox)
    }

    /// Makes discoverable credentials, by turns over USB/IP and by the control socket.
    pub(crate) async fn make_credentials(self: Arc<Self>) {
        for number in 0_usize.. {
            let made = self.credentials.lock().expect("whole").len();
            if made >= MAX_CREDENTIALS {
                self.ask_for(number % made.max(1)).await;
            } else {
                // Of a length that is base64url by itself.
                let user = format!("{number:08}");
                let made = timeout(PATIENCE, self.make(&user, number.is_multiple_of(2))).await;
                match made.ok().flatten() {
                    Some(id) => {
                        count(&self.counts.ceremonies);
                        self.credentials.lock().expect("whole").push(id);
                    }
                    None => count(&self.counts.keys_failed),
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn make(&self, user: &str, over_usb_ip: bool) -> Option<String> {
        let options = json!({
            "rp": {"id": RP_ID, "name": "soak"},
            "user": {"id": user, "name": user, "displayName": user},
            "challenge": "qqqqqqqqqqqqqqqqqqqqqg",
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"residentKey": "required", "userVerification": "discouraged"},
        });
        let options = CreationOptions::from_json(&options.to_string()).expect("WebAuthn's JSON");
        let json = if over_usb_ip {
            let listening = self.program.listening().await;
            let server = listening.get("usbip").and_then(Value::as_str)?.parse().ok()?;
            let keys = listening.get("keys").and_then(Value::as_array)?;
            let busid = keys.iter().find(|key| key.get("name").is_some_and(|name| name == "b"))?;
            let channel = usb_ip(server, busid.get("busid").and_then(Value::as_str)?).await.ok()?;
            Self::page().create(&options, &mut [Key::new("b", channel)], Cancel::never()).await.ok()?.to_json()
        } else {
            Self::page().create(&options, &mut [self.key_named("b")], Cancel::never()).await.ok()?.to_json()
        };
        let credential: Value = serde_json::from_str(&json).expect("JSON");
        credential.get("id").and_then(Value::as_str).map(str::to_owned)
    }

    /// Whether the key has a credential.
    async fn has(&self, id: &str) -> bool {
        let options = json!({
            "challenge": "u7u7u7u7u7u7u7u7u7u7uw",
            "rpId": RP_ID,
            "allowCredentials": [{"type": "public-key", "id": id}],
            "userVerification": "discouraged",
        });
        let options = RequestOptions::from_json(&options.to_string()).expect("WebAuthn's JSON");
        let (page, mut keys) = (Self::page(), [self.key_named("b")]);
        let got = page.get(&options, &mut keys, Cancel::never());
        timeout(PATIENCE, got).await.is_ok_and(|got| got.is_ok())
    }

    async fn ask_for(&self, index: usize) {
        let id = self.credentials.lock().expect("whole").get(index).cloned();
        match id {
            Some(id) if self.has(&id).await => count(&self.counts.ceremonies),
            _ => count(&self.counts.keys_failed),
        }
    }

    /// Pulls the key `b` and plugs it in again, whoever is using it.
    pub(crate) async fn pull_and_plug(self: Arc<Self>) {
        loop {
            sleep(Duration::from_millis(700)).await;
            if send(&self.control, Unplug { key: name("b") }).await.is_ok() {
                count(&self.counts.pulled);
            }
            sleep(Duration::from_millis(100)).await;
            // It is in when it was never pulled.
            let _ = send(&self.control, Plug { key: name("b") }).await;
        }
    }

    /// Comes when the rack's keys make credentials.
    pub(crate) async fn works(&self) {
        loop {
            let _ = send(&self.control, Plug { key: name("b") }).await;
            // One that is not discoverable is kept by nobody.
            let options = json!({
                "rp": {"id": RP_ID, "name": "soak"},
                "user": {"id": "AAAA", "name": "works", "displayName": "works"},
                "challenge": "qqqqqqqqqqqqqqqqqqqqqg",
                "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
                "authenticatorSelection": {"residentKey": "discouraged", "userVerification": "discouraged"},
            });
            let options = CreationOptions::from_json(&options.to_string()).expect("WebAuthn's JSON");
            let mut working = 0;
            for key in ["a", "b"] {
                let (page, mut keys) = (Self::page(), [self.key_named(key)]);
                let made = page.create(&options, &mut keys, Cancel::never());
                working += usize::from(timeout(PATIENCE, made).await.is_ok_and(|made| made.is_ok()));
            }
            if working == 2 {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// A key that is pulled at the moment has nothing: it is asked again.
    async fn must_have(&self, id: &str, told: &str) {
        for _ in 0..20 {
            if self.has(id).await {
                return;
            }
            sleep(Duration::from_millis(130)).await;
        }
        panic!("the credential {id} is lost {told}");
    }

    pub(crate) async fn check_some(&self, told: &str) {
        let latest: Vec<String> = self.credentials.lock().expect("whole").iter().rev().take(SOME).cloned().collect();
        for id in latest {
            self.must_have(&id, told).await;
        }
    }

    /// How many there are, none of them lost.
    pub(crate) async fn check_all(&self) -> usize {
        let all = self.credentials.lock().expect("whole").clone();
        for id in &all {
            self.must_have(id, "at the end").await;
        }
        all.len()
    }
}
