//! `keyrig doctor`: what a site's settings and addresses come to.

mod datacenter_cfg;
#[cfg(not(feature = "tls"))]
#[path = "doctor/alone.rs"]
mod running;
#[cfg(feature = "tls")]
mod running;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};
use keyrig_client::origin::InvalidUrl;
use keyrig_client::{Browser, Origin};
use keyrig_relying_party::{Policy, Settings, Written};
use keyrig_scenario::doctor::{
    self, Change, Diagnosis, Kind, Mend, Passed, Proposed, Pve, PveUser, Refusal, RelatedOrigins, Site, Verdict,
    Warning,
};
use keyrig_scenario::report::Party;
use keyrig_scenario::verifier::{MAX_RECORDING_BYTES, Recording};
use serde::Serialize;

use self::datacenter_cfg::NoSettings;
use self::running::{Fetcher, Running};
use crate::failure::Failure;
use crate::output::{GREEN, RED, YELLOW, print, print_json, print_marked};

#[derive(Args)]
#[command(after_help = "\
For each address the rules of browsers and the checks of a relying party are
asked, and a change is proposed only after both have said yes to it. Nothing is
sent anywhere, but to what --options-url and --fetch name, and, for options of a
site, to the RP ID's host if that is, or is above, the host of --from or
--origin: https alone, 3 redirects, 256 KiB, 5 seconds.

Exit status: 0 every address works, 1 some do not or the settings are wrong,
2 a file or the command line cannot be read.

Examples:
  keyrig doctor --pve /etc/pve
  keyrig doctor --config datacenter.cfg --node pve1 --node pve2
  keyrig doctor --webauthn 'id=example.com,origin=https://pve1.example.com:8006' \\
    --from https://pve2.example.com:8006
  keyrig doctor --rp-id example.com --origin https://login.example.com \\
    --from https://www.example.com
  keyrig doctor --options-url https://example.com/login/options \\
    --json-path data.publicKey --from https://example.org")]
#[command(
    group(ArgGroup::new("settings").required(true)),
    override_usage = "keyrig doctor [OPTIONS] <--config|--pve|--options-url|--rp-id|…> <…>"
)]
pub(crate) struct Arguments {
    /// Settings: a datacenter.cfg of Proxmox VE, or a TOML file as for 'keyrig rp serve'
    #[arg(long, value_name = "FILE", group = "settings")]
    config: Option<PathBuf>,

    /// A node's /etc/pve or a copy of it: its datacenter.cfg, its nodes, and who has which second factor. Nothing is written there
    #[arg(long, value_name = "DIR", group = "settings")]
    pve: Option<PathBuf>,

    /// The options that a site sends, as JSON in any library's shape: the RP ID is taken from there
    #[arg(long, value_name = "FILE", group = "settings")]
    options: Option<PathBuf>,

    /// Settings: what a datacenter.cfg has behind webauthn:
    #[arg(long, value_name = "LINE", group = "settings")]
    webauthn: Option<String>,

    /// Settings: the RP ID
    #[arg(long, value_name = "DOMAIN", group = "settings", value_parser = NonEmptyStringValueParser::new())]
    rp_id: Option<String>,

    /// An origin that the relying party expects; again for more. Without any, the host of each request decides
    #[arg(long = "origin", value_name = "URL", conflicts_with_all = ["config", "webauthn", "pve"])]
    origins: Vec<String>,

    /// The hosts below those of --origin are expected too
    #[arg(long, requires = "origins")]
    allow_subdomains: bool,

    /// An address that people type; again for more. Without any and without --node, the origins
    #[arg(long = "from", value_name = "URL", value_parser = page)]
    from: Vec<Origin>,

    /// The name of a node that people open; again for more. One without a dot is completed by the domain of the origin
    #[arg(long = "node", value_name = "NAME", value_parser = node)]
    nodes: Vec<String>,

    /// The Host header that a proxy passes on, if it changes it
    #[arg(long, value_name = "HOST[:PORT]")]
    proxy_host: Option<String>,

    /// The proxy before the site ends TLS, and the site does not know
    #[arg(long)]
    proxy_hides_tls: bool,

    #[command(flatten)]
    running: Running,

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
    /// The line that was judged, where there is none; of Proxmox VE alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed: Option<&'a str>,
    /// Who has which factors; of Proxmox VE alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<&'a [PveUser]>,
    /// What was not looked at, or not as it is, and why; of Proxmox VE alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<&'a [String]>,
    /// Which addresses were asked for the file of related origins, and what came of it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    asked: &'a [Contacted],
}

/// An address that was asked, and what came of it.
#[derive(Serialize)]
struct Contacted {
    address: String,
    answer: String,
}

