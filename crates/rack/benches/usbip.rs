//! A key over USB/IP on loopback, beside the floor: a bare echo that moves the same messages.
//!
//! The host behaves as a kernel does: one IN URB is always pending, OUT URBs go one at a time. For a command of N reports out and M
//! in, the floor moves the same USBIP_CMD_SUBMIT and replies one by one, without a device, queues or cryptography. For commands that
//! need a touch, M counts the one keepalive that says so.
//!
//! Host, server and key share one thread, so pin the bench to one core (`taskset -c 0`): where the threads of a machine sleep decides
//! more than any code.

mod requests;

use core::hint::black_box;
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_ctap::hid::{Command, Host, HostEvent};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_usb::wire::transfers::{Command as Urb, Direction, Submit};
use keyrig_usb::{Limits, REPORT_SIZE, Report, serve_imported};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::requests::{credential_id, login, register};

/// USBIP_CMD_SUBMIT and USBIP_RET_SUBMIT without data.
const HEADER: usize = 48;

const PATIENCE: Duration = Duration::from_secs(5);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("loopback");
    let (far, _) = listener.accept().await.expect("loopback");
    near.set_nodelay(true).and(far.set_nodelay(true)).expect("loopback");
    (near, far)
}

/// A host's end of an imported device, as a kernel's.
struct Kernel {
    stream: TcpStream,
    device_id: u32,
    seqnum: u32,
    /// The seqnum of the IN URB that is always pending.
    pending_in: u32,
}

impl Kernel {
    async fn attach(stream: TcpStream, device_id: u32) -> Self {
        let mut kernel = Self { stream, device_id, seqnum: 0, pending_in: 0 };
        // SET_CONFIGURATION: only then the interrupt endpoints are there.
        kernel.submit(Direction::Out, 0, 0, [0, 9, 1, 0, 0, 0, 0, 0], &[]).await;
        kernel.stream.read_exact(&mut [0; HEADER]).await.expect("loopback");
        kernel.pending_in = kernel.submit(Direction::In, 4, 64, [0; 8], &[]).await;
        kernel
    }

    async fn submit(&mut self, direction: Direction, endpoint: u8, length: u32, setup: [u8; 8], data: &[u8]) -> u32 {
        self.seqnum += 1;
        let (seqnum, device_id) = (self.seqnum, self.device_id);
        let mut message = Vec::with_capacity(HEADER + REPORT_SIZE);
        Urb::Submit(Submit { seqnum, device_id, direction, endpoint, flags: 0, length, interval: 2, setup })
            .encode(&mut message);
        message.extend_from_slice(data);
        self.stream.write_all(&message).await.expect("loopback");
        seqnum
    }

    /// Sends the reports one at a time; a report that comes meanwhile is kept.
    async fn send(&mut self, reports: &[Report], received: &mut VecDeque<Report>) {
        for report in reports {
            self.submit(Direction::Out, 4, 64, [0; 8], report).await;
            while let Some(report) = self.reply().await {
                received.push_back(report);
            }
        }
    }

    /// Waits for a URB: the report if it was the IN URB, which is submitted anew.
    async fn reply(&mut self) -> Option<Report> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await.expect("loopback");
        let [_, _, _, _, seqnum @ ..] = header;
        if seqnum.first_chunk() != Some(&self.pending_in.to_be_bytes()) {
            return None;
        }
        let mut report = [0; REPORT_SIZE];
        self.stream.read_exact(&mut report).await.expect("loopback");
        self.pending_in = self.submit(Direction::In, 4, 64, [0; 8], &[]).await;
        Some(report)
    }
}

/// A CTAPHID channel to a key, and how many reports went each way in the last transaction.
struct Channel {
    kernel: Kernel,
    host: Host,
    reports: (usize, usize),
}

impl Channel {
    async fn open(kernel: Kernel) -> Self {
        let mut channel = Self { kernel, host: Host::new(), reports: (0, 0) };
        channel.host.open([7; 8], PATIENCE, Duration::ZERO).expect("idle");
        channel.carry().await;
        channel
    }

    async fn transact(&mut self, command: Command, payload: Vec<u8>) -> Vec<u8> {
        self.host.request(command, payload, PATIENCE, Duration::ZERO).expect("idle");
        self.carry().await
    }

