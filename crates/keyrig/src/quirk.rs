//! Known bugs of real keys from the start: `--quirk`.

use std::error::Error;
use std::str::FromStr;

use clap::Args;
use keyrig_authenticator::profile::{Need, Noticed, Quirk};
use keyrig_rack::{KeyName, KeySpecification};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::print;

/// Which bugs keys have.
#[derive(Args)]
pub(crate) struct QuirkArguments {
    /// A known bug of a real key, at one of these ('keyrig profiles --quirks' lists them), or all-applications at a YubiKey:
    /// a=touch-latch. Repeat for more
    #[arg(long = "quirk", value_name = "NAME=QUIRK")]
    quirks: Vec<QuirkArgument>,
}

/// `NAME=QUIRK`.
#[derive(Clone)]
struct QuirkArgument {
    key: KeyName,
    quirk: &'static Quirk,
}

impl FromStr for QuirkArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, quirk) = text.split_once('=').ok_or("write NAME=QUIRK, such as a=touch-latch")?;
        Ok(Self { key: key.parse()?, quirk: Quirk::named(quirk)? })
    }
}

impl QuirkArguments {
    pub(crate) fn are_wanted(&self) -> bool {
        !self.quirks.is_empty()
    }

    /// Gives the keys the bugs that were asked for.
    pub(crate) fn give(&self, keys: &mut [KeySpecification]) -> Result<(), Failure> {
        for QuirkArgument { key, quirk } in &self.quirks {
            let Some(found) = keys.iter_mut().find(|specification| specification.name == *key) else {
                let known = keys.iter().map(|specification| specification.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Failure::Usage(format!("--quirk: no key is called {key}: the keys are {known}")));
            };
            found.profile.add(quirk).map_err(|error| Failure::Usage(format!("--quirk: {key}: {error}")))?;
        }
        Ok(())
    }

    /// What one should know of these keys, a line each.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.quirks.iter().map(|QuirkArgument { key, quirk }| format!("quirk: {key}: {} ({})", quirk.what, quirk.keys))
    }
}

/// A quirk, for people and programs.
#[derive(Serialize)]
pub(crate) struct ShownQuirk {
    pub(crate) name: &'static str,
    kind: &'static str,
    pub(crate) what: &'static str,
    keys: &'static str,
    known: String,
    from: &'static str,
    needs: Option<&'static str>,
    noticed_by: &'static str,
    noticed: Vec<ShownNoticed>,
}

#[derive(Serialize)]
struct ShownNoticed {
    by: &'static str,
    doing: &'static str,
    profile: &'static str,
    says: &'static str,
}

impl ShownQuirk {
    pub(crate) fn of(quirk: &'static Quirk) -> Self {
        let Quirk { name, what, keys, source, noticed_by, noticed, needs, .. } = quirk;
        let noticed =
            noticed.iter().map(|Noticed { by, doing, profile, says }| ShownNoticed { by, doing, profile, says });
        Self {
            name,
            kind: "quirk",
            what,
            keys,
            known: source.known.to_string(),
            from: &source.from,
            needs: needs.map(Need::name),
            noticed_by,
            noticed: noticed.collect(),
        }
    }

    pub(crate) fn print(&self) -> Result<(), Failure> {
        print(format!("{}: {}", self.name, self.what))?;
        print(format!("  keys     {}", self.keys))?;
        print(format!("  {:<8} {}", self.known, self.from))?;
        if let Some(needs) = self.needs {
            print(format!("  needs    {needs}"))?;
        }
        print(format!("  noticed  {}", self.noticed_by))?;
        for ShownNoticed { by, doing, profile, says } in &self.noticed {
            print(format!("  tested   {by}, {doing}, with a {profile}: {says}"))?;
        }
        Ok(())
    }
}
