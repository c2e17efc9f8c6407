//! The task of a key: one loop that takes what happens next and tells the driver, and does what that wants done.

use core::future::{pending, poll_fn};
use std::collections::BTreeMap;

use keyrig_authenticator::store::Change;
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_ctap::hid::{Peer, Report};
use keyrig_usb::{Attachment, Exports, Identity, PlugError, Plugged, Standing};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::driver::{Driver, Effect};
use super::message::{Direct, Farewell, Message, News, Notice, Progress, TransactionId, Work};
use crate::clock::Clock;
use crate::key_name::KeyName;
use crate::seams::{Edge, Happening, USB_HOST};
use crate::storage::{NotDurable, Storage};
use crate::timer::until;

/// What the task of a key starts with.
pub(crate) struct Start {
    pub(crate) name: KeyName,
    pub(crate) busid: String,
    pub(crate) authenticator: Authenticator,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) edges: Vec<Box<dyn Edge>>,
    pub(crate) standing: Standing,
    pub(crate) exports: Exports,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    /// Dropped last, when the task has ended.
    pub(crate) running: watch::Receiver<()>,
}

pub(super) struct Task {
    name: KeyName,
    busid: String,
    driver: Driver,
    clock: Box<dyn Clock>,
    /// Absent while a commit is on its way to the disk.
    storage: Option<Box<dyn Storage>>,
    writing: Option<JoinHandle<Written>>,
    standing: Standing,
    exports: Exports,
    plugged: Option<Place>,
    attachment: Option<Attachment>,
    /// The host has no room for the report that is due.
    host_is_full: bool,
    programs: BTreeMap<Peer, mpsc::Sender<Report>>,
    transactions: BTreeMap<TransactionId, Asker>,
    inbox: mpsc::UnboundedReceiver<Message>,
    notices: mpsc::UnboundedSender<Notice>,
    /// The last of the fields, so that everything above is let go when it is dropped.
    _running: watch::Receiver<()>,
}

/// Where a key is that is plugged in.
enum Place {
    /// On USB.
    Usb(Plugged),
    /// Nowhere where hosts look: it has power, and answers who reaches it without USB.
    Aside,
}

type Written = (Box<dyn Storage>, Result<(), NotDurable>);

const NO_PANIC: &str = "writing to the storage does not panic";

/// A commit that was given to the storage.
enum Writing {
    Done(Written),
    OnItsWay(JoinHandle<Written>),
}

/// Makes changes durable: off this thread, if that waits.
fn write(mut storage: Box<dyn Storage>, changes: Vec<Change>) -> Writing {
    let waits = storage.waits();
    let commit = move || {
        let result = storage.commit(&changes);
        (storage, result)
    };
    if waits { Writing::OnItsWay(tokio::task::spawn_blocking(commit)) } else { Writing::Done(commit()) }
}

/// The sender of a message without CTAPHID.
struct Asker {
    reply: oneshot::Sender<Vec<u8>>,
    progress: mpsc::UnboundedSender<Progress>,
}

/// What happens next.
enum Event {
    Message(Option<Message>),
    Attached(Attachment),
    Report(Option<Report>),
    Room,
    Written(Written),
    Deadline,
}

impl Task {
    pub(super) fn new(start: Start, inbox: mpsc::UnboundedReceiver<Message>) -> Self {
        Self {
            driver: Driver::new(&start.name, start.authenticator, start.edges),
            name: start.name,
            busid: start.busid,
            clock: start.clock,
            storage: Some(start.storage),
            writing: None,
            standing: start.standing,
            exports: start.exports,
            plugged: None,
            attachment: None,
            host_is_full: false,
            programs: BTreeMap::new(),
            transactions: BTreeMap::new(),
            inbox,
            notices: start.notices,
            _running: start.running,
        }
    }

    /// Runs until every handle to the key is dropped.
    pub(super) async fn run(mut self) {
        let done = loop {
            match self.next().await {
                Event::Message(None) => break None,
                Event::Message(Some(Message::End { done })) => break Some(done),
                Event::Message(Some(message)) => self.message(message).await,
                Event::Attached(attachment) => self.attached(attachment).await,
                Event::Report(Some(report)) => self.driver.receive(USB_HOST, report, self.clock.now()),
                Event::Report(None) => self.detached().await,
                Event::Room => {}
                Event::Written(written) => self.written(written),
                Event::Deadline => self.driver.handle_timeout(self.clock.now()),
            }
            self.drain();
        };
        match done {
            // It is pulled out, for who listens.
            Some(_) => self.unplug().await,
            None => self.power_off().await,
        }
        drop(self);
        if let Some(done) = done {
            // The asker may have gone.
            let _ = done.send(());
        }
    }

