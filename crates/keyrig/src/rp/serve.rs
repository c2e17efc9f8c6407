//! `keyrig rp serve`: the relying party and its page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use keyrig_relying_party::{By, Options, RelyingParty, Role, Settings, SystemClock, UserError, UserName};
use keyrig_scenario::doctor::{self, Kind, Passed, Site};
use serde::Serialize;
use tokio::net::TcpListener;

use super::password::{PasswordSource, password};
use super::state::State;
use crate::failure::Failure;
use crate::interruption;
use crate::output::Lines;

/// Who can do everything on a new site.
const ADMINISTRATOR: &str = "root@pam";

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp serve                           http://localhost:8006, for a browser
                                            on this machine
  keyrig rp serve --explain --state ./site  tells users why a login was refused
  keyrig rp serve --config datacenter.cfg   name, RP ID and origin as Proxmox VE
                                            has them
  keyrig rp serve --config site.toml        several origins, a policy,
                                            attestation, …

Passwords and sessions go in clear text. Before you listen on an address that
others can reach, put a proxy with TLS in front, and say --behind-tls.")]
pub(crate) struct Arguments {
    /// Where to listen: localhost:PORT is 127.0.0.1 and ::1; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "localhost:8006")]
    listen: Listen,

    /// Allow --listen to be an address that others can reach
    #[arg(long)]
    open_to_network: bool,

    /// Serve behind a proxy that adds TLS: cookies are Secure, and an origin that the settings do not name is https:// and
    /// the Host that the proxy passes on
    #[arg(long)]
    behind_tls: bool,

    /// A proxy whose X-Forwarded-For says where a request came from; more than once for several
    #[arg(long, value_name = "ADDRESS")]
    trust_proxy: Vec<IpAddr>,

    /// Settings: a datacenter.cfg of Proxmox VE, or a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Tell users why a login was refused. Attackers learn it too: for rehearsals only
    #[arg(long)]
    explain: bool,

    /// The first password of root@pam: the first line of a file, or - for standard input. Without it, one is made up and
    /// printed once
    #[arg(long, value_name = "FILE|-")]
    initial_password: Option<PasswordSource>,

    /// Print what it listens on as one line of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum Listen {
    Localhost(u16),
    Address(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("localhost:").map(str::parse) {
            Some(Ok(port)) => Ok(Self::Localhost(port)),
            Some(Err(_)) => Err("a port is a number up to 65535".to_owned()),
            None => text
                .parse()
                .map(Self::Address)
                .map_err(|_| "write ADDRESS:PORT, such as localhost:8006 or 127.0.0.1:8006".to_owned()),
        }
    }
}

#[derive(Serialize)]
struct Listening<'a> {
    url: String,
    listen: Vec<SocketAddr>,
    state: PathBuf,
    policy: &'a str,
    rp_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    if let Listen::Address(address) = arguments.listen
        && !address.ip().is_loopback()
        && !arguments.open_to_network
    {
        return Err(Failure::Usage(format!(
            "others can reach {address}, and passwords go in clear text: add --open-to-network to allow that"
        )));
    }
    let (listeners, missing) = bind(arguments.listen).await?;
    let listen: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let port = listen.first().map_or(0, SocketAddr::port);
    let settings = match &arguments.config {
        Some(file) => Settings::load(file)?,
        // For trying it: what the page can do is on.
        None => Settings {
            name: "keyrig".to_owned(),
            passkey_login: true,
            ..Settings::new("localhost", format!("http://localhost:{port}"))
        },
    };
    let store = arguments.state.open_or_make()?;
    let initial_password = first_administrator(&arguments, &store)?;
    let interrupted = interruption::in_order();
    let (policy, rp_id) = (settings.policy.name.clone(), settings.rp_id.clone());
    let (origins, mut warnings) = (settings.origins.clone(), settings.warnings());
    if settings.policy.second_step_without_ticket {
        warnings.push(format!(
            "the policy {policy} has the hole of CVE-2023-54391 on purpose: whoever sends a tfa-challenge is let in without a password"
        ));
    }
    warnings.extend(diagnosed(&settings));
    let options = Options {
        explain: arguments.explain,
        over_tls: arguments.behind_tls,
        trusted_proxies: arguments.trust_proxy.clone(),
        ..Options::new(store)
    };
    let relying_party = Arc::new(RelyingParty::new(Ok(settings), options, Arc::new(SystemClock)));
    let host = match arguments.listen {
        Listen::Localhost(_) => "localhost".to_owned(),
        // Where browsers have WebAuthn; the address is said beside it.
        Listen::Address(address) if is_localhost(address.ip()) => "localhost".to_owned(),
        Listen::Address(address) => match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    };
    let listening = Listening {
        url: format!("http://{host}:{port}"),
        listen,
        state: arguments.state.directory()?,
        policy: &policy,
        rp_id: &rp_id,
        initial_password,
    };
    let warnings: Vec<_> = warnings.into_iter().chain(relying_party.settle_in()?).collect();
    let out = Lines::to_stdout(|count| format!("{count} lines were lost: nobody read them"))?;
    announce(&out, &arguments, &listening, &origins, relying_party.webauthn_problem(), warnings, missing)?;
    let mut servers = Vec::new();
    for listener in listeners {
        let address = listener.local_addr().map_err(Failure::Runtime)?;
        let server = keyrig_relying_party::serve(listener, relying_party.clone());
        servers.push((address, server.map_err(|error| Failure::Listen(address, error))?));
    }
    let ended = tokio::select! {
        _ = interrupted => Ok(ExitCode::SUCCESS),
        failure = out.failed() => Err(failure),
    };
    for (address, server) in servers {
        server.shutdown().await.map_err(|error| Failure::Listen(address, error))?;
    }
    out.finish();
    ended
}

/// What the doctor says of the site's own origins: where browsers refuse, and what a policy lets a user wait for in vain.
fn diagnosed(settings: &Settings) -> Vec<String> {
    if settings.origins.is_empty() {
        return Vec::new();
    }
    let site = Site { settings: settings.clone(), kind: Kind::Other };
    let Ok(addresses) = doctor::addresses(&site, &[], &[], &Passed::default()) else { return Vec::new() };
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

/// Whether it is what browsers take `localhost` for.
fn is_localhost(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// The listeners; and why `::1` is not among them, if it should be.
async fn bind(listen: Listen) -> Result<(Vec<TcpListener>, Option<String>), Failure> {
    let bind = async |address: SocketAddr| {
        TcpListener::bind(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::PortInUse { address, option: "--listen" },
            _ => Failure::Listen(address, error),
        })
    };
    match listen {
        Listen::Address(address) => Ok((vec![bind(address).await?], None)),
        Listen::Localhost(port) => {
            let first = bind((Ipv4Addr::LOCALHOST, port).into()).await?;
            let port = first.local_addr().map_err(Failure::Runtime)?.port();
            // A machine may have no IPv6.
            match bind((Ipv6Addr::LOCALHOST, port).into()).await {
                Ok(second) => Ok((vec![first, second], None)),
                Err(error @ Failure::PortInUse { .. }) => Err(error),
                Err(error) => Ok((vec![first], Some(error.to_string()))),
            }
        }
    }
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
    origins: &[String],
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
            "login    {ADMINISTRATOR}, or a user you added; if you forgot the password: keyrig rp passwd USER"
        )),
    }
    let mut notes = Vec::new();
    if arguments.explain {
        notes.push("users and attackers learn why a login is refused".to_owned());
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
