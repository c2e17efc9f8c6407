//! A key without a runtime: CTAPHID, the authenticator, and what is under way between them.
//!
//! Time is a parameter, as in the crates below. What a key wants done comes out as values: [`Effect`]s, and reports for its peers.
//!
//! # The driving contract
//!
//! **Tell it one thing, then drain effects, then drain reports, then set the timer.** After every call that takes `&mut self`:
//!
//! 1. **call [`poll_effect`](Driver::poll_effect) until it is empty**, and do what it says. A [`Effect::Commit`] stands for the
//!    [`changes`](Driver::changes): once they are durable or cannot be made so, [`committed`](Driver::committed) is called, which is one
//!    more thing told. Until then the key takes whatever else it is told;
//! 2. **call [`poll_report`](Driver::poll_report) while a peer has room**;
//! 3. **set one timer to [`poll_timeout`](Driver::poll_timeout)**, and call [`handle_timeout`](Driver::handle_timeout) when it expires.
//!
//! Before the power comes back a commit under way is told: see [`power_off`](Driver::power_off).

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use keyrig_authenticator::store::Change;
use keyrig_authenticator::{Asks, Authenticator, Channel, Commit, Gesture as PendingGesture, Profile, Step, Waiting};
use keyrig_ctap::Status;
use keyrig_ctap::hid::{Capabilities, Device, DeviceConfig, DeviceEvent, KeepaliveStatus, Peer, Report, RequestKind};

use super::channel_ids::ChannelIdSource;
use super::command::{Command, Interest, Request, Source, SourceId, Wait, busy, fitting};
use super::edges::Edges;
use super::message::{Farewell, GestureId, News, Progress, TransactionId};
use super::vendor::Vendor;
use crate::finger::Gesture;
use crate::key_name::KeyName;
use crate::seams::{Edge, Ended, Happening, Onward, USB_HOST, WITHOUT_CTAPHID};
use crate::storage::NotDurable;

/// What a key wants done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The changes are to be made durable.
    Commit,
    /// A transaction has its answer.
    Answer(TransactionId, Vec<u8>),
    /// What the key does for a transaction.
    Progress(TransactionId, Progress),
    /// The rack is to hear something.
    Tell(News),
}

#[derive(Debug)]
struct Program {
    farewell: Farewell,
    /// Counts what programs and the key say to each other: with the one that has the least it has been silent longest.
    heard: u64,
}

/// A key: see the driving contract of the module.
#[derive(Debug)]
pub(super) struct Driver {
    authenticator: Authenticator,
    hid: Device,
    channel_ids: ChannelIdSource,
    vendor: Vendor,
    edges: Edges,
    /// Programs that speak CTAPHID without USB, since the key last got power.
    programs: BTreeMap<Peer, Program>,
    last_program: Peer,
    heard: u64,
    command: Option<Command>,
    /// The host's next request, while a commit of one that nobody waits for is still on its way.
    next_request: Option<Request>,
    /// CTAP1/U2F waits for a touch: there is no command that does.
    u2f_waiting: Option<(GestureId, Waiting)>,
    gestures: u64,
    effects: VecDeque<Effect>,
}

impl Driver {
    pub(super) fn new(name: &KeyName, authenticator: Authenticator, edges: Vec<Box<dyn Edge>>) -> Self {
        let profile = authenticator.profile();
        let vendor = Vendor::of(profile, name);
        let hid = Device::new(DeviceConfig {
            device_version: profile.device_version(),
            capabilities: Capabilities(profile.capabilities()),
            refused: if profile.behaviour.answers_wink { Capabilities::default() } else { Capabilities::WINK },
            vendor_commands: vendor.commands(),
        });
        let channel_ids = ChannelIdSource::of(profile);
        Self {
            authenticator,
            hid,
            channel_ids,
            vendor,
            edges: Edges::new(edges),
            programs: BTreeMap::new(),
            last_program: USB_HOST,
            heard: 0,
            command: None,
            next_request: None,
            u2f_waiting: None,
            gestures: 0,
            effects: VecDeque::new(),
        }
    }

