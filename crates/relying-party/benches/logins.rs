//! Logins over HTTP by password and security key, in our shapes and in Proxmox VE's: apart from what hashing a password costs, as users
//! grow, and with it.
//!
//! Everything is as in use: a database on the disk that is told to make each step durable, a socket on loopback, JSON. Two
//! requests are a login; each is one transaction.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keyrig_relying_party::{
    By, Clock, DATABASE_FILE, Options, PasswordCost, PasswordHash, RelyingParty, Role, Server, Settings, Store,
    SystemClock, SystemRandomness, serve,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const RP_ID: &str = "localhost";
const ORIGIN: &str = "http://localhost:8006";
const PASSWORD: &str = "correct horse battery staple";
const CREDENTIAL_ID: [u8; 16] = [7; 16];

/// In whose shapes is logged in.
#[derive(Clone, Copy)]
enum Face {
    Own,
    Proxmox,
}

const FACES: [(Face, &str); 2] = [(Face::Own, ""), (Face::Proxmox, " at /api2/json")];

/// A relying party with so many users, each of whom has TOTP; the last has a security key without a counter in its place.
struct Site {
    runtime: Runtime,
    key: SigningKey,
    http: reqwest::Client,
    address: String,
    _server: Server,
    _directory: TempDir,
}

impl Site {
    fn with_users(users: u32, password_cost: PasswordCost) -> Self {
        let directory = TempDir::new().unwrap();
        let key = SigningKey::from_slice(&[1; 32]).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let hash = PasswordHash::new(PASSWORD, password_cost, &SystemRandomness).unwrap();
        let name = "alice@pve".parse().unwrap();
        store.add_user(&name, Role::User, &hash, &By::command_line(SystemClock.now())).unwrap();
        fill(directory.path(), users, &key);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (address, server) = runtime.block_on(async {
            let settings = Settings::new(RP_ID, ORIGIN);
            let options = Options { password_cost, ..Options::new(store) };
            let relying_party = RelyingParty::new(Ok(settings), options, Arc::new(SystemClock));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = serve(listener, Arc::new(relying_party)).unwrap();
            (server.local_addr().to_string(), server)
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { runtime, key, http, address, _server: server, _directory: directory }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("http://{}{path}", self.address)).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What the key answers to options: its credential in JSON.
    fn credential(&self, options: &Value) -> Value {
        let challenge = &options["publicKey"]["challenge"];
        let client_data =
            json!({ "type": "webauthn.get", "challenge": challenge, "origin": ORIGIN, "crossOrigin": false })
                .to_string();
        let authenticator_data = [&Sha256::digest(RP_ID)[..], &[0x01], &[0; 4]].concat();
        let message = [&authenticator_data[..], &Sha256::digest(&client_data)].concat();
        let signature: DerSignature = self.key.sign(&message);
        json!({
            "id": URL_SAFE_NO_PAD.encode(CREDENTIAL_ID),
            "rawId": URL_SAFE_NO_PAD.encode(CREDENTIAL_ID),
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(&authenticator_data),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_bytes()),
                "userHandle": null,
            },
            "clientExtensionResults": {},
        })
    }

    async fn log_in(&self, face: Face) {
        match face {
            Face::Own => self.log_in_here().await,
            Face::Proxmox => self.log_in_as_at_proxmox().await,
        }
    }

    /// The same in Proxmox VE's shapes: half a ticket, and the other half.
    async fn log_in_as_at_proxmox(&self) {
        let path = "/api2/json/access/ticket";
        let half = self.post(path, &json!({ "username": "alice@pve", "password": PASSWORD })).await;
        let ticket = half["data"]["ticket"].as_str().unwrap();
        let payload = ticket.strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap();
        let offered: Value = serde_json::from_str(&payload.replace("%3A", ":").replace("%25", "%")).unwrap();
        let answer = format!("webauthn:{}", self.credential(&offered["webauthn"]));
        let body = json!({ "username": "alice@pve", "password": answer, "tfa-challenge": ticket });
        let whole = self.post(path, &body).await;
        assert!(whole["data"]["ticket"].is_string() && whole["data"].get("NeedTFA").is_none(), "{whole}");
        black_box(whole);
    }

