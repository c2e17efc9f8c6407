//! The password that a command sets.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use keyrig_relying_party::{PasswordCost, PasswordHash, SystemRandomness};

use crate::failure::Failure;

/// Where a password comes from.
#[derive(Clone, Debug)]
pub(super) enum PasswordSource {
    Stdin,
    File(PathBuf),
}

impl FromStr for PasswordSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl PasswordSource {
    /// The first line.
    pub(super) fn read(&self) -> Result<String, Failure> {
        let read = |path: &Path, reader: &mut dyn BufRead| {
            let mut line = String::new();
            let limit = u64::try_from(keyrig_relying_party::MAX_PASSWORD_BYTES).unwrap_or(u64::MAX) + 2;
            std::io::Read::take(reader, limit)
                .read_line(&mut line)
                .map_err(|error| Failure::Read(path.to_owned(), error))?;
            Ok(line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
        };
        match self {
            Self::Stdin => read(Path::new("standard input"), &mut std::io::stdin().lock()),
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(|error| Failure::Read(path.clone(), error))?;
                read(path, &mut std::io::BufReader::new(file))
            }
        }
    }
}

/// A password that was given, or one made up and then to be shown.
pub(super) fn password(source: Option<&PasswordSource>) -> Result<(PasswordHash, Option<String>), Failure> {
    let (password, made_up) = match source {
        Some(source) => (source.read()?, false),
        None => (keyrig_relying_party::random_password(&SystemRandomness), true),
    };
    let hash = PasswordHash::new(&password, PasswordCost::Full, &SystemRandomness)?;
    Ok((hash, made_up.then_some(password)))
}
