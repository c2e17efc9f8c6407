//! FIDO metadata as a source of trust: whose BLOB it is (FIDO Metadata Service 3.1 §3.2), and what it says of a model.

use core::time::Duration;
use std::time::SystemTime;

use keyrig_ctap::Aaguid;
use keyrig_metadata::{Blob, Date, Document, Entry, Jwt, ReadError, Statement, Status};
use thiserror::Error;
use x509_cert::certificate::Raw;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};

use super::certificate::{Certificate, signature_scheme};
use super::trust::TrustAnchors;
use crate::public_key::{Hash, Library, Scheme};

/// Metadata whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedMetadata {
    blob: Blob,
    checked: bool,
}

/// Why metadata cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UntrustedMetadata {
    /// It is no BLOB.
    #[error("it is no BLOB: {0}")]
    Unreadable(#[from] ReadError),
    /// It is not signed.
    #[error("it has no signature: give the JWT, and not its payload")]
    Unsigned,
    /// It does not say by whom it is signed.
    #[error("it has no certificates (x5c), by which it would be told who signed it")]
    NoCertificates,
    /// It is signed in a way that is not supported.
    #[error("it is signed with {0:?}: only ES256, ES384 and RS256 are supported")]
    Algorithm(String),
    /// Who signed it is vouched for by nobody who is trusted.
    #[error("who signed it is not vouched for by a trusted root: {0}")]
    Chain(String),
    /// A certificate is revoked.
    #[error("{0} is revoked")]
    Revoked(String),
    /// A list of revocations cannot be relied on.
    #[error("list {number} of revocations cannot be used: {reason}")]
    Revocations {
        /// Which one of those given, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The signature is wrong.
    #[error("its signature is not valid")]
    Signature,
}

/// What metadata says of a model that registers.
pub(super) struct Judgement {
    /// What was found, or why the model is refused.
    pub(super) said: Result<String, String>,
    /// Where its attestation has to lead.
    pub(super) anchors: Option<Result<TrustAnchors, String>>,
}

impl TrustedMetadata {
    /// Reads metadata, a JWT, and verifies who signed it: a path of certificates to one of the roots, none of them on one of the lists of revocations (DER),
    /// and the signature. Every list has to be in force and signed by whose list it is.
    ///
    /// # Errors
    /// [`UntrustedMetadata`].
    pub fn verify(
        document: &[u8],
        roots: &TrustAnchors,
        revocations: &[Vec<u8>],
        now: SystemTime,
    ) -> Result<Self, UntrustedMetadata> {
        let Document { blob, jwt } = Document::read(document)?;
        let Jwt { header, signed, signature, .. } = jwt.ok_or(UntrustedMetadata::Unsigned)?;
        let (scheme, width) = match header.alg.as_str() {
            "ES256" => (Scheme::Ecdsa(Hash::Sha256), Some(32)),
            "ES384" => (Scheme::Ecdsa(Hash::Sha384), Some(48)),
            "RS256" => (Scheme::RsaPkcs1(Hash::Sha256), None),
            _ => return Err(UntrustedMetadata::Algorithm(header.alg.chars().take(32).collect())),
        };
        let library = Library::fastest();
        let chain: Vec<_> = header.x5c.iter().take(MAX_CERTIFICATES).map(|der| Certificate::parse(&der.0)).collect();
        let signer = chain.first().ok_or(UntrustedMetadata::NoCertificates)?;
        let signer = signer.as_ref().map_err(|reason| UntrustedMetadata::Chain(reason.clone()))?;
        roots.find_path(&chain, now, library).map_err(UntrustedMetadata::Chain)?;
        for (index, list) in revocations.iter().enumerate() {
            let unusable = |reason| UntrustedMetadata::Revocations { number: index + 1, reason };
            let issuers = chain.iter().filter_map(|certificate| certificate.as_ref().ok()).chain(roots.certificates());
            let list = Revocations::read(list, issuers, now, library).map_err(unusable)?;
            let revoked = chain.iter().filter_map(|certificate| certificate.as_ref().ok()).find(|it| list.has(it));
            if let Some(revoked) = revoked {
                return Err(UntrustedMetadata::Revoked(revoked.subject()));
            }
        }
        let signature = match width {
            Some(width) => ecdsa_der(&signature, width).ok_or(UntrustedMetadata::Signature)?,
            None => signature,
        };
        let key = signer.public_key.as_ref().map_err(|reason| UntrustedMetadata::Chain(reason.clone()))?;
        if !key.verify(library, scheme, &[signed.as_bytes()], &signature) {
            return Err(UntrustedMetadata::Signature);
        }
        Ok(Self { blob, checked: !revocations.is_empty() })
    }

    /// Its number, and the day by which there is to be another.
    #[must_use]
    pub fn number_and_next_update(&self) -> (u64, Date) {
        (self.blob.no, self.blob.next_update)
    }

    /// What it says of the model of an attestation.
    pub(super) fn judge(&self, aaguid: Aaguid, chain: &[Result<Certificate, String>], now: SystemTime) -> Judgement {
        let today = Date::of(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let refused = |reason: String| Judgement { said: Err(reason), anchors: None };
        if self.blob.next_update < today {
            return refused(format!(
                "metadata no. {}, which was to be renewed by {}",
                self.blob.no, self.blob.next_update
            ));
        }
        let Some(entry) = self.entry(aaguid, chain) else {
            return refused(format!("metadata no. {} without an entry of {aaguid}", self.blob.no));
        };
        let Some(statement) = &entry.metadata_statement else {
            return refused(format!("an entry of {aaguid} without a metadata statement"));
        };
        if statement.aaguid != entry.aaguid {
            let other = statement.aaguid.map_or_else(|| "no model of FIDO2".to_owned(), |other| other.to_string());
            return refused(format!("an entry of {aaguid} with the statement of {other}"));
        }
        let said = self.status(entry, chain, today);
        Judgement { anchors: said.is_ok().then(|| anchors(statement)), said }
    }

    fn entry(&self, aaguid: Aaguid, chain: &[Result<Certificate, String>]) -> Option<&Entry> {
        if aaguid != Aaguid::default() {
            return self.blob.entry(aaguid);
        }
        // A key of U2F has none: it is known by the key in its certificate.
        let identifier = chain.first()?.as_ref().ok()?.key_identifier()?;
        let named = |entry: &&Entry| {
            let identifiers = &entry.attestation_certificate_key_identifiers;
            identifiers.iter().any(|named| named.eq_ignore_ascii_case(&identifier))
        };
        self.blob.entries.iter().find(named)
    }

    /// Every report in force counts: a status is taken back by nothing.
    fn status(&self, entry: &Entry, chain: &[Result<Certificate, String>], today: Date) -> Result<String, String> {
        let in_force = || entry.status_reports.iter().filter(|report| report.in_force(today));
        for report in in_force().filter(|report| report.status.is_undesired()) {
            // A report of one attestation key says nothing of others.
            let named = report.certificate.as_ref().filter(|_| report.status == Status::AttestationKeyCompromise);
            let others = named.is_some_and(|named| {
                let named: String = named.split_ascii_whitespace().collect();
                !chain.iter().flatten().any(|certificate| certificate.base64() == named)
            });
            if !others {
                let since = report.effective_date.map(|date| format!(" since {date}")).unwrap_or_default();
                return Err(format!("a model that is {}{since}", report.status));
            }
        }
        let last = in_force().next_back().map_or_else(|| "no status".to_owned(), |report| report.status.to_string());
        let unchecked = if self.checked { "" } else { "; whether its signer was revoked was not looked at" };
        Ok(format!("{last} (metadata no. {}{unchecked})", self.blob.no))
    }
}

/// How many certificates of a signer are looked at.
const MAX_CERTIFICATES: usize = 8;

fn anchors(statement: &Statement) -> Result<TrustAnchors, String> {
    let certificates = statement.attestation_root_certificates.iter().map(|certificate| certificate.0.as_slice());
    TrustAnchors::from_der(certificates).map_err(|error| error.to_string())
}

/// A list of revoked certificates (RFC 5280 §5), verified.
struct Revocations {
    issuer: Vec<u8>,
    serial_numbers: Vec<Vec<u8>>,
}

impl Revocations {
    fn read<'a>(
        der: &[u8],
        mut issuers: impl Iterator<Item = &'a Certificate>,
        now: SystemTime,
        library: Library,
    ) -> Result<Self, String> {
        let wrong = |error: x509_cert::der::Error| format!("it is not DER: {error}");
        let list = CertificateList::<Raw>::from_der(der).map_err(wrong)?;
        // What was signed is the encoding that was sent.
        let signed = SliceReader::new(der).and_then(|mut reader| {
            reader.sequence(|list| {
                let signed = list.tlv_bytes()?.to_vec();
                while !list.is_finished() {
                    list.tlv_bytes()?;
                }
                Ok(signed)
            })
        });
        let signed = signed.map_err(|error: x509_cert::der::Error| wrong(error))?;
        let issuer = list.tbs_cert_list.issuer.to_der().map_err(wrong)?;
        let name = list.tbs_cert_list.issuer.to_string();
        if list.signature_algorithm != list.tbs_cert_list.signature {
            return Err("it names two signature algorithms".to_owned());
        }
        let scheme = signature_scheme(list.signature_algorithm.oid).ok_or_else(|| {
            format!("it is signed with {}, which is not supported here", list.signature_algorithm.oid)
        })?;
        let signature = list.signature.as_bytes().ok_or("its signature is not a whole number of bytes")?;
        let is_its = |certificate: &&Certificate| {
            let key = certificate.public_key.as_ref();
            certificate.has_subject(&issuer) && key.is_ok_and(|key| key.verify(library, scheme, &[&signed], signature))
        };
        if !issuers.any(|certificate| is_its(&certificate)) {
            return Err(format!("it says that it is of {name}, and nobody of the signer's path has signed it"));
        }
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if let Some(next) = list.tbs_cert_list.next_update.filter(|next| next.to_unix_duration() < now) {
            return Err(format!("it was to be renewed by {next}"));
        }
        let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
        let serial_numbers = revoked.iter().map(|revoked| revoked.serial_number.as_bytes().to_vec()).collect();
        Ok(Self { issuer, serial_numbers })
    }

    fn has(&self, certificate: &Certificate) -> bool {
        certificate.has_issuer(&self.issuer) && self.serial_numbers.contains(&certificate.serial_number())
    }
}

/// An ECDSA signature as X.509 has it, of r and s as a JWT has them (RFC 7518 §3.4).
fn ecdsa_der(raw: &[u8], width: usize) -> Option<Vec<u8>> {
    if raw.len() != 2 * width {
        return None;
    }
    let (r, s) = raw.split_at_checked(width)?;
    let integer = |bytes: &[u8]| {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(width - 1);
        let digits = bytes.get(first..).unwrap_or_default();
        let pad = digits.first().is_some_and(|byte| *byte >= 0x80);
        let length = u8::try_from(digits.len() + usize::from(pad)).ok()?;
        Some([&[0x02, length][..], if pad { &[0] } else { &[] }, digits].concat())
    };
    let both = [integer(r)?, integer(s)?].concat();
    Some([&[0x30, u8::try_from(both.len()).ok().filter(|length| *length < 0x80)?][..], &both].concat())
}
