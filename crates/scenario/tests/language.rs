//! The language of scenarios: what is wrong is said with its place, and the matrix is gone through.

#![cfg(test)]

use std::path::Path;

use keyrig_scenario::language::{Scenario, parse};
use proptest::prelude::*;

fn problems(text: &str) -> String {
    parse(Path::new("s.toml"), text, &[]).unwrap_err().to_string()
}

const KEY: &str = "[[key]]\nname = \"a\"\n";

/// What is wrong is said with its line and column, and the nearest name that there is.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, said) in [
        (
            "[[key]]\nname = \"a\"\nprofil = \"keyrig\"",
            "s.toml:3:1: there is no member \"profil\" here: did you mean \"profile\"?",
        ),
        (
            "[[key]]\nname = \"a\"\nprofile = \"yubikey-5.77\"",
            "s.toml:3:11: no profile is called \"yubikey-5.77\": did you mean \"yubikey-5.7\"?",
        ),
        (
            "[[key]]\nname = \"a\"\n\n[[key]]\nname = \"a\"",
            "s.toml:5:8: a key is called \"a\" already: give it another name",
        ),
        (
            "[[step]]\nregister = \"a\"",
            "s.toml:2:12: no key is called \"a\": there is none: write [[key]] with its name",
        ),
        ("[[step]]\nname = \"x\"", "s.toml:1:1: the step does nothing: give it a verb, such as login = \"primary\""),
        (
            "[[step]]\nregister = \"a\"\nlogin = \"a\"",
            "s.toml:3:9: the step has two verbs, register and login: make two steps of it",
        ),
        (
            "[[step]]\nadvance = \"30s\"\nclient = \"page\"",
            "s.toml:3:10: client does not belong to advance: it belongs to register, login, passkey",
        ),
        (
            "[[key]]\nname = \"a\"\n[[step]]\nlogin = \"a\"\nby = \"browser\"",
            "s.toml:5:6: no browser gets to a site that does not listen: give [site] listens = true",
        ),
        (
            "[site]\nlistens = true\n[[key]]\nname = \"a\"\n[[step]]\nlogin = \"a\"\nby = \"browser\"\nmeanwhile = [{ unplug = \"a\" }]",
            "s.toml:8:13: meanwhile means nothing to a person in a browser: leave it out, or by = \"browser\"",
        ),
        (
            "[site]\nlistens = true\n[[key]]\nname = \"a\"\n[[step]]\nlogin = \"a\"\nby = \"browser\"\npin = \"0000\"",
            "s.toml:8:7: pin means nothing to a person in a browser",
        ),
        ("[[step]]\nreset = \"a\"\nby = \"browser\"", "s.toml:3:6: by does not belong to reset"),
        ("[[step]]\nlogin = \"a\"\nby = \"person\"", "s.toml:3:6: there is no \"person\" here"),
        ("[matrix]\n", "s.toml:1:1: the matrix is empty"),
        ("[matrix]\nbrowser = []\n", "s.toml:2:11: the matrix goes through no browser"),
        ("[matrix]\nbrowser = \"firefox\"\n", "s.toml:2:1: browser is not a list"),
        ("[site]\npolicy = \"proxmox\"", "s.toml:2:10: no policy is called \"proxmox\": did you mean \"proxmox-9\"?"),
        ("[site]\nrp_id = \"a.example\"", "s.toml:2:1: there is no member \"rp_id\" here: did you mean \"rp-id\"?"),
        (
            "[site.policy-fields]\nsignature_counters = \"report\"",
            "a policy has no field \"signature_counters\": did you mean \"signature_counter\"?",
        ),
        ("[[key]]\nname = \"a\"\nfaults = [\"bad-sig\"]", "s.toml:3:11: no fault is called \"bad-sig\""),
        (
            "[[key]]\nname = \"a\"\nenterprise-rps = [\"example.com\"]",
            "s.toml:3:19: keyrig knows no enterprise attestation: yubikey-enterprise is a profile that does",
        ),
        (
            "[[key]]\nname = \"a\"\nprofile = \"yubikey-enterprise\"\nenterprise-rps = [\"a.test\", \"https://b.test\"]",
            "s.toml:4:29: \"https://b.test\" is no RP ID, which is a host's name, without scheme and port",
        ),
        (
            "[site]\nattestation = { accept = \"none\", enterprise = true }",
            "s.toml:2:47: who accepts no attestation asks for none: write accept = \"any\", \"root\" or \"model\"",
        ),
        (
            "[[step]]\nadmin = \"user frobnicate root@pam\"",
            "s.toml:2:9: \"user frobnicate root@pam\" is no command here",
        ),
        ("[[step]]\ncall = \"/api/session\"", "s.toml:2:8: \"/api/session\" is no call"),
        ("a = ", "s.toml:1:5: "),
        ("[[key]]\nname = 3", "s.toml:2:8: invalid type: integer `3`, expected a string"),
        ("[[user]]\nname = \"root@ldap\"", "s.toml:2:8: there is no realm \"ldap\""),
        ("", "s.toml:1:1: the scenario has no step"),
    ] {
        let found = problems(text);
        assert!(found.contains(said), "{text}\n{found}");
    }
}

