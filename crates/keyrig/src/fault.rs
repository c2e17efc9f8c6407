//! Faults from the start: `--fault`.

use std::error::Error;
use std::str::FromStr;

use clap::Args;
use keyrig_faults::{Absent, Fault, Faults};
use keyrig_rack::KeySpecification;
use keyrig_rack::command::Refusal;

use crate::failure::Failure;
use crate::rack::Named;

/// What goes wrong on purpose.
#[derive(Args)]
pub(crate) struct FaultArguments {
    /// Have something go wrong with a key, from the start ('keyrig faults' lists what can): a=ctap-slow,ms=3000. Repeat for more
    #[arg(long = "fault", value_name = "NAME=FAULT[,...]")]
    faults: Vec<FaultArgument>,
}

/// `NAME=FAULT[,PARAMETER=VALUE…]`.
#[derive(Clone)]
struct FaultArgument {
    keys: Named,
    fault: Fault,
}

impl FromStr for FaultArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whose = "write NAME=FAULT, such as a=ctap-slow,ms=3000";
        if text.split('=').next().is_some_and(|key| key.contains(',')) {
            return Err(whose.into());
        }
        let (keys, fault) = Named::split(text, whose)?;
        Ok(Self { keys, fault: fault.parse()? })
    }
}

impl FaultArguments {
    pub(crate) fn are_wanted(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Refuses what is of no key, and what could never happen.
    pub(crate) fn check(&self, keys: &[KeySpecification], absent: &Absent) -> Result<(), Failure> {
        for FaultArgument { keys: named, fault } in &self.faults {
            let checked = absent.check(fault.kind());
            checked.map_err(|error| Failure::Usage(format!("--fault {named}={fault}: {error}")))?;
            for key in named.names() {
                if !keys.iter().any(|known| known.name == *key) {
                    let unknown = Refusal::unknown(key, keys.iter().map(|key| &key.name));
                    return Err(Failure::Usage(format!("--fault {named}=…: {unknown}")));
                }
            }
        }
        Ok(())
    }

    /// Switches on what was asked for.
    pub(crate) fn switch_on(&self, faults: &Faults) -> Result<(), Failure> {
        for FaultArgument { keys, fault } in &self.faults {
            for key in keys.names() {
                let switched = faults.switch_on(key, fault.clone());
                switched.map_err(|error| Failure::Usage(format!("--fault {key}=…: {error}")))?;
            }
        }
        Ok(())
    }
}