    pub(super) fn profile(&self) -> &Profile {
        self.authenticator.profile()
    }

    /// The key gets power, or gets it anew: all that is not stored is forgotten, channels and programs included.
    pub(super) fn power_on(&mut self, now: Duration) {
        self.power_off(now);
        self.authenticator.power_up(now);
    }

    /// The key loses power: programs and transactions end. A commit under way is still to be told, before the power comes back, so
    /// that memory equals the disk.
    pub(super) fn power_off(&mut self, now: Duration) {
        self.next_request = None;
        match self.command.take() {
            Some(Command { wait: Wait::Gesture { id, .. }, .. }) => self.waits_no_more(id, Ended::Cancelled, now),
            Some(Command { wait: Wait::Forever, .. }) => {}
            Some(command) => self.command = Some(Command { interest: Interest::PowerLost, ..command }),
            None => {}
        }
        self.authenticator.deny_u2f();
        self.hid.power_cycle();
        self.edges.power_off();
        if !self.programs.is_empty() {
            self.programs.clear();
            self.tell_programs(now);
        }
        self.settle(now);
    }

    /// A program that speaks CTAPHID without USB comes.
    pub(super) fn connect(&mut self, farewell: Farewell, now: Duration) -> Peer {
        self.last_program.0 += 1;
        self.heard += 1;
        self.programs.insert(self.last_program, Program { farewell, heard: self.heard });
        self.happens(Happening::Connected(self.last_program), now);
        self.tell_programs(now);
        self.last_program
    }

    /// A program has gone: so does all that it began.
    pub(super) fn disconnect(&mut self, peer: Peer, now: Duration) {
        if self.programs.remove(&peer).is_none() {
            return;
        }
        self.happens(Happening::Disconnected(peer), now);
        self.hid.disconnect(peer);
        self.authenticator.forget(peer);
        self.tell_programs(now);
        self.settle(now);
    }

    /// Disconnects one of these programs: of those that nothing goes on for, the one that has been silent longest, and before all one
    /// that is not connected any more.
    pub(super) fn displace(&mut self, candidates: Vec<Peer>, now: Duration) -> Option<Peer> {
        let waits = |peer| self.u2f_waiting.is_some_and(|(_, waiting)| waiting.channel.peer == peer);
        let idle = candidates.into_iter().filter(|peer| !waits(*peer) && !self.hid.is_in_use_by(*peer, now));
        let silent = idle.min_by_key(|peer| self.programs.get(peer).map(|program| program.heard))?;
        self.disconnect(silent, now);
        Some(silent)
    }

    /// A report has come. One from a program that is not connected is of before the power was lost, and lost too.
    pub(super) fn receive(&mut self, from: Peer, report: Report, now: Duration) {
        if !self.note(from) && from != USB_HOST {
            return;
        }
        if let Some(report) = self.edges.report_in(from, report, now) {
            let Self { authenticator, channel_ids, hid, .. } = self;
            hid.receive_from(from, &report, now, &mut |bytes| channel_ids.fill(authenticator, bytes));
        }
        self.settle(now);
    }

    /// Notes that something is said to or by a program; false if it is not connected.
    fn note(&mut self, peer: Peer) -> bool {
        let Some(program) = self.programs.get_mut(&peer) else { return false };
        self.heard += 1;
        program.heard = self.heard;
        true
    }

    /// A message has come without CTAPHID.
    pub(super) fn transact(&mut self, id: TransactionId, kind: RequestKind, message: Vec<u8>, now: Duration) {
        let source = Source { id: SourceId::Direct(id), channel: WITHOUT_CTAPHID };
        match self.pass(Request { source, kind, message }, now) {
            Some(Request { source, kind, .. }) if self.command.is_some() => self.answer(source, kind, busy(kind), now),
            Some(request) => self.start(request, now),
            None => {}
        }
        self.settle(now);
    }