/// What is to be examined.
struct Asked {
    site: Site,
    /// What is wrong with it at sight.
    problems: Vec<String>,
    /// What is risky in it at sight.
    warnings: Vec<Warning>,
    pve: Option<Pve>,
    /// What was not looked at, or not as it is.
    unseen: Vec<String>,
    /// What is known of a node without settings of WebAuthn.
    off: Option<Off>,
    /// Whoever may ask a running site.
    fetcher: Option<Fetcher>,
    /// Whether nothing is known of its settings but what a site sends.
    of_site: bool,
    /// Whom it asked for the file of related origins.
    contacted: Vec<Contacted>,
}

/// A node without settings of WebAuthn, or with some that cannot be read.
struct Off {
    problem: String,
    /// Where pages are opened.
    opened: Vec<Origin>,
    /// What they could be, if an address says so.
    proposed: Option<Proposed>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let asked = arguments.asked().await?;
    let nodes = match &asked.off {
        None => arguments.nodes(asked.pve.as_ref()),
        Some(off) => off.proposed.as_ref().map(|it| it.nodes.clone()).unwrap_or_default(),
    };
    let is_judged = asked.off.as_ref().is_none_or(|off| off.proposed.is_some());
    let pages = match &asked.off {
        None => arguments.pages(),
        Some(off) if is_judged => off.opened.clone(),
        Some(_) => Vec::new(),
    };
    let addresses = doctor::addresses(&asked.site, &pages, &nodes, &arguments.passed())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if addresses.is_empty() && is_judged {
        return Err(Failure::Usage("the settings name no address that a page could have: name one with --from".into()));
    }
    let Asked { site, problems, warnings, pve, unseen, off, contacted, .. } =
        arguments.running.look(asked, &addresses).await;
    let mut diagnosis = doctor::examine(&site, &addresses);
    diagnosis.ok &= problems.is_empty();
    diagnosis.warnings.extend(warnings);
    let ok = diagnosis.ok;
    if arguments.json {
        let users = pve.as_ref().map(|pve| &pve.users[..]);
        let unseen = (pve.is_some() || !unseen.is_empty()).then_some(&unseen[..]);
        let proposed = off.as_ref().and_then(|off| off.proposed.as_ref()).map(|it| &it.line[..]);
        print_json(&Shown { diagnosis: &diagnosis, problems, proposed, users, unseen, asked: &contacted })?;
    } else {
        match off {
            None => tell(&diagnosis, site.kind, &problems, &contacted)?,
            Some(off) => tell_of_none(&off, &diagnosis)?,
        }
        if let Some(pve) = &pve {
            let changes = diagnosis.mend.as_ref().is_some_and(|mend| mend.enrolled_keys_become_useless);
            tell_of_users(pve, changes)?;
        }
        unseen.iter().try_for_each(|unseen| print_marked(YELLOW, "unseen", format!("   {unseen}")))?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    /// The pages that are opened: those that are named, or else one at the site that is asked.
    fn pages(&self) -> Vec<Origin> {
        let of_site = || self.running.page().filter(|_| self.origins.is_empty() && self.nodes.is_empty());
        if self.from.is_empty() { of_site().into_iter().collect() } else { self.from.clone() }
    }

    fn passed(&self) -> Passed {
        Passed { host: self.proxy_host.clone(), over_tls: self.proxy_hides_tls.then_some(false) }
    }

    /// The nodes that are named, and those of the cluster.
    fn nodes(&self, pve: Option<&Pve>) -> Vec<String> {
        let of_cluster = pve.map(|pve| pve.nodes.clone()).unwrap_or_default();
        self.nodes.iter().cloned().chain(of_cluster).collect()
    }

    /// The settings of a datacenter.cfg, of a node's directory or alone; they are empty if there are none and none can be proposed.
    fn datacenter_cfg(
        &self,
        file: &Path,
        pve: Option<&Pve>,
        unseen: &mut Vec<String>,
    ) -> Result<(Written, Option<Off>), Failure> {
        let is_in_a_node = pve.is_some_and(|pve| !pve.users.is_empty() || !pve.nodes.is_empty());
        let read = datacenter_cfg::read(file, is_in_a_node)?;
        unseen.extend(read.odd);
        let NoSettings { problem, origins } = match read.settings {
            Ok(written) => return Ok((written, None)),
            Err(none) => none,
        };
        let opened = if self.from.is_empty() { origins } else { self.from.clone() };
        let proposed = doctor::proposed(&opened, &self.nodes(pve), &self.passed());
        let none = || Settings { origins: Vec::new(), ..Settings::new("", "") };
        let settings = proposed.as_ref().map_or_else(none, |it| it.settings.clone());
        let settings = Settings { policy: Policy::proxmox_ve(), ..settings };
        Ok((Written { settings, problems: Vec::new() }, Some(Off { problem, opened, proposed })))
    }

    async fn asked(&self) -> Result<Asked, Failure> {
        let (mut warnings, mut pve, mut unseen, mut off) = (Vec::new(), None, Vec::new(), None);
        let may_ask = self.running.names_any() || self.options.is_some();
        self.running.check(may_ask)?;
        let mut fetcher = may_ask.then(|| self.running.fetcher(&self.from, &self.origins)).transpose()?;
        let mut of_site = false;
        let (written, kind) = if let Some(line) = &self.webauthn {
            let line = line.strip_prefix("webauthn:").unwrap_or(line).trim();
            (Settings::read_webauthn_line("--webauthn", line).map_err(Failure::Unreadable)?, Kind::ProxmoxVe)
        } else if let Some(directory) = &self.pve {
            let read = Pve::read(directory)?;
            unseen.extend_from_slice(&read.unseen);
            let file = directory.join("datacenter.cfg");
            let (written, without) = self.datacenter_cfg(&file, Some(&read), &mut unseen)?;
            (pve, off) = (Some(read), without);
            (written, Kind::ProxmoxVe)
        } else if let Some(file) = &self.config {
            if file.extension().is_some_and(|extension| extension == "toml") {
                (Settings::read(file).map_err(Failure::Unreadable)?, Kind::Other)
            } else {
                let (written, without) = self.datacenter_cfg(file, None, &mut unseen)?;
                off = without;
                (written, Kind::ProxmoxVe)
            }
        } else {
            let mut rp_id = self.rp_id.clone().unwrap_or_default();
            if let Some(file) = &self.options {
                let options = options_in(file)?;
                let of_page = || self.from.first().and_then(Origin::host);
                let found = rp_id_in(&options).or_else(of_page);
                rp_id = found.ok_or_else(|| no_rp_id(&file.display().to_string()))?;
                warnings = doctor::of_options(&options);
            }
            if let Some(options) = self.running.options(&mut fetcher).await? {
                // Without one, the page's domain counts.
                let of_page = || self.from.first().and_then(Origin::host).or(self.running.host().map(str::to_owned));
                rp_id = rp_id_in(&options).or_else(of_page).unwrap_or_default();
                warnings = doctor::of_options(&options);
            }
            of_site = self.rp_id.is_none();
            let (origins, allow_subdomains) = (self.origins.clone(), self.allow_subdomains);
            let settings = Settings { origins, allow_subdomains, ..Settings::new(rp_id, "") };
            (Written { settings, problems: Vec::new() }, Kind::Other)
        };
        let settings = written.settings;
        let mut problems: Vec<_> = written.problems.iter().map(ToString::to_string).collect();
        problems.extend(off.as_ref().map(|off| off.problem.clone()));
        let site = Site { settings, kind, related_origins: RelatedOrigins::OfSettings };
        Ok(Asked { site, problems, warnings, pve, unseen, off, fetcher, of_site, contacted: Vec::new() })
    }
}

/// The warnings of what a policy does: Proxmox VE's is no setting of its own.
const OF_POLICY: [&str; 3] = ["challenge-lifetime", "counter-unsaved", "framed-login"];

const NO_CHANGE: &str = "\nNo change of the RP ID or the origins mends this.";

/// The options in a file.
fn options_in(file: &Path) -> Result<Recording, Failure> {
    let most = u64::try_from(MAX_RECORDING_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut text));
    read.map_err(|error| Failure::Input(file.to_owned(), error))?;
    Recording::read(&text).map_err(|error| Failure::Unexplained(file.display().to_string(), error))
}

