//! Turns at what there is little of, in the order of who has failed least lately.
//!
//! Nobody can tell in advance whose password is right. So who has failed lately waits behind those who have not, has a
//! share of the places only, and is the first to be turned away when there is none left. Failures are counted by client
//! address and by account, as each was given: whether the account exists makes no difference that could be measured.
//! An attack on an account from elsewhere holds up its user less than the attacker.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// One failure is forgotten in this time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// More failures count as so many: ten minutes later they are forgotten.
const MAX_FAILURES: u32 = 60;

/// How many addresses and accounts are remembered that have failed.
const MAX_REMEMBERED: usize = 4096;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl Client {
    /// An address; of IPv6 the network of the last link, as hosts choose the rest themselves.
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            address => Self(address),
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// Who asks for a turn. A user with a session is nobody in particular here: sessions have their own bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asker {
    /// The address that the request came from; `None` where it is not known, as behind a proxy.
    pub(crate) address: Option<IpAddr>,
    /// The account that the request is about, as it was given.
    pub(crate) account: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Debtor {
    Client(Client),
    Account(String),
}

impl Asker {
    /// Where that is, as far as clients are told apart.
    pub(crate) fn client(&self) -> Option<Client> {
        self.address.map(Client::new)
    }

    fn debtor(&self) -> Option<Debtor> {
        self.client().map(Debtor::Client)
    }

    fn account(&self) -> Option<Debtor> {
        self.account.clone().map(Debtor::Account)
    }
}

/// Failures of late.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    of: Mutex<HashMap<Debtor, Failed>>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    since: Instant,
}

impl Failed {
    fn now(self, now: Instant) -> Self {
        let forgotten = now.duration_since(self.since).as_secs() / FORGOTTEN_AFTER.as_secs();
        let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
        Self {
            times: self.times.saturating_sub(forgotten),
            since: self.since + FORGOTTEN_AFTER * forgotten.min(self.times),
        }
    }
}

impl Failures {
    /// Counts a failure, or an attempt of nobody that may come to nothing.
    pub(crate) fn add(&self, asker: &Asker) {
        let now = Instant::now();
        let mut of = lock(&self.of);
        for debtor in [asker.debtor(), asker.account()].into_iter().flatten() {
            if of.len() >= MAX_REMEMBERED && !of.contains_key(&debtor) {
                of.retain(|_, failed| failed.now(now).times > 0);
            }
            if of.len() >= MAX_REMEMBERED && !of.contains_key(&debtor) {
                let least = of.iter().min_by_key(|(_, failed)| failed.now(now).times).map(|(debtor, _)| debtor.clone());
                least.and_then(|debtor| of.remove(&debtor));
            }
            let failed = of.entry(debtor).or_insert(Failed { times: 0, since: now });
            *failed = failed.now(now);
            if failed.times == 0 {
                failed.since = now;
            }
            failed.times = (failed.times + 1).min(MAX_FAILURES);
        }
    }

    /// Takes back what was counted for an attempt that has succeeded.
    pub(crate) fn forgive(&self, asker: &Asker) {
        let mut of = lock(&self.of);
        for debtor in [asker.debtor(), asker.account()].into_iter().flatten() {
            if let Some(failed) = of.get_mut(&debtor) {
                failed.times = failed.times.saturating_sub(1);
            }
        }
    }

    fn times(&self, debtor: Option<&Debtor>, now: Instant) -> u32 {
        let of = lock(&self.of);
        debtor.and_then(|debtor| of.get(debtor)).map_or(0, |failed| failed.now(now).times)
    }

    fn of(&self, asker: &Asker, now: Instant) -> u32 {
        self.times(asker.debtor().as_ref(), now) + self.times(asker.account().as_ref(), now)
    }
}

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) all: usize,
    /// Of one client address that has failed lately.
    pub(crate) per_client: usize,
    /// For one account that has failed lately.
    pub(crate) per_account: usize,
}

/// There is no place to wait in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the server is busy; try again in a moment")]
pub(crate) struct Busy;

/// So many turns at a time, and those who wait for one.
#[derive(Debug)]
pub(crate) struct Turns {
    places: Places,
    failures: Arc<Failures>,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    next: u64,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    asker: Asker,
    turn: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub(crate) fn new(at_once: usize, places: Places, failures: Arc<Failures>) -> Arc<Self> {
        let queue = Queue { free: at_once, next: 0, waiting: Vec::new() };
        Arc::new(Self { places, failures, queue: Mutex::new(queue) })
    }

    /// Waits for a turn.
    pub(crate) async fn take(self: &Arc<Self>, asker: &Asker) -> Result<Turn, Busy> {
        let (number, turn) = {
            let mut queue = lock(&self.queue);
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Turn(Some(self.clone())));
            }
            self.make_place(&mut queue, asker)?;
            let (sender, receiver) = oneshot::channel();
            let number = queue.next;
            queue.next += 1;
            queue.waiting.push(Waiting { number, asker: asker.clone(), turn: sender });
            (number, receiver)
        };
        let _place = Place { turns: self, number };
        turn.await.map_err(|_| Busy)
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    fn make_place(&self, queue: &mut Queue, asker: &Asker) -> Result<(), Busy> {
        let now = Instant::now();
        let (client, account) = (asker.debtor(), asker.account());
        let has_share = |debtor: Option<&Debtor>, share: usize, same: &dyn Fn(&Asker) -> bool| {
            self.failures.times(debtor, now) == 0
                || queue.waiting.iter().filter(|waiting| same(&waiting.asker)).take(share).count() < share
        };
        if !has_share(client.as_ref(), self.places.per_client, &|other| other.client() == asker.client())
            || !has_share(account.as_ref(), self.places.per_account, &|other| other.account == asker.account)
        {
            return Err(Busy);
        }
        if queue.waiting.len() < self.places.all {
            return Ok(());
        }
        let failures = queue.waiting.iter().map(|waiting| self.failures.of(&waiting.asker, now)).enumerate();
        match failures.max_by_key(|(_, failures)| *failures) {
            Some((index, failures)) if failures > self.failures.of(asker, now) => {
                // The waiting end hears that the sender is gone.
                queue.waiting.remove(index);
                Ok(())
            }
            _ => Err(Busy),
        }
    }

    /// Hands a turn on: to the one that failed least, and of these to the first.
    fn hand_on(self: Arc<Self>) {
        loop {
            let next = {
                let mut queue = lock(&self.queue);
                let now = Instant::now();
                let failures = queue.waiting.iter().map(|waiting| self.failures.of(&waiting.asker, now)).enumerate();
                match failures.min_by_key(|(_, failures)| *failures) {
                    Some((index, _)) => queue.waiting.remove(index),
                    None => {
                        queue.free += 1;
                        return;
                    }
                }
            };
            match next.turn.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Waits no more.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_on();
        }
    }
}

/// A place in the queue: who waits no more leaves it.
struct Place<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.turns.queue).waiting.retain(|waiting| waiting.number != self.number);
    }
}

/// What is under these locks is consistent at any moment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
