//! A byte stream with a bounded input buffer and a batching output buffer.
//!
//! Reads take what has arrived, whole messages or not; writes collect until someone polls, so that
//! all replies of one wake leave in one system call. Everything is cancel-safe: what was read or
//! half written stays in the buffers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Room for incoming bytes. More than the longest message that either side takes whole, and a
/// CTAPHID message of 1024 bytes as URBs.
const INPUT_SIZE: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct Buffered<S> {
    stream: S,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    sent: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Buffered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: vec![0; INPUT_SIZE].into_boxed_slice(), start: 0, end: 0, output: Vec::new(), sent: 0 }
    }

    /// What has arrived and was not consumed.
    pub(crate) fn input(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// What has arrived, beside what is to be sent.
    pub(crate) fn both(&mut self) -> (&[u8], &mut Vec<u8>) {
        let input = self.input.get(self.start..self.end).unwrap_or_default();
        (input, &mut self.output)
    }

    /// The bytes to be sent: append here.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How much waits to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends until nothing waits.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.output.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.output.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads some bytes. 0 is the end of the stream.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.input.get_mut(self.end..).unwrap_or_default();
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Tells the peer that nothing more will come, after what waits to be sent.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
