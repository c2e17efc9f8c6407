//! Asks a host over HTTP, with bounds to whom is asked and to what comes of it: hosts that somebody named, https (or this
//! machine), three redirects, 256 KiB, five seconds, and addresses that were looked at before they are connected to.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderName};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use keyrig_client::related_origins::MAX_BYTES;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// How many redirects are followed.
pub const MAX_REDIRECTS: usize = 3;

/// How long one thing may take to fetch, redirects with it.
pub const TIME: Duration = Duration::from_secs(5);

/// Asks hosts.
pub struct Fetcher {
    tls: TlsConnector,
    named: Vec<String>,
    pinned: Vec<Pinned>,
    resolve: Resolve,
    /// What names came to, so that each is looked up once: an answer that changes is not seen.
    resolved: BTreeMap<(String, u16), Vec<SocketAddr>>,
}

/// Looks up a name and a port.
pub type Resolve = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Where a host's port is, whatever its name resolves to: `HOST:PORT:ADDR`, as curl has it; `ADDR` may have a port of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    host: String,
    port: u16,
    address: SocketAddr,
}

/// Why a text is no [`Pinned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write HOST:PORT:ADDR, as example.com:443:192.0.2.1; ADDR is an IP address, with a port if that is another")]
pub struct InvalidPinned;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Location` header of a redirect.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing was fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// It is at no host that was named, and whoever wrote the address may be somebody else.
    #[error("{0} was not named, so nothing was asked of it")]
    NotNamed(String),
    /// Anybody on the way could change it.
    #[error("{0} is not https: over plain http only this machine is asked")]
    NotHttps(String),
    /// Its address is no URL of a host.
    #[error("{0} has no host")]
    NoHost(String),
    /// Its name is not known.
    #[error("{host} does not resolve: {error}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        error: io::Error,
    },
    /// Its name leads into a private network, or to this machine.
    #[error("{host} resolves to {address}, which is no address of the Internet: nothing was asked of it")]
    NotPublic {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// Nobody listens there.
    #[error("{host} cannot be connected to at {address}: {error}")]
    Unconnected {
        /// The host.
        host: String,
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        error: io::Error,
    },
    /// Its certificate is not good.
    #[error("{host} speaks no TLS that is trusted here: {error}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// It speaks no HTTP/1.1.
    #[error("{host} does not answer as HTTP has it: {error}")]
    Http {
        /// The host.
        host: String,
        /// Why.
        error: hyper::Error,
    },
    /// It takes too long.
    #[error("{host} has not answered within {} seconds", TIME.as_secs())]
    TooSlow {
        /// The host.
        host: String,
    },
    /// It has too much to say.
    #[error("{host} answers with more than {} KiB", MAX_BYTES >> 10)]
    TooLong {
        /// The host.
        host: String,
    },
    /// It sends around.
    #[error("{0} redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects(String),
    /// It sends to no address.
    #[error("{address} redirects to {location:?}: {error}")]
    Redirect {
        /// What was asked for.
        address: String,
        /// Where it sends.
        location: String,
        /// What is wrong with that.
        error: url::ParseError,
    },
}

/// Why certificates cannot be trusted that are given.
#[derive(Debug, Error)]
pub enum TrustError {
    /// There is none.
    #[error("there is no certificate in PEM: {0}")]
    NoCertificate(String),
    /// One cannot be a root.
    #[error("a certificate can be no root: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Fetcher {
    /// Asks hosts of these names and those above them, trusting whom this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR`,
    /// if they are set) and, in PEM, `ca`.
    ///
    /// # Errors
    /// [`TrustError`], if there is no certificate in `ca`.
    pub fn new(named: Vec<String>, pinned: Vec<Pinned>, ca: Option<&[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // What of the system's cannot be read is trusted less, and told by the certificate that is refused then.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(ca) = ca {
            let none = |error: String| TrustError::NoCertificate(error);
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(ca)
                .collect::<Result<_, _>>()
                .map_err(|error| none(error.to_string()))?;
            if certificates.is_empty() {
                return Err(none("the file has none".to_owned()));
            }
            for certificate in certificates {
                roots.add(certificate)?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config =
            builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let named = named.into_iter().map(|name| normal(&name)).collect();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { tls, named, pinned, resolve: Arc::new(by_system), resolved: BTreeMap::new() })
    }

    /// Looks up names in another way than the system's.
    #[must_use]
    pub fn resolving(self, resolve: Resolve) -> Self {
        Self { resolve, ..self }
    }

    /// Whether a host was named, or is above one that was. A public suffix is nobody's.
    #[must_use]
    pub fn may_ask(&self, host: &str) -> bool {
        let host = normal(host);
        let is_above = |named: &String| named.strip_suffix(&host).is_some_and(|rest| rest.ends_with('.'));
        let is_site = || matches!(Host::parse(&host), Ok(Host::Domain(_))) && psl::domain_str(&host).is_some();
        self.named.contains(&host) || is_site() && self.named.iter().any(is_above)
    }

    /// What comes of asking, with redirects followed; those after POST become GET, but for 307 and 308 (RFC 9110 §15.4).
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&mut self, address: &Url, json: Option<&str>) -> Result<(Url, Answer), FetchError> {
        let following = async {
            let (mut at, mut json) = (address.clone(), json);
            for _ in 0..=MAX_REDIRECTS {
                let answer = self.once(&at, json).await?;
                let Some(location) = &answer.location else { return Ok((at, answer)) };
                at = at.join(location).map_err(|error| FetchError::Redirect {
                    address: at.to_string(),
                    location: location.clone(),
                    error,
                })?;
                // This machine may be asked by its user, and not by another.
                if at.scheme() != "https" {
                    return Err(FetchError::NotHttps(at.to_string()));
                }
                json = json.filter(|_| matches!(answer.status, 307 | 308));
            }
            Err(FetchError::TooManyRedirects(address.to_string()))
        };
        let host = address.host_str().unwrap_or_default().to_owned();
        tokio::time::timeout(TIME, following).await.unwrap_or(Err(FetchError::TooSlow { host }))
    }

    /// What comes of asking once: a GET, or a POST of JSON.
    pub(super) async fn once(&mut self, address: &Url, json: Option<&str>) -> Result<Answer, FetchError> {
        let no_host = || FetchError::NoHost(address.to_string());
        let host = address.host().ok_or_else(no_host)?;
        let name = address.host_str().ok_or_else(no_host)?;
        let is_here = is_this_machine(&host);
        if !(address.scheme() == "https" || address.scheme() == "http" && is_here) {
            return Err(FetchError::NotHttps(address.to_string()));
        }
        if !self.may_ask(name) {
            return Err(FetchError::NotNamed(name.to_owned()));
        }
        let port = address.port_or_known_default().ok_or_else(no_host)?;
        let addresses = self.addresses(&host, port).await?;
        let stream = connect(name, &addresses).await?;
        if address.scheme() == "http" {
            return ask(stream, address, json).await;
        }
        let failed = |error| FetchError::Tls { host: name.to_owned(), error };
        let server = match host {
            Host::Domain(domain) => {
                let known = ServerName::try_from(domain.to_owned());
                known.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?
            }
            Host::Ipv4(address) => ServerName::from(IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(address)),
        };
        ask(self.tls.connect(server, stream).await.map_err(failed)?, address, json).await
    }

    /// Where a host is. A name of the Internet has to be there: whoever has it could have it lead into a network that is closed
    /// to them.
    async fn addresses(&mut self, host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        let name = match host {
            Host::Ipv4(address) => return Ok(vec![(*address, port).into()]),
            Host::Ipv6(address) => return Ok(vec![(*address, port).into()]),
            Host::Domain(name) => normal(name),
        };
        if let Some(pinned) = self.pinned.iter().find(|pinned| (&pinned.host, pinned.port) == (&name, port)) {
            return Ok(vec![pinned.address]);
        }
        if is_this_machine(host) {
            // RFC 6761 §6.3: no resolver is asked.
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
        }
        if let Some(known) = self.resolved.get(&(name.clone(), port)) {
            return Ok(known.clone());
        }
        let unresolved = |error| FetchError::Unresolved { host: name.clone(), error };
        let addresses = look_up(self.resolve.clone(), name.clone(), port).await.map_err(unresolved)?;
        if addresses.is_empty() {
            return Err(unresolved(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
        }
        if let Some(closed) = addresses.iter().find(|address| !is_of_the_internet(address.ip())) {
            return Err(FetchError::NotPublic { host: name, address: closed.ip() });
        }
        self.resolved.insert((name, port), addresses.clone());
        Ok(addresses)
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("named", &self.named).field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

impl FromStr for Pinned {
    type Err = InvalidPinned;

    fn from_str(text: &str) -> Result<Self, InvalidPinned> {
        let mut parts = text.splitn(3, ':');
        let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidPinned);
        };
        let port = port.parse().map_err(|_| InvalidPinned)?;
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = match bare.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, port),
            Err(_) => address.parse().map_err(|_| InvalidPinned)?,
        };
        if host.is_empty() {
            return Err(InvalidPinned);
        }
        Ok(Self { host: normal(host), port, address })
    }
}

