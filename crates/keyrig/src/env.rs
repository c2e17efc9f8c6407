//! `keyrig env`: what this machine can do for keys.

use std::process::ExitCode;

use clap::Args;
use keyrig_attach::host::{self, Check};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{GREEN, YELLOW, print, print_json, print_marked};

#[derive(Args)]
#[command(after_help = "\
Each line says what was looked at, whether it works, and what would mend it.
Only what you use has to work: 'keyrig exec' does if exec-namespace or
exec-paths does.")]
pub(crate) struct Arguments {
    /// Print a list of objects as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    works: bool,
    found: &'a str,
    mend: Option<&'a str>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let checks = host::checks()?;
    if arguments.json {
        print_json(&checks.iter().map(shown).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    for Check { name, works, found, mend } in &checks {
        let (colour, word) = if *works { (GREEN, "ok") } else { (YELLOW, "no") };
        print_marked(colour, word, format!("   {name:<15}  {found}"))?;
        if let Some(mend) = mend {
            print(format!("     {:<15}  {mend}", ""))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(check: &Check) -> Shown<'_> {
    Shown { name: check.name, works: check.works, found: &check.found, mend: check.mend.as_deref() }
}
