//! A program under test: started, killed, started again, and watched.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use keyrig_tests::program;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long it may take until it has said what it listens on.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Runs a command with the signal of a limit to files ignored.
const WITHOUT_SIGNAL: &str = "trap '' XFSZ; exec \"$@\"";

pub(crate) struct Program {
    pub(crate) name: &'static str,
    arguments: Vec<OsString>,
    running: Mutex<Option<Running>>,
    /// What it said that it listens on; none while it does not run.
    listening: watch::Sender<Option<Value>>,
    samples: Mutex<Vec<Sample>>,
}

/// Its pipes are open, and nobody reads them.
struct Running {
    child: Child,
    _output: BufReader<ChildStdout>,
    _errors: ChildStderr,
}

/// What it has at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Resident, MiB.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
}

impl Program {
    fn new(name: &'static str, arguments: Vec<OsString>) -> Self {
        Self {
            name,
            arguments,
            running: Mutex::default(),
            listening: watch::Sender::new(None),
            samples: Mutex::default(),
        }
    }

    /// A rack with two keys that are kept, one of them at a datagram endpoint.
    pub(crate) fn rack(directory: &Path) -> Self {
        let socket = |prefix: &str, name: &str| format!("{prefix}unix:{}", directory.join(name).display()).into();
        let mut arguments: Vec<OsString> =
            ["serve", "--json", "--usbip", "127.0.0.1:0", "--touch", "every", "--key", "keyrig=a", "--key", "keyrig=b"]
                .map(OsString::from)
                .into();
        arguments.extend(["--control".into(), socket("", "control"), "--ctaphid".into(), socket("a=", "datagrams")]);
        arguments.extend(["--state".into(), directory.join("keys").into_os_string()]);
        Self::new("rack", arguments)
    }

    /// A relying party with an administrator.
    pub(crate) fn site(directory: &Path) -> Self {
        let password = directory.join("password");
        fs::write(&password, format!("{PASSWORD}\n")).expect("it is written");
        let mut arguments: Vec<OsString> =
            ["rp", "serve", "--json", "--listen", "localhost:0"].map(OsString::from).into();
        arguments.extend(["--initial-password".into(), password.into_os_string()]);
        arguments.extend(["--state".into(), directory.join("site").into_os_string()]);
        Self::new("site", arguments)
    }

    pub(crate) async fn start(&self) {
        let mut child = Command::new("sh")
            .args(["-c", WITHOUT_SIGNAL, "sh", program::keyrig()])
            .args(&self.arguments)
            // More than usual, and nobody reads it.
            .env("KEYRIG_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("keyrig starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let errors = child.stderr.take().expect("a pipe");
        let mut line = String::new();
        timeout(LIMIT, output.read_line(&mut line)).await.expect("a line in time").expect("a line");
        let listening = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line:?}", self.name));
        *self.running.lock().expect("whole") = Some(Running { child, _output: output, _errors: errors });
        self.listening.send_replace(Some(listening));
    }

    pub(crate) async fn kill(&self) {
        let running = self.running.lock().expect("whole").take();
        let mut running = running.expect("it runs");
        self.listening.send_replace(None);
        running.child.start_kill().expect("it runs");
        let status = running.child.wait().await.expect("it ends");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "{} ended by itself: {status}", self.name);
    }

    /// What it listens on, once it does.
    pub(crate) async fn listening(&self) -> Value {
        let mut listening = self.listening.subscribe();
        let found = listening.wait_for(Option::is_some).await.expect("the program is there");
        found.clone().expect("it was waited for")
    }

    fn id(&self) -> Option<u32> {
        self.running.lock().expect("whole").as_ref().and_then(|running| running.child.id())
    }

    /// Lets it write no file beyond this size; none is no limit.
    pub(crate) fn limit_files(&self, size: Option<u64>) {
        let id = self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        prlimit(Some(id), Resource::Fsize, Rlimit { current: size.or(maximum), maximum }).expect("it is ours");
    }

    /// Looks at it; nothing where it does not run.
    pub(crate) fn sample(&self) -> Sample {
        let read = || -> Option<Sample> {
            let id = self.id()?;
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let number = |name: &str| -> Option<u64> {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim().trim_end_matches(" kB").parse().ok()
            };
            let descriptors = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count();
            Some(Sample { memory: number("VmRSS:")? / 1024, descriptors, threads: number("Threads:")? })
        };
        let Some(sample) = read() else { return Sample::default() };
        self.samples.lock().expect("whole").push(sample);
        sample
    }

    /// The most memory and descriptors that it ever had.
    pub(crate) fn most(&self) -> (u64, usize) {
        let samples = self.samples.lock().expect("whole");
        let memory = samples.iter().map(|sample| sample.memory).max();
        (memory.unwrap_or(0), samples.iter().map(|sample| sample.descriptors).max().unwrap_or(0))
    }

    pub(crate) fn report(&self, last: &Sample) -> String {
        let (memory, descriptors) = self.most();
        let samples = self.samples.lock().expect("whole");
        let threads = samples.iter().map(|sample| sample.threads).max().unwrap_or(0);
        format!(
            "{}: memory {} MiB at last, {memory} at most; descriptors {} at last, {descriptors} at most; {threads} threads at most",
            self.name, last.memory, last.descriptors
        )
    }
}
