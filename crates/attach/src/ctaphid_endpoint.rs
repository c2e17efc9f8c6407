//! The datagram endpoint: a key for programs that speak CTAPHID without USB, one 64-byte report a datagram.
//!
//! What would be a device node is a socket. Over `unix:PATH` (`SOCK_SEQPACKET`, mode 0600) a program connects, sends reports
//! without a report id and receives such; when the key loses power its connection ends, and while the key is unplugged a new
//! connection is closed at once. Over `udp:ADDRESS:PORT` each address that sends is a peer, and a key that is unplugged is
//! silent.
//!
//! Several programs may use a key at the same time, and beside a USB host: each hears of its own channels only. What a program
//! wrote before it closed its connection is received before the end is; then all that it began ends.

use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_ctap::hid::{Peer, REPORT_SIZE, Report};
use keyrig_rack::key::{Farewell, KeyHandle, ToKey};
use keyrig_rack::unix_socket::{self, BindError, PathTooLong, SocketFile};
use keyrig_usb::listening::{Waiting, is_of_one_connection, wait_out};
use rustix::net::SocketType;
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::{UdpSocket, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// How many programs an endpoint serves at once. For one more, of those that nothing goes on for the one is let go that has been
/// silent longest: over a Unix socket its connection ends, over UDP, where nobody says goodbye, it is forgotten.
const MAX_PEERS: usize = 32;

/// Where an endpoint is: `unix:PATH` or `udp:ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAddress {
    /// A `SOCK_SEQPACKET` socket at this path.
    Unix(PathBuf),
    /// A UDP socket. Port 0 takes a free one.
    Udp(SocketAddr),
}

/// A text is not an endpoint's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a CTAPHID endpoint: write unix:PATH or udp:ADDRESS:PORT, such as udp:127.0.0.1:8111")]
pub struct InvalidEndpointAddress(String);

impl FromStr for EndpointAddress {
    type Err = InvalidEndpointAddress;

