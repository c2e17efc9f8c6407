//! The latest of a sequence, for any count of readers: each entry has a number, and so many are kept.
//!
//! A reader holds a number and nothing else, so any count of them that read slowly or not at all costs nothing, and whoever writes waits for
//! none. One that comes too late for some entries is told so, by an entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What a sequence consists of.
pub trait Entry: Clone {
    /// Its number: 1 for the first, and one more each time.
    fn number(&self) -> u64;

    /// What stands for entries that are not kept any more: with the number of the last of them, before the one that is.
    fn gap(number: u64, missed: u64, before: Option<&Self>) -> Self;

    /// How much of the room it takes, bytes; nothing where entries alone are counted.
    fn bytes(&self) -> usize {
        0
    }
}

#[derive(Debug)]
struct Kept<E> {
    entries: VecDeque<E>,
    bytes: usize,
    /// The number of the latest; 0 before the first.
    last: u64,
}

/// A sequence, as it is written.
#[derive(Debug)]
pub struct Latest<E> {
    kept: Arc<Mutex<Kept<E>>>,
    latest: watch::Sender<u64>,
    most: usize,
    most_bytes: usize,
}

impl<E: Entry> Latest<E> {
    /// One of which at most so many entries are kept, and so many bytes: the latest in any case.
    #[must_use]
    pub fn keeping(most: usize, most_bytes: usize) -> Self {
        let kept = Kept { entries: VecDeque::new(), bytes: 0, last: 0 };
        Self { kept: Arc::new(Mutex::new(kept)), latest: watch::Sender::new(0), most, most_bytes }
    }

    /// Writes the next entry, which is made with its number: while nobody else writes or reads.
    pub fn write(&self, entry: impl FnOnce(u64) -> E) {
        let mut kept = lock(&self.kept);
        kept.last = kept.last.saturating_add(1);
        let entry = entry(kept.last);
        kept.bytes = kept.bytes.saturating_add(entry.bytes());
        kept.entries.push_back(entry);
        while kept.entries.len() > self.most || (kept.bytes > self.most_bytes && kept.entries.len() > 1) {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes());
        }
        let last = kept.last;
        drop(kept);
        self.latest.send_replace(last);
    }

    /// Reads it.
    #[must_use]
    pub fn reader(&self) -> Reader<E> {
        Reader { kept: Arc::clone(&self.kept), latest: self.latest.subscribe() }
    }
}

/// Reads a sequence.
#[derive(Clone, Debug)]
pub struct Reader<E> {
    kept: Arc<Mutex<Kept<E>>>,
    latest: watch::Receiver<u64>,
}

impl<E: Entry> Reader<E> {
    /// The number of the latest entry; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        lock(&self.kept).last
    }

    /// The entries behind number `after`, oldest first and at most `limit`, once there is one; 0 is before the first. What is not kept
    /// any more is told by a gap. A number that no entry has had yet is of another sequence, and counts as 0. Empty only if nobody
    /// writes any more. Cancel-safe.
    pub async fn behind(&self, after: u64, limit: usize) -> Vec<E> {
        let mut latest = self.latest.clone();
        loop {
            // What is written from here on is told.
            latest.mark_unchanged();
            let entries = self.kept(after, limit);
            if !entries.is_empty() || latest.changed().await.is_err() {
                return entries;
            }
        }
    }

    /// The same as far as there are any now.
    #[must_use]
    pub fn kept(&self, after: u64, limit: usize) -> Vec<E> {
        let kept = lock(&self.kept);
        let after = if after > kept.last { 0 } else { after };
        let front = kept.entries.front();
        let oldest = front.map_or(kept.last.saturating_add(1), Entry::number);
        let missed = oldest.saturating_sub(after).saturating_sub(1);
        let gap = (missed > 0).then(|| E::gap(oldest.saturating_sub(1), missed, front));
        let behind = kept.entries.iter().skip_while(|entry| entry.number() <= after).cloned();
        gap.into_iter().chain(behind).take(limit.max(1)).collect()
    }
}

fn lock<E>(kept: &Mutex<Kept<E>>) -> MutexGuard<'_, Kept<E>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
