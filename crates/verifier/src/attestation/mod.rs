//! The checks of an attestation statement (WebAuthn Level 3, §6.5.2 to §6.5.4, §7.1, §8).

mod bound;
mod certificate;
pub(crate) mod der;
mod kinds;
pub(crate) mod metadata;
mod statement;
mod tpm;
pub(crate) mod trust;

use std::time::SystemTime;

use keyrig_ctap::cbor::Item;

use self::certificate::Certificate;
use self::metadata::Judgement;
use self::statement::Statement;
use self::trust::TrustAnchors;
use crate::authenticator_data::{AuthenticatorData, Head};
use crate::cbor::OBJECT_DEPTH;
use crate::check::Check;
use crate::expectations::AttestationPolicy;
use crate::public_key::{CredentialKey, ES256, ES384, ES512, Library, PublicKey, Scheme, algorithm_name};
use crate::report::{Findings, Outcome};
use crate::shown::shown;
use crate::strictness::Strictness;

/// Everything from [`Check::AttestationStatement`] on.
const AFTER_FORMAT: [Check; 5] = [
    Check::AttestationStatement,
    Check::AttestationSignature,
    Check::AttestationCertificate,
    Check::AttestationCertificateAaguid,
    Check::AttestationType,
];

/// The attestation object, read as far as it goes (WebAuthn Level 3, §6.5.4).
#[derive(Default)]
pub(super) struct AttestationObject<'a> {
    pub(super) format: Option<&'a str>,
    pub(super) statement: Option<Item<'a>>,
    pub(super) authenticator_data: Option<&'a [u8]>,
    pub(super) problem: Option<String>,
}

impl<'a> AttestationObject<'a> {
    /// From canonical CBOR.
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let mut object = Self::default();
        object.problem = object.read(bytes).err();
        object
    }

    fn read(&mut self, bytes: &'a [u8]) -> Result<(), String> {
        let item = Item::parse_within(bytes, OBJECT_DEPTH).map_err(|error| format!("not canonical CBOR: {error}"))?;
        for (key, value) in item.map().map_err(|_| "a CBOR item that is not a map")? {
            match key.text() {
                Ok("fmt") => self.format = value.text().ok(),
                Ok("attStmt") => self.statement = Some(value),
                Ok("authData") => self.authenticator_data = value.bytes().ok(),
                // The specification says that it has at least these three.
                _ => {}
            }
        }
        let missing = [
            (self.format.is_none(), "no fmt that is text"),
            (self.statement.is_none(), "no attStmt"),
            (self.authenticator_data.is_none(), "no authData that is bytes"),
        ];
        let missing: Vec<_> = missing.into_iter().filter_map(|(missing, what)| missing.then_some(what)).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
    }
}

pub(super) struct Input<'a> {
    pub(super) object: &'a AttestationObject<'a>,
    pub(super) authenticator_data: &'a AuthenticatorData<'a>,
    pub(super) client_data_hash: [u8; 32],
    pub(super) credential_key: Option<&'a CredentialKey>,
    pub(super) policy: AttestationPolicy<'a>,
    pub(super) now: SystemTime,
    pub(super) strictness: Strictness,
    pub(super) library: Library,
}

/// How a statement came to be (WebAuthn Level 3, §6.5.3), as far as it can be told from the statement.
enum Type {
    None,
    SelfAttestation,
    Certificate(Vec<Result<Certificate, String>>),
}

/// Checks the attestation, from [`Check::AttestationFormat`] to [`Check::AttestationAaguid`].
pub(super) fn check(findings: &mut Findings, input: &Input<'_>) {
    let (Some(format), Some(encoded)) = (input.object.format, input.object.statement) else {
        findings.not_evaluated(Check::AttestationFormat, Check::AttestationObject);
        not_evaluated(findings, Check::AttestationObject);
        check_aaguid(findings, input);
        return;
    };
    if format == "compound" {
        kinds::compound(findings, input, encoded);
        return check_aaguid(findings, input);
    }
    check_one(findings, input, format, encoded);
    check_aaguid(findings, input);
}