    fn from_str(text: &str) -> Result<Self, InvalidEndpointAddress> {
        let invalid = || InvalidEndpointAddress(text.chars().take(200).collect());
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("udp", address)) => address.parse().map(Self::Udp).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

/// Why an endpoint cannot be used.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// Another program listens there.
    #[error("another program listens on {0}")]
    InUse(EndpointAddress),
    /// The path is something else.
    #[error("{path} is not a socket, so it was left alone")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path is too long for a socket.
    #[error(transparent)]
    TooLong(#[from] PathTooLong),
    /// The operating system refused.
    #[error("cannot listen on {address}: {error}")]
    Io {
        /// The address.
        address: EndpointAddress,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
}

/// An endpoint that is bound. Dropping it closes it, and removes its socket's file.
#[derive(Debug)]
pub struct Endpoint {
    address: EndpointAddress,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    /// Of datagrams: tokio has no type for these; its type for streams reads and writes one at a time on them.
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
    Udp(Arc<UdpSocket>),
}

impl Endpoint {
    /// Binds an endpoint. A Unix socket that a program left behind when it was killed is replaced.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn bind(address: EndpointAddress) -> Result<Self, EndpointError> {
        match address {
            EndpointAddress::Unix(path) => match unix_socket::bind(&path, SocketType::SEQPACKET).await {
                Ok((listener, file)) => {
                    let socket = Socket::Unix { listener, _file: file };
                    Ok(Self { address: EndpointAddress::Unix(path), socket })
                }
                Err(BindError::InUse) => Err(EndpointError::InUse(EndpointAddress::Unix(path))),
                Err(BindError::NotASocket) => Err(EndpointError::NotASocket { path }),
                Err(BindError::TooLong(error)) => Err(EndpointError::TooLong(error)),
                Err(BindError::Io(error)) => Err(EndpointError::Io { address: EndpointAddress::Unix(path), error }),
            },
            EndpointAddress::Udp(address) => {
                let bound = async {
                    let socket = UdpSocket::bind(address).await?;
                    Ok((socket.local_addr()?, socket))
                };
                match bound.await {
                    Ok((address, socket)) => {
                        Ok(Self { address: EndpointAddress::Udp(address), socket: Socket::Udp(Arc::new(socket)) })
                    }
                    Err(error) => Err(of_udp(address, error)),
                }
            }
        }
    }

    /// Where it is, with the port that it got.
    #[must_use]
    pub fn address(&self) -> &EndpointAddress {
        &self.address
    }

    /// Gives the key to every program that comes. What a socket cannot do for the moment is logged, and done later. A key that is
    /// removed is as one that is unplugged for good.
    pub async fn serve(&self, key: KeyHandle) -> Infallible {
        match &self.socket {
            Socket::Unix { listener, .. } => serve_unix(listener, &key).await,
            Socket::Udp(socket) => serve_udp(socket, &key).await,
        }
    }
}

fn of_udp(address: SocketAddr, error: io::Error) -> EndpointError {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    let address = EndpointAddress::Udp(address);
    if in_use { EndpointError::InUse(address) } else { EndpointError::Io { address, error } }
}

async fn serve_unix(listener: &UnixListener, key: &KeyHandle) -> Infallible {
    let mut programs: Vec<(Peer, AbortHandle)> = Vec::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        displace(&mut programs, key).await;
                    }
                    wait_out(error, &Waiting::default(), &mut connections).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        programs.retain(|(_, serving)| !serving.is_finished());
        if programs.len() >= MAX_PEERS && !displace(&mut programs, key).await {
            tracing::debug!("a program was refused: all that use the key are in the middle of something");
            continue;
        }
        // The end of the connection says that there is no key.
        let Ok(connection) = key.connect().await else { continue };
        let (to_key, from_key) = connection.into_halves();
        let peer = to_key.peer();
        let serving = connections.spawn(async move {
            if let Err(error) = serve_connection(&stream, &to_key, from_key).await {
                tracing::debug!(%error, "a CTAPHID connection ended");
            }
        });
        programs.push((peer, serving));
    }
}

/// Ends the connection of the program that has been silent longest, of those that nothing goes on for; false if there is none.
async fn displace(programs: &mut Vec<(Peer, AbortHandle)>, key: &KeyHandle) -> bool {
    let displaced = key.displace(programs.iter().map(|(peer, _)| *peer).collect()).await;
    let Some(index) = programs.iter().position(|(peer, _)| Some(*peer) == displaced) else { return false };
    // It may be waiting for a program that does not read.
    programs.remove(index).1.abort();
    true
}

/// Serves a program until it or the key goes.
async fn serve_connection(stream: &UnixStream, to_key: &ToKey, from_key: mpsc::Receiver<Report>) -> io::Result<()> {
    tokio::select! {
        ended = read_reports(stream, to_key) => ended,
        () = write_reports(stream, from_key) => Ok(()),
    }
}

