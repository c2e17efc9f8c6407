//! A timeline at a running rack.

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::events::{Event, KEPT_EVENTS, What};
use keyrig_rack::{KeyName, Rack};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::language::{Deed, DeedKind, Pin, Timeline, TimelineEvent, Trigger};
use super::moment::Moment;
use crate::switch::{CannotSwitchOn, Faults};

/// An event that has come to its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Done {
    /// Which of the timeline's, from 1.
    pub event: usize,
    /// What was to be done.
    pub r#do: DeedKind,
    /// To which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyName>,
    /// When: milliseconds since the timeline's start.
    pub at_ms: u64,
    /// Why it was not done, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Done {
    fn new(event: usize, deed: &Deed, start: Instant, refused: Option<String>) -> Self {
        let at_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { event, r#do: deed.kind(), key: deed.key().cloned(), at_ms, refused }
    }
}

/// What came of a timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// What came to its turn, in that order.
    pub done: Vec<Done>,
    /// Which of its events did not, from 1.
    pub pending: Vec<usize>,
    /// How many events of the rack were missed, as there were too many at once: a condition may have been among them.
    pub missed: u64,
}

/// An event that has not come to its turn.
struct Pending<'a> {
    number: usize,
    event: &'a TimelineEvent,
    /// How often its condition has come to pass.
    count: u32,
    due: Option<Instant>,
}

impl Pending<'_> {
    /// Whether its condition is of this key, and has not come to pass.
    fn waits_for(&self, key: &KeyName) -> bool {
        let Trigger::When { condition, .. } = &self.event.trigger else { return false };
        self.due.is_none() && condition.key.as_ref() == Some(key)
    }

    /// Notes what has come to pass, at this time.
    fn note(&mut self, key: &KeyName, moment: Moment, now: Instant) {
        let Trigger::When { condition, nth, after } = &self.event.trigger else { return };
        let is_of_key = condition.key.as_ref().is_none_or(|of| of == key);
        if self.due.is_some() || condition.moment != moment || !is_of_key {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.count >= nth.get() {
            self.due = Some(now + Duration::from(*after));
        }
    }
}

impl Timeline {
    /// Whether a rack has what it names: keys, and where its faults happen.
    ///
    /// # Errors
    /// [`Refusal`]: which it does not have.
    pub fn check(&self, rack: &Rack) -> Result<(), Refusal> {
        for key in self.events.iter().flat_map(TimelineEvent::keys).flatten() {
            rack.known(key)?;
        }
        for event in &self.events {
            if let Deed::Fault(key, fault) = &event.deed {
                let checked = Faults::at(rack, key)?.check(fault.kind());
                checked.map_err(|error| CannotSwitchOn::from(error).at(key))?;
            }
        }
        Ok(())
    }

