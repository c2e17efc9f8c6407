//! What can stand between a key and what it stands on: a disk that fills, a clock that is put forward, an ear at the edge. Each on one
//! key of two, the other being as ever.

use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keyrig_authenticator::Channel as CtapChannel;
use keyrig_authenticator::store::Change;
use keyrig_ctap::Request;
use keyrig_ctap::hid::{ChannelId, Peer, Report, RequestKind};
use keyrig_rack::clock::Clock;
use keyrig_rack::seams::{Edge, Seams, USB_HOST, WITHOUT_CTAPHID};
use keyrig_rack::storage::{NotDurable, Storage};
use keyrig_rack::{KeyName, Options, Rack};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::requests::{made, make_credential};
use crate::support::{Channel, handle, specifications, state, touch, transact};

async fn rack_with(options: Options, seams: impl Seams + 'static) -> Rack {
    let options = Options { seams: Some(Arc::new(seams)), ..options };
    Rack::start(options, specifications(&["a", "b"])).await.unwrap()
}

#[derive(Debug)]
struct Disk {
    inner: Box<dyn Storage>,
    full: Arc<AtomicBool>,
}

impl Storage for Disk {
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        if self.full.load(Ordering::Relaxed) {
            return Err(NotDurable::new("no room"));
        }
        self.inner.commit(changes)
    }

    fn waits(&self) -> bool {
        self.inner.waits()
    }
}

#[derive(Debug, Default)]
struct Full(Arc<AtomicBool>);

impl Seams for Full {
    fn storage(&self, key: &KeyName, inner: Box<dyn Storage>) -> Box<dyn Storage> {
        if key.as_str() == "a" { Box::new(Disk { inner, full: Arc::clone(&self.0) }) } else { inner }
    }
}

#[tokio::test]
async fn a_disk_that_fills_fails_its_key_s_commands_until_there_is_room() {
    let directory = TempDir::new().unwrap();
    let kept = Options { state: Some(directory.path().to_owned()), ..touch("every") };
    for options in [touch("every"), kept] {
        let full = Arc::new(AtomicBool::new(true));
        let rack = rack_with(options, Full(Arc::clone(&full))).await;
        assert_eq!(transact(&rack, "a", make_credential("user", true)).await, [0x7F], "CTAP1_ERR_OTHER");
        made(&transact(&rack, "b", make_credential("user", true)).await);
        assert_eq!(state(&rack, "a").await.discoverable_credentials, 0);
        full.store(false, Ordering::Relaxed);
        made(&transact(&rack, "a", make_credential("user", true)).await);
        let ended = rack.ended();
        drop(rack);
        ended.await;
    }
}

/// A clock that can be put forward.
#[derive(Debug)]
struct Forward {
    inner: Box<dyn Clock>,
    ahead: Duration,
    turns: mpsc::UnboundedReceiver<Duration>,
}

impl Clock for Forward {
    fn now(&self) -> Duration {
        self.inner.now() + self.ahead
    }

    fn when(&self, time: Duration) -> Instant {
        self.inner.when(time.saturating_sub(self.ahead))
    }

    fn poll_turned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.turns.poll_recv(context)) {
            Some(turn) => {
                self.ahead += turn;
                Poll::Ready(())
            }
            None => Poll::Pending,
        }
    }
}

#[derive(Debug)]
struct Timeline(Mutex<Option<mpsc::UnboundedReceiver<Duration>>>);

impl Seams for Timeline {
    fn clock(&self, key: &KeyName, inner: Box<dyn Clock>) -> Box<dyn Clock> {
        match self.0.lock().unwrap().take_if(|_| key.as_str() == "a") {
            Some(turns) => Box::new(Forward { inner, ahead: Duration::ZERO, turns }),
            None => inner,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_forward_is_its_key_s_alone_and_acts_at_once() {
    let (turn, turns) = mpsc::unbounded_channel();
    let rack = rack_with(touch("manual"), Timeline(Mutex::new(Some(turns)))).await;
    let start = Instant::now();
    let mut waiting = Channel::open_in_memory(&rack, "1-1").await;
    let mut other = Channel::open_in_memory(&rack, "1-2").await;
    waiting.request_until_up_needed(Request::Selection.encode()).await;
    other.request_until_up_needed(Request::Selection.encode()).await;
    turn.send(Duration::from_secs(30)).unwrap();
    assert_eq!(waiting.answer().await.unwrap(), [0x2F], "CTAP2_ERR_USER_ACTION_TIMEOUT");
    assert_eq!(start.elapsed().as_millis(), 0);
    assert_eq!(waiting.transact(Request::Reset.encode()).await, [0x30], "more than 10 s after power-up, CTAP 2.3 §6.6");
    assert_eq!(state(&rack, "b").await.waiting_for.as_deref(), Some("authenticatorSelection"));
    // Deadlines go by the clock that was turned.
    assert_eq!(waiting.transact(Request::Selection.encode()).await, [0x2F]);
    assert!((30_000..30_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Passed>>>);

/// A message by the channel that it came on, or the command byte of a report.
type Passed = (Option<CtapChannel>, Vec<u8>);

impl Seams for Heard {
    fn edge(&self, key: &KeyName) -> Option<Box<dyn Edge>> {
        if key.as_str() == "a" { Some(Box::new(self.clone())) } else { None }
    }
}

impl Edge for Heard {
    fn report_in(&mut self, peer: Peer, report: Report, _: Duration) -> Option<Report> {
        assert_eq!(peer, USB_HOST);
        self.0.lock().unwrap().push((None, report[4..5].to_vec()));
        Some(report)
    }

    fn request(&mut self, channel: CtapChannel, _: RequestKind, message: Vec<u8>, _: Duration) -> Option<Vec<u8>> {
        self.0.lock().unwrap().push((Some(channel), message.clone()));
        Some(message)
    }
}

#[tokio::test]
async fn an_ear_at_the_edge_hears_its_key_over_usb_and_in_this_process() {
    let heard = Heard::default();
    let rack = rack_with(touch("every"), heard.clone()).await;
    assert_eq!(transact(&rack, "b", vec![4]).await[0], 0);
    let mut host = Channel::open_in_memory(&rack, "1-1").await;
    assert_eq!(host.transact(Request::Selection.encode()).await, [0]);
    assert_eq!(handle(&rack, "a").transact(vec![4]).answer().await.unwrap()[0], 0);
    let channel = CtapChannel { peer: USB_HOST, id: ChannelId(host.id()) };
    assert_eq!(
        *heard.0.lock().unwrap(),
        [(None, vec![0x86]), (None, vec![0x90]), (Some(channel), vec![0x0B]), (Some(WITHOUT_CTAPHID), vec![0x04])]
    );
}