    async fn log_in_here(&self) {
        let offered = self.post("/api/login", &json!({ "user": "alice@pve", "password": PASSWORD })).await;
        let ceremony = &offered["factors"]["webauthn"];
        let credential = self.credential(&ceremony["options"]);
        let body = json!({ "login": offered["login"], "challenge": ceremony["challenge"], "credential": credential });
        let answer = self.post("/api/login/webauthn", &body).await;
        assert_eq!(answer["state"], "logged_in", "{answer}");
        black_box(answer);
    }

    /// How long so many logins take, by so many clients at once.
    fn log_in_at_once(self: &Arc<Self>, face: Face, logins: u64, clients: u64) -> Duration {
        let began = Instant::now();
        self.runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for client in 0..clients {
                let site = self.clone();
                let share = logins / clients + u64::from(client < logins % clients);
                running.spawn(async move {
                    for _ in 0..share {
                        site.log_in(face).await;
                    }
                });
            }
            while let Some(ended) = running.join_next().await {
                ended.unwrap();
            }
        });
        began.elapsed()
    }
}

/// Writes users and factors past the API, which makes each durable on its own.
fn fill(directory: &Path, users: u32, key: &SigningKey) {
    let mut connection = Connection::open(directory.join(DATABASE_FILE)).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..users {
        let handle = u128::from(number).to_be_bytes();
        transaction
            .prepare_cached("INSERT INTO users (name, realm, handle, role, enabled, comment, created) VALUES (?, 'pve', ?, 'user', 1, '', 0)")
            .unwrap()
            .execute(params![format!("user{number}"), handle])
            .unwrap();
        let (user, factor) = (transaction.last_insert_rowid(), format!("{number:016x}"));
        transaction
            .prepare_cached("INSERT INTO factors VALUES (?, ?, 'totp', 'app', 0, NULL, 1)")
            .unwrap()
            .execute(params![factor, user])
            .unwrap();
        transaction
            .prepare_cached("INSERT INTO totp VALUES (?, ?, 'SHA1', 6, 30, NULL, NULL)")
            .unwrap()
            .execute(params![factor, [1_u8; 20]])
            .unwrap();
    }
    let point = key.verifying_key().to_sec1_point(false);
    let coordinates = &point.as_bytes()[1..];
    let (x, y) = coordinates.split_at(32);
    // COSE_Key of ES256: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
    let cose = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat();
    let user: i64 = transaction.query_row("SELECT id FROM users WHERE name = 'alice'", [], |row| row.get(0)).unwrap();
    transaction.execute("INSERT INTO factors VALUES ('key', ?, 'webauthn', 'key', 0, NULL, 1)", [user]).unwrap();
    transaction
        .execute(
            "INSERT INTO webauthn_credentials VALUES ('key', ?, ?, 0, 0, 0, 0, '[]', ?, x'00', ?, 'none', x'', x'', 0)",
            params![CREDENTIAL_ID, cose, RP_ID, [0_u8; 16]],
        )
        .unwrap();
    transaction.commit().unwrap();
}

fn logins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("login over HTTP");
    group.sample_size(20).throughput(Throughput::Elements(1));
    for users in [10, 10_000, 100_000] {
        let site = Arc::new(Site::with_users(users, PasswordCost::DangerNone));
        for (face, of) in FACES {
            for (clients, by) in [(1, "one client"), (16, "16 clients")] {
                let id = BenchmarkId::new(format!("{by}{of}"), format!("{users} users"));
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|logins| site.log_in_at_once(face, logins, clients));
                });
            }
        }
    }
    group.finish();
}

fn passwords(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("password");
    group.sample_size(10);
    group.bench_function("hashed alone", |bencher| {
        bencher.iter(|| PasswordHash::new(PASSWORD, PasswordCost::Full, &SystemRandomness).unwrap());
    });
    let site = Arc::new(Site::with_users(10, PasswordCost::Full));
    for (face, of) in FACES {
        group.bench_function(format!("login with it{of}"), |bencher| {
            bencher.iter_custom(|logins| site.log_in_at_once(face, logins, 1));
        });
    }
    group.finish();
}

criterion_group!(benches, logins, passwords);
criterion_main!(benches);
