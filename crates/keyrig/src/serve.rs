//! `keyrig serve`: keys for USB/IP clients, and for programs that speak CTAPHID over a datagram socket.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use std::future::pending;
use std::str::FromStr;

use clap::Args;
use keyrig_attach::ctaphid_endpoint::{self, EndpointAddress};
use keyrig_attach::ctaphid_endpoints::{Endpoints, Event};
use keyrig_control::pico_controller;
use keyrig_faults::Absent;
use keyrig_rack::command::{Command, KeyState, Refusal, listed};
use keyrig_rack::{KeyName, Rack};
use keyrig_usb::Limits;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::address::{Address, AddressOrNone};
use crate::failure::Failure;
use crate::http::{self, Http, HttpArguments};
use crate::interruption;
use crate::output::Lines;
use crate::rack::RunningArguments;
use crate::terminal::{self, Keyboard};

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig serve
  keyrig serve --key a=keyrig --key b=yubikey-5.7 --usbip 127.0.0.1:3240
  keyrig serve --key a=keyrig --state ./keys --touch manual
  keyrig serve --name worker1 --exit-with-parent --pin keyrig=pin.txt
  keyrig serve --http                      beside a test suite in any language
  keyrig serve --http --open --touch manual   keys to look at, and to touch

Another program on this machine then sees the keys:
  usbip list -r 127.0.0.1                  list them (usbip --tcp-port PORT
                                           list -r … for another port)
  sudo usbip attach -r 127.0.0.1 -b 1-1    plug one in, with the kernel module
                                           vhci-hcd

Programs that speak CTAPHID by themselves need no USB: one 64-byte report a
datagram, over a SOCK_SEQPACKET socket or UDP:
  keyrig serve --ctaphid unix:/tmp/key
  keyrig serve --ctaphid udp:127.0.0.1:8111
  keyrig serve --key a=keyrig --key b=keyrig \\
    --ctaphid a=unix:/tmp/a --ctaphid b=unix:/tmp/b
  keyrig serve --ctaphid unix:/tmp/keys/   a socket for each key, at any time
python-fido2's tests/device switches touch and power by its --controller:
  keyrig serve --ctaphid unix:/tmp/key --touch manual \\
    --pico-controller 127.0.0.1:8099")]
pub(crate) struct Arguments {
    /// Where to export the keys over USB/IP; port 0 takes a free one, none exports them nowhere. Without it, 127.0.0.1:3240, or
    /// a free port for a rack with a name
    #[arg(long, value_name = "[ADDRESS:]PORT|none")]
    usbip: Option<AddressOrNone>,

    /// Give a key to programs that speak CTAPHID: over a datagram socket, which only this user can open, or over UDP, which
    /// every user of this machine can reach. With several keys, NAME= says which. unix:DIR/ gives each key, those that are
    /// created later too, a socket NAME.ctaphid in that directory. Repeat for more
    #[arg(long, value_name = "[NAME=]unix:PATH|udp:ADDRESS:PORT|unix:DIR/")]
    ctaphid: Vec<CtaphidArgument>,

    /// Where python-fido2's device suite (its --controller) switches touch and power; port 0 takes a free one
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pico_controller: Option<Address>,

    #[command(flatten)]
    http: HttpArguments,

    #[command(flatten)]
    running: RunningArguments,
}

impl Arguments {
    /// Where the keys are exported, if they are.
    fn usbip(&self) -> Option<SocketAddr> {
        /// That of USB/IP, and one that is free.
        const PORTS: [u16; 2] = [3240, 0];
        let [port, free] = PORTS;
        let default = SocketAddr::from(([127, 0, 0, 1], if self.running.has_name() { free } else { port }));
        self.usbip.map_or(Some(default), |given| given.0)
    }
}

impl Arguments {
    /// Whether somebody looks: at a panel, or at the terminal that this is printed to.
    fn is_followed(&self) -> bool {
        self.http.is_wanted() || self.is_on_terminal()
    }

    fn is_on_terminal(&self) -> bool {
        !self.running.json && io::stdout().is_terminal()
    }

    /// By what nobody can reach the keys.
    fn absent(&self) -> Absent {
        match (self.usbip(), self.ctaphid.as_slice()) {
            (Some(_), _) => Absent::nothing(),
            (None, []) => Absent::usb_and_ctaphid(),
            (None, _) => Absent::usb(),
        }
    }
}

/// `[NAME=]unix:PATH` or `[NAME=]udp:ADDRESS:PORT`, or `unix:DIR/`.
#[derive(Clone)]
enum CtaphidArgument {
    /// An endpoint of one key.
    Key { key: Option<KeyName>, address: EndpointAddress },
    /// One in this directory for each key.
    Directory(PathBuf),
}

