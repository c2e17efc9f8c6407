//! Resident memory while passwords are wrong: a thousand in sequence, then a thousand by a hundred clients at once.
//!
//! It is to be flat once there are as many blocks of Argon2 as the machine has cores. What is printed is `VmRSS` of this
//! process, which is the relying party and its clients.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use keyrig_relying_party::{Limits, Options, RelyingParty, Settings, Store, SystemClock, serve};
use serde_json::json;
use tokio::net::TcpListener;

const ATTEMPTS: usize = 1000;
const AT_ONCE: usize = 100;

/// Resident memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn fail(http: &reqwest::Client, url: &str) {
    let body = json!({ "user": "alice@pve", "password": "wrong password" });
    let status = http.post(url).json(&body).send().await.unwrap().status().as_u16();
    assert_eq!(status, 401);
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    // Attempts that were all let wait: it is memory that is measured.
    let limits = Limits { waiting_per_client: AT_ONCE, waiting_per_account: AT_ONCE, ..Limits::default() };
    let settings = Settings { limits, ..Settings::new("localhost", "http://localhost:8006") };
    let options = Options::new(Store::open(directory.path()).unwrap());
    let relying_party = Arc::new(RelyingParty::new(Ok(settings), options, Arc::new(SystemClock)));
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), relying_party).unwrap();
    let url: Arc<str> = format!("http://{}/api/login", server.local_addr()).into();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    println!("cores {}", std::thread::available_parallelism().unwrap());
    println!("before {:31} MiB", resident());
    for number in 1..=ATTEMPTS {
        fail(&http, &url).await;
        if number.is_multiple_of(ATTEMPTS / 5) {
            println!("after {number:4} in sequence {:15} MiB", resident());
        }
    }
    for round in 1..=ATTEMPTS / AT_ONCE {
        let attempts: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (http, url) = (http.clone(), url.clone());
                tokio::spawn(async move { fail(&http, &url).await })
            })
            .collect();
        for attempt in attempts {
            attempt.await.unwrap();
        }
        if round.is_multiple_of(2) {
            println!("after {:4} more, {AT_ONCE} at once {:9} MiB", round * AT_ONCE, resident());
        }
    }
    server.shutdown().await.unwrap();
}
