//! What listeners share: connections that wait for their peer go, the oldest first, when there are too many of them; and a
//! listener that is refused a connection goes on.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

/// How long an error of accepting is waited out, as axum does; or until a connection ends.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Connections that wait for their peer, the one that has waited longest first.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    places: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Waiting {
    /// Takes a place as the youngest.
    #[must_use]
    pub fn enter(&self) -> Place {
        let (keep, evicted) = oneshot::channel();
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.places.push_back((number, keep));
        Place { waiting: self.clone(), number, evicted }
    }

    /// Takes a place as the youngest, where at most `most` may wait: the oldest give theirs up.
    #[must_use]
    pub fn enter_among(&self, most: usize) -> Place {
        while self.lock().places.len() >= most && self.evict_oldest() {}
        self.enter()
    }

    /// Tells the oldest to go; false if nobody waits.
    pub fn evict_oldest(&self) -> bool {
        self.lock().places.pop_front().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those that wait. Dropping it is leaving.
#[derive(Debug)]
pub struct Place {
    waiting: Waiting,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Place {
    /// Waits until this place is needed for another connection. Cancel-safe; not to be awaited again when it has completed.
    pub async fn evicted(&mut self) {
        // Nothing is ever sent: the sender is dropped, and that is the news.
        let _: Result<(), oneshot::error::RecvError> = (&mut self.evicted).await;
    }

    /// Becomes the youngest again: the peer has been heard of.
    pub fn renew(&self) {
        let places = &mut self.waiting.lock().places;
        if let Some(place) =
            places.iter().position(|(number, _)| *number == self.number).and_then(|index| places.remove(index))
        {
            places.push_back(place);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().places.retain(|(number, _)| *number != self.number);
    }
}

/// What a listener does about an error of accepting, before it accepts again.
///
/// An error of one connection concerns nobody else. Any other is a lack, of descriptors most likely: of `connections`, the
/// oldest that waits gives up its own, and the end of any, or a second, is waited for.
pub async fn wait_out<T: 'static>(error: io::Error, waiting: &Waiting, connections: &mut JoinSet<T>) {
    if is_of_one_connection(&error) {
        return;
    }
    warn!(%error, "no connection can be accepted for the moment");
    waiting.evict_oldest();
    select! {
        Some(_) = connections.join_next() => {}
        () = sleep(ACCEPT_AGAIN) => {}
    }
}

/// Whether an error of accepting concerns one connection only, which has ended by then.
#[must_use]
pub fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use core::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    async fn goes(place: &mut Place) -> bool {
        select! {
            biased;
            () = place.evicted() => true,
            () = ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_one_that_has_waited_longest_goes_first() {
        let waiting = Waiting::default();
        let [mut first, mut second, mut third] = [waiting.enter(), waiting.enter(), waiting.enter()];
        first.renew();
        let mut fourth = waiting.enter_among(3);
        let gone = [goes(&mut first).await, goes(&mut second).await, goes(&mut third).await, goes(&mut fourth).await];
        assert_eq!(gone, [false, true, false, false], "the first was heard of again");
        drop(third);
        let _fifth = waiting.enter_among(3);
        assert!(!goes(&mut first).await, "a peer that has left takes no place");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_accepting_is_waited_out_until_a_connection_ends_or_for_a_second() {
        // EMFILE (errno(3)), which has no kind of its own.
        let too_many = || io::Error::from_raw_os_error(24);
        let waiting = Waiting::default();
        let start = Instant::now();
        let mut connections = JoinSet::new();
        let mut place = waiting.enter();
        connections.spawn(async move { place.evicted().await });
        wait_out(too_many(), &waiting, &mut connections).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "the oldest gave up its descriptor");
        assert!(connections.is_empty());

        connections.spawn(pending());
        wait_out(too_many(), &waiting, &mut connections).await;
        assert_eq!(start.elapsed(), ACCEPT_AGAIN, "nobody could be told to go");
        wait_out(too_many(), &waiting, &mut JoinSet::<()>::new()).await;
        assert_eq!(start.elapsed(), 2 * ACCEPT_AGAIN, "nor was there anybody");

        wait_out(io::ErrorKind::ConnectionAborted.into(), &waiting, &mut connections).await;
        assert_eq!(start.elapsed(), 2 * ACCEPT_AGAIN, "an error of one connection is nobody else's");
    }
}
