//! Whoever started what serves: it ends with them, if that was asked for.

use std::future::pending;
use std::io::{self, Read};
use std::thread;

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use tokio::sync::oneshot;

use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct StarterArguments {
    /// End when the process that started this one ends. With its number, even if it ended before this one could look
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true, value_parser = clap::value_parser!(i32).range(1..))]
    exit_with_parent: Option<Option<i32>>,

    /// End when standard input does
    #[arg(long)]
    exit_on_stdin_end: bool,
}

impl StarterArguments {
    /// Whether standard input says when to end, and nothing else.
    pub(crate) fn reads_input(&self) -> bool {
        self.exit_on_stdin_end
    }

    /// What tells when whoever started us has gone; it never does, if that is not asked for.
    pub(crate) fn watch(&self) -> Result<Starter, Failure> {
        let watched = || -> io::Result<Starter> {
            let parent = self.exit_with_parent.map(end_of_parent).transpose()?;
            let input = self.exit_on_stdin_end.then(end_of_input).transpose()?;
            Ok(Starter { parent, input })
        };
        watched().map_err(Failure::Runtime)
    }
}

pub(crate) struct Starter {
    parent: Option<oneshot::Receiver<()>>,
    input: Option<oneshot::Receiver<()>>,
}

impl Starter {
    /// Nobody is watched.
    #[cfg(target_os = "linux")]
    pub(crate) fn nobody() -> Self {
        Self { parent: None, input: None }
    }

    /// Whoever holds the other end of standard input.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_input() -> Result<Self, Failure> {
        Ok(Self { parent: None, input: Some(end_of_input().map_err(Failure::Runtime)?) })
    }

    pub(crate) async fn gone(self) {
        let Self { parent, input } = self;
        let told = async |receiver: Option<oneshot::Receiver<()>>| match receiver {
            Some(receiver) => drop(receiver.await),
            None => pending().await,
        };
        tokio::select! {
            () = told(parent) => {}
            () = told(input) => {}
        }
    }
}

/// Completes when our parent has ended. By a descriptor: PR_SET_PDEATHSIG would follow the thread that started us, not the process.
fn end_of_parent(given: Option<i32>) -> io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    let parent = given.and_then(Pid::from_raw).or_else(getppid);
    let opened = parent.map(|parent| pidfd_open(parent, PidfdFlags::empty()));
    // It may have ended, and its number be another's, before it was opened: then we have another parent by now.
    let descriptor = match opened {
        Some(Ok(descriptor)) if getppid() == parent => descriptor,
        Some(Err(error)) if error != Errno::SRCH => return Err(error.into()),
        // The sender is dropped, which is told as well.
        _ => return Ok(receiver),
    };
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        // Readable once it has ended (pidfd_open(2)).
        while poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None) == Err(Errno::INTR) {}
        drop(sender);
    })?;
    Ok(receiver)
}

/// Completes when standard input has ended. A thread of its own reads it, and what it reads is nobody's.
fn end_of_input() -> io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut ignored = [0; 4096];
        loop {
            match io::stdin().lock().read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        // Nobody may wait any more.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}
