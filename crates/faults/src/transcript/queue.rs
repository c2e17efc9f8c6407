//! What was heard and is not written yet: a queue of bounded size that nobody waits for.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::assembly::{Heard, Sound};

/// How much is kept, bytes. It is a second or more of all that one core can move.
pub(super) const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// How much is kept while nobody takes it, where the latest is kept, bytes.
const MAX_LATEST: usize = 1024 * 1024;

/// What a note counts for, bytes: the longest that is taken.
const MAX_NOTE: usize = 64 * 1024;

/// How much is written without waiting for more, bytes.
const ENOUGH: usize = 256 * 1024;

/// How long what was heard may wait for more: so a thread is woken once for many events.
const GATHERING: Duration = Duration::from_millis(10);

/// An event, or how many were missed before the next.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Heard(Heard),
    Missed { at: Duration, count: u64 },
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// What was heard, which is never nothing.
    Entries(Vec<Entry>),
    /// Nothing, for as long as was asked.
    Silence,
    /// Nothing any more.
    Closed,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    size: usize,
    missed: u64,
    /// The latest time that was heard.
    latest: Duration,
    closed: bool,
    /// Somebody writes what is kept.
    attended: bool,
    /// Counts what they have written.
    writes: u64,
    /// Until somebody does, the latest is kept, and not the first.
    keeps_latest: bool,
    /// How many were dropped of those before.
    dropped: u64,
}

