//! The datagram endpoints of a rack: of keys by their names, and in directories of all keys, those that come later too.

use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrig_rack::{Change, Following, KeyHandle, KeyName, RackKey};

use crate::ctaphid_endpoint::{Endpoint, EndpointAddress, EndpointError};

/// What happens to endpoints while the rack runs.
#[derive(Debug)]
pub enum Event {
    /// A key that has come has an endpoint in a directory.
    Bound {
        /// The key.
        key: KeyName,
        /// Where.
        address: EndpointAddress,
    },
    /// A key that has come has none there.
    Failed {
        /// The key.
        key: KeyName,
        /// Why.
        error: EndpointError,
    },
}

/// An endpoint that is served.
struct Served {
    key: KeyName,
    address: EndpointAddress,
    endpoint: Arc<Endpoint>,
    serving: Pin<Box<dyn Future<Output = Infallible> + Send>>,
    /// Whether it goes with its key: one that was asked for by the key's name waits for the next of that name.
    of_a_directory: bool,
}

impl Served {
    fn new(key: KeyName, endpoint: Endpoint, handle: KeyHandle, of_a_directory: bool) -> Self {
        let (address, endpoint) = (endpoint.address().clone(), Arc::new(endpoint));
        let serving = serving(Arc::clone(&endpoint), handle);
        Self { key, address, endpoint, serving, of_a_directory }
    }
}

fn serving(endpoint: Arc<Endpoint>, handle: KeyHandle) -> Pin<Box<dyn Future<Output = Infallible> + Send>> {
    Box::pin(async move { endpoint.serve(handle).await })
}

/// Endpoints of the keys of a rack. Dropping it closes them.
pub struct Endpoints {
    following: Following,
    directories: Vec<PathBuf>,
    served: Vec<Served>,
}

impl Endpoints {
    /// Binds endpoints of single keys, which are for the key that has its name at a time, and in each directory one for each key, at
    /// [`socket`].
    ///
    /// # Errors
    /// [`EndpointError`]: none is left.
    pub async fn bind(
        following: Following,
        single: Vec<(RackKey, EndpointAddress)>,
        directories: Vec<PathBuf>,
    ) -> Result<Self, EndpointError> {
        let keys = following.keys().to_vec();
        let mut served = Vec::new();
        for (RackKey { name, handle, .. }, address) in single {
            served.push(Served::new(name, Endpoint::bind(address).await?, handle, false));
        }
        for RackKey { name, handle, .. } in keys {
            for directory in &directories {
                let endpoint = Endpoint::bind(EndpointAddress::Unix(socket(directory, &name))).await?;
                served.push(Served::new(name.clone(), endpoint, handle.clone(), true));
            }
        }
        Ok(Self { following, directories, served })
    }

    /// The endpoints that there are, each with its key.
    pub fn all(&self) -> impl Iterator<Item = (&KeyName, &EndpointAddress)> {
        self.served.iter().map(|served| (&served.key, &served.address))
    }

    /// Serves all of them, and tells of those that come with keys.
    pub async fn serve(mut self, mut tell: impl FnMut(Event)) -> Infallible {
        loop {
            let served = &mut self.served;
            let serving = poll_fn(|context| {
                for served in served.iter_mut() {
                    if let Poll::Ready(never) = served.serving.as_mut().poll(context) {
                        return Poll::Ready(never);
                    }
                }
                Poll::Pending
            });
            let change = tokio::select! {
                change = self.following.next() => change,
                never = serving => match never {},
            };
            match change {
                Some(Change::Came(key)) => self.came(&key, &mut tell).await,
                Some(Change::Went(key)) => {
                    self.served.retain(|served| !served.of_a_directory || served.key != key.name);
                }
                None => pending().await,
            }
        }
    }

    async fn came(&mut self, RackKey { name, handle, .. }: &RackKey, tell: &mut impl FnMut(Event)) {
        for served in self.served.iter_mut().filter(|served| served.key == *name) {
            served.serving = serving(Arc::clone(&served.endpoint), handle.clone());
        }
        for directory in &self.directories {
            let address = EndpointAddress::Unix(socket(directory, name));
            match Endpoint::bind(address.clone()).await {
                Ok(endpoint) => {
                    self.served.push(Served::new(name.clone(), endpoint, handle.clone(), true));
                    tell(Event::Bound { key: name.clone(), address });
                }
                Err(error) => tell(Event::Failed { key: name.clone(), error }),
            }
        }
    }
}

/// Where a key's endpoint is in a directory.
#[must_use]
pub fn socket(directory: &Path, key: &KeyName) -> PathBuf {
    directory.join(format!("{key}.ctaphid"))
}
