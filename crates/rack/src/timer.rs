//! Waiting for a deadline that there may not be.

use tokio::time::{Instant, sleep_until};

/// Waits until the deadline has passed; without one, for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => core::future::pending().await,
    }
}
