//! `keyrig rp audit`, `events` and `report`: what an administrator looks at.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use keyrig_relying_party::{EventFilter, EventKind, InvalidMoment, read_moment};
use serde_json::json;

use super::state::State;
use crate::failure::Failure;
use crate::output::{print, print_as_it_is, print_json, print_json_for_people};

#[derive(Args)]
pub(crate) struct AuditArguments {
    /// Print CSV, a line per factor
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
pub(crate) struct EventsArguments {
    /// Only events of this user, by the name of that time
    #[arg(long)]
    user: Option<String>,
    /// Only events of this kind, such as login_refused
    #[arg(long)]
    kind: Option<EventKind>,
    /// Only events from this time on: 2026-11-29T15:00:00Z, 2026-11-29, or how long ago: 90s, 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// How many events, the latest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only events before this one, by its number in --json
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// The identifier that the user was given
    id: String,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: State,
}

fn moment(text: &str) -> Result<SystemTime, InvalidMoment> {
    read_moment(text, SystemTime::now())
}

pub(super) fn audit(arguments: &AuditArguments) -> Result<ExitCode, Failure> {
    let report = arguments.state.open_to_read()?.audit(SystemTime::now())?;
    if arguments.json {
        print_json(&report)?;
    } else if arguments.csv {
        print_as_it_is(report.csv().trim_end_matches('\n'))?;
    } else {
        print(report.text().trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The latest last, as logs are read.
pub(super) fn events(arguments: &EventsArguments) -> Result<ExitCode, Failure> {
    let filter = EventFilter {
        user: arguments.user.clone(),
        kind: arguments.kind,
        since: arguments.since,
        until: arguments.until,
        before: arguments.before,
        limit: Some(arguments.limit),
    };
    for event in arguments.state.open_to_read()?.events(&filter)?.iter().rev() {
        if arguments.json {
            print_json(event)?;
        } else {
            print(event.text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    let found = arguments.state.open_to_read()?.report(&arguments.id)?;
    let (event, report) = found.ok_or_else(|| Failure::NoReport(arguments.id.clone()))?;
    let whole = json!({ "event": event, "report": report });
    if arguments.json {
        print_json(&whole)?;
        return Ok(ExitCode::SUCCESS);
    }
    print_json_for_people(&whole)?;
    Ok(ExitCode::SUCCESS)
}