#[test]
fn expectations_are_looked_up_too() {
    for (expect, said) in [
        (
            "{ refused-by = \"relying-party\", check = \"origins\" }",
            "no check is called \"origins\": did you mean \"origin\"?",
        ),
        ("{ refused-by = \"server\" }", "there is no \"server\" here"),
        (
            "{ refused-by = \"client\", code = \"origins-ip-address\" }",
            "no code is called \"origins-ip-address\": did you mean \"origin-ip-address\"?",
        ),
        (
            "{ refused-by = \"relying-party\", code = \"rp-id-hash\" }",
            "no code is called \"rp-id-hash\": it is a check: write check = \"rp-id-hash\"",
        ),
        (
            "{ refused-by = \"relying-party\", cause = \"wrong_passwords\" }",
            "no cause is called \"wrong_passwords\": did you mean \"wrong_password\"?",
        ),
        ("{ refused-by = \"authenticator\", code = \"xyzzy\" }", "no code is called \"xyzzy\": a run without it"),
        ("{ refused-by = \"authenticator\", code = \"status-0xgg\" }", "no code is called \"status-0xgg\""),
        ("\"refused\"", "\"refused\" is not \"accepted\", or a table"),
        ("{ code = \"pin-invalid\" }", "this is about a refusal, and nobody is to refuse"),
        ("{ touched = \"b\" }", "no key is called \"b\": known are a"),
    ] {
        let found = problems(&format!("{KEY}[[step]]\nregister = \"a\"\nexpect = {expect}"));
        assert!(found.starts_with("s.toml:5:") && found.contains(said), "{expect}\n{found}");
    }
}

#[test]
fn an_earlier_step_that_is_looked_at_has_to_be_one_that_can_be() {
    let login = "[[step]]\nname = \"the first\"\nlogin = \"a\"\n\n";
    for (before, assert, said) in [
        (
            login,
            "{ of = \"the firsts\", failed = [] }",
            "no step to look at is called \"the firsts\": did you mean \"the first\"?",
        ),
        (
            login,
            "{ of = \"the first\", passed = \"origins\" }",
            "no check is called \"origins\": did you mean \"origin\"?",
        ),
        (login, "{ failed = \"counter\" }", "no check is called \"counter\""),
        (login, "{ found = { certificate = \"a serial number\" } }", "no check is called \"certificate\""),
        (login, "{ refused-by = \"server\" }", "there is no \"server\" here"),
        (login, "{ code = \"pins-invalid\" }", "no code is called \"pins-invalid\": did you mean \"pin-invalid\"?"),
        (
            "",
            "{ failed = [] }",
            "there is no step to look at: it has to be a registration or a login, and stand before this one",
        ),
        ("", "{ of = \"the first\" }", "no step to look at is called \"the first\": it has to be a registration"),
        (
            "[[step]]\nname = \"the first\"\nunplug = \"a\"\n\n",
            "{ of = \"the first\" }",
            "no step to look at is called",
        ),
    ] {
        let found = problems(&format!("{KEY}{before}[[step]]\nassert = {assert}"));
        assert!(found.contains(said), "{assert}\n{found}");
    }
    let elsewhere = "[elsewhere]\nurl = \"http://127.0.0.1:1\"\nadapter = \"fido-conformance\"\n";
    let found = problems(&format!("{elsewhere}{KEY}{login}[[step]]\nassert = {{ failed = [] }}"));
    assert!(found.contains("assert is done at a site of ours"), "{found}");
    let asked = format!("{elsewhere}{KEY}{login}[[step]]\nassert = {{ refused-by = \"client\" }}");
    assert_eq!(parse(Path::new("s.toml"), asked, &[]).unwrap().len(), 1, "who refused is known of others' sites too");
    // What a site elsewhere calls its refusals is its own; what a key calls them is not.
    let refused = |by: &str| {
        format!("{elsewhere}{KEY}[[step]]\nregister = \"a\"\nexpect = {{ refused-by = \"{by}\", code = \"E_17\" }}")
    };
    assert_eq!(parse(Path::new("s.toml"), refused("relying-party"), &[]).unwrap().len(), 1);
    assert!(problems(&refused("authenticator")).contains("no code is called \"E_17\""));
    let by_number = format!(
        "{KEY}[[step]]\nregister = \"a\"\nexpect = {{ refused-by = \"authenticator\", code = \"status-0xf3\" }}"
    );
    assert_eq!(parse(Path::new("s.toml"), by_number, &[]).unwrap().len(), 1);
}

