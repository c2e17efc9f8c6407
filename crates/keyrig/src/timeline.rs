//! Timelines from files: `--timeline`, and what reads one for `keyrig key timeline`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use keyrig_faults::timeline::{Done, Timeline};
use keyrig_rack::command::Refusal;
use keyrig_rack::{KeyName, Rack};

use crate::failure::Failure;
use crate::output::say;

/// More than this is no timeline, bytes.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Args)]
pub(crate) struct TimelineArguments {
    /// Do things to the keys at times and upon conditions, as this file says ('keyrig key timeline --help' shows one)
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
}

impl TimelineArguments {
    /// Starts the timeline of a rack that has started, if one was asked for. It ends with the rack; what was refused is logged.
    pub(crate) fn start(&self, rack: &Rack) -> Result<Running, Failure> {
        let Some(file) = &self.timeline else { return Ok(Running::default()) };
        let timeline = read(file, |key| rack.known(key).map(drop))?;
        timeline.check(rack).map_err(|refusal| Failure::Usage(format!("{}: {refusal}", file.display())))?;
        let running = Running(Arc::new(Mutex::new((1..=timeline.events.len()).collect())));
        let (rack, pending) = (rack.clone(), running.clone());
        tokio::spawn(async move {
            let tell = |done: &Done| {
                pending.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|event| *event != done.event);
                match &done.refused {
                    Some(_) => tracing::warn!("timeline: {}", shown(done)),
                    None => tracing::info!("timeline: {}", shown(done)),
                }
            };
            match timeline.run(&rack, core::future::pending(), tell).await {
                Ok(outcome) if outcome.missed > 0 => {
                    tracing::warn!("timeline: {} events of the rack were missed", outcome.missed);
                }
                Ok(_) => {}
                // With the rack it ends.
                Err(Refusal::Stopped) => {}
                Err(refusal) => tracing::warn!("timeline: {refusal}"),
            }
        });
        Ok(running)
    }
}

/// A timeline that was started: which of its events have not come to their turn, from 1.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Vec<usize>>>);

impl Running {
    /// Says at the end what did not come to its turn.
    pub(crate) fn tell_pending(&self) {
        for event in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            say(format!("timeline: event {event} did not come to its turn"));
        }
    }
}

/// Reads a timeline for a rack whose keys are known.
pub(crate) fn read(file: &Path, known: impl Fn(&KeyName) -> Result<(), Refusal>) -> Result<Timeline, Failure> {
    let name = if file == Path::new("-") { PathBuf::from("standard input") } else { file.to_owned() };
    let mut text = String::new();
    let input: io::Result<Box<dyn Read>> = if file == Path::new("-") {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(file).map(|file| -> Box<dyn Read> { Box::new(file) })
    };
    let read = input.and_then(|input| input.take(MAX_FILE + 1).read_to_string(&mut text));
    let read = read.map_err(|error| Failure::Read(name.clone(), error))?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE) {
        return Err(Failure::Usage(format!("{} has more than {MAX_FILE} bytes: that is no timeline", name.display())));
    }
    Timeline::from_toml_for(&text, known).map_err(|error| Failure::Timeline(name, error))
}

/// What was done, for a person.
pub(crate) fn shown(done: &Done) -> String {
    let key = done.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    match &done.refused {
        None => format!("event {}: {}{key}", done.event, done.r#do),
        Some(refused) => format!("event {}: {}{key}: {refused}", done.event, done.r#do),
    }
}
