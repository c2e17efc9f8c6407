//! The URBs of one imported device: which are pending, and how each ends.
//!
//! A pure model: commands and reports go in, replies come out. It is the only place that ends a
//! URB, so that whether an unlink finds its URB pending or completed is one decision. A URB has
//! either one USBIP_RET_SUBMIT or one USBIP_RET_UNLINK with -ECONNRESET.

use std::collections::VecDeque;

use crate::control::padded_report;
use crate::wire::WireError;
use crate::wire::transfers::{Command, Direction, HEADER_SIZE, Reply, SHORT_NOT_OK, Submit, status};
use crate::{
    ControlEar, ControlEndpoint, ControlReply, ControlRequest, Endpoint, Identity, REPORT_SIZE, Report, Setup,
    descriptors,
};

/// The longest data stage of a control request: wLength has 16 bits. No transfer to this device
/// brings more.
const MAX_OUT_LENGTH: u32 = 0xffff;

pub(crate) struct Urbs {
    device_id: u32,
    control: ControlEndpoint,
    ear: Option<ControlEar>,
    /// In the order of their submission, as everything on one endpoint.
    ins: VecDeque<PendingIn>,
    outs: VecDeque<PendingOut>,
    /// The most URBs that may be pending in all.
    limit: usize,
    /// A transfer to be refused once all of its data has gone by.
    skipped: Option<Skipped>,
}

struct PendingIn {
    seqnum: u32,
    length: u32,
    flags: u32,
}

struct PendingOut {
    seqnum: u32,
    report: Report,
    actual_length: u32,
    /// It came by SET_REPORT.
    setup: Option<Setup>,
}

struct Skipped {
    seqnum: u32,
    /// It is a control request.
    setup: Option<Setup>,
    remaining: usize,
}

impl Urbs {
    pub(crate) fn new(device_id: u32, identity: Identity, limit: usize, ear: Option<ControlEar>) -> Self {
        Self {
            device_id,
            control: ControlEndpoint::new(identity),
            ear,
            ins: VecDeque::new(),
            outs: VecDeque::new(),
            limit,
            skipped: None,
        }
    }

    /// Takes one message off the front of `input` and appends what is to be answered at once to
    /// `replies`. Returns the bytes taken, 0 if more must arrive first.
    pub(crate) fn receive(&mut self, input: &[u8], replies: &mut Vec<u8>) -> Result<usize, WireError> {
        if let Some(skipped) = &mut self.skipped {
            let count = skipped.remaining.min(input.len());
            skipped.remaining -= count;
            if skipped.remaining == 0
                && let Some(Skipped { seqnum, setup, .. }) = self.skipped.take()
            {
                self.hear_if(setup, status::STALL, &[]);
                complete(seqnum, status::STALL, replies);
            }
            return Ok(count);
        }
        let Some((command, taken)) = Command::decode(input)? else {
            return Ok(0);
        };
        match command {
            Command::Unlink { seqnum, device_id, unlink_seqnum } => {
                self.check_device(device_id)?;
                let status = if self.remove(unlink_seqnum) { status::UNLINKED } else { status::OK };
                Reply::Unlink { seqnum, status }.encode(replies);
                Ok(taken)
            }
            Command::Submit(submit) => {
                self.check_device(submit.device_id)?;
                if self.is_pending(submit.seqnum) {
                    return Err(WireError::SequenceNumber { found: submit.seqnum });
                }
                match submit.direction {
                    Direction::In => {
                        self.submit_in(submit, replies);
                        Ok(taken)
                    }
                    Direction::Out => self.receive_out(submit, input, replies),
                }
            }
        }
    }

    /// Whether an IN URB waits for a report.
    pub(crate) fn wants_report(&self) -> bool {
        !self.ins.is_empty()
    }

    /// Completes the oldest IN URB with a report.
    pub(crate) fn deliver(&mut self, report: &Report, replies: &mut Vec<u8>) {
        if let Some(urb) = self.ins.pop_front() {
            // The device sends its 64 bytes whatever the host has room for; too many are babble,
            // and the report is lost (USB 2.0 §8.7.4).
            if usize::try_from(urb.length).is_ok_and(|length| length < REPORT_SIZE) {
                complete(urb.seqnum, status::BABBLE, replies);
            } else {
                complete_in(urb.seqnum, urb.length, urb.flags, report, replies);
            }
        }
    }