/// A statement that is not compound, from [`Check::AttestationFormat`] to [`Check::AttestationTrust`].
fn check_one(findings: &mut Findings, input: &Input<'_>, format: &str, encoded: Item<'_>) {
    let known = statement::is_known(format);
    let finding = findings.decide(Check::AttestationFormat, known, statement::KNOWN, shown(format));
    if known {
        match statement::parse(format, encoded) {
            Ok(statement) => check_statement(findings, input, &statement),
            Err(problem) if format == "none" => {
                let expected = "an empty statement";
                findings.deviates(Check::AttestationStatement, input.strictness.none_statement, expected, problem);
                if input.strictness.none_statement.refuses() {
                    for check in
                        AFTER_FORMAT.into_iter().skip(1).chain([Check::AttestationMetadata, Check::AttestationTrust])
                    {
                        findings.not_evaluated(check, Check::AttestationStatement);
                    }
                } else {
                    no_attestation(findings, input);
                }
            }
            Err(problem) => {
                findings.decide(Check::AttestationStatement, false, "the members of the format", problem);
                for check in
                    AFTER_FORMAT.into_iter().skip(1).chain([Check::AttestationMetadata, Check::AttestationTrust])
                {
                    findings.not_evaluated(check, Check::AttestationStatement);
                }
            }
        }
    } else {
        finding.explanation = match format {
            "android-safetynet" => Some(
                "SafetyNet's service was turned off in January 2025: nothing can be verified any more, and new devices have \
                 android-key"
                    .into(),
            ),
            "compound" => Some("a compound statement has none in it".into()),
            _ => None,
        };
        not_evaluated(findings, Check::AttestationFormat);
    }
}

fn not_evaluated(findings: &mut Findings, because: Check) {
    for check in AFTER_FORMAT.into_iter().chain([Check::AttestationMetadata, Check::AttestationTrust]) {
        findings.not_evaluated(check, because);
    }
}

fn check_statement(findings: &mut Findings, input: &Input<'_>, statement: &Statement<'_>) {
    let expected = "the members of the format, with an algorithm that fits";
    let kind = match statement {
        Statement::None => {
            findings.decide(Check::AttestationStatement, true, "an empty statement", "an empty statement");
            return no_attestation(findings, input);
        }
        Statement::Packed { algorithm, signature, certificates } if certificates.is_empty() => {
            let Some(key) = input.credential_key else {
                for check in [Check::AttestationStatement, Check::AttestationSignature] {
                    findings.not_evaluated(check, Check::PublicKey);
                }
                return self_attestation(findings, input);
            };
            // §8.2: "Validate that alg matches the algorithm of the credentialPublicKey".
            let found = format!("self attestation with {}", algorithm_name(*algorithm));
            let expected = format!("alg {}, as the credential's", algorithm_name(key.algorithm));
            findings.decide(Check::AttestationStatement, *algorithm == key.algorithm, expected, found);
            let message = signed(input);
            check_signature(findings, input.library, &key.key, Scheme::from_cose(*algorithm), &message, signature);
            return self_attestation(findings, input);
        }
        Statement::Packed { algorithm, signature, certificates } => {
            let chain: Vec<_> = certificates.iter().map(|der| Certificate::parse(der)).collect();
            let leaf = chain.first().and_then(|leaf| leaf.as_ref().ok());
            let key = leaf.and_then(|leaf| leaf.public_key.as_ref().ok());
            let fits = fits(*algorithm, key);
            let found = format!("{} certificates, and {}", chain.len(), algorithm_name(*algorithm));
            findings.decide(Check::AttestationStatement, fits, expected, found);
            certificate_signature(findings, input, key, Scheme::from_cose(*algorithm), &signed(input), signature);
            check_certificate(findings, &chain, |leaf| packed_requirements(leaf, input.policy.enterprise));
            check_certificate_aaguid(findings, input, leaf);
            Type::Certificate(chain)
        }
        Statement::Tpm { algorithm, signature, certificates, cert_info, pub_area } => {
            let chain: Vec<_> = certificates.iter().map(|der| Certificate::parse(der)).collect();
            kinds::tpm(findings, input, &chain, (*algorithm, signature), cert_info, pub_area);
            Type::Certificate(chain)
        }
        Statement::AndroidKey { algorithm, signature, certificates } => {
            let chain: Vec<_> = certificates.iter().map(|der| Certificate::parse(der)).collect();
            kinds::android_key(findings, input, &chain, *algorithm, signature);
            Type::Certificate(chain)
        }
        Statement::Apple { certificates } => {
            let chain: Vec<_> = certificates.iter().map(|der| Certificate::parse(der)).collect();
            kinds::apple(findings, input, &chain);
            Type::Certificate(chain)
        }
        Statement::FidoU2f { signature, certificate } => {
            let chain = vec![Certificate::parse(certificate)];
            let leaf = chain.first().and_then(|leaf| leaf.as_ref().ok());
            let key = leaf.and_then(|leaf| leaf.public_key.as_ref().ok());
            match u2f_message(input) {
                Ok(message) => {
                    findings.decide(Check::AttestationStatement, true, expected, "one certificate, and a signature");
                    certificate_signature(findings, input, key, Scheme::from_cose(ES256), &[&message], signature);
                }
                Err(because) => {
                    findings.decide(Check::AttestationStatement, true, expected, "one certificate, and a signature");
                    findings.not_evaluated(Check::AttestationSignature, because);
                }
            }
            check_certificate(findings, &chain, certificate::fido_u2f_requirements);
            findings.not_applicable(Check::AttestationCertificateAaguid, "fido-u2f has no AAGUID");
            Type::Certificate(chain)
        }
    };
    check_type_and_trust(findings, input, &kind);
}

