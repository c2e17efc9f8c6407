//! One connection to one server, with a bound to each answer.

use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ber::{Malformed, message_length};
use crate::filter::Filter;
use crate::message::{self, Answer, Found, LdapResult, Request, Scope, code};
#[cfg(feature = "tls")]
use crate::tls::TlsClient;

/// How many entries a page of a search has. Active Directory gives at most 1000 at once.
const PAGE: u32 = 500;

/// How much there is room for at each reading.
const CHUNK: usize = 16 * 1024;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name, which its certificate has to have, or an address.
    pub host: String,
    /// A port of TCP.
    pub port: u16,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How what is said is kept from others.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all.
    Plain,
    /// TLS from the first byte.
    #[cfg(feature = "tls")]
    Ldaps(TlsClient),
    /// TLS that is asked for before anything else is said (RFC 4511, section 4.14): no TLS, no word more.
    #[cfg(feature = "tls")]
    StartTls(TlsClient),
}

/// What a server can draw out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long a connection may take to be there, with its TLS.
    pub connect: Duration,
    /// For how long the next message of an answer may take.
    pub answer: Duration,
    /// The longest message, bytes.
    pub message_bytes: usize,
    /// The most entries of a search.
    pub entries: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no connection.
    #[error("{server} cannot be reached: {reason}")]
    Unreachable {
        /// Which server.
        server: String,
        /// The operating system's words.
        reason: String,
    },
    /// It takes too long.
    #[error("{server} did not {what} within {} s", .limit.as_secs_f32())]
    TooSlow {
        /// Which server.
        server: String,
        /// What it was to do.
        what: &'static str,
        /// The time that it had.
        limit: Duration,
    },
    /// There is no TLS, or not with whom it should be.
    #[error("there is no TLS with {server}: {reason}")]
    Tls {
        /// Which server.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection ended.
    #[error("{server} ended the connection: {reason}")]
    Ended {
        /// Which server.
        server: String,
        /// Why, as far as it is known.
        reason: String,
    },
    /// What came is no answer.
    #[error("{server} does not speak LDAP as it should: {malformed}")]
    Malformed {
        /// Which server.
        server: String,
        /// What is wrong with it.
        malformed: Malformed,
    },
    /// A message is too long.
    #[error("{server} sent a message of {bytes} bytes, which is more than {longest}")]
    TooLong {
        /// Which server.
        server: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        longest: usize,
    },
    /// A search has more entries than it may have.
    #[error("{server} has more than {most} entries to this search")]
    TooMany {
        /// Which server.
        server: String,
        /// How many there may be.
        most: usize,
    },
    /// The server says that it has more than it gives.
    #[error(
        "{server} gives no more than {entries} entries to this search, and has more: it has a size limit for who asks"
    )]
    CutOff {
        /// Which server.
        server: String,
        /// How many it gave.
        entries: usize,
    },
    /// The server names another one.
    #[error("{server} refers to another server for {what}: referrals are not followed, name that server instead")]
    Referral {
        /// Which server.
        server: String,
        /// What was asked for.
        what: &'static str,
    },
    /// The server refuses.
    #[error("{server} refused {what}: result {code}{}", if .message.is_empty() { String::new() } else { format!(", {}", .message) })]
    Refused {
        /// Which server.
        server: String,
        /// What was asked for.
        what: &'static str,
        /// The result code.
        code: u32,
        /// The server's words.
        message: String,
    },
    /// A bind without a password would succeed whoever is named (RFC 4513, section 5.1.2): it is not sent.
    #[error("a bind without a password proves nothing, and is not sent (RFC 4513, section 5.1.2)")]
    EmptyPassword,
    /// A bind without a name would be anonymous (RFC 4513, section 5.1.1): it is not sent.
    #[error("a bind without a name proves nothing, and is not sent (RFC 4513, section 5.1.1)")]
    EmptyName,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The entry from which on.
    pub base: &'a str,
    /// How far.
    pub scope: Scope,
    /// Which entries.
    pub filter: &'a Filter,
    /// The attributes that are asked for.
    pub attributes: &'a [&'a str],
    /// At most so many are asked for; `None` asks for all, in pages.
    pub size_limit: Option<u32>,
}

