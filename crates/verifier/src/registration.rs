//! Registration: every check of WebAuthn Level 3, §7.1.

use keyrig_ctap::authenticator_data::Flags;
use sha2::{Digest, Sha256};

use crate::attestation::{self, AttestationObject};
use crate::authenticator_data::{self, AuthenticatorData};
use crate::cbor;
use crate::check::Check;
use crate::client_data;
use crate::credential::RegistrationResponse;
use crate::credential::{MAX_CREDENTIAL_ID_BYTES, check_credential};
use crate::expectations::{CredentialRecord, RegistrationExpectations};
use crate::extensions;
use crate::public_key::{CredentialKey, Library, algorithm_name};
use crate::report::{Ceremony, Decision, Findings, Report};
use crate::shown::hex;
use crate::strictness::Strictness;

/// A registration that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Every check.
    pub report: Report,
    /// What to keep, if the registration is accepted.
    pub record: Option<CredentialRecord>,
    /// What would be kept, as far as the response has it.
    candidate: Option<CredentialRecord>,
}

impl Registration {
    /// What would be kept if the registration were accepted, as far as the response has it: for looking at later ceremonies of a
    /// recording. A relying party keeps [`Self::record`].
    #[must_use]
    pub fn readable_record(&self) -> Option<&CredentialRecord> {
        self.candidate.as_ref()
    }

    /// The same report, with another verifier's verdict instead of ours: except for what that leaves to its caller, and for
    /// what cannot be read here, which is refused all the same.
    #[must_use]
    pub fn decided_by(mut self, decision: Decision) -> Self {
        self.report.decide_by(decision, self.candidate.is_some());
        self.record = self.candidate.clone().filter(|_| self.report.is_accepted());
        self
    }
}

/// Evaluates every check of a registration.
#[must_use]
pub fn verify_registration(response: &RegistrationResponse, expected: &RegistrationExpectations<'_>) -> Registration {
    verify_with(Library::fastest(), response, expected)
}

pub(crate) fn verify_with(
    library: Library,
    response: &RegistrationResponse,
    expected: &RegistrationExpectations<'_>,
) -> Registration {
    let mut findings = Findings::new(Ceremony::Registration);
    let strictness = expected.strictness;
    check_credential(&mut findings, &response.credential_type, &response.id, &response.raw_id, &strictness);
    let client_data = client_data::Expected {
        ceremony: Ceremony::Registration,
        challenge: expected.challenge,
        origins: expected.origins,
        framing: expected.framing,
        strictness,
    };
    client_data::check(&mut findings, &response.client_data_json, &client_data);

    let read = cbor::read(&response.attestation_object, strictness.cbor_form);
    let (object, deviations) = match &read {
        Ok(read) => {
            let deviations = read.deviation.iter().map(|problem| (problem.clone(), strictness.cbor_form));
            (AttestationObject::parse(&read.canonical), deviations.collect::<Vec<_>>())
        }
        Err(problem) => {
            (AttestationObject { problem: Some(problem.clone()), ..AttestationObject::default() }, Vec::new())
        }
    };
    let shape = "a CBOR map with fmt, attStmt and authData";
    findings.decide_shape(Check::AttestationObject, shape, object.problem.as_ref(), &deviations);
    let data = AuthenticatorData::parse(object.authenticator_data.unwrap_or_default(), &strictness);
    let key = check_authenticator_data(&mut findings, &object, &data, response, expected, library);
    let attestation = attestation::Input {
        object: &object,
        authenticator_data: &data,
        client_data_hash: Sha256::digest(&response.client_data_json).into(),
        credential_key: key.as_ref(),
        policy: expected.attestation,
        now: expected.now,
        strictness,
        library,
    };
    attestation::check(&mut findings, &attestation);

    let (unregistered, registered) = ("an id that no user has", "an id that a user has already");
    let found = if expected.already_registered { registered } else { unregistered };
    let finding = findings.decide(Check::CredentialIdUnregistered, !expected.already_registered, unregistered, found);
    if expected.already_registered {
        finding.explanation =
            Some("the key was enrolled before; excludeCredentials keeps a client from offering it again".into());
    }
    extensions::check(
        &mut findings,
        &response.client_extension_results,
        data.extensions.as_deref(),
        expected.extensions,
    );

    let report = findings.into_report(Ceremony::Registration);
    let candidate = record(response, &data, expected);
    let record = candidate.clone().filter(|_| report.is_accepted());
    Registration { report, record, candidate }
}