fn rp_id_in(options: &Recording) -> Option<String> {
    let creations = options.creations.iter().map(|it| &it.rp_id);
    creations.chain(options.requests.iter().map(|it| &it.rp_id)).flatten().next().cloned()
}

fn no_rp_id(name: &str) -> Failure {
    Failure::Usage(format!(
        "{name} has no options with an RP ID, and then the page's domain counts: say which with --from"
    ))
}

/// Where a page is opened. What a browser opens nothing of is no such address, though there are URLs of the kind.
fn page(text: &str) -> Result<Origin, String> {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, text));
    let host = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
    if host.trim().contains([',', ';', ' ']) {
        return Err("these are several addresses: give each with a --from of its own".to_owned());
    }
    let origin: Origin = text.parse().map_err(|error: InvalidUrl| error.to_string())?;
    if origin == Origin::Opaque && text != "null" {
        let why = match scheme.to_ascii_lowercase().as_str() {
            "file" | "data" | "about" | "blob" => "a page there has the origin null, which has no RP ID",
            _ => "no browser opens a page there",
        };
        return Err(format!("{why}: an address of a site begins with https:// (null stands for a sandboxed frame)"));
    }
    Ok(origin)
}

fn node(text: &str) -> Result<String, String> {
    let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = text.split('.').all(|label| !label.is_empty() && label.bytes().all(in_a_name));
    is_name.then(|| text.to_owned()).ok_or_else(|| "write a host's name alone, as pve1 or pve1.example.com".to_owned())
}

