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
    let fates =
        [Fate::Short(20), Fate::Failed(Failure::Stall), Fate::Failed(Failure::Protocol), Fate::Failed(Failure::Babble)];
    let Bench { mut host, key, _plugged, .. } = bench(Transfer::In, &fates).await;
    for (seqnum, expected) in [
        (1, returned(1, 0, 20, &report(7)[..20])),
        // EPIPE, EPROTO, EOVERFLOW.
        (2, returned(2, -32, 0, &[])),
        (3, returned(3, -71, 0, &[])),
        (4, returned(4, -75, 0, &[])),
        (5, returned(5, 0, 64, &report(7))),
    ] {
        host.submit_in(seqnum, 64).await;
        key.to_host.send(report(7)).await.unwrap();
        assert_eq!(host.reply().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_the_key_can_fail_and_its_report_is_lost() {
    let Bench { mut host, mut key, _plugged, .. } =
        bench(Transfer::Out, &[Fate::Good, Fate::Failed(Failure::Stall)]).await;
    for (seqnum, status, length) in [(1, 0, 64), (2, -32, 0), (3, 0, 64)] {
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
