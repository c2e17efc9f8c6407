//! The ear of a host: what passes between it and keys that are in no rack.

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keyrig_ctap::hid::Report;

use super::assembly::{Assembly, Heard, Sound, USB, microseconds};
use super::decode::Secrets;
use super::event::{Direction, Event, Header, KeyInTrace, What};

/// Hears reports at a host, where nobody hears what becomes of a key: that it waits for a touch, and how that ended, follows from what it
/// says. Clones are one.
#[derive(Clone)]
pub struct Tap(Arc<Shared>);

struct Shared {
    started: Instant,
    started_at: SystemTime,
    secrets: Secrets,
    heard: Mutex<Kept>,
}

struct Kept {
    assembly: Assembly,
    events: Vec<Event>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("started_at", &self.0.started_at).finish_non_exhaustive()
    }
}

impl Tap {
    /// Begins to listen.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        let kept = Kept { assembly: Assembly::of_reports(secrets), events: Vec::new() };
        let (started, started_at) = (Instant::now(), SystemTime::now());
        Self(Arc::new(Shared { started, started_at, secrets, heard: Mutex::new(kept) }))
    }

    /// A transcript's first line, of these keys.
    #[must_use]
    pub fn header(&self, keys: Vec<KeyInTrace>) -> Event {
        let Shared { started_at, secrets, .. } = &*self.0;
        let header = Header {
            format: 1,
            recorded_by: concat!("keyrig ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_unix_us: microseconds(started_at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            masked: *secrets == Secrets::Masked,
            seed: None,
            warning: None,
            keys,
        };
        Event { at_us: 0, key: None, what: What::Trace(header) }
    }

    /// A report passed.
    pub fn report(&self, key: &str, direction: Direction, report: &Report) {
        self.hear(key, Sound::Report { direction, peer: USB, report: Box::new(*report) });
    }

    /// Something became of a key, as whoever has it in hand knows.
    pub fn became(&self, key: &str, what: What) {
        self.hear(key, Sound::Became(Box::new(what)));
    }

    /// So much passed unheard.
    pub fn missed(&self, missed: u64) {
        let at_us = microseconds(self.0.started.elapsed());
        self.kept().events.push(Event { at_us, key: None, what: What::Gap { missed } });
    }

    /// What was heard since this was last asked.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        core::mem::take(&mut self.kept().events)
    }

    fn hear(&self, key: &str, sound: Sound) {
        let heard = Heard { at: self.0.started.elapsed(), key: Arc::from(key), sound };
        let Kept { assembly, events } = &mut *self.kept();
        assembly.take(heard, &mut |event| events.push(event));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