    /// Does at a rack what it says, until all is done or `until` completes; what is being done then is done. `told` is told of each event.
    ///
    /// # Errors
    /// [`Refusal`]: it does not [fit](Self::check) the rack, and nothing was done; or the rack has stopped.
    pub async fn run(
        &self,
        rack: &Rack,
        until: impl Future<Output = ()>,
        mut told: impl FnMut(&Done),
    ) -> Result<Outcome, Refusal> {
        self.check(rack)?;
        let start = Instant::now();
        let happened = rack.events();
        let before = happened.kept(0, KEPT_EVENTS.saturating_add(1));
        let mut position = before.last().map_or(0, |event| event.id);
        let mut pending: Vec<_> = (1..)
            .zip(&self.events)
            .map(|(number, event)| {
                let due = if let Trigger::At(at) = event.trigger { Some(start + Duration::from(at)) } else { None };
                Pending { number, event, count: 0, due }
            })
            .collect();
        for key in waiting(&before) {
            pending.iter_mut().for_each(|pending| pending.note(key, Moment::Waiting, start));
        }
        let mut outcome = Outcome::default();
        let mut until = core::pin::pin!(until);
        while !pending.is_empty() {
            // Of those that are due at once the first of the list.
            let next = pending.iter().enumerate().filter_map(|(index, pending)| Some((pending.due?, index))).min();
            let events = tokio::select! {
                biased;
                () = &mut until => break,
                events = happened.behind(position, KEPT_EVENTS) => events,
                () = at(next.map(|(due, _)| due)) => {
                    if let Some((_, index)) = next {
                        let Pending { number, event, .. } = pending.remove(index);
                        let refused = carry_out(rack, &event.deed).await.err();
                        let done = Done::new(number, &event.deed, start, refused.map(|refusal| refusal.to_string()));
                        told(&done);
                        outcome.done.push(done);
                    }
                    continue;
                }
            };
            let now = Instant::now();
            for Event { id, what, .. } in &events {
                position = *id;
                if let What::Gap { missed } = what {
                    outcome.missed = outcome.missed.saturating_add(*missed);
                }
                if let What::Removed { key } = what {
                    for Pending { number, event, .. } in pending.extract_if(.., |pending| pending.waits_for(key)) {
                        let gone = format!("it waits for key {key}, which was taken out of the rack");
                        let done = Done::new(number, &event.deed, start, Some(gone));
                        told(&done);
                        outcome.done.push(done);
                    }
                }
                if let Some((key, moment)) = Moment::of(what) {
                    pending.iter_mut().for_each(|pending| pending.note(key, moment, now));
                }
            }
            if events.is_empty() {
                return Err(Refusal::Stopped);
            }
        }
        outcome.pending = pending.iter().map(|pending| pending.number).collect();
        Ok(outcome)
    }
}

/// The keys that wait for a touch behind these events.
fn waiting(events: &[Event]) -> impl Iterator<Item = &KeyName> {
    let mut waits = BTreeMap::new();
    for event in events {
        match Moment::of(&event.what) {
            Some((key, Moment::Waiting)) => drop(waits.insert(key, true)),
            Some((
                key,
                Moment::Touched
                | Moment::Verified
                | Moment::Missed
                | Moment::Sampled
                | Moment::Denied
                | Moment::Cancelled
                | Moment::TimedOut,
            )) => drop(waits.insert(key, false)),
            _ => {}
        }
    }
    waits.into_iter().filter(|(_, waits)| *waits).map(|(key, _)| key)
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => core::future::pending().await,
    }
}

async fn carry_out(rack: &Rack, deed: &Deed) -> Result<(), Refusal> {
    let command = match deed.clone() {
        Deed::Touch(key) => Command::Touch { key, wait: false },
        Deed::Verify(key) => Command::Verify { key, miss: false, wait: false },
        Deed::Miss(key) => Command::Verify { key, miss: true, wait: false },
        Deed::Sample(key, sample) => Command::Sample { key, sample, wait: false },
        Deed::Deny(key) => Command::Deny { key, wait: false },
        Deed::Unplug(key) => Command::Unplug { key },
        Deed::Plug(key) => Command::Plug { key },
        Deed::PowerCycle(key) => Command::PowerCycle { key },
        Deed::Finger(key) => Command::Finger { key },
        Deed::TouchPolicy(policy) => Command::TouchPolicy { policy },
        Deed::SetPin(key, Pin(pin)) => {
            return rack.known(&key)?.set_pin(pin).await.map(drop).map_err(Refusal::of(&key));
        }
        Deed::ChangePin(key, Pin(pin), Pin(new)) => {
            return rack.known(&key)?.change_pin(pin, new).await.map(drop).map_err(Refusal::of(&key));
        }
        Deed::Fault(key, fault) => {
            return Faults::at(rack, &key)?.switch_on(&key, fault).map_err(|error| error.at(&key));
        }
        Deed::FaultOff(key, which) => {
            Faults::at(rack, &key)?.switch_off(&key, which.as_ref());
            return Ok(());
        }
    };
    rack.command(command).await.map(drop)
}
