//! Both sides together in virtual time, and both against nonsense.

use super::{
    Capabilities, ChannelId, Command, Continuation, Device, DeviceConfig, DeviceEvent, ErrorCode, Host, HostEvent,
    Initialization, KeepaliveStatus, MessageTooLong, Report, RequestId, RespondError, TransactionError,
};
use core::time::Duration;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use std::collections::VecDeque;

/// The bytes, and zeros up to the size of a report.
pub(super) fn report(bytes: &[u8]) -> Report {
    let mut report = [0; 64];
    report[..bytes.len()].copy_from_slice(bytes);
    report
}

const PATIENCE: Duration = Duration::from_secs(2);

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A device and two hosts on one wire, in virtual time. Each report takes a millisecond, and every host sees every
/// report of the device, as on Linux.
struct Pair {
    device: Device,
    hosts: [Host; 2],
    now: Duration,
    random: u32,
    /// What the device's driver has been told and a test has not looked at.
    requests: VecDeque<DeviceEvent>,
    answers: [Vec<(Duration, HostEvent)>; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            device: Device::new(DeviceConfig {
                device_version: [1, 2, 3],
                capabilities: Capabilities::CBOR,
                ..DeviceConfig::default()
            }),
            hosts: [Host::new(), Host::new()],
            now: Duration::ZERO,
            random: 0x1000_0000,
            requests: VecDeque::new(),
            answers: [Vec::new(), Vec::new()],
        }
    }

    fn opened() -> Self {
        let mut pair = Self::new();
        for (host, nonce) in [(0, [1; 8]), (1, [2; 8])] {
            pair.hosts[host].open(nonce, PATIENCE, pair.now).unwrap();
        }
        pair.run(milliseconds(10));
        for host in 0..2 {
            assert!(matches!(pair.answers(host).as_slice(), [HostEvent::Opened(_)]));
        }
        assert_ne!(pair.hosts[0].channel(), pair.hosts[1].channel());
        pair
    }

    fn drain(&mut self) {
        self.requests.extend(std::iter::from_fn(|| self.device.poll_event()));
        for (host, answers) in self.hosts.iter_mut().zip(&mut self.answers) {
            answers.extend(std::iter::from_fn(|| host.poll_event()).map(|event| (self.now, event)));
        }
    }

    /// Moves one report each way. Says whether there was any.
    fn step(&mut self) -> bool {
        self.drain();
        let mut moved = false;
        for host in &mut self.hosts {
            if let Some(report) = host.poll_report() {
                moved = true;
                let random = &mut self.random;
                self.device.receive(&report, self.now, &mut |bytes: &mut [u8]| {
                    *random += 1;
                    bytes.copy_from_slice(&random.to_be_bytes());
                });
            }
        }
        if let Some(report) = self.device.poll_report() {
            moved = true;
            for host in &mut self.hosts {
                host.receive(&report, self.now);
            }
        }
        self.drain();
        moved
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            if self.step() {
                self.now += milliseconds(1);
                continue;
            }
            let timers = [self.device.poll_timeout(), self.hosts[0].poll_timeout(), self.hosts[1].poll_timeout()];
            match timers.into_iter().flatten().min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            self.device.handle_timeout(self.now);
            for host in &mut self.hosts {
                host.handle_timeout(self.now);
            }
        }
        self.now = self.now.max(end);
    }

    fn request(&mut self, host: usize, payload: Vec<u8>) -> RequestId {
        self.hosts[host].request(Command::Cbor, payload.clone(), PATIENCE, self.now).unwrap();
        self.run(milliseconds(300));
        match self.requests.pop_front() {
            Some(DeviceEvent::Request { id, payload: found, .. }) => {
                assert_eq!(found, payload);
                id
            }
            other => panic!("{other:?} where a request was sent"),
        }
    }

    fn answers(&mut self, host: usize) -> Vec<HostEvent> {
        self.answers[host].drain(..).map(|(_, event)| event).collect()
    }
}

#[test]
fn a_request_and_its_response_of_the_greatest_length_arrive_whole() {
    let mut pair = Pair::opened();
    let id = pair.request(0, (0..=255).cycle().take(7609).collect());
    let response: Vec<u8> = (0..=255).rev().cycle().take(7609).collect();
    pair.device.respond(id, response.clone()).unwrap();
    pair.run(milliseconds(300));
    assert_eq!(pair.answers(0).pop(), Some(HostEvent::Response(response)));
    assert_eq!(pair.answers(1), []);
}

