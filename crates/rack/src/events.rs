//! What happens in a rack, as a log that may be read behind: the [`latest`] events are kept.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::feedback::Feedback;
use crate::finger::TouchPolicy;
use crate::key_name::KeyName;
use crate::latest::{self, Entry, Latest};
use crate::verification::UvPolicy;

/// How many events are kept.
pub const KEPT_EVENTS: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its number: 1 for a rack's first, and one more each time. Whoever has read this one goes on behind it.
    pub id: u64,
    /// When it was, milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// A key waits for a gesture.
    Waiting {
        /// The key.
        key: KeyName,
        /// The CTAP command that asks.
        command: String,
        /// Whether it verifies its user by that.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        for_verification: bool,
    },
    /// It was touched.
    Touched {
        /// The key.
        key: KeyName,
    },
    /// It has verified its user.
    Verified {
        /// The key.
        key: KeyName,
    },
    /// Somebody touched it, and it found that that is not its user.
    Missed {
        /// The key.
        key: KeyName,
    },
    /// It asked for a sample of a fingerprint, and the sample was not good.
    Sampled {
        /// The key.
        key: KeyName,
        /// What it made of it.
        sample: Feedback,
    },
    /// The user refused.
    Denied {
        /// The key.
        key: KeyName,
    },
    /// Whoever asked for a gesture wants it no more, or has gone, or the key has lost its power.
    Cancelled {
        /// The key.
        key: KeyName,
    },
    /// No gesture came in time.
    TimedOut {
        /// The key.
        key: KeyName,
    },
    /// A key has come to the rack.
    Created {
        /// The key.
        key: KeyName,
    },
    /// A key has left the rack.
    Removed {
        /// The key.
        key: KeyName,
    },
    /// A key has forgotten everything, by its owner. One that a host has reset says that it holds no credentials.
    Reset {
        /// The key.
        key: KeyName,
    },
    /// A key keeps what a snapshot held.
    Restored {
        /// The key.
        key: KeyName,
    },
    /// A key was plugged in.
    Plugged {
        /// The key.
        key: KeyName,
    },
    /// A key was pulled out.
    Unplugged {
        /// The key.
        key: KeyName,
    },
    /// A USB host has taken a key.
    Attached {
        /// The key.
        key: KeyName,
    },
    /// A USB host has let a key go.
    Detached {
        /// The key.
        key: KeyName,
    },
    /// Programs use a key without USB, or do so no more.
    Programs {
        /// The key.
        key: KeyName,
        /// How many there are now.
        programs: usize,
    },
    /// The discoverable credentials of a key are more or fewer.
    Stored {
        /// The key.
        key: KeyName,
        /// How many there are now.
        discoverable_credentials: usize,
    },
    /// A host had a key wink.
    Winked {
        /// The key.
        key: KeyName,
    },
    /// The finger was put over a key, or over the first that is plugged in.
    Finger {
        /// The key.
        key: Option<KeyName>,
    },
    /// The finger does something else.
    TouchPolicy {
        /// What it does now.
        touch: TouchPolicy,
    },
    /// A key that verifies its user finds another.
    UvPolicy {
        /// The key.
        key: KeyName,
        /// Whom it finds now.
        uv: UvPolicy,
    },
    /// Events that are not kept any more were missed. The number of this event is that of the last of them.
    Gap {
        /// How many.
        missed: u64,
    },
}

impl Entry for Event {
    fn number(&self) -> u64 {
        self.id
    }

    fn gap(number: u64, missed: u64, before: Option<&Self>) -> Self {
        Self { id: number, time_ms: before.map_or(0, |event| event.time_ms), what: What::Gap { missed } }
    }
}

/// The events of a rack, as they are written.
#[derive(Debug)]
pub(crate) struct Log(Latest<Event>);

impl Default for Log {
    fn default() -> Self {
        Self(Latest::keeping(KEPT_EVENTS, usize::MAX))
    }
}

impl Log {
    pub(crate) fn write(&self, what: What) {
        self.0.write(|id| Event { id, time_ms: now(), what });
    }

    pub(crate) fn reader(&self) -> Reader {
        self.0.reader()
    }
}

/// Reads the events of a rack. What is not kept any more is told by a [`What::Gap`].
pub type Reader = latest::Reader<Event>;

fn now() -> u64 {
    // A clock before 1970 is wrong, and no event is worth failing for that.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Waker};

    use super::*;

    fn write(log: &Log, count: usize) {
        for _ in 0..count {
            log.write(What::Finger { key: None });
        }
    }

    fn ids(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn a_reader_goes_on_behind_what_it_has_read() {
        let log = Log::default();
        let reader = log.reader();
        assert_eq!(reader.last(), 0);
        assert!(reader.kept(0, 10).is_empty());
        write(&log, 5);
        assert_eq!(ids(&reader.kept(0, 10)), [1, 2, 3, 4, 5]);
        assert_eq!(ids(&reader.kept(0, 2)), [1, 2]);
        assert_eq!(ids(&reader.kept(2, 10)), [3, 4, 5]);
        assert!(reader.kept(5, 10).is_empty());
        assert_eq!(ids(&reader.kept(77, 10)), [1, 2, 3, 4, 5], "of another rack");
    }

    #[test]
    fn who_comes_too_late_is_told_how_much_was_missed_and_only_the_latest_are_kept() {
        let log = Log::default();
        write(&log, KEPT_EVENTS + 7);
        let all = log.reader().kept(0, usize::MAX);
        assert_eq!((all[0].id, &all[0].what), (7, &What::Gap { missed: 7 }));
        assert_eq!(all.len(), 1 + KEPT_EVENTS);
        assert_eq!(all[1].id, 8, "the gap's number is that of the last event in it");
        let some = log.reader().kept(3, 2);
        assert_eq!((some[0].id, &some[0].what, some[1].id), (7, &What::Gap { missed: 4 }, 8));
        assert_eq!(ids(&log.reader().kept(7, 2)), [8, 9], "nothing was missed");
    }

    #[tokio::test]
    async fn a_reader_waits_for_the_next_event_and_for_the_end() {
        let log = Log::default();
        let reader = log.reader();
        let mut context = Context::from_waker(Waker::noop());
        let mut next = pin!(reader.behind(0, 10));
        assert!(next.as_mut().poll(&mut context).is_pending());
        write(&log, 1);
        assert_eq!(ids(&next.await), [1]);
        let mut next = pin!(reader.behind(1, 10));
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(log);
        assert!(next.await.is_empty());
    }
}
