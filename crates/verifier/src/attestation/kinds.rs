//! The formats whose statements are bound to the credential's key in ways of their own: tpm, android-key, apple; and compound, which has
//! several (WebAuthn Level 3, §8.3, §8.4, §8.8, §8.9).

use keyrig_ctap::cbor::Item;
use sha2::{Digest, Sha256};

use super::bound::{self, android_problem, apple_nonce};
use super::certificate::{self, Certificate};
use super::{
    AFTER_FORMAT, Input, certificate_signature, check_certificate, check_certificate_aaguid, check_one, fits,
    fits_scheme, not_evaluated, signed, statement, tpm as tpm_structures,
};
use crate::check::Check;
use crate::public_key::{Hash, Scheme, algorithm_name};
use crate::report::{Ceremony, Findings, Outcome};

type Chain = [Result<Certificate, String>];

fn leaf(chain: &Chain) -> Option<&Certificate> {
    chain.first().and_then(|leaf| leaf.as_ref().ok())
}

/// §8.3.
pub(super) fn tpm(
    findings: &mut Findings,
    input: &Input<'_>,
    chain: &Chain,
    (algorithm, signature): (i64, &[u8]),
    cert_info: &[u8],
    pub_area: &[u8],
) {
    let leaf = leaf(chain);
    let key = leaf.and_then(|leaf| leaf.public_key.as_ref().ok());
    let scheme = Scheme::of_tpm(algorithm);
    let bound = || -> Result<(), String> {
        let area = tpm_structures::PublicArea::parse(pub_area)?;
        match input.credential_key {
            Some(credential) if credential.key == area.key => {}
            Some(_) => return Err("a pubArea that is not the credential's key".to_owned()),
            // That there is none is for another check to say.
            None => {}
        }
        let by = scheme.and_then(|scheme| Some((scheme, scheme.hash()?)));
        let (scheme, hash) = by.ok_or_else(|| format!("{} with a TPM", algorithm_name(algorithm)))?;
        if !fits_scheme(scheme, algorithm, key) {
            return Err(format!("{}, which is not of the certificate's key", algorithm_name(algorithm)));
        }
        tpm_structures::certified(cert_info, &area, &signed(input).concat(), hash)
    };
    let expected = "a TPM's word on the credential's key and these bytes";
    match bound() {
        Ok(()) => findings.decide(Check::AttestationStatement, true, expected, expected),
        Err(problem) => findings.decide(Check::AttestationStatement, false, expected, problem),
    };
    certificate_signature(findings, input, key, scheme, &[cert_info], signature);
    check_certificate(findings, chain, certificate::tpm_requirements);
    check_certificate_aaguid(findings, input, leaf);
}

/// §8.4.
pub(super) fn android_key(findings: &mut Findings, input: &Input<'_>, chain: &Chain, algorithm: i64, signature: &[u8]) {
    let leaf = leaf(chain);
    let key = leaf.and_then(|leaf| leaf.public_key.as_ref().ok());
    let problem = || {
        if !fits(algorithm, key) {
            return Some(format!("{}, which is not of the certificate's key", algorithm_name(algorithm)));
        }
        of_credential(input, leaf).or_else(|| match leaf?.raw_extension(bound::KEY_DESCRIPTION) {
            Some(extension) => android_problem(extension, &input.client_data_hash),
            None => Some("a certificate without a key description".to_owned()),
        })
    };
    let expected = "a certificate of the credential's key, made for these client data";
    match problem() {
        None => findings.decide(Check::AttestationStatement, true, expected, expected),
        Some(problem) => findings.decide(Check::AttestationStatement, false, expected, problem),
    };
    certificate_signature(findings, input, key, Scheme::from_cose(algorithm), &signed(input), signature);
    check_certificate(findings, chain, certificate::bound_requirements);
    findings.not_applicable(Check::AttestationCertificateAaguid, "android-key has no AAGUID in its certificate");
}

