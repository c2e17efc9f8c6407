//! Runs scenarios: each has keys, a site and browsers of its own.
//!
//! A run is one scenario in one cell of its matrix. Its keys are a rack's, reached as [`On`] says; its site is a relying party in this
//! process, which is called, and whose clock stands still but for what a step lets pass. Everything random follows from the
//! seed. A step is done, and compared with what it was to come to; after the first that differs nothing more is done.

#[cfg(target_os = "linux")]
mod browser;
mod carrier;
mod ceremony;
mod elsewhere;
mod error;
#[cfg(target_os = "linux")]
mod fit;
mod hands;
#[cfg(target_os = "linux")]
mod hid;
mod judge;
#[cfg(target_os = "linux")]
mod kernel;
mod keys;
mod messages;
mod outcome;
mod rehearsal;
mod seed;
mod settings;
mod steps;
mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use keyrig_faults::transcript::Event;
use keyrig_rack::{KeySpecification, Options, Rack};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

pub use self::error::RunError;
pub use self::settings::Settings;

use self::elsewhere::Elsewhere;
#[cfg(target_os = "linux")]
use self::fit::Skipping;
use self::judge::{Found, Judged};
use self::keys::Keys;
use self::outcome::Outcome;
use self::rehearsal::Rehearsal;
use self::time::RunTime;
use crate::language::{AttestationRoot, On, Scenario, StepPlan, Verb};
use crate::report::milliseconds;
use crate::results::{Difference, KeyResult, Message, RunResult, StepResult, Verdict};

/// How long a step may take, by the machine's clock.
const STEP: Duration = Duration::from_secs(60);

/// The same where a person has the keys in hand.
const STEP_IN_HAND: Duration = Duration::from_secs(600);

/// A scenario that begins: its keys and its site stand.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the site's pages are.
    pub origin: String,
    /// Where the keys are exported over USB/IP, if they are.
    pub usbip: Option<SocketAddr>,
    /// The library that computes with the keys' private keys.
    pub crypto: &'static str,
}

/// A scenario that runs.
struct Run<'s> {
    scenario: &'s Scenario,
    keys: Keys,
    site: Rehearsal,
    /// The site of others, if it is about one: then ours is not asked.
    elsewhere: Option<Elsewhere>,
    time: RunTime,
    /// What keys are called by the site, by their names.
    descriptions: BTreeMap<String, String>,
    /// What was said in the step that is being done.
    messages: Vec<Message>,
    /// What passed at the keys in it.
    of_step: Vec<Event>,
    /// What passed at them until then.
    events: Vec<Event>,
    /// The steps that later ones look at, as far as they were done.
    judged: Vec<Judged>,
    /// What real keys did not do.
    #[cfg(target_os = "linux")]
    skipping: Skipping,
}

/// What is said while a scenario runs.
pub trait Watching {
    /// It begins.
    fn begins(&mut self, begun: &Begun);

    /// A step was done.
    fn step(&mut self, step: &StepResult);
}

/// Nobody watches.
impl Watching for () {
    fn begins(&mut self, _: &Begun) {}

    fn step(&mut self, _: &StepResult) {}
}

