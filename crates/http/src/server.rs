//! A router on a listener, until it is told to stop.

mod connection;
mod hang_up;

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::Unreadable;
use crate::connections::{Connections, Place};
#[cfg(feature = "tls")]
use crate::tls::{Tls, is_tls};
use hang_up::watched;

/// How long a shutdown waits for requests under way. A client that never ends its request cannot hold it longer.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How long it is waited when no connection can be taken, as when the machine has no descriptors left.
const PAUSE: Duration = Duration::from_secs(1);

/// What is being served. Dropping it begins the shutdown as well, without waiting for its end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Serves what a router answers on a listener, in a task of the present tokio runtime. Connections of several listeners can be counted
/// together. What is no request is answered with a body of `unreadable`. Requests have their peer's address as an extension, [`ConnectInfo`](axum::extract::ConnectInfo).
///
/// Who may connect is decided by the address that the listener is bound to: it should be a loopback address.
///
/// # Errors
/// When the listener's address cannot be read.
pub fn serve(
    listener: TcpListener,
    router: Router,
    unreadable: Unreadable,
    connections: Arc<Connections>,
) -> io::Result<Server> {
    begin(listener, Served { router, unreadable, transport: Transport::Plain }, connections)
}

/// The same over TLS. Whoever speaks HTTP is told so by a status of 426.
///
/// # Errors
/// When the listener's address cannot be read.
#[cfg(feature = "tls")]
pub fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    unreadable: Unreadable,
    connections: Arc<Connections>,
) -> io::Result<Server> {
    begin(listener, Served { router, unreadable, transport: Transport::Tls(tls) }, connections)
}

/// What is served on a listener.
#[derive(Clone)]
struct Served {
    router: Router,
    unreadable: Unreadable,
    transport: Transport,
}

/// What lies between TCP and HTTP.
#[derive(Clone)]
enum Transport {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Tls),
}

fn begin(listener: TcpListener, served: Served, connections: Arc<Connections>) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(accept(listener, served, connections, stopped));
    Ok(Server { address, stop, task })
}

impl Served {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: Place, ended: watch::Receiver<bool>) {
        let Self { router, unreadable, transport } = self;
        match transport {
            Transport::Plain => {
                let (stream, hung_up) = watched(stream);
                connection::serve(stream, hung_up, Some(peer), router, unreadable, place, ended).await;
            }
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => {
                let mut stream = stream;
                if !is_tls(&mut stream, &place, unreadable, ended.clone()).await {
                    return;
                }
                let (stream, hung_up) = watched(stream);
                if let Some(stream) = tls.accept(stream, &place, ended.clone()).await {
                    connection::serve(stream, hung_up, Some(peer), router, unreadable, place, ended).await;
                }
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    served: Served,
    connections: Arc<Connections>,
    mut stopped: oneshot::Receiver<()>,
) {
    let (end, ended) = watch::channel(false);
    let mut serving = JoinSet::new();
    loop {
        let next = async {
            let (stream, peer) = next(&listener).await;
            (stream, peer, connections.place().await)
        };
        let (stream, peer, place): (TcpStream, SocketAddr, Place) = tokio::select! {
            // Told to stop, or the handle is gone: the same.
            _ = &mut stopped => break,
            next = next => next,
        };
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%error, "a peer that is lost is not noticed");
        }
        serving.spawn(served.clone().connection(stream, peer, place, ended.clone()));
        while serving.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = end.send(true);
    // Those that are left go with the set.
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, async { while serving.join_next().await.is_some() {} }).await;
}

/// A peer that is lost without a word, with its machine or its network, is noticed within two minutes.
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    sockopt::set_socket_keepalive(stream, true)
}

/// The next connection, however often there is none to be had.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Gone before it was taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Server {
    /// The address it listens on, with the port that was chosen if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way end within [`SHUTDOWN_GRACE`], and returns.
    ///
    /// # Errors
    /// When serving failed before, with the reason.
    pub async fn shutdown(self) -> io::Result<()> {
        // An error means that serving has ended already: the task says why.
        let _ = self.stop.send(());
        self.task.await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
