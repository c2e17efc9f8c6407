//! JUnit's XML, as build servers read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::results::{Results, RunResult, StepResult, Verdict};

/// All runs as JUnit's XML: a suite for each file, and in it a test for each cell of its matrix.
///
/// # Errors
/// Of the writer: none is known that text leads to.
pub fn junit(results: &Results) -> Result<String, SerializeError> {
    let mut report = Report::new("keyrig run");
    report.set_time(duration(results.ms));
    let mut suites: BTreeMap<&Path, TestSuite> = BTreeMap::new();
    for run in &results.runs {
        let name = run.file.display().to_string();
        let suite = suites.entry(&run.file).or_insert_with(|| TestSuite::new(name));
        suite.add_test_case(case(run));
    }
    if results.partial {
        let mut suite = TestSuite::new("keyrig run");
        suite.add_property(Property::new("partial", "interrupted: these are not all"));
        report.add_test_suite(suite);
    }
    report.add_test_suites(suites.into_values());
    report.to_string()
}

/// A program that ran with keys, as one test.
#[derive(Clone, Debug)]
pub struct ProgramResult {
    /// Its command line, which is the test's name.
    pub program: String,
    /// The command line that runs it again with the same keys.
    pub repeat: String,
    /// Its exit status, or 128 and the signal that ended it; why there is none, if it did not run.
    pub status: Result<u8, String>,
    /// How long it ran.
    pub took: Duration,
    /// The seed of its keys, if they have one.
    pub seed: Option<u64>,
    /// Its keys, and the profile of each.
    pub keys: Vec<(String, String)>,
    /// Who said no in the ceremonies that failed meanwhile, and why.
    pub explained: Vec<String>,
    /// The transcript, if one was written.
    pub transcript: Option<PathBuf>,
}

/// What came of a program as JUnit's XML: a suite of one test.
///
/// # Errors
/// As for [`junit()`].
pub fn junit_of_program(result: &ProgramResult) -> Result<String, SerializeError> {
    let told = || result.explained.join("\n\n");
    let status = match &result.status {
        Ok(0) => TestCaseStatus::success(),
        Ok(status) => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(format!("it ended with status {status}")).set_type("failed").set_description(told());
            failed
        }
        Err(reason) => {
            let mut broken = TestCaseStatus::non_success(NonSuccessKind::Error);
            broken.set_message(reason.as_str()).set_type("broken");
            broken
        }
    };
    let mut case = TestCase::new(result.program.as_str(), status);
    case.set_classname("keyrig exec");
    case.set_time(result.took);
    case.add_property(Property::new("command", result.repeat.as_str()));
    if let Some(seed) = result.seed {
        case.add_property(Property::new("seed", seed.to_string()));
    }
    for (name, profile) in &result.keys {
        case.add_property(Property::new(format!("key.{name}"), profile.as_str()));
    }
    let mut out = result.explained.clone();
    out.extend(result.transcript.as_deref().map(attachment));
    if !out.is_empty() {
        case.set_system_out(out.join("\n"));
    }
    let mut suite = TestSuite::new("keyrig exec");
    suite.add_test_case(case);
    let mut report = Report::new("keyrig exec");
    report.set_time(result.took);
    report.add_test_suite(suite);
    report.to_string()
}

/// What belongs to a test, as Jenkins and GitLab find it.
fn attachment(file: &Path) -> String {
    format!("[[ATTACHMENT|{}]]", file.display())
}

fn case(run: &RunResult) -> TestCase {
    let mut case = TestCase::new(run.title.as_str(), status(run));
    case.set_classname(run.file.display().to_string());
    case.set_time(duration(run.ms));
    for (name, value) in [("seed", run.seed.to_string()), ("on", run.on.to_string()), ("command", run.repeat.clone())] {
        case.add_property(Property::new(name, value));
    }
    for (name, value) in &run.matrix {
        case.add_property(Property::new(format!("matrix.{name}"), value.as_str()));
    }
    let mut out: Vec<String> = run.steps.iter().map(line).collect();
    out.extend(run.transcript.as_deref().map(attachment));
    if !out.is_empty() {
        case.set_system_out(out.join("\n"));
    }
    case
}

fn status(run: &RunResult) -> TestCaseStatus {
    let reason = run.reason.clone().unwrap_or_default();
    match run.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped | Verdict::Interrupted => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(if reason.is_empty() { run.verdict.name().to_owned() } else { reason });
            status
        }
        Verdict::Broken => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(reason).set_type("broken");
            status
        }
        Verdict::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let step = run.steps.last();
            let message = step.map(|step| format!("{}: {}", step.name, step.told())).unwrap_or_default();
            status
                .set_message(message)
                .set_type("failed")
                .set_description(step.map(|step| told(run, step)).unwrap_or_default());
            status
        }
    }
}

/// All there is to say of a step that went wrong.
fn told(run: &RunResult, step: &StepResult) -> String {
    let mut lines = vec![format!("{}:{}: {}", run.file.display(), step.line, step.name), step.told()];
    if let Some(refused) = &step.refused {
        lines.push(format!("refused by the {}: {}", refused.by, refused.reason));
    }
    lines.extend(step.explanation.clone());
    lines.push(format!("again with: {}", run.repeat));
    lines.join("\n")
}

fn line(step: &StepResult) -> String {
    if let Some(reason) = &step.skipped {
        return format!("skip {}: {reason}", step.name);
    }
    let mark = if step.ok { "ok  " } else { "FAIL" };
    match &step.refused {
        Some(refused) => format!("{mark} {}: refused by the {}: {}", step.name, refused.by, refused.code),
        None => format!("{mark} {}", step.name),
    }
}

fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
