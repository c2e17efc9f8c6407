//! The rules of USB/IP that hosts rely on, one test each.

use keyrig_usb::{Detached, Exports, Identity, ImportError, Limits, PlugError, ServeError, serve_imported};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TryRecvError;

use crate::support::{Host, Imported, identity, imported, imported_with, report, returned, server, unlinked};

const EPIPE: i32 = -32;
const ENOMEM: i32 = -12;
const EOVERFLOW: i32 = -75;
const ECONNRESET: i32 = -104;
const ESHUTDOWN: i32 = -108;
const EREMOTEIO: i32 = -121;

const SET_HALT_IN: [u8; 8] = [0x02, 3, 0, 0, 0x84, 0, 0, 0];
const CLEAR_HALT_IN: [u8; 8] = [0x02, 1, 0, 0, 0x84, 0, 0, 0];
const GET_DEVICE_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 64, 0];

/// 312 bytes of device 1-1 as the kernel's documentation lays them out.
fn record_of_1_1() -> Vec<u8> {
    let mut record = b"/sys/devices/platform/keyrig/usb1/1-1".to_vec();
    record.resize(256, 0);
    record.extend(b"1-1");
    record.resize(288, 0);
    record.extend([0, 0, 0, 1]); // busnum
    record.extend([0, 0, 0, 2]); // devnum
    record.extend([0, 0, 0, 2]); // speed: full
    record.extend([0x12, 0x09, 0x00, 0x01, 0x01, 0x00]); // idVendor, idProduct, bcdDevice
    record.extend([0, 0, 0]); // class, subclass, protocol
    record.extend([1, 1, 1]); // configuration value, configurations, interfaces
    record
}

fn import_request(busid: &[u8]) -> Vec<u8> {
    let mut request = vec![0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0];
    request.extend(busid);
    request.resize(40, 0);
    request
}

#[tokio::test]
async fn a_list_is_answered_byte_for_byte_and_the_connection_closed() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let _plugged = exports.plug("1-1", Identity::default()).unwrap();
    let mut host = Host::new(TcpStream::connect(address).await.unwrap());
    host.write(&[0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0]).await;
    let mut expected = vec![0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 1];
    expected.extend(record_of_1_1());
    expected.extend([3, 0, 0, 0]);
    assert_eq!(host.rest().await, expected);
    server.abort();
}

#[tokio::test]
async fn an_import_is_answered_byte_for_byte_and_urbs_follow_on_the_same_connection() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let mut plugged = exports.plug("1-1", Identity::default()).unwrap();
    let mut host = Host::new(TcpStream::connect(address).await.unwrap());
    host.write(&import_request(b"1-1")).await;
    let key = plugged.attached().await;
    let mut expected = vec![0x01, 0x11, 0x00, 0x03, 0, 0, 0, 0];
    expected.extend(record_of_1_1());
    let mut found = vec![0; expected.len()];
    tokio::io::AsyncReadExt::read_exact(&mut host.stream, &mut found).await.unwrap();
    assert_eq!(found, expected);
    host.submit_in(1, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, 0, 64, &report(1)));
    server.abort();
}

#[tokio::test]
async fn the_exchange_of_the_kernel_documentation_is_answered_byte_for_byte() {
    // CmdIntrIN and CmdIntrOUT of usbip_protocol.rst, for our device id and endpoint.
    let command_in = "0000000100000d05000100020000000100000004000002000000004\
                      0ffffffff00000000000000040000000000000000";
    let command_out = "0000000100000d06000100020000000000000004000000000000004\
                       0ffffffff00000000000000040000000000000000";
    let sent = "ffffffff860008a784ce5ae2123763";
    let answer = "ffffffff860011a784ce5ae2123763612891b10201000004";
    let pad = |text: &str| {
        let mut bytes = hex::decode(text).unwrap();
        bytes.resize(64, 0);
        bytes
    };
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let mut bytes = hex::decode(command_in).unwrap();
    bytes.extend(hex::decode(command_out).unwrap());
    bytes.extend(pad(sent));
    host.write(&bytes).await;
    assert_eq!(key.from_host.recv().await.unwrap().to_vec(), pad(sent));
    let report = pad(answer).try_into().unwrap();
    key.to_host.send(report).await.unwrap();
    // As documented but for start_frame, which nobody reads: 0, as the text wants it.
    let mut expected = hex::decode(
        "0000000300000d0600000000000000000000000000000000000000400000000000000000\
         000000000000000000000000\
         0000000300000d0500000000000000000000000000000000000000400000000000000000\
         000000000000000000000000",
    )
    .unwrap();
    expected.extend(pad(answer));
    let mut found = vec![0; expected.len()];
    tokio::io::AsyncReadExt::read_exact(&mut host.stream, &mut found).await.unwrap();
    assert_eq!(hex::encode(found), hex::encode(expected));
}

