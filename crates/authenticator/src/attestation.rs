//! Attestation certificates (WebAuthn Level 3 §8.2.1) under a root with TEST in its name.
//!
//! Everything follows from the root's secret of 32 bytes: the same secret gives the same certificates, byte for byte. All keys
//! of a profile share one attestation key, as a maker's batch does; for enterprise attestation each has its own.

mod metadata;
#[cfg(test)]
mod tests;

use core::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::Aaguid;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::get_info::OptionId;
use p256::ecdsa::{DerSignature, SigningKey};
use sha2::Sha256;
use thiserror::Error;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::{Rfc5280, TbsCertificate};
use x509_cert::der::asn1::{BitString, Ia5String, ObjectIdentifier, OctetString, UtcTime};
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{DateTime, Encode};
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

pub use self::metadata::MetadataSigner;
use crate::private_key::PrivateKey;
use crate::profile::Profile;

/// id-fido-u2f-ce-transports (FIDO U2F Authenticator Transports Extension 1.2 §3).
const U2F_TRANSPORTS_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.2.1.1");

/// id-fido-gen-ce-aaguid.
const AAGUID_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.4");

/// id-fido-gen-ce-sernum (WebAuthn Level 3 §8.2.2).
const SERIAL_NUMBER_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.2");

const ROOT_NAME: &str = "CN=keyrig TEST attestation root,O=keyrig,C=XX";

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("the attestation certificate for {subject} could not be made: {source}")]
pub struct CertificateFailed {
    subject: String,
    source: x509_cert::builder::Error,
}

/// The TEST attestation root.
pub struct Root {
    secret: Zeroizing<[u8; 32]>,
    signer: SigningKey,
    certificate: Vec<u8>,
}

impl core::fmt::Debug for Root {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Root")
    }
}

/// What an authenticator vouches with: a private key and its certificates.
#[derive(Clone, Debug)]
pub struct Attestation {
    private_key: PrivateKey,
    certificate: Vec<u8>,
    /// The root's, if it is sent along.
    root: Option<Vec<u8>>,
    u2f_certificate: Vec<u8>,
    key_identifier: [u8; 20],
    /// Of a key that is capable of enterprise attestation.
    enterprise: Option<(PrivateKey, Vec<u8>)>,
}

impl Attestation {
    /// The attestation private key.
    #[must_use]
    pub fn private_key(&self) -> &PrivateKey {
        &self.private_key
    }

    /// The attestation certificate, DER. A relying party has the root's, or does not trust it.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificates of an attestation statement, DER: the root's is there on keys that send it along.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        [&self.certificate].into_iter().chain(&self.root).cloned().collect()
    }

    /// The private key of enterprise attestations, which is this key's alone, and the certificates of such a statement; if it is capable
    /// of them.
    #[must_use]
    pub fn enterprise(&self) -> Option<(&PrivateKey, Vec<Vec<u8>>)> {
        let (private_key, certificate) = self.enterprise.as_ref()?;
        Some((private_key, [certificate].into_iter().chain(&self.root).cloned().collect()))
    }

    /// The attestation certificate of CTAP1/U2F, DER: for the same key, but without an AAGUID, as U2F has none.
    #[must_use]
    pub fn u2f_certificate(&self) -> &[u8] {
        &self.u2f_certificate
    }

    /// By what metadata knows the key of the certificates: the SHA-1 of its public key (RFC 5280 §4.2.1.2, method 1).
    #[must_use]
    pub fn key_identifier(&self) -> [u8; 20] {
        self.key_identifier
    }
}

