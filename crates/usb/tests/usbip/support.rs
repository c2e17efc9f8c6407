//! A host and a key by hand. The host builds and takes apart its messages without the crate's
//! codec, from the tables of the kernel's usbip_protocol.rst.

use std::collections::HashSet;
use std::net::SocketAddr;

use keyrig_usb::{Attachment, Detached, Exports, Identity, Limits, Plugged, Report, ServeError, serve, serve_imported};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) fn report(first: u8) -> Report {
    let mut report = [0xa5; 64];
    report[0] = first;
    report
}

pub(crate) fn identity() -> Identity {
    Identity {
        product: "keyrig test key".to_owned(),
        serial: Some("0042".to_owned()),
        interval: 5,
        ..Identity::default()
    }
}

/// Sends every report back, through one attachment after the other.
pub(crate) async fn echo(mut plugged: Plugged) {
    loop {
        let Attachment { to_host, mut from_host } = plugged.attached().await;
        while let Some(report) = from_host.recv().await {
            if to_host.send(report).await.is_err() {
                break;
            }
        }
    }
}

pub(crate) async fn server(exports: &Exports, limits: Limits) -> (SocketAddr, JoinHandle<core::convert::Infallible>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, exports.clone(), limits)))
}

/// A device 1-1 that is imported over an in-memory stream.
pub(crate) struct Imported {
    pub(crate) exports: Exports,
    pub(crate) plugged: Plugged,
    pub(crate) key: Attachment,
    pub(crate) host: Host<DuplexStream>,
    pub(crate) connection: JoinHandle<Result<Detached, ServeError>>,
}

pub(crate) async fn imported() -> Imported {
    imported_with(Limits::default(), 64 * 1024).await
}

pub(crate) async fn imported_with(limits: Limits, stream_buffer: usize) -> Imported {
    let exports = Exports::new();
    let mut plugged = exports.plug("1-1", identity()).unwrap();
    let (near, far) = duplex(stream_buffer);
    let served = exports.clone();
    let connection = tokio::spawn(async move { serve_imported(far, &served, "1-1", limits).await });
    let key = plugged.attached().await;
    Imported { exports, plugged, key, host: Host::new(near), connection }
}

/// A reply, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    Submit { seqnum: u32, status: i32, actual_length: u32, data: Vec<u8> },
    Unlink { seqnum: u32, status: i32 },
}

pub(crate) fn returned(seqnum: u32, status: i32, actual_length: u32, data: &[u8]) -> Returned {
    Returned::Submit { seqnum, status, actual_length, data: data.to_vec() }
}

pub(crate) fn unlinked(seqnum: u32, status: i32) -> Returned {
    Returned::Unlink { seqnum, status }
}

/// One side of a connection that carries URBs.
pub(crate) struct Host<S> {
    pub(crate) stream: S,
    ins: HashSet<u32>,
}

/// The words of a message up to the setup packet or the padding.
pub(crate) fn header(words: [u32; 12]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// busnum 1, devnum 2: device 1-1.
pub(crate) const DEVICE_ID: u32 = 0x0001_0002;

impl<S: AsyncRead + AsyncWrite + Unpin> Host<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ins: HashSet::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn submit_in(&mut self, seqnum: u32, length: u32) {
        self.submit(seqnum, 1, 4, 0, length, [0; 8], &[]).await;
    }

    pub(crate) async fn submit_out(&mut self, seqnum: u32, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        self.submit(seqnum, 0, 4, 0, length, [0; 8], data).await;
    }

    pub(crate) async fn control_in(&mut self, seqnum: u32, setup: [u8; 8]) {
        let length = u32::from(u16::from_le_bytes([setup[6], setup[7]]));
        self.submit(seqnum, 1, 0, 0, length, setup, &[]).await;
    }

    pub(crate) async fn control_out(&mut self, seqnum: u32, setup: [u8; 8], data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        self.submit(seqnum, 0, 0, 0, length, setup, data).await;
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the message")]
    pub(crate) async fn submit(
        &mut self,
        seqnum: u32,
        direction: u32,
        endpoint: u32,
        flags: u32,
        length: u32,
        setup: [u8; 8],
        data: &[u8],
    ) {
        if direction == 1 {
            self.ins.insert(seqnum);
        }
        let setup = u64::from_be_bytes(setup);
        let mut message = header([1, seqnum, DEVICE_ID, direction, endpoint, flags, length, 0, 0, 5, 0, 0]);
        message.truncate(40);
        message.extend(setup.to_be_bytes());
        message.extend(data);
        self.write(&message).await;
    }

    pub(crate) async fn unlink(&mut self, seqnum: u32, unlink_seqnum: u32) {
        let message = header([2, seqnum, DEVICE_ID, 0, 0, unlink_seqnum, 0, 0, 0, 0, 0, 0]);
        self.write(&message).await;
    }

    /// Reads one reply and holds it to what every reply must be.
    pub(crate) async fn reply(&mut self) -> Returned {
        let mut bytes = [0; 48];
        self.stream.read_exact(&mut bytes).await.unwrap();
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let seqnum = word(4);
        assert_eq!(bytes[8..20], [0; 12], "devid, direction and ep are 0 in replies");
        let status = i32::from_be_bytes(bytes[20..24].try_into().unwrap());
        match word(0) {
            3 => {
                assert_eq!(bytes[28..48], [0; 20], "start_frame, number_of_packets, the rest");
                let actual_length = word(24);
                let mut data = Vec::new();
                if self.ins.remove(&seqnum) {
                    data.resize(usize::try_from(actual_length).unwrap(), 0);
                    self.stream.read_exact(&mut data).await.unwrap();
                }
                returned(seqnum, status, actual_length, &data)
            }
            4 => {
                assert_eq!(bytes[24..48], [0; 24], "padding");
                unlinked(seqnum, status)
            }
            command => panic!("command {command} in a reply"),
        }
    }

    /// The bytes until the server closes the connection, which it must do.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest).await {
            Ok(_) => rest,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("{error}"),
        }
    }
}
