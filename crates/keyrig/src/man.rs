//! `keyrig man`: what the command line says of itself, as man pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::Failure;
use crate::output::print_as_it_is;

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig man | man -l -
  keyrig man ~/.local/share/man/man1; man keyrig-exec")]
pub(crate) struct Arguments {
    /// A directory for the pages of all commands: keyrig.1, keyrig-exec.1 and so on. Without it, keyrig(1) is printed
    directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<ExitCode, Failure> {
    if let Some(directory) = &arguments.directory {
        let written = std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
        written.map_err(|error| Failure::Write(directory.clone(), error))?;
    } else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(Failure::Print)?;
        print_as_it_is(String::from_utf8_lossy(&page).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
