//! Attestation certificates, and what their formats ask of them (WebAuthn Level 3, §8.2.1 and §8.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyrig_ctap::Aaguid;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Raw, Version};
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier};

use crate::public_key::{Hash, Library, PublicKey, Scheme};

const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const ORGANISATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ID_FIDO_GEN_CE_AAGUID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.4");

const ID_FIDO_GEN_CE_SERNUM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.2");

/// tcg-kp-AIKCertificate.
const TCG_KP_AIK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");
const TPM_MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const TPM_MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const TPM_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A certificate as it was encoded, and what is in it.
///
/// Read without RFC 5280's narrower rules: certificates of real keys have serial numbers that these do not allow.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    tbs: Vec<u8>,
    parsed: CertificateInner<Raw>,
    pub(super) public_key: Result<PublicKey, String>,
}

impl Certificate {
    pub(super) fn parse(der: &[u8]) -> Result<Self, String> {
        let parsed = CertificateInner::<Raw>::from_der(der)
            .map_err(|error| format!("a certificate that is not DER: {error}"))?;
        // What was signed is the encoding that was sent, not one made from what was read.
        let tbs = SliceReader::new(der)
            .and_then(|mut reader| {
                reader.sequence(|certificate| {
                    let tbs = certificate.tlv_bytes()?.to_vec();
                    while !certificate.is_finished() {
                        certificate.tlv_bytes()?;
                    }
                    Ok(tbs)
                })
            })
            .map_err(|error: x509_cert::der::Error| format!("a certificate that is not DER: {error}"))?;
        let public_key = PublicKey::from_certificate(parsed.tbs_certificate().subject_public_key_info());
        Ok(Self { der: der.to_vec(), tbs, parsed, public_key })
    }

    pub(super) fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    pub(super) fn issuer(&self) -> String {
        self.parsed.tbs_certificate().issuer().to_string()
    }

    /// Whether this certificate's issuer is that one's subject, compared as encoded.
    pub(super) fn names_as_issuer(&self, issuer: &Self) -> bool {
        let (name, subject) =
            (self.parsed.tbs_certificate().issuer().to_der(), issuer.parsed.tbs_certificate().subject().to_der());
        name.is_ok_and(|name| subject.is_ok_and(|subject| name == subject))
    }

    /// Whether that is its subject, as encoded.
    pub(super) fn has_subject(&self, name: &[u8]) -> bool {
        self.parsed.tbs_certificate().subject().to_der().is_ok_and(|subject| subject == name)
    }

    /// Whether that is its issuer, as encoded.
    pub(super) fn has_issuer(&self, name: &[u8]) -> bool {
        self.parsed.tbs_certificate().issuer().to_der().is_ok_and(|issuer| issuer == name)
    }

    pub(super) fn serial_number(&self) -> Vec<u8> {
        self.parsed.tbs_certificate().serial_number().as_bytes().to_vec()
    }

