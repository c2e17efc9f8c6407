//! One key as the rack's task knows it, and who waits for it.

use core::time::Duration;
use std::collections::VecDeque;

use keyrig_authenticator::{Asks, Reason};
use tokio::sync::oneshot;

use super::following::RackKey;
use crate::command::{KeyState, RackState, Refusal, WaitFor};
use crate::finger::{Gesture, Place};
use crate::key::{GestureId, KeyHandle};
use crate::key_name::KeyName;
use crate::seams::Ended;
use crate::verification::UvPolicy;

/// Where the answer to a command goes.
pub(super) type Reply = oneshot::Sender<Result<RackState, Refusal>>;

/// How many may wait for one key.
const MAX_WAITS: usize = 256;

pub(super) struct Entry {
    pub(super) name: KeyName,
    pub(super) profile: String,
    pub(super) quirks: Vec<String>,
    pub(super) enterprise_rps: Vec<String>,
    /// Whether a touch counts that comes before it is asked for.
    pub(super) has_latch: bool,
    /// Whom it finds when it verifies its user itself, if it does.
    pub(super) uv: Option<UvPolicy>,
    /// Whether it learns fingerprints.
    pub(super) has_sensor: bool,
    pub(super) busid: String,
    /// Whether it is a device.
    pub(super) on_usb: bool,
    pub(super) plugged: bool,
    pub(super) attached: bool,
    pub(super) programs: usize,
    pub(super) programs_over_udp: usize,
    pub(super) waiting: Option<Waiting>,
    pub(super) discoverable_credentials: usize,
    pub(super) handle: KeyHandle,
    pub(super) waits: Waits,
}

/// A gesture that the key waits for.
pub(super) struct Waiting {
    pub(super) id: GestureId,
    pub(super) reason: Reason,
    pub(super) asks: Asks,
    pub(super) since: Duration,
}

/// What is done to a key that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is touched. Whether it finds whom it knows, if it asks for that, is its policy's to say.
    Touch,
    /// Exactly this.
    Exactly(Gesture),
}

impl Deed {
    /// Whether it is something to do to a key that asks for this: a sample is given to one that asks for a sample.
    fn is_for(self, asks: Asks) -> bool {
        asks == Asks::Sample || !matches!(self, Self::Exactly(Gesture::Sample(_)))
    }
}

/// A gesture that somebody asked for.
pub(super) struct Asked {
    pub(super) deed: Deed,
    /// Whether it may wait until the key does.
    pub(super) wait: bool,
    pub(super) reply: Reply,
}

/// Who waits for something at a key.
#[derive(Default)]
pub(super) struct Waits {
    /// Gestures that wait for the key to wait, in the order in which they were asked for: each is for one wait of the key.
    gestures: VecDeque<Asked>,
    /// The gesture that was made, until the key has said what came of it.
    made: Option<(GestureId, Asked)>,
    watchers: Vec<(WaitFor, Reply)>,
}

impl Entry {
    pub(super) async fn plug(&mut self) -> Result<(), Refusal> {
        if self.plugged {
            return Err(Refusal::Plugged(self.name.clone()));
        }
        let plugged = self.handle.plug().await.map_err(|_| Refusal::Stopped)?;
        plugged.map_err(|error| Refusal::CannotPlug { key: self.name.clone(), error })?;
        self.plugged = true;
        Ok(())
    }

    pub(super) async fn unplug(&mut self) -> Result<(), Refusal> {
        if !self.plugged {
            return Err(Refusal::Unplugged(self.name.clone()));
        }
        self.handle.unplug().await.map_err(|_| Refusal::Stopped)?;
        self.plugged = false;
        self.waiting = None;
        Ok(())
    }

    /// Makes a gesture, if the key waits for one such.
    pub(super) fn make(&mut self, deed: Deed) -> Option<GestureId> {
        let Waiting { id, asks, .. } = self.waiting.take_if(|waiting| deed.is_for(waiting.asks))?;
        let gesture = match (deed, &mut self.uv) {
            (Deed::Exactly(gesture), _) => gesture,
            (Deed::Touch, Some(uv)) => uv.touch(asks),
            (Deed::Touch, None) => Gesture::Touch,
        };
        self.handle.gesture(id, gesture);
        Some(id)
    }

    /// Touches a key that waits for nothing, and has a latch for that: false if it waits, or has none.
    pub(super) fn latches_touch(&self) -> bool {
        let latches = self.has_latch && self.plugged && self.waiting.is_none();
        if latches {
            self.handle.touch_unasked();
        }
        latches
    }