/// What is misspelt in a step that says what is not to be so would be so always.
#[test]
fn what_keys_were_asked_is_looked_up_and_an_assertion_looks_at_something() {
    for (assert, said) in [
        (
            "{ never-asked = { a = \"authenticatorGetAssert\" } }",
            "s.toml:4:32: no command is called \"authenticatorGetAssert\": did you mean \"authenticatorGetAssertion\"?",
        ),
        ("{ never-asked = { a = \"getPINRetries\" } }", "no command is called \"getPINRetries\""),
        ("{ asked = { a = [\"U2F_REGISTER\", \"CTAPHID_INIT\"] } }", "no command is called \"CTAPHID_INIT\""),
        ("{ asked = { a = \"vendor(0xZZ)\" } }", "no command is called \"vendor(0xZZ)\""),
        ("{}", "s.toml:4:10: the step looks at nothing: say what has to be so"),
    ] {
        let found = problems(&format!("{KEY}[[step]]\nassert = {assert}"));
        assert!(found.contains(said), "{assert}\n{found}");
    }
    let known =
        ["authenticatorCredentialManagement(0x41)", "vendor(0xC1)", "U2F_VERSION"].map(|name| format!("{name:?}"));
    let known = format!("{KEY}[[step]]\nassert = {{ never-asked = {{ a = [{}] }} }}", known.join(", "));
    assert_eq!(parse(Path::new("s.toml"), known, &[]).unwrap().len(), 1);
}

#[test]
fn where_a_site_elsewhere_is_has_to_be_an_address() {
    let at = |url: &str| {
        format!("[elsewhere]\nurl = \"{url}\"\nadapter = \"fido-conformance\"\n{KEY}[[step]]\nregister = \"a\"")
    };
    for url in [
        "",
        "localhost:8000",
        "http://",
        "http://127.0.0.1:99999",
        "ftp://example.com",
        "http://example.com/?next=/",
        "http://a b",
    ] {
        let found = problems(&at(url));
        assert!(
            found.starts_with(&format!("s.toml:2:7: {url:?} is no address of a site: write http://HOST:PORT")),
            "{found}"
        );
    }
    for url in ["http://127.0.0.1:8000/", "https://example.com/auth"] {
        assert!(parse(Path::new("s.toml"), at(url), &[]).is_ok(), "{url}");
    }
}

#[test]
fn what_a_site_has_for_old_keys_and_pages_elsewhere_goes_with_the_rest_of_it() {
    let found = problems(&format!("{KEY}[[step]]\nregister = \"a\"\nkind = \"u2f\""));
    assert!(
        found.starts_with("s.toml:5:8: U2F registers under an AppID, and the site has none: give [site]"),
        "{found}"
    );
    let found =
        problems("[site]\nlistens = true\nrelated-origins = [\"https://example.net\"]\n[[step]]\nadvance = \"1s\"");
    assert!(found.starts_with("s.toml:3:20: a site that listens is at localhost"), "{found}");
}