    /// As metadata names a certificate.
    pub(super) fn base64(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// As metadata names its key: the SHA-1 of the public key, hexadecimal (RFC 5280 §4.2.1.2, method 1).
    pub(super) fn key_identifier(&self) -> Option<String> {
        let key = self.parsed.tbs_certificate().subject_public_key_info().owned_to_ref();
        let identifier = SubjectKeyIdentifier::try_from(key).ok()?;
        Some(identifier.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether the issuer's key signed this certificate.
    pub(super) fn is_signed_by(&self, issuer: &Self, library: Library) -> Result<bool, String> {
        let algorithm = self.parsed.signature_algorithm();
        if algorithm != self.parsed.tbs_certificate().signature() {
            return Err("a certificate that names two signature algorithms".to_owned());
        }
        let scheme = signature_scheme(algorithm.oid)
            .ok_or_else(|| format!("a certificate signed with {}, which is not supported here", algorithm.oid))?;
        let key = issuer.public_key.as_ref().map_err(Clone::clone)?;
        let signature = self.parsed.signature().as_bytes().ok_or("a signature that is not a whole number of bytes")?;
        Ok(key.verify(library, scheme, &[&self.tbs], signature))
    }

    /// Whether a time, in seconds since 1970, is within the certificate's validity.
    pub(super) fn is_valid_at(&self, unix_seconds: u64) -> bool {
        let validity = self.parsed.tbs_certificate().validity();
        let second = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (second(validity.not_before)..=second(validity.not_after)).contains(&unix_seconds)
    }

    pub(super) fn validity(&self) -> String {
        let validity = self.parsed.tbs_certificate().validity();
        format!("{} to {}", validity.not_before, validity.not_after)
    }

    /// Whether the certificate may issue others, with `below` further issuers between it and the end of the path (RFC 5280,
    /// §4.2.1.3 and §4.2.1.9).
    pub(super) fn may_issue(&self, below: usize) -> Result<(), String> {
        let subject = self.subject();
        match self.extension::<BasicConstraints>()? {
            Some(BasicConstraints { ca: true, path_len_constraint }) => {
                if path_len_constraint.is_some_and(|limit| below > usize::from(limit)) {
                    return Err(format!("{subject} may not be so far above the end of the path"));
                }
            }
            _ => return Err(format!("{subject} is not a CA")),
        }
        match self.extension::<KeyUsage>()? {
            Some(usage) if !usage.key_cert_sign() => Err(format!("{subject} may not sign certificates")),
            _ => Ok(()),
        }
    }

    /// The AAGUID that the certificate is for, if it names one: an octet string of 16 bytes, in an extension that is not
    /// critical.
    pub(super) fn aaguid(&self) -> Option<Result<Aaguid, String>> {
        let value = self.octet_string(ID_FIDO_GEN_CE_AAGUID)?;
        let wrong = |problem| format!("an AAGUID extension that is {problem}");
        let aaguid = |bytes: &[u8]| bytes.try_into().map(Aaguid).map_err(|_| "not an octet string of 16 bytes");
        Some(value.and_then(aaguid).map_err(wrong))
    }

    /// The serial number of the one key that the certificate is of, if it is one of an enterprise attestation: an octet string in an
    /// extension that is not critical (§8.2.2).
    pub(super) fn enterprise_serial_number(&self) -> Option<Result<&[u8], String>> {
        let value = self.octet_string(ID_FIDO_GEN_CE_SERNUM)?;
        let filled = |bytes: &[u8]| !bytes.is_empty();
        let value = value.and_then(|bytes| Some(bytes).filter(|bytes| filled(bytes)).ok_or("empty"));
        Some(value.map_err(|problem| format!("a serial number extension that is {problem}")))
    }

    /// The octet string in an extension of FIDO's, none of which may be critical.
    fn octet_string(&self, id: ObjectIdentifier) -> Option<Result<&[u8], &'static str>> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        let extension = extensions.iter().find(|extension| extension.extn_id == id)?;
        if extension.critical {
            return Some(Err("critical"));
        }
        let inner = <&OctetStringRef>::from_der(extension.extn_value.as_bytes());
        Some(inner.map(OctetStringRef::as_bytes).map_err(|_| match id {
            ID_FIDO_GEN_CE_AAGUID => "not an octet string of 16 bytes",
            _ => "not an octet string",
        }))
    }

    /// The value of an extension that is read elsewhere.
    pub(super) fn raw_extension(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        let extension = extensions.iter().find(|extension| extension.extn_id == id)?;
        Some(extension.extn_value.as_bytes())
    }

    fn extension<'a, T>(&'a self) -> Result<Option<T>, String>
    where
        T: Decode<'a, Error = x509_cert::der::Error> + x509_cert::der::oid::AssociatedOid,
    {
        match self.parsed.tbs_certificate().get_extension::<T>() {
            Ok(extension) => Ok(extension.map(|(_, value)| value)),
            Err(error) => Err(format!("an extension of {} that is not DER: {error}", self.subject())),
        }
    }

    /// The values of an attribute of the subject.
    fn subject_values(&self, attribute: ObjectIdentifier) -> Vec<String> {
        let text = |found: &AttributeTypeAndValue| String::from_utf8_lossy(found.value.value()).into_owned();
        self.parsed.tbs_certificate().subject().iter().filter(|it| it.oid == attribute).map(text).collect()
    }
}

/// With what a certificate or a list of revocations is signed.
pub(super) fn signature_scheme(algorithm: ObjectIdentifier) -> Option<Scheme> {
    Some(match algorithm {
        ECDSA_WITH_SHA256 => Scheme::Ecdsa(Hash::Sha256),
        ECDSA_WITH_SHA384 => Scheme::Ecdsa(Hash::Sha384),
        ECDSA_WITH_SHA512 => Scheme::Ecdsa(Hash::Sha512),
        SHA256_WITH_RSA => Scheme::RsaPkcs1(Hash::Sha256),
        SHA384_WITH_RSA => Scheme::RsaPkcs1(Hash::Sha384),
        SHA512_WITH_RSA => Scheme::RsaPkcs1(Hash::Sha512),
        ED25519 => Scheme::EdDsa,
        _ => return None,
    })
}

/// What §8.2.1 asks of the certificate of a packed attestation, as far as this one does not have it.
pub(super) fn packed_requirements(certificate: &Certificate) -> Vec<String> {
    let mut problems = Vec::new();
    if certificate.parsed.tbs_certificate().version() != Version::V3 {
        problems.push("version 3 is required".to_owned());
    }
    let country = certificate.subject_values(COUNTRY);
    if !country.iter().any(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())) {
        problems.push(format!("the subject's C is {country:?}, not an ISO 3166 code of two letters"));
    }
    for (attribute, name) in [(ORGANISATION, "O"), (COMMON_NAME, "CN")] {
        if certificate.subject_values(attribute).iter().all(String::is_empty) {
            problems.push(format!("the subject has no {name}"));
        }
    }
    let unit = certificate.subject_values(ORGANISATIONAL_UNIT);
    if !unit.iter().any(|unit| unit == "Authenticator Attestation") {
        problems.push(format!("the subject's OU has to be \"Authenticator Attestation\", and is {unit:?}"));
    }
    match certificate.extension::<BasicConstraints>() {
        Ok(Some(BasicConstraints { ca: false, .. })) => {}
        Ok(Some(_)) => problems.push("the basic constraints say CA, and have to say that it is none".to_owned()),
        Ok(None) => problems.push("there are no basic constraints, which have to say that it is not a CA".to_owned()),
        Err(problem) => problems.push(problem),
    }
    problems.extend(certificate.public_key.as_ref().err().cloned());
    problems
}