/// A connection to a server.
pub struct Connection {
    stream: Box<dyn Stream>,
    server: String,
    limits: Limits,
    /// What has come and was not looked at yet.
    buffer: Vec<u8>,
    last_id: u32,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`enum@Error`] if there is no connection in time, or none with the security that is asked for.
    pub async fn open(server: &Server, security: &Security, limits: Limits) -> Result<Self, Error> {
        let name = server.to_string();
        let limit = limits.connect;
        let opened = timeout(limit, Self::open_in_time(server, security, limits)).await;
        opened.unwrap_or(Err(Error::TooSlow { server: name, what: "take a connection", limit }))
    }

    async fn open_in_time(server: &Server, security: &Security, limits: Limits) -> Result<Self, Error> {
        let name = server.to_string();
        let connected = TcpStream::connect((server.host.as_str(), server.port)).await;
        let stream =
            connected.map_err(|error| Error::Unreachable { server: name.clone(), reason: error.to_string() })?;
        // A small request is not to wait for the answer to the last one.
        if let Err(error) = stream.set_nodelay(true) {
            return Err(Error::Unreachable { server: name, reason: error.to_string() });
        }
        match security {
            Security::Plain => Ok(Self::over(stream, name, limits)),
            #[cfg(feature = "tls")]
            Security::Ldaps(tls) => {
                let stream = over_tls(stream, tls, server).await?;
                Ok(Self::over(stream, name, limits))
            }
            #[cfg(feature = "tls")]
            Security::StartTls(tls) => {
                let mut stream = stream;
                start_tls(&mut stream, &name, limits).await?;
                let stream = over_tls(stream, tls, server).await?;
                Ok(Self::over(stream, name, limits))
            }
        }
    }

    fn over(stream: impl Stream + 'static, server: String, limits: Limits) -> Self {
        Self { stream: Box::new(stream), server, limits, buffer: Vec::new(), last_id: 0 }
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = if self.last_id >= 0x7fff_ffff { 1 } else { self.last_id + 1 };
        self.last_id
    }

    /// Proves to be somebody by a password. What the server says of it: [`code::SUCCESS`] alone is a yes.
    ///
    /// # Errors
    /// [`enum@Error`] if there is no answer, or it would prove nothing: without a name or a password.
    pub async fn bind(&mut self, name: &str, password: &str) -> Result<LdapResult, Error> {
        if password.is_empty() {
            return Err(Error::EmptyPassword);
        }
        if name.is_empty() {
            return Err(Error::EmptyName);
        }
        let id = self.next_id();
        self.send(&message::bind(id, name, password)).await?;
        match self.receive(id).await? {
            Answer::Bind(LdapResult { code: code::REFERRAL, .. }) => {
                Err(Error::Referral { server: self.server.clone(), what: "a bind" })
            }
            Answer::Bind(result) => Ok(result),
            _ => Err(self.malformed(Malformed("an answer to something else"))),
        }
    }

    /// Searches. Entries of other servers are not looked for.
    ///
    /// # Errors
    /// [`enum@Error`] if there is no whole answer: what came of it before is not given.
    pub async fn search(&mut self, search: &Search<'_>) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut cookie = Vec::new();
        // Each page has something, or there would be no end.
        loop {
            let before = found.entries.len();
            let next = self.page(search, &cookie, &mut found).await?;
            match next {
                Some(next) if found.entries.len() > before => cookie = next,
                Some(_) => return Err(self.malformed(Malformed("a page without an entry that is not the last one"))),
                None => return Ok(found),
            }
        }
    }

    async fn page(&mut self, search: &Search<'_>, cookie: &[u8], found: &mut Found) -> Result<Option<Vec<u8>>, Error> {
        let id = self.next_id();
        let request = Request {
            base: search.base,
            scope: search.scope,
            size_limit: search.size_limit.unwrap_or(0),
            filter: search.filter,
            attributes: search.attributes,
            page: search.size_limit.is_none().then_some((PAGE, cookie)),
        };
        self.send(&message::search(id, &request)).await?;
        let most = search.size_limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(self.limits.entries);
        loop {
            match self.receive(id).await? {
                Answer::Entry(entry) => {
                    if found.entries.len() >= most {
                        if search.size_limit.is_none() {
                            return Err(Error::TooMany { server: self.server.clone(), most });
                        }
                        found.has_more = true;
                    } else {
                        found.entries.push(entry);
                    }
                }
                Answer::Reference => found.references = found.references.saturating_add(1),
                Answer::Done(LdapResult { code: code::SUCCESS, .. }, next) => return Ok(next),
                Answer::Done(LdapResult { code: code::SIZE_LIMIT_EXCEEDED, .. }, _) => {
                    let entries = found.entries.len();
                    if search.size_limit.is_some() && entries >= most {
                        found.has_more = true;
                        return Ok(None);
                    }
                    return Err(Error::CutOff { server: self.server.clone(), entries });
                }
                Answer::Done(result, _) => return Err(self.refused("a search", result)),
                Answer::Bind(_) | Answer::Extended(_) => {
                    return Err(self.malformed(Malformed("an answer to something else")));
                }
            }
        }
    }

    /// Says that nothing more will be asked. Whether that arrives is of no consequence.
    pub async fn close(mut self) {
        let id = self.next_id();
        if self.send(&message::unbind(id)).await.is_ok() {
            let _ = timeout(self.limits.answer, self.stream.shutdown()).await;
        }
    }

    fn refused(&self, what: &'static str, result: LdapResult) -> Error {
        refused(&self.server, what, result)
    }

    fn malformed(&self, malformed: Malformed) -> Error {
        Error::Malformed { server: self.server.clone(), malformed }
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        send(&mut self.stream, &self.server, self.limits, message).await
    }

    async fn receive(&mut self, id: u32) -> Result<Answer, Error> {
        receive(&mut self.stream, &mut self.buffer, &self.server, self.limits, id).await
    }
}

