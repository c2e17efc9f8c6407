//! The program and what it starts, as processes: signals are passed on to it, all of them are waited for, and none is left.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, pidfd_send_signal, wait};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::sys::{self, Arrived, SignalMask};

/// How long programs that are left may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// How long they may take to end when they are killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// What is passed on.
const PASSED_ON: [i32; 6] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// Signals that are taken from a descriptor, and interrupt nothing.
#[derive(Debug)]
pub struct Signals {
    pub(super) descriptor: OwnedFd,
    /// What was blocked before, and is for programs.
    pub(super) before: SignalMask,
    /// Ends with the process around this one.
    pub(super) outer: OwnedFd,
}

/// Blocks the signals that a program is to get, and those of its end. Returns where they are read, and what was blocked before.
pub(super) fn block_signals() -> io::Result<(OwnedFd, SignalMask)> {
    let signals: Vec<_> = PASSED_ON.into_iter().chain([libc::SIGCHLD]).collect();
    sys::block_signals(&signals)
}

impl Signals {
    /// Waits for them from here on, and tells what was blocked before.
    pub(super) fn listen(self) -> io::Result<(Listening, SignalMask)> {
        let listening = Listening { signals: sys::readable(self.descriptor)?, outer: sys::readable(self.outer)? };
        Ok((listening, self.before))
    }
}

/// Waits for signals, and for the end of the process around this one.
#[derive(Debug)]
pub(super) struct Listening {
    signals: AsyncFd<OwnedFd>,
    outer: AsyncFd<OwnedFd>,
}

impl Listening {
    /// The next signal. Cancel-safe.
    pub(super) async fn next(&self) -> io::Result<Arrived> {
        let read = |descriptor: &OwnedFd| sys::read_signal(descriptor)?.ok_or(io::ErrorKind::WouldBlock.into());
        self.signals.async_io(Interest::READABLE, read).await
    }

    /// Completes when the process around this one was killed. Cancel-safe.
    pub(super) async fn alone(&self) -> io::Result<()> {
        self.outer.readable().await.map(drop)
    }
}

/// Passes a signal on to the program, unless its terminal has sent it the same.
pub(super) fn pass_on(arrived: Arrived, program: Pid) {
    if let Some(signal) = Signal::from_named_raw(arrived.signal).filter(|_| arrived.from_a_process) {
        // It may have ended in this moment.
        let _ = kill_process(program, signal);
    }
}

/// What was found when processes were waited for.
pub(super) struct Reaped {
    /// The program's end.
    pub(super) status: Option<ExitStatus>,
    /// No process is left.
    pub(super) all: bool,
}

/// Waits for the processes that have ended.
pub(super) fn reap(program: Pid) -> io::Result<Reaped> {
    let mut reaped = Reaped { status: None, all: false };
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((process, status))) if process == program => {
                reaped.status = Some(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(reaped),
            Err(Errno::CHILD) => return Ok(Reaped { all: true, ..reaped }),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A process that the program left running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// Its id.
    pub process: i32,
    /// Its name.
    pub name: String,
}

/// Ends all processes that come from this one, and says which there were, and whether all have ended.
pub(super) async fn end_all(signals: &Listening) -> io::Result<(Vec<LeftBehind>, bool)> {
    let nobody = rustix::process::getpid();
    let mut left: Vec<LeftBehind> = Vec::new();
    let mut deadline = Instant::now() + GRACE;
    let mut killing = false;
    loop {
        if reap(nobody)?.all {
            return Ok((left, true));
        }
        // One that is just becoming a daemon is another process each time that one has ended.
        let found =
            if killing { signal_descendants(Signal::KILL, &[]) } else { signal_descendants(Signal::TERM, &left) };
        let new: Vec<_> = found.into_iter().filter(|found| !left.contains(found)).collect();
        left.extend(new);
        tokio::select! {
            arrived = signals.next() => drop(arrived?),
            () = sleep_until(deadline) => {
                if killing {
                    return Ok((left, false));
                }
                killing = true;
                deadline = Instant::now() + KILL_LIMIT;
            }
        }
    }
}

/// Sends a signal to every process that comes from this one, but some.
pub(super) fn signal_descendants(signal: Signal, but: &[LeftBehind]) -> Vec<LeftBehind> {
    let mut signalled = Vec::new();
    for (process, name) in descendants() {
        if but.iter().any(|other| other.process == process) {
            continue;
        }
        let Some(pid) = Pid::from_raw(process) else { continue };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Only now does the number belong to the same process for good.
        if descendants().contains_key(&process) && pidfd_send_signal(descriptor, signal).is_ok() {
            signalled.push(LeftBehind { process, name });
        }
    }
    signalled
}

/// The processes that come from this one and have not ended, by their ids, with their names.
fn descendants() -> BTreeMap<i32, String> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let status = fs::read_to_string(entry.path().join("stat")).ok();
        if let Some(process_status) = status.as_deref().and_then(parse) {
            processes.insert(process, process_status);
        }
    }
    let is_descendant = |process: i32| {
        let ancestors =
            core::iter::successors(Some(process), |process| processes.get(process).map(|status| status.parent));
        // A circle cannot be, unless numbers changed hands while they were read.
        ancestors.skip(1).take(processes.len()).any(|ancestor| ancestor == own)
    };
    let alive = processes.iter().filter(|(process, status)| !status.ended && is_descendant(**process));
    alive.map(|(process, status)| (*process, status.name.clone())).collect()
}

/// The exit status that tells of another program's: its own, or 128 and the number of the signal that ended it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

struct ProcessStatus {
    name: String,
    ended: bool,
    parent: i32,
}

/// Reads `/proc/PID/stat`: the name stands in parentheses, and may have some itself.
fn parse(stat: &str) -> Option<ProcessStatus> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    let mut fields = after.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X");
    Some(ProcessStatus { name: name.to_owned(), ended, parent: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        let status = parse("12 (a) (b) 3 S) Z 7 1 1 0").unwrap();
        assert_eq!((status.name.as_str(), status.ended, status.parent), ("a) (b) 3 S", true, 7));
    }
}
