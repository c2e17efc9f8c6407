//! The task of a rack: it moves the finger, and knows of each key what it does.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Weak;

use keyrig_authenticator::Asks;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::entry::{Asked, Deed, Entry, Reply, Waiting};
use super::shared::Shared;
use crate::command::{Command, MAX_KEYS, RackState, Refusal, WaitFor, busid};
use crate::events::{Log, What};
use crate::finger::{Finger, Gesture};
use crate::key::{News, Notice};
use crate::key_name::KeyName;
use crate::seams::Ended;
use crate::timer::until;

/// What the task is asked.
pub(super) enum Request {
    Command {
        command: Command,
        answer: Reply,
    },
    /// Keeps a name and a number for a key that is being made.
    Reserve {
        name: KeyName,
        answer: oneshot::Sender<Result<usize, Refusal>>,
    },
    /// It was not made.
    Release {
        name: KeyName,
    },
    Add {
        entry: Box<Entry>,
        plugged: bool,
        answer: Reply,
    },
    Remove {
        key: KeyName,
        answer: Reply,
    },
    /// Something has happened that the task does not see.
    Tell(What),
}

pub(super) struct Task {
    pub(super) entries: Vec<Entry>,
    pub(super) finger: Finger,
    pub(super) asked: mpsc::UnboundedReceiver<Request>,
    pub(super) noticed: mpsc::UnboundedReceiver<Notice>,
    pub(super) epoch: Instant,
    pub(super) log: Log,
    /// What the rack's clones know of the keys.
    pub(super) shared: Weak<Shared>,
    /// The names and numbers of keys that are being made.
    pub(super) reserved: Vec<(KeyName, usize)>,
}

impl Task {
    pub(super) async fn run(mut self) {
        let mut again = None;
        loop {
            let deadline = again.map(|again| self.epoch + again);
            tokio::select! {
                // What keys have said comes before what is asked about them.
                biased;
                notice = self.noticed.recv() => match notice {
                    Some(notice) => self.notice(notice),
                    None => return,
                },
                request = self.asked.recv() => match request {
                    Some(request) => self.request(request).await,
                    None => return,
                },
                () = until(deadline) => {}
            }
            again = self.move_finger();
        }
    }

    /// Takes in what keys have said meanwhile, so that an answer shows the state after its command.
    fn catch_up(&mut self) {
        while let Ok(notice) = self.noticed.try_recv() {
            self.notice(notice);
        }
    }