#[test]
fn a_touch_that_takes_a_minute_is_waited_for_because_of_keepalives() {
    let mut pair = Pair::opened();
    let id = pair.request(0, vec![1]);
    pair.device.set_status(id, KeepaliveStatus::UpNeeded, pair.now).unwrap();
    let waiting_since = pair.now;
    pair.run(Duration::from_secs(60));
    let statuses = std::mem::take(&mut pair.answers[0]);
    let up_needed: Vec<Duration> = statuses
        .iter()
        .filter(|(at, _)| *at >= waiting_since)
        .map(|(at, event)| {
            assert_eq!(*event, HostEvent::Keepalive(KeepaliveStatus::UpNeeded));
            *at
        })
        .collect();
    assert_eq!(up_needed[0], waiting_since, "at once");
    assert!(up_needed.windows(2).all(|pair| pair[1] - pair[0] <= milliseconds(100)));
    pair.device.respond(id, vec![0]).unwrap();
    pair.run(milliseconds(10));
    assert_eq!(pair.answers(0), [HostEvent::Response(vec![0])]);
}

#[test]
fn a_cancel_gets_through_while_a_touch_is_awaited() {
    let mut pair = Pair::opened();
    let id = pair.request(0, vec![1]);
    pair.device.set_status(id, KeepaliveStatus::UpNeeded, pair.now).unwrap();
    pair.run(milliseconds(500));
    pair.answers(0);
    pair.hosts[0].cancel().unwrap();
    pair.run(milliseconds(5));
    assert_eq!(pair.requests.pop_front(), Some(DeviceEvent::Cancel(id)));
    pair.device.respond(id, vec![0x2d]).unwrap();
    pair.run(milliseconds(5));
    assert_eq!(pair.answers(0), [HostEvent::Response(vec![0x2d])]);
}

#[test]
fn the_second_host_is_told_busy_and_succeeds_after_the_first() {
    let mut pair = Pair::opened();
    let id = pair.request(0, vec![1]);
    pair.hosts[1].request(Command::Cbor, vec![2; 100], PATIENCE, pair.now).unwrap();
    pair.run(milliseconds(5));
    match pair.answers(1).as_slice() {
        [HostEvent::Failed(error)] => assert_eq!(*error, TransactionError::Refused(ErrorCode::ChannelBusy)),
        other => panic!("{other:?}"),
    }
    pair.device.respond(id, vec![0]).unwrap();
    pair.run(milliseconds(5));
    assert_eq!(pair.answers(0).pop(), Some(HostEvent::Response(vec![0])));
    let id = pair.request(1, vec![2; 100]);
    pair.device.respond(id, vec![3]).unwrap();
    pair.run(milliseconds(5));
    assert_eq!(pair.answers(1).pop(), Some(HostEvent::Response(vec![3])));
}

#[test]
fn a_host_that_gave_up_on_a_ctap1_request_resynchronises_and_goes_on() {
    let mut pair = Pair::opened();
    pair.hosts[0].request(Command::Msg, vec![0; 7], PATIENCE, pair.now).unwrap();
    pair.run(Duration::from_secs(3));
    assert_eq!(pair.answers(0), [HostEvent::Failed(TransactionError::TimedOut)]);
    let Some(DeviceEvent::Request { id: stuck, .. }) = pair.requests.pop_front() else {
        panic!("the device had no request")
    };
    pair.hosts[0].resynchronize([9; 8], PATIENCE, pair.now).unwrap();
    pair.run(milliseconds(5));
    assert!(matches!(pair.answers(0).as_slice(), [HostEvent::Opened(_)]));
    assert_eq!(pair.requests.pop_front(), Some(DeviceEvent::Abort(stuck)));
    let id = pair.request(0, vec![1]);
    pair.device.respond(id, vec![0]).unwrap();
    pair.run(milliseconds(5));
    assert_eq!(pair.answers(0).pop(), Some(HostEvent::Response(vec![0])));
}

