//! What came out of a ceremony: every check, and what it means together.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::check::Check;
use crate::strictness::Deviation;

/// Text of a report: fixed where it can be, so that a report costs few allocations.
pub type Text = Cow<'static, str>;

/// Which ceremony a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceremony {
    /// WebAuthn Level 3, §7.1.
    Registration,
    /// WebAuthn Level 3, §7.2.
    Authentication,
}

impl Ceremony {
    /// Its checks, in the order of reports.
    #[must_use]
    pub fn checks(self) -> &'static [Check] {
        match self {
            Self::Registration => Check::REGISTRATION,
            Self::Authentication => Check::AUTHENTICATION,
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was found is what was expected.
    Pass,
    /// It is not.
    Fail,
    /// The ceremony has nothing that the check would look at, or the policy wants nothing.
    NotApplicable,
    /// What the check looks at could not be read because another check failed.
    NotEvaluated {
        /// The check that failed before.
        because: Check,
    },
}

/// One check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How it came out.
    pub outcome: Outcome,
    /// Whether a failure refuses the ceremony. Policies may have some checks reported only.
    pub enforced: bool,
    /// What was expected, for people.
    pub expected: Text,
    /// What was found, for people.
    pub found: Text,
    /// What the difference means and what to do about it, where that is known.
    pub explanation: Option<Text>,
}

impl Finding {
    /// Whether this finding refuses the ceremony.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.enforced && self.outcome == Outcome::Fail
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut finding = serializer.serialize_struct("Finding", 8)?;
        finding.serialize_field("id", &self.check)?;
        finding.serialize_field("outcome", self.outcome.name())?;
        if let Outcome::NotEvaluated { because } = self.outcome {
            finding.serialize_field("because", &because)?;
        }
        finding.serialize_field("enforced", &self.enforced)?;
        finding.serialize_field("requirement", self.check.requirement())?;
        finding.serialize_field("specification", &self.check.link())?;
        finding.serialize_field("expected", &self.expected)?;
        finding.serialize_field("found", &self.found)?;
        if let Some(explanation) = &self.explanation {
            finding.serialize_field("explanation", explanation)?;
        }
        finding.end()
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
            Self::NotEvaluated { .. } => "not_evaluated",
        }
    }
}

/// What all findings mean together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing refuses the ceremony.
    Accepted,
    /// Something does.
    Refused,
    /// Nothing refuses the login, and nobody looked at its signature (WebAuthn Level 3, §7.2): it proves nothing.
    Undecided,
}

/// What another verifier leaves to its caller, and what a verdict of its therefore does not outweigh.
const OF_THE_CALLER: [Check; 3] = [Check::AllowCredentials, Check::CredentialRecord, Check::CredentialIdUnregistered];

/// The verdict of another verifier, where a policy lets it decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whose verdict it is.
    pub verifier: &'static str,
    /// Whether it accepts, itself.
    #[serde(skip)]
    pub accepts: bool,
    /// Why the ceremony is refused: in its own words, or in ours where it accepts what we cannot; `None` if it is not.
    pub refusal: Option<String>,
}

/// Every check of one ceremony. As JSON: `{"ceremony", "verdict", "decided_by"?, "refused_by": [id..], "checks": [..]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which ceremony it was.
    pub ceremony: Ceremony,
    /// The findings: exactly those of [`Ceremony::checks`], in that order.
    pub findings: Vec<Finding>,
    /// Who decides, if not the findings.
    pub decided_by: Option<Decision>,
}

