//! Enterprise attestation from end to end: a key of a rack on which it is enabled, a browser's client, and what the verifier reports of the
//! registration.

#![cfg(test)]

use std::time::SystemTime;

use keyrig_client::channel::Cancel;
use keyrig_client::json::CreationOptions;
use keyrig_client::{Browser, Client, Key};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_verifier::{
    AttestationPolicy, Check, Finding, OriginRule, Outcome, RegistrationExpectations, RegistrationResponse,
    TrustAnchors, verify_registration,
};
use keyrig_ways::InProcess;
use serde_json::json;

/// Of the profile's list, and not.
const LISTED: &str = "enterprise.example.com";
const OTHER: &str = "example.com";

/// 900,000,000, and the first 4 bytes of SHA-256 of "a", 0xca978112, modulo 100,000,000.
const SERIAL_NUMBER: &str = "998926610";

/// What the verifier finds of the certificate, if the options asked for enterprise attestation or are taken for others.
async fn found(rp_id: &str, browser: Browser, asked: &str, taken_for_enterprise: bool) -> Finding {
    let specification = KeySpecification::built_in("yubikey-enterprise", "a").unwrap();
    let name = specification.name.clone();
    let rack = Rack::start(Options::default(), vec![specification]).await.unwrap();
    let mut key = Key::new("a", InProcess(rack.key(&name).unwrap()));
    key.enable_enterprise_attestation(None, &Cancel::never()).await.unwrap();
    let origin = format!("https://{rp_id}");
    let options = json!({
        "rp": {"id": rp_id, "name": "Example"},
        "user": {"id": "AAECAw", "name": "root", "displayName": "root"},
        "challenge": "qqqqqqqqqqqqqqqqqqqqqg",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "attestation": asked,
        "authenticatorSelection": {"userVerification": "discouraged"},
    });
    let options = CreationOptions::from_json(&options.to_string()).unwrap();
    let client = Client::new(origin.parse().unwrap()).in_browser(browser);
    let credential = client.create(&options, core::slice::from_mut(&mut key), Cancel::never()).await.unwrap();
    let response = RegistrationResponse::from_json(credential.to_json().as_bytes()).unwrap();
    let roots = TrustAnchors::from_der([rack.root_certificate()]).unwrap();
    let origins = [OriginRule::exact(origin).unwrap()];
    let expected = RegistrationExpectations {
        attestation: AttestationPolicy { enterprise: Some(taken_for_enterprise), ..AttestationPolicy::by_root(&roots) },
        ..RegistrationExpectations::new(&[0xAA; 16], rp_id, &origins, &[0, 1, 2, 3], SystemTime::now())
    };
    let report = verify_registration(&response, &expected).report;
    let failed: Vec<_> = report.findings.iter().filter(|finding| finding.outcome == Outcome::Fail).collect();
    assert!(failed.iter().all(|finding| finding.check == Check::AttestationCertificate), "{failed:?}");
    report.findings.into_iter().find(|finding| finding.check == Check::AttestationCertificate).unwrap()
}

#[tokio::test]
async fn who_is_listed_and_asks_is_told_which_key_it_is() {
    let finding = found(LISTED, Browser::Chromium, "enterprise", true).await;
    assert_eq!(finding.outcome, Outcome::Pass);
    assert!(finding.found.contains(&format!("serial number {SERIAL_NUMBER}")), "{}", finding.found);
    for (rp_id, browser, asked) in [
        (OTHER, Browser::Chromium, "enterprise"),
        (LISTED, Browser::Chromium, "direct"),
        (LISTED, Browser::Firefox, "enterprise"),
    ] {
        let finding = found(rp_id, browser, asked, true).await;
        assert_eq!(finding.outcome, Outcome::Pass);
        assert!(!finding.found.contains("serial number"), "{rp_id}, {browser}, {asked}: {}", finding.found);
    }
}

/// WebAuthn Level 3 §8.2.2.
#[tokio::test]
async fn a_serial_number_that_was_not_asked_for_refuses_the_registration() {
    let finding = found(LISTED, Browser::Chromium, "enterprise", false).await;
    assert_eq!(finding.outcome, Outcome::Fail);
    assert!(finding.found.contains(SERIAL_NUMBER), "{}", finding.found);
}
