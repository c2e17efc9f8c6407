//! The certified keys of FIDO metadata, as far as there is a key for each.

use std::process::ExitCode;

use keyrig_authenticator::Profile;
use keyrig_ctap::Aaguid;
use keyrig_metadata::{Blob, Entry};
use keyrig_rack::certified;
use serde::Serialize;

use super::shown::{Shown, print_one};
use crate::failure::Failure;
use crate::output::{print, print_json};

pub(super) const PREFIX: &str = certified::PREFIX;

/// What `--json` prints.
#[derive(Serialize)]
struct Listed {
    profiles: Vec<Certified>,
}

/// What metadata says of a model, and the key that is made of it.
#[derive(Serialize)]
struct Certified {
    name: String,
    description: String,
    /// Whether it can be plugged into USB.
    usb: bool,
    /// What the metadata says of it last.
    status: Option<String>,
    /// The key.
    key: Option<Shown>,
    /// Why there is none.
    no_key: Option<String>,
}

impl Certified {
    fn new(aaguid: Aaguid, entry: &Entry) -> Self {
        let statement = entry.metadata_statement.as_ref();
        let profile = certified::of_entry(entry);
        let description = statement.map(|statement| statement.description.clone()).unwrap_or_default();
        Self {
            name: format!("{PREFIX}{aaguid}"),
            description,
            usb: statement.is_some_and(certified::is_usb),
            status: entry.status_reports.last().map(|report| report.status.to_string()),
            no_key: profile.as_ref().err().map(ToString::to_string),
            key: profile.as_ref().ok().map(Shown::from),
        }
    }

    fn print(&self) -> Result<(), Failure> {
        print(format!("{}  {}", self.name, self.description))?;
        let status = self.status.as_deref().unwrap_or("no status");
        print(format!("    {status}{}", if self.usb { "" } else { "; without USB" }))?;
        match (&self.key, &self.no_key) {
            (Some(key), _) => {
                let option = |(name, value): (&String, &bool)| if *value { name.clone() } else { format!("{name}=no") };
                let options: Vec<_> = key.options.iter().map(option).collect();
                print(format!("    speaks    {}", key.versions.join(", ")))?;
                print(format!("    options   {}", options.join(", ")))?;
                let withheld = if key.withheld.is_empty() { "nothing".to_owned() } else { key.withheld.join("; ") };
                print(format!("    withheld  {withheld}"))
            }
            (None, Some(reason)) => print(format!("    no key    {reason}")),
            (None, None) => Ok(()),
        }
    }
}

/// Lists the certified keys of FIDO2, or shows one.
pub(super) fn run(name: Option<&str>, metadata: &Blob, json: bool) -> Result<ExitCode, Failure> {
    if let Some(name) = name {
        let profile: Profile = certified::profile(&name.to_ascii_lowercase(), Some(metadata))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let shown = Shown::from(&profile);
        if json {
            print_json(&shown)?
        } else {
            print_one(&shown)?
        }
        return Ok(ExitCode::SUCCESS);
    }
    let certified = metadata.entries.iter().filter_map(|entry| Some(Certified::new(entry.aaguid?, entry)));
    let mut profiles: Vec<_> = certified.collect();
    profiles.sort_by(|left, right| (&left.description, &left.name).cmp(&(&right.description, &right.name)));
    if json {
        print_json(&Listed { profiles })?;
    } else {
        let keys = profiles.iter().filter(|certified| certified.key.is_some()).count();
        print(format!("{} models of FIDO2; {keys} of them can be keys here", profiles.len()))?;
        profiles.iter().try_for_each(Certified::print)?;
    }
    Ok(ExitCode::SUCCESS)
}
