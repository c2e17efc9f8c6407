//! `keyrig attach`: keys plugged into this machine's kernel.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keyrig_attach::kernel::{AttachError, Attachments, Event, Kernel};
use keyrig_attach::uhid::Uhid;
use keyrig_attach::vhci::Vhci;
use keyrig_control::socket::ControlSocket;
use keyrig_faults::Absent;
use keyrig_rack::command::Command;
use keyrig_rack::{KeyName, Rack};
use serde::Serialize;

use crate::failure::Failure;
use crate::http::{self, Http, HttpArguments};
use crate::interruption;
use crate::output::Lines;
use crate::rack::RunningArguments;

#[derive(Args)]
#[command(after_help = "\
It takes root, and a kernel module that most distributions have:
  sudo modprobe vhci-hcd
  sudo keyrig attach
Where there is none, --uhid needs another one, and has HID devices that are on
no USB:
  sudo modprobe uhid
  sudo keyrig attach --uhid
Until Ctrl-C, browsers, ssh and all other programs find the key as they find
any security key.

Examples:
  sudo keyrig attach --key a=keyrig --key b=yubikey-5.7 --touch manual
  sudo keyrig key touch a
  sudo keyrig key unplug a")]
pub(crate) struct Arguments {
    /// Plug the keys in as HID devices without USB, where the kernel has no virtual USB host controller
    #[arg(long)]
    uhid: bool,

    #[command(flatten)]
    http: HttpArguments,

    #[command(flatten)]
    running: RunningArguments,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Started {
        control: PathBuf,
        #[serde(skip_serializing_if = "Option::is_none")]
        http: Option<http::Listening>,
        crypto: &'static str,
    },
    Attached {
        key: &'a KeyName,
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u32>,
    },
    Node {
        key: &'a KeyName,
        path: PathBuf,
    },
    Unplugged {
        key: &'a KeyName,
    },
    DetachedByKernel {
        key: &'a KeyName,
    },
    Failed {
        key: &'a KeyName,
        reason: String,
    },
    Lost {
        lines: u64,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    arguments.running.rack.all_on_usb()?;
    // First, so that a missing module or right is told before keys are made.
    let (kernel, absent) = open(arguments.uhid)?;
    let (rack, tracing) = arguments.running.rack.start(absent, arguments.http.is_wanted()).await?;
    let interrupted = interruption::in_order();
    let starter = arguments.running.starter.watch()?;
    let control = arguments.running.bind_control().await?;
    let http = arguments.http.start(&rack, control.path(), arguments.running.has_name()).await?;
    let mut attachments = Attachments::start(kernel, rack.exports(), rack.follow()).await?;
    let out = Lines::to_stdout(if arguments.running.json { lost_json } else { lost_text })?;
    announce(&out, &arguments, &rack, &control, http.as_ref())?;
    let _opened = arguments.http.open(http.as_ref(), control.path(), &out)?;
    let report = async {
        loop {
            let event = attachments.next().await;
            if arguments.running.json {
                out.print_json(&line(&event))?;
            } else {
                tell(&out, &event, &rack).await;
            }
        }
    };
    let ended = tokio::select! {
        reported = report => reported,
        never = control.serve(rack.clone()) => match never {},
        failure = out.failed() => Err(failure),
        _ = interrupted => Ok(()),
        () = starter.gone() => Ok(()),
    };
    attachments.close().await;
    out.finish();
    tracing.finish_after(ended).map(|()| ExitCode::SUCCESS)
}

/// The way into the kernel, and what hosts of keys do without there.
fn open(uhid: bool) -> Result<(Kernel, Absent), AttachError> {
    Ok(match uhid {
        true => (Kernel::Uhid(Uhid::open()?), Absent::usb()),
        false => (Kernel::Vhci(Vhci::open()?), Absent::nothing()),
    })
}

fn lost_json(count: u64) -> String {
    serde_json::to_string(&Line::Lost { lines: count }).unwrap_or_default()
}

fn lost_text(count: u64) -> String {
    format!("note     {count} lines were lost: nobody read them")
}

fn announce(
    out: &Lines,
    arguments: &Arguments,
    rack: &Rack,
    control: &ControlSocket,
    http: Option<&Http>,
) -> Result<(), Failure> {
    if arguments.running.json {
        return out.print_json(&Line::Started {
            control: control.path().to_owned(),
            http: http.map(Http::listening),
            crypto: rack.crypto(),
        });
    }
    out.print(format!("control  unix:{}", control.path().display()));
    if let Some(http) = http {
        out.print(http.line());
        out.print(http.panel_line()?);
    }
    for note in arguments.running.rack.notes(rack) {
        out.note(note);
    }
    out.print("Ctrl-C detaches the keys and ends keyrig.");
    Ok(())
}

fn line(event: &Event) -> Line<'_> {
    match event {
        Event::Attached { key, port } => Line::Attached { key, port: *port },
        Event::Node { key, path } => Line::Node { key, path: path.clone() },
        Event::Unplugged { key } => Line::Unplugged { key },
        Event::DetachedByKernel { key } => Line::DetachedByKernel { key },
        Event::Failed { key, error } => Line::Failed { key, reason: error.to_string() },
    }
}

async fn tell(out: &Lines, event: &Event, rack: &Rack) {
    match event {
        Event::Attached { key, port } => {
            // It may be no more.
            let shown = rack.command(Command::Show { key: key.clone() }).await;
            let shown = shown.ok().and_then(|answer| answer.keys.into_iter().next());
            let profile = shown.map(|key| format!(", a {},", key.profile)).unwrap_or_default();
            let place = match port {
                Some(port) => format!("on port {port} of this kernel's virtual USB"),
                None => "a HID device of this kernel".to_owned(),
            };
            out.print(format!("key      {key}{profile} is {place}"));
        }
        Event::Node { key, path } => out.print(format!("key      {key} is {}", path.display())),
        Event::Unplugged { key } => {
            out.print(format!("key      {key} is unplugged: 'keyrig key plug {key}' plugs it in again"));
        }
        Event::DetachedByKernel { key } => out.note(format!(
            "key {key} was detached by the kernel (by 'usbip detach', perhaps): 'keyrig key power-cycle {key}' attaches it \
             again"
        )),
        Event::Failed { key, error } => {
            out.note(format!("key {key} is not attached: {error}. 'keyrig key power-cycle {key}' tries again"));
        }
    }
}

#[cfg(test)]
mod tests;
