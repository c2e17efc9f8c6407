//! What people get wrong when they set up WebAuthn, as far as a relying party's verification notices it: the check that it
//! fails, and that the report says what it is. Each login is good but for that.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyrig_verifier::{Framing, InvalidOrigin, OriginRule, verify_registration};

use crate::authentications::{FLAGS, Login, STORED_COUNTER, authenticator_data, client_data};
use crate::ceremonies::{RP_ID, failed, origins, vector};

/// A login from an origin, at a relying party that expects another: what the report says about it.
fn from(origin: &str, expected: OriginRule) -> String {
    let mut login = Login::good();
    login.client_data_json = client_data(&login.vector, origin).into_bytes();
    login.sign();
    let rules: &'static [_] = Box::leak(Box::new([expected]));
    let report = login.report_with(|it| it.origins = rules);
    assert_eq!(failed(&report), ["origin"], "{origin}");
    report.failed().next().unwrap().explanation.clone().unwrap().into_owned()
}

fn exact(origin: &str) -> OriginRule {
    OriginRule::exact(origin).unwrap()
}

#[test]
fn an_origin_that_is_not_the_one_that_is_set_up() {
    let cases = [
        // Port missing, wrong, of a proxy, or of a Host header.
        ("https://example.org", exact("https://example.org:8006"), "the port is 443 instead of 8006"),
        ("https://example.org", exact("https://example.org:8443"), "the port is 443 instead of 8443"),
        ("https://example.org:8443", exact("https://example.org"), "the port is 8443 instead of 443"),
        // A proxy that ends TLS and does not say so.
        (
            "https://example.org",
            exact("http://example.org"),
            "the scheme is https instead of http; if a proxy ends TLS",
        ),
        ("http://example.org", exact("https://example.org"), "the scheme is http instead of https"),
        // Another node, www, the parent.
        ("https://node2.example.org", exact("https://node1.example.org"), "node2.example.org is another host"),
        ("https://www.example.org", exact("https://example.org"), "www.example.org is a subdomain of example.org"),
        ("https://example.org", exact("https://www.example.org"), "example.org is above www.example.org"),
        // Look-alikes, also where subdomains are allowed.
        ("https://evilexample.org", exact("https://example.org").with_subdomains().unwrap(), "only ends like"),
        ("https://evil-example.org", exact("https://example.org").with_subdomains().unwrap(), "only ends like"),
        // A related origin that is not on the relying party's own list.
        ("https://example.net", exact("https://example.org"), "example.net is another host"),
        // A sandboxed frame.
        ("null", exact("https://example.org"), "sandboxed"),
        // An app and an extension that are not listed.
        ("android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS", exact("https://example.org"), "an app or an extension"),
        ("chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", exact("https://example.org"), "an app or an extension"),
        // What no browser sends.
        ("https://example.org/", exact("https://example.org"), "it would be https://example.org"),
        ("https://example.org.", exact("https://example.org"), "a dot at the end"),
    ];
    for (origin, rule, explanation) in cases {
        let found = from(origin, rule);
        assert!(found.contains(explanation), "{origin}: {found}");
    }
}

#[test]
fn an_origin_that_cannot_be_set_up() {
    for (origin, should_be) in
        [("https://example.org/", "https://example.org"), ("https://example.org/login?next", "https://example.org")]
    {
        assert_eq!(
            OriginRule::exact(origin).unwrap_err(),
            InvalidOrigin::NotAsBrowsersWriteIt { origin: origin.to_owned(), should_be: should_be.to_owned() }
        );
    }
    for origin in ["example.org", "https://example.org, https://example.net", "https://example.org https://example.net"]
    {
        assert!(OriginRule::exact(origin).is_err(), "{origin}");
    }
}

#[test]
fn a_frame_that_nobody_expected() {
    let mut login = Login::good();
    let text = client_data(&login.vector, "https://example.org");
    let framed = text.replace(r#""crossOrigin":false"#, r#""crossOrigin":true,"topOrigin":"https://evil.example""#);
    login.client_data_json = framed.into_bytes();
    login.sign();
    assert_eq!(failed(&login.report()), ["cross-origin", "top-origin"]);
    assert_eq!(failed(&login.report_with(|it| it.framing = Framing::AllowedIn(&[]))), ["top-origin"]);
    assert_eq!(failed(&login.report_with(|it| it.framing = Framing::AllowedAnywhere)), [""; 0]);
}

#[test]
fn an_rp_id_that_changed_and_an_app_id_that_is_ignored() {
    const APP_ID: &str = "https://example.org";
    for hashed in ["old.example.org", "example.com", "EXAMPLE.org", "example.org.", APP_ID] {
        let mut login = Login::good();
        login.authenticator_data = authenticator_data(hashed, FLAGS, STORED_COUNTER + 1);
        login.sign();
        assert_eq!(failed(&login.report()), ["rp-id-hash"], "{hashed}");
    }
    let mut login = Login::good();
    login.authenticator_data = authenticator_data(APP_ID, FLAGS, STORED_COUNTER + 1);
    login.response.client_extension_results.insert("appid".to_owned(), true.into());
    login.sign();
    assert_eq!(failed(&login.report_with(|it| it.app_id = Some(APP_ID))), [""; 0]);
}

#[test]
fn an_id_in_the_wrong_base64_or_encoded_twice() {
    let good = Login::good();
    let mut login = good.clone();
    login.response.id = STANDARD.encode(&login.response.raw_id);
    assert_eq!(failed(&login.report()), ["credential-id-encoding"]);
    let mut login = good.clone();
    login.response.id = URL_SAFE_NO_PAD.encode(&login.response.id);
    assert_eq!(failed(&login.report()), ["credential-id-encoding"]);
    // Encoded twice in both, it is the id of no credential.
    let mut login = good;
    login.response.raw_id = login.response.id.clone().into_bytes();
    login.response.id = URL_SAFE_NO_PAD.encode(&login.response.raw_id);
    assert_eq!(failed(&login.report()), ["allow-credentials", "credential-record"]);
}

#[test]
fn flags_and_counters_that_are_not_what_they_were() {
    for (flags, counter, fails) in [
        // User verification required after an enrolment without.
        (FLAGS & !0x04, STORED_COUNTER + 1, "user-verified"),
        // A clone.
        (FLAGS, STORED_COUNTER, "signature-counter"),
        // A credential that became a synchronised passkey.
        (FLAGS | 0x18, STORED_COUNTER + 1, "backup-eligibility-unchanged"),
    ] {
        let mut login = Login::good();
        login.authenticator_data = authenticator_data(RP_ID, flags, counter);
        login.sign();
        assert_eq!(failed(&login.report()), [fails]);
    }
}

#[test]
fn a_key_that_is_enrolled_a_second_time() {
    let (vector, origins) = (vector("none-es256"), origins());
    let mut expected = vector.expected_registration(&origins);
    expected.already_registered = true;
    let report = verify_registration(&vector.registration(), &expected).report;
    assert_eq!(failed(&report), ["credential-id-unregistered"]);
    assert!(report.failed().next().unwrap().explanation.as_ref().unwrap().contains("excludeCredentials"));
}
