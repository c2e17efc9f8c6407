//! `keyrig scenario`: to begin with a scenario, and the schema by which editors know the language.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyrig_scenario::language::schema;

use crate::failure::Failure;
use crate::output::{print, print_json_for_people};

/// What a new scenario has.
const NEW: &str = include_str!("scenario/new.toml");

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write a scenario to begin with
    New {
        /// The file, which must not be there
        file: PathBuf,
    },
    /// Print the JSON Schema of scenarios, for editors
    Schema,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.action {
        Action::New { file } => {
            let opened = OpenOptions::new().write(true).create_new(true).open(file);
            let written = opened.and_then(|mut opened| opened.write_all(NEW.as_bytes()));
            written.map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => Failure::ScenarioIsThere(file.clone()),
                _ => Failure::Write(file.clone(), error),
            })?;
            print(format!("{} was written; run it with\nkeyrig run {}", file.display(), file.display()))?;
        }
        Action::Schema => print_json_for_people(&schema())?,
    }
    Ok(ExitCode::SUCCESS)
}
