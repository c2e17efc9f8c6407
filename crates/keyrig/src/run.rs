//! `keyrig run`: scenarios, and what came of them.

mod chosen;
mod compare;
mod drawing;
#[cfg(target_os = "linux")]
mod hands;
mod progress;
mod reports;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use keyrig_scenario::language::{On, Scenario};
use keyrig_scenario::report::milliseconds;
use keyrig_scenario::results::{Results, RunResult, Verdict};
use keyrig_scenario::runner::blank;

use self::chosen::{Cell, Shard};
#[cfg(target_os = "linux")]
use self::hands::HandArguments;
use self::progress::Progress;
use self::reports::Reports;
use crate::failure::Failure;
use crate::interruption;
use crate::output::{print, say};

#[derive(Args)]
#[command(after_help = "\
A scenario is a TOML file: keys, a site, pages, what is done, and what must come
of it. Each cell of its matrix is a run, with keys and a site of its own.

Examples:
  keyrig run scenarios/                        all of a folder
  keyrig run a.toml --on usbip                 the same keys over USB/IP
  keyrig run a.toml --matrix browser=firefox   some cells of its matrix
  keyrig run scenarios/ --junit out.xml --html out.html
  keyrig run a.toml --on hid                   real keys, which you insert and touch
  keyrig scenario new a.toml                   a scenario to begin with

Exit status: 0 all passed, 1 something did not, 2 a scenario or the command line
is wrong, 130 interrupted: reports are written all the same, and marked partial.")]
pub(crate) struct Arguments {
    /// Scenarios, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// What carries messages to the keys: in-process, ctaphid, usbip, kernel,
    /// this machine's (as root, with vhci_hcd), or hid, real keys in your hands
    #[arg(long, value_name = "WHAT", default_value_t)]
    on: On,

    /// Run on both, such as usbip,hid, and show where a real key does otherwise than its
    /// profile, with the lines that the profile would have
    #[arg(long, value_name = "WHAT,WHAT", value_delimiter = ',', conflicts_with = "on")]
    compare: Vec<On>,

