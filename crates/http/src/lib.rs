//! HTTP/1.1 on a listener, with a bound to all that a peer can draw out.
//!
//! - [`Connections`] are as many as there is place for. A connection has a phase, and each phase that a peer can draw out has a limit
//!   in time; when there is no place for another one, the one idle for longest goes.
//! - [`serve`] answers by a router, until it is told to stop. A request whose client hangs up is dropped, and so is all that was
//!   done for it.

mod connections;
#[cfg(feature = "openapi")]
pub mod openapi;
mod server;
#[cfg(feature = "tls")]
mod tls;

use core::time::Duration;

use axum::http::StatusCode;

pub use connections::Connections;
#[cfg(feature = "tls")]
pub use server::serve_tls;
pub use server::{SHUTDOWN_GRACE, Server, serve};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

/// The body, in JSON, of what is answered to a head that is no request, by its status: 400, 414, 431, or
/// 426 where it should have come over TLS. A router sees none of these.
pub type Unreadable = fn(StatusCode) -> String;

/// How many connections there are, and how long each may take for what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long a request's head may take to arrive, from its first byte, or from the connection for the first one.
    pub header: Duration,
    /// For how long a connection is kept that waits for its next request.
    pub idle: Duration,
    /// For how long an answer may take to be read: as a whole, or if it is a stream, what there is of it.
    pub answer: Duration,
    /// How many connections there are at once, over all listeners; never more than half of the descriptors that the
    /// process may have. When there is no place for a new one, the one that has been idle for longest is closed.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(60),
            connections: 1024,
        }
    }
}