/// Runs a scenario. It is always told how it ended; if the future is dropped, its keys and its site go.
pub async fn run(scenario: &Scenario, settings: &Settings, watching: &mut impl Watching) -> RunResult {
    let begun = Instant::now();
    let seed = settings.seed.or(scenario.seed).unwrap_or_default();
    let mut result = blank(scenario, settings.on, seed);
    if !scenario.on.is_empty() && !scenario.on.contains(&settings.on) {
        let on: Vec<_> = scenario.on.iter().map(|on| on.name()).collect();
        result.verdict = Verdict::Skipped;
        result.reason = Some(format!("it runs on {} alone", on.join(" and ")));
        return result;
    }
    #[cfg(target_os = "linux")]
    if let Some(reason) = fit::misfit(scenario).filter(|_| settings.on == On::Hid) {
        result.verdict = Verdict::Skipped;
        result.reason = Some(reason);
        return result;
    }
    let ran = tokio::select! {
        biased;
        ran = ran(scenario, settings, seed, watching, &mut result) => ran,
        // In the middle of a step it has told of that itself.
        () = settings.stopped() => {
            result.verdict = Verdict::Interrupted;
            result.reason.get_or_insert_with(|| "interrupted before a step began".to_owned());
            Ok(())
        }
    };
    if let Err(error) = ran {
        result.verdict = if matches!(error, RunError::NotAllowed(..)) { Verdict::Skipped } else { Verdict::Broken };
        result.reason = Some(error.to_string());
        if let RunError::NotAllowed(_, key) = error {
            result.not_allowed = Some(key);
        }
    } else if result.verdict == Verdict::Passed
        && !result.steps.is_empty()
        && result.steps.iter().all(|step| step.skipped.is_some())
    {
        result.verdict = Verdict::Skipped;
        result.reason = Some("none of its steps could be done on these keys".to_owned());
    }
    result.ms = milliseconds(begun.elapsed());
    result
}

/// A result of a scenario of which nothing was done yet.
#[must_use]
pub fn blank(scenario: &Scenario, on: On, seed: u64) -> RunResult {
    let key = |plan: &crate::language::KeyPlan| KeyResult {
        name: plan.specification.name.to_string(),
        profile: plan.specification.profile.name.clone(),
    };
    RunResult {
        scenario: scenario.name.clone(),
        file: scenario.file.clone(),
        title: scenario.title(),
        description: scenario.description.clone(),
        matrix: scenario.cell.clone(),
        on,
        seed,
        repeat: repeat(scenario, on, seed),
        verdict: Verdict::Passed,
        reason: None,
        not_allowed: None,
        left_on_keys: BTreeMap::new(),
        ms: 0.0,
        keys: scenario.keys.iter().map(key).collect(),
        origin: None,
        steps: Vec::new(),
        text: scenario.text.clone(),
        before: Vec::new(),
        transcript: None,
    }
}

/// The command line that runs a scenario again, for a shell.
fn repeat(scenario: &Scenario, on: On, seed: u64) -> String {
    let mut line = format!("keyrig run {} --on {on} --seed {seed}", quoted(&scenario.file.to_string_lossy()));
    if !scenario.cell.is_empty() {
        let cell: Vec<_> = scenario.cell.iter().map(|(name, value)| format!("{name}={value}")).collect();
        line.push_str(" --matrix ");
        line.push_str(&quoted(&cell.join(",")));
    }
    // What they are may be secret, and reports are read by others.
    for name in &scenario.given {
        line.push_str(" --variable ");
        line.push_str(&quoted(&format!("{name}=…")));
    }
    line
}

/// A word of a command line, as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=,:@+".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

