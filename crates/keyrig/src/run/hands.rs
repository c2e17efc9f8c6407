//! Whose hands real keys are in, and what may be done to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use keyrig_scenario::hardware::bench::Bench;
use keyrig_scenario::hardware::lab::Lab;

use crate::failure::Failure;
use crate::hid::LAB;
use crate::person::AtTerminal;

#[derive(Args)]
pub(super) struct HandArguments {
    /// The lab file: where real keys are, and what switches and touches them; lab.toml, if there is one
    #[arg(long, value_name = "FILE")]
    lab: Option<PathBuf>,

    /// Real keys on which what is there may be destroyed: by a reset, a change of their PIN, credentials that are stored or deleted
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    allow_destructive: Vec<String>,
}

impl HandArguments {
    /// Whether anything was said of real keys.
    pub(super) fn are_given(&self) -> bool {
        self.lab.is_some() || !self.allow_destructive.is_empty()
    }

    /// The lab file that was named.
    pub(super) fn lab(&self) -> Option<&Path> {
        self.lab.as_deref()
    }

    /// Who has the keys, and what may be done to them.
    pub(super) fn bench(&self) -> Result<Bench, Failure> {
        let file = match &self.lab {
            Some(file) => Some(file.clone()),
            None => Some(PathBuf::from(LAB)).filter(|file| file.exists()),
        };
        let lab = match file {
            None => None,
            Some(file) => {
                let lab = Lab::read(&file)?;
                Some((file, lab))
            }
        };
        Ok(Bench::new(Arc::new(AtTerminal::start()?), lab, self.allow_destructive.clone()))
    }
}
