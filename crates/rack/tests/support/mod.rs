//! What the rack's tests share: racks, commands to them, and a CTAPHID channel over an imported USB device.

use core::time::Duration;
use std::net::SocketAddr;

use keyrig_ctap::hid::{Command as HidCommand, Host, HostEvent, KeepaliveStatus, TransactionError};
use keyrig_rack::command::{Command, KeyState, RackState, Refusal};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeyHandle, KeyName, KeySpecification, Options, Rack};
use keyrig_usb::client::{self, ClientError, FidoDevice};
use keyrig_usb::{Limits, serve, serve_connection};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

pub(crate) fn specifications(names: &[&str]) -> Vec<KeySpecification> {
    names.iter().map(|key| KeySpecification::built_in("keyrig", key).unwrap()).collect()
}

pub(crate) fn touch(policy: &str) -> Options {
    Options { finger: Finger { policy: policy.parse().unwrap(), over: None }, ..Options::default() }
}

/// A rack of "keyrig" keys with these names, that live as long as it.
pub(crate) async fn rack(policy: &str, names: &[&str]) -> Rack {
    Rack::start(touch(policy), specifications(names)).await.unwrap()
}

pub(crate) async fn list(rack: &Rack) -> Vec<KeyState> {
    rack.command(Command::List).await.unwrap().keys
}

pub(crate) async fn state(rack: &Rack, key: &str) -> KeyState {
    list(rack).await.into_iter().find(|state| state.name.as_str() == key).unwrap()
}

pub(crate) async fn set_policy(rack: &Rack, policy: TouchPolicy) -> RackState {
    rack.command(Command::TouchPolicy { policy }).await.unwrap()
}

pub(crate) async fn on_key(rack: &Rack, command: fn(KeyName) -> Command, key: &str) -> Result<RackState, Refusal> {
    rack.command(command(name(key))).await
}

pub(crate) fn touch_key(key: KeyName) -> Command {
    Command::Touch { key, wait: false }
}

pub(crate) fn deny_key(key: KeyName) -> Command {
    Command::Deny { key, wait: false }
}

pub(crate) fn unplug(key: KeyName) -> Command {
    Command::Unplug { key }
}

pub(crate) fn plug(key: KeyName) -> Command {
    Command::Plug { key }
}

pub(crate) fn power_cycle(key: KeyName) -> Command {
    Command::PowerCycle { key }
}

pub(crate) fn handle(rack: &Rack, key: &str) -> KeyHandle {
    rack.key(&name(key)).unwrap()
}

/// One CTAP message in this process, from start to answer.
pub(crate) async fn transact(rack: &Rack, key: &str, message: Vec<u8>) -> Vec<u8> {
    handle(rack, key).transact(message).answer().await.unwrap()
}

/// The rack's devices over USB/IP on a loopback port of the system's choosing. Ends with the test's runtime.
pub(crate) async fn serve_usbip(rack: &Rack) -> (SocketAddr, JoinHandle<core::convert::Infallible>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, rack.exports().clone(), Limits::default())))
}

/// A CTAPHID channel on an imported device: what a client program does, one transaction at a time.
pub(crate) struct Channel<S> {
    device: FidoDevice<S>,
    host: Host,
    epoch: Instant,
    /// The keepalives of the transaction.
    pub(crate) keepalives: Vec<KeepaliveStatus>,
}

/// How a transaction ended.
pub(crate) type Ended = Result<Vec<u8>, Failure>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Device(ClientError),
    Transaction(TransactionError),
}

