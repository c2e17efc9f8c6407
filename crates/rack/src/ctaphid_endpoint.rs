//! The datagram endpoint: a key for programs that speak CTAPHID without USB, one 64-byte report a datagram.
//!
//! What would be a device node is a socket. Over `unix:PATH` (`SOCK_SEQPACKET`, mode 0600) a program connects, sends reports
//! without a report id and receives such; when the key loses power its connection ends, and while the key is unplugged a new
//! connection is closed at once. Over `udp:ADDRESS:PORT` each address that sends is a peer, and a key that is unplugged is
//! silent.
//!
//! Several programs may use a key at the same time, and beside a USB host: each hears of its own channels only.

use core::convert::Infallible;
use core::fmt;
use core::future::pending;
use core::str::FromStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrig_ctap::hid::{REPORT_SIZE, Report};
use keyrig_usb::listening::{Place, Waiting, wait_out};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::{UdpSocket, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::key::{KeyHandle, ToKey};
use crate::unix_socket::{self, BindError, SocketFile};

/// How many programs an endpoint serves at once. For one more, the one is let go that has been silent longest: over a Unix socket
/// its connection ends, over UDP, where nobody says goodbye, it is forgotten.
const MAX_PEERS: usize = 32;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 32;

/// Where an endpoint is: `unix:PATH` or `udp:ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAddress {
    /// A `SOCK_SEQPACKET` socket at this path.
    Unix(PathBuf),
    /// A UDP socket. Port 0 takes a free one.
    Udp(SocketAddr),
}

/// A text is no endpoint's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no CTAPHID endpoint: it is written unix:PATH or udp:ADDRESS:PORT, such as udp:127.0.0.1:8111")]
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

/// Why an endpoint can't be used.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// Another program listens there.
    #[error("another program listens on {0}: stop that one, or choose another address with --ctaphid")]
    InUse(EndpointAddress),
    /// The path is something else.
    #[error("{path} is no socket, so it was left alone: name another with --ctaphid unix:PATH")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{address} cannot be listened on: {error}")]
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
    Unix { listener: UnixListener, _file: SocketFile },
    Udp(Arc<UdpSocket>),
}

impl Endpoint {
    /// Binds an endpoint. A Unix socket that a program left behind when it was killed is replaced.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn bind(address: EndpointAddress) -> Result<Self, EndpointError> {
        match address {
            EndpointAddress::Unix(path) => match unix_socket::bind(&path, listen_for_datagrams).await {
                Ok((listener, file)) => {
                    let socket = Socket::Unix { listener, _file: file };
                    Ok(Self { address: EndpointAddress::Unix(path), socket })
                }
                Err(BindError::InUse) => Err(EndpointError::InUse(EndpointAddress::Unix(path))),
                Err(BindError::NotASocket) => Err(EndpointError::NotASocket { path }),
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

    /// Gives the key to every program that comes, until the rack has ended. What a socket cannot do for the moment is logged, and
    /// done later.
    pub async fn serve(&self, key: KeyHandle) {
        match &self.socket {
            Socket::Unix { listener, .. } => match serve_unix(listener, &key).await {},
            Socket::Udp(socket) => serve_udp(socket, &key).await,
        }
    }
}

fn of_udp(address: SocketAddr, error: io::Error) -> EndpointError {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    let address = EndpointAddress::Udp(address);
    if in_use { EndpointError::InUse(address) } else { EndpointError::Io { address, error } }
}

/// Tokio has no type for `SOCK_SEQPACKET` sockets; its type for streams reads and writes one datagram at a time on them.
fn listen_for_datagrams(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    UnixListener::from_std(StdUnixListener::from(socket))
}

async fn serve_unix(listener: &UnixListener, key: &KeyHandle) -> Infallible {
    let programs = Waiting::default();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    wait_out(error, &programs, &mut connections).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (programs, place, key) = (programs.clone(), programs.enter_among(MAX_PEERS), key.clone());
        connections.spawn(async move {
            if let Err(error) = serve_connection(&stream, &key, &programs, place).await {
                tracing::debug!(%error, "a CTAPHID connection ended");
            }
        });
    }
}

/// Serves a program until it or the key goes, or its place is another's.
async fn serve_connection(stream: &UnixStream, key: &KeyHandle, programs: &Waiting, place: Place) -> io::Result<()> {
    // A program whose command the key carries out, which is one at most, is not among those that may be let go.
    let mut place = Some(place);
    // The end of the connection says that there is no key.
    let Ok(mut connection) = key.connect().await else { return Ok(()) };
    let mut dropped = Dropped::default();
    loop {
        tokio::select! {
            report = connection.receive() => match report {
                // While the program does not read it is not read from either.
                Some(report) => {
                    while !is_done(stream.try_write(&report))? {
                        // Nor does it keep its place then.
                        let place = place.get_or_insert_with(|| programs.enter());
                        tokio::select! {
                            writable = stream.writable() => writable?,
                            () = place.evicted() => return Ok(()),
                        }
                    }
                    place = if is_keepalive(&report) { None } else { Some(programs.enter()) };
                }
                None => return Ok(()),
            },
            () = evicted(&mut place) => return Ok(()),
            ready = stream.ready(Interest::READABLE) => {
                let ready = ready?;
                let mut datagram = [0; REPORT_SIZE + 1];
                match stream.try_read(&mut datagram) {
                    Ok(0) if ready.is_read_closed() => return Ok(()),
                    // An empty datagram, or the end before the runtime has heard of it: reading tells them not apart.
                    Ok(0) => tokio::task::yield_now().await,
                    Ok(length) => if let Some(report) = dropped.unless_report(&datagram, length) {
                        if let Some(place) = &place {
                            place.renew();
                        }
                        if connection.send(report).await.is_err() {
                            return Ok(());
                        }
                    },
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            },
        }
    }
}

/// Whether a report says that its program's command is being carried out (CTAP 2.3 §11.2.9.1.7, CTAPHID_KEEPALIVE).
fn is_keepalive(report: &Report) -> bool {
    const CTAPHID_KEEPALIVE: u8 = 0xbb;
    report.get(4) == Some(&CTAPHID_KEEPALIVE)
}

async fn evicted(place: &mut Option<Place>) {
    match place {
        Some(place) => place.evicted().await,
        None => pending().await,
    }
}

fn is_done(written: io::Result<usize>) -> io::Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// A program that sends from an address of its own.
struct UdpPeer {
    address: SocketAddr,
    to_key: ToKey,
    answering: AbortHandle,
}

async fn serve_udp(socket: &Arc<UdpSocket>, key: &KeyHandle) {
    // The one that has been silent longest first.
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
                let Ok(connection) = key.connect().await else {
                    tracing::debug!(%address, "a report for a key that is not plugged in was dropped");
                    continue;
                };
                let (to_key, from_key) = connection.into_halves();
                let answering = answering.spawn(answer(Arc::clone(socket), address, from_key));
                UdpPeer { address, to_key, answering }
            }
        };
        if peer.to_key.send(report).await.is_err() {
            return;
        }
        peers.push(peer);
        if peers.len() > MAX_PEERS {
            peers.remove(0).answering.abort();
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

/// Counts the datagrams that were no reports.
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
        tracing::debug!(of, dropped = self.0, "a datagram that is no report was dropped");
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
