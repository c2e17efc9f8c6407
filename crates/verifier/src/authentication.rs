//! Authentication: every check of WebAuthn Level 3, §7.2.

use keyrig_ctap::authenticator_data::Flags;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::authenticator_data::{self, AuthenticatorData};
use crate::check::Check;
use crate::client_data;
use crate::credential::AuthenticationResponse;
use crate::credential::check_credential;
use crate::expectations::{AuthenticationExpectations, CredentialRecord, RecordUpdate, User};
use crate::extensions;
use crate::public_key::{CredentialKey, Library, PublicKey, Scheme};
use crate::report::{Ceremony, Decision, Findings, Outcome, Report, Text};
use crate::shown::hex;
use crate::strictness::{Deviation, Strictness};

/// An authentication that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Every check.
    pub report: Report,
    /// What to change in the record, if the authentication is accepted.
    pub update: Option<RecordUpdate>,
    /// What would be changed, as far as the response has it.
    candidate: Option<RecordUpdate>,
}

impl Authentication {
    /// The same report, with another verifier's verdict instead of ours: except for what that leaves to its caller, and for
    /// what cannot be read here, which is refused all the same.
    #[must_use]
    pub fn decided_by(mut self, decision: Decision) -> Self {
        self.report.decide_by(decision, self.candidate.is_some());
        self.update = self.candidate.filter(|_| self.report.is_accepted());
        self
    }
}

/// Evaluates every check of an authentication.
#[must_use]
pub fn verify_authentication(
    response: &AuthenticationResponse,
    expected: &AuthenticationExpectations<'_>,
) -> Authentication {
    verify_with(Library::fastest(), response, expected)
}

pub(crate) fn verify_with(
    library: Library,
    response: &AuthenticationResponse,
    expected: &AuthenticationExpectations<'_>,
) -> Authentication {
    let mut findings = Findings::new(Ceremony::Authentication);
    let strictness = expected.strictness;
    check_credential(&mut findings, &response.credential_type, &response.id, &response.raw_id, &strictness);
    // A record of another credential is the caller's mistake; taking it would verify with another key.
    let record = expected.record.filter(|record| record.id == response.raw_id);
    check_user(&mut findings, response, expected, record);
    let client_data = client_data::Expected {
        ceremony: Ceremony::Authentication,
        challenge: expected.challenge,
        origins: expected.origins,
        framing: expected.framing,
        strictness,
    };
    client_data::check(&mut findings, &response.client_data_json, &client_data);

    let data = AuthenticatorData::parse(&response.authenticator_data, &strictness);
    let used_app_id = response.client_extension_results.get("appid") == Some(&Value::Bool(true));
    let head = authenticator_data::Expected {
        rp_id: expected.rp_id,
        app_id: expected.app_id.filter(|_| used_app_id),
        user_presence: true,
        user_verification: expected.user_verification,
        backup: expected.backup,
        backup_eligible: Some(record.map(|record| record.backup_eligible).ok_or(Check::CredentialRecord)),
    };
    authenticator_data::check(&mut findings, &data, &head);
    match data.flag(Flags::AT) {
        Some(at) => {
            let found = if at { "AT set" } else { "AT not set" };
            findings.decide(Check::AttestedCredentialData, !at, "AT not set", found);
        }
        None => findings.not_evaluated(Check::AttestedCredentialData, Check::AuthenticatorData),
    }
    match record {
        Some(record) => {
            check_signature(&mut findings, response, record, &strictness, library);
            check_counter(&mut findings, &data, record, expected.counter);
        }
        None => {
            for check in [Check::PublicKey, Check::Signature, Check::SignatureCounter] {
                findings.not_evaluated(check, Check::CredentialRecord);
            }
        }
    }
    extensions::check(
        &mut findings,
        &response.client_extension_results,
        data.extensions.as_deref(),
        expected.extensions,
    );

    let report = findings.into_report(Ceremony::Authentication);
    let candidate = update(&data, record);
    let update = candidate.filter(|_| report.is_accepted());
    Authentication { report, update, candidate }
}

