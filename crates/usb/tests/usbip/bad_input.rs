//! Hosts that break the protocol, lie about lengths, or say nothing: the connection ends with a
//! reason, and nobody else notices.

use std::future::Future;
use std::time::Duration;

use keyrig_usb::wire::WireError;
use keyrig_usb::{Exports, Limits, ServeError, client, serve_connection};
use proptest::prelude::any;
use proptest::prop_assert;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, advance};

use crate::support::{DEVICE_ID, Imported, echo, header, identity, imported, imported_with, report, returned, server};

/// Sends bytes as the first of a connection and returns what came back and how it ended.
async fn first_bytes(bytes: &[u8]) -> (Vec<u8>, Result<(), ServeError>) {
    let exports = Exports::new();
    let _plugged = exports.plug("1-1", identity()).unwrap();
    let (mut near, far) = duplex(4096);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let ended = serve_connection(far, &exports, Limits::default()).await;
    let mut reply = Vec::new();
    near.read_to_end(&mut reply).await.unwrap();
    (reply, ended.map(drop))
}

#[tokio::test]
async fn what_is_no_request_is_closed_without_an_answer_as_usbipd_does() {
    let submit = header([1, 1, DEVICE_ID, 1, 4, 0, 64, 0, 0, 0, 0, 0]);
    let unlink = header([2, 1, DEVICE_ID, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let hex = |text: &str| hex::decode(text).unwrap();
    let unexpected_end = ServeError::Connection(std::io::ErrorKind::UnexpectedEof);
    let cases = [
        (hex("0110800500000000"), WireError::Version { found: 0x0110 }.into()),
        // The first half of a command's word is 0: commands before an import are not a version.
        (submit, WireError::Version { found: 0 }.into()),
        (unlink, WireError::Version { found: 0 }.into()),
        (hex("0111800600000000"), WireError::Code { found: 0x8006 }.into()),
        (hex("0111000500000000"), WireError::Code { found: 0x0005 }.into()),
        (hex("0111800500000001"), WireError::RequestStatus { found: 1 }.into()),
        (hex("01118005000000"), unexpected_end.clone()),
        (hex("0111800300000000312d31"), unexpected_end),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), WireError::Version { found: 0x4745 }.into()),
    ];
    for (bytes, expected) in cases {
        let (reply, ended) = first_bytes(&bytes).await;
        assert_eq!((reply.as_slice(), ended), (&[][..], Err(expected)), "{}", hex::encode(bytes));
    }
    assert_eq!(first_bytes(b"").await, (Vec::new(), Ok(())));
}

#[tokio::test]
async fn a_malformed_urb_closes_the_connection_with_the_field_that_is_wrong() {
    let cases = [
        ([0, 1, DEVICE_ID, 1, 4, 0, 64, 0, 0, 0, 0, 0], WireError::Command { found: 0 }),
        ([3, 1, DEVICE_ID, 1, 4, 0, 64, 0, 0, 0, 0, 0], WireError::Command { found: 3 }),
        ([1, 1, DEVICE_ID, 2, 4, 0, 64, 0, 0, 0, 0, 0], WireError::Direction { found: 2 }),
        ([1, 1, DEVICE_ID, 1, 16, 0, 64, 0, 0, 0, 0, 0], WireError::EndpointNumber { found: 16 }),
        ([1, 1, DEVICE_ID, 1, 0x8000_0004, 0, 64, 0, 0, 0, 0, 0], WireError::EndpointNumber { found: 0x8000_0004 }),
        ([1, 1, DEVICE_ID, 1, 4, 0, 64, 0, 1, 0, 0, 0], WireError::Isochronous { found: 1 }),
        (
            [1, 1, DEVICE_ID, 0, 4, 0, 0xffff_ffff, 0, 0, 0, 0, 0],
            WireError::Length { field: "transfer_buffer_length", found: 0xffff_ffff, limit: 0xffff },
        ),
        (
            [1, 1, DEVICE_ID, 0, 0, 0, 0x1_0000, 0, 0, 0, 0, 0],
            WireError::Length { field: "transfer_buffer_length", found: 0x1_0000, limit: 0xffff },
        ),
        ([1, 1, 7, 1, 4, 0, 64, 0, 0, 0, 0, 0], WireError::DeviceId { found: 7, expected: DEVICE_ID }),
        ([2, 1, 7, 0, 0, 1, 0, 0, 0, 0, 0, 0], WireError::DeviceId { found: 7, expected: DEVICE_ID }),
    ];
    for (words, expected) in cases {
        let Imported { mut host, plugged: _plugged, key: _key, connection, .. } = imported().await;
        host.write(&header(words)).await;
        assert_eq!(connection.await.unwrap(), Err(ServeError::Wire(expected)), "{words:?}");
        assert_eq!(host.rest().await, [0_u8; 0]);
    }
}

#[tokio::test]
async fn a_sequence_number_of_a_pending_urb_cannot_be_used_again() {
    let Imported { mut host, plugged: _plugged, key: _key, connection, .. } = imported().await;
    host.submit_in(1, 64).await;
    host.submit_in(1, 64).await;
    assert_eq!(connection.await.unwrap(), Err(ServeError::Wire(WireError::SequenceNumber { found: 1 })));
}

