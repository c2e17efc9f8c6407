//! `keyrig serve`: keys for USB/IP clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keyrig_rack::Rack;
use keyrig_rack::control::{Command, KeyState};
use keyrig_rack::control_socket::ControlSocket;
use keyrig_usb::Limits;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, PLAIN, YELLOW, print, print_json};
use crate::rack::RunningArguments;

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig serve
  keyrig serve --key keyrig=a --key yubikey-5.7=b --usbip 127.0.0.1:3240
  keyrig serve --key keyrig=a --state ./keys --touch manual

Another program on this machine then sees the keys:
  usbip list -r 127.0.0.1                  list them; another port: usbip --tcp-port PORT list -r 127.0.0.1
  sudo usbip attach -r 127.0.0.1 -b 1-1    plug one in, with the kernel module vhci-hcd")]
pub(crate) struct Arguments {
    /// Where to export the keys over USB/IP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3240")]
    usbip: SocketAddr,

    /// Allow --usbip to be an address that others can reach. USB/IP asks nobody who they are: whoever reaches it has the keys
    #[arg(long)]
    open_to_network: bool,

    #[command(flatten)]
    running: RunningArguments,
}

#[derive(Serialize)]
struct Listening {
    usbip: SocketAddr,
    control: PathBuf,
    attestation_root: &'static str,
    crypto: &'static str,
    keys: Vec<KeyState>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    if !arguments.usbip.ip().is_loopback() && !arguments.open_to_network {
        return Err(Failure::Usage(format!(
            "{} can be reached by others, and USB/IP asks nobody who they are: add --open-to-network if that is meant",
            arguments.usbip
        )));
    }
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let rack = arguments.running.rack.start().await?;
    let control = arguments.running.bind_control().await?;
    let listener = TcpListener::bind(arguments.usbip).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::PortInUse(arguments.usbip),
        _ => Failure::Listen(arguments.usbip, error),
    })?;
    let usbip = listener.local_addr().map_err(|error| Failure::Listen(arguments.usbip, error))?;
    announce(&arguments, &rack, &control, usbip).await?;
    tokio::select! {
        result = keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()) => {
            result.map_err(Failure::UsbIp)?;
        }
        result = control.serve(rack.clone()) => result.map_err(|error| Failure::Write(control.path().to_owned(), error))?,
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn announce(
    arguments: &Arguments,
    rack: &Rack,
    control: &ControlSocket,
    usbip: SocketAddr,
) -> Result<(), Failure> {
    let keys = rack.command(Command::List {}).await.map(|answer| answer.keys).unwrap_or_default();
    if arguments.running.json {
        return print_json(&Listening {
            usbip,
            control: control.path().to_owned(),
            attestation_root: match rack.root_origin() {
                keyrig_rack::RootOrigin::Seed => "seed",
                keyrig_rack::RootOrigin::State => "state",
                keyrig_rack::RootOrigin::Process => "process",
            },
            crypto: rack.crypto(),
            keys,
        });
    }
    print(format!("USB/IP   {usbip}"))?;
    print(format!("control  unix:{}", control.path().display()))?;
    for key in &keys {
        let finger = if key.under_finger { ", under the finger" } else { "" };
        print(format!("key      {} on bus {}, a {}{finger}", key.name, key.busid, key.profile))?;
    }
    for note in arguments.running.rack.notes(rack) {
        print(format!("{YELLOW}note{PLAIN}     {note}"))?;
    }
    print("Ctrl-C ends it.")
}
