//! A transcript as it is made, for any count of readers: the [`latest`](keyrig_rack::latest) of its events are kept.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use keyrig_rack::latest::{Entry, Latest, Reader};

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
    fn new(id: u64, event: Event, json: String) -> Self {
        Self { id, event: Arc::new(event), json: json.into() }
    }
}

fn json(event: &Event) -> String {
    // Names and values of messages have no form that JSON lacks.
    serde_json::to_string(event).unwrap_or_default()
}

impl Entry for Followed {
    fn number(&self) -> u64 {
        self.id
    }

    fn gap(number: u64, missed: u64, before: Option<&Self>) -> Self {
        let at_us = before.map_or(0, |followed| followed.event.at_us);
        let gap = Event { at_us, key: None, what: What::Gap { missed } };
        let json = json(&gap);
        Self::new(number, gap, json)
    }

    fn bytes(&self) -> usize {
        self.json.len()
    }
}

/// The events, as they are written.
#[derive(Debug)]
pub(super) struct Log {
    latest: Latest<Followed>,
    is_followed: AtomicBool,
}

impl Default for Log {
    fn default() -> Self {
        Self { latest: Latest::keeping(KEPT_EVENTS, KEPT_BYTES), is_followed: AtomicBool::default() }
    }
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
        let (event, json) = (event.clone(), json(event));
        self.latest.write(|id| Followed::new(id, event, json));
    }

    pub(super) fn follower(&self) -> Follower {
        self.latest.reader()
    }
}

/// Reads the events of a transcript as it is made: those of the level of CTAP, and of none. What is not kept any more is told by a
/// [`What::Gap`]. Nothing comes any more once there is no recorder.
pub type Follower = Reader<Followed>;

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
