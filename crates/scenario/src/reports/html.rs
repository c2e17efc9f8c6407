//! One page of all that came of it, with nothing outside of it: matrix, diagrams, explanations, transcripts.

use std::collections::BTreeMap;
use std::path::Path;

use keyrig_faults::transcript::Format;
use serde_json::Value;

use super::diagram::diagram;
use super::escaping::escaped;
use super::transcript::of_events;
use crate::results::{Results, RunResult, StepResult, Verdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The most bytes of a step's transcript that are in the page.
const MAX_TRANSCRIPT: usize = 64 * 1024;

/// All runs as one page of HTML.
#[must_use]
pub fn html(results: &Results) -> String {
    let partial = if results.partial { "<p class=\"partial\">Interrupted: these are not all.</p>" } else { "" };
    let runs: String = results.runs.iter().enumerate().map(|(place, run)| of_run(run, place)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>keyrig run: {passed} passed, {failed} failed</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>keyrig run</h1><p class=\"counts\"><b class=\"passed\">{passed} passed</b> \
         <b class=\"{if_failed}\">{failed} failed</b> <b class=\"{if_skipped}\">{skipped} not run</b> \
         <span>{seconds:.1} s</span></p>{partial}\n\
         <div class=\"tools\"><input id=\"search\" type=\"search\" placeholder=\"search scenarios, codes, reasons\" aria-label=\"search\">\
         <label><input id=\"wrong\" type=\"checkbox\"> what went wrong</label>\
         <button id=\"open\" type=\"button\">open all</button><button id=\"theme\" type=\"button\">dark or light</button></div></header>\n\
         <main>\n{matrix}{runs}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        passed = results.passed,
        failed = results.failed,
        if_failed = if results.failed == 0 { "none" } else { "failed" },
        if_skipped = if results.skipped == 0 { "none" } else { "skipped" },
        skipped = results.skipped,
        seconds = results.ms / 1000.0,
        matrix = matrix(results),
    )
}

/// A row for each file, and in it each cell of its matrix.
fn matrix(results: &Results) -> String {
    let mut files: BTreeMap<&Path, Vec<(usize, &RunResult)>> = BTreeMap::new();
    for (place, run) in results.runs.iter().enumerate() {
        files.entry(&run.file).or_default().push((place, run));
    }
    let cell = |(place, run): &(usize, &RunResult)| {
        let values: Vec<_> = run.matrix.iter().map(|(_, value)| value.as_str()).collect();
        let text = if values.is_empty() { run.verdict.name().to_owned() } else { values.join(" · ") };
        of_cell(*place, run, &text)
    };
    let rows: String = files
        .into_values()
        .map(|runs| {
            let name = runs.first().map(|(_, run)| run.scenario.as_str()).unwrap_or_default();
            let cells = grid(&runs).unwrap_or_else(|| runs.iter().map(cell).collect());
            format!("<tr><th scope=\"row\">{}</th><td>{cells}</td></tr>\n", escaped(name))
        })
        .collect();
    format!("<table class=\"matrix\"><tbody>\n{rows}</tbody></table>\n")
}

fn of_cell(place: usize, run: &RunResult, text: &str) -> String {
    let verdict = run.verdict.name();
    format!("<a class=\"cell {verdict}\" href=\"#run-{place}\" title=\"{verdict}\">{}</a>", escaped(text))
}

/// Runs of two variables, if they are such: a row for each value of the one, a column for each of the other.
fn grid(runs: &[(usize, &RunResult)]) -> Option<String> {
    let (mut rows, mut columns, mut cells) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (place, run) in runs {
        let [(_, row), (_, column)] = run.matrix.as_slice() else { return None };
        for (list, value) in [(&mut rows, row), (&mut columns, column)] {
            if !list.contains(&value) {
                list.push(value);
            }
        }
        cells.insert((row, column), of_cell(*place, run, run.verdict.name()));
    }
    let heads: String = columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", escaped(column))).collect();
    let row = |row: &&String| {
        let cells = columns.iter().map(|column| cells.get(&(*row, *column)).map_or("", String::as_str));
        let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escaped(row))
    };
    let rows: String = rows.iter().map(row).collect();
    Some(format!("<table class=\"grid\"><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"))
}

