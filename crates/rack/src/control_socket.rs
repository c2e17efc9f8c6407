//! The control socket: the rack's commands over a Unix socket, one JSON object a line, answered by one.
//!
//! The socket can be opened by its owner alone (mode 0600). A request is a [`Command`]; the answer is
//! `{"ok":true,"keys":[…],"touch":"auto"}` or `{"ok":false,"error":"…"}`; to [`Command::Transact`] it has a `message` besides.
//! A client that closes its way to the rack while it awaits that answer cancels the key's command, as CTAPHID_CANCEL does.

use core::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::net::SocketType;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::control::{Answer, Command};
use crate::rack::Rack;
use crate::unix_socket::{self, BindError, PathTooLong, SocketFile};

/// The longest request, bytes: the longest CTAP message fits in hexadecimal.
const MAX_REQUEST: u64 = 16 * 1024;

/// How much is read after a line that is too long, bytes.
const MAX_IGNORED: u64 = 1024 * 1024;

/// The longest answer that a client takes, bytes: a full rack's list is a quarter of it.
const MAX_ANSWER: u64 = 256 * 1024;

/// How many connections are served at once; others wait to be accepted.
const MAX_CONNECTIONS: usize = 32;

/// Why a control socket can't be used.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Another rack listens there.
    #[error("{path} is the control socket of another keyrig that is running: name another with --control unix:PATH")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The path is something else.
    #[error("{path} is no socket, so it was left alone: name another with --control unix:PATH")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path is too long for a socket.
    #[error(transparent)]
    TooLong(#[from] PathTooLong),
    /// Nobody listens there.
    #[error("no keyrig listens on {path}: start one with 'keyrig serve', or say where it is with --control unix:PATH")]
    NotRunning {
        /// The path.
        path: PathBuf,
    },
    /// The rack refused the command.
    #[error("{0}")]
    Refused(String),
    /// What listens there does not speak as a rack does.
    #[error("what listens on {path} is no keyrig: {reason}")]
    NotARack {
        /// The path.
        path: PathBuf,
        /// What it did.
        reason: String,
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
enum Reply {
    Done {
        ok: bool,
        #[serde(flatten)]
        answer: Answer,
    },
    Refused {
        ok: bool,
        error: String,
    },
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

    /// Serves a rack until the listener fails.
    ///
    /// # Errors
    /// What the operating system says of the listener.
    pub async fn serve(&self, rack: Rack) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let stream = tokio::select! {
                accepted = self.listener.accept() => accepted?.0,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            let rack = rack.clone();
            connections.spawn(async move {
                if let Err(error) = serve_connection(stream, &rack).await {
                    tracing::debug!(%error, "a control connection ended");
                }
                drop(place);
            });
        }
    }
}

async fn serve_connection(stream: UnixStream, rack: &Rack) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut read).take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
        if length == 0 {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let reply = if complete {
            answer(&line, rack, closed(&mut read)).await
        } else {
            refused("a request is one line of at most 16384 bytes")
        };
        let mut reply = serde_json::to_vec(&reply)?;
        reply.push(b'\n');
        write.write_all(&reply).await?;
        if !complete {
            // What is left unread would reset the connection, and the client might not get to read why.
            write.shutdown().await?;
            tokio::io::copy(&mut read.take(MAX_IGNORED), &mut tokio::io::sink()).await?;
            return Ok(());
        }
    }
}

/// Completes if the client closes its way here. What it sends meanwhile waits for its turn, and tells nothing of the end.
async fn closed(read: &mut (impl AsyncBufRead + Unpin)) {
    match read.fill_buf().await {
        Ok([]) | Err(_) => {}
        Ok(_) => pending().await,
    }
}

async fn answer(line: &[u8], rack: &Rack, closed: impl Future<Output = ()>) -> Reply {
    // By way of an object, because serde takes an array of the members' values for a command too.
    let object = serde_json::from_slice::<Map<String, Value>>(line);
    match object.and_then(|object| Command::deserialize(Value::Object(object))) {
        Ok(command) => match rack.command_until(command, closed).await {
            Ok(answer) => Reply::Done { ok: true, answer },
            Err(refusal) => refused(refusal),
        },
        Err(error) => refused(format!("this is no command: {error}")),
    }
}

fn refused(error: impl ToString) -> Reply {
    Reply::Refused { ok: false, error: error.to_string() }
}

/// Sends one command to the rack that listens on `path`.
///
/// # Errors
/// [`ControlError`].
pub async fn send(path: &Path, command: &Command) -> Result<Answer, ControlError> {
    send_until(path, command, pending()).await
}

/// Sends one command to the rack that listens on `path`; if `cancelled` completes before the answer is there, a message to a
/// key is cancelled, and the key's answer is awaited all the same.
///
/// # Errors
/// [`ControlError`].
pub async fn send_until(
    path: &Path,
    command: &Command,
    cancelled: impl Future<Output = ()>,
) -> Result<Answer, ControlError> {
    let io = |error| ControlError::Io { path: path.to_owned(), error };
    let not_a_rack =
        |reason: &dyn ToString| ControlError::NotARack { path: path.to_owned(), reason: reason.to_string() };
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning { path: path.to_owned() }
        }
        _ => io(error),
    })?;
    let (read, mut write) = stream.into_split();
    let mut request = serde_json::to_vec(command).map_err(|error| io(error.into()))?;
    request.push(b'\n');
    write.write_all(&request).await.map_err(io)?;
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(MAX_ANSWER));
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
    match serde_json::from_slice(&line) {
        Ok(Reply::Done { ok: true, answer }) => Ok(answer),
        Ok(Reply::Refused { ok: false, error }) => Err(ControlError::Refused(error)),
        Ok(_) => Err(not_a_rack(&"it contradicts itself")),
        Err(error) => Err(not_a_rack(&error)),
    }
}