    async fn next(&mut self) -> Event {
        let deadline = self.driver.poll_timeout().map(|deadline| self.clock.when(deadline));
        let Self { inbox, plugged, attachment, writing, clock, host_is_full, .. } = self;
        let to_host = attachment.as_ref().map(|attachment| attachment.to_host.clone());
        tokio::select! {
            message = inbox.recv() => Event::Message(message),
            attachment = attached(plugged), if attachment.is_none() => Event::Attached(attachment),
            report = received(attachment) => Event::Report(report),
            () = room(to_host), if *host_is_full => Event::Room,
            written = outcome(writing) => Event::Written(written),
            () = expired(clock.as_mut(), deadline) => Event::Deadline,
        }
    }

    async fn message(&mut self, message: Message) {
        let now = self.clock.now();
        match message {
            Message::Plug { done } => {
                let result = self.plug();
                // The asker may have gone; the key is plugged in all the same.
                let _ = done.send(result);
            }
            Message::Unplug { done } => {
                self.unplug().await;
                let _ = done.send(());
            }
            // It is taken before the others.
            Message::End { .. } => {}
            Message::Work(work) => self.work(work).await,
            Message::Gesture { id, gesture } => self.driver.gesture(id, gesture, now),
            Message::TouchUnasked => self.driver.touch_unasked(now),
            Message::Transact(direct) => self.transact(direct),
            Message::Cancel { id } => self.driver.cancel(id, now),
            Message::Abandon { id } => {
                self.transactions.remove(&id);
                self.driver.abandon(id, now);
            }
            Message::Connect { to_program, farewell, connected } => self.connect(to_program, farewell, connected),
            Message::Report { peer, report, place } => {
                drop(place);
                self.driver.receive(peer, report, now);
            }
            Message::Disconnect { peer } => {
                self.programs.remove(&peer);
                self.driver.disconnect(peer, now);
            }
            Message::Displace { candidates, displaced } => {
                let idle = self.driver.displace(candidates, now);
                if let Some(peer) = idle {
                    self.programs.remove(&peer);
                }
                // The asker may have gone.
                let _ = displaced.send(idle);
            }
        }
    }

    fn connect(&mut self, to_program: mpsc::Sender<Report>, farewell: Farewell, connected: oneshot::Sender<Peer>) {
        if self.plugged.is_none() {
            return;
        }
        let peer = self.driver.connect(farewell, self.clock.now());
        if connected.send(peer).is_ok() {
            self.programs.insert(peer, to_program);
        } else {
            self.driver.disconnect(peer, self.clock.now());
        }
    }

    fn transact(&mut self, direct: Direct) {
        let Direct { id, kind, message, reply, progress } = direct;
        if self.plugged.is_some() {
            self.transactions.insert(id, Asker { reply, progress });
            self.driver.transact(id, kind, message, self.clock.now());
        }
    }

    fn plug(&mut self) -> Result<(), PlugError> {
        if self.plugged.is_none() {
            self.plugged = Some(match identity(self.driver.profile(), &self.name) {
                Some(identity) => Place::Usb(self.exports.plug_with(&self.busid, identity, self.standing.clone())?),
                None => Place::Aside,
            });
            let now = self.clock.now();
            self.driver.happens(Happening::Plugged, now);
            self.driver.power_on(now);
        }
        Ok(())
    }

    async fn unplug(&mut self) {
        self.power_off().await;
        if self.plugged.take().is_some() {
            self.driver.happens(Happening::Unplugged, self.clock.now());
        }
        self.let_host_go();
    }

    async fn attached(&mut self, attachment: Attachment) {
        self.power_off().await;
        self.driver.power_on(self.clock.now());
        self.attachment = Some(attachment);
        self.host_is_full = false;
        self.attachment_changed(true);
    }

    /// A key that its host lets go has lost power. Programs without USB find it again at once: it is still plugged in.
    async fn detached(&mut self) {
        self.power_off().await;
        self.let_host_go();
    }

    fn let_host_go(&mut self) {
        if self.attachment.take().is_some() {
            self.attachment_changed(false);
        }
    }

    /// Ends the command under way, and all connections. A commit that is on its way to the disk is awaited.
    async fn power_off(&mut self) {
        self.driver.power_off(self.clock.now());
        self.programs.clear();
        self.transactions.clear();
        if self.writing.is_some() {
            let written = outcome(&mut self.writing).await;
            self.written(written);
        }
        self.drain();
    }

    /// Does what the driver wants done, then gives the host and the programs the reports that they have room for.
    fn drain(&mut self) {
        while let Some(effect) = self.driver.poll_effect() {
            match effect {
                Effect::Commit => self.commit(),
                Effect::Answer(id, answer) => {
                    if let Some(asker) = self.transactions.remove(&id) {
                        // Nobody may wait for it any more.
                        let _ = asker.reply.send(answer);
                    }
                }
                Effect::Progress(id, progress) => {
                    if let Some(asker) = self.transactions.get(&id) {
                        // Whoever asked may look at the answer alone.
                        let _ = asker.progress.send(progress);
                    }
                }
                Effect::Tell(news) => self.notify(news),
            }
        }
        self.send_reports();
    }