/// From [`Check::AuthenticatorData`] to [`Check::Algorithm`]; returns the credential public key if it can be used.
fn check_authenticator_data(
    findings: &mut Findings,
    object: &AttestationObject<'_>,
    data: &AuthenticatorData<'_>,
    response: &RegistrationResponse,
    expected: &RegistrationExpectations<'_>,
    library: Library,
) -> Option<CredentialKey> {
    if object.authenticator_data.is_none() {
        const UNREAD: [Check; 11] = [
            Check::AuthenticatorData,
            Check::RpIdHash,
            Check::UserPresent,
            Check::UserVerified,
            Check::BackupStateConsistent,
            Check::BackupEligibility,
            Check::BackupState,
            Check::AttestedCredentialData,
            Check::CredentialIdMatch,
            Check::CredentialIdLength,
            Check::PublicKey,
        ];
        for check in UNREAD.into_iter().chain([Check::Algorithm]) {
            findings.not_evaluated(check, Check::AttestationObject);
        }
        return None;
    }
    let head = authenticator_data::Expected {
        rp_id: expected.rp_id,
        app_id: None,
        user_presence: expected.user_presence,
        user_verification: expected.user_verification,
        backup: expected.backup,
        backup_eligible: None,
    };
    authenticator_data::check(findings, data, &head);
    let Some(attested) = data.attested else {
        let cut = data.flag(Flags::AT) != Some(false);
        let because = if cut { Check::AuthenticatorData } else { Check::AttestedCredentialData };
        if cut {
            findings.not_evaluated(Check::AttestedCredentialData, because);
        } else {
            findings.decide(Check::AttestedCredentialData, false, "attested credential data", "AT not set");
        }
        for check in [Check::CredentialIdMatch, Check::CredentialIdLength, Check::PublicKey, Check::Algorithm] {
            findings.not_evaluated(check, because);
        }
        return None;
    };
    findings.decide(Check::AttestedCredentialData, true, "attested credential data", "attested credential data");
    let id = attested.credential_id;
    let (raw_id, strictness) = (&response.raw_id, expected.strictness);
    findings.decide_by(Check::CredentialIdMatch, strictness.credential_id, id == raw_id, hex(raw_id), hex(id));
    let (is_short, length) = (id.len() <= MAX_CREDENTIAL_ID_BYTES, format!("{} bytes", id.len()));
    let deviation = strictness.credential_id_length;
    findings.decide_by(Check::CredentialIdLength, deviation, is_short, "at most 1023 bytes", length);
    let Some(encoded) = attested.public_key else {
        findings.not_evaluated(Check::PublicKey, Check::AuthenticatorData);
        findings.not_evaluated(Check::Algorithm, Check::AuthenticatorData);
        return None;
    };
    let key = check_public_key(findings, encoded, &expected.strictness, library);
    match &key {
        Some(key) => {
            let offered: Vec<_> = expected.algorithms.iter().map(|it| algorithm_name(*it)).collect();
            let offered = if offered.is_empty() { "none at all".to_owned() } else { offered.join(", or ") };
            let pass = expected.algorithms.contains(&key.algorithm);
            findings.decide(Check::Algorithm, pass, offered, algorithm_name(key.algorithm));
        }
        None => findings.not_evaluated(Check::Algorithm, Check::PublicKey),
    }
    key
}

fn check_public_key(
    findings: &mut Findings,
    encoded: &[u8],
    strictness: &Strictness,
    library: Library,
) -> Option<CredentialKey> {
    let key = CredentialKey::check(findings, encoded, strictness)?;
    if key.key.is_sound(library) {
        key.report(findings);
        return Some(key);
    }
    let found = "coordinates that are not a point on the curve";
    findings.decide(Check::PublicKey, false, CredentialKey::EXPECTED, found);
    None
}

fn record(
    response: &RegistrationResponse,
    data: &AuthenticatorData<'_>,
    expected: &RegistrationExpectations<'_>,
) -> Option<CredentialRecord> {
    let (head, attested) = data.head.zip(data.attested)?;
    Some(CredentialRecord {
        id: attested.credential_id.to_vec(),
        public_key: attested.public_key?.to_vec(),
        sign_count: head.sign_count,
        uv_initialized: head.flags.contains(Flags::UV),
        transports: response.transports.clone(),
        backup_eligible: head.flags.contains(Flags::BE),
        backup_state: head.flags.contains(Flags::BS),
        aaguid: attested.aaguid,
        user_handle: expected.user_handle.to_vec(),
    })
}
