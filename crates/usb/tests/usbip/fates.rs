//! How transfers end where something decides that they end badly: in virtual time.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use keyrig_usb::{
    Attachment, Detached, Exports, Failure, Fate, Limits, Plugged, ServeError, Standing, Transfer, serve_imported,
};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Host, identity, report, returned, unlinked};

const ECONNRESET: i32 = -104;

struct Bench {
    host: Host<DuplexStream>,
    key: Attachment,
    connection: JoinHandle<Result<Detached, ServeError>>,
    _plugged: Plugged,
}

/// A host whose transfers of one kind end as is written, one after another, and then well.
async fn bench(kind: Transfer, fates: &[Fate]) -> Bench {
    let fates = Mutex::new(fates.iter().copied().collect::<VecDeque<_>>());
    let decides = move |transfer| {
        let fate = if transfer == kind { fates.lock().unwrap().pop_front() } else { None };
        fate.unwrap_or(Fate::Good)
    };
    let exports = Exports::new();
    let standing = Standing { ear: None, host: Some(Arc::new(decides)) };
    let mut plugged = exports.plug_with("1-1", identity(), standing).unwrap();
    let (near, far) = duplex(64 * 1024);
    let connection = tokio::spawn(async move { serve_imported(far, &exports, "1-1", Limits::default()).await });
    let key = plugged.attached().await;
    let mut host = Host::new(near);
    host.control_out(100, [0, 9, 1, 0, 0, 0, 0, 0], &[]).await;
    assert_eq!(host.reply().await, returned(100, 0, 0, &[]));
    Bench { host, key, connection, _plugged: plugged }
}

