//! What a step came to.

use keyrig_client::error::{Cause, KeyFailure, Refusal};
use keyrig_client::{ClientError, DomException, RefusedBy};
use serde_json::Value;

use crate::report::Party;
use crate::results::Refused;
use crate::site::SiteRefusal;

/// What a step came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) refused: Option<Refused>,
    /// What could not be done at all, whatever was expected.
    pub(super) problem: Option<String>,
    pub(super) detail: Option<String>,
    /// What the site calls the key that it was.
    pub(super) key: Option<String>,
    pub(super) counter: Option<u32>,
    pub(super) notices: Vec<String>,
    /// The site's report of what it accepted.
    pub(super) report: Option<Value>,
    /// What a call was answered: HTTP status and body.
    pub(super) answer: Option<(u16, Value)>,
    /// What was to be so and is not, of an assertion.
    pub(super) differences: Vec<crate::results::Difference>,
}

impl Outcome {
    pub(super) fn refused(refused: impl Into<Refused>) -> Self {
        Self { refused: Some(refused.into()), ..Self::default() }
    }

    pub(super) fn problem(problem: impl Into<String>) -> Self {
        Self { problem: Some(problem.into()), ..Self::default() }
    }

    pub(super) fn told(detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::default() }
    }

    /// Of what a key did without a page.
    pub(super) fn of_key(key: &str, done: Result<(), Cause>) -> Self {
        match done {
            Ok(()) => Self::default(),
            Err(cause) => {
                let failure = KeyFailure { key: key.to_owned(), cause };
                let error = ClientError { name: DomException::NotAllowedError, reason: Refusal::Key(failure) };
                let refused = Refused::from(&error);
                // There is no page that saw an exception.
                Self::refused(Refused { reason: error.reason.to_string(), ..refused })
            }
        }
    }

    /// What a site that accepted tells beside.
    pub(super) fn with_answer(mut self, answer: &Value) -> Self {
        self.report = answer.get("report").cloned();
        let notices = answer.get("notices").or_else(|| answer.pointer("/session/notices"));
        let codes = notices.and_then(Value::as_array).into_iter().flatten();
        self.notices = codes.filter_map(|notice| Some(notice.get("code")?.as_str()?.to_owned())).collect();
        self
    }
}

impl From<&ClientError> for Refused {
    fn from(error: &ClientError) -> Self {
        let by = match error.refused_by() {
            RefusedBy::Client => Party::Client,
            RefusedBy::Authenticator => Party::Authenticator,
        };
        let (cause, checks, report) = (None, Vec::new(), None);
        Self { by, code: error.code(), cause, checks, reason: error.to_string(), report }
    }
}

impl From<SiteRefusal> for Refused {
    fn from(refusal: SiteRefusal) -> Self {
        let report = refusal.report;
        let cause = report.as_ref().and_then(|report| report.get("cause")).and_then(Value::as_str).map(str::to_owned);
        let checks = report.as_ref().and_then(|report| report.pointer("/verification/refused_by"));
        let checks = checks.and_then(Value::as_array).into_iter().flatten();
        let checks = checks.filter_map(|check| check.as_str().map(str::to_owned)).collect();
        Self { by: Party::RelyingParty, code: refusal.code, cause, checks, reason: refusal.reason, report }
    }
}

impl From<Refused> for crate::report::Refused {
    fn from(refused: Refused) -> Self {
        Self { by: refused.by, reason: refused.reason }
    }
}
