//! `keyrig key`: speaking to a running rack and to the keys in it.

mod credentials;
mod events;
mod fault;
mod fingerprints;
mod owner;
mod pin;
mod seconds;
mod state;
mod stored;
mod timeline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use keyrig_control::request::{
    Deny, Finger, List, Plug, PowerCycle, Remove, Reset, Sample, SetTouchPolicy, SetUvPolicy, Touch, Unplug, Verify,
    Wait,
};
use keyrig_control::socket::send;
use keyrig_rack::command::WaitFor;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::verification::UvPolicy;
use keyrig_rack::{Feedback, KeyName};

use self::seconds::Seconds;
use self::state::print_state;

pub(crate) use self::events::text as event_text;
pub(crate) use self::pin::{PinFile, first_line, from_file};

use crate::failure::Failure;
use crate::output::print_json;

/// How long a rack that does not listen yet is waited for.
#[cfg(target_os = "linux")]
const STARTING: Duration = Duration::from_secs(3);

#[derive(Args)]
#[command(after_help = "\
The rack is found by --control, else by the environment variable
KEYRIG_CONTROL, which holds a rack's name or unix:PATH too, else where
'keyrig serve' and 'keyrig attach' put their control socket by default:
$XDG_RUNTIME_DIR/keyrig.sock or ~/.keyrig/control.sock.
One that is starting is waited for, for three seconds.

Examples:
  keyrig key list
  keyrig key touch primary         while it waits for a touch: 'list' shows it
  keyrig key touch primary --wait  as soon as it waits, within 30 seconds
  keyrig key verify primary --miss while it waits to know its user: somebody else
  keyrig key wait primary --for attached --timeout 5
  keyrig key events --follow       what happens in the rack, as it happens
  keyrig key unplug primary
  keyrig key pin set primary       asks for the PIN; --pin-file FILE reads it,
                                   - from standard input
  keyrig key credentials list primary")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,

    /// The rack: its name, as 'serve --name' gave it, or its control socket
    #[arg(long, value_name = "RACK|unix:PATH", global = true)]
    control: Option<ControlArgument>,

    /// Print the answer as one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// List the keys and what each waits for
    List,
    /// Touch a key that waits for it
    Touch(Gesture),
    /// Touch a key that waits to know its user, as the one whom it knows or as somebody else
    Verify {
        /// Be somebody else
        #[arg(long)]
        miss: bool,

        #[command(flatten)]
        gesture: Gesture,
    },
    /// Give a key that waits for it a sample of a fingerprint
    Sample {
        #[command(flatten)]
        gesture: Gesture,

        /// What its sensor makes of it: good, too-high, too-low, too-left, too-right, too-fast, too-slow, poor-quality, too-skewed,
        /// too-short, merge-failure, exists (the finger is enrolled already), no-user-activity or no-user-presence-transition
        #[arg(value_name = "FEEDBACK")]
        sample: Feedback,
    },
    /// Refuse a touch that a key waits for
    Deny(Gesture),
    /// Wait until a key waits for a touch, is plugged in, or is attached to a host
    Wait {
        /// The key's name
        name: KeyName,

        /// What to wait for
        #[arg(long, value_name = "touch|plugged|attached", default_value = "touch")]
        r#for: WaitForArgument,

        /// For how long at most
        #[arg(long, value_name = "SECONDS", default_value = "30")]
        timeout: Seconds,
    },
    /// List what has happened, or follow what happens
    Events(events::Arguments),
    /// Put another key into the rack
    Create(owner::CreateArguments),
    /// Take a key out of the rack; what a state directory keeps of it stays there
    Remove(Named),
    /// Have a key forget everything, without a touch
    Reset(Named),
    /// Write all that a key keeps into a file, private keys included
    Snapshot(owner::SnapshotArguments),
    /// Have a key keep what a snapshot holds, and nothing else
    Restore(owner::RestoreArguments),
    /// Make another key that keeps the same
    Clone(owner::CloneArguments),
    /// Read or write a key's large blobs
    #[command(subcommand)]
    LargeBlobs(stored::LargeBlobsAction),
    /// Pull a key out
    Unplug(Named),
    /// Put a key back in
    Plug(Named),
    /// Pull a key out and put it back in
    PowerCycle(Named),
    /// Put the finger over a key; without a name, over the first one plugged in
    Finger {
        /// The key's name
        name: Option<KeyName>,
    },
    /// Set or change a key's PIN, or show how many tries are left
    #[command(subcommand)]
    Pin(pin::Action),
    /// Have something go wrong with a key, and right again
    #[command(subcommand)]
    Fault(fault::Action),
    /// List the fingers that a key knows, or have it know others
    #[command(subcommand)]
    Fingerprints(fingerprints::Action),
    /// List, delete, export or import credentials
    #[command(subcommand)]
    Credentials(credentials::Action),
    /// Do things to keys at times and upon conditions, as a file says
    Timeline(timeline::Arguments),
    /// Change when keys are touched
    TouchPolicy {
        /// auto, every, manual, deny or after=MILLISECONDS
        policy: TouchPolicy,
    },
    /// Change whom a key finds that verifies its user itself
    UvPolicy {
        /// The key's name
        name: KeyName,

        /// always, never, manual, miss=N, or script=A,B,…: one a touch, each miss or what 'sample' takes
        policy: UvPolicy,
    },
}