#[tokio::test(start_paused = true)]
async fn a_report_can_be_late_and_what_comes_behind_it_waits() {
    let late = Duration::from_millis(700);
    let Bench { mut host, key, _plugged, .. } = bench(Transfer::In, &[Fate::Late(late)]).await;
    let began = Instant::now();
    host.submit_in(1, 64).await;
    host.submit_in(2, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    key.to_host.send(report(2)).await.unwrap();
    // Meanwhile the rest goes on.
    host.submit_out(3, &report(3)).await;
    assert_eq!(host.reply().await, returned(3, 0, 64, &[]));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(host.reply().await, returned(1, 0, 64, &report(1)));
    assert_eq!(host.reply().await, returned(2, 0, 64, &report(2)));
    assert!((late..late + Duration::from_millis(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_the_host_can_be_short_or_fail_and_its_report_is_lost() {
    let fates = [Fate::Short(20), Fate::Failed(Failure::Protocol), Fate::Failed(Failure::Babble)];
    let Bench { mut host, key, _plugged, .. } = bench(Transfer::In, &fates).await;
    for (seqnum, expected) in [
        (1, returned(1, 0, 20, &report(7)[..20])),
        // EPROTO, EOVERFLOW.
        (2, returned(2, -71, 0, &[])),
        (3, returned(3, -75, 0, &[])),
        (4, returned(4, 0, 64, &report(7))),
    ] {
        host.submit_in(seqnum, 64).await;
        key.to_host.send(report(7)).await.unwrap();
        assert_eq!(host.reply().await, expected);
    }
}

/// GET_STATUS and CLEAR_FEATURE of an endpoint, and what it says of a halt (USB 2.0 §9.4.5, §9.4.1).
fn get_status(endpoint: u8) -> [u8; 8] {
    [0x82, 0, 0, 0, endpoint, 0, 2, 0]
}

fn clear_halt(endpoint: u8) -> [u8; 8] {
    [0x02, 1, 0, 0, endpoint, 0, 0, 0]
}

const IN_ENDPOINT: u8 = 0x84;
const OUT_ENDPOINT: u8 = 0x04;
const EPIPE: i32 = -32;

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stalls_is_halted_until_the_host_clears_that() {
    let Bench { mut host, key, _plugged, .. } = bench(Transfer::In, &[Fate::Failed(Failure::Stall)]).await;
    host.submit_in(1, 64).await;
    host.submit_in(2, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(1, EPIPE, 0, &[]));
    assert_eq!(host.reply().await, returned(2, EPIPE, 0, &[]), "what is behind it ends with it");
    host.submit_in(3, 64).await;
    assert_eq!(host.reply().await, returned(3, EPIPE, 0, &[]), "and what comes");
    host.control_in(4, get_status(IN_ENDPOINT)).await;
    assert_eq!(host.reply().await, returned(4, 0, 2, &[1, 0]));
    host.control_in(5, get_status(OUT_ENDPOINT)).await;
    assert_eq!(host.reply().await, returned(5, 0, 2, &[0, 0]), "of the other nothing is wrong");
    host.control_out(6, clear_halt(IN_ENDPOINT), &[]).await;
    assert_eq!(host.reply().await, returned(6, 0, 0, &[]));
    host.submit_in(7, 64).await;
    key.to_host.send(report(2)).await.unwrap();
    assert_eq!(host.reply().await, returned(7, 0, 64, &report(2)), "the report before is lost");
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_the_key_can_stall_and_its_report_is_lost() {
    let Bench { mut host, mut key, _plugged, .. } =
        bench(Transfer::Out, &[Fate::Good, Fate::Failed(Failure::Stall)]).await;
    for (seqnum, status, length) in [(1, 0, 64), (2, EPIPE, 0), (3, EPIPE, 0)] {
        host.submit_out(seqnum, &report(u8::try_from(seqnum).unwrap())).await;
        assert_eq!(host.reply().await, returned(seqnum, status, length, &[]));
    }
    host.control_out(4, clear_halt(OUT_ENDPOINT), &[]).await;
    assert_eq!(host.reply().await, returned(4, 0, 0, &[]));
    host.submit_out(5, &report(5)).await;
    assert_eq!(host.reply().await, returned(5, 0, 64, &[]));
    assert_eq!((key.from_host.recv().await.unwrap()[0], key.from_host.recv().await.unwrap()[0]), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_control_request_that_brings_a_report_can_stall_and_halts_nothing() {
    let Bench { mut host, mut key, _plugged, .. } = bench(Transfer::Out, &[Fate::Failed(Failure::Stall)]).await;
    // SET_REPORT (HID 1.11 §7.2.2).
    host.control_out(1, [0x21, 9, 0, 2, 0, 0, 64, 0], &report(1)).await;
    assert_eq!(host.reply().await, returned(1, EPIPE, 0, &[]));
    host.submit_out(2, &report(2)).await;
    assert_eq!(host.reply().await, returned(2, 0, 64, &[]));
    assert_eq!(key.from_host.recv().await.unwrap()[0], 2);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_the_key_can_fail_and_its_report_is_lost() {
    let Bench { mut host, mut key, _plugged, .. } =
        bench(Transfer::Out, &[Fate::Good, Fate::Failed(Failure::Protocol)]).await;
    for (seqnum, status, length) in [(1, 0, 64), (2, -71, 0), (3, 0, 64)] {
        host.submit_out(seqnum, &report(u8::try_from(seqnum).unwrap())).await;
        assert_eq!(host.reply().await, returned(seqnum, status, length, &[]));
    }
    assert_eq!((key.from_host.recv().await.unwrap()[0], key.from_host.recv().await.unwrap()[0]), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_unlink_can_be_answered_late_and_the_urb_has_one_end_all_the_same() {
    let late = Duration::from_millis(700);
    let Bench { mut host, key, _plugged, .. } = bench(Transfer::Unlink, &[Fate::Late(late)]).await;
    let began = Instant::now();
    host.submit_in(1, 64).await;
    host.unlink(2, 1).await;
    host.submit_in(3, 64).await;
    key.to_host.send(report(1)).await.unwrap();
    assert_eq!(host.reply().await, returned(3, 0, 64, &report(1)));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(host.reply().await, unlinked(2, ECONNRESET));
    assert!((late..late + Duration::from_millis(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_host_can_be_let_go_in_the_middle_of_it() {
    for kind in [Transfer::In, Transfer::Out, Transfer::Unlink] {
        let Bench { mut host, key, connection, _plugged } = bench(kind, &[Fate::Disconnected]).await;
        host.submit_in(1, 64).await;
        match kind {
            Transfer::In => key.to_host.send(report(1)).await.unwrap(),
            Transfer::Out => host.submit_out(2, &report(2)).await,
            Transfer::Unlink => host.unlink(2, 1).await,
        }
        assert_eq!(connection.await.unwrap().unwrap(), Detached::ByKey, "{kind:?}");
    }
}
