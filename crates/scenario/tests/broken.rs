//! A site that skips a check and keys that are broken make the scenarios fail that are about it, with the words that say so.

#![cfg(test)]

use std::fs;
use std::path::Path;

use keyrig_scenario::language::{On, parse};
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

/// A scenario through CTAPHID.
async fn by_ctaphid(text: &str) -> RunResult {
    let scenario = parse(Path::new("s.toml"), text.to_owned(), &[]).unwrap().remove(0);
    run(&scenario, &Settings { on: On::Ctaphid, ..Settings::default() }, &mut ()).await
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
            "challenge-too-old.toml",
            "challenge_lifetime_s = 20",
            "challenge_lifetime_s = 60",
            "log in with primary",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "oath-shuts-out-keys.toml",
            "policy = \"proxmox-9\"",
            "policy-fields = { oath_realm_excludes_webauthn = false, realm_types = [\"oath\"] }",
            "log in with primary",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "wrong-origins.toml",
            "rp-id = \"login.example.com\"",
            "origins = [\"https://login.example.com\", \"https://login.example.com:8443\"]",
            "a login from another port",
            "refused-by: refused by the relying party / accepted",
        ),
        (
            "related-origins.toml",
            "related-origins = [\"https://example.co.uk\"]",
            "related-origins = [\"https://example.co.uk\", \"https://example.net\"]",
            "the third country is not in the list",
            "refused-by: refused by the client / accepted; blinked: none / primary",
        ),
        (
            "realm-enforcement.toml",
            "realm = { pve = \"type=webauthn\" }",
            "realm = { pve = \"none\" }",
            "call GET /api/session",
            "json /kind: \"enrolment\" / \"full\"",
        ),
        // Whoever has no ticket gets at the codes of others, as by CVE-2023-54391.
        (
            "ticket-hole.toml",
            "[[user]]",
            "[site]\npolicy = \"pve-8.0.3\"\n\n[[user]]",
            "nobody got at the codes",
            "totp-locked: false / true",
        ),
        // A page that does not hand on what the account has.
        (
            "duplicate-registration.toml",
            "register = \"primary\"\nexpect",
            "register = \"primary\"\noptions = { excludeCredentials = [] }\nexpect",
            "register the primary key a second time",
            "refused-by: refused by the authenticator / accepted",
        ),
        (
            "counter-gone-back.toml",
            "passed = \"signature\", failed = \"signature-counter\"",
            "passed = [\"signature\", \"signature-counter\"], failed = \"origin\"",
            "what it reports of the login that it let in",
            "check signature-counter: pass / fail; failed: origin / signature-counter",
        ),
        (
            "counter-gone-back.toml",
            "signature_counter = \"${counter.name}\"",
            "signature_counter = \"report\"",
            "a counter that went back",
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
        (
            "enterprise-attestation.toml",
            "enterprise-rps = [\"login.example.com\"]",
            "enterprise-rps = [\"shop.example.com\"]",
            "the key says which it is",
            "found by attestation-certificate: a certificate of enterprise attestation / a certificate as the format asks for; \
             found by attestation-certificate: serial number / a certificate as the format asks for",
        ),
        // A key with a PIN asks for it: without the token it would refuse.
        (
            "enterprise-attestation.toml",
            "enterprise-rps = [\"login.example.com\"]",
            "enterprise-rps = []\npin = \"135790\"",
            "the key says which it is",
            "found by attestation-certificate: a certificate of enterprise attestation / a certificate as the format asks for; \
             found by attestation-certificate: serial number / a certificate as the format asks for",
        ),
    ] {
        assert_eq!(failed(&changed(name, from, to).await), (step.to_owned(), found.to_owned()), "{name}");
    }
}