impl FromStr for CtaphidArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name has no colon; what comes before the first '=' of a path has the one of unix:.
        let (key, address) = match text.split_once('=') {
            Some((key, address)) if !key.contains(':') => (Some(key), address),
            _ => (None, text),
        };
        let key = key.map(str::parse).transpose().map_err(|error: keyrig_rack::InvalidKeyName| error.to_string())?;
        let address = address.parse().map_err(|error: ctaphid_endpoint::InvalidEndpointAddress| error.to_string())?;
        match (key, address) {
            (key, EndpointAddress::Unix(path)) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => match key {
                None => Ok(Self::Directory(path)),
                Some(key) => Err(format!("{} is a directory, which is for all keys: leave {key}= out", path.display())),
            },
            (key, address) => Ok(Self::Key { key, address }),
        }
    }
}

#[derive(Serialize)]
struct Listening {
    #[serde(skip_serializing_if = "Option::is_none")]
    usbip: Option<SocketAddr>,
    ctaphid: Vec<ListeningEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pico_controller: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<http::Listening>,
    control: PathBuf,
    attestation_root: &'static str,
    crypto: &'static str,
    keys: Vec<KeyState>,
}

#[derive(Serialize)]
struct ListeningEndpoint {
    key: KeyName,
    address: String,
}

/// Where the rack is found.
struct Served<'a> {
    usbip: Option<SocketAddr>,
    pico_controller: Option<SocketAddr>,
    http: Option<&'a Http>,
    control: &'a Path,
    endpoints: &'a Endpoints,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    check_reach(&arguments)?;
    let (rack, tracing) = arguments.running.rack.start(arguments.absent(), arguments.is_followed()).await?;
    let interrupted = interruption::in_order();
    let starter = arguments.running.starter.watch()?;
    let control = arguments.running.bind_control().await?;
    let usbip = match arguments.usbip() {
        Some(address) => Some(bind(address, "--usbip").await?),
        None => None,
    };
    let pico = match arguments.pico_controller {
        Some(Address(address)) => Some(bind(address, "--pico-controller").await?),
        None => None,
    };
    let endpoints = bind_endpoints(&arguments.ctaphid, &rack).await?;
    let http = arguments.http.start(&rack, control.path(), arguments.running.has_name()).await?;
    let out = Lines::to_stdout(|count| format!("{count} lines were lost: nobody read them"))?;
    let switches = pico.as_ref().map(|(_, address)| *address);
    let served = Served {
        usbip: usbip.as_ref().map(|(_, address)| *address),
        pico_controller: switches,
        http: http.as_ref(),
        control: control.path(),
        endpoints: &endpoints,
    };
    let keyboard = match arguments.is_on_terminal() && !arguments.running.starter.reads_input() {
        true => Keyboard::take()?,
        false => None,
    };
    announce(&out, &arguments, &rack, &served, keyboard.is_some()).await?;
    let _opened = arguments.http.open(http.as_ref(), control.path(), &out)?;
    let mut serving = JoinSet::new();
    let (told, json) = (out.clone(), arguments.running.json);
    serving.spawn(endpoints.serve(move |event| tell(&told, json, event)));
    if let Some((listener, _)) = usbip {
        let exports = rack.exports().clone();
        serving.spawn(async move { keyrig_usb::serve(listener, exports, Limits::default()).await });
    }
    if let Some((listener, _)) = pico {
        let rack = rack.clone();
        serving.spawn(async move { pico_controller::serve(listener, rack).await });
    }
    let at_terminal = async {
        let told = async {
            match arguments.is_on_terminal() {
                true => terminal::tell(&rack, &out, "        ").await.err(),
                false => None,
            }
        };
        let obeyed = async {
            if let Some(keyboard) = keyboard {
                terminal::obey(keyboard, &rack, http.as_ref(), &out).await;
            }
        };
        match tokio::join!(told, obeyed) {
            (Some(failure), ()) => failure,
            (None, ()) => pending().await,
        }
    };
    let ended = tokio::select! {
        never = control.serve(rack.clone()) => match never {},
        Some(ended) = serving.join_next(), if !serving.is_empty() => match ended {
            Ok(never) => match never {},
            Err(error) => Err(Failure::Runtime(error.into())),
        },
        failure = out.failed() => Err(failure),
        failure = at_terminal => Err(failure),
        _ = interrupted => Ok(()),
        () = starter.gone() => Ok(()),
    };
    out.finish();
    // The sockets' files go with the tasks that serve them.
    serving.shutdown().await;
    tracing.finish_after(ended).map(|()| ExitCode::SUCCESS)
}

