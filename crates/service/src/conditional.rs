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
    /// Tells those to end that have one of these keys, and waits until they have let them go.
    pub(crate) async fn make_way(&self, keys: &[KeyName]) {
        let concerned = tell(&self.0.lock().unwrap_or_else(PoisonError::into_inner), keys);
        let_go(concerned).await;
    }

    /// The same for a conditional one, which has a place from then on: of several that come at once all but the last give way.
    pub(crate) async fn enter(&self, keys: Vec<KeyName>) -> Place {
        let (concerned, place) = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let concerned = tell(&all, &keys);
            let (sender, under_way) = watch::channel(());
            let pending = Arc::new(Pending { keys, canceller: Canceller::new(), under_way });
            all.push(pending.clone());
            (concerned, Place { all: self.clone(), pending, _under_way: sender })
        };
        let_go(concerned).await;
        place
    }
}

/// Under the lock, so that one that leaves its place knows whether it was told.
fn tell(all: &[Arc<Pending>], keys: &[KeyName]) -> Vec<Arc<Pending>> {
    let has_one = |pending: &&Arc<Pending>| pending.keys.iter().any(|key| keys.contains(key));
    let concerned: Vec<_> = all.iter().filter(has_one).cloned().collect();
    for pending in &concerned {
        pending.canceller.cancel();
    }
    concerned
}

async fn let_go(concerned: Vec<Arc<Pending>>) {
    for pending in concerned {
        let mut under_way = pending.under_way.clone();
        while under_way.changed().await.is_ok() {}
    }
}

impl Place {
    /// Tells the one that is there to end.
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
