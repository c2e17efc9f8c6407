//! A TCP stream whose end is seen though what was sent before is not read yet.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// The stream, and what completes when the peer has closed its way here, or the connection is lost.
pub(super) fn watched(
    stream: TcpStream,
) -> (impl AsyncRead + AsyncWrite + Unpin + Send, impl Future<Output = ()> + Send) {
    let (read, write) = stream.into_split();
    let read = Arc::new(read);
    let watched = Arc::clone(&read);
    let hung_up = async move {
        // Of its readiness this is the part that reading is not needed for: urgent data is not registered for. An error is an end too.
        let _ = watched.ready(Interest::PRIORITY).await;
    };
    (tokio::io::join(Shared(read), write), hung_up)
}

/// Reads, and lets another look at the socket.
struct Shared(Arc<OwnedReadHalf>);

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream: &TcpStream = self.0.as_ref().as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
