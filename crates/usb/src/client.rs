//! A USB/IP host in userland: lists devices, imports a security key, exchanges reports with it.
//!
//! No kernel module, no privileges. It asks the device for its descriptors as a kernel would and
//! refuses what is not a FIDO device. It works with any USB/IP server, so nothing that a server
//! says is believed: not a count, not a length, not an endpoint.
//!
//! Nothing here has a time limit: give the futures one where the server is not trusted to answer. A server that vanishes is
//! noticed after 30 s.

mod descriptors;
mod device;

use std::future::poll_fn;
use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::report_descriptor::NotFido;
use crate::stream::Buffered;
use crate::wire::WireError;
use crate::wire::operations::{Busid, DeviceListHeader, DeviceRecord, ImportReply, ListedDevice, Request, status};
use crate::{Setup, tcp};

pub use device::FidoDevice;

/// Lists the devices that a server exports.
///
/// # Errors
///
/// Why there is no list.
pub async fn list(server: impl ToSocketAddrs) -> Result<Vec<ListedDevice>, ClientError> {
    list_over(connect(server).await?).await
}

/// Lists the devices over a connection that the caller has opened.
///
/// # Errors
///
/// Why there is no list.
pub async fn list_over<S>(stream: S) -> Result<Vec<ListedDevice>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = Buffered::new(stream);
    Request::DeviceList.encode(stream.output());
    let header = operation(&mut stream, DeviceListHeader::decode).await?;
    if header.status != status::OK {
        return Err(ClientError::Refused { status: header.status });
    }
    let mut devices = Vec::new();
    for _ in 0..header.devices {
        devices.push(operation(&mut stream, ListedDevice::decode).await?);
    }
    Ok(devices)
}

/// Imports the device with this busid and makes sure that it is a FIDO device.
///
/// # Errors
///
/// Why the device cannot be had: [`ClientError::Busy`], [`ClientError::NoDevice`],
/// [`ClientError::NotFido`], or a server that misbehaves.
pub async fn import(server: impl ToSocketAddrs, busid: &str) -> Result<FidoDevice<TcpStream>, ClientError> {
    import_over(connect(server).await?, busid).await
}

/// Imports a device over a connection that the caller has opened.
///
/// # Errors
///
/// As [`import`].
pub async fn import_over<S>(stream: S, busid: &str) -> Result<FidoDevice<S>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = Busid::new(busid).ok_or_else(|| ClientError::Busid { busid: busid.to_owned() })?;
    let mut stream = Buffered::new(stream);
    Request::Import(asked.clone()).encode(stream.output());
    let record = match operation(&mut stream, ImportReply::decode).await? {
        ImportReply::Imported(record) => record,
        ImportReply::Refused(status) => {
            let busid = busid.to_owned();
            return Err(match status {
                status::DEVICE_BUSY => ClientError::Busy { busid },
                status::NO_DEVICE => ClientError::NoDevice { busid },
                status => ClientError::Refused { status },
            });
        }
    };
    if record.busid != asked {
        return Err(WireError::OtherDevice.into());
    }
    FidoDevice::start(stream, record.device_id()).await
}

/// Takes over a stream on which a device is imported already, the other side of
/// [`serve_imported`](crate::serve_imported).
///
/// # Errors
///
/// As [`import`].
pub async fn attach<S>(stream: S, record: &DeviceRecord) -> Result<FidoDevice<S>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    FidoDevice::start(Buffered::new(stream), record.device_id()).await
}

async fn connect(server: impl ToSocketAddrs) -> Result<TcpStream, ClientError> {
    let unreachable = |error: io::Error| ClientError::Unreachable(error.kind());
    let stream = TcpStream::connect(server).await.map_err(unreachable)?;
    tcp::set_up(&stream).map_err(unreachable)?;
    Ok(stream)
}

/// Sends what waits and reads one message.
async fn operation<S, T>(
    stream: &mut Buffered<S>,
    decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, WireError>,
) -> Result<T, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: io::Error| ClientError::Connection(error.kind());
    poll_fn(|context| stream.poll_send(context)).await.map_err(failed)?;
    loop {
        if let Some((message, taken)) = decode(stream.input())? {
            stream.consume(taken);
            return Ok(message);
        }
        let received = poll_fn(|context| stream.poll_receive(context)).await.map_err(failed)?;
        if received == 0 {
            return Err(ClientError::HungUp);
        }
    }
}

/// Why a device cannot be had or used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The caller's mistake: a busid is 1 to 31 characters of visible ASCII.
    #[error("{busid:?} is not a busid, which is 1 to 31 characters of visible ASCII, such as 1-1")]
    Busid {
        /// What was given.
        busid: String,
    },
    /// The caller's mistake: a control request that does not read, or for more than 4096 bytes.
    #[error("{setup:x?} does not read at most 4096 bytes from the device")]
    ControlRequest {
        /// The request.
        setup: Setup,
    },
    /// The server cannot be reached.
    #[error("the USB/IP server cannot be reached: {0}")]
    Unreachable(io::ErrorKind),
    /// The server closed the connection instead of answering a request, as servers do that speak
    /// another version.
    #[error("the USB/IP server closed the connection without an answer")]
    HungUp,
    /// The connection failed before the device was imported.
    #[error("the connection to the USB/IP server failed: {0}")]
    Connection(io::ErrorKind),
    /// Another host has imported the device.
    #[error("the device with busid {busid} is imported by another host")]
    Busy {
        /// The busid asked for.
        busid: String,
    },
    /// The server exports no such device.
    #[error("the server exports no device with busid {busid}")]
    NoDevice {
        /// The busid asked for.
        busid: String,
    },
    /// The server refused the request for another reason.
    #[error("the server refused the request with status {status}")]
    Refused {
        /// The status of the reply.
        status: u32,
    },
    /// The device was imported and is not a FIDO device.
    #[error("the device is not a FIDO device: {0}")]
    NotFido(#[from] NotFido),
    /// The device is a FIDO device, but not one whose reports have 64 bytes.
    #[error("the device has reports of {input} and {output} bytes, and this client knows 64")]
    ReportSize {
        /// The size of its input report.
        input: u32,
        /// The size of its output report.
        output: u32,
    },
    /// A descriptor of the device is malformed.
    #[error("the {which} descriptor is malformed")]
    Descriptor {
        /// Which one.
        which: &'static str,
    },
    /// The server broke the protocol.
    #[error("the server broke the USB/IP protocol: {0}")]
    Wire(#[from] WireError),
    /// A transfer to or from the device failed.
    #[error("a transfer on endpoint {endpoint:#04x} failed with status {status}")]
    Transfer {
        /// The address of the endpoint.
        endpoint: u8,
        /// The status, a negated Linux errno: -32 is a stall.
        status: i32,
    },
    /// The device sent or took another number of bytes than a report has.
    #[error("endpoint {endpoint:#04x} moved {length} bytes of a report of 64")]
    ShortReport {
        /// The address of the endpoint.
        endpoint: u8,
        /// The bytes.
        length: u32,
    },
    /// The device is gone: it was unplugged, or the connection to its server broke.
    #[error("the device is gone: unplugged, or its server closed the connection")]
    Unplugged,
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_vanishes_without_a_word_is_noticed_in_30_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tcp::assert_set_up(&connect(listener.local_addr().unwrap()).await.unwrap());
    }
}
