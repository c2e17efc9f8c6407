//! CTAPHID's device, driven by its contract, against three peers that send anything at any time, read when they like, and go.
//!
//! What must hold: no panic; a deadline that has passed is not asked for again; the reports to each peer on each channel form whole
//! messages in order, every CTAP message among them is one that the driver responded with, and its channel is one that this peer
//! has opened; whoever goes takes what it began with it.

#![no_main]

use core::time::Duration;
use std::collections::HashMap;

use keyrig_ctap::hid::{
    Capabilities, ChannelId, Command, Continuation, Device, DeviceConfig, DeviceEvent, ErrorCode, Initialization,
    KeepaliveStatus, Packet, Peer, Report, RequestId,
};
use libfuzzer_sys::fuzz_target;

/// Bytes from the fuzzer, read as choices.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

struct World {
    device: Device,
    now: Duration,
    /// A counter: channel ids that repeat are the device's to notice.
    random: u8,
    channels: Vec<ChannelId>,
    /// Who opened each channel last.
    owners: HashMap<ChannelId, Peer>,
    pending: Option<(RequestId, Peer)>,
    responded: Vec<Vec<u8>>,
    /// The message that is coming to each peer on each channel: command, length, payload so far, next sequence number.
    coming: HashMap<(Peer, ChannelId), (Command, usize, Vec<u8>, u8)>,
}

impl World {
    fn receive(&mut self, from: Peer, report: &Report) {
        let random = &mut self.random;
        self.device.receive_from(from, report, self.now, &mut |bytes: &mut [u8]| {
            for byte in bytes {
                *random = random.wrapping_mul(5).wrapping_add(1);
                *byte = *random >> 2;
            }
        });
        self.settle();
    }

