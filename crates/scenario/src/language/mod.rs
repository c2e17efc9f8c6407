//! The language of scenarios: TOML, one scenario a file.
//!
//! ```toml
//! description = "The primary key is lost, and the backup logs in."
//!
//! [matrix]
//! browser = ["chromium", "firefox"]
//!
//! [[key]]
//! name = "primary"
//!
//! [[key]]
//! name = "backup"
//! profile = "yubikey-5.7"
//!
//! [[client]]
//! name = "page"
//! browser = "${browser}"
//!
//! [[step]]
//! register = "primary"
//!
//! [[step]]
//! register = "primary"
//! expect = { refused-by = "authenticator", code = "credential-excluded" }
//! ```
//!
//! A file is read once, and again for each cell of its matrix: `${name}` stands for what the cell, or `[variables]`, has under that name, and
//! a value that is nothing else has its type too. Everything that is named is looked up before anything runs; an error points at the
//! place in the file. [`schema()`] describes it to editors.

mod admin;
mod at;
mod check;
mod client;
mod directory;
mod elsewhere;
mod expectation;
mod file;
mod key;
mod matrix;
mod on;
mod plan;
mod problem;
mod schema;
mod site;
mod site_plan;
mod step;
mod words;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

pub use self::admin::AdminCommand;
pub use self::at::{At, Several};
pub use self::client::{ClientTable, RulesTable};
pub use self::directory::{DirectoryTable, OptionText};
pub use self::elsewhere::{CeremonyTable, ElsewherePlan, ElsewhereTable};
pub use self::expectation::{Expectation, Expected, Refuser};
pub use self::key::KeyTable;
pub use self::matrix::{Cell, Given, MAX_CELLS};
pub use self::on::{On, UnknownOn};
pub use self::plan::{Act, AttestationPlan, ClientPlan, KeyPlan, Scenario, SitePlan, StepPlan, UserPlan};
pub use self::problem::{InvalidScenario, Problem, line_and_column};
pub use self::schema::schema;
pub use self::site::{AcceptedAttestation, AttestationRoot, AttestationTable, SiteTable, UserTable};
pub use self::step::{ActTable, AssertTable, CredentialKind, Doer, FactorAct, StepTable, Verb};

pub(crate) use self::check::PASSWORD;
use self::file::File;
use self::problem::invalid;

/// The longest file that is read, bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// How much a file may come to in all cells of its matrix, bytes.
const MAX_IN_ALL_CELLS: usize = 64 << 20;

/// A scenario that cannot be had.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It is longer than [`MAX_FILE_BYTES`].
    #[error("{} is longer than {MAX_FILE_BYTES} bytes: no scenario is", .0.display())]
    TooLong(PathBuf),
    /// It is no scenario.
    #[error(transparent)]
    Invalid(#[from] InvalidScenario),
}

/// Reads a file: its scenario in each cell of its matrix, in order.
///
/// # Errors
/// [`LoadError`], with all places that are wrong where these are names.
pub fn load(file: &Path, given: &Given) -> Result<Vec<Scenario>, LoadError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let unreadable = |error| LoadError::Read { file: file.to_owned(), error };
    let bytes = read().map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(LoadError::TooLong(file.to_owned()));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    Ok(parse(file, text, given)?)
}

/// The same of a text; `file` is what it is called.
///
/// # Errors
/// [`InvalidScenario`].
pub fn parse(file: &Path, text: impl Into<Arc<str>>, given: &Given) -> Result<Vec<Scenario>, InvalidScenario> {
    let text: Arc<str> = text.into();
    let wrong = |problems| invalid(file, &text, problems);
    let of_toml = |error: &toml::de::Error| wrong(vec![Problem::of_toml(error, text.len())]);
    let document = DeTable::parse(&text).map_err(|error| of_toml(&error))?;
    let span = document.span();
    let mut table = document.into_inner();
    let cells = matrix::cells(&mut table, given).map_err(|problem| wrong(vec![problem]))?;
    if cells.len().saturating_mul(text.len()) > MAX_IN_ALL_CELLS {
        let message = format!("a file of {} bytes is too long for a matrix of {} cells", text.len(), cells.len());
        return Err(wrong(vec![Problem::new(0..0, message)]));
    }
    let in_cell = |(cell, variables)| {
        let mut table = table.clone();
        matrix::substitute_all(&mut table, &variables).map_err(|problem| wrong(vec![problem]))?;
        let read = File::deserialize(Deserializer::from(Spanned::new(span.clone(), table)));
        let read = read.map_err(|error| of_toml(&error))?;
        let mut scenario = check::scenario(file, &text, cell, read).map_err(wrong)?;
        let is_given = |name: &&String| {
            scenario.variables().contains(name.as_str()) && !scenario.cell.iter().any(|(axis, _)| axis == *name)
        };
        scenario.given = given.iter().map(|(name, _)| name).filter(is_given).cloned().collect();
        Ok(scenario)
    };
    cells.into_iter().map(in_cell).collect()
}