#[test]
fn several_problems_are_told_at_once() {
    let found = problems("[[key]]\nname = \"a\"\nprofile = \"x\"\n\n[[step]]\nlogin = \"b\"");
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn a_matrix_is_gone_through_in_the_order_of_the_file_and_variables_keep_their_type() {
    let text = "[matrix]\nprofile = [\"keyrig\", \"yubikey-5.7\"]\nbrowser = [{ name = \"chromium\", times = 2 }, { name = \"firefox\", times = 3 }]\n
        [variables]\nwho = \"a-${profile}\"\n
        [[key]]\nname = \"${who}\"\nprofile = \"${profile}\"\n
        [[client]]\nname = \"page\"\nbrowser = \"${browser.name}\"\n
        [[step]]\nwrong-pin = \"${who}\"\ntimes = \"${browser.times}\"\n";
    let scenarios = parse(Path::new("dir/many.toml"), text, &[]).unwrap();
    let titles: Vec<_> = scenarios.iter().map(Scenario::title).collect();
    assert_eq!(
        titles,
        [
            "many [profile=keyrig browser=chromium]",
            "many [profile=keyrig browser=firefox]",
            "many [profile=yubikey-5.7 browser=chromium]",
            "many [profile=yubikey-5.7 browser=firefox]",
        ]
    );
    let last = &scenarios[3];
    assert_eq!(last.keys[0].specification.name.as_str(), "a-yubikey-5.7");
    assert_eq!((last.steps[0].times, last.clients[0].browser), (3, keyrig_client::Browser::Firefox));
}

#[test]
fn what_nothing_stands_for_is_said() {
    let found = problems("[matrix]\nbrowser = [\"chromium\"]\n[[key]]\nname = \"${brwser}\"");
    assert_eq!(found, "s.toml:4:8: nothing is called \"brwser\": did you mean \"browser\"?");
    let found = problems("[[key]]\nname = \"${x}\"");
    assert!(found.starts_with("s.toml:2:8: nothing is called \"x\": [matrix], [variables] and --variable"), "{found}");
    let found = problems("[variables]\na = { b = 1 }\n[[key]]\nname = \"${a.c}\"");
    assert_eq!(found, "s.toml:4:8: \"a\" has no member \"c\": known are b");
    let found = problems("[variables]\na = \"${b}\"\nb = \"${a}\"");
    assert!(found.contains("nothing is called \"b\""), "{found}");
}

#[test]
fn a_policy_is_changed_by_field() {
    let text = "[site]\npolicy = \"proxmox-9\"\n[site.policy-fields]\nsignature_counter = \"refuse\"\nstrictness = { cbor_form = \"refuse\" }\n[[step]]\nadvance = \"1s\"";
    let site = parse(Path::new("s.toml"), text, &[]).unwrap().remove(0).site;
    assert_eq!(site.policy.name, "proxmox-9");
    assert_eq!(site.policy.signature_counter, keyrig_relying_party::SignatureCounter::Refuse);
    let whole = keyrig_relying_party::Policy::built_in("proxmox-9").unwrap();
    assert_ne!(site.policy.strictness, whole.strictness);
}

/// Each stands twice in the next one.
#[test]
fn variables_come_to_no_more_than_there_is_room_for() {
    let mut text = "[variables]\nv0 = \"0123456789\"\n".to_owned();
    for number in 1..40 {
        text.push_str(&format!("v{number} = \"${{v{before}}}${{v{before}}}\"\n", before = number - 1));
    }
    assert!(problems(&text).contains("variables come to more than 1048576 bytes"));
    let lists = text.replace("\"0123456789\"", "[1, 2]");
    assert!(problems(&lists).contains("variables come to more than"));
    let cells = "[matrix]\na = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\nb = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n".to_owned();
    let found = problems(&format!("{cells}[variables]\nlong = \"{}\"\n", "x".repeat(900_000)));
    assert!(found.contains("is too long for a matrix of 100 cells"), "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever somebody deletes or writes into a scenario, it is one or not.
    #[test]
    fn whatever_is_written_is_read_or_refused_with_a_place(
        file in 0_usize..1000,
        at in 0_usize..4000,
        deleted in 0_usize..40,
        written in "[\\[\\]{}=\"$a-z0-9.\\n, ]{0,12}",
    ) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut text = std::fs::read_to_string(&files[file % files.len()]).unwrap();
        let start = text.floor_char_boundary(at % text.len());
        let end = text.floor_char_boundary((start + deleted).min(text.len())).max(start);
        text.replace_range(start..end, &written);
        if let Err(invalid) = parse(Path::new("s.toml"), text.as_str(), &[]) {
            prop_assert!(!invalid.problems.is_empty());
            for line in invalid.to_string().lines().take(1) {
                prop_assert!(line.starts_with("s.toml:"), "{}", line);
            }
        }
    }
}
