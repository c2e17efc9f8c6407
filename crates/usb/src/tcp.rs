//! TCP connections whose other end may vanish without a word: a machine that loses power, a network that is gone.
//!
//! An imported device idles for as long as its host likes, so only the kernel's probes tell a host that has nothing to say from
//! one that is not there any more.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// How long a connection is silent before the other end is probed (SO_KEEPALIVE, TCP_KEEPIDLE; tcp(7)).
const SILENCE: Duration = Duration::from_secs(15);

/// Between two probes (TCP_KEEPINTVL).
const BETWEEN_PROBES: Duration = Duration::from_secs(5);

/// Probes without an answer after which the other end is gone (TCP_KEEPCNT).
const PROBES: u32 = 3;

/// How long what was sent may stay unacknowledged, milliseconds (TCP_USER_TIMEOUT; RFC 5482).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 30_000;

/// Sends small messages at once, and ends the connection when the other end has been gone for 30 s.
pub(crate) fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, BETWEEN_PROBES)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED)?;
    Ok(())
}

/// What a connection was set up to, read back from the kernel.
#[cfg(test)]
pub(crate) fn assert_set_up(stream: &TcpStream) {
    assert!(stream.nodelay().unwrap());
    assert!(sockopt::socket_keepalive(stream).unwrap());
    assert_eq!(sockopt::tcp_keepidle(stream).unwrap(), Duration::from_secs(15));
    assert_eq!(sockopt::tcp_keepintvl(stream).unwrap(), Duration::from_secs(5));
    assert_eq!(sockopt::tcp_keepcnt(stream).unwrap(), 3);
    assert_eq!(sockopt::tcp_user_timeout(stream).unwrap(), 30_000);
}
