//! Keys in this machine's kernel: by vhci, and then its hidraw nodes.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

use keyrig_attach::kernel::{self, Attachments, Event};
use keyrig_attach::vhci::Vhci;
use keyrig_rack::{KeyName, Rack};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::RunError;

/// How long a kernel may take to give a key its node. Emulated ones are slow.
const NODE: Duration = Duration::from_secs(60);

type Nodes = BTreeMap<KeyName, PathBuf>;

/// The keys of a run in the kernel.
pub(super) struct Kernel {
    nodes: watch::Receiver<Nodes>,
    stop: Option<oneshot::Sender<()>>,
    attaching: Option<JoinHandle<()>>,
}

impl Kernel {
    pub(super) async fn start(rack: &Rack) -> Result<Self, RunError> {
        let vhci = Vhci::open().map_err(kernel::AttachError::from)?;
        let mut attachments = Attachments::start(kernel::Kernel::Vhci(vhci), rack.exports(), rack.follow()).await?;
        let (sender, nodes) = watch::channel(Nodes::new());
        let (stop, mut stopped) = oneshot::channel();
        let attaching = tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = attachments.next() => event,
                    _ = &mut stopped => break,
                };
                sender.send_modify(|nodes| match event {
                    Event::Node { key, path } => drop(nodes.insert(key, path)),
                    Event::Unplugged { key } | Event::DetachedByKernel { key } | Event::Failed { key, .. } => {
                        drop(nodes.remove(&key));
                    }
                    Event::Attached { .. } => {}
                });
            }
            attachments.close().await;
        });
        Ok(Self { nodes, stop: Some(stop), attaching: Some(attaching) })
    }

    /// The node of a key that is plugged in, once it has one that this user may open.
    pub(super) async fn node(&mut self, key: &KeyName) -> Result<PathBuf, RunError> {
        let known = self.nodes.wait_for(|nodes| nodes.contains_key(key));
        let nodes = timeout(NODE, known).await.map_err(|_| RunError::NoNode(key.clone()))?;
        let nodes = nodes.map_err(|_| RunError::NoNode(key.clone()))?;
        nodes.get(key).cloned().ok_or_else(|| RunError::NoNode(key.clone()))
    }

    /// Waits until the kernel has let a key go that was pulled out.
    pub(super) async fn gone(&mut self, key: &KeyName) -> Result<(), RunError> {
        let gone = self.nodes.wait_for(|nodes| !nodes.contains_key(key));
        match timeout(NODE, gone).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(RunError::NoNode(key.clone())),
        }
    }

    pub(super) async fn close(&mut self) {
        // Who is told may have ended.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(attaching) = self.attaching.take() {
            let _ = attaching.await;
        }
    }
}
