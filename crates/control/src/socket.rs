//! The control socket: the rack's commands over a Unix socket, one JSON object a line, answered by one.
//!
//! The socket can be opened by its owner alone (mode 0600). A request is a [`Request`]; the answer is
//! `{"ok":true,"keys":[…],"touch":"auto"}` or `{"ok":false,"error":{"code":"unknown-key","message":"…"}}`; to [`Transact`](crate::request::Transact) it has a `message` besides.
//! A client that closes its way to the rack while it awaits that answer cancels the key's command, as CTAPHID_CANCEL does, and gives up
//! whatever else it waits for.
//!
//! A connection may be kept for several requests. One that waits for its client, be it for a request or to take an answer, is
//! closed after five minutes, or ten seconds in a long request, and before that if too many wait; one that waits for a key takes no place among these, and one that waits
//! for events does.

use core::convert::Infallible;
use core::future::pending;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrig_faults::plainly;
use keyrig_rack::Rack;
use keyrig_rack::unix_socket::{self, BindError, PathTooLong, SocketFile};
use keyrig_usb::listening::{Place, Waiting, wait_out};
use rustix::net::SocketType;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error_code;
use crate::once::read_object;
use crate::request::{Answer, Ask, Request};

/// A short request, bytes: the longest CTAP message fits in hexadecimal.
const SHORT_REQUEST: u64 = 16 * 1024;

/// The longest request and the longest answer, bytes: all credentials of a full key whose texts are of the longest and of characters that
/// JSON escapes, and the longest snapshot in base64.
const MAX_LINE: u64 = 24 * 1024 * 1024;

/// How many requests may be read at once that are longer than a short one: so much memory may clients take.
const MAX_LONG: usize = 4;

/// How long such a request may take once its turn has come: until then it holds up others.
const LONG_LIMIT: Duration = Duration::from_secs(10);

/// How much is read after a line that is too long, bytes.
const MAX_IGNORED: u64 = 2 * MAX_LINE;

/// How many connections may wait for their clients. For one more, the one that has waited longest is closed.
const MAX_WAITING: usize = 256;

/// How long a connection waits for its client: for a whole request, or to take an answer.
const CLIENT_LIMIT: Duration = Duration::from_secs(300);

/// How long a client waits for a rack's answer, beside what is waited for at a key.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Why a control socket cannot be used.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Another rack listens there.
    #[error("{path} is the control socket of another keyrig that is running")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The path is something else.
    #[error("{path} is not a socket, so it was left alone")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path is too long for a socket.
    #[error(transparent)]
    TooLong(#[from] PathTooLong),
    /// Nobody listens there.
    #[error("no keyrig listens on {path}")]
    NotRunning {
        /// The path.
        path: PathBuf,
    },
    /// Somebody listens there and does not answer.
    #[error("the keyrig that listens on {path} does not answer: it is suspended, or has too much to do")]
    NoAnswer {
        /// The path.
        path: PathBuf,
    },
    /// The rack refused the command.
    #[error("{message}")]
    Refused {
        /// What it is called: a word that programs may rely on.
        code: String,
        /// Why.
        message: String,
    },
    /// It ended before it had answered.
    #[error("the keyrig that listened on {path} has ended")]
    Ended {
        /// The path.
        path: PathBuf,
    },
    /// It answers with more than is read.
    #[error("the keyrig that listens on {path} answers with more than {MAX_LINE} bytes, which is more than is read")]
    AnswerTooLong {
        /// The path.
        path: PathBuf,
    },
    /// What listens there does not speak as a rack does.
    #[error("the program that listens on {path} is not keyrig: {error}")]
    NotARack {
        /// The path.
        path: PathBuf,
        /// What is wrong with its answer.
        #[source]
        error: serde_json::Error,
    },
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Reply<A> {
    Done {
        ok: bool,
        #[serde(flatten)]
        answer: A,
    },
    Refused {
        ok: bool,
        error: RefusedError,
    },
}

#[derive(Serialize, Deserialize)]
struct RefusedError {
    code: String,
    message: String,
}

/// A control socket that is bound. Dropping it removes the socket, unless another is in its place by then.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Binds the socket. One that a rack left behind when it was killed is replaced.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn bind(path: &Path) -> Result<Self, ControlError> {
        let (listener, file) = unix_socket::bind(path, SocketType::STREAM).await.map_err(|error| {
            let path = path.to_owned();
            match error {
                BindError::InUse => ControlError::InUse { path },
                BindError::NotASocket => ControlError::NotASocket { path },
                BindError::TooLong(error) => ControlError::TooLong(error),
                BindError::Io(error) => ControlError::Io { path, error },
            }
        })?;
        Ok(Self { listener, file })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Serves a rack. A connection that cannot be accepted for the moment is accepted later.
    pub async fn serve(&self, rack: Rack) -> Infallible {
        let waiting = Waiting::default();
        let long = Arc::new(Semaphore::new(MAX_LONG));
        let mut connections = JoinSet::new();
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        wait_out(error, &waiting, &mut connections).await;
                        continue;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            let place = waiting.enter_among(MAX_WAITING);
            let (waiting, rack, long) = (waiting.clone(), rack.clone(), Arc::clone(&long));
            connections.spawn(async move {
                if let Err(error) = serve_connection(stream, &rack, &waiting, &long, place).await {
                    tracing::debug!(%error, "a control connection ended");
                }
            });
        }
    }
}