/// Reads all that the program sends, until it has gone.
async fn read_reports(stream: &UnixStream, to_key: &ToKey) -> io::Result<()> {
    let mut dropped = Dropped::default();
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let mut datagram = [0; REPORT_SIZE + 1];
        match stream.try_read(&mut datagram) {
            Ok(0) if ready.is_read_closed() => return Ok(()),
            // An empty datagram, or the end before the runtime has heard of it: reading tells them not apart.
            Ok(0) => tokio::task::yield_now().await,
            Ok(length) => {
                if let Some(report) = dropped.unless_report(&datagram, length)
                    && to_key.send(report).await.is_err()
                {
                    return Ok(());
                }
            }
            // A program went without reading all its answers: said once, and before what it wrote (Linux, unix_release_sock).
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes what the key has for the program, until the key loses power. That the program has gone is for reading to tell, as there
/// may be reports of before.
async fn write_reports(stream: &UnixStream, mut from_key: mpsc::Receiver<Report>) {
    while let Some(report) = from_key.recv().await {
        loop {
            match stream.try_write(&report) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && stream.writable().await.is_ok() => {}
                Err(error) => break tracing::debug!(%error, "a program lost a report"),
                Ok(_) => break,
            }
        }
    }
}

/// A program that sends from an address of its own.
struct UdpPeer {
    address: SocketAddr,
    to_key: ToKey,
    answering: AbortHandle,
}

async fn serve_udp(socket: &Arc<UdpSocket>, key: &KeyHandle) -> Infallible {
    let mut peers: Vec<UdpPeer> = Vec::new();
    let mut answering = JoinSet::new();
    let mut dropped = Dropped::default();
    loop {
        let mut datagram = [0; REPORT_SIZE + 1];
        let (length, address) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            // What came of a report to a program that has gone, or a lack of memory.
            Err(error) => {
                wait_out(error, &Waiting::default(), &mut answering).await;
                continue;
            }
        };
        let Some(report) = dropped.unless_report(&datagram, length) else { continue };
        // Those whose connection to the key has ended.
        while answering.try_join_next().is_some() {}
        peers.retain(|peer| !peer.answering.is_finished());
        let peer = match peers.iter().position(|peer| peer.address == address) {
            Some(known) => peers.remove(known),
            None => {
                if peers.len() >= MAX_PEERS {
                    let displaced = key.displace(peers.iter().map(|peer| peer.to_key.peer()).collect()).await;
                    peers.retain(|peer| Some(peer.to_key.peer()) != displaced);
                    if displaced.is_none() {
                        tracing::debug!(%address, "a report was dropped: all that use the key are in the middle of something");
                        continue;
                    }
                }
                let Ok(connection) = key.connect_with(Farewell::Never).await else {
                    tracing::debug!(%address, "a report for a key that is not plugged in was dropped");
                    continue;
                };
                let (to_key, from_key) = connection.into_halves();
                let answering = answering.spawn(answer(Arc::clone(socket), address, from_key));
                UdpPeer { address, to_key, answering }
            }
        };
        match peer.to_key.send(report).await {
            Ok(()) => peers.push(peer),
            Err(error) => tracing::debug!(%error, %address, "a report was dropped"),
        }
    }
}

/// Sends a program what the key has for it, until the key loses power.
async fn answer(socket: Arc<UdpSocket>, address: SocketAddr, mut from_key: mpsc::Receiver<Report>) {
    while let Some(report) = from_key.recv().await {
        if let Err(error) = socket.send_to(&report, address).await {
            tracing::debug!(%error, %address, "a report could not be sent");
        }
    }
}

/// Counts the datagrams that were not reports.
#[derive(Debug, Default)]
struct Dropped(u64);

impl Dropped {
    /// The report, if a datagram of this length is one. The buffer has room for one byte more than a report has.
    fn unless_report(&mut self, datagram: &[u8; REPORT_SIZE + 1], length: usize) -> Option<Report> {
        if length == REPORT_SIZE {
            return datagram.first_chunk().copied();
        }
        self.0 += 1;
        let of = if length > REPORT_SIZE { "more than 64 bytes".to_owned() } else { format!("{length} bytes") };
        tracing::debug!(of, dropped = self.0, "a datagram that is not a report was dropped");
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for address in ["unix:/run/key", "unix:a:b=c", "udp:127.0.0.1:8111", "udp:[::1]:0"] {
            assert_eq!(address.parse::<EndpointAddress>().unwrap().to_string(), address);
        }
        for wrong in
            ["", "unix:", "/run/key", "udp:", "udp:8111", "udp:localhost:8111", "udp:127.0.0.1", "tcp:127.0.0.1:1"]
        {
            assert!(wrong.parse::<EndpointAddress>().is_err(), "{wrong:?}");
        }
    }
}
