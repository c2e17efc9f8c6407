//! `keyrig faults`: what can go wrong with keys on purpose, known bugs of real ones among it, and who notices.

use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use keyrig_authenticator::profile::Quirk;
use keyrig_faults::catalogue::{self, Noticed};
use keyrig_faults::{Kind, Layer};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::quirk::ShownQuirk;

#[derive(Args)]
#[command(after_help = "\
A fault is switched on from the start, by --fault NAME=FAULT of whatever runs
keys, or while they run, by 'keyrig key fault on NAME FAULT'. Behind its name
come, each behind a comma, its parameter, and when it happens:

  command=COMMAND  in this command alone, as authenticatorGetAssertion
  nth=N            this time alone, counted from 1
  times=N          so many times, and then no more
  probability=P    each time as probable as that, by the rack's --seed

Examples:
  keyrig exec --fault a=ctap-slow,ms=5000 --key a=keyrig -- firefox
  keyrig key fault on a bad-signature,times=1
  keyrig faults bad-signature

What is listed last are quirks, known bugs of real keys. A key has them from the
start, by --quirk NAME=QUIRK, or 'keyrig key create NAME --quirk QUIRK'.")]
pub(crate) struct Arguments {
    /// The fault or quirk to explain
    name: Option<Name>,

    /// Print JSON: one object, or a list of them
    #[arg(long)]
    json: bool,
}

/// The name of a fault or of a quirk.
#[derive(Clone)]
enum Name {
    Fault(Kind),
    Quirk(&'static Quirk),
}

impl FromStr for Name {
    type Err = <Kind as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Quirk::named(text).map_or_else(|_| text.parse().map(Self::Fault), |quirk| Ok(Self::Quirk(quirk)))
    }
}

#[derive(Serialize)]
struct Shown {
    name: Kind,
    kind: &'static str,
    layer: &'static str,
    summary: &'static str,
    wire: &'static str,
    place: &'static str,
    parameter: Option<ShownParameter>,
    noticed: Vec<ShownNoticed>,
}

#[derive(Serialize)]
struct ShownParameter {
    name: &'static str,
    meaning: &'static str,
    default: u64,
    least: u64,
    most: u64,
}

#[derive(Serialize)]
struct ShownNoticed {
    by: &'static str,
    doing: &'static str,
    fault: &'static str,
    says: &'static str,
}

#[derive(Serialize)]
struct List {
    faults: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Fault(Shown),
    Quirk(ShownQuirk),
}

impl Shown {
    /// What the catalogue, which has all, says.
    fn of(kind: Kind) -> Option<Self> {
        let described = catalogue::of(kind)?;
        let parameter = kind.parameter().map(|parameter| ShownParameter {
            name: parameter.name,
            meaning: described.parameter.as_deref().unwrap_or_default(),
            default: parameter.default,
            least: parameter.least,
            most: parameter.most,
        });
        let noticed = |Noticed { by, doing, fault, says }: &'static Noticed| ShownNoticed {
            by,
            doing,
            fault: fault.as_deref().unwrap_or(kind.name()),
            says,
        };
        Some(Self {
            name: kind,
            kind: "fault",
            layer: kind.layer().name(),
            summary: &described.summary,
            wire: &described.wire,
            place: kind.layer().place(),
            parameter,
            noticed: described.noticed.iter().map(noticed).collect(),
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let faults = || Kind::ALL.iter().copied().filter_map(Shown::of);
    let quirks = || Quirk::all().iter().map(ShownQuirk::of);
    match (&arguments.name, arguments.json) {
        (Some(Name::Quirk(quirk)), true) => print_json(&ShownQuirk::of(quirk))?,
        (Some(Name::Quirk(quirk)), false) => ShownQuirk::of(quirk).print()?,
        (Some(Name::Fault(kind)), true) => print_json(&Shown::of(*kind))?,
        (Some(Name::Fault(kind)), false) => Shown::of(*kind).iter().try_for_each(explain)?,
        (None, true) => {
            print_json(&List { faults: faults().map(Listed::Fault).chain(quirks().map(Listed::Quirk)).collect() })?
        }
        (None, false) => list(faults(), quirks())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(faults: impl Iterator<Item = Shown>, quirks: impl Iterator<Item = ShownQuirk>) -> Result<(), Failure> {
    let mut layer = None;
    for shown in faults {
        if layer.replace(shown.layer) != Some(shown.layer) {
            print(heading(shown.name.layer()))?;
        }
        print(format!("  {:<34}{}", shown.name, shown.summary))?;
    }
    print("Quirks: known bugs of real keys")?;
    for shown in quirks {
        print(format!("  {:<34}{}", shown.name, shown.what))?;
    }
    print("'keyrig faults NAME' explains one: what happens then, and who notices.")
}

fn heading(layer: Layer) -> &'static str {
    match layer {
        Layer::Usb => "USB/IP",
        Layer::Ctaphid => "CTAPHID",
        Layer::Ctap => "CTAP",
        Layer::Sealing => "What a key says of credentials",
        Layer::Storage => "Storage",
        Layer::Clock => "Clock",
    }
}

fn explain(shown: &Shown) -> Result<(), Failure> {
    print(format!("{}: {}", shown.name, shown.summary))?;
    print(format!("  what happens    {}", shown.wire))?;
    print(format!("  where           {}", shown.place))?;
    if let Some(ShownParameter { name, meaning, default, least, most }) = &shown.parameter {
        print(format!("  {name:<14}  {meaning}: from {least} to {most}, and {default} if nothing is said"))?;
    }
    print("who notices:")?;
    for ShownNoticed { by, doing, fault, says } in &shown.noticed {
        print(format!("  {by}, {doing}, with {fault}: {says}"))?;
    }
    Ok(())
}