fn of_run(run: &RunResult, place: usize) -> String {
    let verdict = run.verdict.name();
    let open = if run.verdict.is_wrong() { " open" } else { "" };
    let description = run.description.as_deref().map(|text| format!("<p class=\"about\">{}</p>\n", escaped(text)));
    let reason = run.reason.as_deref().map(|text| format!("<p class=\"reason\">{}</p>\n", escaped(text)));
    let keys: Vec<_> = run.keys.iter().map(|key| format!("{} ({})", key.name, key.profile)).collect();
    let facts = format!(
        "<p class=\"facts\">{} · {} · keys {} · {} · seed {}</p>\n<p class=\"facts\"><code>{}</code></p>\n",
        escaped(&run.file.display().to_string()),
        escaped(run.origin.as_deref().unwrap_or("no site")),
        escaped(&keys.join(", ")),
        run.on,
        run.seed,
        escaped(&run.repeat)
    );
    let drawing = if run.steps.is_empty() {
        String::new()
    } else {
        format!("<div class=\"diagram\" tabindex=\"0\">{}</div>\n", diagram(run))
    };
    let steps: String = run.steps.iter().map(of_step).collect();
    let mark = if run.verdict == Verdict::Passed {
        "✓"
    } else if run.verdict.is_wrong() {
        "✗"
    } else {
        "–"
    };
    format!(
        "<details class=\"run {verdict}\" id=\"run-{place}\"{open}><summary><span class=\"mark\">{mark}</span> {} <small>{:.1} ms</small></summary>\n{}{}{facts}<ol>\n{steps}</ol>\n{drawing}</details>\n",
        escaped(&run.title),
        run.ms,
        description.unwrap_or_default(),
        reason.unwrap_or_default(),
    )
}

/// The site's report: what it found of each check, those that refuse first; and as it came, whatever else there may be in it.
fn of_report(report: &Value) -> String {
    let checks = report.pointer("/verification/checks").and_then(Value::as_array);
    let text = |check: &Value, member: &str| escaped(check.get(member).and_then(Value::as_str).unwrap_or_default());
    let row = |check: &&Value| {
        let outcome = text(check, "outcome");
        let advises = check.get("enforced").and_then(Value::as_bool) == Some(false);
        let note = if advises { ", not enforced" } else { "" };
        let (id, specification) = (text(check, "id"), text(check, "specification"));
        let is_web = specification.starts_with("https://");
        let id = if is_web { format!("<a href=\"{specification}\">{id}</a>") } else { id };
        format!(
            "<tr class=\"{outcome}\"><td>{outcome}{note}</td><th scope=\"row\">{id}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            text(check, "requirement"),
            text(check, "expected"),
            text(check, "found"),
        )
    };
    let failed = |check: &&Value| check.get("outcome").and_then(Value::as_str) == Some("fail");
    let (wrong, right): (Vec<&Value>, Vec<&Value>) = checks.into_iter().flatten().partition(failed);
    let rows: String = wrong.iter().chain(&right).map(row).collect();
    let json = escaped(&serde_json::to_string_pretty(report).unwrap_or_default());
    if rows.is_empty() {
        return format!("<pre tabindex=\"0\">{json}</pre>");
    }
    format!(
        "<div class=\"checks\" tabindex=\"0\"><table><thead><tr><th>outcome</th><th>check</th><th>what has to be</th><th>expected</th><th>found</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div><details><summary>as JSON</summary><pre tabindex=\"0\">{json}</pre></details>"
    )
}

fn of_step(step: &StepResult) -> String {
    let class = match (&step.skipped, step.ok) {
        (Some(_), _) => "skipped",
        (None, true) => "ok",
        (None, false) => "wrong",
    };
    let mut parts =
        vec![format!("<b>{}</b> <small>line {}, {:.1} ms</small>", escaped(&step.name), step.line, step.ms)];
    if let Some(reason) = &step.skipped {
        parts.push(format!("<p class=\"reason\">skipped: {}</p>", escaped(reason)));
    }
    if !step.ok {
        parts.push(format!("<p class=\"difference\">{}</p>", escaped(&step.told())));
    }
    if let Some(refused) = &step.refused {
        parts.push(format!(
            "<p class=\"refused\">refused by the {}: <code>{}</code> {}</p>",
            refused.by,
            escaped(&refused.code),
            escaped(&refused.reason)
        ));
        if let Some(report) = &refused.report {
            parts.push(format!("<details><summary>the site's report</summary>{}</details>", of_report(report)));
        }
    }
    if let Some(explanation) = &step.explanation {
        parts.push(format!("<p class=\"explained\">{}</p>", escaped(explanation)));
    }
    if let Some(detail) = &step.detail {
        parts.push(format!("<p class=\"detail\">{}</p>", escaped(detail)));
    }
    if !step.events.is_empty() {
        let text = String::from_utf8_lossy(&of_events(Format::Text, &step.events)).into_owned();
        let end = text.floor_char_boundary(MAX_TRANSCRIPT);
        let cut = if end < text.len() { "\n… and more: --trace DIR has all of it" } else { "" };
        let shown = text.get(..end).unwrap_or_default();
        parts.push(format!(
            "<details><summary>transcript</summary><pre tabindex=\"0\">{}{cut}</pre></details>",
            escaped(shown)
        ));
    }
    format!("<li class=\"{class}\">{}</li>\n", parts.join("\n"))
}
