//! The userland client against the server.

use keyrig_usb::client::ClientError;
use keyrig_usb::report_descriptor::NotFido;
use keyrig_usb::wire::WireError;
use keyrig_usb::{Exports, Identity, Limits, Report, Setup, client, serve_imported};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::UnixStream;
use tokio::select;

use crate::support::{echo, identity, report, server};

#[tokio::test]
async fn reports_go_both_ways_over_tcp() {
    let exports = Exports::new();
    let key = tokio::spawn(echo(exports.plug("1-1", identity()).unwrap()));
    let (address, server) = server(&exports, Limits::default()).await;

    let mut device = client::import(address, "1-1").await.unwrap();
    assert_eq!(*device.identity(), identity());
    for number in 0..100 {
        device.send(&report(number)).await.unwrap();
        assert_eq!(device.recv().await.unwrap(), report(number));
    }
    let message: Vec<Report> = (0..40).map(report).collect();
    device.send_all(&message).await.unwrap();
    for sent in message {
        assert_eq!(device.recv().await.unwrap(), sent);
    }
    device.close().await.unwrap();
    key.abort();
    server.abort();
}

#[tokio::test]
async fn every_descriptor_is_what_was_plugged() {
    let exports = Exports::new();
    let bare = Identity { manufacturer: "ключ".to_owned(), ..Identity::default() };
    let _one = exports.plug("1-1", identity()).unwrap();
    let _two = exports.plug("2-7", bare.clone()).unwrap();
    let (address, server) = server(&exports, Limits::default()).await;
    for (busid, expected) in [("1-1", identity()), ("2-7", bare)] {
        let device = client::import(address, busid).await.unwrap();
        assert_eq!(*device.identity(), expected);
    }
    server.abort();
}

#[tokio::test]
async fn a_list_has_every_plugged_device_and_no_other() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    assert_eq!(client::list(address).await.unwrap(), []);
    let first = exports.plug("1-1", identity()).unwrap();
    let second = exports.plug("1-2", Identity::default()).unwrap();
    let listed = client::list(address).await.unwrap();
    let records: Vec<_> = listed.iter().map(|listed| listed.device.clone()).collect();
    assert_eq!(records, [first.record(), second.record()]);
    assert_eq!(listed[0].interfaces, [[3, 0, 0]]);
    drop(first);
    let listed = client::list(address).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].device.busid.as_str(), "1-2");
    server.abort();
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let exports = Exports::new();
    let _plugged = exports.plug("1-1", identity()).unwrap();
    let (address, server) = server(&exports, Limits::default()).await;
    let device = client::import(address, "1-1").await.unwrap();
    let busid = |busid: &str| busid.to_owned();
    let cases = [
        ("1-1", ClientError::Busy { busid: busid("1-1") }),
        ("1-2", ClientError::NoDevice { busid: busid("1-2") }),
        ("", ClientError::Busid { busid: busid("") }),
    ];
    for (busid, expected) in cases {
        assert_eq!(client::import(address, busid).await.unwrap_err(), expected);
    }
    device.close().await.unwrap();
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert_eq!(
        client::list(address).await.unwrap_err(),
        ClientError::Unreachable(std::io::ErrorKind::ConnectionRefused)
    );
}

#[tokio::test]
async fn a_report_can_be_sent_while_another_is_awaited() {
    let exports = Exports::new();
    let mut plugged = exports.plug("1-1", identity()).unwrap();
    let (address, server) = server(&exports, Limits::default()).await;
    let (device, mut key) = tokio::join!(client::import(address, "1-1"), plugged.attached());
    let mut device = device.unwrap();
    // The key answers only once it is told to, as a key that waits for a touch and is cancelled.
    device.send(&report(1)).await.unwrap();
    assert_eq!(key.from_host.recv().await, Some(report(1)));
    select! {
        biased;
        received = device.recv() => panic!("{received:?} from a key that said nothing"),
        () = std::future::ready(()) => {}
    }
    device.send(&report(2)).await.unwrap();
    assert_eq!(key.from_host.recv().await, Some(report(2)));
    key.to_host.send(report(3)).await.unwrap();
    assert_eq!(device.recv().await.unwrap(), report(3));
    server.abort();
}

