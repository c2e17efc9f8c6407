//! `keyrig demo`: the main job, step by step.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keyrig_client::Browser;
use keyrig_faults::{Absent, Faults};
use keyrig_scenario::demo;
use keyrig_scenario::report::{Report, Step};
use keyrig_scenario::runner::Begun;

use crate::failure::Failure;
use crate::fault::FaultArguments;
use crate::output::{GREEN, RED, print, print_json, print_marked};
use crate::quirk::QuirkArguments;
use crate::trace::TraceArguments;

#[derive(Args)]
#[command(after_help = "\
keyrig exports two software keys over USB/IP on loopback. A client with a
browser's rules reaches them there, registers them and logs in at a relying
party over HTTP. Refusals are part of it, each with who refused and why.
Nothing is installed or left behind.")]
pub(crate) struct Arguments {
    /// The browser to behave as: chromium, firefox or safari
    #[arg(long, value_name = "BROWSER", default_value_t)]
    browser: Browser,

    /// Also write report.json and report.txt to this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    #[command(flatten)]
    quirks: QuirkArguments,

    #[command(flatten)]
    faults: FaultArguments,

    #[command(flatten)]
    trace: TraceArguments,

    /// Print one JSON object: {"ok", "steps": [{"name", "ok", "refused_by"?, "reason"?, "ms"}]}
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    if let Some(directory) = &arguments.report {
        fs::create_dir_all(directory).map_err(|error| Failure::Write(directory.clone(), error))?;
    }
    let people = !arguments.json;
    // The first failure to print: what comes after it is not printed.
    let printed = RefCell::new(Ok(()));
    let show = |shown: &dyn Fn() -> Result<(), Failure>| {
        let mut printed = printed.borrow_mut();
        if people && printed.is_ok() {
            *printed = shown();
        }
    };
    let introduce = |begun: &Begun| {
        show(&|| print(introduction(begun)));
        show(&|| arguments.quirks.notes().try_for_each(print));
        show(&|| print(""));
    };
    let mut keys = demo::keys()?;
    arguments.quirks.give(&mut keys)?;
    arguments.faults.check(&keys, &Absent::nothing())?;
    let mut tracing = arguments.trace.start(&keys)?;
    tracing.begin()?;
    let faults = Faults::new(None, Absent::nothing());
    let seams = tracing.seams(&faults);
    arguments.faults.switch_on(&faults)?;
    let report = demo::run(arguments.browser, keys, seams, introduce, |step| show(&|| print_step(step))).await;
    tracing.finish_after(
        report.map_err(Failure::from).and_then(|report| arguments.conclude(&report, printed.into_inner())),
    )
}

impl Arguments {
    /// Tells what came of it, after the steps, which were printed or not.
    fn conclude(&self, report: &Report, printed: Result<(), Failure>) -> Result<ExitCode, Failure> {
        printed?;
        if self.json {
            print_json(report)?;
        } else {
            print(format!("\n{}", conclusion(report)))?;
        }
        if let Some(directory) = &self.report {
            write_report(directory, report)?;
        }
        Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn introduction(begun: &Begun) -> String {
    let usbip = begun.usbip.map_or_else(|| "none".to_owned(), |address| address.to_string());
    format!("relying party  {}\nUSB/IP server  {usbip}\ncryptography   {}", begun.origin, begun.crypto)
}

fn print_step(step: &Step) -> Result<(), Failure> {
    let colour = if step.ok { GREEN } else { RED };
    let mut lines = step.lines().into_iter();
    if let Some(first) = lines.next() {
        let (mark, rest) = first.split_at_checked(4).unwrap_or(("", &first));
        print_marked(colour, mark, rest)?;
    }
    lines.try_for_each(print)
}

fn conclusion(report: &Report) -> String {
    let failed = report.steps.iter().filter(|step| !step.ok).count();
    match failed {
        0 => format!("all {} steps went as they should", report.steps.len()),
        _ => format!("{failed} of {} steps went wrong", report.steps.len()),
    }
}

fn write_report(directory: &Path, report: &Report) -> Result<(), Failure> {
    let write = |name: &str, content: String| {
        let path = directory.join(name);
        fs::write(&path, content).map_err(|error| Failure::Write(path, error))
    };
    let json = serde_json::to_string_pretty(report).map_err(|error| Failure::Print(error.into()))?;
    write("report.json", json + "\n")?;
    let lines: Vec<_> = report.steps.iter().flat_map(Step::lines).collect();
    write("report.txt", format!("{}\n\n{}\n", lines.join("\n"), conclusion(report)))
}
