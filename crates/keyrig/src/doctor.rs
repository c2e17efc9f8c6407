//! `keyrig doctor`: what a site's settings and addresses come to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keyrig_client::Origin;
use keyrig_relying_party::{Policy, Settings, Written};
use keyrig_scenario::doctor::{self, Change, Diagnosis, Kind, Mend, Passed, Refusal, Site, Verdict, Warning};
use keyrig_scenario::report::Party;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{GREEN, RED, YELLOW, print, print_json, print_marked};

/// The policy whose settings a `datacenter.cfg` has.
const PROXMOX_VE: &str = "proxmox-9";

#[derive(Args)]
#[command(after_help = "\
Nothing is sent anywhere. For each address the rules of browsers and the checks
of a relying party are asked, and a change is proposed only after both have
said yes to it.

Exit status: 0 every address works, 1 some do not, 2 the settings or the
command line cannot be read.

Examples:
  keyrig doctor --config /etc/pve/datacenter.cfg --node pve1 --node pve2
  keyrig doctor --webauthn 'id=example.com,origin=https://pve1.example.com:8006' \\
    --from https://pve2.example.com:8006
  keyrig doctor --rp-id example.com --origin https://login.example.com \\
    --from https://www.example.com")]
pub(crate) struct Arguments {
    /// Settings: a datacenter.cfg of Proxmox VE, or a TOML file as for 'keyrig rp serve'
    #[arg(long, value_name = "FILE", group = "settings", required_unless_present_any = ["webauthn", "rp_id"])]
    config: Option<PathBuf>,

    /// Settings: what a datacenter.cfg has behind webauthn:
    #[arg(long, value_name = "LINE", group = "settings")]
    webauthn: Option<String>,

    /// Settings: the RP ID
    #[arg(long, value_name = "DOMAIN", group = "settings")]
    rp_id: Option<String>,

    /// An origin that the relying party expects; again for more. Without any, the host of each request decides
    #[arg(long = "origin", value_name = "URL", requires = "rp_id")]
    origins: Vec<String>,

    /// The hosts below those of --origin are expected too
    #[arg(long, requires = "rp_id")]
    allow_subdomains: bool,

    /// An address that people type; again for more. Without any and without --node, the origins
    #[arg(long = "from", value_name = "URL")]
    from: Vec<Origin>,

    /// The name of a node that people open; again for more. One without a dot is completed by the domain of the origin
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,

    /// The Host header that a proxy passes on, if it changes it
    #[arg(long, value_name = "HOST[:PORT]")]
    proxy_host: Option<String>,

