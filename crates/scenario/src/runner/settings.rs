//! How scenarios are run.

use std::sync::Arc;

use keyrig_rack::seams::Seams;
use tokio::sync::watch;

#[cfg(target_os = "linux")]
use crate::hardware::bench::Bench;
use crate::language::On;

/// How a scenario is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What carries messages to the keys.
    pub on: On,
    /// The seed; without it, that of the file, or 0.
    pub seed: Option<u64>,
    /// What stands at the seams of the keys beside what is there: transcripts.
    pub seams: Vec<Arc<dyn Seams>>,
    /// Whether it goes on after a step that did not come to what it was to come to.
    pub goes_on: bool,
    /// Whether it is to end before it is through: once this is `true`, or its sender is gone.
    pub stop: Option<watch::Receiver<bool>>,
    /// Who has real keys in hand, for [`On::Hid`].
    #[cfg(target_os = "linux")]
    pub bench: Option<Bench>,
}

impl Settings {
    /// Waits until it is to end before it is through.
    pub(super) async fn stopped(&self) {
        match self.stop.clone() {
            Some(mut stop) => drop(stop.wait_for(|stop| *stop).await),
            None => core::future::pending().await,
        }
    }
}
