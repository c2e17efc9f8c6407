//! Whose certificates a directory may have.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
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
    /// The own certificate cannot be read.
    #[error("no certificate can be read, in PEM: {0}")]
    Certificate(String),
    /// Its key cannot be read.
    #[error("no private key can be read, in PEM (PKCS #8, SEC 1 or PKCS #1): {0}")]
    Key(String),
    /// The library refuses, such as a key that is another certificate's.
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

/// What a client shows of itself to a server that asks: a certificate and its key.
#[derive(Debug)]
pub struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl OwnCertificate {
    /// Reads a certificate, with those that lead to its root if there are any, and its key, both in PEM.
    ///
    /// # Errors
    /// [`TlsClientError`] if either is none.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsClientError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsClientError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsClientError::Certificate("there is none".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsClientError::Key(error.to_string()))?;
        Ok(Self { chain, key })
    }
}

impl TlsClient {
    /// Trusts what these CAs have signed, for the name that a server is called by. PEM, which may have anything else in it. A server that
    /// asks who the client is, is shown `own`.
    ///
    /// # Errors
    /// [`TlsClientError`] if there is no certificate in it, or the own one has another key.
    pub fn trusting(pem: &[u8], own: Option<OwnCertificate>) -> Result<Self, TlsClientError> {
        let mut roots = RootCertStore::empty();
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsClientError::Roots(error.to_string()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(TlsClientError::Roots("there is none".to_owned()));
        }
        let builder = builder()?.with_root_certificates(roots);
        let config = match own {
            Some(OwnCertificate { chain, key }) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsClientError::Unusable(error.to_string()))?,
            None => builder.with_no_client_auth(),
        };
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