    /// Completes the oldest IN URB with the first bytes of a report.
    pub(crate) fn deliver_short(&mut self, report: &Report, length: u32, replies: &mut Vec<u8>) {
        let data = usize::try_from(length).ok().and_then(|length| report.get(..length)).unwrap_or(report);
        if let Some(urb) = self.ins.pop_front() {
            complete_in(urb.seqnum, urb.length, urb.flags, data, replies);
        }
    }

    /// Ends the oldest IN URB with an error. A stall halts the endpoint, and ends those behind it.
    pub(crate) fn fail_in(&mut self, status: i32, replies: &mut Vec<u8>) {
        if let Some(urb) = self.ins.pop_front() {
            complete(urb.seqnum, status, replies);
            if status == status::STALL {
                self.control.halt(Endpoint::In);
                self.end_transfers_on_closed_endpoints(replies);
            }
        }
    }

    /// Ends the oldest OUT URB with an error. A stall halts the endpoint, and ends those behind it; that of a control request ends with it
    /// (USB 2.0 §8.5.3.4).
    pub(crate) fn fail_out(&mut self, status: i32, replies: &mut Vec<u8>) {
        if let Some(urb) = self.outs.pop_front() {
            self.hear_if(urb.setup, status, &[]);
            complete(urb.seqnum, status, replies);
            if status == status::STALL && urb.setup.is_none() {
                self.control.halt(Endpoint::Out);
                self.end_transfers_on_closed_endpoints(replies);
            }
        }
    }

    /// Which OUT URB is the oldest.
    pub(crate) fn oldest_out(&self) -> Option<u32> {
        self.outs.front().map(|urb| urb.seqnum)
    }

    /// The oldest report for the key.
    pub(crate) fn next_out(&self) -> Option<&Report> {
        self.outs.front().map(|urb| &urb.report)
    }

    /// Completes the oldest OUT URB: the key has its report.
    pub(crate) fn out_taken(&mut self, replies: &mut Vec<u8>) {
        if let Some(urb) = self.outs.pop_front() {
            let moved = usize::try_from(urb.actual_length).ok().and_then(|length| urb.report.get(..length));
            self.hear_if(urb.setup, status::OK, moved.unwrap_or_default());
            Reply::Submit { seqnum: urb.seqnum, status: status::OK, actual_length: urb.actual_length }.encode(replies);
        }
    }

    fn check_device(&self, found: u32) -> Result<(), WireError> {
        if found == self.device_id {
            Ok(())
        } else {
            // As the kernel's stub_rx.c: valid_request.
            Err(WireError::DeviceId { found, expected: self.device_id })
        }
    }

    fn is_pending(&self, seqnum: u32) -> bool {
        self.ins.iter().any(|urb| urb.seqnum == seqnum) || self.outs.iter().any(|urb| urb.seqnum == seqnum)
    }

    fn remove(&mut self, seqnum: u32) -> bool {
        let before = self.pending();
        self.ins.retain(|urb| urb.seqnum != seqnum);
        if let Some(position) = self.outs.iter().position(|urb| urb.seqnum == seqnum) {
            let setup = self.outs.remove(position).and_then(|urb| urb.setup);
            self.hear_if(setup, status::UNLINKED, &[]);
        }
        self.pending() < before
    }

    fn pending(&self) -> usize {
        self.ins.len() + self.outs.len()
    }

    fn submit_in(&mut self, submit: Submit, replies: &mut Vec<u8>) {
        let Submit { seqnum, length, flags, .. } = submit;
        if submit.endpoint == 0 {
            self.control_in(submit, replies);
        } else if submit.endpoint | 0x80 != descriptors::IN_ENDPOINT || !self.control.is_open(Endpoint::In) {
            complete(seqnum, status::STALL, replies);
        } else if self.pending() >= self.limit {
            complete(seqnum, status::NO_MEMORY, replies);
        } else {
            self.ins.push_back(PendingIn { seqnum, length, flags });
        }
    }

    fn control_in(&mut self, submit: Submit, replies: &mut Vec<u8>) {
        let Submit { seqnum, length, flags, .. } = submit;
        let setup = Setup::decode(submit.setup);
        // A transfer without a data stage may come in either direction: its status stage is IN.
        let data = if setup.is_in() {
            self.control.request(setup, &[])
        } else if setup.length == 0 {
            return self.control_out(submit, &[], replies);
        } else {
            ControlReply::Stall
        };
        let ControlReply::Data(data) = data else {
            self.hear(setup, status::STALL, &[]);
            return complete(seqnum, status::STALL, replies);
        };
        if u32::try_from(data.len()).is_ok_and(|count| count > length) {
            self.hear(setup, status::BABBLE, &[]);
            complete(seqnum, status::BABBLE, replies);
        } else {
            self.hear(setup, status::OK, &data);
            complete_in(seqnum, length, flags, &data, replies);
        }
    }