    async fn carry(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        while let Some(report) = self.host.poll_report() {
            message.push(report);
        }
        let mut received = VecDeque::new();
        self.kernel.send(&message, &mut received).await;
        self.reports = (message.len(), 0);
        loop {
            let report = match received.pop_front() {
                Some(report) => report,
                None => self.kernel.reply().await.expect("nothing else is pending"),
            };
            self.reports.1 += 1;
            self.host.receive(&report, Duration::ZERO);
            match self.host.poll_event() {
                Some(HostEvent::Response(response)) => return response,
                Some(HostEvent::Opened(_)) => return Vec::new(),
                Some(HostEvent::Failed(error)) => panic!("{error}"),
                Some(HostEvent::Keepalive(_)) | None => {}
            }
        }
    }
}

/// Completes `out` OUT URBs, then `input` IN URBs, over and over: each reply is the command with other bytes.
async fn bare_device(mut stream: TcpStream, (out, input): (usize, usize)) -> std::io::Result<()> {
    let mut message = [7; HEADER + REPORT_SIZE];
    let mut submit_in = [0; HEADER];
    stream.read_exact(&mut submit_in).await?;
    loop {
        for _ in 0..out {
            stream.read_exact(&mut message).await?;
            stream.write_all(message.first_chunk::<HEADER>().expect("a header")).await?;
        }
        for _ in 0..input {
            stream.write_all(&message).await?;
            stream.read_exact(&mut submit_in).await?;
        }
    }
}

fn floor(criterion: &mut Criterion, name: &str, reports: (usize, usize)) {
    let runtime = runtime();
    let mut stream = runtime.block_on(async {
        let (mut near, far) = connection().await;
        tokio::spawn(bare_device(far, reports));
        near.write_all(&[7; HEADER]).await.expect("loopback");
        near
    });
    let mut message = [7; HEADER + REPORT_SIZE];
    let mut header = [0; HEADER];
    criterion.bench_function(&format!("{name}/floor, {} reports out and {} in", reports.0, reports.1), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..iterations {
                    for _ in 0..reports.0 {
                        stream.write_all(&message).await.expect("loopback");
                        stream.read_exact(&mut header).await.expect("loopback");
                    }
                    for _ in 0..reports.1 {
                        stream.read_exact(&mut message).await.expect("loopback");
                        stream.write_all(&header).await.expect("loopback");
                    }
                    black_box(&message);
                }
                began.elapsed()
            })
        });
    });
}

fn commands(criterion: &mut Criterion) {
    // With a seed the deterministic library computes, without one the fast one.
    for seed in [None, Some(1)] {
        let runtime = runtime();
        let (rack, mut channel) = runtime.block_on(async {
            let specification = KeySpecification::built_in("keyrig", "a").expect("it comes with keyrig");
            let rack = Rack::start(Options { seed, ..Options::default() }, vec![specification]).await.expect("a rack");
            let device_id = rack.exports().list().first().expect("plugged in").device.device_id();
            let (near, far) = connection().await;
            let exports = rack.exports().clone();
            tokio::spawn(async move { serve_imported(far, &exports, "1-1", Limits::default()).await });
            (rack, Channel::open(Kernel::attach(near, device_id).await).await)
        });
        let library = rack.crypto();
        let registered = runtime.block_on(channel.transact(Command::Cbor, register()));
        let cases = [
            ("PING of one packet", Command::Ping, vec![7; 57]),
            ("PING of 1024 bytes", Command::Ping, vec![7; 1024]),
            ("getInfo", Command::Cbor, vec![0x04]),
            ("makeCredential", Command::Cbor, register()),
            ("getAssertion", Command::Cbor, login(credential_id(&registered), true)),
        ];
        for (name, command, payload) in cases {
            let computes = matches!(name, "makeCredential" | "getAssertion");
            if seed.is_some() && !computes {
                continue;
            }
            runtime.block_on(channel.transact(command, payload.clone()));
            let reports = channel.reports;
            if seed.is_none() {
                floor(criterion, name, reports);
            }
            let label = if computes { format!("{name}/keyrig, {library}") } else { format!("{name}/keyrig") };
            criterion.bench_function(&label, |bencher| {
                bencher.iter_custom(|iterations| {
                    runtime.block_on(async {
                        let began = Instant::now();
                        for _ in 0..iterations {
                            black_box(channel.transact(command, payload.clone()).await);
                        }
                        began.elapsed()
                    })
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = commands
}
criterion_main!(benches);