    /// The sender of a message without CTAPHID cancels it.
    pub(super) fn cancel(&mut self, id: TransactionId, now: Duration) {
        let id = SourceId::Direct(id);
        if self.carries_out(id) {
            self.happens(Happening::CancelAsked, now);
        }
        self.cancel_command(id, now);
        self.settle(now);
    }

    /// The sender of a message without CTAPHID has gone.
    pub(super) fn abandon(&mut self, id: TransactionId, now: Duration) {
        let id = SourceId::Direct(id);
        if self.carries_out(id) {
            self.happens(Happening::Abandoned, now);
        }
        self.abandon_command(id, now);
        self.settle(now);
    }

    fn carries_out(&self, id: SourceId) -> bool {
        self.command.as_ref().is_some_and(|command| command.is_of(id))
    }

    /// The user does something. A gesture that is not waited for any more means nothing.
    pub(super) fn gesture(&mut self, id: GestureId, gesture: Gesture, now: Duration) {
        self.expire(now);
        if self.u2f_waiting.take_if(|(waiting, _)| *waiting == id).is_some() {
            // A touch that comes after the key was asked for the last time means nothing.
            let in_time = self.authenticator.u2f_waiting(now).is_some();
            match gesture {
                Gesture::Touch | Gesture::Miss | Gesture::Sample(_) => self.authenticator.touch_u2f(now),
                Gesture::Deny => self.authenticator.deny_u2f(),
            }
            self.waits_no_more(id, if in_time { Ended::by(gesture, Asks::Touch) } else { Ended::Cancelled }, now);
        } else if let Some(command) = self.command.take_if(|command| command.waits_for(id)) {
            self.gesture_of(command, gesture, now);
        }
        self.settle(now);
    }

    fn gesture_of(&mut self, command: Command, gesture: Gesture, now: Duration) {
        let Command { kind, interest, wait: Wait::Gesture { id, gesture: pending, .. } } = command else { return };
        self.waits_no_more(id, Ended::by(gesture, pending.asks()), now);
        let touch = pending.reason().touch();
        let step = match gesture {
            Gesture::Touch if touch.is_zero() => pending.touched(&mut self.authenticator, now),
            Gesture::Miss if touch.is_zero() => pending.missed(&mut self.authenticator, now),
            Gesture::Sample(feedback) if touch.is_zero() => {
                pending.sampled(&mut self.authenticator, now, feedback.sample())
            }
            Gesture::Touch | Gesture::Miss | Gesture::Sample(_) => {
                let held_until = Some(now.saturating_add(touch));
                let wait = Wait::Gesture { id, gesture: pending, held_until };
                self.command = Some(Command { kind, interest, wait });
                return;
            }
            Gesture::Deny => pending.denied(&mut self.authenticator, now),
        };
        self.carry_on(kind, interest, step, now);
    }

    /// The user touches the key though it waits for nothing.
    pub(super) fn touch_unasked(&mut self, now: Duration) {
        self.happens(Happening::TouchedUnasked, now);
        self.authenticator.touch_unasked(now);
    }

    /// The user refuses whatever the key waits for; a long touch too that was held long enough meanwhile, and began nothing yet.
    pub(super) fn deny(&mut self, now: Duration) {
        if let Some(command) = self.command.take_if(|command| matches!(command.wait, Wait::Gesture { .. })) {
            self.gesture_of(command, Gesture::Deny, now);
            self.settle(now);
        } else if let Some((id, _)) = self.u2f_waiting {
            self.gesture(id, Gesture::Deny, now);
        }
    }

    /// The authenticator, for its owner: while no commit is under way.
    pub(super) fn authenticator(&mut self) -> &mut Authenticator {
        &mut self.authenticator
    }

    /// The owner's act has ended.
    pub(super) fn administered(&mut self, end: impl FnOnce(&mut Authenticator), now: Duration) {
        let before = self.authenticator.store().discoverable_count();
        end(&mut self.authenticator);
        self.tell_stored(before, now);
        self.settle(now);
    }