    /// Makes a gesture for somebody, now or when the key waits for it.
    pub(super) fn ask(&mut self, asked: Asked) {
        match self.make(asked.deed) {
            Some(id) => self.waits.made = Some((id, asked)),
            None if !asked.wait && self.waiting.is_some() => {
                self.refuse(asked.reply, Refusal::NotSampling(self.name.clone()));
            }
            None if !asked.wait => self.refuse(asked.reply, Refusal::NotWaiting(self.name.clone())),
            None => {
                self.waits.gestures.retain(|waiting| !waiting.reply.is_closed());
                if self.waits.gestures.len() < MAX_WAITS {
                    self.waits.gestures.push_back(asked);
                } else {
                    self.refuse(asked.reply, Refusal::TooManyWaits(self.name.clone()));
                }
            }
        }
    }

    /// The key has begun to wait: the first gesture that waits for that is made, if whoever asked for it is still there.
    pub(super) fn make_next(&mut self) {
        self.waits.gestures.retain(|waiting| !waiting.reply.is_closed());
        let Some(asks) = self.waiting.as_ref().map(|waiting| waiting.asks) else { return };
        let next = self.waits.gestures.iter().position(|asked| asked.deed.is_for(asks));
        if let Some(asked) = next.and_then(|next| self.waits.gestures.remove(next)) {
            self.ask(asked);
        }
    }

    /// The key waits no more. Who asked for the gesture that has ended it is returned; whose came too late waits on.
    pub(super) fn ended(&mut self, id: GestureId, ended: Ended) -> Option<Reply> {
        self.waiting.take_if(|waiting| waiting.id == id);
        let (_, asked) = self.waits.made.take_if(|(made, _)| *made == id)?;
        let was_made = match ended {
            Ended::Touched | Ended::Verified | Ended::Missed | Ended::Sampled(_) => {
                asked.deed != Deed::Exactly(Gesture::Deny)
            }
            Ended::Denied => asked.deed == Deed::Exactly(Gesture::Deny),
            Ended::Cancelled | Ended::TimedOut => false,
        };
        if was_made {
            return Some(asked.reply);
        }
        if asked.wait {
            self.waits.gestures.push_front(asked);
        } else {
            self.refuse(asked.reply, Refusal::NotWaiting(self.name.clone()));
        }
        None
    }

    /// Has somebody told when the key has come to what is waited for. It has not yet.
    pub(super) fn watch(&mut self, what: WaitFor, reply: Reply) {
        self.waits.watchers.retain(|(_, waiting)| !waiting.is_closed());
        if self.waits.watchers.len() < MAX_WAITS {
            self.waits.watchers.push((what, reply));
        } else {
            self.refuse(reply, Refusal::TooManyWaits(self.name.clone()));
        }
    }

    /// Whether the key has come to what is waited for.
    pub(super) fn has_come_to(&self, what: WaitFor) -> bool {
        match what {
            WaitFor::Touch => self.waiting.is_some(),
            WaitFor::Plugged => self.plugged,
            WaitFor::Attached => self.attached,
        }
    }

    /// Those who wait for what the key has come to, each once.
    pub(super) fn come_to(&mut self) -> Vec<Reply> {
        let mut told = Vec::new();
        for (what, reply) in core::mem::take(&mut self.waits.watchers) {
            if self.has_come_to(what) {
                told.push(reply);
            } else {
                self.waits.watchers.push((what, reply));
            }
        }
        told
    }

    /// The key is no more.
    pub(super) fn refuse_all(self, refusal: &Refusal) {
        let Waits { gestures, made, watchers } = self.waits;
        let gestures = gestures.into_iter().chain(made.map(|(_, asked)| asked)).map(|asked| asked.reply);
        for reply in gestures.chain(watchers.into_iter().map(|(_, reply)| reply)) {
            // The asker may have gone.
            let _ = reply.send(Err(refusal.clone()));
        }
    }

    fn refuse(&self, reply: Reply, refusal: Refusal) {
        // The asker may have gone.
        let _ = reply.send(Err(refusal));
    }

    pub(super) fn rack_key(&self) -> RackKey {
        RackKey {
            name: self.name.clone(),
            busid: self.busid.clone(),
            handle: self.handle.clone(),
            on_usb: self.on_usb,
            serial: 0,
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            name: &self.name,
            plugged: self.plugged,
            waiting_since: self.waiting.as_ref().map(|waiting| waiting.since),
            by_hand: self.uv == Some(UvPolicy::Manual) && self.waits_for_verification(),
        }
    }

    fn waits_for_verification(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.asks == Asks::Verification)
    }

    pub(super) fn state(&self, under_finger: bool) -> KeyState {
        KeyState {
            name: self.name.clone(),
            profile: self.profile.clone(),
            quirks: self.quirks.clone(),
            enterprise_rps: self.enterprise_rps.clone(),
            busid: self.on_usb.then(|| self.busid.clone()),
            plugged: self.plugged,
            attached: self.attached,
            programs: self.programs,
            programs_over_udp: self.programs_over_udp,
            under_finger,
            waiting_for: self.waiting.as_ref().map(|waiting| waiting.reason.command()),
            for_verification: self.waits_for_verification(),
            uv: self.uv.clone(),
            discoverable_credentials: self.discoverable_credentials,
        }
    }
}
