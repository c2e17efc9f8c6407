//! A summary in Markdown, as GitHub shows it beside a job.

use crate::results::{Results, RunResult};

/// How many failures are told at length.
const TOLD: usize = 50;

/// All runs in Markdown: how many, and each that went wrong.
#[must_use]
pub fn summary(results: &Results) -> String {
    let mark = if results.ok { "✅" } else { "❌" };
    let partial = if results.partial { " (interrupted: these are not all)" } else { "" };
    let mut text = format!(
        "### {mark} keyrig: {} passed, {} failed, {} not run{partial}\n\n",
        results.passed, results.failed, results.skipped
    );
    let wrong: Vec<_> = results.runs.iter().filter(|run| run.verdict.is_wrong()).collect();
    if wrong.is_empty() {
        return text;
    }
    text.push_str("| scenario | step | what is wrong | again with |\n|---|---|---|---|\n");
    for run in wrong.iter().take(TOLD) {
        text.push_str(&row(run));
    }
    if wrong.len() > TOLD {
        text.push_str(&format!("\nand {} more\n", wrong.len() - TOLD));
    }
    text
}

fn row(run: &RunResult) -> String {
    let step = run.steps.last().filter(|step| !step.ok);
    let (name, wrong) = match step {
        Some(step) => (format!("{} (line {})", step.name, step.line), step.told()),
        None => (String::new(), run.reason.clone().unwrap_or_default()),
    };
    format!(
        "| {} | {} | {} | `{}` |\n",
        cell(&run.title),
        cell(&name),
        cell(&wrong),
        run.repeat.replace(['`', '|', '\n'], " ")
    )
}

/// A text as the cell of a table: nothing in it is a mark of Markdown or HTML.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for character in text.chars() {
        match character {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => cell.extend(['\\', character]),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            character if character.is_control() => cell.push(' '),
            character => cell.push(character),
        }
    }
    cell
}
