//! `keyrig profiles`: which keys can be imitated, and how far.

mod certified;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::Quirk;
use serde::Serialize;

use self::shown::{Shown, print_one};
use crate::failure::Failure;
use crate::mds::MdsArguments;
use crate::output::{print, print_as_it_is, print_json, say};
use crate::quirk::ShownQuirk;

#[derive(Args)]
#[command(after_help = "\
A key announces only what works. What its original has beyond that is listed
as withheld.

With --mds FILE the profiles are those of the certified keys in that metadata:
mds:AAGUID, for --key NAME=mds:AAGUID --mds FILE. A metadata statement says what
a key announces, and nothing of how it behaves, which is keyrig's own.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    action: Option<Action>,

    /// The profile to show, or with --quirks the quirk
    name: Option<String>,

    /// Show what --quirk switches on: known bugs of real keys, and all-applications
    #[arg(long, conflicts_with = "mds")]
    quirks: bool,

    #[command(flatten)]
    mds: MdsArguments,

    /// Print JSON: one object, or a list of them
    #[arg(long)]
    json: bool,
}

#[cfg(target_os = "linux")]
#[derive(Subcommand)]
enum Action {
    /// Make a profile out of what 'keyrig hid record' recorded, and print it
    Import {
        /// The record
        record: PathBuf,
    },
}

#[derive(Serialize)]
struct Quirks {
    quirks: Vec<ShownQuirk>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    #[cfg(target_os = "linux")]
    if let Some(Action::Import { record }) = &arguments.action {
        let unusable = |reason: String| Failure::Hardware(format!("{}: {reason}", record.display()));
        let read = keyrig_scenario::hardware::record::read(record).map_err(|error| unusable(error.to_string()))?;
        let made = keyrig_scenario::hardware::import::profile(&read, "imported");
        let (text, profile) = made.map_err(|error| unusable(error.to_string()))?;
        print_as_it_is(text.trim_end())?;
        let unproven: Vec<_> = profile.unproven().into_keys().collect();
        let unknown = profile.unknown().count();
        say(format!(
            "not in the record: {}, and {unknown} fields of behaviour, which are as CTAP has them",
            unproven.join(", ")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.quirks {
        return run_quirks(arguments);
    }
    if let Some(metadata) = arguments.mds.metadata()?
        && arguments.name.as_ref().is_none_or(|name| name.starts_with(certified::PREFIX))
    {
        return certified::run(arguments.name.as_deref(), &metadata, arguments.json);
    }
    match &arguments.name {
        Some(name) => {
            let profile = Profile::built_in(name).ok_or_else(|| {
                let known = Profile::built_in_names().collect::<Vec<_>>().join(", ");
                Failure::Usage(format!("no profile is called {name:?}: the profiles are {known}"))
            })?;
            let shown = Shown::from(&profile);
            if arguments.json { print_json(&shown)? } else { print_one(&shown)? }
        }
        None => {
            let all: Vec<_> = Profile::built_in_names().filter_map(Profile::built_in).collect();
            let all: Vec<_> = all.iter().map(Shown::from).collect();
            if arguments.json { print_json(&all)? } else { print_all(&all)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_all(all: &[Shown]) -> Result<(), Failure> {
    for shown in all {
        print(format!("{:<20} {}  {}", shown.name, shown.usb.as_deref().unwrap_or("no USB   "), shown.description))?;
        let withheld = match shown.withheld.len() {
            0 => "nothing withheld".to_owned(),
            1 => format!("1 feature withheld: 'keyrig profiles {}' names it", shown.name),
            count => format!("{count} features withheld: 'keyrig profiles {}' names them", shown.name),
        };
        print(format!("{:<20} {}; {withheld}", "", shown.versions.join(", ")))?;
    }
    Ok(())
}

fn run_quirks(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.name {
        Some(name) => {
            let shown = ShownQuirk::of(Quirk::named(name).map_err(|error| Failure::Usage(error.to_string()))?);
            if arguments.json { print_json(&shown)? } else { shown.print()? }
        }
        None => {
            let quirks: Vec<_> = Quirk::all().iter().map(ShownQuirk::of).collect();
            if arguments.json {
                print_json(&Quirks { quirks })?
            } else {
                quirks.iter().try_for_each(ShownQuirk::print)?
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
