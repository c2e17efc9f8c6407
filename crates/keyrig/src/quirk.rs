//! What keys have from the start beyond their profile: known bugs of real ones, `--quirk`, and for whom they give enterprise attestations,
//! `--enterprise-rp`.

use std::error::Error;
use std::str::FromStr;

use clap::Args;
use keyrig_authenticator::profile::{Need, Noticed, Quirk};
use keyrig_rack::command::Refusal;
use keyrig_rack::{KeyName, KeySpecification};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::print;
use crate::rack::Named;

/// Which bugs keys have.
#[derive(Args)]
pub(crate) struct QuirkArguments {
    /// A known bug of a real key, at one of these ('keyrig profiles --quirks' lists them), or all-applications at a YubiKey:
    /// a=touch-latch. Repeat for more
    #[arg(long = "quirk", value_name = "NAME=QUIRK")]
    quirks: Vec<QuirkArgument>,

    /// An RP ID that one of these gives enterprise attestations to, beside those of its profile, once that is enabled:
    /// a=example.com. Repeat for more
    #[arg(long = "enterprise-rp", value_name = "NAME=RP_ID")]
    enterprise_rps: Vec<EnterpriseArgument>,
}

/// `NAME=QUIRK`.
#[derive(Clone)]
struct QuirkArgument {
    keys: Named,
    quirk: &'static Quirk,
}

impl FromStr for QuirkArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keys, quirk) = Named::split(text, "write NAME=QUIRK, such as a=touch-latch")?;
        Ok(Self { keys, quirk: Quirk::named(quirk)? })
    }
}

/// `NAME=RP_ID`.
#[derive(Clone)]
struct EnterpriseArgument {
    keys: Named,
    rp_id: String,
}

impl FromStr for EnterpriseArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keys, rp_id) = Named::split(text, "write NAME=RP_ID, such as a=example.com")?;
        Ok(Self { keys, rp_id: rp_id.to_owned() })
    }
}

impl QuirkArguments {
    pub(crate) fn are_wanted(&self) -> bool {
        !self.quirks.is_empty() || !self.enterprise_rps.is_empty()
    }

    /// Gives the keys what was asked for.
    pub(crate) fn give(&self, keys: &mut [KeySpecification]) -> Result<(), Failure> {
        for QuirkArgument { keys: named, quirk } in &self.quirks {
            for key in named.names() {
                let found = find(keys, key, "--quirk")?;
                found.profile.add(quirk).map_err(|error| Failure::Usage(format!("--quirk: {key}: {error}")))?;
            }
        }
        for EnterpriseArgument { keys: named, rp_id } in &self.enterprise_rps {
            for key in named.names() {
                let refused = |error| Failure::Usage(format!("--enterprise-rp: {key}: {error}"));
                find(keys, key, "--enterprise-rp")?.profile.list_for_enterprise(rp_id).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// What one should know of these keys, a line each.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.quirks
            .iter()
            .map(|QuirkArgument { keys, quirk }| format!("quirk: {keys}: {} ({})", quirk.what, quirk.keys))
    }
}

fn find<'a>(
    keys: &'a mut [KeySpecification],
    name: &KeyName,
    option: &str,
) -> Result<&'a mut KeySpecification, Failure> {
    let unknown = Refusal::unknown(name, keys.iter().map(|specification| &specification.name));
    let found = keys.iter_mut().find(|specification| specification.name == *name);
    found.ok_or_else(|| Failure::Usage(format!("{option}: {unknown}")))
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