/// From [`Check::AllowCredentials`] to [`Check::UserHandle`].
fn check_user(
    findings: &mut Findings,
    response: &AuthenticationResponse,
    expected: &AuthenticationExpectations<'_>,
    record: Option<&CredentialRecord>,
) {
    let id = &response.raw_id;
    match expected.allow_credentials {
        [] => findings.not_applicable(Check::AllowCredentials, "allowCredentials was empty"),
        allowed => {
            let count = format!("one of {} credentials", allowed.len());
            findings.decide(Check::AllowCredentials, allowed.contains(id), count, hex(id));
        }
    }
    let known = if record.is_some() { "a record with this id" } else { "no record with this id" };
    findings.decide(Check::CredentialRecord, record.is_some(), "a record with this id", known);
    let Some(record) = record else {
        return findings.not_evaluated(Check::UserHandle, Check::CredentialRecord);
    };
    let expected_handle = hex(&record.user_handle);
    let strictness = expected.strictness;
    match (&response.user_handle, expected.user) {
        (Some(handle), _) if *handle == record.user_handle => {
            findings.decide(Check::UserHandle, true, expected_handle, hex(handle));
        }
        (Some(handle), user) => {
            let (deviation, found, explanation) = if handle.is_empty() {
                let sent_by = "Safari sends that for a credential that is not discoverable";
                (strictness.empty_user_handle, "an empty userHandle".to_owned(), sent_by)
            } else {
                (strictness.other_user_handle, hex(handle), "the credential was made for another account")
            };
            let deviation = if user == User::Identified { deviation } else { Deviation::Refuse };
            let finding = findings.deviates(Check::UserHandle, deviation, expected_handle, found);
            finding.explanation = Some(explanation.into());
        }
        (None, User::Identified) => findings.not_applicable(Check::UserHandle, "no userHandle"),
        (None, User::ByUserHandle) => {
            let finding = findings.decide(Check::UserHandle, false, expected_handle, "no userHandle");
            finding.explanation = Some("nothing else says who logs in: the credential is not discoverable".into());
        }
    }
}

fn check_signature(
    findings: &mut Findings,
    response: &AuthenticationResponse,
    record: &CredentialRecord,
    strictness: &Strictness,
    library: Library,
) {
    let Some(key) = CredentialKey::check(findings, &record.public_key, strictness) else {
        return findings.not_evaluated(Check::Signature, Check::PublicKey);
    };
    key.report(findings);
    let client_data_hash = Sha256::digest(&response.client_data_json);
    let message: [&[u8]; 2] = [&response.authenticator_data, &client_data_hash];
    let scheme = Scheme::from_cose(key.algorithm);
    let valid = scheme.is_some_and(|scheme| key.key.verify(library, scheme, &message, &response.signature));
    let found = if valid { "a valid signature" } else { "a signature that is not valid" };
    let finding = findings.decide(Check::Signature, valid, "a valid signature", found);
    if !valid {
        finding.explanation = explain_signature(&key.key, &response.signature);
    }
}

/// §6.5.5 wants ECDSA signatures in ASN.1 DER; a pair of numbers is what other interfaces give.
fn explain_signature(key: &PublicKey, signature: &[u8]) -> Option<Text> {
    let pair = match key {
        PublicKey::P256(_) => 64,
        PublicKey::P384(_) => 96,
        _ => return None,
    };
    (signature.len() == pair).then(|| "it has the length of the bare pair r, s; WebAuthn wants ASN.1 DER".into())
}

fn check_counter(findings: &mut Findings, data: &AuthenticatorData<'_>, record: &CredentialRecord, policy: Deviation) {
    let Some(head) = data.head else {
        return findings.not_evaluated(Check::SignatureCounter, Check::AuthenticatorData);
    };
    let (stored, found) = (record.sign_count, head.sign_count);
    if (stored, found) == (0, 0) {
        findings.add(Check::SignatureCounter, Outcome::NotApplicable, "", "0: the key has no counter");
        return;
    }
    let finding =
        findings.decide(Check::SignatureCounter, found > stored, format!("greater than {stored}"), found.to_string());
    finding.enforced = policy.refuses();
    if found <= stored {
        finding.explanation =
            Some("the key may have been cloned, or been set back, or the answers of two logins crossed".into());
    }
}

fn update(data: &AuthenticatorData<'_>, record: Option<&CredentialRecord>) -> Option<RecordUpdate> {
    let (head, record) = data.head.zip(record)?;
    Some(RecordUpdate {
        sign_count: head.sign_count,
        backup_state: head.flags.contains(Flags::BS),
        uv_initialized: record.uv_initialized || head.flags.contains(Flags::UV),
    })
}
