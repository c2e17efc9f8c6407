//! The time of a run: a site's clock stands still, and keys' clocks go; what a step lets pass, passes for all.

use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use keyrig_rack::KeyName;
use keyrig_rack::clock::Clock as KeyClock;
use keyrig_rack::seams::Seams;
use keyrig_relying_party::Clock;
use tokio::time::Instant;

/// When every run begins by its site's clock: 2026-11-22T00:00:00Z. Codes by the clock are the same on every day.
const BEGINS: Duration = Duration::from_secs(1_795_305_600);

/// The time of a run. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct RunTime(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    passed: Duration,
    /// Counts how often it was turned.
    turned: u64,
    wakers: Vec<Waker>,
}

impl RunTime {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass.
    pub(super) fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.passed = state.passed.saturating_add(by);
        state.turned += 1;
        let wakers = core::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Clock for RunTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + BEGINS + self.state().passed
    }
}

impl Seams for RunTime {
    fn clock(&self, _: &KeyName, inner: Box<dyn KeyClock>) -> Box<dyn KeyClock> {
        Box::new(Turned { inner, time: self.clone(), seen: 0 })
    }
}

/// A key's clock: it goes as it does, and is put forward.
#[derive(Debug)]
struct Turned {
    inner: Box<dyn KeyClock>,
    time: RunTime,
    seen: u64,
}

impl KeyClock for Turned {
    fn now(&self) -> Duration {
        self.inner.now().saturating_add(self.time.state().passed)
    }

    fn when(&self, time: Duration) -> Instant {
        self.inner.when(time.saturating_sub(self.time.state().passed))
    }

    fn poll_turned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let inner = self.inner.poll_turned(context);
        let mut state = self.time.state();
        if state.turned != self.seen {
            self.seen = state.turned;
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        inner
    }
}