#[tokio::test]
async fn in_urbs_wait_in_order_until_there_is_a_report_and_are_never_filled_with_zeros() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    for seqnum in [10, 30, 20] {
        host.submit_in(seqnum, 64).await;
    }
    // A control transfer behind them is answered first: nothing came for the IN URBs.
    host.control_in(40, GET_DEVICE_DESCRIPTOR).await;
    assert!(matches!(
        host.reply().await,
        crate::support::Returned::Submit { seqnum: 40, status: 0, actual_length: 18, .. }
    ));
    for (number, seqnum) in [10, 30, 20].into_iter().enumerate() {
        let report = report(u8::try_from(number).unwrap());
        key.to_host.send(report).await.unwrap();
        assert_eq!(host.reply().await, returned(seqnum, 0, 64, &report));
    }
}

#[tokio::test]
async fn a_report_is_taken_from_the_key_only_when_the_host_asks() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    key.to_host.try_send(report(1)).unwrap();
    host.control_in(1, GET_DEVICE_DESCRIPTOR).await;
    host.reply().await;
    key.to_host.try_send(report(2)).expect_err("the first report is still with the key");
    host.submit_in(2, 64).await;
    assert_eq!(host.reply().await, returned(2, 0, 64, &report(1)));
    key.to_host.try_send(report(2)).unwrap();
}

#[tokio::test]
async fn out_urbs_wait_in_order_for_room_at_the_key_while_control_and_in_go_on() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let room = u8::try_from(key.from_host.max_capacity()).unwrap();
    let total = room + 3;
    for number in 0..total {
        host.submit_out(u32::from(number), &report(number)).await;
    }
    for number in 0..room {
        assert_eq!(host.reply().await, returned(u32::from(number), 0, 64, &[]));
    }
    host.control_in(100, GET_DEVICE_DESCRIPTOR).await;
    assert!(matches!(host.reply().await, crate::support::Returned::Submit { seqnum: 100, .. }));
    host.submit_in(101, 64).await;
    key.to_host.send(report(200)).await.unwrap();
    assert_eq!(host.reply().await, returned(101, 0, 64, &report(200)));
    for number in 0..total {
        assert_eq!(key.from_host.recv().await, Some(report(number)));
    }
    for number in room..total {
        assert_eq!(host.reply().await, returned(u32::from(number), 0, 64, &[]));
    }
}

#[tokio::test]
async fn unlink_of_a_pending_urb_returns_econnreset_and_the_urb_nothing() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 64).await;
    host.submit_in(2, 64).await;
    host.unlink(3, 1).await;
    assert_eq!(host.reply().await, unlinked(3, ECONNRESET));
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(2, 0, 64, &report(1)));
}

#[tokio::test]
async fn unlink_of_a_waiting_out_urb_takes_its_report_back() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let room = u8::try_from(key.from_host.max_capacity()).unwrap();
    for number in 0..=room {
        host.submit_out(u32::from(number), &report(number)).await;
    }
    for _ in 0..room {
        host.reply().await;
    }
    host.unlink(100, u32::from(room)).await;
    assert_eq!(host.reply().await, unlinked(100, ECONNRESET));
    for number in 0..room {
        assert_eq!(key.from_host.recv().await, Some(report(number)));
    }
    host.control_in(101, GET_DEVICE_DESCRIPTOR).await;
    host.reply().await;
    assert_eq!(key.from_host.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn unlink_of_a_completed_or_unknown_urb_returns_0() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    host.reply().await;
    host.unlink(2, 1).await;
    assert_eq!(host.reply().await, unlinked(2, 0));
    host.unlink(3, 999).await;
    assert_eq!(host.reply().await, unlinked(3, 0));
}

