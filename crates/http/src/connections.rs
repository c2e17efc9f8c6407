//! The connections there are: as many as there is place for, and what each is doing.

use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Limits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing of its first request has arrived.
    New,
    /// Its last request was answered, and nothing of the next has arrived.
    Idle,
    /// A request's head is arriving.
    Head,
    /// A request's body is arriving.
    Body,
    /// A request is being dealt with.
    Working,
    /// The answer is being read, or what there is of it.
    Answering,
    /// What there was of the answer has been read, and there is more to come.
    Streaming,
}

/// All connections of a service, over all of its listeners.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    most: usize,
    open: Mutex<Open>,
    /// A connection has ended, or waits for its next request.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// One connection, as far as others are concerned.
#[derive(Debug)]
pub(crate) struct Connection {
    connections: Arc<Connections>,
    now: Mutex<(Phase, Instant)>,
    /// There is no more to come of the answer.
    whole: AtomicBool,
    /// It is to make place.
    closed: Notify,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        // What is not for connections is for the database, listeners and whatever else the process has open.
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let most = most(limits.connections, descriptors);
        Arc::new(Self { limits, most, open: Mutex::default(), changed: Notify::new() })
    }

    /// A place for one more. If there is none, one is made: of the connections that wait for a request the oldest is
    /// closed, or else the oldest whose head, or whose body, is still arriving, or whose answer is a stream with nothing to tell. If
    /// all are at work, it is waited for one.
    pub(crate) async fn place(self: &Arc<Self>) -> Place {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut open = lock(&self.open);
                if open.connections.len() < self.most {
                    let number = open.next;
                    open.next += 1;
                    let connection = Arc::new(Connection {
                        connections: self.clone(),
                        now: Mutex::new((Phase::New, Instant::now())),
                        whole: AtomicBool::new(false),
                        closed: Notify::new(),
                    });
                    open.connections.insert(number, connection.clone());
                    return Place { number, connection };
                }
                let candidates = open.connections.values().filter_map(|connection| {
                    let (phase, since) = connection.now();
                    phase.closed_in_turn().map(|turn| ((turn, since), connection))
                });
                if let Some((_, oldest)) = candidates.min_by_key(|(order, _)| *order) {
                    oldest.closed.notify_one();
                }
            }
            changed.await;
        }
    }
}

/// Never more than half of the descriptors.
fn most(wished: usize, descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.and_then(|descriptors| usize::try_from(descriptors).ok()).unwrap_or(usize::MAX);
    wished.min(descriptors / 2).max(1)
}

impl Phase {
    /// Which are closed first to make place, if at all.
    fn closed_in_turn(self) -> Option<u8> {
        match self {
            Self::New | Self::Idle => Some(0),
            Self::Head => Some(1),
            Self::Body => Some(2),
            Self::Streaming => Some(3),
            Self::Working | Self::Answering => None,
        }
    }
}

impl Connection {
    fn now(&self) -> (Phase, Instant) {
        *lock(&self.now)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.now().0
    }

    /// When it has done for too long what it is doing.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let limits = &self.connections.limits;
        let (phase, since) = self.now();
        let limit: Duration = match phase {
            Phase::New | Phase::Head => limits.header,
            Phase::Idle => limits.idle,
            Phase::Answering => limits.answer,
            // A body has its limit where it is read, so that there is an answer.
            Phase::Body | Phase::Working | Phase::Streaming => return None,
        };
        Some(since + limit)
    }

    /// Moves on from one of these phases.
    pub(crate) fn go_on(&self, from: &[Phase], to: Phase) {
        {
            let mut now = lock(&self.now);
            if !from.contains(&now.0) {
                return;
            }
            *now = (to, Instant::now());
        }
        if to.closed_in_turn().is_some() {
            self.connections.changed.notify_waiters();
        }
    }

    /// An answer begins, and hears from the one who has it when it is whole.
    pub(crate) fn answer(&self) {
        self.whole.store(false, Ordering::Relaxed);
        self.go_on(&[Phase::Body, Phase::Working], Phase::Answering);
    }

    /// There is something to say again, or nothing more.
    pub(crate) fn go_on_answering(&self, whole: bool) {
        self.whole.store(whole, Ordering::Relaxed);
        self.go_on(&[Phase::Streaming], Phase::Answering);
    }

    /// All that was said has been sent.
    pub(crate) fn is_flushed(&self) {
        let next = if self.whole.load(Ordering::Relaxed) { Phase::Idle } else { Phase::Streaming };
        self.go_on(&[Phase::Answering], next);
    }

    /// Comes when it is to make place.
    pub(crate) async fn is_closed(&self) {
        self.closed.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.connection.connections;
        lock(&connections.open).connections.remove(&self.number);
        connections.changed.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_connections_than_half_of_the_descriptors() {
        for (wished, descriptors, expected) in [
            (1024, Some(1 << 20), 1024),
            (1024, Some(1024), 512),
            (1024, Some(1), 1),
            (10, Some(1024), 10),
            (7, None, 7),
            (0, None, 1),
        ] {
            assert_eq!(most(wished, descriptors), expected);
        }
    }
}
