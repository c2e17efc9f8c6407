//! The latest events of a transcript as it is made, for any count of readers: each event has a number, and the latest are kept.
//!
//! Whoever makes the transcript waits for no reader. One that comes too late for some events is told so, by [`What::Gap`].

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::event::{Event, Level, What};

/// How many events are kept at most, and how many bytes of JSON.
const KEPT_EVENTS: usize = 2048;
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// An event, as a [`Follower`] is told it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Its number: 1 for the first, and one more each time. Of [`What::Gap`] that of the last event that is missing.
    pub id: u64,
    /// It.
    pub event: Arc<Event>,
    /// The same in JSON.
    pub json: Arc<str>,
}

impl Followed {
    fn new(id: u64, event: Event) -> Self {
        // Names and values of messages have no form that JSON lacks.
        let json = serde_json::to_string(&event).unwrap_or_default().into();
        Self { id, event: Arc::new(event), json }
    }
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Followed>,
    bytes: usize,
    /// The number of the latest event; 0 before the first.
    last: u64,
}

/// The events, as they are written.
#[derive(Debug, Default)]
pub(super) struct Log {
    kept: Arc<Mutex<Kept>>,
    latest: watch::Sender<u64>,
    is_followed: AtomicBool,
}

impl Log {
    /// Whether somebody follows, or has.
    pub(super) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Relaxed)
    }

    /// Says that somebody does.
    pub(super) fn begin(&self) {
        self.is_followed.store(true, Ordering::Relaxed);
    }

    /// Keeps what an exchange consists of, and what belongs to no level: who follows is not shown reports and their messages.
    pub(super) fn write(&self, event: &Event) {
        if event.level().is_some_and(|level| level < Level::Ctap) || matches!(event.what, What::Trace(_) | What::End) {
            return;
        }
        let mut kept = lock(&self.kept);
        kept.last = kept.last.saturating_add(1);
        let followed = Followed::new(kept.last, event.clone());
        kept.bytes = kept.bytes.saturating_add(followed.json.len());
        kept.events.push_back(followed);
        while kept.events.len() > KEPT_EVENTS || (kept.bytes > KEPT_BYTES && kept.events.len() > 1) {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.json.len());
        }
        let last = kept.last;
        drop(kept);
        self.latest.send_replace(last);
    }

    pub(super) fn follower(&self) -> Follower {
        Follower { kept: Arc::clone(&self.kept), latest: self.latest.subscribe() }
    }
}

/// Reads the events of a transcript as it is made: those of the level of CTAP, and of none.
#[derive(Clone, Debug)]
pub struct Follower {
    kept: Arc<Mutex<Kept>>,
    latest: watch::Receiver<u64>,
}

impl Follower {
    /// The number of the latest event; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        lock(&self.kept).last
    }

    /// The events behind number `after`, oldest first and at most `limit`, once there is one; 0 is before the first. A number that
    /// no event has had yet is of another transcript, and counts as 0. Empty only if there is no recorder any more. Cancel-safe.
    pub async fn behind(&self, after: u64, limit: usize) -> Vec<Followed> {
        let mut latest = self.latest.clone();
        loop {
            // What is written from here on is told.
            latest.mark_unchanged();
            let events = self.kept(after, limit);
            if !events.is_empty() || latest.changed().await.is_err() {
                return events;
            }
        }
    }

    fn kept(&self, after: u64, limit: usize) -> Vec<Followed> {
        let kept = lock(&self.kept);
        let after = if after > kept.last { 0 } else { after };
        let oldest = kept.events.front().map_or(kept.last.saturating_add(1), |followed| followed.id);
        let missed = oldest.saturating_sub(after).saturating_sub(1);
        let gap = (missed > 0).then(|| {
            let at_us = kept.events.front().map_or(0, |followed| followed.event.at_us);
            Followed::new(oldest.saturating_sub(1), Event { at_us, key: None, what: What::Gap { missed } })
        });
        let behind = kept.events.iter().skip_while(|followed| followed.id <= after).cloned();
        gap.into_iter().chain(behind).take(limit.max(1)).collect()
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Waker};

    use super::*;

    fn plugged(log: &Log, count: usize) {
        for _ in 0..count {
            log.write(&Event { at_us: 1, key: Some("a".to_owned()), what: What::Plugged });
        }
    }

    fn ids(followed: &[Followed]) -> Vec<u64> {
        followed.iter().map(|followed| followed.id).collect()
    }

    #[tokio::test]
    async fn who_follows_a_transcript_goes_on_behind_what_they_have_read() {
        let log = Log::default();
        let follower = log.follower();
        let mut context = Context::from_waker(Waker::noop());
        let mut next = pin!(follower.behind(0, 10));
        assert!(next.as_mut().poll(&mut context).is_pending());
        plugged(&log, 3);
        assert_eq!(ids(&next.await), [1, 2, 3]);
        assert_eq!(ids(&follower.behind(1, 1).await), [2]);
        assert_eq!(ids(&follower.behind(99, 10).await), [1, 2, 3], "of another transcript");
        drop(log);
        assert!(follower.behind(3, 10).await.is_empty(), "it has ended");
    }

    #[tokio::test]
    async fn who_follows_a_transcript_too_late_is_told_what_is_missing() {
        let log = Log::default();
        plugged(&log, KEPT_EVENTS + 5);
        let all = log.follower().behind(0, usize::MAX).await;
        assert_eq!((all.len(), all[0].id, all[1].id), (KEPT_EVENTS + 1, 5, 6));
        assert_eq!(all[0].event.what, What::Gap { missed: 5 });
    }

    #[test]
    fn what_is_kept_for_followers_is_bounded_in_bytes_too() {
        let log = Log::default();
        let text = "x".repeat(KEPT_BYTES / 4);
        for _ in 0..9 {
            log.write(&Event { at_us: 0, key: None, what: What::FaultOn { fault: text.clone() } });
        }
        let kept = log.follower().kept(6, 10);
        assert_eq!(kept.first().map(|followed| followed.id), Some(7));
        assert_eq!(log.follower().kept(0, 10).len(), 4, "three of a quarter and some bytes each, and the gap");
    }

    #[test]
    fn reports_are_not_followed() {
        use crate::transcript::event::Direction;
        let log = Log::default();
        let what = What::Report { direction: Direction::Out, peer: "usb".to_owned(), bytes: vec![0; 64] };
        log.write(&Event { at_us: 0, key: Some("a".to_owned()), what });
        assert_eq!(log.follower().last(), 0);
    }
}