/// What §8.3.1 asks of the certificate of a TPM's attestation key, as far as this one does not have it.
pub(super) fn tpm_requirements(certificate: &Certificate) -> Vec<String> {
    let mut problems = Vec::new();
    if certificate.parsed.tbs_certificate().version() != Version::V3 {
        problems.push("version 3 is required".to_owned());
    }
    if !certificate.subject().is_empty() {
        problems.push(format!("the subject has to be empty, and is {}", certificate.subject()));
    }
    match certificate.extension::<SubjectAltName>() {
        Ok(Some(names)) => {
            let directory = names.0.iter().find_map(|name| match name {
                GeneralName::DirectoryName(name) => Some(name),
                _ => None,
            });
            for (attribute, what) in
                [(TPM_MANUFACTURER, "manufacturer"), (TPM_MODEL, "model"), (TPM_VERSION, "version")]
            {
                if !directory.is_some_and(|name| name.iter().any(|it| it.oid == attribute)) {
                    problems.push(format!("the alternative name does not have the TPM's {what}"));
                }
            }
        }
        Ok(None) => problems.push("there is no alternative name, which has to name the TPM".to_owned()),
        Err(problem) => problems.push(problem),
    }
    match certificate.extension::<ExtendedKeyUsage>() {
        Ok(Some(usage)) if usage.0.contains(&TCG_KP_AIK_CERTIFICATE) => {}
        Ok(_) => problems.push("the extended key usage is not that of attestation keys (2.23.133.8.3)".to_owned()),
        Err(problem) => problems.push(problem),
    }
    match certificate.extension::<BasicConstraints>() {
        Ok(Some(BasicConstraints { ca: false, .. })) => {}
        Ok(_) => problems.push("there are no basic constraints that say that it is not a CA".to_owned()),
        Err(problem) => problems.push(problem),
    }
    problems.extend(certificate.public_key.as_ref().err().cloned());
    problems
}

/// android-key and apple ask nothing of the certificate but its extension and its key.
pub(super) fn bound_requirements(certificate: &Certificate) -> Vec<String> {
    certificate.public_key.as_ref().err().cloned().into_iter().collect()
}

/// What §8.6 asks of the certificate of a fido-u2f attestation: a key on P-256.
pub(super) fn fido_u2f_requirements(certificate: &Certificate) -> Vec<String> {
    match &certificate.public_key {
        Ok(PublicKey::P256(_)) => Vec::new(),
        Ok(_) => vec!["a key that is not on P-256".to_owned()],
        Err(problem) => vec![problem.clone()],
    }
}