/// A name as it is compared: in lower case, without the root's dot.
fn normal(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

/// Whether a host is this machine whatever any resolver says.
fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = normal(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn by_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?.collect())
}

/// On a thread of its own, for which nobody waits who has no more time.
async fn look_up(resolve: Resolve, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        // Nobody listens any more: then nobody wants it.
        let _ = tell.send(resolve(&host, port));
    })?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the resolver has panicked")))
}

async fn connect(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                failed = Some(FetchError::Unconnected { host: host.to_owned(), address: *address, error });
            }
        }
    }
    Err(failed.unwrap_or_else(|| FetchError::NoHost(host.to_owned())))
}

/// Asks on a connection, which ends with the answer.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: &Url,
    json: Option<&str>,
) -> Result<Answer, FetchError> {
    let host = address.host_str().unwrap_or_default().to_owned();
    let failed = |error| FetchError::Http { host: host.clone(), error };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = Hangs(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection ended");
        }
    }));
    let authority = address.port().map_or(host.clone(), |port| format!("{host}:{port}"));
    let target = address.query().map_or(address.path().to_owned(), |query| format!("{}?{query}", address.path()));
    let mut request = Request::builder()
        .method(if json.is_some() { Method::POST } else { Method::GET })
        .uri(target)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, concat!("keyrig/", env!("CARGO_PKG_VERSION")));
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request =
        request.body(json.unwrap_or_default().to_owned()).map_err(|_| FetchError::NoHost(address.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let header = |name: HeaderName| of(&response, &name);
    let status = response.status();
    let location = header(header::LOCATION).filter(|_| matches!(status.as_u16(), 301..=303 | 307 | 308));
    let (content_type, status) = (header(header::CONTENT_TYPE), status.as_u16());
    let body = match location {
        Some(_) => Vec::new(),
        None => read(response.into_body(), &host).await?,
    };
    drop(connection);
    Ok(Answer { status, content_type, location, body })
}

/// A connection that is hung up when nobody reads from it any more.
struct Hangs(tokio::task::JoinHandle<()>);

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn of(response: &Response<Incoming>, name: &HeaderName) -> Option<String> {
    response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn read(mut body: Incoming, host: &str) -> Result<Vec<u8>, FetchError> {
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| FetchError::Http { host: host.to_owned(), error })?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if read.len().saturating_add(data.len()) > MAX_BYTES {
            return Err(FetchError::TooLong { host: host.to_owned() });
        }
        read.extend_from_slice(&data);
    }
    Ok(read)
}

/// Whether an address is one of the Internet: neither private nor of this machine or link, nor of another purpose (IANA's registries
/// of special-purpose addresses, RFC 6890).
pub(super) fn is_of_the_internet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || matches!(
                    (a, b, c),
                    (0 | 224.., ..) | (100, 64..=127, _) | (198, 18 | 19, _) | (192, 0, 0) | (192, 88, 99)
                ))
        }
        IpAddr::V6(address) => match address.segments() {
            // NAT64 (RFC 6052): the address is in it.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
                is_of_the_internet(Ipv4Addr::new(a, b, c, d).into())
            }
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
            [first, ..] => matches!(first, 0x2000..=0x3fff),
        },
    }
}

#[cfg(test)]
mod tests;
