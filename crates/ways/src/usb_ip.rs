//! USB/IP without a kernel.

use std::io;
use std::net::SocketAddr;

use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_ctap::hid::Report;
use keyrig_usb::client::{ClientError, FidoDevice, import};
use tokio::net::TcpStream;

/// Reports over USB/IP, to whatever server exports the key.
#[derive(Debug)]
pub struct UsbIp(FidoDevice<TcpStream>);

impl UsbIp {
    /// Imports the device with this bus id.
    ///
    /// # Errors
    /// [`ClientError`]: why it cannot be had.
    pub async fn import(server: SocketAddr, busid: &str) -> Result<Self, ClientError> {
        import(server, busid).await.map(Self)
    }
}

/// Imports the key with this bus id and speaks CTAPHID with it.
///
/// # Errors
/// [`ClientError`]: why it cannot be had.
pub async fn usb_ip(server: SocketAddr, busid: &str) -> Result<CtapHidChannel<UsbIp>, ClientError> {
    UsbIp::import(server, busid).await.map(CtapHidChannel::new)
}

impl ReportPipe for UsbIp {
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
