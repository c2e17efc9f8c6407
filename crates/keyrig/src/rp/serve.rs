//! `keyrig rp serve`: the relying party and its page.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use keyrig_client::Origin;
use keyrig_relying_party::{
    By, Options, Policy, RelyingParty, Role, Server, Settings, SystemClock, Transport, UserError, UserName,
};
use keyrig_scenario::doctor::{self, Kind, Passed, RelatedOrigins, Site};
use serde::Serialize;
use tokio::net::TcpListener;

use super::listen::{Listen, Node, bind, is_localhost};
use super::password::{PasswordSource, password};
use super::state::State;
#[cfg(feature = "tls")]
use super::tls;
use crate::failure::Failure;
use crate::interruption;
use crate::output::Lines;
use crate::starter::StarterArguments;

/// Who can do everything on a new site.
const ADMINISTRATOR: &str = "root@pam";

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp serve                           http://localhost:8006, for a browser
                                            on this machine
  keyrig rp serve --explain --state ./site  tells users why a login was refused
  keyrig rp serve --config datacenter.cfg   name, RP ID and origin as Proxmox VE
                                            has them, and its rules
  keyrig rp serve --policy proxmox-9        its rules at http://localhost:8006
  keyrig rp serve --config site.toml        several origins, a policy,
                                            attestation, …

  keyrig rp serve --tls self                https://localhost:8006, by a test CA:
                                            keyrig rp tls trust
  keyrig rp serve --tls self --node pve1.localhost=127.0.0.1:8006 \\
                  --node pve2.localhost=127.0.0.1:8007
                                            two nodes of a cluster

Without --tls, passwords and sessions go in clear text. Before you listen on an
address that others can reach, add it, or put a proxy with TLS in front, and
say --behind-tls.")]
pub(crate) struct Arguments {
    /// Where to listen: localhost:PORT is 127.0.0.1 and ::1; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "localhost:8006")]
    listen: Listen,

    /// Serve as a node of a cluster, by its name in browsers; more than once for several. Other processes on the same
    /// --state are nodes of the same cluster
    #[arg(long, value_name = "NAME=ADDRESS:PORT", conflicts_with = "listen")]
    node: Vec<Node>,

    /// Allow --listen and --node to be addresses that others can reach
    #[arg(long)]
    open_to_network: bool,

    /// Serve over TLS: by a test CA that is made here (self), by mkcert, or by a certificate and its key
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "self|mkcert|CERT,KEY", conflicts_with = "behind_tls")]
    tls: Option<tls::Source>,

    /// Serve behind a proxy that adds TLS: cookies are Secure, and an origin that the settings do not name is https:// and
    /// the Host that the proxy passes on
    #[arg(long)]
    behind_tls: bool,

    /// A proxy whose X-Forwarded-For says where a request came from; more than once for several
    #[arg(long, value_name = "ADDRESS")]
    trust_proxy: Vec<IpAddr>,

    /// Settings: a datacenter.cfg of Proxmox VE, which has the policy proxmox-9, or a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The rules that it goes by, instead of those of --config: see 'keyrig rp policies'
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// Tell users why a login was refused. Attackers learn it too: for rehearsals only
    #[arg(long)]
    explain: bool,

    /// Serve the four routes of FIDO's server conformance API as well, for tools that speak it: anybody can make users in a realm fido
    /// of their own, and add keys to them
    #[arg(long)]
    fido_conformance: bool,

    /// The first password of root@pam: the first line of a file, or - for standard input. Without it, one is made up and
    /// printed once
    #[arg(long, value_name = "FILE|-")]
    initial_password: Option<PasswordSource>,

    /// Print what it listens on as one line of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    state: State,

    #[command(flatten)]
    starter: StarterArguments,
}

#[derive(Serialize)]
struct Listening<'a> {
    url: String,
    listen: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Place>,
    /// The test CA's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    state: PathBuf,
    policy: &'a str,
    rp_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<String>,
}

