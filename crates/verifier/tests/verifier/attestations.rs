//! Attestation statements, good and bad, made by libraries that nobody here wrote (pyca/cryptography and python-fido2).

use keyrig_ctap::Aaguid;
use keyrig_verifier::{
    AttestationPolicy, Check, InvalidTrustAnchor, Outcome, RegistrationResponse, Report, TrustAnchors,
    verify_registration,
};
use serde::Deserialize;

use crate::ceremonies::{Vector, assert_whole, failed, hex, origins, trust_anchors, vector, vectors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(rename = "about")]
    _about: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(deserialize_with = "hex")]
    attestation_object: Vec<u8>,
}

impl Case {
    fn vector(&self) -> Vector {
        match self.name.split(':').next().unwrap() {
            "fido-u2f" => vector("fido-u2f-es256"),
            "self" => vector("packed-self-es256"),
            _ => vector("packed-es256"),
        }
    }

    fn report(&self, policy: AttestationPolicy<'_>) -> Report {
        let vector = self.vector();
        let response =
            RegistrationResponse { attestation_object: self.attestation_object.clone(), ..vector.registration() };
        verify(&vector, &response, policy)
    }

    /// What §8.2, §8.2.1, §8.6 and §8.7 find wrong with it.
    fn fails(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "no country"
            | "country in lower case"
            | "no organisation"
            | "no common name"
            | "no organisational unit"
            | "another organisational unit"
            | "a CA"
            | "no basic constraints"
            | "version 2" => &["attestation-certificate"],
            "another AAGUID" | "a critical AAGUID" | "a bare AAGUID" => &["attestation-certificate-aaguid"],
            // §5.8.5: ES256 is with P-256 only.
            "ES256 by a key on P-384" => &["attestation-statement"],
            "RS256 by an ES256 key" => &["attestation-statement", "attestation-signature"],
            "another key" | "fido-u2f: another message" | "self: another key" => &["attestation-signature"],
            "no certificates"
            | "no alg"
            | "no sig"
            | "a member too many"
            | "nine certificates"
            | "certificates in text"
            | "fido-u2f: two certificates"
            | "fido-u2f: with alg"
            | "none: with members"
            // The members of packed are not tpm's.
            | "tpm" => &["attestation-statement"],
            "not DER" | "bytes after the certificate" | "fido-u2f: a key on P-384" => &["attestation-certificate"],
            "self: another alg" => &["attestation-statement", "attestation-signature"],
            "no format" | "upper case" => &["attestation-format"],
            _ => &[],
        }
    }

    /// Whether its certificates lead to the vectors' root; `None` if there are none to follow.
    fn is_trusted(&self) -> Option<bool> {
        match self.name.as_str() {
            // Nothing that could be read.
            "no certificates"
            | "no alg"
            | "no sig"
            | "a member too many"
            | "nine certificates"
            | "certificates in text"
            | "fido-u2f: two certificates"
            | "fido-u2f: with alg"
            | "none: with members"
            | "tpm"
            | "no format"
            | "upper case" => None,
            name if name.starts_with("self:") => None,
            // Its version was changed after it had been signed.
            "version 2" | "not DER" | "bytes after the certificate" | "expired" | "not yet valid" => Some(false),
            "an issuer of the same name" | "an issuer of another name" | "no intermediate" => Some(false),
            "an intermediate that is no CA"
            | "an intermediate that may not sign certificates"
            | "an intermediate of another name"
            | "an intermediate that did not sign"
            | "an expired intermediate"
            | "two intermediates where one is allowed" => Some(false),
            _ => Some(true),
        }
    }
}

fn verify(vector: &Vector, response: &RegistrationResponse, policy: AttestationPolicy<'_>) -> Report {
    let origins = origins();
    let mut expected = vector.expected_registration(&origins);
    expected.attestation = policy;
    let registration = verify_registration(response, &expected);
    assert_whole(&registration.report);
    assert_eq!(registration.record.is_some(), registration.report.is_accepted());
    registration.report
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Cases>(include_str!("attestations.json")).unwrap().cases
}

fn outcome(report: &Report, check: Check) -> Outcome {
    report.finding(check).unwrap().outcome
}

