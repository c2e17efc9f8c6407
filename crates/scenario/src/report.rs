//! What a run leaves behind: its steps, how long each took, and who refused what.

use core::fmt;
use core::time::Duration;

use serde::Serialize;

/// Who said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The key.
    Authenticator,
    /// The browser.
    Client,
    /// The server.
    RelyingParty,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authenticator => "authenticator",
            Self::Client => "client",
            Self::RelyingParty => "relying party",
        })
    }
}

/// A refusal: who, and in which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who said no.
    pub by: Party,
    /// Why, in that party's words.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by the {}: {}", self.by, self.reason)
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Whether what was expected happened: where a refusal is expected, that it was refused by whom it should be, and for what.
    pub ok: bool,
    /// Who refused, if anybody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Party>,
    /// Why, in that party's words; where nobody refused, what is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people: what happened, where nobody refused and there is more to say than the name does.
    #[serde(skip)]
    pub detail: Option<String>,
    /// How long it took, milliseconds.
    pub ms: f64,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether every step is.
    pub ok: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Report {
    /// A report of steps.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self { ok: !steps.is_empty() && steps.iter().all(|step| step.ok), steps }
    }
}

impl Step {
    /// How the step reads in a list: whether it is as expected, its name, how long it took; below it, what is to be said.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mark = if self.ok { "ok  " } else { "FAIL" };
        let mut lines = vec![format!("{mark} {:<56} {:>7.1} ms", self.name, self.ms)];
        lines.extend(self.refused_by.map(|by| format!("     refused by the {by}:")));
        lines.extend(self.reason.iter().map(|reason| format!("     {reason}")));
        lines.extend(self.detail.iter().map(|detail| format!("     {detail}")));
        lines
    }
}

/// Milliseconds, rounded to microseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(ok: bool) -> Step {
        Step {
            name: "log in".into(),
            ok,
            refused_by: None,
            reason: None,
            detail: Some("touched once".into()),
            ms: 1.25,
        }
    }

    #[test]
    fn a_report_is_ok_only_if_there_are_steps_and_all_are() {
        assert!(Report::new(vec![step(true), step(true)]).ok);
        assert!(!Report::new(vec![step(true), step(false)]).ok);
        assert!(!Report::new(vec![]).ok);
    }

    #[test]
    fn members_without_a_value_are_left_out() {
        let refused = Step { refused_by: Some(Party::RelyingParty), reason: Some("no".into()), ..step(true) };
        let json = serde_json::to_value(Report::new(vec![step(true), refused])).unwrap();
        let expected = serde_json::json!({"ok": true, "steps": [
            {"name": "log in", "ok": true, "ms": 1.25},
            {"name": "log in", "ok": true, "refused_by": "relying_party", "reason": "no", "ms": 1.25},
        ]});
        assert_eq!(json, expected);
    }
}
