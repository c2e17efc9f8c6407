//! The clock of a key: a trait, so that something can turn it.

use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::time::Instant;

/// The clock of one key: all that a key does in time, it does by this.
///
/// [`SystemClock`] goes as time does. A seam: its second user are timelines, which put a key's clock forward or let it go wrong, and no
/// other key's; [`Seams::clock`](crate::seams::Seams::clock) puts them in.
pub trait Clock: fmt::Debug + Send {
    /// What it shows: the time since an epoch of its own. It never goes back.
    fn now(&self) -> Duration;

    /// When it will show `time`, if nobody turns it. A time that it has shown already is now, or before.
    fn when(&self, time: Duration) -> Instant;

    /// Is ready once whenever the clock was turned, so that what [`when`](Self::when) said holds no more. One that nobody turns
    /// never is.
    fn poll_turned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = context;
        Poll::Pending
    }
}

/// The runtime's time since an epoch.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    epoch: Instant,
}

impl SystemClock {
    /// A clock that counts from `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self { epoch }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn when(&self, time: Duration) -> Instant {
        self.epoch + time
    }
}