/// A node, and where it is.
#[derive(Serialize)]
struct Place {
    name: String,
    url: String,
    listen: SocketAddr,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    check_reach(&arguments)?;
    let policy = arguments.policy.as_deref().map(Policy::built_in).transpose()?;
    let (listeners, missing) = bind(arguments.listen, &arguments.node).await?;
    let mut listen = Vec::new();
    for (_, listener) in &listeners {
        listen.push(listener.local_addr().map_err(Failure::Runtime)?);
    }
    let port = listen.first().map_or(0, SocketAddr::port);
    let mut settings = match &arguments.config {
        Some(file) => Settings::load(file)?,
        None => tried_out(&arguments, port)?,
    };
    settings.policy = policy.unwrap_or(settings.policy);
    let store = arguments.state.open_or_make()?;
    let hosts: Vec<String> = listeners.iter().map(|(host, _)| host.clone()).collect();
    let security = Security::of(&arguments, &settings, &hosts)?;
    let initial_password = first_administrator(&arguments, &store)?;
    let starter = arguments.starter.watch()?;
    let interrupted = interruption::in_order();
    let (policy, rp_id) = (settings.policy.name.clone(), settings.rp_id.clone());
    let (origins, mut warnings) = (settings.origins.clone(), settings.warnings());
    if settings.policy.second_step_without_ticket {
        warnings.push(format!(
            "the policy {policy} has the hole of CVE-2023-54391 on purpose: whoever sends a tfa-challenge is let in without a password"
        ));
    }
    let url = |host: &str, port: u16| format!("{}://{host}:{port}", security.scheme);
    let site = url(hosts.first().map_or("localhost", String::as_str), port);
    let opened = opened(&arguments, &settings, (security.scheme, &site), &listen);
    warnings.extend(diagnosed(&settings, &opened));
    warnings.extend(led_here(&opened, security.scheme, &listen));
    let options = Options {
        explain: arguments.explain,
        transport: security.transport,
        trusted_proxies: arguments.trust_proxy.clone(),
        fido_conformance: arguments.fido_conformance,
        ..Options::new(store)
    };
    let relying_party = Arc::new(RelyingParty::new(Ok(settings), options, Arc::new(SystemClock)));
    let places = arguments.node.iter().zip(&listen).map(|(node, listen)| Place {
        name: node.name.clone(),
        url: url(&node.name, listen.port()),
        listen: *listen,
    });
    let listening = Listening {
        url: site,
        nodes: places.collect(),
        ca: security.ca.clone(),
        listen,
        state: arguments.state.directory()?,
        policy: &policy,
        rp_id: &rp_id,
        initial_password,
    };
    let warnings: Vec<_> = warnings.into_iter().chain(relying_party.settle_in()?).collect();
    let out = Lines::to_stdout(|count| format!("{count} lines were lost: nobody read them"))?;
    let problem = relying_party.webauthn_problem();
    announce(&out, &arguments, &listening, (&security, &origins), problem, warnings, missing)?;
    let mut servers = Vec::new();
    for (_, listener) in listeners {
        let address = listener.local_addr().map_err(Failure::Runtime)?;
        let server = security.serve(listener, relying_party.clone());
        servers.push((address, server.map_err(|error| Failure::Listen(address, error))?));
    }
    let ended = tokio::select! {
        _ = interrupted => Ok(ExitCode::SUCCESS),
        () = starter.gone() => Ok(ExitCode::SUCCESS),
        failure = out.failed() => Err(failure),
    };
    for (address, server) in servers {
        server.shutdown().await.map_err(|error| Failure::Listen(address, error))?;
    }
    out.finish();
    ended
}

/// Nobody is to be reached by others who did not say so.
fn check_reach(arguments: &Arguments) -> Result<(), Failure> {
    let listen = match arguments.listen {
        Listen::Address(address) if arguments.node.is_empty() => Some(address),
        _ => None,
    };
    let mut addresses = arguments.node.iter().map(|node| node.address).chain(listen);
    match addresses.find(|address| !address.ip().is_loopback()) {
        Some(address) if !arguments.open_to_network => {
            let in_clear = if arguments.is_over_tls() { "" } else { ", and passwords go in clear text" };
            Err(Failure::Usage(format!("others can reach {address}{in_clear}: add --open-to-network to allow that")))
        }
        _ => Ok(()),
    }
}

