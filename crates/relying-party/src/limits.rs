//! How much is taken on, from whom, and for how long it is kept.

use std::time::Duration;

/// The bounds of a site. Whatever succeeds has none of its own: a load test that logs in correctly meets only
/// [`Limits::connections`] and [`Limits::waiting`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long a request's head may take to arrive, from its first byte, or from the connection for the first one.
    pub header: Duration,
    /// For how long a request's body may take to arrive, as a whole.
    pub body: Duration,
    /// For how long a connection is kept that waits for its next request.
    pub idle: Duration,
    /// For how long an answer may take to be read, as a whole.
    pub answer: Duration,
    /// How many connections there are at once, over all listeners; never more than half of the descriptors that the
    /// process may have. When there is no place for a new one, the one that has been idle for longest is closed.
    pub connections: usize,
    /// How many passwords wait to be checked. When there is no place, the one that failed most lately is turned away.
    pub waiting: usize,
    /// How many requests of one client address wait that has failed lately. IPv6 addresses of one /64 are one.
    pub waiting_per_client: usize,
    /// How many requests for one account wait that have failed lately.
    pub waiting_per_account: usize,
    /// How many passkey logins are pending whose user nobody knows yet. A further one takes the place of the oldest one of
    /// the client address that has most.
    pub ceremonies: usize,
    /// How many of these one client address has. A further one takes the place of its oldest.
    pub ceremonies_per_client: usize,
    /// Which events are kept.
    pub events: EventRetention,
}

/// Which events are kept. Those that are caused by requests of nobody (a login that was refused) are counted apart from
/// all others: noise pushes out noise only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// Events are deleted when they are older.
    pub age: Duration,
    /// The oldest are deleted when there are more, of either sort.
    pub count: usize,
    /// Whatever the age and the count: so many, the latest of either sort, of every account that there is.
    pub of_account: usize,
}

impl Limits {
    /// Those of connections.
    pub(crate) fn of_connections(&self) -> keyrig_http::Limits {
        let Self { header, idle, answer, connections, .. } = *self;
        keyrig_http::Limits { header, idle, answer, connections }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(60),
            connections: 1024,
            waiting: 512,
            waiting_per_client: 32,
            waiting_per_account: 8,
            ceremonies: 2048,
            ceremonies_per_client: 64,
            events: EventRetention::default(),
        }
    }
}

impl Default for EventRetention {
    fn default() -> Self {
        Self { age: Duration::from_secs(90 * 24 * 3600), count: 100_000, of_account: 100 }
    }
}
