//! An imported security key: reports out, reports in, with IN URBs always pending.
//!
//! One struct without a task of its own: its caller moves everything along. All URBs that are
//! pending and all reports that have arrived live in the struct, so every future may be dropped at
//! any point and the next call goes on from there.

use std::collections::VecDeque;
use std::future::poll_fn;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{ClientError, descriptors};
use crate::descriptors::descriptor_type;
use crate::stream::Buffered;
use crate::wire::WireError;
use crate::wire::transfers::{Command, Direction, Reply, Submit, status};
use crate::{Identity, REPORT_SIZE, Report, Setup, report_descriptor};

/// IN URBs that are pending while there is room for what they bring. One would do; with more, a
/// message of many reports does not wait for the next request after each.
const PENDING_IN: usize = 32;
/// OUT URBs that may be pending. Servers bound what they queue.
const PENDING_OUT: usize = 32;
/// Reports that are kept for the caller before IN URBs stop, as many as Linux's hidraw keeps.
const KEPT_REPORTS: usize = 64;
/// The longest data stage that is asked for, so that every reply fits the input buffer.
const MAX_DATA_STAGE: u16 = 4096;

const GET_DESCRIPTOR: u8 = 0x06;
const SET_CONFIGURATION: u8 = 0x09;
const SET_IDLE: u8 = 0x0a;

/// A security key that was imported over USB/IP.
///
/// [`send`](Self::send) and [`recv`](Self::recv) may be dropped at any point: no report is lost or
/// sent twice, and what was half sent goes on with the next call. To send while waiting for a report, race the wait against
/// the reason to send, with [`tokio::select!`], and drop it.
#[derive(Debug)]
pub struct FidoDevice<S> {
    link: Link<S>,
    identity: Identity,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FidoDevice<S> {
    /// Enumerates the imported device as a kernel does and starts its IN URBs.
    pub(super) async fn start(stream: Buffered<S>, device_id: u32) -> Result<Self, ClientError> {
        let mut link = Link {
            stream,
            device_id,
            next_seqnum: 1,
            interval: 0,
            input: 0,
            output: 0,
            ins: VecDeque::new(),
            outs: VecDeque::new(),
            unlinks: VecDeque::new(),
            control: None,
            reports: VecDeque::new(),
        };
        let device = link.descriptor(0x80, descriptor_type::DEVICE, 0, 0, 18);
        let device = descriptors::Device::parse(&device.await?).ok_or(ClientError::Descriptor { which: "device" })?;
        let wrong = ClientError::Descriptor { which: "configuration" };
        let head = link.descriptor(0x80, descriptor_type::CONFIGURATION, 0, 0, 9);
        let total = match *head.await? {
            [_, _, low, high, ..] => u16::from_le_bytes([low, high]).min(MAX_DATA_STAGE),
            _ => return Err(wrong),
        };
        let configuration = link.descriptor(0x80, descriptor_type::CONFIGURATION, 0, 0, total);
        let (value, interfaces) = descriptors::configuration(&configuration.await?).ok_or(wrong)?;
        link.control_out(0x00, SET_CONFIGURATION, u16::from(value), 0).await?;
        let interface = link.fido_interface(&interfaces).await?;
        link.input = interface.input;
        link.output = interface.output;
        link.interval = u32::from(interface.interval);
        // As usbhid does. Devices may stall it (HID 1.11 §7.2.4), and then report on change anyway.
        match link.control_out(0x21, SET_IDLE, 0, u16::from(interface.number)).await {
            Err(ClientError::Transfer { status: status::STALL, .. }) => {}
            other => other?,
        }
        let identity = Identity {
            vendor_id: device.vendor_id,
            product_id: device.product_id,
            bcd_device: device.bcd_device,
            manufacturer: link.string(device.manufacturer).await?.unwrap_or_default(),
            product: link.string(device.product).await?.unwrap_or_default(),
            serial: link.string(device.serial).await?,
            interval: interface.interval,
        };
        link.ask_for_reports();
        link.flush().await?;
        Ok(Self { link, identity })
    }

    /// What the device says it is. A string that the device does not have is empty.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sends a report and waits until the device has taken it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unplugged`], a failed transfer, or a server that misbehaves.
    pub async fn send(&mut self, report: &Report) -> Result<(), ClientError> {
        self.send_all(std::slice::from_ref(report)).await
    }

    /// Sends the reports of one message together and waits until the device has taken all.
    ///
    /// Up to 64 reports are kept for [`recv`](Self::recv) meanwhile. A device that sends more
    /// before it takes the message whole, as no CTAPHID device does, makes this wait for ever.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_all(&mut self, reports: &[Report]) -> Result<(), ClientError> {
        for report in reports {
            while self.link.outs.len() >= PENDING_OUT {
                self.link.progress().await?;
            }
            let seqnum = self.link.submit_out(report);
            self.link.outs.push_back(seqnum);
        }
        self.link.ask_for_reports();
        while !self.link.outs.is_empty() {
            self.link.progress().await?;
        }
        Ok(())
    }

