//! What an ear hears of control requests: each as its host saw it end.

use std::sync::{Arc, Mutex};

use keyrig_usb::{Attachment, ControlRequest, Exports, Limits, Plugged, Standing, serve_imported};
use tokio::io::{DuplexStream, duplex};

use crate::support::{Host, identity, report, returned, unlinked};

const EPIPE: i32 = -32;
const ENOMEM: i32 = -12;
const ECONNRESET: i32 = -104;

/// Setup packet, status and data.
type Heard = Vec<([u8; 8], i32, Vec<u8>)>;

struct Bench {
    host: Host<DuplexStream>,
    key: Attachment,
    heard: Arc<Mutex<Heard>>,
    _plugged: Plugged,
}

async fn bench(limits: Limits) -> Bench {
    let heard = Arc::<Mutex<Heard>>::default();
    let hears = Arc::clone(&heard);
    let ear = move |request: ControlRequest<'_>| {
        hears.lock().unwrap().push((request.setup.encode(), request.status, request.data.to_vec()));
    };
    let exports = Exports::new();
    let mut plugged = exports.plug_with("1-1", identity(), Standing { ear: Some(Arc::new(ear)), host: None }).unwrap();
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move { serve_imported(far, &exports, "1-1", limits).await });
    let key = plugged.attached().await;
    Bench { host: Host::new(near), key, heard, _plugged: plugged }
}

/// SET_REPORT of an output report of so many bytes (HID 1.11 §7.2.2).
fn set_report(length: u16) -> [u8; 8] {
    let [low, high] = length.to_le_bytes();
    [0x21, 9, 0, 2, 0, 0, low, high]
}

#[tokio::test]
async fn a_report_by_set_report_is_heard_when_the_key_has_it() {
    let Bench { mut host, mut key, heard, _plugged } = bench(Limits::default()).await;
    host.control_out(1, set_report(3), &[1, 2, 3]).await;
    assert_eq!(host.reply().await, returned(1, 0, 3, &[]));
    assert_eq!(key.from_host.recv().await.unwrap()[..4], [1, 2, 3, 0]);
    assert_eq!(*heard.lock().unwrap(), [(set_report(3), 0, vec![1, 2, 3])]);
}

#[tokio::test]
async fn requests_that_bring_more_than_a_report_are_heard_as_refused() {
    let Bench { mut host, heard, key: _key, _plugged } = bench(Limits::default()).await;
    for (seqnum, length) in [(1, 65), (2, 1000)] {
        host.control_out(seqnum, set_report(length), &vec![7; length.into()]).await;
        assert_eq!(host.reply().await, returned(seqnum, EPIPE, 0, &[]));
    }
    let refused = |length| (set_report(length), EPIPE, Vec::new());
    assert_eq!(*heard.lock().unwrap(), [refused(65), refused(1000)]);
}

#[tokio::test]
async fn a_set_report_that_there_is_no_room_for_is_heard_as_refused() {
    let Bench { mut host, heard, key: _key, _plugged } = bench(Limits { pending_urbs: 1, ..Limits::default() }).await;
    host.submit_in(1, 64).await;
    host.control_out(2, set_report(64), &report(1)).await;
    assert_eq!(host.reply().await, returned(2, ENOMEM, 0, &[]));
    assert_eq!(*heard.lock().unwrap(), [(set_report(64), ENOMEM, Vec::new())]);
}

#[tokio::test]
async fn a_set_report_that_the_host_takes_back_is_heard_as_taken_back() {
    let Bench { mut host, heard, key, _plugged } = bench(Limits::default()).await;
    // The key reads nothing: so many are taken, and the next one is pending.
    let room = u32::try_from(key.from_host.max_capacity()).unwrap();
    for seqnum in 0..room {
        host.control_out(seqnum, set_report(64), &report(1)).await;
        assert_eq!(host.reply().await, returned(seqnum, 0, 64, &[]));
    }
    host.control_out(100, set_report(64), &report(1)).await;
    host.unlink(101, 100).await;
    assert_eq!(host.reply().await, unlinked(101, ECONNRESET));
    let heard: Vec<_> = heard.lock().unwrap().iter().map(|(_, status, data)| (*status, data.len())).collect();
    let taken = vec![(0, 64); room.try_into().unwrap()];
    assert_eq!(heard, [taken, vec![(ECONNRESET, 0)]].concat());
}
