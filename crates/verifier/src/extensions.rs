//! The checks of extension outputs, which both ceremonies share (WebAuthn Level 3, §9).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    if let Some(problem) = client.iter().find_map(|(name, output)| problem(name, output)) {
        findings.decide(Check::ClientExtensions, false, "outputs as their extensions define them", problem);
    } else {
        outputs(findings, Check::ClientExtensions, &names, policy.client, policy.refuse_unsolicited);
    }
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

/// Bytes of an output of prf (WebAuthn Level 3, §10.1.4).
const PRF_OUTPUT: usize = 32;

/// What is wrong with the form of an output, if the extension is known here (§10.1).
fn problem(name: &str, output: &Value) -> Option<String> {
    let member = |object: &Map<String, Value>, member: &str, is: fn(&Value) -> bool, what: &str| {
        object.get(member).filter(|value| !is(value)).map(|_| format!("{name}.{member} that is not {what}"))
    };
    let bytes = |value: &Value| value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let object = match name {
        "credProps" | "prf" | "largeBlob" => match output.as_object() {
            Some(object) => object,
            None => return Some(format!("{name} that is not an object")),
        },
        "appid" | "appidExclude" if !output.is_boolean() => {
            return Some(format!("{name} that is neither true nor false"));
        }
        _ => return None,
    };
    match name {
        "credProps" => member(object, "rk", Value::is_boolean, "true or false"),
        "largeBlob" => member(object, "supported", Value::is_boolean, "true or false")
            .or_else(|| member(object, "written", Value::is_boolean, "true or false"))
            .or_else(|| {
                let blob = object.get("blob").filter(|blob| bytes(blob).is_none());
                blob.map(|_| "largeBlob.blob that is not base64url".to_owned())
            }),
        _ => member(object, "enabled", Value::is_boolean, "true or false").or_else(|| {
            let results = match object.get("results")?.as_object() {
                Some(results) => results,
                None => return Some("prf.results that is not an object".to_owned()),
            };
            if !results.contains_key("first") {
                return Some("prf.results without first".to_owned());
            }
            let is_output = |value: &Value| bytes(value).is_some_and(|output| output.len() == PRF_OUTPUT);
            let wrong =
                ["first", "second"].into_iter().find(|name| results.get(*name).is_some_and(|it| !is_output(it)));
            wrong.map(|name| format!("prf.results.{name} that is not {PRF_OUTPUT} bytes in base64url"))
        }),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The forms of §10.1.1, §10.1.3, §10.1.4 and §10.1.5 in JSON.
    #[test]
    fn outputs_have_the_forms_of_their_extensions() {
        let zeros = URL_SAFE_NO_PAD.encode([0; 32]);
        for (name, output, said) in [
            ("credProps", json!({}), None),
            ("credProps", json!({"rk": true}), None),
            ("credProps", json!({"rk": "true"}), Some("credProps.rk")),
            ("credProps", json!(true), Some("not an object")),
            ("prf", json!({"enabled": true}), None),
            ("prf", json!({"results": {"first": zeros, "second": zeros}}), None),
            ("prf", json!({"enabled": 1}), Some("prf.enabled")),
            ("prf", json!({"results": []}), Some("prf.results that is not an object")),
            ("prf", json!({"results": {}}), Some("without first")),
            ("prf", json!({"results": {"first": "AAAA"}}), Some("prf.results.first")),
            ("prf", json!({"results": {"first": zeros, "second": {}}}), Some("prf.results.second")),
            ("largeBlob", json!({"supported": true}), None),
            ("largeBlob", json!({"blob": "AAAA"}), None),
            ("largeBlob", json!({"written": "yes"}), Some("largeBlob.written")),
            ("largeBlob", json!({"blob": "++"}), Some("largeBlob.blob")),
            ("appid", json!(false), None),
            ("appid", json!("https://example.com"), Some("neither true nor false")),
            ("unheardOf", json!("anything"), None),
        ] {
            let found = problem(name, &output);
            assert_eq!(found.is_some(), said.is_some(), "{name} {output}: {found:?}");
            assert!(found.unwrap_or_default().contains(said.unwrap_or_default()), "{name} {output}");
        }
    }
}