/// Refuses addresses that others can reach, unless they are meant.
fn check_reach(arguments: &Arguments) -> Result<(), Failure> {
    let udp = arguments.ctaphid.iter().filter_map(|argument| match argument {
        CtaphidArgument::Key { address: EndpointAddress::Udp(address), .. } => Some((*address, "CTAPHID over UDP")),
        CtaphidArgument::Key { .. } | CtaphidArgument::Directory(_) => None,
    });
    let others = arguments.pico_controller.map(|Address(address)| (address, "the controller"));
    let usbip = arguments.usbip().map(|address| (address, "USB/IP"));
    for (address, what) in usbip.into_iter().chain(udp).chain(others) {
        if !address.ip().is_loopback() && !arguments.http.open_to_network {
            return Err(Failure::Usage(format!(
                "others can reach {address}, and {what} has no passwords: add --open-to-network to allow that"
            )));
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr, option: &'static str) -> Result<(TcpListener, SocketAddr), Failure> {
    let listen = |error| Failure::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::PortInUse { address, option },
        _ => listen(error),
    })?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

async fn bind_endpoints(arguments: &[CtaphidArgument], rack: &Rack) -> Result<Endpoints, Failure> {
    let following = rack.follow();
    let keys = following.keys();
    let (mut single, mut directories) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument {
            CtaphidArgument::Directory(directory) => directories.push(directory.clone()),
            CtaphidArgument::Key { key, address } => {
                let key = match (key, keys) {
                    (Some(name), keys) => keys.iter().find(|key| key.name == *name).ok_or_else(|| {
                        if rack.known(name).is_ok() {
                            return Failure::Refused(Refusal::NotOnUsb(name.clone()));
                        }
                        let unknown = Refusal::unknown(name, keys.iter().map(|key| &key.name));
                        Failure::Usage(format!("--ctaphid {name}={address}: {unknown}"))
                    })?,
                    (None, [only]) => only,
                    (None, _) => {
                        return Err(Failure::Usage(format!(
                            "--ctaphid {address} does not say which key it gives: write --ctaphid NAME={address} with one \
                             of {}",
                            listed(keys.iter().map(|key| key.name.as_str()))
                        )));
                    }
                };
                single.push((key.clone(), address.clone()));
            }
        }
    }
    Ok(Endpoints::bind(following, single, directories).await?)
}

/// Tells of an endpoint that has come with its key, or has not. With --json nothing is told: programs know where it is.
fn tell(out: &Lines, json: bool, event: Event) {
    match event {
        Event::Bound { key, address } if !json => out.print(format!("CTAPHID  {address} for key {key}")),
        Event::Bound { .. } => {}
        Event::Failed { key, error } if !json => out.note(format!("key {key} has no endpoint: {error}")),
        Event::Failed { key, error } => tracing::warn!(%key, %error, "a key has no endpoint"),
    }
}

async fn announce(
    out: &Lines,
    arguments: &Arguments,
    rack: &Rack,
    &Served { usbip, pico_controller, http, control, endpoints }: &Served<'_>,
    has_keyboard: bool,
) -> Result<(), Failure> {
    let keys = rack.command(Command::List {}).await.map(|answer| answer.keys).unwrap_or_default();
    if arguments.running.json {
        return out.print_json(&Listening {
            usbip,
            ctaphid: endpoints
                .all()
                .map(|(key, address)| ListeningEndpoint { key: key.clone(), address: address.to_string() })
                .collect(),
            pico_controller,
            http: http.map(Http::listening),
            control: control.to_owned(),
            attestation_root: match rack.root_origin() {
                keyrig_rack::RootOrigin::Seed => "seed",
                keyrig_rack::RootOrigin::State => "state",
                keyrig_rack::RootOrigin::Process => "process",
            },
            crypto: rack.crypto(),
            keys,
        });
    }
    if let Some(usbip) = usbip {
        out.print(format!("USB/IP   {usbip}"));
    }
    for (key, address) in endpoints.all() {
        out.print(format!("CTAPHID  {address} for key {key}"));
    }
    if let Some(address) = pico_controller {
        out.print(format!("switches http://{address}"));
    }
    if let Some(http) = http {
        out.print(http.line());
        out.print(http.panel_line()?);
    }
    out.print(format!("control  unix:{}", control.display()));
    for key in &keys {
        let finger = if key.under_finger { ", under the finger" } else { "" };
        let place = key.busid.as_ref().map_or("on no USB".to_owned(), |busid| format!("on bus {busid}"));
        out.print(format!("key      {} {place}, a {}{finger}", key.name, key.profile));
    }
    for note in arguments.running.rack.notes(rack) {
        out.note(note);
    }
    if has_keyboard {
        out.print(terminal::HELP);
    }
    out.print("Ctrl-C ends it.");
    Ok(())
}