/// Settings without a file, for trying it: what the page can do is on.
fn tried_out(arguments: &Arguments, port: u16) -> Result<Settings, Failure> {
    if let Some(node) = arguments.node.iter().find(|node| !node.is_local()) {
        return Err(Failure::Usage(format!(
            "the node {} takes settings whose RP ID is its name or above it: add --config FILE, or call it NAME.localhost",
            node.name
        )));
    }
    let scheme = if arguments.is_over_tls() { "https" } else { "http" };
    let settings = Settings::new("localhost", format!("{scheme}://localhost:{port}"));
    // The host of each request decides between nodes.
    let origins = if arguments.node.is_empty() { settings.origins.clone() } else { Vec::new() };
    Ok(Settings { name: "keyrig".to_owned(), passkey_login: true, origins, ..settings })
}

impl Arguments {
    fn is_over_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let tls = false;
        tls
    }
}

/// What lies between browsers and the site, and what it takes.
struct Security {
    transport: Transport,
    scheme: &'static str,
    /// The test CA's certificate.
    ca: Option<PathBuf>,
    /// What is said of the certificate.
    note: Option<String>,
    #[cfg(feature = "tls")]
    tls: Option<keyrig_relying_party::Tls>,
}

impl Security {
    fn of(arguments: &Arguments, settings: &Settings, hosts: &[String]) -> Result<Self, Failure> {
        #[cfg(feature = "tls")]
        if let Some(source) = &arguments.tls {
            let tls::Served { tls, transport, authority, said } =
                tls::load(source, &arguments.state.directory()?, settings, hosts)?;
            let state = arguments.state.option();
            let note = authority.as_ref().map(|authority| {
                let new = if authority.is_new { ", which is new" } else { "" };
                format!("{}{new}: 'keyrig rp tls trust{state}' says how to trust it", authority.name())
            });
            let note = note.or(said);
            let ca = authority.map(|authority| authority.certificate());
            return Ok(Self { transport, scheme: "https", ca, note, tls: Some(tls) });
        }
        let _ = (settings, hosts);
        let transport = if arguments.behind_tls { Transport::BehindTls } else { Transport::Plain };
        Ok(Self {
            transport,
            scheme: "http",
            ca: None,
            note: None,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    fn serve(&self, listener: TcpListener, relying_party: Arc<RelyingParty>) -> std::io::Result<Server> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return keyrig_relying_party::serve_tls(listener, relying_party, tls.clone());
        }
        keyrig_relying_party::serve(listener, relying_party)
    }
}

/// Where browsers open the site: at its nodes, or else at its own origins and, unless one of them can lead here, at the address that is
/// said. Behind a proxy it decides that.
fn opened(
    arguments: &Arguments,
    settings: &Settings,
    (scheme, site): (&str, &str),
    listen: &[SocketAddr],
) -> Vec<Origin> {
    if arguments.behind_tls {
        return Vec::new();
    }
    if !arguments.node.is_empty() {
        let nodes = arguments.node.iter().zip(listen);
        let nodes = nodes.map(|(node, listen)| format!("{scheme}://{}:{}", node.name, listen.port()));
        return nodes.filter_map(|node| node.parse().ok()).collect();
    }
    let mut origins: Vec<Origin> = settings.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if !origins.iter().any(|origin| leads_to(origin, scheme, listen).is_some()) {
        origins.extend(site.parse().ok());
    }
    origins
}

/// Where a browser gets at an origin, if its scheme and port are ours.
fn leads_to(origin: &Origin, scheme: &str, listen: &[SocketAddr]) -> Option<SocketAddr> {
    let Origin::Tuple { scheme: found, port, .. } = origin else { return None };
    listen.iter().find(|listen| found == scheme && listen.port() == *port).copied()
}

/// How browsers here get to names that lead elsewhere, or nowhere.
fn led_here(opened: &[Origin], scheme: &str, listen: &[SocketAddr]) -> Option<String> {
    let names = opened.iter().filter(|origin| !origin.is_loopback());
    let leads = |origin: &Origin| {
        let at = leads_to(origin, scheme, listen).filter(|at| at.ip().is_loopback())?;
        Some((origin.domain()?.to_owned(), at.ip()))
    };
    let names: BTreeSet<_> = names.filter_map(leads).collect();
    let mut hosts: BTreeMap<_, String> = BTreeMap::new();
    for (name, at) in &names {
        hosts.entry(at).or_insert_with(|| at.to_string()).push_str(&format!(" {name}"));
    }
    let hosts: Vec<_> = hosts.values().map(|line| format!("{line:?}")).collect();
    let host = |at: &IpAddr| if at.is_ipv6() { format!("[{at}]") } else { at.to_string() };
    let rules: Vec<_> = names.iter().map(|(name, at)| format!("MAP {name} {}", host(at))).collect();
    (!names.is_empty()).then(|| {
        format!(
            "a browser on this machine gets here by these names with {} in /etc/hosts, or as Chromium with --host-resolver-rules={:?}",
            hosts.join(" and "),
            rules.join(", ")
        )
    })
}

/// What the doctor says of where the site is opened, its nodes or else its own origins: where browsers refuse, and what a policy lets a user
/// wait for in vain.
fn diagnosed(settings: &Settings, opened: &[Origin]) -> Vec<String> {
    if settings.origins.is_empty() && opened.is_empty() {
        return Vec::new();
    }
    let site = Site { settings: settings.clone(), kind: Kind::Other, related_origins: RelatedOrigins::OfSettings };
    let Ok(addresses) = doctor::addresses(&site, opened, &[], &Passed::default()) else { return Vec::new() };
    let diagnosis = doctor::examine(&site, &addresses);
    let refused = diagnosis.addresses.iter().filter_map(|verdict| {
        let refusal = verdict.refusals.first()?;
        Some(format!(
            "nobody can use WebAuthn at {}: {} (keyrig doctor says what mends it)",
            verdict.address, refusal.reason
        ))
    });
    let waits = diagnosis.warnings.iter().filter(|warning| warning.code == "challenge-lifetime");
    refused.chain(waits.map(|warning| warning.text.clone())).collect()
}

/// Makes root@pam if nobody is there, and returns a password that was made up.
fn first_administrator(arguments: &Arguments, store: &keyrig_relying_party::Store) -> Result<Option<String>, Failure> {
    if !store.users()?.is_empty() {
        return Ok(None);
    }
    let name: UserName = ADMINISTRATOR.parse()?;
    let (hash, made_up) = password(arguments.initial_password.as_ref())?;
    match store.add_user(&name, Role::Administrator, &hash, &By::command_line(SystemTime::now())) {
        Ok(_) => Ok(made_up),
        // Another process was faster, and its password counts.
        Err(UserError::Exists(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn announce(
    out: &Lines,
    arguments: &Arguments,
    listening: &Listening<'_>,
    (security, origins): (&Security, &[String]),
    problem: Option<&str>,
    warnings: Vec<String>,
    missing: Option<String>,
) -> Result<(), Failure> {
    if arguments.json {
        return out.print_json(listening);
    }
    let beside = match arguments.listen {
        Listen::Address(address) if is_localhost(address.ip()) => {
            let addresses: Vec<_> = listening.listen.iter().map(ToString::to_string).collect();
            format!(", at {} alone", addresses.join(" and "))
        }
        _ => String::new(),
    };
    out.print(format!("site     {}{beside}", listening.url));
    for Place { name, url, listen } in &listening.nodes {
        out.print(format!("node     {name} at {url}, on {listen}"));
    }
    if let Some(note) = &security.note {
        out.print(format!("TLS      by {note}"));
    }
    out.print(format!("state    {}", listening.state.display()));
    out.print(format!("WebAuthn RP ID {}, policy {}", listening.rp_id, listening.policy));
    if origins.is_empty() {
        out.print("         the host of each request, as the settings name no origin");
    }
    for origin in origins.iter().filter(|origin| **origin != listening.url) {
        out.print(format!("         from {origin}"));
    }
    match &listening.initial_password {
        Some(password) => out.print(format!("login    {ADMINISTRATOR}, password {password} (this is shown once)")),
        None => out.print(format!(
            "login    {ADMINISTRATOR}, or a user you added; if you forgot the password: keyrig rp passwd{} USER",
            arguments.state.option()
        )),
    }
    let mut notes = Vec::new();
    if arguments.explain {
        notes.push("users and attackers learn why a login is refused".to_owned());
    }
    if arguments.fido_conformance {
        notes.push(
            "at /attestation/ and /assertion/ anybody can make users of the realm fido, and log in as them".to_owned(),
        );
    }
    if let Some(problem) = problem {
        notes.push(format!("WebAuthn is unusable, and users with a security key cannot log in: {problem}"));
    }
    notes.extend(warnings);
    notes.extend(missing.map(|reason| format!("only IPv4: {reason}")));
    for note in notes {
        out.note(note);
    }
    out.print("Ctrl-C ends it.");
    Ok(())
}
