//! Bytes are written out by hand from CTAP 2.3 §11.2; where that leaves the order of things open, the framing test of
//! the U2F reference code decides.

use super::{Device, DeviceConfig, DeviceEvent, RequestId, RequestKind, RespondError};
use crate::hid::tests::report;
use crate::hid::{Capabilities, KeepaliveStatus, MessageTooLong, Report};
use core::time::Duration;

mod busy;
mod channels;
mod commands;
mod peers;
mod requests;

const A: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const B: [u8; 4] = [0x55, 0x66, 0x77, 0x88];
const BROADCAST: [u8; 4] = [0xff; 4];
const UNKNOWN: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];

const PING: u8 = 0x81;
const MSG: u8 = 0x83;
const LOCK: u8 = 0x84;
const INIT: u8 = 0x86;
const WINK: u8 = 0x88;
const CBOR: u8 = 0x90;
const CANCEL: u8 = 0x91;
const KEEPALIVE: u8 = 0xbb;
const ERROR: u8 = 0xbf;

const INVALID_CMD: u8 = 0x01;
const INVALID_PAR: u8 = 0x02;
const INVALID_LEN: u8 = 0x03;
const INVALID_SEQ: u8 = 0x04;
const MSG_TIMEOUT: u8 = 0x05;
const CHANNEL_BUSY: u8 = 0x06;
const INVALID_CHANNEL: u8 = 0x0b;

const NONCE: [u8; 8] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7];

const NOTHING: [Report; 0] = [];

/// A packet that begins a message and claims `length` bytes.
fn first(channel: [u8; 4], command: u8, length: u16, data: &[u8]) -> Report {
    report(&[&channel, &[command][..], &length.to_be_bytes(), data].concat())
}

fn next(channel: [u8; 4], sequence: u8, data: &[u8]) -> Report {
    report(&[&channel, &[sequence][..], data].concat())
}

fn error(channel: [u8; 4], code: u8) -> Report {
    first(channel, ERROR, 1, &[code])
}

fn init_response(on: [u8; 4], channel: [u8; 4], capabilities: u8) -> Report {
    first(on, INIT, 17, &[&NONCE[..], &channel, &[2, 5, 4, 3, capabilities]].concat())
}

/// A device with channels A and B open, and a clock.
struct Bench {
    device: Device,
    now: Duration,
    random: Vec<[u8; 4]>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::with_capabilities(Capabilities::WINK.with(Capabilities::CBOR));
        bench.random = vec![B, A];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports(), [init_response(BROADCAST, A, 5), init_response(BROADCAST, B, 5)]);
        bench
    }

    fn with_capabilities(capabilities: Capabilities) -> Self {
        let device = Device::new(DeviceConfig { device_version: [5, 4, 3], capabilities, ..DeviceConfig::default() });
        Self { device, now: Duration::from_secs(1000), random: Vec::new() }
    }

    fn send(&mut self, report: Report) {
        let random = &mut self.random;
        self.device.receive(&report, self.now, &mut |bytes: &mut [u8]| {
            bytes.copy_from_slice(&random.pop().expect("an unexpected call for randomness"));
        });
    }

    /// Everything that waits for the host.
    fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.device.poll_report()).collect()
    }

    fn events(&mut self) -> Vec<DeviceEvent> {
        std::iter::from_fn(|| self.device.poll_event()).collect()
    }

    fn exchange(&mut self, report: Report) -> Vec<Report> {
        self.send(report);
        self.reports()
    }

    /// Lets time pass as a driver does: the device is called only when it wants to be, and the host reads all.
    fn pass(&mut self, milliseconds: u64) -> Vec<(u64, Report)> {
        let begin = self.now;
        let end = begin + Duration::from_millis(milliseconds);
        let mut reports = Vec::new();
        while let Some(deadline) = self.device.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.device.handle_timeout(self.now);
            let after = u64::try_from((self.now - begin).as_millis()).unwrap();
            reports.extend(self.reports().into_iter().map(|report| (after, report)));
        }
        self.now = end;
        reports
    }

    /// Sends a request of one packet and returns its id.
    fn request(&mut self, channel: [u8; 4], command: u8) -> RequestId {
        self.send(first(channel, command, 1, &[0x04]));
        match self.events().as_slice() {
            [DeviceEvent::Request { id, .. }] => *id,
            other => panic!("{other:?} where one request was sent"),
        }
    }

    /// The whole of the ping that every well device answers.
    fn assert_idle(&mut self) {
        let ping = first(A, PING, 2, &[7, 8]);
        assert_eq!(self.exchange(ping), [ping]);
        assert_eq!(self.events(), []);
        assert_eq!(self.device.poll_timeout(), None);
    }
}