    /// Only these cells of matrices: all that are so
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',')]
    matrix: Vec<Cell>,

    /// What ${NAME} stands for, in place of what a file's variables say
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = chosen::variable)]
    variables: Vec<(String, String)>,

    /// Only those whose name and cell have this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Only the first, second… of so many equal parts
    #[arg(long, value_name = "PART/PARTS")]
    shard: Option<Shard>,

    /// How many run at once; by default, one for each processor, and one in a kernel
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Begin no more once something went wrong
    #[arg(long)]
    fail_fast: bool,

    /// The seed from which everything random follows, instead of that of the files
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    hands: HandArguments,

    #[command(flatten)]
    reports: Reports,

    /// List what would run, and run nothing
    #[arg(long)]
    list: bool,

    /// Show what each would do, step by step, and run nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Some(scenarios) = arguments.chosen()? else { return Ok(ExitCode::from(2)) };
    if arguments.list {
        scenarios
            .iter()
            .try_for_each(|scenario| print(format!("{}  {}", scenario.title(), scenario.file.display())))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dry_run {
        scenarios.iter().try_for_each(show)?;
        return Ok(ExitCode::SUCCESS);
    }
    #[cfg(target_os = "linux")]
    if arguments.hands.are_given() && arguments.on != On::Hid && !arguments.compare.contains(&On::Hid) {
        return Err(Failure::Usage("--lab and --allow-destructive are of real keys: run it --on hid".to_owned()));
    }
    if !arguments.compare.is_empty() {
        return compare::run(&arguments, scenarios).await;
    }
    let read = scenarios.iter().map(|scenario| scenario.file.as_path());
    #[cfg(target_os = "linux")]
    let read = read.chain(arguments.hands.lab());
    arguments.reports.check(&read.collect::<Vec<_>>())?;
    let mut results = arguments.run_all(scenarios, arguments.on).await?;
    let written = arguments.reports.write(&mut results);
    print(summary(&results))?;
    left_on_keys(&results).into_iter().try_for_each(print)?;
    written?;
    Ok(match &results {
        Results { partial: true, .. } => ExitCode::from(130),
        Results { ok: true, .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

impl Arguments {
    /// What is to run; nothing if a file is wrong, which was told.
    fn chosen(&self) -> Result<Option<Vec<Scenario>>, Failure> {
        let Some(mut scenarios) = chosen::load_all(&self.paths, &self.variables)? else { return Ok(None) };
        chosen::are_used(&scenarios, &self.variables)?;
        chosen::only_cells(&mut scenarios, &self.matrix)?;
        if let Some(text) = &self.filter {
            scenarios.retain(|scenario| scenario.title().contains(text.as_str()));
        }
        if scenarios.is_empty() {
            let filter = self.filter.as_deref().unwrap_or_default();
            return Err(Failure::Usage(format!("of no scenario there name and cell have {filter:?}")));
        }
        if let Some(shard) = &self.shard {
            let all = scenarios.len();
            scenarios = shard.of(scenarios);
            if scenarios.is_empty() {
                say(format!("note: of {all} runs none is in part {shard}"));
            }
        }
        Ok(Some(scenarios))
    }

    async fn run_all(&self, scenarios: Vec<Scenario>, on: On) -> Result<Results, Failure> {
        let begun = Instant::now();
        let interrupted = interruption::in_order();
        let mut progress = Progress::of(scenarios.len());
        let not_begun = |scenario: &Scenario| RunResult {
            verdict: Verdict::Skipped,
            reason: Some("it was not begun".to_owned()),
            ..blank(scenario, on, self.seed.or(scenario.seed).unwrap_or_default())
        };
        let left: Vec<_> = scenarios.iter().map(not_begun).collect();
        let mut workers = workers::start(scenarios, self, on)?;
        let mut runs: Vec<Option<RunResult>> = (0..workers.count).map(|_| None).collect();
        let mut partial = false;
        tokio::pin!(interrupted);
        // The first failure to print: what comes after it is not printed.
        let mut printed = Ok(());
        loop {
            let news = tokio::select! {
                news = workers.news() => news,
                _ = &mut interrupted, if !partial => {
                    partial = true;
                    workers.stop();
                    continue;
                }
            };
            match news {
                Some(workers::News::Began(title)) => progress.began(&title),
                Some(workers::News::Ended(place, result)) => {
                    if let Some(run) = runs.get_mut(place) {
                        *run = Some(*result);
                    }
                    if printed.is_ok() {
                        printed = progress.ended(&runs);
                    }
                }
                None => break,
            }
        }
        progress.end();
        printed?;
        let runs = runs.into_iter().zip(left).map(|(run, left)| run.unwrap_or(left)).collect();
        Ok(Results::new(runs, partial, milliseconds(begun.elapsed())))
    }
}

fn show(scenario: &Scenario) -> Result<(), Failure> {
    print(scenario.title())?;
    for (number, step) in scenario.steps.iter().enumerate() {
        let times = if step.times > 1 { format!(", {} times", step.times) } else { String::new() };
        let expected = match step.expected.refused_by {
            Some(by) => format!(": refused by the {}", keyrig_scenario::report::Party::from(by)),
            None => String::new(),
        };
        print(format!("  {:>3}  {}{times}{expected}", number + 1, step.name))?;
    }
    Ok(())
}

/// What came of all.
fn summary(results: &Results) -> String {
    let Results { partial, passed, failed, skipped, ms, .. } = results;
    let mut parts = vec![format!("{passed} passed")];
    parts.extend((*failed > 0).then(|| format!("{failed} failed")));
    parts.extend((*skipped > 0).then(|| format!("{skipped} not run")));
    let partial = if *partial { "interrupted: " } else { "" };
    format!("\n{partial}{} in {:.1} s", parts.join(", "), ms / 1000.0)
}

/// What of all stays on real keys, a line for each.
fn left_on_keys(results: &Results) -> Vec<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, count) in results.runs.iter().flat_map(|run| &run.left_on_keys) {
        *left.entry(key).or_default() += count;
    }
    let told = |(key, count)| {
        let credentials = if count == 1 { "credential" } else { "credentials" };
        format!(
            "key {key} keeps {count} discoverable {credentials} of these runs, until its maker's tool or a browser's settings delete them"
        )
    };
    left.into_iter().map(told).collect()
}