async fn serve_connection(
    stream: UnixStream,
    rack: &Rack,
    waiting: &Waiting,
    long: &Semaphore,
    mut place: Place,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let length = of_client(&mut place, read_request(&mut read, &mut line, long)).await?;
        if length == 0 {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let reply = if complete {
            // What is waited for needs the line no more.
            let understood = if u64::try_from(length).is_ok_and(|length| length < SHORT_REQUEST) {
                understood(&line)
            } else {
                aside(move || understood(&line)).await?
            };
            match understood {
                Ok(request) if matches!(request, Request::Events(_)) => tokio::select! {
                    reply = carry_out(request, rack, closed(read.get_ref())) => reply,
                    () = place.evicted() => return Err(no_place()),
                },
                Ok(request) => {
                    // What waits for a key takes no place: there is one such connection a key, and as many waits as the key allows.
                    drop(place);
                    let reply = carry_out(request, rack, closed(read.get_ref())).await;
                    place = waiting.enter();
                    reply
                }
                Err(reply) => reply,
            }
        } else if u64::try_from(length).is_ok_and(|length| length < MAX_LINE) {
            misunderstood("a request ends with a newline, and this one does not")
        } else {
            misunderstood(format!("a request is one line of at most {MAX_LINE} bytes, and this one is longer"))
        };
        let mut reply = match reply {
            // Of a full key.
            Reply::Done { answer: Answer::Exported(_) | Answer::Credentials(_) | Answer::Snapshot(_), .. } => {
                aside(move || serde_json::to_vec(&reply)).await??
            }
            reply => serde_json::to_vec(&reply)?,
        };
        reply.push(b'\n');
        match of_client(&mut place, write.write_all(&reply)).await {
            // What a client asked for before it went is done.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        if !complete {
            // What is left unread would reset the connection, and the client might not get to read why.
            write.shutdown().await?;
            let ignored = async { tokio::io::copy(&mut read.take(MAX_IGNORED), &mut tokio::io::sink()).await };
            of_client(&mut place, ignored).await?;
            return Ok(());
        }
    }
}