impl Inner {
    /// Drops the oldest until there is room for so much beside the latest.
    fn make_room(&mut self, size_of_next: usize) {
        while self.size.saturating_add(size_of_next) > MAX_LATEST {
            let Some(oldest) = self.entries.pop_front() else { return };
            match oldest {
                Entry::Heard(heard) => {
                    self.size = self.size.saturating_sub(size(&heard));
                    self.dropped = self.dropped.saturating_add(1);
                }
                Entry::Missed { count, .. } => self.dropped = self.dropped.saturating_add(count),
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that keeps the latest until somebody writes what is kept.
    pub(super) fn of_the_latest() -> Self {
        Self { inner: Mutex::new(Inner { keeps_latest: true, ..Inner::default() }), changed: Condvar::new() }
    }

    /// Keeps it, if there is room.
    pub(super) fn push(&self, heard: Heard) {
        let size = size(&heard);
        let mut inner = self.lock();
        inner.latest = inner.latest.max(heard.at);
        if inner.closed {
            return;
        }
        if inner.keeps_latest && !inner.attended {
            inner.make_room(size);
        }
        if inner.size.saturating_add(size) > MAX_QUEUED {
            inner.missed = inner.missed.saturating_add(1);
            return;
        }
        if inner.missed > 0 {
            let missed = Entry::Missed { at: heard.at, count: core::mem::take(&mut inner.missed) };
            inner.entries.push_back(missed);
        }
        let before = inner.size;
        inner.size = before.saturating_add(size);
        inner.entries.push_back(Entry::Heard(heard));
        let wakes = before == 0 || (before < ENOUGH && inner.size >= ENOUGH);
        drop(inner);
        if wakes {
            self.changed.notify_all();
        }
    }

    /// Takes all that there is now.
    pub(super) fn drain(&self) -> Vec<Entry> {
        take(&mut self.lock())
    }

    /// Forgets what is kept of this kind.
    pub(super) fn forget(&self, is_of_kind: impl Fn(&Heard) -> bool) {
        let mut inner = self.lock();
        let mut forgotten = 0;
        inner.entries.retain(|entry| match entry {
            Entry::Heard(heard) if is_of_kind(heard) => {
                forgotten += size(heard);
                false
            }
            _ => true,
        });
        inner.size = inner.size.saturating_sub(forgotten);
    }

    /// Says that somebody writes what is kept.
    pub(super) fn attend(&self) {
        self.lock().attended = true;
    }

    /// Says that something is written.
    pub(super) fn goes_on(&self) {
        let mut inner = self.lock();
        inner.writes = inner.writes.wrapping_add(1);
        if inner.closed {
            self.changed.notify_all();
        }
    }

    /// Says that all is written.
    pub(super) fn written(&self) {
        self.lock().attended = false;
        self.changed.notify_all();
    }

    /// Waits until there is something, and takes it; or, if a time is given, until there was nothing for so long.
    pub(super) fn next(&self, silence: Option<Duration>) -> Next {
        let nothing = |inner: &mut Inner| inner.entries.is_empty() && !inner.closed;
        let inner = match silence {
            None => self.changed.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner),
            Some(silence) => {
                let waited = self.changed.wait_timeout_while(self.lock(), silence, nothing);
                let (inner, ended) = waited.unwrap_or_else(PoisonError::into_inner);
                if ended.timed_out() {
                    return Next::Silence;
                }
                inner
            }
        };
        let more = |inner: &mut Inner| inner.size < ENOUGH && !inner.closed;
        let (mut inner, _) =
            self.changed.wait_timeout_while(inner, GATHERING, more).unwrap_or_else(PoisonError::into_inner);
        let entries = take(&mut inner);
        if entries.is_empty() { Next::Closed } else { Next::Entries(entries) }
    }

    /// Takes no more, and waits until what there is has been written, or nothing of it was for as long as `patience`: whether it
    /// all was.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut inner = self.lock();
        inner.closed = true;
        self.changed.notify_all();
        loop {
            let writes = inner.writes;
            let nothing = |inner: &mut Inner| inner.attended && inner.writes == writes;
            let waited = self.changed.wait_timeout_while(inner, patience, nothing);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !inner.attended || inner.writes == writes {
                return !inner.attended;
            }
        }
    }
}

fn take(inner: &mut Inner) -> Vec<Entry> {
    inner.size = 0;
    if inner.dropped > 0 {
        let at = inner.entries.front().map_or(inner.latest, |entry| match entry {
            Entry::Heard(heard) => heard.at,
            Entry::Missed { at, .. } => *at,
        });
        inner.entries.push_front(Entry::Missed { at, count: core::mem::take(&mut inner.dropped) });
    }
    let mut entries: Vec<_> = core::mem::take(&mut inner.entries).into();
    if inner.missed > 0 {
        entries.push(Entry::Missed { at: inner.latest, count: core::mem::take(&mut inner.missed) });
    }
    entries
}

/// What it takes in memory, more or less.
fn size(heard: &Heard) -> usize {
    let more = match &heard.sound {
        Sound::Report { report, .. } => report.len(),
        Sound::Request { message, .. } | Sound::Response { message, .. } => message.capacity(),
        Sound::Became(_) => 64,
        Sound::Noted(_) => MAX_NOTE,
    };
    size_of::<Entry>().saturating_add(more)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyrig_ctap::hid::RequestKind;

    use super::*;

    fn heard(bytes: usize) -> Heard {
        let sound = Sound::Request { peer: 0, channel: 1, kind: RequestKind::Cbor, message: vec![0; bytes] };
        Heard { at: Duration::from_secs(1), key: Arc::from("a"), sound }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_where_it_is_missing() {
        let queue = Queue::default();
        for _ in 0..3 {
            queue.push(heard(MAX_QUEUED / 3));
        }
        let entries = queue.drain();
        assert!(
            matches!(entries.as_slice(), [Entry::Heard(_), Entry::Heard(_), Entry::Missed { count: 1, .. }]),
            "two fit: {}",
            entries.len()
        );
        queue.push(heard(MAX_QUEUED));
        queue.push(heard(MAX_QUEUED));
        queue.push(heard(1));
        let entries = queue.drain();
        assert!(
            matches!(entries.as_slice(), [Entry::Missed { count: 2, .. }, Entry::Heard(_)]),
            "one fits: {}",
            entries.len()
        );
        assert!(queue.drain().is_empty());
    }

    #[test]
    fn the_latest_is_kept_until_somebody_takes_it_and_what_was_before_is_counted() {
        let queue = Queue::of_the_latest();
        for _ in 0..5 {
            queue.push(heard(MAX_LATEST / 3));
        }
        queue.attend();
        let entries = queue.drain();
        assert!(
            matches!(entries.as_slice(), [Entry::Missed { count: 3, .. }, Entry::Heard(_), Entry::Heard(_)]),
            "two fit: {}",
            entries.len()
        );
        // And then as much as of what is written.
        for _ in 0..5 {
            queue.push(heard(MAX_LATEST / 3));
        }
        assert_eq!(queue.drain().len(), 5);
    }
}
