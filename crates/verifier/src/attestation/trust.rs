//! The path from an attestation certificate to a trust anchor (WebAuthn Level 3, §7.1; RFC 5280, §6.1, as far as
//! attestation uses it: names, signatures, validity, basic constraints and key usage; no revocation, no policies).

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::certificate::Certificate;
use crate::public_key::Library;

/// The certificates that attestation is traced back to: roots, or the attestation certificates of keys themselves.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    anchors: Vec<Certificate>,
}

/// Why a certificate cannot be a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("trust anchor {number} cannot be used: {reason}")]
pub struct InvalidTrustAnchor {
    /// Which one of those given, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl TrustAnchors {
    /// Trust anchors from DER.
    ///
    /// # Errors
    /// At the first that is not a certificate, or has a key that is not supported.
    pub fn from_der<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, InvalidTrustAnchor> {
        let anchor = |(index, der)| {
            let invalid = |reason| InvalidTrustAnchor { number: index + 1, reason };
            let certificate = Certificate::parse(der).map_err(invalid)?;
            match &certificate.public_key {
                Ok(_) => Ok(certificate),
                Err(reason) => Err(invalid(reason.clone())),
            }
        };
        Ok(Self { anchors: certificates.into_iter().enumerate().map(anchor).collect::<Result<_, _>>()? })
    }

    /// Trust anchors from PEM: any number of `CERTIFICATE` blocks, with any text between them.
    ///
    /// # Errors
    /// As [`Self::from_der`], and if a block is not base64 or does not end.
    pub fn from_pem(text: &str) -> Result<Self, InvalidTrustAnchor> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let block = |(index, rest): (usize, &str)| {
            let invalid = |reason: &str| InvalidTrustAnchor { number: index + 1, reason: reason.to_owned() };
            let (body, _) = rest.split_once(END).ok_or_else(|| invalid("its PEM block does not end"))?;
            let base64: String = body.split_whitespace().collect();
            STANDARD.decode(base64).map_err(|error| invalid(&format!("its PEM block is not base64: {error}")))
        };
        let blocks = text.split(BEGIN).skip(1).enumerate().map(block).collect::<Result<Vec<_>, _>>()?;
        Self::from_der(blocks.iter().map(Vec::as_slice))
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.anchors.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there is none, so that no attestation can be traced back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The subject of the anchor that a chain leads to, or why it leads to none. The validity of an anchor itself does not
    /// matter (RFC 5280, §6.1).
    pub(super) fn find_path(
        &self,
        chain: &[Result<Certificate, String>],
        now: SystemTime,
        library: Library,
    ) -> Result<String, String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut below = None::<&Certificate>;
        for (issuers, certificate) in chain.iter().enumerate() {
            let certificate = certificate.as_ref().map_err(Clone::clone)?;
            if let Some(below) = below {
                is_issued(below, certificate, issuers - 1, library)?;
            }
            if let Some(anchor) = self.anchors.iter().find(|anchor| anchor.der == certificate.der) {
                return Ok(anchor.subject());
            }
            if !certificate.is_valid_at(now) {
                return Err(format!("{} is valid from {}, not now", certificate.subject(), certificate.validity()));
            }
            let mut issuer_of_anchor = self.anchors.iter().filter(|anchor| certificate.names_as_issuer(anchor));
            if let Some(anchor) =
                issuer_of_anchor.find(|anchor| is_issued(certificate, anchor, issuers, library).is_ok())
            {
                return Ok(anchor.subject());
            }
            below = Some(certificate);
        }
        let last = below.ok_or("no certificate")?;
        Err(format!("{}, issued by {}, which no trust anchor is or signed", last.subject(), last.issuer()))
    }
}

fn is_issued(certificate: &Certificate, issuer: &Certificate, below: usize, library: Library) -> Result<(), String> {
    if !certificate.names_as_issuer(issuer) {
        return Err(format!(
            "{} is issued by {}, not by {}",
            certificate.subject(),
            certificate.issuer(),
            issuer.subject()
        ));
    }
    issuer.may_issue(below)?;
    match certificate.is_signed_by(issuer, library) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} is not signed by {}", certificate.subject(), issuer.subject())),
        Err(problem) => Err(problem),
    }
}
