//! What carries messages to the keys: one of [`On`], for all keys of a run.

use std::net::SocketAddr;
use std::sync::Arc;

use keyrig_attach::ctaphid_endpoints::{Endpoints, socket};
use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::CtapHidChannel;
use keyrig_client::randomness::DangerSeeded;
use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_rack::command::Command;
use keyrig_rack::{KeyName, Rack};
use keyrig_usb::Limits;
#[cfg(target_os = "linux")]
use keyrig_ways::Hidraw;
use keyrig_ways::{Datagrams, InProcess, UsbIp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::error::RunError;
#[cfg(target_os = "linux")]
use super::hid::{Hid, HidWay};
#[cfg(target_os = "linux")]
use super::kernel::Kernel;
use super::seed;
use crate::language::On;

/// A way to one key.
pub(super) enum Way {
    InProcess(InProcess),
    Ctaphid(Box<CtapHidChannel<Datagrams>>),
    Usbip(Box<CtapHidChannel<UsbIp>>),
    #[cfg(target_os = "linux")]
    Kernel(Box<CtapHidChannel<Hidraw>>),
    #[cfg(target_os = "linux")]
    Hid(Box<HidWay>),
}

impl Channel for Way {
    async fn transact(
        &mut self,
        request: &[u8],
        cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        match self {
            Self::InProcess(way) => way.transact(request, cancel, on_status).await,
            Self::Ctaphid(way) => way.transact(request, cancel, on_status).await,
            Self::Usbip(way) => way.transact(request, cancel, on_status).await,
            #[cfg(target_os = "linux")]
            Self::Kernel(way) => way.transact(request, cancel, on_status).await,
            #[cfg(target_os = "linux")]
            Self::Hid(way) => way.transact(request, cancel, on_status).await,
        }
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        match self {
            Self::InProcess(way) => way.transact_u2f(apdu).await,
            Self::Ctaphid(way) => way.transact_u2f(apdu).await,
            Self::Usbip(way) => way.transact_u2f(apdu).await,
            #[cfg(target_os = "linux")]
            Self::Kernel(way) => way.transact_u2f(apdu).await,
            #[cfg(target_os = "linux")]
            Self::Hid(way) => way.transact_u2f(apdu).await,
        }
    }
}

/// What is there for all keys. Dropped, it lets them go.
pub(super) enum Carrier {
    InProcess,
    Ctaphid {
        directory: TempDir,
        serving: JoinHandle<()>,
    },
    Usbip {
        address: SocketAddr,
        serving: JoinHandle<()>,
    },
    #[cfg(target_os = "linux")]
    Kernel(Kernel),
    #[cfg(target_os = "linux")]
    Hid(Hid),
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Self::Ctaphid { serving, .. } | Self::Usbip { serving, .. } = self {
            serving.abort();
        }
    }
}

impl Carrier {
    /// Sets up what there has to be for the keys of a rack, and for those that come to it.
    pub(super) async fn start(on: On, rack: &Rack) -> Result<Self, RunError> {
        Ok(match on {
            On::InProcess => Self::InProcess,
            On::Ctaphid => {
                let directory = TempDir::with_prefix("keyrig-run-").map_err(RunError::System)?;
                let endpoints = Endpoints::bind(rack.follow(), Vec::new(), vec![directory.path().to_owned()]).await?;
                let serving = tokio::spawn(async move { match endpoints.serve(|_| {}).await {} });
                Self::Ctaphid { directory, serving }
            }
            On::Usbip => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(RunError::System)?;
                let address = listener.local_addr().map_err(RunError::System)?;
                let exports = rack.exports().clone();
                let serving = tokio::spawn(async move {
                    keyrig_usb::serve(listener, exports, Limits::default()).await;
                });
                Self::Usbip { address, serving }
            }
            #[cfg(target_os = "linux")]
            On::Kernel => Self::Kernel(Kernel::start(rack).await?),
            On::Hid => return Err(RunError::Cannot("nobody has real keys in hand".to_owned())),
            #[cfg(not(target_os = "linux"))]
            On::Kernel => return Err(RunError::NotHere(on)),
        })
    }

    /// Reaches a key that is plugged in.
    pub(super) async fn connect(&mut self, rack: &Rack, key: &KeyName, seed: u64) -> Result<Way, RunError> {
        let random = Arc::new(DangerSeeded::new(seed::of(seed, &format!("channel to {key}"))));
        Ok(match self {
            Self::InProcess => Way::InProcess(InProcess(rack.known(key)?)),
            Self::Ctaphid { directory, .. } => {
                let pipe = Datagrams::unix(&socket(directory.path(), key)).map_err(RunError::System)?;
                Way::Ctaphid(Box::new(CtapHidChannel::new(pipe).with_randomness(random)))
            }
            Self::Usbip { address, .. } => {
                let state = rack.command(Command::Show { key: key.clone() }).await?;
                let busid = state.keys.into_iter().next().and_then(|key| key.busid);
                let busid = busid.ok_or_else(|| RunError::Cannot(format!("key {key} is on no USB")))?;
                let pipe = UsbIp::import(*address, &busid).await?;
                Way::Usbip(Box::new(CtapHidChannel::new(pipe).with_randomness(random)))
            }
            #[cfg(target_os = "linux")]
            Self::Kernel(kernel) => {
                let pipe = Hidraw::open(&kernel.node(key).await?).await.map_err(RunError::System)?;
                Way::Kernel(Box::new(CtapHidChannel::new(pipe).with_randomness(random)))
            }
            #[cfg(target_os = "linux")]
            Self::Hid(hid) => Way::Hid(Box::new(hid.connect(key.as_str(), random).await?)),
        })
    }

    /// A key was pulled out: waits until whoever had it has seen it go.
    pub(super) async fn gone(&mut self, key: &KeyName) -> Result<(), RunError> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(kernel) => kernel.gone(key).await,
            _ => {
                let _ = key;
                Ok(())
            }
        }
    }

    /// The keys that are in somebody's hands, if they are.
    #[cfg(target_os = "linux")]
    pub(super) fn hid(&self) -> Option<&Hid> {
        match self {
            Self::Hid(hid) => Some(hid),
            _ => None,
        }
    }

    /// Where keys are exported over USB/IP.
    pub(super) fn usbip(&self) -> Option<SocketAddr> {
        match self {
            Self::Usbip { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// How a key looks to who finds it.
    pub(super) async fn seen(&self, rack: &Rack, key: &KeyName) -> Option<String> {
        match self {
            Self::Usbip { address, .. } => {
                let state = rack.command(Command::Show { key: key.clone() }).await.ok()?;
                let busid = state.keys.into_iter().next()?.busid?;
                let listed = keyrig_usb::client::list(*address).await.ok()?;
                let record = &listed.iter().find(|device| device.device.busid.as_str() == busid)?.device;
                Some(format!("{key} {:04x}:{:04x} on bus {busid}", record.vendor_id, record.product_id))
            }
            _ => None,
        }
    }

    /// Lets the keys go, and waits until whoever had them has seen to it.
    pub(super) async fn close(&mut self) {
        #[cfg(target_os = "linux")]
        if let Self::Kernel(kernel) = self {
            kernel.close().await;
        }
    }
}
