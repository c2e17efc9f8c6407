//! `keyrig completions`: what a shell completes command lines with.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print_as_it_is;

#[derive(Args)]
#[command(after_help = "\
Where shells look:
  bash  ~/.local/share/bash-completion/completions/keyrig
  zsh   a file _keyrig in a directory of $fpath
  fish  ~/.config/fish/completions/keyrig.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, command: &mut Command) -> Result<ExitCode, Failure> {
    // Into memory, as it panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "keyrig", &mut script);
    print_as_it_is(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