/// Who has which factors, and what becomes of keys if the RP ID changes.
fn tell_of_users(pve: &Pve, rp_id_changes: bool) -> Result<(), Failure> {
    if !pve.users.is_empty() {
        print("\nSecond factors:")?;
    }
    for user in &pve.users {
        let factors = match &user.factors {
            None => "unknown".to_owned(),
            Some(none) if none.is_empty() => "none".to_owned(),
            Some(some) => some.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", "),
        };
        let disabled = if user.enabled { "" } else { " (disabled)" };
        print(format!("  {:<18}  {factors}{disabled}", user.user))?;
        for finding in &user.findings {
            print(format!("  {:<18}  {finding}", ""))?;
        }
    }
    if rp_id_changes && !pve.keys().is_empty() {
        let keys: Vec<_> = pve.keys().iter().map(|(user, count)| format!("{user} ({count})")).collect();
        print_marked(YELLOW, "warning", format!("  keys that another RP ID makes useless: {}", keys.join(", ")))?;
    }
    Ok(())
}

/// A node without settings of WebAuthn, and what is proposed.
fn tell_of_none(Off { problem, proposed, .. }: &Off, diagnosis: &Diagnosis) -> Result<(), Failure> {
    print_marked(RED, "wrong", format!("    {problem}"))?;
    let Some(Proposed { line, .. }) = proposed else {
        return print("propose  a line needs an address: name one, as --from https://pve1.example.com:8006");
    };
    print(format!("propose  {line}"))?;
    print("\nUnder the line that is proposed:")?;
    tell(diagnosis, Kind::ProxmoxVe, &[], &[])
}

fn tell(diagnosis: &Diagnosis, kind: Kind, problems: &[String], asked: &[Contacted]) -> Result<(), Failure> {
    print(format!("RP ID    {}", diagnosis.rp_id))?;
    let beside = if diagnosis.allow_subdomains { " with subdomains" } else { "" };
    for (index, origin) in diagnosis.origins.iter().enumerate() {
        print(format!("{}  {origin}{beside}", if index == 0 { "origin " } else { "       " }))?;
    }
    if diagnosis.origins.is_empty() {
        print("origin   of the host of each request, as the settings name none")?;
    }
    for Contacted { address, answer } in asked {
        print(format!("asked    {address}: {answer}"))?;
    }
    for problem in problems {
        print_marked(RED, "wrong", format!("    {problem}"))?;
    }
    print("")?;
    tell_of_addresses(&diagnosis.addresses)?;
    if let Some(mend) = &diagnosis.mend {
        tell_of_mend(mend, kind)?;
    } else if diagnosis.addresses.iter().any(|verdict| !verdict.works) {
        print(NO_CHANGE)?;
    }
    let is_of_the_product = |warning: &&Warning| kind == Kind::ProxmoxVe && OF_POLICY.contains(&warning.code);
    let (of_the_product, own): (Vec<_>, Vec<_>) = diagnosis.warnings.iter().partition(is_of_the_product);
    for (index, Warning { text, .. }) in own.into_iter().enumerate() {
        if index == 0 {
            print("")?;
        }
        print_marked(YELLOW, "warning", format!("  {text}"))?;
    }
    for (index, Warning { text, .. }) in of_the_product.into_iter().enumerate() {
        if index == 0 {
            print("\nOf Proxmox VE itself, whatever is written in datacenter.cfg:")?;
        }
        print(format!("  note     {text}"))?;
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
        let browser = seen.browser.parse::<Browser>().map_or_else(|_| seen.browser.as_str(), |known| known.title());
        let message = seen.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        print(format!("  {browser:<8}  {}{message}", seen.name))?;
    }
    Ok(())
}

fn tell_of_mend(mend: &Mend, kind: Kind) -> Result<(), Failure> {
    if mend.changes.is_empty() && mend.moved.is_empty() {
        print(NO_CHANGE)?;
    } else {
        let most = if mend.mends_all { "all of them" } else { "what can be mended" };
        print(format!("\nThe smallest change that mends {most}:"))?;
    }
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
    for note in &mend.notes {
        print(format!("  note     {note}"))?;
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
    if !mend.left.is_empty() && !mend.changes.is_empty() {
        print("\nWhat is left then:")?;
        tell_of_addresses(&mend.left)?;
    }
    Ok(())
}
