//! What is said of recordings, exceptions and codes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_ctap::Status;
use keyrig_relying_party::Policy;
use keyrig_scenario::explain::{Known, code, codes, exception, explain, status_in};
use keyrig_scenario::verifier::{Check, GivenPublicKey, OriginRule, Outcome, Verdict};
use serde_json::{Value, json};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// WebAuthn Level 3, §16.2: a registration and a login, as a page would have recorded them.
fn recorded() -> [Value; 2] {
    let file: Value =
        serde_json::from_str(include_str!("../../verifier/tests/verifier/webauthn-level-3.json")).unwrap();
    let vector = &file["vectors"][0];
    let at = |path: &str| URL_SAFE_NO_PAD.encode(hex::decode(vector.pointer(path).unwrap().as_str().unwrap()).unwrap());
    let id = at("/credential_id");
    [
        json!({
            "options": { "rp": { "id": "example.org", "name": "x" }, "challenge": at("/registration/challenge"),
                "user": { "id": "AQIDBA", "name": "a", "displayName": "a" },
                "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }] },
            "credential": { "id": id, "rawId": id, "type": "public-key", "response": {
                "clientDataJSON": at("/registration/client_data_json"),
                "attestationObject": at("/registration/attestation_object") } },
        }),
        json!({
            "options": { "rpId": "example.org", "challenge": at("/authentication/challenge"),
                "allowCredentials": [{ "type": "public-key", "id": id }] },
            "credential": { "id": id, "rawId": id, "type": "public-key", "response": {
                "clientDataJSON": at("/authentication/client_data_json"),
                "authenticatorData": at("/authentication/authenticator_data"),
                "signature": at("/authentication/signature") } },
        }),
    ]
}

#[test]
fn a_registration_gives_the_key_for_the_login_that_follows() {
    let explained = explain(json!(recorded()).to_string().as_bytes(), &Known::default(), now()).unwrap();
    let verdicts: Vec<_> = explained.ceremonies.iter().map(|it| it.report.verdict()).collect();
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted], "{explained:#?}");
    assert_eq!(explained.unanswered, 0);
    // Alone, its signature cannot be looked at, and that is said.
    let [_, login] = recorded();
    let explained = explain(login.to_string().as_bytes(), &Known::default(), now()).unwrap();
    let [it] = &explained.ceremonies[..] else { panic!("{explained:?}") };
    assert_eq!((it.report.verdict(), it.report.is_accepted()), (Verdict::Undecided, false));
    let signature = it.report.finding(Check::Signature).unwrap();
    assert!(matches!(signature.outcome, Outcome::NotEvaluated { because: Check::CredentialRecord }), "{signature:?}");
    assert!(it.assumed.iter().any(|text| text.contains("registration is not there")), "{:?}", it.assumed);
}

#[test]
fn what_the_site_expects_is_what_is_given() {
    let recorded = recorded()[0].to_string();
    let failed = |known: &Known| -> Vec<Check> {
        let explained = explain(recorded.as_bytes(), known, now()).unwrap();
        explained.ceremonies[0].report.failed().map(|finding| finding.check).collect()
    };
    let origins = vec![OriginRule::exact("https://login.example.org").unwrap()];
    assert_eq!(failed(&Known { origins, ..Known::default() }), [Check::Origin]);
    let known = Known { rp_id: Some("example.net".to_owned()), ..Known::default() };
    assert_eq!(failed(&known), [Check::RpIdHash]);
    let explained = explain(recorded.as_bytes(), &known, now()).unwrap();
    assert!(explained.ceremonies[0].browser.as_deref().unwrap().starts_with("SecurityError"));
}

/// The credential public key of WebAuthn Level 3, §16.2, as the vector's attestation object ends with it: a COSE_Key of 77 bytes.
fn public_key() -> Vec<u8> {
    let registration = recorded()[0]["credential"]["response"]["attestationObject"].clone();
    let object = URL_SAFE_NO_PAD.decode(registration.as_str().unwrap()).unwrap();
    object[object.len() - 77..].to_vec()
}