    fn notice(&mut self, Notice { key, news }: Notice) {
        // By the rack's clock, as its finger goes by that.
        let now = self.epoch.elapsed();
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == key) else { return };
        match news {
            News::Waiting { id, reason, asks } => {
                let command = reason.command();
                match asks {
                    Asks::Touch => tracing::debug!(%key, %command, "waits for a touch"),
                    _ => tracing::debug!(%key, %command, ?asks, "waits"),
                }
                entry.waiting = Some(Waiting { id, reason, asks, since: now });
                let for_verification = asks == Asks::Verification;
                self.log.write(What::Waiting { key: key.clone(), command, for_verification });
                // Before what is asked for ends the wait.
                self.tell_watchers(&key);
                if let Some(entry) = self.entry(&key) {
                    entry.make_next();
                }
            }
            News::NotWaiting { id, ended } => {
                let asker = entry.ended(id, ended);
                let name = key.clone();
                self.log.write(match ended {
                    Ended::Touched => What::Touched { key },
                    Ended::Verified => What::Verified { key },
                    Ended::Missed => What::Missed { key },
                    Ended::Sampled(sample) => What::Sampled { key, sample },
                    Ended::Denied => What::Denied { key },
                    Ended::Cancelled => What::Cancelled { key },
                    Ended::TimedOut => What::TimedOut { key },
                });
                if let Some(asker) = asker {
                    self.reply(asker, Ok(Some(&name)));
                }
            }
            News::Attached(attached) => {
                tracing::debug!(%key, attached, "host");
                entry.attached = attached;
                let at = key.clone();
                self.log.write(if attached { What::Attached { key: at } } else { What::Detached { key: at } });
                self.tell_watchers(&key);
            }
            News::Programs { programs, over_udp } => {
                tracing::debug!(%key, programs, over_udp, "programs without USB");
                entry.programs = programs;
                entry.programs_over_udp = over_udp;
                self.log.write(What::Programs { key, programs });
            }
            News::Stored { discoverable_credentials } => {
                entry.discoverable_credentials = discoverable_credentials;
                self.log.write(What::Stored { key, discoverable_credentials });
            }
            News::Winked => {
                tracing::info!(%key, "winks");
                self.log.write(What::Winked { key });
            }
        }
    }

    fn tell_watchers(&mut self, key: &KeyName) {
        let told = self.entry(key).map(Entry::come_to).unwrap_or_default();
        for reply in told {
            self.reply(reply, Ok(Some(key)));
        }
    }

    fn entry(&mut self, name: &KeyName) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == *name)
    }

    fn known(&mut self, name: &KeyName) -> Result<&mut Entry, Refusal> {
        match self.entries.iter().position(|entry| entry.name == *name) {
            Some(place) => self.entries.get_mut(place).ok_or(Refusal::Stopped),
            None => Err(Refusal::unknown(name, self.entries.iter().map(|entry| &entry.name))),
        }
    }

    async fn request(&mut self, request: Request) {
        match request {
            Request::Command { command, answer } => self.asked(command, answer).await,
            Request::Reserve { name, answer } => {
                let reserved = self.reserve(name);
                // Whoever makes a key runs to the end.
                let _ = answer.send(reserved);
            }
            Request::Release { name } => self.reserved.retain(|(reserved, _)| *reserved != name),
            Request::Add { entry, plugged, answer } => self.add(*entry, plugged, answer).await,
            Request::Remove { key, answer } => self.remove(&key, answer).await,
            Request::Tell(what) => self.log.write(what),
        }
    }

    fn reserve(&mut self, name: KeyName) -> Result<usize, Refusal> {
        let is_taken = self.entries.iter().any(|entry| entry.name == name);
        if is_taken || self.reserved.iter().any(|(reserved, _)| *reserved == name) {
            return Err(Refusal::KeyExists(name));
        }
        let taken: BTreeSet<_> = self.entries.iter().map(|entry| entry.busid.as_str()).collect();
        let is_free = |number: &usize| {
            !taken.contains(busid(*number).as_str()) && !self.reserved.iter().any(|(_, reserved)| reserved == number)
        };
        let number = (1..=MAX_KEYS).find(is_free).ok_or(Refusal::TooManyKeys)?;
        self.reserved.push((name, number));
        Ok(number)
    }

    async fn add(&mut self, mut entry: Entry, plugged: bool, answer: Reply) {
        let name = entry.name.clone();
        if plugged && let Err(refusal) = entry.plug().await {
            entry.handle.end().await;
            // Whoever made it gives its place back.
            return self.reply(answer, Err(refusal));
        }
        self.reserved.retain(|(reserved, _)| *reserved != name);
        self.log.write(What::Created { key: name.clone() });
        if plugged {
            self.log.write(What::Plugged { key: name.clone() });
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.keys.add(entry.rack_key());
        }
        self.entries.push(entry);
        self.catch_up();
        self.reply(answer, Ok(Some(&name)));
    }

    async fn remove(&mut self, key: &KeyName, answer: Reply) {
        let Some(entry) = self.entry(key) else {
            let refusal = Refusal::unknown(key, self.entries.iter().map(|entry| &entry.name));
            return self.reply(answer, Err(refusal));
        };
        let handle = entry.handle.clone();
        if let Some(shared) = self.shared.upgrade() {
            shared.keys.remove(key);
        }
        handle.end().await;
        // How its wait has ended is told while it is still known.
        self.catch_up();
        let Some(position) = self.entries.iter().position(|entry| entry.name == *key) else { return };
        let entry = self.entries.remove(position);
        self.finger.over.take_if(|over| over == key);
        if entry.plugged {
            self.log.write(What::Unplugged { key: key.clone() });
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.maker.seams.removed(key);
        }
        entry.refuse_all(&Refusal::unknown(key, self.entries.iter().map(|entry| &entry.name)));
        self.log.write(What::Removed { key: key.clone() });
        self.reply(answer, Ok(None));
    }

    async fn asked(&mut self, command: Command, reply: Reply) {
        match command {
            Command::Touch { key, wait } => self.gesture(&key, Asked { deed: Deed::Touch, wait, reply }),
            Command::Verify { key, miss, wait } => {
                let deed = Deed::Exactly(if miss { Gesture::Miss } else { Gesture::Touch });
                match self.known(&key) {
                    Ok(entry) if entry.uv.is_none() => self.reply(reply, Err(Refusal::NoVerification(key))),
                    _ => self.gesture(&key, Asked { deed, wait, reply }),
                }
            }
            Command::Sample { key, sample, wait } => {
                let deed = Deed::Exactly(Gesture::Sample(sample));
                match self.known(&key) {
                    Ok(entry) if !entry.has_sensor => self.reply(reply, Err(Refusal::NoSensor(key))),
                    _ => self.gesture(&key, Asked { deed, wait, reply }),
                }
            }
            Command::Deny { key, wait } => {
                self.gesture(&key, Asked { deed: Deed::Exactly(Gesture::Deny), wait, reply });
            }
            Command::Wait { key, what } => self.wait(&key, what, reply),
            command => {
                let result = self.command(command).await;
                self.catch_up();
                self.reply(reply, result.as_ref().map(Option::as_ref).map_err(Clone::clone));
            }
        }
    }

    fn gesture(&mut self, key: &KeyName, asked: Asked) {
        match self.known(key) {
            Ok(entry) if asked.deed == Deed::Touch && !asked.wait && entry.latches_touch() => {
                self.reply(asked.reply, Ok(Some(key)));
            }
            Ok(entry) => entry.ask(asked),
            Err(refusal) => self.reply(asked.reply, Err(refusal)),
        }
    }

    fn wait(&mut self, key: &KeyName, what: WaitFor, reply: Reply) {
        match self.known(key) {
            Ok(entry) if what == WaitFor::Attached && !entry.on_usb => {
                self.reply(reply, Err(Refusal::NotOnUsb(key.clone())))
            }
            Ok(entry) if entry.has_come_to(what) => self.reply(reply, Ok(Some(key))),
            Ok(entry) => entry.watch(what, reply),
            Err(refusal) => self.reply(reply, Err(refusal)),
        }
    }

    /// Answers with the state of a key, or of all.
    fn reply(&self, reply: Reply, result: Result<Option<&KeyName>, Refusal>) {
        // The asker may have gone.
        let _ = reply.send(result.map(|only| self.answer(only)));
    }

    /// Carries out a command that waits for nobody, and says which key its answer is about.
    async fn command(&mut self, command: Command) -> Result<Option<KeyName>, Refusal> {
        match command {
            Command::Unplug { key } => {
                self.known(&key)?.unplug().await?;
                self.log.write(What::Unplugged { key: key.clone() });
                Ok(Some(key))
            }
            Command::Plug { key } => self.plug(key).await.map(Some),
            Command::PowerCycle { key } => {
                self.known(&key)?.unplug().await?;
                self.log.write(What::Unplugged { key: key.clone() });
                self.plug(key).await.map(Some)
            }
            Command::Finger { key } => {
                if let Some(key) = &key {
                    self.known(key)?;
                }
                self.finger.over.clone_from(&key);
                self.log.write(What::Finger { key });
                Ok(None)
            }
            Command::TouchPolicy { policy } => {
                self.finger.policy = policy;
                self.log.write(What::TouchPolicy { touch: policy });
                Ok(None)
            }
            Command::UvPolicy { key, policy } => {
                let uv = self.known(&key)?.uv.as_mut().ok_or_else(|| Refusal::NoVerification(key.clone()))?;
                *uv = policy.clone();
                self.log.write(What::UvPolicy { key: key.clone(), uv: policy });
                Ok(Some(key))
            }
            Command::Show { key } => self.known(&key).map(drop).map(|()| Some(key)),
            Command::List
            | Command::Touch { .. }
            | Command::Verify { .. }
            | Command::Sample { .. }
            | Command::Deny { .. }
            | Command::Wait { .. } => Ok(None),
        }
    }

    async fn plug(&mut self, key: KeyName) -> Result<KeyName, Refusal> {
        self.known(&key)?.plug().await?;
        self.log.write(What::Plugged { key: key.clone() });
        self.tell_watchers(&key);
        Ok(key)
    }

    fn answer(&self, only: Option<&KeyName>) -> RackState {
        let places: Vec<_> = self.entries.iter().map(Entry::place).collect();
        let wanted = |entry: &&Entry| only.is_none_or(|name| entry.name == *name);
        let state = |entry: &Entry| entry.state(self.finger.is_over(&entry.name, &places));
        RackState { keys: self.entries.iter().filter(wanted).map(state).collect(), touch: self.finger.policy }
    }

    /// Makes the gestures that are due, and says when the finger has to be asked again.
    fn move_finger(&mut self) -> Option<Duration> {
        let places: Vec<_> = self.entries.iter().map(Entry::place).collect();
        let (gestures, again) = self.finger.decide(&places, self.epoch.elapsed());
        let gestures: Vec<_> = gestures.into_iter().map(|(name, gesture)| (name.clone(), gesture)).collect();
        for (name, gesture) in gestures {
            if let Some(entry) = self.entry(&name) {
                let deed = if gesture == Gesture::Touch { Deed::Touch } else { Deed::Exactly(gesture) };
                // It waits, or the finger would not have been moved.
                let _ = entry.make(deed);
            }
        }
        again
    }
}
