//! What ends a command: its words, and its exit status.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use keyrig_attach::ctaphid_endpoint::EndpointError;
#[cfg(target_os = "linux")]
use keyrig_attach::exec::{ExecError, Refused, Step};
#[cfg(target_os = "linux")]
use keyrig_attach::kernel::AttachError;
use keyrig_attach::uhid::UhidError;
use keyrig_attach::vhci::VhciError;
use keyrig_client::error::KeyFailure;
use keyrig_control::socket::ControlError;
use keyrig_faults::replay::{NotReplayable, Problem};
use keyrig_faults::timeline::InvalidTimeline;
use keyrig_faults::transcript::{NotATranscript, Unwritten};
use keyrig_metadata::ReadError;
use keyrig_rack::command::Refusal;
use keyrig_rack::state_directory::StateError;
use keyrig_rack::{InvalidKeySpecification, KeyName, RackError};
#[cfg(feature = "tls")]
use keyrig_relying_party::{AuthorityError, TlsError};
use keyrig_relying_party::{
    ConfigError, FactorError, GroupError, InvalidPassword, InvalidUserName, RealmError, RoleError, StoreError,
    TooLongForQr, TotpRefused, UnknownPolicy, UserError,
};
use keyrig_scenario::demo::DemoError;
use keyrig_scenario::doctor::PveError;
#[cfg(feature = "tls")]
use keyrig_scenario::doctor::{FetchError, OptionsError, TrustError};
#[cfg(target_os = "linux")]
use keyrig_scenario::hardware::lab::LabError;
use keyrig_scenario::verifier::InvalidRecording;
use keyrig_service::TokenFileError;
use thiserror::Error;