    /// The changes of the commit under way.
    pub(super) fn changes(&self) -> &[Change] {
        match &self.command {
            Some(Command { wait: Wait::Commit(commit), .. }) => commit.changes(),
            _ => &[],
        }
    }

    /// The commit under way takes its time. After a touch the host hears that the key is processing again.
    pub(super) fn committing(&mut self, now: Duration) {
        if let Some(Command { interest: Interest::Of(source) | Interest::Cancelled(source), .. }) = self.command {
            self.show(source, Progress::Processing, now);
        }
    }

    /// The commit under way is durable, or is not and will not be.
    pub(super) fn committed(&mut self, result: Result<(), NotDurable>, now: Duration) {
        let Some(Command { kind, interest, wait: Wait::Commit(commit) }) = self.command.take() else { return };
        let step = match result {
            Ok(()) => self.apply(commit, now),
            Err(_) => commit.failed(&mut self.authenticator, now),
        };
        if interest != Interest::PowerLost {
            self.carry_on(kind, interest, step, now);
        }
        self.settle(now);
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        self.expire(now);
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let gesture = match &self.command {
            Some(Command { wait: Wait::Gesture { gesture, held_until, .. }, .. }) => {
                Some(held_until.map_or(gesture.deadline(), |held| held.min(gesture.deadline())))
            }
            _ => None,
        };
        let u2f = self.u2f_waiting.map(|(_, waiting)| waiting.until);
        [gesture, u2f, self.hid.poll_timeout(), self.edges.poll_timeout()].into_iter().flatten().min()
    }

    /// What is to be done next.
    #[must_use = "an effect that is taken is never offered again"]
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next report, for a peer that has room for it.
    #[must_use = "a report that is taken is never offered again"]
    pub(super) fn poll_report(&mut self, has_room: impl Fn(Peer) -> bool, now: Duration) -> Option<(Peer, Report)> {
        loop {
            if let Some(late) = self.edges.late_report(&has_room, now) {
                return Some(late);
            }
            let (peer, report) = self.hid.poll_report_to(&has_room)?;
            self.note(peer);
            if let Some(report) = self.edges.report_out(peer, report, now) {
                return Some((peer, report));
            }
        }
    }

    /// Carries on with what the last call has brought about.
    fn settle(&mut self, now: Duration) {
        if self.command.is_none()
            && let Some(request) = self.next_request.take()
        {
            self.start(request, now);
        }
        while let Some(event) = self.hid.poll_event() {
            match event {
                DeviceEvent::Request { id, peer, channel, kind, payload } => {
                    let source = Source { id: SourceId::Hid(id), channel: Channel { peer, id: channel } };
                    self.request(Request { source, kind, message: payload }, now);
                }
                DeviceEvent::Vendor { id, command, payload } => {
                    self.vendor.carry_out(&mut self.hid, id, command, &payload);
                }
                DeviceEvent::Cancel(id) => self.cancel_command(SourceId::Hid(id), now),
                DeviceEvent::Abort(id) => self.abandon_command(SourceId::Hid(id), now),
                DeviceEvent::Wink => self.tell(News::Winked, now),
            }
        }
        self.watch_u2f(now);
        while let Some((source, kind, onward)) = self.edges.late_response(now) {
            self.go_on(source, kind, onward);
        }
        self.edges.collect(now);
    }

    /// Lets a message pass the edge.
    fn pass(&mut self, request: Request, now: Duration) -> Option<Request> {
        let Request { source, kind, message } = request;
        let message = self.edges.request(source.channel, kind, message, now)?;
        Some(Request { source, kind, message })
    }

