//! Which real keys wait for a touch, whom the finger is over, and what a person is asked because of it.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::hardware::bench::Bench;
use crate::hardware::person::Ask;
use crate::hardware::power;

/// What a user is to do about keys that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finger {
    /// What is done is asked for one by one.
    #[default]
    AsAsked,
    /// Touch this one, once it waits.
    Over(String),
    /// Touch none: they are to give up.
    Away,
}

/// What keys want of who has them in hand.
pub(crate) struct Attention {
    bench: Bench,
    waiting: watch::Sender<BTreeSet<String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    finger: Finger,
    /// The key that was asked to be touched, as long as it waits.
    prompted: Option<String>,
    /// What was not sent to a key, by key: why.
    withheld: BTreeMap<String, String>,
    /// How many discoverable credentials were stored on a key, and are there yet.
    left: BTreeMap<String, usize>,
}

impl fmt::Debug for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attention").field("waiting", &*self.waiting.borrow()).finish_non_exhaustive()
    }
}

impl Attention {
    pub(super) fn new(bench: Bench) -> Self {
        Self { bench, waiting: watch::Sender::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the finger somewhere, and has keys touched that wait already.
    pub(super) fn put_finger(&self, finger: Finger) {
        self.state().finger = finger;
        let waiting = self.waiting.borrow().clone();
        waiting.iter().for_each(|key| self.look_at(key));
    }

    /// A key waits for a touch.
    pub(super) fn waits(&self, key: &str) {
        if self.waiting.send_if_modified(|waiting| waiting.insert(key.to_owned())) {
            self.look_at(key);
        }
    }

    /// A key waits no more.
    pub(super) fn waits_no_more(&self, key: &str) {
        self.waiting.send_if_modified(|waiting| waiting.remove(key));
        let prompted = self.state().prompted.take_if(|prompted| prompted == key);
        if prompted.is_some() {
            self.bench.person.done();
        }
    }

    fn look_at(&self, key: &str) {
        let finger = self.state().finger.clone();
        match finger {
            Finger::Over(over) if over == key => self.touch(key),
            Finger::Away => self.prompt(&Ask::LeaveAlone { key: key.to_owned() }, key),
            Finger::Over(_) | Finger::AsAsked => {}
        }
    }

    /// Has a key touched, by the lab's command or by who has it in hand.
    pub(super) fn touch(&self, key: &str) {
        let command = self.bench.of_lab(key).and_then(|known| known.touch.clone());
        match command {
            None => self.prompt(&Ask::Touch { key: key.to_owned() }, key),
            Some(command) => {
                let (key, person) = (key.to_owned(), self.bench.person.clone());
                tokio::spawn(async move {
                    // A key that is not touched gives up, which fails the step: why, is said here.
                    if let Err(error) = power::run(&command, &key).await {
                        person.tell(&format!("key \"{key}\" was not touched: {error}"));
                    }
                });
            }
        }
    }

    pub(super) fn touch_as_somebody_else(&self, key: &str) {
        self.prompt(&Ask::TouchAsSomebodyElse { key: key.to_owned() }, key);
    }

    fn prompt(&self, ask: &Ask, key: &str) {
        self.state().prompted = Some(key.to_owned());
        self.bench.person.ask(ask);
    }

    /// Waits until a key waits for a touch.
    pub(super) async fn wait_for(&self, key: &str) {
        // The sender is here: there is no end of it.
        let _ = self.waiting.subscribe().wait_for(|waiting| waiting.contains(key)).await;
    }

    /// Something was not sent to a key, to save what is on it.
    pub(super) fn withhold(&self, key: &str, why: &str) {
        self.state().withheld.insert(key.to_owned(), why.to_owned());
    }

    /// A discoverable credential was stored on a key.
    pub(super) fn stored(&self, key: &str) {
        *self.state().left.entry(key.to_owned()).or_default() += 1;
    }

    /// A key was reset.
    pub(super) fn forgot(&self, key: &str) {
        self.state().left.remove(key);
    }

    /// How many discoverable credentials stay on which keys.
    pub(super) fn left(&self) -> BTreeMap<String, usize> {
        self.state().left.clone()
    }

    /// What was withheld since this was last asked: key and reason.
    pub(super) fn take_withheld(&self) -> Option<(String, String)> {
        core::mem::take(&mut self.state().withheld).into_iter().next()
    }
}