#[tokio::test]
async fn an_unplug_is_a_clear_error_after_what_was_sent_before() {
    let exports = Exports::new();
    let mut plugged = exports.plug("1-1", identity()).unwrap();
    let (address, server) = server(&exports, Limits::default()).await;
    let (device, key) = tokio::join!(client::import(address, "1-1"), plugged.attached());
    let mut device = device.unwrap();
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(device.recv().await.unwrap(), report(1));
    drop(plugged);
    assert_eq!(device.recv().await.unwrap_err(), ClientError::Unplugged);
    assert_eq!(device.send(&report(2)).await.unwrap_err(), ClientError::Unplugged);
    assert_eq!(device.close().await, Ok(()));
    server.abort();
}

#[tokio::test]
async fn a_stream_that_is_attached_already_needs_no_import() {
    let exports = Exports::new();
    let plugged = exports.plug("1-1", identity()).unwrap();
    let record = plugged.record();
    let key = tokio::spawn(echo(plugged));
    let (near, far) = UnixStream::pair().unwrap();
    let serving = exports.clone();
    let connection = tokio::spawn(async move { serve_imported(far, &serving, "1-1", Limits::default()).await });
    let mut device = client::attach(near, &record).await.unwrap();
    device.send(&report(9)).await.unwrap();
    assert_eq!(device.recv().await.unwrap(), report(9));
    device.close().await.unwrap();
    assert_eq!(connection.await.unwrap(), Ok(keyrig_usb::Detached::ByHost));
    key.abort();
}

