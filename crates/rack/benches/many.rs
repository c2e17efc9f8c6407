//! A thousand keys that are kept, in one rack: what each takes, how long they take to start, what they do while nobody asks them for
//! anything, and what is left when they are attached and detached.
//!
//! What each takes is measured in a process of its own that opens keys which are there, beside one that opens two. At most 64 KiB and two
//! descriptors are wanted, and a start within 2 s; how long new keys take is the disk's to say. Idle is how much of one processor the
//! process uses while nothing is asked.

#![allow(clippy::unwrap_used, missing_docs)]

use core::time::Duration;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use keyrig_authenticator::Profile;
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_usb::{Exports, Limits, client, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const KEYS: usize = 1000;
/// What a rack takes beside its keys is told by one of so many.
const FEW: usize = 2;
const IDLE: Duration = Duration::from_secs(5);

/// Resident memory of this process that is no file, KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Clock ticks (1/100 s) that this process has run: fields 14 and 15 of proc(5)'s stat.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

async fn start(state: &Path, keys: usize) -> Rack {
    let profile = Profile::built_in("yubikey-5.7").unwrap();
    let key = |number| KeySpecification { name: format!("k{number}").parse().unwrap(), profile: profile.clone() };
    let options = Options { state: Some(state.to_owned()), ..Options::default() };
    Rack::start(options, (1..=keys).map(key).collect()).await.unwrap()
}

async fn end(rack: Rack) {
    let ended = rack.ended();
    drop(rack);
    ended.await;
}

/// Attaches all keys to hosts, and detaches them again.
async fn attach(exports: Exports) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, exports, Limits::default()));
    let begin = Instant::now();
    let mut hosts = Vec::new();
    for device in client::list(server).await.unwrap() {
        hosts.push(client::import(server, device.device.busid.as_str()).await.unwrap());
    }
    println!("{} attached one by one {:15} ms", hosts.len(), begin.elapsed().as_millis());
}

/// How many descriptors stay once the hosts have gone, and the runtime of the server with all its tasks.
async fn left_when_detached(rack: &Rack) -> usize {
    let exports = rack.exports().clone();
    let before = descriptors();
    let attached = attach(exports.clone());
    tokio::task::spawn_blocking(|| Runtime::new().unwrap().block_on(attached)).await.unwrap();
    for device in exports.list() {
        exports.settled(device.device.busid.as_str()).await;
    }
    descriptors().saturating_sub(before)
}

/// In a process of its own: opens keys that are there, and says what they take: memory, descriptors, milliseconds.
async fn opened(state: &Path, keys: usize) {
    let begin = Instant::now();
    let rack = start(state, keys).await;
    let elapsed = begin.elapsed().as_millis();
    println!("{} {} {elapsed}", resident(), descriptors());
    end(rack).await;
}

fn measured(state: &Path, keys: usize) -> [usize; 3] {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg("opened").arg(state).arg(keys.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let numbers: Vec<_> =
        str::from_utf8(&output.stdout).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, opens, state, keys] = arguments.as_slice()
        && opens == "opened"
    {
        return opened(Path::new(state), keys.parse().unwrap()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let begin = Instant::now();
    let rack = start(&state, KEYS).await;
    println!("{KEYS} new ones started {:18} ms", begin.elapsed().as_millis());
    let before = ticks();
    tokio::time::sleep(IDLE).await;
    let percent = (ticks() - before) / IDLE.as_secs();
    println!("idle, for {} s {percent:24} %", IDLE.as_secs());
    println!("descriptors left when detached {:10}", left_when_detached(&rack).await);
    end(rack).await;
    let [few_memory, few_descriptors, _] = measured(&state, FEW);
    let [memory, descriptors, elapsed] = measured(&state, KEYS);
    let each = |many: usize, few: usize| many.saturating_sub(few) / (KEYS - FEW);
    println!("{KEYS} kept ones started {elapsed:17} ms");
    println!("resident, each {:25} KiB", each(memory, few_memory));
    println!("descriptors, each {:22}", each(descriptors, few_descriptors));
}
