//! `keyrig key timeline`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use keyrig_control::request::{List, RunTimeline};
use keyrig_control::socket::send;
use keyrig_faults::timeline::{Done, Outcome};
use keyrig_rack::command::Refusal;

use super::seconds::Seconds;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::timeline::{read, shown};

#[derive(Args)]
#[command(after_help = "\
A file in TOML:

  [[events]]
  when = \"b waiting\"     as soon as b waits for a touch
  after = \"500ms\"        and so much later
  do = \"touch\"
  key = \"b\"

  [[events]]
  at = \"10s\"             since the start
  do = \"unplug\"
  key = \"a\"

do is touch, verify, miss, sample (with sample = \"too-fast\"), deny, unplug, plug,
power-cycle, finger, touch-policy
(with policy = \"manual\"), set-pin (with pin = \"1234\"), change-pin (with new_pin
too: a wrong pin costs a try), fault (with fault = \"ctap-slow,ms=3000\") or
fault-off (with fault = \"ctap-slow\", or of all). when is a key and what it comes to, or that
alone, of any key: waiting, touched, denied, cancelled, timed-out, plugged,
unplugged, attached, detached, stored, winked; nth = 2 is the second time.

Exit status 1: something was refused, or did not come to its turn.")]
pub(super) struct Arguments {
    /// The timeline; '-' is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// For how long at most
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    timeout: Seconds,
}

pub(super) async fn run(arguments: Arguments, path: &Path, json: bool) -> Result<ExitCode, Failure> {
    let listed = send(path, List {}).await?.keys;
    let known: Vec<_> = listed.iter().map(|key| key.name.as_str()).collect();
    let timeline = read(&arguments.file, |key| match listed.iter().any(|state| state.name == *key) {
        true => Ok(()),
        false => Err(Refusal::UnknownKey { key: key.clone(), known: known.join(", ") }),
    })?;
    let timeout_ms = arguments.timeout.milliseconds();
    let outcome = send(path, RunTimeline { timeline, timeout_ms }).await?;
    let good = outcome.pending.is_empty() && outcome.done.iter().all(|done| done.refused.is_none());
    if json {
        print_json(&outcome)?;
    } else {
        tell(&outcome)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(outcome: &Outcome) -> Result<(), Failure> {
    let at = |done: &Done| Duration::from_millis(done.at_ms).as_secs_f64();
    outcome.done.iter().try_for_each(|done| print(format!("{:>9.3} s  {}", at(done), shown(done))))?;
    outcome.pending.iter().try_for_each(|event| print(format!("           event {event} did not come to its turn")))?;
    if outcome.missed > 0 {
        print(format!("           {} events of the rack were missed: there were too many at once", outcome.missed))?;
    }
    Ok(())
}