#[tokio::test]
async fn a_stalled_request_is_a_failed_transfer_and_the_device_stays() {
    let exports = Exports::new();
    let key = tokio::spawn(echo(exports.plug("1-1", identity()).unwrap()));
    let (address, server) = server(&exports, Limits::default()).await;
    let mut device = client::import(address, "1-1").await.unwrap();
    // GET_DESCRIPTOR(device qualifier): a full-speed device has none (USB 2.0 §9.6.2).
    let qualifier = Setup::decode([0x80, 6, 0, 6, 0, 0, 10, 0]);
    assert_eq!(device.control_in(qualifier).await.unwrap_err(), ClientError::Transfer { endpoint: 0, status: -32 });
    // GET_STATUS.
    let status = Setup::decode([0x80, 0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(device.control_in(status).await, Ok(vec![0, 0]));
    // Not a request to read, and one for more than is kept.
    for wrong in [[0x00, 9, 1, 0, 0, 0, 8, 0], [0x80, 6, 0, 2, 0, 0, 1, 0x10]] {
        let setup = Setup::decode(wrong);
        assert_eq!(device.control_in(setup).await, Err(ClientError::ControlRequest { setup }));
    }
    device.send(&report(1)).await.unwrap();
    assert_eq!(device.recv().await.unwrap(), report(1));
    key.abort();
    server.abort();
}

/// Answers with fixed bytes to whatever it is sent.
async fn answering(replies: Vec<Vec<u8>>) -> tokio::io::DuplexStream {
    let (near, mut far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut request = [0; 4096];
        for reply in replies {
            if far.read(&mut request).await.unwrap() == 0 {
                return;
            }
            far.write_all(&reply).await.unwrap();
        }
    });
    near
}

#[tokio::test]
async fn a_server_that_lies_is_named() {
    let mut imported = hex::decode("0111000300000000").unwrap();
    let mut record = vec![0; 312];
    record[0] = b'/';
    record[256..259].copy_from_slice(b"1-1");
    imported.extend(&record);
    let mut other = imported.clone();
    other[8 + 256..8 + 259].copy_from_slice(b"9-9");
    let reply = |seqnum: u32, status: u32, length: u32| {
        [3, seqnum, 0, 0, 0, status, length, 0, 0, 0, 0, 0]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let hex = |text: &str| hex::decode(text).unwrap();
    let cases = [
        (vec![], ClientError::HungUp),
        (vec![hex("0100000300000000")], ClientError::Wire(WireError::Version { found: 0x0100 })),
        (vec![hex("0111000500000000")], ClientError::Wire(WireError::Code { found: 5 })),
        (vec![hex("0111000300000003")], ClientError::Refused { status: 3 }),
        (vec![other], ClientError::Wire(WireError::OtherDevice)),
        (vec![imported.clone(), reply(77, 0, 0)], ClientError::Wire(WireError::SequenceNumber { found: 77 })),
        (
            vec![imported.clone(), reply(1, 0, 0xffff_ffff)],
            ClientError::Wire(WireError::Length { field: "actual_length", found: 0xffff_ffff, limit: 18 }),
        ),
        (vec![imported.clone(), reply(1, 0, 0)], ClientError::Descriptor { which: "device" }),
        (vec![imported.clone(), reply(1, 0xffff_ffe0, 0)], ClientError::Transfer { endpoint: 0, status: -32 }),
        (vec![imported], ClientError::Unplugged),
    ];
    for (replies, expected) in cases {
        let stream = answering(replies).await;
        assert_eq!(client::import_over(stream, "1-1").await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_keyboard_is_not_a_fido_device() {
    let mut imported = hex::decode("0111000300000000").unwrap();
    let mut record = vec![0; 312];
    record[0] = b'/';
    record[256..259].copy_from_slice(b"1-1");
    imported.extend(&record);
    let transfer = |seqnum: u32, data: &str| {
        let data = hex::decode(data).unwrap();
        let length = u32::try_from(data.len()).unwrap();
        let mut reply: Vec<u8> =
            [3, seqnum, 0, 0, 0, 0, length, 0, 0, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
        reply.extend(data);
        reply
    };
    let configuration =
        concat!("09022900010100800f", "090400000203010100", "092110010001221400", "07050103080002", "07058203080002");
    let stream = answering(vec![
        imported,
        transfer(1, "120100020000004009120100000100000001"),
        transfer(2, &configuration[..18]),
        transfer(3, configuration),
        transfer(4, ""),
        transfer(5, "05010906a101750195088102750895019102c000"),
    ])
    .await;
    assert_eq!(
        client::import_over(stream, "1-1").await.unwrap_err(),
        ClientError::NotFido(NotFido::Usage { page: 1, usage: 6 })
    );
}

#[tokio::test]
async fn close_unlinks_every_pending_urb_before_it_closes_the_connection() {
    let exports = Exports::new();
    let plugged = exports.plug("1-1", identity()).unwrap();
    let record = plugged.record();
    let (host, host_tap) = duplex(64 * 1024);
    let (device_tap, served) = duplex(64 * 1024);
    let connection = tokio::spawn(async move { serve_imported(served, &exports, "1-1", Limits::default()).await });
    // Passes everything on and keeps what the host sends.
    let (mut from_host, mut to_host) = tokio::io::split(host_tap);
    let (mut from_device, mut to_device) = tokio::io::split(device_tap);
    tokio::spawn(async move { tokio::io::copy(&mut from_device, &mut to_host).await });
    let recorder = tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = from_host.read(&mut chunk).await.unwrap();
            if count == 0 {
                to_device.shutdown().await.unwrap();
                return kept;
            }
            kept.extend(&chunk[..count]);
            to_device.write_all(&chunk[..count]).await.unwrap();
        }
    });
    let device = client::attach(host, &record).await.unwrap();
    device.close().await.unwrap();
    let kept = recorder.await.unwrap();
    assert_eq!(connection.await.unwrap(), Ok(keyrig_usb::Detached::ByHost));

    // No command of this exchange has data.
    let (mut pending, mut unlinked) = (Vec::new(), Vec::new());
    for message in kept.chunks(48) {
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        match (word(0), word(12), word(16)) {
            (1, 1, 4) => pending.push(word(4)),
            (1, _, 0) => assert!(unlinked.is_empty(), "a request after the first unlink"),
            (2, _, _) => unlinked.push(word(20)),
            other => panic!("{other:?}"),
        }
    }
    assert!(!pending.is_empty());
    assert_eq!(unlinked, pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_keep_their_order_when_key_host_and_server_run_in_parallel() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let mut hosts = tokio::task::JoinSet::new();
    for busid in ["1-1", "1-2", "1-3"] {
        tokio::spawn(echo(exports.plug(busid, identity()).unwrap()));
        hosts.spawn(async move {
            let mut device = client::import(address, busid).await.unwrap();
            for round in 0..200_u8 {
                let message: Vec<Report> = (0..round % 20).map(report).collect();
                device.send_all(&message).await.unwrap();
                for sent in message {
                    assert_eq!(device.recv().await.unwrap(), sent);
                }
            }
            device.close().await.unwrap();
        });
    }
    while let Some(ended) = hosts.join_next().await {
        ended.unwrap();
    }
    server.abort();
}
