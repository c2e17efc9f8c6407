use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn every_policy_that_comes_with_keyrig_is_valid() {
    for name in Policy::built_in_names() {
        assert_eq!(Policy::built_in(name).unwrap().name, name);
    }
    assert_eq!(Policy::default().name, "strict-l3");
    let error = Policy::built_in("proxmox-8").unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no policy \"proxmox-8\"; the policies are strict-l3, proxmox-9, pve-8.0.3, webauthn-rs, post-quantum"
    );
}

/// A policy says of every field in which it differs from the default what that does and why it is a risk, and of no
/// other.
#[test]
fn a_policy_describes_exactly_its_differences() {
    // Fields of fields have the name of both: strictness.cbor_form.
    let table = |text: &str| {
        let fields = toml::from_str::<toml::Table>(text).unwrap().into_iter();
        let flat = fields.flat_map(|(field, value)| match value {
            toml::Value::Table(inner) => {
                inner.into_iter().map(|(name, value)| (format!("{field}.{name}"), value)).collect()
            }
            value => vec![(field, value)],
        });
        flat.collect::<BTreeMap<_, _>>()
    };
    let default = table(BUILT_IN[0].1);
    assert_eq!(Policy::strict().differences, []);
    for (name, text) in BUILT_IN {
        let found = table(text);
        let differing: BTreeSet<_> = found
            .iter()
            .filter(|(field, value)| {
                !["description", "differences"].contains(&field.as_str()) && default.get(*field) != Some(*value)
            })
            .map(|(field, _)| field.clone())
            .collect();
        let policy = Policy::built_in(name).unwrap();
        let described: BTreeSet<_> = policy.differences.iter().map(|difference| difference.field.clone()).collect();
        assert_eq!(described, differing, "{name}");
        assert_eq!(described.len(), policy.differences.len(), "{name}: each once");
        assert!(policy.differences.iter().all(|difference| difference.does.len() > 20 && difference.risk.len() > 20));
    }
}

/// What is known of Proxmox VE 9 from its source, and what webauthn-rs 0.6 offers.
#[test]
fn the_policies_are_those_of_their_namesakes() {
    let proxmox = Policy::built_in("proxmox-9").unwrap();
    assert_eq!((proxmox.challenge_lifetime, proxmox.timeout_ms), (Duration::from_secs(120), 300_000));
    assert_eq!(proxmox.algorithms, [-7, -257]);
    assert_eq!(proxmox.hints, ["security-key"]);
    assert_eq!((proxmox.user_verification, proxmox.resident_key), (Preference::Discouraged, Preference::Discouraged));
    assert!(!Policy::built_in("webauthn-rs").unwrap().algorithms.contains(&-8));
}

#[test]
fn a_text_that_is_no_policy_is_refused_with_the_place() {
    let good = BUILT_IN[0].1;
    let cases = [
        (good.replace("hints =", "hint ="), "unknown field `hint`"),
        (good.replace("enrol_at_login = true\n", ""), "missing field `enrol_at_login`"),
        (good.replace("_s = 300", "_s = 0"), "0 s is out of bounds"),
        (good.replace("_s = 300", "_s = 601"), "601 s is out of bounds"),
        (good.replace("[-7, -8, -35, -257]", "[-7, -47]"), "-47 is not an algorithm"),
        (good.replace("[-7, -8, -35, -257]", "[]"), "no algorithm is named"),
        (good.replace("\"per_user\"", "\"per-user\""), "unknown variant"),
        (format!("name = \"x\"\n{good}"), "unknown field `name`"),
        (good.replace("top_origin = \"refuse\"\n", ""), "missing field `top_origin`"),
        (format!("{good}bytes = \"refuse\"\n"), "unknown field `bytes`"),
    ];
    for (text, expected) in cases {
        let error = Policy::parse("mine", &text).unwrap_err().to_string();
        assert!(error.starts_with("policy mine: TOML parse error at line") && error.contains(expected), "{error}");
    }
}
