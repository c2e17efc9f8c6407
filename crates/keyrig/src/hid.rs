//! `keyrig hid`: security keys that are plugged into this machine, whoever made them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use keyrig_scenario::hardware::identity::Identity;
use keyrig_scenario::hardware::lab::{self, Lab};
use keyrig_scenario::hardware::power;
use keyrig_scenario::hardware::record::{Including, record};
use keyrig_ways::{HidKey, is_port};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{print, print_json, print_json_for_people};
use crate::person::AtTerminal;

/// The lab file, unless another is named.
pub(crate) const LAB: &str = "lab.toml";

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig hid list                        what is plugged in, and where
  keyrig hid name primary 1-1.4.2        call the key at that port primary
  keyrig hid record 1-1.4.2 > key.json   what it says and does, for a profile
  keyrig hid power primary --check       whether its port really switches
  keyrig run scenarios --on hid --lab lab.toml")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the security keys of this machine
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give the key at a port a name, in the lab file
    Name {
        /// What it is called from here on
        name: String,
        /// The port, as 'keyrig hid list' has it, such as 1-1.4.2
        #[arg(value_parser = port)]
        topology: String,
        #[command(flatten)]
        lab: LabArgument,
    },
    /// Record what a key says and how it behaves: no PIN is asked for, and nothing is stored on it
    #[command(after_help = "\
Each question is told on standard error before it is asked, and what you have to
do: to touch the key when it blinks, or to leave it alone. The record is JSON on
standard output. 'keyrig profiles import' makes a profile of it.")]
    Record {
        /// A node, such as /dev/hidraw0, a port, such as 1-1.4.2, or a name in the lab file
        key: String,
        /// Keep serial numbers and encrypted identifiers, by which this key is told from others of its model
        #[arg(long)]
        with_serial: bool,
        /// Keep the certificates by which it attests a credential
        #[arg(long)]
        with_certificates: bool,
        /// Leave out how long the key waits for a touch, which takes as long
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        lab: LabArgument,
    },
    /// Switch the power of a key's port by the lab's command
    Power {
        /// The key's name in the lab file
        name: String,
        /// What it is switched to
        #[arg(value_enum, required_unless_present = "check")]
        to: Option<Power>,
        /// Switch it off and on, and see whether the key goes and comes
        #[arg(long, conflicts_with = "to")]
        check: bool,
        #[command(flatten)]
        lab: LabArgument,
    },
}

/// Which lab file.
#[derive(Args)]
pub(crate) struct LabArgument {
    /// The lab file
    #[arg(long, value_name = "FILE", default_value = LAB)]
    lab: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Power {
    On,
    Off,
}

fn port(text: &str) -> Result<String, &'static str> {
    if is_port(text) { Ok(text.to_owned()) } else { Err("write a port as 'keyrig hid list' has it, such as 1-1.4.2") }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listed {
    keys: Vec<ListedKey>,
}

/// A key of this machine.
#[derive(Serialize)]
struct ListedKey {
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    topology: Option<String>,
    path: PathBuf,
    vendor_id: String,
    product_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// bcdDevice.
    release: String,
    #[serde(flatten)]
    said: Said,
}

/// What it says when it is asked, or why it does not.
#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Identity {
        /// The version of its firmware, as its maker's tools read it, or as it says itself to CTAPHID_INIT.
        firmware: String,
        versions: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aaguid: Option<String>,
        /// getInfo's number, which each maker counts in its own way.
        #[serde(skip_serializing_if = "Option::is_none")]
        firmware_version: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
    },
    Problem {
        problem: String,
    },
}

impl ListedKey {
    async fn of(key: &HidKey) -> Self {
        let said = match Identity::of(key).await {
            Ok(identity) => Said::Identity {
                firmware: identity.version(),
                // A key without CTAP2 has CTAP1/U2F: it is a security key.
                versions: identity
                    .info
                    .as_ref()
                    .map_or_else(|| vec!["U2F_V2".to_owned()], |info| info.versions.clone()),
                aaguid: identity.aaguid().map(|aaguid| aaguid.to_string()),
                firmware_version: identity.info.as_ref().and_then(|info| info.firmware_version),
                serial: identity.serial(key),
            },
            Err(error) => Said::Problem { problem: error.to_string() },
        };
        Self {
            topology: key.topology.clone(),
            path: key.path.clone(),
            vendor_id: format!("{:04x}", key.vendor_id),
            product_id: format!("{:04x}", key.product_id),
            manufacturer: key.manufacturer.clone(),
            product: key.product.clone(),
            release: format!("{:04x}", key.release),
            said,
        }
    }

