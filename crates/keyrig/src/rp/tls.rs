//! TLS of `keyrig rp serve`, and `keyrig rp tls`: the test CA, and what it takes to trust it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{Settings, TestAuthority, Tls, Transport};
use keyrig_scenario::runner::quoted;

use super::state::State;
use crate::failure::Failure;
use crate::output::print;

/// Where the test CA is, in the state directory.
const AUTHORITY: &str = "tls";

/// Whose certificate a site has.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A test CA's, which is made here.
    Test,
    /// One that mkcert makes.
    Mkcert,
    /// One that is there, with its key.
    Files(PathBuf, PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "self" => Ok(Self::Test),
            "mkcert" => Ok(Self::Mkcert),
            _ => match text.split_once(',') {
                Some((chain, key)) if !chain.is_empty() && !key.is_empty() => Ok(Self::Files(chain.into(), key.into())),
                _ => Err("write self, mkcert, or the files of a certificate and its key: CERT,KEY".to_owned()),
            },
        }
    }
}

/// What a site is served with.
pub(super) struct Served {
    pub(super) tls: Tls,
    pub(super) transport: Transport,
    /// The test CA, if it is one's.
    pub(super) authority: Option<TestAuthority>,
    /// Who else vouches for it, and what was said.
    pub(super) said: Option<String>,
}

/// The certificate for a site of these settings, which listens as these hosts.
pub(super) fn load(source: &Source, state: &Path, settings: &Settings, hosts: &[String]) -> Result<Served, Failure> {
    let names = names(settings, hosts);
    match source {
        Source::Files(chain, key) => {
            let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::Read(path.clone(), error));
            let tls = Tls::from_pem(&read(chain)?, &read(key)?);
            let tls = tls.map_err(|error| Failure::Certificate(chain.clone(), error))?;
            Ok(Served { tls, transport: Transport::Tls, authority: None, said: None })
        }
        Source::Mkcert => {
            let (tls, said) = by_mkcert(state, &of_leaf(settings, &names))?;
            Ok(Served { tls, transport: Transport::TestTls, authority: None, said: Some(said) })
        }
        Source::Test => {
            let authority = TestAuthority::open_or_make(&state.join(AUTHORITY), &names, SystemTime::now())?;
            let tls = authority.certify(&of_leaf(settings, &names))?;
            Ok(Served { tls, transport: Transport::TestTls, authority: Some(authority), said: None })
        }
    }
}

/// What the site is called: by its RP ID, its origins, its nodes, and on this machine.
fn names(settings: &Settings, hosts: &[String]) -> Vec<String> {
    let origins = settings.origins.iter().filter_map(|origin| origin.strip_prefix("https://"));
    let origins = origins.map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host));
    let all = [settings.rp_id.as_str(), "localhost"].into_iter().chain(origins).chain(hosts.iter().map(String::as_str));
    let mut names: Vec<String> =
        all.map(|name| name.trim_start_matches('[').trim_end_matches(']').to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// The same with all directly below the RP ID, where a certificate can say so, and the machine's own addresses.
fn of_leaf(settings: &Settings, names: &[String]) -> Vec<String> {
    let rp_id = &settings.rp_id;
    let below = (rp_id.contains('.') && rp_id.parse::<IpAddr>().is_err()).then(|| format!("*.{rp_id}"));
    let loopback = ["127.0.0.1", "::1"].map(str::to_owned);
    let all = names.iter().cloned().chain(below).chain(loopback);
    let mut names: Vec<String> = all.collect();
    names.sort();
    names.dedup();
    names
}

/// Has mkcert, which is another's program, make a certificate. Its CA's key is its own business; where browsers do not trust that CA
/// it says so, and with which of its options they do.
fn by_mkcert(state: &Path, names: &[String]) -> Result<(Tls, String), Failure> {
    let directory = tempfile::tempdir_in(state).map_err(|error| Failure::Write(state.to_owned(), error))?;
    let (chain, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let mut mkcert = Command::new("mkcert");
    mkcert.arg("-cert-file").arg(&chain).arg("-key-file").arg(&key).args(names);
    let output = mkcert.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NoMkcert,
        _ => Failure::Mkcert(error.to_string()),
    })?;
    if !output.status.success() {
        return Err(Failure::Mkcert(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::Read(path.clone(), error));
    let tls = Tls::from_pem(&read(&chain)?, &read(&key)?).map_err(|error| Failure::Certificate(chain, error))?;
    let is_trusted = !String::from_utf8_lossy(&output.stderr).contains("mkcert -install");
    let untrusted = if is_trusted { "" } else { ", which not all here trusts: 'mkcert -install' changes that" };
    Ok((tls, format!("mkcert's CA{untrusted}")))
}

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show how curl, Chromium and Firefox are told to trust the test CA of 'rp serve --tls self'
    Trust {
        #[command(flatten)]
        state: State,
    },
    /// Delete the test CA with its key, and show how browsers are told to forget it
    Forget {
        #[command(flatten)]
        state: State,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let find = |state: &State| -> Result<TestAuthority, Failure> {
        let directory = state.directory()?.join(AUTHORITY);
        TestAuthority::find(&directory)?.ok_or(Failure::NoAuthority(directory))
    };
    match arguments.action {
        Action::Trust { state } => {
            let authority = find(&state)?;
            let (name, file) = (authority.name(), quoted(&authority.certificate().display().to_string()));
            print(format!(
                "CA       {name}, which can vouch for {} and loopback addresses",
                authority.names().join(", ")
            ))?;
            print(format!("curl     curl --cacert {file} https://…"))?;
            print(format!("Chromium certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n '{name}' -i {file}"))?;
            print(format!("Firefox  certutil -d sql:PROFILE -A -t C,, -n '{name}' -i {file}"))?;
            print("         where PROFILE is what about:support calls the profile directory")?;
            print("certutil is in Debian's libnss3-tools; begin browsers anew afterwards.")?;
        }
        Action::Forget { state } => {
            let authority = find(&state)?;
            let name = authority.name().to_owned();
            authority.forget()?;
            print(format!("deleted  {name}, with its key: nothing can be vouched for by it any more"))?;
            print("curl     nothing to do")?;
            print(format!("Chromium certutil -d sql:$HOME/.pki/nssdb -D -n '{name}'"))?;
            print(format!("Firefox  certutil -d sql:PROFILE -D -n '{name}'"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