fn no_attestation(findings: &mut Findings, input: &Input<'_>) {
    let nothing = "no attestation was given";
    findings.not_applicable(Check::AttestationSignature, nothing);
    findings.not_applicable(Check::AttestationCertificate, nothing);
    findings.not_applicable(Check::AttestationCertificateAaguid, nothing);
    check_type_and_trust(findings, input, &Type::None);
}

fn self_attestation(findings: &mut Findings, input: &Input<'_>) {
    let nothing = "self attestation has no certificate";
    findings.not_applicable(Check::AttestationCertificate, nothing);
    findings.not_applicable(Check::AttestationCertificateAaguid, nothing);
    check_type_and_trust(findings, input, &Type::SelfAttestation);
}

/// What packed attestation signs: authenticator data and client data hash.
fn signed<'a>(input: &'a Input<'_>) -> [&'a [u8]; 2] {
    [input.object.authenticator_data.unwrap_or_default(), &input.client_data_hash]
}

/// Whether an algorithm is known here and goes with the certificate's key (§5.8.5: ES256 with P-256, ES384 with P-384).
fn fits(algorithm: i64, key: Option<&PublicKey>) -> bool {
    Scheme::from_cose(algorithm).is_some_and(|scheme| fits_scheme(scheme, algorithm, key))
}

fn fits_scheme(scheme: Scheme, algorithm: i64, key: Option<&PublicKey>) -> bool {
    match (scheme, key) {
        // What is wrong with the key is for another check to say.
        (_, None) => true,
        (Scheme::Ecdsa(_), Some(PublicKey::P256(_))) => algorithm == ES256,
        (Scheme::Ecdsa(_), Some(PublicKey::P384(_))) => algorithm == ES384,
        (Scheme::Ecdsa(_), Some(PublicKey::P521(_))) => algorithm == ES512,
        (Scheme::EdDsa, Some(PublicKey::Ed25519(_))) => true,
        (Scheme::RsaPkcs1(_) | Scheme::RsaPss(_), Some(PublicKey::Rsa { .. })) => true,
        _ => false,
    }
}