fn refused(server: &str, what: &'static str, LdapResult { code, message }: LdapResult) -> Error {
    let server = server.to_owned();
    if code == code::REFERRAL {
        Error::Referral { server, what }
    } else {
        Error::Refused { server, what, code, message }
    }
}

async fn send(stream: &mut dyn Stream, server: &str, limits: Limits, message: &[u8]) -> Result<(), Error> {
    let sent = timeout(limits.answer, async {
        stream.write_all(message).await?;
        stream.flush().await
    });
    match sent.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::Ended { server: server.to_owned(), reason: error.to_string() }),
        Err(_) => Err(Error::TooSlow { server: server.to_owned(), what: "take a request", limit: limits.answer }),
    }
}

/// The next message, which has to be an answer to this request.
async fn receive(
    stream: &mut dyn Stream,
    buffer: &mut Vec<u8>,
    server: &str,
    limits: Limits,
    id: u32,
) -> Result<Answer, Error> {
    let malformed = |malformed| Error::Malformed { server: server.to_owned(), malformed };
    let limit = limits.answer;
    let length = match timeout(limit, whole_message(stream, buffer, server, limits)).await {
        Ok(length) => length?,
        Err(_) => return Err(Error::TooSlow { server: server.to_owned(), what: "answer", limit }),
    };
    let (of, answer) = message::read(buffer.get(..length).unwrap_or_default()).map_err(malformed)?;
    buffer.drain(..length);
    match answer {
        // Section 4.4.1: the server is about to end the connection.
        Answer::Extended(result) if of == 0 => Err(Error::Ended {
            server: server.to_owned(),
            reason: format!("result {}, {}", result.code, result.message),
        }),
        answer if of == id => Ok(answer),
        _ => Err(malformed(Malformed("an answer to a request that was not sent"))),
    }
}

/// Reads until there is a whole message. How long it is.
async fn whole_message(
    stream: &mut dyn Stream,
    buffer: &mut Vec<u8>,
    server: &str,
    limits: Limits,
) -> Result<usize, Error> {
    let ended = |reason: String| Error::Ended { server: server.to_owned(), reason };
    loop {
        let length =
            message_length(buffer).map_err(|malformed| Error::Malformed { server: server.to_owned(), malformed })?;
        if let Some(bytes) = length {
            let longest = limits.message_bytes;
            if bytes > longest {
                return Err(Error::TooLong { server: server.to_owned(), bytes, longest });
            }
            if buffer.len() >= bytes {
                return Ok(bytes);
            }
        }
        buffer.reserve(CHUNK);
        let read = stream.read_buf(buffer).await.map_err(|error| ended(error.to_string()))?;
        if read == 0 {
            return Err(ended("there was no whole answer".to_owned()));
        }
    }
}

#[cfg(feature = "tls")]
async fn start_tls(stream: &mut TcpStream, server: &str, limits: Limits) -> Result<(), Error> {
    let mut buffer = Vec::new();
    send(stream, server, limits, &message::start_tls(1)).await?;
    let answer = receive(stream, &mut buffer, server, limits, 1).await?;
    let tls = |reason: String| Error::Tls { server: server.to_owned(), reason };
    match answer {
        // What was said in clear text is not to be taken for something that TLS has kept.
        Answer::Extended(LdapResult { code: code::SUCCESS, .. }) if !buffer.is_empty() => {
            Err(tls("it said more after StartTLS, in clear text".to_owned()))
        }
        Answer::Extended(LdapResult { code: code::SUCCESS, .. }) => Ok(()),
        Answer::Extended(result) => Err(tls(refused(server, "StartTLS", result).to_string())),
        _ => Err(tls("it answered something else to StartTLS".to_owned())),
    }
}

#[cfg(feature = "tls")]
async fn over_tls(
    stream: TcpStream,
    tls: &TlsClient,
    server: &Server,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
    let wrong = |reason: String| Error::Tls { server: server.to_string(), reason };
    let name = rustls::pki_types::ServerName::try_from(server.host.clone())
        .map_err(|error| wrong(format!("{:?} is no name of a server: {error}", server.host)))?;
    tls.connector.connect(name, stream).await.map_err(|error| wrong(error.to_string()))
}