    fn request(&mut self, request: Request, now: Duration) {
        let Some(request) = self.pass(request, now) else { return };
        match &self.command {
            None => self.start(request, now),
            Some(Command { interest: Interest::Nobody | Interest::PowerLost, .. }) => self.next_request = Some(request),
            // A command that came without CTAPHID is under way.
            Some(_) => self.answer(request.source, request.kind, busy(request.kind), now),
        }
    }

    fn start(&mut self, request: Request, now: Duration) {
        let Request { source, kind, message } = request;
        let step = match kind {
            RequestKind::Cbor => self.authenticator.start(source.channel, &message, now),
            RequestKind::Msg => self.authenticator.start_u2f(source.channel, &message, now),
        };
        self.carry_on(kind, Interest::Of(source), step, now);
    }

    /// Carries a command to where it has to wait, or to its end.
    fn carry_on(&mut self, kind: RequestKind, interest: Interest, step: Step, now: Duration) {
        match (step, interest) {
            (Step::Respond(answer), Interest::Of(source) | Interest::Cancelled(source)) => {
                self.answer(source, kind, answer, now);
            }
            (Step::Commit(commit), _) => {
                self.command = Some(Command { kind, interest, wait: Wait::Commit(commit) });
                self.effects.push_back(Effect::Commit);
            }
            (Step::Gesture(gesture), Interest::Of(source)) => self.wait_for(kind, source, gesture, now),
            (Step::Silence, Interest::Of(_) | Interest::Cancelled(_)) => {
                self.command = Some(Command { kind, interest, wait: Wait::Forever });
            }
            (Step::Gesture(gesture), Interest::Cancelled(_)) => {
                let step = gesture.cancelled(&mut self.authenticator, now);
                self.carry_on(kind, interest, step, now);
            }
            (Step::Respond(_) | Step::Gesture(_) | Step::Silence, Interest::Nobody | Interest::PowerLost) => {}
        }
    }

    fn wait_for(&mut self, kind: RequestKind, source: Source, gesture: PendingGesture, now: Duration) {
        self.show(source, Progress::UpNeeded, now);
        // CTAP1/U2F waits no more, which is said before that something else does.
        self.watch_u2f(now);
        let id = self.next_gesture();
        self.tell(News::Waiting { id, reason: gesture.reason(), asks: gesture.asks() }, now);
        let wait = Wait::Gesture { id, gesture, held_until: None };
        self.command = Some(Command { kind, interest: Interest::Of(source), wait });
    }

    fn apply(&mut self, commit: Commit, now: Duration) -> Step {
        let before = self.authenticator.store().discoverable_count();
        let step = commit.committed(&mut self.authenticator, now);
        self.tell_stored(before, now);
        step
    }

    fn tell_stored(&mut self, before: usize, now: Duration) {
        let after = self.authenticator.store().discoverable_count();
        if before != after {
            self.tell(News::Stored { discoverable_credentials: after }, now);
        }
    }

    /// Ends the wait for a gesture, now or when it begins.
    fn cancel_command(&mut self, id: SourceId, now: Duration) {
        if let Some(Request { source, kind, .. }) = self.next_request.take_if(|next| next.source.id == id) {
            return self.answer(source, kind, vec![Status::KeepaliveCancel.into()], now);
        }
        let Some(command) = self.command.take_if(|command| command.is_of(id)) else { return };
        match command {
            Command { kind, interest, wait: Wait::Gesture { id, gesture, .. } } => {
                self.waits_no_more(id, Ended::Cancelled, now);
                let step = gesture.cancelled(&mut self.authenticator, now);
                self.carry_on(kind, interest, step, now);
            }
            Command { kind, interest: Interest::Of(source), wait } => {
                self.command = Some(Command { kind, interest: Interest::Cancelled(source), wait });
            }
            command => self.command = Some(command),
        }
    }

    /// Nobody waits for the answer any more.
    fn abandon_command(&mut self, id: SourceId, now: Duration) {
        self.next_request.take_if(|next| next.source.id == id);
        let Some(command) = self.command.take_if(|command| command.is_of(id)) else { return };
        match command {
            Command { wait: Wait::Gesture { id, .. }, .. } => self.waits_no_more(id, Ended::Cancelled, now),
            Command { wait: Wait::Forever, .. } => {}
            command => self.command = Some(Command { interest: Interest::Nobody, ..command }),
        }
    }

