//! A site that skips a check and keys that are broken make the scenarios fail that are about it, with the words that say so.

#![cfg(test)]

use std::fs;
use std::path::Path;

use keyrig_scenario::language::parse;
use keyrig_scenario::report::Party;
use keyrig_scenario::results::{RunResult, Verdict};
use keyrig_scenario::runner::{Settings, run};

/// A scenario that comes with keyrig, with something else in it.
async fn changed(name: &str, from: &str, to: &str) -> RunResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from:?}");
    let scenario = parse(Path::new(name), text.replacen(from, to, 1), &[]).unwrap().remove(0);
    run(&scenario, &Settings::default(), &mut ()).await
}

/// The step that failed, and what was found there instead of what was expected.
fn failed(result: &RunResult) -> (String, String) {
    assert_eq!(result.verdict, Verdict::Failed, "{result:#?}");
    let step = result.steps.last().unwrap();
    let found: Vec<_> =
        step.differences.iter().map(|it| format!("{}: {} / {}", it.what, it.expected, it.found)).collect();
    (step.name.clone(), found.join("; "))
}

#[tokio::test]
async fn a_site_that_skips_a_check_lets_in_whom_it_should_not() {
    for (name, from, to, step, found) in [
        (
            "cloned-key.toml",
            "policy = \"${policy}\"",
            "policy = \"proxmox-9\"",
            "log in with clone",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "counter-gone-back.toml",
            "signature_counter = \"${counter.name}\"",
            "signature_counter = \"report\"",
            "log in with primary",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "cluster-of-three.toml",
            "\"https://pve3.cluster.example.com:8006\",",
            "\"https://pve4.cluster.example.com:8006\",",
            "nobody has told the site of the fourth",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "attestation-policy.toml",
            "accept = \"model\", models = \"yubikey-5.7\"",
            "accept = \"any\"",
            "register bought-elsewhere",
            "refused-by: refused by the relying party / accepted",
        ),
    ] {
        assert_eq!(failed(&changed(name, from, to).await), (step.to_owned(), found.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_broken_key_is_refused_by_whom_it_concerns() {
    for (fault, by, code, words) in [
        ("bad-signature", Party::RelyingParty, "authentication_failed", "signature: "),
        ("counter-back", Party::RelyingParty, "authentication_failed", "signature-counter: "),
        ("wrong-rp-id-hash", Party::Client, "answer-invalid", "the hash of another RP ID"),
        (
            "ctap-status,status=0x27,command=authenticatorGetAssertion",
            Party::Authenticator,
            "operation-denied",
            "OPERATION_DENIED",
        ),
    ] {
        let login = "[[step]]\nlogin = \"primary\"";
        let result =
            changed("first-key.toml", login, &format!("[[step]]\nfault = \"primary\"\non = \"{fault}\"\n\n{login}"))
                .await;
        let step = result.steps.last().unwrap();
        let refused = step.refused.as_ref().unwrap_or_else(|| panic!("{fault}: {result:#?}"));
        assert_eq!((result.verdict, refused.by, refused.code.as_str()), (Verdict::Failed, by, code), "{fault}");
        assert!(refused.reason.contains(words), "{fault}: {}", refused.reason);
        assert!(step.differences.iter().any(|it| it.what == "expect" && it.expected == "accepted"), "{fault}");
    }
}

/// Everything random follows from the seed: the same messages, codes and credentials again.
#[tokio::test]
async fn a_run_repeats_byte_for_byte_under_its_seed() {
    let texts = async |seed: u64| {
        let settings = Settings { seed: Some(seed), ..Settings::default() };
        let mut texts = Vec::new();
        for name in ["passkey-login.toml", "recovery-drill.toml", "totp-reuse-and-drift.toml", "u2f-key.toml"] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios").join(name);
            for scenario in keyrig_scenario::language::load(&file, &[]).unwrap() {
                let result = run(&scenario, &settings, &mut ()).await;
                assert_eq!(result.verdict, Verdict::Passed, "{name}");
                for step in &result.steps {
                    texts.push(format!("{:?} {:?}", step.messages, step.refused));
                    // But for when it was.
                    texts.extend(step.events.iter().map(|event| format!("{:?} {:?}", event.key, without_times(event))));
                }
            }
        }
        texts
    };
    let first = texts(3).await;
    assert!(first.len() > 150, "{}", first.len());
    assert_eq!(first, texts(3).await);
    assert_ne!(first, texts(4).await);
}

fn without_times(event: &keyrig_faults::transcript::Event) -> String {
    let mut json = serde_json::to_value(event).unwrap();
    for member in ["at_us", "took_us"] {
        json.as_object_mut().unwrap().remove(member);
    }
    json.to_string()
}
