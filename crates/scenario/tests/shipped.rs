//! The scenarios that come with keyrig pass, whatever carries messages to the keys.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use keyrig_scenario::language::{On, Scenario, load};
use keyrig_scenario::results::{RunResult, Verdict};
use keyrig_scenario::runner::{Settings, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios")
}

fn shipped() -> Vec<Scenario> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| load(file, &[]).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// What went wrong, for people.
fn told(result: &RunResult) -> String {
    let steps: Vec<_> = result
        .steps
        .iter()
        .map(|step| format!("{} {} {:?} {:?}", step.line, step.name, step.differences, step.refused))
        .collect();
    format!("{}: {:?} {:?}\n{}", result.repeat, result.verdict, result.reason, steps.join("\n"))
}

async fn all_pass(on: On) {
    let mut wrong = Vec::new();
    for scenario in shipped() {
        let result = run(&scenario, &Settings { on, ..Settings::default() }, &mut ()).await;
        let is_skipped = result.verdict == Verdict::Skipped && !scenario.on.contains(&on);
        if result.verdict != Verdict::Passed && !is_skipped {
            wrong.push(told(&result));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn all_pass_in_process() {
    all_pass(On::InProcess).await;
}

#[tokio::test]
async fn all_pass_over_ctaphid() {
    all_pass(On::Ctaphid).await;
}

#[tokio::test]
async fn all_pass_over_usb_ip() {
    all_pass(On::Usbip).await;
}