    /// Drains events and honours the timer, as the contract says.
    fn settle(&mut self) {
        while let Some(event) = self.device.poll_event() {
            match event {
                DeviceEvent::Request { id, peer, payload, .. } => {
                    assert!(!payload.is_empty(), "a request has at least one byte");
                    assert!(self.pending.is_none(), "one request at a time");
                    assert!(self.device.is_in_use_by(peer, self.now), "whoever asks uses the device");
                    self.pending = Some((id, peer));
                }
                DeviceEvent::Vendor { id, command, payload } => {
                    assert_eq!(command, 0x40, "a command that the device has");
                    let answered = match payload.as_slice() {
                        [] => self.device.refuse(id, ErrorCode::InvalidPar),
                        _ => self.device.respond(id, payload),
                    };
                    answered.expect("it has just come");
                }
                DeviceEvent::Cancel(id) => {
                    assert_eq!(self.pending.map(|(id, _)| id), Some(id), "only what is pending is cancelled");
                }
                DeviceEvent::Abort(id) => {
                    assert_eq!(self.pending.take().map(|(id, _)| id), Some(id), "only what is pending is aborted");
                }
                DeviceEvent::Wink => {}
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.device.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.device.handle_timeout(self.now);
            self.settle();
            assert!(
                self.device.poll_timeout().is_none_or(|deadline| deadline > self.now),
                "the timer would never rest"
            );
        }
    }

    /// Takes so many reports, for those that read.
    fn take(&mut self, count: usize, reads: impl Fn(Peer) -> bool) {
        for _ in 0..count {
            let Some((to, report)) = self.device.poll_report_to(&reads) else { break };
            assert!(reads(to), "only those who have room are given something");
            match Packet::parse(&report) {
                Packet::Initialization(packet) => self.first(to, &report, &packet),
                Packet::Continuation(packet) => {
                    let (_, length, payload, sequence) =
                        self.coming.get_mut(&(to, packet.channel)).expect("a continuation continues something");
                    assert_eq!(report[4], *sequence, "packets come in order");
                    *sequence += 1;
                    let wanted = (*length - payload.len()).min(59);
                    payload.extend_from_slice(&report[5..5 + wanted]);
                }
            }
            self.finish();
        }
    }

    fn first(&mut self, to: Peer, report: &Report, packet: &Initialization) {
        assert!(
            packet.channel != ChannelId::RESERVED || packet.command == Command::Error,
            "nothing but errors comes on the reserved channel"
        );
        let length = usize::from(u16::from_be_bytes([report[5], report[6]]));
        let payload = report[7..7 + length.min(57)].to_vec();
        if packet.command == Command::Init {
            let id: [u8; 4] = payload[8..12].try_into().unwrap();
            let id = ChannelId(u32::from_be_bytes(id));
            self.channels.push(id);
            self.owners.insert(id, to);
        } else if packet.command != Command::Error {
            assert_eq!(self.owners.get(&packet.channel), Some(&to), "an answer is for whoever opened its channel");
        }
        if packet.command == Command::Keepalive {
            assert!(matches!(payload[..], [1 | 2]), "a status that hosts know");
        }
        self.coming.insert((to, packet.channel), (packet.command, length, payload, 0));
    }

    fn finish(&mut self) {
        let responded = &self.responded;
        self.coming.retain(|_, (command, length, payload, _)| {
            let complete = payload.len() == *length;
            if complete && matches!(command, Command::Cbor | Command::Msg) {
                assert!(responded.contains(payload), "a response that nobody gave");
            }
            !complete
        });
    }

    fn step(&mut self, choices: &mut Choices) -> Option<()> {
        let choice = choices.byte()?;
        let peer = Peer(u64::from(choice / 10 % 3));
        match choice % 10 {
            // A report as it comes.
            0 => {
                let mut report = [0; 64];
                let bytes = choices.bytes(64);
                report[..bytes.len()].copy_from_slice(&bytes);
                self.receive(peer, &report);
            }
            // A first packet that has a chance.
            1..=3 => {
                let channel = self.channel(choices.byte()?);
                let command = [0x01, 0x03, 0x04, 0x06, 0x08, 0x10, 0x11, 0x40][usize::from(choices.byte()? % 8)];
                let length = u16::from(choices.byte()?);
                // Now and then as long as a message may be, and longer.
                let length = if length > 250 { length * 30 } else { length };
                let data = choices.bytes(usize::from(length).min(57));
                self.receive(peer, &Initialization::new(channel, Command::from(command), length, &data).to_report());
            }
            4 | 5 => {
                let channel = self.channel(choices.byte()?);
                let sequence = choices.byte()?;
                let data = choices.bytes(59);
                self.receive(peer, &Continuation::new(channel, sequence & 0x7F, &data).to_report());
            }
            6 => {
                let time = u64::from(choices.byte()?);
                self.wait(Duration::from_millis(time * time));
            }
            7 => {
                let length = usize::from(choices.byte()?);
                let response = vec![u8::try_from(self.responded.len() % 251).unwrap(); length * length / 8 + 1];
                if let Some((id, _)) = self.pending {
                    self.responded.push(response.clone());
                    if self.device.respond(id, response).is_ok() {
                        self.pending = None;
                    }
                    self.settle();
                }
            }
            8 => {
                let status =
                    if choices.byte()? % 2 == 0 { KeepaliveStatus::Processing } else { KeepaliveStatus::UpNeeded };
                if let Some((id, _)) = self.pending {
                    let _ = self.device.set_status(id, status, self.now);
                    self.settle();
                }
            }
            _ => match choices.byte()? {
                255 => {
                    self.device.power_cycle();
                    self.settle();
                    // What was on its way is gone.
                    self.coming.clear();
                    assert!(self.pending.is_none(), "a power cycle aborts");
                }
                254 => {
                    self.device.disconnect(peer);
                    self.settle();
                    assert!(self.pending.is_none_or(|(_, of)| of != peer), "what it asked for goes with a peer");
                    assert!(!self.device.is_in_use_by(peer, self.now), "nor does it use the device");
                    self.coming.retain(|(to, _), _| *to != peer);
                    self.owners.retain(|_, owner| *owner != peer);
                    assert_eq!(self.device.poll_report_to(|to| to == peer), None, "and nothing waits for it");
                }
                // One that reads, or all.
                count if count % 2 == 0 => self.take(usize::from(count), |to| to == peer),
                count => self.take(usize::from(count), |_| true),
            },
        }
        Some(())
    }

    fn channel(&self, choice: u8) -> ChannelId {
        match choice {
            255 => ChannelId::BROADCAST,
            254 => ChannelId::RESERVED,
            253 => ChannelId(0x1234_5678),
            other if self.channels.is_empty() => ChannelId(u32::from(other)),
            other => self.channels[usize::from(other) % self.channels.len()],
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let Some(capabilities) = choices.byte() else { return };
    let capabilities = Capabilities(capabilities & 0x0D);
    let mut world = World {
        device: Device::new(DeviceConfig {
            device_version: [1, 0, 0],
            capabilities,
            vendor_commands: &[0x40],
            ..DeviceConfig::default()
        }),
        now: Duration::ZERO,
        random: 1,
        channels: Vec::new(),
        owners: HashMap::new(),
        pending: None,
        responded: Vec::new(),
        coming: HashMap::new(),
    };
    // Every session begins with a channel: without one there is little to find.
    world.receive(Peer(0), &Initialization::new(ChannelId::BROADCAST, Command::Init, 8, &[7; 8]).to_report());
    world.take(1, |_| true);
    while world.step(&mut choices).is_some() {}
    world.take(usize::MAX, |_| true);
});
