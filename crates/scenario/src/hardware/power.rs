//! Commands of a lab: they switch the power of ports, and touch keys.

use core::time::Duration;
use std::process::Stdio;

use keyrig_ways::{Arrivals, CannotFind, HidKey};
use thiserror::Error;
use tokio::process::Command;
use tokio::time::timeout;

use super::lab::LabKey;

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(30);

/// How long a key may take to go once its port was switched off, and to come once it was switched on.
const GOES: Duration = Duration::from_secs(3);
const COMES: Duration = Duration::from_secs(10);

/// The most that is told of what a command said, bytes.
const SAID: usize = 500;

/// A command of a lab did not do what it is for.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It cannot be run.
    #[error("cannot run {command:?}: {error}")]
    Start {
        /// The command.
        command: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It failed.
    #[error("{command:?} ended with {status}: {said}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// It did not end.
    #[error("{command:?} did not end within {} s", COMMAND.as_secs())]
    TooLong {
        /// The command.
        command: String,
    },
    /// The lab has none.
    #[error("the lab has no power command for key {0:?}")]
    None(String),
    /// There is no key to begin with.
    #[error("there is no key at {0}: plug it in, and switch its power on")]
    NotThere(String),
    /// The port does not switch.
    #[error(
        "the power of {topology} was switched {to}, and the key {what}: this port does not switch, or the command is another port's"
    )]
    DoesNotSwitch {
        /// The port.
        topology: String,
        /// What it was switched to.
        to: &'static str,
        /// What the key did.
        what: &'static str,
    },
    /// Keys cannot be looked for.
    #[error(transparent)]
    Find(#[from] CannotFind),
    /// What comes and goes is not heard.
    #[error("cannot hear of keys that come and go: {0}")]
    Hear(#[source] std::io::Error),
}

/// Runs a command of a lab for a key.
///
/// # Errors
/// [`CommandError`].
pub async fn run(command: &str, key: &str) -> Result<(), CommandError> {
    let started = Command::new("sh")
        .args(["-c", command])
        .env("KEYRIG_KEY", key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| CommandError::Start { command: command.to_owned(), error })?;
    let output = timeout(COMMAND, started.wait_with_output()).await;
    let output = output.map_err(|_| CommandError::TooLong { command: command.to_owned() })?;
    let output = output.map_err(|error| CommandError::Start { command: command.to_owned(), error })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said).trim().chars().take(SAID).collect();
    Err(CommandError::Failed { command: command.to_owned(), status: output.status.to_string(), said })
}

/// Switches the power of a key's port.
///
/// # Errors
/// [`CommandError`].
pub async fn switch(name: &str, key: &LabKey, on: bool) -> Result<(), CommandError> {
    let command = key.power_command(on).ok_or_else(|| CommandError::None(name.to_owned()))?;
    run(&command, name).await
}

/// Whether the command of a key switches its port: the key goes, and comes back. How long each took.
///
/// # Errors
/// [`CommandError`], [`CommandError::DoesNotSwitch`] among them. The power is switched on again in any case.
pub async fn check(name: &str, key: &LabKey) -> Result<[Duration; 2], CommandError> {
    let arrivals = Arrivals::listen().map_err(CommandError::Hear)?;
    if !is_there(key)? {
        return Err(CommandError::NotThere(key.topology.clone()));
    }
    let went = async {
        let begun = tokio::time::Instant::now();
        switch(name, key, false).await?;
        until(&arrivals, key, false).await?;
        Ok::<_, CommandError>(begun.elapsed())
    };
    let went = went.await;
    let begun = tokio::time::Instant::now();
    let switched_on = switch(name, key, true).await;
    let went = went?;
    switched_on?;
    until(&arrivals, key, true).await?;
    Ok([went, begun.elapsed()])
}

fn is_there(key: &LabKey) -> Result<bool, CannotFind> {
    Ok(HidKey::all()?.iter().any(|found| found.topology.as_ref() == Some(&key.topology)))
}

async fn until(arrivals: &Arrivals, key: &LabKey, there: bool) -> Result<(), CommandError> {
    let waited = timeout(if there { COMES } else { GOES }, async {
        while is_there(key)? != there {
            arrivals.changed().await.map_err(CommandError::Hear)?;
        }
        Ok(())
    });
    let (to, what) = if there { ("on", "did not come back") } else { ("off", "is still there") };
    waited.await.unwrap_or_else(|_| Err(CommandError::DoesNotSwitch { topology: key.topology.clone(), to, what }))
}
