//! What runs leave behind: each step with what was expected and found, who said what to whom, and why somebody refused.

use core::ops::Range;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_faults::transcript::Event;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::language::{Cell, On};
use crate::report::Party;

/// A scenario that was run, in one cell of its matrix.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunResult {
    /// Its name.
    pub scenario: String,
    /// Its file.
    pub file: PathBuf,
    /// Name and cell: `two-keys [browser=firefox]`.
    pub title: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it was in this cell.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub matrix: Cell,
    /// What carried messages to the keys.
    pub on: On,
    /// The seed from which everything random followed.
    pub seed: u64,
    /// The command line that runs it again.
    pub repeat: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it could not be run, or was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The real key on which nothing may be destroyed, and it would have been: so it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_allowed: Option<String>,
    /// How many discoverable credentials it has stored on real keys that are there yet, by the names of the keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_on_keys: BTreeMap<String, usize>,
    /// How long it took, milliseconds.
    pub ms: f64,
    /// The keys: name and profile.
    pub keys: Vec<KeyResult>,
    /// Where the site's pages are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The steps that were done, in order.
    pub steps: Vec<StepResult>,
    /// What is in the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub text: Arc<str>,
    /// What passed at the keys before the first step, and what a transcript says of itself.
    #[serde(skip)]
    #[schemars(skip)]
    pub before: Vec<Event>,
    /// Where its transcript was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<PathBuf>,
}

fn as_map<S: serde::Serializer>(cell: &Cell, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(cell.iter().map(|(name, value)| (name, value)))
}

/// What came of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step came to what it was to come to.
    Passed,
    /// One did not, and none was done after it.
    Failed,
    /// It could not be run.
    Broken,
    /// It was not run, as it cannot on this.
    Skipped,
    /// It was interrupted.
    Interrupted,
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether something went wrong.
    #[must_use]
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Failed | Self::Broken)
    }
}

/// A key of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyResult {
    /// Its name.
    pub name: String,
    /// Which key it is: its profile, or of a real one what it says of itself and where it is.
    pub profile: String,
}

/// A step that was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StepResult {
    /// What it is called.
    pub name: String,
    /// Its verb.
    pub verb: &'static str,
    /// Where it stands: the line of the file, from 1.
    pub line: usize,
    /// Whether it came to what it was to come to.
    pub ok: bool,
    /// Why it was not done: real keys cannot do it, or must not. Then nothing is to be said of it, and `ok` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What it was to come to and did not, each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Who refused, if anybody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// What keys heard of it, explained, where it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// For people: what happened, where nobody refused and there is more to say than the name does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The keys that asked for a touch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blinked: Vec<String>,
    /// The keys that were touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<String>,
    /// Who said what to whom.
    pub messages: Vec<Message>,
    /// How long it took, milliseconds.
    pub ms: f64,
    /// Where the verb stands, bytes of the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: Range<usize>,
    /// Where the expectation stands.
    #[serde(skip)]
    #[schemars(skip)]
    pub expected_at: Option<Range<usize>>,
    /// What passed at the keys.
    #[serde(skip)]
    #[schemars(skip)]
    pub events: Vec<Event>,
}

impl StepResult {
    /// What it was to come to and did not, in a line.
    #[must_use]
    pub fn told(&self) -> String {
        let told =
            |Difference { what, expected, found }: &Difference| format!("{what}: expected {expected}, found {found}");
        self.differences.iter().map(told).collect::<Vec<_>>().join("; ")
    }
}

/// Something that was to be so, and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// What: a member of the expectation.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Refused {
    /// Who said no.
    #[schemars(with = "String")]
    pub by: Party,
    /// The code.
    pub code: String,
    /// The cause in the server's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The checks by which the server refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Why, in that party's words.
    pub reason: String,
    /// The server's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
}

/// Somebody in a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Who sits there, touches and types.
    User,
    /// The browser.
    Browser,
    /// A key.
    Key(String),
    /// The site.
    Site,
}

/// Something that somebody said to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Message {
    /// Who.
    pub from: Who,
    /// To whom.
    pub to: Who,
    /// What.
    pub text: String,
    /// Whether it says no.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub refuses: bool,
}

/// All that was run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Results {
    /// Whether nothing went wrong, and something was run.
    pub ok: bool,
    /// Whether it was interrupted, so that this is not all.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub partial: bool,
    /// How many passed.
    pub passed: usize,
    /// How many failed, or could not be run.
    pub failed: usize,
    /// How many were not run.
    pub skipped: usize,
    /// How long it took, milliseconds.
    pub ms: f64,
    /// Each scenario in each cell, in the order of the files.
    pub runs: Vec<RunResult>,
}

impl Results {
    /// Of runs.
    #[must_use]
    pub fn new(runs: Vec<RunResult>, partial: bool, ms: f64) -> Self {
        let count = |is: fn(Verdict) -> bool| runs.iter().filter(|run| is(run.verdict)).count();
        let passed = count(|verdict| verdict == Verdict::Passed);
        let failed = count(Verdict::is_wrong);
        let skipped = count(|verdict| matches!(verdict, Verdict::Skipped | Verdict::Interrupted));
        // Where nothing was to run, as in a part of few runs among many, nothing is wrong.
        let ok = failed == 0 && (passed > 0 || runs.is_empty()) && !partial;
        Self { ok, partial, passed, failed, skipped, ms, runs }
    }
}
