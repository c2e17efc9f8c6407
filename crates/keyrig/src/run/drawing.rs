//! Places in a scenario's file, drawn: the lines, and what is to be said of them below.

use std::ops::Range;
use std::path::Path;

use keyrig_scenario::language::InvalidScenario;
use keyrig_scenario::results::{RunResult, StepResult};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity,
};

/// The columns of a drawing.
const WIDTH: usize = 80;

/// What is wrong with a file.
pub(super) fn problems(invalid: &InvalidScenario) -> String {
    let draw = |problem: &keyrig_scenario::language::Problem| {
        let labels = vec![label(None, &problem.at)];
        drawn(&invalid.file, &invalid.text, &problem.message, problem.help.clone(), labels)
    };
    invalid.problems.iter().map(draw).collect::<Vec<_>>().join("\n")
}

/// A step that did not come to what it was to come to: where it stands, and each difference.
pub(super) fn step(run: &RunResult, step: &StepResult) -> String {
    let differs: Vec<_> = step
        .differences
        .iter()
        .map(|difference| format!("{}: expected {}, found {}", difference.what, difference.expected, difference.found))
        .collect();
    let labels = match &step.expected_at {
        Some(expected) => {
            vec![label(Some("this step".to_owned()), &step.at), label(Some(differs.join("\n")), expected)]
        }
        None => vec![label(Some(differs.join("\n")), &step.at)],
    };
    drawn(&run.file, &run.text, &format!("{}: {}", run.title, step.name), None, labels)
}

fn label(text: Option<String>, at: &Range<usize>) -> LabeledSpan {
    LabeledSpan::new(text, at.start, at.len().max(1))
}

fn drawn(file: &Path, text: &str, message: &str, help: Option<String>, labels: Vec<LabeledSpan>) -> String {
    let mut diagnostic = MietteDiagnostic::new(message).with_severity(Severity::Error).with_labels(labels);
    diagnostic.help = help;
    // What somebody wrote may be anything: a terminal is told nothing by it.
    let visible: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let report = Report::new(diagnostic).with_source_code(NamedSource::new(file.display().to_string(), visible));
    let mut drawing = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(WIDTH).with_links(false);
    let diagnostic: &dyn Diagnostic = report.as_ref();
    match handler.render_report(&mut drawing, diagnostic) {
        Ok(()) => drawing.trim_end().to_owned(),
        Err(_) => message.to_owned(),
    }
}
