//! CHECKS.md lists the checks that there are.

use std::collections::BTreeSet;

use keyrig_verifier::{Ceremony, Check};

const DOCUMENT: &str = include_str!("../../CHECKS.md");

fn rows(ceremony: Ceremony) -> String {
    let row = |check: &Check| {
        format!("| `{}` | {} | [{}]({}) |\n", check.id(), check.requirement(), check.anchor(), check.link())
    };
    ceremony.checks().iter().map(row).collect()
}

#[test]
fn the_document_has_every_check_in_order() {
    for ceremony in [Ceremony::Registration, Ceremony::Authentication] {
        let rows = rows(ceremony);
        assert!(DOCUMENT.contains(&rows), "CHECKS.md does not have these rows of {ceremony:?}:\n{rows}");
    }
}

#[test]
fn identifiers_are_unique_and_every_check_belongs_to_a_ceremony() {
    let ids: BTreeSet<_> = Check::ALL.iter().map(|check| check.id()).collect();
    assert_eq!(ids.len(), Check::ALL.len());
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    let used: BTreeSet<_> =
        [Ceremony::Registration, Ceremony::Authentication].iter().flat_map(|it| it.checks()).collect();
    assert_eq!(used, Check::ALL.iter().collect());
}
