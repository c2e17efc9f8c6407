//! Two processes, so that the tree ends with keyrig however that ends: the inner one does all the work, the outer one waits for
//! it and ends what it leaves. Killed by `kill -9`, neither could do that for itself.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, exit};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

use super::directory::remove_abandoned;
use super::processes::{Signals, block_signals, exit_code, pass_on, reap, signal_descendants};
use super::sys;

/// How long programs may take to end when they are killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Signals {
    /// Takes the signals that a program is to get, and those of its end, and splits this process: it goes on in a child, and the
    /// process that was called ends as the child does, with everything that the child has left running. To be called before
    /// another thread is started.
    ///
    /// # Errors
    /// What the operating system says, or that there is another thread.
    pub fn take() -> io::Result<Self> {
        let (descriptor, before) = block_signals()?;
        let outer = split(&descriptor)?;
        Ok(Self { descriptor, before, outer })
    }
}

/// Splits this process. What returns is the inner process, with a pipe that ends with the outer one; that never returns.
fn split(signals: &OwnedFd) -> io::Result<OwnedFd> {
    let (ends_with_outer, held) = pipe_with(PipeFlags::CLOEXEC)?;
    // What the inner process leaves comes to the outer one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    match sys::fork()? {
        None => {
            drop(held);
            Ok(ends_with_outer)
        }
        Some(inner) => {
            drop(ends_with_outer);
            let ended = stand_guard(signals, inner);
            // Only now may the inner process take this one's end for its own.
            drop(held);
            match ended {
                Ok(status) => end_as(status),
                Err(error) => {
                    tracing::error!(%error, "keyrig cannot be waited for");
                    exit(1);
                }
            }
        }
    }
}

/// Waits for the inner process, passes signals on to it, and ends what it has left.
fn stand_guard(signals: &OwnedFd, inner: Pid) -> io::Result<ExitStatus> {
    let status = loop {
        if let Some(status) = reap(inner)?.status {
            break status;
        }
        wait_for_signal(signals, None)?;
        while let Some(arrived) = sys::read_signal(signals)? {
            pass_on(arrived, inner);
        }
    };
    let deadline = Instant::now() + KILL_LIMIT;
    while !reap(inner)?.all {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        signal_descendants(Signal::KILL, &[]);
        wait_for_signal(signals, Some(left))?;
        while sys::read_signal(signals)?.is_some() {}
    }
    if !status.success() {
        // An inner process that was killed has not removed its own.
        remove_abandoned();
    }
    Ok(status)
}

fn wait_for_signal(signals: &OwnedFd, limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(signals, PollFlags::IN)], limit.as_ref()))?;
    Ok(())
}

/// Ends this process as another has ended, by the same signal too.
fn end_as(status: ExitStatus) -> ! {
    use std::os::unix::process::ExitStatusExt;
    if let Some(signal) = status.signal() {
        sys::end_by(signal);
    }
    exit(i32::from(exit_code(status)))
}