    fn print(&self, title: &str) -> Result<(), Failure> {
        let place = self.topology.as_deref().unwrap_or("no USB");
        let ids = format!("{}:{}", self.vendor_id, self.product_id);
        print(format!("{place:<12} {:<14} {ids}  {title}", self.path.display().to_string()))?;
        match &self.said {
            Said::Problem { problem } => print(format!("{:<12} {problem}", "")),
            Said::Identity { firmware, versions, serial, .. } => {
                let serial = serial.as_ref().map(|serial| format!(", serial number {serial}")).unwrap_or_default();
                print(format!("{:<12} firmware {firmware}, {}{serial}", "", versions.join(", ")))
            }
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::List { json } => list(json).await?,
        Action::Name { name, topology, lab } => {
            let key = at(&topology)?;
            let identity = Identity::of(&key).await.map_err(|error| Failure::Hardware(error.to_string()))?;
            lab::name(&lab.lab, &name, &key, &identity)?;
            let serial = identity.serial(&key).map(|serial| format!(", serial number {serial}")).unwrap_or_default();
            print(format!("{name} is the key at {topology}, {}{serial}; {} has it", key.title(), lab.lab.display()))?;
        }
        Action::Record { key, with_serial, with_certificates, quick, lab } => {
            let including = Including { serial: with_serial, certificates: with_certificates, touch_timeout: !quick };
            let found = wanted(&key, &lab)?;
            let recorded = record(&found, including, &AtTerminal::start()?).await;
            print_json_for_people(&recorded.map_err(|error| Failure::Hardware(error.to_string()))?)?;
        }
        Action::Power { name, to, check, lab } => {
            let read = Lab::read(&lab.lab)?;
            let key = read.named(&lab.lab, &name)?;
            let failed = |error: power::CommandError| Failure::Hardware(error.to_string());
            if check {
                let [off, on] = power::check(&name, key).await.map_err(failed)?;
                print(format!(
                    "the port {} switches: the key went after {:.1} s, and was back after {:.1} s",
                    key.topology,
                    off.as_secs_f64(),
                    on.as_secs_f64()
                ))?;
            } else {
                power::switch(&name, key, to == Some(Power::On)).await.map_err(failed)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(json: bool) -> Result<(), Failure> {
    let keys = all()?;
    let mut listed = Vec::new();
    for key in &keys {
        listed.push(ListedKey::of(key).await);
    }
    if json {
        return print_json(&Listed { keys: listed });
    }
    if listed.is_empty() {
        return print("no security key is plugged into this machine");
    }
    listed.iter().zip(&keys).try_for_each(|(shown, key)| shown.print(&key.title()))
}

pub(crate) fn all() -> Result<Vec<HidKey>, Failure> {
    HidKey::all().map_err(|error| Failure::Hardware(error.to_string()))
}

/// A key by its node, its port, or its name in the lab file.
fn wanted(key: &str, lab: &LabArgument) -> Result<HidKey, Failure> {
    if is_port(key) {
        return at(key);
    }
    if key.starts_with('/') {
        let found = all()?.into_iter().find(|found| found.path == Path::new(key));
        return found
            .ok_or_else(|| Failure::Hardware(format!("{key} is no security key: 'keyrig hid list' lists them")));
    }
    at(&Lab::read(&lab.lab)?.named(&lab.lab, key)?.topology)
}

/// The key at a port.
fn at(topology: &str) -> Result<HidKey, Failure> {
    let keys = all()?;
    let found = keys.iter().find(|key| key.topology.as_deref() == Some(topology));
    found.cloned().ok_or_else(|| {
        let places: Vec<_> = keys.iter().map(HidKey::place).collect();
        let known =
            if places.is_empty() { "there is none".to_owned() } else { format!("they are at {}", places.join(", ")) };
        Failure::Hardware(format!("there is no security key at {topology}: {known}"))
    })
}