    /// The proxy before the site ends TLS, and the site does not know
    #[arg(long)]
    proxy_hides_tls: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
    /// What is wrong with the settings, each with its place.
    problems: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (site, problems) = arguments.site()?;
    let over_tls = arguments.proxy_hides_tls.then_some(false);
    let passed = Passed { host: arguments.proxy_host.clone(), over_tls };
    let addresses = doctor::addresses(&site, &arguments.from, &arguments.nodes, &passed)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if addresses.is_empty() {
        return Err(Failure::Usage("the settings name no address that a page could have: name one with --from".into()));
    }
    let mut diagnosis = doctor::examine(&site, &addresses);
    diagnosis.ok &= problems.is_empty();
    let ok = diagnosis.ok;
    if arguments.json {
        print_json(&Shown { diagnosis: &diagnosis, problems })?;
    } else {
        tell(&diagnosis, site.kind, &problems)?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    /// What is to be examined, and what is wrong with it at sight.
    fn site(&self) -> Result<(Site, Vec<String>), Failure> {
        let (written, kind) = if let Some(line) = &self.webauthn {
            let line = line.strip_prefix("webauthn:").unwrap_or(line).trim();
            (Settings::read_webauthn_line("--webauthn", line).map_err(Failure::Unreadable)?, Kind::ProxmoxVe)
        } else if let Some(file) = &self.config {
            let is_ours = file.extension().is_some_and(|extension| extension == "toml");
            let kind = if is_ours { Kind::Other } else { Kind::ProxmoxVe };
            (Settings::read(file).map_err(Failure::Unreadable)?, kind)
        } else {
            let rp_id = self.rp_id.clone().unwrap_or_default();
            let (origins, allow_subdomains) = (self.origins.clone(), self.allow_subdomains);
            let settings = Settings { origins, allow_subdomains, ..Settings::new(rp_id, "") };
            (Written { settings, problems: Vec::new() }, Kind::Other)
        };
        let mut settings = written.settings;
        if kind == Kind::ProxmoxVe {
            settings.policy = Policy::built_in(PROXMOX_VE)?;
        }
        Ok((Site { settings, kind }, written.problems.iter().map(ToString::to_string).collect()))
    }
}

fn tell(diagnosis: &Diagnosis, kind: Kind, problems: &[String]) -> Result<(), Failure> {
    print(format!("RP ID    {}", diagnosis.rp_id))?;
    let beside = if diagnosis.allow_subdomains { " with subdomains" } else { "" };
    for (index, origin) in diagnosis.origins.iter().enumerate() {
        print(format!("{}  {origin}{beside}", if index == 0 { "origin " } else { "       " }))?;
    }
    if diagnosis.origins.is_empty() {
        print("origin   of the host of each request, as the settings name none")?;
    }
    for problem in problems {
        print_marked(RED, "wrong", format!("    {problem}"))?;
    }
    print("")?;
    tell_of_addresses(&diagnosis.addresses)?;
    if let Some(mend) = &diagnosis.mend {
        tell_of_mend(mend, kind)?;
    } else if diagnosis.addresses.iter().any(|verdict| !verdict.works) {
        print("\nNo change of the RP ID or the origins mends this.")?;
    }
    for (index, Warning { text, .. }) in diagnosis.warnings.iter().enumerate() {
        if index == 0 {
            print("")?;
        }
        print_marked(YELLOW, "warning", format!("  {text}"))?;
    }
    Ok(())
}

fn tell_of_addresses(verdicts: &[Verdict]) -> Result<(), Failure> {
    let mut told: Vec<&Verdict> = Vec::new();
    for verdict in verdicts {
        let node = verdict.node.as_ref().map(|node| format!("  (node {node})")).unwrap_or_default();
        let (colour, mark) = if verdict.works { (GREEN, "works") } else { (RED, "fails") };
        print_marked(colour, mark, format!("    {}{node}", verdict.address))?;
        let causes =
            |verdict: &Verdict| verdict.refusals.iter().map(|it| (it.by, it.code.clone(), it.row)).collect::<Vec<_>>();
        if let Some(same) = told.iter().find(|told| causes(told) == causes(verdict)) {
            print(format!("  as        {}", same.address))?;
            continue;
        }
        for (index, refusal) in verdict.refusals.iter().enumerate() {
            tell_of_refusal(refusal, index == 0)?;
        }
        if !verdict.works {
            told.push(verdict);
        }
    }
    Ok(())
}

fn tell_of_refusal(refusal: &Refusal, first: bool) -> Result<(), Failure> {
    let who = match refusal.by {
        Party::Client => "browser",
        Party::RelyingParty => "site",
        Party::Authenticator => "key",
    };
    let row = refusal.row.map(|row| format!(" (row {row})")).unwrap_or_default();
    let then = if first { "" } else { "and then: " };
    print(format!("  {who:<8}  {then}{}{row}", refusal.reason))?;
    for seen in &refusal.seen {
        let browser = match seen.browser.as_str() {
            "chromium" => "Chromium",
            "firefox" => "Firefox",
            other => other,
        };
        let message = seen.message.map(|message| format!(": {message}")).unwrap_or_default();
        print(format!("  {browser:<8}  {}{message}", seen.name))?;
    }
    Ok(())
}

fn tell_of_mend(mend: &Mend, kind: Kind) -> Result<(), Failure> {
    let most = if mend.mends_all { "all of them" } else { "what can be mended" };
    print(format!("\nThe smallest change that mends {most}:"))?;
    for Change { setting, from, to } in &mend.changes {
        let from = if from.is_empty() { "nothing" } else { from };
        match to {
            Some(to) => print(format!("  {setting:<7}  {to} (was {from})"))?,
            None => print(format!("  {setting:<7}  leave it out: the host of each request decides then (was {from})"))?,
        }
    }
    for moved in &mend.moved {
        match &moved.to {
            Some(to) => print(format!("  open     {to} instead of {}: {}", moved.from, moved.why))?,
            None => print(format!("  address  {}: {}", moved.from, moved.why))?,
        }
    }
    if let Some(line) = &mend.line {
        print(format!("  {line}"))?;
    }
    if mend.enrolled_keys_become_useless {
        let how = match kind {
            Kind::ProxmoxVe => "have recovery keys or TOTP ready before, and enrol every key again after",
            Kind::Other => "have another way to log in ready before, and enrol every key again after",
        };
        print_marked(
            YELLOW,
            "warning",
            format!(
                "  another RP ID makes every enrolled key useless, as browsers use it with the old one only: {how}"
            ),
        )?;
    }
    if !mend.left.is_empty() {
        print("\nWhat is left then:")?;
        tell_of_addresses(&mend.left)?;
    }
    Ok(())
}
