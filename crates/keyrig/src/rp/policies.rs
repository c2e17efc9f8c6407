//! `keyrig rp policies`: the fields of each, what it does by them that the default does not, and why that is a risk.

use std::process::ExitCode;

use clap::Args;
use keyrig_relying_party::Policy;

use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Args)]
#[command(after_help = "\
'keyrig rp serve --policy NAME' chooses one, or the file of --config:
policy = \"proxmox-9\" in a TOML file; a datacenter.cfg has proxmox-9.")]
pub(crate) struct Arguments {
    /// The policy to show
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let policies: Vec<Policy> = match &arguments.name {
        Some(name) => vec![Policy::built_in(name)?],
        None => Policy::built_in_names().map(Policy::built_in).collect::<Result<_, _>>()?,
    };
    if arguments.json {
        print_json(&policies)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (index, policy) in policies.iter().enumerate() {
        if index > 0 {
            print("")?;
        }
        print(format!("{}: {}", policy.name, policy.description))?;
        for (field, value) in policy.fields() {
            print(format!("  {field} = {value}"))?;
            if let Some(difference) = policy.differences.iter().find(|difference| difference.field == field) {
                print(format!("    it {}", difference.does))?;
                print(format!("    risk: {}", difference.risk))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