async fn ran(
    scenario: &Scenario,
    settings: &Settings,
    seed: u64,
    watching: &mut impl Watching,
    result: &mut RunResult,
) -> Result<(), RunError> {
    let time = RunTime::default();
    let sites = scenario.steps.iter().filter_map(|step| step.site.as_deref()).chain([&scenario.site]);
    let wants_another = sites.into_iter().any(|site| site.attestation.root == AttestationRoot::OfOthers);
    let another = if wants_another { other_root().await? } else { Vec::new() };
    #[cfg(target_os = "linux")]
    if let Some(bench) = settings.bench.as_ref().filter(|_| settings.on == On::Hid) {
        fit::may_be_done(scenario, bench)?;
        if scenario.steps.iter().any(|step| step.with.by.is_some()) {
            crate::hardware::usbmon::check()?;
        }
    }
    let keys = Keys::start(&scenario.keys, seed, &time, settings).await?;
    let roots = [keys.rack.root_certificate().to_vec(), another];
    let site =
        Rehearsal::start(&scenario.site, &scenario.users, scenario.elsewhere.is_some(), roots, &time, seed).await;
    let mut keys = keys;
    let site = match site {
        Ok(site) => site,
        Err(error) => {
            keys.close().await;
            return Err(error);
        }
    };
    let elsewhere = scenario.elsewhere.as_ref().map(Elsewhere::new).transpose();
    let elsewhere = match elsewhere {
        Ok(elsewhere) => elsewhere,
        Err(error) => {
            keys.close().await;
            return Err(error);
        }
    };
    let mut run = Run {
        scenario,
        keys,
        site,
        elsewhere,
        time,
        descriptions: BTreeMap::new(),
        messages: Vec::new(),
        of_step: Vec::new(),
        events: Vec::new(),
        judged: Vec::new(),
        #[cfg(target_os = "linux")]
        skipping: Skipping::default(),
    };
    result.origin = Some(run.origin().to_owned());
    result.before = run.keys.take_events();
    result.keys = run.keys.results().unwrap_or(core::mem::take(&mut result.keys));
    let origin = run.origin().to_owned();
    watching.begins(&Begun { origin, usbip: run.keys.usbip(), crypto: run.keys.rack.crypto() });
    let mut ended = Ok(());
    'steps: for step in &scenario.steps {
        for _ in 0..step.times {
            let begun = Instant::now();
            let done = tokio::select! {
                biased;
                done = run.step(step) => done,
                () = settings.stopped() => {
                    let step = run.interrupted(step, begun);
                    result.verdict = Verdict::Interrupted;
                    result.reason = Some(format!("interrupted in line {}: {}", step.line, step.name));
                    result.steps.push(step);
                    break 'steps;
                }
            };
            match done {
                Ok(done) => {
                    watching.step(&done);
                    let ok = done.ok;
                    result.steps.push(done);
                    if !ok {
                        result.verdict = Verdict::Failed;
                        if !settings.goes_on {
                            break 'steps;
                        }
                    }
                }
                Err(error) => {
                    ended = Err(error);
                    break 'steps;
                }
            }
        }
    }
    #[cfg(target_os = "linux")]
    if let Some(hid) = run.keys.hid() {
        result.left_on_keys = hid.left();
    }
    run.keys.close().await;
    ended.and(run.site.close().await)
}

/// A TEST root under which none of a scenario's keys is attested, made once.
async fn other_root() -> Result<Vec<u8>, RunError> {
    static ROOT: OnceCell<Vec<u8>> = OnceCell::const_new();
    let make = || async {
        let key =
            KeySpecification::built_in("keyrig", "elsewhere").map_err(|error| RunError::Cannot(error.to_string()))?;
        // No scenario's: those are made of numbers that people write.
        let options = Options { seed: Some(u64::MAX), ..Options::default() };
        let rack = Rack::start(options, vec![key]).await?;
        Ok(rack.root_certificate().to_vec())
    };
    ROOT.get_or_try_init(make).await.cloned()
}

