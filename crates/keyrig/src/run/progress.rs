//! What is shown while scenarios run: a line for each that ended, in the order of the files, and what runs now.

use std::io::{IsTerminal, Write, stderr};

use keyrig_scenario::results::{RunResult, StepResult, Verdict, Who};

use super::drawing;
use crate::failure::Failure;
use crate::output::{GREEN, RED, YELLOW, print, print_as_it_is, print_marked};

/// How many messages before a failure are shown.
const LAST_MESSAGES: usize = 8;

/// What is shown.
pub(super) struct Progress {
    count: usize,
    began: usize,
    shown: usize,
    /// Whether somebody sees a line that is written over.
    is_seen: bool,
}

impl Progress {
    pub(super) fn of(count: usize) -> Self {
        Self { count, began: 0, shown: 0, is_seen: stderr().is_terminal() }
    }

    pub(super) fn began(&mut self, title: &str) {
        self.began += 1;
        if self.is_seen {
            let title: String = title.chars().filter(|c| !c.is_control()).take(60).collect();
            // If nobody can be told there, nobody is.
            let _ = write!(stderr(), "\r\x1b[K{}/{} {title}", self.began, self.count);
        }
    }

    /// Shows those that have ended and whose turn it is.
    pub(super) fn ended(&mut self, runs: &[Option<RunResult>]) -> Result<(), Failure> {
        self.end();
        while let Some(Some(run)) = runs.get(self.shown) {
            self.shown += 1;
            show(run)?;
        }
        Ok(())
    }

    /// Shows nothing that is written over any more.
    pub(super) fn end(&self) {
        if self.is_seen {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn show(run: &RunResult) -> Result<(), Failure> {
    let (style, mark) = match run.verdict {
        Verdict::Passed => (GREEN, "ok  "),
        Verdict::Failed => (RED, "FAIL"),
        Verdict::Broken => (RED, "ERR "),
        Verdict::Skipped | Verdict::Interrupted => (YELLOW, "skip"),
    };
    print_marked(style, mark, format!(" {:<56} {:>7.1} ms", run.title, run.ms))?;
    if let Some(reason) = &run.reason {
        print(format!("     {reason}"))?;
    }
    if let Some(key) = &run.not_allowed {
        print(format!("     --allow-destructive {key} allows it"))?;
    }
    for step in &run.steps {
        if let Some(reason) = &step.skipped {
            print(format!("     skipped: line {}, {}: {reason}", step.line, step.name))?;
        }
    }
    if let Some(step) = run.steps.last().filter(|step| !step.ok) {
        explain(run, step)?;
    }
    if run.verdict.is_wrong() {
        print(format!("     seed {}; again with\n     {}", run.seed, run.repeat))?;
    }
    Ok(())
}

/// Everything there is to say of a step that went wrong.
fn explain(run: &RunResult, step: &StepResult) -> Result<(), Failure> {
    print_as_it_is(drawing::step(run, step))?;
    if let Some(refused) = &step.refused {
        print(format!("     refused by the {}:\n     {}", refused.by, refused.reason))?;
    }
    if let Some(explanation) = &step.explanation {
        print(format!("     {explanation}"))?;
    }
    let last = step.messages.len().saturating_sub(LAST_MESSAGES);
    if !step.messages.is_empty() {
        print("     what was said last:")?;
    }
    for message in step.messages.iter().skip(last) {
        print(format!("       {} → {}: {}", who(&message.from), who(&message.to), message.text))?;
    }
    Ok(())
}

fn who(who: &Who) -> String {
    match who {
        Who::User => "user".to_owned(),
        Who::Browser => "browser".to_owned(),
        Who::Key(name) => name.clone(),
        Who::Site => "site".to_owned(),
    }
}
