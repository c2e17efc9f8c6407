//! `keyrig replay`: a recorded session again, and the first thing that is otherwise.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keyrig_faults::replay::{Difference, NotReplayable, Replayed, replay};
use keyrig_faults::transcript;
use serde::Serialize;

use crate::failure::Failure;
use crate::mds::MdsArguments;
use crate::output::{GREEN, RED, print, print_json, print_marked};

#[derive(Args)]
#[command(after_help = "\
What was recorded with a seed can be replayed: hosts and users do what they did,
when they did, to fresh keys, and these have to answer byte for byte the same.

  keyrig exec --seed 1 --trace login.jsonl -- firefox
  keyrig replay login.jsonl

Exit status 1: something was otherwise, which is shown, or the file was cut
short.")]
pub(crate) struct Arguments {
    /// What --trace wrote to .jsonl; '-' is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    mds: MdsArguments,

    /// Print one JSON object: {"same", "keys", "exchanges", "reports", "cut_short"?, "difference"?: {"recorded", "replayed"}}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome<'a> {
    same: bool,
    keys: usize,
    exchanges: u64,
    reports: u64,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    cut_short: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<&'a Difference>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let metadata = arguments.mds.metadata()?;
    let input: Box<dyn BufRead> = if arguments.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&arguments.file).map_err(|error| Failure::Input(arguments.file.clone(), error))?;
        Box::new(BufReader::new(file))
    };
    let replayed = transcript::read(input).map_err(NotReplayable::from).and_then(|reader| {
        if reader.is_capture() { Err(NotReplayable::Capture) } else { replay(reader, metadata.as_deref()) }
    });
    let replayed = replayed.map_err(|error| Failure::NotReplayable(arguments.file.clone(), Box::new(error)))?;
    let Replayed { keys, exchanges, reports, difference, cut_short } = &replayed;
    if arguments.json {
        let (keys, exchanges, reports, cut_short) = (*keys, *exchanges, *reports, *cut_short);
        let (same, difference) = (difference.is_none() && !cut_short, difference.as_ref());
        print_json(&Outcome { same, keys, exchanges, reports, cut_short, difference })?;
    } else {
        let counted = |count: &dyn ToString, of: &str| match count.to_string() {
            count if count == "1" => format!("{count} {of}"),
            count => format!("{count} {of}s"),
        };
        let what =
            format!("{}, {}, {}", counted(keys, "key"), counted(exchanges, "exchange"), counted(reports, "report"));
        match difference {
            None if *cut_short => {
                let why = "whoever wrote it was stopped, or its last lines are missing";
                print_marked(RED, "cut short", format!("  {what}: as recorded so far, and it has no end: {why}"))?;
            }
            None => print_marked(GREEN, "same", format!("  {what}: all as recorded"))?,
            Some(difference) => {
                print_marked(RED, "differs", format!("  {what} up to the first difference"))?;
                difference.to_string().lines().try_for_each(print)?;
            }
        }
    }
    Ok(if replayed.difference.is_none() && !replayed.cut_short { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