/// Each as `keyrig faults` has it: what goes wrong, and who notices with which words.
#[tokio::test]
async fn a_broken_key_is_refused_by_whom_it_concerns() {
    let login = ("first-key.toml", "[[step]]\nlogin = \"primary\"");
    let registration = ("first-key.toml", "[[step]]\nregister = \"primary\"");
    let by_passkey = ("passkey-login.toml", "[[step]]\npasskey = \"primary\"\nexpect = { touched");
    let attested = ("attestation-policy.toml", "[[step]]\nregister = \"approved\"");
    for ((name, step), fault, by, code, words) in [
        (login, "bad-signature", Party::RelyingParty, "authentication_failed", "signature: "),
        (login, "up-cleared", Party::RelyingParty, "authentication_failed", "user-present: "),
        (login, "be-set", Party::RelyingParty, "authentication_failed", "backup-eligibility-unchanged: "),
        (login, "counter-back", Party::RelyingParty, "authentication_failed", "signature-counter: "),
        (login, "counter-frozen", Party::RelyingParty, "authentication_failed", "signature-counter: "),
        (login, "wrong-rp-id-hash", Party::Client, "answer-invalid", "the hash of another RP ID"),
        (login, "other-credential-id", Party::Client, "answer-invalid", "signed by a credential that was not allowed"),
        (
            login,
            "ctap-status,status=0x27,command=authenticatorGetAssertion",
            Party::Authenticator,
            "operation-denied",
            "OPERATION_DENIED",
        ),
        (registration, "public-key-off-curve", Party::RelyingParty, "enrolment_refused", "public-key: "),
        (registration, "authenticator-data-trailing-bytes", Party::Client, "answer-invalid", "1 bytes follow"),
        (by_passkey, "uv-cleared", Party::RelyingParty, "authentication_failed", "user-verified: "),
        (by_passkey, "other-user-handle", Party::RelyingParty, "authentication_failed", "user-handle: "),
        (attested, "other-aaguid", Party::RelyingParty, "enrolment_refused", "attestation-aaguid: "),
        (attested, "attestation-bad-signature", Party::RelyingParty, "enrolment_refused", "attestation-signature: "),
    ] {
        let key = step.split('"').nth(1).unwrap();
        let broken = format!("[[step]]\nfault = \"{key}\"\non = \"{fault}\"\n\n{step}");
        let result = changed(name, step, &broken).await;
        let step = result.steps.last().unwrap();
        let refused = step.refused.as_ref().unwrap_or_else(|| panic!("{fault}: {result:#?}"));
        assert_eq!((result.verdict, refused.by, refused.code.as_str()), (Verdict::Failed, by, code), "{fault}");
        assert!(refused.reason.contains(words), "{fault}: {}", refused.reason);
        assert!(step.differences.iter().any(|it| it.what == "expect" && it.expected == "accepted"), "{fault}");
    }
}

/// Everything random follows from the seed: the same messages, codes and credentials again.
/// A key that is not asked for its touch any more cannot be touched: why it was not, and what passed below CTAP, says more than that.
/// Firefox's `parseCreationOptionsFromJSON` takes right padding, Chromium's refuses it (measured in Firefox 153 and Chromium 156).
#[tokio::test]
async fn options_are_read_as_the_steps_browser_reads_them() {
    let scenario = |browser: &str| {
        let expect = match browser {
            "firefox" => "\"accepted\"",
            _ => "{ refused-by = \"client\", code = \"options-no-base64url\" }",
        };
        format!(
            "[[key]]\nname = \"a\"\n\n[[client]]\nname = \"page\"\nbrowser = \"{browser}\"\n\n[[step]]\nregister = \"a\"\n\
             options = {{ user = {{ id = \"YWxpY2U=\" }} }}\nexpect = {expect}\n"
        )
    };
    for browser in ["chromium", "firefox"] {
        let result = by_ctaphid(&scenario(browser)).await;
        assert_eq!(result.verdict, Verdict::Passed, "{browser}: {result:#?}");
    }
}

#[tokio::test]
async fn what_could_not_be_done_meanwhile_tells_how_the_ceremony_ended() {
    let text = r#"
        [[key]]
        name = "primary"
        faults = ["ctaphid-error,code=0x05,command=getAssertion"]

        [[step]]
        register = "primary"

        [[step]]
        login = "primary"
        meanwhile = [{ touch = "primary" }, { touch = "primary" }]
    "#;
    let result = by_ctaphid(text).await;
    let (_, found) = failed(&result);
    assert!(found.contains("ERR_MSG_TIMEOUT"), "{found}");
    let said: Vec<_> = result.steps.iter().flat_map(|step| &step.messages).map(|message| &message.text).collect();
    assert!(said.iter().any(|text| *text == "CTAPHID_ERROR ERR_MSG_TIMEOUT (0x05)"), "{said:?}");
}

/// Who refuses at a key as soon as it blinks ends the ceremony: those that are asked later would not have blinked.
#[tokio::test]
async fn what_is_done_meanwhile_waits_for_all_keys_that_are_to_blink() {
    let text = r#"
        [[key]]
        name = "late"
        faults = ["ctap-slow,command=getInfo,ms=200"]

        [[key]]
        name = "other"

        [[step]]
        register = "late"
        expect = { blinked = ["late", "other"], touched = "late" }

        [[step]]
        login = "late"
        meanwhile = [{ deny = "other" }]
        expect = { refused-by = "authenticator", blinked = ["late", "other"], touched = [] }
    "#;
    let result = by_ctaphid(text).await;
    assert_eq!(result.verdict, Verdict::Passed, "{result:#?}");
}

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

/// Its time is over at once, as the clock is paused and nothing else is waited for.
#[tokio::test(start_paused = true)]
async fn a_site_elsewhere_that_is_silent_is_told_with_what_it_was_asked() {
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[elsewhere]\nurl = \"http://{}\"\nadapter = \"fido-conformance\"\n[[key]]\nname = \"a\"\n[[step]]\nregister = \"a\"\n",
        site.local_addr().unwrap()
    );
    let scenario = parse(Path::new("silent.toml"), text, &[]).unwrap().remove(0);
    let result = run(&scenario, &Settings::default(), &mut ()).await;
    let (_, found) = failed(&result);
    assert!(
        found.ends_with("it did not end within 60 s: the site has not answered POST /attestation/options"),
        "{found}"
    );
}
