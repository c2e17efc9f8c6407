//! `keyrig key pin`: the PIN of a key in a running rack; and where PINs come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use keyrig_client::channel::Cancel;
use keyrig_client::error::{Cause, KeyFailure};
use keyrig_client::pin::{Pin, PinMistake, PinProblem, PinRequest};
use keyrig_client::{Key, OptionId, Permissions, PinUvAuthToken, Status};
use keyrig_control::request::Transact;
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use keyrig_ways::ControlChannel;
use serde::Serialize;

use crate::failure::Failure;
use crate::interruption::HiddenTyping;
use crate::output::{print, print_json, say};

/// More than this is no PIN, bytes.
const MAX_FILE: usize = 4096;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Set the first PIN
    Set {
        /// The key's name
        name: KeyName,
        #[command(flatten)]
        pin: PinArgument,
    },
    /// Change the PIN
    Change {
        /// The key's name
        name: KeyName,
        #[command(flatten)]
        pin: PinArgument,
        /// Read the new PIN from the first line of a file or of standard input, where it follows the old one
        #[arg(long, value_name = "FILE|-")]
        new_pin_file: Option<PinFile>,
    },
    /// Show how many tries are left until the PIN is blocked
    Retries {
        /// The key's name
        name: KeyName,
    },
}

#[derive(Args)]
pub(super) struct PinArgument {
    /// Read the PIN from the first line of a file or of standard input, instead of asking on the terminal
    #[arg(long, value_name = "FILE|-")]
    pin_file: Option<PinFile>,
}

impl PinArgument {
    pub(super) fn file(&self) -> Option<&PinFile> {
        self.pin_file.as_ref()
    }
}

/// A file, or standard input.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PinFile {
    StandardInput,
    File(PathBuf),
}

impl PinFile {
    /// What it is called in errors.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::StandardInput => "standard input".into(),
            Self::File(path) => path.clone(),
        }
    }
}

impl FromStr for PinFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("name a file, or - for standard input".to_owned()),
            "-" => Ok(Self::StandardInput),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// A key's PIN as programs read of it.
#[derive(Serialize)]
struct PinState {
    key: KeyName,
    pin_set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_cycle_needed: Option<bool>,
}