#[test]
fn a_login_alone_is_verified_with_the_public_key_that_is_given() {
    let [_, login] = recorded();
    let told = |key: &[u8]| {
        let known = Known { public_key: Some(GivenPublicKey::read(key).unwrap()), ..Known::default() };
        let mut explained = explain(login.to_string().as_bytes(), &known, now()).unwrap();
        explained.ceremonies.remove(0)
    };
    let it = told(&public_key());
    assert!(it.report.is_accepted(), "{it:#?}");
    assert_eq!(it.report.finding(Check::Signature).unwrap().outcome, Outcome::Pass);
    assert!(it.assumed.iter().any(|text| text.contains("the public key (COSE_Key) was given")), "{:?}", it.assumed);
    // Another key: RFC 7517, appendix A.1.
    let other = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    let failed: Vec<_> = told(other.as_bytes()).report.failed().map(|finding| finding.check).collect();
    assert_eq!(failed, [Check::Signature]);
    // A registration in the recording says more.
    let known = Known { public_key: Some(GivenPublicKey::read(other.as_bytes()).unwrap()), ..Known::default() };
    let explained = explain(json!(recorded()).to_string().as_bytes(), &known, now()).unwrap();
    assert!(explained.ceremonies.iter().all(|it| it.report.is_accepted()), "{explained:#?}");
}

#[test]
fn a_policy_judges_a_recording_as_its_relying_party_would() {
    let judged = |recorded: &Value, policy: &str| {
        let known = Known { policy: Some(Policy::built_in(policy).unwrap()), ..Known::default() };
        let explained = explain(recorded.to_string().as_bytes(), &known, now()).unwrap();
        explained.ceremonies.into_iter().map(|it| it.report).collect::<Vec<_>>()
    };
    // WebAuthn has no other type than public-key (Level 3, §5.8.2), which webauthn-rs does not look at.
    let mut other_type = recorded();
    other_type[1]["credential"]["type"] = "password".into();
    let other_type = json!(other_type);
    let strict = judged(&other_type, "strict-l3");
    assert_eq!(strict.iter().map(|it| it.verdict()).collect::<Vec<_>>(), [Verdict::Accepted, Verdict::Refused]);
    let proxmox = judged(&other_type, "proxmox-9");
    assert!(proxmox.iter().all(|it| it.is_accepted()), "{proxmox:#?}");
    // webauthn-rs decides itself, over both.
    for report in judged(&json!(recorded()), "webauthn-rs") {
        let decision = report.decided_by.as_ref().unwrap_or_else(|| panic!("{report:#?}"));
        assert_eq!((decision.verifier, &decision.refusal), ("webauthn-rs", &None));
    }
    let mut broken = recorded();
    // The signature of nothing that was signed: the registration's client data in its place.
    broken[1]["credential"]["response"]["signature"] = "MAYCAQECAQE".into();
    let reports = judged(&json!(broken), "webauthn-rs");
    assert!(reports[0].is_accepted() && !reports[1].is_accepted(), "{reports:#?}");
    assert!(reports[1].decided_by.as_ref().unwrap().refusal.is_some());
    // Alone, there is nothing that webauthn-rs could judge by.
    let known = Known { policy: Some(Policy::built_in("webauthn-rs").unwrap()), ..Known::default() };
    let explained = explain(recorded()[1].to_string().as_bytes(), &known, now()).unwrap();
    let it = &explained.ceremonies[0];
    assert_eq!(it.report.decided_by, None);
    assert!(it.assumed.iter().any(|text| text.starts_with("webauthn-rs, which decides")), "{:?}", it.assumed);
}