impl Run<'_> {
    async fn step(&mut self, step: &StepPlan) -> Result<StepResult, RunError> {
        let begun = Instant::now();
        #[cfg(target_os = "linux")]
        if let Some(reason) = self.keys.hid().and_then(|_| self.skipping.reason(step)) {
            self.skipping.skip(step);
            return Ok(StepResult { skipped: Some(reason), ..self.blank(step) });
        }
        let patience = if self.keys.in_hand() { STEP_IN_HAND } else { STEP };
        let outcome = match timeout(patience, self.perform(step)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(RunError::Refused(refusal))) => Outcome::problem(refusal.to_string()),
            Ok(Err(RunError::Cannot(reason))) => Outcome::problem(reason),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                // A step in a browser lets go of them.
                self.keys.look().await?;
                let asking = self.elsewhere.as_ref().and_then(Elsewhere::asking);
                let why = match (self.is_in_browser(step), asking) {
                    (true, _) => "nobody said that it is over".to_owned(),
                    (false, Some(call)) => format!("the site has not answered {call}"),
                    (false, None) => "nobody touches a key that waits, or the site is silent".to_owned(),
                };
                Outcome::problem(format!("it did not end within {} s: {why}", patience.as_secs()))
            }
        };
        self.hear_keys();
        self.hear_site();
        let events = core::mem::take(&mut self.of_step);
        self.events.extend(events.iter().cloned());
        // What was not sent to a key, to save what is on it, was not done.
        #[cfg(target_os = "linux")]
        if let Some((key, why)) = self.keys.hid().and_then(hid::Hid::take_withheld) {
            self.skipping.skip(step);
            let reason = format!("key {key}: {why}");
            let messages = core::mem::take(&mut self.messages);
            return Ok(StepResult {
                skipped: Some(reason),
                messages,
                events,
                ms: milliseconds(begun.elapsed()),
                ..self.blank(step)
            });
        }
        let (blinked, touched) = messages::gestures(&events);
        if step.verb.is_judged() && outcome.problem.is_none() {
            self.judged.push(Judged::new(&step.name, &outcome));
        }
        let found = Found { outcome: &outcome, blinked: &blinked, touched: &touched };
        let mut differences: Vec<Difference> = self.judge(step, &found).await?;
        if let Verb::Assert(assert) = &step.verb {
            differences.extend(self.assert_of_keys(assert).await?);
        }
        let mut refused = outcome.refused;
        // What a page is not told, as it is an administrator's matter.
        if let (Some(refused), None, Some(problem)) = (&mut refused, &self.elsewhere, self.site.webauthn_problem())
            && refused.code == "webauthn_unavailable"
        {
            refused.reason = format!("{}: {problem}", refused.reason);
        }
        let away = self.keys.away();
        let what_keys_did = || messages::what_keys_did(&events, &away).filter(|_| step.verb.is_ceremony());
        Ok(StepResult {
            ok: differences.is_empty(),
            differences,
            explanation: refused.as_ref().and_then(|_| messages::explained(&events)),
            detail: outcome.detail.or_else(what_keys_did).filter(|_| refused.is_none()),
            refused,
            blinked,
            touched,
            messages: core::mem::take(&mut self.messages),
            ms: milliseconds(begun.elapsed()),
            events,
            ..self.blank(step)
        })
    }

    /// The result of a step that was not waited for, with what was said in it until then.
    fn interrupted(&mut self, step: &StepPlan, begun: Instant) -> StepResult {
        self.hear_keys();
        self.hear_site();
        let difference = Difference {
            what: "the step".to_owned(),
            expected: "that it ends".to_owned(),
            found: "it was interrupted".to_owned(),
        };
        StepResult {
            ok: false,
            differences: vec![difference],
            messages: core::mem::take(&mut self.messages),
            events: core::mem::take(&mut self.of_step),
            ms: milliseconds(begun.elapsed()),
            ..self.blank(step)
        }
    }

    /// Whether a person does it in a browser.
    fn is_in_browser(&self, step: &StepPlan) -> bool {
        step.with.by.is_some() && self.keys.in_hand()
    }

    /// The result of a step of which nothing was done.
    fn blank(&self, step: &StepPlan) -> StepResult {
        StepResult {
            name: step.name.clone(),
            verb: step.verb.name(),
            line: crate::language::line_and_column(&self.scenario.text, step.at.start).0,
            ok: true,
            skipped: None,
            differences: Vec::new(),
            refused: None,
            explanation: None,
            detail: None,
            blinked: Vec::new(),
            touched: Vec::new(),
            messages: Vec::new(),
            ms: 0.0,
            at: step.at.clone(),
            expected_at: step.expected_at.clone(),
            events: Vec::new(),
        }
    }

    /// Where the site's pages are.
    fn origin(&self) -> &str {
        self.elsewhere.as_ref().map_or_else(|| self.site.origin(), |elsewhere| &elsewhere.plan.origin)
    }

    /// Takes what passed at the keys, in its place among what was said.
    fn hear_keys(&mut self) {
        let events = self.keys.take_events();
        self.messages.extend(messages::of_events(&events));
        self.of_step.extend(events);
    }

    /// Takes what was asked of the site.
    fn hear_site(&mut self) {
        self.messages.extend(messages::of_calls(&self.site.browser().take_calls()));
        if let Some(elsewhere) = &mut self.elsewhere {
            self.messages.extend(messages::of_calls(&elsewhere.take_calls()));
        }
    }
}
