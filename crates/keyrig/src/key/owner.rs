//! Whole keys of a running rack: `keyrig key create`, `remove`, `reset`, `snapshot`, `restore`, `clone`.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keyrig_control::request::{Base64Url, Clone as CloneKey, Create, Restore, Secret, TakeSnapshot, TakenSnapshot};
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use keyrig_rack::command::RackState;
use keyrig_rack::snapshot::MAX_SNAPSHOT;
use keyrig_rack::verification::UvPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pin::{PinFile, first_line, read_bytes};
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Args)]
pub(super) struct CreateArguments {
    /// Its name
    name: KeyName,

    /// Its profile; without it, that of the snapshot, or keyrig
    #[arg(long)]
    profile: Option<String>,

    /// Whom it finds when it verifies its user itself: always, never, manual, miss=N or script=A,B,…
    #[arg(long, value_name = "POLICY")]
    uv: Option<UvPolicy>,

    /// A known bug of a real key ('keyrig profiles --quirks' lists them). Repeat for more
    #[arg(long = "quirk", value_name = "QUIRK")]
    quirks: Vec<String>,

    /// An RP ID that it gives enterprise attestations to, beside those of its profile, once that is enabled. Repeat for more
    #[arg(long = "enterprise-rp", value_name = "RP_ID")]
    enterprise_rps: Vec<String>,

    /// What it keeps from the start: a file that 'keyrig key snapshot' wrote
    #[arg(long, value_name = "FILE|-")]
    snapshot: Option<PinFile>,

    /// Its PIN from the start: the first line of a file
    #[arg(long, value_name = "FILE|-")]
    pin_file: Option<PinFile>,

    /// Do not plug it in
    #[arg(long)]
    unplugged: bool,
}

#[derive(Args)]
pub(super) struct SnapshotArguments {
    /// The key's name
    name: KeyName,

    /// The file to write, which only this user can read; without one it goes to standard output. Private keys are in it
    file: Option<PathBuf>,
}

/// What '--json' prints of a snapshot that went into a file.
#[derive(Serialize)]
struct Written {
    key: KeyName,
    profile: String,
    file: PathBuf,
}

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// The key's name
    name: KeyName,

    /// A file that 'keyrig key snapshot' wrote, of a key of the same profile
    #[arg(value_name = "FILE|-")]
    file: PinFile,
}

#[derive(Args)]
pub(super) struct CloneArguments {
    /// The key's name
    name: KeyName,

    /// The name of the other one
    other: KeyName,
}

pub(super) async fn create(arguments: CreateArguments, path: &Path) -> Result<RackState, Failure> {
    let snapshot = arguments.snapshot.as_ref().map(read_snapshot).transpose()?;
    let pin = arguments.pin_file.as_ref().map(first_line).transpose()?.map(Secret);
    let CreateArguments { name, profile, quirks, enterprise_rps, uv, unplugged, .. } = arguments;
    let plugged = !unplugged;
    let virtual_authenticator = None;
    let create = Create { name, profile, virtual_authenticator, quirks, enterprise_rps, snapshot, pin, uv, plugged };
    Ok(send(path, create).await?)
}

pub(super) async fn snapshot(arguments: SnapshotArguments, path: &Path, json: bool) -> Result<(), Failure> {
    let taken = send(path, TakeSnapshot { key: arguments.name }).await?;
    match arguments.file {
        Some(file) => {
            write(&file, &taken.snapshot.0)?;
            if json {
                print_json(&Written { key: taken.key, profile: taken.profile, file })
            } else {
                print(format!("{}: what it keeps is in {}, private keys included", taken.key, file.display()))
            }
        }
        None if json => print_json(&taken),
        None => {
            let mut out = io::stdout().lock();
            if out.is_terminal() {
                return Err(Failure::Usage("a snapshot is no text: name a file for it".to_owned()));
            }
            out.write_all(&taken.snapshot.0).and_then(|()| out.flush()).map_err(Failure::Print)
        }
    }
}

fn write(file: &PathBuf, bytes: &[u8]) -> Result<(), Failure> {
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::IsThere(file.clone()),
        _ => Failure::Write(file.clone(), error),
    })
}

pub(super) async fn restore(arguments: RestoreArguments, path: &Path) -> Result<RackState, Failure> {
    let snapshot = read_snapshot(&arguments.file)?;
    Ok(send(path, Restore { key: arguments.name, snapshot }).await?)
}

pub(super) async fn clone(arguments: CloneArguments, path: &Path) -> Result<RackState, Failure> {
    Ok(send(path, CloneKey { key: arguments.name, name: arguments.other }).await?)
}

/// A snapshot as it is in a file, or as `--json` prints one.
fn read_snapshot(file: &PinFile) -> Result<Base64Url, Failure> {
    // In JSON it is a third longer.
    let bytes = read_bytes(file, 2 * MAX_SNAPSHOT)?;
    if bytes.starts_with(b"{") {
        let taken = parse::<TakenSnapshot>(file, &bytes).map(|taken| taken.snapshot);
        return taken.map_err(|_| unreadable(file, "it is neither a snapshot nor the JSON of 'snapshot --json'"));
    }
    Ok(Base64Url(bytes))
}

/// JSON that another command printed.
pub(super) fn parse<T: DeserializeOwned>(file: &PinFile, bytes: &[u8]) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| unreadable(file, error))
}

/// A file that is not what it has to be.
pub(super) fn unreadable(file: &PinFile, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::Read(file.path(), io::Error::new(io::ErrorKind::InvalidData, why))
}
