//! What of a scenario real keys can do, and what may be done to them.

use std::collections::BTreeSet;

use super::error::RunError;
use crate::hardware::bench::Bench;
use crate::language::{AcceptedAttestation, Act, At, CredentialKind, KeyPlan, Scenario, SitePlan, StepPlan, Verb};

/// Why a scenario does not fit real keys as a whole.
pub(super) fn misfit(scenario: &Scenario) -> Option<String> {
    let of_key = |plan: &KeyPlan| {
        let name = &plan.specification.name;
        if let Some(fault) = plan.faults.first() {
            return Some(format!("key {name} is to have the fault {fault}, which no hardware has"));
        }
        if let Some(quirk) = plan.specification.profile.quirks.first() {
            return Some(format!("key {name} is to have the known bug {quirk}, which hardware has or has not"));
        }
        if plan.lists_rp_ids {
            return Some(format!(
                "key {name} is to list RP IDs for enterprise attestation, which its maker writes into it"
            ));
        }
        if plan.stored > 0 {
            return Some(format!("key {name} is to hold {} credentials of other sites from the start", plan.stored));
        }
        plan.uv.as_ref().map(|_| format!("whom key {name} finds when it verifies its user is up to its sensor"))
    };
    let trusts = |site: &SitePlan| {
        matches!(site.attestation.accept, AcceptedAttestation::Root | AcceptedAttestation::Model)
            .then(|| "its site trusts the TEST root of software keys, which attests no hardware".to_owned())
    };
    let sites = scenario.steps.iter().filter_map(|step| step.site.as_deref()).chain([&scenario.site]);
    scenario.keys.iter().find_map(of_key).or_else(|| sites.into_iter().find_map(trusts))
}

/// What is skipped of a scenario, and what with it.
#[derive(Debug, Default)]
pub(super) struct Skipping {
    /// The keys with which something would have been done, or that would have been made.
    affected: BTreeSet<String>,
}

impl Skipping {
    /// Why a step is skipped.
    pub(super) fn reason(&self, step: &StepPlan) -> Option<String> {
        cannot(step).or_else(|| {
            let stands_on = |name: &String| format!("it stands on a step with key {name} that was skipped");
            let names = names(step);
            match &step.verb {
                // What comes of what was skipped.
                Verb::Assert(_) => self.affected.first().map(stands_on),
                Verb::Admin(words) => self.affected.iter().find(|name| words.value.contains(*name)).map(stands_on),
                _ => names.into_iter().find(|name| self.affected.contains(*name)).map(stands_on),
            }
        })
    }

    /// A step is skipped.
    pub(super) fn skip(&mut self, step: &StepPlan) {
        if !matches!(step.verb, Verb::Assert(_) | Verb::Admin(_)) {
            self.affected.extend(names(step).into_iter().cloned());
            self.affected.extend(step.with.called.as_ref().map(|called| called.value.clone()));
        }
    }
}

/// What no hardware does.
fn cannot(step: &StepPlan) -> Option<String> {
    let what = match &step.verb {
        Verb::Clone(key) => format!("nobody can make another key of {}", key.value),
        Verb::Fault(key) => format!("nothing goes wrong with {} on purpose", key.value),
        Verb::Touch(key) => format!("{} is touched when it asks for it, and not by itself", key.value),
        Verb::Deny(key) => format!("{} has no way to refuse", key.value),
        Verb::Assert(assert) if !assert.stored.is_empty() => {
            "how many credentials a key holds it does not say without its PIN".to_owned()
        }
        _ => match step.meanwhile.iter().find_map(|act| if let Act::Deny(key) = act { Some(key) } else { None }) {
            Some(key) => format!("{key} has no way to refuse"),
            None => return None,
        },
    };
    Some(what)
}

/// The keys that a step does something with.
fn names(step: &StepPlan) -> Vec<&String> {
    let mut names: Vec<&String> = step.verb.key().map(|key| &key.value).into_iter().collect();
    if let Verb::Plug(keys) | Verb::Unplug(keys) = &step.verb {
        names.extend(keys.iter().map(|key| &key.value));
    }
    names.extend(step.with.finger.as_ref().map(|finger: &At<String>| &finger.value));
    names
}

/// Looks whether all that a scenario destroys on keys may be destroyed, before anything is done.
///
/// # Errors
/// [`RunError::NotAllowed`], of the first step that may not be done.
pub(super) fn may_be_done(scenario: &Scenario, bench: &Bench) -> Result<(), RunError> {
    let mut skipping = Skipping::default();
    for step in &scenario.steps {
        if skipping.reason(step).is_some() {
            skipping.skip(step);
            continue;
        }
        let Some(key) = step.verb.key().map(|key| key.value.clone()) else { continue };
        if let Some(what) = destroys(step).filter(|_| !bench.may_destroy(&key)) {
            let (line, _) = scenario.place(&step.at);
            let why = format!("the step in line {line}, {}, {what}: that was not allowed for this key", step.name);
            return Err(RunError::NotAllowed(why, key));
        }
    }
    Ok(())
}

fn destroys(step: &StepPlan) -> Option<&'static str> {
    let is_passkey = step.with.kind.as_ref().is_some_and(|kind| kind.value == CredentialKind::Passkey);
    match &step.verb {
        Verb::Reset(_) => Some("has the key forget everything"),
        Verb::ChangePin(_) => Some("changes the key's PIN"),
        Verb::ForcePinChange(_) => Some("has the key demand another PIN"),
        Verb::EnableEnterpriseAttestation(_) => Some("enables enterprise attestation, which a reset alone takes back"),
        Verb::Register(_) if is_passkey => Some("stores a credential on the key"),
        _ if step.with.to.is_some() => Some("changes the key's PIN"),
        _ => None,
    }
}
