//! A key at a datagram endpoint: one report a datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use keyrig_client::ctap_hid::ReportPipe;
use keyrig_ctap::hid::{REPORT_SIZE, Report};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{UdpSocket, UnixStream};

/// Reports in datagrams, to a key that has an endpoint for them.
#[derive(Debug)]
pub struct Datagrams(Socket);

#[derive(Debug)]
enum Socket {
    /// `SOCK_SEQPACKET`, for which tokio has no type: its type for streams reads and writes one datagram at a time.
    Unix(UnixStream),
    Udp(UdpSocket),
}

impl Datagrams {
    /// Connects to the `SOCK_SEQPACKET` socket at a path.
    ///
    /// # Errors
    /// Those of the operating system: `NotFound` and `ConnectionRefused` if nobody listens there.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(Socket::Unix(UnixStream::from_std(socket.into())?)))
    }

    /// Sends to a UDP address and takes datagrams from no other. Whether anybody is there shows when something is sent.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn udp(key: SocketAddr) -> io::Result<Self> {
        let own: SocketAddr = match key {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(own).await?;
        socket.connect(key).await?;
        Ok(Self(Socket::Udp(socket)))
    }
}

impl ReportPipe for Datagrams {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        let written = match &self.0 {
            Socket::Unix(stream) => loop {
                stream.writable().await?;
                match stream.try_write(&report) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => break written,
                }
            },
            Socket::Udp(socket) => socket.send(&report).await.map_err(nobody),
        }?;
        whole(written)
    }

    async fn receive(&mut self) -> io::Result<Report> {
        // A byte more, to tell what is too long.
        let mut datagram = [0; REPORT_SIZE + 1];
        let length = match &self.0 {
            Socket::Unix(stream) => loop {
                stream.readable().await?;
                match stream.try_read(&mut datagram) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Nobody sends empty ones.
                    Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                    length => break length,
                }
            },
            Socket::Udp(socket) => socket.recv(&mut datagram).await.map_err(nobody),
        }?;
        whole(length)?;
        datagram.first_chunk().copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Over UDP the network says that nobody listens: the key is gone.
fn nobody(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => io::Error::new(io::ErrorKind::NotConnected, error),
        _ => error,
    }
}

fn whole(length: usize) -> io::Result<()> {
    if length == REPORT_SIZE {
        return Ok(());
    }
    let text = format!("a datagram of {length} bytes is not a report: those have {REPORT_SIZE}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}