#[test]
fn each_statement_fails_exactly_what_is_wrong_with_it() {
    for case in cases() {
        let report = case.report(AttestationPolicy::none());
        assert_eq!(failed(&report), case.fails(), "{}: {report:#?}", case.name);
    }
}

#[test]
fn certificates_are_traced_to_a_root() {
    let anchors = trust_anchors();
    for case in cases() {
        let report = case.report(AttestationPolicy::by_root(&anchors));
        let trust = report.finding(Check::AttestationTrust).unwrap();
        let expected = match case.is_trusted() {
            Some(true) => matches!(trust.outcome, Outcome::Pass),
            Some(false) => matches!(trust.outcome, Outcome::Fail),
            None => matches!(trust.outcome, Outcome::NotApplicable | Outcome::NotEvaluated { .. }),
        };
        assert!(expected, "{}: {trust:?}", case.name);
    }
}

#[test]
fn an_attestation_certificate_can_be_an_anchor_itself() {
    let case = cases().into_iter().find(|case| case.name == "an issuer of another name").unwrap();
    let object = case.attestation_object.clone();
    // The certificate is the last thing before authData in the object; it begins with its own DER head.
    let start = object.windows(4).position(|bytes| bytes[0] == 0x30 && bytes[1] == 0x82 && bytes[2] == 1).unwrap();
    let length = 4 + usize::from(u16::from_be_bytes([object[start + 2], object[start + 3]]));
    let anchors = TrustAnchors::from_der([&object[start..start + length]]).unwrap();
    let report = case.report(AttestationPolicy::by_root(&anchors));
    assert_eq!(failed(&report), [""; 0], "{report:#?}");
    assert_eq!(outcome(&report, Check::AttestationTrust), Outcome::Pass);
}

#[test]
fn policies_decide_what_is_acceptable() {
    let anchors = trust_anchors();
    let nobody = TrustAnchors::default();
    let aaguid = |name: &str| vector(name).record().aaguid;
    let (own, other) = ([aaguid("packed-es256")], [Aaguid([7; 16])]);
    let policies: [(&str, AttestationPolicy<'_>); 6] = [
        ("none", AttestationPolicy::none()),
        ("any", AttestationPolicy::any()),
        ("root", AttestationPolicy::by_root(&anchors)),
        ("another root", AttestationPolicy::by_root(&nobody)),
        ("AAGUID", AttestationPolicy::by_aaguid(&own, &anchors)),
        ("another AAGUID", AttestationPolicy::by_aaguid(&other, &anchors)),
    ];
    for name in ["none-es256", "packed-self-es256", "packed-es256"] {
        for (policy_name, policy) in policies {
            let vector = vector(name);
            let report = verify(&vector, &vector.registration(), policy);
            let fails: &[&str] = match (name, policy_name) {
                (_, "none") => &[],
                ("none-es256", "any") => &["attestation-type"],
                (_, "any") => &[],
                ("packed-es256", "root" | "AAGUID") => &[],
                ("packed-es256", "another root") => &["attestation-trust"],
                ("packed-es256", _) => &["attestation-aaguid"],
                (_, "root" | "another root") => &["attestation-type"],
                _ => &["attestation-type", "attestation-aaguid"],
            };
            assert_eq!(failed(&report), fails, "{name} under the policy {policy_name}");
        }
    }
}

#[test]
fn trust_anchors_are_read_from_pem() {
    use base64::Engine;
    let der = &vectors().attestation_ca_cert;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    let block = format!("-----BEGIN CERTIFICATE-----\r\n{}\r\n-----END CERTIFICATE-----\r\n", lines.join("\r\n"));
    assert_eq!(TrustAnchors::from_pem(&format!("Two roots\n{block}and\n{block}")).unwrap().len(), 2);
    assert!(TrustAnchors::from_pem("no block at all").unwrap().is_empty());
    let number = |result: Result<TrustAnchors, InvalidTrustAnchor>| result.unwrap_err().number;
    assert_eq!(number(TrustAnchors::from_pem(&format!("{block}-----BEGIN CERTIFICATE-----\nAAAA"))), 2);
    assert_eq!(number(TrustAnchors::from_pem(&block.replace("MII", "M*I"))), 1);
    assert_eq!(number(TrustAnchors::from_der([&der[..], &der[1..]])), 2);
}
