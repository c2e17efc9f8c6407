//! One connection: HTTP/1.1 by hyper, with a limit to the time of all that a peer can draw out.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::body::{Buf, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::Unreadable;
use crate::connections::{Connection, Phase, Place};

/// Serves requests until the peer ends (while a request is dealt with, `hung_up` tells), the time is up, the place is needed, or `ended` is true: then what is under way is
/// answered first.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    hung_up: impl Future<Output = ()> + Send,
    peer: Option<SocketAddr>,
    router: Router,
    unreadable: Unreadable,
    place: Place,
    mut ended: watch::Receiver<bool>,
) {
    let watched = place.connection.clone();
    let io = TokioIo::new(Watched { stream, connection: watched.clone(), unreadable, in_place: None });
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        watched.go_on(&[Phase::New, Phase::Idle, Phase::Head, Phase::Answering, Phase::Streaming], Phase::Body);
        let connection = watched.clone();
        let (left, mut rest) = oneshot::channel();
        let watch = |body| WatchedBody { body: Some(body), left: Some(left), connection };
        let mut request: Request = request.map(|body| Body::new(watch(body)));
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let answered = router.call(request);
        let connection = watched.clone();
        async move {
            let mut answer = answered.await;
            if let Ok(rest) = rest.try_recv()
                && !is_read(rest).await
                && let Ok(answer) = &mut answer
            {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            connection.answer();
            answer.map(|answer: Response| answer.map(|body| WatchedAnswer { body, connection }))
        }
    });
    // Its own limit for heads would be one for idle connections too.
    let mut connection = pin!(http1::Builder::new().header_read_timeout(None).serve_connection(io, service));
    let mut hung_up = pin!(hung_up);
    let mut closed = pin!(watched.is_closed());
    let mut ended = pin!(ended.wait_for(|ended| *ended));
    let mut time_is_up = pin!(sleep_until(Instant::now()));
    let (mut is_closed, mut is_ended) = (false, false);
    poll_fn(|context| {
        if !is_closed && closed.as_mut().poll(context).is_ready() {
            is_closed = true;
            connection.as_mut().graceful_shutdown();
        }
        if !is_ended && ended.as_mut().poll(context).is_ready() {
            is_ended = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(served) = connection.as_mut().poll(context) {
            if let Err(error) = served {
                tracing::debug!(%error, "connection");
            }
            return Poll::Ready(());
        }
        // Only what is being dealt with holds the place, and a stream has no end of its own.
        if is_closed && !matches!(watched.phase(), Phase::Working | Phase::Answering)
            || is_ended && watched.phase() == Phase::Streaming
        {
            return Poll::Ready(());
        }
        // hyper does not see the end behind a next request that waits for its turn.
        if matches!(watched.phase(), Phase::Working | Phase::Streaming) && hung_up.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = watched.deadline() else {
            return Poll::Pending;
        };
        if time_is_up.deadline() != deadline {
            time_is_up.as_mut().reset(deadline);
        }
        time_is_up.as_mut().poll(context)
    })
    .await;
}

/// A stream that notes what arrives, and when all was sent.
struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    unreadable: Unreadable,
    /// What is sent in place of what hyper says of a head that it cannot read, as far as it is still to be sent.
    in_place: Option<Bytes>,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Sends what is in the place of what hyper writes, of which nothing is sent then.
    fn poll_write_in_place(
        &mut self,
        context: &mut Context<'_>,
        written: &[io::IoSlice<'_>],
    ) -> Poll<Option<io::Result<usize>>> {
        if self.in_place.is_none() && matches!(self.connection.phase(), Phase::New | Phase::Idle | Phase::Head) {
            let written: Vec<_> = written.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.in_place = with_body(&written, self.unreadable);
        }
        let Some(in_place) = &mut self.in_place else { return Poll::Ready(None) };
        while !in_place.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, in_place)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(sent) => in_place.advance(sent),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(written.iter().map(|slice| slice.len()).sum())))
    }
}

/// hyper answers by itself, without a body, what it takes for no request: the same with one.
fn with_body(answer: &[u8], unreadable: Unreadable) -> Option<Bytes> {
    let status = answer.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    let status = StatusCode::from_bytes(status).ok()?;
    let body = unreadable(status);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Some([head, body].concat().into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.connection.go_on(&[Phase::New, Phase::Idle], Phase::Head);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_write_in_place(context, &[io::IoSlice::new(bytes)])) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    /// hyper flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.connection.is_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_write_in_place(context, slices)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }
}

/// How much of a body that nobody wanted is read all the same, bytes.
const MAX_REST: usize = 64 * 1024;

/// How long that may take.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// Reads what is left of a body that is short, so that the connection can be used again: hyper would close it. Says whether that is all.
async fn is_read(mut rest: Incoming) -> bool {
    let is_short = |length: u64| usize::try_from(length).is_ok_and(|length| length <= MAX_REST);
    if !rest.size_hint().upper().is_none_or(is_short) {
        return false;
    }
    let read = async {
        let mut length = 0;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut rest).poll_frame(context)).await {
            let Ok(frame) = frame else { return false };
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > MAX_REST {
                return false;
            }
        }
        true
    };
    timeout(REST_LIMIT, read).await.unwrap_or(false)
}

/// A request's body that notes when it has arrived, or is not wanted: then what is left of it is given back.
struct WatchedBody {
    body: Option<Incoming>,
    left: Option<oneshot::Sender<Incoming>>,
    connection: Arc<Connection>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let (Some(body), Some(left)) = (self.body.take(), self.left.take())
            && !body.is_end_stream()
        {
            // Nobody takes it whose answer is on its way already.
            let _ = left.send(body);
        }
        self.connection.go_on(&[Phase::Body], Phase::Working);
    }
}

/// An answer's body that notes when there is more of it, and when it is whole. hyper drops it before it flushes its end.
struct WatchedAnswer {
    body: Body,
    connection: Arc<Connection>,
}

impl HttpBody for WatchedAnswer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.connection.go_on_answering(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedAnswer {
    fn drop(&mut self) {
        self.connection.go_on_answering(true);
    }
}
