//! What HTTP adds to a ceremony, and how long after a touch its answer is there.
//!
//! All is as in use: the service on a thread of its own, a connection on loopback that is kept, JSON. The client shares the machine.

#![allow(clippy::unwrap_used, missing_docs)]

use core::time::Duration;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use criterion::{Criterion, criterion_group};
use keyrig_client::channel::Cancel;
use keyrig_client::{Browser, Key, Origin};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_service::client::{Asked, Ceremony, Page};
use keyrig_service::{Service, serve};
use keyrig_ways::InProcess;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const TOKEN: &str = "a-token-of-this-bench";
const ORIGIN: &str = "https://login.example.com";

/// How often a touch is measured.
const TOUCHES: usize = 5_000;

/// A rack of one key that is served, and who asks it.
struct Rig {
    runtime: Runtime,
    http: Client,
    url: String,
    /// Ends the service.
    _end: oneshot::Sender<()>,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

impl Rig {
    fn start(policy: TouchPolicy) -> Self {
        let (started, starts) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        // As keyrig does: rack and service on one thread.
        thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let server = serve(listener, Service::new(rack(policy).await, TOKEN.parse().unwrap())).unwrap();
                started.send(format!("http://{}/v1", server.local_addr())).unwrap();
                let _ = ended.await;
            });
        });
        let runtime = runtime();
        let url = runtime.block_on(starts).unwrap();
        Self { runtime, http: Client::builder().no_proxy().build().unwrap(), url, _end: end }
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.http.post(format!("{}/{path}", self.url)).bearer_auth(TOKEN).json(body);
        request.send().await.unwrap().error_for_status().unwrap()
    }

    /// A ceremony over HTTP, from options to credential.
    async fn over_http(&self, ceremony: &str, options: &Value) -> String {
        let body = json!({"origin": ORIGIN, "options": options});
        self.post(&format!("client/{ceremony}"), &body).await.text().await.unwrap()
    }
}

/// The same without HTTP: rack and page are on one thread.
struct Local {
    runtime: Runtime,
    rack: Rack,
}

impl Local {
    fn start() -> Self {
        let runtime = runtime();
        let rack = runtime.block_on(rack(TouchPolicy::Auto));
        Self { runtime, rack }
    }

    async fn ceremony(&self, ceremony: Ceremony, options: &Value) -> String {
        let key = self.rack.key(&"a".parse().unwrap()).unwrap();
        let page = Page {
            origin: ORIGIN.parse::<Origin>().unwrap(),
            ancestors: Vec::new(),
            browser: Browser::Chromium,
            mediation: None,
            pin: None,
            user: None,
        };
        let asked = Asked::from_json(ceremony, &options.to_string(), page.browser).unwrap();
        let outcome = page.carry_out(&asked, &mut [Key::new("a", InProcess(key))], Cancel::never()).await;
        outcome.credential.unwrap()
    }
}

async fn rack(policy: TouchPolicy) -> Rack {
    let options = Options { finger: Finger { policy, over: None }, ..Options::default() };
    Rack::start(options, vec![KeySpecification::built_in("keyrig", "a").unwrap()]).await.unwrap()
}

fn creation() -> Value {
    json!({
        "rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
        "challenge": "q83vEjRWeJA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    })
}

fn login(created: &str) -> Value {
    let created: Value = serde_json::from_str(created).unwrap();
    let allowed = json!([{"type": "public-key", "id": created.get("id").unwrap()}]);
    json!({"rpId": "example.com", "challenge": "q83vEjRWeJA", "allowCredentials": allowed})
}

fn ceremonies(criterion: &mut Criterion) {
    let (rig, local) = (Rig::start(TouchPolicy::Auto), Local::start());
    let here = local.runtime.block_on(local.ceremony(Ceremony::Create, &creation()));
    let there = rig.runtime.block_on(rig.over_http("create", &creation()));
    for (ceremony, name, here, there) in
        [(Ceremony::Create, "create", creation(), creation()), (Ceremony::Get, "get", login(&here), login(&there))]
    {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("in_process", |bencher| {
            bencher.iter(|| black_box(local.runtime.block_on(local.ceremony(ceremony, &here))));
        });
        group.bench_function("over_http", |bencher| {
            bencher.iter(|| black_box(rig.runtime.block_on(rig.over_http(name, &there))));
        });
        group.finish();
    }
}

/// From the sending of a touch to the credential, for a ceremony that waits for it; and from the sending of a ceremony to the answer of a
/// touch that waits for it.
fn touches() {
    let rig = Rig::start(TouchPolicy::Manual);
    let touch = |wait: bool| json!({"wait": wait});
    let created = rig.runtime.block_on(async {
        let (create, touch) = (creation(), touch(true));
        tokio::join!(rig.over_http("create", &create), rig.post("keys/a/touch", &touch)).0
    });
    let login = login(&created);
    let (mut to_reply, mut waited) = (Vec::new(), Vec::new());
    rig.runtime.block_on(async {
        for _ in 0..TOUCHES {
            let touched = async {
                rig.post("keys/a/wait", &json!({"for": "touch"})).await;
                let began = Instant::now();
                rig.post("keys/a/touch", &touch(false)).await;
                began
            };
            let replied = async {
                rig.over_http("get", &login).await;
                Instant::now()
            };
            let (began, ended) = tokio::join!(touched, replied);
            to_reply.push(ended - began);

            let began = Instant::now();
            let replied = async {
                rig.post("keys/a/touch", &touch(true)).await;
                began.elapsed()
            };
            waited.push(tokio::join!(replied, rig.over_http("get", &login)).0);
        }
    });
    for (name, mut times) in [("touch to reply", to_reply), ("touch that waits, and its ceremony", waited)] {
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(Duration::MAX);
        println!("{name:36} p50 {:?}, p99 {:?}, longest {:?}", at(50), at(99), times.last().unwrap());
    }
}

criterion_group!(benches, ceremonies);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        touches();
    }
}