#[derive(Args)]
struct Gesture {
    /// The key's name
    name: KeyName,

    /// If the key does not wait yet, do it when it does
    #[arg(long)]
    wait: bool,

    /// For how long to wait at most
    #[arg(long, value_name = "SECONDS", default_value = "30", requires = "wait")]
    timeout: Seconds,
}

/// What the vocabulary calls it.
#[derive(Clone, Copy)]
struct WaitForArgument(WaitFor);

impl FromStr for WaitForArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "touch" => Ok(Self(WaitFor::Touch)),
            "plugged" => Ok(Self(WaitFor::Plugged)),
            "attached" => Ok(Self(WaitFor::Attached)),
            _ => Err("wait for touch, plugged or attached".to_owned()),
        }
    }
}

#[derive(Args)]
struct Named {
    /// The key's name
    name: KeyName,
}

/// `unix:PATH`, or a path with a '/' in it, as JSON has it.
#[derive(Clone)]
pub(crate) struct ControlArgument(PathBuf);

impl FromStr for ControlArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("the path is missing: write a control socket as unix:PATH".to_owned()),
            Some(path) => Ok(Self(path.into())),
            None if text.contains('/') => Ok(Self(text.into())),
            None => {
                let name =
                    text.parse::<KeyName>().map_err(|_| "write a rack's name, or a control socket as unix:PATH")?;
                Self::path_of_rack(&name).map(Self).map_err(|failure| failure.to_string())
            }
        }
    }
}

impl ControlArgument {
    /// The path that was given, or where it is by default: beside other sockets of this user.
    pub(crate) fn path_or_default(argument: Option<&Self>) -> Result<PathBuf, Failure> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(Self(path)) = argument {
            return Ok(path.clone());
        }
        if let Some(path) = variable("KEYRIG_CONTROL") {
            return match path.to_str() {
                Some("unix:") => {
                    Err(Failure::Usage("KEYRIG_CONTROL names no path: it is written unix:PATH".to_owned()))
                }
                Some(text) if text.starts_with("unix:") || text.parse::<KeyName>().is_ok() => {
                    let parsed = text.parse::<Self>().map(|control| control.0);
                    parsed.map_err(|error| Failure::Usage(format!("KEYRIG_CONTROL: {error}")))
                }
                _ => Ok(path),
            };
        }
        Self::in_directory("keyrig.sock", "control.sock")
    }

    /// Where the rack of this name has its socket, if it was not told otherwise.
    pub(crate) fn path_of_rack(name: &KeyName) -> Result<PathBuf, Failure> {
        Self::in_directory(&format!("keyrig-{name}.sock"), &format!("{name}.sock"))
    }

    /// The name of the rack that has its socket there because of it.
    pub(crate) fn rack_at(path: &Path) -> Option<KeyName> {
        let name = path.file_name()?.to_str()?.strip_suffix(".sock")?;
        let is_at = |name: &KeyName| Self::path_of_rack(name).is_ok_and(|of_rack| of_rack == path);
        let named = [name.strip_prefix("keyrig-"), Some(name)].into_iter().flatten();
        let found = named.filter_map(|name| name.parse().ok()).find(is_at)?;
        // At home a rack without a name is where one called control would be.
        (name != "control").then_some(found)
    }

    fn in_directory(of_runtime: &str, of_home: &str) -> Result<PathBuf, Failure> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("XDG_RUNTIME_DIR")
            .map(|directory| directory.join(of_runtime))
            .or_else(|| variable("HOME").map(|home| home.join(".keyrig").join(of_home)))
            .ok_or_else(|| {
                Failure::Usage("neither XDG_RUNTIME_DIR nor HOME is set: say where with --control unix:PATH".to_owned())
            })
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let path = ControlArgument::path_or_default(arguments.control.as_ref())?;
    let name = ControlArgument::rack_at(&path);
    carry_out(arguments, path).await.map_err(|failure| failure.at_rack(name))
}

