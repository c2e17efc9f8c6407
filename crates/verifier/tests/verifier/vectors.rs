//! The specification's test vectors are accepted as they are.

use keyrig_verifier::{
    AttestationPolicy, Check, Framing, OriginRule, Outcome, verify_authentication, verify_registration,
};

use crate::ceremonies::{assert_whole, failed, origins, trust_anchors, vectors};

/// The one algorithm of a vector that is not supported: it is refused by its name.
const ED448: &str = "packed-ed448";

#[test]
fn ed448_is_refused_by_name() {
    let (origins, vector) = (origins(), crate::ceremonies::vector(ED448));
    let report = verify_registration(&vector.registration(), &vector.expected_registration(&origins)).report;
    assert_whole(&report);
    let finding = report.finding(Check::PublicKey).unwrap();
    assert_eq!(finding.outcome, Outcome::Fail);
    assert!(finding.found.contains("Ed448 (-53), which is not supported here"), "{}", finding.found);
}

#[test]
fn registrations_are_accepted() {
    let (origins, anchors) = (origins(), trust_anchors());
    let tops = [OriginRule::exact("https://example.com").unwrap()];
    assert_eq!(vectors().vectors.len(), 15);
    for vector in vectors().vectors.iter().filter(|vector| vector.name != ED448) {
        let mut expected = vector.expected_registration(&origins);
        if vector.name.contains("Origin") {
            expected.framing = Framing::AllowedIn(&tops);
        }
        let certified = vector.name.starts_with("packed-") && !vector.name.contains("self");
        let others = ["fido-u2f", "tpm", "android-key", "apple"];
        let certified = certified || others.iter().any(|format| vector.name.starts_with(format));
        if certified {
            expected.attestation = AttestationPolicy::by_root(&anchors);
        }
        let registration = verify_registration(&vector.registration(), &expected);
        assert_whole(&registration.report);
        assert!(registration.report.is_accepted(), "{}: {:#?}", vector.name, registration.report);
        assert_eq!(failed(&registration.report), [""; 0]);
        let trust = registration.report.finding(Check::AttestationTrust).unwrap().outcome;
        assert_eq!(trust, if certified { Outcome::Pass } else { Outcome::NotApplicable }, "{}", vector.name);
        let record = registration.record.unwrap();
        assert_eq!(record.id, vector.credential_id);
        assert_eq!(record.sign_count, 0);
    }
}

#[test]
fn authentications_are_accepted() {
    let origins = origins();
    let tops = [OriginRule::exact("https://example.com").unwrap()];
    for vector in vectors().vectors.iter().filter(|vector| vector.name != ED448) {
        let (record, allowed) = (vector.record(), [vector.credential_id.clone()]);
        let mut expected = vector.expected_authentication(&origins, &allowed, &record);
        if vector.name.contains("Origin") {
            expected.framing = Framing::AllowedIn(&tops);
        }
        let authentication = verify_authentication(&vector.authentication(), &expected);
        assert_whole(&authentication.report);
        assert!(authentication.report.is_accepted(), "{}: {:#?}", vector.name, authentication.report);
        assert_eq!(failed(&authentication.report), [""; 0]);
        assert_eq!(authentication.update.unwrap().sign_count, 0);
    }
}

#[test]
fn a_frame_of_another_origin_is_refused_unless_it_is_expected() {
    let origins = origins();
    for (name, also) in [("none-es256-crossOrigin", None), ("none-es256-topOrigin", Some("top-origin"))] {
        let vector = crate::ceremonies::vector(name);
        let expected = vector.expected_registration(&origins);
        let refused: Vec<_> = ["cross-origin"].into_iter().chain(also).collect();
        assert_eq!(failed(&verify_registration(&vector.registration(), &expected).report), refused);

        let (record, allowed) = (vector.record(), [vector.credential_id.clone()]);
        let expected = vector.expected_authentication(&origins, &allowed, &record);
        assert_eq!(failed(&verify_authentication(&vector.authentication(), &expected).report), refused);
    }
    // Expected, but in another page.
    let vector = crate::ceremonies::vector("none-es256-topOrigin");
    let tops = [OriginRule::exact("https://example.net").unwrap()];
    let mut expected = vector.expected_registration(&origins);
    expected.framing = Framing::AllowedIn(&tops);
    assert_eq!(failed(&verify_registration(&vector.registration(), &expected).report), ["top-origin"]);
}
