//! TLS on a listener: a certificate with its key, and the beginning of a connection.

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Unreadable;
use crate::connections::Place;

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// A certificate and its key, to serve with: TLS 1.3 and 1.2, for HTTP/1.1.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Why a certificate cannot be served with.
#[derive(Debug, Error)]
pub enum TlsError {
    /// There is no certificate, or something else in PEM is none.
    #[error("there is no certificate in PEM: {0}")]
    Certificate(String),
    /// There is no private key.
    #[error("there is no private key in PEM (PKCS #8, SEC 1 or PKCS #1): {0}")]
    Key(String),
    /// The key is another certificate's, or of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate, with those that lead to its root if there are any, and its key, both in PEM.
    ///
    /// # Errors
    /// [`TlsError`] if either is none, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate("the file has none".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config =
            builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Begins a connection. `None` if there comes no TLS in time, or the place is needed, or `ended` is true: whoever speaks HTTP is told
    /// then that it has to be over TLS.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        place: &Place,
        mut ended: watch::Receiver<bool>,
    ) -> Option<TlsStream<S>> {
        let deadline = place.connection.deadline().unwrap_or_else(Instant::now);
        tokio::select! {
            accepted = self.0.accept(stream) => match accepted {
                Ok(stream) => Some(stream),
                Err(error) => {
                    tracing::debug!(%error, "no TLS");
                    None
                }
            },
            () = place.connection.is_closed() => None,
            _ = ended.wait_for(|ended| *ended) => None,
            () = sleep_until(deadline) => None,
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Whether what comes on a connection is TLS; whoever speaks something else is told so.
pub(crate) async fn is_tls(
    stream: &mut TcpStream,
    place: &Place,
    unreadable: Unreadable,
    mut ended: watch::Receiver<bool>,
) -> bool {
    let deadline = place.connection.deadline().unwrap_or_else(Instant::now);
    let mut first = [0];
    let looked = async {
        let length = stream.peek(&mut first).await?;
        if length == 1 && first == [HANDSHAKE] {
            return Ok(true);
        }
        let (status, body) = (StatusCode::UPGRADE_REQUIRED, unreadable(StatusCode::UPGRADE_REQUIRED));
        let head = format!(
            "HTTP/1.1 {status}\r\nupgrade: TLS/1.2, HTTP/1.1\r\nconnection: upgrade, close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head, body].concat().into_bytes()).await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>(false)
    };
    tokio::select! {
        looked = looked => looked.unwrap_or(false),
        () = place.connection.is_closed() => false,
        _ = ended.wait_for(|ended| *ended) => false,
        () = sleep_until(deadline) => false,
    }
}