fn certificate_signature(
    findings: &mut Findings,
    input: &Input<'_>,
    key: Option<&PublicKey>,
    scheme: Option<Scheme>,
    message: &[&[u8]],
    signature: &[u8],
) {
    match key {
        Some(key) => check_signature(findings, input.library, key, scheme, message, signature),
        None => findings.not_evaluated(Check::AttestationSignature, Check::AttestationCertificate),
    }
}

fn check_signature(
    findings: &mut Findings,
    library: Library,
    key: &PublicKey,
    scheme: Option<Scheme>,
    message: &[&[u8]],
    signature: &[u8],
) {
    let Some(scheme) = scheme else {
        return findings.not_evaluated(Check::AttestationSignature, Check::AttestationStatement);
    };
    let valid = key.verify(library, scheme, message, signature);
    let found = if valid { "a valid signature" } else { "a signature that is not valid" };
    findings.decide(Check::AttestationSignature, valid, "a valid signature", found);
}

/// §8.6: what a U2F token signed.
fn u2f_message(input: &Input<'_>) -> Result<Vec<u8>, Check> {
    let Some(Head { rp_id_hash, .. }) = input.authenticator_data.head else { return Err(Check::AuthenticatorData) };
    let attested = input.authenticator_data.attested.ok_or(Check::AttestedCredentialData)?;
    let Some(CredentialKey { key: PublicKey::P256(point), .. }) = input.credential_key else {
        return Err(Check::PublicKey);
    };
    Ok([&[0], &rp_id_hash[..], &input.client_data_hash, attested.credential_id, point].concat())
}

fn check_certificate(
    findings: &mut Findings,
    chain: &[Result<Certificate, String>],
    requirements: impl Fn(&Certificate) -> Vec<String>,
) {
    let problems = match chain.first() {
        Some(Ok(leaf)) => requirements(leaf),
        Some(Err(problem)) => vec![problem.clone()],
        None => vec!["no certificate".to_owned()],
    };
    let expected = "a certificate as the format asks for";
    if problems.is_empty() {
        let serial_number = chain.first().and_then(|leaf| leaf.as_ref().ok()?.enterprise_serial_number()?.ok());
        let found = serial_number.map_or_else(
            || expected.to_owned(),
            |number| {
                format!(
                    "a certificate of enterprise attestation, of the key with the serial number {}",
                    shown_number(number)
                )
            },
        );
        findings.decide(Check::AttestationCertificate, true, expected, found);
    } else {
        findings.decide(Check::AttestationCertificate, false, expected, problems.join("; "));
    }
}

/// §8.2.1, and §8.2.2 of a serial number, which is in no certificate of an attestation that was not asked for as an enterprise's.
fn packed_requirements(certificate: &Certificate, enterprise: Option<bool>) -> Vec<String> {
    let mut problems = certificate::packed_requirements(certificate);
    match certificate.enterprise_serial_number() {
        Some(Err(problem)) => problems.push(problem),
        Some(Ok(number)) if enterprise == Some(false) => problems.push(format!(
            "the serial number {}, which only enterprise attestation may tell, and that was not asked for",
            shown_number(number)
        )),
        _ => {}
    }
    problems
}

/// As hexadecimal, and as the number that makers have on their keys if it is one of four bytes.
fn shown_number(bytes: &[u8]) -> String {
    let hexadecimal: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    match <[u8; 4]>::try_from(bytes) {
        Ok(number) => format!("{} ({hexadecimal})", u32::from_be_bytes(number)),
        Err(_) => hexadecimal,
    }
}

fn check_certificate_aaguid(findings: &mut Findings, input: &Input<'_>, leaf: Option<&Certificate>) {
    let check = Check::AttestationCertificateAaguid;
    let Some(leaf) = leaf else { return findings.not_evaluated(check, Check::AttestationCertificate) };
    let Some(attested) = input.authenticator_data.attested else {
        return findings.not_evaluated(check, Check::AttestedCredentialData);
    };
    match leaf.aaguid() {
        None => findings.not_applicable(check, "the certificate names no AAGUID"),
        Some(Ok(aaguid)) => {
            findings.decide(check, aaguid == attested.aaguid, attested.aaguid.to_string(), aaguid.to_string());
        }
        Some(Err(problem)) => {
            findings.decide(check, false, attested.aaguid.to_string(), problem);
        }
    }
}

