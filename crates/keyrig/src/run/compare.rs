//! Two runs beside each other: a key's profile, and the key.

use std::process::ExitCode;

use keyrig_scenario::compare::{Deviation, compare, proposals};
use keyrig_scenario::language::Scenario;
use keyrig_scenario::results::{Results, RunResult, Verdict};

use super::{Arguments, summary};
use crate::failure::Failure;
use crate::output::{YELLOW, print, print_as_it_is, print_marked};

/// Runs all on the one, then on the other, and shows what is otherwise.
pub(super) async fn run(arguments: &Arguments, scenarios: Vec<Scenario>) -> Result<ExitCode, Failure> {
    let [first, second] = arguments.compare.as_slice() else {
        return Err(Failure::Usage("--compare wants two, such as usbip,hid".to_owned()));
    };
    if arguments.reports.are_wanted() {
        return Err(Failure::Usage("--compare writes no reports: run it --on one of them for these".to_owned()));
    }
    let of_first = arguments.run_all(scenarios.clone(), *first).await?;
    if of_first.partial {
        return Ok(ExitCode::from(130));
    }
    let of_second = arguments.run_all(scenarios, *second).await?;
    let mut all = Vec::new();
    for (one, other) in of_first.runs.iter().zip(&of_second.runs) {
        let found = compare(one, other);
        show(one, other, &found)?;
        all.extend(found);
    }
    let lines = proposals(&all);
    if !lines.is_empty() {
        print("\nthe profile would have:")?;
        lines.iter().try_for_each(|line| print_as_it_is(format!("  {line}")))?;
    }
    print(format!("{first}{}\n{second}{}", summary(&of_first), summary(&of_second)))?;
    let compared = |one: &Results| one.ok && !one.partial;
    Ok(match (compared(&of_first) && compared(&of_second), all.is_empty()) {
        _ if of_second.partial => ExitCode::from(130),
        (true, true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn show(one: &RunResult, other: &RunResult, found: &[Deviation]) -> Result<(), Failure> {
    let keys: Vec<_> = one
        .keys
        .iter()
        .zip(&other.keys)
        .map(|(one, other)| format!("{}: {} beside {}", one.name, one.profile, other.profile))
        .collect();
    print(format!("\n{} ({})", one.title, keys.join("; ")))?;
    let undone = [one, other].into_iter().find(|run| run.steps.is_empty() || run.verdict == Verdict::Interrupted);
    if let Some(run) = undone {
        let why = run.reason.as_deref().unwrap_or_else(|| run.verdict.name());
        print(format!("  not compared as far as it was not done on {}: {why}", run.on))?;
    } else if found.is_empty() {
        return print("  nothing is otherwise in what was done on both");
    }
    let mut step = None;
    for deviation in found {
        if step.replace(deviation.line) != Some(deviation.line) {
            print(format!("  line {}, {}", deviation.line, deviation.step))?;
        }
        print_marked(YELLOW, "   ", format!(" {deviation}"))?;
    }
    Ok(())
}