/// Why a command could not do what it was asked for.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Rack(#[from] RackError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Bind(#[from] EndpointError),
    #[error(transparent)]
    Token(#[from] TokenFileError),
    #[error(transparent)]
    Key(#[from] KeyFailure),
    #[error("key {key:?}: {reason}")]
    AtKey { key: String, reason: String },
    #[error("the two PINs differ: nothing was changed")]
    PinsDiffer,
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("{address} is in use by another program ({})", likely(*.address))]
    PortInUse { address: SocketAddr, option: &'static str },
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
    #[error("{error}")]
    AtRack { name: KeyName, error: ControlError },
    #[error("{} is there already, and is not the file of a token", .0.display())]
    NotAToken(PathBuf),
    #[error("{} is there already, and keys are not overwritten", .0.display())]
    IsThere(PathBuf),
    #[error("{} is there already, and scenarios are not overwritten", .0.display())]
    ScenarioIsThere(PathBuf),
    #[error("cannot print: {0}")]
    Print(#[source] io::Error),
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// What a command is to judge, whose exit status 1 is its verdict.
    #[error("cannot read {0}: {1}")]
    Input(PathBuf, #[source] io::Error),
    #[error("{0}: {1}")]
    NotATranscript(PathBuf, #[source] NotATranscript),
    #[error("{0}: {1}")]
    NotMetadata(PathBuf, #[source] Box<ReadError>),
    #[error(transparent)]
    Specification(#[from] InvalidKeySpecification),
    #[error("{0}: {1}")]
    NotReplayable(PathBuf, #[source] Box<NotReplayable>),
    #[error("{0}:{1}")]
    Timeline(PathBuf, #[source] InvalidTimeline),
    #[error(transparent)]
    Trace(Unwritten),
    #[error("{0}; and {1}")]
    AndTrace(Box<Self>, Unwritten),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    UserName(#[from] InvalidUserName),
    #[error(transparent)]
    Factor(#[from] FactorError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("{0}: --force")]
    NeedsForce(FactorError),
    #[error(transparent)]
    Realm(#[from] RealmError),
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    #[error(transparent)]
    Policy(#[from] UnknownPolicy),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Unreadable(ConfigError),
    #[error(transparent)]
    Pve(#[from] PveError),
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[cfg(feature = "tls")]
    #[error("{}: {}", .0.display(), .1)]
    Trust(PathBuf, #[source] TrustError),
    #[error("{0}: {1}")]
    Unexplained(String, #[source] InvalidRecording),
    #[error(transparent)]
    Totp(#[from] TotpRefused),
    #[error(transparent)]
    Qr(#[from] TooLongForQr),
    #[error("{} has no database: check --state; 'keyrig rp serve' and 'keyrig rp user add' create one", .0.display())]
    NoDatabase(PathBuf),
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[cfg(feature = "tls")]
    #[error("{}: {}", .0.display(), .1)]
    Certificate(PathBuf, #[source] TlsError),
    #[cfg(feature = "tls")]
    #[error("there is no test CA in {}: 'keyrig rp serve --tls self' makes one", .0.display())]
    NoAuthority(PathBuf),
    #[cfg(feature = "tls")]
    #[error("mkcert is not on the PATH: install it (Debian's package mkcert), or write --tls self")]
    NoMkcert,
    #[cfg(feature = "tls")]
    #[error("mkcert made no certificate: {0}")]
    Mkcert(String),
    #[error("there is no report {0}")]
    NoReport(String),
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("{0}")]
    Hardware(String),
    #[error("interrupted")]
    Interrupted,
    #[error("nothing was deleted")]
    NotConfirmed,
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
}

/// Who is known to listen there.
fn likely(address: SocketAddr) -> &'static str {
    match address.port() {
        3240 => "another keyrig, or usbipd",
        8100 => "another keyrig",
        8006 => "another keyrig, or Proxmox VE's pveproxy",
        _ => "perhaps another keyrig",
    }
}

/// What helps where nothing was fetched, and the user may have it otherwise.
#[cfg(feature = "tls")]
pub(crate) fn advice(error: &FetchError) -> Option<String> {
    match error {
        FetchError::NotNamed(host) => Some(format!("if it may be asked, say --fetch {host}")),
        FetchError::NotPublic { host, address } => {
            Some(format!("if it is to be asked there, say --resolve {host}:443:{address}, or another port"))
        }
        FetchError::Tls { .. } => Some("a CA of your own is trusted with --ca FILE".to_owned()),
        _ => None,
    }
}

impl Failure {
    /// The same at a rack that was found by its name, if it has one.
    pub(crate) fn at_rack(self, name: Option<KeyName>) -> Self {
        match (self, name) {
            (Self::Control(error), Some(name)) => Self::AtRack { name, error },
            (failure, _) => failure,
        }
    }

    /// Whether whoever read what was printed wanted no more, as 'head' does: a good end.
    pub(crate) fn is_of_the_reader(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What helps, where that is a matter of the command line.
    pub(crate) fn what_to_do(&self) -> Option<String> {
        let advice = match self {
            Self::Rack(RackError::SameName(_)) => "give one another name with --key NAME=PROFILE",
            Self::Rack(RackError::State(StateError::OtherProfile { found, .. })) => {
                return Some(format!("ask for --key NAME={found}, or use another name"));
            }
            Self::Control(ControlError::InUse { .. } | ControlError::NotASocket { .. }) => {
                "name another with --control unix:PATH"
            }
            Self::Control(ControlError::NotRunning { .. }) => {
                "start one with 'keyrig serve', or say where it is with --control unix:PATH"
            }
            Self::AtRack { error: ControlError::InUse { .. } | ControlError::NotASocket { .. }, .. } => {
                "choose another name with --name"
            }
            Self::AtRack { name, error: ControlError::NotRunning { .. } } => {
                return Some(format!("start it with 'keyrig serve --name {name}'"));
            }
            Self::NotReplayable(_, error) => match **error {
                NotReplayable::NoSeed => "record it with --seed N, beside --trace FILE.jsonl",
                NotReplayable::At { problem: Problem::Administered, .. } => {
                    "set PINs from the start, with --pin NAME=FILE"
                }
                _ => return None,
            },
            Self::AndTrace(failure, _) => return failure.what_to_do(),
            Self::Unexplained(_, InvalidRecording::Nothing) => {
                "give options and response as JSON, or a browser's exception as its console has it: NAME: MESSAGE"
            }
            Self::NotAToken(_) => "remove it, or name another socket with --control",
            Self::IsThere(_) | Self::ScenarioIsThere(_) => "name another file, or remove it",
            Self::Bind(EndpointError::InUse(_)) => "stop it, or choose another address with --ctaphid",
            Self::Bind(EndpointError::NotASocket { .. }) => "name another with --ctaphid unix:PATH",
            #[cfg(target_os = "linux")]
            Self::Exec(ExecError::NoView(refused)) => match refused.last()? {
                refused @ Refused { step: Step::Fork | Step::Filter, .. } => refused.what_to_do(),
                _ => "leave --view out, and calls by path are answered instead",
            },
            #[cfg(target_os = "linux")]
            Self::Attach(AttachError::Vhci(VhciError::NoRights { .. })) => "run it as root: sudo keyrig attach",
            #[cfg(target_os = "linux")]
            Self::Attach(AttachError::Uhid(UhidError::NoRights)) => "run it as root: sudo keyrig attach --uhid",
            Self::PortInUse { option, .. } => {
                return Some(format!("stop it, or choose another port with {option} ADDRESS:PORT"));
            }
            #[cfg(feature = "tls")]
            Self::Options(error) => return error.fetching().and_then(advice),
            _ => return None,
        };
        Some(advice.to_owned())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            _ if self.is_of_the_reader() => ExitCode::SUCCESS,
            #[cfg(feature = "tls")]
            Self::Options(_) | Self::Trust(..) => ExitCode::from(2),
            Self::Interrupted => ExitCode::from(130),
            Self::AndTrace(failure, _) => failure.exit_code(),
            #[cfg(target_os = "linux")]
            Self::Lab(LabError::Invalid { .. } | LabError::TooLong(_)) => ExitCode::from(2),
            Self::Usage(_)
            | Self::Input(..)
            | Self::Specification(_)
            | Self::Unreadable(_)
            | Self::Unexplained(..)
            | Self::Pve(_)
            | Self::Policy(_)
            | Self::Totp(_)
            | Self::Rack(
                RackError::TooManyKeys(_)
                | RackError::SameName(_)
                | RackError::NoSuchFinger(_)
                | RackError::SeedAndState,
            ) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
