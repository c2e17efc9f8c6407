//! What can stand between a key and what it stands on: a disk that fills, a clock that is put forward, an ear at the edge. Each on one
//! key of two, the other being as ever.

use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keyrig_authenticator::Channel as CtapChannel;
use keyrig_authenticator::credential::CredentialSource;
use keyrig_authenticator::store::Change;
use keyrig_ctap::Request;
use keyrig_ctap::hid::{ChannelId, Command as HidCommand, Peer, Report, RequestKind};
use keyrig_rack::clock::Clock;
use keyrig_rack::key::administration::ActRefused;
use keyrig_rack::seams::{Edge, Onward, Seams, USB_HOST, WITHOUT_CTAPHID};
use keyrig_rack::storage::{NotDurable, Storage};
use keyrig_rack::{KeyHandle, KeyName, Options, Rack};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::requests::{made, make_credential};
use crate::support::{Channel, handle, name, specifications, state, touch, transact};

async fn rack_with(options: Options, seams: impl Seams + 'static) -> Rack {
    let options = Options { seams: vec![Arc::new(seams)], ..options };
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

#[tokio::test]
async fn what_an_owner_wants_is_refused_by_a_full_disk_and_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let kept = Options { state: Some(directory.path().to_owned()), ..touch("every") };
    let rack = rack_with(kept, Full(Arc::clone(&full))).await;
    let (id, _) = made(&transact(&rack, "a", make_credential("user", true)).await);
    let key = handle(&rack, "a");
    let source = || async { handle(&rack, "a").export_all().await.unwrap().remove(0) };
    let imported = CredentialSource { id: b"imported".to_vec(), user: None, ..source().await };
    // CTAP 2.3 §6.10.1: the initial array.
    let array = hex::decode("8076be8b528d0075f7aae98d6fa57a6d3c").unwrap();
    let before = rack.snapshot(&name("a")).await.unwrap();
    full.store(true, Ordering::Relaxed);
    let acts = async |key: &KeyHandle| {
        [
            key.erase().await,
            key.restore(before.store.clone()).await,
            key.import(vec![imported.clone()]).await,
            key.delete(id.clone()).await,
            key.set_pin("1357".to_owned()).await,
            key.write_large_blobs(array.clone()).await,
        ]
    };
    for refused in acts(&key).await {
        assert!(matches!(refused, Err(ActRefused::NotDurable(_))), "{refused:?}");
    }
    assert_eq!(rack.snapshot(&name("a")).await.unwrap(), before);
    full.store(false, Ordering::Relaxed);
    key.set_pin("1357".to_owned()).await.unwrap();
    full.store(true, Ordering::Relaxed);
    for current in ["0000", "1357"] {
        let refused = key.change_pin(current.to_owned(), "2468".to_owned()).await;
        assert!(matches!(refused, Err(ActRefused::NotDurable(_))), "{refused:?}");
    }
    assert_eq!(key.pin_state().await.unwrap().retries, 8, "a try that could not be counted was none");
    full.store(false, Ordering::Relaxed);
    key.change_pin("1357".to_owned(), "2468".to_owned()).await.unwrap();
    key.import(vec![imported.clone()]).await.unwrap();
    rack.remove(&name("a")).await.unwrap();
    for refused in acts(&key).await {
        assert_eq!(refused, Err(ActRefused::Gone));
    }
    assert_eq!(key.change_pin("2468".to_owned(), "1357".to_owned()).await, Err(ActRefused::Gone));
    for asked in [key.export_all().await.map(drop), key.store().await.map(drop), key.pin_state().await.map(drop)] {
        assert_eq!(asked, Err(ActRefused::Gone));
    }
}

/// Of many acts of the owner at once each is as if it were alone, in some order.
#[tokio::test]
async fn acts_of_several_owners_at_once_come_one_behind_the_other() {
    let directory = TempDir::new().unwrap();
    let kept = Options { state: Some(directory.path().to_owned()), ..touch("every") };
    let rack = rack_with(kept, Full::default()).await;
    made(&transact(&rack, "a", make_credential("user", true)).await);
    let template = handle(&rack, "a").export_all().await.unwrap().remove(0);
    let mut acts = JoinSet::new();
    for number in 0..20_u8 {
        let (key, template) = (handle(&rack, "a"), template.clone());
        // Every id is wanted twice.
        let source = CredentialSource { id: vec![number / 2 + 1], user: None, ..template };
        acts.spawn(async move { key.import(vec![source]).await });
    }
    let (a, key) = (name("a"), handle(&rack, "a"));
    let (first, second) = tokio::join!(key.set_pin("1357".to_owned()), key.set_pin("2468".to_owned()));
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|set| **set).count(), 1, "{first:?} {second:?}");
    let done = acts.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(done, 10);
    assert_eq!(handle(&rack, "a").export_all().await.unwrap().len(), 11);
    // A reset between, and what comes behind it is on the new key.
    let (reset, imported) = tokio::join!(rack.reset(&a), key.import(vec![template]));
    reset.unwrap();
    // Before it there is such a credential, and after it there is none.
    let left = handle(&rack, "a").export_all().await.unwrap().len();
    assert_eq!(left, usize::from(imported.is_ok()));
    let ended = rack.ended();
    drop((rack, key));
    ended.await;
    let rack = rack_with(Options { state: Some(directory.path().to_owned()), ..touch("every") }, Full::default()).await;
    assert_eq!(handle(&rack, "a").export_all().await.unwrap().len(), left, "and so on the disk");
}

/// Makes answers longer than a message can be (CTAP 2.3 §11.2.4: 7609 bytes).
#[derive(Clone, Debug, Default)]
struct Longer;

impl Seams for Longer {
    fn edge(&self, _: &KeyName) -> Option<Box<dyn Edge>> {
        Some(Box::new(self.clone()))
    }
}

impl Edge for Longer {
    fn response(&mut self, _: CtapChannel, _: RequestKind, mut answer: Vec<u8>, _: Duration) -> Onward {
        answer.resize(7610, 0);
        Onward::Now(answer)
    }
}

#[tokio::test]
async fn an_answer_that_no_message_carries_is_an_error_and_never_silence() {
    let rack = rack_with(touch("every"), Longer).await;
    let mut host = Channel::open_in_memory(&rack, "1-1").await;
    // CTAP1_ERR_OTHER, and of U2F another error than its specification names (FIDO U2F Raw Message Formats 1.2 §3.3).
    assert_eq!(host.transact(vec![4]).await, [0x7F]);
    assert_eq!(handle(&rack, "a").transact(vec![4]).answer().await.unwrap(), [0x7F]);
    assert_eq!(host.transact_as(HidCommand::Msg, vec![0, 3, 0, 0, 0, 0, 0]).await, [0x6F, 0]);
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
