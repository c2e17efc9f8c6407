//! `keyrig key fault`: what goes wrong with a key of a running rack.

use std::path::Path;

use clap::Subcommand;
use keyrig_control::request::{FaultList, FaultState, ListFaults, SwitchFaultOn, SwitchFaultsOff};
use keyrig_control::socket::send;
use keyrig_faults::Fault;
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

        /// Which: a name is of all that have it, with parameters of those that were switched on so; without it, all
        #[arg(value_name = "FAULT[,...]")]
        fault: Option<Fault>,
    },
    /// List what goes wrong, and how often it has
    List {
        /// The key's name
        name: KeyName,
    },
}

pub(super) async fn run(action: Action, path: &Path, json: bool) -> Result<(), Failure> {
    let mut asked_off = None;
    let faults = match action {
        Action::On { name: key, fault } => send(path, SwitchFaultOn { key, fault }).await?,
        Action::Off { name: key, fault } => {
            asked_off = fault.as_ref().map(ToString::to_string);
            send(path, SwitchFaultsOff { key, fault }).await?
        }
        Action::List { name: key } => send(path, ListFaults { key }).await?,
    };
    if json {
        return print_json(&faults);
    }
    let FaultList { key, faults, off } = &faults;
    match (off.as_deref(), asked_off) {
        (Some([]), Some(fault)) => print(format!("{key}: no {fault} was on"))?,
        (off, _) => off.into_iter().flatten().try_for_each(|state| print(format!("{key}: off: {}", shown(state))))?,
    }
    if faults.is_empty() {
        return print(format!("{key}: no faults are on"));
    }
    faults.iter().try_for_each(|state| print(format!("{key}: {}", shown(state))))
}

fn shown(FaultState { fault, happened }: &FaultState) -> String {
    let times = if *happened == 1 { "once".to_owned() } else { format!("{happened} times") };
    format!("{fault}, happened {times}")
}
