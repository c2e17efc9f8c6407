//! `keyrig key events`: what happens in a running rack.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use keyrig_control::request::{Events, MAX_EVENTS};
use keyrig_control::socket::send;
use keyrig_rack::events::What;

use crate::failure::Failure;
use crate::output::{print, print_json};

/// How long the rack is asked to wait at a time: shorter than it keeps a client that says nothing.
const AT_A_TIME_MS: u64 = 60_000;

#[derive(Args)]
pub(super) struct Arguments {
    /// Go on with what happens until interrupted
    #[arg(long)]
    follow: bool,

    /// Begin behind the event of this number, which --json prints as its id; 0 is before the first
    #[arg(long, value_name = "ID", default_value = "0")]
    after: u64,
}

pub(super) async fn run(arguments: Arguments, path: &Path, json: bool) -> Result<ExitCode, Failure> {
    let mut after = arguments.after;
    let timeout_ms = if arguments.follow { AT_A_TIME_MS } else { 0 };
    loop {
        let events = send(path, Events { after, timeout_ms }).await?.events;
        for event in &events {
            if json {
                print_json(event)?
            } else {
                print(format!("{:>5}  {}", event.id, text(&event.what)))?
            }
            after = event.id;
        }
        if !arguments.follow && events.len() < MAX_EVENTS {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// What happened, in words.
pub(crate) fn text(what: &What) -> String {
    let number = |count: &usize, what: &str| format!("{count} {what}{}", if *count == 1 { "" } else { "s" });
    match what {
        What::Waiting { key, command, for_verification: true } => format!("{key} waits for its user ({command})"),
        What::Waiting { key, command, .. } => format!("{key} waits for a touch ({command})"),
        What::Touched { key } => format!("{key} was touched"),
        What::Verified { key } => format!("{key} has verified its user"),
        What::Missed { key } => format!("{key} was touched by somebody else than its user"),
        What::Sampled { key, sample } => format!("{key} got a sample of a fingerprint: {sample}"),
        What::Denied { key } => format!("{key} was denied"),
        What::Cancelled { key } => format!("{key} waits no more: the touch is not wanted any more"),
        What::TimedOut { key } => format!("{key} waits no more: no touch came in time"),
        What::Created { key } => format!("{key} has come to the rack"),
        What::Removed { key } => format!("{key} has left the rack"),
        What::Reset { key } => format!("{key} was reset"),
        What::Restored { key } => format!("{key} was restored from a snapshot"),
        What::Plugged { key } => format!("{key} was plugged in"),
        What::Unplugged { key } => format!("{key} was unplugged"),
        What::Attached { key } => format!("{key} was attached to a host"),
        What::Detached { key } => format!("{key} was detached from its host"),
        What::Programs { key, programs } => format!("{key} is used by {}", number(programs, "program")),
        What::Stored { key, discoverable_credentials: count } => {
            format!("{key} holds {}", number(count, "discoverable credential"))
        }
        What::Winked { key } => format!("{key} winked"),
        What::Finger { key: Some(key) } => format!("the finger is over {key}"),
        What::Finger { key: None } => "the finger is over the first key that is plugged in".to_owned(),
        What::TouchPolicy { touch } => format!("touch policy: {touch}"),
        What::UvPolicy { key, uv } => format!("{key} finds its user: {uv}"),
        What::Gap { missed } => format!("{missed} events before the next are not kept any more"),
        other => format!("{other:?}"),
    }
}
