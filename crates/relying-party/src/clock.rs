//! Time as a parameter, so that a test can let a challenge expire without waiting.

use std::time::SystemTime;

/// Where a relying party reads the time: for the lifetime of challenges and sessions, for codes of TOTP, and for dates.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
///
/// Moments are stored and compared by several processes, and across restarts: only the wall clock means the same to all. A
/// machine whose clock is set back keeps challenges and sessions alive for as long; one whose clock is wrong refuses codes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