pub(super) async fn run(action: Action, path: PathBuf, json: bool) -> Result<ExitCode, Failure> {
    let (name, done) = match action {
        Action::Set { name, pin } => {
            let mut key = open(&path, &name).await?;
            if key.describe().await?.option(OptionId::ClientPin) == Some(true) {
                return Err(failed(&name, PinProblem::AlreadySet));
            }
            let new = new_pin(&name, pin.pin_file.as_ref(), "--pin-file")?;
            key.key.set_pin(&new, &Cancel::never()).await.map_err(|cause| failed(&name, cause))?;
            (name, Some("set"))
        }
        Action::Change { name, pin, new_pin_file } => {
            let mut key = open(&path, &name).await?;
            if key.describe().await?.option(OptionId::ClientPin) == Some(false) {
                return Err(failed(&name, PinProblem::NotSet));
            }
            let (current, new) = match (&pin.pin_file, &new_pin_file) {
                (Some(PinFile::StandardInput), Some(PinFile::StandardInput)) => {
                    let text = read(&PinFile::StandardInput)?;
                    let mut lines = text.lines();
                    let mut line = || Pin::new(lines.next().unwrap_or_default());
                    (line(), line())
                }
                (current, new) => {
                    let current = match current {
                        Some(file) => from_file(file)?,
                        None => ask(&format!("PIN of key {name}: "), "--pin-file")?,
                    };
                    (current, new_pin(&name, new.as_ref(), "--new-pin-file")?)
                }
            };
            match key.key.change_pin(&current, &new, &Cancel::never()).await {
                Ok(()) => {}
                Err(Cause::Status { status: Status::PinInvalid, .. }) => {
                    let left = key.key.pin_retries(&Cancel::never()).await.map_err(|cause| failed(&name, cause))?.left;
                    return Err(at_key(name.as_str(), PinMistake::Wrong, Some(left)));
                }
                Err(cause) => return Err(failed(&name, cause)),
            }
            (name, Some("changed"))
        }
        Action::Retries { name } => (name, None),
    };
    let status = status(&path, &name).await?;
    if json {
        print_json(&status)?;
    } else {
        print(match done {
            Some(done) => format!("{name}: the PIN is {done}"),
            None => described(&status),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(path: &Path, name: &KeyName) -> Result<PinState, Failure> {
    let mut key = open(path, name).await?;
    let pin_set = match key.describe().await?.option(OptionId::ClientPin) {
        None => return Err(failed(name, PinProblem::NotSupported)),
        Some(pin_set) => pin_set,
    };
    let mut status = PinState { key: name.clone(), pin_set, retries: None, power_cycle_needed: None };
    if pin_set {
        let retries = key.key.pin_retries(&Cancel::never()).await.map_err(|cause| failed(name, cause))?;
        status.retries = Some(retries.left);
        status.power_cycle_needed = Some(retries.power_cycle_needed);
    }
    Ok(status)
}

fn described(status: &PinState) -> String {
    let PinState { key, retries, power_cycle_needed, .. } = status;
    match retries {
        None => format!("{key}: no PIN is set; 'keyrig key pin set {key}' sets one"),
        Some(0) => format!("{key}: the PIN is blocked; a reset unblocks it, and deletes the credentials"),
        Some(left) if *power_cycle_needed == Some(true) => {
            format!("{key}: {}, after 'keyrig key power-cycle {key}'", tries(*left))
        }
        Some(left) => format!("{key}: {}", tries(*left)),
    }
}

fn tries(left: u64) -> String {
    if left == 1 { "1 try left".to_owned() } else { format!("{left} tries left") }
}

/// A key of the rack, spoken to as a client does.
pub(super) struct OpenKey {
    pub(super) key: Key<ControlChannel>,
    name: KeyName,
}

/// Opens a key, if there is one of this name and it is plugged in.
pub(super) async fn open(path: &Path, name: &KeyName) -> Result<OpenKey, Failure> {
    // What comes of getInfo is asked for again later: here it is only about the key being there.
    const GET_INFO: u8 = 0x04;
    send(path, Transact { key: name.clone(), message: vec![GET_INFO] }).await?;
    let channel = ControlChannel { path: path.to_owned(), key: name.clone() };
    Ok(OpenKey { key: Key::new(name.to_string(), channel), name: name.clone() })
}

impl OpenKey {
    pub(super) async fn describe(&mut self) -> Result<keyrig_client::Info, Failure> {
        self.key.get_info(&Cancel::never()).await.map_err(|cause| failed(&self.name, cause))
    }

    /// A token, by the PIN: from a file, which is tried once, or from the terminal, until it is right.
    pub(super) async fn token(
        &mut self,
        permissions: Permissions,
        file: Option<&PinFile>,
    ) -> Result<PinUvAuthToken, Failure> {
        if self.describe().await?.option(OptionId::ClientPin) == Some(false) {
            return Err(failed(&self.name, PinProblem::NotSet));
        }
        let given = file.map(from_file).transpose()?;
        let trouble = std::sync::Mutex::new(None);
        let answer = |request: &PinRequest| match (&given, request.mistake) {
            (Some(pin), None) => Ok(pin.clone()),
            (Some(_), Some(mistake)) => Err(at_key(&request.key, mistake, request.retries)),
            (None, mistake) => {
                if let Some(mistake) = mistake {
                    say(mistake.to_string());
                }
                let left = request.retries.map(|left| format!(" ({})", tries(left))).unwrap_or_default();
                ask(&format!("PIN of key {}{left}: ", request.key), "--pin-file")
            }
        };
        let remembering = |request: &PinRequest| match answer(request) {
            Ok(pin) => Some(pin),
            Err(failure) => {
                *trouble.lock().ok()? = Some(failure);
                None
            }
        };
        let token = self.key.pin_uv_auth_token(permissions, None, &remembering, &Cancel::never()).await;
        // What kept it from being given says more than that it was not.
        let trouble = trouble.into_inner().ok().flatten();
        token.map_err(|cause| trouble.unwrap_or_else(|| failed(&self.name, cause)))
    }
}

pub(super) fn failed(name: &KeyName, cause: impl Into<Cause>) -> Failure {
    let key = name.to_string();
    let reason = match cause.into() {
        Cause::Status { status: Status::PinAuthBlocked, .. } | Cause::Pin(PinProblem::PowerCycleNeeded) => {
            format!("it accepts no PIN after three wrong ones in a row: 'keyrig key power-cycle {name}' unblocks it")
        }
        Cause::Status { status: Status::PinBlocked, .. } => PinProblem::Blocked.to_string(),
        Cause::Pin(PinProblem::NotSet) => format!("it has no PIN yet: 'keyrig key pin set {name}' sets one"),
        Cause::Pin(PinProblem::AlreadySet) => {
            format!("it has a PIN already: 'keyrig key pin change {name}' changes it")
        }
        cause => return KeyFailure { key, cause }.into(),
    };
    Failure::AtKey { key, reason }
}

fn at_key(key: &str, mistake: PinMistake, left: Option<u64>) -> Failure {
    let left = match left {
        Some(left) if mistake == PinMistake::Wrong => format!(", {}", tries(left)),
        _ => String::new(),
    };
    Failure::AtKey { key: key.to_owned(), reason: format!("{mistake}{left}") }
}

/// A new PIN; typed twice where it is typed.
fn new_pin(name: &KeyName, file: Option<&PinFile>, option: &str) -> Result<Pin, Failure> {
    match file {
        Some(file) => from_file(file),
        None => {
            let new = ask(&format!("New PIN of key {name}: "), option)?;
            if ask("The same again: ", option)? == new { Ok(new) } else { Err(Failure::PinsDiffer) }
        }
    }
}

/// Asks on the terminal, which shows nothing of what is typed.
fn ask(prompt: &str, option: &str) -> Result<Pin, Failure> {
    let typing = HiddenTyping::begin();
    let typed = rpassword::prompt_password(prompt);
    drop(typing);
    typed.map(|typed| Pin::new(&typed)).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => Failure::Interrupted,
        _ => Failure::Usage(format!(
            "there is no terminal to ask on: name a file with {option}, or - for standard input"
        )),
    })
}

pub(crate) fn from_file(file: &PinFile) -> Result<Pin, Failure> {
    Ok(Pin::new(&first_line(file)?))
}

pub(crate) fn first_line(file: &PinFile) -> Result<String, Failure> {
    Ok(read(file)?.lines().next().unwrap_or_default().to_owned())
}

fn read(file: &PinFile) -> Result<String, Failure> {
    let text = String::from_utf8(read_bytes(file, MAX_FILE)?);
    text.map_err(|error| Failure::Read(file.path(), io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}

/// Reads a file, or standard input, but no further than `max` bytes.
pub(super) fn read_bytes(file: &PinFile, max: usize) -> Result<Vec<u8>, Failure> {
    let limited = |reader: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.take(u64::try_from(max).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let read = match file {
        PinFile::StandardInput => limited(&mut io::stdin().lock()),
        PinFile::File(path) => File::open(path).and_then(|mut file| limited(&mut file)),
    };
    read.map_err(|error| Failure::Read(file.path(), error))
}
