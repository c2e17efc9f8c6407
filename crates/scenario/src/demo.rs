//! The main job, end to end: two keys over USB/IP, a browser's rules, a relying party. It is a scenario, which comes with keyrig.
//!
//! Nothing is arranged behind the scenes: the keys are reached through TCP on loopback, by the server that `keyrig serve` starts,
//! and the relying party over HTTP. Each step says what it expects, so that the demo fails if a refusal does not come.

use std::path::Path;
use std::sync::Arc;

use keyrig_client::Browser;
use keyrig_rack::KeySpecification;
use keyrig_rack::seams::Seams;
use thiserror::Error;

use crate::language::{InvalidScenario, On, Scenario, parse};
use crate::report::{Party, Report, Step};
use crate::results::StepResult;
use crate::runner::{Begun, Settings, Watching, run as run_scenario};

/// The demo, as it is written.
const DEMO: &str = include_str!("demo.toml");

/// The demo could not be run: something under it failed, not a step of it.
#[derive(Debug, Error)]
pub enum DemoError {
    /// It is no scenario.
    #[error(transparent)]
    Scenario(#[from] InvalidScenario),
    /// What it runs on.
    #[error("{0}")]
    Run(String),
}

/// The keys of the demo.
///
/// # Errors
/// [`DemoError::Scenario`].
pub fn keys() -> Result<Vec<KeySpecification>, DemoError> {
    Ok(scenario()?.keys.into_iter().map(|plan| plan.specification).collect())
}

fn scenario() -> Result<Scenario, DemoError> {
    let mut cells = parse(Path::new("demo.toml"), DEMO, &[])?;
    cells.pop().ok_or_else(|| DemoError::Run("the demo has no cell".to_owned()))
}

/// Runs the demo with pages in a browser, and with `seams` at the `keys`: those of [`keys()`], whatever quirks they have. `on_start` is
/// called once everything stands, `on_step` after each step.
///
/// # Errors
/// [`DemoError`] if it could not be run. A step that did not go as expected is in the report.
pub async fn run(
    browser: Browser,
    keys: Vec<KeySpecification>,
    seams: Vec<Arc<dyn Seams>>,
    on_start: impl FnMut(&Begun),
    on_step: impl FnMut(&Step),
) -> Result<Report, DemoError> {
    let mut scenario = scenario()?;
    for client in &mut scenario.clients {
        client.browser = browser;
    }
    for (plan, specification) in scenario.keys.iter_mut().zip(keys) {
        plan.specification = specification;
    }
    let settings = Settings { on: On::Usbip, seams, goes_on: true, ..Settings::default() };
    let mut told = Told { on_start, on_step, steps: Vec::new() };
    let result = run_scenario(&scenario, &settings, &mut told).await;
    match result.reason {
        Some(reason) => Err(DemoError::Run(reason)),
        None => Ok(Report::new(told.steps)),
    }
}

/// Tells of each step as the demo's report has it.
struct Told<B, S> {
    on_start: B,
    on_step: S,
    steps: Vec<Step>,
}

impl<B: FnMut(&Begun), S: FnMut(&Step)> Watching for Told<B, S> {
    fn begins(&mut self, begun: &Begun) {
        (self.on_start)(begun);
    }

    fn step(&mut self, step: &StepResult) {
        let step = reported(step);
        (self.on_step)(&step);
        self.steps.push(step);
    }
}

fn reported(step: &StepResult) -> Step {
    let (refused_by, reason): (Option<Party>, _) = match &step.refused {
        Some(refused) => (Some(refused.by), Some(refused.reason.clone())),
        None => (None, (!step.ok).then(|| step.told())),
    };
    Step { name: step.name.clone(), ok: step.ok, refused_by, reason, detail: step.detail.clone(), ms: step.ms }
}
