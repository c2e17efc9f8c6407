//! Where faults stand: at every seam of every key.

use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::environment::Environment;
use keyrig_authenticator::store::Change;
use keyrig_rack::KeyName;
use keyrig_rack::clock::Clock;
use keyrig_rack::seams::{Edge, Seams};
use keyrig_rack::storage::{NotDurable, Storage};
use keyrig_usb::{Failure, Fate, Host, Transfer};
use tokio::time::Instant;

use crate::edge::FaultyEdge;
use crate::fault::Fault;
use crate::kind::{Kind, Layer};
use crate::sealing::FaultyEnvironment;
use crate::switch::{Faults, Switches, Way};

impl Seams for Faults {
    fn storage(&self, key: &KeyName, inner: Box<dyn Storage>) -> Box<dyn Storage> {
        Box::new(FaultyStorage { inner, switches: self.of(key) })
    }

    fn clock(&self, key: &KeyName, inner: Box<dyn Clock>) -> Box<dyn Clock> {
        Box::new(FaultyClock { inner, switches: self.of(key) })
    }

    fn edge(&self, key: &KeyName) -> Option<Box<dyn Edge>> {
        Some(Box::new(FaultyEdge::new(self.of(key))))
    }

    fn environment(
        &self,
        key: &KeyName,
        root: &Root,
        attestation: &Attestation,
        inner: Box<dyn Environment>,
    ) -> Box<dyn Environment> {
        Box::new(FaultyEnvironment::new(inner, self.of(key), root.private_key(), attestation.clone()))
    }

    fn removed(&self, key: &KeyName) {
        self.forget(key);
    }

    fn host(&self, key: &KeyName) -> Option<Host> {
        let switches = self.of(key);
        Some(Arc::new(move |transfer| {
            let could = |fault: &Fault| fate(fault, transfer).is_some();
            let fault = switches.happen(Layer::Usb, None, 1, could).pop();
            fault.and_then(|fault| fate(&fault, transfer)).unwrap_or(Fate::Good)
        }))
    }
}

/// What a fault makes of a transfer.
fn fate(fault: &Fault, transfer: Transfer) -> Option<Fate> {
    let late = || Fate::Late(Duration::from_millis(fault.value()));
    Some(match (fault.kind(), transfer) {
        (Kind::UsbDelay, Transfer::In) | (Kind::UsbLateUnlink, Transfer::Unlink) => late(),
        (Kind::UsbShortRead, Transfer::In) => Fate::Short(u32::try_from(fault.value()).ok()?),
        (Kind::UsbStallIn, Transfer::In) | (Kind::UsbStallOut, Transfer::Out) => Fate::Failed(Failure::Stall),
        (Kind::UsbProtocolError, Transfer::In) => Fate::Failed(Failure::Protocol),
        (Kind::UsbBabble, Transfer::In) => Fate::Failed(Failure::Babble),
        (Kind::UsbDisconnect, Transfer::In) => Fate::Disconnected,
        _ => return None,
    })
}

#[derive(Debug)]
struct FaultyStorage {
    inner: Box<dyn Storage>,
    switches: Arc<Switches>,
}

impl Storage for FaultyStorage {
    fn commit(&mut self, changes: &[Change]) -> Result<(), NotDurable> {
        if self.switches.any(Layer::Storage) {
            // Another credential takes room; what is written in place of something does not.
            let grows = changes.iter().any(|change| matches!(change, Change::Put(_) | Change::LargeBlobs(_)));
            let could = |fault: &Fault| fault.kind() != Kind::StorageFull || grows;
            let command = self.switches.command(Way::Host).or(self.switches.command(Way::Direct));
            for fault in self.switches.happen(Layer::Storage, command, usize::MAX, could) {
                match fault.kind() {
                    Kind::StorageFailing => return Err(NotDurable::new("input/output error, by a fault")),
                    Kind::StorageFull => return Err(NotDurable::new("no space left on device, by a fault")),
                    // On a thread of its own: see `waits`.
                    _ => thread::sleep(Duration::from_millis(fault.value())),
                }
            }
        }
        self.inner.commit(changes)
    }

    fn waits(&self) -> bool {
        self.inner.waits() || self.switches.any(Layer::Storage)
    }
}

#[derive(Debug)]
struct FaultyClock {
    inner: Box<dyn Clock>,
    switches: Arc<Switches>,
}

impl Clock for FaultyClock {
    fn now(&self) -> Duration {
        self.inner.now().saturating_add(self.switches.ahead())
    }

    fn when(&self, time: Duration) -> Instant {
        self.inner.when(time.saturating_sub(self.switches.ahead()))
    }

    // It is turned between a request and its answer, by the key's own task, which asks anew what time it is.
    fn poll_turned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_turned(context)
    }
}
