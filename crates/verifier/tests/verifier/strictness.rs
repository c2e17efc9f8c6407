//! Each member of the strictness lets pass what it is about, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use keyrig_verifier::{ClientDataDecoding, Deviation, Finding, Framing, Strictness};
use serde_json::Value;

use crate::differential::{Case, Key, authentications, judge_authentication, judge_registration, registrations};

/// The mutations that pass by this strictness and by the letter do not, and the other way around.
fn changed(strictness: Strictness) -> BTreeSet<&'static str> {
    let (key, letter) = (Key::new(), Strictness::by_the_letter());
    let changes = |cases: Vec<Case>, judge: fn(&Key, &Case, Strictness) -> bool| {
        let differs = cases.into_iter().filter(|case| judge(&key, case, letter) != judge(&key, case, strictness));
        differs.map(|case| case.name).collect::<Vec<_>>()
    };
    let registrations = changes(registrations(), |key, case, by| judge_registration(key, case, by).is_accepted());
    let authentications =
        changes(authentications(), |key, case, by| judge_authentication(key, case, by, Framing::Refused).is_accepted());
    registrations.into_iter().chain(authentications).collect()
}

/// The members by their names, as policies have them.
fn members(strictness: Strictness) -> BTreeMap<String, Value> {
    serde_json::from_value(serde_json::to_value(strictness).unwrap()).unwrap()
}

/// The members that are not by the letter.
fn differing(strictness: Strictness) -> impl Iterator<Item = String> {
    let letter = members(Strictness::by_the_letter());
    members(strictness).into_iter().filter(move |(name, value)| letter[name] != *value).map(|(name, _)| name)
}

#[test]
fn the_document_has_every_member() {
    let document = include_str!("../../CHECKS.md");
    let (_, table) = document.split_once("| member | what it is about | check |\n|---|---|---|\n").unwrap();
    let rows = table.lines().map_while(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name));
    let rows: BTreeSet<_> = rows.map(str::to_owned).collect();
    assert_eq!(rows, members(Strictness::by_the_letter()).into_keys().collect());
}

#[test]
fn each_member_lets_pass_what_it_is_about() {
    let letter = Strictness::by_the_letter();
    let report = Deviation::Report;
    let cases: [(Strictness, &[&str]); 13] = [
        (letter, &[]),
        (
            Strictness { cbor_form: report, ..letter },
            &[
                "a key in another order",
                "a key of indefinite length",
                "a key with a long number",
                "a key with a tag",
                "an attestation object in another order",
                "an attestation object of indefinite length",
                "an attestation object with a tag",
                "extensions in another order",
                "extensions of indefinite length",
            ],
        ),
        (
            Strictness { key_parameters: report, ..letter },
            &["a key with a parameter that is text", "a key with its name"],
        ),
        (Strictness { trailing_bytes: report, ..letter }, &["a byte too many"]),
        (Strictness { none_statement: report, ..letter }, &["a statement that is no map", "none with a statement"]),
        (Strictness { credential_type: report, ..letter }, &["another type of credential"]),
        (
            Strictness { credential_id: report, ..letter },
            &["rawId of another credential", "the id encoded twice", "the id in base64"],
        ),
        (Strictness { credential_id_length: report, ..letter }, &["a credential id of 1024 bytes"]),
        (Strictness { empty_user_handle: report, ..letter }, &["an empty handle"]),
        (Strictness { other_user_handle: report, ..letter }, &["another user's handle"]),
        (
            Strictness { origin_form: report, ..letter },
            &["a host in upper case", "a path", "a trailing slash", "the default port"],
        ),
        (Strictness { base64_padding: report, ..letter }, &["a padded challenge"]),
        (Strictness { top_origin: report, ..letter }, &["a topOrigin without a frame"]),
    ];
    let json = Strictness { client_data_decoding: ClientDataDecoding::Json, ..letter };
    let tried = cases.iter().map(|(strictness, _)| *strictness).chain([json]).flat_map(differing);
    assert_eq!(tried.collect::<BTreeSet<_>>(), members(letter).into_keys().collect(), "every member is tried");
    for (strictness, expected) in cases {
        assert_eq!(changed(strictness), expected.iter().copied().collect(), "{strictness:?}");
    }
    // Here it is the other way around.
    assert_eq!(changed(json), ["a byte-order mark", "a member twice", "bytes that are not UTF-8"].into());
}

/// What is let pass stays a check that failed, with what was found.
#[test]
fn what_is_let_pass_is_reported() {
    let empty = authentications().into_iter().find(|case| case.name == "an empty handle").unwrap();
    for (deviation, refuses) in [(Deviation::Refuse, true), (Deviation::Report, false)] {
        let strictness = Strictness { empty_user_handle: deviation, ..Strictness::by_the_letter() };
        let report = judge_authentication(&Key::new(), &empty, strictness, Framing::Refused);
        let failed: Vec<&Finding> = report.failed().collect();
        let [finding] = failed[..] else { panic!("{failed:?}") };
        assert_eq!((finding.check.id(), finding.enforced), ("user-handle", refuses));
        assert_eq!(finding.found, "an empty userHandle");
        assert_eq!(finding.explanation.as_deref(), Some("Safari sends that for a credential that is not discoverable"));
    }
}
