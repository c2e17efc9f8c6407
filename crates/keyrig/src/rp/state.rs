//! Where the database of the relying party is.

use std::path::PathBuf;

use clap::Args;
use keyrig_relying_party::{DATABASE_FILE, Store};
use keyrig_scenario::runner::quoted;

use crate::failure::Failure;

/// Where the database is.
#[derive(Args)]
pub(super) struct State {
    /// The directory of the database; 'keyrig rp --help' names the default
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl State {
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.state {
            return Ok(directory.clone());
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
        let base = base.ok_or_else(|| Failure::Usage("HOME is not set: give --state DIR".to_owned()))?;
        Ok(base.join("keyrig/relying-party"))
    }

    /// What names the same directory in another command: nothing where it is the default.
    pub(super) fn option(&self) -> String {
        self.state
            .as_ref()
            .map_or_else(String::new, |directory| format!(" --state {}", quoted(&directory.display().to_string())))
    }

    /// The database, made if it is not there: what `serve` and whatever adds a user want.
    pub(super) fn open_or_make(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.directory()?)?)
    }

    /// The database that has to be there.
    pub(super) fn open(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.existing()?)?)
    }

    /// The same, to read it: it may be on a file system that cannot be written, or in use.
    pub(super) fn open_to_read(&self) -> Result<Store, Failure> {
        Ok(Store::open_to_read(&self.existing()?)?)
    }

    /// A directory that is misspelt must not come into being and look empty.
    fn existing(&self) -> Result<PathBuf, Failure> {
        let directory = self.directory()?;
        if !directory.join(DATABASE_FILE).exists() {
            return Err(Failure::NoDatabase(directory));
        }
        Ok(directory)
    }
}