async fn carry_out(arguments: Arguments, path: PathBuf) -> Result<ExitCode, Failure> {
    // It may have been started a moment ago.
    #[cfg(target_os = "linux")]
    keyrig_control::starting::wait_for_rack(&path, STARTING).await;
    let state = match arguments.action {
        Action::List => send(&path, List {}).await?,
        Action::Touch(Gesture { name: key, wait, timeout }) => {
            send(&path, Touch { key, wait, timeout_ms: timeout.milliseconds() }).await?
        }
        Action::Verify { miss, gesture: Gesture { name: key, wait, timeout } } => {
            send(&path, Verify { key, miss, wait, timeout_ms: timeout.milliseconds() }).await?
        }
        Action::Sample { sample, gesture: Gesture { name: key, wait, timeout } } => {
            send(&path, Sample { key, sample, wait, timeout_ms: timeout.milliseconds() }).await?
        }
        Action::UvPolicy { name: key, policy } => send(&path, SetUvPolicy { key, policy }).await?,
        Action::Deny(Gesture { name: key, wait, timeout }) => {
            send(&path, Deny { key, wait, timeout_ms: timeout.milliseconds() }).await?
        }
        Action::Wait { name: key, r#for: WaitForArgument(r#for), timeout } => {
            send(&path, Wait { key, r#for, timeout_ms: timeout.milliseconds() }).await?
        }
        Action::Unplug(Named { name: key }) => send(&path, Unplug { key }).await?,
        Action::Plug(Named { name: key }) => send(&path, Plug { key }).await?,
        Action::PowerCycle(Named { name: key }) => send(&path, PowerCycle { key }).await?,
        Action::Finger { name: key } => send(&path, Finger { key }).await?,
        Action::TouchPolicy { policy } => send(&path, SetTouchPolicy { policy }).await?,
        Action::Create(create) => owner::create(create, &path).await?,
        Action::Remove(Named { name: key }) => send(&path, Remove { key }).await?,
        Action::Reset(Named { name: key }) => send(&path, Reset { key }).await?,
        Action::Restore(restore) => owner::restore(restore, &path).await?,
        Action::Clone(clone) => owner::clone(clone, &path).await?,
        Action::Snapshot(snapshot) => {
            return owner::snapshot(snapshot, &path, arguments.json).await.map(|()| ExitCode::SUCCESS);
        }
        Action::LargeBlobs(action) => {
            return stored::large_blobs(action, &path, arguments.json).await.map(|()| ExitCode::SUCCESS);
        }
        Action::Timeline(timeline) => return timeline::run(timeline, &path, arguments.json).await,
        Action::Events(followed) => return events::run(followed, &path, arguments.json).await,
        Action::Fault(action) => {
            return fault::run(action, &path, arguments.json).await.map(|()| ExitCode::SUCCESS);
        }
        Action::Fingerprints(action) => {
            return fingerprints::run(action, &path, arguments.json).await.map(|()| ExitCode::SUCCESS);
        }
        Action::Pin(action) => return pin::run(action, path, arguments.json).await,
        Action::Credentials(action) => return credentials::run(action, path, arguments.json).await,
    };
    if arguments.json {
        print_json(&state)?
    } else {
        print_state(&state)?
    }
    Ok(ExitCode::SUCCESS)
}