    fn hear(&self, setup: Setup, status: i32, data: &[u8]) {
        if let Some(ear) = &self.ear {
            ear(ControlRequest { setup, status, data });
        }
    }

    fn hear_if(&self, setup: Option<Setup>, status: i32, data: &[u8]) {
        if let Some(setup) = setup {
            self.hear(setup, status, data);
        }
    }

    /// Takes an OUT transfer with its data, or begins to skip data that cannot be right.
    fn receive_out(&mut self, submit: Submit, input: &[u8], replies: &mut Vec<u8>) -> Result<usize, WireError> {
        let too_long =
            WireError::Length { field: "transfer_buffer_length", found: submit.length, limit: MAX_OUT_LENGTH };
        if submit.length > MAX_OUT_LENGTH {
            return Err(too_long);
        }
        let length = usize::try_from(submit.length).map_err(|_| too_long)?;
        if length > REPORT_SIZE {
            let setup = (submit.endpoint == 0).then(|| Setup::decode(submit.setup));
            self.skipped = Some(Skipped { seqnum: submit.seqnum, setup, remaining: length });
            return Ok(HEADER_SIZE);
        }
        let Some(data) = input.get(HEADER_SIZE..HEADER_SIZE + length) else {
            return Ok(0);
        };
        if submit.endpoint == 0 {
            self.control_out(submit, data, replies);
        } else if submit.endpoint != descriptors::OUT_ENDPOINT || !self.control.is_open(Endpoint::Out) {
            complete(submit.seqnum, status::STALL, replies);
        } else {
            match padded_report(data) {
                Some(report) => self.queue_out(submit, report, None, replies),
                // An empty packet is acknowledged and brings no report.
                None => complete(submit.seqnum, status::OK, replies),
            }
        }
        Ok(HEADER_SIZE + length)
    }

    fn control_out(&mut self, submit: Submit, data: &[u8], replies: &mut Vec<u8>) {
        let setup = Setup::decode(submit.setup);
        let reply = if setup.is_in() { ControlReply::Stall } else { self.control.request(setup, data) };
        match reply {
            ControlReply::Done => {
                self.hear(setup, status::OK, data);
                complete(submit.seqnum, status::OK, replies);
                self.end_transfers_on_closed_endpoints(replies);
            }
            ControlReply::Output(report) => self.queue_out(submit, report, Some(setup), replies),
            ControlReply::Data(_) | ControlReply::Stall => {
                self.hear(setup, status::STALL, &[]);
                complete(submit.seqnum, status::STALL, replies);
            }
        }
    }

    fn queue_out(&mut self, submit: Submit, report: Report, setup: Option<Setup>, replies: &mut Vec<u8>) {
        if self.pending() >= self.limit {
            self.hear_if(setup, status::NO_MEMORY, &[]);
            complete(submit.seqnum, status::NO_MEMORY, replies);
        } else {
            self.outs.push_back(PendingOut { seqnum: submit.seqnum, report, actual_length: submit.length, setup });
        }
    }

    /// What a host controller does with URBs whose endpoint was halted or shut down beneath them.
    fn end_transfers_on_closed_endpoints(&mut self, replies: &mut Vec<u8>) {
        let status = if self.control.is_configured() { status::STALL } else { status::SHUT_DOWN };
        if !self.control.is_open(Endpoint::In) {
            for urb in self.ins.drain(..) {
                complete(urb.seqnum, status, replies);
            }
        }
        if !self.control.is_open(Endpoint::Out) {
            for urb in core::mem::take(&mut self.outs) {
                self.hear_if(urb.setup, status, &[]);
                complete(urb.seqnum, status, replies);
            }
        }
    }
}

/// Ends a URB that moved no data.
fn complete(seqnum: u32, status: i32, replies: &mut Vec<u8>) {
    Reply::Submit { seqnum, status, actual_length: 0 }.encode(replies);
}

/// Ends an IN URB with data that fits.
fn complete_in(seqnum: u32, length: u32, flags: u32, data: &[u8], replies: &mut Vec<u8>) {
    let actual_length = u32::try_from(data.len()).unwrap_or(length);
    let status = if flags & SHORT_NOT_OK != 0 && actual_length < length { status::SHORT } else { status::OK };
    Reply::Submit { seqnum, status, actual_length }.encode(replies);
    replies.extend_from_slice(data);
}
