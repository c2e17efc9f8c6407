//! Who signs FIDO metadata under the TEST root, and which of them are revoked (FIDO Metadata Service 3.1 §3.1.7; RFC 5280 §5).

use core::time::Duration;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CrlBuilder};
use x509_cert::crl::RevokedCert;
use x509_cert::der::asn1::{GeneralizedTime, UtcTime};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::CrlNumber;
use x509_cert::time::Time;

use super::{CertificateFailed, Extensions, ROOT_NAME, Root, certificate, derive, signing_key};

/// A signer of metadata: a private key on P-256, and its certificate.
#[derive(Debug)]
pub struct MetadataSigner {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl MetadataSigner {
    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Signs as ES256 of a JWT does (RFC 7518 §3.4): r and s, 32 bytes each.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.key.sign(message);
        signature.to_bytes().into()
    }
}

impl Root {
    /// A signer of metadata: each name is another. Its certificate says where the list of revoked certificates is, if there is an
    /// address.
    ///
    /// # Errors
    /// [`CertificateFailed`] if the certificate cannot be encoded.
    pub fn metadata_signer(&self, name: &str, crl: Option<&str>) -> Result<MetadataSigner, CertificateFailed> {
        let private_key = derive(&self.secret, &[b"metadata signer ", name.as_bytes()].concat());
        let subject = format!("CN=keyrig TEST metadata {name},O=keyrig,C=XX");
        let extensions = Extensions::Signer(crl.map(str::to_owned));
        let key = signing_key(&private_key, &subject)?;
        let certificate = certificate(&self.secret, &subject, &key, &self.signer, extensions)?;
        Ok(MetadataSigner { key, certificate })
    }

    /// The list of certificates that the root has revoked, DER, as it is between two moments since 1970 began.
    ///
    /// # Errors
    /// [`CertificateFailed`] if it cannot be encoded.
    pub fn revocation_list(
        &self,
        revoked: &[&MetadataSigner],
        from: Duration,
        until: Duration,
    ) -> Result<Vec<u8>, CertificateFailed> {
        self.list(revoked, from, until)
            .map_err(|source| CertificateFailed { subject: format!("the revocations of {ROOT_NAME}"), source })
    }

    fn list(
        &self,
        revoked: &[&MetadataSigner],
        from: Duration,
        until: Duration,
    ) -> Result<Vec<u8>, x509_cert::builder::Error> {
        let mut entries = Vec::new();
        for signer in revoked {
            let serial_number = Certificate::from_der(&signer.certificate)?.tbs_certificate().serial_number().clone();
            entries.push(RevokedCert { serial_number, revocation_date: time(from)?, crl_entry_extensions: None });
        }
        let issuer = Certificate::from_der(&self.certificate)?;
        // Each list has a higher number than the one before.
        let number = CrlNumber(x509_cert::der::asn1::Uint::new(&from.as_secs().to_be_bytes())?);
        let mut builder =
            CrlBuilder::new_with_this_update(&issuer, number, time(from)?)?.with_next_update(Some(time(until)?));
        if !entries.is_empty() {
            builder = builder.with_certificates(entries.into_iter());
        }
        Ok(builder.build::<_, DerSignature>(&self.signer)?.to_der()?)
    }
}

/// To the second; until 2049 as RFC 5280 §4.1.2.5 wants it written.
fn time(since_1970: Duration) -> Result<Time, x509_cert::builder::Error> {
    let seconds = Duration::from_secs(since_1970.as_secs());
    Ok(match UtcTime::from_unix_duration(seconds) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(seconds)?),
    })
}
