//! The checks of extension outputs, which both ceremonies share (WebAuthn Level 3, §9).

use keyrig_ctap::cbor::Item;
use serde_json::{Map, Value};

use crate::check::Check;
use crate::expectations::ExtensionPolicy;
use crate::report::Findings;
use crate::shown::shown;

/// `authenticator` is canonical CBOR.
pub(crate) fn check(
    findings: &mut Findings,
    client: &Map<String, Value>,
    authenticator: Option<&[u8]>,
    policy: ExtensionPolicy<'_>,
) {
    let names: Vec<&str> = client.keys().map(String::as_str).collect();
    outputs(findings, Check::ClientExtensions, &names, policy.client, policy.refuse_unsolicited);
    let Some(entries) = authenticator.and_then(|encoded| Item::parse(encoded).ok()?.map().ok()) else {
        return findings.not_applicable(Check::AuthenticatorExtensions, "no outputs");
    };
    let mut names = Vec::new();
    for (key, _) in entries {
        match key.text() {
            Ok(name) => names.push(name),
            Err(_) => {
                let found = "an extension identifier that is not text";
                findings.decide(Check::AuthenticatorExtensions, false, "extension identifiers as text", found);
                return;
            }
        }
    }
    outputs(findings, Check::AuthenticatorExtensions, &names, policy.authenticator, policy.refuse_unsolicited);
}

fn outputs(findings: &mut Findings, check: Check, found: &[&str], requested: &[&str], refuse_unsolicited: bool) {
    if found.is_empty() {
        return findings.not_applicable(check, "no outputs");
    }
    let unsolicited: Vec<&str> = found.iter().copied().filter(|name| !requested.contains(name)).collect();
    let expected = match (refuse_unsolicited, requested) {
        (false, _) => "any outputs".to_owned(),
        (true, []) => "no outputs".to_owned(),
        (true, requested) => format!("outputs of {} only", requested.join(", ")),
    };
    let pass = !refuse_unsolicited || unsolicited.is_empty();
    let finding = findings.decide(check, pass, expected, shown(&found.join(", ")));
    if !pass {
        finding.explanation = Some(
            format!(
                "not asked for: {}; clients may add some, and the policy refuses them",
                shown(&unsolicited.join(", "))
            )
            .into(),
        );
    }
}
