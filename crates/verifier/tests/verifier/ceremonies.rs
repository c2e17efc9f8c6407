//! Ceremonies to start from: the specification's test vectors (WebAuthn Level 3, §16).

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, CredentialRecord, Finding, OriginRule, Outcome,
    RegistrationExpectations, RegistrationResponse, Report, TrustAnchors, verify_registration,
};
use serde::{Deserialize, Deserializer};

pub(crate) const RP_ID: &str = "example.org";
pub(crate) const USER_HANDLE: &[u8] = b"user handle";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vectors {
    #[serde(rename = "about")]
    _about: String,
    pub(crate) rp_id: String,
    pub(crate) origin: String,
    #[serde(deserialize_with = "hex")]
    pub(crate) attestation_ca_cert: Vec<u8>,
    pub(crate) vectors: Vec<Vector>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    #[serde(rename = "title")]
    _title: String,
    /// The scalar, of credentials on P-256 and P-384.
    #[serde(default, deserialize_with = "hex")]
    pub(crate) credential_private_key: Vec<u8>,
    /// Of the attestation certificate's key: the specification gives it, and nothing here signs with it.
    #[serde(rename = "attestation_private_key")]
    _attestation_private_key: Option<String>,
    pub(crate) registration: RegistrationVector,
    #[serde(deserialize_with = "hex")]
    pub(crate) credential_id: Vec<u8>,
    pub(crate) authentication: AuthenticationVector,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationVector {
    #[serde(deserialize_with = "hex")]
    pub(crate) challenge: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub(crate) client_data_json: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub(crate) attestation_object: Vec<u8>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthenticationVector {
    #[serde(deserialize_with = "hex")]
    pub(crate) challenge: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub(crate) client_data_json: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub(crate) authenticator_data: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    hex::decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub(crate) fn vectors() -> &'static Vectors {
    static VECTORS: LazyLock<Vectors> =
        LazyLock::new(|| serde_json::from_str(include_str!("webauthn-level-3.json")).unwrap());
    assert_eq!(VECTORS.rp_id, RP_ID);
    &VECTORS
}

pub(crate) fn vector(name: &str) -> Vector {
    vectors().vectors.iter().find(|vector| vector.name == name).unwrap().clone()
}

pub(crate) fn origins() -> Vec<OriginRule> {
    vec![OriginRule::exact(&vectors().origin).unwrap()]
}

pub(crate) fn trust_anchors() -> TrustAnchors {
    TrustAnchors::from_der([vectors().attestation_ca_cert.as_slice()]).unwrap()
}

/// Within the validity of the vectors' certificates, which begins with 2024.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

impl Vector {
    pub(crate) fn registration(&self) -> RegistrationResponse {
        RegistrationResponse {
            id: URL_SAFE_NO_PAD.encode(&self.credential_id),
            raw_id: self.credential_id.clone(),
            credential_type: "public-key".to_owned(),
            client_data_json: self.registration.client_data_json.clone(),
            attestation_object: self.registration.attestation_object.clone(),
            ..RegistrationResponse::default()
        }
    }

    pub(crate) fn authentication(&self) -> AuthenticationResponse {
        AuthenticationResponse {
            id: URL_SAFE_NO_PAD.encode(&self.credential_id),
            raw_id: self.credential_id.clone(),
            credential_type: "public-key".to_owned(),
            client_data_json: self.authentication.client_data_json.clone(),
            authenticator_data: self.authentication.authenticator_data.clone(),
            signature: self.authentication.signature.clone(),
            ..AuthenticationResponse::default()
        }
    }

    pub(crate) fn expected_registration<'a>(&'a self, origins: &'a [OriginRule]) -> RegistrationExpectations<'a> {
        RegistrationExpectations::new(&self.registration.challenge, RP_ID, origins, USER_HANDLE, now())
    }

    pub(crate) fn expected_authentication<'a>(
        &'a self,
        origins: &'a [OriginRule],
        allowed: &'a [Vec<u8>],
        record: &'a CredentialRecord,
    ) -> AuthenticationExpectations<'a> {
        AuthenticationExpectations::new(&self.authentication.challenge, RP_ID, origins, allowed, Some(record))
    }

    /// The record that the registration leads to.
    pub(crate) fn record(&self) -> CredentialRecord {
        let origins = origins();
        let mut expected = self.expected_registration(&origins);
        let tops = [OriginRule::exact("https://example.com").unwrap()];
        expected.framing = keyrig_verifier::Framing::AllowedIn(&tops);
        verify_registration(&self.registration(), &expected).record.unwrap()
    }
}

/// The checks that failed, with everything about them where a test fails.
pub(crate) fn failed(report: &Report) -> Vec<&'static str> {
    report.failed().map(|finding| finding.check.id()).collect()
}

/// A report lists every check of its ceremony once and in order, says what it expected wherever it decided, and what was not
/// evaluated points at a check that failed.
pub(crate) fn assert_whole(report: &Report) {
    let checks: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, report.ceremony.checks());
    for Finding { check, outcome, expected, found, .. } in &report.findings {
        match outcome {
            Outcome::NotEvaluated { because } => {
                assert_eq!(
                    report.finding(*because).unwrap().outcome,
                    Outcome::Fail,
                    "{check:?} because of {because:?}"
                );
            }
            Outcome::NotApplicable => assert!(!found.is_empty(), "{check:?}"),
            Outcome::Pass | Outcome::Fail => assert!(!expected.is_empty(), "{check:?}"),
        }
    }
}
