//! Offers the plugged devices to hosts: over TCP, or over a stream that is attached already.
//!
//! A connection that has sent no complete request is cheap and on a deadline, and there are only
//! so many of them: when one more comes, the oldest is closed. One that has imported a device may
//! idle for ever, and there are only as many as there are devices.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::exports::{Exports, Import, ImportError};
use crate::listening::{Place, Waiting, wait_out};
use crate::stream::Buffered;
use crate::wire::WireError;
use crate::wire::operations::{ImportReply, Request, encode_device_list, status};
use crate::{connection, tcp};

/// What a server grants to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections may exist that have not imported a device.
    pub waiting_connections: usize,
    /// How long such a connection has to send its request and take the reply.
    pub request_timeout: Duration,
    /// How many URBs of one imported device may be pending. More are completed with -ENOMEM.
    pub pending_urbs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting_connections: 64, request_timeout: Duration::from_secs(5), pending_urbs: 64 }
    }
}

/// How a host and a device came apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// The host closed the connection.
    ByHost,
    /// The key dropped its [`Attachment`](crate::Attachment).
    ByKey,
    /// The device was unplugged.
    Unplugged,
}

/// Why a connection ended otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServeError {
    /// The device could not be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The host broke the protocol; the connection was closed.
    #[error("the host broke the USB/IP protocol: {0}")]
    Wire(#[from] WireError),
    /// The host took too long to send a complete request or to take the reply.
    #[error("the host sent no complete request in time")]
    TimedOut,
    /// The connection failed.
    #[error("the connection to the host failed: {0}")]
    Connection(io::ErrorKind),
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error.kind())
    }
}

/// Serves every host that connects. Dropping the future closes all connections. One that fails, or
/// cannot be accepted for the moment, is only logged.
pub async fn serve(listener: TcpListener, exports: Exports, limits: Limits) -> Infallible {
    let mut connections = JoinSet::new();
    let waiting = Waiting::default();
    loop {
        let stream = select! {
            accepted = accept(&listener) => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    wait_out(error, &waiting, &mut connections).await;
                    continue;
                }
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    warn!(%error, "a USB/IP connection's task failed: a fault of this server");
                }
                continue;
            }
        };
        let place = waiting.enter_among(limits.waiting_connections);
        connections.spawn(serve_tcp(stream, exports.clone(), limits, place));
    }
}

/// The next connection, set up so that a host that vanishes is noticed. Cancel-safe.
async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    if let Err(error) = tcp::set_up(&stream) {
        debug!(%error, "a connection could not be set up: it has ended already, most likely");
    }
    Ok(stream)
}

async fn serve_tcp(stream: TcpStream, exports: Exports, limits: Limits, place: Place) {
    match serve_in_place(stream, &exports, limits, place).await {
        Ok(Some(detached)) => debug!(?detached, "a host let a device go"),
        Ok(None) => {}
        Err(error) => warn!(%error, "a USB/IP connection was closed"),
    }
}

/// Serves one host from its first request on: a list of the devices, or an import and all that
/// follows. Returns `None` if the host imported nothing. Needs a runtime with its time enabled.
///
/// # Errors
///
/// Why the connection was closed. A version or an operation that is not ours is not answered, as
/// by the kernel's usbipd.
pub async fn serve_connection<S>(stream: S, exports: &Exports, limits: Limits) -> Result<Option<Detached>, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let place = Waiting::default().enter();
    serve_in_place(stream, exports, limits, place).await
}

/// Imports the device with this busid for a host that is attached to the stream already, and
/// serves it: no request precedes the URBs. It is how the kernel's vhci gets a device from the
/// same machine. The URBs must carry the device id of [`Plugged::record`](crate::Plugged::record).
///
/// # Errors
///
/// Why the import failed or the stream was closed.
pub async fn serve_imported<S>(
    stream: S,
    exports: &Exports,
    busid: &str,
    limits: Limits,
) -> Result<Detached, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut import = exports.import(busid)?;
    let mut stream = Buffered::new(stream);
    connection::run(&mut stream, &mut import, limits.pending_urbs).await
}

async fn serve_in_place<S>(
    stream: S,
    exports: &Exports,
    limits: Limits,
    mut place: Place,
) -> Result<Option<Detached>, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = Buffered::new(stream);
    let imported = select! {
        imported = timeout(limits.request_timeout, answer(&mut stream, exports)) => {
            imported.map_err(|_| ServeError::TimedOut)??
        }
        () = place.evicted() => return Err(ServeError::TimedOut),
    };
    drop(place);
    match imported {
        None => Ok(None),
        Some(mut import) => connection::run(&mut stream, &mut import, limits.pending_urbs).await.map(Some),
    }
}

/// Reads the request and sends the reply.
async fn answer<S>(stream: &mut Buffered<S>, exports: &Exports) -> Result<Option<Import>, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = loop {
        match Request::decode(stream.input()) {
            Ok(Some((request, taken))) => {
                stream.consume(taken);
                break request;
            }
            Ok(None) => {}
            Err(error @ WireError::Text { .. }) => {
                ImportReply::Refused(status::NOT_AVAILABLE).encode(stream.output());
                poll_fn(|context| stream.poll_shutdown(context)).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
        let received = poll_fn(|context| stream.poll_receive(context)).await?;
        if received == 0 {
            return if stream.input().is_empty() {
                Ok(None)
            } else {
                Err(ServeError::Connection(io::ErrorKind::UnexpectedEof))
            };
        }
    };
    let import = match request {
        Request::DeviceList => {
            encode_device_list(&exports.list(), stream.output());
            None
        }
        Request::Import(busid) => {
            let import = exports.import(busid.as_str());
            let reply = match &import {
                Ok(import) => ImportReply::Imported(import.lease.record()),
                Err(ImportError::Busy { .. }) => ImportReply::Refused(status::DEVICE_BUSY),
                Err(ImportError::NoDevice { .. }) => ImportReply::Refused(status::NO_DEVICE),
            };
            reply.encode(stream.output());
            if let Err(error) = import {
                poll_fn(|context| stream.poll_shutdown(context)).await?;
                return Err(error.into());
            }
            import.ok()
        }
    };
    if import.is_none() {
        poll_fn(|context| stream.poll_shutdown(context)).await?;
    } else {
        poll_fn(|context| stream.poll_send(context)).await?;
    }
    Ok(import)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_vanishes_without_a_word_is_noticed_in_30_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _host = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tcp::assert_set_up(&accept(&listener).await.unwrap());
    }
}