/// §8.8.
pub(super) fn apple(findings: &mut Findings, input: &Input<'_>, chain: &Chain) {
    let leaf = leaf(chain);
    let problem = || {
        of_credential(input, leaf).or_else(|| {
            let nonce: [u8; 32] = Sha256::digest(signed(input).concat()).into();
            match leaf?.raw_extension(bound::NONCE).map(apple_nonce) {
                Some(Some(found)) if found == nonce => None,
                Some(Some(_)) => {
                    Some("a nonce that is not the hash of authenticator data and client data hash".to_owned())
                }
                Some(None) => Some("a nonce that is not where Apple has it".to_owned()),
                None => Some("a certificate without a nonce".to_owned()),
            }
        })
    };
    let expected = "a certificate of the credential's key, made for this ceremony";
    match problem() {
        None => findings.decide(Check::AttestationStatement, true, expected, expected),
        Some(problem) => findings.decide(Check::AttestationStatement, false, expected, problem),
    };
    findings.not_applicable(Check::AttestationSignature, "apple signs nothing but the certificate");
    check_certificate(findings, chain, certificate::bound_requirements);
    findings.not_applicable(Check::AttestationCertificateAaguid, "apple has no AAGUID in its certificate");
}

/// Whether the certificate is of another key than the credential's.
fn of_credential(input: &Input<'_>, leaf: Option<&Certificate>) -> Option<String> {
    let (credential, key) = (input.credential_key?, leaf?.public_key.as_ref().ok()?);
    (credential.key != *key).then(|| "a certificate of another key than the credential's".to_owned())
}

/// §8.9: every statement in it has to verify.
pub(super) fn compound(findings: &mut Findings, input: &Input<'_>, encoded: Item<'_>) {
    let statements = match statement::compound(encoded) {
        Ok(statements) => statements,
        Err(problem) => {
            findings.decide(Check::AttestationFormat, true, statement::KNOWN, "compound");
            findings.decide(Check::AttestationStatement, false, "two or more statements", problem);
            for check in AFTER_FORMAT.into_iter().skip(1).chain([Check::AttestationMetadata, Check::AttestationTrust]) {
                findings.not_evaluated(check, Check::AttestationStatement);
            }
            return;
        }
    };
    let each: Vec<_> = statements
        .iter()
        .map(|(format, statement)| {
            let mut findings = Findings::new(Ceremony::Registration);
            match *format {
                "compound" => {
                    findings.decide(Check::AttestationFormat, false, "a format that is not compound", "compound");
                    not_evaluated(&mut findings, Check::AttestationFormat);
                }
                format => check_one(&mut findings, input, format, *statement),
            }
            (*format, findings.into_report(Ceremony::Registration))
        })
        .collect();
    for check in [Check::AttestationFormat]
        .into_iter()
        .chain(AFTER_FORMAT)
        .chain([Check::AttestationMetadata, Check::AttestationTrust])
    {
        let of_each = || each.iter().filter_map(|(format, report)| Some((*format, report.finding(check)?)));
        let weight = |outcome: Outcome| match outcome {
            Outcome::Fail => 0,
            Outcome::NotEvaluated { .. } => 1,
            Outcome::Pass => 2,
            Outcome::NotApplicable => 3,
        };
        let Some((format, worst)) = of_each().min_by_key(|(_, finding)| weight(finding.outcome)) else { continue };
        let found = match worst.outcome {
            Outcome::Pass => {
                of_each().map(|(format, it)| format!("{format}: {}", it.found)).collect::<Vec<_>>().join("; ")
            }
            _ => format!("{format}: {}", worst.found),
        };
        let finding = findings.add(check, worst.outcome, worst.expected.clone(), found);
        finding.enforced = worst.enforced;
        finding.explanation = worst.explanation.clone();
    }
}

impl Scheme {
    /// By which hash it signs, if by one.
    fn hash(self) -> Option<Hash> {
        match self {
            Self::Ecdsa(hash) | Self::RsaPkcs1(hash) | Self::RsaPss(hash) => Some(hash),
            Self::EdDsa | Self::MlDsa => None,
        }
    }
}
