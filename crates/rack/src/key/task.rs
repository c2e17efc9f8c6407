//! The task itself: one loop that takes what happens next, and carries it to where it belongs.

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_authenticator::{Authenticator, Channel, Commit, Gesture as PendingGesture, Step, Waiting};
use keyrig_ctap::Status;
use keyrig_ctap::hid::{
    Capabilities, ChannelId, Device, DeviceConfig, DeviceEvent, KeepaliveStatus, Peer, Report, RequestId, RequestKind,
};
use keyrig_ctap::u2f::StatusWord;
use keyrig_usb::{Attachment, Exports, PlugError, Plugged};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::command::{Asker, Command, Source, Wait, written};
use super::{Direct, Farewell, GestureId, Message, Notice, Progress, Start, identity};
use crate::database::{Database, NotDurable};
use crate::finger::Gesture;
use crate::key_name::KeyName;
use crate::timer::until;

/// The host that has the key over USB. Programs that speak CTAPHID without USB are counted on from here.
const USB_HOST: Peer = Peer(0);

/// What comes without CTAPHID comes on a channel of its own, which CTAPHID never opens.
const WITHOUT_CTAPHID: Channel = Channel { peer: USB_HOST, id: ChannelId::BROADCAST };

pub(super) struct Task {
    name: KeyName,
    busid: String,
    authenticator: Authenticator,
    hid: Device,
    /// Absent while a commit is on its way to the disk, and always for a key that isn't kept.
    database: Option<Database>,
    exports: Exports,
    plugged: Option<Plugged>,
    attachment: Option<Attachment>,
    /// The host has no room for the report that is due.
    host_is_full: bool,
    /// Programs that speak CTAPHID without USB, since the key last got power.
    programs: BTreeMap<Peer, Program>,
    last_program: Peer,
    heard: u64,
    command: Option<Command>,
    /// The host's next request, while a commit of the one that it took back is still on its way.
    next_request: Option<(RequestId, Channel, RequestKind, Vec<u8>)>,
    /// CTAP1/U2F waits for a touch: there is no command that does.
    u2f_waiting: Option<(GestureId, Waiting)>,
    gestures: u64,
    inbox: mpsc::UnboundedReceiver<Message>,
    notices: mpsc::UnboundedSender<Notice>,
    epoch: Instant,
    /// The last of the fields, so that everything above is let go when it is dropped.
    _running: watch::Receiver<()>,
}

struct Program {
    reports: mpsc::Sender<Report>,
    farewell: Farewell,
    /// Counts what programs and the key say to each other: with the one that has the least it has been silent longest.
    heard: u64,
}

/// What happens next.
enum Event {
    Message(Option<Message>),
    Attached(Attachment),
    Report(Option<Report>),
    Room,
    Written(Database, Result<(), NotDurable>),
    Deadline,
}

impl Task {
    pub(super) fn new(start: Start, inbox: mpsc::UnboundedReceiver<Message>) -> Self {
        let profile = start.authenticator.profile();
        let hid = Device::new(DeviceConfig {
            device_version: profile.device_version(),
            capabilities: Capabilities(profile.capabilities()),
        });
        Self {
            hid,
            name: start.name,
            busid: start.busid,
            authenticator: start.authenticator,
            database: start.database,
            exports: start.exports,
            plugged: None,
            attachment: None,
            host_is_full: false,
            programs: BTreeMap::new(),
            last_program: USB_HOST,
            heard: 0,
            command: None,
            next_request: None,
            u2f_waiting: None,
            gestures: 0,
            inbox,
            notices: start.notices,
            epoch: start.epoch,
            _running: start.running,
        }
    }

    /// Runs until every handle to the key is dropped.
    pub(super) async fn run(mut self) {
        while let Some(event) = self.next().await {
            match event {
                Event::Message(None) => break,
                Event::Message(Some(message)) => self.message(message).await,
                Event::Attached(attachment) => self.attached(attachment).await,
                Event::Report(Some(report)) => self.report(USB_HOST, &report),
                Event::Report(None) => self.detached().await,
                Event::Room => {}
                Event::Written(database, result) => self.finish_commit(database, result),
                Event::Deadline => self.deadline(),
            }
            self.drain();
            self.watch_u2f();
        }
        self.power_off().await;
    }

