//! The reports that are written of a run.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use keyrig_scenario::reports::{file_name, html, junit, summary, transcript};
use keyrig_scenario::results::Results;

use crate::failure::Failure;
use crate::identity;
use crate::output::say;

/// Where GitHub wants what is shown beside a job.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

#[derive(Args)]
pub(super) struct Reports {
    /// Write JUnit's XML, as build servers read it
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write one page of HTML: matrix, who said what to whom, why somebody refused, transcripts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write one JSON object of all that came of it
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the transcript of each run into this folder, as keyrig trace and keyrig replay read it
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
}

impl Reports {
    /// Whether any was asked for.
    pub(super) fn are_wanted(&self) -> bool {
        [&self.junit, &self.html, &self.json, &self.trace].into_iter().any(Option::is_some)
    }

    /// Whether they can be written, before anything runs, and over nothing that is read, or that is another one.
    pub(super) fn check(&self, read: &[&Path]) -> Result<(), Failure> {
        let mut others: Vec<_> = read.iter().filter_map(|file| identity::at(file)).collect();
        for file in [&self.junit, &self.html, &self.json].into_iter().flatten() {
            let opened = OpenOptions::new().append(true).create(true).open(file);
            let metadata = opened.and_then(|opened| opened.metadata());
            let metadata = metadata.map_err(|error| Failure::Write(file.clone(), error))?;
            let Some(identity) = identity::of(&metadata) else { continue };
            if others.contains(&identity) {
                let why = "is a scenario or a lab that is read, or another report: a report goes to a file of its own";
                return Err(Failure::Usage(format!("{} {why}", file.display())));
            }
            others.push(identity);
        }
        if let Some(folder) = &self.trace {
            fs::create_dir_all(folder).map_err(|error| Failure::Write(folder.clone(), error))?;
        }
        Ok(())
    }

    /// Writes them; transcripts first, which the others name. All that can be are written, and the first that cannot be is told.
    pub(super) fn write(&self, results: &mut Results) -> Result<(), Failure> {
        let mut ended = Ok(());
        if let Some(folder) = &self.trace {
            for (place, run) in results.runs.iter_mut().enumerate().filter(|(_, run)| !run.before.is_empty()) {
                let file = folder.join(file_name(run, place));
                match write(&file, &transcript(run)) {
                    Ok(()) => run.transcript = Some(file),
                    failed => ended = ended.and(failed),
                }
            }
        }
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(results).map_err(|error| Failure::Print(error.into()));
            ended = ended.and(json.and_then(|json| write(file, (json + "\n").as_bytes())));
        }
        if let Some(file) = &self.junit {
            let xml = junit(results).map_err(|error| Failure::Write(file.clone(), std::io::Error::other(error)));
            ended = ended.and(xml.and_then(|xml| write(file, xml.as_bytes())));
        }
        if let Some(file) = &self.html {
            ended = ended.and(write(file, html(results).as_bytes()));
        }
        if let Some(file) = env::var_os(STEP_SUMMARY).filter(|file| !file.is_empty()) {
            let appended = OpenOptions::new().append(true).create(true).open(&file);
            let written = appended.and_then(|mut file| file.write_all(summary(results).as_bytes()));
            // It was not asked for on the command line, and what was is written.
            if let Err(error) = written {
                say(format!("note: ${STEP_SUMMARY} was not written: {error}"));
            }
        }
        ended
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(file, bytes).map_err(|error| Failure::Write(file.to_owned(), error))
}