    fn commit(&mut self) {
        let Some(storage) = self.storage.take() else { return };
        if storage.waits() {
            self.driver.committing(self.clock.now());
        }
        match write(storage, self.driver.changes().to_vec()) {
            Writing::Done(written) => self.written(written),
            Writing::OnItsWay(writing) => self.writing = Some(writing),
        }
    }

    /// Carries out what the owner wants, between the commits of commands. Until it is done the key takes no reports.
    async fn work(&mut self, mut work: Box<dyn Work>) {
        while self.writing.is_some() {
            let written = outcome(&mut self.writing).await;
            self.written(written);
            self.drain();
        }
        let Some((changes, replaces_all)) = work.begin(self.driver.authenticator()) else { return };
        if !changes.is_empty() {
            self.driver.happens(Happening::Administered, self.clock.now());
        }
        let durable = self.store(changes).await;
        if replaces_all && durable.is_ok() {
            self.driver.deny(self.clock.now());
        }
        self.driver.administered(|authenticator| work.end(authenticator, durable), self.clock.now());
    }

    async fn store(&mut self, changes: Vec<Change>) -> Result<(), NotDurable> {
        if changes.is_empty() {
            return Ok(());
        }
        let Some(storage) = self.storage.take() else { return Err(NotDurable::new("the storage is in use")) };
        let written = match write(storage, changes) {
            Writing::Done(written) => written,
            Writing::OnItsWay(writing) => writing.await.expect(NO_PANIC),
        };
        self.take_back(written)
    }

    fn written(&mut self, written: Written) {
        self.writing = None;
        let result = self.take_back(written);
        self.driver.committed(result, self.clock.now());
    }

    fn take_back(&mut self, (storage, result): Written) -> Result<(), NotDurable> {
        self.storage = Some(storage);
        if let Err(error) = &result {
            tracing::error!(key = %self.name, %error, "changes could not be made durable");
        }
        result
    }

    /// A program that has left several messages unread loses reports, as one does that does not read its hidraw node.
    fn send_reports(&mut self) {
        let now = self.clock.now();
        loop {
            let room = self.attachment.as_ref().map(|attachment| attachment.to_host.try_reserve());
            self.host_is_full = matches!(room, Some(Err(mpsc::error::TrySendError::Full(()))));
            let host_has_room = matches!(room, Some(Ok(_)));
            match self.driver.poll_report(|peer| peer != USB_HOST || host_has_room, now) {
                None => return,
                Some((USB_HOST, report)) => {
                    if let Some(Ok(room)) = room {
                        room.send(report);
                    }
                }
                Some((peer, report)) => {
                    let sent = self.programs.get(&peer).map(|program| program.try_send(report));
                    if let Some(Err(error)) = sent {
                        tracing::debug!(key = %self.name, peer = peer.0, %error, "a program lost a report");
                    }
                }
            }
        }
    }

    fn attachment_changed(&mut self, attached: bool) {
        let news = News::Attached(attached);
        self.driver.happens(news.into(), self.clock.now());
        self.notify(news);
    }

    fn notify(&self, news: News) {
        // The rack may have ended before its keys.
        let _ = self.notices.send(Notice { key: self.name.clone(), news });
    }
}

async fn attached(plugged: &mut Option<Place>) -> Attachment {
    match plugged {
        Some(Place::Usb(plugged)) => plugged.attached().await,
        Some(Place::Aside) | None => pending().await,
    }
}

async fn received(attachment: &mut Option<Attachment>) -> Option<Report> {
    match attachment {
        Some(attachment) => attachment.from_host.recv().await,
        None => pending().await,
    }
}

/// Waits until the host has room for a report, or has gone, of which its reports tell when they have all been taken.
async fn room(to_host: Option<mpsc::Sender<Report>>) {
    match to_host {
        Some(to_host) => drop(to_host.reserve().await),
        None => pending().await,
    }
}

/// Waits until a commit has been written, or could not be. Cancel-safe.
async fn outcome(writing: &mut Option<JoinHandle<Written>>) -> Written {
    match writing {
        Some(writing) => writing.await.expect(NO_PANIC),
        None => pending().await,
    }
}

/// Waits until the deadline has passed, or the clock was turned.
async fn expired(clock: &mut dyn Clock, deadline: Option<Instant>) {
    tokio::select! {
        () = until(deadline) => {}
        () = poll_fn(|context| clock.poll_turned(context)) => {}
    }
}

/// How the key looks on USB. A key of our own carries its name as serial number, so that hosts can tell two of them apart;
/// an imitation carries what the imitated one does. What is on no USB has none.
#[must_use]
pub fn identity(profile: &Profile, name: &KeyName) -> Option<Identity> {
    let usb = profile.usb.as_ref()?;
    let own = profile.imitates.is_none().then(|| name.to_string());
    Some(Identity {
        vendor_id: usb.vendor_id,
        product_id: usb.product_id,
        bcd_device: usb.device_release,
        manufacturer: usb.manufacturer.clone(),
        product: usb.product.clone(),
        serial: usb.serial.clone().or(own),
        interval: usb.interval,
    })
}