impl Root {
    /// The root that follows from a secret.
    ///
    /// # Errors
    /// [`CertificateFailed`] if the certificate cannot be encoded.
    pub fn new(secret: [u8; 32]) -> Result<Self, CertificateFailed> {
        let secret = Zeroizing::new(secret);
        let signer = signing_key(&derive(&secret, b"root"), ROOT_NAME)?;
        let certificate = certificate(&secret, ROOT_NAME, &signer, &signer, Extensions::Root)?;
        Ok(Self { secret, signer, certificate })
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key that it signs certificates with.
    #[must_use]
    pub fn private_key(&self) -> PrivateKey {
        derive(&self.secret, b"root")
    }

    /// The attestation key of a profile and its certificates; and those of enterprise attestation, of the one key that has this serial
    /// number.
    ///
    /// # Errors
    /// [`CertificateFailed`] if the certificate cannot be encoded.
    pub fn issue(&self, profile: &Profile, serial_number: u32) -> Result<Attestation, CertificateFailed> {
        let behaviour = &profile.behaviour;
        let key = derive(&self.secret, &profile.aaguid.0);
        let subject = format!("CN=keyrig TEST {},OU=Authenticator Attestation,O=keyrig,C=XX", profile.aaguid);
        let of_key = signing_key(&key, &subject)?;
        let leaf = certificate(
            &self.secret,
            &subject,
            &of_key,
            &self.signer,
            Extensions::Leaf(profile.aaguid, behaviour.attestation_tells_transports, None),
        )?;
        let enterprise = profile.option(OptionId::Ep).map(|_| self.issue_enterprise(profile, serial_number));
        let subject = format!("CN=keyrig TEST U2F {},OU=Authenticator Attestation,O=keyrig,C=XX", profile.name);
        let u2f_certificate = certificate(&self.secret, &subject, &of_key, &self.signer, Extensions::U2fLeaf)?;
        let root = behaviour.attestation_sends_root.then(|| self.certificate.clone());
        let key_identifier =
            key_identifier(&of_key).map_err(|source| CertificateFailed { subject: subject.clone(), source })?;
        Ok(Attestation {
            private_key: key,
            certificate: leaf,
            root,
            u2f_certificate,
            key_identifier,
            enterprise: enterprise.transpose()?,
        })
    }

    /// Real ones name their serial number in both places, too. A CN has at most 64 characters (RFC 5280 appendix A.1).
    fn issue_enterprise(
        &self,
        profile: &Profile,
        serial_number: u32,
    ) -> Result<(PrivateKey, Vec<u8>), CertificateFailed> {
        let serial = serial_number.to_be_bytes();
        let key = derive(&self.secret, &[&profile.aaguid.0[..], &serial].concat());
        let subject =
            format!("CN=keyrig TEST {} no. {serial_number},OU=Authenticator Attestation,O=keyrig,C=XX", profile.aaguid);
        let tells_transports = profile.behaviour.attestation_tells_transports;
        let extensions = Extensions::Leaf(profile.aaguid, tells_transports, Some(serial));
        let certificate = certificate(&self.secret, &subject, &signing_key(&key, &subject)?, &self.signer, extensions)?;
        Ok((key, certificate))
    }
}

fn derive(secret: &[u8; 32], label: &[u8]) -> PrivateKey {
    let mut counter = 0_u8;
    PrivateKey::from_candidates(Algorithm::Es256, |bytes| {
        counter = counter.wrapping_add(1);
        bytes.copy_from_slice(&mac(secret, &[&[counter], b"attestation key", label]));
    })
}

/// The key with its public key, which costs as much as a signature.
fn signing_key(key: &PrivateKey, subject: &str) -> Result<SigningKey, CertificateFailed> {
    let source = x509_cert::builder::Error::Signature;
    SigningKey::from_slice(key.expose())
        .map_err(|error| CertificateFailed { subject: subject.to_owned(), source: source(error) })
}

fn key_identifier(key: &SigningKey) -> Result<[u8; 20], x509_cert::builder::Error> {
    let public_key = SubjectPublicKeyInfo::from_key(key.verifying_key())?;
    let identifier = SubjectKeyIdentifier::try_from(public_key.owned_to_ref())?;
    Ok(identifier.0.as_bytes().try_into().expect("SHA-1 has 20 bytes"))
}

fn mac(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

enum Extensions {
    Root,
    /// With the AAGUID, with transports if they are told, and with the serial number of an enterprise attestation.
    Leaf(Aaguid, bool, Option<[u8; 4]>),
    U2fLeaf,
    /// With the address of the list of revocations, if there is one.
    Signer(Option<String>),
}

struct CertificateProfile {
    subject: Name,
    issuer: Name,
    extensions: Extensions,
}

impl BuilderProfile for CertificateProfile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        subject_key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _certificate: &TbsCertificate,
    ) -> Result<Vec<Extension>, x509_cert::builder::Error> {
        let mut extensions = Vec::new();
        match &self.extensions {
            Extensions::Root => {
                let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
                extensions.push(usage.to_extension(&self.subject, &extensions)?);
                let constraints = BasicConstraints { ca: true, path_len_constraint: Some(0) };
                extensions.push(constraints.to_extension(&self.subject, &extensions)?);
            }
            Extensions::Signer(revocations) => {
                let usage = KeyUsage(KeyUsages::DigitalSignature.into());
                extensions.push(usage.to_extension(&self.subject, &extensions)?);
                let constraints = BasicConstraints { ca: false, path_len_constraint: None };
                extensions.push((true, &constraints).to_extension(&self.subject, &extensions)?);
                if let Some(address) = revocations {
                    let name = GeneralName::UniformResourceIdentifier(Ia5String::new(address)?);
                    let point = DistributionPoint {
                        distribution_point: Some(DistributionPointName::FullName(vec![name])),
                        reasons: None,
                        crl_issuer: None,
                    };
                    let points = CrlDistributionPoints(vec![point]);
                    extensions.push((&points).to_extension(&self.subject, &extensions)?);
                }
                let identifier = AuthorityKeyIdentifier::try_from(issuer_key)?;
                extensions.push((&identifier).to_extension(&self.subject, &extensions)?);
            }
            Extensions::Leaf(..) | Extensions::U2fLeaf => {
                let constraints = BasicConstraints { ca: false, path_len_constraint: None };
                extensions.push((true, &constraints).to_extension(&self.subject, &extensions)?);
                // None of the three is ever critical.
                if let Extensions::Leaf(_, _, Some(serial_number)) = &self.extensions {
                    let value = OctetString::new(serial_number.as_slice())?;
                    extensions.push((SERIAL_NUMBER_EXTENSION, false, &value).to_extension(&self.subject, &extensions)?);
                }
                if let Extensions::Leaf(aaguid, ..) = &self.extensions {
                    // The value is an OCTET STRING inside the extension's own.
                    let value = OctetString::new(aaguid.0.as_slice())?;
                    extensions.push((AAGUID_EXTENSION, false, &value).to_extension(&self.subject, &extensions)?);
                }
                if let Extensions::U2fLeaf | Extensions::Leaf(_, true, _) = &self.extensions {
                    // Bit 2 from the left is USB.
                    let usb = BitString::new(5, [0x20])?;
                    extensions.push((U2F_TRANSPORTS_EXTENSION, false, &usb).to_extension(&self.subject, &extensions)?);
                }
                let identifier = AuthorityKeyIdentifier::try_from(issuer_key)?;
                extensions.push((&identifier).to_extension(&self.subject, &extensions)?);
            }
        }
        let identifier = SubjectKeyIdentifier::try_from(subject_key)?;
        extensions.push((&identifier).to_extension(&self.subject, &extensions)?);
        Ok(extensions)
    }
}