/// A key that is silent for so long has failed. It is never waited for in a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Channel<TcpStream> {
    /// Imports a device and opens a channel. A device that its last host has just left is free as soon as the server has seen
    /// the connection end, so a refusal as busy is asked again.
    pub(crate) async fn open(server: SocketAddr, busid: &str) -> Self {
        let device = loop {
            match client::import(server, busid).await {
                Ok(device) => break device,
                Err(ClientError::Busy { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        Self::over(device).await
    }
}

impl Channel<DuplexStream> {
    /// The same without a socket, so that time can be paused.
    pub(crate) async fn open_in_memory(rack: &Rack, busid: &str) -> Self {
        let (near, far) = duplex(64 * 1024);
        let exports = rack.exports().clone();
        tokio::spawn(async move { serve_connection(far, &exports, Limits::default()).await });
        Self::over(client::import_over(near, busid).await.unwrap()).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    async fn over(device: FidoDevice<S>) -> Self {
        let mut channel = Self { device, host: Host::new(), epoch: Instant::now(), keepalives: Vec::new() };
        channel.host.open([0x5A; 8], PATIENCE, Duration::ZERO).unwrap();
        channel.opened().await;
        channel
    }

    async fn opened(&mut self) {
        match self.event().await.unwrap() {
            HostEvent::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.host.channel().unwrap().0
    }

    /// The device, for what no channel would send.
    pub(crate) fn device(&mut self) -> &mut FidoDevice<S> {
        &mut self.device
    }

    /// Waits until the device is gone, whatever it still says.
    pub(crate) async fn gone(&mut self) {
        loop {
            match self.device.recv().await {
                Ok(_) => {}
                Err(ClientError::Unplugged) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Closes as a kernel does.
    pub(crate) async fn close(self) {
        self.device.close().await.unwrap();
    }

    /// Starts a transaction.
    pub(crate) async fn request(&mut self, message: Vec<u8>) {
        self.request_as(HidCommand::Cbor, message).await;
    }

    async fn request_as(&mut self, command: HidCommand, message: Vec<u8>) {
        self.keepalives.clear();
        self.host.request(command, message, PATIENCE, self.epoch.elapsed()).unwrap();
        self.send().await.unwrap();
    }

    /// Starts a transaction and waits until the key says that it wants a touch.
    pub(crate) async fn request_until_up_needed(&mut self, message: Vec<u8>) {
        self.request(message).await;
        self.up_needed().await;
    }

    pub(crate) async fn up_needed(&mut self) {
        loop {
            match self.event().await.unwrap() {
                HostEvent::Keepalive(status) => self.keepalives.push(status),
                other => panic!("{other:?} instead of a keepalive"),
            }
            if self.keepalives.last() == Some(&KeepaliveStatus::UpNeeded) {
                return;
            }
        }
    }

    /// Waits until the key says that it computes, having said that it wants a touch: what it commits is on its way.
    pub(crate) async fn processing_after_touch(&mut self) {
        self.up_needed().await;
        while self.keepalives.last() != Some(&KeepaliveStatus::Processing) {
            match self.event().await.unwrap() {
                HostEvent::Keepalive(status) => self.keepalives.push(status),
                other => panic!("{other:?} instead of a keepalive"),
            }
        }
    }

    pub(crate) async fn cancel(&mut self) {
        self.host.cancel().unwrap();
        self.send().await.unwrap();
    }

    /// INIT on the open channel.
    pub(crate) async fn resynchronize(&mut self) {
        self.host.resynchronize([0xA5; 8], PATIENCE, self.epoch.elapsed()).unwrap();
        self.send().await.unwrap();
        self.opened().await;
    }

    /// Waits for the end of the transaction.
    pub(crate) async fn answer(&mut self) -> Ended {
        loop {
            match self.event().await? {
                HostEvent::Keepalive(status) => self.keepalives.push(status),
                HostEvent::Response(answer) => return Ok(answer),
                HostEvent::Failed(error) => return Err(Failure::Transaction(error)),
                HostEvent::Opened(_) => panic!("a channel was opened"),
            }
        }
    }

    /// A transaction from its start to its end.
    pub(crate) async fn transact(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.transact_as(HidCommand::Cbor, message).await
    }

    /// The same by another CTAPHID command.
    pub(crate) async fn transact_as(&mut self, command: HidCommand, message: Vec<u8>) -> Vec<u8> {
        self.request_as(command, message).await;
        self.answer().await.unwrap()
    }

    async fn event(&mut self) -> Result<HostEvent, Failure> {
        loop {
            if let Some(event) = self.host.poll_event() {
                return Ok(event);
            }
            self.send().await?;
            let report = self.device.recv().await.map_err(Failure::Device)?;
            self.host.receive(&report, self.epoch.elapsed());
        }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let reports: Vec<_> = core::iter::from_fn(|| self.host.poll_report()).collect();
        self.device.send_all(&reports).await.map_err(Failure::Device)
    }
}
