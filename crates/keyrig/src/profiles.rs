//! `keyrig profiles`: which keys can be imitated, and how far.

use std::process::ExitCode;

use clap::Args;
use keyrig_authenticator::Profile;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{YELLOW, print, print_json, print_marked};

#[derive(Args)]
#[command(after_help = "\
A key announces only what works. What its original has beyond that is listed
as withheld.")]
pub(crate) struct Arguments {
    /// The profile to show
    name: Option<String>,

    /// Print JSON: one object, or a list of them
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    description: String,
    imitates: Option<String>,
    aaguid: String,
    usb: String,
    versions: Vec<String>,
    extensions: Vec<String>,
    options: std::collections::BTreeMap<String, bool>,
    pin_uv_auth_protocols: Vec<u64>,
    algorithms: Vec<String>,
    discoverable_credentials: u32,
    withheld: Vec<String>,
    unproven: std::collections::BTreeMap<String, String>,
}

impl From<&Profile> for Shown {
    fn from(profile: &Profile) -> Self {
        let info = profile.info();
        Self {
            name: profile.name.clone(),
            description: profile.description.clone(),
            imitates: profile.imitates.clone(),
            aaguid: profile.aaguid.to_string(),
            usb: format!("{:04x}:{:04x}", profile.usb.vendor_id, profile.usb.product_id),
            versions: info.versions,
            extensions: info.extensions,
            options: info.options.into_iter().collect(),
            pin_uv_auth_protocols: info.pin_uv_auth_protocols,
            algorithms: profile
                .algorithms()
                .iter()
                .map(|algorithm| format!("{} ({})", algorithm.name(), algorithm.identifier()))
                .collect(),
            discoverable_credentials: profile.discoverable_credentials,
            withheld: profile.withheld(),
            unproven: profile.unproven.clone(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.name {
        Some(name) => {
            let profile = Profile::built_in(name).ok_or_else(|| {
                let known = Profile::built_in_names().collect::<Vec<_>>().join(", ");
                Failure::Usage(format!("no profile is called {name:?}: the profiles are {known}"))
            })?;
            let shown = Shown::from(&profile);
            if arguments.json { print_json(&shown)? } else { print_one(&shown)? }
        }
        None => {
            let all: Vec<_> = Profile::built_in_names().filter_map(Profile::built_in).collect();
            let all: Vec<_> = all.iter().map(Shown::from).collect();
            if arguments.json { print_json(&all)? } else { print_all(&all)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_all(all: &[Shown]) -> Result<(), Failure> {
    for shown in all {
        print(format!("{:<16} {}  {}", shown.name, shown.usb, shown.description))?;
        let withheld = match shown.withheld.len() {
            0 => "nothing withheld".to_owned(),
            1 => format!("1 feature withheld: 'keyrig profiles {}' names it", shown.name),
            count => format!("{count} features withheld: 'keyrig profiles {}' names them", shown.name),
        };
        print(format!("{:<16} {}; {withheld}", "", shown.versions.join(", ")))?;
    }
    Ok(())
}

fn print_one(shown: &Shown) -> Result<(), Failure> {
    print(format!("{}: {}", shown.name, shown.description))?;
    if let Some(maker) = &shown.imitates {
        print_marked(YELLOW, "imitation", format!(" of a key by {maker}, attested by keyrig's TEST root"))?;
    }
    print(format!("  USB id                      {}", shown.usb))?;
    print(format!("  AAGUID                      {}", shown.aaguid))?;
    print(format!("  versions                    {}", shown.versions.join(", ")))?;
    if !shown.extensions.is_empty() {
        print(format!("  extensions                  {}", shown.extensions.join(", ")))?;
    }
    if !shown.options.is_empty() {
        let options = shown.options.iter().map(|(name, on)| if *on { name.clone() } else { format!("{name}=false") });
        print(format!("  options                     {}", options.collect::<Vec<_>>().join(", ")))?;
    }
    if !shown.pin_uv_auth_protocols.is_empty() {
        let protocols: Vec<_> = shown.pin_uv_auth_protocols.iter().map(u64::to_string).collect();
        print(format!("  PIN/UV auth protocols       {}", protocols.join(", ")))?;
    }
    print(format!("  COSE algorithms             {}", shown.algorithms.join(", ")))?;
    print(format!("  discoverable credentials    {}", shown.discoverable_credentials))?;
    if !shown.withheld.is_empty() {
        print("withheld, because it is not built:")?;
        for entries in shown.withheld.chunk_by(|left, right| member(left) == member(right)) {
            let values: Vec<_> = entries.iter().filter_map(|entry| Some(entry.split_once(": ")?.1)).collect();
            print(format!("  {:<28}{}", entries.first().map_or("", |entry| member(entry)), values.join(", ")))?;
        }
    }
    if !shown.unproven.is_empty() {
        print("not proved by a record of a real key:")?;
        shown.unproven.iter().try_for_each(|(field, source)| print(format!("  {field}: {source}")))?;
    }
    Ok(())
}

/// The member that an entry of the withheld is about.
fn member(entry: &str) -> &str {
    entry.split_once(": ").map_or(entry, |(member, _)| member)
}