#[test]
fn a_host_whose_device_lost_power_opens_another_channel() {
    let mut pair = Pair::opened();
    pair.device.power_cycle();
    pair.hosts[0].request(Command::Cbor, vec![1], PATIENCE, pair.now).unwrap();
    pair.run(milliseconds(5));
    let invalid_channel = TransactionError::Refused(ErrorCode::InvalidChannel);
    assert_eq!(pair.answers(0), [HostEvent::Failed(invalid_channel)]);
    pair.hosts[0].open([3; 8], PATIENCE, pair.now).unwrap();
    pair.run(milliseconds(5));
    assert!(matches!(pair.answers(0).as_slice(), [HostEvent::Opened(_)]));
    pair.request(0, vec![1]);
}

/// What a hostile or broken other end, and time, may do.
#[derive(Clone, Debug)]
enum Act {
    Report(Report),
    Pass(u64),
    Read,
    Respond(u16),
    Status(KeepaliveStatus),
    PowerCycle,
}

const OPEN: ChannelId = ChannelId(0x2000_0001);

fn channel() -> impl Strategy<Value = ChannelId> {
    prop_oneof![
        8 => Just(OPEN),
        4 => Just(ChannelId(0x2000_0002)),
        2 => Just(ChannelId::BROADCAST),
        1 => Just(ChannelId::RESERVED),
        1 => any::<u32>().prop_map(ChannelId),
    ]
}

fn packet() -> impl Strategy<Value = Report> {
    let command = prop_oneof![
        4 => (0_usize..9).prop_map(|at| [0x01, 0x03, 0x04, 0x06, 0x08, 0x10, 0x11, 0x3b, 0x3f][at]),
        1 => any::<u8>(),
    ];
    let length = prop_oneof![0_u16..3, Just(8_u16), Just(17_u16), 50_u16..200, 7600_u16..7620, any::<u16>()];
    let sequence = prop_oneof![4 => 0_u8..3, 1 => any::<u8>()];
    prop_oneof![
        6 => (channel(), command, length, vec(any::<u8>(), 0..57)).prop_map(|(channel, command, length, data)| {
            Initialization::new(channel, Command::from(command), length, &data).to_report()
        }),
        4 => (channel(), sequence, vec(any::<u8>(), 0..59)).prop_map(|(channel, sequence, data)| {
            Continuation::new(channel, sequence, &data).to_report()
        }),
        1 => vec(any::<u8>(), 64).prop_map(|bytes| report(&bytes)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => packet().prop_map(Act::Report),
        3 => (0..600_u64).prop_map(Act::Pass),
        3 => Just(Act::Read),
        3 => (0..8000_u16).prop_map(Act::Respond),
        2 => Just(Act::Status(KeepaliveStatus::UpNeeded)),
        2 => Just(Act::Status(KeepaliveStatus::Processing)),
        1 => Just(Act::PowerCycle),
    ]
}

/// Reads everything and counts it.
fn reports(device: &mut Device) -> Vec<Report> {
    std::iter::from_fn(|| device.poll_report()).collect()
}

/// Hands out 0x20000001, 0x20000002 and so on.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut count = 0x2000_0000_u32;
    move |bytes| {
        count += 1;
        bytes.copy_from_slice(&count.to_be_bytes());
    }
}

