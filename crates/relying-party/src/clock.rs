//! Time as a parameter, so that a test can let a challenge expire without waiting.

use std::time::{Instant, SystemTime};

/// Where a relying party reads the time: for the lifetime of challenges and for the dates of credentials.
pub trait Clock: Send + Sync + 'static {
    /// The time now. It must not go backwards.
    fn now(&self) -> SystemTime;
}

/// The machine's clock: wall time as it was when this value was made, advanced by the monotonic clock.
///
/// A later correction of the machine's time therefore neither expires nor revives a challenge.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
    started_at: SystemTime,
}

impl SystemClock {
    /// A clock that starts at the machine's present time.
    pub fn new() -> Self {
        Self { started: Instant::now(), started_at: SystemTime::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        self.started_at + self.started.elapsed()
    }
}