#[tokio::test]
async fn an_in_urb_of_4_gib_costs_nothing_and_gets_its_report() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 0xffff_ffff).await;
    host.submit(2, 1, 0, 0, 0xffff_ffff, [0x80, 6, 0, 1, 0, 0, 0xff, 0xff], &[]).await;
    assert!(matches!(
        host.reply().await,
        crate::support::Returned::Submit { seqnum: 2, status: 0, actual_length: 18, .. }
    ));
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, 0, 64, &report(1)));
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte_or_many_at_once() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let mut message = header([1, 9, DEVICE_ID, 0, 4, 0, 64, 0, 0, 0, 0, 0]);
    message.extend(report(1));
    for byte in &message {
        host.write(std::slice::from_ref(byte)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(host.reply().await, returned(9, 0, 64, &[]));
    assert_eq!(key.from_host.recv().await, Some(report(1)));
    let mut many = Vec::new();
    for seqnum in 0..400 {
        many.extend(header([2, seqnum, DEVICE_ID, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    }
    host.write(&many).await;
    for seqnum in 0..400 {
        assert_eq!(host.reply().await, crate::support::unlinked(seqnum, 0));
    }
}

#[tokio::test]
async fn a_host_that_does_not_read_is_not_read_from_and_loses_nothing() {
    let Imported { host, plugged: _plugged, key: _key, .. } = imported_with(Limits::default(), 256).await;
    let (mut reader, mut writer) = tokio::io::split(host.stream);
    let sender = tokio::spawn(async move {
        for seqnum in 0..5000 {
            let message = header([2, seqnum, DEVICE_ID, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            writer.write_all(&message).await.unwrap();
        }
        writer
    });
    // Far more replies than the server keeps: the sender must come to a stop.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(!sender.is_finished());
    let mut reply = [0; 48];
    for seqnum in 0..5000_u32 {
        reader.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply[4..8], seqnum.to_be_bytes());
    }
    sender.await.unwrap();
}

/// Whether the server has closed this end within the time, which does not pass by itself.
async fn closes(stream: &mut DuplexStream) -> bool {
    let mut byte = [0];
    stream.read(&mut byte).await.unwrap() == 0
}

#[tokio::test(start_paused = true)]
async fn half_a_request_times_out() {
    for half in [&b""[..], b"\x01", &[0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0, b'1']] {
        let (mut near, far) = duplex(64);
        let exports = Exports::new();
        near.write_all(half).await.unwrap();
        let began = Instant::now();
        let ended = serve_connection(far, &exports, Limits::default()).await;
        assert_eq!(ended, Err(ServeError::TimedOut));
        assert_eq!(began.elapsed().as_secs(), Limits::default().request_timeout.as_secs());
        assert!(closes(&mut near).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_nobody_reads_times_out() {
    let (mut near, far) = duplex(16);
    let exports = Exports::new();
    let _plugged = exports.plug("1-1", identity()).unwrap();
    near.write_all(&[0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0]).await.unwrap();
    let ended = serve_connection(far, &exports, Limits::default()).await;
    assert_eq!(ended, Err(ServeError::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn an_imported_device_may_idle_for_ever_even_with_half_a_message() {
    let Imported { mut host, key, plugged: _plugged, connection, .. } = imported().await;
    host.submit_in(1, 64).await;
    let message = header([2, 2, DEVICE_ID, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    host.write(&message[..20]).await;
    advance(Duration::from_secs(30 * 24 * 3600)).await;
    tokio::task::yield_now().await;
    assert!(!connection.is_finished());
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, 0, 64, &report(1)));
}

#[tokio::test]
async fn a_hundred_hostile_connections_leave_other_devices_unharmed() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let key = tokio::spawn(echo(exports.plug("1-1", identity()).unwrap()));
    let mut victim = client::import(address, "1-1").await.unwrap();
    let mut held = Vec::new();
    for number in 0..100_u8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let bytes = match number % 5 {
            0 => Vec::new(),
            1 => vec![0x01, 0x11, 0x80],
            2 => vec![0xff; 1024],
            3 => header([1, 1, DEVICE_ID, 0, 4, 0, 0xffff_ffff, 0, 0, 0, 0, 0]),
            _ => vec![0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0, b'1', b'-'],
        };
        stream.write_all(&bytes).await.unwrap();
        held.push(stream);
        victim.send(&report(number)).await.unwrap();
        assert_eq!(victim.recv().await.unwrap(), report(number));
    }
    // And a new host still gets in, beyond the number of connections that may wait.
    let _other = exports.plug("1-2", identity()).unwrap();
    let other = client::import(address, "1-2").await.unwrap();
    other.close().await.unwrap();
    victim.close().await.unwrap();
    key.abort();
    server.abort();
}

#[tokio::test]
async fn the_oldest_waiting_connection_makes_room_for_the_newest() {
    let exports = Exports::new();
    let limits = Limits { waiting_connections: 2, ..Limits::default() };
    let (address, server) = server(&exports, limits).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let _third = TcpStream::connect(address).await.unwrap();
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(client::list(address).await.unwrap(), []);
    server.abort();
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_an_imported_connection_panic_or_hang(
        messages in proptest::collection::vec(any::<[u32; 12]>(), 0..8),
        small in any::<bool>(),
        tail in any::<Vec<u8>>(),
    ) {
        let ended = run(async {
            let Imported { mut host, plugged: _plugged, key: _key, connection, .. } =
                imported().await;
            for mut words in messages {
                if small {
                    words[0] = 1 + words[0] % 2;
                    words[2] = DEVICE_ID;
                    words[3] %= 2;
                    words[4] %= 6;
                    words[6] %= 200;
                    words[8] = 0;
                }
                // The server may be gone already, which is an answer too.
                if host.stream.write_all(&header(words)).await.is_err() {
                    break;
                }
            }
            let _gone: std::io::Result<()> = host.stream.write_all(&tail).await;
            drop(host);
            connection.await
        });
        prop_assert!(ended.is_ok(), "{ended:?}");
    }
}