/// Does what takes its time with a long line, away from the thread of the keys.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Reads a line; one that is longer than most are takes its turn.
async fn read_request(read: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>, long: &Semaphore) -> io::Result<usize> {
    let length = (&mut *read).take(SHORT_REQUEST).read_until(b'\n', line).await?;
    if line.ends_with(b"\n") || u64::try_from(length).is_ok_and(|length| length < SHORT_REQUEST) {
        return Ok(length);
    }
    // Never closed.
    let _turn = long.acquire().await.map_err(io::Error::other)?;
    let mut rest = read.take(MAX_LINE.saturating_sub(SHORT_REQUEST));
    let rest = timeout(LONG_LIMIT, rest.read_until(b'\n', line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(length.saturating_add(rest))
}

/// Does what depends on the client, who may take only so long, and whose place may be another's before that.
async fn of_client<T>(place: &mut Place, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = place.evicted() => Err(no_place()),
        () = sleep(CLIENT_LIMIT) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn no_place() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "others needed its place")
}

/// Completes when the client has closed its way here, though it may have sent what waits for its turn.
async fn closed(read: &OwnedReadHalf) {
    // Of its readiness this is the part that reading is not needed for: a Unix socket has no urgent data.
    if let Err(error) = read.ready(Interest::PRIORITY).await {
        tracing::debug!(%error, "the end of a control connection is not seen");
        pending().await
    }
}

fn understood(line: &[u8]) -> Result<Request, Reply<Answer>> {
    // By way of an object, because serde takes an array of the members' values for a command too.
    let request = read_object(line).and_then(|object| Request::deserialize(Value::Object(object)));
    request.map_err(|error| misunderstood(format!("this is not a command: {}", plainly(&error.to_string()))))
}

async fn carry_out(request: Request, rack: &Rack, closed: impl Future<Output = ()>) -> Reply<Answer> {
    match request.carry_out(rack, closed).await {
        Ok(answer) => Reply::Done { ok: true, answer },
        Err(refusal) => refused(error_code::of_refusal(&refusal), refusal),
    }
}

fn misunderstood(message: impl ToString) -> Reply<Answer> {
    refused(error_code::BAD_REQUEST, message)
}

fn refused(code: &str, message: impl ToString) -> Reply<Answer> {
    Reply::Refused { ok: false, error: RefusedError { code: code.to_owned(), message: message.to_string() } }
}

/// Sends one command to the rack that listens on `path`.
///
/// # Errors
/// [`ControlError`].
pub async fn send<C: Ask>(path: &Path, command: C) -> Result<C::Answer, ControlError> {
    send_until(path, command, pending()).await
}

/// Sends one command to the rack that listens on `path`; if `cancelled` completes before the answer is there, a message to a
/// key is cancelled, and the key's answer is awaited all the same.
///
/// # Errors
/// [`ControlError`].
pub async fn send_until<C: Ask>(
    path: &Path,
    command: C,
    cancelled: impl Future<Output = ()>,
) -> Result<C::Answer, ControlError> {
    let request = command.into();
    let limit = ANSWER_LIMIT.saturating_add(request.waits());
    let exchanged = timeout(limit, exchange(path, &request, cancelled)).await;
    exchanged.unwrap_or_else(|_| Err(ControlError::NoAnswer { path: path.to_owned() }))
}

async fn exchange<A: DeserializeOwned>(
    path: &Path,
    request: &Request,
    cancelled: impl Future<Output = ()>,
) -> Result<A, ControlError> {
    let io = |error| ControlError::Io { path: path.to_owned(), error };
    let not_a_rack = |error| ControlError::NotARack { path: path.to_owned(), error };
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning { path: path.to_owned() }
        }
        // As many wait to be accepted as the kernel keeps (unix(7)).
        io::ErrorKind::WouldBlock => ControlError::NoAnswer { path: path.to_owned() },
        // A path that is too long for a socket.
        io::ErrorKind::InvalidInput => match unix_socket::check_length(path) {
            Err(too_long) => too_long.into(),
            Ok(()) => io(error),
        },
        _ => io(error),
    })?;
    let (read, mut write) = stream.into_split();
    let mut request = serde_json::to_vec(request).map_err(|error| io(error.into()))?;
    request.push(b'\n');
    write.write_all(&request).await.map_err(io)?;
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(MAX_LINE));
    let answered = read.read_until(b'\n', &mut line);
    tokio::pin!(answered);
    tokio::select! {
        biased;
        read = &mut answered => read,
        () = cancelled => {
            write.shutdown().await.map_err(io)?;
            answered.await
        }
    }
    .map_err(io)?;
    if line.is_empty() {
        return Err(ControlError::Ended { path: path.to_owned() });
    }
    if !line.ends_with(b"\n") && u64::try_from(line.len()).is_ok_and(|length| length >= MAX_LINE) {
        return Err(ControlError::AnswerTooLong { path: path.to_owned() });
    }
    match serde_json::from_slice(&line) {
        Ok(Reply::Done { ok: true, answer }) => Ok(answer),
        Ok(Reply::Refused { ok: false, error: RefusedError { code, message } }) => {
            Err(ControlError::Refused { code, message })
        }
        Ok(_) => Err(not_a_rack(serde::de::Error::custom("it contradicts itself"))),
        Err(error) => Err(not_a_rack(error)),
    }
}
