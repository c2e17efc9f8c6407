//! One connection to the USB/IP server, whatever the host sends; and the codec on the same bytes.
//!
//! What must hold: no panic; the connection ends when the host has; every reply can be decoded, answers a command that was
//! sent, and none is answered twice.

#![no_main]

use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use keyrig_usb::wire::WireError;
use keyrig_usb::wire::operations::{Busid, DeviceListHeader, ImportReply, ListedDevice, Request};
use keyrig_usb::wire::transfers::{Command, Direction, Reply};
use keyrig_usb::{Exports, Identity, Limits, serve_connection};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A host that has sent everything already, in pieces, and closes its end then.
struct Host<'a> {
    unread: &'a [u8],
    piece: usize,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Host<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        // Every second time there is nothing yet, so that the server does what else it has to do.
        self.piece = self.piece.rotate_right(1);
        if self.piece & 1 == 1 && !self.unread.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = (self.piece % 97 + 1).min(buffer.remaining()).min(self.unread.len());
        let (piece, rest) = self.unread.split_at(length);
        buffer.put_slice(piece);
        self.unread = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Host<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is decoded is encoded to the bytes that it came from, as far as these say anything.
fn codec(data: &[u8]) {
    if let Ok(Some((request, _))) = Request::decode(data) {
        let mut encoded = Vec::new();
        request.encode(&mut encoded);
        assert_eq!(Request::decode(&encoded), Ok(Some((request, encoded.len()))));
    }
    if let Ok(Some((command, _))) = Command::decode(data) {
        let mut encoded = Vec::new();
        command.encode(&mut encoded);
        assert_eq!(Command::decode(&encoded), Ok(Some((command, encoded.len()))));
    }
    if let Ok(Some((reply, _))) = Reply::decode(data) {
        let mut encoded = Vec::new();
        reply.encode(&mut encoded);
        assert!(Reply::decode(&encoded).is_ok());
    }
    let _ = DeviceListHeader::decode(data);
    let _ = ListedDevice::decode(data);
    let _ = ImportReply::decode(data);
}

/// What was sent behind an import, by sequence number: whether data follows the reply to it. `None` if a number was used
/// twice, as no host does: which reply is which cannot be told then.
fn sent(mut data: &[u8]) -> Option<BTreeMap<u32, bool>> {
    let mut open = BTreeMap::new();
    while let Ok(Some((command, mut length))) = Command::decode(data) {
        let (seqnum, to_host) = match command {
            Command::Submit(submit) => {
                if submit.direction == Direction::Out {
                    length = length.saturating_add(usize::try_from(submit.length).unwrap());
                }
                (submit.seqnum, submit.direction == Direction::In)
            }
            Command::Unlink { seqnum, .. } => (seqnum, false),
        };
        if open.insert(seqnum, to_host).is_some() {
            return None;
        }
        data = data.get(length..).unwrap_or_default();
    }
    Some(open)
}

fn judge(data: &[u8], written: &[u8]) {
    let (request, length) = match Request::decode(data) {
        Ok(Some(request)) => request,
        Err(WireError::Text { .. }) => {
            assert!(matches!(ImportReply::decode(written), Ok(Some((ImportReply::Refused(_), 8)))), "no such device");
            return;
        }
        _ => {
            assert!(written.is_empty(), "no request, no reply");
            return;
        }
    };
    match request {
        Request::DeviceList => assert!(matches!(DeviceListHeader::decode(written), Ok(Some(_))), "the list"),
        Request::Import(_) => {
            let (reply, start) = ImportReply::decode(written).expect("a reply").expect("a whole one");
            let mut replies = &written[start..];
            if !matches!(reply, ImportReply::Imported(_)) {
                assert!(replies.is_empty(), "nothing behind a refusal");
                return;
            }
            let Some(mut open) = sent(&data[length..]) else { return };
            while !replies.is_empty() {
                let (reply, mut length) = Reply::decode(replies).expect("a reply").expect("a whole one");
                let (seqnum, moved) = match reply {
                    Reply::Submit { seqnum, actual_length, .. } => (seqnum, actual_length),
                    Reply::Unlink { seqnum, .. } => (seqnum, 0),
                };
                let to_host = open.remove(&seqnum).expect("it was asked, and is answered once");
                if to_host {
                    length += usize::try_from(moved).unwrap();
                }
                replies = &replies[length..];
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    codec(data);
    let Some((first, rest)) = data.split_first() else { return };
    // Most sessions import the device: without that there is little to find.
    let mut bytes = Vec::new();
    if first % 8 != 0 {
        Request::Import(Busid::new("1-1").unwrap()).encode(&mut bytes);
    }
    bytes.extend_from_slice(rest);
    let written = Arc::new(Mutex::new(Vec::new()));
    let host = Host { unread: &bytes, piece: usize::from(*first) << 8 | 0x5A, written: Arc::clone(&written) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let exports = Exports::new();
        let identity = Identity {
            vendor_id: 0x1209,
            product_id: 1,
            bcd_device: 0x100,
            manufacturer: "keyrig".to_owned(),
            product: "fuzzed".to_owned(),
            serial: None,
            interval: 2,
        };
        let mut plugged = exports.plug("1-1", identity).unwrap();
        // A key that sends back each report it gets.
        let echo = async {
            let mut attachment = plugged.attached().await;
            while let Some(report) = attachment.from_host.recv().await {
                if attachment.to_host.send(report).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = serve_connection(host, &exports, Limits::default()) => {}
            () = echo => {}
        }
    });
    let written = written.lock().unwrap();
    judge(&bytes, &written);
});