fn certificate(
    secret: &[u8; 32],
    subject: &str,
    key: &SigningKey,
    issuer_key: &SigningKey,
    extensions: Extensions,
) -> Result<Vec<u8>, CertificateFailed> {
    build(secret, subject, key, issuer_key, extensions)
        .map_err(|source| CertificateFailed { subject: subject.to_owned(), source })
}

fn build(
    secret: &[u8; 32],
    subject: &str,
    key: &SigningKey,
    issuer_key: &SigningKey,
    extensions: Extensions,
) -> Result<Vec<u8>, x509_cert::builder::Error> {
    let public_key = SubjectPublicKeyInfo::from_key(key.verifying_key())?;
    let profile =
        CertificateProfile { subject: Name::from_str(subject)?, issuer: Name::from_str(ROOT_NAME)?, extensions };
    // Positive and at most 20 bytes (RFC 5280 §4.1.2.2).
    let mut serial: [u8; 16] = *mac(secret, &[b"serial number", subject.as_bytes()]).first_chunk().unwrap_or(&[1; 16]);
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7F | 0x40;
    }
    let serial = SerialNumber::<Rfc5280>::new(&serial)?;
    let builder = CertificateBuilder::new(profile, serial, validity()?, public_key)?;
    Ok(builder.build::<_, DerSignature>(issuer_key)?.to_der()?)
}

/// Fixed, so that a certificate is the same on every day; the end is the last second that a UTCTime can say.
fn validity() -> Result<Validity, x509_cert::builder::Error> {
    let start = UtcTime::from_date_time(DateTime::new(2020, 1, 1, 0, 0, 0)?)?;
    let end = UtcTime::from_date_time(DateTime::new(2049, 12, 31, 23, 59, 59)?)?;
    Ok(Validity::new(Time::UtcTime(start), Time::UtcTime(end)))
}