/// The words are those of observations of browsers; the first row is the likeliest.
#[test]
fn exceptions_are_told_apart_by_their_words() {
    let suffix = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain.";
    for (text, name, browser, row) in [
        (format!("SecurityError: {suffix}"), "SecurityError", Some("chromium"), Some(13)),
        (
            format!(
                "SecurityError: {suffix} Subsequently, an attempt to fetch the .well-known/webauthn resource of the claimed RP \
                 ID failed."
            ),
            "SecurityError",
            Some("chromium"),
            Some(18),
        ),
        (
            "Uncaught (in promise) SecurityError: This is an invalid domain.".to_owned(),
            "SecurityError",
            Some("chromium"),
            Some(11),
        ),
        ("SecurityError: The operation is insecure.".to_owned(), "SecurityError", Some("firefox"), Some(18)),
        ("SecurityError".to_owned(), "SecurityError", None, Some(18)),
        (
            "DOMException: NotAllowedError: WebAuthn is not supported on sites with TLS certificate errors.".to_owned(),
            "NotAllowedError",
            Some("chromium"),
            Some(25),
        ),
        (
            json!({ "name": "NotAllowedError", "message": "CredentialsContainer request is not allowed." }).to_string(),
            "NotAllowedError",
            Some("firefox"),
            Some(26),
        ),
        ("InvalidStateError: whatever".to_owned(), "InvalidStateError", None, Some(50)),
        (
            "TypeError: Cannot read properties of undefined (reading 'create')".to_owned(),
            "TypeError",
            Some("chromium"),
            Some(10),
        ),
        (
            "can't access property \"get\", navigator.credentials is undefined".to_owned(),
            "TypeError",
            Some("firefox"),
            Some(10),
        ),
        ("ReferenceError: PublicKeyCredential is not defined".to_owned(), "ReferenceError", None, Some(10)),
        (
            "EncodingError: Failed to execute 'parseCreationOptionsFromJSON' on 'PublicKeyCredential': 'challenge' contains \
             invalid base64url data"
                .to_owned(),
            "EncodingError",
            Some("chromium"),
            Some(39),
        ),
        (
            "PublicKeyCredential.parseRequestOptionsFromJSON: could not decode challenge as urlsafe base64".to_owned(),
            "EncodingError",
            Some("firefox"),
            Some(39),
        ),
        (
            "TypeError: Failed to execute 'parseRequestOptionsFromJSON' on 'PublicKeyCredential': Failed to read the \
             'challenge' property from 'PublicKeyCredentialRequestOptionsJSON': Required member is undefined."
                .to_owned(),
            "TypeError",
            Some("chromium"),
            None,
        ),
        (
            "TypeError: PublicKeyCredential.parseCreationOptionsFromJSON: Missing required 'pubKeyCredParams' member of \
             PublicKeyCredentialCreationOptionsJSON."
                .to_owned(),
            "TypeError",
            Some("firefox"),
            None,
        ),
    ] {
        let found = exception(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((found.name.as_str(), found.browser.as_deref()), (name, browser), "{text}");
        assert_eq!(found.meanings[0].row, row, "{text}");
    }
    // A console that leaves the name out, or has it elsewhere; what makes JSON of it; a sentence.
    for (text, name, browser) in [
        (
            "Uncaught (in promise) DOMException: The operation either timed out or was not allowed. See: …",
            "NotAllowedError",
            Some("chromium"),
        ),
        ("DOMException: The operation is insecure. <anonymous code>:1:145535", "SecurityError", Some("firefox")),
        (
            "DOMException: The operation is insecure.\n  code: 18\n  name: \"SecurityError\"",
            "SecurityError",
            Some("firefox"),
        ),
        ("DOMException [NotAllowedError]: foo", "NotAllowedError", None),
        ("I get a NotAllowedError, when I touch it", "NotAllowedError", None),
        (
            r#"{"exception":{"values":[{"type":"NotAllowedError","value":"CredentialsContainer request is not allowed."}]}}"#,
            "NotAllowedError",
            Some("firefox"),
        ),
        (r#"{"code":4,"error":"SecurityError: This is an invalid domain."}"#, "SecurityError", Some("chromium")),
        (
            "Unhandled Promise Rejection: NotAllowedError: This request has been cancelled by the user.",
            "NotAllowedError",
            Some("safari"),
        ),
        (
            "Failed to execute 'get' on 'CredentialsContainer': Required member is undefined.",
            "TypeError",
            Some("chromium"),
        ),
        ("Error: The RP ID \"localhost\" is invalid for this domain", "SecurityError", None),
        ("Error: 127.0.0.1 is an invalid domain", "SecurityError", None),
        ("[object DOMException]", "DOMException", None),
        ("Couldn't sign message: incorrect passphrase supplied to decrypt private key", "OpenSSH", None),
    ] {
        let found = exception(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((found.name.as_str(), found.browser.as_deref()), (name, browser), "{text}");
        assert!(!found.meanings.is_empty());
    }
    for text in ["", "hello", "ReferenceError: x is not defined", "{\"name\":\"x\"}", "MyTypeErrors", "{\"type\":1}"] {
        assert_eq!(exception(text), None, "{text}");
    }
}

/// The words between quotation marks of a source, but for its tests, that are spelled as codes are, and where they are made.
fn spelled_as_codes(source: &str, from: &str, separator: char) -> Vec<String> {
    let product = source.split("#[cfg(test)]").next().unwrap();
    let (_, product) = product.split_once(from).unwrap_or_else(|| panic!("{from}: it is elsewhere"));
    let product: String = product.lines().filter(|line| !line.contains("#[cfg(")).collect();
    let words = product.split('"').skip(1).step_by(2);
    let is_code = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == separator)
    };
    words.filter(is_code).map(str::to_owned).collect()
}

#[test]
fn every_code_that_a_rack_http_a_command_or_the_relying_party_says_has_its_page() {
    for (source, from, separator, at_least) in [
        (include_str!("../../control/src/error_code.rs"), "pub const BAD_REQUEST", '-', 40),
        (include_str!("../../service/src/error.rs"), "let (code, message, what_to_do)", '-', 15),
        (include_str!("../../keyrig/src/error_code.rs"), "pub(crate) const USAGE", '-', 60),
        (include_str!("../../relying-party/src/refusal.rs"), "fn code_and_status", '_', 40),
    ] {
        let found = spelled_as_codes(source, from, separator);
        assert!(found.len() >= at_least, "the codes are elsewhere: {found:?}");
        for found in found {
            // Who refuses.
            assert!(found == "relying_party" || code(&found).is_some(), "{found} has no page in other_codes.toml");
        }
    }
}

/// Causes of refusals, notices, and findings of the audit.
#[test]
fn every_word_that_the_relying_party_reports_by_has_its_page() {
    let cause = include_str!("../../relying-party/src/relying_party/login/cause.rs");
    let audit = include_str!("../../relying-party/src/audit_report.rs");
    for (source, at_least) in [(cause, 30), (audit, 10)] {
        let (_, names) = source.split_once("Its stable name").expect("names are elsewhere");
        let (names, _) = names.split_once("\n    }\n").expect("the function's end");
        let names: Vec<_> = names.split('"').skip(1).step_by(2).collect();
        assert!(names.len() >= at_least, "the names are elsewhere: {names:?}");
        for name in names {
            assert!(code(name).is_some(), "{name} has no page in reported_codes.toml");
        }
    }
    let notices = include_str!("../../relying-party/src/notices.rs").split("tell(").skip(1);
    let notices: Vec<_> = notices.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect();
    assert!(notices.len() >= 5, "the notices are elsewhere: {notices:?}");
    for notice in notices {
        assert!(code(notice).is_some(), "{notice} has no page in reported_codes.toml");
    }
}

/// What a runner makes of a site's answer.
#[test]
fn every_code_that_a_step_of_a_scenario_is_refused_with_has_its_page() {
    let runner = [include_str!("../src/runner/ceremony.rs"), include_str!("../src/runner/steps.rs")];
    let codes = runner.iter().flat_map(|source| source.split("by_the_site(\"").skip(1));
    let codes: Vec<_> = codes.filter_map(|rest| rest.split('"').next()).chain(["refused"]).collect();
    assert!(codes.len() >= 4, "the codes are elsewhere: {codes:?}");
    for found in codes {
        assert!(code(found).is_some(), "{found} has no page in other_codes.toml");
    }
}

#[test]
fn every_status_of_ctap_has_its_page_under_both_of_its_names() {
    for status in (1..=0xFF).map(Status::from).filter(|status| !matches!(status, Status::Other(_))) {
        let spelled = status.to_string();
        let page = code(&spelled).unwrap_or_else(|| panic!("{spelled} has no page"));
        let (_, word) = spelled.split_once("_ERR_").expect("CTAP's statuses are called so");
        assert_eq!(page.code, word.to_lowercase().replace('_', "-"));
    }
}

/// A report of somebody's, who has options and what came of them.
#[test]
fn an_exception_beside_options_is_told() {
    let [registration, _] = recorded();
    let options = &registration["options"];
    let report = format!("Options:\n{options}\nand Firefox says\nSecurityError: The operation is insecure.");
    let explained = explain(report.as_bytes(), &Known::default(), now()).unwrap();
    assert_eq!((explained.unanswered, explained.ceremonies.len()), (1, 0));
    assert_eq!(explained.exception.unwrap().browser.as_deref(), Some("firefox"));
    for text in [options.to_string(), registration.to_string()] {
        assert_eq!(explain(text.as_bytes(), &Known::default(), now()).unwrap().exception, None);
    }
}

#[test]
fn a_status_is_known_by_others_names_and_within_a_text() {
    for (text, expected) in [
        ("error: fido_dev_make_cred (39) FIDO_ERR_OPERATION_DENIED", Some("operation-denied")),
        ("FIDO_ERR_PIN_REQUIRED", Some("puat-required")),
        ("CTAP2_ERR_PIN_REQUIRED (0x36)", Some("puat-required")),
        ("FIDO_ERR_LARGEBLOB_STORAGE_FULL", Some("large-blob-storage-full")),
        ("FIDO_ERR_UNAUTHORIZED_PERM", Some("unauthorized-permission")),
        ("FIDO_ERR_ERR_OTHER", Some("other")),
        ("fido2.ctap.CtapError: CTAP error: 0x2E - NO_CREDENTIALS", Some("no-credentials")),
        ("CTAP error: 0x", None),
        ("CTAP error: 0xzz", None),
        ("X_ERR_Y", None),
        ("", None),
    ] {
        assert_eq!(status_in(text).map(|found| found.code).as_deref(), expected, "{text}");
    }
}

#[test]
fn no_code_has_two_pages_and_all_are_listed() {
    let listed = codes();
    let mut names: Vec<_> = listed.iter().map(|page| page.code.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    for page in &listed {
        assert_eq!(code(&page.code).as_ref(), Some(page));
        assert!(page.text.ends_with('.') && !page.attempt.is_empty() && !page.attempt.ends_with('.'), "{page:?}");
    }
}

#[test]
fn every_code_of_a_client_and_every_check_has_its_page() {
    for check in Check::REGISTRATION.iter().chain(Check::AUTHENTICATION) {
        assert_eq!(code(check.id()).unwrap().by, "relying_party");
    }
    let words = include_str!("../../client/src/words.rs");
    let product = words.split("#[cfg(test)]").next().unwrap();
    let (_, codes) = product.split_once("pub fn code(&self)").unwrap();
    let mut count = 0;
    for found in codes.split('"').skip(1).step_by(2) {
        let is_code = found.contains('-') || ["replaced", "aborted"].contains(&found);
        if is_code && found.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && found != "-" {
            assert!(code(found).is_some(), "{found} has no page in codes.toml");
            count += 1;
        }
    }
    assert!(count > 30, "the codes are elsewhere: {count}");
    assert_eq!(code("no-such-code"), None);
}
