//! The client's ways to keys: USB/IP in user space, straight into a rack in the same process, and by the control socket of one
//! in another.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_ctap::hid::{KeepaliveStatus, Report};
use keyrig_rack::KeyName;
use keyrig_rack::control::Command;
use keyrig_rack::control_socket::{ControlError, send_until};
use keyrig_rack::key::{KeyHandle, Progress};
use keyrig_usb::client::{ClientError, FidoDevice, import};
use tokio::net::TcpStream;

/// Reports over USB/IP, to whatever server exports the key.
#[derive(Debug)]
pub struct UsbIpPipe(FidoDevice<TcpStream>);

impl UsbIpPipe {
    /// Imports the device with this bus id.
    ///
    /// # Errors
    /// [`ClientError`]: why it can't be had.
    pub async fn import(server: SocketAddr, busid: &str) -> Result<Self, ClientError> {
        import(server, busid).await.map(Self)
    }
}

/// Imports the key with this bus id and speaks CTAPHID with it.
///
/// # Errors
/// [`ClientError`]: why it can't be had.
pub async fn usb_ip(server: SocketAddr, busid: &str) -> Result<CtapHidChannel<UsbIpPipe>, ClientError> {
    UsbIpPipe::import(server, busid).await.map(CtapHidChannel::new)
}

impl ReportPipe for UsbIpPipe {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        self.0.send(&report).await.map_err(as_io)
    }

    async fn receive(&mut self) -> io::Result<Report> {
        self.0.recv().await.map_err(as_io)
    }
}

fn as_io(error: ClientError) -> io::Error {
    let kind = match &error {
        ClientError::Unplugged => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// CTAP messages to a key of a rack in the same process: no CTAPHID, no USB.
#[derive(Clone, Debug)]
pub struct InProcess(pub KeyHandle);

impl Channel for InProcess {
    async fn transact(
        &mut self,
        request: &[u8],
        mut cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let mut transaction = self.0.transact(request.to_vec());
        let mut watching = true;
        let mut cancelled = false;
        loop {
            let (answer, progress) = transaction.parts();
            tokio::select! {
                biased;
                changed = progress.changed(), if watching => match changed {
                    Ok(()) => on_status(match *progress.borrow_and_update() {
                        Progress::Processing => KeepaliveStatus::Processing,
                        Progress::UpNeeded => KeepaliveStatus::UpNeeded,
                    }),
                    // The command is over: only its answer is to come.
                    Err(_) => watching = false,
                },
                answer = answer => return answer.map_err(|_| ChannelError::Unplugged),
                () = cancel.requested(), if !cancelled => {
                    cancelled = true;
                    transaction.cancel();
                }
            }
        }
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        self.0.transact_u2f(apdu.to_vec()).answer().await.map_err(|_| ChannelError::Unplugged)
    }
}

/// CTAP messages to a key of a running rack by its control socket: no CTAPHID, no USB, and nothing said of what the key does
/// before it answers. A connection for each message, so that it holds nothing while it is not used.
#[derive(Clone, Debug)]
pub struct ControlChannel {
    /// Where the rack listens.
    pub path: PathBuf,
    /// The key.
    pub key: KeyName,
}

impl Channel for ControlChannel {
    async fn transact(
        &mut self,
        request: &[u8],
        mut cancel: Cancel,
        _on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let command = Command::Transact { key: self.key.clone(), message: request.to_vec() };
        let answer = send_until(&self.path, &command, cancel.requested()).await.map_err(|error| match error {
            // The rack has ended since.
            ControlError::NotRunning { .. } => ChannelError::Unplugged,
            other => ChannelError::Carrier(other.to_string()),
        })?;
        answer.message.ok_or_else(|| ChannelError::Carrier("the rack answered without the key's answer".to_owned()))
    }
}