    async fn next(&mut self) -> Option<Event> {
        let deadline = self.next_deadline().map(|deadline| self.epoch + deadline);
        let Self { inbox, plugged, attachment, command, host_is_full, .. } = self;
        let to_host = attachment.as_ref().map(|attachment| attachment.to_host.clone());
        tokio::select! {
            message = inbox.recv() => Some(Event::Message(message)),
            attachment = attached(plugged), if attachment.is_none() => Some(Event::Attached(attachment)),
            report = received(attachment) => Some(Event::Report(report)),
            () = room(to_host), if *host_is_full => Some(Event::Room),
            (database, result) = written(command.as_mut()) => Some(Event::Written(database, result)),
            () = until(deadline) => Some(Event::Deadline),
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn next_deadline(&self) -> Option<Duration> {
        let gesture = match &self.command {
            Some(Command { wait: Wait::Gesture { gesture, held_until, .. }, .. }) => {
                Some(held_until.map_or(gesture.deadline(), |held| held.min(gesture.deadline())))
            }
            _ => None,
        };
        let u2f =
            self.u2f_waiting.and_then(|_| self.authenticator.u2f_waiting(self.now())).map(|waiting| waiting.until);
        [gesture, u2f, self.hid.poll_timeout()].into_iter().flatten().min()
    }

    async fn message(&mut self, message: Message) {
        match message {
            Message::Plug { done } => {
                let result = self.plug();
                // Whoever asked may have gone; the key is plugged in all the same.
                let _ = done.send(result);
            }
            Message::Unplug { done } => {
                self.unplug().await;
                let _ = done.send(());
            }
            Message::Gesture { id, gesture } => self.gesture(id, gesture),
            Message::Transact(direct) => self.transact(direct),
            Message::Cancel { id } => self.cancel(Asker::Direct(id)),
            Message::Abandon { id } => self.abandon(Asker::Direct(id)),
            Message::Connect { to_program, farewell, connected } => {
                let heard = self.next_heard();
                self.connect(Program { reports: to_program, farewell, heard }, connected);
            }
            Message::Report { peer, report, place } => {
                drop(place);
                // One that is not known is of before the key last lost power.
                let heard = self.next_heard();
                if let Some(program) = self.programs.get_mut(&peer) {
                    program.heard = heard;
                    self.report(peer, &report);
                }
            }
            Message::Disconnect { peer } => self.disconnect(peer),
            Message::Displace { candidates, displaced } => {
                let idle = candidates.into_iter().filter(|peer| !self.is_in_use_by(*peer));
                let idle = idle.min_by_key(|peer| self.programs.get(peer).map(|program| program.heard));
                if let Some(peer) = idle {
                    self.disconnect(peer);
                }
                // Whoever asked may have gone.
                let _ = displaced.send(idle);
            }
        }
    }

    fn connect(&mut self, program: Program, connected: oneshot::Sender<Peer>) {
        if self.plugged.is_none() {
            return;
        }
        self.last_program.0 += 1;
        let peer = self.last_program;
        if connected.send(peer).is_ok() {
            self.programs.insert(peer, program);
            self.notify_programs();
        }
    }

    /// A program has gone: so does all that it began.
    fn disconnect(&mut self, peer: Peer) {
        if self.programs.remove(&peer).is_none() {
            return;
        }
        self.hid.disconnect(peer);
        self.authenticator.forget(peer);
        self.notify_programs();
    }

    fn next_heard(&mut self) -> u64 {
        self.heard += 1;
        self.heard
    }

    /// Whether something goes on for a program, a touch of CTAP1/U2F that it waits for included.
    fn is_in_use_by(&self, peer: Peer) -> bool {
        let asks_u2f = self.u2f_waiting.is_some_and(|(_, waiting)| waiting.channel.peer == peer);
        asks_u2f || self.hid.is_in_use_by(peer, self.now())
    }

    fn notify_programs(&self) {
        let over_udp = self.programs.values().filter(|program| program.farewell == Farewell::Never).count();
        self.notify(Notice::Programs { key: self.name.clone(), programs: self.programs.len(), over_udp });
    }

    fn plug(&mut self) -> Result<(), PlugError> {
        if self.plugged.is_none() {
            let identity = identity(self.authenticator.profile(), &self.name);
            self.plugged = Some(self.exports.plug(&self.busid, identity)?);
            self.power_up();
        }
        Ok(())
    }

    async fn unplug(&mut self) {
        self.power_off().await;
        self.forget_peers();
        self.plugged = None;
        self.let_host_go();
    }

    async fn attached(&mut self, attachment: Attachment) {
        self.power_off().await;
        self.power_up();
        self.attachment = Some(attachment);
        self.host_is_full = false;
        self.notify(Notice::Attached { key: self.name.clone(), attached: true });
    }

    /// A key that its host lets go has lost power. Programs without USB find it again at once: it is still plugged in.
    async fn detached(&mut self) {
        self.power_off().await;
        self.forget_peers();
        self.let_host_go();
    }

    fn let_host_go(&mut self) {
        if self.attachment.take().is_some() {
            self.notify(Notice::Attached { key: self.name.clone(), attached: false });
        }
    }

    fn power_up(&mut self) {
        let now = self.now();
        self.authenticator.power_up(now);
        self.forget_peers();
    }

    /// Closes all channels. Programs see their connections end.
    fn forget_peers(&mut self) {
        if !self.programs.is_empty() {
            self.programs.clear();
            self.notify_programs();
        }
        self.hid.power_cycle();
    }

    /// Ends the command under way. A commit that is on its way to the disk is awaited, so that memory equals the disk.
    async fn power_off(&mut self) {
        self.next_request = None;
        self.authenticator.deny_u2f();
        self.watch_u2f();
        let Some(command) = self.command.take() else { return };
        match command.wait {
            Wait::Gesture { id, .. } => self.notify(Notice::NotWaiting { key: self.name.clone(), id }),
            Wait::Commit { commit, writing, .. } => {
                let (database, result) = writing.await.expect("writing to the database does not panic");
                self.database = Some(database);
                // What the command would do next is dropped with it.
                let _ = self.written(commit, result);
            }
        }
    }

    fn report(&mut self, from: Peer, report: &Report) {
        let now = self.now();
        let environment = &mut |bytes: &mut [u8]| self.authenticator.fill_random(bytes);
        self.hid.receive_from(from, report, now, environment);
    }

    /// Acts on what CTAPHID says, then gives the host the reports it has room for.
    fn drain(&mut self) {
        if self.command.is_none()
            && let Some((id, channel, kind, payload)) = self.next_request.take()
        {
            self.start(Source::Hid(id), channel, kind, &payload);
        }
        while let Some(event) = self.hid.poll_event() {
            match event {
                DeviceEvent::Request { id, peer, channel, kind, payload } => {
                    let channel = Channel { peer, id: channel };
                    match &self.command {
                        None => self.start(Source::Hid(id), channel, kind, &payload),
                        Some(Command { source: Source::Nobody, .. }) => {
                            self.next_request = Some((id, channel, kind, payload));
                        }
                        // A command that came without CTAPHID is under way.
                        Some(_) => self.answer(Source::Hid(id), busy(kind)),
                    }
                }
                DeviceEvent::Cancel(id) => match self.next_request.take_if(|(next, ..)| *next == id) {
                    Some(_) => self.answer(Source::Hid(id), vec![Status::KeepaliveCancel.into()]),
                    None => self.cancel(Asker::Hid(id)),
                },
                DeviceEvent::Abort(id) => {
                    self.next_request = self.next_request.take().filter(|(next, ..)| *next != id);
                    self.abandon(Asker::Hid(id));
                }
                DeviceEvent::Wink => self.notify(Notice::Winked { key: self.name.clone() }),
            }
        }
        self.send_reports();
    }

    /// Gives the host and the programs the reports that they have room for. A program that has left several messages unread
    /// loses reports, as one does that does not read its hidraw node.
    fn send_reports(&mut self) {
        loop {
            let room = self.attachment.as_ref().map(|attachment| attachment.to_host.try_reserve());
            self.host_is_full = matches!(room, Some(Err(mpsc::error::TrySendError::Full(()))));
            let host_has_room = matches!(room, Some(Ok(_)));
            match self.hid.poll_report_to(|peer| peer != USB_HOST || host_has_room) {
                None => return,
                Some((USB_HOST, report)) => {
                    if let Some(Ok(room)) = room {
                        room.send(report);
                    }
                }
                Some((peer, report)) => {
                    let Some(program) = self.programs.get_mut(&peer) else { continue };
                    self.heard += 1;
                    program.heard = self.heard;
                    if let Err(error) = program.reports.try_send(report) {
                        tracing::debug!(key = %self.name, peer = peer.0, %error, "a program lost a report");
                    }
                }
            }
        }
    }

    fn transact(&mut self, direct: Direct) {
        let Direct { id, kind, message, reply, progress } = direct;
        if self.plugged.is_none() {
            return;
        }
        let source = Source::Direct { id, reply, progress };
        if self.command.is_some() {
            self.answer(source, busy(kind));
        } else {
            self.start(source, WITHOUT_CTAPHID, kind, &message);
        }
    }

    fn start(&mut self, source: Source, channel: Channel, kind: RequestKind, message: &[u8]) {
        let now = self.now();
        let step = match kind {
            RequestKind::Cbor => self.authenticator.start(channel, message, now),
            RequestKind::Msg => self.authenticator.start_u2f(channel, message, now),
        };
        self.carry_on(source, step);
    }

    /// Tells the rack of what CTAP1/U2F waits for, as far as it has changed.
    fn watch_u2f(&mut self) {
        let now = self.now();
        let waiting = self.authenticator.u2f_waiting(now);
        match (&mut self.u2f_waiting, waiting) {
            (None, None) => return,
            // It was asked again.
            (Some((_, before)), Some(waiting))
                if (before.reason, before.channel) == (waiting.reason, waiting.channel) =>
            {
                *before = waiting;
                return;
            }
            _ => {}
        }
        if let Some((id, _)) = self.u2f_waiting.take() {
            self.notify(Notice::NotWaiting { key: self.name.clone(), id });
        }
        if let Some(waiting) = waiting {
            let id = self.next_gesture();
            self.u2f_waiting = Some((id, waiting));
            self.notify(Notice::Waiting { key: self.name.clone(), id, reason: waiting.reason, since: now });
        }
    }

    fn next_gesture(&mut self) -> GestureId {
        self.gestures += 1;
        GestureId(self.gestures)
    }

    /// Carries a command to where it has to wait, or to its end.
    fn carry_on(&mut self, source: Source, mut step: Step) {
        loop {
            step = match step {
                Step::Respond(answer) => return self.answer(source, answer),
                Step::Gesture(gesture) => return self.wait_for(source, gesture),
                Step::Commit(commit) => match self.database.take() {
                    None => {
                        let now = self.now();
                        self.apply(commit, now)
                    }
                    Some(database) => return self.write(source, commit, database),
                },
            }
        }
    }

    fn apply(&mut self, commit: Commit, now: Duration) -> Step {
        let before = self.authenticator.store().discoverable_count();
        let step = commit.committed(&mut self.authenticator, now);
        let after = self.authenticator.store().discoverable_count();
        if before != after {
            self.notify(Notice::Stored { key: self.name.clone(), discoverable_credentials: after });
        }
        step
    }

    fn wait_for(&mut self, source: Source, gesture: PendingGesture) {
        if matches!(source, Source::Nobody) {
            return;
        }
        let now = self.now();
        self.show(&source, Progress::UpNeeded);
        self.watch_u2f();
        let id = self.next_gesture();
        let reason = gesture.reason();
        self.command = Some(Command { source, wait: Wait::Gesture { id, gesture, held_until: None } });
        self.notify(Notice::Waiting { key: self.name.clone(), id, reason, since: now });
    }

    /// Tells whoever waits for the answer what the key does.
    fn show(&mut self, source: &Source, progress: Progress) {
        let now = self.now();
        match source {
            Source::Hid(id) => {
                let status = match progress {
                    Progress::Processing => KeepaliveStatus::Processing,
                    Progress::UpNeeded => KeepaliveStatus::UpNeeded,
                };
                // The request is pending: whatever ends it has taken the command away before.
                let _ = self.hid.set_status(*id, status, now);
            }
            Source::Direct { progress: shown, .. } => drop(shown.send_replace(progress)),
            Source::Nobody => {}
        }
    }

    fn write(&mut self, source: Source, commit: Commit, database: Database) {
        // After a touch it computes again, and the disk may take its time.
        self.show(&source, Progress::Processing);
        let changes = commit.changes().to_vec();
        let writing = tokio::task::spawn_blocking(move || {
            let result = database.commit(&changes);
            (database, result)
        });
        self.command = Some(Command { source, wait: Wait::Commit { commit, writing, cancelled: false } });
    }

    fn written(&mut self, commit: Commit, result: Result<(), NotDurable>) -> Step {
        let now = self.now();
        match result {
            Ok(()) => self.apply(commit, now),
            Err(error) => {
                tracing::error!(key = %self.name, %error, "changes could not be made durable");
                commit.failed(&mut self.authenticator, now)
            }
        }
    }

    fn finish_commit(&mut self, database: Database, result: Result<(), NotDurable>) {
        self.database = Some(database);
        let Some(Command { source, wait: Wait::Commit { commit, cancelled, .. } }) = self.command.take() else {
            return;
        };
        let mut step = self.written(commit, result);
        if cancelled && let Step::Gesture(gesture) = step {
            step = gesture.cancelled(&mut self.authenticator, self.epoch.elapsed());
        }
        self.carry_on(source, step);
    }

    fn gesture(&mut self, id: GestureId, gesture: Gesture) {
        if self.u2f_waiting.is_some_and(|(waiting, _)| waiting == id) {
            let now = self.now();
            match gesture {
                Gesture::Touch => self.authenticator.touch_u2f(now),
                Gesture::Deny => self.authenticator.deny_u2f(),
            }
            return;
        }
        match self.command.take() {
            Some(Command { source, wait: Wait::Gesture { id: waiting, gesture: pending, .. } }) if waiting == id => {
                self.notify(Notice::NotWaiting { key: self.name.clone(), id });
                let now = self.now();
                let touch = pending.reason().touch();
                if gesture == Gesture::Touch && !touch.is_zero() {
                    let held_until = Some(now.saturating_add(touch));
                    self.command = Some(Command { source, wait: Wait::Gesture { id, gesture: pending, held_until } });
                    return;
                }
                let step = match gesture {
                    Gesture::Touch => pending.touched(&mut self.authenticator, now),
                    Gesture::Deny => pending.denied(&mut self.authenticator, now),
                };
                self.carry_on(source, step);
            }
            // A gesture for a command that is over by now.
            other => self.command = other,
        }
    }

    /// Ends the wait for a gesture, now or when it begins.
    fn cancel(&mut self, asker: Asker) {
        let Some(command) = self.command.take_if(|command| command.source.is(asker)) else { return };
        match command {
            Command { source, wait: Wait::Gesture { id, gesture, .. } } => {
                self.notify(Notice::NotWaiting { key: self.name.clone(), id });
                let now = self.now();
                let step = gesture.cancelled(&mut self.authenticator, now);
                self.carry_on(source, step);
            }
            Command { source, wait: Wait::Commit { commit, writing, .. } } => {
                self.command = Some(Command { source, wait: Wait::Commit { commit, writing, cancelled: true } });
            }
        }
    }

    /// Nobody waits for the answer any more.
    fn abandon(&mut self, asker: Asker) {
        let Some(command) = self.command.take_if(|command| command.source.is(asker)) else { return };
        match command.wait {
            Wait::Gesture { id, .. } => self.notify(Notice::NotWaiting { key: self.name.clone(), id }),
            wait @ Wait::Commit { .. } => self.command = Some(Command { source: Source::Nobody, wait }),
        }
    }

    fn deadline(&mut self) {
        let now = self.now();
        self.hid.handle_timeout(now);
        match self.command.take() {
            Some(Command { source, wait: Wait::Gesture { gesture, held_until: Some(held), .. } }) if held <= now => {
                let step = gesture.touched(&mut self.authenticator, now);
                self.carry_on(source, step);
            }
            Some(Command { source, wait: Wait::Gesture { id, gesture, .. } }) if gesture.deadline() <= now => {
                self.notify(Notice::NotWaiting { key: self.name.clone(), id });
                let step = gesture.timed_out(&mut self.authenticator, now);
                self.carry_on(source, step);
            }
            other => self.command = other,
        }
    }

    fn answer(&mut self, source: Source, answer: Vec<u8>) {
        match source {
            Source::Hid(id) => {
                if let Err(error) = self.hid.respond(id, answer) {
                    tracing::debug!(key = %self.name, %error, "an answer that nobody waits for");
                }
            }
            // Nobody may wait for it any more.
            Source::Direct { reply, .. } => drop(reply.send(answer)),
            Source::Nobody => {}
        }
    }

    fn notify(&self, notice: Notice) {
        // The rack may have ended before its keys.
        let _ = self.notices.send(notice);
    }
}

/// The answer while a command is under way that came another way. CTAP1/U2F knows but one word for later.
fn busy(kind: RequestKind) -> Vec<u8> {
    match kind {
        RequestKind::Cbor => vec![Status::ChannelBusy.into()],
        RequestKind::Msg => StatusWord::ConditionsNotSatisfied.response(),
    }
}

async fn attached(plugged: &mut Option<Plugged>) -> Attachment {
    match plugged {
        Some(plugged) => plugged.attached().await,
        None => core::future::pending().await,
    }
}

async fn received(attachment: &mut Option<Attachment>) -> Option<Report> {
    match attachment {
        Some(attachment) => attachment.from_host.recv().await,
        None => core::future::pending().await,
    }
}

/// Waits until the host has room for a report, or has gone, of which its reports tell when they have all been taken.
async fn room(to_host: Option<mpsc::Sender<Report>>) {
    match to_host {
        Some(to_host) => drop(to_host.reserve().await),
        None => core::future::pending().await,
    }
}