impl Report {
    /// The verdict: refused if any enforced check failed, unless somebody else decides.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.decided_by {
            Some(Decision { refusal: Some(_), .. }) => Verdict::Refused,
            Some(_) => Verdict::Accepted,
            None if self.findings.iter().any(Finding::refuses) => Verdict::Refused,
            None if self.not_evaluated().any(|finding| finding.check == Check::Signature) => Verdict::Undecided,
            None => Verdict::Accepted,
        }
    }

    /// Whether the verdict is [`Verdict::Accepted`].
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.verdict() == Verdict::Accepted
    }

    /// Lets another verifier decide. What it accepts is refused all the same if a check fails that it leaves to its caller, or
    /// if there is nothing to store, as the response cannot be read here.
    pub(crate) fn decide_by(&mut self, mut decision: Decision, is_readable: bool) {
        let callers = self.findings.iter().find(|it| it.refuses() && OF_THE_CALLER.contains(&it.check));
        if decision.refusal.is_none() {
            decision.refusal = match callers {
                Some(finding) => Some(format!("{} leaves {} to its caller", decision.verifier, finding.check.id())),
                None if !is_readable => Some("it cannot be read here".to_owned()),
                None => None,
            };
        }
        self.decided_by = Some(decision);
    }

    /// Every failed check, enforced or not, in the order of the report.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.outcome == Outcome::Fail)
    }

    /// Every check that could not look at anything, in the order of the report.
    pub fn not_evaluated(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::NotEvaluated { .. }))
    }

    /// What became of a check; `None` if the ceremony does not have it.
    #[must_use]
    pub fn finding(&self, check: Check) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.check == check)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let refused_by: Vec<Check> =
            self.findings.iter().filter(|finding| finding.refuses()).map(|finding| finding.check).collect();
        let mut report = serializer.serialize_struct("Report", 5)?;
        report.serialize_field("ceremony", &self.ceremony)?;
        report.serialize_field("verdict", &self.verdict())?;
        if let Some(decision) = &self.decided_by {
            report.serialize_field("decided_by", decision)?;
        }
        report.serialize_field("refused_by", &refused_by)?;
        report.serialize_field("checks", &self.findings)?;
        report.end()
    }
}

/// Findings while they are made.
pub(crate) struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    pub(crate) fn new(ceremony: Ceremony) -> Self {
        Self { findings: Vec::with_capacity(ceremony.checks().len()) }
    }

    pub(crate) fn add(
        &mut self,
        check: Check,
        outcome: Outcome,
        expected: impl Into<Text>,
        found: impl Into<Text>,
    ) -> &mut Finding {
        let finding = Finding {
            check,
            outcome,
            enforced: true,
            expected: expected.into(),
            found: found.into(),
            explanation: None,
        };
        self.findings.push(finding);
        self.findings.last_mut().expect("it was just pushed")
    }

    pub(crate) fn decide(
        &mut self,
        check: Check,
        pass: bool,
        expected: impl Into<Text>,
        found: impl Into<Text>,
    ) -> &mut Finding {
        self.add(check, if pass { Outcome::Pass } else { Outcome::Fail }, expected, found)
    }

    /// Something that deviates, and refuses the ceremony only where deviations of its kind do.
    pub(crate) fn deviates(
        &mut self,
        check: Check,
        deviation: Deviation,
        expected: impl Into<Text>,
        found: impl Into<Text>,
    ) -> &mut Finding {
        let finding = self.add(check, Outcome::Fail, expected, found);
        finding.enforced = deviation.refuses();
        finding
    }

    /// A check that refuses the ceremony where it fails, if deviations of its kind do.
    pub(crate) fn decide_by(
        &mut self,
        check: Check,
        deviation: Deviation,
        pass: bool,
        expected: impl Into<Text>,
        found: impl Into<Text>,
    ) -> &mut Finding {
        if pass { self.decide(check, true, expected, found) } else { self.deviates(check, deviation, expected, found) }
    }

    /// Whether something has its shape: a problem refuses the ceremony, deviations do if one of their kind does.
    pub(crate) fn decide_shape(
        &mut self,
        check: Check,
        shape: &'static str,
        problem: Option<&String>,
        deviations: &[(String, Deviation)],
    ) {
        let found: Vec<_> = problem.into_iter().chain(deviations.iter().map(|(found, _)| found)).cloned().collect();
        if found.is_empty() {
            self.decide(check, true, shape, shape);
            return;
        }
        let refuses = problem.is_some() || deviations.iter().any(|(_, deviation)| deviation.refuses());
        let deviation = if refuses { Deviation::Refuse } else { Deviation::Report };
        self.deviates(check, deviation, shape, found.join("; "));
    }

    pub(crate) fn not_applicable(&mut self, check: Check, why: impl Into<Text>) {
        self.add(check, Outcome::NotApplicable, "", why);
    }

    /// `because` is the check that kept this one from being evaluated: it failed, or was itself kept by one that did.
    pub(crate) fn not_evaluated(&mut self, check: Check, because: Check) {
        let earlier = self.findings.iter().find(|finding| finding.check == because).map(|finding| finding.outcome);
        let because = match earlier {
            Some(Outcome::NotEvaluated { because }) => because,
            _ => because,
        };
        let found = format!("not read, as the check {} failed", because.id());
        self.add(check, Outcome::NotEvaluated { because }, "", found);
    }

    pub(crate) fn into_report(self, ceremony: Ceremony) -> Report {
        Report { ceremony, findings: self.findings, decided_by: None }
    }
}
