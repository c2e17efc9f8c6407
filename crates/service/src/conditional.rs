//! Conditional ceremonies under way: they give way to whatever else asks one of their keys.

use std::sync::{Arc, Mutex, PoisonError};

use keyrig_client::channel::Canceller;
use keyrig_rack::KeyName;
use tokio::sync::watch;

/// All of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditionals(Arc<Mutex<Vec<Arc<Pending>>>>);

#[derive(Debug)]
struct Pending {
    keys: Vec<KeyName>,
    canceller: Canceller,
    /// Ends with the ceremony.
    under_way: watch::Receiver<()>,
}

/// A ceremony's place among these, as long as it is under way.
#[derive(Debug)]
pub(crate) struct Place {
    all: Conditionals,
    pending: Arc<Pending>,
    _under_way: watch::Sender<()>,
}

impl Conditionals {
    /// Tells those to end that have one of these keys, and waits until they have let them go. One that is conditional itself has a place
    /// from then on, so that of several that come at once all but the last give way.
    pub(crate) async fn enter(&self, keys: Vec<KeyName>, is_conditional: bool) -> Option<Place> {
        let (concerned, place) = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let has_one = |pending: &&Arc<Pending>| pending.keys.iter().any(|key| keys.contains(key));
            let concerned: Vec<_> = all.iter().filter(has_one).cloned().collect();
            let place = is_conditional.then(|| {
                let (sender, under_way) = watch::channel(());
                let pending = Arc::new(Pending { keys, canceller: Canceller::new(), under_way });
                all.push(pending.clone());
                Place { all: self.clone(), pending, _under_way: sender }
            });
            (concerned, place)
        };
        for pending in &concerned {
            pending.canceller.cancel();
        }
        for pending in concerned {
            let mut under_way = pending.under_way.clone();
            while under_way.changed().await.is_ok() {}
        }
        place
    }
}

impl Place {
    /// What ends the ceremony when it has to give way.
    pub(crate) fn canceller(&self) -> &Canceller {
        &self.pending.canceller
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pending| !Arc::ptr_eq(pending, &self.pending));
    }
}