#[tokio::test]
async fn a_short_out_packet_is_padded_and_its_true_length_returned() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    host.submit_out(1, &[7, 8, 9]).await;
    assert_eq!(host.reply().await, returned(1, 0, 3, &[]));
    let mut expected = [0; 64];
    expected[..3].copy_from_slice(&[7, 8, 9]);
    assert_eq!(key.from_host.recv().await, Some(expected));
    host.submit_out(2, &[]).await;
    assert_eq!(host.reply().await, returned(2, 0, 0, &[]));
    host.submit_out(3, &report(3)).await;
    assert_eq!(host.reply().await, returned(3, 0, 64, &[]));
    assert_eq!(key.from_host.recv().await, Some(report(3)));
}

#[tokio::test]
async fn an_out_packet_of_more_than_a_report_stalls_and_the_next_is_read_right() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    host.submit_out(1, &[1; 65]).await;
    assert_eq!(host.reply().await, returned(1, EPIPE, 0, &[]));
    host.submit_out(2, &vec![1; 0xffff]).await;
    assert_eq!(host.reply().await, returned(2, EPIPE, 0, &[]));
    host.submit_out(3, &report(3)).await;
    assert_eq!(host.reply().await, returned(3, 0, 64, &[]));
    assert_eq!(key.from_host.recv().await, Some(report(3)));
}

#[tokio::test]
async fn too_little_room_in_an_in_urb_is_babble_once_there_is_a_report() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 63).await;
    host.submit_in(2, 4096).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, EOVERFLOW, 0, &[]));
    key.to_host.send(report(2)).await.unwrap();
    assert_eq!(host.reply().await, returned(2, 0, 64, &report(2)));
}

#[tokio::test]
async fn a_short_in_transfer_is_an_error_only_if_the_urb_says_so() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit(1, 1, 4, 0x0001, 128, [0; 8], &[]).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, EREMOTEIO, 64, &report(1)));
    host.submit(2, 1, 4, 0x0001, 64, [0; 8], &[]).await;
    key.to_host.send(report(2)).await.unwrap();
    assert_eq!(host.reply().await, returned(2, 0, 64, &report(2)));
}

#[tokio::test]
async fn unknown_endpoints_and_wrong_directions_stall() {
    let Imported { mut host, key: _key, plugged: _plugged, .. } = imported().await;
    for (seqnum, endpoint) in [(1, 1), (2, 5), (3, 15)] {
        host.submit(seqnum, 1, endpoint, 0, 64, [0; 8], &[]).await;
        assert_eq!(host.reply().await, returned(seqnum, EPIPE, 0, &[]));
        let out = seqnum + 10;
        host.submit(out, 0, endpoint, 0, 64, [0; 8], &report(1)).await;
        assert_eq!(host.reply().await, returned(out, EPIPE, 0, &[]));
    }
    // A request to read in a transfer to write.
    host.control_out(4, GET_DEVICE_DESCRIPTOR, &[0; 64]).await;
    assert_eq!(host.reply().await, returned(4, EPIPE, 0, &[]));
}

#[tokio::test]
async fn number_of_packets_may_be_0_or_all_ones() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    for packets in [0, 0xffff_ffff] {
        let message = crate::support::header([1, 1, crate::support::DEVICE_ID, 0, 4, 0, 0, 0, packets, 0, 0, 0]);
        host.write(&message).await;
        assert_eq!(host.reply().await, returned(1, 0, 0, &[]));
    }
    drop(key);
}

