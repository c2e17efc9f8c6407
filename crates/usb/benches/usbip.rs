//! What the USB/IP server and client add to the socket beneath them.
//!
//! A key that echoes reports, over TCP loopback, everything on one thread. Beside it the floor: a
//! bare echo that moves the same messages (USBIP_CMD_SUBMIT with 64 bytes and its 48-byte reply,
//! USBIP_CMD_SUBMIT and its reply with 64 bytes, for each report) in as few system calls as
//! possible: one write and one read on each side, without a device, queues or channels.
//!
//! The third pair is a host as a kernel is: one IN URB pending, one OUT URB at a time, each
//! message in a write of its own; once against the server, once against a bare loop that answers
//! with the same messages.
//!
//! Run it pinned to one core (`taskset -c 0`); where the threads of a machine sleep decides more
//! than any code.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_usb::wire::transfers::{Command, Direction, Submit};
use keyrig_usb::{Attachment, Exports, Identity, Limits, Plugged, REPORT_SIZE, Report, client, serve, serve_imported};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const HEADER: usize = 48;
/// A CTAPHID message of 1024 bytes: 57 in the first report, 59 in each of the others.
const PING_1024: usize = 18;

async fn echo_key(mut plugged: Plugged) {
    loop {
        let Attachment { to_host, mut from_host } = plugged.attached().await;
        while let Some(report) = from_host.recv().await {
            if to_host.send(report).await.is_err() {
                break;
            }
        }
    }
}

/// Answers `reports` times an OUT and an IN command in one write, as soon as all have come.
async fn bare_echo(mut stream: TcpStream, reports: usize) -> std::io::Result<()> {
    let mut commands = vec![0; reports * (2 * HEADER + REPORT_SIZE)];
    let mut replies = vec![0; commands.len()];
    loop {
        stream.read_exact(&mut commands).await?;
        replies.copy_from_slice(&commands);
        stream.write_all(&replies).await?;
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let (far, _) = listener.accept().await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

fn floor(criterion: &mut Criterion, name: &str, reports: usize) -> std::io::Result<()> {
    let runtime = runtime()?;
    let mut stream = runtime.block_on(async {
        let (near, far) = connection().await?;
        tokio::spawn(bare_echo(far, reports));
        std::io::Result::Ok(near)
    })?;
    let commands = vec![7; reports * (2 * HEADER + REPORT_SIZE)];
    let mut replies = vec![0; commands.len()];
    criterion.bench_function(&format!("{name}/floor"), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..iterations {
                    stream.write_all(&commands).await.expect("loopback");
                    stream.read_exact(&mut replies).await.expect("loopback");
                    black_box(&replies);
                }
                began.elapsed()
            })
        });
    });
    Ok(())
}

fn device(criterion: &mut Criterion, name: &str, reports: usize) -> std::io::Result<()> {
    let runtime = runtime()?;
    let mut device = runtime.block_on(async {
        let exports = Exports::new();
        let plugged = exports.plug("1-1", Identity::default()).map_err(std::io::Error::other)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener, exports, Limits::default()));
        tokio::spawn(echo_key(plugged));
        client::import(address, "1-1").await.map_err(std::io::Error::other)
    })?;
    let message: Vec<Report> = vec![[7; REPORT_SIZE]; reports];
    criterion.bench_function(&format!("{name}/keyrig"), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..iterations {
                    device.send_all(&message).await.expect("an echo");
                    for _ in 0..reports {
                        black_box(device.recv().await.expect("an echo"));
                    }
                }
                began.elapsed()
            })
        });
    });
    Ok(())
}

/// A message and its echo, as a kernel moves them.
async fn kernel_host(stream: &mut TcpStream, out: &[u8], submit_in: &[u8]) -> std::io::Result<()> {
    let mut reply = [0; HEADER + REPORT_SIZE];
    for _ in 0..PING_1024 {
        stream.write_all(out).await?;
        stream.read_exact(&mut reply[..HEADER]).await?;
    }
    for _ in 0..PING_1024 {
        stream.read_exact(&mut reply).await?;
        stream.write_all(submit_in).await?;
    }
    Ok(())
}

/// The other side of [`kernel_host`], with the IN URB that was pending before.
async fn bare_device(mut stream: TcpStream) -> std::io::Result<()> {
    let mut command = [0; HEADER + REPORT_SIZE];
    stream.read_exact(&mut command[..HEADER]).await?;
    loop {
        for _ in 0..PING_1024 {
            stream.read_exact(&mut command).await?;
            stream.write_all(&command[..HEADER]).await?;
        }
        for _ in 0..PING_1024 {
            stream.write_all(&command).await?;
            stream.read_exact(&mut command[..HEADER]).await?;
        }
    }
}

/// Takes a whole message before it answers, as a CTAPHID device does.
async fn ping_key(mut plugged: Plugged) {
    let mut key = plugged.attached().await;
    let mut message = Vec::new();
    while let Some(report) = key.from_host.recv().await {
        message.push(report);
        if message.len() == PING_1024 {
            for report in message.drain(..) {
                key.to_host.send(report).await.expect("the host stays");
            }
        }
    }
}

fn one_by_one(criterion: &mut Criterion, with_device: bool) -> std::io::Result<()> {
    let runtime = runtime()?;
    let mut stream = runtime.block_on(async {
        let (near, far) = connection().await?;
        if with_device {
            let exports = Exports::new();
            let plugged = exports.plug("1-1", Identity::default()).map_err(std::io::Error::other)?;
            tokio::spawn(async move { serve_imported(far, &exports, "1-1", Limits::default()).await });
            tokio::spawn(ping_key(plugged));
        } else {
            tokio::spawn(bare_device(far));
        }
        std::io::Result::Ok(near)
    })?;
    let submit = |seqnum, direction| {
        let mut bytes = Vec::new();
        Command::Submit(Submit {
            seqnum,
            device_id: 0x0001_0002,
            direction,
            endpoint: 4,
            flags: 0,
            length: 64,
            interval: 2,
            setup: [0; 8],
        })
        .encode(&mut bytes);
        bytes
    };
    let submit_in = submit(1, Direction::In);
    let mut out = submit(2, Direction::Out);
    out.extend([7; REPORT_SIZE]);
    runtime.block_on(stream.write_all(&submit_in))?;
    let side = if with_device { "keyrig" } else { "floor" };
    criterion.bench_function(&format!("1024 bytes, one by one/{side}"), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..iterations {
                    kernel_host(&mut stream, &out, &submit_in).await.expect("loopback");
                }
                began.elapsed()
            })
        });
    });
    Ok(())
}

fn round_trips(criterion: &mut Criterion) {
    for (name, reports) in [("one report", 1), ("1024 bytes", PING_1024)] {
        floor(criterion, name, reports).expect("loopback");
        device(criterion, name, reports).expect("loopback");
    }
    for with_device in [false, true] {
        one_by_one(criterion, with_device).expect("loopback");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = round_trips
}
criterion_main!(benches);
