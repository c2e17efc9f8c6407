//! What was expected, beside what was found.

use keyrig_faults::transcript::Transcript;
use serde_json::Value;

use super::Run;
use super::error::RunError;
use super::outcome::Outcome;
use crate::language::{AssertTable, Expected, Several, StepPlan, Verb};
use crate::results::{Difference, Refused};

/// Where a report has its checks.
const CHECKS: &str = "/verification/checks";

/// Lists, as people read them.
fn listed<T: AsRef<str>>(all: &[T]) -> String {
    if all.is_empty() {
        return "none".to_owned();
    }
    all.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// A refusal in a line.
fn told(refused: Option<&Refused>) -> String {
    match refused {
        None => "accepted".to_owned(),
        Some(Refused { by, code, cause: Some(cause), .. }) => format!("refused by the {by}: {code}, {cause}"),
        Some(Refused { by, code, .. }) => format!("refused by the {by}: {code}"),
    }
}

fn differs(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Difference {
    Difference { what: what.into(), expected: expected.into(), found: found.into() }
}

/// What a step came to, to be compared.
pub(super) struct Found<'f> {
    pub(super) outcome: &'f Outcome,
    pub(super) blinked: &'f [String],
    pub(super) touched: &'f [String],
}

/// What a step came to that later ones look at.
pub(super) struct Judged {
    name: String,
    refused: Option<Refused>,
    /// The site's report, or nothing.
    report: Value,
}

impl Judged {
    pub(super) fn new(name: &str, outcome: &Outcome) -> Self {
        let refused = outcome.refused.clone();
        let of_refusal = refused.as_ref().and_then(|refused| refused.report.clone());
        let report = of_refusal.or_else(|| outcome.report.clone()).unwrap_or_default();
        Self { name: name.to_owned(), refused, report }
    }

    /// All that was to be so with it and is not.
    fn differences(&self, assert: &AssertTable) -> Vec<Difference> {
        let mut differences = Vec::new();
        let refused = self.refused.as_ref();
        if let Some(by) = assert.refused_by.map(crate::report::Party::from)
            && refused.is_none_or(|refused| refused.by != by)
        {
            differences.push(differs("refused-by", format!("refused by the {by}"), told(refused)));
        }
        if let Some(code) = assert.code.as_ref().filter(|code| refused.is_none_or(|it| it.code != code.value)) {
            differences.push(differs("code", &code.value, told(refused)));
        }
        for check in assert.passed.texts() {
            let found = match self.outcome_of(check) {
                Some("pass") => continue,
                Some(outcome) => outcome.to_owned(),
                None => format!("not in the report of it, which was {}", told(refused)),
            };
            differences.push(differs(format!("check {check}"), "pass", found));
        }
        for (check, wanted) in &assert.found {
            let found = self.found_by(check);
            for words in wanted.texts().filter(|words| found.is_none_or(|found| !found.contains(words))) {
                let missing = || format!("not in the report of it, which was {}", told(refused));
                differences.push(differs(
                    format!("found by {check}"),
                    words,
                    found.map_or_else(missing, str::to_owned),
                ));
            }
        }
        if let Some(wanted) = &assert.failed {
            let mut wanted: Vec<_> = wanted.texts().collect();
            let mut found: Vec<_> =
                self.checks().filter(|(_, outcome)| *outcome == "fail").map(|(check, _)| check).collect();
            wanted.sort_unstable();
            found.sort_unstable();
            if self.report.pointer(CHECKS).is_none() {
                let found = format!("no report of any check: it was {}", told(refused));
                differences.push(differs("failed", listed(&wanted), found));
            } else if wanted != found {
                differences.push(differs("failed", listed(&wanted), listed(&found)));
            }
        }
        differences.extend(pointed("report", &assert.report, &self.report));
        differences
    }

    /// Each check in the report, and how it came out.
    fn checks(&self) -> impl Iterator<Item = (&str, &str)> {
        let checks = self.report.pointer(CHECKS).and_then(Value::as_array).into_iter().flatten();
        checks.filter_map(|check| Some((check.get("id")?.as_str()?, check.get("outcome")?.as_str()?)))
    }

    /// What a check found, in words.
    fn found_by(&self, check: &str) -> Option<&str> {
        let mut checks = self.report.pointer(CHECKS)?.as_array()?.iter();
        checks.find(|one| one["id"] == *check)?.get("found")?.as_str()
    }

    fn outcome_of(&self, check: &str) -> Option<&str> {
        self.checks().find(|(id, _)| *id == check).map(|(_, outcome)| outcome)
    }
}

impl Run<'_> {
    /// All that is not as it was to be.
    pub(super) async fn judge(&mut self, step: &StepPlan, found: &Found<'_>) -> Result<Vec<Difference>, RunError> {
        let Found { outcome, blinked, touched } = found;
        let expected = &step.expected;
        let refused = outcome.refused.as_ref();
        let mut differences = outcome.differences.clone();
        if let Some(problem) = &outcome.problem {
            differences.push(differs("the step", "that it can be done", problem));
            return Ok(differences);
        }
        match (expected.refused_by, refused) {
            (None, Some(_)) if !matches!(step.verb, Verb::Call(_)) || expected.status.is_none() => {
                differences.push(differs("expect", "accepted", told(refused)));
            }
            (Some(by), found) if found.is_none_or(|refused| refused.by != by.into()) => {
                let by = crate::report::Party::from(by);
                differences.push(differs("refused-by", format!("refused by the {by}"), told(found)));
            }
            (Some(_), Some(refused)) => differences.extend(refusal(expected, refused)),
            _ => {}
        }
        differences.extend(self.answer(expected, outcome));
        let same = |names: &[&str], found: &[String]| {
            let mut names: Vec<_> = names.to_vec();
            let mut found: Vec<_> = found.iter().map(String::as_str).collect();
            names.sort_unstable();
            found.sort_unstable();
            names == found
        };
        if let Some(wanted) = &expected.blinked {
            let wanted: Vec<_> = wanted.iter().map(|key| key.value.as_str()).collect();
            if !same(&wanted, blinked) {
                differences.push(differs("blinked", listed(&wanted), listed(blinked)));
            }
        }
        if let Some(wanted) = &expected.touched {
            let wanted: Vec<_> = wanted.texts().collect();
            if !same(&wanted, touched) {
                differences.push(differs("touched", listed(&wanted), listed(touched)));
            }
        }
        if refused.is_none() {
            differences.extend(self.which_key(step, outcome));
            if let Some(counter) = expected.counter.filter(|counter| outcome.counter != Some(*counter)) {
                let found = outcome.counter.map_or_else(|| "none".to_owned(), |counter| counter.to_string());
                differences.push(differs("counter", counter.to_string(), found));
            }
        }
        for notice in expected.notices.texts().filter(|notice| !outcome.notices.iter().any(|told| told == notice)) {
            differences.push(differs("notices", notice, listed(&outcome.notices)));
        }
        if let (Some(wanted), Some(key)) = (expected.pin_retries, step.verb.key()) {
            let found = self.keys.pin_retries(&key.value).await?;
            if found != Some(wanted) {
                differences.push(differs("pin-retries", wanted.to_string(), shown(found)));
            }
        }
        Ok(differences)
    }

    /// Which key it was, for the site: that of the step, unless something else is written.
    fn which_key(&self, step: &StepPlan, outcome: &Outcome) -> Option<Difference> {
        if !matches!(step.verb, Verb::Login(_) | Verb::Passkey(_)) {
            return None;
        }
        let of_step = || {
            let named = step.verb.key().map(|key| key.value.as_str());
            let over = step.with.finger.as_ref().map(|finger| finger.value.as_str()).filter(|name| *name != "nobody");
            // Whoever is touched meanwhile is not known beforehand.
            let name = over.or(named).filter(|_| step.meanwhile.is_empty())?;
            self.descriptions.get(name).cloned()
        };
        let wanted = step.expected.key.clone().or_else(of_step)?;
        if outcome.key.as_deref() == Some(wanted.as_str()) {
            return None;
        }
        let found = outcome.key.clone().unwrap_or_else(|| "none that the user has now".to_owned());
        Some(differs("key", wanted, found))
    }

    fn answer(&self, expected: &Expected, outcome: &Outcome) -> Vec<Difference> {
        let mut differences = Vec::new();
        if let Some(status) = expected.status {
            let found = outcome.answer.as_ref().map(|(status, _)| *status);
            if found != Some(status) {
                differences.push(differs("status", status.to_string(), shown(found)));
            }
        }
        let nothing = Value::Null;
        let answer = outcome.answer.as_ref().map_or(&nothing, |(_, answer)| answer);
        differences.extend(pointed("json", &expected.json, answer));
        differences
    }

    pub(super) fn assert(&self, step: &StepPlan, assert: &AssertTable) -> Result<Outcome, RunError> {
        let user_name = self.user(step);
        let mut differences = Vec::new();
        let mut detail = None;
        if let Some(wanted) = &assert.factors {
            let factors = self.site.factors(&user_name)?;
            let found: Vec<_> = factors.into_iter().map(|(_, description, _)| description).collect();
            detail = Some(format!("{user_name} has {}", listed(&found)));
            if found != *wanted {
                differences.push(differs("factors", listed(wanted), listed(&found)));
            }
        }
        if assert.locked.is_some() || assert.totp_locked.is_some() {
            let user = self.site.user(&user_name)?;
            let both = [
                ("locked", assert.locked, self.site.is_locked(&user)),
                ("totp-locked", assert.totp_locked, user.totp_locked),
            ];
            for (what, wanted, found) in both {
                if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                    differences.push(differs(what, wanted.to_string(), found.to_string()));
                }
            }
        }
        if let Some(wanted) = &assert.log {
            let wanted: Vec<_> = wanted.iter().map(|kind| kind.value.as_str()).collect();
            let found = self.site.log(wanted.len())?;
            if found != wanted {
                differences.push(differs("log", listed(&wanted), listed(&found)));
            }
        }
        differences.extend(self.of_transcript(assert));
        differences.extend(self.of_step(assert));
        Ok(Outcome { differences, detail, ..Outcome::default() })
    }

    /// What an earlier step came to.
    fn of_step(&self, assert: &AssertTable) -> Vec<Difference> {
        if !assert.is_of_a_step() {
            return Vec::new();
        }
        let judged = match &assert.of {
            Some(name) => self.judged.iter().rfind(|judged| judged.name == name.value),
            None => self.judged.last(),
        };
        match judged {
            Some(judged) => judged.differences(assert),
            // Those before may go on after one that was not as expected.
            None => vec![differs("of", "a step that was done", "none: it could not be done")],
        }
    }

    fn of_transcript(&self, assert: &AssertTable) -> Vec<Difference> {
        let mut differences = Vec::new();
        let transcript = Transcript::new(self.events.clone());
        let touches = transcript.touches_asked();
        for (key, wanted) in &assert.touches {
            let found = touches.get(key).copied().unwrap_or_default();
            if found != wanted.value {
                differences.push(differs(format!("touches of {key}"), wanted.value.to_string(), found.to_string()));
            }
        }
        for (key, wanted) in &assert.pin_retries_spent {
            let found = transcript.pin_retries_spent(key);
            if found != wanted.value {
                let what = format!("PIN retries that {key} spent");
                differences.push(differs(what, wanted.value.to_string(), found.to_string()));
            }
        }
        let exchanges = transcript.exchanges();
        let asked = |key: &str| {
            let mut commands: Vec<&str> = Vec::new();
            for exchange in exchanges.iter().filter(|exchange| exchange.key == key) {
                if !commands.contains(&exchange.command.as_str()) {
                    commands.push(&exchange.command);
                }
            }
            commands
        };
        let mut look = |key: &String, wanted: &Several, is_to_be: bool| {
            let found = asked(key);
            for command in wanted.texts().filter(|command| found.contains(command) != is_to_be) {
                let what = format!("{} of {key}", if is_to_be { "asked" } else { "never-asked" });
                differences.push(differs(what, command, listed(&found)));
            }
        };
        assert.asked.iter().for_each(|(key, wanted)| look(key, wanted, true));
        assert.never_asked.iter().for_each(|(key, wanted)| look(key, wanted, false));
        differences
    }

    /// What has to be asked of the keys themselves.
    pub(super) async fn assert_of_keys(&mut self, assert: &AssertTable) -> Result<Vec<Difference>, RunError> {
        let mut differences = Vec::new();
        for (key, wanted) in &assert.pin_retries {
            let found = self.keys.pin_retries(key).await?;
            if found != Some(wanted.value) {
                differences.push(differs(format!("pin-retries of {key}"), wanted.value.to_string(), shown(found)));
            }
        }
        if !assert.stored.is_empty() {
            let listed = self.keys.rack.command(keyrig_rack::command::Command::List).await?;
            for (key, wanted) in &assert.stored {
                let state = listed.keys.iter().find(|state| state.name.as_str() == key);
                let found = state.map(|state| state.discoverable_credentials);
                if found != Some(wanted.value) {
                    differences.push(differs(format!("stored on {key}"), wanted.value.to_string(), shown(found)));
                }
            }
        }
        Ok(differences)
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn refusal(expected: &Expected, refused: &Refused) -> Vec<Difference> {
    let mut differences = Vec::new();
    if let Some(code) = expected.code.as_ref().filter(|code| code.value != refused.code) {
        differences.push(differs("code", &code.value, &refused.code));
    }
    if let Some(cause) = expected.cause.as_ref().filter(|cause| refused.cause.as_ref() != Some(&cause.value)) {
        differences.push(differs("cause", &cause.value, refused.cause.as_deref().unwrap_or("none")));
    }
    if let Some(checks) = &expected.check {
        let mut wanted: Vec<_> = checks.texts().collect();
        let mut found: Vec<_> = refused.checks.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        if wanted != found {
            differences.push(differs("check", listed(&wanted), listed(&found)));
        }
    }
    for words in expected.says.texts().filter(|words| !refused.reason.contains(words)) {
        differences.push(differs("says", words, &refused.reason));
    }
    differences
}

/// What is not at its place in an answer or a report.
fn pointed(what: &str, wanted: &toml::Table, found: &Value) -> Vec<Difference> {
    let differs_at = |(pointer, wanted): (&String, &toml::Value)| {
        let wanted = serde_json::to_value(wanted).unwrap_or_default();
        let found = found.pointer(pointer);
        let is_it = found == Some(&wanted);
        (!is_it).then(|| differs(format!("{what} {pointer}"), wanted.to_string(), shown(found)))
    };
    wanted.iter().filter_map(differs_at).collect()
}