#[tokio::test]
async fn actual_length_of_a_descriptor_is_its_true_length_and_at_most_wlength() {
    let Imported { mut host, key: _key, plugged: _plugged, .. } = imported().await;
    let report_descriptor = |length| [0x81, 6, 0, 0x22, 0, 0, length, 0];
    let full = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0";
    let full = hex::decode(full).unwrap();
    host.control_in(1, report_descriptor(255)).await;
    assert_eq!(host.reply().await, returned(1, 0, 34, &full));
    host.control_in(2, report_descriptor(7)).await;
    assert_eq!(host.reply().await, returned(2, 0, 7, &full[..7]));
}

#[tokio::test]
async fn set_report_brings_a_report_to_the_key_and_waits_for_room_as_out_does() {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let set_report = [0x21, 9, 0, 2, 0, 0, 64, 0];
    let room = u8::try_from(key.from_host.max_capacity()).unwrap();
    for number in 0..room {
        host.submit_out(u32::from(number), &report(number)).await;
        host.reply().await;
    }
    host.control_out(100, set_report, &report(100)).await;
    host.control_in(101, GET_DEVICE_DESCRIPTOR).await;
    assert!(matches!(host.reply().await, crate::support::Returned::Submit { seqnum: 101, .. }));
    for number in (0..room).chain([100]) {
        assert_eq!(key.from_host.recv().await, Some(report(number)));
    }
    assert_eq!(host.reply().await, returned(100, 0, 64, &[]));
}

#[tokio::test]
async fn a_halted_endpoint_stalls_what_is_pending_and_what_comes_until_it_is_cleared() {
    let Imported { mut host, key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 64).await;
    host.control_out(2, SET_HALT_IN, &[]).await;
    assert_eq!(host.reply().await, returned(2, 0, 0, &[]));
    assert_eq!(host.reply().await, returned(1, EPIPE, 0, &[]));
    host.submit_in(3, 64).await;
    assert_eq!(host.reply().await, returned(3, EPIPE, 0, &[]));
    host.control_out(4, CLEAR_HALT_IN, &[]).await;
    assert_eq!(host.reply().await, returned(4, 0, 0, &[]));
    host.submit_in(5, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(5, 0, 64, &report(1)));
}

#[tokio::test]
async fn configuration_0_shuts_the_endpoints_down() {
    let Imported { mut host, key: _key, plugged: _plugged, .. } = imported().await;
    host.submit_in(1, 64).await;
    host.control_out(2, [0x00, 9, 0, 0, 0, 0, 0, 0], &[]).await;
    assert_eq!(host.reply().await, returned(2, 0, 0, &[]));
    assert_eq!(host.reply().await, returned(1, ESHUTDOWN, 0, &[]));
    host.submit_out(3, &report(3)).await;
    assert_eq!(host.reply().await, returned(3, EPIPE, 0, &[]));
}

#[tokio::test]
async fn pending_urbs_are_bounded_and_one_too_many_is_enomem() {
    let limits = Limits { pending_urbs: 2, ..Limits::default() };
    let Imported { mut host, key, plugged: _plugged, .. } = imported_with(limits, 4096).await;
    for seqnum in [1, 2, 3] {
        host.submit_in(seqnum, 64).await;
    }
    assert_eq!(host.reply().await, returned(3, ENOMEM, 0, &[]));
    host.unlink(4, 1).await;
    assert_eq!(host.reply().await, unlinked(4, ECONNRESET));
    host.submit_in(5, 64).await;
    for seqnum in [2, 5] {
        key.to_host.send(report(1)).await.unwrap();
        assert_eq!(host.reply().await, returned(seqnum, 0, 64, &report(1)));
    }
}

#[tokio::test]
async fn a_busy_device_is_status_2_an_unknown_one_4_and_a_malformed_busid_1() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let mut plugged = exports.plug("1-1", identity()).unwrap();
    let mut first = Host::new(TcpStream::connect(address).await.unwrap());
    first.write(&import_request(b"1-1")).await;
    let _key = plugged.attached().await;
    for (busid, status) in
        [(&b"1-1"[..], 2), (b"1-2", 4), (b"01-1", 4), (b"usb", 4), (b"", 1), (&[b'1'; 32], 1), (b"1-\xff", 1)]
    {
        let mut host = Host::new(TcpStream::connect(address).await.unwrap());
        host.write(&import_request(busid)).await;
        let expected = [0x01, 0x11, 0x00, 0x03, 0, 0, 0, status];
        assert_eq!(host.rest().await, expected, "{busid:?}");
    }
    server.abort();
}

