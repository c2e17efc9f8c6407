//! A key that nobody uses costs nothing: no thread of the program wakes, however many keys hosts have.
//!
//! A thread that runs leaves a trace in its count of context switches, voluntary or not (proc(5), `/proc/PID/task/TID/status`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use keyrig_tests::program;
use keyrig_usb::client;
use serde_json::Value;

const KEYS: usize = 100;
const IDLE: Duration = Duration::from_secs(10);

/// Ends the program with the test, however that ends.
struct Server(Child);

#[cfg(test)]
impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[cfg(test)]
impl Server {
    /// The context switches of each thread so far.
    fn switches(&self) -> BTreeMap<String, u64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads
            .map(|thread| {
                let thread = thread.unwrap();
                let status = fs::read_to_string(thread.path().join("status")).unwrap();
                let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:\t"));
                let counts: Vec<u64> = counts.map(|(_, count)| count.parse().unwrap()).collect();
                assert_eq!(counts.len(), 2, "{status}");
                (thread.file_name().into_string().unwrap(), counts.iter().sum())
            })
            .collect()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count()
    }

    /// Waits until what was under way is over, then watches the threads for [`IDLE`].
    fn assert_idle(&self) {
        let settled = (0..20).any(|_| {
            let before = self.switches();
            thread::sleep(Duration::from_millis(500));
            before == self.switches()
        });
        assert!(settled, "the program is never quiet");
        let before = self.switches();
        thread::sleep(IDLE);
        assert_eq!(before, self.switches(), "context switches by thread");
    }
}

#[tokio::test]
async fn a_hundred_imported_keys_cause_no_context_switch_and_neither_do_they_when_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(program::keyrig())
        .args(["serve", "--json", "--usbip", "127.0.0.1:0"])
        .arg("--control")
        .arg(format!("unix:{}", folder.path().join("control").display()))
        .args((1..=KEYS).map(|key| format!("--key=keyrig=k{key}")))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let server = Server(child);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let address = listening["usbip"].as_str().unwrap();
    let descriptors = server.descriptors();

    let mut devices = Vec::new();
    for key in listening["keys"].as_array().unwrap() {
        let mut device = client::import(address, key["busid"].as_str().unwrap()).await.unwrap();
        // CTAPHID_INIT, so that the key was used.
        let mut init = [0; 64];
        init[..15].copy_from_slice(b"\xff\xff\xff\xff\x86\x00\x08a nonce!");
        device.send(&init).await.unwrap();
        assert_eq!(device.recv().await.unwrap()[..15], *b"\xff\xff\xff\xff\x86\x00\x11a nonce!");
        devices.push(device);
    }
    assert_eq!(devices.len(), KEYS);
    assert_eq!(server.descriptors(), descriptors + KEYS);
    server.assert_idle();

    drop(devices);
    server.assert_idle();
    assert_eq!(server.descriptors(), descriptors);
}
