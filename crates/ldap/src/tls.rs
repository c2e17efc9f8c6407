//! Whose certificates a directory may have.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use thiserror::Error;
use tokio_rustls::TlsConnector;

/// The TLS of a client: 1.3 and 1.2.
#[derive(Clone)]
pub struct TlsClient {
    pub(crate) connector: TlsConnector,
}

/// Why there is no TLS to be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsClientError {
    /// What is to be trusted cannot be read.
    #[error("no certificate of a CA can be read, in PEM: {0}")]
    Roots(String),
    /// The library refuses.
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

impl TlsClient {
    /// Trusts what these CAs have signed, for the name that a server is called by. PEM, which may have anything else in it.
    ///
    /// # Errors
    /// [`TlsClientError`] if there is no certificate in it.
    pub fn trusting(pem: &[u8]) -> Result<Self, TlsClientError> {
        let mut roots = RootCertStore::empty();
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsClientError::Roots(error.to_string()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(TlsClientError::Roots("there is none".to_owned()));
        }
        let config = builder()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Takes any certificate: whoever is in between reads every password.
    ///
    /// # Errors
    /// [`TlsClientError`] if the library refuses.
    pub fn danger_trusting_anybody() -> Result<Self, TlsClientError> {
        let verifier = Arc::new(Anybody(ring::default_provider()));
        let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsClientError> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsClientError::Unusable(error.to_string()))
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

/// Whoever has the key of the certificate that is shown.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