fn device() -> Device {
    Device::new(DeviceConfig {
        device_version: [1, 2, 3],
        capabilities: Capabilities::CBOR.with(Capabilities::WINK),
        ..DeviceConfig::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever has come before, nothing waits beyond bounds, and a host that resynchronises, or opens a channel if its
    /// own is gone, is served.
    #[test]
    fn after_any_nonsense_a_resynchronised_host_is_answered(acts in vec(act(), 0..120)) {
        let mut device = device();
        let mut random = counting();
        let mut now = Duration::ZERO;
        let mut request = None;
        for act in [Act::Report(Initialization::new(ChannelId::BROADCAST, Command::Init, 8, &[1; 8]).to_report())]
            .into_iter()
            .chain(acts)
        {
            match act {
                Act::Report(report) => device.receive(&report, now, &mut random),
                Act::Pass(time) => {
                    now += milliseconds(time);
                    device.handle_timeout(now);
                }
                Act::Read => {
                    drop(reports(&mut device));
                    device.handle_timeout(now);
                }
                Act::Respond(length) => {
                    if let Some(id) = request {
                        match device.respond(id, vec![7; usize::from(length)]) {
                            Ok(()) => request = None,
                            Err(error) => assert_eq!(
                                error,
                                RespondError::TooLong(MessageTooLong { length: usize::from(length) })
                            ),
                        }
                    }
                }
                Act::Status(status) => {
                    if let Some(id) = request {
                        assert_eq!(device.set_status(id, status, now), Ok(()));
                    }
                }
                Act::PowerCycle => device.power_cycle(),
            }
            while let Some(event) = device.poll_event() {
                match event {
                    DeviceEvent::Request { id, payload, .. } => {
                        assert!((1..=7609).contains(&payload.len()));
                        request = Some(id);
                    }
                    DeviceEvent::Cancel(id) => assert_eq!(Some(id), request),
                    DeviceEvent::Abort(id) => {
                        assert_eq!(Some(id), request);
                        request = None;
                    }
                    DeviceEvent::Wink | DeviceEvent::Vendor { .. } => {}
                }
            }
            assert!(device.poll_timeout().is_none_or(|deadline| deadline > now), "a timer that is due was left");
        }
        // Standalone answers, keepalives, and one response of 129 packets.
        assert!(reports(&mut device).len() <= 32 + 2 + 129);

        // Nobody outwaits a lock but by time.
        now += Duration::from_secs(11);
        // As a driver does whose timer is in time.
        while let Some(deadline) = device.poll_timeout().filter(|deadline| *deadline <= now) {
            device.handle_timeout(deadline);
        }
        drop(reports(&mut device));
        let mut serve = |report: &Report| {
            device.receive(report, now, &mut random);
            let reports = reports(&mut device);
            (reports, std::iter::from_fn(|| device.poll_event()).collect::<Vec<_>>())
        };
        let mut open = OPEN;
        let (answers, _) = serve(&Initialization::new(OPEN, Command::Init, 8, &[5; 8]).to_report());
        let last = answers.last().expect("INIT is always answered");
        if last[4] == 0xbf {
            assert_eq!(last[7], 0x0b, "the channel is gone after a power cycle");
            let (answers, events) = serve(&Initialization::new(ChannelId::BROADCAST, Command::Init, 8, &[6; 8]).to_report());
            assert_eq!(events, [], "opening a channel aborts nothing");
            let last = answers.last().expect("INIT is always answered");
            assert_eq!(last[..15], [0xff, 0xff, 0xff, 0xff, 0x86, 0, 17, 6, 6, 6, 6, 6, 6, 6, 6]);
            open = ChannelId(u32::from_be_bytes([last[15], last[16], last[17], last[18]]));
        }
        // Another channel may still have a message on its way or a request in progress: that is busy, and nothing else.
        let ping = Initialization::new(open, Command::Ping, 3, &[1, 2, 3]).to_report();
        let (answers, _) = serve(&ping);
        let last = answers.last().expect("a ping is always answered");
        let busy_with_another = last[4] == 0xbf && last[7] == 0x06;
        assert!(*last == ping || (busy_with_another && request.is_some()), "{last:02x?}");
    }

    /// A host survives any device, and still opens a channel with a good one afterwards.
    #[test]
    fn after_any_nonsense_a_host_opens_a_channel(
        packets in vec((packet(), 0..3000_u64), 0..120),
        command in prop_oneof![Just(Command::Cbor), Just(Command::Msg), Just(Command::Ping)],
    ) {
        let mut host = Host::new();
        let mut now = Duration::ZERO;
        host.open([1; 8], PATIENCE, now).unwrap();
        let mut device = device();
        device.receive(&host.poll_report().unwrap(), now, &mut counting());
        host.receive(&device.poll_report().unwrap(), now);
        assert_eq!(host.channel(), Some(OPEN));
        for (report, time) in packets {
            if host.poll_timeout().is_none() {
                host.request(command, vec![1; 100], PATIENCE, now).unwrap();
                assert_eq!(std::iter::from_fn(|| host.poll_report()).count(), 2);
            }
            now += milliseconds(time);
            host.handle_timeout(now);
            host.receive(&report, now);
            while let Some(event) = host.poll_event() {
                if let HostEvent::Response(payload) = event {
                    assert!(payload.len() <= 7609);
                }
            }
            assert!(host.poll_timeout().is_none_or(|deadline| deadline > now), "a timer that is due was left");
        }
        host.resynchronize([2; 8], PATIENCE, now).unwrap();
        device.receive(&host.poll_report().unwrap(), now, &mut counting());
        host.receive(&device.poll_report().unwrap(), now);
        assert!(matches!(host.poll_event(), Some(HostEvent::Opened(_))));
        assert_eq!(host.poll_timeout(), None);
    }
}
