//! The API on a listener, until it is told to stop.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{RelyingParty, router};

/// How long a shutdown waits for requests under way. A client that never ends its request cannot hold it longer: its
/// connection is left to the end of the runtime.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A relying party that is being served. Dropping it begins the shutdown as well, without waiting for its end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves a relying party's API on a listener, in a task of the present tokio runtime.
///
/// Who may connect is decided by the address that the listener is bound to: it should be a loopback address.
///
/// # Errors
/// When the listener's address cannot be read.
pub fn serve(listener: TcpListener, relying_party: Arc<RelyingParty>) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (stopping, grace) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router(relying_party)).with_graceful_shutdown(async move {
        // Told to stop, or the handle is gone: the same.
        let _ = stopped.await;
        let _ = stopping.send(());
    });
    let task = tokio::spawn(async move {
        let grace_over = async {
            let _ = grace.await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            served = serving.into_future() => served,
            () = grace_over => Ok(()),
        }
    });
    Ok(Server { address, stop, task })
}

impl Server {
    /// The address it listens on, with the port that was chosen if 0 was asked for.
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
        self.task.await.map_err(io::Error::other)?
    }
}