fn check_type_and_trust(findings: &mut Findings, input: &Input<'_>, kind: &Type) {
    let policy = input.policy;
    let expected = match (policy.accept_none, policy.accept_self) {
        (true, true) => "any attestation, or none",
        (true, false) => "a certificate, or none",
        (false, true) => "any attestation",
        (false, false) => "an attestation by certificate",
    };
    let (acceptable, found) = match kind {
        Type::None => (policy.accept_none, "no attestation"),
        Type::SelfAttestation => (policy.accept_self, "self attestation"),
        Type::Certificate(_) => (true, "an attestation by certificate"),
    };
    let finding = findings.decide(Check::AttestationType, acceptable, expected, found);
    if matches!(kind, Type::None) && !acceptable {
        finding.explanation =
            Some("the options must ask for attestation, and the user or the browser may withhold it".into());
    }
    let told = check_metadata(findings, input, kind);
    let Type::Certificate(chain) = kind else {
        return findings.not_applicable(Check::AttestationTrust, "there is no certificate");
    };
    let told = match (told, policy.trust_anchors) {
        (Some(told), _) => told,
        (None, _) if policy.metadata.is_some() => {
            return findings.not_evaluated(Check::AttestationTrust, Check::AttestationMetadata);
        }
        (None, Some(anchors)) => Ok(anchors.clone()),
        (None, None) => {
            return findings.not_applicable(Check::AttestationTrust, "the policy asks for no trust anchor");
        }
    };
    let expected = "a path to a trust anchor";
    match told.and_then(|anchors| anchors.find_path(chain, input.now, input.library)) {
        Ok(anchor) => findings.decide(Check::AttestationTrust, true, expected, format!("a path to {anchor}")),
        Err(problem) => findings.decide(Check::AttestationTrust, false, expected, problem),
    };
}

/// Where metadata says that the attestation has to lead, if it is asked and says so.
fn check_metadata(findings: &mut Findings, input: &Input<'_>, kind: &Type) -> Option<Result<TrustAnchors, String>> {
    let check = Check::AttestationMetadata;
    let Some(metadata) = input.policy.metadata else {
        findings.not_applicable(check, "the policy asks for no metadata");
        return None;
    };
    let Type::Certificate(chain) = kind else {
        findings.not_applicable(check, "there is no certificate");
        return None;
    };
    let Some(attested) = input.authenticator_data.attested else {
        findings.not_evaluated(check, Check::AttestedCredentialData);
        return None;
    };
    let expected = "metadata that is up to date and has the model, with nothing against it";
    let Judgement { said, anchors } = metadata.judge(attested.aaguid, chain, input.now);
    match said {
        Ok(found) => findings.decide(check, true, expected, found),
        Err(problem) => findings.decide(check, false, expected, problem),
    };
    anchors
}

fn check_aaguid(findings: &mut Findings, input: &Input<'_>) {
    let check = Check::AttestationAaguid;
    match (input.policy.aaguids, input.authenticator_data.attested) {
        (None, Some(attested)) => {
            findings.add(check, Outcome::NotApplicable, "any AAGUID", attested.aaguid.to_string());
        }
        (None, None) => findings.not_applicable(check, "any AAGUID is acceptable"),
        (Some(_), None) => findings.not_evaluated(check, Check::AttestedCredentialData),
        (Some(acceptable), Some(attested)) => {
            let expected: Vec<_> = acceptable.iter().map(ToString::to_string).collect();
            let pass = acceptable.contains(&attested.aaguid);
            let expected = if expected.is_empty() { "none at all".to_owned() } else { expected.join(", or ") };
            findings.decide(check, pass, expected, attested.aaguid.to_string());
        }
    }
}