#[tokio::test]
async fn a_dropped_connection_frees_the_device_at_once_and_closes_the_keys_channels() {
    let exports = Exports::new();
    let (address, server) = server(&exports, Limits::default()).await;
    let mut plugged = exports.plug("1-1", identity()).unwrap();
    for number in 0..3 {
        let mut host = Host::new(TcpStream::connect(address).await.unwrap());
        host.write(&import_request(b"1-1")).await;
        let mut key = plugged.attached().await;
        let mut reply = [0; 320];
        tokio::io::AsyncReadExt::read_exact(&mut host.stream, &mut reply).await.unwrap();
        assert_eq!(reply[7], 0);
        // Undelivered in the hands of the server when the host leaves: gone.
        key.to_host.send(report(number)).await.unwrap();
        host.stream.shutdown().await.unwrap();
        drop(host);
        assert_eq!(key.from_host.recv().await, None);
        key.to_host.closed().await;
    }
    server.abort();
}

#[tokio::test]
async fn an_unplug_closes_the_hosts_connection_and_the_busid_can_be_plugged_again() {
    let Imported { exports, plugged, key, mut host, connection } = imported().await;
    host.submit_in(1, 64).await;
    assert_eq!(exports.plug("1-1", identity()).err(), Some(PlugError::Taken { busid: "1-1".to_owned() }));
    drop(plugged);
    assert_eq!(exports.list(), []);
    let mut again = exports.plug("1-1", identity()).unwrap();
    assert_eq!(connection.await.unwrap(), Ok(Detached::Unplugged));
    assert_eq!(host.rest().await, [0_u8; 0]);
    assert!(key.to_host.is_closed());

    let (near, far) = duplex(4096);
    let second = tokio::spawn(async move { serve_imported(far, &exports, "1-1", Limits::default()).await });
    let mut key = again.attached().await;
    let mut host = Host::new(near);
    host.submit_out(1, &report(1)).await;
    assert_eq!(key.from_host.recv().await, Some(report(1)));
    drop(host);
    assert_eq!(second.await.unwrap(), Ok(Detached::ByHost));
}

#[tokio::test]
async fn a_key_that_drops_its_attachment_disconnects_the_host_and_stays_plugged() {
    let Imported { exports, plugged: _plugged, key, mut host, connection } = imported().await;
    drop(key);
    assert_eq!(connection.await.unwrap(), Ok(Detached::ByKey));
    assert_eq!(host.rest().await, [0_u8; 0]);
    assert_eq!(exports.list().len(), 1);
}

#[tokio::test]
async fn an_attached_device_is_imported_for_everyone_else() {
    let Imported { exports, plugged: _plugged, key: _key, host: _host, .. } = imported().await;
    let (_near, far) = duplex(64);
    let busid = "1-1".to_owned();
    assert_eq!(
        serve_imported(far, &exports, "1-1", Limits::default()).await,
        Err(ServeError::Import(ImportError::Busy { busid }))
    );
}

#[test]
fn busids_are_bus_and_port_and_device_ids_unique() {
    let exports = Exports::new();
    let mut ids = Vec::new();
    let mut plugged = Vec::new();
    for busid in ["1-1", "1-2", "2-1", "65534-65534"] {
        let device = exports.plug(busid, identity()).unwrap();
        ids.push(device.record().device_id());
        plugged.push(device);
    }
    assert_eq!(ids, [0x1_0002, 0x1_0003, 0x2_0002, 0xfffe_ffff]);
    for busid in ["", "1", "1-", "-1", "0-1", "1-0", "01-1", "1-1.1", "+1-1", "65535-1", "1-65536"] {
        assert_eq!(exports.plug(busid, identity()).err(), Some(PlugError::Busid { busid: busid.to_owned() }));
    }
}
