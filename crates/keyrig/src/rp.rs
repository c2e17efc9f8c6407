//! `keyrig rp`: the relying party, and the administrator's command line on its database.

mod audit;
mod policies;
mod realm;
mod serve;
mod totp;
mod user;

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use keyrig_relying_party::{PasswordCost, PasswordHash, Store, SystemRandomness, UserName};

use crate::failure::Failure;
use crate::output::prompt;

#[derive(Args)]
#[command(after_help = "\
Everything is kept in --state; without it in $XDG_STATE_HOME/keyrig/relying-party or ~/.local/state/keyrig/relying-party. \
The commands work while a server runs on the same directory.

Examples:
  keyrig rp serve                                    a site at http://localhost:8006, with the administrator root@pam
  keyrig rp user tfa list                            everybody's factors
  keyrig rp user tfa delete alice@pve --id ID        without --id: all of them
  keyrig rp realm modify pve --tfa type=oath,digits=6,step=30
  keyrig rp audit                                    who has which factors, and who needs looking after")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Serve the relying party and its page until interrupted
    Serve(serve::Arguments),
    /// Users and their factors
    User(user::Arguments),
    /// Set a user's password
    Passwd(user::Password),
    /// Realms and the second factor that they require
    Realm(realm::Arguments),
    /// Who has which factors, when last used, and who needs looking after
    Audit(audit::AuditArguments),
    /// The log of security events
    Events(audit::EventsArguments),
    /// The report behind an identifier that a refused user was told
    Report(audit::ReportArguments),
    /// The code that an authenticator app would show, or its address as a QR code
    Totp(totp::Arguments),
    /// The built-in policies, and how each differs from the default
    Policies(policies::Arguments),
}

/// Where the database is.
#[derive(Args)]
struct State {
    /// The directory of the database
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl State {
    fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.state {
            return Ok(directory.clone());
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
        let base = base.ok_or_else(|| Failure::Usage("HOME is not set: give --state DIR".to_owned()))?;
        Ok(base.join("keyrig/relying-party"))
    }

    /// The database, made if it is not there: what `serve` and whatever adds a user want.
    fn open_or_make(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.directory()?)?)
    }

    /// The database that has to be there: a directory that is misspelt must not come into being and look empty.
    fn open(&self) -> Result<Store, Failure> {
        let directory = self.directory()?;
        if !directory.join(keyrig_relying_party::DATABASE_FILE).exists() {
            return Err(Failure::NoDatabase(directory));
        }
        Ok(Store::open(&directory)?)
    }
}

impl State {
    /// The same, to read it: it may be on a file system that cannot be written, or in use.
    fn open_to_read(&self) -> Result<Store, Failure> {
        let directory = self.directory()?;
        if !directory.join(keyrig_relying_party::DATABASE_FILE).exists() {
            return Err(Failure::NoDatabase(directory));
        }
        Ok(Store::open_to_read(&directory)?)
    }
}

/// Where a password comes from.
#[derive(Clone, Debug)]
enum PasswordSource {
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
    fn read(&self) -> Result<String, Failure> {
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
fn password(source: Option<&PasswordSource>) -> Result<(PasswordHash, Option<String>), Failure> {
    let (password, made_up) = match source {
        Some(source) => (source.read()?, false),
        None => (keyrig_relying_party::random_password(&SystemRandomness), true),
    };
    let hash = PasswordHash::new(&password, PasswordCost::Full, &SystemRandomness)?;
    Ok((hash, made_up.then_some(password)))
}

/// Asks on the terminal. Where nobody can answer it is a mistake not to have said `--yes`.
fn confirm(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("there is no terminal to ask on: add --yes to go on".to_owned()));
    }
    prompt(format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::Print)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::Serve(arguments) => serve::run(arguments).await,
        Action::User(arguments) => user::run(arguments),
        Action::Passwd(arguments) => user::set_password(&arguments),
        Action::Realm(arguments) => realm::run(arguments),
        Action::Audit(arguments) => audit::audit(&arguments),
        Action::Events(arguments) => audit::events(&arguments),
        Action::Report(arguments) => audit::report(&arguments),
        Action::Totp(arguments) => totp::run(&arguments),
        Action::Policies(arguments) => policies::run(&arguments),
    }
}