    /// Waits for the next report from the device.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unplugged`] once the device is gone and all that it sent was received, a
    /// failed transfer, or a server that misbehaves.
    pub async fn recv(&mut self) -> Result<Report, ClientError> {
        loop {
            if let Some(report) = self.link.reports.pop_front() {
                return Ok(report);
            }
            self.link.progress().await?;
        }
    }

    /// Makes one control request that reads from the device, for what [`identity`](Self::identity)
    /// does not tell. Its data stage has at most `setup.length` bytes, itself at most 4096.
    ///
    /// # Errors
    ///
    /// [`ClientError::ControlRequest`] if the request does not read or asks for too much,
    /// [`ClientError::Transfer`] with -32 if the device stalls it; as [`send`](Self::send).
    pub async fn control_in(&mut self, setup: Setup) -> Result<Vec<u8>, ClientError> {
        if !setup.is_in() || setup.length > MAX_DATA_STAGE {
            return Err(ClientError::ControlRequest { setup });
        }
        self.link.control(setup).await
    }

    /// Lets the device go as a kernel does: unlinks what is pending, waits for the answers, closes
    /// the connection. Reports that were not received are lost.
    ///
    /// # Errors
    ///
    /// A server that misbehaves. A connection that is closed already is not an error.
    pub async fn close(mut self) -> Result<(), ClientError> {
        match self.link.unlink_all().await {
            Ok(()) | Err(ClientError::Unplugged) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[derive(Debug)]
struct Link<S> {
    stream: Buffered<S>,
    device_id: u32,
    next_seqnum: u32,
    interval: u32,
    /// Endpoint addresses.
    input: u8,
    output: u8,
    /// The seqnums of pending URBs, by endpoint.
    ins: VecDeque<u32>,
    outs: VecDeque<u32>,
    /// USBIP_CMD_UNLINKs without an answer, and what they unlink.
    unlinks: VecDeque<(u32, u32)>,
    control: Option<PendingControl>,
    reports: VecDeque<Report>,
}

#[derive(Debug)]
struct PendingControl {
    seqnum: u32,
    is_in: bool,
    length: u16,
    result: Option<Result<Vec<u8>, ClientError>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    fn seqnum(&mut self) -> u32 {
        let seqnum = self.next_seqnum;
        self.next_seqnum = self.next_seqnum.wrapping_add(1);
        seqnum
    }

    fn submit(&mut self, direction: Direction, address: u8, length: u32, setup: [u8; 8]) -> u32 {
        let seqnum = self.seqnum();
        Command::Submit(Submit {
            seqnum,
            device_id: self.device_id,
            direction,
            endpoint: address & 0x0f,
            flags: 0,
            length,
            interval: if address & 0x0f == 0 { 0 } else { self.interval },
            setup,
        })
        .encode(self.stream.output());
        seqnum
    }

    fn submit_out(&mut self, report: &Report) -> u32 {
        let seqnum = self.submit(Direction::Out, self.output, 64, [0; 8]);
        self.stream.output().extend_from_slice(report);
        seqnum
    }

    /// Submits IN URBs until enough are pending or their reports might not be kept.
    fn ask_for_reports(&mut self) {
        while self.ins.len() < PENDING_IN && self.ins.len() + self.reports.len() < KEPT_REPORTS {
            let seqnum = self.submit(Direction::In, self.input, 64, [0; 8]);
            self.ins.push_back(seqnum);
        }
    }

    async fn control(&mut self, setup: Setup) -> Result<Vec<u8>, ClientError> {
        // One that was abandoned must be answered first, as endpoint 0 does one at a time.
        while self.control.as_ref().is_some_and(|control| control.result.is_none()) {
            self.exchange().await?;
        }
        let direction = if setup.is_in() { Direction::In } else { Direction::Out };
        let seqnum = self.submit(direction, 0, u32::from(setup.length), setup.encode());
        self.control = Some(PendingControl { seqnum, is_in: setup.is_in(), length: setup.length, result: None });
        loop {
            self.exchange().await?;
            if let Some(result) = self.control.take_if(|control| control.result.is_some()) {
                return result.result.unwrap_or(Ok(Vec::new()));
            }
        }
    }

    async fn descriptor(
        &mut self,
        request_type: u8,
        kind: u8,
        number: u8,
        index: u16,
        length: u16,
    ) -> Result<Vec<u8>, ClientError> {
        self.control(Setup {
            request_type,
            request: GET_DESCRIPTOR,
            value: u16::from_be_bytes([kind, number]),
            index,
            length,
        })
        .await
    }

    async fn control_out(&mut self, request_type: u8, request: u8, value: u16, index: u16) -> Result<(), ClientError> {
        let setup = Setup { request_type, request, value, index, length: 0 };
        self.control(setup).await.map(drop)
    }

    async fn string(&mut self, number: u8) -> Result<Option<String>, ClientError> {
        if number == 0 {
            return Ok(None);
        }
        let bytes = self.descriptor(0x80, descriptor_type::STRING, number, 0x0409, 255).await?;
        descriptors::string(&bytes).map(Some).ok_or(ClientError::Descriptor { which: "string" })
    }

    /// The first HID interface that is a FIDO device's; a key may have a keyboard before it.
    async fn fido_interface(
        &mut self,
        interfaces: &[descriptors::HidInterface],
    ) -> Result<descriptors::HidInterface, ClientError> {
        let mut reason = report_descriptor::NotFido::Usage { page: 0, usage: 0 };
        for interface in interfaces {
            let bytes = self
                .descriptor(
                    0x81,
                    descriptor_type::REPORT,
                    0,
                    u16::from(interface.number),
                    interface.report_descriptor_length.min(MAX_DATA_STAGE),
                )
                .await?;
            match report_descriptor::parse(&bytes) {
                Ok(report_descriptor::FidoReports { input: 64, output: 64 }) => return Ok(*interface),
                Ok(report_descriptor::FidoReports { input, output }) => {
                    return Err(ClientError::ReportSize { input, output });
                }
                Err(error) => reason = error,
            }
        }
        Err(reason.into())
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        poll_fn(|context| self.stream.poll_send(context)).await.map_err(|_| ClientError::Unplugged)
    }

    async fn unlink_all(&mut self) -> Result<(), ClientError> {
        let pending: Vec<u32> = self.ins.iter().chain(&self.outs).copied().collect();
        for unlink_seqnum in pending {
            let seqnum = self.seqnum();
            self.unlinks.push_back((seqnum, unlink_seqnum));
            Command::Unlink { seqnum, device_id: self.device_id, unlink_seqnum }.encode(self.stream.output());
        }
        while !self.unlinks.is_empty() {
            self.exchange().await?;
            self.reports.clear();
        }
        poll_fn(|context| self.stream.poll_shutdown(context)).await.map_err(|_| ClientError::Unplugged)
    }

    /// Exchanges messages with IN URBs pending.
    async fn progress(&mut self) -> Result<(), ClientError> {
        // Half of them may be used up before new ones are submitted: those leave together, mostly
        // with the next report to the device.
        if self.ins.len() <= PENDING_IN / 2 {
            self.ask_for_reports();
        }
        self.exchange().await
    }

    /// Sends what waits, receives something and takes in every whole message of it.
    async fn exchange(&mut self) -> Result<(), ClientError> {
        let received = poll_fn(|context| {
            // A broken pipe may have replies in front of it: the read decides.
            let _sent = self.stream.poll_send(context);
            self.stream.poll_receive(context)
        })
        .await;
        if received.unwrap_or(0) == 0 {
            return Err(ClientError::Unplugged);
        }
        // The first failure is reported once all that arrived with it is taken in.
        let mut outcome = Ok(());
        while let Some(taken) = self.take_in(&mut outcome)? {
            self.stream.consume(taken);
        }
        outcome
    }

    /// Takes in one message; `None` if there is no whole one.
    fn take_in(&mut self, outcome: &mut Result<(), ClientError>) -> Result<Option<usize>, ClientError> {
        let input = self.stream.input();
        let Some((reply, taken)) = Reply::decode(input)? else {
            return Ok(None);
        };
        let data = input.get(taken..).unwrap_or_default();
        let (seqnum, status, actual_length) = match reply {
            Reply::Unlink { seqnum, status } => {
                let unlink = self.unlinks.iter().position(|&(own, _)| own == seqnum);
                let (_, unlinked) = unlink
                    .and_then(|position| self.unlinks.remove(position))
                    .ok_or(WireError::SequenceNumber { found: seqnum })?;
                if status != status::OK {
                    self.ins.retain(|&pending| pending != unlinked);
                    self.outs.retain(|&pending| pending != unlinked);
                }
                return Ok(Some(taken));
            }
            Reply::Submit { seqnum, status, actual_length } => (seqnum, status, actual_length),
        };
        let too_long = |limit| WireError::Length { field: "actual_length", found: actual_length, limit };
        let mut fail = |error| {
            if outcome.is_ok() {
                *outcome = Err(error);
            }
        };

        if let Some(position) = self.ins.iter().position(|&pending| pending == seqnum) {
            let length =
                usize::try_from(actual_length).ok().filter(|&length| length <= REPORT_SIZE).ok_or(too_long(64))?;
            let Some(data) = data.get(..length) else {
                return Ok(None);
            };
            match (status, data.first_chunk()) {
                (status::OK, Some(report)) => self.reports.push_back(*report),
                (status::OK, None) => fail(ClientError::ShortReport { endpoint: self.input, length: actual_length }),
                (status, _) => fail(ClientError::Transfer { endpoint: self.input, status }),
            }
            self.ins.remove(position);
            return Ok(Some(taken + length));
        }
        if let Some(position) = self.outs.iter().position(|&pending| pending == seqnum) {
            if status != status::OK {
                fail(ClientError::Transfer { endpoint: self.output, status });
            } else if actual_length != 64 {
                fail(ClientError::ShortReport { endpoint: self.output, length: actual_length });
            }
            self.outs.remove(position);
            return Ok(Some(taken));
        }
        let control = self
            .control
            .as_mut()
            .filter(|control| control.seqnum == seqnum && control.result.is_none())
            .ok_or(WireError::SequenceNumber { found: seqnum })?;
        let mut length = 0;
        if control.is_in {
            length = usize::try_from(actual_length)
                .ok()
                .filter(|&length| length <= usize::from(control.length))
                .ok_or(too_long(u32::from(control.length)))?;
        }
        let Some(data) = data.get(..length) else {
            return Ok(None);
        };
        control.result = Some(if status == status::OK {
            Ok(data.to_vec())
        } else {
            Err(ClientError::Transfer { endpoint: 0, status })
        });
        Ok(Some(taken + length))
    }
}