    fn expire(&mut self, now: Duration) {
        self.hid.handle_timeout(now);
        let is_due = |command: &mut Command| match &command.wait {
            Wait::Gesture { gesture, held_until, .. } => {
                held_until.is_some_and(|held| held <= now) || gesture.deadline() <= now
            }
            Wait::Commit(_) | Wait::Forever => false,
        };
        let Some(Command { kind, interest, wait: Wait::Gesture { id, gesture, held_until } }) =
            self.command.take_if(is_due)
        else {
            return;
        };
        let step = if held_until.is_some_and(|held| held <= now) {
            gesture.touched(&mut self.authenticator, now)
        } else {
            self.waits_no_more(id, Ended::TimedOut, now);
            gesture.timed_out(&mut self.authenticator, now)
        };
        self.carry_on(kind, interest, step, now);
    }

    /// Tells the rack of what CTAP1/U2F waits for, as far as it has changed.
    fn watch_u2f(&mut self, now: Duration) {
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
            self.waits_no_more(id, Ended::Cancelled, now);
        }
        if let Some(waiting) = waiting {
            let id = self.next_gesture();
            self.u2f_waiting = Some((id, waiting));
            self.tell(News::Waiting { id, reason: waiting.reason, asks: Asks::Touch }, now);
        }
    }

    /// Tells the sender, which waits for the answer, what the key does.
    fn show(&mut self, source: Source, progress: Progress, now: Duration) {
        match source.id {
            SourceId::Hid(id) => {
                let status = match progress {
                    Progress::Processing => KeepaliveStatus::Processing,
                    Progress::UpNeeded => KeepaliveStatus::UpNeeded,
                };
                // The request is pending: whatever ends it has ended the interest in it.
                let _ = self.hid.set_status(id, status, now);
            }
            SourceId::Direct(id) => self.effects.push_back(Effect::Progress(id, progress)),
        }
    }

    fn answer(&mut self, source: Source, kind: RequestKind, answer: Vec<u8>, now: Duration) {
        let onward = self.edges.response(source.channel, kind, fitting(kind, answer), now);
        self.go_on(source, kind, onward);
    }

    fn go_on(&mut self, source: Source, kind: RequestKind, onward: Onward) {
        let answer = match onward {
            // What stands at the edge may have made it longer.
            Onward::Now(answer) => fitting(kind, answer),
            Onward::Later => return self.edges.hold(source, kind),
            Onward::Never => return,
        };
        match source.id {
            SourceId::Hid(id) => {
                if let Err(error) = self.hid.respond(id, answer) {
                    tracing::debug!(%error, "an answer that nobody waits for");
                }
            }
            SourceId::Direct(id) => self.effects.push_back(Effect::Answer(id, answer)),
        }
    }

    /// Tells who listens at the edge what becomes of the key.
    pub(super) fn happens(&mut self, happening: Happening, now: Duration) {
        self.edges.happens(&happening, now);
    }

    fn next_gesture(&mut self) -> GestureId {
        self.gestures += 1;
        GestureId(self.gestures)
    }

    fn tell_programs(&mut self, now: Duration) {
        let over_udp = self.programs.values().filter(|program| program.farewell == Farewell::Never).count();
        self.tell(News::Programs { programs: self.programs.len(), over_udp }, now);
    }

    fn waits_no_more(&mut self, id: GestureId, ended: Ended, now: Duration) {
        self.tell(News::NotWaiting { id, ended }, now);
    }

    /// The rack hears it later, and who listens at the edge at once: between what passes there.
    fn tell(&mut self, news: News, now: Duration) {
        self.happens(news.into(), now);
        self.effects.push_back(Effect::Tell(news));
    }
}
