//! `keyrig key fault`: what goes wrong with a key of a running rack.

use std::path::Path;

use clap::Subcommand;
use keyrig_control::request::{FaultList, ListFaults, SwitchFaultOn, SwitchFaultsOff};
use keyrig_control::socket::send;
use keyrig_faults::{Fault, Kind};
use keyrig_rack::KeyName;

use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Have something go wrong with a key, beside what does already
    On {
        /// The key's name
        name: KeyName,

        /// What: a name that 'keyrig faults' lists, and behind commas parameters and when: ctap-slow,ms=3000,nth=2
        #[arg(value_name = "FAULT[,...]")]
        fault: Fault,
    },
    /// Let it go right again: the faults of one name, or all
    Off {
        /// The key's name
        name: KeyName,

        /// The name of the faults; without it, all
        fault: Option<Kind>,
    },
    /// List what goes wrong, and how often it has
    List {
        /// The key's name
        name: KeyName,
    },
}

pub(super) async fn run(action: Action, path: &Path, json: bool) -> Result<(), Failure> {
    let faults = match action {
        Action::On { name: key, fault } => send(path, SwitchFaultOn { key, fault }).await?,
        Action::Off { name: key, fault } => send(path, SwitchFaultsOff { key, fault }).await?,
        Action::List { name: key } => send(path, ListFaults { key }).await?,
    };
    if json { print_json(&faults) } else { show(&faults) }
}

fn show(FaultList { key, faults }: &FaultList) -> Result<(), Failure> {
    if faults.is_empty() {
        return print(format!("{key}: no faults are on"));
    }
    for state in faults {
        let times = if state.happened == 1 { "once".to_owned() } else { format!("{} times", state.happened) };
        print(format!("{key}: {}, happened {times}", state.fault))?;
    }
    Ok(())
}
